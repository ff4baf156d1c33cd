/* The node's limits: the options, and defaults that depend on the machine. */
#include <stdio.h>
#include <sys/resource.h>
#include <unistd.h>

#include "host/host.h"

enum { RESERVE = 64 }; /* descriptors for files, names, dials and listeners */

#define MEMORY_LEAST (UINT64_C(64) << 20)
#define MEMORY_MOST  (UINT64_C(1) << 30)

/* What the process may open, less the reserve; 0 = no limit that matters. */
static uint32_t descriptors(void)
{
    struct rlimit r;
    if (getrlimit(RLIMIT_NOFILE, &r) != 0 || r.rlim_cur == RLIM_INFINITY ||
        r.rlim_cur > UINT32_MAX) {
        return 0;
    }
    return r.rlim_cur > 2 * RESERVE ? (uint32_t)r.rlim_cur - RESERVE : (uint32_t)r.rlim_cur / 2 + 1;
}

/* The memory of a container may be less than the machine's (Linux, cgroups 2). */
static uint64_t container(void)
{
    unsigned long long most = UINT64_MAX;
    FILE *f = fopen("/sys/fs/cgroup/memory.max", "re");
    if (f != NULL) {
        if (fscanf(f, "%llu", &most) != 1) { /* "max" */
            most = UINT64_MAX;
        }
        fclose(f);
    }
    return most;
}

/* An eighth of the machine's memory, within bounds. */
static uint64_t an_eighth(void)
{
    long pages = sysconf(_SC_PHYS_PAGES), size = sysconf(_SC_PAGESIZE);
    uint64_t all = pages > 0 && size > 0 ? (uint64_t)pages * (uint64_t)size : 8 * MEMORY_LEAST;
    uint64_t inside = container();
    uint64_t part = (all < inside ? all : inside) / 8;
    return part < MEMORY_LEAST ? MEMORY_LEAST : part > MEMORY_MOST ? MEMORY_MOST : part;
}

/* A window is a promise: no stream gets more than a quarter of the memory, no connection more than
 * half, and each what a new stream has. */
static void promise_less(tern_limits *l)
{
    uint64_t least = 256 << 10;
    uint64_t one = l->memory / 4 > least ? l->memory / 4 : least;
    uint64_t all = l->memory / 2 > least ? l->memory / 2 : least;
    l->stream_window_max = l->stream_window_max < one ? l->stream_window_max : (uint32_t)one;
    l->conn_window_max = l->conn_window_max < all ? l->conn_window_max : (uint32_t)all;
}

static uint32_t or (uint32_t value, uint32_t otherwise)
{
    return value > 0 ? value : otherwise;
}

/* Of one address or network; 0 = no limit, as when connections of an address have none. */
static uint32_t of_one(const tern_options *o, int32_t value, uint32_t otherwise)
{
    bool any = value < 0 || (value == 0 && o->max_connections_per_ip < 0);
    return any ? 0 : or ((uint32_t)value, otherwise);
}

int tern_node_serve_relay(tern_node *node)
{
    const tern_options *o = &node->options;
    tern_relay_limits l;
    tern_relay_limits_default(&l);
    l.reservations = or (o->relay_reservations, l.reservations);
    l.reservations_per_ip = of_one(o, o->relay_reservations_per_ip, l.reservations_per_ip);
    l.reservations_per_network =
        of_one(o, o->relay_reservations_per_network, l.reservations_per_network);
    l.circuits = or (o->relay_circuits, l.circuits);
    l.circuits_per_peer = or (o->relay_circuits_per_peer, l.circuits_per_peer);
    if (o->relay_duration_s != 0) {
        l.duration = o->relay_duration_s < 0 ? 0 : (uint64_t)o->relay_duration_s * TERN_SEC;
    }
    if (o->relay_data != 0) {
        l.data = o->relay_data < 0 ? 0 : (uint64_t)o->relay_data;
    }
    l.rate = o->relay_rate;
    if (o->relay_ttl_s != 0) {
        l.ttl = o->relay_ttl_s * TERN_SEC;
    }
    return tern_relay_new(tern_node_net(node), &l, &node->relay);
}

static void set_time(uint64_t *time, uint32_t ms)
{
    if (ms > 0) {
        *time = ms * TERN_MS;
    }
}

void tern_node_limits(const tern_options *o, tern_limits *l)
{
    tern_limits_default(l);
    l->conns = o->max_connections > 0 ? o->max_connections : l->conns;
    l->conns_per_peer =
        o->max_connections_per_peer > 0 ? o->max_connections_per_peer : l->conns_per_peer;
    if (o->max_connections_per_ip != 0) {
        l->conns_per_ip = o->max_connections_per_ip > 0 ? (uint32_t)o->max_connections_per_ip : 0;
    }
    l->pending = o->max_pending > 0 ? o->max_pending : l->pending;
    l->streams_per_conn = o->max_streams > 0 ? o->max_streams : l->streams_per_conn;
    l->write_queue = o->max_write_queue > 0 ? o->max_write_queue : l->write_queue;
    l->stream_window_max = o->max_window > 0 ? o->max_window : l->stream_window_max;
    if (l->conn_window_max < l->stream_window_max) {
        l->conn_window_max = l->stream_window_max;
    }
    l->dial_time = o->dial_timeout_ms > 0 ? o->dial_timeout_ms * TERN_MS : l->dial_time;
    if (o->handshake_timeout_ms > 0) {
        l->upgrade_time = o->handshake_timeout_ms * TERN_MS;
    }
    set_time(&l->negotiation_time, o->negotiation_timeout_ms);
    set_time(&l->identify_time, o->identify_timeout_ms);
    set_time(&l->write_stall_time, o->stall_timeout_ms);
    l->streams_unnegotiated =
        o->max_unnegotiated > 0 ? o->max_unnegotiated : l->streams_unnegotiated;
    l->conns_high = o->high_water > 0 ? o->high_water : (uint32_t)((uint64_t)l->conns * 7 / 8);
    l->conns_low = o->low_water > 0 ? o->low_water : (uint32_t)((uint64_t)l->conns * 3 / 4);
    if (l->conns_low > l->conns_high) {
        l->conns_low = l->conns_high;
    }
    l->conns_grace = o->grace_ms > 0 ? o->grace_ms * TERN_MS : l->conns_grace;
    l->pending_per_ip = l->conns_per_ip == 0        ? 0
                        : o->max_pending_per_ip > 0 ? o->max_pending_per_ip
                                                    : l->pending_per_ip;
    l->sockets = o->max_sockets > 0 ? o->max_sockets : descriptors();
    l->memory = o->max_memory > 0 ? o->max_memory : an_eighth();
    promise_less(l);
}
