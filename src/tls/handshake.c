/* A handshake's messages, whole or in parts, and its end: see handshake.h. */
#include "tls/handshake.h"

#include "base/error.h"
#include "base/mem.h"
#include "tls/inside.h"

enum {
    HELLO_MAX = 16 << 10, /* bytes of a hello, and of what has no longer part */
    CERTIFICATE_MAX = TERN_CERT_MAX + 1024,
    TICKET_MESSAGE_MAX = (1 << 17) + 512, /* a ticket and its extensions have 16-bit lengths */
    PARAMS_MAX = 1024,
};

/* ---- birth and end ---- */

tern_handshake *tern_handshake_new(const tern_handshake_config *config,
                                   const tern_handshake_ops *ops, void *owner)
{
    tern_handshake *h = tern_calloc(1, sizeof *h);
    if (h == NULL) {
        return NULL;
    }
    h->config = *config;
    h->config.ticket = NULL;
    h->ops = ops;
    h->owner = owner;
    h->state = config->server ? TLS_WAIT_CLIENT_HELLO : TLS_WAIT_SERVER_HELLO;
    h->alert = TERN_ALERT_INTERNAL_ERROR;
    h->why = "the handshake has not failed";
    h->tickets = -1;
    if (config->ticket != NULL) {
        const tern_ticket *t = config->ticket;
        if (tern_buf_append(&h->ticket, t->bytes.data, t->bytes.len) != 0) {
            tern_free(h);
            return NULL;
        }
        h->psk = t->psk;
        h->offered = 1;
        h->early_offered = config->early && t->early;
        h->config.ticket_age = config->ticket_age + t->age_add;
    }
    return h;
}

static void free_wiped(tern_buf *b)
{
    if (tern_buf_len(b) > 0) {
        tern_wipe(tern_buf_data(b), tern_buf_len(b));
    }
    tern_buf_free(b);
}

void tern_handshake_free(tern_handshake *h)
{
    if (h == NULL) {
        return;
    }
    tls_share_clear(&h->share);
    tern_hash_free(h->transcript);
    tern_buf_free(&h->in);
    free_wiped(&h->out.buf);
    tern_buf_free(&h->hello);
    tern_buf_free(&h->ticket);
    tern_buf_free(&h->spki);
    tern_wipe(h, sizeof *h);
    tern_free(h);
}

int tls_fail(tern_handshake *h, int code, tern_alert alert, const char *why)
{
    if (h->state != TLS_FAILED) { /* the first reason counts */
        h->state = TLS_FAILED;
        h->alert = alert;
        h->why = why;
    }
    return code;
}

int tls_fail_inside(tern_handshake *h, int code)
{
    return tls_fail(h, code, TERN_ALERT_INTERNAL_ERROR,
                    code == TERN_E_NOMEM ? "out of memory" : "the handshake cannot go on here");
}

/* ---- messages in ---- */

/* Under which keys the next message must come. */
static tern_level expected_level(const tern_handshake *h)
{
    switch (h->state) {
    case TLS_WAIT_CLIENT_HELLO:
    case TLS_WAIT_SERVER_HELLO:
        return TERN_LEVEL_INITIAL;
    case TLS_DONE:
        return TERN_LEVEL_TRAFFIC;
    default:
        return TERN_LEVEL_HANDSHAKE;
    }
}

static size_t length_of(const uint8_t *head)
{
    return (size_t)head[1] << 16 | (size_t)head[2] << 8 | head[3];
}

/* What may be long is so only where it may come. */
static int check_head(tern_handshake *h, const uint8_t *head)
{
    bool certificate =
        h->state == TLS_WAIT_CERTIFICATE || h->state == TLS_WAIT_CERTIFICATE_OR_REQUEST;
    bool ticket = h->state == TLS_DONE && !h->config.server;
    size_t most = certificate && head[0] == TLS_CERTIFICATE     ? CERTIFICATE_MAX
                  : ticket && head[0] == TLS_NEW_SESSION_TICKET ? TICKET_MESSAGE_MAX
                                                                : HELLO_MAX;
    return length_of(head) <= most ? 0
                                   : tls_fail(h, TERN_E_TOO_LARGE, TERN_ALERT_DECODE_ERROR,
                                              "a message of the handshake is too long");
}

static int take_message(tern_handshake *h, tern_span whole)
{
    tern_span body = {whole.data + TLS_HEAD, whole.len - TLS_HEAD};
    return h->config.server ? tls_server_message(h, whole.data[0], body, whole)
                            : tls_client_message(h, whole.data[0], body, whole);
}

