/* DTLS over memory: see dtls_engine.h.
 *
 * Retransmission: OpenSSL's timers read the system's clock, which the simulated loop's is not. So
 * the last flight is kept here as it was sent, and goes again when the caller's clock says so,
 * unless OpenSSL finds that its own timer has expired too: then it sends it with fresh sequence
 * numbers, which a peer that lost its last flight needs in order to repeat that. The receiver drops
 * what it has seen. */
#include "crypto/dtls_engine.h"

#include <openssl/core_names.h>
#include <openssl/err.h>
#include <openssl/kdf.h>
#include <openssl/ssl.h>

#include "base/buf.h"
#include "base/error.h"
#include "base/mem.h"
#include "crypto/bio.h"
#include "crypto/cert_pair.h"
#include "crypto/symmetric.h"

enum {
    ALERT = SSL_AD_REASON_OFFSET,
    FLIGHT_MAX = 16 * 1024,
    REPEATS_MAX = 8, /* of the last flight, after the handshake */
    MASTER_MAX = 48,
};

#define FIRST_TIMEOUT UINT64_C(400000000)   /* RFC 9147, 5.8.2 */
#define LAST_TIMEOUT  UINT64_C(60000000000) /* RFC 6347, 4.2.4.1 */
#define CIPHER        "ECDHE-ECDSA-AES128-GCM-SHA256"
#define CIPHER_ID     0x0300c02bu
/* pion ends the handshake unless this is answered; no SRTP follows. */
#define SRTP "SRTP_AEAD_AES_128_GCM:SRTP_AES128_CM_SHA1_80"

struct tern_dtls_context {
    SSL_CTX *ctx;
};

struct tern_dtls_engine {
    SSL *ssl; /* NULL after the handshake */
    tern_dtls_records *records;
    tern_span in;
    bool (*send)(void *owner, const uint8_t *p, size_t n);
    void *owner;
    uint64_t deadline, timeout;
    tern_buf flight; /* | length, 2 | datagram | ...: the last that we sent */
    size_t received; /* bytes of the handshake */
    uint64_t next;   /* our last sequence number of epoch 1 */
    uint8_t fingerprint[TERN_DTLS_FINGERPRINT];
    uint8_t cookie[TERN_DTLS_COOKIE];
    uint8_t repeats;
    bool server, fresh; /* fresh: the flight is to be replaced by what is sent next */
    bool send_failed;
};

/* ---- the BIO: a datagram a read, a datagram a write ---- */

static int bio_read(BIO *bio, char *out, int cap)
{
    tern_dtls_engine *e = BIO_get_data(bio);
    BIO_clear_retry_flags(bio);
    if (e->in.len == 0 || cap <= 0) {
        BIO_set_retry_read(bio);
        return -1;
    }
    size_t n = e->in.len < (size_t)cap ? e->in.len : (size_t)cap;
    memcpy(out, e->in.data, n);
    e->in.len = 0;
    return (int)n;
}

static void note_sequence(uint64_t *highest, tern_span d)
{
    uint8_t type;
    uint16_t epoch;
    uint64_t sequence;
    size_t n;
    while (tern_dtls_peek(d, &type, &epoch, &sequence, &n)) {
        if (epoch == 1 && sequence >= *highest) {
            *highest = sequence;
        }
        d = (tern_span){d.data + n, d.len - n};
    }
}

