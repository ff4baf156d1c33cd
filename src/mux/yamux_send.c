/* yamux, sending: the streams' operations, and the turns in which they share the lower stream.
 *
 *   core.out: | control frames, in order | rest of a cut frame |   goes before anything else
 *
 * Nothing of a stream is queued here. A write makes frames of at most TERN_YAMUX_BODY_MAX and hands
 * each to the lower stream with its header in one call. The frame that does not fit is cut where
 * the room ends: the lower write comes short, so its on_room follows, and the rest of that one
 * frame waits in core.out. While the lower stream is full, writers line up in conn->blocked. Then
 * each turn lets the first of them write, one frame if others wait, so that none starves. */
#include "mux/yamux_conn.h"

#include "base/bytes.h"
#include "base/error.h"
#include "base/mem.h"

enum {
    SPANS = 16,       /* pieces of one frame in one call to the lower stream, with its header */
    WORTHWHILE = 1024 /* a frame is not cut shorter than this to fit the room */
};

bool yamux_flush(yamux_conn *conn)
{
    tern_buf *out = &conn->core.out;
    while (tern_buf_len(out) > 0) {
        size_t len = tern_buf_len(out);
        size_t taken = tern_stream_write(conn->lower, tern_buf_data(out), len);
        tern_yamux_core_sent(&conn->core, taken);
        if (taken < len) {
            return false;
        }
    }
    return true;
}

/* --- turns --- */

static void fail_broken(yamux_conn *conn)
{
    tern_error why;
    if (conn->core.broken == TERN_E_NOMEM) {
        conn->net->counters.allocation_failures++;
        tern_fail(&why, TERN_E_NOMEM, "yamux", "out of memory");
    } else {
        conn->net->counters.yamux_flood++;
        tern_fail(&why, TERN_E_LIMIT, "yamux", "the peer makes us answer and does not read");
    }
    yamux_conn_fail(conn, &why);
}

/* The peer's GoAway passed and no stream is left. */
static bool peer_is_done(const yamux_conn *conn)
{
    return conn->core.goaway_in && !conn->over && tern_yamux_core_any(&conn->core) == NULL &&
           tern_list_empty(&conn->draining);
}

void yamux_turn(tern_deferred *d)
{
    yamux_conn *conn = TERN_CONTAINER(d, yamux_conn, turn);
    if (conn->lower == NULL) {
        return;
    }
    if (peer_is_done(conn)) {
        tern_error why;
        tern_fail(&why, TERN_OK, "yamux", "the peer closed the session");
        yamux_conn_wind_down(conn, &why);
        return;
    }
    tern_yamux_core_announce(&conn->core, NULL);
    if (conn->core.broken != 0) {
        fail_broken(conn);
        return;
    }
    if (!yamux_flush(conn)) {
        return; /* on_room brings us back */
    }
    if (conn->over) {
        tern_stream_end(conn->lower);
        return;
    }
    tern_list *first = tern_list_pop(&conn->blocked);
    if (first != NULL) {
        tern_stream_signal_room(&TERN_CONTAINER(first, yamux_stream, link)->base);
        yamux_want_turn(conn); /* after the owner wrote */
    }
}

/* At the end of the line. Either the lower stream's on_room or a turn must be on its way. */
static void block(yamux_stream *s)
{
    if (tern_list_empty(&s->link)) {
        tern_list_push(&s->conn->blocked, &s->link);
    }
}

/* --- writing --- */

/* What the lower stream did not take of a frame waits in core.out, behind what was there. */
static void keep_rest(yamux_conn *conn, const tern_span *v, unsigned n, size_t taken)
{
    for (unsigned i = 0; i < n; i++) {
        size_t gone = taken < v[i].len ? taken : v[i].len;
        taken -= gone;
        int code = tern_buf_append(&conn->core.out, v[i].data + gone, v[i].len - gone);
        if (code != 0 && conn->core.broken == 0) { /* a torn frame: the session cannot go on */
            conn->core.broken = code;
            yamux_want_turn(conn);
        }
    }
}

/* One frame with n bytes that begin `skip` bytes into v, after what waits in core.out, in one
 * write. Returns its body's size, which is smaller than n only when v has too many pieces.
 * *ret_cut: the lower stream is full. */
static size_t send_frame(yamux_stream *s, const tern_span *v, unsigned count, size_t skip, size_t n,
                         bool *ret_cut)
{
    yamux_conn *conn = s->conn;
    uint8_t header[TERN_YAMUX_HEADER];
    size_t ahead = tern_buf_len(&conn->core.out);
    tern_span spans[SPANS] = {{tern_buf_data(&conn->core.out), ahead}, {header, sizeof header}};
    unsigned used = 2;
    size_t body = 0;
    for (unsigned i = 0; i < count && used < SPANS && body < n; i++) {
        if (skip >= v[i].len) {
            skip -= v[i].len;
            continue;
        }
        size_t part = v[i].len - skip < n - body ? v[i].len - skip : n - body;
        spans[used++] = (tern_span){v[i].data + skip, part};
        body += part;
        skip = 0;
    }
    tern_yamux_core_data(&conn->core, &s->y, (uint32_t)body, header);
    unsigned first = ahead > 0 ? 0 : 1;
    size_t taken = tern_stream_writev(conn->lower, spans + first, used - first);
    size_t old = taken < ahead ? taken : ahead;
    tern_yamux_core_sent(&conn->core, old);
    taken -= old;
    *ret_cut = old < ahead || taken < sizeof header + body;
    if (*ret_cut) {
        keep_rest(conn, spans + 1, used - 1, taken);
    }
    return body;
}

