/* The encrypted stream of Noise (libp2p specs, noise, "Wire format").
 *
 *     | length 2 BE | ciphertext, 0 .. 65519 | tag 16 |   ...
 *
 * In:  whole frames are opened where the lower stream has them and handed on without a copy. Only a
 * frame that is not complete is collected in `part`. While our owner keeps bytes no frame is
 * opened; the lower stream keeps them. Out: a large write is sealed at once, straight into the
 * lower stream's output when it can reserve. What is small waits in `small` until the turn's end,
 * so that the small writes of a turn share a frame. `out` is the rest of a sealed frame that the
 * lower did not take; while it holds bytes nothing more is accepted, and the lower owes on_room.
 *
 * All three buffers are empty, and hold no memory, while nothing is under way. The stream owns
 * `lower`. */
#include "secure/noise_stream.h"

#include "base/cursor.h"
#include "base/error.h"
#include "base/mem.h"

enum {
    SPANS_MAX = 32, /* of a write in one frame */
    PART_EARLY =
        1024, /* bytes of a frame that must have come before the whole of it is allocated */
    FRAME_MAX = TERN_NOISE_PLAIN_MAX + TERN_NOISE_OVERHEAD,
};

typedef struct noise_stream {
    tern_stream s;
    tern_stream *lower; /* NULL once it is gone */
    tern_counters *counters;
    tern_noise_cipher send, recv;
    tern_buf part, small, out;
    tern_deferred flush;
    unsigned empty; /* empty frames in a row */
    bool blocked;   /* our owner keeps bytes */
} noise_stream;

static const tern_span nothing = {NULL, 0};

/* ---- ending ---- */

static void release_buffers(noise_stream *ns)
{
    tern_deferred_cancel(&ns->flush);
    tern_buf_free(&ns->part);
    tern_buf_free(&ns->small);
    tern_buf_free(&ns->out);
}

static void abort_lower(noise_stream *ns, uint64_t code)
{
    tern_stream *lower = ns->lower;
    ns->lower = NULL;
    release_buffers(ns);
    if (lower != NULL) {
        tern_stream_reset(lower, code);
        tern_stream_drop(lower);
    }
}

static void fail(noise_stream *ns, int code, uint64_t *counter, const char *text)
{
    tern_error why;
    if (counter != NULL) {
        ++*counter;
    }
    tern_fail(&why, code, "noise", "%s", text);
    abort_lower(ns, 0);
    tern_stream_finish(&ns->s, &why);
}

static void fail_memory(noise_stream *ns)
{
    fail(ns, TERN_E_NOMEM, &ns->counters->allocation_failures, "out of memory");
}

/* Nobody reads a dropped stream: once all is written the lower may end by its own rules. */
static void leave_lower(noise_stream *ns)
{
    tern_error why;
    tern_stream *lower = ns->lower;
    ns->lower = NULL;
    release_buffers(ns);
    tern_stream_drop(lower);
    tern_fail(&why, TERN_OK, "noise", "dropped");
    tern_stream_finish(&ns->s, &why);
}

/* ---- in ---- */

/* Opens one frame in place and hands it on; false when no more can be handed on now. */
static bool take_frame(noise_stream *ns, uint8_t *body, size_t n)
{
    tern_counters *count = ns->counters;
    if (tern_noise_open(&ns->recv, nothing, body, n) != 0) {
        fail(ns, TERN_E_CRYPTO, &count->noise_decrypt, "a message does not decrypt");
        return false;
    }
    n -= TERN_AEAD_TAG;
    if (n == 0) {
        if (++ns->empty > TERN_NOISE_EMPTY_MAX) {
            fail(ns, TERN_E_PROTOCOL, &count->noise_malformed, "a flood of empty messages");
            return false;
        }
        return true;
    }
    ns->empty = 0;
    bool taken = tern_stream_deliver(&ns->s, body, n);
    ns->blocked = !taken;
    return taken && ns->lower != NULL;
}