/* Takes one message from the front, or keeps the part that there is. Where keys change no part is
 * left: it would be under the old ones (section 5.1). */
static int feed(tern_handshake *h, tern_level level, tern_span *rest)
{
    tern_span part, whole;
    size_t kept = tern_buf_len(&h->in);
    if (level != expected_level(h)) {
        return tls_fail(h, TERN_E_PROTOCOL, TERN_ALERT_UNEXPECTED_MESSAGE,
                        "a message comes under the wrong keys");
    }
    if (kept == 0 && rest->len >= TLS_HEAD && rest->len - TLS_HEAD >= length_of(rest->data)) {
        int e = check_head(h, rest->data);
        if (e == 0) {
            tls_take(rest, TLS_HEAD + length_of(rest->data), &whole);
            e = take_message(h, whole);
        }
        return e;
    }
    size_t want = TLS_HEAD + (kept >= TLS_HEAD ? length_of(tern_buf_data(&h->in)) : 0);
    tls_take(rest, want - kept < rest->len ? want - kept : rest->len, &part);
    int e = tern_buf_append(&h->in, part.data, part.len);
    if (e != 0) {
        return tls_fail_inside(h, e);
    }
    kept += part.len;
    if (kept < TLS_HEAD) {
        return 0;
    }
    e = check_head(h, tern_buf_data(&h->in));
    if (e == 0 && kept == TLS_HEAD + length_of(tern_buf_data(&h->in))) {
        tern_buf message = h->in;
        tern_buf_init(&h->in, 0);
        e = take_message(h, (tern_span){tern_buf_data(&message), kept});
        tern_buf_free(&message);
    }
    return e;
}

int tern_handshake_feed(tern_handshake *h, tern_level level, const uint8_t *p, size_t n)
{
    tern_span rest = {p, n};
    int e = 0;
    if (h->state == TLS_FAILED) {
        return TERN_E_STATE;
    }
    while (rest.len > 0 && e == 0) {
        e = feed(h, level, &rest);
    }
    if (e != 0) {
        tls_fail_inside(h, e); /* unless it said itself why */
    }
    return e;
}

/* ---- messages out ---- */

size_t tls_begin(tern_handshake *h, uint8_t type)
{
    return tls_open_message(&h->out, type) - 1;
}

int tls_finish(tern_handshake *h, size_t at)
{
    TLS_CLOSE_MESSAGE(&h->out, at + 1);
    if (h->out.failed) {
        return TERN_E_NOMEM;
    }
    return tern_hash_add(h->transcript, (tern_span){tern_buf_data(&h->out.buf) + at,
                                                    tern_buf_len(&h->out.buf) - at});
}

int tls_flush(tern_handshake *h)
{
    size_t n = tern_buf_len(&h->out.buf);
    if (h->out.failed) {
        return TERN_E_NOMEM;
    }
    int e = n > 0 ? h->ops->send(h->owner, h->out_level, tern_buf_data(&h->out.buf), n) : 0;
    tern_buf_consume(&h->out.buf, n);
    return e;
}

int tls_params_come(tern_handshake *h, tern_span params)
{
    if (h->params_came) {
        return 0;
    }
    h->params_came = 1;
    int e = h->ops->params_in(h->owner, params);
    return e == 0 ? 0
                  : tls_fail(h, e, TERN_ALERT_ILLEGAL_PARAMETER,
                             "the peer's transport parameters make no sense");
}

int tls_put_params(tern_handshake *h)
{
    uint8_t params[PARAMS_MAX];
    if (h->config.params == 0) {
        return 0;
    }
    ssize_t n = h->ops->params_out(h->owner, params, sizeof params);
    if (n < 0) {
        return (int)n;
    }
    size_t at = tls_open_extension(&h->out, h->config.params);
    tls_put(&h->out, params, (size_t)n);
    TLS_CLOSE_EXTENSION(&h->out, at);
    return 0;
}

int tls_complete(tern_handshake *h)
{
    tls_share_clear(&h->share);
    tern_hash_free(h->transcript);
    h->transcript = NULL;
    tern_buf_free(&h->out.buf);
    tern_wipe(h->secret, sizeof h->secret);
    tern_wipe(h->client, sizeof h->client);
    tern_wipe(h->server, sizeof h->server);
    tern_wipe(h->client_app, sizeof h->client_app);
    tern_wipe(h->server_app, sizeof h->server_app);
    tern_wipe(&h->psk, sizeof h->psk);
    h->state = TLS_DONE;
    return h->ops->done(h->owner);
}

