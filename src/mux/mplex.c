/* mplex as a muxer (core/mux.h) over a secured stream: the begin and the end of a conn, and what
 * arrives for its streams.
 *
 * Spec: libp2p mplex, /mplex/6.7.0; rules in mplex_core. The conn owns the lower stream. It takes
 * all bytes the lower stream brings, since nothing tells a peer to slow down: what an owner leaves
 * is kept up to a limit, then its stream is reset. It queues control frames only (core.out,
 * bounded): a stream's write goes down at once or not at all.
 *
 * mplex has no word for the session's end, nor a ping. How a conn ends:
 *   close(0): flush, end below, at most 3 s
 *   close(n), the peer breaks a rule or floods: the lower stream flushes and ends by itself
 *   the end of the lower stream: at once
 * In each case all streams close first, with TERN_E_CONN_CLOSED and the same text. */
#include "mux/mplex.h"

#include "base/error.h"
#include "base/log.h"
#include "base/mem.h"
#include "mux/mplex_conn.h"

static void on_timer(tern_timer *timer);

/* --- ending --- */

/* No frame means anything from here on. */
static void stop(mplex_conn *conn, const tern_error *why)
{
    tern_error each = *why;
    each.code = TERN_E_CONN_CLOSED;
    conn->over = 1;
    tern_timer_stop(&conn->timer);
    for (tern_list *l = conn->streams.next; l != &conn->streams; l = l->next) {
        mplex_stream *s = TERN_CONTAINER(l, mplex_stream, all);
        tern_mplex_core_retire(&conn->core, &s->m);
        tern_list_remove(&s->link);
        tern_stream_finish(&s->base, &each);
    }
}

static void finish(mplex_conn *conn, const tern_error *why)
{
    TERN_LOG(TERN_LOG_DEBUG, "mux", "conn %llu: mplex ends: %s",
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
        if (tern_limits_pressure(&conn->net->limits) >= TERN_PRESSURE_FULL) {
            tern_stream_reset(lower, 0); /* no memory to keep in what is queued */
        }
        tern_stream_drop(lower);
    }
    tern_conn_finish(&conn->base, why);
}

void mplex_conn_fail(mplex_conn *conn, const tern_error *why)
{
    if (!conn->over) {
        stop(conn, why);
        if (conn->lower != NULL) {
            mplex_flush(conn);
        }
    }
    finish(conn, why);
}

/* The last step of a close in good order. */
static void wound_down(mplex_conn *conn)
{
    tern_error why;
    tern_fail(&why, TERN_OK, "mplex", "closed on this side");
    finish(conn, &why);
}

static void mplex_close(tern_conn *base, uint64_t code, const char *text)
{
    mplex_conn *conn = (mplex_conn *)base;
    tern_error why;
    tern_fail(&why, TERN_OK, "mplex", "closed on this side%s%s", text != NULL ? ": " : "",
              text != NULL ? text : "");
    if (code != 0) {
        mplex_conn_fail(conn, &why);
    } else if (!conn->over) {
        stop(conn, &why);
        tern_timer_start(base->loop, &conn->timer, tern_loop_now(base->loop) + MPLEX_CLOSE_TIME,
                         on_timer);
        mplex_want_turn(conn);
    }
}

static void mplex_destroy(tern_conn *base)
{
    mplex_conn *conn = (mplex_conn *)base;
    tern_timer_stop(&conn->timer);
    tern_deferred_cancel(&conn->turn);
    tern_mplex_core_free(&conn->core);
    tern_free(conn);
}

void mplex_stream_done(mplex_stream *s)
{
    tern_error why;
    tern_list_remove(&s->link);
    s->done = tern_stream_kept(&s->base) > 0;
    if (!s->done) {
        tern_fail(&why, TERN_OK, "mplex", "both sides ended the stream");
        tern_stream_finish(&s->base, &why);
    }
    mplex_want_turn(s->conn);
}

/* --- opening --- */

