/* yamux, sending: the streams' operations, and the turns in which they share the lower stream.
 *
 *   core.out: | control frames, in order | rest of a cut frame |   goes before anything else
 *
 * Nothing of a stream is queued here. A write makes frames of at most TERN_YAMUX_BODY_MAX and hands
 * each to the lower stream with its header, several in one call. The frame that does not fit is cut
 * where the room ends: the lower write comes short, so its on_room follows, and the rest of that
 * one frame waits in core.out. While the lower stream is full, writers line up in conn->blocked.
 * Then each turn lets the first of them write, one frame if others wait, so that none starves.
 * Only the first YAMUX_EARLY bytes of a stream may wait in core.out, too. */
#include "mux/yamux_conn.h"

#include "base/bytes.h"
#include "base/error.h"
#include "base/mem.h"
#include "mux/pieces.h"

enum {
    FRAMES = 16,            /* in one write below */
    SPANS = 1 + 3 * FRAMES, /* pieces of them: what waits, then headers and pieces of bodies */
    WORTHWHILE = 1024,      /* a frame is not cut shorter than this to fit the room */
    EARLY_OUT = TERN_YAMUX_OUT_MAX / 2 /* with more in core.out, nothing early joins it */
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

/* How much the lower stream takes after what waits already; 0 when that fills it. */
static size_t room_below(const yamux_conn *conn)
{
    size_t room = tern_stream_room(conn->lower);
    size_t ahead = tern_buf_len(&conn->core.out);
    return room > ahead ? room - ahead : 0;
}

/* How large the next frame's body is to be, with so much room for it below. */
static size_t frame_size(size_t want, size_t window, size_t room)
{
    size_t n = want < window ? want : window;
    n = n < TERN_YAMUX_BODY_MAX ? n : TERN_YAMUX_BODY_MAX;
    if (n > WORTHWHILE && room < n + TERN_YAMUX_HEADER) {
        /* one byte more than fits, so that the write comes short */
        size_t fit = room > TERN_YAMUX_HEADER ? room - TERN_YAMUX_HEADER + 1 : 1;
        n = fit > WORTHWHILE ? fit : WORTHWHILE;
    }
    return n;
}

/* Frames of `most` bytes in all, behind what waits in core.out, in one write below. Returns the
 * bytes that went into frames: fewer than `most` when the room, the window or the places for pieces
 * end. *ret_cut: the lower stream is full. */
static size_t send_frames(yamux_stream *s, tern_pieces *p, size_t most, bool *ret_cut)
{
    yamux_conn *conn = s->conn;
    uint8_t headers[FRAMES][TERN_YAMUX_HEADER];
    size_t ahead = tern_buf_len(&conn->core.out), room = room_below(conn);
    size_t done = 0, total = ahead;
    tern_span spans[SPANS] = {{tern_buf_data(&conn->core.out), ahead}};
    unsigned used = 1, frames = 0;
    bool full = false;
    while (!full && done < most && s->y.send_window > 0 && frames < FRAMES && used + 2 <= SPANS) {
        uint8_t *header = headers[frames++];
        spans[used++] = (tern_span){header, TERN_YAMUX_HEADER};
        size_t size = frame_size(most - done, s->y.send_window, room);
        size_t body = tern_pieces_take(p, size, spans, SPANS, &used);
        tern_yamux_core_data(&conn->core, &s->y, (uint32_t)body, header);
        size_t frame = TERN_YAMUX_HEADER + body;
        full = room < frame;
        room -= full ? room : frame;
        done += body;
        total += frame;
    }
    unsigned first = ahead > 0 ? 0 : 1;
    size_t taken = tern_stream_writev(conn->lower, spans + first, used - first);
    size_t old = taken < ahead ? taken : ahead;
    *ret_cut = taken < total;
    tern_yamux_core_sent(&conn->core, old);
    if (*ret_cut && tern_pieces_keep(&conn->core.out, spans + 1, used - 1, taken - old) != 0) {
        conn->core.broken = TERN_E_NOMEM; /* a torn frame: the session cannot go on */
        yamux_want_turn(conn);
    }
    return done;
}

/* How much one write may take: while others wait, a frame. */
static size_t share(const yamux_conn *conn, size_t total)
{
    bool others = !tern_list_empty(&conn->blocked);
    return others && total > TERN_YAMUX_BODY_MAX ? TERN_YAMUX_BODY_MAX : total;
}

/* How many bytes of a stream may still wait in core.out, behind `more` that will be there then. */
static size_t early_room(const yamux_stream *s, size_t more)
{
    size_t queued = tern_buf_len(&s->conn->core.out) + more + TERN_YAMUX_HEADER;
    size_t room = queued < EARLY_OUT ? EARLY_OUT - queued : 0;
    room = room < s->early ? room : s->early;
    return room < s->y.send_window ? room : s->y.send_window;
}

/* The first bytes of a stream need no turn: others that fill the connection must not keep it from
 * being negotiated. Returns how many of the n bytes wait now. */
static size_t send_early(yamux_stream *s, tern_pieces *p, size_t n)
{
    yamux_conn *conn = s->conn;
    uint8_t header[TERN_YAMUX_HEADER];
    tern_span spans[SPANS] = {{header, sizeof header}};
    unsigned used = 1;
    size_t room = early_room(s, 0);
    n = n < room ? n : room;
    if (n == 0) {
        return 0;
    }
    size_t body = tern_pieces_take(p, n, spans, SPANS, &used);
    tern_yamux_core_data(&conn->core, &s->y, (uint32_t)body, header);
    s->early = (uint16_t)(s->early - body);
    if (tern_pieces_keep(&conn->core.out, spans, used, 0) != 0) {
        conn->core.broken = TERN_E_NOMEM;
        yamux_want_turn(conn);
    }
    return body;
}

static size_t stream_write(tern_stream *base, const tern_span *v, unsigned n)
{
    yamux_stream *s = (yamux_stream *)base;
    yamux_conn *conn = s->conn;
    tern_pieces p = {.v = v, .n = n};
    size_t total = tern_span_total(v, n), done = 0;
    if (!tern_list_empty(&s->link)) {
        return send_early(s, &p, total); /* its turn comes */
    }
    if (!s->y.syn_sent && s->y.ours) {
        tern_yamux_core_announce(&conn->core, &s->y);
    }
    size_t most = share(conn, total);
    while (done < most && s->y.send_window > 0) {
        /* Without room for more than what waits, that goes alone: only one frame may be cut. */
        bool cut = room_below(conn) == 0 && !yamux_flush(conn);
        if (!cut) {
            done += send_frames(s, &p, most - done, &cut);
        }
        if (cut) {
            block(s);
            return done + send_early(s, &p, total - done);
        }
    }
    if (done < total && s->y.send_window > 0) {
        block(s);
        yamux_want_turn(conn);
    }
    return done;
}

/* The sum of the frames that a write would make. */
static size_t stream_room(const tern_stream *base)
{
    const yamux_stream *s = (const yamux_stream *)(const void *)base;
    const yamux_conn *conn = s->conn;
    size_t room = tern_stream_room(conn->lower);
    size_t ahead = tern_buf_len(&conn->core.out), syns = 0;
    if (s->y.ours && !s->y.syn_sent) {
        syns = tern_yamux_core_unsent_before(&conn->core, &s->y) * TERN_YAMUX_HEADER;
    }
    if (!tern_list_empty(&s->link) || room < ahead + syns) {
        return early_room(s, syns);
    }
    room -= ahead + syns;
    size_t most = share(conn, s->y.send_window), done = 0;
    bool full = false;
    while (!full && done < most) {
        size_t body = frame_size(most - done, most - done, room);
        size_t frame = TERN_YAMUX_HEADER + body;
        full = room < frame;
        room -= full ? room : frame;
        done += body;
    }
    size_t early = full ? early_room(s, syns + TERN_YAMUX_HEADER + WORTHWHILE) : 0;
    return done + early < s->y.send_window ? done + early : s->y.send_window;
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
