/* libp2p's TLS certificates (libp2p specs, tls): self-signed, made for one
 * node, and bound to its identity key by an extension. No authority stands
 * behind them: what counts is the extension. */
#ifndef TERN_CRYPTO_CERT_H
#define TERN_CRYPTO_CERT_H

#include "crypto/key.h"
#include "crypto/known.h"

enum { TERN_CERT_MAX = 16384 }; /* bytes of a peer's certificate: RSA 8192 twice fits three times */

/* What a libp2p certificate's identity key signs, before the certificate's
 * SubjectPublicKeyInfo. */
#define TERN_CERT_DOMAIN "libp2p-tls-handshake:"

/* A certificate of ours with its private key. */
typedef struct tern_cert tern_cert;

/* Makes one with a fresh P-256 key, valid from 1975 until a hundred years after `wall` (nanoseconds
 * since 1970): a clock that is set back, ours or a peer's, finds it valid. TERN_E_NOMEM,
 * TERN_E_STATE (identity has no private part), TERN_E_CRYPTO. */
int tern_cert_make(const tern_key *identity, uint64_t wall, tern_cert **ret);
void tern_cert_free(tern_cert *cert); /* wipes the key; NULL is nothing */
tern_span tern_cert_der(const tern_cert *cert);
/* Its key's signature, TERN_ECDSA_P256 (crypto/spki.h); the length, TERN_E_TOO_LARGE or
 * TERN_E_CRYPTO. */
ssize_t tern_cert_sign(const tern_cert *cert, tern_span what, uint8_t *out, size_t cap);
/* Judges a peer's certificate: DER, validity at `wall`, its signature over
 * itself, the extension and the identity's signature in it. 0 and the identity
 * key (the caller's), or TERN_E_MALFORMED, TERN_E_TOO_LARGE TERN_E_PROTOCOL no
 * libp2p extension or two of them, outside its validity TERN_E_UNSUPPORTED  key
 * or signature types beyond ours, an unknown critical extension
 *   TERN_E_SIGNATURE    either signature
 *   TERN_E_NOMEM
 * and in *ret_text, never NULL then, a sentence about it. *ret_until (or NULL): the end of its
 * validity, as `wall`. The signatures of a certificate that `known` has (NULL: none) were verified
 * before. */
int tern_cert_verify(tern_span der, uint64_t wall, tern_known *known, tern_key **ret,
                     uint64_t *ret_until, const char **ret_text);

/* The SubjectPublicKeyInfo of any certificate, in it. TERN_E_MALFORMED, TERN_E_TOO_LARGE with
 * *ret_text. */
int tern_cert_spki(tern_span der, tern_span *ret, const char **ret_text);

#endif
