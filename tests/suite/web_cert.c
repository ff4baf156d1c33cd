/* Certificates of the web for tests: see web_cert.h. */
#include "suite/web_cert.h"

#include <stdlib.h>

#include <openssl/pem.h>
#include <openssl/x509v3.h>

#include "base/test.h"
#include "transport/web_tls.h"

static char *text_of(BIO *bio)
{
    char *data;
    long n = BIO_get_mem_data(bio, &data);
    char *text = calloc(1, (size_t)n + 1);
    assert_non_null(text);
    memcpy(text, data, (size_t)n);
    BIO_free(bio);
    return text;
}

static void extend(X509 *x, int nid, const char *value)
{
    X509_EXTENSION *e = X509V3_EXT_conf_nid(NULL, NULL, nid, value);
    assert_non_null(e);
    assert_int_equal(X509_add_ext(x, e, -1), 1);
    X509_EXTENSION_free(e);
}

void web_cert_make(web_cert *ret, const char *names, long from, long to)
{
    EVP_PKEY *pkey = EVP_PKEY_Q_keygen(NULL, NULL, "EC", "P-256");
    X509 *x = X509_new();
    assert_non_null(pkey);
    assert_non_null(x);
    X509_set_version(x, X509_VERSION_3);
    ASN1_INTEGER_set(X509_get_serialNumber(x), 1);
    X509_gmtime_adj(X509_getm_notBefore(x), from == 0 && to == 0 ? -3600 : from);
    X509_gmtime_adj(X509_getm_notAfter(x), from == 0 && to == 0 ? 86400 : to);
    X509_set_pubkey(x, pkey);
    X509_NAME *name = X509_get_subject_name(x);
    X509_NAME_add_entry_by_txt(name, "CN", MBSTRING_ASC, (const uint8_t *)"test", -1, -1, 0);
    X509_set_issuer_name(x, name);
    extend(x, NID_basic_constraints, "critical,CA:TRUE");
    extend(x, NID_subject_alt_name, names);
    assert_true(X509_sign(x, pkey, EVP_sha256()) > 0);
    BIO *bio = BIO_new(BIO_s_mem());
    assert_int_equal(PEM_write_bio_X509(bio, x), 1);
    ret->chain = text_of(bio);
    bio = BIO_new(BIO_s_mem());
    assert_int_equal(PEM_write_bio_PrivateKey(bio, pkey, NULL, NULL, 0, NULL, NULL), 1);
    ret->key = text_of(bio);
    X509_free(x);
    EVP_PKEY_free(pkey);
}

void web_cert_clear(web_cert *c)
{
    free(c->chain);
    free(c->key);
}

void web_cert_use(tern_net *net, bool listens)
{
    static web_cert cert; /* stays, for the process */
    if (cert.chain == NULL) {
        web_cert_make(&cert, "DNS:localhost,IP:10.0.0.2", 0, 0);
    }
    tern_span chain = {(const uint8_t *)cert.chain, strlen(cert.chain)};
    tern_span key = {(const uint8_t *)cert.key, strlen(cert.key)};
    assert_int_equal(listens ? tern_web_set_certificate(net, chain, key)
                             : tern_web_set_authorities(net, chain),
                     0);
}
