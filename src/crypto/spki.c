/* A certificate's key and its signatures: see spki.h. The DER is compared with constants where only
 * constants are allowed; OpenSSL gets the key alone. */
#include "crypto/spki.h"

#include <openssl/err.h>
#include <openssl/rsa.h>
#include <openssl/x509.h>

#include "crypto/der.h"
#include "crypto/key_evp.h"

enum { RSA_BITS_MIN = 2048, RSA_BITS_MAX = 8192 };

/* SubjectPublicKeyInfo up to the key of each kind (RFC 5480, RFC 8410): all
 * constant but RSA's. */
static const struct spki {
    tern_spki_kind kind;
    size_t n, prefix_n;
    uint8_t prefix[27];
} spkis[] = {
    {TERN_SPKI_P256, 91, 27, {0x30, 0x59, 0x30, 0x13, 0x06, 0x07, 0x2a, 0x86, 0x48,
                              0xce, 0x3d, 0x02, 0x01, 0x06, 0x08, 0x2a, 0x86, 0x48,
                              0xce, 0x3d, 0x03, 0x01, 0x07, 0x03, 0x42, 0x00, 0x04}},
    {TERN_SPKI_P384, 120, 24, {0x30, 0x76, 0x30, 0x10, 0x06, 0x07, 0x2a, 0x86,
                               0x48, 0xce, 0x3d, 0x02, 0x01, 0x06, 0x05, 0x2b,
                               0x81, 0x04, 0x00, 0x22, 0x03, 0x62, 0x00, 0x04}},
    {TERN_SPKI_ED25519,
     44,
     12,
     {0x30, 0x2a, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70, 0x03, 0x21, 0x00}},
};

/* Whether it is an RSA key whose size costs neither security nor much time. */
static bool rsa_fits(tern_span spki)
{
    static const uint8_t rsa[] = {0x30, 0x0d, 0x06, 0x09, 0x2a, 0x86, 0x48, 0x86,
                                  0xf7, 0x0d, 0x01, 0x01, 0x01, 0x05, 0x00};
    tern_span body, algorithm, bits, key, n, e;
    return tern_der_take(&spki, TERN_DER_SEQUENCE, &body) &&
           tern_der_take_whole(&body, TERN_DER_SEQUENCE, &algorithm) &&
           algorithm.len == sizeof rsa && memcmp(algorithm.data, rsa, sizeof rsa) == 0 &&
           tern_der_take_bits(&body, &bits) && body.len == 0 &&
           tern_der_take(&bits, TERN_DER_SEQUENCE, &key) && bits.len == 0 &&
           tern_der_take_uint(&key, &n) && tern_der_take_uint(&key, &e) && key.len == 0 &&
           tern_der_bits(n) >= RSA_BITS_MIN && tern_der_bits(n) <= RSA_BITS_MAX &&
           tern_der_bits(e) <= 64;
}

tern_spki_kind tern_spki_kind_of(tern_span spki)
{
    for (size_t i = 0; i < sizeof spkis / sizeof spkis[0]; i++) {
        if (spki.len == spkis[i].n && memcmp(spki.data, spkis[i].prefix, spkis[i].prefix_n) == 0) {
            return spkis[i].kind;
        }
    }
    return rsa_fits(spki) ? TERN_SPKI_RSA : TERN_SPKI_NONE;
}

/* The signatures that each kind of key makes; of a curve or Ed25519 one. */
static const struct scheme {
    uint16_t code;
    tern_spki_kind kind;
    bool pss;
    const char *hash; /* NULL: the key's own */
} schemes[] = {
    {TERN_ECDSA_P256, TERN_SPKI_P256, false, "SHA256"},
    {TERN_ECDSA_P384, TERN_SPKI_P384, false, "SHA384"},
    {TERN_ED25519, TERN_SPKI_ED25519, false, NULL},
    {TERN_RSA_SHA256, TERN_SPKI_RSA, false, "SHA256"},
    {TERN_RSA_SHA384, TERN_SPKI_RSA, false, "SHA384"},
    {TERN_RSA_SHA512, TERN_SPKI_RSA, false, "SHA512"},
    {TERN_RSA_PSS_SHA256, TERN_SPKI_RSA, true, "SHA256"},
    {TERN_RSA_PSS_SHA384, TERN_SPKI_RSA, true, "SHA384"},
    {TERN_RSA_PSS_SHA512, TERN_SPKI_RSA, true, "SHA512"},
};

static const struct scheme *scheme_of(tern_spki_kind kind, uint16_t code)
{
    for (size_t i = 0; i < sizeof schemes / sizeof schemes[0]; i++) {
        if (schemes[i].code == code) {
            return schemes[i].kind == kind ? &schemes[i] : NULL;
        }
    }
    return NULL;
}

static bool signed_by(EVP_PKEY *pkey, const struct scheme *a, tern_span what, tern_span signature)
{
    EVP_MD_CTX *ctx = EVP_MD_CTX_new();
    EVP_PKEY_CTX *key_ctx = NULL;
    bool ok =
        ctx != NULL && EVP_DigestVerifyInit_ex(ctx, &key_ctx, a->hash, NULL, NULL, pkey, NULL) == 1;
    if (ok && a->pss) {
        ok = EVP_PKEY_CTX_set_rsa_padding(key_ctx, RSA_PKCS1_PSS_PADDING) == 1 &&
             EVP_PKEY_CTX_set_rsa_pss_saltlen(key_ctx, RSA_PSS_SALTLEN_DIGEST) == 1;
    }
    ok = ok && EVP_DigestVerify(ctx, signature.data, signature.len, what.data, what.len) == 1;
    EVP_MD_CTX_free(ctx);
    return ok;
}

int tern_spki_verify(tern_span spki, uint16_t scheme, tern_span what, tern_span signature)
{
    tern_spki_kind kind = tern_spki_kind_of(spki);
    const struct scheme *a = scheme_of(kind, scheme);
    if (kind == TERN_SPKI_NONE || a == NULL) {
        return TERN_E_UNSUPPORTED;
    }
    ERR_set_mark();
    const uint8_t *p = spki.data;
    EVP_PKEY *pkey = kind == TERN_SPKI_P256 || kind == TERN_SPKI_P384
                         ? tern_evp_ec_public(spki)
                         : d2i_PUBKEY(NULL, &p, (long)spki.len);
    bool ok = pkey != NULL &&
              (kind == TERN_SPKI_P256
                   ? tern_evp_verify_sha256(pkey, &what, 1, signature.data, signature.len) == 0
                   : signed_by(pkey, a, what, signature));
    EVP_PKEY_free(pkey);
    ERR_pop_to_mark();
    return ok ? 0 : TERN_E_SIGNATURE;
}
