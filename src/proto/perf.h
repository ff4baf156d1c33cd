/* Perf (libp2p specs, perf): /perf/1.0.0, both sides. The words of the asking side are public:
 * tern/perf.h. */
#ifndef TERN_PROTO_PERF_H
#define TERN_PROTO_PERF_H

#include <tern/perf.h>

#include "core/net.h"

#define TERN_PERF_ID "/perf/1.0.0"

/* Serves it. A request that ends within its head is reset and counted (perf_malformed); one where
 * no byte moves for 30 s too (perf_timeout). */
int tern_perf_serve(tern_net *net);

/* As tern_node_perf. */
int tern_perf_ask(tern_net *net, tern_conn *conn, uint64_t upload, uint64_t download,
                  tern_perf_progress *progress, tern_perf_done *done, void *owner,
                  tern_error *reterr);

#endif