/* ---- what both say ---- */

/* SHA-256 of "HelloRetryRequest" (section 4.1.3). */
const uint8_t tls_retry_random[TLS_RANDOM] = {
    0xcf, 0x21, 0xad, 0x74, 0xe5, 0x9a, 0x61, 0x11, 0xbe, 0x1d, 0x8c, 0x02, 0x1e, 0x65, 0xb8, 0x91,
    0xc2, 0xa2, 0x11, 0x16, 0x7a, 0xbb, 0x8c, 0x5e, 0x07, 0x9e, 0x09, 0xe2, 0xc8, 0xa8, 0x33, 0x9c};

/* AES has hardware, and ChaCha20 is slow in GnuTLS, which protects QUIC's packets. */
const tern_aead_kind tls_ciphers[TLS_CIPHERS] = {TERN_AES_128_GCM, TERN_AES_256_GCM,
                                                 TERN_CHACHA20_POLY1305};

uint16_t tls_suite(tern_aead_kind cipher)
{
    return cipher == TERN_AES_128_GCM   ? TERN_TLS_AES_128_GCM_SHA256
           : cipher == TERN_AES_256_GCM ? TERN_TLS_AES_256_GCM_SHA384
                                        : TERN_TLS_CHACHA20_POLY1305_SHA256;
}

bool tls_cipher_of(uint16_t suite, tern_aead_kind *ret)
{
    for (unsigned i = 0; i < TLS_CIPHERS; i++) {
        if (tls_suite(tls_ciphers[i]) == suite) {
            *ret = tls_ciphers[i];
            return true;
        }
    }
    return false;
}

size_t tls_put_message_hash(tern_hash_kind kind, tern_span hello, uint8_t *out)
{
    const uint8_t head[TLS_HEAD] = {TLS_MESSAGE_HASH, 0, 0, (uint8_t)tern_hash_size(kind)};
    memcpy(out, head, sizeof head);
    return tern_hash_of(kind, &hello, 1, out + TLS_HEAD) == 0 ? TLS_HEAD + tern_hash_size(kind) : 0;
}

/* ---- questions and orders ---- */

int tern_handshake_start(tern_handshake *h)
{
    int e = tls_client_start(h);
    return e == 0 ? 0 : tls_fail_inside(h, e);
}

int tern_handshake_give(tern_handshake *h, tern_span ticket, uint32_t lifetime, uint32_t age_add,
                        bool early, tern_psk *ret_psk)
{
    uint8_t nonce = h->given++;
    int e = tls_ticket_psk(h, (tern_span){&nonce, 1}, ret_psk);
    if (e != 0) {
        return e;
    }
    tls_out *o = &h->out;
    size_t message = tls_open_message(o, TLS_NEW_SESSION_TICKET);
    tls_put32(o, lifetime);
    tls_put32(o, age_add);
    size_t at = tls_open(o, 1);
    tls_put8(o, nonce);
    tls_close(o, at, 1);
    at = tls_open(o, 2);
    tls_put(o, ticket.data, ticket.len);
    tls_close(o, at, 2);
    size_t extensions = tls_open(o, 2);
    if (early) {
        at = tls_open_extension(o, TLS_EXT_EARLY_DATA);
        tls_put32(o, UINT32_MAX); /* QUIC's (RFC 9001, section 4.6.1) */
        TLS_CLOSE_EXTENSION(o, at);
    }
    tls_close(o, extensions, 2);
    TLS_CLOSE_MESSAGE(o, message);
    h->out_level = TERN_LEVEL_TRAFFIC;
    return tls_flush(h);
}

tern_alert tern_handshake_alert(const tern_handshake *h)
{
    return h->alert;
}

const char *tern_handshake_why(const tern_handshake *h)
{
    return h->why;
}

bool tern_handshake_done(const tern_handshake *h)
{
    return h->state == TLS_DONE;
}

bool tern_handshake_resumed(const tern_handshake *h)
{
    return h->resumed;
}

bool tern_handshake_early(const tern_handshake *h)
{
    return h->early;
}

tern_span tern_handshake_alpn(const tern_handshake *h)
{
    return h->alpn;
}

bool tern_handshake_whole(const tern_handshake *h)
{
    return tern_buf_len(&h->in) == 0;
}

int tern_handshake_tickets(const tern_handshake *h)
{
    return h->tickets;
}
