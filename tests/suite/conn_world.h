/* What the tests of the conn contract share: a world with two conns of the kind under test, and
 * scripted owners of streams ("ends") that check what they hear. */
#ifndef TERN_TESTS_CONN_WORLD_H
#define TERN_TESTS_CONN_WORLD_H

#include <tern/stream.h>

#include "base/list.h"
#include "base/test.h"
#include "suite/conn_pair.h"

extern const tern_conn_kind *conn_kind; /* the one under test */

typedef struct conn_world conn_world;

/* The owner of one side of a stream. */
typedef struct conn_end {
    tern_list link; /* in world.ends */
    conn_world *w;
    tern_stream *s; /* NULL once closed */
    struct conn_side *side;
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
} conn_end;

typedef struct conn_side {
    conn_world *w;
    tern_conn *conn; /* NULL once closed */
    unsigned closed, accepted;
    size_t streams_alive;
    tern_error why;
    void (*on_accept)(conn_end *e);
} conn_side;

struct conn_world {
    tern_sim *sim;
    tern_loop *loop;
    conn_pair pair;
    conn_side side[2];
    tern_list ends;
    uint32_t seed;
    uint32_t most; /* bytes that one act of a random session writes */
    size_t alive;  /* allocations before */
    bool failing;  /* allocations fail: nothing is promised but that it all ends */
};

uint32_t conn_random(conn_world *w);

/* What is there before the conns; then both conns, the second without owner; or all of it. The
 * options are of the streams below a muxer. */
void conn_begin(conn_world *w, const tern_memory_options *options);
void conn_meet(conn_world *w);
void conn_make(conn_world *w, const tern_memory_options *options);
void conn_side_take(conn_side *side);
/* Of a muxer: one side's conn, not attached; false without memory. */
bool conn_make_side(conn_world *w, int i);
/* Runs for a time, or until what was said has been answered: a turn of the loop over memory, a few
 * round trips over a network. */
void conn_run(conn_world *w, uint64_t time);
void conn_turn(conn_world *w);
/* Closes what is open and checks that all has ended and no memory is held. */
void conn_free(conn_world *w);

/* An owner for s, or for a new stream of side i with so many bytes to write. */
conn_end *conn_end_new(conn_side *side, tern_stream *s);
void conn_end_take(conn_end *e);
conn_end *conn_open(conn_world *w, int i, uint32_t tag, uint64_t to_send);
/* A new stream of side i with one byte written, so that the other side knows of it after a turn. */
conn_end *conn_open_heard(conn_world *w, int i, uint32_t tag);
/* Writes what is left, as far as it goes. */
void conn_end_write(conn_end *e);
/* The other side of a stream, the newest with its id; NULL when it was not accepted. */
conn_end *conn_other(const conn_end *e);

/* Events, for owners that differ in the rest. */
void conn_end_on_closed(void *owner, tern_stream *s, const tern_error *why);
void conn_side_on_closed(void *owner, tern_conn *c, const tern_error *why);
extern const tern_conn_events conn_side_events;

/* What to do with an accepted stream (conn_side.on_accept). */
void conn_accept_echo(conn_end *e);
void conn_accept_and_drop(conn_end *e);
void conn_accept_and_reset(conn_end *e);
void conn_accept_and_refuse(conn_end *e);

/* The tests, in their files. */
void conn_test_opens_from_both_sides(void **state);
void conn_test_silent_streams_are_heard_of(void **state);
void conn_test_the_acceptor_may_speak_first(void **state);
void conn_test_writes_before_attach_travel(void **state);
void conn_test_streams_wait_for_the_conns_owner(void **state);
void conn_test_echoes(void **state);
void conn_test_many_streams(void **state);
void conn_test_writers_share_the_road(void **state);
void conn_test_room_is_kept(void **state);
void conn_test_a_slow_reader_slows_only_its_writer(void **state);
void conn_test_kept_bytes_come_before_the_end(void **state);
void conn_test_halves_close_in_each_order(void **state);
void conn_test_resets(void **state);
void conn_test_stop_drops_what_comes(void **state);
void conn_test_drop_flushes_and_ends(void **state);
void conn_test_dropped_streams_do_not_pile_up(void **state);
void conn_test_what_nobody_reads_holds_up_nobody(void **state);
void conn_test_close_ends_the_streams_first(void **state);
void conn_test_close_flushes(void **state);
void conn_test_the_lower_stream_dies(void **state);
void conn_test_the_road_dies(void **state);
void conn_test_close_before_attach(void **state);
void conn_test_a_refused_muxer_is_abandoned(void **state);
void conn_test_close_on_data(void **state);
void conn_test_random_sessions(void **state);
void conn_test_each_allocation_may_fail(void **state);

#endif
