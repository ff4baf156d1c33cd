/* Hashes, and what is built of them: HMAC (RFC 2104) and HKDF (RFC 5869), on OpenSSL. Algorithms
 * are fetched once a process. */
#ifndef TERN_CRYPTO_HASH_H
#define TERN_CRYPTO_HASH_H

#include "base/bytes.h"

enum { TERN_SHA256 = 32, TERN_SHA384 = 48, TERN_HASH_MAX = TERN_SHA384 };

typedef enum tern_hash_kind { TERN_HASH_SHA256, TERN_HASH_SHA384 } tern_hash_kind;

static inline size_t tern_hash_size(tern_hash_kind kind)
{
    return kind == TERN_HASH_SHA384 ? TERN_SHA384 : TERN_SHA256;
}

/* A hash of what comes bit by bit, whose value so far may be asked for on the way. NULL when memory
 * is short. */
typedef struct tern_hash tern_hash;
tern_hash *tern_hash_new(tern_hash_kind kind);
void tern_hash_free(tern_hash *h); /* NULL is nothing */
/* TERN_E_CRYPTO only when OpenSSL fails, which is when memory is short. */
int tern_hash_add(tern_hash *h, tern_span v);
int tern_hash_now(const tern_hash *h, uint8_t out[TERN_HASH_MAX]);

/* Of the spans; HMAC takes at most three, one of which may lie at `out`. TERN_E_CRYPTO as above. */
int tern_hash_of(tern_hash_kind kind, const tern_span *v, unsigned n, uint8_t *out);
int tern_hmac(tern_hash_kind kind, tern_span key, const tern_span *v, unsigned n, uint8_t *out);
int tern_sha256(const tern_span *v, unsigned n, uint8_t out[TERN_SHA256]);
int tern_sha1(const void *p, size_t n, uint8_t out[20]); /* the WebSocket accept key */
int tern_hmac_sha256(const uint8_t *key, size_t key_n, const tern_span *v, unsigned n,
                     uint8_t out[TERN_SHA256]);

/* Noise's HKDF with two outputs, on SHA-256. */
int tern_hkdf2(const uint8_t chaining[32], const uint8_t *ikm, size_t ikm_n, uint8_t out1[32],
               uint8_t out2[32]);
/* TLS' HKDF-Expand-Label (RFC 8446, section 7.1) of a secret as long as the hash: n bytes, at most
 * the hash's length; a label of at most 12 characters, a context of at most TERN_HASH_MAX bytes. */
int tern_hkdf_label(tern_hash_kind kind, const uint8_t *secret, const char *label,
                    tern_span context, uint8_t *out, size_t n);
/* RFC 5869 on SHA-256 (derived certificates). TERN_E_INVALID: n is more than 255 blocks. */
int tern_hkdf(tern_span secret, tern_span salt, tern_span info, uint8_t *out, size_t n);

#endif
