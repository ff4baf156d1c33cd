/* Inside the simulated backend: the world, its hosts, the wire and the packets on it. Only sim*.c
 * include it.
 *
 *      host A                       the wire                            host B
 *      socket --packet--> tern_sim_path --lane (rate)--delay--> on_arrival --> socket
 *             ^ source side of a NAT                                ^ its other side
 *
 * Sockets know each other only by the packets they exchange: a packet carries the addresses of its
 * datagram or segment, and the receiving host finds the socket by them. What stands between two
 * hosts (tern_sim_nat, tern_sim_shield) is in sim_nat.c and nowhere else: where a packet is made
 * and arrives.
 *
 * The world owns hosts, links and packets on the wire; a host owns its sockets. Timers of the wire
 * are armed on world->net, timers of a socket on its host's loop, so that a crash silences exactly
 * those. */
#ifndef TERN_LOOP_SIM_WORLD_H
#define TERN_LOOP_SIM_WORLD_H

#include "base/list.h"
#include "base/map.h"
#include "loop/backend.h"
#include "loop/sim.h"

enum {
    SIM_MSS = 1460,                /* bytes of payload that one loss draw stands for */
    SIM_CHUNK_MAX = 64 * 1024,     /* most bytes of TCP in one packet of the simulation */
    SIM_READ_MAX = 256 * 1024,     /* most bytes of one on_data */
    SIM_READ_SOME = 4096,          /* the same on a link with tcp_read */
    SIM_TCP_BUFFER = 4 << 20,      /* tcp_buffer when a link says 0 */
    SIM_UDP_MAX_4 = 1500 - 28,     /* payload of the largest datagram on an Ethernet, IPv4 */
    SIM_UDP_MAX_6 = 1500 - 48,     /* the same over IPv6 */
    SIM_UDP_MAX_LOOP = 65535 - 28, /* inside one host */
    SIM_FORWARDS = 32,
    SIM_LANE_QUEUE = 1000, /* datagrams that wait for a link's rate, each way; more are lost */
    SIM_SHIELDS = 2        /* NATs before a host, one behind the other */
};

#define SIM_RTO_MIN     (200 * TERN_MS)  /* RFC 6298 as Linux has it */
#define SIM_RTO_MAX     (60 * TERN_SEC)  /* RFC 6298, section 2.5 */
#define SIM_SYN_RTO     TERN_SEC         /* RFC 6298, section 2.1; doubles */
#define SIM_CONNECT_MAX (120 * TERN_SEC) /* a handshake without an answer */
#define SIM_GIVE_UP     (900 * TERN_SEC) /* written bytes that nothing acknowledges */

/* xoshiro256** 1.0 (Blackman, Vigna), seeded by splitmix64. */
struct sim_rng {
    uint64_t s[4];
};

void tern_sim_rng_seed(struct sim_rng *rng, uint64_t seed);
uint64_t tern_sim_rng_next(struct sim_rng *rng);
bool tern_sim_rng_chance(struct sim_rng *rng, double p); /* draws only for 0 < p < 1 */

/* One direction of a link with a rate: a queue that sends byte after byte. */
struct sim_lane {
    uint64_t free_at; /* when the last byte taken so far has left */
    uint64_t carry;   /* the part of a nanosecond that division left over, times the rate */
    unsigned queued;  /* datagrams not yet gone */
};

/* What two hosts share; made when first needed. */
struct sim_pair {
    tern_sim_link link;
    bool own;                 /* set by tern_sim_set_link; else the world's default holds */
    struct sim_lane lanes[2]; /* [from->id > to->id] */
};

struct tern_sim {
    tern_sched sched;
    tern_loop net; /* the loop of the wire's timers; belongs to no host */
    uint64_t seed;
    uint64_t wall_offset; /* wall clock - sched.now */
    struct sim_rng rng;   /* the wire's draws; each host has its own */
    tern_sim_link link;   /* the default */
    tern_sim_link inside; /* within one host: no delay, no loss */
    tern_map ips;         /* ip -> struct sim_host */
    tern_map pairs;       /* two host ids, the smaller first -> struct sim_pair */
    tern_map names;       /* lower-case name -> struct sim_name */
    tern_list hosts;
    tern_list packets;    /* on the wire */
    uint32_t last_host;   /* the newest host's id */
    uint64_t last_socket; /* the newest TCP socket's id */
    uint8_t *read_buffer; /* SIM_READ_MAX bytes once needed */
    tern_sim_stats stats;
};

