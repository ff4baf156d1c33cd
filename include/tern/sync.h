/* Blocking helpers for scripts, tests and language bindings: each waits until the node's loop has
 * done the work. Only for nodes run by tern_node_start, and never from the loop's own thread. */
#ifndef TERN_SYNC_H
#define TERN_SYNC_H

#include <tern/node.h>

#ifdef __cplusplus
extern "C" {
#endif

/* As tern_node_listen. */
TERN_API int tern_sync_listen(tern_node *node, const char *addr, char *bound, size_t cap,
                              tern_error *reterr);
/* As tern_node_dial with one address. *ret_peer (may be NULL) is whom we are connected to. */
TERN_API int tern_sync_dial(tern_node *node, const char *addr, uint32_t timeout_ms,
                            tern_peer_id *ret_peer, tern_error *reterr);
/* One ping to a connected peer; *ret_rtt in nanoseconds. */
TERN_API int tern_sync_ping(tern_node *node, const tern_peer_id *peer, uint64_t *ret_rtt,
                            tern_error *reterr);

/* A stream with blocking calls. Each end may be used by one thread at a time. */
typedef struct tern_pipe tern_pipe;

/* Opens a stream to a connected peer. */
TERN_API int tern_sync_open(tern_node *node, const tern_peer_id *peer, const char *protocol,
                            tern_pipe **ret, tern_error *reterr);
/* Serves a protocol by queueing its incoming streams (at most 64 waiting) for tern_sync_accept. */
TERN_API int tern_sync_serve(tern_node *node, const char *protocol, tern_error *reterr);
/* The next incoming stream of a served protocol; TERN_E_TIMEOUT after timeout_ms. */
TERN_API int tern_sync_accept(tern_node *node, const char *protocol, uint32_t timeout_ms,
                              tern_pipe **ret, tern_error *reterr);

/* Reads at least one byte, at most n: returns how many, 0 at the peer's end, or a negative code. */
TERN_API ssize_t tern_pipe_read(tern_pipe *pipe, void *out, size_t n, uint32_t timeout_ms);
/* Writes all n bytes (into the node's queues): n, or a negative code. */
TERN_API ssize_t tern_pipe_write(tern_pipe *pipe, const void *data, size_t n, uint32_t timeout_ms);
TERN_API void tern_pipe_end(tern_pipe *pipe); /* half close */
/* Closes (in good order when both sides ended, else by reset) and frees. */
TERN_API void tern_pipe_free(tern_pipe *pipe);

#ifdef __cplusplus
}
#endif
#endif
