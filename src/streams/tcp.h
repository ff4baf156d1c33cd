/* A TCP socket as a stream. Output is collected and leaves in one vectored write a loop turn. */
#ifndef TERN_STREAMS_TCP_H
#define TERN_STREAMS_TCP_H

#include "core/net.h"
#include "loop/op.h"
#include "loop/tcp.h"

/* Wraps a connected socket (accepted, or dialled and connected). write_queue bounds the output in
 * bytes; stall is how long (ns) the output may stand still before the stream fails with
 * TERN_E_TIMEOUT. On NULL (memory) the socket stays the caller's. `net` (may be NULL) counts the
 * bytes and lists the stream in net->sockets while it lives. */
tern_stream *tern_tcp_stream_new(tern_loop *loop, tern_tcp *t, size_t write_queue, uint64_t stall,
                                 tern_net *net);
/* Ends all streams that are in net->sockets with TERN_E_CANCELLED: the last act of a stop. */
void tern_tcp_streams_abort(tern_net *net);
void tern_tcp_stream_endpoints(const tern_stream *s, tern_endpoint *ret_local,
                               tern_endpoint *ret_remote);

/* Dials and wraps. op->done: the stream is in ret. */
typedef struct tern_tcp_dial_op {
    tern_op op;
    tern_endpoint to, from; /* from.family 0 = any */
    size_t write_queue;
    uint64_t stall;
    bool fast;           /* TCP Fast Open: `stream` may come before the peer has answered */
    tern_net *net;       /* may be NULL */
    tern_tcp *socket;    /* private */
    tern_stream *stream; /* out */
} tern_tcp_dial_op;
int tern_tcp_stream_dial(tern_tcp_dial_op *op, tern_error *reterr);

#endif