/* What stands before a host: a NAT, or without an address of its own a firewall. */
struct sim_shield {
    tern_endpoint outside; /* family 0 = none */
    tern_sim_rule mapping, filtering;
    tern_sim_ports ports;
    uint16_t step, last[2]; /* PORTS_COUNTED: of TCP and UDP */
    tern_map asked;         /* from which port outside to whom was sent */
    tern_map mapped;        /* port and who is sent to -> port outside; port outside -> port */
};

struct sim_host {
    tern_loop loop; /* first: a tern_loop of ours is a sim_host */
    tern_sim *sim;
    tern_list link; /* in sim->hosts */
    uint32_t id;
    bool crashed;
    uint16_t last_port; /* ephemeral ports go round from here */
    uint16_t nat_port;  /* a UDP port that the others see as nat_seen; 0 = none */
    tern_endpoint nat_seen;
    struct sim_rng rng;
    tern_endpoint *addrs; /* loopback not among them */
    size_t addr_count;
    tern_map conns;        /* local and remote endpoint -> struct sim_tcp */
    tern_map listeners;    /* local endpoint -> struct sim_listener */
    tern_map udps;         /* local endpoint -> struct sim_udp */
    tern_list tcps;        /* every struct sim_tcp, the dead ones too */
    tern_endpoint gateway; /* the default one; family 0 = none */
    struct sim_forward {
        bool udp;
        uint16_t outside, port;
    } forwards[SIM_FORWARDS]; /* ports that the gateway, the first of the shields, has mapped */
    size_t forward_count;
    tern_sim_igd_fn *igd;
    void *igd_owner;
    struct sim_shield shields[SIM_SHIELDS]; /* the one next to it first */
    size_t shield_count;
    tern_map cookies; /* ip -> id of the host that gave one, for TCP Fast Open */
    tern_list calls;  /* posted, not yet run */
    tern_sched grave; /* what a crashed host's timers and calls are queued in; never run */
};

static inline struct sim_host *tern_sim_host_of(tern_loop *loop)
{
    return (struct sim_host *)(void *)loop;
}

/* --- addresses (sim.c) --- */

enum { SIM_IP_KEY = 16, SIM_ENDPOINT_KEY = 18, SIM_CONN_KEY = 2 * SIM_ENDPOINT_KEY };

/* The key of maps: the ip (IPv4 in its mapped form, so that both families fit), then the port. */
void tern_sim_key(uint8_t out[SIM_ENDPOINT_KEY], const tern_endpoint *e);
bool tern_sim_owns(const struct sim_host *host, const tern_endpoint *ip);
/* The address that packets to `to` leave with; false if the host has none of that family. */
bool tern_sim_source(const struct sim_host *host, const tern_endpoint *to, tern_endpoint *ret);
/* What is bound to e or to its port at the unspecified address; NULL if nothing. */
void *tern_sim_bound(const tern_map *map, const tern_endpoint *e);
/* Puts a socket at *at (port 0: picks one into *at). TERN_E_ADDRINUSE, TERN_E_UNREACHABLE, NOMEM.
 */
int tern_sim_bind(struct sim_host *host, tern_map *map, tern_endpoint *at, void *socket);
uint16_t tern_sim_next_port(struct sim_host *host);

/* --- the wire (sim_wire.c) --- */

enum sim_kind { SIM_SYN, SIM_SYNACK, SIM_ACK, SIM_DATA, SIM_FIN, SIM_RST, SIM_UDP };

