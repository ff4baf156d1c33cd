/* Identity keys (libp2p specs, peer-ids): Ed25519, secp256k1, ECDSA P-256, RSA of 2048 to 8192
 * bits.
 *
 * A tern_key is a public key or a key pair, immutable and counted by reference (one thread at a
 * time). */
#ifndef TERN_KEY_H
#define TERN_KEY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include <tern/error.h>
#include <tern/peer_id.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef struct tern_key tern_key;

typedef enum tern_key_type {
    TERN_KEY_RSA = 0,
    TERN_KEY_ED25519 = 1,
    TERN_KEY_SECP256K1 = 2,
    TERN_KEY_ECDSA = 3
} tern_key_type;

/* A fresh key pair. RSA makes 2048 bits and takes its time. TERN_E_NOMEM, TERN_E_CRYPTO. */
TERN_API int tern_key_generate(tern_key_type type, tern_key **ret);

/* From libp2p's protobuf PrivateKey. TERN_E_MALFORMED, TERN_E_UNSUPPORTED, TERN_E_TOO_LARGE, NOMEM.
 */
TERN_API int tern_key_from_private(const uint8_t *bytes, size_t n, tern_key **ret);
/* From libp2p's protobuf PublicKey. */
TERN_API int tern_key_from_public(const uint8_t *bytes, size_t n, tern_key **ret);
/* From a PEM private key (PKCS#8, SEC1, PKCS#1; unencrypted). */
TERN_API int tern_key_from_pem(const char *text, size_t n, tern_key **ret);

TERN_API tern_key *tern_key_ref(const tern_key *key); /* NULL gives NULL */
TERN_API void
tern_key_unref(tern_key *key); /* NULL is nothing; wipes a private key with the last reference */

TERN_API tern_key_type tern_key_type_of(const tern_key *key);
TERN_API const char *tern_key_type_name(tern_key_type type); /* "ed25519" ... */
/* The type for a name; TERN_E_UNSUPPORTED for others. */
TERN_API int tern_key_type_parse(const char *name, tern_key_type *ret);
TERN_API bool tern_key_has_private(const tern_key *key);

/* The peer id of the public key. */
TERN_API void tern_key_peer_id(const tern_key *key, tern_peer_id *ret);

/* libp2p's protobuf PublicKey (deterministic; what the peer id hashes); valid as long as the key.
 */
TERN_API const uint8_t *tern_key_public(const tern_key *key, size_t *ret_n);
/* libp2p's protobuf PrivateKey into out; returns its length, or TERN_E_TOO_LARGE (cap; 8 KiB is
 * enough for any), TERN_E_STATE (no private key). The caller wipes it. */
TERN_API ssize_t tern_key_private(const tern_key *key, uint8_t *out, size_t cap);

#ifdef __cplusplus
}
#endif
#endif
