/* The primitives of Noise and of TLS beside its hashes (crypto/hash.h): AEADs on OpenSSL, X25519 on
 * libsodium. Algorithms are fetched once a process; a context is keyed once and reused for every
 * message. */
#ifndef TERN_CRYPTO_SYMMETRIC_H
#define TERN_CRYPTO_SYMMETRIC_H

#include "base/bytes.h"
#include "crypto/hash.h"

enum {
    TERN_AEAD_KEY = 32, /* at most */
    TERN_AEAD_NONCE = 12,
    TERN_AEAD_TAG = 16,
    TERN_X25519 = 32,
};

typedef enum tern_aead_kind {
    TERN_CHACHA20_POLY1305, /* RFC 8439 */
    TERN_AES_128_GCM,       /* NIST SP 800-38D; its key has 16 bytes, the others' 32 */
    TERN_AES_256_GCM,
} tern_aead_kind;

/* One direction's cipher under one key. NULL when memory is short. */
typedef struct tern_aead tern_aead;
tern_aead *tern_aead_new(tern_aead_kind kind, const uint8_t *key);
void tern_aead_free(tern_aead *c); /* wipes the key */

/* Seals the concatenation of the spans into out (their total + TERN_AEAD_TAG bytes; out may not
 * overlap them unless there is one span that starts at out). 0 or TERN_E_CRYPTO. */
int tern_aead_seal(tern_aead *c, const uint8_t nonce[TERN_AEAD_NONCE], tern_span ad,
                   const tern_span *v, unsigned n, uint8_t *out);
/* Opens n bytes (with the tag at the end) in place; the plaintext is the first n - 16 bytes.
 * TERN_E_CRYPTO when the tag is wrong. */
int tern_aead_open(tern_aead *c, const uint8_t nonce[TERN_AEAD_NONCE], tern_span ad, uint8_t *p,
                   size_t n);

/* X25519 (RFC 7748): a new key pair, one from 32 secret bytes, and the shared secret.
 * TERN_E_CRYPTO, also for the all-zero result that small-order points give. */
typedef struct tern_x25519_pair {
    uint8_t secret[TERN_X25519], public[TERN_X25519];
} tern_x25519_pair;

int tern_x25519_new(tern_x25519_pair *ret);
int tern_x25519_public(const uint8_t secret[TERN_X25519], uint8_t ret_public[TERN_X25519]);
int tern_x25519(const uint8_t secret[TERN_X25519], const uint8_t peer[TERN_X25519],
                uint8_t ret_shared[TERN_X25519]);

/* The system's random generator. Aborts the process if there is none. */
void tern_random(void *out, size_t n);

#endif
