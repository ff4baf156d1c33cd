/* One TLS connection of the web's over memory: see tls_web.h.
 *
 * OpenSSL reads and writes by a BIO of ours whose reading end is the span that
 * the caller gave, and whose writing end is the caller's output: no queue in
 * between. Nothing ever waits to be written, so OpenSSL only ever waits for
 * bytes of the peer.
 *
 * When a handshake of TLS 1.3 is done its traffic secrets go to the engine's
 * own records and OpenSSL's part ends, with its memory. TLS 1.2 stays with
 * OpenSSL. */
#include "crypto/tls_web.h"

#include <limits.h>

#include <openssl/err.h>

#include "base/error.h"
#include "base/mem.h"
#include "crypto/bio.h"
#include "crypto/tls_context.h"

enum { ALERT = SSL_AD_REASON_OFFSET, ALPN_WIRE_MAX = 256 * TERN_TLS_WEB_ALPN_MAX };

typedef struct web {
    tern_tls_engine e;
    SSL *ssl;                 /* NULL once there is traffic */
    tern_tls_secrets secrets; /* collected during the handshake */
    tern_span in;             /* during a call: what the peer sent */
    bool send_failed;         /* memory was short: the connection is torn */
    const char *const *alpn;  /* during the handshake */
} web;

/* ---- the BIO ---- */

static int bio_read(BIO *bio, char *out, int cap)
{
    web *w = BIO_get_data(bio);
    BIO_clear_retry_flags(bio);
    if (w->in.len == 0 || cap <= 0) {
        BIO_set_retry_read(bio);
        return -1;
    }
    size_t n = w->in.len < (size_t)cap ? w->in.len : (size_t)cap;
    memcpy(out, w->in.data, n);
    w->in = (tern_span){w->in.data + n, w->in.len - n};
    return (int)n;
}

static int bio_write(BIO *bio, const char *p, int n)
{
    web *w = BIO_get_data(bio);
    BIO_clear_retry_flags(bio);
    if (n <= 0) {
        return 0;
    }
    uint8_t *place = w->send_failed ? NULL : w->e.output.place(w->e.output.owner, (size_t)n);
    if (place != NULL) {
        memcpy(place, p, (size_t)n);
    }
    if (place == NULL || !w->e.output.send(w->e.output.owner, (size_t)n)) {
        w->send_failed = true;
        return -1;
    }
    return n;
}

static long bio_ctrl(BIO *bio, int command, long number, void *p)
{
    (void)bio;
    (void)number;
    (void)p;
    return command == BIO_CTRL_FLUSH;
}

static const BIO_METHOD *bio_method(void)
{
    static _Atomic(BIO_METHOD *) method;
    return tern_bio_method(&method, "tern", bio_read, bio_write, bio_ctrl);
}

/* ---- OpenSSL's questions ---- */

static const char *find_alpn(const web *w, const uint8_t *name, size_t n)
{
    for (const char *const *a = w->alpn; a != NULL && *a != NULL; a++) {
        if (strlen(*a) == n && memcmp(*a, name, n) == 0) {
            return *a;
        }
    }
    return NULL;
}

/* The first of the client's that we have, as go does it. OpenSSL has checked
 * the list's form. */
int tern_tls_select_alpn(SSL *ssl, const unsigned char **out, unsigned char *out_n,
                         const unsigned char *in, unsigned in_n, void *unused)
{
    (void)unused;
    const web *w = SSL_get_app_data(ssl);
    if (w->alpn == NULL) {
        return SSL_TLSEXT_ERR_NOACK;
    }
    for (unsigned at = 0; at < in_n; at += 1U + in[at]) {
        if (find_alpn(w, in + at + 1, in[at]) != NULL) {
            *out = in + at + 1;
            *out_n = in[at];
            return SSL_TLSEXT_ERR_OK;
        }
    }
    return SSL_TLSEXT_ERR_ALERT_FATAL;
}

/* A line is "LABEL RANDOM SECRET", in hex: the one way by which OpenSSL tells a traffic secret. */
void tern_tls_keylog(const SSL *ssl, const char *line)
{
    static const char *const labels[] = {"CLIENT_TRAFFIC_SECRET_0 ", "SERVER_TRAFFIC_SECRET_0 "};
    web *w = SSL_get_app_data(ssl);
    for (int i = 0; i < 2; i++) {
        if (strncmp(line, labels[i], strlen(labels[i])) == 0) {
            const char *hex = strrchr(line, ' ') + 1;
            bool ours = (i == 1) == (SSL_is_server(ssl) == 1);
            tern_unhex(ours ? w->secrets.send : w->secrets.recv, TERN_TLS_SECRET_MAX, hex,
                       strlen(hex));
        }
    }
}

/* ---- errors ---- */

