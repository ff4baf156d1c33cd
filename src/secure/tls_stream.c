/* The encrypted stream of TLS (RFC 8446, section 5).
 *
 *     | type 1 | version 2 | length 2 BE | ciphertext, inner type, tag |   ...
 *
 * In:  the engine opens whole records where the lower stream has them. Only a record that is not
 * complete is collected in `part`. While our owner keeps bytes no record is opened; the lower
 * stream keeps them. Out: a large write becomes records at once, sealed straight into the lower
 * stream's output when it can reserve. What is small waits in `small` until the turn's end, so that
 * the small writes of a turn share a record. `out` is what the lower did not take; while it holds
 * bytes nothing more is accepted, and the lower owes on_room.
 *
 * The peer's close_notify is its end; its lower end between two records is one
 * too, because go and others leave close_notify out. All three buffers hold no
 * memory while nothing is under way. The stream owns `lower` and `engine`. */
#include "secure/tls_stream.h"

#include "base/cursor.h"
#include "base/error.h"
#include "base/mem.h"

enum {
    RECORD_MAX = TERN_TLS_PLAIN_MAX + TERN_TLS_OVERHEAD, /* that we write */
    PART_EARLY = 1024,                /* bytes of a record that must have come before the whole
                                         is allocated */
    ANSWERS_MAX = 4 * TERN_TLS_SMALL, /* in out, before the peer counts as flooding */
};

typedef struct tls_stream {
    tern_stream s;
    tern_stream *lower; /* NULL once it is gone */
    tern_counters *counters;
    tern_tls_engine *engine;
    tern_buf part, small, out;
    tern_deferred flush;
    unsigned quiet;  /* records without data in a row */
    bool direct;     /* the record being sealed lies in the lower's output, not in out */
    bool blocked;    /* our owner keeps bytes */
    bool peer_ended; /* by close_notify: nothing after it counts */
    bool close_sent;
} tls_stream;

/* ---- ending ---- */

static void release_buffers(tls_stream *ts)
{
    tern_deferred_cancel(&ts->flush);
    tern_buf_free(&ts->part);
    tern_buf_free(&ts->small);
    tern_buf_free(&ts->out);
}

static void abort_lower(tls_stream *ts, uint64_t code)
{
    tern_stream *lower = ts->lower;
    ts->lower = NULL;
    release_buffers(ts);
    if (lower != NULL) {
        tern_stream_reset(lower, code);
        tern_stream_drop(lower);
    }
}

static void fail_with(tls_stream *ts, uint64_t *counter, const tern_error *why)
{
    if (counter != NULL) {
        ++*counter;
    }
    abort_lower(ts, 0);
    tern_stream_finish(&ts->s, why);
}

static void fail(tls_stream *ts, int code, uint64_t *counter, const char *text)
{
    tern_error why;
    tern_fail(&why, code, "tls", "%s", text);
    fail_with(ts, counter, &why);
}

static void fail_memory(tls_stream *ts)
{
    fail(ts, TERN_E_NOMEM, &ts->counters->allocation_failures, "out of memory");
}

/* What the engine found wrong with a record. */
static void fail_read(tls_stream *ts, const tern_error *why)
{
    tern_counters *count = ts->counters;
    uint64_t *counter = &count->tls_malformed;
    if (why->code == TERN_E_NOMEM) {
        counter = &count->allocation_failures;
    } else if (why->code == TERN_E_CRYPTO) {
        counter = &count->tls_decrypt;
    } else if (why->code == TERN_E_RESET) {
        counter = &count->tls_refused;
    }
    fail_with(ts, counter, why);
}

/* Nobody reads a dropped stream: once all is written the lower may end by its
 * own rules. */
static void leave_lower(tls_stream *ts)
{
    tern_error why;
    tern_stream *lower = ts->lower;
    ts->lower = NULL;
    release_buffers(ts);
    tern_stream_drop(lower);
    tern_fail(&why, TERN_OK, "tls", "dropped");
    tern_stream_finish(&ts->s, &why);
}

/* ---- in ---- */

/* A record that brought no data: a ticket, a key update, nothing at all. */
static bool allow_quiet(tls_stream *ts)
{
    if (++ts->quiet > TERN_TLS_QUIET_MAX || tern_buf_len(&ts->out) > ANSWERS_MAX) {
        fail(ts, TERN_E_PROTOCOL, &ts->counters->tls_malformed, "a flood of records without data");
        return false;
    }
    return true;
}

