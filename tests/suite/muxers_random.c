/* What holds for every muxer: random sessions over random chunks, and each allocation failing in
 * turn. */
#include "suite/mux_world.h"

/* --- everything at once --- */

static void accept_at_random(mux_end *e)
{
    mux_world *w = e->w;
    switch (mux_random(w) % 6) {
    case 0:
        mux_accept_and_reset(e);
        break;
    case 1:
        mux_accept_and_drop(e);
        break;
    case 2:
        e->refuse = true;
        break;
    default:
        e->echo = true;
        break;
    }
}

static void act_at_random(mux_end *e)
{
    if (e->s == NULL) {
        return;
    }
    switch (mux_random(e->w) % 12) {
    case 0:
        tern_stream_reset(e->s, mux_random(e->w));
        break;
    case 1:
        tern_stream_end(e->s);
        break;
    case 2:
        tern_stream_stop(e->s, 0);
        break;
    case 3:
        e->refuse = !e->refuse;
        tern_stream_resume(e->s);
        break;
    case 4:
        mux_accept_and_drop(e);
        break;
    default:
        if (!e->incoming && e->s->ended == 0) {
            e->to_send += mux_random(e->w) % e->w->most;
            mux_end_write(e);
        }
        break;
    }
}

static mux_end *end_at_random(mux_world *w)
{
    size_t n = 0;
    mux_end *pick = NULL;
    for (tern_list *l = w->ends.next; l != &w->ends; l = l->next) {
        if (mux_random(w) % ++n == 0) {
            pick = TERN_CONTAINER(l, mux_end, link);
        }
    }
    return pick;
}

static void random_session(uint32_t seed)
{
    static const size_t sizes[] = {0, 1, 13, 1000, 70000};
    mux_world w;
    tern_memory_options options = {.window = sizes[seed % 5], .chunk = sizes[seed / 5 % 5]};
    mux_make(&w, &options);
    w.seed = seed * 2654435761u;
    bool narrow = options.window - 1 < 100 || options.chunk - 1 < 100; /* 0 is wide */
    w.most = narrow ? 12000 : 300000;
    for (int i = 0; i < 2; i++) {
        w.side[i].on_accept = accept_at_random;
        w.side[i].net.limits.streams_per_conn = seed % 3 == 0 ? 5 : 512;
    }
    for (int i = 0; i < 120; i++) {
        mux_side *side = &w.side[mux_random(&w) % 2];
        tern_error error;
        uint32_t what = mux_random(&w) % 4;
        tern_stream *s =
            what == 0 && side->conn != NULL ? tern_conn_open(side->conn, &error) : NULL;
        if (s != NULL) {
            mux_end *e = mux_end_new(side, s);
            e->tag = e->peer_tag = 1 + mux_random(&w) % 1000; /* an echo or nothing */
            e->to_send = mux_random(&w) % (w.most / 3);
            e->ends = mux_random(&w) % 2 == 0;
            mux_end_take(e);
            mux_end_write(e);
        }
        mux_end *e = end_at_random(&w);
        if (what != 0 && e != NULL) {
            act_at_random(e);
        }
        if (mux_random(&w) % 3 == 0) {
            mux_turn(&w);
        }
    }
    mux_run(&w, TERN_SEC);
    for (int i = 0; i < 2; i++) { /* nobody broke a rule */
        assert_int_equal(w.side[i].closed, 0);
        assert_non_null(w.side[i].conn);
    }
    mux_free(&w);
}

void mux_test_random_sessions(void **state)
{
    (void)state;
    for (uint32_t seed = 1; seed <= 100; seed++) {
        random_session(seed);
    }
}

/* --- memory --- */

static void scenario_without_memory(size_t at, bool *ret_done)
{
    mux_world w;
    mux_begin(&w, NULL);
    w.failing = true;
    tern_mem_fail_at(at, 0);
    bool both = mux_make_side(&w, 0);
    both = mux_make_side(&w, 1) && both;
    for (int i = 0; i < 2; i++) {
        w.side[i].on_accept = mux_accept_echo;
        if (w.side[i].conn != NULL) {
            mux_under_test->mux->attach(w.side[i].conn);
        }
    }
    tern_error error;
    for (uint32_t i = 0; i < 4 && both; i++) {
        tern_stream *s = tern_conn_open(w.side[i % 2].conn, &error);
        if (s == NULL) {
            assert_int_equal(error.code, TERN_E_NOMEM);
            continue;
        }
        mux_end *e = mux_end_new(&w.side[i % 2], s);
        e->to_send = 300000;
        e->ends = true;
        mux_end_take(e);
        mux_end_write(e);
    }
    mux_run(&w, TERN_SEC);
    *ret_done = tern_mem_count() < at;
    tern_mem_fail_at(0, 0);
    mux_free(&w);
}

void mux_test_each_allocation_may_fail(void **state)
{
    (void)state;
    bool done = false;
    for (size_t at = 1; !done; at++) {
        scenario_without_memory(at, &done);
        assert_true(at < 5000);
    }
}
