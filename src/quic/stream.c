/* The streams of a QUIC connection (RFC 9000, sections 2 to 4; libp2p specs, quic): half close is
 * FIN, a reset is RESET_STREAM with STOP_SENDING, flow control follows what the owner consumes.
 *
 *     write -> chunks: | acknowledged | sent | to be sent |      kept until acknowledged
 *
 * A stream is freed when both the base and ngtcp2 are done with it. */
#include <assert.h>

#include "base/error.h"
#include "base/mem.h"
#include "quic/conn.h"

static void free_chunks(quic_stream *s)
{
    while (s->first != NULL) {
        quic_chunk *c = s->first;
        s->first = c->next;
        tern_free(c);
    }
    s->last = s->unsent = NULL;
}

static void forget_unacked(quic_stream *s)
{
    s->conn->unacked -= (size_t)(s->written - s->acked);
    s->acked = s->written;
}

static void free_if_done(quic_stream *s)
{
    if (s->gone && s->over) {
        tern_list_remove(&s->link);
        free_chunks(s);
        tern_free(s);
    }
}

void quic_stream_over(quic_stream *s)
{
    s->over = 1;
    forget_unacked(s);
    free_chunks(s);
    tern_list_remove(&s->ready);
    tern_list_remove(&s->act);
    free_if_done(s);
}

void quic_stream_own(quic_stream *s)
{
    s->own = 1;
    s->conn->base.own_count++;
}

static uint64_t code_out(const quic_stream *s, uint64_t code)
{
    const tern_quic_app *app = s->conn->app;
    return app != NULL && !s->own ? app->code_out(code) : code;
}

/* A reset or a stop, told in the conn's turn. */
static void want_act(quic_stream *s, uint64_t code)
{
    s->code = code_out(s, code);
    if (!s->over) {
        if (tern_list_empty(&s->act)) {
            tern_list_push(&s->conn->acts, &s->act);
        }
        quic_conn_want_turn(s->conn);
    }
}

/* ---- what is sent ---- */

void quic_stream_acked(quic_stream *s, uint64_t to)
{
    while (s->first != NULL && s->acked + s->first->len <= to) {
        quic_chunk *c = s->first;
        if (c == s->last && c->len < c->cap) {
            break; /* still being filled */
        }
        s->acked += c->len;
        s->conn->unacked -= c->len;
        s->first = c->next;
        if (s->first == NULL) {
            s->last = NULL;
        }
        if (s->unsent == c) {
            s->unsent = c->next;
            s->unsent_at = s->acked;
        }
        tern_free(c);
    }
    if (to == s->written && s->first != NULL) { /* all of it: the last chunk can go, too */
        s->conn->unacked -= (size_t)(s->written - s->acked);
        s->acked = s->written;
        free_chunks(s);
    }
    tern_stream_signal_room(&s->base);
}

size_t quic_stream_next(quic_stream *s, ngtcp2_vec *v, size_t cap)
{
    while (s->unsent != NULL && s->sent >= s->unsent_at + s->unsent->len &&
           s->unsent->next != NULL) {
        s->unsent_at += s->unsent->len;
        s->unsent = s->unsent->next;
    }
    size_t n = 0, skip = (size_t)(s->sent - s->unsent_at);
    for (quic_chunk *c = s->unsent; c != NULL && n < cap; c = c->next, skip = 0) {
        if (c->len > skip) {
            v[n++] = (ngtcp2_vec){c->data + skip, c->len - skip};
        }
    }
    return n;
}

/* As much as the congestion window and the road ask for, so that memory follows them. */
static size_t send_limit(const quic_conn *c)
{
    ngtcp2_conn_info info;
    if (c->q == NULL) {
        return QUIC_SEND_LEAST;
    }
    ngtcp2_conn_get_conn_info(c->q, &info);
    uint64_t limit = 2 * info.cwnd, flight = quic_conn_flight(&info);
    limit = limit < flight ? limit : flight;
    return limit < QUIC_SEND_LEAST  ? QUIC_SEND_LEAST
           : limit > QUIC_SEND_MOST ? QUIC_SEND_MOST
                                    : (size_t)limit;
}

static size_t stream_room(const tern_stream *base)
{
    const quic_stream *s = (const quic_stream *)(const void *)base;
    size_t waits = (size_t)(s->written - s->acked);
    if (s->mute || s->over) {
        return 0;
    }
    size_t limit = send_limit(s->conn);
    return waits < limit ? limit - waits : 0;
}

static bool append(quic_stream *s, const uint8_t *p, size_t n)
{
    while (n > 0) {
        quic_chunk *c = s->last;
        if (c == NULL || c->len == c->cap) {
            size_t cap = s->written == 0 && n <= QUIC_CHUNK_FIRST ? QUIC_CHUNK_FIRST : QUIC_CHUNK;
            c = tern_malloc(sizeof *c + cap);
            if (c == NULL) {
                return false;
            }
            *c = (quic_chunk){.cap = cap};
            *(s->last != NULL ? &s->last->next : &s->first) = c;
            s->last = c;
            if (s->unsent == NULL) {
                s->unsent = c;
                s->unsent_at = s->written;
            }
        }
        size_t k = n < c->cap - c->len ? n : c->cap - c->len;
        memcpy(c->data + c->len, p, k);
        c->len += k;
        s->written += k;
        s->conn->unacked += k;
        p += k;
        n -= k;
    }
    return true;
}

