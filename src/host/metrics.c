/* What the node tells about itself: counters in Prometheus' text format, /node.json, stats, the
 * page's URL. */
#include <stdio.h>
#include <unistd.h>

#include "base/error.h"
#include "base/mem.h"
#include "host/host.h"
#include "nat/circuit.h"
#include "transport/web_tls.h"

static size_t count_streams(tern_node *node)
{
    size_t n = 0;
    for (tern_list *l = node->swarm->conns.next; l != &node->swarm->conns; l = l->next) {
        const tern_conn *c = TERN_CONTAINER(l, tern_swarm_conn, link)->conn;
        n += c->stream_count - c->own_count;
    }
    return n;
}

static void count_held(void *arg, const tern_circuit_place *place)
{
    *(uint64_t *)arg += place->expires > 0;
}

static uint64_t count_relays(tern_node *node)
{
    uint64_t n = 0;
    tern_circuit_places(tern_node_net(node), count_held, &n);
    return n;
}

/* Resident bytes of the process, from the second field of statm; 0 where there is no such file. */
static uint64_t resident(void)
{
    unsigned long long total = 0, pages = 0;
    FILE *f = fopen("/proc/self/statm", "re");
    if (f == NULL) {
        return 0;
    }
    int n = fscanf(f, "%llu %llu", &total, &pages);
    fclose(f);
    return n == 2 ? pages * (uint64_t)sysconf(_SC_PAGESIZE) : 0;
}

void tern_node_stats(tern_node *node, tern_stats *ret)
{
    const tern_counters *c = &node->swarm->net.counters;
    tern_stats all = {.size = ret->size,
                      .connections = node->swarm->conn_count,
                      .streams = count_streams(node),
                      .bytes_in = c->bytes_in,
                      .bytes_out = c->bytes_out,
                      .memory = resident()};
    memcpy(ret, &all, ret->size < sizeof all ? ret->size : sizeof all);
}

static int gauge(tern_buf *out, const char *name, const char *help, uint64_t value)
{
    return tern_buf_printf(out, "# HELP tern_%s %s\n# TYPE tern_%s gauge\ntern_%s %llu\n", name,
                           help, name, name, (unsigned long long)value);
}

static int counter(tern_buf *out, const char *name, const char *help, uint64_t value)
{
    return tern_buf_printf(out,
                           "# HELP tern_%s_total %s\n# TYPE tern_%s_total counter\n"
                           "tern_%s_total %llu\n",
                           name, help, name, name, (unsigned long long)value);
}

int tern_node_metrics_text(tern_node *node, tern_buf *out)
{
    const tern_counters *c = &node->swarm->net.counters;
    const tern_limits *l = &node->swarm->net.limits;
    int code = 0;
    const struct {
        const char *name, *help;
        uint64_t value;
    } gauges[] = {
        {"connections", "Live connections", node->swarm->conn_count},
        {"connections_limit", "Most connections allowed", l->conns},
        {"connections_high_water", "More are trimmed, 0 = never", l->conns_high},
        {"connections_low_water", "Trimmed down to so many", l->conns_low},
        {"connections_per_ip_limit", "Most incoming ones of an address, 0 = any", l->conns_per_ip},
        {"connections_per_peer_limit", "Most with one peer", l->conns_per_peer},
        {"pending", "Incoming connections not secured yet", node->swarm->net.pending.count},
        {"pending_limit", "Most of these allowed", l->pending},
        {"pending_per_ip_limit", "Most of these of an address, 0 = any", l->pending_per_ip},
        {"streams", "Live streams", count_streams(node)},
        {"streams_per_connection_limit", "Most that a peer may open", l->streams_per_conn},
        {"streams_unnegotiated_limit", "Most that negotiate at once", l->streams_unnegotiated},
        {"sockets", "TCP sockets open", node->swarm->net.socket_count},
        {"sockets_limit", "Most of these, 0 = any", l->sockets},
        {"write_queue_limit_bytes", "Most that waits on a connection", l->write_queue},
        {"window_limit_bytes", "Most that a stream may have under way to us", l->stream_window_max},
        {"memory_bytes", "Allocated by the library", tern_mem_bytes()},
        {"memory_limit_bytes", "Things are given up step by step towards that", l->memory},
        {"handshake_limit_ms", "Accepted socket to muxer", l->upgrade_time / TERN_MS},
        {"negotiation_limit_ms", "To agree on a stream's protocol", l->negotiation_time / TERN_MS},
        {"identify_limit_ms", "For identify", l->identify_time / TERN_MS},
        {"stall_limit_ms", "For output to move", l->write_stall_time / TERN_MS},
        {"relay_places", "Peers that have a place here",
         node->relay != NULL ? tern_relay_reservations(node->relay) : 0},
        {"relays_held", "Relays at which we have a place", count_relays(node)},
        {"relay_circuits", "Circuits that we relay now",
         node->relay != NULL ? tern_relay_circuits(node->relay) : 0},
        {"http_answers", "HTTP answers under way", node->answers.count},
        {"resident_bytes", "Memory of the process", resident()},
    };
    for (size_t i = 0; i < sizeof gauges / sizeof *gauges; i++) {
        code |= gauge(out, gauges[i].name, gauges[i].help, gauges[i].value);
    }
#define TERN_COUNTER_LINE(name, help) code |= counter(out, #name, help, c->name);
    TERN_COUNTERS(TERN_COUNTER_LINE)
#undef TERN_COUNTER_LINE
    return code == 0 ? 0 : TERN_E_NOMEM;
}

