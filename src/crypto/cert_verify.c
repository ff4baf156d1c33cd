/* Judging a peer's libp2p certificate (libp2p specs, tls; RFC 5280 for the
 * form). The DER is walked here, with constants compared where only constants
 * are allowed; crypto/spki gets the key and the signature.
 *
 *     Certificate = SEQUENCE { tbs, algorithm, BIT STRING signature over tbs }
 *     tbs = SEQUENCE { [0] version, serial, algorithm, issuer, SEQUENCE { from,
 * to }, subject, SubjectPublicKeyInfo, [1] [2] unique ids, [3] extensions }
 *
 * Names, serial and host are not looked at: the identity is in the extension.
 */
#include "crypto/cert.h"

#include "crypto/cert_pair.h"
#include "crypto/der.h"
#include "crypto/spki.h"

#define NANOSECONDS UINT64_C(1000000000)

enum {
    CONTEXT_0 = 0xa0, /* [0] EXPLICIT */
    CONTEXT_3 = 0xa3,
    UNIQUE_1 = 0x81, /* [1] and [2] IMPLICIT BIT STRING */
    UNIQUE_2 = 0x82,
    UTC_TIME = 0x17,
    GENERALIZED_TIME = 0x18,
};

/* What a certificate says, as places in its DER. */
typedef struct parts {
    tern_span tbs, spki; /* whole elements */
    tern_span algorithm, signature;
    tern_span extension; /* value of the libp2p extension */
    int64_t from, to;    /* seconds since 1970 */
} parts;

static int refuse(const char **ret_text, int code, const char *text)
{
    *ret_text = text;
    return code;
}

static bool equal(tern_span a, const void *p, size_t n)
{
    return a.len == n && memcmp(a.data, p, n) == 0;
}

/* ---- time ---- */

/* Days from 1970-01-01 to a day of the Gregorian calendar. */
static int64_t days(int64_t year, int64_t month, int64_t day)
{
    int64_t y = month <= 2 ? year - 1 : year;
    int64_t m = month <= 2 ? month + 9 : month - 3; /* years that begin in March */
    return 365 * y + y / 4 - y / 100 + y / 400 + (153 * m + 2) / 5 + day - 1 - 719468;
}

static bool two_digits(const uint8_t *p, int lowest, int highest, int *ret)
{
    if (p[0] < '0' || p[0] > '9' || p[1] < '0' || p[1] > '9') {
        return false;
    }
    *ret = (p[0] - '0') * 10 + p[1] - '0';
    return *ret >= lowest && *ret <= highest;
}

/* UTCTime YYMMDDHHMMSSZ is of 1950 to 2049, GeneralizedTime has four digits for
 * the year. */
static bool take_time(tern_span *in, int64_t *ret)
{
    tern_span t;
    int century, year, month, day, hour, minute, second;
    bool wide = in->len > 0 && in->data[0] == GENERALIZED_TIME;
    size_t head = wide ? 2 : 0;
    if (!tern_der_take(in, wide ? GENERALIZED_TIME : UTC_TIME, &t) || t.len != head + 13 ||
        t.data[t.len - 1] != 'Z') {
        return false;
    }
    const uint8_t *p = t.data + head;
    if (!two_digits(p, 0, 99, &year) || !two_digits(p + 2, 1, 12, &month) ||
        !two_digits(p + 4, 1, 31, &day) || !two_digits(p + 6, 0, 23, &hour) ||
        !two_digits(p + 8, 0, 59, &minute) || !two_digits(p + 10, 0, 59, &second)) {
        return false;
    }
    if (!wide) {
        century = year < 50 ? 20 : 19;
    } else if (!two_digits(t.data, 0, 99, &century)) {
        return false;
    }
    *ret = ((days(century * 100 + year, month, day) * 24 + hour) * 60 + minute) * 60 + second;
    return true;
}

/* ---- the walk ---- */

/* Finds the libp2p extension; anything else may only be there if it may be
 * ignored. */
static int read_extensions(tern_span list, parts *c, const char **ret_text)
{
    bool found = false;
    while (list.len > 0) {
        tern_span extension, oid, flag, value;
        bool critical = false;
        if (!tern_der_take(&list, TERN_DER_SEQUENCE, &extension) ||
            !tern_der_take_whole(&extension, TERN_DER_OID, &oid)) {
            return refuse(ret_text, TERN_E_MALFORMED, "the certificate's extensions do not parse");
        }
        if (tern_der_take(&extension, TERN_DER_BOOLEAN, &flag)) {
            critical = flag.len != 1 || flag.data[0] != 0;
        }
        if (!tern_der_take(&extension, TERN_DER_OCTET_STRING, &value) || extension.len != 0) {
            return refuse(ret_text, TERN_E_MALFORMED, "the certificate's extensions do not parse");
        }
        if (equal(oid, tern_cert_oid, TERN_CERT_OID_N)) {
            if (found) {
                return refuse(ret_text, TERN_E_PROTOCOL,
                              "the certificate has two libp2p extensions");
            }
            found = true;
            c->extension = value;
        } else if (critical) {
            return refuse(ret_text, TERN_E_UNSUPPORTED,
                          "the certificate has an unknown critical extension");
        }
    }
    return found ? 0 : refuse(ret_text, TERN_E_PROTOCOL, "the certificate has no libp2p extension");
}