static void want_send(quic_stream *s)
{
    if (s->id >= 0 && !s->over && tern_list_empty(&s->ready)) {
        tern_list_push(&s->conn->ready, &s->ready);
    }
    quic_conn_want_turn(s->conn);
}

void quic_stream_opened(quic_stream *s, int64_t id)
{
    quic_conn *c = s->conn;
    tern_list_remove(&s->ready); /* of those that waited */
    c->unopened_count--;
    s->id = id;
    s->base.id = (uint64_t)id;
    if (quic_stream_wants(s)) {
        tern_list_push(&c->ready, &s->ready);
    }
    quic_conn_want_turn(c);
}

static size_t stream_write(tern_stream *base, const tern_span *v, unsigned n)
{
    quic_stream *s = (quic_stream *)base;
    size_t total = tern_span_total(v, n), taken = 0;
    if (s->mute || s->over) {
        return total; /* its end is on its way, or nobody wants it */
    }
    size_t room = stream_room(base);
    for (unsigned i = 0; i < n; i++) {
        size_t part = v[i].len < room - taken ? v[i].len : room - taken;
        if (!append(s, v[i].data, part)) {
            tern_error why;
            s->conn->net->counters.allocation_failures++;
            tern_fail(&why, TERN_E_NOMEM, "quic", "out of memory");
            s->mute = s->want_reset = s->want_stop = 1;
            want_act(s, 0);
            tern_stream_finish(base, &why);
            return total;
        }
        taken += part;
        if (part < v[i].len) {
            break;
        }
    }
    want_send(s);
    return taken;
}

static void stream_end(tern_stream *base)
{
    want_send((quic_stream *)base);
}

/* ---- what is received ---- */

static void stream_consumed(tern_stream *base, size_t n)
{
    quic_stream *s = (quic_stream *)base;
    quic_conn *c = s->conn;
    if (c->q == NULL) {
        return;
    }
    assert(n <= s->unread);
    c->unread -= n;
    s->unread -= n;
    if (!s->over && s->id >= 0) {
        ngtcp2_conn_extend_max_stream_offset(c->q, s->id, n);
    }
    ngtcp2_conn_extend_max_offset(c->q, n);
    quic_conn_want_turn(c);
}

/* ---- resets and stops ---- */

static void stream_stop(tern_stream *base, uint64_t code)
{
    quic_stream *s = (quic_stream *)base;
    bool one_way = s->id >= 0 && !ngtcp2_is_bidi_stream(s->id);
    if (s->conn->app != NULL && base->ended && !s->mute && !one_way) {
        s->stop_owed = 1; /* Firefox drops what it has not read yet when it hears STOP_SENDING */
        s->code = code_out(s, code);
    } else if (!base->peer_ended) { /* whoever has written all of it need not be told */
        s->want_stop = 1;
        want_act(s, code);
    }
}

static void stream_reset(tern_stream *base, uint64_t code)
{
    quic_stream *s = (quic_stream *)base;
    s->want_reset = s->want_stop = 1;
    s->mute = 1;
    want_act(s, code);
}

static void stream_destroy(tern_stream *base)
{
    quic_stream *s = (quic_stream *)base;
    quic_conn *c = s->conn;
    s->gone = 1;
    tern_quic_app_give(base);
    if (s->unread > 0) { /* nobody will read it: the window of the connection is the others' */
        stream_consumed(base, (size_t)s->unread);
    }
    if (s->id < 0 || c->q == NULL) { /* ngtcp2 has never heard of it, or is gone */
        c->unopened_count -= s->id < 0 && !tern_list_empty(&s->ready);
        quic_stream_over(s);
    } else {
        free_if_done(s);
    }
    tern_conn_stream_gone(&c->base);
}

const tern_stream_ops quic_stream_ops = {
    .name = "quic",
    .write = stream_write,
    .room = stream_room,
    .consumed = stream_consumed,
    .end = stream_end,
    .stop = stream_stop,
    .reset = stream_reset,
    .destroy = stream_destroy,
};

quic_stream *quic_stream_new(quic_conn *c, int64_t id)
{
    quic_stream *s = tern_calloc(1, sizeof *s);
    if (s == NULL) {
        return NULL;
    }
    tern_stream_init(&s->base, &quic_stream_ops, c->base.loop, id >= 0 ? (uint64_t)id : 0);
    s->conn = c;
    s->id = id;
    tern_list_init(&s->ready);
    tern_list_init(&s->act);
    tern_list_init(&s->link);
    tern_list_push(&c->streams, &s->link);
    tern_conn_stream_born(&c->base);
    return s;
}
