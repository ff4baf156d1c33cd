/* yamux as a muxer (core/mux.h) over a secured stream: the begin and the end of a conn.
 *
 * Spec: libp2p yamux, /yamux/1.0.0; rules in yamux_core. The conn owns the lower stream. It takes
 * all bytes the lower stream brings (windows bound what they may cost) and copies none of them; it
 * queues control frames only (core.out, bounded): a stream's write goes down at once or not at all.
 *
 * How a conn ends:
 *   close(0), or the peer's GoAway 0 and no stream left: GoAway 0, flush, end below, at most 3 s
 *   close(n): GoAway n, the lower stream flushes by itself
 *   the peer breaks a rule or floods: GoAway 1, likewise
 *   the peer's GoAway with an error, the end of the lower stream, 60 s of silence: at once
 * In each case all streams close first, with TERN_E_CONN_CLOSED and the same text. */
#include "mux/yamux.h"

#include "base/error.h"
#include "base/log.h"
#include "base/mem.h"
#include "mux/yamux_conn.h"

static void on_timer(tern_timer *timer);

/* --- ending --- */

static void close_streams(yamux_conn *conn, const tern_error *why)
{
    tern_error each = *why;
    each.code = TERN_E_CONN_CLOSED;
    tern_yamux_stream *y;
    while ((y = tern_yamux_core_any(&conn->core)) != NULL) {
        tern_yamux_retire(&conn->core, y);
        tern_list_remove(&yamux_of(y)->link);
        tern_stream_finish(&yamux_of(y)->base, &each);
    }
    tern_list *l;
    while ((l = tern_list_pop(&conn->draining)) != NULL) {
        tern_stream_finish(&TERN_CONTAINER(l, yamux_stream, link)->base, &each);
    }
}

/* No frame means anything from here on. */
static void stop(yamux_conn *conn, const tern_error *why)
{
    conn->over = 1;
    tern_timer_stop(&conn->timer);
    close_streams(conn, why);
}

static void finish(yamux_conn *conn, const tern_error *why)
{
    TERN_LOG(TERN_LOG_DEBUG, "mux", "conn %llu: yamux ends: %s",
             (unsigned long long)conn->base.facts.id, why->text);
    tern_timer_stop(&conn->timer);
    tern_deferred_cancel(&conn->turn);
    if (conn->lower != NULL && !conn->attached) {
        /* Its owner still negotiates: hears of the reset, and abandons us. */
        conn->why = conn->ending ? conn->why : *why;
        conn->ending = 1;
        tern_stream_reset(conn->lower, 0);
        return;
    }
    if (conn->lower != NULL) {
        tern_stream *lower = conn->lower;
        conn->lower = NULL;
        /* Nobody is there to take what is queued, or there is no memory to keep it in. */
        if (why->code == TERN_E_TIMEOUT ||
            tern_limits_pressure(&conn->net->limits) >= TERN_PRESSURE_FULL) {
            tern_stream_reset(lower, 0);
        }
        tern_stream_drop(lower);
    }
    tern_conn_finish(&conn->base, why);
}

void yamux_conn_fail(yamux_conn *conn, const tern_error *why)
{
    if (!conn->over) {
        stop(conn, why);
        if (conn->lower != NULL) {
            yamux_flush(conn);
        }
    }
    finish(conn, why);
}

void yamux_conn_wind_down(yamux_conn *conn, const tern_error *why)
{
    tern_yamux_core_goaway(&conn->core, TERN_YAMUX_NORMAL);
    stop(conn, why);
    tern_timer_start(conn->base.loop, &conn->timer,
                     tern_loop_now(conn->base.loop) + YAMUX_CLOSE_TIME, on_timer);
    yamux_want_turn(conn);
}

/* The last step of winding down. */
static void wound_down(yamux_conn *conn)
{
    tern_error why;
    tern_fail(&why, TERN_OK, "yamux", "%s",
              conn->core.goaway_in ? "the peer closed the session" : "closed on this side");
    finish(conn, &why);
}

