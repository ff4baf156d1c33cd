/* Two nodes that meet over QUIC, part, and come back, in the simulated world: for tests of
 * resumption and of 0-RTT data. Links take half of QUIC_PAIR_RTT one way. */
#ifndef TERN_TESTS_SIM_QUIC_PAIR_H
#define TERN_TESTS_SIM_QUIC_PAIR_H

#include "quic/kept.h"
#include "sim/nodes.h"

#define QUIC_PAIR_RTT (100 * TERN_MS)

typedef struct quic_pair {
    sim_nodes w;
    sim_node *a, *b;
    char addr[256]; /* of b, which serves perf, too */
} quic_pair;

/* early: what `a` dials may be given before it answers. link: NULL = the default. */
void quic_pair_open(quic_pair *x, bool early, const tern_sim_link *link);
void quic_pair_listen(sim_node *n, const char *ip, char *ret, size_t cap);
/* a dials b: the conn, which may be unproven. */
tern_conn *quic_pair_dial(quic_pair *x);
/* a closes, and both know. */
void quic_pair_part(quic_pair *x);
/* Dials, waits for the tickets, and parts. */
void quic_pair_meet(quic_pair *x);

/* A ticket that `a` has of b, taken out / put where those of a server with this key are. */
void quic_pair_take(quic_pair *x, quic_kept *ret);
void quic_pair_give(quic_pair *x, const tern_key *server, quic_kept *kept);

static inline tern_quic *quic_pair_quic(sim_node *n)
{
    return tern_node_net(n->node)->quic;
}

#endif
