/* Throughput over /perf/1.0.0 (libp2p specs, perf): the asking side sends how many bytes it wants
 * back, then its upload, then ends its half; the answering side reads until that end, sends exactly
 * as many bytes as were asked for, and ends. */
#ifndef TERN_PERF_H
#define TERN_PERF_H

#include <tern/node.h>

#ifdef __cplusplus
extern "C" {
#endif

/* Answers perf requests from now on. Never by default: anybody who can connect makes us send as
 * much as he likes. TERN_E_STATE if it is served already, TERN_E_LIMIT, TERN_E_NOMEM. */
TERN_API int tern_node_serve_perf(tern_node *node);

/* Payload bytes and nanoseconds. The upload ends when the peer's answer begins (or its end comes,
 * where nothing was asked for); the download lasts from there, or from the start where nothing was
 * uploaded, to the peer's end. */
typedef struct tern_perf_result {
    uint64_t sent, received;
    uint64_t upload_time, download_time;
} tern_perf_result;

/* How far it is, about twice a second: bytes handed to the connection, bytes that came. */
typedef void tern_perf_progress(void *owner, uint64_t sent, uint64_t received);
/* Once. error->code 0: both counts are exactly what was asked for. */
typedef void tern_perf_done(void *owner, const tern_perf_result *result, const tern_error *error);

/* One request on a stream of its own; several may be under way. progress may be NULL. Errors by
 * done: NEGOTIATION (the peer does not serve it), PROTOCOL (more bytes than asked for, or an answer
 * before our end), EOF (fewer), TIMEOUT (no byte moved for 30 s), RESET, CONN_CLOSED. Errors at
 * once, done does not come: CONN_CLOSED, LIMIT, NOMEM. */
TERN_API int tern_node_perf(tern_node *node, tern_conn *conn, uint64_t upload, uint64_t download,
                            tern_perf_progress *progress, tern_perf_done *done, void *owner,
                            tern_error *reterr);

#ifdef __cplusplus
}
#endif
#endif
