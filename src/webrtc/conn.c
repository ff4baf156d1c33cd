/* A connection of WebRTC Direct, from the first check to the end: see conn.h.
 *
 *   client                                       server                          round trips
 *   STUN check, nominating       ->
 *                                <-  answer                                         1
 *   ClientHello                  ->
 *                                <-  ServerHello .. Done                            2
 *   Certificate .. Finished      ->
 *                                <-  Finished, SCTP INIT                            3
 *   INIT ACK, INIT               ->
 *                                <-  COOKIE ECHO with Noise's first message         4
 *   COOKIE ACK, second message   ->
 *                                <-  third message                                  5
 *   streams                      ->
 *
 * Noise runs over the negotiated channel 0 with the server as initiator, bound to both certificates
 * by its prologue; afterwards only DTLS protects what is sent (libp2p specs, webrtc-direct). */
#include "base/error.h"
#include "base/log.h"
#include "base/mem.h"
#include "crypto/symmetric.h"
#include "secure/noise.h"
#include "webrtc/conn.h"

typedef struct webrtc_noise {
    tern_secure_op op;
    webrtc_conn *c;
} webrtc_noise;

static const tern_conn_ops conn_ops;

static void on_timer(tern_timer *timer);
static void turn(tern_deferred *d);
static void noise_done(tern_op *op, const tern_error *error);

webrtc_conn *webrtc_conn_new(webrtc_endpoint *e, bool server, const tern_endpoint *remote)
{
    const tern_conn_facts nothing = {.inbound = server};
    uint8_t random[8];
    webrtc_conn *c = tern_calloc(1, sizeof *c);
    if (c == NULL) {
        return NULL;
    }
    c->net = e->w->net;
    tern_loop *loop = c->net->loop;
    tern_conn_init(&c->base, &conn_ops, loop, &nothing);
    c->endpoint = e;
    c->server = server;
    c->remote = *remote;
    c->heard = c->began = tern_loop_now(loop);
    c->linger_at = c->check_at = c->again_at = TERN_NEVER;
    tern_list_push(&e->conns, &c->link);
    e->users++;
    c->net->natives++;
    tern_deferred_init(&c->turn, turn);
    tern_loop_random(loop, random, sizeof random);
    tern_sctp_init(&c->sctp, &webrtc_sctp_events, c, random);
    tern_timer_start(loop, &c->timer, c->began + WEBRTC_SETUP_TIME, on_timer);
    return c;
}

/* ---- the end ---- */

/* A packet of SCTP's, sealed, at once. */
static void send_one(webrtc_conn *c)
{
    uint8_t record[TERN_DTLS_OVERHEAD + TERN_SCTP_PACKET];
    size_t n = tern_sctp_output(&c->sctp, tern_loop_now(c->base.loop), record + TERN_DTLS_BEFORE);
    ssize_t len = n > 0 ? tern_dtls_engine_seal(c->dtls, record, n) : 0;
    if (len > 0) {
        webrtc_endpoint_send(c->endpoint, &c->remote, record, (size_t)len);
    }
}

static void say_goodbye(webrtc_conn *c)
{
    if (c->sctp.state > TERN_SCTP_CLOSED && c->sctp.state < TERN_SCTP_DEAD) {
        tern_sctp_abort(&c->sctp);
        send_one(c);
    }
    tern_dtls_engine_close(c->dtls);
}

static void end_noise(webrtc_conn *c)
{
    webrtc_noise *n = (webrtc_noise *)(void *)c->noise;
    if (n != NULL) {
        c->noise = NULL;
        tern_op_cancel(&n->op.op);
        tern_free(n);
    }
}

void webrtc_conn_end(webrtc_conn *c, const tern_error *why)
{
    webrtc_phase was = c->phase;
    tern_error copy = *why, each = *why;
    if (was == WEBRTC_OVER) {
        return;
    }
    TERN_LOG(TERN_LOG_DEBUG, "webrtc", "conn %llu ends: %s", (unsigned long long)c->base.facts.id,
             why->text);
    c->phase = WEBRTC_OVER;
    if (was >= WEBRTC_SECURING && !c->sending) {
        say_goodbye(c);
    }
    tern_timer_stop(&c->timer);
    tern_deferred_cancel(&c->turn);
    webrtc_endpoint_forget(c->endpoint, c);
    end_noise(c);
    each.code = TERN_E_CONN_CLOSED;
    webrtc_channels_end(c, &each);
    if (c->dial != NULL) {
        webrtc_dial_failed(c, &copy);
    }
    tern_conn_finish(&c->base, &copy);
    if (was < WEBRTC_OPEN) {
        tern_conn_drop(&c->base, 0, NULL);
    }
}

