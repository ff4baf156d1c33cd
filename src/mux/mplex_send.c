/* mplex, sending: the streams' operations, and the turns in which they share the lower stream.
 *
 *   core.out: | control frames, in order | rest of a cut message |   goes before anything else
 *
 * Nothing of a stream is queued here. A write makes messages of at most TERN_MPLEX_BODY_MAX and
 * hands each to the lower stream with its header. The one that does not fit is cut where the room
 * ends: the lower write comes short, so its on_room follows, and the rest of that one message waits
 * in core.out. While the lower stream is full, writers line up in conn->blocked. Then each turn
 * lets the first of them write, one message if others wait, so that none starves. */
#include "base/error.h"
#include "base/mem.h"
#include "mux/mplex_conn.h"
#include "mux/pieces.h"

enum {
    SPANS = 34,         /* of one write below: what waits, a header, pieces of the body */
    WORTHWHILE = 1024,  /* a message is not cut shorter than this to fit the room */
    ROOM_TOP = 16 << 20 /* more room is not told of; a lower stream that is gone has no end of it */
};

bool mplex_flush(mplex_conn *conn)
{
    tern_buf *out = &conn->core.out;
    while (tern_buf_len(out) > 0) {
        size_t len = tern_buf_len(out);
        size_t taken = tern_stream_write(conn->lower, tern_buf_data(out), len);
        tern_buf_consume(out, taken);
        if (taken < len) {
            return false;
        }
    }
    return true;
}

/* --- turns --- */

static void fail_broken(mplex_conn *conn)
{
    tern_error why;
    if (conn->core.broken == TERN_E_LIMIT) {
        conn->net->counters.mplex_flood++;
        tern_fail(&why, TERN_E_LIMIT, "mplex", "the peer makes us answer and does not read");
    } else {
        conn->net->counters.allocation_failures++;
        tern_fail(&why, TERN_E_NOMEM, "mplex", "out of memory");
    }
    mplex_conn_fail(conn, &why);
}

void mplex_turn(tern_deferred *d)
{
    mplex_conn *conn = TERN_CONTAINER(d, mplex_conn, turn);
    if (conn->lower == NULL) {
        return;
    }
    tern_mplex_core_announce_all(&conn->core);
    if (conn->core.broken != 0) {
        fail_broken(conn);
        return;
    }
    if (!mplex_flush(conn)) {
        return; /* on_room brings us back */
    }
    if (conn->over) {
        tern_stream_end(conn->lower);
        return;
    }
    tern_list *first = tern_list_pop(&conn->blocked);
    if (first != NULL) {
        tern_stream_signal_room(&TERN_CONTAINER(first, mplex_stream, link)->base);
        mplex_want_turn(conn); /* after the owner wrote */
    }
}

/* At the end of the line. Either the lower stream's on_room or a turn must be on its way. */
static void block(mplex_stream *s)
{
    if (tern_list_empty(&s->link)) {
        tern_list_push(&s->conn->blocked, &s->link);
    }
}

/* --- writing --- */

/* How large the next message's body is to be, with so much room for it below. */
static size_t message_size(size_t want, size_t room)
{
    size_t n = want < TERN_MPLEX_BODY_MAX ? want : TERN_MPLEX_BODY_MAX;
    size_t cut = room > WORTHWHILE ? room : WORTHWHILE; /* its header does not fit any more */
    return n < cut ? n : cut;
}

/* A message of n bytes, behind what waits in core.out, in one write below. Returns the bytes that
 * went into it: fewer than n when they come in too many pieces. *ret_cut: the lower stream is full.
 */
static size_t send_message(mplex_stream *s, tern_pieces *p, size_t n, bool *ret_cut)
{
    mplex_conn *conn = s->conn;
    tern_buf *out = &conn->core.out;
    uint8_t header[TERN_MPLEX_HEADER_MAX];
    size_t ahead = tern_buf_len(out);
    tern_span spans[SPANS] = {{tern_buf_data(out), ahead}};
    unsigned used = 2, first = ahead > 0 ? 0 : 1;
    size_t body = tern_pieces_take(p, n, spans, SPANS, &used);
    size_t header_len = tern_mplex_core_message(&s->m, body, header);
    spans[1] = (tern_span){header, header_len};
    size_t taken = tern_stream_writev(conn->lower, spans + first, used - first);
    size_t old = taken < ahead ? taken : ahead;
    tern_buf_consume(out, old);
    *ret_cut = taken < ahead + header_len + body;
    if (*ret_cut && tern_pieces_keep(out, spans + 1, used - 1, taken - old) != 0) {
        conn->core.broken = TERN_E_NOMEM; /* a torn frame: the session cannot go on */
        mplex_want_turn(conn);
    }
    return body;
}

