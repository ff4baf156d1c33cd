/* A peer's certificate against any bytes. The first byte chooses what the rest is:
 *
 *     0  the certificate
 *     1  the libp2p extension's value, in an otherwise honest certificate
 *
 * An extension that was not made for the certificate's key never passes. */
#include <stdlib.h>

#include <openssl/x509.h>

#include "base/mem.h"
#include "crypto/cert.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

#define NOW UINT64_C(1800000000)

static int verify(const uint8_t *der, size_t n)
{
    uint8_t *copy = tern_memdup(der, n); /* exactly so long: overruns show */
    tern_key *key = NULL;
    const char *text = NULL;
    if (copy == NULL) {
        abort();
    }
    int e = tern_cert_verify((tern_span){copy, n}, NOW * 1000000000, NULL, &key, NULL, &text);
    if ((e == 0) != (key != NULL) || (e == 0) != (text == NULL)) {
        abort();
    }
    tern_key_unref(key);
    tern_free(copy);
    return e;
}

static void with_extension(const uint8_t *value, size_t n)
{
    static EVP_PKEY *pkey;
    if (pkey == NULL) {
        pkey = EVP_PKEY_Q_keygen(NULL, NULL, "ED25519");
    }
    X509 *x = X509_new();
    ASN1_OBJECT *oid = OBJ_txt2obj("1.3.6.1.4.1.53594.1.1", 1);
    ASN1_OCTET_STRING *octets = ASN1_OCTET_STRING_new();
    ASN1_OCTET_STRING_set(octets, value, (int)n);
    X509_EXTENSION *e = X509_EXTENSION_create_by_OBJ(NULL, oid, 1, octets);
    X509_set_version(x, X509_VERSION_3);
    ASN1_INTEGER_set(X509_get_serialNumber(x), 1);
    ASN1_TIME_set(X509_getm_notBefore(x), (time_t)NOW - 1);
    ASN1_TIME_set(X509_getm_notAfter(x), (time_t)NOW + 1);
    X509_set_pubkey(x, pkey);
    X509_add_ext(x, e, -1);
    X509_sign(x, pkey, NULL);
    uint8_t *der = NULL;
    int len = i2d_X509(x, &der);
    if (len <= 0 || verify(der, (size_t)len) == 0) {
        abort();
    }
    OPENSSL_free(der);
    X509_EXTENSION_free(e);
    ASN1_OCTET_STRING_free(octets);
    ASN1_OBJECT_free(oid);
    X509_free(x);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    if (n == 0 || n > 20000) {
        return 0;
    }
    if (data[0] == 0) {
        verify(data + 1, n - 1);
    } else {
        with_extension(data + 1, n - 1);
    }
    return 0;
}
