/* Certificates that a libp2p node would not make, for tests: any key, any time, any extensions.
 * Header only. */
#ifndef TERN_CRYPTO_CERT_FORGE_TEST_H
#define TERN_CRYPTO_CERT_FORGE_TEST_H

#include <time.h>

#include <openssl/rsa.h>
#include <openssl/x509v3.h>

#include "base/test.h"
#include "crypto/cert_pair.h"
#include "crypto/key_evp.h"

#define FORGE_NOW  ((int64_t)1800000000) /* when the tests play: 2027 */
#define FORGE_WALL ((uint64_t)FORGE_NOW * UINT64_C(1000000000))

/* Zeroed: a good certificate. */
typedef struct forge {
    const char *key;    /* "P-256" (NULL), another curve, "ED25519", "RSA" */
    unsigned rsa_bits;  /* 0 = 2048 */
    const char *digest; /* NULL = SHA256 */
    bool pss;
    int64_t from, to;    /* seconds; 0 = around FORGE_NOW */
    unsigned extensions; /* libp2p's, besides the first */
    bool no_extension;   /* ... and not even that */
    bool not_critical;   /* libp2p's */
    const char *other;   /* an extension of OpenSSL's before it, e.g. "basicConstraints" */
    const char *other_value;
    bool wrong_self;                        /* signed by another key */
    bool wrong_identity;                    /* the extension's signature is over something else */
    bool wrong_domain;                      /* ... over the key alone */
    bool other_identity;                    /* ... by another identity key */
    bool trailing_inside, trailing_outside; /* bytes in and behind the extension's SEQUENCE */
} forge;

static inline EVP_PKEY *forge_key(const forge *f)
{
    const char *name = f->key != NULL ? f->key : "P-256";
    EVP_PKEY *pkey = NULL;
    if (strcmp(name, "RSA") == 0) {
        size_t bits = f->rsa_bits != 0 ? f->rsa_bits : 2048;
        pkey = EVP_PKEY_Q_keygen(NULL, NULL, "RSA", bits);
    } else if (strcmp(name, "ED25519") == 0) {
        pkey = EVP_PKEY_Q_keygen(NULL, NULL, "ED25519");
    } else {
        pkey = EVP_PKEY_Q_keygen(NULL, NULL, "EC", name);
    }
    assert_non_null(pkey);
    return pkey;
}

static inline size_t forge_octets(const uint8_t *p, size_t n, uint8_t *out)
{
    ASN1_OCTET_STRING *s = ASN1_OCTET_STRING_new();
    assert_int_equal(ASN1_OCTET_STRING_set(s, p, (int)n), 1);
    int len = i2d_ASN1_OCTET_STRING(s, &out);
    assert_true(len > 0);
    ASN1_OCTET_STRING_free(s);
    return (size_t)len;
}

/* The value of libp2p's extension; out has 16 KiB. */
static inline size_t forge_value(const tern_key *identity, EVP_PKEY *pkey, const forge *f,
                                 uint8_t *out)
{
    uint8_t spki[2048], sig[TERN_SIGNATURE_MAX], body[8192];
    tern_key *other = NULL;
    ssize_t spki_n = tern_evp_write_public(pkey, spki, sizeof spki);
    assert_true(spki_n > 0);
    if (f->wrong_identity) {
        spki[spki_n - 1] ^= 1;
    }
    tern_span v[] = {{(const uint8_t *)TERN_CERT_DOMAIN, strlen(TERN_CERT_DOMAIN)},
                     {spki, (size_t)spki_n}};
    if (f->other_identity) {
        assert_int_equal(tern_key_generate(TERN_KEY_ED25519, &other), 0);
    }
    ssize_t sig_n = tern_key_sign(other != NULL ? other : identity, v + f->wrong_domain,
                                  f->wrong_domain ? 1 : 2, sig, sizeof sig);
    assert_true(sig_n > 0);
    tern_key_unref(other);
    size_t pb_n, n;
    const uint8_t *pb = tern_key_public(identity, &pb_n);
    n = forge_octets(pb, pb_n, body);
    n += forge_octets(sig, (size_t)sig_n, body + n);
    if (f->trailing_inside) {
        body[n++] = 0x05;
        body[n++] = 0x00;
    }
    uint8_t *end = out;
    ASN1_put_object(&end, 1, (int)n, V_ASN1_SEQUENCE, V_ASN1_UNIVERSAL);
    memcpy(end, body, n);
    n += (size_t)(end - out);
    if (f->trailing_outside) {
        out[n++] = 0x05;
        out[n++] = 0x00;
    }
    return n;
}