void webrtc_conn_fail(webrtc_conn *c, int code, const char *text)
{
    tern_error why;
    tern_fail(&why, code, "webrtc-direct", "%s", text);
    webrtc_conn_end(c, &why);
}

static void conn_close(tern_conn *base, uint64_t code, const char *text)
{
    webrtc_conn *c = (webrtc_conn *)base;
    tern_error why;
    tern_fail(&why, TERN_OK, "webrtc-direct", "closed on this side%s%s", text != NULL ? ": " : "",
              text != NULL ? text : "");
    if (code != 0 || c->phase != WEBRTC_OPEN) {
        webrtc_conn_end(c, &why);
        return;
    }
    tern_error each = why;
    each.code = TERN_E_CONN_CLOSED;
    c->phase = WEBRTC_CLOSING;
    c->began = tern_loop_now(base->loop);
    webrtc_channels_end(c, &each);
    tern_sctp_shutdown(&c->sctp, c->began);
    webrtc_want_turn(c);
}

static void conn_destroy(tern_conn *base)
{
    webrtc_conn *c = (webrtc_conn *)base;
    webrtc_channels_free(c);
    tern_sctp_free(&c->sctp);
    tern_dtls_engine_free(c->dtls);
    if (c->ice != NULL) {
        tern_wipe(c->ice, sizeof *c->ice);
        tern_free(c->ice);
    }
    webrtc_endpoint_release(c->endpoint);
    if (--c->net->natives == 0 && c->net->sockets_gone.fn != NULL) {
        tern_defer(base->loop, &c->net->sockets_gone);
    }
    tern_free(c);
}

static tern_stream *conn_open(tern_conn *base, tern_error *reterr)
{
    webrtc_conn *c = (webrtc_conn *)base;
    int code = TERN_E_CONN_CLOSED;
    webrtc_channel *ch = c->phase == WEBRTC_OPEN ? webrtc_channel_open(c, false, &code) : NULL;
    if (ch == NULL) {
        tern_fail(reterr, code, "webrtc-direct", "cannot open a stream: %s",
                  code == TERN_E_LIMIT ? "too many are open" : tern_code_text(code));
        return NULL;
    }
    webrtc_want_turn(c);
    return &ch->base;
}

static const tern_conn_ops conn_ops = {
    .name = "webrtc-direct",
    .open = conn_open,
    .close = conn_close,
    .destroy = conn_destroy,
};

/* ---- DTLS ---- */

/* A check and a ClientHello may be forged, and the flight that they draw is longer and repeated: no
 * more leaves than three times what came, as RFC 9000 has it (8.1), until the handshake's end
 * proves the address. */
void webrtc_conn_grant(webrtc_conn *c, size_t n)
{
    if (c->server && c->phase < WEBRTC_SECURING) {
        c->credit += n;
    }
    if (c->withheld && c->phase == WEBRTC_SHAKING) { /* what did not leave may now */
        c->withheld = false;
        tern_dtls_engine_repeat(c->dtls);
    }
}

static bool send_datagram(void *owner, const uint8_t *p, size_t n)
{
    webrtc_conn *c = owner;
    if (c->server && c->phase < WEBRTC_SECURING) {
        c->withheld |= n > c->credit;
        if (c->withheld) {
            c->net->counters.dtls_withheld++;
            return true;
        }
        c->credit -= n;
    }
    webrtc_endpoint_send(c->endpoint, &c->remote, p, n);
    return true; /* a full buffer is a loss: flights are repeated */
}

