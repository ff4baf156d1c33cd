/* One TLS connection over memory: see tls_engine.h.
 *
 * OpenSSL reads and writes by a BIO of ours whose reading end is the span that
 * the caller gave, and whose writing end is the caller's output: no queue in
 * between. Nothing ever waits to be written, so OpenSSL only ever waits for
 * bytes of the peer.
 *
 * When a handshake of TLS 1.3 is done its traffic secrets go to `traffic` and
 * OpenSSL's part ends, with its memory. TLS 1.2, which only the web may agree
 * on, stays with OpenSSL. */
#include "crypto/tls_engine.h"

#include <limits.h>

#include <openssl/err.h>

#include "base/error.h"
#include "base/mem.h"
#include "crypto/bio.h"
#include "crypto/tls_context.h"
#include "crypto/tls_traffic.h"

enum { ALERT = SSL_AD_REASON_OFFSET, ALPN_WIRE_MAX = 256 * TERN_TLS_ALPN_MAX };

struct tern_tls_engine {
    SSL *ssl;                  /* NULL once there is traffic */
    tern_tls_traffic *traffic; /* NULL before, and with TLS 1.2 */
    tern_tls_secrets secrets;  /* collected during the handshake */
    tern_span in;              /* during a call: what the peer sent */
    tern_tls_output output;
    bool send_failed; /* memory was short: the connection is torn */
    int (*judge)(void *owner, tern_span certificate, size_t count, tern_error *ret);
    void *judge_owner;
    int judged; /* what judge said */
    bool untrusted;
    tern_error *error;       /* during a handshake: where judge says why */
    const char *const *alpn; /* during the handshake */
    const char *agreed;      /* after it: one of alpn, or NULL */
};

/* ---- the BIO ---- */

static int bio_read(BIO *bio, char *out, int cap)
{
    tern_tls_engine *e = BIO_get_data(bio);
    BIO_clear_retry_flags(bio);
    if (e->in.len == 0 || cap <= 0) {
        BIO_set_retry_read(bio);
        return -1;
    }
    size_t n = e->in.len < (size_t)cap ? e->in.len : (size_t)cap;
    memcpy(out, e->in.data, n);
    e->in = (tern_span){e->in.data + n, e->in.len - n};
    return (int)n;
}

