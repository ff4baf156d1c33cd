/* The conn contract over every kind of conn, and the stream contract over the streams of each. */
#include "base/test.h"
#include "mux/mplex.h"
#include "mux/yamux.h"
#include "quic/quic.h"
#include "suite/conn_pair.h"
#include "suite/streams.h"
#include "webrtc/direct.h"
#include "webtransport/webtransport.h"

/* A frame that only opens is what yamux, mplex and data channels have. */
static const tern_suite_without without_of_quic[] = {
    {"silent_streams_are_heard_of",
     "a QUIC stream is heard of with its first frame, of bytes or its end"},
    {0},
};

static const tern_suite_without without_of_webtransport[] = {
    {"dropped_streams_do_not_pile_up", "STOP_SENDING is told only to who goes on: Firefox loses "
                                       "what it has not read when it hears it"},
    {0},
};

static const tern_suite_without without_of_webrtc[] = {
    {"a_slow_reader_slows_only_its_writer",
     "channels have no windows of their own: who holds up the association's is cut off in the end"},
    {"drop_flushes_and_ends", "STOP_SENDING ends the half of the other, whose stream is over then"},
    {"dropped_streams_do_not_pile_up", "the same: it is over in good order"},
    {0},
};
static const tern_suite_without streams_without_of_webrtc[] = {
    {"drop_flushes", "STOP_SENDING ends the half of the other, whose stream is over then"},
    {0},
};

static const tern_conn_kind kinds[] = {
    {.name = "yamux", .mux = &tern_yamux, .windows = true, .codes = true, .close_codes = true},
    {.name = "mplex", .mux = &tern_mplex},
    {.name = "quic-v1",
     .transport = &tern_quic_transport,
     .suffix = "/quic-v1",
     .windows = true,
     .codes = true,
     .close_codes = true,
     .drop_told = true,
     .without = without_of_quic},
    {.name = "webtransport",
     .transport = &tern_webtransport_transport,
     .suffix = "/quic-v1/webtransport",
     .windows = true,
     .codes = true,
     .close_codes = true,
     .without = without_of_webtransport},
    {.name = "webrtc-direct",
     .transport = &tern_webrtc_direct,
     .suffix = "/webrtc-direct",
     .windows = true,
     .codes = true,
     .without = without_of_webrtc,
     .streams_without = streams_without_of_webrtc},
};

/* --- the streams of conns as a kind of stream --- */

static const tern_conn_kind *kind;

typedef struct stream_pair {
    conn_pair pair;
    tern_stream *accepted;
} stream_pair;

static void on_stream(void *owner, tern_conn *c, tern_stream *s)
{
    (void)c;
    ((stream_pair *)owner)->accepted = s;
}

static void on_closed(void *owner, tern_conn *c, const tern_error *why)
{
    stream_pair *p = owner;
    (void)why;
    p->pair.conn[p->pair.conn[0] == c ? 0 : 1] = NULL;
}

static const tern_conn_events conn_events = {.on_stream = on_stream, .on_closed = on_closed};

/* Where only bytes tell the peer of a stream, one of them does, before the streams have owners. */
static size_t greeting(void *owner, tern_stream *s, uint8_t *data, size_t n)
{
    (void)owner;
    (void)s;
    assert_memory_equal(data, "!", n);
    return n;
}

static void *make_pair(tern_sim *sim, tern_loop *loop, tern_stream **ret_a, tern_stream **ret_b)
{
    static const tern_stream_events events = {.on_data = greeting};
    stream_pair *p = tern_calloc(1, sizeof *p);
    tern_error error;
    assert_non_null(p);
    conn_pair_begin(&p->pair, kind, sim, loop, NULL);
    conn_pair_meet(&p->pair);
    for (int i = 0; i < 2; i++) {
        tern_conn_take(p->pair.conn[i], &conn_events, p);
    }
    *ret_a = tern_conn_open(p->pair.conn[0], &error);
    assert_non_null(*ret_a);
    assert_int_equal(tern_stream_write(*ret_a, "!", 1), 1);
    tern_sim_run(sim, tern_sim_now(sim) + TERN_SEC / 10, NULL, NULL);
    assert_non_null(p->accepted);
    tern_stream_take(p->accepted, &events, NULL);
    tern_sim_run(sim, tern_sim_now(sim) + TERN_SEC / 10, NULL, NULL);
    tern_stream_take(p->accepted, NULL, NULL);
    *ret_b = p->accepted;
    return p;
}

static void finish_pair(void *world)
{
    stream_pair *p = world;
    for (int i = 0; i < 2; i++) {
        if (p->pair.conn[i] != NULL) {
            tern_conn_close(p->pair.conn[i], 1, "done");
        }
    }
    tern_sim_run(p->pair.sim, tern_sim_now(p->pair.sim) + TERN_SEC, NULL, NULL);
    assert_true(p->pair.conn[0] == NULL && p->pair.conn[1] == NULL);
    conn_pair_clear(&p->pair);
    tern_free(p);
}

int main(void)
{
    int failed = 0;
    for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++) {
        kind = &kinds[i];
        failed += tern_suite_conns(kind);
        const tern_stream_maker maker = {.name = kind->name,
                                         .make = make_pair,
                                         .finish = finish_pair,
                                         .wire_codes = kind->codes,
                                         .drop_told = kind->drop_told,
                                         .overflows = !kind->windows,
                                         .without = kind->streams_without};
        failed += tern_suite_streams(&maker);
    }
    return failed + (tern_mem_alive() == 0 ? 0 : tern_test_leak());
}