static bool read_validity(tern_span *tbs, parts *c)
{
    tern_span validity;
    return tern_der_take(tbs, TERN_DER_SEQUENCE, &validity) && take_time(&validity, &c->from) &&
           take_time(&validity, &c->to) && validity.len == 0;
}

static int read_tbs(tern_span tbs, parts *c, tern_span *ret_extensions, const char **ret_text)
{
    static const uint8_t v3[] = {0x02, 0x01, 0x02};
    tern_span version, skipped, algorithm, wrapped, list = {NULL, 0};
    if (!tern_der_take(&tbs, CONTEXT_0, &version) || !equal(version, v3, sizeof v3) ||
        !tern_der_take(&tbs, TERN_DER_INTEGER, &skipped) ||
        !tern_der_take_whole(&tbs, TERN_DER_SEQUENCE, &algorithm) ||
        !equal(algorithm, c->algorithm.data, c->algorithm.len) ||
        !tern_der_take(&tbs, TERN_DER_SEQUENCE, &skipped) || !read_validity(&tbs, c) ||
        !tern_der_take(&tbs, TERN_DER_SEQUENCE, &skipped) ||
        !tern_der_take_whole(&tbs, TERN_DER_SEQUENCE, &c->spki)) {
        return refuse(ret_text, TERN_E_MALFORMED, "the certificate does not parse");
    }
    tern_der_take(&tbs, UNIQUE_1, &skipped);
    tern_der_take(&tbs, UNIQUE_2, &skipped);
    if (tern_der_take(&tbs, CONTEXT_3, &wrapped) &&
        (!tern_der_take(&wrapped, TERN_DER_SEQUENCE, &list) || wrapped.len != 0)) {
        return refuse(ret_text, TERN_E_MALFORMED, "the certificate's extensions do not parse");
    }
    if (tbs.len != 0) {
        return refuse(ret_text, TERN_E_MALFORMED, "the certificate has bytes that belong nowhere");
    }
    *ret_extensions = list;
    return 0;
}

static int read_certificate(tern_span der, parts *c, tern_span *ret_extensions,
                            const char **ret_text)
{
    tern_span whole = der, body, tbs;
    if (der.len > TERN_CERT_MAX) {
        return refuse(ret_text, TERN_E_TOO_LARGE, "the certificate is too large");
    }
    if (!tern_der_take(&whole, TERN_DER_SEQUENCE, &body) || whole.len != 0 ||
        !tern_der_take_whole(&body, TERN_DER_SEQUENCE, &c->tbs) ||
        !tern_der_take_whole(&body, TERN_DER_SEQUENCE, &c->algorithm) ||
        !tern_der_take_bits(&body, &c->signature) || body.len != 0) {
        return refuse(ret_text, TERN_E_MALFORMED, "the certificate does not parse");
    }
    tern_span rest = c->tbs;
    tern_der_take(&rest, TERN_DER_SEQUENCE, &tbs);
    return read_tbs(tbs, c, ret_extensions, ret_text);
}

/* ---- the certificate's own signature ---- */

/* RSASSA-PSS with one hash for all and a salt of its length (RFC 4055). */
#define PSS(hash, salt)                                                                            \
    "\x30\x41\x06\x09\x2a\x86\x48\x86\xf7\x0d\x01\x01\x0a\x30\x34\xa0\x0f\x30"                     \
    "\x0d\x06\x09\x60\x86"                                                                         \
    "\x48\x01\x65\x03\x04\x02" hash "\x05\x00\xa1\x1c\x30\x1a\x06\x09\x2a\x86\x48\x86\xf7\x0d\x01" \
    "\x01\x08\x30\x0d\x06\x09\x60\x86\x48\x01\x65\x03\x04\x02" hash                                \
    "\x05\x00\xa2\x03\x02\x01" salt

