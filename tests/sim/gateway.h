/* A home's router in a simulated world: the NAT before one host, which maps ports when it is asked
 * over PCP, NAT-PMP or UPnP. It speaks from the bytes of the RFCs, without tern's own codec, and
 * can be told to refuse, to forget, to lose and to lie. */
#ifndef TERN_TESTS_SIM_GATEWAY_H
#define TERN_TESTS_SIM_GATEWAY_H

#include "base/test.h"

#include "loop/igd.h"
#include "loop/sim.h"
#include "loop/udp.h"

enum { SIM_GATEWAY_PORTS = 16 };

/* What it says instead of what is so. */
typedef enum sim_lie {
    SIM_HONEST,
    SIM_WRONG_NONCE,
    SIM_WRONG_SENDER, /* another of its ports */
    SIM_WRONG_PORT,
    SIM_NO_PORT, /* success, at port 0 */
    SIM_GARBAGE,
    SIM_TRUNCATED,
    SIM_TWICE, /* everything */
    SIM_LIES,
} sim_lie;

typedef struct sim_gateway {
    tern_sim *sim;
    tern_loop *host, *inside; /* inside: whom it maps ports for */
    tern_udp *udp, *other;
    const char *outside; /* its address there, as it says */
    bool pcp, nat_pmp, upnp;
    uint16_t shift;    /* outside port = port + this */
    unsigned refuse;   /* the code that it answers */
    uint32_t lifetime; /* what it gives at most, s */
    sim_lie lie;
    bool deaf; /* answers nothing */
    uint64_t born;
    unsigned asked; /* requests that came */
    struct sim_gateway_port {
        bool udp;
        uint16_t port;
        uint64_t until;
    } ports[SIM_GATEWAY_PORTS];
    size_t count;
    tern_timer timer;
} sim_gateway;

/* At `ip`, before the host `inside`, which is seen as `outside` (with the mapping and filtering of
 * tern_sim_shield). Speaks nothing until told. */
void sim_gateway_make(sim_gateway *g, tern_sim *sim, const char *ip, tern_loop *inside,
                      const char *outside, tern_sim_rule mapping, tern_sim_rule filtering);
/* It restarts: nothing is mapped any more, its clock begins anew. */
void sim_gateway_restart(sim_gateway *g);
/* Before the world is freed. */
void sim_gateway_close(sim_gateway *g);

#endif
