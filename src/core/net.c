/* What every net begins with, and the limits that a node ships with. */
#include "core/net.h"

void tern_limits_default(tern_limits *ret)
{
    *ret = (tern_limits){
        .first_bytes_time = 10 * TERN_SEC,
        .upgrade_time = 10 * TERN_SEC,
        .negotiation_time = 10 * TERN_SEC,
        .dial_time = 15 * TERN_SEC,
        .http_time = 10 * TERN_SEC,
        .identify_time = 5 * TERN_SEC,
        .write_stall_time = 30 * TERN_SEC,
        .write_queue = 1 << 20,
        .streams_per_conn = 256,
        .streams_unnegotiated = 64,
        .stream_window_max = 16 << 20,
        .conn_window_max = 64 << 20,
        .conns = 1024,
        .conns_per_peer = 8,
        .conns_per_ip = 8,
        .pending = 64,
    };
}

void tern_net_init(tern_net *net)
{
    tern_list_init(&net->sockets);
    tern_limits_default(&net->limits);
}
