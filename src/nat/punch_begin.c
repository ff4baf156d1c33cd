/* B, who was dialled through the relay, and begins: see punch.h. */
#include "base/error.h"
#include "nat/punch_inner.h"

static void ask(punch *p);

/* ---- attempts ---- */

/* One has failed, or the reversal: the next, after a pause, or the end. */
static void again(punch *p, const tern_error *why)
{
    if (punch_direct(p) != NULL) {
        punch_won(p);
    } else if (p->conn != NULL && !p->conn->closing && p->tries < TERN_PUNCH_TRIES) {
        punch_in(p, p->tries * TERN_PUNCH_PAUSE, ask);
    } else {
        punch_lost(p, why);
    }
}

static void dialled(void *owner, tern_conn *conn, const tern_error *error)
{
    punch *p = owner;
    p->dial = NULL;
    if (conn != NULL) {
        punch_won(p);
    } else {
        again(p, error);
    }
}

static void act(punch *p)
{
    tern_error why;
    if (!punch_dial(p, dialled, &why)) {
        punch_lost(p, &why);
    }
}

/* ---- the exchange ---- */

static void silent(punch *p)
{
    tern_stream_reset(p->s, 0); /* its last event comes */
}

/* Its answer is there: half a round trip from now it dials, and we. */
static void on_answer(punch *p, tern_punch_message *m)
{
    uint64_t rtt = tern_loop_now(p->net->loop) - p->asked;
    tern_stream *s = p->s;
    if (!punch_take_addrs(p, m)) {
        p->net->counters.punch_malformed++;
        tern_stream_reset(s, 0);
        return;
    }
    if (punch_say(p, TERN_PUNCH_SYNC) != 0) {
        tern_stream_reset(s, 0);
        return;
    }
    p->s = NULL;
    tern_stream_end(s);
    tern_stream_drop(s);
    punch_in(p, rtt / 2, act);
}

static size_t on_data(void *owner, tern_stream *s, uint8_t *data, size_t n)
{
    punch *p = owner;
    size_t used = 0;
    tern_span message;
    tern_punch_message m;
    if (p->over) {
        return n;
    }
    int code = tern_frame_feed(&p->frame, data, n, &used, &message);
    if (code == 0) {
        return used;
    }
    if (code < 0 || tern_punch_parse(message, &m) != 0) {
        p->net->counters.punch_malformed++;
        tern_stream_reset(s, 0);
        return n;
    }
    if (m.kind != TERN_PUNCH_CONNECT) {
        p->net->counters.punch_malformed++;
        tern_punch_clear(&m);
        tern_stream_reset(s, 0);
        return n;
    }
    on_answer(p, &m);
    return n;
}

static void on_end(void *owner, tern_stream *s)
{
    (void)owner;
    tern_stream_reset(s, 0);
}

static void on_closed(void *owner, tern_stream *s, const tern_error *why)
{
    punch *p = owner;
    tern_error copy = *why;
    (void)s;
    if (punch_stream_gone(p)) {
        return;
    }
    p->tries++;
    if (copy.code == 0) {
        tern_fail(&copy, TERN_E_EOF, "dcutr", "the peer ended the exchange");
    }
    again(p, &copy);
}

static const tern_stream_events events = {
    .on_data = on_data, .on_end = on_end, .on_closed = on_closed};

static void opened(void *owner, tern_stream *s, const char *id, const tern_error *error)
{
    punch *p = owner;
    (void)id;
    if (s != NULL) {
        tern_stream_take(s, &events, p);
        if (p->over) {
            tern_stream_reset(s, 0);
        }
    } else if (!punch_stream_gone(p)) { /* go speaks it once it knows where it is seen */
        tern_error copy = *error;
        p->tries++;
        again(p, &copy);
    }
}

/* An attempt begins with CONNECT. */
static void ask(punch *p)
{
    static const char *const ids[] = {TERN_PUNCH_ID, NULL};
    tern_error why;
    p->s = p->net->ops->open(p->net, p->conn, ids, false, opened, p, &why);
    if (p->s == NULL) {
        punch_lost(p, &why);
        return;
    }
    int code = punch_say(p, TERN_PUNCH_CONNECT);
    p->asked = tern_loop_now(p->net->loop);
    punch_in(p, TERN_PUNCH_STREAM_TIME, silent);
    if (code == TERN_E_NOT_FOUND) {
        tern_fail(&why, code, "dcutr", "nobody has told us yet where we are seen");
        punch_lost(p, &why);
    } else if (code != 0) {
        tern_stream_reset(p->s, 0);
    }
}

/* ---- connection reversal ---- */

static void reversed(void *owner, tern_conn *conn, const tern_error *error)
{
    punch *p = owner;
    p->dial = NULL;
    if (conn != NULL) {
        p->net->counters.punches_reversed++;
        punch_won(p);
    } else {
        again(p, error); /* the relayed connection may be gone by now */
    }
}

static void reverse_time(punch *p)
{
    tern_error why;
    p->net->ops->cancel_dial(p->dial);
    p->dial = NULL;
    tern_fail(&why, TERN_E_TIMEOUT, "dcutr", "no answer in time");
    again(p, &why);
}

static void not_identified(punch *p)
{
    p->waits = false;
    ask(p);
}

void punch_begin(punch *p)
{
    p->waits = true;
    punch_in(p, TERN_PUNCH_IDENTIFY_TIME, not_identified);
}

/* Where it may be dialled as anybody is: at public addresses of its own. */
void punch_begin_identified(punch *p, const tern_identity *identity)
{
    tern_multiaddr *to[TERN_PUNCH_DIALS_MAX];
    tern_error why;
    size_t n = 0;
    p->waits = false;
    for (size_t i = 0; i < identity->addr_count && n < TERN_PUNCH_DIALS_MAX; i++) {
        tern_multiaddr *a = identity->addrs[i];
        tern_endpoint e;
        uint32_t transport;
        tern_ma_part part;
        if (!tern_ma_find(a, TERN_MA_P2P_CIRCUIT, &part) && tern_ma_endpoint(a, &e, &transport) &&
            tern_endpoint_is_public(&e) && p->net->ops->dials(p->net, a)) {
            to[n++] = a;
        }
    }
    if (n > 0 && !punch_may_dial(p, &why)) {
        punch_lost(p, &why);
        return;
    }
    p->dial = n > 0 ? p->net->ops->dial_only(p->net, &p->peer, to, n, reversed, p) : NULL;
    if (p->dial != NULL) {
        uint64_t time = TERN_PUNCH_REVERSE_TRIPS * (tern_loop_now(p->net->loop) - p->began);
        time = time > TERN_PUNCH_REVERSE_LEAST ? time : TERN_PUNCH_REVERSE_LEAST;
        time = time < TERN_PUNCH_REVERSE_MOST ? time : TERN_PUNCH_REVERSE_MOST;
        punch_in(p, time, reverse_time);
    } else {
        ask(p);
    }
}