static mplex_stream *new_stream(mplex_conn *conn)
{
    mplex_stream *s = tern_calloc(1, sizeof *s);
    if (s == NULL) {
        conn->net->counters.allocation_failures++;
        return NULL;
    }
    s->conn = conn;
    tern_list_init(&s->all);
    tern_list_init(&s->link);
    return s;
}

/* The core took it. Both sides may use a number, so the id, the same on both, says who opened. */
static void begin(mplex_stream *s)
{
    mplex_conn *conn = s->conn;
    bool by_client = conn->client == s->m.ours;
    tern_stream_init(&s->base, &mplex_stream_ops, conn->base.loop, s->m.number << 1 | by_client);
    tern_conn_stream_born(&conn->base);
    tern_list_push(&conn->streams, &s->all);
}

static tern_stream *mplex_open(tern_conn *base, tern_error *reterr)
{
    mplex_conn *conn = (mplex_conn *)base;
    mplex_stream *s = new_stream(conn);
    int code = TERN_E_NOMEM;
    if (s != NULL) {
        code = conn->over ? TERN_E_CONN_CLOSED : tern_mplex_core_open(&conn->core, &s->m);
    }
    if (code != 0) {
        tern_free(s);
        tern_fail(reterr, code, "mplex", "cannot open a stream: %s",
                  code == TERN_E_LIMIT ? "too many are open, or the peer does not read"
                                       : tern_code_text(code));
        return NULL;
    }
    begin(s);
    mplex_want_turn(conn); /* tells the peer even when nothing is written */
    return &s->base;
}

static void opened(mplex_conn *conn)
{
    mplex_stream *s = new_stream(conn);
    if (s == NULL || tern_mplex_core_accept(&conn->core, &s->m) != 0) {
        conn->net->counters.allocation_failures += s != NULL;
        tern_free(s);
        tern_mplex_core_refuse(&conn->core);
        return;
    }
    begin(s);
    if (tern_conn_accept(&conn->base, &s->base) != 0) {
        conn->net->counters.allocation_failures++;
    }
}

/* --- the lower stream's events --- */

static void closed_by(mplex_stream *s, int code, const char *text)
{
    tern_error why;
    tern_fail(&why, code, "mplex", "%s", text);
    tern_list_remove(&s->link);
    tern_stream_finish(&s->base, &why);
}

static void dispatch(mplex_conn *conn, const tern_mplex_event *e)
{
    mplex_stream *s = e->stream != NULL ? mplex_of(e->stream) : NULL;
    switch (e->kind) {
    case TERN_MPLEX_NOTHING:
        break;
    case TERN_MPLEX_OPENED:
        opened(conn);
        break;
    case TERN_MPLEX_BYTES:
        tern_stream_deliver(&s->base, e->data, e->len);
        break;
    case TERN_MPLEX_ENDED:
        tern_stream_deliver_end(&s->base);
        if (s->m.close_sent) {
            mplex_stream_done(s);
        }
        break;
    case TERN_MPLEX_STOPPED:
        closed_by(s, TERN_E_RESET, "the peer reset the stream");
        break;
    case TERN_MPLEX_OVERFULL:
        closed_by(s, TERN_E_LIMIT, "too many unread bytes, and mplex cannot slow the peer down");
        break;
    case TERN_MPLEX_FAILED:
        mplex_conn_fail(conn, &e->why);
        break;
    }
}

/* An owner may end, reset or open anything while it is told, so the state is looked at after each
 * event. */
static size_t on_data(void *owner, tern_stream *lower, uint8_t *data, size_t n)
{
    mplex_conn *conn = owner;
    uint64_t now = tern_loop_now(conn->base.loop);
    tern_mplex_event e;
    size_t used = 0;
    (void)lower;
    while (!conn->over) {
        used += tern_mplex_core_receive(&conn->core, now, data + used, n - used, &e);
        if (e.kind == TERN_MPLEX_NOTHING) {
            break;
        }
        dispatch(conn, &e);
    }
    if (!conn->over && (tern_buf_len(&conn->core.out) > 0 || conn->core.broken != 0)) {
        mplex_want_turn(conn);
    }
    return n;
}