/* The signatures that a certificate may have over itself. */
static const struct algorithm {
    uint16_t scheme;
    size_t n;
    const char *der;
} algorithms[] = {
    {TERN_ECDSA_P256, 12, "\x30\x0a\x06\x08\x2a\x86\x48\xce\x3d\x04\x03\x02"},
    {TERN_ECDSA_P384, 12, "\x30\x0a\x06\x08\x2a\x86\x48\xce\x3d\x04\x03\x03"},
    {TERN_ED25519, 7, "\x30\x05\x06\x03\x2b\x65\x70"},
    {TERN_RSA_SHA256, 15, "\x30\x0d\x06\x09\x2a\x86\x48\x86\xf7\x0d\x01\x01\x0b\x05\x00"},
    {TERN_RSA_SHA384, 15, "\x30\x0d\x06\x09\x2a\x86\x48\x86\xf7\x0d\x01\x01\x0c\x05\x00"},
    {TERN_RSA_SHA512, 15, "\x30\x0d\x06\x09\x2a\x86\x48\x86\xf7\x0d\x01\x01\x0d\x05\x00"},
    {TERN_RSA_PSS_SHA256, 67, PSS("\x01", "\x20")},
    {TERN_RSA_PSS_SHA384, 67, PSS("\x02", "\x30")},
    {TERN_RSA_PSS_SHA512, 67, PSS("\x03", "\x40")},
};

/* 0: none of ours. */
static uint16_t scheme_of(tern_span der)
{
    for (size_t i = 0; i < sizeof algorithms / sizeof algorithms[0]; i++) {
        if (equal(der, algorithms[i].der, algorithms[i].n)) {
            return algorithms[i].scheme;
        }
    }
    return 0;
}

static int verify_own(const parts *c, const char **ret_text)
{
    if (tern_spki_kind_of(c->spki) == TERN_SPKI_NONE) {
        return refuse(ret_text, TERN_E_UNSUPPORTED,
                      "the certificate's key is not P-256, P-384, Ed25519 or RSA of 2048 to 8192 "
                      "bits");
    }
    int e = tern_spki_verify(c->spki, scheme_of(c->algorithm), c->tbs, c->signature);
    if (e == TERN_E_UNSUPPORTED) {
        return refuse(ret_text, e, "the certificate is signed in a way that does not fit its key");
    }
    return e == 0 ? 0
                  : refuse(ret_text, TERN_E_SIGNATURE,
                           "the certificate's signature over itself does not verify");
}

/* ---- the identity ---- */

/* `sure`: its signature was verified before. */
static int verify_identity(const parts *c, bool sure, tern_key **ret, const char **ret_text)
{
    tern_span value = c->extension, pair, pb, sig;
    if (!tern_der_take(&value, TERN_DER_SEQUENCE, &pair) || value.len != 0 ||
        !tern_der_take(&pair, TERN_DER_OCTET_STRING, &pb) ||
        !tern_der_take(&pair, TERN_DER_OCTET_STRING, &sig) || pair.len != 0) {
        return refuse(ret_text, TERN_E_MALFORMED, "the libp2p extension does not parse");
    }
    tern_key *key;
    int e = tern_key_from_public(pb.data, pb.len, &key);
    if (e != 0) {
        return refuse(ret_text, e,
                      e == TERN_E_NOMEM ? "out of memory"
                                        : "the identity key is malformed or unknown");
    }
    const tern_span v[] = {{(const uint8_t *)TERN_CERT_DOMAIN, strlen(TERN_CERT_DOMAIN)}, c->spki};
    e = sure ? 0 : tern_key_verify(key, v, 2, sig.data, sig.len);
    if (e != 0) {
        tern_key_unref(key);
        return refuse(ret_text, e,
                      "the identity key's signature over the certificate's key "
                      "does not verify");
    }
    *ret = key;
    return 0;
}

int tern_cert_spki(tern_span der, tern_span *ret, const char **ret_text)
{
    parts c;
    tern_span extensions;
    int e = read_certificate(der, &c, &extensions, ret_text);
    *ret = e == 0 ? c.spki : (tern_span){NULL, 0};
    return e;
}

int tern_cert_verify(tern_span der, uint64_t wall, tern_known *known, tern_key **ret,
                     uint64_t *ret_until, const char **ret_text)
{
    parts c;
    tern_span extensions;
    uint8_t digest[TERN_SHA256];
    int64_t now = (int64_t)(wall / NANOSECONDS);
    int e = read_certificate(der, &c, &extensions, ret_text);
    if (e == 0) {
        e = read_extensions(extensions, &c, ret_text);
    }
    if (e != 0) {
        return e;
    }
    if (now < c.from) {
        return refuse(ret_text, TERN_E_PROTOCOL,
                      "the certificate is not valid yet: is a clock wrong?");
    }
    if (now > c.to) {
        return refuse(ret_text, TERN_E_PROTOCOL, "the certificate has expired: is a clock wrong?");
    }
    bool sure = tern_known_has(known, &der, 1, digest);
    e = sure ? 0 : verify_own(&c, ret_text);
    if (e == 0) {
        e = verify_identity(&c, sure, ret, ret_text);
    }
    if (e == 0 && !sure) {
        tern_known_put(known, digest);
    }
    if (e == 0 && ret_until != NULL) { /* the year 9999 fits not */
        uint64_t end = (uint64_t)c.to;
        *ret_until = end < UINT64_MAX / NANOSECONDS ? end * NANOSECONDS : UINT64_MAX;
    }
    return e;
}
