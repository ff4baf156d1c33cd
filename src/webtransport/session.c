/* A WebTransport session: CONNECT, Noise, the end. See session.h. */
#include "webtransport/session.h"

#include "base/error.h"
#include "base/log.h"
#include "base/mem.h"
#include "crypto/cert_short.h"
#include "crypto/symmetric.h"
#include "secure/noise.h"
#include "webtransport/h3_fields.h"

typedef struct wt_noise {
    tern_secure_op op;
    wt_session *s;
    tern_span hashes[WT_HASHES];
} wt_noise;

enum { CLOSE_TEXT_MAX = 256, NEGOTIATION_FAILED = 0x1000, PROTOCOL_VIOLATION = 0x1003 };

/* ---- the end ---- */

/* A capsule that says that the session is over, and the end of its stream. */
static void say_closed(wt_session *s, uint64_t code, const char *text)
{
    uint8_t out[32 + CLOSE_TEXT_MAX], capsule[2 * TERN_H3_INT_MAX];
    size_t n = text != NULL ? strlen(text) : 0;
    if (s->closed || s->connect == NULL || !s->accepted) {
        return;
    }
    s->closed = true;
    n = n < CLOSE_TEXT_MAX ? n : CLOSE_TEXT_MAX;
    size_t head = tern_h3_head_put(capsule, TERN_WT_CLOSE, 4 + n);
    size_t at = tern_h3_head_put(out, TERN_H3_DATA, head + 4 + n);
    memcpy(out + at, capsule, head);
    at += head;
    tern_put32(out + at, code <= UINT32_MAX ? (uint32_t)code : UINT32_MAX);
    at += 4;
    if (n > 0) {
        memcpy(out + at, text, n);
    }
    tern_stream_write(s->connect->s, out, at + n);
    tern_stream_end(s->connect->s);
}

static void fail(wt_session *s, uint64_t wire, const tern_error *why)
{
    if (!s->failed) {
        s->failed = true;
        if (wire == TERN_H3_NO_ERROR) {
            say_closed(s,
                       why->code == 0                ? 0
                       : why->code == TERN_E_TIMEOUT ? NEGOTIATION_FAILED
                                                     : PROTOCOL_VIOLATION,
                       NULL);
        }
        tern_quic_app_fail(s->q, wire, why);
    }
}

void wt_session_fail(wt_session *s, uint64_t wire, uint64_t *count, int code, const char *text)
{
    tern_error why;
    if (s->failed) {
        return;
    }
    *(count != NULL ? count : &(uint64_t){0}) += 1;
    tern_fail_wire(&why, code, wire, "webtransport", "%s", text);
    fail(s, wire, &why);
}

void wt_session_broken(wt_session *s, uint64_t wire, const char *text)
{
    wt_session_fail(s, wire, &s->net->counters.h3_malformed, TERN_E_PROTOCOL, text);
}

void wt_session_ended(wt_session *s, uint64_t code, const char *text)
{
    tern_error why;
    int kind = !s->given ? TERN_E_CONN_CLOSED : code != 0 ? TERN_E_RESET : TERN_OK;
    tern_fail_wire(&why, kind, code, "webtransport", "%s", text);
    s->closed = true; /* nothing is to be said any more */
    fail(s, TERN_H3_NO_ERROR, &why);
}

void wt_session_capsules(wt_session *s, tern_span bytes)
{
    tern_h3_item item;
    int r = 0;
    while (!s->failed && (r = tern_h3_next(&s->capsules, &bytes, &item)) == 1) {
        if (item.type != TERN_WT_CLOSE) {
            continue; /* RFC 9297, section 3.2 */
        }
        if (item.value.len < 4) {
            wt_session_fail(s, TERN_H3_MESSAGE_ERROR, &s->net->counters.wt_bad_capsule,
                            TERN_E_PROTOCOL, "a capsule that is too short");
            return;
        }
        wt_session_ended(s, tern_get32(item.value.data), "the peer closed the session");
    }
    if (r < 0) {
        wt_session_fail(s, TERN_H3_MESSAGE_ERROR, &s->net->counters.wt_bad_capsule,
                        TERN_E_TOO_LARGE, "a capsule beyond its limit");
    }
}

