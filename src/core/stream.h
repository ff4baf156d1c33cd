/* The stream contract, from the implementer's side. The owner's side is public: tern/stream.h, with
 * the table of what happens when.
 *
 * An implementation embeds tern_stream as its first member, fills six ops, and reports with the
 * calls below. The base keeps what the owner does not take, remembers what must be said, says it
 * from the loop in order (data, end, room, closed) and frees the stream after its terminal event.
 */
#ifndef TERN_CORE_STREAM_H
#define TERN_CORE_STREAM_H

#include <stdbool.h>

#include <tern/stream.h>

#include "base/buf.h"
#include "base/bytes.h"
#include "loop/loop.h"

typedef struct tern_stream_ops {
    const char *name; /* the layer, for errors and logs: "tcp", "noise", "yamux" */
    /* Bytes taken, copied; less than all: call tern_stream_signal_room later. Never after end. */
    size_t (*write)(tern_stream *s, const tern_span *v, unsigned n);
    /* How many bytes write would take now. A write of at most that many is taken whole. */
    size_t (*room)(const tern_stream *s);
    /* A place for exactly n <= room bytes in the output, to be filled and committed before any
     * other call (one copy less for the layer above); NULL when there is none. Optional: both or
     * neither. */
    uint8_t *(*reserve)(tern_stream *s, size_t n);
    void (*commit)(tern_stream *s, size_t n);
    /* The owner took n bytes: grow windows; resume the layer below when nothing is kept any more.
     */
    void (*consumed)(tern_stream *s, size_t n);
    void (*end)(tern_stream *s);                 /* half close after what is queued; once */
    void (*stop)(tern_stream *s, uint64_t code); /* no more bytes wanted; once; may be NULL */
    /* Abort both ways, drop queues; once. The base reports TERN_E_RESET to the owner by itself: do
     * not call tern_stream_finish for it. */
    void (*reset)(tern_stream *s, uint64_t code);
    /* Frees the memory; called by the base after on_closed; no other call follows. Layers below
     * that are still held are dropped or reset here. */
    void (*destroy)(tern_stream *s);
} tern_stream_ops;

struct tern_stream {
    const tern_stream_ops *ops;
    const tern_stream_events *events; /* NULL = not taken yet */
    void *owner;
    tern_loop *loop;
    tern_deferred deferred;
    tern_buf kept;   /* arrived, not taken */
    tern_buf *held;  /* of what was kept, and is not, while on_data still looks at it */
    tern_error *why; /* the terminal event, once known */
    void *data;      /* the embedder's */
    uint64_t id;
    uint16_t *tally;    /* counted down when the stream goes (limits per protocol); may be NULL */
    unsigned ended : 1; /* we ended our half */
    unsigned peer_ended : 1;  /* the peer's end was reported to the base */
    unsigned end_told : 1;    /* ... and to the owner */
    unsigned stopped : 1;     /* no more bytes wanted */
    unsigned refused : 1;     /* the owner left bytes: wait for resume */
    unsigned resumed : 1;     /* resume was called since the last offer began */
    unsigned short_write : 1; /* a write came short: on_room is owed */
    unsigned has_room : 1;    /* the implementer says there is room again */
    unsigned finished : 1;    /* the terminal event is known */
    unsigned after : 1;       /* ... and waits for the kept bytes and the end, though a failure */
    unsigned closed : 1;      /* ... and was told */
    unsigned dropped : 1;     /* no owner any more */
    unsigned in_event : 1;    /* an owner's on_data is running */
    unsigned limited : 1;     /* it runs through a relay that limits it: a conn made of it does */
};

/* The first call. A silent stream without owner; ops must have write, room, consumed, end, reset,
 * destroy. */
void tern_stream_init(tern_stream *s, const tern_stream_ops *ops, tern_loop *loop, uint64_t id);

/* Bytes arrived, in the implementer's own buffer, which the owner may overwrite. True when all were
 * taken and nothing is kept: go on. False: the base kept (a copy of) the rest; deliver no more
 * until consumed says so, except what the window already promised. Call from the loop only. An
 * allocation failure ends the stream with TERN_E_NOMEM. */
bool tern_stream_deliver(tern_stream *s, uint8_t *data, size_t n);
/* The peer's end of its half, after the bytes delivered so far. */
void tern_stream_deliver_end(tern_stream *s);
/* A write that came short can go on. */
void tern_stream_signal_room(tern_stream *s);
/* The terminal event. code 0 (both halves ended and everything is flushed): follows the kept bytes
 * and the end. Any other code: at once, kept bytes are dropped; it also overrides a code 0 that was
 * not told yet. Later calls change nothing. */
void tern_stream_finish(tern_stream *s, const tern_error *why);
/* The same for a failure (code not 0) that is only of our half: the peer has ended its own in good
 * order, which is not lost. It follows the kept bytes and the end. */
void tern_stream_finish_after(tern_stream *s, const tern_error *why);

/* Reserve and commit on any stream: false when the implementation has none. */
static inline bool tern_stream_can_reserve(const tern_stream *s)
{
    return s->ops->reserve != NULL;
}
/* Bytes that are kept for the owner. */
static inline size_t tern_stream_kept(const tern_stream *s)
{
    return tern_buf_len(&s->kept);
}
/* Whether writes still go anywhere (not ended, not finished). */
static inline bool tern_stream_writable(const tern_stream *s)
{
    return !s->ended && !s->finished;
}

#endif
