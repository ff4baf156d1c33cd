/* What stands between a host and the others: a mapping of one UDP port that may move, and a NAT or
 * firewall before the whole host (tern_sim_shield).
 *
 * Packets pass here where they are made and where they arrive; the sockets on either side know
 * nothing of it. */
#include <string.h>

#include <tern/error.h>

#include "loop/sim_world.h"

enum { WAY_KEY = 3 + SIM_ENDPOINT_KEY };

/* --- one UDP port --- */

void tern_sim_nat(tern_loop *loop, uint16_t port, const tern_endpoint *seen)
{
    struct sim_host *host = tern_sim_host_of(loop);
    host->nat_port = port;
    host->nat_seen = *seen;
}

static void port_out(const struct sim_host *host, struct sim_packet *p)
{
    if (host->nat_port != 0 && p->kind == SIM_UDP && p->src.port == host->nat_port) {
        p->src = host->nat_seen;
    }
}

/* False: no mapping of it is open. */
static bool port_in(const struct sim_host *host, struct sim_packet *p)
{
    if (host->nat_port == 0 || p->kind != SIM_UDP) {
        return true;
    }
    if (p->dst.port == host->nat_seen.port) {
        p->dst.port = host->nat_port;
        return true;
    }
    return p->dst.port != host->nat_port;
}

/* --- the whole host --- */

int tern_sim_shield(tern_loop *loop, const char *outside, tern_sim_rule mapping,
                    tern_sim_rule filtering)
{
    struct sim_host *host = tern_sim_host_of(loop);
    host->shielded = true;
    host->mapping = mapping;
    host->filtering = filtering;
    if (outside == NULL) {
        return 0;
    }
    uint8_t key[SIM_ENDPOINT_KEY];
    int rc = tern_endpoint_parse_ip(&host->outside, outside);
    if (rc == 0) {
        tern_sim_key(key, &host->outside);
        rc = tern_map_get(&host->sim->ips, key, SIM_IP_KEY) != NULL
                 ? TERN_E_ADDRINUSE
                 : tern_map_set(&host->sim->ips, key, SIM_IP_KEY, host);
    }
    if (rc != 0) {
        memset(&host->outside, 0, sizeof host->outside);
    }
    return rc;
}

void tern_sim_unshield(struct sim_host *host)
{
    uint8_t key[SIM_ENDPOINT_KEY];
    tern_sim_key(key, &host->outside);
    if (host->outside.family != 0 && tern_map_get(&host->sim->ips, key, SIM_IP_KEY) == host) {
        tern_map_remove(&host->sim->ips, key, SIM_IP_KEY);
    }
    tern_map_free(&host->asked);
    tern_map_free(&host->mapped);
}

/* The way from a port to somebody, as far as a rule looks. */
static void way_key(uint8_t out[WAY_KEY], const struct sim_packet *p, uint16_t port,
                    const tern_endpoint *theirs, tern_sim_rule rule)
{
    tern_endpoint to = *theirs;
    to.port = rule == TERN_SIM_BY_PORT ? to.port : 0;
    out[0] = p->kind == SIM_UDP;
    tern_put16(out + 1, port);
    tern_sim_key(out + 3, &to);
}

static bool same_ip(const tern_endpoint *a, const tern_endpoint *b)
{
    return a->family == b->family && memcmp(a->ip, b->ip, sizeof a->ip) == 0;
}

/* --- mappings --- */

enum { MAPPED_FIRST = 20000, MAPPED_COUNT = 40000 };

static void outside_key(uint8_t out[3], const struct sim_packet *p, uint16_t port)
{
    out[0] = p->kind == SIM_UDP;
    tern_put16(out + 1, port);
}

/* Who came in by a port that the gateway has mapped: what goes back to him leaves from there. */
static void led_key(uint8_t out[WAY_KEY], const struct sim_packet *p, uint16_t port,
                    const tern_endpoint *theirs)
{
    way_key(out, p, port, theirs, TERN_SIM_BY_PORT);
    out[0] |= 2;
}

