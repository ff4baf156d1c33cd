/* A node that listens for WebTransport, and a peer of the test's own that comes to it: what tests
 * of hostile clients begin and end with. */
#ifndef TERN_TESTS_SIM_H3_SCENE_H
#define TERN_TESTS_SIM_H3_SCENE_H

#include "sim/h3_peer.h"

#define H3_DELAY         (10 * TERN_MS) /* one way */
#define H3_COUNTER(name) offsetof(tern_counters, name)
#define H3_BYTES(text)   text, sizeof(text) - 1

typedef struct h3_scene {
    sim_nodes w;
    sim_node *a, *b; /* a is the peer's host, b listens */
    char addr[512];  /* of b */
    h3_peer p;
} h3_scene;

void h3_scene_open(h3_scene *x, const tern_options *options); /* of b; may be NULL */
/* A connection of the peer's, up to where it may write. */
void h3_scene_dial(h3_scene *x);
/* The node serves who comes now, and keeps nothing of who went. */
void h3_scene_close(h3_scene *x);
/* How much a counter of b's shows. */
uint64_t h3_scene_counted(const h3_scene *x, size_t counter);
/* The peer's connection is over within a second, with this code, and the counter shows one more
 * than before; the peer may dial again. */
void h3_scene_expect_end(h3_scene *x, const char *name, uint64_t wire, size_t counter,
                         uint64_t before);

#endif