/* Adds to the unfinished frame until it has `want` bytes; returns how many it used, -1 when it
 * failed. */
static ssize_t collect(noise_stream *ns, const uint8_t *data, size_t n, size_t want)
{
    size_t have = tern_buf_len(&ns->part);
    size_t k = have >= want ? 0 : want - have < n ? want - have : n;
    if (k == 0) {
        return 0;
    }
    bool early = have + k < PART_EARLY; /* 2 bytes from a peer do not pin 64 KiB */
    uint8_t *to = tern_buf_reserve(&ns->part, early ? k : want - have);
    if (to == NULL) {
        fail_memory(ns);
        return -1;
    }
    memcpy(to, data, k);
    tern_buf_commit(&ns->part, k);
    return (ssize_t)k;
}

/* Continues the unfinished frame; returns the bytes used. *ret_on: whether to go on. */
static size_t take_part(noise_stream *ns, const uint8_t *data, size_t n, bool *ret_on)
{
    *ret_on = false;
    ssize_t k = collect(ns, data, n, 2);
    if (k < 0 || tern_buf_len(&ns->part) < 2) {
        return n;
    }
    size_t used = (size_t)k;
    size_t whole = 2 + (size_t)tern_get16(tern_buf_data(&ns->part));
    k = collect(ns, data + used, n - used, whole);
    if (k < 0 || tern_buf_len(&ns->part) < whole) {
        return n;
    }
    used += (size_t)k;
    /* The frame leaves the buffer first: what is delivered may end this stream. */
    tern_buf frame = ns->part;
    tern_buf_init(&ns->part, 2 + TERN_NOISE_BODY_MAX);
    *ret_on = take_frame(ns, tern_buf_data(&frame) + 2, whole - 2);
    tern_buf_free(&frame);
    return used;
}

static size_t on_data(void *owner, tern_stream *lower, uint8_t *data, size_t n)
{
    noise_stream *ns = owner;
    size_t used = 0;
    bool on = !ns->blocked;

    (void)lower;
    while (on && used < n) {
        size_t left = n - used;
        uint8_t *at = data + used;
        if (tern_buf_len(&ns->part) == 0 && left >= 2 && left - 2 >= tern_get16(at)) {
            size_t body = tern_get16(at);
            used += 2 + body;
            on = take_frame(ns, at + 2, body);
        } else {
            used += take_part(ns, at, left, &on);
        }
    }
    return ns->lower != NULL ? used : n;
}

static void on_end(void *owner, tern_stream *lower)
{
    noise_stream *ns = owner;
    (void)lower;
    if (tern_buf_len(&ns->part) > 0) {
        fail(ns, TERN_E_EOF, &ns->counters->noise_truncated, "the peer ended inside a message");
        return;
    }
    tern_stream_deliver_end(&ns->s);
}

static void on_closed(void *owner, tern_stream *lower, const tern_error *why)
{
    noise_stream *ns = owner;
    (void)lower;
    ns->lower = NULL;
    release_buffers(ns);
    tern_stream_finish(&ns->s, why);
}

static void noise_consumed(tern_stream *s, size_t n)
{
    noise_stream *ns = (noise_stream *)s;
    (void)n;
    if (ns->blocked && ns->lower != NULL && tern_stream_kept(s) == 0) {
        ns->blocked = false;
        tern_stream_resume(ns->lower);
    }
}

/* ---- out ---- */

/* Plaintext that fits into `room` bytes of the lower as frames. A last frame that could not even
 * hold `small` is not counted. */
static size_t fitting(size_t room)
{
    size_t rest = room % FRAME_MAX;
    size_t more = rest >= TERN_NOISE_SMALL + TERN_NOISE_OVERHEAD ? rest - TERN_NOISE_OVERHEAD : 0;
    return room / FRAME_MAX * TERN_NOISE_PLAIN_MAX + more;
}

