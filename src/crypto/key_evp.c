/* What Ed25519, ECDSA and RSA keys share: see crypto/key_evp.h. */
#include "crypto/key_evp.h"

#include <openssl/x509.h>

ssize_t tern_evp_sign_sha256(EVP_PKEY *pkey, const tern_span *v, unsigned n, uint8_t *out,
                             size_t cap)
{
    EVP_MD_CTX *ctx = EVP_MD_CTX_new();
    size_t need = 0;
    ssize_t result = TERN_E_CRYPTO;
    bool ok =
        ctx != NULL && EVP_DigestSignInit_ex(ctx, NULL, "SHA256", NULL, NULL, pkey, NULL) == 1;
    for (unsigned i = 0; ok && i < n; i++) {
        ok = EVP_DigestSignUpdate(ctx, v[i].data, v[i].len) == 1;
    }
    if (ok && EVP_DigestSignFinal(ctx, NULL, &need) == 1) {
        if (need > cap) {
            result = TERN_E_TOO_LARGE;
        } else if (EVP_DigestSignFinal(ctx, out, &need) == 1) {
            result = (ssize_t)need;
        }
    }
    EVP_MD_CTX_free(ctx);
    return result;
}

int tern_evp_verify_sha256(EVP_PKEY *pkey, const tern_span *v, unsigned n, const uint8_t *sig,
                           size_t sig_n)
{
    EVP_MD_CTX *ctx = EVP_MD_CTX_new();
    bool ok =
        ctx != NULL && EVP_DigestVerifyInit_ex(ctx, NULL, "SHA256", NULL, NULL, pkey, NULL) == 1;
    for (unsigned i = 0; ok && i < n; i++) {
        ok = EVP_DigestVerifyUpdate(ctx, v[i].data, v[i].len) == 1;
    }
    ok = ok && EVP_DigestVerifyFinal(ctx, sig, sig_n) == 1;
    EVP_MD_CTX_free(ctx);
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