/* Of an address, under a key of the process: whoever returns it receives there. */
static void make_cookie(const webrtc_conn *c, uint8_t out[TERN_DTLS_COOKIE])
{
    uint8_t mac[TERN_SHA256], port[2];
    tern_put16(port, c->remote.port);
    const tern_span v[] = {{c->remote.ip, sizeof c->remote.ip}, {port, sizeof port}};
    memset(mac, 0, sizeof mac);
    tern_hmac_sha256(c->endpoint->w->cookie_key, sizeof c->endpoint->w->cookie_key, v, 2, mac);
    memcpy(out, mac, TERN_DTLS_COOKIE);
}

static bool begin_dtls(webrtc_conn *c)
{
    tern_webrtc *w = c->endpoint->w;
    uint8_t cookie[TERN_DTLS_COOKIE];
    tern_dtls_options o = {.server = c->server, .send = send_datagram, .owner = c};
    if (c->server && w->net->pending.count > w->net->limits.pending / 2) {
        make_cookie(c, cookie);
        o.cookie = cookie;
    }
    if (tern_dtls_engine_new(c->server ? w->server : w->client, &o, &c->dtls) != 0) {
        w->net->counters.allocation_failures++;
        webrtc_conn_fail(c, TERN_E_NOMEM, "out of memory");
        return false;
    }
    c->phase = WEBRTC_SHAKING;
    return true;
}

static void put_hash(uint8_t *out, const uint8_t *hash)
{
    out[0] = 0x12; /* sha2-256 */
    out[1] = TERN_DTLS_FINGERPRINT;
    memcpy(out + 2, hash, TERN_DTLS_FINGERPRINT);
}

static bool begin_noise(webrtc_conn *c)
{
    const tern_webrtc *w = c->endpoint->w;
    const uint8_t *peer = tern_dtls_engine_fingerprint(c->dtls);
    int code;
    webrtc_channel *zero = webrtc_channel_open(c, true, &code);
    webrtc_noise *n = tern_calloc(1, sizeof *n);
    if (zero == NULL || n == NULL) {
        tern_free(n);
        if (zero != NULL) {
            tern_stream_drop(&zero->base);
        }
        return false;
    }
    memcpy(c->prologue, "libp2p-webrtc-noise:", 20);
    put_hash(c->prologue + 20, c->server ? peer : w->client_hash);
    put_hash(c->prologue + 54, c->server ? w->server_hash : peer);
    n->c = c;
    n->op = (tern_secure_op){.net = c->net,
                             .lower = &zero->base,
                             .initiator = c->server,
                             .prologue = {c->prologue, sizeof c->prologue}};
    if (c->dial != NULL) {
        n->op.expected = c->dial->expected;
    }
    tern_op_init(&n->op.op, c->base.loop, TERN_NEVER, noise_done);
    if (tern_noise.begin(&n->op) != 0) {
        tern_stream_drop(&zero->base);
        tern_free(n);
        return false;
    }
    c->noise = &n->op;
    tern_noise.attach(&n->op);
    return true;
}

static void shaken(webrtc_conn *c)
{
    uint8_t early[TERN_SCTP_MTU_MAX];
    size_t n;
    uint64_t now = tern_loop_now(c->base.loop);
    if (!c->server && !tern_eq_ct(tern_dtls_engine_fingerprint(c->dtls), c->expected_hash,
                                  TERN_DTLS_FINGERPRINT)) {
        c->net->counters.dtls_wrong_certificate++;
        webrtc_conn_fail(c, TERN_E_CRYPTO,
                         "the peer's certificate is not the one whose hash is in the address; has "
                         "its address changed?");
        return;
    }
    c->phase = WEBRTC_SECURING;
    tern_sctp_start(&c->sctp, now);
    if (!begin_noise(c)) {
        c->net->counters.allocation_failures++;
        webrtc_conn_fail(c, TERN_E_NOMEM, "out of memory");
        return;
    }
    while (c->phase != WEBRTC_OVER &&
           (n = tern_dtls_engine_early(c->dtls, early, sizeof early)) > 0) {
        tern_sctp_input(&c->sctp, now, early, n);
    }
    webrtc_want_turn(c);
}