/* What the lower takes as frames, and a `small` that is sealed when it has more room. */
static size_t noise_room(const tern_stream *s)
{
    const noise_stream *ns = (const noise_stream *)(const void *)s;
    if (ns->lower == NULL || tern_buf_len(&ns->out) > 0) {
        return 0;
    }
    return fitting(tern_stream_room(ns->lower)) + TERN_NOISE_SMALL - tern_buf_len(&ns->small);
}

/* Gives the lower what it takes of bytes that are sealed already; the rest waits in out. */
static bool pass_on(noise_stream *ns, const uint8_t *p, size_t n)
{
    size_t taken = tern_buf_len(&ns->out) == 0 ? tern_stream_write(ns->lower, p, n) : 0;
    if (taken < n && tern_buf_append(&ns->out, p + taken, n - taken) != 0) {
        fail_memory(ns);
        return false;
    }
    return true;
}

/* Seals the spans, n bytes in all, as one frame. False when the stream has failed. */
static bool seal(noise_stream *ns, const tern_span *v, unsigned count, size_t n)
{
    tern_stream *lower = ns->lower;
    size_t whole = n + TERN_NOISE_OVERHEAD;
    bool direct = tern_stream_can_reserve(lower) && tern_stream_writable(lower) &&
                  tern_stream_room(lower) >= whole && tern_buf_len(&ns->out) == 0;
    uint8_t *p = direct ? lower->ops->reserve(lower, whole) : tern_malloc(whole);

    if (p == NULL) {
        fail_memory(ns);
        return false;
    }
    tern_put16(p, (uint16_t)(n + TERN_AEAD_TAG));
    bool ok = tern_noise_seal(&ns->send, nothing, v, count, p + 2) == 0;
    if (!ok) {
        fail(ns, TERN_E_CRYPTO, NULL, "the key is used up: 2^64 messages were sent");
    } else if (direct) {
        lower->ops->commit(lower, whole);
    } else {
        ok = pass_on(ns, p, whole);
    }
    if (!direct) {
        tern_free(p);
    }
    return ok;
}

/* Writes what waits, as far as the lower takes it; then ends or leaves the lower if that was asked.
 */
static void flush(noise_stream *ns)
{
    if (ns->lower == NULL) {
        return;
    }
    size_t n = tern_buf_len(&ns->out);
    if (n > 0) {
        size_t taken = tern_stream_write(ns->lower, tern_buf_data(&ns->out), n);
        tern_buf_consume(&ns->out, taken);
        if (taken < n) {
            return;
        }
    }
    n = tern_buf_len(&ns->small);
    if (n > 0) {
        tern_span span = {tern_buf_data(&ns->small), n};
        if (!seal(ns, &span, 1, n)) {
            return;
        }
        tern_buf_free(&ns->small);
    }
    if (tern_buf_len(&ns->out) > 0) {
        return;
    }
    tern_buf_free(&ns->out);
    if (ns->s.ended) {
        tern_stream_end(ns->lower);
        if (ns->s.dropped) {
            leave_lower(ns);
        }
        return;
    }
    tern_stream_signal_room(&ns->s);
}

static void on_turn_end(tern_deferred *d)
{
    noise_stream *ns = TERN_CONTAINER(d, noise_stream, flush);
    if (tern_buf_len(&ns->out) == 0) { /* otherwise on_room comes */
        flush(ns);
    }
}

static void on_room(void *owner, tern_stream *lower)
{
    (void)lower;
    flush(owner);
}

/* Puts the next n bytes behind what waits for the turn's end. */
static void keep_small(noise_stream *ns, tern_cursor *c, size_t n)
{
    while (n > 0) {
        tern_span piece;
        unsigned one;
        n -= tern_cursor_slice(c, n, &piece, 1, &one);
        if (tern_buf_append(&ns->small, piece.data, piece.len) != 0) {
            fail_memory(ns);
            return;
        }
    }
    tern_defer(ns->s.loop, &ns->flush);
}

