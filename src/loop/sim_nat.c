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

enum { PORTS_FIRST = 20000, PORTS_COUNT = 40000 };

static int set_outside(struct sim_host *host, struct sim_shield *shield, const char *ip)
{
    uint8_t key[SIM_ENDPOINT_KEY];
    int rc = tern_endpoint_parse_ip(&shield->outside, ip);
    if (rc == 0) {
        tern_sim_key(key, &shield->outside);
        rc = tern_map_get(&host->sim->ips, key, SIM_IP_KEY) != NULL
                 ? TERN_E_ADDRINUSE
                 : tern_map_set(&host->sim->ips, key, SIM_IP_KEY, host);
    }
    if (rc != 0) {
        memset(&shield->outside, 0, sizeof shield->outside);
    }
    return rc;
}

static struct sim_shield *add_shield(struct sim_host *host)
{
    struct sim_shield *shield = &host->shields[host->shield_count++];
    memset(shield, 0, sizeof *shield);
    tern_map_init(&shield->asked);
    tern_map_init(&shield->mapped);
    return shield;
}

int tern_sim_shield(tern_loop *loop, const char *outside, tern_sim_rule mapping,
                    tern_sim_rule filtering)
{
    struct sim_host *host = tern_sim_host_of(loop);
    struct sim_shield *shield = host->shield_count > 0 ? &host->shields[0] : add_shield(host);
    shield->mapping = mapping;
    shield->filtering = filtering;
    return outside != NULL ? set_outside(host, shield, outside) : 0;
}

int tern_sim_shield_again(tern_loop *loop, const char *outside, tern_sim_rule mapping,
                          tern_sim_rule filtering)
{
    struct sim_host *host = tern_sim_host_of(loop);
    if (host->shield_count == 0 || host->shield_count == SIM_SHIELDS ||
        host->shields[0].outside.family == 0) {
        return TERN_E_STATE;
    }
    struct sim_shield *shield = add_shield(host);
    shield->mapping = mapping;
    shield->filtering = filtering;
    return set_outside(host, shield, outside);
}

void tern_sim_shield_ports(tern_loop *loop, tern_sim_ports ports, uint16_t step)
{
    struct sim_host *host = tern_sim_host_of(loop);
    struct sim_shield *shield = &host->shields[host->shield_count - 1];
    shield->ports = ports;
    shield->step = step;
    for (size_t i = 0; i < 2; i++) {
        tern_loop_random(loop, &shield->last[i], sizeof shield->last[i]);
        shield->last[i] = (uint16_t)(PORTS_FIRST + shield->last[i] % (PORTS_COUNT / 2));
    }
}

void tern_sim_unshield(struct sim_host *host)
{
    for (size_t i = 0; i < host->shield_count; i++) {
        struct sim_shield *shield = &host->shields[i];
        uint8_t key[SIM_ENDPOINT_KEY];
        tern_sim_key(key, &shield->outside);
        if (shield->outside.family != 0 && tern_map_get(&host->sim->ips, key, SIM_IP_KEY) == host) {
            tern_map_remove(&host->sim->ips, key, SIM_IP_KEY);
        }
        tern_map_free(&shield->asked);
        tern_map_free(&shield->mapped);
    }
}

/* The way from a port to somebody, as far as a rule looks. */
static void way_key(uint8_t out[WAY_KEY], const struct sim_packet *p, uint16_t port,
                    const tern_endpoint *theirs, tern_sim_rule rule)
{
    tern_endpoint to = {.family = theirs->family};
    if (rule != TERN_SIM_ANY) {
        to = *theirs;
        to.port = rule == TERN_SIM_BY_PORT ? to.port : 0;
    }
    out[0] = p->kind == SIM_UDP;
    tern_put16(out + 1, port);
    tern_sim_key(out + 3, &to);
}

static bool same_ip(const tern_endpoint *a, const tern_endpoint *b)
{
    return a->family == b->family && memcmp(a->ip, b->ip, sizeof a->ip) == 0;
}

/* --- mappings --- */

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

/* The port of ours that the gateway leads one outside to; 0: none, or another shield is meant. */
static uint16_t led_to(struct sim_host *host, struct sim_shield *shield, const struct sim_packet *p)
{
    uint8_t key[WAY_KEY];
    for (size_t i = 0; i < host->forward_count && shield == &host->shields[0]; i++) {
        const struct sim_forward *f = &host->forwards[i];
        if (shield->outside.family == p->dst.family && f->udp == (p->kind == SIM_UDP) &&
            f->outside == p->dst.port) {
            led_key(key, p, f->port, &p->src);
            bool kept =
                tern_map_set(&shield->mapped, key, sizeof key, (void *)(uintptr_t)f->outside) == 0;
            return kept ? f->port : 0;
        }
    }
    return 0;
}

static bool keeps_ports(const struct sim_shield *shield, uint8_t family)
{
    return shield->outside.family != family ||
           (shield->mapping == TERN_SIM_ANY && shield->ports == TERN_SIM_PORTS_USUAL);
}