static void shake(webrtc_conn *c, tern_span datagram)
{
    tern_error why;
    uint64_t now = tern_loop_now(c->base.loop);
    int r = tern_dtls_engine_handshake(c->dtls, now, datagram, &why);
    if (r < 0) {
        c->net->counters.dtls_failed++;
        webrtc_conn_end(c, &why);
    } else if (r == 1) {
        c->heard = now;
        shaken(c);
    } else {
        webrtc_want_turn(c); /* sets the timer */
    }
}

/* The peer's alert; whatever it says, nothing follows. */
static void on_alert(webrtc_conn *c, tern_span plain)
{
    bool good = plain.len == 2 && plain.data[1] == 0;
    tern_error why;
    tern_fail_wire(&why, good ? TERN_OK : TERN_E_CONN_CLOSED, plain.len == 2 ? plain.data[1] : 0,
                   "dtls", good ? "the peer closed the connection" : "the peer sent an alert");
    tern_sctp_abort(&c->sctp);
    webrtc_conn_end(c, &why);
}

void webrtc_conn_shake(webrtc_conn *c)
{
    if (begin_dtls(c)) {
        shake(c, (tern_span){NULL, 0});
    }
}

void webrtc_conn_dtls(webrtc_conn *c, tern_span datagram)
{
    tern_span plain;
    uint8_t type;
    int r;
    if (c->phase == WEBRTC_CHECKING && (!c->server || !begin_dtls(c))) {
        return; /* nothing was asked for yet */
    }
    if (c->phase == WEBRTC_SHAKING) {
        webrtc_conn_grant(c, 3 * datagram.len);
        shake(c, datagram);
        return;
    }
    uint64_t now = tern_loop_now(c->base.loop);
    while (c->phase != WEBRTC_OVER &&
           (r = tern_dtls_engine_open(c->dtls, &datagram, &type, &plain)) != 0) {
        if (r < 0) {
            c->net->counters.dtls_dropped++;
            if (r == TERN_E_MALFORMED) {
                return;
            }
            continue;
        }
        c->heard = now;
        if (type == TERN_DTLS_DATA) {
            tern_sctp_input(&c->sctp, now, (uint8_t *)(uintptr_t)plain.data, plain.len);
        } else if (type == TERN_DTLS_ALERT) {
            on_alert(c, plain);
        }
    }
    c->base.facts.rtt = c->sctp.srtt;
    webrtc_want_turn(c);
}

/* ---- Noise ---- */

static bool set_facts(webrtc_conn *c, tern_secure_op *op)
{
    tern_conn_facts *f = &c->base.facts;
    tern_endpoint local;
    tern_udp_port_local(c->endpoint->port, &local);
    if (tern_endpoint_is_unspecified(&local) && tern_endpoint_is_loopback(&c->remote)) {
        uint16_t port = local.port;
        local = c->remote;
        local.port = port;
    }
    f->peer = op->peer;
    f->key = op->key;
    op->key = NULL;
    f->local = webrtc_addr(&local, NULL);
    f->remote = c->dial != NULL ? tern_multiaddr_ref(c->dial->addr) : webrtc_addr(&c->remote, NULL);
    f->transport = "webrtc-direct";
    f->security = "noise";
    f->muxer = "native";
    f->opened = tern_loop_now(c->base.loop);
    f->id = ++c->net->conn_ids;
    f->rtt = c->sctp.srtt;
    return f->local != NULL && f->remote != NULL;
}

static void noise_done(tern_op *op, const tern_error *error)
{
    webrtc_noise *n = TERN_CONTAINER(op, webrtc_noise, op.op);
    webrtc_conn *c = n->c;
    tern_error why = *error;
    c->noise = NULL;
    bool good = why.code == 0 && set_facts(c, &n->op);
    if (why.code == 0) {
        tern_buf_free(&n->op.peer_certhashes);
        tern_key_unref(n->op.key);
        tern_stream_drop(n->op.stream);
    }
    tern_free(n);
    if (c->phase == WEBRTC_OVER) { /* a last word found no memory */
        return;
    }
    if (!good) {
        c->net->counters.upgrade_failures++;
        if (why.code == 0) {
            tern_fail(&why, TERN_E_NOMEM, "webrtc-direct", "out of memory");
        }
        webrtc_conn_end(c, &why);
        return;
    }
    c->phase = WEBRTC_OPEN;
    c->net->counters.upgrades++;
    tern_crowds_leave(&c->net->pending, &c->place);
    webrtc_want_turn(c);
    webrtc_deliver(c);
}