/* OpenSSL's reasons that are not simply bytes that do not parse. */
static const struct reason {
    int reason, code;
    const char *text;
} reasons[] = {
    {ERR_R_MALLOC_FAILURE, TERN_E_NOMEM, "out of memory"},
    {SSL_R_UNSUPPORTED_PROTOCOL, TERN_E_UNSUPPORTED, "the peer speaks no TLS version of ours"},
    {SSL_R_VERSION_TOO_LOW, TERN_E_UNSUPPORTED, "the peer speaks no TLS version of ours"},
    {SSL_R_NO_APPLICATION_PROTOCOL, TERN_E_NEGOTIATION, "no application protocol in common (ALPN)"},
    {SSL_R_NO_SHARED_CIPHER, TERN_E_UNSUPPORTED, "no cipher in common"},
    {SSL_R_NO_SUITABLE_SIGNATURE_ALGORITHM, TERN_E_UNSUPPORTED, "no signature type in common"},
    {SSL_R_BAD_SIGNATURE, TERN_E_SIGNATURE, "the peer's signature over the handshake is wrong"},
    {SSL_R_DIGEST_CHECK_FAILED, TERN_E_CRYPTO, "the peer's Finished message is wrong"},
    {SSL_R_DECRYPTION_FAILED_OR_BAD_RECORD_MAC, TERN_E_CRYPTO, "a record does not decrypt"},
};

/* What a verdict on a certificate means for who dials. */
static const char *verdict_text(long verdict)
{
    switch (verdict) {
    case X509_V_ERR_CERT_HAS_EXPIRED:
        return "it has expired, or this machine's clock is wrong";
    case X509_V_ERR_CERT_NOT_YET_VALID:
        return "it is not valid yet, or this machine's clock is wrong";
    case X509_V_ERR_HOSTNAME_MISMATCH:
        return "it is for another name; try one that it has, as /sni/NAME";
    case X509_V_ERR_IP_ADDRESS_MISMATCH:
        return "it does not have this IP address; try a name that it has, as /sni/NAME";
    case X509_V_ERR_DEPTH_ZERO_SELF_SIGNED_CERT:
    case X509_V_ERR_SELF_SIGNED_CERT_IN_CHAIN:
    case X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT:
    case X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT_LOCALLY:
    case X509_V_ERR_UNABLE_TO_VERIFY_LEAF_SIGNATURE:
        return "no known authority has signed it; try --tls-ca";
    default:
        return X509_verify_cert_error_string(verdict);
    }
}

static int report(web *w, tern_error *reterr)
{
    unsigned long raised = ERR_peek_error();
    int reason = ERR_GET_REASON(raised);
    if (ERR_GET_LIB(raised) == ERR_LIB_SSL && reason >= ALERT) {
        int alert = reason - ALERT;
        return tern_fail_wire(reterr, TERN_E_RESET, (uint64_t)alert, "tls",
                              "the peer sent the alert \"%s\"", SSL_alert_desc_string_long(alert));
    }
    for (size_t i = 0; i < sizeof reasons / sizeof reasons[0]; i++) {
        if (reasons[i].reason == reason) {
            return tern_fail(reterr, reasons[i].code, "tls", "%s", reasons[i].text);
        }
    }
    if (reason == SSL_R_CERTIFICATE_VERIFY_FAILED) {
        w->e.untrusted = true;
        return tern_fail(reterr, TERN_E_SIGNATURE, "tls", "the certificate is not trusted: %s",
                         verdict_text(SSL_get_verify_result(w->ssl)));
    }
    const char *text = ERR_reason_error_string(raised);
    return tern_fail(reterr, TERN_E_MALFORMED, "tls", "%s",
                     text != NULL ? text : "the peer breaks the rules");
}

/* What a call of OpenSSL's came to: 0 = more bytes are needed, or an error. */
static int outcome(web *w, int result, tern_error *reterr)
{
    int kind = SSL_get_error(w->ssl, result);
    int code = 0;
    if (w->send_failed) {
        code = tern_fail(reterr, TERN_E_NOMEM, "tls", "out of memory");
    } else if (kind == SSL_ERROR_ZERO_RETURN) {
        code = tern_fail(reterr, TERN_E_EOF, "tls", "the peer closed");
    } else if (kind != SSL_ERROR_WANT_READ) {
        code = report(w, reterr);
    }
    ERR_clear_error();
    return code;
}

/* ---- an engine ---- */

static bool set_alpn(web *w)
{
    uint8_t wire[ALPN_WIRE_MAX];
    unsigned n = 0;
    for (const char *const *a = w->alpn; a != NULL && *a != NULL; a++) {
        size_t len = strlen(*a);
        if (len == 0 || len > 255 || n + 1 + len > sizeof wire) {
            return false;
        }
        wire[n++] = (uint8_t)len;
        memcpy(wire + n, *a, len);
        n += (unsigned)len;
    }
    return n == 0 || SSL_set_alpn_protos(w->ssl, wire, n) == 0;
}

/* Whom a client wants to meet: a name, which is also sent (RFC 6066, section 3), or an address,
 * which is not. */
