/* Signing and verifying with identity keys (the type and its forms are public: tern/key.h).
 * libp2p specs, peer-ids: Ed25519 pure; ECDSA and secp256k1 DER over SHA-256, low s; RSA PKCS#1
 * v1.5 over SHA-256. */
#ifndef TERN_CRYPTO_KEY_H
#define TERN_CRYPTO_KEY_H

#include <tern/key.h>

#include "base/bytes.h"

enum { TERN_SIGNATURE_MAX = 1024, TERN_KEY_PB_MAX = 8192 };

/* Signs the concatenation of the spans. Returns the signature's length, TERN_E_STATE (no private
 * key), TERN_E_TOO_LARGE (cap; TERN_SIGNATURE_MAX is always enough) or TERN_E_CRYPTO. */
ssize_t tern_key_sign(const tern_key *key, const tern_span *v, unsigned n, uint8_t *out,
                      size_t cap);
/* 0, or TERN_E_SIGNATURE. */
int tern_key_verify(const tern_key *key, const tern_span *v, unsigned n, const uint8_t *sig,
                    size_t sig_n);
/* The public key that an identity-hash peer id carries. TERN_E_NOT_FOUND for hashed ids. */
int tern_key_from_peer_id(const tern_peer_id *id, tern_key **ret);
bool tern_key_equal_public(const tern_key *a, const tern_key *b);

#endif
