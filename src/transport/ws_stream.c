/* The stream inside a WebSocket (RFC 6455 sections 5 to 7).
 *
 *     write:    | header | payload, masked by clients |      one frame a write, 64 KiB at most
 *     on_data:  payload is unmasked where the lower stream has it and handed on without a copy
 *
 * Frames are built in the lower stream's output when it can reserve; so is what our owner reserves
 * (a Noise message is encrypted where it will be sent from). `out` is the rest of frames that the
 * lower did not take: while it holds bytes nothing more is accepted, and the lower owes on_room. To
 * get there, SQUEEZED bytes more are accepted than the lower has room for.
 *
 * Pings are answered at the turn's end, the newest only. The stream owns `lower` until it has left
 * it: dropped, with everything written, or reset. */
#include "transport/ws_stream.h"

#include <assert.h>

#include "base/error.h"
#include "base/mem.h"
#include "transport/ws_core.h"

#define LINGER      (10 * TERN_SEC) /* for the peer's Close after ours */
#define ANSWER_WAIT (2 * TERN_SEC)  /* for our owner's end after the peer's Close */

enum { SQUEEZED = 512 };

typedef struct ws_stream {
    tern_stream s;
    tern_stream *lower; /* NULL once it is gone or left */
    tern_counters *counters;
    tern_ws_reader in;
    tern_buf out;
    tern_deferred flush;
    tern_timer timer;
    uint8_t *reserved; /* where the owner's reserved payload begins */
    size_t reserved_n;
    bool reserved_below; /* in the lower's output, not in ours */
    uint8_t pong[TERN_WS_CONTROL_MAX];
    uint8_t pong_len;
    bool pong_due;
    bool client;
    bool blocked; /* our owner keeps bytes */
    bool closing; /* a Close is to be sent, whether our owner has ended or not */
    bool close_sent, close_received;
} ws_stream;

/* ---- ending ---- */

static void release(ws_stream *w)
{
    tern_deferred_cancel(&w->flush);
    tern_timer_stop(&w->timer);
    tern_buf_free(&w->out);
}

static void abort_lower(ws_stream *w, uint64_t code)
{
    tern_stream *lower = w->lower;
    w->lower = NULL;
    release(w);
    if (lower != NULL) {
        tern_stream_reset(lower, code);
        tern_stream_drop(lower);
    }
}

/* Everything is said: the lower flushes and ends by its own rules. */
static void leave_lower(ws_stream *w)
{
    tern_stream *lower = w->lower;
    w->lower = NULL;
    release(w);
    tern_stream_drop(lower);
}

static void finish(ws_stream *w, int code, uint64_t wire, const char *text)
{
    tern_error why;
    tern_fail_wire(&why, code, wire, "ws", "%s", text);
    tern_stream_finish(&w->s, &why);
}

static void fail_memory(ws_stream *w)
{
    w->counters->allocation_failures++;
    abort_lower(w, 0);
    finish(w, TERN_E_NOMEM, 0, "out of memory");
}

/* ---- out ---- */

/* Writes a mask for the next frame; NULL for servers, who do not mask. */
static const uint8_t *new_key(ws_stream *w, uint8_t key[TERN_WS_KEY])
{
    if (!w->client) {
        return NULL;
    }
    tern_loop_random(w->s.loop, key, TERN_WS_KEY);
    return key;
}

/* Gives the lower what it takes of a frame; the rest waits in out. */
static bool pass_on(ws_stream *w, const uint8_t *frame, size_t n)
{
    size_t taken = tern_buf_len(&w->out) == 0 ? tern_stream_write(w->lower, frame, n) : 0;
    if (taken < n && tern_buf_append(&w->out, frame + taken, n - taken) != 0) {
        fail_memory(w);
        return false;
    }
    return true;
}

static bool send_control(ws_stream *w, enum tern_ws_opcode opcode, const void *payload, size_t n)
{
    uint8_t frame[TERN_WS_CONTROL_FRAME_MAX], key[TERN_WS_KEY];
    return pass_on(w, frame, tern_ws_write_control(frame, opcode, payload, n, new_key(w, key)));
}

static bool send_close(ws_stream *w, uint16_t code)
{
    uint8_t payload[2];
    tern_put16(payload, code);
    w->close_sent = true;
    return send_control(w, TERN_WS_CLOSE, payload, code == TERN_WS_NO_STATUS ? 0 : 2);
}