static void yamux_close(tern_conn *base, uint64_t code, const char *text)
{
    yamux_conn *conn = (yamux_conn *)base;
    tern_error why;
    tern_fail(&why, TERN_OK, "yamux", "closed on this side%s%s", text != NULL ? ": " : "",
              text != NULL ? text : "");
    if (code != 0) {
        tern_yamux_core_goaway(&conn->core,
                               code > UINT32_MAX ? TERN_YAMUX_CODE_OUT_OF_RANGE : (uint32_t)code);
        yamux_conn_fail(conn, &why);
    } else if (!conn->over) {
        yamux_conn_wind_down(conn, &why);
    }
}

static void yamux_destroy(tern_conn *base)
{
    yamux_conn *conn = (yamux_conn *)base;
    tern_timer_stop(&conn->timer);
    tern_deferred_cancel(&conn->turn);
    tern_yamux_core_free(&conn->core);
    tern_free(conn);
}

/* --- the lower stream's other events --- */

static void on_end(void *owner, tern_stream *lower)
{
    yamux_conn *conn = owner;
    (void)lower;
    if (conn->over) {
        return; /* on_closed follows once our half is flushed */
    }
    tern_error why;
    if (tern_yamux_core_inside_frame(&conn->core)) {
        tern_fail(&why, TERN_E_EOF, "yamux", "the peer ended the connection inside a frame");
    } else {
        tern_fail(&why, TERN_OK, "yamux", "the peer closed the connection");
    }
    yamux_conn_fail(conn, &why);
}

static void on_room(void *owner, tern_stream *lower)
{
    (void)lower;
    yamux_want_turn(owner);
}

static void on_lower_closed(void *owner, tern_stream *lower, const tern_error *why)
{
    yamux_conn *conn = owner;
    (void)lower;
    conn->lower = NULL;
    if (conn->ending) {
        tern_error own = conn->why;
        finish(conn, &own);
    } else if (conn->over) {
        wound_down(conn);
    } else {
        yamux_conn_fail(conn, why);
    }
}

static const tern_stream_events lower_events = {
    .on_data = yamux_on_data,
    .on_end = on_end,
    .on_room = on_room,
    .on_closed = on_lower_closed,
};

/* --- time --- */

static void linger_over(yamux_conn *conn, uint64_t now)
{
    while (!tern_list_empty(&conn->lingering)) {
        yamux_stream *s = TERN_CONTAINER(conn->lingering.next, yamux_stream, link);
        if (s->linger_until > now) {
            return;
        }
        tern_yamux_core_reset(&conn->core, &s->y, 0);
        yamux_stream_done(s);
    }
}

static void on_timer(tern_timer *timer)
{
    yamux_conn *conn = TERN_CONTAINER(timer, yamux_conn, timer);
    uint64_t now = tern_loop_now(conn->base.loop);
    if (conn->over) {
        tern_stream_reset(conn->lower, 0);
        wound_down(conn);
        return;
    }
    linger_over(conn, now);
    if (tern_yamux_core_tick(&conn->core, now) != 0) {
        tern_error why;
        tern_fail(&why, TERN_E_TIMEOUT, "yamux", "the peer did not answer a ping for 30 seconds");
        yamux_conn_fail(conn, &why);
        return;
    }
    yamux_want_turn(conn);
    yamux_conn_rearm(conn);
}

void yamux_conn_rearm(yamux_conn *conn)
{
    if (conn->over || !conn->attached) {
        return;
    }
    uint64_t at = tern_yamux_core_deadline(&conn->core);
    if (!tern_list_empty(&conn->lingering)) {
        yamux_stream *s = TERN_CONTAINER(conn->lingering.next, yamux_stream, link);
        at = s->linger_until < at ? s->linger_until : at;
    }
    tern_timer_start(conn->base.loop, &conn->timer, at, on_timer);
}

