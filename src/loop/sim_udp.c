/* Simulated UDP: sockets, and sending in segments as UDP_SEGMENT does. Loss, delay, reordering and
 * duplication are the wire's (sim_wire.c).
 *
 * A datagram to nobody vanishes; so does one larger than an Ethernet packet carries, as paths
 * beyond one hop treat what must not be fragmented. The system's buffer is never full: a link that
 * cannot follow drops, as a router does. */
#include <string.h>

#include <tern/error.h>

#include "base/mem.h"
#include "loop/sim_world.h"

static struct sim_udp *udp_of(tern_udp *base)
{
    return (struct sim_udp *)(void *)base;
}

int tern_sim_udp_bind(tern_loop *loop, const tern_endpoint *at, tern_udp **ret)
{
    struct sim_host *host = tern_sim_host_of(loop);
    struct sim_udp *u = tern_calloc(1, sizeof *u);
    if (u == NULL) {
        return TERN_E_NOMEM;
    }
    u->base.loop = loop;
    u->base.local = *at;
    u->host = host;
    int rc = tern_sim_bind(host, &host->udps, &u->base.local, u);
    if (rc < 0) {
        tern_free(u);
        return rc;
    }
    *ret = &u->base;
    return 0;
}

static size_t largest(const struct sim_host *host, const tern_endpoint *to)
{
    if (tern_sim_owns(host, to)) {
        return SIM_UDP_MAX_LOOP;
    }
    return to->family == 4 ? SIM_UDP_MAX_4 : SIM_UDP_MAX_6;
}

int tern_sim_udp_send(tern_udp *base, const tern_endpoint *to, const void *data, size_t len,
                      size_t segment, uint8_t ecn)
{
    struct sim_udp *u = udp_of(base);
    struct sim_host *host = u->host;
    tern_endpoint src = base->local;
    if (tern_endpoint_is_unspecified(&src)) {
        if (!tern_sim_source(host, to, &src)) {
            return TERN_E_UNREACHABLE;
        }
        src.port = base->local.port;
    }
    struct sim_path path;
    enum sim_way way = tern_sim_path(host, to, &path);
    way = path.link->no_udp ? SIM_WAY_DOWN : way;
    size_t max = largest(host, to);
    const uint8_t *at = data;
    segment = segment == 0 ? len : segment;
    do {
        size_t n = len < segment ? len : segment;
        struct sim_packet *p = NULL;
        if (way == SIM_WAY_OPEN && n <= max) {
            p = tern_sim_packet(host, SIM_UDP, &src, to, n);
        }
        if (p == NULL) {
            host->sim->stats.lost++;
        } else {
            memcpy(p->data, at, n);
            p->len = n;
            p->ecn = ecn;
            tern_sim_send_datagram(p, &path);
        }
        at += n;
        len -= n;
    } while (len > 0);
    return 0;
}

void tern_sim_udp_arrive(struct sim_host *host, struct sim_packet *p)
{
    struct sim_udp *u = tern_sim_bound(&host->udps, &p->dst);
    if (u != NULL) {
        tern_datagram d = {.from = p->src, .data = p->data, .len = p->len, .ecn = p->ecn};
        tern_udp_dispatch(&u->base, &d);
    }
    tern_sim_packet_free(p);
}

void tern_sim_udp_close(tern_udp *base)
{
    struct sim_udp *u = udp_of(base);
    uint8_t key[SIM_ENDPOINT_KEY];
    tern_sim_key(key, &base->local);
    tern_map_remove(&u->host->udps, key, sizeof key);
    tern_free(u);
}
