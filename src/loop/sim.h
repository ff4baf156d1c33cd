/* The simulated backend: a world with a virtual clock that jumps to the next deadline, hosts with
 * addresses, and links with delay, rate and loss. Seeded: the same seed replays the same run.
 *
 * A host is a tern_loop like any other, so whole nodes run in the world unchanged; a thousand of
 * them in one process share its clock and queues. TCP is modelled as an ordered byte stream
 * (handshake of one round trip, refused connections, resets, FIN, a bounded send window; loss costs
 * a retransmission's time, not bytes); UDP loses, delays and reorders datagrams. */
#ifndef TERN_LOOP_SIM_H
#define TERN_LOOP_SIM_H

#include "loop/loop.h"

typedef struct tern_sim tern_sim;
struct tern_igd_round;

int tern_sim_new(uint64_t seed, tern_sim **ret); /* TERN_E_NOMEM */
void tern_sim_free(tern_sim *sim);               /* frees its hosts too */

/* A host with one address (more by tern_sim_add_address): 127.0.0.1 and ::1 work inside it as well.
 */
int tern_sim_host(tern_sim *sim, const char *ip, tern_loop **ret);
int tern_sim_add_address(tern_loop *host, const char *ip);
/* Takes an address away, not the last one; TCP connections over it go silent for good, also when it
 * comes back. TERN_E_NOT_FOUND, TERN_E_STATE (the last). */
int tern_sim_remove_address(tern_loop *host, const char *ip);
/* The host stood still until now: its loop is told so. What happened meanwhile (links that were
 * down, connections that others gave up) is the caller's to set. */
void tern_sim_awake(tern_loop *host);

/* What holds for packets between two hosts, each direction the same. */
typedef struct tern_sim_link {
    uint64_t delay;    /* one way, nanoseconds */
    uint64_t jitter;   /* up to this is added, at random; reorders datagrams */
    uint64_t rate;     /* bytes a second, 0 = unlimited */
    double loss;       /* 0..1, of packets */
    double duplicate;  /* 0..1, of datagrams */
    size_t tcp_buffer; /* bytes in flight a TCP connection may have each way; 0 = 4 MiB */
    bool down;         /* nothing passes; TCP stalls, connects time out */
    bool no_udp;       /* datagrams vanish, as some networks have it */
    bool no_syn_data;  /* SYNs that carry data vanish, as some middleboxes have it */
    size_t tcp_read;   /* most bytes that TCP gives its reader at once (up to 4096); 0 = what is
                          there; 1 = each byte by itself */
} tern_sim_link;

void tern_sim_set_default_link(tern_sim *sim, const tern_sim_link *link);
int tern_sim_set_link(tern_sim *sim, tern_loop *a, tern_loop *b, const tern_sim_link *link);

/* Names: A/AAAA records (ip text) and TXT records. */
int tern_sim_add_name(tern_sim *sim, const char *name, const char *ip);
int tern_sim_add_txt(tern_sim *sim, const char *name, const char *text);

/* A NAT before the host: what leaves its UDP port `port` comes from `seen`, what is sent to `seen`
 * arrives there if that address is the host's, and what is sent to the port itself is lost. Called
 * again, the mapping moves, and the one before is no more. One port a host; 0 ends it. */
void tern_sim_nat(tern_loop *host, uint16_t port, const tern_endpoint *seen);

/* What of the other side something depends on (RFC 4787). */
typedef enum tern_sim_rule {
    TERN_SIM_ANY, /* nothing */
    TERN_SIM_BY_ADDRESS,
    TERN_SIM_BY_PORT, /* its address and port */
} tern_sim_rule;

/* Which port outside a new mapping of a NAT gets. */
typedef enum tern_sim_ports {
    TERN_SIM_PORTS_USUAL,  /* mapping ANY: the same; else one that nobody can guess */
    TERN_SIM_PORTS_RANDOM, /* one that nobody can guess */
    TERN_SIM_PORTS_COUNTED /* the last one, of TCP or UDP, and a step */
} tern_sim_ports;

/* What stands before the whole host. outside (may be NULL): a NAT, and the others see that address
 * instead of the host's; the host's own is nobody's. mapping: ANY, one port outside for whoever is
 * sent to; else another one for each address (and port). filtering: only who was sent to, counted
 * from the first call on, may send to that port. TERN_E_ADDRINUSE, TERN_E_MALFORMED, TERN_E_NOMEM.
 */
int tern_sim_shield(tern_loop *host, const char *outside, tern_sim_rule mapping,
                    tern_sim_rule filtering);
/* Another NAT before that one, to whose lan the first one's outside belongs. As tern_sim_shield;
 * TERN_E_STATE: there is none to stand before, or there are two. */
int tern_sim_shield_again(tern_loop *host, const char *outside, tern_sim_rule mapping,
                          tern_sim_rule filtering);
/* The ports that the newest of these NATs gives, from now on. */
void tern_sim_shield_ports(tern_loop *host, tern_sim_ports ports, uint16_t step);

/* Its default gateway (NULL: none any more), for tern_loop_gateway: the host there is before its
 * shield and hears it as it is. */
int tern_sim_gateway(tern_loop *host, const char *ip); /* TERN_E_MALFORMED */
/* What the gateway does when it maps a port: what comes to the port of the shield's address goes to
 * the host's, whoever sends it, and what is sent back to him comes from there. port 0 ends it.
 * TERN_E_LIMIT. */
int tern_sim_forward(tern_loop *host, bool udp, uint16_t outside, uint16_t port);
/* The gateway's UPnP: answers a round (loop/igd.h), after a second for FIND and 5 ms otherwise, by
 * filling it; 0, or what the op fails with. fn NULL: there is none. */
typedef int tern_sim_igd_fn(void *owner, struct tern_igd_round *round);
void tern_sim_igd(tern_loop *host, tern_sim_igd_fn *fn, void *owner);

/* A host vanishes: its connections go silent (peers see nothing until they time out). */
void tern_sim_crash(tern_loop *host);

uint64_t tern_sim_now(const tern_sim *sim);
void tern_sim_set_wall(tern_sim *sim, uint64_t unix_ns);
/* Runs until nothing is left to do, `until` is reached, or `stop(arg)` says true after an event.
 * Returns the virtual time. */
uint64_t tern_sim_run(tern_sim *sim, uint64_t until, bool (*stop)(void *arg), void *arg);
/* Events processed and bytes and packets carried so far; for tests of cost and bounds. */
typedef struct tern_sim_stats {
    uint64_t events, packets, bytes, lost;
} tern_sim_stats;
tern_sim_stats tern_sim_get_stats(const tern_sim *sim);

#endif
