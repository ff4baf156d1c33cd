/* The muxer contract over every muxer, and the stream contract over the streams of each. */
#include "base/test.h"
#include "mux/mplex.h"
#include "mux/yamux.h"
#include "streams/memory.h"
#include "suite/muxers.h"
#include "suite/streams.h"

static const tern_muxer muxers[] = {
    {.mux = &tern_yamux, .windows = true, .codes = true},
    {.mux = &tern_mplex},
};

/* --- a muxer's streams as a kind of stream --- */

typedef struct pair {
    tern_net net;
    tern_conn *conns[2];
    tern_stream *accepted;
} pair;

static const tern_muxer *maker_muxer;
static pair made; /* one at a time; the conns outlive finish by a turn */

static void on_stream(void *owner, tern_conn *c, tern_stream *s)
{
    (void)c;
    ((pair *)owner)->accepted = s;
}

static void on_closed(void *owner, tern_conn *c, const tern_error *why)
{
    pair *p = owner;
    (void)why;
    p->conns[p->conns[0] == c ? 0 : 1] = NULL;
}

static const tern_conn_events conn_events = {.on_stream = on_stream, .on_closed = on_closed};

static void *make_pair(tern_sim *sim, tern_loop *loop, tern_stream **ret_a, tern_stream **ret_b)
{
    pair *p = &made;
    tern_stream *lower[2];
    tern_error error;
    const tern_conn_facts facts = {.muxer = "test"};
    *p = (pair){0};
    p->net.loop = loop;
    tern_net_init(&p->net);
    assert_int_equal(tern_memory_pair(loop, NULL, &lower[0], &lower[1]), 0);
    for (int i = 0; i < 2; i++) {
        p->conns[i] = maker_muxer->mux->make(&p->net, lower[i], i == 0, &facts);
        assert_non_null(p->conns[i]);
        tern_conn_take(p->conns[i], &conn_events, p);
        maker_muxer->mux->attach(p->conns[i]);
    }
    *ret_a = tern_conn_open(p->conns[0], &error);
    assert_non_null(*ret_a);
    tern_sim_run(sim, tern_sim_now(sim) + TERN_MS, NULL, NULL);
    assert_non_null(p->accepted);
    *ret_b = p->accepted;
    return p;
}

static void finish_pair(void *world)
{
    pair *p = world;
    for (int i = 0; i < 2; i++) {
        if (p->conns[i] != NULL) {
            tern_conn_close(p->conns[i], 1, "done");
        }
    }
}

int main(void)
{
    int failed = 0;
    for (size_t i = 0; i < sizeof muxers / sizeof *muxers; i++) {
        failed += tern_suite_muxers(&muxers[i]);
        maker_muxer = &muxers[i];
        const tern_stream_maker maker = {.name = muxers[i].mux->name,
                                         .make = make_pair,
                                         .finish = finish_pair,
                                         .wire_codes = muxers[i].codes,
                                         .overflows = !muxers[i].windows};
        failed += tern_suite_streams(&maker);
    }
    return failed + (tern_mem_alive() == 0 ? 0 : tern_test_leak());
}