static void on_lingered(tern_timer *timer)
{
    ws_stream *w = TERN_CONTAINER(timer, ws_stream, timer);
    abort_lower(w, 0);
    finish(w, TERN_E_TIMEOUT, 0, "the peer did not answer the close");
}

/* The end of a stream whose peer has closed, too. */
static void finish_closed(ws_stream *w)
{
    if (w->s.ended) {
        finish(w, TERN_OK, 0, "both sides closed");
    }
}

/* Writes `out`, as far as the lower takes it; true when that is all. */
static bool push_out(ws_stream *w)
{
    size_t n = tern_buf_len(&w->out);
    if (n > 0) {
        size_t taken = tern_stream_write(w->lower, tern_buf_data(&w->out), n);
        tern_buf_consume(&w->out, taken);
    }
    return tern_buf_len(&w->out) == 0;
}

/* Writes what waits. */
static void flush(ws_stream *w)
{
    if (!push_out(w)) {
        return;
    }
    if (w->pong_due && !w->close_sent) {
        w->pong_due = false;
        if (!send_control(w, TERN_WS_PONG, w->pong, w->pong_len)) {
            return;
        }
    }
    if ((w->s.ended || w->closing) && !w->close_sent && !send_close(w, TERN_WS_NORMAL)) {
        return;
    }
    if (tern_buf_len(&w->out) > 0) {
        return;
    }
    tern_buf_free(&w->out);
    if (!w->close_sent) {
        tern_stream_signal_room(&w->s);
    } else if (w->close_received) {
        leave_lower(w);
        finish_closed(w);
    } else if (!tern_timer_armed(&w->timer)) {
        tern_timer_start(w->s.loop, &w->timer, tern_loop_now(w->s.loop) + LINGER, on_lingered);
    }
}

/* flush, unless that is the lower's to ask for. */
static void flush_now(ws_stream *w)
{
    if (w->lower != NULL && tern_buf_len(&w->out) == 0) {
        flush(w);
    }
}

static void on_turn_end(tern_deferred *d)
{
    flush_now(TERN_CONTAINER(d, ws_stream, flush));
}

static void on_room(void *owner, tern_stream *lower)
{
    (void)lower;
    flush(owner);
}

/* Whether frames reach the lower at all. */
static bool open_below(const ws_stream *w)
{
    return w->lower != NULL && tern_stream_writable(w->lower) && !w->close_sent;
}

/* Payload that fits into `room` bytes of the lower as frames. */
static size_t fitting(const ws_stream *w, size_t room)
{
    size_t head = tern_ws_head_len(TERN_WS_PAYLOAD_MAX, w->client);
    size_t whole = TERN_WS_PAYLOAD_MAX + head, rest = room % whole;
    return room / whole * TERN_WS_PAYLOAD_MAX + (rest > head ? rest - head : 0);
}

static size_t ws_room(const tern_stream *s)
{
    const ws_stream *w = (const ws_stream *)(const void *)s;
    if (!open_below(w) || tern_buf_len(&w->out) > 0) {
        return 0;
    }
    return fitting(w, tern_stream_room(w->lower)) + SQUEEZED;
}

/* A place in a list of spans. */
typedef struct cursor {
    const tern_span *v;
    size_t at; /* bytes of *v that are behind us */
} cursor;

/* Copies the next n bytes, masked with key unless that is NULL. */
static void copy_payload(uint8_t *to, cursor *c, size_t n, const uint8_t *key)
{
    unsigned phase = 0;
    while (n > 0) {
        size_t left = c->v->len - c->at;
        size_t k = left < n ? left : n;
        const uint8_t *from = c->v->data + c->at;
        if (key != NULL) {
            phase = tern_ws_mask(to, from, k, key, phase);
        } else if (k > 0) {
            memcpy(to, from, k);
        }
        to += k;
        n -= k;
        c->at += k;
        if (k == left) {
            c->v++;
            c->at = 0;
        }
    }
}

