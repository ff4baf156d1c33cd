/* Certificates, the signatures by their keys, and Finished (RFC 8446, section 4.4). */
#include "base/error.h"
#include "crypto/spki.h"
#include "tls/inside.h"

enum { PAD = 64, SIGNED_MAX = PAD + 34 + TERN_HASH_MAX, SIGNATURE_MAX = 128 };

/* What CertificateVerify signs: 64 spaces, a text with its zero, the hash so far. The length. */
static int put_signed(const tern_handshake *h, bool server, uint8_t out[SIGNED_MAX], size_t *ret)
{
    const char *text =
        server ? "TLS 1.3, server CertificateVerify" : "TLS 1.3, client CertificateVerify";
    size_t n = strlen(text) + 1;
    memset(out, ' ', PAD);
    memcpy(out + PAD, text, n);
    *ret = PAD + n + tern_hash_size(tls_hash(h->cipher));
    return tern_hash_now(h->transcript, out + PAD + n);
}

void tls_put_schemes(tls_out *out)
{
    /* the fast ones first; the last three for certificates alone */
    static const uint16_t schemes[] = {TERN_ECDSA_P256, TERN_ED25519,        TERN_RSA_PSS_SHA256,
                                       TERN_ECDSA_P384, TERN_RSA_PSS_SHA384, TERN_RSA_PSS_SHA512,
                                       TERN_RSA_SHA256, TERN_RSA_SHA384,     TERN_RSA_SHA512};
    size_t at = tls_open(out, 2);
    for (size_t i = 0; i < sizeof schemes / sizeof *schemes; i++) {
        tls_put16(out, schemes[i]);
    }
    tls_close(out, at, 2);
}

/* ---- ours ---- */

static int put_verify(tern_handshake *h, const tern_cert *cert)
{
    uint8_t what[SIGNED_MAX], signature[SIGNATURE_MAX];
    size_t n;
    int e = put_signed(h, h->config.server, what, &n);
    ssize_t signature_n =
        e == 0 ? tern_cert_sign(cert, (tern_span){what, n}, signature, sizeof signature) : e;
    if (signature_n < 0) {
        return (int)signature_n;
    }
    size_t message = tls_begin(h, TLS_CERTIFICATE_VERIFY);
    tls_put16(&h->out, TERN_ECDSA_P256);
    size_t at = tls_open(&h->out, 2);
    tls_put(&h->out, signature, (size_t)signature_n);
    tls_close(&h->out, at, 2);
    return tls_finish(h, message);
}

int tls_put_certificate(tern_handshake *h, const tern_cert *cert)
{
    tls_out *o = &h->out;
    size_t message = tls_begin(h, TLS_CERTIFICATE);
    tls_put8(o, 0); /* the request's context, which is empty */
    size_t list = tls_open(o, 3);
    if (cert != NULL) {
        tern_span der = tern_cert_der(cert);
        size_t one = tls_open(o, 3);
        tls_put(o, der.data, der.len);
        tls_close(o, one, 3);
        tls_put16(o, 0); /* its extensions */
    }
    tls_close(o, list, 3);
    int e = tls_finish(h, message);
    return e == 0 && cert != NULL ? put_verify(h, cert) : e;
}

int tls_put_finished(tern_handshake *h)
{
    uint8_t proof[TERN_HASH_MAX];
    int e = tls_finished(h, h->config.server, proof);
    if (e != 0) {
        return e;
    }
    size_t message = tls_begin(h, TLS_FINISHED);
    tls_put(&h->out, proof, tern_hash_size(tls_hash(h->cipher)));
    return tls_finish(h, message);
}

/* ---- the peer's ---- */

static int read_entries(tern_handshake *h, tern_span list, tern_span *ret, unsigned *ret_count)
{
    tern_span der, extensions;
    while (list.len > 0) {
        if (!tls_take_vector(&list, 3, &der) || der.len == 0 ||
            !tls_take_vector(&list, 2, &extensions)) {
            return tls_malformed(h, "the peer's Certificate does not parse");
        }
        if (extensions.len > 0) { /* we asked for none */
            return tls_fail(h, TERN_E_PROTOCOL, TERN_ALERT_UNSUPPORTED_EXTENSION,
                            "a certificate comes with an extension that nobody asked for");
        }
        if ((*ret_count)++ == 0) {
            *ret = der;
        }
    }
    return 0;
}

int tls_read_certificate(tern_handshake *h, tern_span body)
{
    tern_span context, list, der = {NULL, 0}, spki;
    unsigned count = 0;
    const char *why;
    if (!tls_take_vector(&body, 1, &context) || !tls_take_vector(&body, 3, &list) ||
        body.len != 0) {
        return tls_malformed(h, "the peer's Certificate does not parse");
    }
    if (context.len != 0) {
        return tls_illegal(h, "the peer's Certificate answers another request");
    }
    int e = read_entries(h, list, &der, &count);
    if (e != 0) {
        return e;
    }
    if (count == 0) {
        return h->config.server ? tls_fail(h, TERN_E_PROTOCOL, TERN_ALERT_CERTIFICATE_REQUIRED,
                                           "the client shows no certificate")
                                : tls_malformed(h, "the server shows no certificate");
    }
    e = h->ops->certificate(h->owner, der, count);
    if (e == 0) {
        e = tern_cert_spki(der, &spki, &why);
    }
    if (e != 0) {
        return tls_fail(h, e, TERN_ALERT_BAD_CERTIFICATE, "the peer's certificate is refused");
    }
    return tern_buf_append(&h->spki, spki.data, spki.len);
}

int tls_read_verify(tern_handshake *h, tern_span body)
{
    uint8_t what[SIGNED_MAX];
    uint16_t scheme;
    tern_span signature;
    size_t n;
    if (!tls_take16(&body, &scheme) || !tls_take_vector(&body, 2, &signature) || body.len != 0) {
        return tls_malformed(h, "the peer's CertificateVerify does not parse");
    }
    int e = put_signed(h, !h->config.server, what, &n);
    if (e != 0) {
        return e;
    }
    tern_span spki = {tern_buf_data(&h->spki), tern_buf_len(&h->spki)};
    bool offered = scheme != TERN_RSA_SHA256 && scheme != TERN_RSA_SHA384 &&
                   scheme != TERN_RSA_SHA512; /* section 4.2.3: certificates alone may */
    e = offered ? tern_spki_verify(spki, scheme, (tern_span){what, n}, signature)
                : TERN_E_UNSUPPORTED;
    tern_buf_free(&h->spki);
    if (e == TERN_E_UNSUPPORTED) {
        return tls_illegal(h, "the peer signs in a way that does not fit its certificate");
    }
    return e == 0 ? 0
                  : tls_fail(h, TERN_E_SIGNATURE, TERN_ALERT_DECRYPT_ERROR,
                             "the peer has not the key of its certificate");
}

int tls_read_finished(tern_handshake *h, tern_span body)
{
    uint8_t proof[TERN_HASH_MAX];
    size_t size = tern_hash_size(tls_hash(h->cipher));
    int e = tls_finished(h, !h->config.server, proof);
    if (e != 0) {
        return e;
    }
    if (body.len != size) {
        return tls_malformed(h, "the peer's Finished has the wrong length");
    }
    return tern_eq_ct(proof, body.data, size)
               ? 0
               : tls_fail(h, TERN_E_CRYPTO, TERN_ALERT_DECRYPT_ERROR,
                          "the peer saw another handshake than we did");
}