/* The port of ours that the gateway leads one outside to; 0: none. */
static uint16_t led_to(struct sim_host *host, const struct sim_packet *p)
{
    uint8_t key[WAY_KEY];
    for (size_t i = 0; i < host->forward_count && host->outside.family == p->dst.family; i++) {
        const struct sim_forward *f = &host->forwards[i];
        if (f->udp == (p->kind == SIM_UDP) && f->outside == p->dst.port) {
            led_key(key, p, f->port, &p->src);
            bool kept =
                tern_map_set(&host->mapped, key, sizeof key, (void *)(uintptr_t)f->outside) == 0;
            return kept ? f->port : 0;
        }
    }
    return 0;
}

/* The port outside that a packet leaves from; 0 without memory. */
static uint16_t port_outside(struct sim_host *host, const struct sim_packet *p)
{
    uint8_t key[WAY_KEY], back[3];
    led_key(key, p, p->src.port, &p->dst);
    uintptr_t led = (uintptr_t)tern_map_get(&host->mapped, key, sizeof key);
    if (led != 0) {
        return (uint16_t)led;
    }
    if (host->mapping == TERN_SIM_ANY || host->outside.family != p->src.family) {
        return p->src.port;
    }
    way_key(key, p, p->src.port, &p->dst, host->mapping);
    uintptr_t port = (uintptr_t)tern_map_get(&host->mapped, key, sizeof key);
    while (port == 0) {
        uint16_t any;
        tern_loop_random(&host->loop, &any, sizeof any);
        outside_key(back, p, (uint16_t)(MAPPED_FIRST + any % MAPPED_COUNT));
        if (tern_map_get(&host->mapped, back, sizeof back) != NULL) {
            continue;
        }
        port = (uintptr_t)(MAPPED_FIRST + any % MAPPED_COUNT);
        if (tern_map_set(&host->mapped, key, sizeof key, (void *)port) != 0 ||
            tern_map_set(&host->mapped, back, sizeof back, (void *)(uintptr_t)p->src.port) != 0) {
            return 0;
        }
    }
    return (uint16_t)port;
}

/* The port of ours that one outside leads to; 0: none. */
static uint16_t port_inside(const struct sim_host *host, const struct sim_packet *p)
{
    uint8_t key[3];
    if (host->mapping == TERN_SIM_ANY || host->outside.family != p->dst.family) {
        return p->dst.port;
    }
    outside_key(key, p, p->dst.port);
    return (uint16_t)(uintptr_t)tern_map_get(&host->mapped, key, sizeof key);
}

/* --- packets --- */

bool tern_sim_nat_out(struct sim_host *host, struct sim_packet *p)
{
    uint8_t by_address[WAY_KEY], by_port[WAY_KEY];
    if (tern_sim_owns(host, &p->dst) || same_ip(&p->dst, &host->gateway)) {
        return true;
    }
    uint16_t port = port_outside(host, p);
    way_key(by_address, p, port, &p->dst, TERN_SIM_BY_ADDRESS);
    way_key(by_port, p, port, &p->dst, TERN_SIM_BY_PORT);
    if (port == 0 ||
        (host->shielded && (tern_map_set(&host->asked, by_address, sizeof by_address, host) != 0 ||
                            tern_map_set(&host->asked, by_port, sizeof by_port, host) != 0))) {
        return false;
    }
    p->src.port = port;
    port_out(host, p);
    if (host->outside.family == p->src.family) {
        memcpy(p->src.ip, host->outside.ip, sizeof p->src.ip);
    }
    return true;
}

bool tern_sim_nat_in(struct sim_host *host, struct sim_packet *p)
{
    uint8_t key[WAY_KEY];
    if (p->inside == host || tern_sim_owns(host, &p->src) || same_ip(&p->src, &host->gateway)) {
        return true;
    }
    if (!port_in(host, p)) {
        return false;
    }
    way_key(key, p, p->dst.port, &p->src, host->filtering);
    uint16_t led = led_to(host, p);
    p->dst.port = led != 0 ? led : port_inside(host, p);
    if (host->outside.family == p->dst.family) {
        if (!same_ip(&p->dst, &host->outside)) {
            return false; /* its own address is nobody's outside */
        }
        tern_endpoint to = p->dst;
        if (!tern_sim_source(host, &p->src, &to)) {
            return false;
        }
        memcpy(p->dst.ip, to.ip, sizeof p->dst.ip);
    }
    return p->dst.port != 0 && (led != 0 || host->filtering == TERN_SIM_ANY ||
                                tern_map_get(&host->asked, key, sizeof key) != NULL);
}
