/* The base of every stream: keeps what its owner does not take, remembers what must be said, and
 * says it from the loop in order. See core/stream.h for the contract. */
#include "core/stream.h"

#include "base/error.h"
#include "base/mem.h"

static const tern_error out_of_memory = {
    .code = TERN_E_NOMEM, .layer = "stream", .text = "out of memory"};

/* The owner of a dropped stream: bytes are dropped, nobody hears of its end. */
static const tern_stream_events discard = {0};

static void run(tern_deferred *d);

void tern_stream_init(tern_stream *s, const tern_stream_ops *ops, tern_loop *loop, uint64_t id)
{
    memset(s, 0, sizeof *s);
    s->ops = ops;
    s->loop = loop;
    s->id = id;
    tern_deferred_init(&s->deferred, run);
    tern_buf_init(&s->kept, 0);
}

static void wake(tern_stream *s)
{
    if (s->events != NULL && !s->closed) {
        tern_defer(s->loop, &s->deferred);
    }
}

static void free_kept(tern_stream *s)
{
    if (s->held != NULL && tern_buf_len(s->held) == 0) {
        *s->held = s->kept;
        tern_buf_init(&s->kept, 0);
    } else {
        tern_buf_free(&s->kept);
    }
}

static void drop_kept(tern_stream *s)
{
    size_t n = tern_buf_len(&s->kept);
    free_kept(s);
    if (n > 0 && !s->finished) {
        s->ops->consumed(s, n);
    }
}

/* Offers bytes to the owner; returns how many left our hands. */
static size_t offer(tern_stream *s, uint8_t *data, size_t n)
{
    const tern_stream_events *events = s->events;
    void *owner = s->owner;
    size_t used = n;
    if (events->on_data != NULL) {
        tern_buf held;
        tern_buf_init(&held, 0);
        s->held = &held;
        s->in_event = 1;
        s->resumed = 0;
        used = events->on_data(owner, s, data, n);
        s->in_event = 0;
        s->held = NULL;
        tern_buf_free(&held);
    }
    if (used < n && s->events == events && s->owner == owner) {
        if (s->resumed) { /* the handler asked for the rest itself: offer it again in a moment */
            wake(s);
        } else {
            s->refused = 1;
        }
    }
    return used;
}

bool tern_stream_deliver(tern_stream *s, uint8_t *data, size_t n)
{
    if (s->finished) {
        return true;
    }
    if (s->stopped) {
        s->ops->consumed(s, n);
        return true;
    }
    size_t used = 0;
    bool direct = s->events != NULL && !s->refused && !s->in_event && tern_stream_kept(s) == 0;
    if (direct) {
        used = offer(s, data, n);
        if (s->finished) {
            return true;
        }
        if (s->stopped) {
            used = n;
        }
        if (used > 0) {
            s->ops->consumed(s, used);
        }
    }
    if (used < n) {
        if (tern_buf_append(&s->kept, data + used, n - used) != 0) {
            s->ops->reset(s, 0);
            tern_stream_finish(s, &out_of_memory);
            return true;
        }
        if (!s->refused) {
            wake(s);
        }
    }
    return tern_stream_kept(s) == 0;
}

void tern_stream_deliver_end(tern_stream *s)
{
    if (!s->peer_ended && !s->finished) {
        s->peer_ended = 1;
        wake(s);
    }
}

void tern_stream_signal_room(tern_stream *s)
{
    if (s->short_write && !s->finished) {
        s->has_room = 1;
        wake(s);
    }
}

/* There is nothing left to be heard. */
static bool failed(const tern_stream *s)
{
    return s->finished && (s->why == NULL || (s->why->code != 0 && !s->after));
}

void tern_stream_finish(tern_stream *s, const tern_error *why)
{
    if (s->closed || failed(s) || (s->finished && why->code == 0)) {
        return;
    }
    /* A good end that was not told yet, because bytes are kept before it, gives way to a failure.
     */
    tern_free(s->why);
    s->why = tern_memdup(why, sizeof *why);
    s->finished = 1;
    s->after = 0;
    if (why->code != 0) {
        free_kept(s);
    }
    wake(s);
}

void tern_stream_finish_after(tern_stream *s, const tern_error *why)
{
    if (!s->finished) {
        s->why = tern_memdup(why, sizeof *why);
        s->finished = s->after = s->peer_ended = 1;
        wake(s);
    }
}