static inline void forge_extend(X509 *x, const uint8_t *value, size_t n, bool critical)
{
    ASN1_OBJECT *oid = OBJ_txt2obj("1.3.6.1.4.1.53594.1.1", 1);
    ASN1_OCTET_STRING *octets = ASN1_OCTET_STRING_new();
    assert_int_equal(ASN1_OCTET_STRING_set(octets, value, (int)n), 1);
    X509_EXTENSION *e = X509_EXTENSION_create_by_OBJ(NULL, oid, critical, octets);
    assert_int_equal(X509_add_ext(x, e, -1), 1);
    X509_EXTENSION_free(e);
    ASN1_OCTET_STRING_free(octets);
    ASN1_OBJECT_free(oid);
}

static inline void forge_extensions(X509 *x, const tern_key *identity, EVP_PKEY *pkey,
                                    const forge *f)
{
    uint8_t value[16384];
    if (f->other != NULL) {
        X509_EXTENSION *e = X509V3_EXT_conf(NULL, NULL, f->other, f->other_value);
        assert_non_null(e);
        assert_int_equal(X509_add_ext(x, e, -1), 1);
        X509_EXTENSION_free(e);
    }
    if (!f->no_extension) {
        size_t n = forge_value(identity, pkey, f, value);
        for (unsigned i = 0; i <= f->extensions; i++) {
            forge_extend(x, value, n, !f->not_critical);
        }
    }
}

static inline void forge_sign(X509 *x, EVP_PKEY *pkey, const forge *f)
{
    EVP_MD_CTX *ctx = EVP_MD_CTX_new();
    EVP_PKEY_CTX *key_ctx;
    const char *digest = f->digest != NULL ? f->digest : "SHA256";
    bool own = EVP_PKEY_is_a(pkey, "ED25519");
    assert_int_equal(
        EVP_DigestSignInit_ex(ctx, &key_ctx, own ? NULL : digest, NULL, NULL, pkey, NULL), 1);
    if (f->pss) {
        assert_int_equal(EVP_PKEY_CTX_set_rsa_padding(key_ctx, RSA_PKCS1_PSS_PADDING), 1);
        assert_int_equal(EVP_PKEY_CTX_set_rsa_pss_saltlen(key_ctx, RSA_PSS_SALTLEN_DIGEST), 1);
    }
    assert_true(X509_sign_ctx(x, ctx) > 0);
    EVP_MD_CTX_free(ctx);
}

static inline tern_cert *forge_cert(const tern_key *identity, const forge *f)
{
    tern_cert *c = tern_calloc(1, sizeof *c);
    assert_non_null(c);
    c->x509 = X509_new();
    c->pkey = forge_key(f);
    X509 *x = c->x509;
    assert_int_equal(X509_set_version(x, X509_VERSION_3), 1);
    ASN1_INTEGER_set(X509_get_serialNumber(x), 7);
    X509_NAME *name = X509_get_subject_name(x);
    X509_NAME_add_entry_by_txt(name, "CN", MBSTRING_ASC, (const uint8_t *)"localhost", -1, -1, 0);
    X509_set_issuer_name(x, name);
    ASN1_TIME_set(X509_getm_notBefore(x), (time_t)(f->from != 0 ? f->from : FORGE_NOW - 3600));
    ASN1_TIME_set(X509_getm_notAfter(x), (time_t)(f->to != 0 ? f->to : FORGE_NOW + 3600));
    X509_set_pubkey(x, c->pkey);
    forge_extensions(x, identity, c->pkey, f);
    EVP_PKEY *signer = f->wrong_self ? forge_key(f) : c->pkey;
    forge_sign(x, signer, f);
    if (f->wrong_self) {
        EVP_PKEY_free(signer);
    }
    int n = i2d_X509(x, &c->der);
    assert_true(n > 0);
    c->der_n = (size_t)n;
    return c;
}

#endif