/* Sends the next n bytes as one frame. False when the stream has failed. */
static bool send_frame(ws_stream *w, cursor *c, size_t n)
{
    uint8_t key_bytes[TERN_WS_KEY];
    const uint8_t *key = new_key(w, key_bytes);
    size_t head = tern_ws_head_len(n, w->client);
    bool direct = tern_stream_can_reserve(w->lower) && tern_stream_room(w->lower) >= head + n;
    uint8_t *frame =
        direct ? w->lower->ops->reserve(w->lower, head + n) : tern_malloc(TERN_WS_HEAD_MAX + n);
    if (frame == NULL) {
        fail_memory(w);
        return false;
    }
    uint8_t start[TERN_WS_HEAD_MAX];
    tern_ws_write_head(start, TERN_WS_BINARY, n, key);
    memcpy(frame, start, head);
    copy_payload(frame + head, c, n, key);
    if (direct) {
        w->lower->ops->commit(w->lower, head + n);
        return true;
    }
    bool ok = pass_on(w, frame, head + n);
    tern_free(frame);
    return ok;
}

static size_t ws_write(tern_stream *s, const tern_span *v, unsigned n)
{
    ws_stream *w = (ws_stream *)s;
    cursor c = {v, 0};
    size_t total = tern_span_total(v, n);
    if (w->lower == NULL || w->close_sent) {
        finish(w, TERN_E_CONN_CLOSED, 0, "the peer has closed the WebSocket");
        return total;
    }
    if (!tern_stream_writable(w->lower)) {
        return total; /* its end is on its way to us */
    }
    size_t room = ws_room(s), take = total < room ? total : room;
    for (size_t left = take; left > 0;) {
        size_t fit = fitting(w, tern_stream_room(w->lower));
        size_t part = left < TERN_WS_PAYLOAD_MAX ? left : TERN_WS_PAYLOAD_MAX;
        if (fit > 0 && part > fit) {
            part = fit;
        }
        if (!send_frame(w, &c, part)) {
            break;
        }
        left -= part;
    }
    return take;
}

static uint8_t *ws_reserve(tern_stream *s, size_t n)
{
    ws_stream *w = (ws_stream *)s;
    size_t head = tern_ws_head_len(n, w->client);
    if (n > ws_room(s)) {
        return NULL;
    }
    w->reserved_below = tern_stream_can_reserve(w->lower) && tern_stream_room(w->lower) >= head + n;
    uint8_t *frame = w->reserved_below ? w->lower->ops->reserve(w->lower, head + n)
                                       : tern_buf_reserve(&w->out, head + n);
    w->reserved = frame != NULL ? frame + head : NULL;
    w->reserved_n = n;
    return w->reserved;
}

static void ws_commit(tern_stream *s, size_t n)
{
    ws_stream *w = (ws_stream *)s;
    uint8_t key_bytes[TERN_WS_KEY], start[TERN_WS_HEAD_MAX];
    assert(w->reserved != NULL && n == w->reserved_n);
    const uint8_t *key = new_key(w, key_bytes);
    size_t head = tern_ws_write_head(start, TERN_WS_BINARY, n, key);
    memcpy(w->reserved - head, start, head);
    if (key != NULL) {
        tern_ws_mask(w->reserved, w->reserved, n, key, 0);
    }
    w->reserved = NULL;
    if (w->reserved_below) {
        w->lower->ops->commit(w->lower, head + n);
    } else {
        tern_buf_commit(&w->out, head + n);
        push_out(w);
    }
}

/* ---- in ---- */

static void refuse(ws_stream *w, int code)
{
    bool too_large = code == TERN_E_TOO_LARGE;
    if (too_large) {
        w->counters->ws_too_large++;
    } else {
        w->counters->ws_malformed++;
    }
    if (w->close_sent || send_close(w, too_large ? TERN_WS_TOO_BIG : TERN_WS_PROTOCOL_ERROR)) {
        leave_lower(w);
        finish(w, code, 0,
               too_large                 ? "a frame is larger than WebSocket allows"
               : code == TERN_E_PROTOCOL ? "the fragments of messages are out of order"
                                         : "a frame is malformed");
    }
}

static void on_answer_late(tern_timer *timer)
{
    ws_stream *w = TERN_CONTAINER(timer, ws_stream, timer);
    w->closing = true;
    flush_now(w);
}

static void peer_ended(ws_stream *w)
{
    w->close_received = true;
    tern_stream_deliver_end(&w->s);
    if (!w->close_sent) {
        tern_timer_start(w->s.loop, &w->timer, tern_loop_now(w->s.loop) + ANSWER_WAIT,
                         on_answer_late);
    }
    flush_now(w);
}