void tern_node_metrics(tern_node *node, void (*fn)(void *arg, const char *text, size_t n),
                       void *arg)
{
    tern_buf out;
    tern_buf_init(&out, 0);
    if (tern_node_metrics_text(node, &out) == 0) {
        fn(arg, (const char *)tern_buf_data(&out), tern_buf_len(&out));
    }
    tern_buf_free(&out);
}

/* ---- /node.json ---- */

typedef struct json_list {
    tern_buf *out;
    bool more;
} json_list;

/* Addresses need no escaping but for what /http-path and /unix may carry; JSON's own two. */
static void json_string(tern_buf *out, const char *s)
{
    tern_buf_append(out, "\"", 1);
    for (; *s != '\0'; s++) {
        if (*s == '"' || *s == '\\') {
            tern_buf_append(out, "\\", 1);
        }
        if ((unsigned char)*s >= 0x20) {
            tern_buf_append(out, s, 1);
        }
    }
    tern_buf_append(out, "\"", 1);
}

static void add_addr(void *arg, const char *addr)
{
    json_list *list = arg;
    if (list->more) {
        tern_buf_append(list->out, ",", 1);
    }
    list->more = true;
    json_string(list->out, addr);
}

int tern_node_json(tern_node *node, tern_buf *out)
{
    char peer[TERN_PEER_ID_TEXT];
    json_list list = {out, false};
    tern_buf_printf(out,
                    "{\"peer\":\"%s\",\"agent\":", tern_peer_id_text(&node->swarm->net.self, peer));
    json_string(out, node->agent);
    tern_buf_printf(out, ",\"addrs\":[");
    tern_node_addresses(node, add_addr, &list);
    return tern_buf_printf(out, "]}\n");
}

/* "https://NAME:PORT/" where the certificate has a name, for it is what a browser wants to see. */
static bool secure_page(tern_node *node, const tern_endpoint *e, char *out, size_t cap)
{
    char name[256];
    tern_tls_context *context = tern_web_server(tern_node_net(node));
    if (context == NULL || !tern_tls_context_name(context, name, sizeof name)) {
        return false;
    }
    if (e->port == 443) {
        snprintf(out, cap, "https://%s/", name);
    } else {
        snprintf(out, cap, "https://%s:%u/", name, (unsigned)e->port);
    }
    return true;
}

bool tern_node_page(tern_node *node, char *out, size_t cap)
{
    tern_multiaddr *const *addrs;
    size_t n = node->page != NULL ? tern_swarm_addresses(tern_node_net(node), &addrs) : 0;
    bool found = false;
    for (size_t i = 0; i < n; i++) {
        tern_endpoint e;
        uint32_t transport;
        tern_ma_part part;
        char text[TERN_ENDPOINT_TEXT];
        if (!tern_ma_find(addrs[i], TERN_MA_WS, &part) ||
            !tern_ma_endpoint(addrs[i], &e, &transport)) {
            continue;
        }
        if (tern_ma_find(addrs[i], TERN_MA_TLS, &part)) {
            if (secure_page(node, &e, out, cap)) {
                return true;
            }
        } else if (!found) {
            snprintf(out, cap, "http://%s/", tern_endpoint_text(text, &e));
            found = true;
        }
    }
    return found;
}
