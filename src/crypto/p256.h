/* Diffie-Hellman on P-256 (NIST SP 800-56A, as TLS 1.3 has it: RFC 8446, section 7.4.2), for peers
 * without X25519. On OpenSSL. */
#ifndef TERN_CRYPTO_P256_H
#define TERN_CRYPTO_P256_H

#include "base/bytes.h"

enum { TERN_P256_POINT = 65 /* uncompressed */, TERN_P256_SHARED = 32 };

/* A key pair of one key exchange. NULL when memory is short. */
typedef struct tern_p256 tern_p256;
tern_p256 *tern_p256_new(uint8_t ret_public[TERN_P256_POINT]);
void tern_p256_free(tern_p256 *pair); /* wipes the secret; NULL is nothing */
/* TERN_E_INVALID: the peer's is no point of the curve; TERN_E_CRYPTO. */
int tern_p256_shared(tern_p256 *pair, const uint8_t peer[TERN_P256_POINT],
                     uint8_t ret_shared[TERN_P256_SHARED]);

#endif
