/* What stands between a host and the others: a mapping of one UDP port that may move, and a NAT or
 * firewall before the whole host (tern_sim_shield).
 *
 * Packets pass here where they are made and where they arrive; the sockets on either side know
 * nothing of it. */
#include <string.h>

#include <tern/error.h>

#include "loop/sim_world.h"

enum { ASKED_KEY = 3 + SIM_ENDPOINT_KEY };

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

int tern_sim_shield(tern_loop *loop, const char *outside, bool filter)
{
    struct sim_host *host = tern_sim_host_of(loop);
    host->shielded = true;
    host->filter = filter;
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
}

/* The way from a port of ours to somebody. */
static void asked_key(uint8_t out[ASKED_KEY], const struct sim_packet *p, const tern_endpoint *ours,
                      const tern_endpoint *theirs)
{
    out[0] = p->kind == SIM_UDP;
    tern_put16(out + 1, ours->port);
    tern_sim_key(out + 3, theirs);
}

static bool same_ip(const tern_endpoint *a, const tern_endpoint *b)
{
    return a->family == b->family && memcmp(a->ip, b->ip, sizeof a->ip) == 0;
}

bool tern_sim_nat_out(struct sim_host *host, struct sim_packet *p)
{
    uint8_t key[ASKED_KEY];
    if (tern_sim_owns(host, &p->dst)) {
        return true;
    }
    asked_key(key, p, &p->src, &p->dst);
    if (host->shielded && tern_map_set(&host->asked, key, sizeof key, host) != 0) {
        return false;
    }
    port_out(host, p);
    if (host->outside.family == p->src.family) {
        memcpy(p->src.ip, host->outside.ip, sizeof p->src.ip);
    }
    return true;
}

bool tern_sim_nat_in(struct sim_host *host, struct sim_packet *p)
{
    uint8_t key[ASKED_KEY];
    if (p->inside == host || tern_sim_owns(host, &p->src)) {
        return true;
    }
    if (!port_in(host, p)) {
        return false;
    }
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
    asked_key(key, p, &p->dst, &p->src);
    return !host->filter || tern_map_get(&host->asked, key, sizeof key) != NULL;
}