/* --- opening --- */

yamux_stream *yamux_stream_new(yamux_conn *conn)
{
    yamux_stream *s = tern_calloc(1, sizeof *s);
    if (s == NULL) {
        conn->net->counters.allocation_failures++;
        return NULL;
    }
    s->conn = conn;
    s->early = YAMUX_EARLY;
    tern_list_init(&s->link);
    return s;
}

void yamux_stream_done(yamux_stream *s)
{
    tern_error why;
    tern_list_remove(&s->link);
    s->draining = tern_stream_kept(&s->base) > 0;
    if (s->draining) {
        tern_list_push(&s->conn->draining, &s->link);
    } else {
        tern_fail(&why, TERN_OK, "yamux", "both sides ended the stream");
        tern_stream_finish(&s->base, &why);
    }
    yamux_want_turn(s->conn);
}

static tern_stream *yamux_open(tern_conn *base, tern_error *reterr)
{
    yamux_conn *conn = (yamux_conn *)base;
    yamux_stream *s = yamux_stream_new(conn);
    int code = TERN_E_NOMEM;
    if (s != NULL) {
        code = conn->over ? TERN_E_CONN_CLOSED
                          : tern_yamux_core_open(&conn->core, &s->y, tern_loop_now(base->loop));
    }
    if (code != 0) {
        tern_free(s);
        tern_fail(reterr, code, "yamux", "cannot open a stream: %s",
                  code == TERN_E_LIMIT ? "too many are open or wait for the peer's answer"
                                       : tern_code_text(code));
        return NULL;
    }
    tern_stream_init(&s->base, &yamux_stream_ops, base->loop, s->y.id);
    tern_conn_stream_born(base);
    yamux_want_turn(conn); /* tells the peer even when nothing is written */
    return &s->base;
}

static size_t yamux_held(const tern_conn *c)
{
    const yamux_conn *conn = (const yamux_conn *)(const void *)c;
    return conn->core.unread + tern_buf_len(&conn->core.out) +
           tern_net_queued(conn->net, conn->lower);
}

static const tern_conn_ops conn_ops = {
    .name = "yamux",
    .open = yamux_open,
    .close = yamux_close,
    .destroy = yamux_destroy,
    .held = yamux_held,
};

static tern_conn *yamux_make(tern_net *net, tern_stream *lower, bool client,
                             const tern_conn_facts *facts)
{
    yamux_conn *conn = tern_calloc(1, sizeof *conn);
    if (conn == NULL) {
        return NULL;
    }
    tern_conn_init(&conn->base, &conn_ops, net->loop, facts);
    conn->net = net;
    conn->lower = lower;
    tern_yamux_core_init(&conn->core, client, &net->limits, &net->counters,
                         tern_loop_now(net->loop));
    tern_deferred_init(&conn->turn, yamux_turn);
    tern_list_init(&conn->blocked);
    tern_list_init(&conn->lingering);
    tern_list_init(&conn->draining);
    return &conn->base;
}

static void yamux_attach(tern_conn *base)
{
    yamux_conn *conn = (yamux_conn *)base;
    conn->core.heard = tern_loop_now(base->loop);
    conn->attached = 1;
    tern_stream_take(conn->lower, &lower_events, conn);
    yamux_conn_rearm(conn);
    yamux_want_turn(conn);
}

static void yamux_abandon(tern_conn *base, const tern_error *why)
{
    yamux_conn *conn = (yamux_conn *)base;
    tern_error copy = conn->ending ? conn->why : *why;
    conn->lower = NULL;
    yamux_conn_fail(conn, &copy);
}

const tern_mux tern_yamux = {
    .id = "/yamux/1.0.0",
    .name = "yamux",
    .make = yamux_make,
    .attach = yamux_attach,
    .abandon = yamux_abandon,
};