/* How large the next frame is to be: what waits, and of `left` bytes what fits. */
static size_t frame_length(const noise_stream *ns, size_t early, size_t left)
{
    size_t room = tern_stream_room(ns->lower);
    size_t n = early + left < TERN_NOISE_PLAIN_MAX ? early + left : TERN_NOISE_PLAIN_MAX;
    return room < n + TERN_NOISE_OVERHEAD && fitting(room) > early ? fitting(room) : n;
}

static size_t noise_write(tern_stream *s, const tern_span *v, unsigned n)
{
    noise_stream *ns = (noise_stream *)s;
    size_t total = tern_span_total(v, n), room = noise_room(s);
    size_t taken = total < room ? total : room, left = taken;
    tern_span frame[1 + SPANS_MAX];
    tern_cursor c = {v, 0};

    for (size_t early; (early = tern_buf_len(&ns->small)) + left > TERN_NOISE_SMALL;) {
        unsigned first = early > 0, count; /* what waits goes first */
        size_t now = tern_cursor_slice(&c, frame_length(ns, early, left) - early, frame + first,
                                       SPANS_MAX, &count);
        frame[0] = first ? (tern_span){tern_buf_data(&ns->small), early} : frame[0];
        if (!seal(ns, frame, first + count, early + now)) {
            return taken;
        }
        tern_buf_free(&ns->small);
        left -= now;
    }
    if (left > 0) {
        keep_small(ns, &c, left);
    }
    return taken;
}

/* ---- the other ops ---- */

static void noise_end(tern_stream *s)
{
    noise_stream *ns = (noise_stream *)s;
    if (tern_buf_len(&ns->out) == 0) {
        flush(ns);
    }
}

/* Bytes that arrive are opened still and dropped by the base: an end must be told from a cut. */
static void noise_stop(tern_stream *s, uint64_t code)
{
    noise_stream *ns = (noise_stream *)s;
    (void)code;
    if (s->dropped && ns->lower != NULL && tern_buf_len(&ns->out) == 0) {
        flush(ns);
    }
}

static void noise_reset(tern_stream *s, uint64_t code)
{
    abort_lower((noise_stream *)s, code);
}

static void noise_destroy(tern_stream *s)
{
    noise_stream *ns = (noise_stream *)s;
    abort_lower(ns, 0);
    tern_noise_cipher_clear(&ns->send);
    tern_noise_cipher_clear(&ns->recv);
    tern_free(ns);
}

static const tern_stream_ops noise_ops = {
    .name = "noise",
    .write = noise_write,
    .room = noise_room,
    .consumed = noise_consumed,
    .end = noise_end,
    .stop = noise_stop,
    .reset = noise_reset,
    .destroy = noise_destroy,
};

static const tern_stream_events lower_events = {
    .on_data = on_data,
    .on_end = on_end,
    .on_room = on_room,
    .on_closed = on_closed,
};

tern_stream *tern_noise_stream_new(tern_stream *lower, tern_counters *counters,
                                   tern_noise_cipher *to_peer, tern_noise_cipher *from_peer,
                                   tern_buf *out)
{
    noise_stream *ns = tern_calloc(1, sizeof *ns);
    if (ns == NULL) {
        return NULL;
    }
    tern_stream_init(&ns->s, &noise_ops, lower->loop, tern_stream_id(lower));
    tern_deferred_init(&ns->flush, on_turn_end);
    tern_buf_init(&ns->part, 2 + TERN_NOISE_BODY_MAX);
    ns->lower = lower;
    ns->counters = counters;
    ns->send = *to_peer;
    ns->recv = *from_peer;
    *to_peer = *from_peer = (tern_noise_cipher){0};
    ns->out = *out;
    tern_buf_init(out, 0);
    tern_stream_take(lower, &lower_events, ns);
    flush(ns);
    return &ns->s;
}