static void take_close(ws_stream *w, uint16_t code)
{
    if (code == TERN_WS_NORMAL || code == TERN_WS_GOING_AWAY || code == TERN_WS_NO_STATUS) {
        peer_ended(w);
    } else if (w->close_sent || send_close(w, code)) {
        leave_lower(w);
        finish(w, TERN_E_RESET, code, "the peer closed the WebSocket with an error");
    }
}

/* Returns whether to go on reading. */
static bool take_event(ws_stream *w, const tern_ws_event *event)
{
    switch (event->kind) {
    case TERN_WS_GOT_DATA:
        w->blocked = !tern_stream_deliver(&w->s, event->data, event->n);
        break;
    case TERN_WS_GOT_PING:
        memcpy(w->pong, event->data, event->n);
        w->pong_len = (uint8_t)event->n;
        w->pong_due = true;
        tern_defer(w->s.loop, &w->flush);
        break;
    case TERN_WS_GOT_PONG:
        break;
    case TERN_WS_GOT_CLOSE:
        take_close(w, event->code);
        break;
    }
    return !w->blocked && w->lower != NULL;
}

static size_t on_data(void *owner, tern_stream *lower, uint8_t *data, size_t n)
{
    ws_stream *w = owner;
    size_t used = 0;
    bool on = !w->blocked;
    (void)lower;
    while (on && used < n) {
        tern_ws_event event;
        size_t k;
        int got = tern_ws_read(&w->in, data + used, n - used, &k, &event);
        used += k;
        if (got < 0) {
            refuse(w, got);
            break;
        }
        on = got == 0 || take_event(w, &event);
    }
    return w->lower != NULL ? used : n;
}

static void on_end(void *owner, tern_stream *lower)
{
    ws_stream *w = owner;
    (void)lower;
    if (w->close_received) {
        return;
    }
    if (w->close_sent && tern_ws_reader_at_border(&w->in)) {
        peer_ended(w); /* our Close was answered by an end of TCP */
        return;
    }
    abort_lower(w, 0);
    finish(w, TERN_E_EOF, 0, "the peer ended the connection without closing the WebSocket");
}

static void on_closed(void *owner, tern_stream *lower, const tern_error *why)
{
    ws_stream *w = owner;
    (void)lower;
    w->lower = NULL;
    release(w);
    if (w->close_received && !w->s.short_write) {
        finish_closed(w); /* all that was to be read has come */
    } else {              /* also who waits for room: there will be none */
        tern_stream_finish(&w->s, why);
    }
}

static void ws_consumed(tern_stream *s, size_t n)
{
    ws_stream *w = (ws_stream *)s;
    (void)n;
    if (w->blocked && w->lower != NULL && tern_stream_kept(s) == 0) {
        w->blocked = false;
        tern_stream_resume(w->lower);
    }
}

/* ---- the other ops ---- */

static void ws_end(tern_stream *s)
{
    ws_stream *w = (ws_stream *)s;
    if (w->lower == NULL && w->close_received) {
        finish_closed(w);
    } else if (w->close_received) {
        tern_timer_stop(&w->timer);
    }
    flush_now(w);
}

static void ws_reset(tern_stream *s, uint64_t code)
{
    abort_lower((ws_stream *)s, code);
}

static void ws_destroy(tern_stream *s)
{
    ws_stream *w = (ws_stream *)s;
    abort_lower(w, 0);
    tern_free(w);
}

static const tern_stream_ops ws_ops = {
    .name = "ws",
    .write = ws_write,
    .room = ws_room,
    .reserve = ws_reserve,
    .commit = ws_commit,
    .consumed = ws_consumed,
    .end = ws_end,
    .reset = ws_reset,
    .destroy = ws_destroy,
};

static const tern_stream_events lower_events = {
    .on_data = on_data,
    .on_end = on_end,
    .on_room = on_room,
    .on_closed = on_closed,
};

tern_stream *tern_ws_stream_new(tern_stream *lower, bool client, tern_counters *counters)
{
    ws_stream *w = tern_calloc(1, sizeof *w);
    if (w == NULL) {
        return NULL;
    }
    tern_stream_init(&w->s, &ws_ops, lower->loop, tern_stream_id(lower));
    tern_deferred_init(&w->flush, on_turn_end);
    tern_buf_init(&w->out, 0);
    tern_ws_reader_init(&w->in, client);
    w->lower = lower;
    w->client = client;
    w->counters = counters;
    tern_stream_take(lower, &lower_events, w);
    return &w->s;
}
