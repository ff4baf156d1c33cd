/* What Ed25519, ECDSA and RSA keys share: see crypto/key_evp.h. */
#include "crypto/key_evp.h"

#include <openssl/x509.h>

#include "crypto/hash.h"

/* A context that signs or verifies hashes. EVP_DigestSign and its like look the hash up by name
 * each time, which takes a fifth of what signing does. */
static EVP_PKEY_CTX *start(EVP_PKEY *pkey, int (*init)(EVP_PKEY_CTX *ctx))
{
    EVP_PKEY_CTX *ctx = EVP_PKEY_CTX_new_from_pkey(NULL, pkey, NULL);
    if (ctx == NULL || init(ctx) != 1 ||
        (EVP_PKEY_is_a(pkey, "RSA") && EVP_PKEY_CTX_set_signature_md(ctx, EVP_sha256()) != 1)) {
        EVP_PKEY_CTX_free(ctx);
        return NULL;
    }
    return ctx;
}

ssize_t tern_evp_sign_sha256(EVP_PKEY *pkey, const tern_span *v, unsigned n, uint8_t *out,
                             size_t cap)
{
    uint8_t hash[TERN_SHA256];
    EVP_PKEY_CTX *ctx = tern_sha256(v, n, hash) == 0 ? start(pkey, EVP_PKEY_sign_init) : NULL;
    size_t need = 0;
    ssize_t result = TERN_E_CRYPTO;
    if (ctx != NULL && EVP_PKEY_sign(ctx, NULL, &need, hash, sizeof hash) == 1) {
        if (need > cap) {
            result = TERN_E_TOO_LARGE;
        } else if (EVP_PKEY_sign(ctx, out, &need, hash, sizeof hash) == 1 && need <= cap) {
            result = (ssize_t)need; /* ECDSA without memory says success and a length of -1 */
        }
    }
    EVP_PKEY_CTX_free(ctx);
    return result;
}

int tern_evp_verify_sha256(EVP_PKEY *pkey, const tern_span *v, unsigned n, const uint8_t *sig,
                           size_t sig_n)
{
    uint8_t hash[TERN_SHA256];
    EVP_PKEY_CTX *ctx = tern_sha256(v, n, hash) == 0 ? start(pkey, EVP_PKEY_verify_init) : NULL;
    bool ok = ctx != NULL && EVP_PKEY_verify(ctx, sig, sig_n, hash, sizeof hash) == 1;
    EVP_PKEY_CTX_free(ctx);
    return ok ? 0 : TERN_E_SIGNATURE;
}

static ssize_t write_der(int (*i2d)(const EVP_PKEY *, unsigned char **), const EVP_PKEY *pkey,
                         uint8_t *out, size_t cap)
{
    int n = i2d(pkey, NULL);
    if (n <= 0) {
        return TERN_E_CRYPTO;
    }
    if ((size_t)n > cap) {
        return TERN_E_TOO_LARGE;
    }
    return i2d(pkey, &out) == n ? n : TERN_E_CRYPTO;
}

ssize_t tern_evp_write_public(const EVP_PKEY *pkey, uint8_t *out, size_t cap)
{
    return write_der(i2d_PUBKEY, pkey, out, cap);
}

ssize_t tern_evp_write_private(const EVP_PKEY *pkey, uint8_t *out, size_t cap)
{
    return write_der(i2d_PrivateKey, pkey, out, cap);
}

EVP_PKEY *tern_evp_from_params(const char *type, OSSL_PARAM *params)
{
    EVP_PKEY *pkey = NULL;
    EVP_PKEY_CTX *ctx = EVP_PKEY_CTX_new_from_name(NULL, type, NULL);
    if (ctx != NULL && EVP_PKEY_fromdata_init(ctx) == 1 &&
        EVP_PKEY_fromdata(ctx, &pkey, EVP_PKEY_PUBLIC_KEY, params) != 1) {
        pkey = NULL;
    }
    EVP_PKEY_CTX_free(ctx);
    return pkey;
}

void tern_evp_free(void *pkey)
{
    EVP_PKEY_free(pkey);
}
