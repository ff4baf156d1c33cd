/* Two conns of a kind (conns.h) that are each other's ends, with what is around them. Side 0 has
 * dialled, or is the muxer's client. Failures fail the test. */
#ifndef TERN_TESTS_CONN_PAIR_H
#define TERN_TESTS_CONN_PAIR_H

#include "loop/sim.h"
#include "streams/memory.h"
#include "suite/conns.h"

typedef struct conn_pair {
    const tern_conn_kind *kind;
    tern_sim *sim;
    tern_net net[2];
    tern_stream *lower[2];   /* muxers */
    tern_listener *listener; /* transports, on side 1 */
    tern_dial_op dial;
    tern_conn *conn[2];
} conn_pair;

/* Both nets, on `loop`; side 1 of a transport on a host of its own, which listens. Their limits may
 * be changed now. options are the memory streams' of a muxer, NULL = the default. */
void conn_pair_begin(conn_pair *p, const tern_conn_kind *kind, tern_sim *sim, tern_loop *loop,
                     const tern_memory_options *options);
/* Both conns are there, without owners (muxers attached). */
void conn_pair_meet(conn_pair *p);
/* Once the conns are gone: what was around them. */
void conn_pair_clear(conn_pair *p);

static inline bool conn_pair_whole(const conn_pair *p)
{
    return p->kind->mux == NULL;
}

#endif
