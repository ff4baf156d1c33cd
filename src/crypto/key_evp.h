/* Inside crypto/: what the kinds that live on OpenSSL's EVP_PKEY share (ECDSA, RSA). */
#ifndef TERN_CRYPTO_KEY_EVP_H
#define TERN_CRYPTO_KEY_EVP_H

#include <openssl/evp.h>

#include "base/bytes.h"

/* Signs or verifies the spans' SHA-256 in the key's default scheme (ECDSA in DER, RSA PKCS#1 v1.5).
 * Signing returns the length, TERN_E_TOO_LARGE or TERN_E_CRYPTO; verifying 0 or TERN_E_SIGNATURE.
 */
ssize_t tern_evp_sign_sha256(EVP_PKEY *pkey, const tern_span *v, unsigned n, uint8_t *out,
                             size_t cap);
int tern_evp_verify_sha256(EVP_PKEY *pkey, const tern_span *v, unsigned n, const uint8_t *sig,
                           size_t sig_n);

/* SubjectPublicKeyInfo, and the type's own private form (PKCS#1, SEC1). The length,
 * TERN_E_TOO_LARGE or TERN_E_CRYPTO. */
ssize_t tern_evp_write_public(const EVP_PKEY *pkey, uint8_t *out, size_t cap);
ssize_t tern_evp_write_private(const EVP_PKEY *pkey, uint8_t *out, size_t cap);

/* A public key from OpenSSL's parameters; NULL if they make none. */
EVP_PKEY *tern_evp_from_params(const char *type, OSSL_PARAM *params);

/* An elliptic curve's SubjectPublicKeyInfo (P-256, P-384, P-521, named, with an uncompressed
 * point). NULL when it is another, or the point not on the curve. Ten times as fast as d2i_PUBKEY.
 */
EVP_PKEY *tern_evp_ec_public(tern_span spki);

void tern_evp_free(void *pkey); /* a kind's free_secret */

#endif
