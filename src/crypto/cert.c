/* Making libp2p certificates (libp2p specs, tls, "Peer Authentication").
 * cert_verify.c judges those of peers.
 *
 *     extension value: SEQUENCE { OCTET STRING PublicKey protobuf, OCTET STRING
 * signature } signature over:  "libp2p-tls-handshake:" ‖ SubjectPublicKeyInfo
 * of the certificate's key
 *
 * The extension is the only one (js reads the first and no other) and marked
 * critical, which every stack accepts. */
#include "crypto/cert.h"

#include <time.h>

#include <openssl/asn1.h>
#include <openssl/err.h>

#include "base/mem.h"
#include "crypto/cert_pair.h"
#include "crypto/der.h"
#include "crypto/key_evp.h"
#include "crypto/symmetric.h"

enum {
    SPKI_MAX = 128,
    VALUE_MAX = 3 * TERN_DER_HEAD_MAX + TERN_KEY_PB_MAX + TERN_SIGNATURE_MAX,
};

#define SECONDS(wall) ((time_t)((wall) / UINT64_C(1000000000)))
#define FROM          ((time_t)157766400) /* 1975, as rust: for every clock, and set back */
#define LIFE          ((time_t)100 * 365 * 24 * 3600) /* as go and js */
#define OID_TEXT      "1.3.6.1.4.1.53594.1.1"

const uint8_t tern_cert_oid[TERN_CERT_OID_N] = {0x06, 0x0a, 0x2b, 0x06, 0x01, 0x04,
                                                0x01, 0x83, 0xa2, 0x5a, 0x01, 0x01};

/* The extension's value into out (VALUE_MAX); its length or an error. */
static ssize_t put_value(const tern_key *identity, EVP_PKEY *pkey, uint8_t *out)
{
    uint8_t spki[SPKI_MAX], sig[TERN_SIGNATURE_MAX], inner[2 * TERN_DER_HEAD_MAX];
    ssize_t spki_n = tern_evp_write_public(pkey, spki, sizeof spki);
    if (spki_n < 0) {
        return spki_n;
    }
    const tern_span v[] = {{(const uint8_t *)TERN_CERT_DOMAIN, strlen(TERN_CERT_DOMAIN)},
                           {spki, (size_t)spki_n}};
    ssize_t sig_n = tern_key_sign(identity, v, 2, sig, sizeof sig);
    if (sig_n < 0) {
        return sig_n;
    }
    size_t pb_n;
    const uint8_t *pb = tern_key_public(identity, &pb_n);
    size_t a = tern_der_put_head(inner, TERN_DER_OCTET_STRING, pb_n);
    size_t b = tern_der_put_head(inner + a, TERN_DER_OCTET_STRING, (size_t)sig_n);
    const tern_span parts[] = {{inner, a}, {pb, pb_n}, {inner + a, b}, {sig, (size_t)sig_n}};
    size_t n = tern_der_put_head(out, TERN_DER_SEQUENCE, tern_span_total(parts, 4));
    for (unsigned i = 0; i < 4; i++) {
        memcpy(out + n, parts[i].data, parts[i].len);
        n += parts[i].len;
    }
    return (ssize_t)n;
}

static bool add_extension(X509 *x, const uint8_t *value, size_t n)
{
    ASN1_OBJECT *oid = OBJ_txt2obj(OID_TEXT, 1);
    ASN1_OCTET_STRING *octets = ASN1_OCTET_STRING_new();
    X509_EXTENSION *extension = NULL;
    bool ok = oid != NULL && octets != NULL && ASN1_OCTET_STRING_set(octets, value, (int)n) == 1;
    if (ok) {
        extension = X509_EXTENSION_create_by_OBJ(NULL, oid, 1, octets);
        ok = extension != NULL && X509_add_ext(x, extension, -1) == 1;
    }
    X509_EXTENSION_free(extension);
    ASN1_OCTET_STRING_free(octets);
    ASN1_OBJECT_free(oid);
    return ok;
}

static bool set_times(X509 *x, time_t now)
{
    ASN1_TIME *from = ASN1_TIME_set(NULL, FROM), *to = ASN1_TIME_set(NULL, now + LIFE);
    bool ok = from != NULL && to != NULL && X509_set1_notBefore(x, from) == 1 &&
              X509_set1_notAfter(x, to) == 1;
    ASN1_TIME_free(from);
    ASN1_TIME_free(to);
    return ok;
}

/* A random serial of 62 bits: positive in DER, and never zero. */
static bool set_serial(X509 *x)
{
    uint64_t serial;
    tern_random(&serial, sizeof serial);
    return ASN1_INTEGER_set_uint64(X509_get_serialNumber(x), (serial >> 2) + 1) == 1;
}

static bool set_names(X509 *x)
{
    X509_NAME *name = X509_get_subject_name(x);
    return X509_NAME_add_entry_by_txt(name, "O", MBSTRING_ASC, (const uint8_t *)"libp2p.io", -1, -1,
                                      0) == 1 &&
           X509_set_issuer_name(x, name) == 1;
}

static bool fill(tern_cert *c, const uint8_t *value, size_t n, uint64_t wall)
{
    c->x509 = X509_new();
    if (c->x509 == NULL || X509_set_version(c->x509, X509_VERSION_3) != 1 || !set_serial(c->x509) ||
        !set_names(c->x509) || !set_times(c->x509, SECONDS(wall)) ||
        X509_set_pubkey(c->x509, c->pkey) != 1 || !add_extension(c->x509, value, n) ||
        X509_sign(c->x509, c->pkey, EVP_sha256()) <= 0) {
        return false;
    }
    int len = i2d_X509(c->x509, &c->der);
    c->der_n = len > 0 ? (size_t)len : 0;
    return len > 0;
}

int tern_cert_make(const tern_key *identity, uint64_t wall, tern_cert **ret)
{
    if (!tern_key_has_private(identity)) {
        return TERN_E_STATE;
    }
    tern_cert *c = tern_calloc(1, sizeof *c);
    uint8_t *value = tern_malloc(VALUE_MAX);
    int e = TERN_E_NOMEM;
    if (c != NULL && value != NULL) {
        ERR_set_mark();
        c->pkey = EVP_PKEY_Q_keygen(NULL, NULL, "EC", "P-256");
        ssize_t n = c->pkey != NULL ? put_value(identity, c->pkey, value) : TERN_E_CRYPTO;
        e = n < 0 ? (int)n : fill(c, value, (size_t)n, wall) ? 0 : TERN_E_CRYPTO;
        ERR_pop_to_mark();
    }
    tern_free(value);
    if (e == 0) {
        *ret = c;
    } else {
        tern_cert_free(c);
    }
    return e;
}

void tern_cert_free(tern_cert *c)
{
    if (c != NULL) {
        X509_free(c->x509);
        EVP_PKEY_free(c->pkey);
        OPENSSL_free(c->der);
        tern_free(c);
    }
}

tern_span tern_cert_der(const tern_cert *c)
{
    return (tern_span){c->der, c->der_n};
}

ssize_t tern_cert_sign(const tern_cert *c, tern_span what, uint8_t *out, size_t cap)
{
    return tern_evp_sign_sha256(c->pkey, &what, 1, out, cap);
}
