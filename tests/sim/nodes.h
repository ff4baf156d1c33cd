/* Whole nodes in a simulated world, for tests: each on a host of its own, listening on TCP port
 * 4001, with a record of what it was told. Calls run from the test, between runs of the world; the
 * helpers that wait run the world in virtual time. Every failure fails the test.
 *
 *     sim_nodes w;
 *     sim_nodes_init(&w, 50 * TERN_MS);                   each link: 50 ms one way
 *     sim_node *a = sim_nodes_add(&w, "10.0.0.1", NULL);
 *     sim_node *b = sim_nodes_add(&w, "10.0.0.2", NULL);
 *     tern_conn *c = sim_nodes_connect(&w, a, b);
 *     sim_nodes_clear(&w);                                stops and frees them all */
#ifndef TERN_TESTS_SIM_NODES_H
#define TERN_TESTS_SIM_NODES_H

#include "base/test.h"

#include "host/host.h"
#include "loop/sim.h"
#include "loop/tcp.h"

enum { SIM_NODES_MAX = 64, SIM_NODE_PORT = 4001, SIM_REPORTS_MAX = 16 };

typedef struct sim_nodes sim_nodes;

typedef struct sim_node {
    sim_nodes *world;
    tern_loop *host;
    tern_node *node; /* NULL once freed */
    tern_peer_id id;
    char addr[TERN_PEER_ID_TEXT + 80]; /* where it listens, with /p2p; "" = nowhere */
    unsigned connected, disconnected, identified, stopped, moved; /* moved: on_addresses */
    tern_conn *conn;                                              /* the newest, until it is gone */
    tern_error why;                                               /* of the last disconnection */
    char agent[129];                                              /* of the last identify */
    char observed[128];
    char addrs[1024];     /* what the peer listens on, "," behind each */
    char protocols[1024]; /* the same of protocols */
    bool signed_record;
    unsigned punched, punch_attempts; /* on_hole_punch, and what the last one said */
    uint64_t punch_time;
    tern_error punch_why;
    unsigned judged;          /* on_reachability */
    unsigned mapped, refused; /* on_port_mapping without and with an error */
    char mappings[2048]; /* "PROTOCOL EXTERNAL" ("none" of it, "-" of a protocol), or why not */
    char verdicts[1024]; /* of these: "ADDRESS public,", in order */
} sim_node;

struct sim_nodes {
    tern_sim *sim;
    tern_loop *clock; /* of a host that is only there for its timer */
    sim_node *nodes[SIM_NODES_MAX];
    size_t count;
    size_t alive; /* allocations before */
};

/* What a dial's done brought. */
typedef struct sim_dial {
    sim_nodes *world;
    unsigned done;
    uint64_t at; /* virtual time of done */
    tern_conn *conn;
    tern_error error;
    size_t report_count;
    struct {
        char addr[128];
        tern_error error;
    } reports[SIM_REPORTS_MAX];
} sim_dial;

typedef struct sim_ping {
    sim_nodes *world;
    unsigned done;
    uint64_t at, rtt;
    tern_error error;
} sim_ping;

void sim_nodes_init(sim_nodes *w, uint64_t delay);
void sim_nodes_init_seeded(sim_nodes *w, uint64_t seed, const tern_sim_link *link);
void sim_nodes_clear(sim_nodes *w);
/* A node on a new host; options may be NULL (events and owner are set here). Listens unless ip
 * begins with '-', which is skipped. */
sim_node *sim_nodes_add(sim_nodes *w, const char *ip, const tern_options *options);
/* One more node on the same host; `listen` (may be NULL) is where. */
sim_node *sim_nodes_beside(sim_node *other, const char *listen);
/* Stops a node, runs until it has, frees it. The host stays. */
void sim_node_end(sim_node *n);
/* Its machine vanishes, and nobody hears of it: no FIN, no RST. Another may be added with its
 * address. */
void sim_node_vanish(sim_node *n);

uint64_t sim_nodes_now(const sim_nodes *w);
void sim_nodes_run(sim_nodes *w, uint64_t time);
/* Runs until *count reaches at_least, or time has passed; whether it did. */
bool sim_nodes_wait(sim_nodes *w, const unsigned *count, unsigned at_least, uint64_t time);

/* Starts a dial; `texts` as tern_node_dial. */
void sim_nodes_dial(sim_node *n, const char *const *texts, size_t count, sim_dial *d);
/* Dials one text and waits for the outcome. */
void sim_nodes_dial_one(sim_node *n, const char *text, sim_dial *d);
/* Connects a to where b listens, waits until both know; a's conn. */
tern_conn *sim_nodes_connect(sim_nodes *w, sim_node *a, sim_node *b);
/* For tern_node_dial: counts in *owner, an unsigned. */
void sim_nodes_count_dial(void *owner, tern_conn *conn, const tern_error *error,
                          const tern_dial_report *reports, size_t report_count);
/* For tern_node_dial: nothing. For tern_node_open with an ear (suite/ear.h) as owner: takes the
 * stream, or marks the ear closed with the error. */
void sim_nodes_ignore_dial(void *owner, tern_conn *conn, const tern_error *error,
                           const tern_dial_report *reports, size_t report_count);
void sim_nodes_ear_opened(void *owner, tern_stream *s, const tern_error *error);
/* For tern_tcp_listen: takes every connection and says nothing until the peer is gone. */
void sim_nodes_accept_silently(void *owner, tern_tcp *t);
/* One ping from n over conn, waited for. */
void sim_nodes_ping(sim_node *n, tern_conn *conn, sim_ping *p);

static inline tern_counters *sim_counters(sim_node *n)
{
    return &tern_node_net(n->node)->counters;
}

#endif
