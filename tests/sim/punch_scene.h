/* Two nodes that meet at a relay, each behind what stands before it: A, who dials, and B, who has a
 * place there. For simulations of hole punching. */
#ifndef TERN_TESTS_SIM_PUNCH_SCENE_H
#define TERN_TESTS_SIM_PUNCH_SCENE_H

#include "sim/nodes.h"

enum { PUNCH_SERVERS_MAX = 3 };

typedef struct punch_place {
    const char *ip, *outside; /* NULL: the ip is seen as it is */
    const char *outer;        /* of a NAT of the same kind before that one; NULL: none */
    tern_sim_rule mapping, filtering;
    tern_sim_ports ports;
    uint16_t step;
    bool no_udp; /* nothing of it comes through */
} punch_place;

typedef struct punch_scene {
    sim_nodes w;
    sim_node *servers[PUNCH_SERVERS_MAX]; /* the first is the relay */
    sim_node *relay, *a, *b;
    char at[512]; /* where B is reached */
} punch_scene;

typedef struct punch_setting {
    const punch_place *a, *b;
    bool tcp, quic;   /* the roads over which A and B are connected with the servers */
    unsigned servers; /* that see them; 0 = 1 */
    uint64_t seed;    /* 0: every link has PUNCH_DELAY, and nothing is lost */
} punch_setting;

#define PUNCH_DELAY (20 * TERN_MS)

/* All are connected, and B has its place. With a seed: delays of 5 to 150 ms one way, jitter, and
 * up to two packets in a hundred lost, and B's place and A's dial at any moment. */
void punch_scene_make(punch_scene *s, const punch_setting *how);
/* A dials B through the relay. */
void punch_scene_reach(punch_scene *s);
/* The direct connection of one to another; NULL without. */
tern_conn *punch_scene_direct(sim_node *n, const sim_node *other);

#endif
