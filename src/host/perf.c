/* Perf through the public API: see tern/perf.h. */
#include "proto/perf.h"

#include "host/host.h"

int tern_node_serve_perf(tern_node *node)
{
    return tern_perf_serve(tern_node_net(node));
}

int tern_node_perf(tern_node *node, tern_conn *conn, uint64_t upload, uint64_t download,
                   tern_perf_progress *progress, tern_perf_done *done, void *owner,
                   tern_error *reterr)
{
    return tern_perf_ask(tern_node_net(node), conn, upload, download, progress, done, owner,
                         reterr);
}
