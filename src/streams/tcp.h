/* A TCP socket as a stream. Output is collected and leaves in one vectored write a loop turn. */
#ifndef TERN_STREAMS_TCP_H
#define TERN_STREAMS_TCP_H

#include "core/counters.h"
#include "core/stream.h"
#include "loop/op.h"
#include "loop/tcp.h"

/* Wraps a connected socket (accepted, or dialled and connected). write_queue bounds the output in
 * bytes; stall is how long (ns) the output may stand still before the stream fails with
 * TERN_E_TIMEOUT. On NULL (memory) the socket stays the caller's. `counters` may be NULL. */
tern_stream *tern_tcp_stream_new(tern_loop *loop, tern_tcp *t, size_t write_queue, uint64_t stall,
                                 tern_counters *counters);
void tern_tcp_stream_endpoints(const tern_stream *s, tern_endpoint *ret_local,
                               tern_endpoint *ret_remote);

/* Dials and wraps. op->done: the stream is in ret. */
typedef struct tern_tcp_dial_op {
    tern_op op;
    tern_endpoint to, from; /* from.family 0 = any */
    size_t write_queue;
    uint64_t stall;
    tern_counters *counters;
    tern_tcp *socket;    /* private */
    tern_stream *stream; /* out */
} tern_tcp_dial_op;
int tern_tcp_stream_dial(tern_tcp_dial_op *op, tern_error *reterr);

#endif