static bool set_server(SSL *ssl, const tern_tls_web_options *o)
{
    if (o->server_ip != NULL) {
        return X509_VERIFY_PARAM_set1_ip_asc(SSL_get0_param(ssl), o->server_ip) == 1;
    }
    return o->server_name == NULL ||
           (SSL_set_tlsext_host_name(ssl, (char *)(uintptr_t)o->server_name) == 1 &&
            SSL_set1_host(ssl, o->server_name) == 1);
}

static bool set_up(web *w, const tern_tls_context *context, const tern_tls_web_options *o)
{
    const BIO_METHOD *m = bio_method();
    BIO *bio = m != NULL ? BIO_new(m) : NULL;
    w->ssl = SSL_new(context->ctx);
    if (bio == NULL || w->ssl == NULL) {
        BIO_free(bio);
        return false;
    }
    BIO_set_data(bio, w);
    BIO_set_init(bio, 1);
    SSL_set_bio(w->ssl, bio, bio);
    if (SSL_set_app_data(w->ssl, w) != 1) {
        return false;
    }
    if (o->server) {
        SSL_set_accept_state(w->ssl);
        return true;
    }
    SSL_set_connect_state(w->ssl);
    return set_alpn(w) && set_server(w->ssl, o);
}

static void web_free(tern_tls_engine *e)
{
    web *w = (web *)e;
    SSL_free(w->ssl);
    tern_wipe(&w->secrets, sizeof w->secrets);
    tern_free(w);
}

static const char *agreed_alpn(const web *w)
{
    const unsigned char *name;
    unsigned n;
    SSL_get0_alpn_selected(w->ssl, &name, &n);
    return n > 0 ? find_alpn(w, name, n) : NULL;
}

/* From here on the records are ours. */
static int go_on(web *w, tern_error *reterr)
{
    w->secrets.suite = SSL_CIPHER_get_protocol_id(SSL_get_current_cipher(w->ssl));
    int r = tern_tls_engine_go_on(&w->e, &w->secrets, SSL_is_server(w->ssl) == 1, reterr);
    SSL_free(w->ssl);
    w->ssl = NULL;
    return r;
}

static int web_handshake(tern_tls_engine *e, tern_span *in, tern_error *reterr)
{
    web *w = (web *)e;
    ERR_clear_error();
    w->in = *in;
    int r = SSL_do_handshake(w->ssl);
    *in = w->in;
    w->in = (tern_span){NULL, 0};
    if (r != 1 || w->send_failed) {
        return outcome(w, r, reterr);
    }
    e->alpn = agreed_alpn(w);
    w->alpn = NULL; /* the caller's, and asked no more */
    return SSL_version(w->ssl) == TLS1_3_VERSION ? go_on(w, reterr) : 1;
}

/* ---- TLS 1.2 ---- */

static ssize_t web_read(tern_tls_engine *e, uint8_t *record, size_t n, uint8_t **ret_plain,
                        tern_error *reterr)
{
    web *w = (web *)e;
    ERR_clear_error();
    w->in = (tern_span){record, n};
    *ret_plain = record;
    int r = SSL_read(w->ssl, record, n < INT_MAX ? (int)n : INT_MAX);
    w->in = (tern_span){NULL, 0};
    return r > 0 ? r : outcome(w, r, reterr);
}

static int web_write(tern_tls_engine *e, const tern_span *v, unsigned count, size_t n)
{
    web *w = (web *)e;
    uint8_t joined[TERN_TLS_PLAIN_MAX]; /* OpenSSL takes one piece */
    size_t at = 0;
    for (unsigned i = 0; i < count && n <= sizeof joined; i++) {
        memcpy(joined + at, v[i].data, v[i].len);
        at += v[i].len;
    }
    ERR_clear_error();
    int r = SSL_write(w->ssl, joined, (int)at);
    ERR_clear_error();
    tern_wipe(joined, at);
    return r == (int)n ? 0 : w->send_failed ? TERN_E_NOMEM : TERN_E_CRYPTO;
}

static int web_close(tern_tls_engine *e)
{
    web *w = (web *)e;
    ERR_clear_error();
    int r = SSL_shutdown(w->ssl);
    ERR_clear_error();
    return r >= 0 ? 0 : w->send_failed ? TERN_E_NOMEM : TERN_E_CRYPTO;
}

static const tern_tls_engine_ops web_ops = {
    .handshake = web_handshake,
    .free = web_free,
    .read = web_read,
    .write = web_write,
    .close = web_close,
};

int tern_tls_web_new(tern_tls_context *context, const tern_tls_web_options *o,
                     tern_tls_engine **ret)
{
    web *w = tern_calloc(1, sizeof *w);
    if (w == NULL) {
        return TERN_E_NOMEM;
    }
    w->e.ops = &web_ops;
    w->alpn = o->alpn;
    if (!set_up(w, context, o)) {
        ERR_clear_error();
        web_free(&w->e);
        return TERN_E_NOMEM;
    }
    *ret = &w->e;
    return 0;
}