static void tell_closed(tern_stream *s)
{
    /* Without memory for the reason, the reason is that. */
    tern_error why = s->why != NULL ? *s->why : out_of_memory;
    s->closed = 1;
    tern_deferred_cancel(&s->deferred);
    if (s->events->on_closed != NULL) {
        s->events->on_closed(s->owner, s, &why);
    }
    tern_deferred_cancel(&s->deferred);
    tern_buf_free(&s->kept);
    tern_free(s->why);
    if (s->tally != NULL) {
        (*s->tally)--;
    }
    s->ops->destroy(s);
}

/* One event at most; true when there may be another. */
static bool step(tern_stream *s)
{
    size_t kept = tern_stream_kept(s);
    if (kept > 0 && !s->refused && !failed(s)) {
        size_t used = offer(s, tern_buf_data(&s->kept), kept);
        if (used > 0 && tern_stream_kept(s) > 0) { /* reset and stop have emptied it themselves */
            tern_buf_consume(&s->kept, used);
            if (!s->finished) {
                s->ops->consumed(s, used);
            }
        }
        return used > 0;
    }
    if (s->peer_ended && !s->end_told && kept == 0 && !failed(s)) {
        s->end_told = 1;
        if (s->events->on_end != NULL && !s->stopped) {
            s->events->on_end(s->owner, s);
        }
        return true;
    }
    /* An owner without on_room (a negotiation) leaves it to the next one. */
    if (s->has_room && s->short_write && tern_stream_writable(s) && s->events->on_room != NULL) {
        s->has_room = s->short_write = 0;
        s->events->on_room(s->owner, s);
        return true;
    }
    return false;
}

static void run(tern_deferred *d)
{
    tern_stream *s = TERN_CONTAINER(d, tern_stream, deferred);
    while (s->events != NULL && step(s)) {
    }
    if (s->finished && s->events != NULL && (failed(s) || tern_stream_kept(s) == 0)) {
        tell_closed(s);
    }
}

void tern_stream_take(tern_stream *s, const tern_stream_events *events, void *owner)
{
    s->events = events;
    s->owner = owner;
    s->refused = 0;
    s->end_told = 0; /* each owner hears of the end himself */
    wake(s);
}

size_t tern_stream_writev(tern_stream *s, const tern_span *v, unsigned n)
{
    size_t total = tern_span_total(v, n);
    if (!tern_stream_writable(s) || total == 0) {
        return total;
    }
    size_t taken = s->ops->write(s, v, n);
    if (taken < total) {
        s->short_write = 1;
    }
    return taken;
}

size_t tern_stream_write(tern_stream *s, const void *data, size_t n)
{
    tern_span span = {data, n};
    return tern_stream_writev(s, &span, 1);
}

size_t tern_stream_room(const tern_stream *s)
{
    return tern_stream_writable(s) ? s->ops->room(s) : SIZE_MAX;
}

void tern_stream_resume(tern_stream *s)
{
    s->resumed = 1;
    if (s->refused) {
        s->refused = 0;
        wake(s);
    }
}

void tern_stream_end(tern_stream *s)
{
    if (tern_stream_writable(s)) {
        s->ended = 1;
        s->ops->end(s);
    }
}

void tern_stream_stop(tern_stream *s, uint64_t code)
{
    if (s->stopped || s->finished) {
        return;
    }
    s->stopped = 1;
    drop_kept(s);
    if (s->ops->stop != NULL) {
        s->ops->stop(s, code);
    }
    wake(s);
}

void tern_stream_reset(tern_stream *s, uint64_t code)
{
    if (s->closed || failed(s)) {
        return;
    }
    bool was_over = s->finished; /* both halves had ended: the layer below knows it no more */
    tern_error why;
    tern_fail_wire(&why, TERN_E_RESET, code, s->ops->name, "reset on this side");
    tern_stream_finish(s, &why);
    s->ended = s->stopped = 1;
    if (!was_over) {
        s->ops->reset(s, code);
    }
}

void tern_stream_drop(tern_stream *s)
{
    s->dropped = 1;
    s->refused = 0;
    s->events = &discard;
    s->owner = NULL;
    tern_stream_end(s);
    tern_stream_stop(s, 0);
    wake(s);
}

uint64_t tern_stream_id(const tern_stream *s)
{
    return s->id;
}

void tern_stream_set_data(tern_stream *s, void *data)
{
    s->data = data;
}

void *tern_stream_data(const tern_stream *s)
{
    return s->data;
}