/* One that may be the next mapping's. */
static uint16_t some_port(struct sim_host *host, struct sim_shield *shield, bool udp)
{
    uint16_t port;
    if (shield->ports == TERN_SIM_PORTS_COUNTED) {
        port = (uint16_t)(shield->last[udp] + shield->step);
        shield->last[udp] = port = port >= PORTS_FIRST ? port : PORTS_FIRST;
        return port;
    }
    tern_loop_random(&host->loop, &port, sizeof port);
    return (uint16_t)(PORTS_FIRST + port % PORTS_COUNT);
}

/* The port outside that a packet leaves from; 0 without memory. */
static uint16_t port_outside(struct sim_host *host, struct sim_shield *shield,
                             const struct sim_packet *p)
{
    uint8_t key[WAY_KEY], back[3];
    led_key(key, p, p->src.port, &p->dst);
    uintptr_t led = (uintptr_t)tern_map_get(&shield->mapped, key, sizeof key);
    if (led != 0) {
        return (uint16_t)led;
    }
    if (keeps_ports(shield, p->src.family)) {
        return p->src.port;
    }
    way_key(key, p, p->src.port, &p->dst, shield->mapping);
    uintptr_t port = (uintptr_t)tern_map_get(&shield->mapped, key, sizeof key);
    while (port == 0) {
        uint16_t any = some_port(host, shield, p->kind == SIM_UDP);
        outside_key(back, p, any);
        if (tern_map_get(&shield->mapped, back, sizeof back) != NULL) {
            continue;
        }
        port = any;
        if (tern_map_set(&shield->mapped, key, sizeof key, (void *)port) != 0 ||
            tern_map_set(&shield->mapped, back, sizeof back, (void *)(uintptr_t)p->src.port) != 0) {
            return 0;
        }
    }
    return (uint16_t)port;
}

/* The port inside that one outside leads to; 0: none. */
static uint16_t port_inside(const struct sim_shield *shield, const struct sim_packet *p)
{
    uint8_t key[3];
    if (keeps_ports(shield, p->dst.family)) {
        return p->dst.port;
    }
    outside_key(key, p, p->dst.port);
    return (uint16_t)(uintptr_t)tern_map_get(&shield->mapped, key, sizeof key);
}

/* --- packets --- */

static bool shield_out(struct sim_host *host, struct sim_shield *shield, struct sim_packet *p)
{
    uint8_t by_address[WAY_KEY], by_port[WAY_KEY];
    uint16_t port = port_outside(host, shield, p);
    way_key(by_address, p, port, &p->dst, TERN_SIM_BY_ADDRESS);
    way_key(by_port, p, port, &p->dst, TERN_SIM_BY_PORT);
    if (port == 0 || tern_map_set(&shield->asked, by_address, sizeof by_address, host) != 0 ||
        tern_map_set(&shield->asked, by_port, sizeof by_port, host) != 0) {
        return false;
    }
    p->src.port = port;
    if (shield->outside.family == p->src.family) {
        memcpy(p->src.ip, shield->outside.ip, sizeof p->src.ip);
    }
    return true;
}

bool tern_sim_nat_out(struct sim_host *host, struct sim_packet *p)
{
    if (tern_sim_owns(host, &p->dst) || same_ip(&p->dst, &host->gateway)) {
        return true;
    }
    port_out(host, p);
    for (size_t i = 0; i < host->shield_count; i++) {
        if (!shield_out(host, &host->shields[i], p)) {
            return false;
        }
    }
    return true;
}

/* Lets it pass to what is behind, whose address is `behind`. */
static bool shield_in(struct sim_host *host, struct sim_shield *shield, struct sim_packet *p,
                      const tern_endpoint *behind)
{
    uint8_t key[WAY_KEY];
    way_key(key, p, p->dst.port, &p->src, shield->filtering);
    uint16_t led = led_to(host, shield, p);
    p->dst.port = led != 0 ? led : port_inside(shield, p);
    if (shield->outside.family == p->dst.family) {
        if (!same_ip(&p->dst, &shield->outside)) {
            return false; /* what is behind has an address that is nobody's outside */
        }
        memcpy(p->dst.ip, behind->ip, sizeof p->dst.ip);
    }
    return p->dst.port != 0 && (led != 0 || shield->filtering == TERN_SIM_ANY ||
                                tern_map_get(&shield->asked, key, sizeof key) != NULL);
}

bool tern_sim_nat_in(struct sim_host *host, struct sim_packet *p)
{
    tern_endpoint own = p->dst;
    if (p->inside == host || tern_sim_owns(host, &p->src) || same_ip(&p->src, &host->gateway)) {
        return true;
    }
    if (host->shield_count > 0 && !tern_sim_source(host, &p->src, &own)) {
        return false;
    }
    for (size_t i = host->shield_count; i-- > 0;) {
        if (!shield_in(host, &host->shields[i], p, i > 0 ? &host->shields[i - 1].outside : &own)) {
            return false;
        }
    }
    return port_in(host, p);
}
