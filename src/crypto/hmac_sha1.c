/* HMAC-SHA1: see hmac_sha1.h. */
#include "crypto/hmac_sha1.h"

#include <limits.h>

#include <openssl/evp.h>
#include <openssl/hmac.h>

#include <tern/error.h>

int tern_hmac_sha1(tern_span key, tern_span data, uint8_t out[TERN_HMAC_SHA1])
{
    unsigned n = 0;
    if (key.len > INT_MAX ||
        HMAC(EVP_sha1(), key.data, (int)key.len, data.data, data.len, out, &n) == NULL) {
        return TERN_E_CRYPTO;
    }
    return n == TERN_HMAC_SHA1 ? 0 : TERN_E_CRYPTO;
}
