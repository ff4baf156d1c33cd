/* Keeping a place at a relay: see circuit.h.
 *
 *     dial the relay -> RESERVE -> held until renewed; whatever fails is tried again later */
#include "nat/circuit_inner.h"

#include "base/error.h"
#include "base/log.h"
#include "base/mem.h"
#include "nat/relay_find.h"
#include "nat/voucher.h"

enum { DOUBLINGS = 6 };
#define FIRST_PAUSE (5 * TERN_SEC) /* doubled with each failure, up to about five minutes */
#define ANSWER_TIME (30 * TERN_SEC)
#define LEAST_TIME  (30 * TERN_SEC) /* between two renewals, whatever the relay says */
#define TAG         ":reservation"

/* A RESERVE under way; its stream may outlive the listener. */
struct circuit_request {
    circuit_listener *l; /* NULL: nobody waits */
    tern_net *net;
    tern_stream *s;
    tern_frame frame;
    tern_timer timer;
};

static void try_now(circuit_listener *l);

static void on_timer(tern_timer *timer)
{
    try_now(TERN_CONTAINER(timer, circuit_listener, timer));
}

static void try_later(circuit_listener *l, uint64_t pause)
{
    tern_timer_stop(&l->timer);
    tern_timer_start(l->net->loop, &l->timer, tern_loop_now(l->net->loop) + pause, on_timer);
}

bool circuit_reserve_held(const circuit_listener *l)
{
    return l->until > tern_loop_now(l->net->loop);
}

/* Tells the others when it was announced. */
static void lose(circuit_listener *l)
{
    bool announced = !l->base.silent;
    l->until = 0;
    l->base.silent = true;
    if (announced) {
        l->net->ops->protect(l->net, &l->relay, TAG, false);
        l->net->ops->readdress(l->net);
    }
    if (l->net->relay_finder != NULL) {
        tern_relay_finder_lost(l->net->relay_finder, &l->base);
    }
}

static void failed(circuit_listener *l, int code, const char *what, const char *more)
{
    tern_error why;
    unsigned doublings = l->failures < DOUBLINGS ? l->failures : DOUBLINGS;
    tern_fail(&why, code, "circuit", "%s%s", what, more);
    l->failures++;
    l->net->counters.relay_reserve_failures++;
    TERN_LOG(TERN_LOG_DEBUG, "circuit", "no place at %s: %s", tern_multiaddr_text(l->base.addr),
             why.text);
    l->net->ops->reserved(l->net, l->base.addr, &l->relay, 0, &why);
    try_later(l, FIRST_PAUSE << doublings);
    if (!circuit_reserve_held(l)) {
        l->why = why;
        lose(l);
    }
}

/* ---- the answer ---- */

/* How long the reservation holds, by our clock, whatever the relay's says of absolute time. */
static uint64_t life_of(const circuit_listener *l, const tern_relay_message *m)
{
    const uint64_t most = 24 * 3600 * TERN_SEC;
    uint64_t wall = tern_loop_wall(l->net->loop) / TERN_SEC;
    if (m->expire <= wall) {
        return LEAST_TIME;
    }
    uint64_t life = m->expire - wall;
    return life > most / TERN_SEC ? most : life * TERN_SEC;
}

static void granted(circuit_listener *l, const tern_relay_message *m)
{
    uint64_t life = life_of(l, m);
    uint64_t renew = life / 4 * 3 > LEAST_TIME ? life / 4 * 3 : LEAST_TIME;
    bool was_silent = l->base.silent;
    l->failures = 0;
    l->until = tern_loop_now(l->net->loop) + life;
    l->base.silent = false;
    l->limit = m->limit;
    l->expires = (tern_loop_wall(l->net->loop) + life) / TERN_SEC;
    l->net->counters.relay_reserved++;
    circuit_addrs_take(l, m);
    try_later(l, renew);
    l->net->ops->reserved(l->net, l->base.addr, &l->relay, l->expires, NULL);
    if (l->net->relay_finder != NULL) {
        tern_relay_finder_held(l->net->relay_finder, &l->base);
    }
    if (was_silent) {
        l->net->ops->protect(l->net, &l->relay, TAG, true);
        l->net->ops->readdress(l->net);
    }
}

/* 0, or why the voucher is not believed; a relay need not give one. */
static int check_voucher(circuit_listener *l, const tern_relay_message *m, const char **ret_text)
{
    uint64_t until, now = tern_loop_wall(l->net->loop) / TERN_SEC;
    int code =
        m->voucher.len > 0 ? tern_voucher_open(m->voucher, &l->relay, &l->net->self, &until) : 0;
    *ret_text = "its voucher is not for us, or not its own";
    /* Where the reservation itself ended before it began, the clocks differ. */
    if (m->voucher.len > 0 && code == 0 && until <= now && m->expire > now) {
        *ret_text = "its voucher has expired";
        code = TERN_E_TIMEOUT;
    }
    return code;
}

static void on_answer(circuit_listener *l, tern_span message)
{
    tern_relay_message m;
    const char *text;
    int code;
    if (tern_relay_parse(true, message, &m) != 0) {
        l->net->counters.relay_malformed++;
        failed(l, TERN_E_MALFORMED, "its answer does not parse", "");
        return;
    }
    if (m.kind != TERN_RELAY_STATUS || m.status != TERN_RELAY_OK || !m.reserved) {
        failed(l, TERN_E_REFUSED, tern_relay_status_text(m.status), "");
    } else if ((code = check_voucher(l, &m, &text)) != 0) {
        l->net->counters.relay_bad_voucher++;
        failed(l, code, text, "");
    } else {
        granted(l, &m);
    }
    tern_relay_clear(&m);
}

