/* See circuit_stream.h. Bytes go up where they lie and down as they come; nothing is queued here.
 *
 * A relay that has carried all that it may ends that way in good order, and when the time is up it
 * resets both. What ends earlier than the limit has another reason, and keeps it. */
#include "nat/circuit_stream.h"

#include <stdio.h>

#include "base/error.h"
#include "base/mem.h"

#define SLACK (2 * TERN_SEC) /* between the relay's clock and when we hear of its cut */
enum {
    TOGETHER_LESS = 1024,    /* what the relay counted last may not have come */
    TOGETHER_MORE = 16 << 10 /* what we sent last it may not have counted */
};

typedef struct circuit_stream {
    tern_stream s;
    tern_stream *inner; /* NULL once it is gone */
    tern_relay_limit limit;
    uint64_t sent, received, began;
    bool blocked; /* our owner keeps bytes */
    bool cut;     /* the limit is reached: told once the owner has taken what is kept */
} circuit_stream;

static void data_text(uint64_t bytes, char *out, size_t cap)
{
    if (bytes >= 1 << 20 && bytes % (1 << 20) == 0) {
        snprintf(out, cap, "%llu MiB", (unsigned long long)(bytes >> 20));
    } else if (bytes >= 1 << 10 && bytes % (1 << 10) == 0) {
        snprintf(out, cap, "%llu KiB", (unsigned long long)(bytes >> 10));
    } else {
        snprintf(out, cap, "%llu bytes", (unsigned long long)bytes);
    }
}

/* Some relays (rust's) count both ways together, and reset the circuit with the last bytes. */
static bool together_reached(const circuit_stream *c)
{
    uint64_t both = c->sent + c->received;
    return both + TOGETHER_LESS >= c->limit.data && both <= c->limit.data + TOGETHER_MORE;
}

/* Whether the relay has carried all that it does, or for as long as it does; then *ret says so. */
static bool limit_reached(const circuit_stream *c, bool reset, tern_error *ret)
{
    uint64_t lasted = tern_loop_now(c->s.loop) - c->began;
    if (c->limit.data > 0 && (c->sent >= c->limit.data || c->received >= c->limit.data ||
                              (reset && together_reached(c)))) {
        char text[40];
        data_text(c->limit.data, text, sizeof text);
        tern_fail(ret, TERN_E_LIMITED, "circuit", "the relay's limit of %s was reached", text);
        return true;
    }
    if (c->limit.duration > 0 && lasted + SLACK >= c->limit.duration * TERN_SEC) {
        tern_fail(ret, TERN_E_LIMITED, "circuit", "the relay's limit of %u seconds was reached",
                  c->limit.duration);
        return true;
    }
    return false;
}

static void abort_inner(circuit_stream *c, uint64_t code)
{
    tern_stream *inner = c->inner;
    c->inner = NULL;
    if (inner != NULL) {
        tern_stream_reset(inner, code);
        tern_stream_drop(inner);
    }
}

/* Nobody reads a dropped stream: the inner one may end by its own rules. */
static void leave_inner(circuit_stream *c)
{
    tern_error why;
    tern_stream *inner = c->inner;
    c->inner = NULL;
    tern_stream_drop(inner);
    tern_fail(&why, TERN_OK, "circuit", "dropped");
    tern_stream_finish(&c->s, &why);
}

/* ---- in ---- */

static size_t on_data(void *owner, tern_stream *inner, uint8_t *data, size_t n)
{
    circuit_stream *c = owner;
    (void)inner;
    if (c->blocked) {
        return 0;
    }
    c->received += n;
    c->blocked = !tern_stream_deliver(&c->s, data, n);
    return n;
}

static void tell_cut(circuit_stream *c)
{
    tern_error why;
    if (limit_reached(c, false, &why)) {
        abort_inner(c, 0);
        tern_stream_finish(&c->s, &why);
    }
}

static void on_end(void *owner, tern_stream *inner)
{
    circuit_stream *c = owner;
    tern_error why;
    (void)inner;
    c->cut = limit_reached(c, false, &why);
    if (!c->cut) {
        tern_stream_deliver_end(&c->s);
    } else if (!c->blocked) {
        tell_cut(c);
    }
}

static void on_room(void *owner, tern_stream *inner)
{
    circuit_stream *c = owner;
    (void)inner;
    tern_stream_signal_room(&c->s);
}

static void on_closed(void *owner, tern_stream *inner, const tern_error *why)
{
    circuit_stream *c = owner;
    tern_error limit;
    bool reset = why->code == TERN_E_RESET, cut = reset || why->code == TERN_E_EOF;
    (void)inner;
    c->inner = NULL;
    tern_stream_finish(&c->s, cut && limit_reached(c, reset, &limit) ? &limit : why);
}

static const tern_stream_events inner_events = {
    .on_data = on_data, .on_end = on_end, .on_room = on_room, .on_closed = on_closed};

/* ---- the ops ---- */

static size_t circuit_write(tern_stream *s, const tern_span *v, unsigned n)
{
    circuit_stream *c = (circuit_stream *)s;
    size_t taken = c->inner != NULL ? tern_stream_writev(c->inner, v, n) : tern_span_total(v, n);
    c->sent += taken;
    return taken;
}

static size_t circuit_room(const tern_stream *s)
{
    const circuit_stream *c = (const circuit_stream *)(const void *)s;
    return c->inner != NULL ? tern_stream_room(c->inner) : 0;
}

static void circuit_consumed(tern_stream *s, size_t n)
{
    circuit_stream *c = (circuit_stream *)s;
    (void)n;
    if (!c->blocked || tern_stream_kept(s) > 0) {
        return;
    }
    c->blocked = false;
    if (c->cut) {
        tell_cut(c);
    } else if (c->inner != NULL) {
        tern_stream_resume(c->inner);
    }
}

static void circuit_end(tern_stream *s)
{
    circuit_stream *c = (circuit_stream *)s;
    if (c->inner != NULL) {
        tern_stream_end(c->inner);
    }
}

static void circuit_stop(tern_stream *s, uint64_t code)
{
    circuit_stream *c = (circuit_stream *)s;
    if (c->inner == NULL) {
        return;
    }
    if (s->dropped) {
        leave_inner(c);
    } else {
        tern_stream_stop(c->inner, code);
    }
}

static void circuit_reset(tern_stream *s, uint64_t code)
{
    abort_inner((circuit_stream *)s, code);
}

static void circuit_destroy(tern_stream *s)
{
    abort_inner((circuit_stream *)s, 0);
    tern_free(s);
}

static const tern_stream_ops circuit_ops = {
    .name = "circuit",
    .write = circuit_write,
    .room = circuit_room,
    .consumed = circuit_consumed,
    .end = circuit_end,
    .stop = circuit_stop,
    .reset = circuit_reset,
    .destroy = circuit_destroy,
};

tern_stream *circuit_stream_new(tern_stream *inner, const tern_relay_limit *limit)
{
    if (limit->data == 0 && limit->duration == 0) {
        tern_stream_take(inner, NULL, NULL); /* silent: what follows is the circuit's */
        return inner;
    }
    circuit_stream *c = tern_calloc(1, sizeof *c);
    if (c == NULL) {
        return NULL;
    }
    tern_stream_init(&c->s, &circuit_ops, inner->loop, inner->id);
    c->s.limited = 1;
    c->inner = inner;
    c->limit = *limit;
    c->began = tern_loop_now(inner->loop);
    tern_stream_take(inner, &inner_events, c);
    return &c->s;
}
