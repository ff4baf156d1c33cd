/* Proofs that were verified lately, by their digests, so that what comes again need not be verified
 * again: a peer's certificate, or its signature over a static key, serves many of its handshakes.
 * Each digest has one place; a newer one takes an older one's. */
#ifndef TERN_CRYPTO_KNOWN_H
#define TERN_CRYPTO_KNOWN_H

#include "crypto/symmetric.h"

enum { TERN_KNOWN = 128 };

/* Starts as zeros. Belongs to one kind of proof: the bytes alone say what was proven. */
typedef struct tern_known {
    uint8_t digests[TERN_KNOWN][TERN_SHA256];
    uint64_t *hits; /* counts what was found */
} tern_known;

/* Whether the concatenation of the spans, which must be without ambiguity, is remembered. Fills
 * `digest` for put. A NULL `k` remembers nothing. */
bool tern_known_has(tern_known *k, const tern_span *v, unsigned n, uint8_t digest[TERN_SHA256]);
/* After the verification of what `has` was asked about. */
void tern_known_put(tern_known *k, const uint8_t digest[TERN_SHA256]);

#endif
