/* Inside crypto/: a certificate of ours as OpenSSL's objects. */
#ifndef TERN_CRYPTO_CERT_PAIR_H
#define TERN_CRYPTO_CERT_PAIR_H

#include <openssl/x509.h>

#include "crypto/cert.h"

struct tern_cert {
    X509 *x509;
    EVP_PKEY *pkey;
    uint8_t *der; /* OpenSSL's memory */
    size_t der_n;
};

/* The extension's object identifier, 1.3.6.1.4.1.53594.1.1, with its DER head.
 */
enum { TERN_CERT_OID_N = 12 };
extern const uint8_t tern_cert_oid[TERN_CERT_OID_N];

#endif
