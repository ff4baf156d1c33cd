/* The stream: an ordered, reliable byte pipe, each half closable by itself, with backpressure.
 *
 * Everything that carries bytes is one of these: a TCP socket, a WebSocket, Noise, a yamux stream,
 * later QUIC streams, data channels and relayed circuits. All calls are made on the node's loop
 * thread.
 *
 * A new stream is silent until its owner takes it; what arrives before is kept (within the window).
 * Nobody is called from inside a call of his own: events leave from the loop. on_closed comes once
 * and last, after it the stream is gone.
 *
 *   happens        owner may still read      owner may still write   terminal event
 *   I end          yes                       no                      when the peer ended too: code
 * 0 peer ended     until drained, on_end     yes                     when I end too: code 0 I stop
 * no, arriving bytes drop   yes                     as above I reset        no no TERN_E_RESET,
 * kept bytes dropped peer reset     no                        no                      TERN_E_RESET
 * with its wire code conn died      no                        no TERN_E_CONN_CLOSED, conn's reason
 */
#ifndef TERN_STREAM_H
#define TERN_STREAM_H

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include <tern/error.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef struct tern_stream tern_stream;

/* Read-only bytes of somebody else's. */
typedef struct tern_span {
    const uint8_t *data;
    size_t len;
} tern_span;

/* What a stream's owner hears. Any member may be NULL. */
typedef struct tern_stream_events {
    /* Bytes arrived; returns how many were taken (0..n). The owner may overwrite the bytes it
     * takes. What is not taken is kept and offered again after tern_stream_resume: refuse only to
     * slow the peer or to hand the stream over, never to wait for a longer message. NULL drops the
     * bytes. */
    size_t (*on_data)(void *owner, tern_stream *s, uint8_t *data, size_t n);
    /* The peer wrote its last byte, and all were taken. */
    void (*on_end)(void *owner, tern_stream *s);
    /* A write that took less than all can go on. */
    void (*on_room)(void *owner, tern_stream *s);
    /* Once, last; s is gone when it returns. why->code is 0 for a stream that both sides ended. */
    void (*on_closed)(void *owner, tern_stream *s, const tern_error *why);
} tern_stream_events;

/* Attaches an owner, or hands the stream over to another one: kept bytes and the end follow as
 * events, and on_room if a write came short. `events` must stay valid. */
TERN_API void tern_stream_take(tern_stream *s, const tern_stream_events *events, void *owner);

/* Queues a copy of the spans in order; returns the bytes taken. Less than all: on_room follows.
 * After end, reset or the peer's reset it takes all and drops them (the terminal event is on its
 * way). */
TERN_API size_t tern_stream_writev(tern_stream *s, const tern_span *v, unsigned n);
TERN_API size_t tern_stream_write(tern_stream *s, const void *data, size_t n);

/* How many bytes a write would take now. */
TERN_API size_t tern_stream_room(const tern_stream *s);

/* Offers the kept bytes again (from the loop). */
TERN_API void tern_stream_resume(tern_stream *s);

/* No more writes from here: a half close after what is queued. Twice is once. */
TERN_API void tern_stream_end(tern_stream *s);

/* Wants no more bytes: they are dropped, and the peer is told where the transport can
 * (STOP_SENDING). */
TERN_API void tern_stream_stop(tern_stream *s, uint64_t code);

/* Aborts both ways and drops all queues; on_closed follows with TERN_E_RESET. */
TERN_API void tern_stream_reset(tern_stream *s, uint64_t code);

/* The owner leaves: what is queued is still flushed and ended, what arrives is dropped, then the
 * stream frees itself; no event comes any more. */
TERN_API void tern_stream_drop(tern_stream *s);

/* A number for logs, unique among its connection's streams. */
TERN_API uint64_t tern_stream_id(const tern_stream *s);

/* A pointer of the owner's, NULL at first; for language bindings. */
TERN_API void tern_stream_set_data(tern_stream *s, void *data);
TERN_API void *tern_stream_data(const tern_stream *s);

#ifdef __cplusplus
}
#endif
#endif