static int bio_write(BIO *bio, const char *p, int n)
{
    tern_dtls_engine *e = BIO_get_data(bio);
    uint8_t head[2];
    BIO_clear_retry_flags(bio);
    if (n <= 0 || n > UINT16_MAX) {
        return 0;
    }
    if (e->fresh) {
        tern_buf_consume(&e->flight, tern_buf_len(&e->flight));
        e->fresh = false;
    }
    const tern_span d = {(const uint8_t *)p, (size_t)n};
    note_sequence(&e->next, d);
    tern_put16(head, (uint16_t)n);
    if (tern_buf_append(&e->flight, head, 2) != 0 ||
        tern_buf_append(&e->flight, p, (size_t)n) != 0 || !e->send(e->owner, d.data, d.len)) {
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
    switch (command) {
    case BIO_CTRL_FLUSH:
        return 1;
    case BIO_CTRL_DGRAM_QUERY_MTU:
    case BIO_CTRL_DGRAM_GET_FALLBACK_MTU:
        return TERN_DTLS_MTU;
    case BIO_CTRL_DGRAM_GET_MTU_OVERHEAD:
        return 0; /* the MTU is that of the datagram's contents */
    default:
        return 0;
    }
}

static const BIO_METHOD *bio_method(void)
{
    static _Atomic(BIO_METHOD *) method;
    return tern_bio_method(&method, "tern datagrams", bio_read, bio_write, bio_ctrl);
}

/* ---- the context ---- */

static int accept_any(X509_STORE_CTX *store, void *unused)
{
    (void)unused;
    X509_STORE_CTX_set_error(store, X509_V_OK);
    return 1; /* the caller judges the fingerprint */
}

static int make_cookie(SSL *ssl, unsigned char *out, unsigned *ret_n)
{
    const tern_dtls_engine *e = SSL_get_app_data(ssl);
    memcpy(out, e->cookie, TERN_DTLS_COOKIE);
    *ret_n = TERN_DTLS_COOKIE;
    return 1;
}

static int check_cookie(SSL *ssl, const unsigned char *cookie, unsigned n)
{
    const tern_dtls_engine *e = SSL_get_app_data(ssl);
    return n == TERN_DTLS_COOKIE && tern_eq_ct(cookie, e->cookie, TERN_DTLS_COOKIE);
}

static bool configure(SSL_CTX *ctx, const tern_cert *cert)
{
    char groups[] = "X25519:P-256:P-384";
    SSL_CTX_set_options(ctx, SSL_OP_NO_TICKET | SSL_OP_NO_QUERY_MTU | SSL_OP_NO_RENEGOTIATION |
                                 SSL_OP_NO_COMPRESSION);
    SSL_CTX_set_mode(ctx, SSL_MODE_NO_AUTO_CHAIN);
    SSL_CTX_set_session_cache_mode(ctx, SSL_SESS_CACHE_OFF);
    SSL_CTX_set_max_cert_list(ctx, TERN_CERT_MAX);
    SSL_CTX_set_verify(ctx, SSL_VERIFY_PEER | SSL_VERIFY_FAIL_IF_NO_PEER_CERT, NULL);
    SSL_CTX_set_cert_verify_callback(ctx, accept_any, NULL);
    SSL_CTX_set_cookie_generate_cb(ctx, make_cookie);
    SSL_CTX_set_cookie_verify_cb(ctx, check_cookie);
    return SSL_CTX_set_min_proto_version(ctx, DTLS1_2_VERSION) == 1 &&
           SSL_CTX_set_max_proto_version(ctx, DTLS1_2_VERSION) == 1 &&
           SSL_CTX_set_cipher_list(ctx, CIPHER) == 1 &&
           SSL_CTX_set1_groups_list(ctx, groups) == 1 &&
           SSL_CTX_set_tlsext_use_srtp(ctx, SRTP) == 0 &&
           SSL_CTX_use_certificate(ctx, cert->x509) == 1 &&
           SSL_CTX_use_PrivateKey(ctx, cert->pkey) == 1;
}

int tern_dtls_context_new(const tern_cert *cert, tern_dtls_context **ret)
{
    tern_dtls_context *c = tern_calloc(1, sizeof *c);
    if (c == NULL) {
        return TERN_E_NOMEM;
    }
    ERR_clear_error();
    c->ctx = SSL_CTX_new(DTLS_method());
    int e = c->ctx == NULL ? TERN_E_NOMEM : configure(c->ctx, cert) ? 0 : TERN_E_CRYPTO;
    ERR_clear_error();
    if (e == 0) {
        *ret = c;
    } else {
        tern_dtls_context_free(c);
    }
    return e;
}

void tern_dtls_context_free(tern_dtls_context *c)
{
    if (c != NULL) {
        SSL_CTX_free(c->ctx);
        tern_free(c);
    }
}

/* ---- birth and death ---- */

static bool set_up(tern_dtls_engine *e, const tern_dtls_context *c)
{
    const BIO_METHOD *m = bio_method();
    BIO *bio = m != NULL ? BIO_new(m) : NULL;
    e->ssl = SSL_new(c->ctx);
    if (bio == NULL || e->ssl == NULL) {
        BIO_free(bio);
        return false;
    }
    BIO_set_data(bio, e);
    BIO_set_init(bio, 1);
    SSL_set_bio(e->ssl, bio, bio);
    if (SSL_set_app_data(e->ssl, e) != 1 || SSL_set_mtu(e->ssl, TERN_DTLS_MTU) == 0) {
        return false;
    }
    if (e->server) {
        SSL_set_accept_state(e->ssl);
    } else {
        SSL_set_connect_state(e->ssl);
    }
    return true;
}

int tern_dtls_engine_new(tern_dtls_context *c, const tern_dtls_options *o, tern_dtls_engine **ret)
{
    tern_dtls_engine *e = tern_calloc(1, sizeof *e);
    if (e == NULL) {
        return TERN_E_NOMEM;
    }
    e->server = o->server;
    e->send = o->send;
    e->owner = o->owner;
    e->deadline = UINT64_MAX;
    tern_buf_init(&e->flight, FLIGHT_MAX);
    if (!set_up(e, c)) {
        ERR_clear_error();
        tern_dtls_engine_free(e);
        return TERN_E_NOMEM;
    }
    if (o->cookie != NULL) {
        memcpy(e->cookie, o->cookie, TERN_DTLS_COOKIE);
        SSL_set_options(e->ssl, SSL_OP_COOKIE_EXCHANGE);
    }
    *ret = e;
    return 0;
}

void tern_dtls_engine_free(tern_dtls_engine *e)
{
    if (e != NULL) {
        SSL_free(e->ssl);
        tern_dtls_records_free(e->records);
        tern_buf_free(&e->flight);
        tern_free(e);
    }
}

/* ---- errors ---- */

static int report(tern_error *reterr)
{
    unsigned long raised = ERR_peek_error();
    int reason = ERR_GET_REASON(raised);
    if (ERR_GET_LIB(raised) == ERR_LIB_SSL && reason >= ALERT) {
        int alert = reason - ALERT;
        return tern_fail_wire(reterr, TERN_E_RESET, (uint64_t)alert, "dtls",
                              "the peer sent the alert \"%s\"", SSL_alert_desc_string_long(alert));
    }
    switch (reason) {
    case ERR_R_MALLOC_FAILURE:
        return tern_fail(reterr, TERN_E_NOMEM, "dtls", "out of memory");
    case SSL_R_UNSUPPORTED_PROTOCOL:
    case SSL_R_VERSION_TOO_LOW:
    case SSL_R_NO_SHARED_CIPHER:
    case SSL_R_NO_SUITABLE_SIGNATURE_ALGORITHM:
        return tern_fail(reterr, TERN_E_UNSUPPORTED, "dtls",
                         "the peer has no version, cipher or signature in common with us");
    case SSL_R_PEER_DID_NOT_RETURN_A_CERTIFICATE:
        return tern_fail(reterr, TERN_E_PROTOCOL, "dtls", "the peer shows no certificate");
    case SSL_R_BAD_SIGNATURE:
        return tern_fail(reterr, TERN_E_SIGNATURE, "dtls",
                         "the peer's signature over the handshake is wrong");
    case SSL_R_DIGEST_CHECK_FAILED:
    case SSL_R_DECRYPTION_FAILED_OR_BAD_RECORD_MAC:
        return tern_fail(reterr, TERN_E_CRYPTO, "dtls", "a handshake message does not decrypt");
    default: {
        const char *text = ERR_reason_error_string(raised);
        return tern_fail(reterr, TERN_E_MALFORMED, "dtls", "%s",
                         text != NULL ? text : "the peer breaks the rules");
    }
    }
}

/* ---- the end of the handshake ---- */

/* The key block of TLS 1.2 (RFC 5246, 6.3). */
static bool key_block(const SSL *ssl, uint8_t *out, size_t n)
{
    uint8_t master[MASTER_MAX], seed[13 + 2 * SSL3_RANDOM_SIZE] = "key expansion";
    size_t master_n = SSL_SESSION_get_master_key(SSL_get_session(ssl), master, sizeof master);
    SSL_get_server_random(ssl, seed + 13, SSL3_RANDOM_SIZE);
    SSL_get_client_random(ssl, seed + 13 + SSL3_RANDOM_SIZE, SSL3_RANDOM_SIZE);
    EVP_KDF *kdf = EVP_KDF_fetch(NULL, "TLS1-PRF", NULL);
    EVP_KDF_CTX *ctx = kdf != NULL ? EVP_KDF_CTX_new(kdf) : NULL;
    char digest[] = "SHA256";
    OSSL_PARAM params[] = {
        OSSL_PARAM_construct_utf8_string(OSSL_KDF_PARAM_DIGEST, digest, 0),
        OSSL_PARAM_construct_octet_string(OSSL_KDF_PARAM_SECRET, master, master_n),
        OSSL_PARAM_construct_octet_string(OSSL_KDF_PARAM_SEED, seed, sizeof seed),
        OSSL_PARAM_construct_end(),
    };
    bool ok = ctx != NULL && EVP_KDF_derive(ctx, out, n, params) == 1;
    EVP_KDF_CTX_free(ctx);
    EVP_KDF_free(kdf);
    tern_wipe(master, sizeof master);
    return ok;
}

static bool take_keys(tern_dtls_engine *e)
{
    uint8_t block[2 * (TERN_DTLS_KEY + TERN_DTLS_SALT)];
    /* The peer's Finished has number 0; what it repeats of it later is no data. */
    tern_dtls_keys keys = {.next = e->next + 1, .heard = 0};
    if (!key_block(e->ssl, block, sizeof block)) {
        return false;
    }
    for (int i = 0; i < 2; i++) { /* the client's come first */
        int side = e->server ? 1 - i : i;
        memcpy(keys.key[side], block + i * TERN_DTLS_KEY, TERN_DTLS_KEY);
        memcpy(keys.salt[side], block + 2 * TERN_DTLS_KEY + i * TERN_DTLS_SALT, TERN_DTLS_SALT);
    }
    e->records = tern_dtls_records_new(&keys);
    tern_wipe(&keys, sizeof keys);
    tern_wipe(block, sizeof block);
    return e->records != NULL;
}

static bool take_fingerprint(tern_dtls_engine *e)
{
    X509 *x = SSL_get0_peer_certificate(e->ssl);
    unsigned n = 0;
    return x != NULL && X509_digest(x, EVP_sha256(), e->fingerprint, &n) == 1 &&
           n == TERN_DTLS_FINGERPRINT;
}

static int done(tern_dtls_engine *e, tern_error *reterr)
{
    const SSL_CIPHER *cipher = SSL_get_current_cipher(e->ssl);
    if (cipher == NULL || SSL_CIPHER_get_id(cipher) != CIPHER_ID) {
        return tern_fail(reterr, TERN_E_UNSUPPORTED, "dtls", "an unexpected cipher");
    }
    if (!take_fingerprint(e) || !take_keys(e)) {
        return tern_fail(reterr, TERN_E_NOMEM, "dtls", "out of memory");
    }
    e->deadline = UINT64_MAX;
    if (!e->server) { /* the server spoke last: nothing of ours can be missing */
        tern_buf_free(&e->flight);
    }
    return 1;
}

static void arm(tern_dtls_engine *e, uint64_t now)
{
    e->timeout = FIRST_TIMEOUT;
    e->deadline = tern_buf_len(&e->flight) > 0 ? now + e->timeout : UINT64_MAX;
}

int tern_dtls_engine_handshake(tern_dtls_engine *e, uint64_t now, tern_span datagram,
                               tern_error *reterr)
{
    e->received += datagram.len;
    if (e->received > TERN_DTLS_HANDSHAKE_MAX) {
        return tern_fail(reterr, TERN_E_TOO_LARGE, "dtls", "the handshake is too long");
    }
    e->in = datagram;
    e->fresh = true;
    int result = SSL_do_handshake(e->ssl);
    int kind = SSL_get_error(e->ssl, result), code = 0;
    bool sent = !e->fresh;
    e->fresh = false;
    if (e->send_failed) {
        code = tern_fail(reterr, TERN_E_NOMEM, "dtls", "out of memory");
    } else if (result == 1) {
        code = done(e, reterr);
    } else if (kind != SSL_ERROR_WANT_READ) {
        code = report(reterr);
    } else if (sent) {
        arm(e, now);
    }
    ERR_clear_error();
    return code;
}

uint64_t tern_dtls_engine_deadline(const tern_dtls_engine *e)
{
    return e->deadline;
}

static void send_flight(tern_dtls_engine *e)
{
    const uint8_t *p = tern_buf_data(&e->flight);
    size_t n = tern_buf_len(&e->flight);
    for (size_t at = 0; at + 2 <= n;) {
        size_t len = tern_get16(p + at);
        e->send(e->owner, p + at + 2, len);
        at += 2 + len;
    }
}

void tern_dtls_engine_repeat(tern_dtls_engine *e)
{
    if (e->records == NULL) {
        send_flight(e);
    }
}

int tern_dtls_engine_tick(tern_dtls_engine *e, uint64_t now, tern_error *reterr)
{
    if (e->ssl == NULL || e->records != NULL || now < e->deadline) {
        return 0;
    }
    e->in = (tern_span){NULL, 0};
    e->fresh = true;
    long handled = DTLSv1_handle_timeout(e->ssl);
    e->fresh = false;
    ERR_clear_error();
    if (handled < 0 || e->send_failed) {
        return tern_fail(reterr, TERN_E_TIMEOUT, "dtls", "the peer does not answer");
    }
    if (handled == 0) {
        send_flight(e);
    }
    e->timeout = e->timeout * 2 < LAST_TIMEOUT ? e->timeout * 2 : LAST_TIMEOUT;
    e->deadline = now + e->timeout;
    return 0;
}

/* ---- after it ---- */

const uint8_t *tern_dtls_engine_fingerprint(const tern_dtls_engine *e)
{
    return e->fingerprint;
}

size_t tern_dtls_engine_early(tern_dtls_engine *e, uint8_t *out, size_t cap)
{
    if (e->ssl == NULL) {
        return 0;
    }
    int n = SSL_read(e->ssl, out, cap < INT16_MAX ? (int)cap : INT16_MAX);
    ERR_clear_error();
    if (n > 0) {
        return (size_t)n;
    }
    SSL_free(e->ssl);
    e->ssl = NULL;
    return 0;
}

ssize_t tern_dtls_engine_seal(tern_dtls_engine *e, uint8_t *record, size_t n)
{
    return tern_dtls_seal(e->records, TERN_DTLS_DATA, record, n);
}

int tern_dtls_engine_open(tern_dtls_engine *e, tern_span *datagram, uint8_t *ret_type,
                          tern_span *ret_plain)
{
    int r = tern_dtls_open(e->records, datagram, ret_type, ret_plain);
    bool again = (r == 1 || r == TERN_E_STATE) && *ret_type == TERN_DTLS_HANDSHAKE;
    if (again && tern_buf_len(&e->flight) > 0) {
        datagram->len = 0; /* one answer to the whole flight */
        if (e->repeats < REPEATS_MAX) {
            e->repeats++;
            send_flight(e);
        }
    } else if (r == 1) { /* the peer has our last flight */
        tern_buf_free(&e->flight);
    }
    return r == 1 && *ret_type == TERN_DTLS_HANDSHAKE ? TERN_E_STATE : r;
}

void tern_dtls_engine_close(tern_dtls_engine *e)
{
    static const uint8_t close_notify[] = {1, 0};
    uint8_t record[TERN_DTLS_OVERHEAD + sizeof close_notify];
    if (e->records != NULL) {
        memcpy(record + TERN_DTLS_BEFORE, close_notify, sizeof close_notify);
        ssize_t n = tern_dtls_seal(e->records, TERN_DTLS_ALERT, record, sizeof close_notify);
        if (n > 0) {
            e->send(e->owner, record, (size_t)n);
        }
    }
}