static int bio_write(BIO *bio, const char *p, int n)
{
    tern_tls_engine *e = BIO_get_data(bio);
    BIO_clear_retry_flags(bio);
    if (n <= 0) {
        return 0;
    }
    uint8_t *place = e->send_failed ? NULL : e->output.place(e->output.owner, (size_t)n);
    if (place != NULL) {
        memcpy(place, p, (size_t)n);
    }
    if (place == NULL || !e->output.send(e->output.owner, (size_t)n)) {
        e->send_failed = true;
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

int tern_tls_verify(X509_STORE_CTX *store, void *unused)
{
    (void)unused;
    SSL *ssl = X509_STORE_CTX_get_ex_data(store, SSL_get_ex_data_X509_STORE_CTX_idx());
    tern_tls_engine *e = SSL_get_app_data(ssl);
    X509 *x = X509_STORE_CTX_get0_cert(store);
    int count = sk_X509_num(X509_STORE_CTX_get0_untrusted(store));
    uint8_t *der = NULL;
    int n = x != NULL ? i2d_X509(x, &der) : 0;
    if (e->judge == NULL) {
        e->judged = tern_fail(e->error, TERN_E_PROTOCOL, "tls", "a certificate nobody asked for");
    } else if (n > 0 && count > 0) {
        e->judged = e->judge(e->judge_owner, (tern_span){der, (size_t)n}, (size_t)count, e->error);
    } else {
        e->judged = tern_fail(e->error, TERN_E_NOMEM, "tls", "out of memory");
    }
    OPENSSL_free(der);
    X509_STORE_CTX_set_error(store, e->judged == 0 ? X509_V_OK : X509_V_ERR_CERT_REJECTED);
    return e->judged == 0;
}

static const char *find_alpn(const tern_tls_engine *e, const uint8_t *name, size_t n)
{
    for (const char *const *a = e->alpn; a != NULL && *a != NULL; a++) {
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
    const tern_tls_engine *e = SSL_get_app_data(ssl);
    if (e->alpn == NULL) {
        return SSL_TLSEXT_ERR_NOACK;
    }
    for (unsigned at = 0; at < in_n; at += 1U + in[at]) {
        if (find_alpn(e, in + at + 1, in[at]) != NULL) {
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
    tern_tls_engine *e = SSL_get_app_data(ssl);
    for (int i = 0; i < 2; i++) {
        if (strncmp(line, labels[i], strlen(labels[i])) == 0) {
            const char *hex = strrchr(line, ' ') + 1;
            bool ours = (i == 1) == (SSL_is_server(ssl) == 1);
            tern_unhex(ours ? e->secrets.send : e->secrets.recv, TERN_TLS_SECRET_MAX, hex,
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
    {SSL_R_PEER_DID_NOT_RETURN_A_CERTIFICATE, TERN_E_PROTOCOL, "the peer shows no certificate"},
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

static int report(tern_tls_engine *e, tern_error *reterr)
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
        e->untrusted = true;
        return tern_fail(reterr, TERN_E_SIGNATURE, "tls", "the certificate is not trusted: %s",
                         verdict_text(SSL_get_verify_result(e->ssl)));
    }
    const char *text = ERR_reason_error_string(raised);
    return tern_fail(reterr, TERN_E_MALFORMED, "tls", "%s",
                     text != NULL ? text : "the peer breaks the rules");
}

/* What a call of OpenSSL's came to: 0 = more bytes are needed, or an error. */
static int outcome(tern_tls_engine *e, int result, tern_error *reterr)
{
    int kind = SSL_get_error(e->ssl, result);
    int code = 0;
    if (e->send_failed) {
        code = tern_fail(reterr, TERN_E_NOMEM, "tls", "out of memory");
    } else if (e->judged != 0) {
        code = e->judged; /* judge has filled the error */
    } else if (kind == SSL_ERROR_ZERO_RETURN) {
        code = tern_fail(reterr, TERN_E_EOF, "tls", "the peer closed");
    } else if (kind != SSL_ERROR_WANT_READ) {
        code = report(e, reterr);
    }
    ERR_clear_error();
    return code;
}

/* ---- an engine ---- */

static bool set_alpn(tern_tls_engine *e)
{
    uint8_t wire[ALPN_WIRE_MAX];
    unsigned n = 0;
    for (const char *const *a = e->alpn; a != NULL && *a != NULL; a++) {
        size_t len = strlen(*a);
        if (len == 0 || len > 255 || n + 1 + len > sizeof wire) {
            return false;
        }
        wire[n++] = (uint8_t)len;
        memcpy(wire + n, *a, len);
        n += (unsigned)len;
    }
    return n == 0 || SSL_set_alpn_protos(e->ssl, wire, n) == 0;
}

/* Whom a web client wants to meet: a name, which is also sent (RFC 6066, section 3), or an address,
 * which is not. */
static bool set_server(SSL *ssl, const tern_tls_options *o)
{
    if (o->server_ip != NULL) {
        return X509_VERIFY_PARAM_set1_ip_asc(SSL_get0_param(ssl), o->server_ip) == 1;
    }
    return o->server_name == NULL ||
           (SSL_set_tlsext_host_name(ssl, (char *)(uintptr_t)o->server_name) == 1 &&
            SSL_set1_host(ssl, o->server_name) == 1);
}

static bool set_up(tern_tls_engine *e, const tern_tls_context *context, const tern_tls_options *o)
{
    const BIO_METHOD *m = bio_method();
    BIO *bio = m != NULL ? BIO_new(m) : NULL;
    e->ssl = SSL_new(context->ctx);
    if (bio == NULL || e->ssl == NULL) {
        BIO_free(bio);
        return false;
    }
    BIO_set_data(bio, e);
    BIO_set_init(bio, 1);
    SSL_set_bio(e->ssl, bio, bio);
    if (SSL_set_app_data(e->ssl, e) != 1) {
        return false;
    }
    if (o->server) {
        SSL_set_accept_state(e->ssl);
        return true;
    }
    SSL_set_connect_state(e->ssl);
    return set_alpn(e) && set_server(e->ssl, o);
}

int tern_tls_engine_new(tern_tls_context *context, const tern_tls_options *o, tern_tls_engine **ret)
{
    tern_tls_engine *e = tern_calloc(1, sizeof *e);
    if (e == NULL) {
        return TERN_E_NOMEM;
    }
    e->judge = o->judge;
    e->judge_owner = o->owner;
    e->alpn = o->alpn;
    if (!set_up(e, context, o)) {
        ERR_clear_error();
        tern_tls_engine_free(e);
        return TERN_E_NOMEM;
    }
    *ret = e;
    return 0;
}

void tern_tls_engine_free(tern_tls_engine *e)
{
    if (e != NULL) {
        SSL_free(e->ssl);
        tern_tls_traffic_free(e->traffic);
        tern_wipe(&e->secrets, sizeof e->secrets);
        tern_free(e);
    }
}

void tern_tls_engine_output(tern_tls_engine *e, const tern_tls_output *output)
{
    e->output = *output;
}

static const char *agreed_alpn(const tern_tls_engine *e)
{
    const unsigned char *name;
    unsigned n;
    SSL_get0_alpn_selected(e->ssl, &name, &n);
    return n > 0 ? find_alpn(e, name, n) : NULL;
}

/* From here on the records are ours. */
static int begin_traffic(tern_tls_engine *e, tern_error *reterr)
{
    e->secrets.suite = SSL_CIPHER_get_protocol_id(SSL_get_current_cipher(e->ssl));
    e->traffic = tern_tls_traffic_new(&e->secrets, SSL_is_server(e->ssl) == 1);
    tern_wipe(&e->secrets, sizeof e->secrets);
    if (e->traffic == NULL) {
        return tern_fail(reterr, TERN_E_NOMEM, "tls", "out of memory");
    }
    SSL_free(e->ssl);
    e->ssl = NULL;
    return 1;
}

int tern_tls_engine_handshake(tern_tls_engine *e, tern_span *in, tern_error *reterr)
{
    ERR_clear_error();
    e->in = *in;
    e->error = reterr;
    int r = SSL_do_handshake(e->ssl);
    *in = e->in;
    e->in = (tern_span){NULL, 0};
    e->error = NULL;
    if (r != 1 || e->send_failed) {
        return outcome(e, r, reterr);
    }
    e->agreed = agreed_alpn(e);
    e->alpn = NULL; /* the caller's, and asked no more */
    e->judge = NULL;
    return SSL_version(e->ssl) == TLS1_3_VERSION ? begin_traffic(e, reterr) : 1;
}

const char *tern_tls_engine_alpn(const tern_tls_engine *e)
{
    return e->agreed;
}

bool tern_tls_engine_untrusted(const tern_tls_engine *e)
{
    return e->untrusted;
}

ssize_t tern_tls_engine_read(tern_tls_engine *e, uint8_t *record, size_t n, uint8_t **ret_plain,
                             tern_error *reterr)
{
    if (e->traffic != NULL) {
        return tern_tls_traffic_read(e->traffic, &e->output, record, n, ret_plain, reterr);
    }
    ERR_clear_error();
    e->in = (tern_span){record, n};
    *ret_plain = record;
    int r = SSL_read(e->ssl, record, n < INT_MAX ? (int)n : INT_MAX);
    e->in = (tern_span){NULL, 0};
    return r > 0 ? r : outcome(e, r, reterr);
}

static int write_by_openssl(tern_tls_engine *e, const tern_span *v, unsigned count, size_t n)
{
    uint8_t joined[TERN_TLS_PLAIN_MAX]; /* OpenSSL takes one piece */
    size_t at = 0;
    for (unsigned i = 0; i < count && n <= sizeof joined; i++) {
        memcpy(joined + at, v[i].data, v[i].len);
        at += v[i].len;
    }
    ERR_clear_error();
    int r = SSL_write(e->ssl, joined, (int)at);
    ERR_clear_error();
    tern_wipe(joined, at);
    return r == (int)n ? 0 : e->send_failed ? TERN_E_NOMEM : TERN_E_CRYPTO;
}

int tern_tls_engine_write(tern_tls_engine *e, const tern_span *v, unsigned count, size_t n)
{
    return e->traffic != NULL ? tern_tls_traffic_write(e->traffic, &e->output, v, count, n)
                              : write_by_openssl(e, v, count, n);
}

int tern_tls_engine_close(tern_tls_engine *e)
{
    if (e->traffic != NULL) {
        return tern_tls_traffic_close(e->traffic, &e->output);
    }
    ERR_clear_error();
    int r = SSL_shutdown(e->ssl);
    ERR_clear_error();
    return r >= 0 ? 0 : e->send_failed ? TERN_E_NOMEM : TERN_E_CRYPTO;
}
