/* Certificates that are named by their hash: see cert_short.h. */
#include "crypto/cert_short.h"

#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/x509.h>

#include "base/error.h"

enum { DAYS_MAX = 14 };

static bool is_p256(const X509 *x509)
{
    char group[32];
    size_t n;
    EVP_PKEY *key = X509_get0_pubkey(x509);
    return key != NULL && EVP_PKEY_is_a(key, "EC") == 1 &&
           EVP_PKEY_get_group_name(key, group, sizeof group, &n) == 1 &&
           strcmp(group, "prime256v1") == 0;
}

static int judge(const X509 *x509, uint64_t wall, const char **ret_text)
{
    time_t now = (time_t)(wall / 1000000000U);
    const ASN1_TIME *from = X509_get0_notBefore(x509), *to = X509_get0_notAfter(x509);
    int days, seconds;
    if (!is_p256(x509)) {
        *ret_text = "the certificate's key is not ECDSA on P-256";
        return TERN_E_UNSUPPORTED;
    }
    if (ASN1_TIME_diff(&days, &seconds, from, to) != 1 || days < 0 || seconds < 0 ||
        days > DAYS_MAX || (days == DAYS_MAX && seconds > 0)) {
        *ret_text = "the certificate is valid for more than 14 days";
        return TERN_E_PROTOCOL;
    }
    if (ASN1_TIME_cmp_time_t(from, now) > 0 || ASN1_TIME_cmp_time_t(to, now) < 0) {
        *ret_text = "the certificate is not valid now";
        return TERN_E_PROTOCOL;
    }
    return 0;
}

int tern_cert_check_short(tern_span der, uint64_t wall, const char **ret_text)
{
    const unsigned char *p = der.data;
    ERR_set_mark();
    X509 *x509 = der.len <= TERN_CERT_MAX ? d2i_X509(NULL, &p, (long)der.len) : NULL;
    int code = TERN_E_MALFORMED;
    *ret_text = "the certificate does not parse";
    if (x509 != NULL && p == der.data + der.len) {
        code = judge(x509, wall, ret_text);
    }
    X509_free(x509);
    ERR_pop_to_mark();
    return code;
}
