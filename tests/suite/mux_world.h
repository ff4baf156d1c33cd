/* What the tests of the muxer contract share: a world with two conns of the muxer under test over a
 * pair of streams in memory, and scripted owners of streams ("ends") that check what they hear. */
#ifndef TERN_TESTS_MUX_WORLD_H
#define TERN_TESTS_MUX_WORLD_H

#include <tern/stream.h>

#include "base/list.h"
#include "base/test.h"
#include "core/mux.h"
#include "loop/sim.h"
#include "streams/memory.h"
#include "suite/muxers.h"

extern const tern_muxer *mux_under_test;

typedef struct mux_world mux_world;

/* The owner of one side of a stream. */
typedef struct mux_end {
    tern_list link; /* in world.ends */
    mux_world *w;
    tern_stream *s; /* NULL once closed */
    struct mux_side *side;
    uint64_t id;
    uint32_t tag; /* what it writes depends on it */
    uint64_t to_send, sent;
    uint64_t got;      /* bytes taken */
    uint32_t peer_tag; /* what it expects to read; 0 = anything */
    bool ends;         /* end when all is sent */
    bool echo;         /* write back what comes, end when the peer does */
    bool refuse;       /* take nothing */
    bool incoming;
    unsigned ended, closed, rooms; /* events heard */
    tern_error why;
} mux_end;

typedef struct mux_side {
    mux_world *w;
    tern_net net;
    tern_stream *lower;
    tern_conn *conn; /* NULL once closed */
    unsigned closed;
    size_t streams_alive;
    tern_error why;
    void (*on_accept)(mux_end *e);
} mux_side;

struct mux_world {
    tern_sim *sim;
    tern_loop *loop;
    mux_side side[2];
    tern_list ends;
    uint32_t seed;
    uint32_t most; /* bytes that one act of a random session writes */
    bool failing;  /* allocations fail: nothing is promised but that it all ends */
};

uint32_t mux_random(mux_world *w);

/* Lower streams only; then each side's conn, not attached (false without memory); or all of it. */
void mux_begin(mux_world *w, const tern_memory_options *options);
bool mux_make_side(mux_world *w, int i);
void mux_make(mux_world *w, const tern_memory_options *options);
/* Runs for a time, or for as long as one turn of the loop takes. */
void mux_run(mux_world *w, uint64_t time);
void mux_turn(mux_world *w);
/* Closes what is open and checks that all has ended and no memory is held. */
void mux_free(mux_world *w);

/* An owner for s, or for a new stream of side i with so many bytes to write. */
mux_end *mux_end_new(mux_side *side, tern_stream *s);
void mux_end_take(mux_end *e);
mux_end *mux_open(mux_world *w, int i, uint32_t tag, uint64_t to_send);
/* Writes what is left, as far as it goes. */
void mux_end_write(mux_end *e);
/* The other side of a stream, NULL when it was not accepted. */
mux_end *mux_other(const mux_end *e);

/* Events, for owners that differ in the rest. */
void mux_end_on_closed(void *owner, tern_stream *s, const tern_error *why);
void mux_side_on_closed(void *owner, tern_conn *c, const tern_error *why);
extern const tern_conn_events mux_side_events;

/* What to do with an accepted stream (mux_side.on_accept). */
void mux_accept_echo(mux_end *e);
void mux_accept_and_drop(mux_end *e);
void mux_accept_and_reset(mux_end *e);

/* The tests, in their files. */
void mux_test_opens_from_both_sides(void **state);
void mux_test_the_acceptor_may_speak_first(void **state);
void mux_test_writes_before_attach_travel(void **state);
void mux_test_streams_wait_for_the_conns_owner(void **state);
void mux_test_echoes(void **state);
void mux_test_many_streams(void **state);
void mux_test_writers_share_the_lower_stream(void **state);
void mux_test_room_is_kept(void **state);
void mux_test_a_slow_reader_slows_only_its_writer(void **state);
void mux_test_kept_bytes_come_before_the_end(void **state);
void mux_test_halves_close_in_each_order(void **state);
void mux_test_resets(void **state);
void mux_test_stop_drops_what_comes(void **state);
void mux_test_drop_flushes_and_ends(void **state);
void mux_test_dropped_streams_do_not_pile_up(void **state);
void mux_test_close_ends_the_streams_first(void **state);
void mux_test_close_flushes(void **state);
void mux_test_the_lower_stream_dies(void **state);
void mux_test_close_before_attach(void **state);
void mux_test_a_refused_muxer_is_abandoned(void **state);
void mux_test_close_on_data(void **state);
void mux_test_random_sessions(void **state);
void mux_test_each_allocation_may_fail(void **state);

#endif