/* How much one write may take: while others wait, a message. */
static size_t share(const mplex_conn *conn, size_t total)
{
    bool others = !tern_list_empty(&conn->blocked);
    return others && total > TERN_MPLEX_BODY_MAX ? TERN_MPLEX_BODY_MAX : total;
}

static size_t stream_write(tern_stream *base, const tern_span *v, unsigned n)
{
    mplex_stream *s = (mplex_stream *)base;
    mplex_conn *conn = s->conn;
    tern_pieces p = {.v = v, .n = n};
    size_t total = tern_span_total(v, n), done = 0;
    if (!tern_list_empty(&s->link)) {
        return 0; /* its turn comes */
    }
    tern_mplex_core_announce(&conn->core, &s->m);
    size_t most = share(conn, total);
    while (done < most) {
        size_t ahead = tern_buf_len(&conn->core.out), room = tern_stream_room(conn->lower);
        bool cut = room < ahead && !mplex_flush(conn); /* only one message may be cut */
        if (!cut) {
            size_t size = message_size(most - done, room > ahead ? room - ahead : 0);
            done += send_message(s, &p, size, &cut);
        }
        if (cut) {
            block(s);
            return done;
        }
    }
    if (done < total) {
        block(s);
        mplex_want_turn(conn);
    }
    return done;
}

/* The sum of the messages that a write would make. */
static size_t stream_room(const tern_stream *base)
{
    const mplex_stream *s = (const mplex_stream *)(const void *)base;
    const mplex_conn *conn = s->conn;
    size_t room = tern_stream_room(conn->lower);
    size_t ahead = tern_buf_len(&conn->core.out) + tern_mplex_core_announcement(&s->m);
    if (!tern_list_empty(&s->link) || room < ahead) {
        return 0;
    }
    room -= ahead;
    size_t most = share(conn, ROOM_TOP), done = 0;
    bool full = false;
    while (!full && done < most) {
        uint8_t header[TERN_MPLEX_HEADER_MAX];
        size_t body = message_size(most - done, room);
        size_t frame = tern_mplex_core_message(&s->m, body, header) + body;
        full = room < frame;
        room -= full ? room : frame;
        done += body;
    }
    return done;
}

/* --- the other operations --- */

/* Done on our side: the peer cannot be told that we want no more, so what it sends is dropped, for
 * MPLEX_LINGER_TIME and MPLEX_LINGER_BYTES; then the stream is reset. */
static void linger(mplex_stream *s)
{
    mplex_conn *conn = s->conn;
    if (s->m.live && s->linger_until == 0) {
        s->linger_until = tern_loop_now(conn->base.loop) + MPLEX_LINGER_TIME;
        tern_list_push(&conn->lingering, &s->link);
        mplex_conn_rearm(conn);
    }
}

static void stream_consumed(tern_stream *base, size_t n)
{
    mplex_stream *s = (mplex_stream *)base;
    mplex_conn *conn = s->conn;
    tern_mplex_core_consumed(&conn->core, &s->m, n);
    if (s->done && tern_stream_kept(base) == 0) {
        mplex_stream_done(s);
    }
    if (s->linger_until == 0) {
        return;
    }
    s->lingered += (uint32_t)n;
    if (s->lingered > MPLEX_LINGER_BYTES && s->m.live) {
        tern_mplex_core_reset(&conn->core, &s->m);
        mplex_stream_done(s);
    }
}

static void stream_end(tern_stream *base)
{
    mplex_stream *s = (mplex_stream *)base;
    tern_list_remove(&s->link);
    tern_mplex_core_end(&s->conn->core, &s->m);
    mplex_want_turn(s->conn);
    if (s->m.close_received) {
        mplex_stream_done(s);
    } else if (base->stopped) {
        linger(s);
    }
}

static void stream_stop(tern_stream *base, uint64_t code)
{
    (void)code;
    if (base->ended) {
        linger((mplex_stream *)base);
    }
}

static void stream_reset(tern_stream *base, uint64_t code)
{
    mplex_stream *s = (mplex_stream *)base;
    (void)code; /* does not travel */
    tern_list_remove(&s->link);
    tern_mplex_core_reset(&s->conn->core, &s->m);
    mplex_want_turn(s->conn);
}

static void stream_destroy(tern_stream *base)
{
    mplex_stream *s = (mplex_stream *)base;
    tern_list_remove(&s->link);
    tern_list_remove(&s->all);
    tern_mplex_core_forget(&s->conn->core, &s->m);
    tern_conn_stream_gone(&s->conn->base);
    tern_free(s);
}

const tern_stream_ops mplex_stream_ops = {
    .name = "mplex",
    .write = stream_write,
    .room = stream_room,
    .consumed = stream_consumed,
    .end = stream_end,
    .stop = stream_stop,
    .reset = stream_reset,
    .destroy = stream_destroy,
};
