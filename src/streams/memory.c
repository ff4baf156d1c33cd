/* A pair of streams in memory. Each side's output queue is the window; a deferred pump moves it to
 * the other side, in chunks if asked, and stops while the other side keeps bytes. */
#include "streams/memory.h"

#include "base/error.h"
#include "base/mem.h"

typedef struct side {
    tern_stream s;
    struct side *peer; /* NULL once the other side is gone */
    tern_buf out;
    tern_deferred pump;
    size_t chunk;
    bool end_wanted, end_sent;
} side;

static void memory_reset(tern_stream *s, uint64_t code);

static void finish(side *a, int code, uint64_t wire, const char *text)
{
    tern_error why;
    tern_fail_wire(&why, code, wire, "memory", "%s", text);
    tern_stream_finish(&a->s, &why);
}

static void check_done(side *a)
{
    if (a->end_sent && a->s.peer_ended) {
        finish(a, TERN_OK, 0, "both sides ended");
    }
}

/* The bytes leave the queue before they are delivered: the reader may write to, or reset, either
 * side. */
static void move(side *a, side *b, size_t n)
{
    uint8_t *bytes = tern_memdup(tern_buf_data(&a->out), n);
    if (bytes == NULL) {
        finish(a, TERN_E_NOMEM, 0, "out of memory");
        memory_reset(&a->s, 0);
        return;
    }
    tern_buf_consume(&a->out, n);
    tern_stream_deliver(&b->s, bytes, n);
    tern_free(bytes);
}

static void pump(tern_deferred *d)
{
    side *a = TERN_CONTAINER(d, side, pump);
    side *b = a->peer;
    if (b == NULL) {
        tern_buf_free(&a->out);
        return;
    }
    size_t n = tern_buf_len(&a->out);
    if (n > 0 && tern_stream_kept(&b->s) == 0) {
        move(a, b, a->chunk > 0 && n > a->chunk ? a->chunk : n);
        tern_stream_signal_room(&a->s);
        if (tern_buf_len(&a->out) > 0 || a->end_wanted) {
            tern_defer(a->s.loop, &a->pump);
        }
        return;
    }
    if (n == 0 && a->end_wanted && !a->end_sent) {
        a->end_sent = true;
        tern_stream_deliver_end(&b->s);
        check_done(b);
        check_done(a);
    }
}

static size_t memory_room(const tern_stream *s)
{
    const side *a = (const side *)(const void *)s;
    return tern_buf_room(&a->out);
}

static size_t memory_write(tern_stream *s, const tern_span *v, unsigned n)
{
    side *a = (side *)s;
    size_t taken = 0;
    for (unsigned i = 0; i < n; i++) {
        size_t room = tern_buf_room(&a->out);
        size_t part = v[i].len < room ? v[i].len : room;
        if (part > 0 && tern_buf_append(&a->out, v[i].data, part) != 0) {
            finish(a, TERN_E_NOMEM, 0, "out of memory");
            memory_reset(s, 0);
            return tern_span_total(v, n);
        }
        taken += part;
        if (part < v[i].len) {
            break;
        }
    }
    tern_defer(s->loop, &a->pump);
    return taken;
}

static void memory_consumed(tern_stream *s, size_t n)
{
    side *a = (side *)s;
    (void)n;
    if (a->peer != NULL && (tern_buf_len(&a->peer->out) > 0 || a->peer->end_wanted)) {
        tern_defer(s->loop, &a->peer->pump);
    }
}

static void memory_end(tern_stream *s)
{
    side *a = (side *)s;
    a->end_wanted = true;
    tern_defer(s->loop, &a->pump);
}

static void memory_reset(tern_stream *s, uint64_t code)
{
    side *a = (side *)s;
    tern_buf_free(&a->out);
    if (a->peer != NULL) {
        finish(a->peer, TERN_E_RESET, code, "reset by the other side");
        a->peer->peer = NULL;
        a->peer = NULL;
    }
}

static void memory_destroy(tern_stream *s)
{
    side *a = (side *)s;
    if (a->peer != NULL) {
        a->peer->peer = NULL;
    }
    tern_deferred_cancel(&a->pump);
    tern_buf_free(&a->out);
    tern_free(a);
}

static const tern_stream_ops memory_ops = {
    .name = "memory",
    .write = memory_write,
    .room = memory_room,
    .consumed = memory_consumed,
    .end = memory_end,
    .reset = memory_reset,
    .destroy = memory_destroy,
};

int tern_memory_pair(tern_loop *loop, const tern_memory_options *options, tern_stream **ret_a,
                     tern_stream **ret_b)
{
    side *a = tern_calloc(1, sizeof *a);
    side *b = tern_calloc(1, sizeof *b);
    if (a == NULL || b == NULL) {
        tern_free(a);
        tern_free(b);
        return TERN_E_NOMEM;
    }
    side *sides[2] = {a, b};
    size_t window = options != NULL && options->window > 0 ? options->window : 256 << 10;
    for (int i = 0; i < 2; i++) {
        tern_stream_init(&sides[i]->s, &memory_ops, loop, (uint64_t)i);
        tern_buf_init(&sides[i]->out, window);
        tern_deferred_init(&sides[i]->pump, pump);
        sides[i]->chunk = options != NULL ? options->chunk : 0;
        sides[i]->peer = sides[1 - i];
    }
    *ret_a = &a->s;
    *ret_b = &b->s;
    return 0;
}