/* ---- time, and what is to be sent ---- */

static uint64_t earlier(uint64_t a, uint64_t b)
{
    return a < b ? a : b;
}

static void rearm(webrtc_conn *c)
{
    uint64_t at = c->heard + WEBRTC_SILENCE;
    if (c->phase < WEBRTC_OPEN) {
        at = earlier(at, c->began + WEBRTC_SETUP_TIME);
    }
    if (c->phase == WEBRTC_CLOSING) {
        at = earlier(at, c->began + WEBRTC_CLOSE_TIME);
    }
    if (c->phase == WEBRTC_SHAKING) {
        at = earlier(at, tern_dtls_engine_deadline(c->dtls));
    }
    if (c->phase >= WEBRTC_SECURING) {
        at = earlier(at, tern_sctp_deadline(&c->sctp));
    }
    if (c->stalled != 0) {
        at = earlier(at, c->stalled + WEBRTC_STALL);
    }
    at = earlier(at, earlier(webrtc_conn_checks_at(c), c->linger_at));
    /* A timer that fires too early costs little; moving it with every packet costs more. */
    if (!tern_timer_armed(&c->timer) || c->timer.at > at) {
        tern_timer_start(c->base.loop, &c->timer, at, on_timer);
    }
}

static void turn(tern_deferred *d)
{
    webrtc_conn *c = TERN_CONTAINER(d, webrtc_conn, turn);
    webrtc_endpoint *e = c->endpoint;
    uint64_t now = tern_loop_now(c->base.loop);
    uint8_t *place;
    c->sending = true;
    while (c->phase >= WEBRTC_SECURING && (place = webrtc_endpoint_place(e)) != NULL) {
        size_t n = tern_sctp_output(&c->sctp, now, place + TERN_DTLS_BEFORE);
        ssize_t len = n > 0 ? tern_dtls_engine_seal(c->dtls, place, n) : 0;
        if (len <= 0) {
            if (len < 0) {
                webrtc_conn_fail(c, TERN_E_CRYPTO, "a record cannot be sealed");
            }
            break;
        }
        if (!webrtc_endpoint_placed(e, &c->remote, (size_t)len)) {
            break;
        }
    }
    webrtc_endpoint_flush(e);
    c->sending = false;
    if (c->phase == WEBRTC_OVER) {
        tern_dtls_engine_close(c->dtls); /* the end came while it was sent */
    } else {
        rearm(c);
    }
}

static void on_timer(tern_timer *timer)
{
    webrtc_conn *c = TERN_CONTAINER(timer, webrtc_conn, timer);
    uint64_t now = tern_loop_now(c->base.loop);
    tern_error why;
    if (c->phase < WEBRTC_OPEN && now >= c->began + WEBRTC_SETUP_TIME) {
        c->net->counters.upgrade_timeouts++;
        webrtc_conn_fail(c, TERN_E_TIMEOUT, "the connection was not secured in time");
        return;
    }
    if (c->phase == WEBRTC_CLOSING && now >= c->began + WEBRTC_CLOSE_TIME) {
        webrtc_conn_fail(c, TERN_OK, "closed on this side");
        return;
    }
    if (now >= c->heard + WEBRTC_SILENCE) {
        webrtc_conn_fail(c, TERN_E_TIMEOUT, "nothing was heard of the peer for 30 seconds");
        return;
    }
    webrtc_conn_checks_tick(c, now);
    if (c->phase == WEBRTC_SHAKING && tern_dtls_engine_tick(c->dtls, now, &why) != 0) {
        webrtc_conn_end(c, &why);
        return;
    }
    if (c->phase >= WEBRTC_SECURING) {
        tern_sctp_tick(&c->sctp, now);
    }
    if (c->phase != WEBRTC_OVER) {
        webrtc_channels_tick(c, now);
    }
    if (c->phase != WEBRTC_OVER) {
        webrtc_want_turn(c);
    }
}