struct sim_packet {
    tern_timer timer; /* of its arrival (a datagram that waits for the rate: of its departure) */
    tern_list link;   /* sim->packets, or a socket's queue */
    tern_sim *sim;
    struct sim_host *inside; /* a loopback packet never leaves this host */
    struct sim_lane *lane;   /* a datagram's, while it waits there */
    uint64_t delay;          /* a datagram's, after it left the lane */
    tern_endpoint src, dst;
    enum sim_kind kind;
    uint8_t ecn;
    uint64_t src_id, dst_id;     /* TCP: which sockets are meant, as sequence numbers tell */
    uint64_t received, consumed; /* SIM_ACK, SIM_SYNACK: bytes that arrived, that were read */
    bool fast;                   /* a handshake's: asks for a cookie or has it; gives one */
    uint32_t cookie;             /* a SYN's or SYN-ACK's; 0 = none */
    size_t len, cap;
    size_t at; /* of data: what was read already */
    uint8_t data[];
};

/* NULL on memory. cap bytes of data, none of them used yet. */
struct sim_packet *tern_sim_packet(struct sim_host *from, enum sim_kind kind,
                                   const tern_endpoint *src, const tern_endpoint *dst, size_t cap);
void tern_sim_packet_free(struct sim_packet *p); /* wherever it is queued */

/* sim_nat.c: what a host's NAT does to a packet that leaves / that comes; false: it is lost. */
bool tern_sim_nat_out(struct sim_host *host, struct sim_packet *p);
bool tern_sim_nat_in(struct sim_host *host, struct sim_packet *p);
void tern_sim_unshield(struct sim_host *host);

struct sim_path {
    const tern_sim_link *link;
    struct sim_lane *lane; /* NULL without a rate */
};

enum sim_way {
    SIM_WAY_OPEN,
    SIM_WAY_DOWN, /* the link is down: TCP tries again */
    SIM_WAY_NONE  /* nobody has the address: packets vanish */
};

/* Which way packets to `to` take. */
enum sim_way tern_sim_path(struct sim_host *from, const tern_endpoint *to, struct sim_path *ret);

/* Sends a segment (takes p); returns when its last byte has left the host. Lost segments come one
 * or more retransmission times later, except SYN and SYN-ACK, which their dialler repeats, and
 * plain ACKs, whose next one says the same. `order` (may be NULL) is the latest arrival of the
 * flow. */
uint64_t tern_sim_send_segment(struct sim_packet *p, const struct sim_path *path, uint64_t *order);
/* Sends a datagram (takes p). */
void tern_sim_send_datagram(struct sim_packet *p, const struct sim_path *path);

/* Bytes a connection to `to` may have on the way. */
size_t tern_sim_tcp_window(const tern_sim_link *link);
/* How many bytes one segment may have: a millisecond of the link's rate, within SIM_MSS and
 * SIM_CHUNK_MAX, so that a slow link stays shared finely and a fast one costs few events. */
size_t tern_sim_chunk(const tern_sim_link *link);

/* A packet reached the host (takes p). In sim_tcp_in.c and sim_udp.c. */
void tern_sim_tcp_arrive(struct sim_host *host, struct sim_packet *p);
void tern_sim_udp_arrive(struct sim_host *host, struct sim_packet *p);

/* --- TCP (sim_tcp.c, sim_tcp_in.c) --- */

enum sim_tcp_state {
    SIM_TCP_SYN_SENT,
    SIM_TCP_SYN_RCVD, /* a listener's, half open */
    SIM_TCP_OPEN,
    SIM_TCP_DEAD /* failed; waits for its owner's close */
};

struct sim_tcp {
    tern_tcp base;  /* first */
    tern_list link; /* host->tcps */
    struct sim_host *host;
    enum sim_tcp_state state;
    int error;                /* why it is dead, until the owner heard it */
    uint64_t id, peer_id;     /* peer_id 0 = not known yet */
    bool reading, want_room;  /* on_data wanted; on_writable owed */
    bool closed;              /* the owner is gone; flushes its queue and ends */
    bool fin_wanted, fin_out; /* the owner wants to end; FIN is on its way */
    bool fin_in, end_told;    /* the peer's FIN came; on_end ran */
    bool reset_in;            /* the peer's RST came behind bytes that are still to be read */
    bool ack_due;
    bool greeted;   /* the handshake's ACK has left (dialler's side) */
    bool in_event;  /* inside a call of the owner's: free later */
    bool orphan;    /* its address was taken away: nothing leaves or arrives */
    bool fast;      /* a dial that asks for Fast Open */
    bool syn_held;  /* ... whose SYN waits for the first bytes */
    size_t syn_len; /* bytes that went with the SYN; they stay in tx until the peer has them */

