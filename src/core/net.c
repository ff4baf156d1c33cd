/* What every net begins with, and the limits that a node ships with. */
#include "core/net.h"

#include "base/mem.h"

void tern_limits_default(tern_limits *ret)
{
    *ret = (tern_limits){
        .upgrade_time = 10 * TERN_SEC,
        .negotiation_time = 10 * TERN_SEC,
        .dial_time = 15 * TERN_SEC,
        .identify_time = 5 * TERN_SEC,
        .write_stall_time = 30 * TERN_SEC,
        .write_queue = 1 << 20,
        .streams_per_conn = 256,
        .streams_unnegotiated = 64,
        .stream_window_max = 128 << 20,
        .conn_window_max = 256 << 20,
        .conns = 1024,
        .conns_per_peer = 8,
        .conns_per_ip = 8,
        .conns_low = 768,
        .conns_high = 896,
        .conns_grace = 60 * TERN_SEC,
        .pending = 64,
        .pending_per_ip = 8,
    };
}

tern_pressure tern_limits_pressure(const tern_limits *l)
{
    uint64_t used = l->memory > 0 ? tern_mem_bytes() : 0;
    return used < l->memory / 2       ? TERN_PRESSURE_NONE
           : l->memory == 0           ? TERN_PRESSURE_NONE
           : used < l->memory / 4 * 3 ? TERN_PRESSURE_SOME
           : used < l->memory / 8 * 7 ? TERN_PRESSURE_HIGH
           : used < l->memory         ? TERN_PRESSURE_FULL
                                      : TERN_PRESSURE_OVER;
}

void tern_net_make_place(tern_net *net, const tern_endpoint *remote)
{
    const tern_limits *l = &net->limits;
    switch (tern_crowds_make_place(&net->pending, remote, l->pending, l->pending_per_ip)) {
    case TERN_CROWD_PLACE:
        return;
    case TERN_CROWD_OF_ONE:
        net->counters.evicted_pending_per_ip++;
        break;
    case TERN_CROWD_OF_MANY:
        net->counters.evicted_pending++;
        break;
    }
    net->counters.accept_limit++;
}

void tern_net_grew(tern_net *net)
{
    if (tern_limits_pressure(&net->limits) == TERN_PRESSURE_OVER && net->ops != NULL &&
        net->ops->relieve != NULL) {
        net->ops->relieve(net);
    }
}

size_t tern_net_queued(const tern_net *net, const tern_stream *s)
{
    size_t room = s != NULL ? tern_stream_room(s) : SIZE_MAX;
    return room < net->limits.write_queue ? net->limits.write_queue - room : 0;
}

void tern_net_init(tern_net *net)
{
    tern_list_init(&net->ears);
    tern_list_init(&net->sockets);
    tern_crowds_init(&net->pending);
    tern_limits_default(&net->limits);
    net->webrtc_scheme = 1;
}