void wt_session_capsules_end(wt_session *s)
{
    if (!tern_h3_reader_between(&s->capsules)) {
        wt_session_fail(s, TERN_H3_MESSAGE_ERROR, &s->net->counters.wt_bad_capsule, TERN_E_PROTOCOL,
                        "a capsule that is cut off");
    } else {
        wt_session_ended(s, 0, "the peer ended the session");
    }
}

static void end_noise(wt_session *s)
{
    wt_noise *n = (wt_noise *)(void *)s->noise;
    if (n != NULL) {
        s->noise = NULL;
        tern_op_cancel(&n->op.op);
        tern_free(n);
    }
}

void wt_session_free(wt_session *s)
{
    tern_timer_stop(&s->deadline);
    end_noise(s);
    s->failed = true;
    wt_streams_drop(s);
    if (s->auth != NULL) {
        tern_stream_drop(s->auth);
    }
    if (s->control != NULL) {
        tern_stream_drop(s->control);
    }
    tern_h3_reader_clear(&s->capsules);
    tern_key_unref(s->key);
    tern_multiaddr_unref(s->addr);
    tern_free(s);
}

static void on_gone(void *session, tern_error *why)
{
    wt_session *s = session;
    if (!s->given && why->code == 0) {
        why->code = TERN_E_CONN_CLOSED; /* a good end, but too early */
    }
    wt_session_free(s);
}

/* ---- birth ---- */

static void on_deadline(tern_timer *timer)
{
    wt_session *s = TERN_CONTAINER(timer, wt_session, deadline);
    wt_session_fail(s, TERN_H3_NO_ERROR, NULL, TERN_E_TIMEOUT,
                    s->accepted ? "no Noise handshake in time" : "no session in time");
}

static wt_session *new_session(tern_net *net, bool server)
{
    wt_session *s = tern_calloc(1, sizeof *s);
    if (s != NULL) {
        s->net = net;
        s->server = server;
        tern_list_init(&s->streams);
        tern_h3_reader_init(&s->capsules, tern_h3_most_of_capsule);
    }
    return s;
}

wt_session *wt_session_dial(tern_net *net, tern_multiaddr *addr, const tern_endpoint *to,
                            const tern_peer_id *expected)
{
    wt_session *s = new_session(net, false);
    if (s != NULL) {
        s->addr = tern_multiaddr_ref(addr);
        s->expected = *expected;
        tern_endpoint_text(s->authority, to);
    }
    return s;
}

static void *on_accept(tern_net *net, struct quic_conn *q)
{
    wt_session *s = new_session(net, true);
    if (s != NULL) {
        s->q = q;
        tern_timer_start(net->loop, &s->deadline,
                         tern_loop_now(net->loop) + net->limits.upgrade_time, on_deadline);
    }
    return s;
}

static void out_of_memory(wt_session *s)
{
    wt_session_fail(s, TERN_H3_INTERNAL_ERROR, &s->net->counters.allocation_failures, TERN_E_NOMEM,
                    "out of memory");
}

static bool open_control(wt_session *s)
{
    uint8_t out[TERN_H3_OPENING_MAX];
    tern_error why;
    s->control = tern_quic_app_open(s->q, false, &why);
    if (s->control == NULL) {
        wt_session_fail(s, TERN_H3_STREAM_CREATION_ERROR, NULL, why.code, why.text);
        return false;
    }
    tern_stream_write(s->control, out, tern_h3_opening(out, s->server));
    return true;
}

static bool send_connect(wt_session *s)
{
    tern_buf out;
    tern_error why;
    tern_stream *stream = tern_quic_app_open(s->q, true, &why);
    wt_stream *w = stream != NULL ? wt_stream_of_ours(s, stream) : NULL;
    tern_buf_init(&out, 0);
    bool good =
        w != NULL && tern_h3_put_connect(&out, s->authority, WT_PATH "?" WT_QUERY) == 0 &&
        tern_stream_write(stream, tern_buf_data(&out), tern_buf_len(&out)) == tern_buf_len(&out);
    tern_buf_free(&out);
    s->id = 0; /* the first stream of a client's */
    return good;
}