    tern_list tx;         /* packets not yet handed to the link */
    uint64_t written;     /* bytes taken from the owner so far */
    uint64_t received_by; /* of those: arrived at the peer, as far as its ACKs say */
    uint64_t consumed_by; /* of those: read by the peer's owner; written - this fills tcp_buffer */
    uint64_t link_free;   /* when the last segment sent has left the host */
    uint64_t order;       /* latest arrival of a segment: none may overtake it */
    unsigned tries;       /* sends in a row that found the link down; SYNs sent */

    tern_list rx; /* packets arrived and not yet read */
    uint64_t received, consumed;

    tern_timer send;    /* the link's turn, the next try, the next SYN */
    tern_timer deliver; /* events for the owner */
    tern_timer give_up;
    uint64_t progress; /* when bytes were last acknowledged, or first written */
};

struct sim_listener {
    tern_tcp_listener base; /* first */
    struct sim_host *host;
    bool fast;
};

/* NULL on memory. Is in host->conns from here on. */
struct sim_tcp *tern_sim_tcp_new(struct sim_host *host, enum sim_tcp_state state,
                                 const tern_endpoint *local, const tern_endpoint *remote);
struct sim_tcp *tern_sim_tcp_find(const struct sim_host *host, const tern_endpoint *local,
                                  const tern_endpoint *remote);
void tern_sim_tcp_free(struct sim_tcp *t);
/* Sends what may leave now and arms a timer for the rest. May free a closed socket. */
void tern_sim_tcp_output(struct sim_tcp *t);
/* Sends a packet without data; false if it could not leave. */
bool tern_sim_tcp_send(struct sim_tcp *t, enum sim_kind kind);
/* The cookie for Fast Open of whoever has that address; 0 = none. */
uint32_t tern_sim_cookie(const struct sim_host *host, const tern_endpoint *to);
/* Ends it with an error, tells the owner; frees it when nobody owns it. */
void tern_sim_tcp_fail(struct sim_tcp *t, int code);
/* Arms `deliver` if there is something for the owner. */
void tern_sim_tcp_wake_reader(struct sim_tcp *t);
void tern_sim_tcp_on_give_up(tern_timer *timer);

int tern_sim_tcp_dial(tern_loop *loop, const tern_endpoint *to, const tern_endpoint *from,
                      bool fast, tern_tcp **ret);
ssize_t tern_sim_tcp_write(tern_tcp *base, const tern_span *v, unsigned n);
void tern_sim_tcp_read(tern_tcp *base);
void tern_sim_tcp_pause(tern_tcp *base);
void tern_sim_tcp_shutdown(tern_tcp *base);
void tern_sim_tcp_close(tern_tcp *base, bool abort);
void tern_sim_tcp_orphans(tern_loop *loop);
int tern_sim_tcp_listen(tern_loop *loop, const tern_endpoint *at, bool fast,
                        tern_tcp_listener **ret);
void tern_sim_tcp_listener_close(tern_tcp_listener *base);

/* --- UDP, names and the gateway (sim_udp.c, sim_dns.c, sim_gateway.c) --- */

struct sim_udp {
    tern_udp base; /* first */
    struct sim_host *host;
};

int tern_sim_udp_bind(tern_loop *loop, const tern_endpoint *at, tern_udp **ret);
int tern_sim_udp_send(tern_udp *base, const tern_endpoint *to, const void *data, size_t len,
                      size_t segment, uint8_t ecn);
void tern_sim_udp_close(tern_udp *base);

int tern_sim_gateway_of(tern_loop *loop, tern_endpoint *ret, tern_endpoint *ret_own);
int tern_sim_igd_start(tern_igd *igd);

int tern_sim_dns_start(tern_dns *dns, const char *name);
void tern_sim_dns_cancel(tern_dns *dns);
void tern_sim_names_free(tern_sim *sim);

#endif