/* Opens one record in place and hands it on; false when no more can be handed
 * on now. */
static bool take_record(tls_stream *ts, uint8_t *record, size_t n)
{
    tern_error why;
    uint8_t *plain;
    ssize_t len = tern_tls_engine_read(ts->engine, record, n, &plain, &why);
    if (len == TERN_E_EOF) {
        ts->peer_ended = true;
        tern_stream_deliver_end(&ts->s);
        return false;
    }
    if (len < 0) {
        fail_read(ts, &why);
        return false;
    }
    if (len == 0) {
        return allow_quiet(ts);
    }
    ts->quiet = 0;
    bool taken = tern_stream_deliver(&ts->s, plain, (size_t)len);
    ts->blocked = !taken;
    return taken && ts->lower != NULL;
}

/* Bytes of the record that begins at `head`; 0 when it is longer than any may
 * be. */
static size_t record_size(tls_stream *ts, const uint8_t *head)
{
    size_t body = tern_get16(head + 3);
    if (body > TERN_TLS_BODY_MAX) {
        fail(ts, TERN_E_TOO_LARGE, &ts->counters->tls_malformed, "a record is too large");
        return 0;
    }
    return TERN_TLS_HEADER + body;
}

/* Adds to the unfinished record until it has `want` bytes; returns how many it
 * used, -1 when it failed. */
static ssize_t collect(tls_stream *ts, const uint8_t *data, size_t n, size_t want)
{
    size_t have = tern_buf_len(&ts->part);
    size_t k = have >= want ? 0 : want - have < n ? want - have : n;
    if (k == 0) {
        return 0;
    }
    bool early = have + k < PART_EARLY; /* 5 bytes from a peer do not pin 16 KiB */
    uint8_t *to = tern_buf_reserve(&ts->part, early ? k : want - have);
    if (to == NULL) {
        fail_memory(ts);
        return -1;
    }
    memcpy(to, data, k);
    tern_buf_commit(&ts->part, k);
    return (ssize_t)k;
}

/* Continues the unfinished record; returns the bytes used. *ret_on: whether to
 * go on. */
static size_t take_part(tls_stream *ts, const uint8_t *data, size_t n, bool *ret_on)
{
    *ret_on = false;
    ssize_t k = collect(ts, data, n, TERN_TLS_HEADER);
    if (k < 0 || tern_buf_len(&ts->part) < TERN_TLS_HEADER) {
        return n;
    }
    size_t used = (size_t)k;
    size_t whole = record_size(ts, tern_buf_data(&ts->part));
    k = whole > 0 ? collect(ts, data + used, n - used, whole) : -1;
    if (k < 0 || tern_buf_len(&ts->part) < whole) {
        return n;
    }
    used += (size_t)k;
    /* The record leaves the buffer first: what is delivered may end this stream.
     */
    tern_buf record = ts->part;
    tern_buf_init(&ts->part, TERN_TLS_HEADER + TERN_TLS_BODY_MAX);
    *ret_on = take_record(ts, tern_buf_data(&record), whole);
    tern_buf_free(&record);
    return used;
}

static size_t on_data(void *owner, tern_stream *lower, uint8_t *data, size_t n)
{
    tls_stream *ts = owner;
    size_t used = 0;
    bool on = !ts->blocked && !ts->peer_ended;

    (void)lower;
    while (on && used < n) {
        size_t left = n - used, whole = SIZE_MAX;
        uint8_t *at = data + used;
        if (tern_buf_len(&ts->part) == 0 && left >= TERN_TLS_HEADER) {
            whole = record_size(ts, at);
        }
        if (whole == 0) {
            break;
        }
        if (left >= whole) {
            used += whole;
            on = take_record(ts, at, whole);
        } else {
            used += take_part(ts, at, left, &on);
        }
    }
    return ts->lower != NULL && !ts->peer_ended ? used : n;
}

static void on_end(void *owner, tern_stream *lower)
{
    tls_stream *ts = owner;
    (void)lower;
    if (tern_buf_len(&ts->part) > 0) {
        fail(ts, TERN_E_EOF, &ts->counters->tls_truncated, "the peer ended inside a record");
        return;
    }
    tern_stream_deliver_end(&ts->s);
}

static void on_closed(void *owner, tern_stream *lower, const tern_error *why)
{
    tls_stream *ts = owner;
    (void)lower;
    ts->lower = NULL;
    release_buffers(ts);
    tern_stream_finish(&ts->s, why);
}