static void on_end(void *owner, tern_stream *lower)
{
    mplex_conn *conn = owner;
    (void)lower;
    if (conn->over) {
        return; /* on_closed follows once our half is flushed */
    }
    tern_error why;
    if (tern_mplex_core_inside_frame(&conn->core)) {
        tern_fail(&why, TERN_E_EOF, "mplex", "the peer ended the connection inside a frame");
    } else {
        tern_fail(&why, TERN_OK, "mplex", "the peer closed the connection");
    }
    mplex_conn_fail(conn, &why);
}

static void on_room(void *owner, tern_stream *lower)
{
    (void)lower;
    mplex_want_turn(owner);
}

static void on_lower_closed(void *owner, tern_stream *lower, const tern_error *why)
{
    mplex_conn *conn = owner;
    (void)lower;
    conn->lower = NULL;
    if (conn->ending) {
        tern_error own = conn->why;
        finish(conn, &own);
    } else if (conn->over) {
        wound_down(conn);
    } else {
        mplex_conn_fail(conn, why);
    }
}

static const tern_stream_events lower_events = {
    .on_data = on_data,
    .on_end = on_end,
    .on_room = on_room,
    .on_closed = on_lower_closed,
};

/* --- time --- */

static mplex_stream *longest_lingering(mplex_conn *conn)
{
    bool none = tern_list_empty(&conn->lingering);
    return none ? NULL : TERN_CONTAINER(conn->lingering.next, mplex_stream, link);
}

static void on_timer(tern_timer *timer)
{
    mplex_conn *conn = TERN_CONTAINER(timer, mplex_conn, timer);
    uint64_t now = tern_loop_now(conn->base.loop);
    mplex_stream *s;
    if (conn->over) {
        tern_stream_reset(conn->lower, 0);
        wound_down(conn);
        return;
    }
    while ((s = longest_lingering(conn)) != NULL && s->linger_until <= now) {
        tern_mplex_core_reset(&conn->core, &s->m);
        mplex_stream_done(s);
    }
    mplex_conn_rearm(conn);
}

void mplex_conn_rearm(mplex_conn *conn)
{
    mplex_stream *s = longest_lingering(conn);
    if (s != NULL && !conn->over && conn->attached) {
        tern_timer_start(conn->base.loop, &conn->timer, s->linger_until, on_timer);
    }
}

/* --- the muxer --- */

static size_t mplex_held(const tern_conn *c)
{
    const mplex_conn *conn = (const mplex_conn *)(const void *)c;
    return conn->core.unread + tern_buf_len(&conn->core.out) +
           tern_net_queued(conn->net, conn->lower);
}

static const tern_conn_ops conn_ops = {
    .name = "mplex",
    .open = mplex_open,
    .close = mplex_close,
    .destroy = mplex_destroy,
    .held = mplex_held,
};

static tern_conn *mplex_make(tern_net *net, tern_stream *lower, bool client,
                             const tern_conn_facts *facts)
{
    mplex_conn *conn = tern_calloc(1, sizeof *conn);
    if (conn == NULL) {
        return NULL;
    }
    tern_conn_init(&conn->base, &conn_ops, net->loop, facts);
    conn->net = net;
    conn->lower = lower;
    conn->client = client;
    tern_mplex_core_init(&conn->core, &net->limits, &net->counters, tern_loop_now(net->loop));
    tern_deferred_init(&conn->turn, mplex_turn);
    tern_list_init(&conn->streams);
    tern_list_init(&conn->blocked);
    tern_list_init(&conn->lingering);
    return &conn->base;
}

static void mplex_attach(tern_conn *base)
{
    mplex_conn *conn = (mplex_conn *)base;
    conn->attached = 1;
    tern_stream_take(conn->lower, &lower_events, conn);
    mplex_conn_rearm(conn);
    mplex_want_turn(conn);
}

static void mplex_abandon(tern_conn *base, const tern_error *why)
{
    on_lower_closed(base, NULL, why);
}

const tern_mux tern_mplex = {
    .id = "/mplex/6.7.0",
    .name = "mplex",
    .make = mplex_make,
    .attach = mplex_attach,
    .abandon = mplex_abandon,
};