/* ---- the stream ---- */

static void free_request(circuit_request *q)
{
    if (q->l != NULL) {
        q->l->request = NULL;
    }
    tern_timer_stop(&q->timer);
    tern_frame_free(&q->frame);
    tern_free(q);
}

static size_t on_data(void *owner, tern_stream *s, uint8_t *data, size_t n)
{
    circuit_request *q = owner;
    size_t used = 0;
    tern_span message;
    int code = tern_frame_feed(&q->frame, data, n, &used, &message);
    if (code == 0) {
        return used;
    }
    circuit_listener *l = q->l;
    if (l != NULL) {
        l->request = NULL;
        q->l = NULL;
    }
    if (l != NULL && code == 1) {
        on_answer(l, message);
    } else if (l != NULL) {
        q->net->counters.relay_malformed++;
        failed(l, code, "its answer does not parse", "");
    }
    free_request(q);
    tern_stream_drop(s);
    return n;
}

static void on_end(void *owner, tern_stream *s)
{
    (void)owner;
    tern_stream_reset(s, 0);
}

static void on_closed(void *owner, tern_stream *s, const tern_error *why)
{
    circuit_request *q = owner;
    circuit_listener *l = q->l;
    (void)s;
    free_request(q);
    if (l != NULL) {
        failed(l, why->code == 0 ? TERN_E_EOF : why->code, "the stream to it ended: ", why->text);
    }
}

static const tern_stream_events request_events = {
    .on_data = on_data, .on_end = on_end, .on_closed = on_closed};

static void opened(void *owner, tern_stream *s, const char *id, const tern_error *error)
{
    circuit_request *q = owner;
    circuit_listener *l = q->l;
    (void)id;
    if (s == NULL) {
        free_request(q);
        if (l != NULL) {
            failed(l, error->code, "it cannot be asked: ", error->text);
        }
        return;
    }
    tern_stream_take(s, &request_events, q);
    if (l == NULL) {
        tern_stream_reset(s, 0);
    }
}

static void on_answer_time(tern_timer *timer)
{
    tern_stream_reset(TERN_CONTAINER(timer, circuit_request, timer)->s, 0);
}

static void ask(circuit_listener *l, tern_conn *conn)
{
    static const char *const ids[] = {TERN_RELAY_HOP_ID, NULL};
    static const uint8_t reserve[] = {0x08, 0x00};
    tern_error error;
    circuit_request *q = tern_calloc(1, sizeof *q);
    if (q == NULL) {
        failed(l, TERN_E_NOMEM, "out of memory", "");
        return;
    }
    uint32_t transport;
    if (!tern_ma_endpoint(conn->facts.remote, &l->seen, &transport)) {
        memset(&l->seen, 0, sizeof l->seen);
    }
    q->l = l;
    q->net = l->net;
    tern_frame_init(&q->frame, TERN_RELAY_MESSAGE_MAX);
    q->s = l->net->ops->open(l->net, conn, ids, false, opened, q, &error);
    if (q->s == NULL) {
        free_request(q);
        failed(l, error.code, "it cannot be asked: ", error.text);
        return;
    }
    l->request = q;
    tern_timer_start(l->net->loop, &q->timer, tern_loop_now(l->net->loop) + ANSWER_TIME,
                     on_answer_time);
    if (tern_frame_write(q->s, reserve, sizeof reserve) != 0) {
        tern_stream_reset(q->s, 0); /* opened comes */
    }
}

/* ---- the relay ---- */

static void connected(void *owner, tern_conn *conn, const tern_error *error)
{
    circuit_listener *l = owner;
    l->dial = NULL;
    if (conn == NULL) {
        failed(l, error->code, "it cannot be reached: ", error->text);
        return;
    }
    ask(l, conn);
}

static void try_now(circuit_listener *l)
{
    if (l->dial != NULL || l->request != NULL) {
        return;
    }
    l->dial = l->net->ops->dial(l->net, &l->relay, &l->at, 1, connected, l);
    if (l->dial == NULL) {
        failed(l, TERN_E_NOMEM, "out of memory", "");
    }
}

void circuit_reserve_start(circuit_listener *l)
{
    l->base.silent = true;
    try_later(l, 0);
}

void circuit_reserve_lost(circuit_listener *l)
{
    if (l->until == 0) {
        return;
    }
    tern_fail(&l->why, TERN_E_CONN_CLOSED, "circuit", "the connection to the relay is gone");
    l->net->ops->reserved(l->net, l->base.addr, &l->relay, 0, &l->why);
    try_later(l, FIRST_PAUSE);
    lose(l);
}

void circuit_reserve_stop(circuit_listener *l)
{
    tern_timer_stop(&l->timer);
    if (l->dial != NULL) {
        l->net->ops->cancel_dial(l->dial);
        l->dial = NULL;
    }
    if (l->request != NULL) {
        tern_stream_reset(l->request->s, 0);
        l->request->l = NULL;
        l->request = NULL;
    }
    if (!l->base.silent) {
        l->net->ops->protect(l->net, &l->relay, TAG, false);
    }
    circuit_addrs_forget(l);
}