static void tls_consumed(tern_stream *s, size_t n)
{
    tls_stream *ts = (tls_stream *)s;
    (void)n;
    if (ts->blocked && ts->lower != NULL && tern_stream_kept(s) == 0) {
        ts->blocked = false;
        tern_stream_resume(ts->lower);
    }
}

/* ---- out ---- */

/* Plaintext that fits into `room` bytes of the lower as records. A last record
 * that could not even hold `small` is not counted. */
static size_t fitting(size_t room)
{
    size_t rest = room % RECORD_MAX;
    size_t more = rest >= TERN_TLS_SMALL + TERN_TLS_OVERHEAD ? rest - TERN_TLS_OVERHEAD : 0;
    return room / RECORD_MAX * TERN_TLS_PLAIN_MAX + more;
}

/* What the lower takes as records, and a `small` that is sealed when it has
 * more room. */
static size_t tls_room(const tern_stream *s)
{
    const tls_stream *ts = (const tls_stream *)(const void *)s;
    if (ts->lower == NULL || tern_buf_len(&ts->out) > 0) {
        return 0;
    }
    return fitting(tern_stream_room(ts->lower)) + TERN_TLS_SMALL - tern_buf_len(&ts->small);
}

/* The engine's: where n bytes go that are sealed next. */
static uint8_t *place(void *owner, size_t n)
{
    tls_stream *ts = owner;
    tern_stream *lower = ts->lower;
    ts->direct = lower != NULL && tern_stream_can_reserve(lower) && tern_stream_writable(lower) &&
                 tern_stream_room(lower) >= n && tern_buf_len(&ts->out) == 0;
    return ts->direct ? lower->ops->reserve(lower, n) : tern_buf_reserve(&ts->out, n);
}

/* The engine's: they are there. The lower gets what it takes; the rest waits in out. */
static bool pass_on(void *owner, size_t n)
{
    tls_stream *ts = owner;
    if (ts->direct) {
        ts->lower->ops->commit(ts->lower, n);
        return true;
    }
    bool first = tern_buf_len(&ts->out) == 0;
    tern_buf_commit(&ts->out, n);
    if (first && ts->lower != NULL) {
        size_t taken = tern_stream_write(ts->lower, tern_buf_data(&ts->out), n);
        tern_buf_consume(&ts->out, taken);
    }
    if (tern_buf_len(&ts->out) == 0 || ts->lower == NULL) {
        tern_buf_free(&ts->out);
    }
    return true;
}

/* The spans, n bytes in all, as one record. False when the stream has failed. */
static bool write_record(tls_stream *ts, const tern_span *v, unsigned count, size_t n)
{
    int e = tern_tls_engine_write(ts->engine, v, count, n);
    if (e == TERN_E_NOMEM) {
        fail_memory(ts);
    } else if (e != 0) {
        fail(ts, e, NULL, "a record cannot be made");
    }
    return e == 0;
}

/* Says that nothing more is written, then ends or leaves the lower. */
static void end_lower(tls_stream *ts)
{
    if (!ts->close_sent) {
        ts->close_sent = true;
        if (tern_tls_engine_close(ts->engine) != 0) {
            fail_memory(ts);
            return;
        }
        if (tern_buf_len(&ts->out) > 0) {
            return;
        }
    }
    tern_stream_end(ts->lower);
    if (ts->s.dropped) {
        leave_lower(ts);
    }
}

/* Writes what waits, as far as the lower takes it; then ends or leaves the
 * lower if that was asked.
 */
static void flush(tls_stream *ts)
{
    if (ts->lower == NULL) {
        return;
    }
    size_t n = tern_buf_len(&ts->out);
    if (n > 0) {
        size_t taken = tern_stream_write(ts->lower, tern_buf_data(&ts->out), n);
        tern_buf_consume(&ts->out, taken);
        if (taken < n) {
            return;
        }
    }
    n = tern_buf_len(&ts->small);
    if (n > 0) {
        tern_span span = {tern_buf_data(&ts->small), n};
        if (!write_record(ts, &span, 1, n)) {
            return;
        }
        tern_buf_free(&ts->small);
    }
    if (tern_buf_len(&ts->out) > 0) {
        return;
    }
    tern_buf_free(&ts->out);
    if (ts->s.ended) {
        end_lower(ts);
        return;
    }
    tern_stream_signal_room(&ts->s);
}

