/* What the parts of the security suite share: two nodes over memory pairs with a wire between them
 * that counts the bytes, and can cut, stall or change them at any place.
 *
 *     node 0 (initiator) -- lower -- port 0 | wire | port 1 -- lower -- node 1 (responder) */
#ifndef TERN_TESTS_SECURITY_WORLD_H
#define TERN_TESTS_SECURITY_WORLD_H

#include "base/test.h"
#include "core/secure.h"
#include "loop/sim.h"
#include "streams/memory.h"
#include "suite/ear.h"

/* Each part's tests; they end with an entry without a name. */
extern const struct CMUnitTest tern_suite_security_success[], tern_suite_security_faults[];

extern const tern_secure *tern_suite_secure; /* the one under test */

#define DEADLINE (10 * TERN_SEC) /* of each op, from the world's making on */

enum act { ACT_NONE, ACT_RESET, ACT_END, ACT_STALL, ACT_FLIP, ACT_CANCEL };

struct world;

typedef struct port {
    struct world *w;
    tern_stream *s; /* NULL once closed */
    size_t came;    /* bytes from this side's node */
} port;

typedef struct node {
    tern_net net;
    tern_secure_op op;
    tern_stream *lower; /* until begin */
    unsigned done;
    tern_error error;
    ear ear;
} node;

typedef struct world {
    size_t alive; /* allocations before */
    tern_sim *sim;
    tern_loop *loop;
    node n[2];
    port p[2];
    size_t passed; /* bytes, both directions */
    size_t act_at; /* when so many have passed, act */
    enum act act;
    int victim; /* of ACT_CANCEL */
    bool over;  /* nothing passes any more */
} world;

/* A world whose nodes have fresh keys of that type; their ops are filled in and may be changed. */
void security_world_make_of(world *w, tern_key_type type, const tern_memory_options *options);
void security_world_make(world *w);
/* Lets go of everything; fails the test when something stays allocated. */
void security_world_clear(world *w);

void security_begin(world *w, int i);
void security_start(world *w, int i); /* begin and attach */
void security_run(world *w);          /* a second of the world's time */
void security_run_both(world *w);
void security_cancel(node *n);
void security_leave(tern_stream **s); /* resets and drops it, if it is there */

/* The op ended once, with that code. */
void security_assert_done(const node *n, int code);
/* Both ended well, know each other, and can talk. */
void security_assert_both_done(world *w);
/* How many bytes a whole handshake takes. */
size_t security_handshake_bytes(void);

#endif
