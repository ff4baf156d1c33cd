/* A relay, one behind it, and one who wants to reach that one. */
#ifndef TERN_TESTS_SIM_RELAY_SCENE_H
#define TERN_TESTS_SIM_RELAY_SCENE_H

#include "nat/relay.h"
#include "nat/relay_message.h"
#include "sim/nodes.h"
#include "suite/ear.h"

#define RELAY_DELAY (10 * TERN_MS)
#define RELAY_RTT   (2 * RELAY_DELAY)

typedef struct relay_scene {
    sim_nodes w;
    sim_node *relay, *behind, *asker;
    char at[512]; /* where `behind` is reached */
} relay_scene;

/* Of a node that relays. */
tern_options relay_test_options(void);
/* The node listens at the relay from now on. */
void relay_reserve_at(sim_node *n, const sim_node *relay);
/* Where `behind` is reached through the relay. */
void relay_address_of(const sim_node *relay, const sim_node *behind, char *out, size_t cap);

/* The relay at 10.0.0.1, `behind` with its place there, at 10.0.0.2, the asker at 10.0.0.3, which
 * listen nowhere else. options (of the relay) may be NULL. Cleared by sim_nodes_clear(&s->w). */
void relay_scene_make(relay_scene *s, const tern_options *options);
/* The asker's connection through the relay. */
tern_conn *relay_scene_reach(relay_scene *s);

/* Opens a stream of a relay protocol, writes bytes to it as they are on the wire, waits a second.
 * The ear has what came; the caller clears it. NULL: the stream is gone. */
tern_stream *relay_say(sim_node *n, tern_conn *c, const char *protocol, const void *bytes,
                       size_t n_bytes, ear *e);
/* The same with a message; the status of the answer, 0 when none came. hop: to a relay. */
uint32_t relay_ask(sim_node *n, tern_conn *c, bool hop, const tern_relay_message *m);

#endif