/* How much the lower stream takes after what waits already; 0 when that fills it. */
static size_t room_below(const yamux_conn *conn)
{
    size_t room = tern_stream_room(conn->lower);
    size_t ahead = tern_buf_len(&conn->core.out);
    return room > ahead ? room - ahead : 0;
}

/* How large the next frame's body is to be. */
static size_t frame_size(const yamux_stream *s, size_t want)
{
    size_t room = room_below(s->conn);
    size_t n = want < s->y.send_window ? want : s->y.send_window;
    n = n < TERN_YAMUX_BODY_MAX ? n : TERN_YAMUX_BODY_MAX;
    if (n > WORTHWHILE && room < n + TERN_YAMUX_HEADER) {
        /* one byte more than fits, so that the write comes short */
        size_t fit = room > TERN_YAMUX_HEADER ? room - TERN_YAMUX_HEADER + 1 : 1;
        n = fit > WORTHWHILE ? fit : WORTHWHILE;
    }
    return n;
}

static size_t stream_write(tern_stream *base, const tern_span *v, unsigned n)
{
    yamux_stream *s = (yamux_stream *)base;
    yamux_conn *conn = s->conn;
    size_t total = tern_span_total(v, n), done = 0;
    if (!tern_list_empty(&s->link)) {
        return 0; /* its turn comes */
    }
    if (!s->y.syn_sent && s->y.ours && s->y.send_window > 0) {
        tern_yamux_core_announce(&conn->core, &s->y);
    }
    bool others = !tern_list_empty(&conn->blocked);
    size_t most = others && total > TERN_YAMUX_BODY_MAX ? TERN_YAMUX_BODY_MAX : total;
    while (done < most && s->y.send_window > 0) {
        /* Without room for more than what waits, that goes alone: only one frame may be cut. */
        bool cut = room_below(conn) == 0 && !yamux_flush(conn);
        if (!cut) {
            done += send_frame(s, v, n, done, frame_size(s, most - done), &cut);
        }
        if (cut) {
            block(s);
            return done;
        }
    }
    if (done < total && s->y.send_window > 0) {
        block(s);
        yamux_want_turn(conn);
    }
    return done;
}

/* At most one frame, which is one write below: that is sure to be taken whole. */
static size_t stream_room(const tern_stream *base)
{
    const yamux_stream *s = (const yamux_stream *)(const void *)base;
    size_t room = room_below(s->conn);
    size_t headers = ((size_t)s->conn->core.unsent_count + 1) * TERN_YAMUX_HEADER;
    if (!tern_list_empty(&s->link) || room <= headers) {
        return 0;
    }
    room -= headers;
    room = room < TERN_YAMUX_BODY_MAX ? room : TERN_YAMUX_BODY_MAX;
    return room < s->y.send_window ? room : s->y.send_window;
}

/* --- the other operations --- */

/* Done on our side: the peer cannot be told that we want no more, so what it sends is dropped, for
 * YAMUX_LINGER_TIME and YAMUX_LINGER_BYTES; then the stream is reset. */
static void linger(yamux_stream *s)
{
    yamux_conn *conn = s->conn;
    if (s->y.live && s->linger_until == 0) {
        s->linger_until = tern_loop_now(conn->base.loop) + YAMUX_LINGER_TIME;
        tern_list_push(&conn->lingering, &s->link);
        yamux_conn_rearm(conn);
    }
}

static void stream_consumed(tern_stream *base, size_t n)
{
    yamux_stream *s = (yamux_stream *)base;
    yamux_conn *conn = s->conn;
    tern_yamux_core_consumed(&conn->core, &s->y, n, tern_loop_now(conn->base.loop));
    yamux_want_turn(conn);
    if (s->draining && tern_stream_kept(base) == 0) {
        yamux_stream_done(s);
    }
    if (s->linger_until == 0) {
        return;
    }
    s->lingered += (uint32_t)n;
    if (s->lingered > YAMUX_LINGER_BYTES && s->y.live) {
        tern_yamux_core_reset(&conn->core, &s->y, 0);
        yamux_stream_done(s);
    }
}

static void stream_end(tern_stream *base)
{
    yamux_stream *s = (yamux_stream *)base;
    tern_list_remove(&s->link);
    tern_yamux_core_end(&s->conn->core, &s->y);
    yamux_want_turn(s->conn);
    if (s->y.fin_received) {
        yamux_stream_done(s);
    } else if (base->stopped) {
        linger(s);
    }
}

static void stream_stop(tern_stream *base, uint64_t code)
{
    (void)code;
    if (base->ended) {
        linger((yamux_stream *)base);
    }
}

static void stream_reset(tern_stream *base, uint64_t code)
{
    yamux_stream *s = (yamux_stream *)base;
    tern_list_remove(&s->link);
    tern_yamux_core_reset(&s->conn->core, &s->y, code);
    yamux_want_turn(s->conn);
}

static void stream_destroy(tern_stream *base)
{
    yamux_stream *s = (yamux_stream *)base;
    tern_list_remove(&s->link);
    tern_yamux_core_forget(&s->conn->core, &s->y);
    tern_conn_stream_gone(&s->conn->base);
    tern_free(s);
}

const tern_stream_ops yamux_stream_ops = {
    .name = "yamux",
    .write = stream_write,
    .room = stream_room,
    .consumed = stream_consumed,
    .end = stream_end,
    .stop = stream_stop,
    .reset = stream_reset,
    .destroy = stream_destroy,
};