static void on_turn_end(tern_deferred *d)
{
    tls_stream *ts = TERN_CONTAINER(d, tls_stream, flush);
    if (tern_buf_len(&ts->out) == 0) { /* otherwise on_room comes */
        flush(ts);
    }
}

static void on_room(void *owner, tern_stream *lower)
{
    (void)lower;
    flush(owner);
}

/* Puts the next n bytes behind what waits for the turn's end. */
static void keep_small(tls_stream *ts, tern_cursor *c, size_t n)
{
    while (n > 0) {
        tern_span piece;
        unsigned one;
        n -= tern_cursor_slice(c, n, &piece, 1, &one);
        if (tern_buf_append(&ts->small, piece.data, piece.len) != 0) {
            fail_memory(ts);
            return;
        }
    }
    tern_defer(ts->s.loop, &ts->flush);
}

/* How large the next record is to be: what waits, and of `left` bytes what fits. */
static size_t record_length(const tls_stream *ts, size_t early, size_t left)
{
    size_t room = tern_stream_room(ts->lower);
    size_t n = early + left < TERN_TLS_PLAIN_MAX ? early + left : TERN_TLS_PLAIN_MAX;
    return room < n + TERN_TLS_OVERHEAD && fitting(room) > early ? fitting(room) : n;
}

static size_t tls_write(tern_stream *s, const tern_span *v, unsigned n)
{
    tls_stream *ts = (tls_stream *)s;
    size_t total = tern_span_total(v, n), room = tls_room(s);
    size_t taken = total < room ? total : room, left = taken;
    tern_span record[TERN_TLS_SPANS_MAX];
    tern_cursor c = {v, 0};

    for (size_t early; (early = tern_buf_len(&ts->small)) + left > TERN_TLS_SMALL;) {
        unsigned first = early > 0, count; /* what waits goes first */
        size_t now = tern_cursor_slice(&c, record_length(ts, early, left) - early, record + first,
                                       TERN_TLS_SPANS_MAX - first, &count);
        record[0] = first ? (tern_span){tern_buf_data(&ts->small), early} : record[0];
        if (!write_record(ts, record, first + count, early + now)) {
            return taken;
        }
        tern_buf_free(&ts->small);
        left -= now;
    }
    if (left > 0) {
        keep_small(ts, &c, left);
    }
    return taken;
}

/* ---- the other ops ---- */

static void tls_end(tern_stream *s)
{
    tls_stream *ts = (tls_stream *)s;
    if (tern_buf_len(&ts->out) == 0) {
        flush(ts);
    }
}

/* Bytes that arrive are opened still and dropped by the base: an end must be
 * told from a cut. */
static void tls_stop(tern_stream *s, uint64_t code)
{
    tls_stream *ts = (tls_stream *)s;
    (void)code;
    if (s->dropped && ts->lower != NULL && tern_buf_len(&ts->out) == 0) {
        flush(ts);
    }
}

static void tls_reset(tern_stream *s, uint64_t code)
{
    abort_lower((tls_stream *)s, code);
}

static void tls_destroy(tern_stream *s)
{
    tls_stream *ts = (tls_stream *)s;
    abort_lower(ts, 0);
    tern_tls_engine_free(ts->engine);
    tern_free(ts);
}

static const tern_stream_ops tls_ops = {
    .name = "tls",
    .write = tls_write,
    .room = tls_room,
    .consumed = tls_consumed,
    .end = tls_end,
    .stop = tls_stop,
    .reset = tls_reset,
    .destroy = tls_destroy,
};

static const tern_stream_events lower_events = {
    .on_data = on_data,
    .on_end = on_end,
    .on_room = on_room,
    .on_closed = on_closed,
};

tern_stream *tern_tls_stream_new(tern_stream *lower, tern_counters *counters,
                                 tern_tls_engine *engine, tern_buf *out)
{
    tls_stream *ts = tern_calloc(1, sizeof *ts);
    if (ts == NULL) {
        return NULL;
    }
    tern_stream_init(&ts->s, &tls_ops, lower->loop, tern_stream_id(lower));
    tern_deferred_init(&ts->flush, on_turn_end);
    tern_buf_init(&ts->part, TERN_TLS_HEADER + TERN_TLS_BODY_MAX);
    ts->lower = lower;
    ts->counters = counters;
    ts->engine = engine;
    tern_tls_engine_output(engine, &(tern_tls_output){place, pass_on, ts});
    ts->out = *out;
    tern_buf_init(out, 0);
    tern_stream_take(lower, &lower_events, ts);
    flush(ts);
    return &ts->s;
}