/* A stream of the session, with what it begins with; nobody's yet. */
static tern_stream *open_stream(wt_session *s, tern_error *reterr)
{
    uint8_t head[2 * TERN_H3_INT_MAX];
    tern_stream *stream = tern_quic_app_open(s->q, true, reterr);
    if (stream == NULL) {
        return NULL;
    }
    size_t n = tern_h3_prefix_put(head, s->id);
    if (tern_stream_write(stream, head, n) < n) {
        tern_stream_reset(stream, TERN_H3_INTERNAL_ERROR);
        tern_stream_drop(stream);
        tern_fail(reterr, TERN_E_NOMEM, "webtransport", "out of memory");
        return NULL;
    }
    return stream;
}

static bool begin_noise(wt_session *s, tern_stream *stream);

static void on_begin(void *session, struct quic_conn *q)
{
    wt_session *s = session;
    tern_error why;
    s->q = q;
    if (!open_control(s) || s->server) {
        return;
    }
    tern_stream *stream = send_connect(s) ? open_stream(s, &why) : NULL;
    if (stream == NULL || !begin_noise(s, stream)) {
        out_of_memory(s);
    }
}

/* ---- the certificate ---- */

static int on_verify(void *session, tern_span der, tern_error *reterr)
{
    wt_session *s = session;
    uint8_t hash[TERN_SHA256];
    const char *text;
    bool found = false;
    int code = tern_sha256(&der, 1, hash);
    for (size_t i = 0; i < s->hash_count; i++) {
        found |= tern_eq_ct(s->hashes[i] + 2, hash, sizeof hash);
    }
    if (code == 0 && !found) {
        s->net->counters.wt_wrong_certificate++;
        return tern_fail(reterr, TERN_E_CRYPTO, "webtransport",
                         "the peer's certificate is none of those whose hashes are in the address; "
                         "has its address changed?");
    }
    if (code == 0) {
        code = tern_cert_check_short(der, tern_loop_wall(s->net->loop), &text);
    } else {
        text = "the certificate cannot be hashed";
    }
    if (code != 0) {
        s->net->counters.tls_bad_certificate++;
        return tern_fail(reterr, code, "webtransport", "%s", text);
    }
    return 0;
}

/* ---- Noise ---- */

/* Whoever shows us a certificate of his own and hands on what Noise says is found out here: the
 * peer does not tell of his. */
static bool told(const wt_session *s, const tern_buf *list)
{
    for (size_t i = 0; i < s->hash_count; i++) {
        const uint8_t *p = tern_buf_data(list);
        size_t left = tern_buf_len(list);
        bool found = false;
        while (left > 0 && !found) {
            size_t n = p[0];
            if (n >= 0x80 || n > left - 1) {
                break; /* longer than any hash of ours, or cut off */
            }
            found = n == WT_HASH && memcmp(p + 1, s->hashes[i], WT_HASH) == 0;
            p += 1 + n;
            left -= 1 + n;
        }
        if (!found) {
            return false;
        }
    }
    return true;
}

static bool set_facts(wt_session *s)
{
    tern_conn_facts *f = &tern_quic_app_conn(s->q)->facts;
    tern_multiaddr *local = tern_ma_with(f->local, TERN_MA_WEBTRANSPORT, NULL, 0);
    tern_multiaddr *remote = s->addr != NULL
                                 ? tern_multiaddr_ref(s->addr)
                                 : tern_ma_with(f->remote, TERN_MA_WEBTRANSPORT, NULL, 0);
    if (local == NULL || remote == NULL) {
        tern_multiaddr_unref(local);
        tern_multiaddr_unref(remote);
        return false;
    }
    tern_multiaddr_unref(f->local);
    tern_multiaddr_unref(f->remote);
    f->local = local;
    f->remote = remote;
    f->transport = "webtransport";
    f->security = "noise";
    return true;
}

/* The peer is known and the session is open: the conn goes to its owner. */
static void maybe_ready(wt_session *s)
{
    if (s->failed || s->given || !s->accepted || s->key == NULL || (!s->server && !s->allowed)) {
        return;
    }
    if (!set_facts(s)) {
        out_of_memory(s);
        return;
    }
    tern_timer_stop(&s->deadline);
    s->given = true;
    tern_key *key = s->key;
    s->key = NULL;
    tern_quic_app_ready(s->q, key);
}

