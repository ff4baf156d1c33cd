/* Verified proofs: see known.h. A peer may choose bytes whose digest falls on another's place; that
 * costs the other one verification. */
#include "crypto/known.h"

bool tern_known_has(tern_known *k, const tern_span *v, unsigned n, uint8_t digest[TERN_SHA256])
{
    memset(digest, 0, TERN_SHA256); /* an empty place's: putting it changes nothing */
    if (k == NULL || tern_sha256(v, n, digest) != 0 ||
        memcmp(k->digests[digest[0] % TERN_KNOWN], digest, TERN_SHA256) != 0) {
        return false;
    }
    ++*k->hits;
    return true;
}

void tern_known_put(tern_known *k, const uint8_t digest[TERN_SHA256])
{
    if (k != NULL) {
        memcpy(k->digests[digest[0] % TERN_KNOWN], digest, TERN_SHA256);
    }
}