static void auth_closed(void *owner, tern_stream *stream, const tern_error *why)
{
    wt_session *s = owner;
    (void)stream;
    (void)why;
    s->auth = NULL;
}

/* Its bytes are dropped until the peer ends it, too: a browser takes STOP_SENDING for an error. */
static const tern_stream_events auth_events = {.on_closed = auth_closed};

static void noise_done(tern_op *op, const tern_error *error)
{
    wt_noise *n = TERN_CONTAINER(op, wt_noise, op.op);
    wt_session *s = n->s;
    tern_error why = *error;
    s->noise = NULL;
    if (why.code == 0) {
        s->auth = n->op.stream;
        tern_stream_take(s->auth, &auth_events, s);
        tern_stream_end(s->auth);
        s->key = n->op.key;
        if (!s->server && !told(s, &n->op.peer_certhashes)) {
            s->net->counters.wt_wrong_certhash++;
            tern_fail(&why, TERN_E_CRYPTO, "webtransport",
                      "the peer does not vouch for the certificate that was shown");
        }
        tern_buf_free(&n->op.peer_certhashes);
    }
    tern_free(n);
    if (why.code != 0) {
        fail(s, TERN_H3_NO_ERROR, &why);
        return;
    }
    maybe_ready(s);
}

static bool begin_noise(wt_session *s, tern_stream *stream)
{
    wt_noise *n = tern_calloc(1, sizeof *n);
    if (n == NULL) {
        tern_stream_drop(stream);
        return false;
    }
    n->s = s;
    n->op = (tern_secure_op){
        .net = s->net, .lower = stream, .initiator = !s->server, .expected = s->expected};
    if (s->server && s->net->webtransport != NULL) {
        for (size_t i = 0; i < WT_HASHES; i++) {
            n->hashes[i] = (tern_span){s->net->webtransport->hashes[i], WT_HASH};
        }
        n->op.certhashes = n->hashes;
        n->op.certhash_count = WT_HASHES;
    }
    tern_op_init(&n->op.op, s->net->loop, TERN_NEVER, noise_done);
    if (tern_noise.begin(&n->op) != 0) {
        tern_stream_drop(stream);
        tern_free(n);
        return false;
    }
    s->noise = &n->op;
    tern_noise.attach(&n->op);
    return true;
}

/* ---- the session ---- */

void wt_session_allowed(wt_session *s)
{
    s->allowed = true;
    maybe_ready(s);
}

void wt_session_accepted(wt_session *s, wt_stream *connect)
{
    s->connect = connect;
    s->id = tern_stream_id(connect->s);
    s->accepted = true;
    wt_streams_go_on(s);
    maybe_ready(s);
}

void wt_session_stream(wt_session *s, tern_stream *stream)
{
    if (s->server && s->noise == NULL && s->key == NULL && !s->given) {
        if (!begin_noise(s, stream)) {
            out_of_memory(s);
        }
        return;
    }
    tern_quic_app_give(stream);
    tern_conn_accept(tern_quic_app_conn(s->q), stream);
}

static void on_stream(void *session, tern_stream *stream, bool both_ways)
{
    wt_stream_came(session, stream, both_ways);
}

static tern_stream *on_open(void *session, tern_error *reterr)
{
    wt_session *s = session;
    if (s->failed) {
        tern_fail(reterr, TERN_E_CONN_CLOSED, "webtransport", "the session is over");
        return NULL;
    }
    tern_stream *stream = open_stream(s, reterr);
    if (stream != NULL) {
        tern_quic_app_give(stream);
    }
    return stream;
}

static void on_closing(void *session, uint64_t code, const char *text)
{
    say_closed(session, code, text);
}

const tern_quic_app wt_app = {
    .name = "webtransport",
    .alpn = "h3",
    .no_error = TERN_H3_NO_ERROR,
    .accept = on_accept,
    .begin = on_begin,
    .verify = on_verify,
    .on_stream = on_stream,
    .open = on_open,
    .closing = on_closing,
    .code_out = tern_wt_code_out,
    .code_in = tern_wt_code_in,
    .gone = on_gone,
};
