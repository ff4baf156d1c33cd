/* What holds for every conn: random sessions over random chunks, and each allocation failing in
 * turn. */
#include "suite/conn_world.h"

/* --- everything at once --- */

static void accept_at_random(conn_end *e)
{
    conn_world *w = e->w;
    switch (conn_random(w) % 6) {
    case 0:
        conn_accept_and_reset(e);
        break;
    case 1:
        conn_accept_and_drop(e);
        break;
    case 2:
        e->refuse = true;
        break;
    default:
        e->echo = true;
        break;
    }
}

static void act_at_random(conn_end *e)
{
    if (e->s == NULL) {
        return;
    }
    switch (conn_random(e->w) % 12) {
    case 0:
        tern_stream_reset(e->s, conn_random(e->w));
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
        conn_accept_and_drop(e);
        break;
    default:
        if (!e->incoming && e->s->ended == 0) {
            e->to_send += conn_random(e->w) % e->w->most;
            conn_end_write(e);
        }
        break;
    }
}

static conn_end *end_at_random(conn_world *w)
{
    size_t n = 0;
    conn_end *pick = NULL;
    for (tern_list *l = w->ends.next; l != &w->ends; l = l->next) {
        if (conn_random(w) % ++n == 0) {
            pick = TERN_CONTAINER(l, conn_end, link);
        }
    }
    return pick;
}

static void random_session(uint32_t seed)
{
    static const size_t sizes[] = {0, 1, 13, 1000, 70000};
    conn_world w;
    tern_memory_options options = {.window = sizes[seed % 5], .chunk = sizes[seed / 5 % 5]};
    conn_begin(&w, &options);
    w.seed = seed * 2654435761u;
    bool narrow = options.window - 1 < 100 || options.chunk - 1 < 100; /* 0 is wide */
    w.most = narrow ? 12000 : 300000;
    for (int i = 0; i < 2; i++) {
        w.side[i].on_accept = accept_at_random;
        w.pair.net[i].limits.streams_per_conn = seed % 3 == 0 ? 5 : 512;
    }
    conn_meet(&w);
    conn_side_take(&w.side[1]);
    for (int i = 0; i < 120; i++) {
        conn_side *side = &w.side[conn_random(&w) % 2];
        tern_error error;
        uint32_t what = conn_random(&w) % 4;
        tern_stream *s =
            what == 0 && side->conn != NULL ? tern_conn_open(side->conn, &error) : NULL;
        if (s != NULL) {
            conn_end *e = conn_end_new(side, s);
            e->tag = e->peer_tag = 1 + conn_random(&w) % 1000; /* an echo or nothing */
            e->to_send = conn_random(&w) % (w.most / 3);
            e->ends = conn_random(&w) % 2 == 0;
            conn_end_take(e);
            conn_end_write(e);
        }
        conn_end *e = end_at_random(&w);
        if (what != 0 && e != NULL) {
            act_at_random(e);
        }
        if (conn_random(&w) % 3 == 0) {
            conn_turn(&w);
        }
    }
    conn_run(&w, TERN_SEC);
    for (int i = 0; i < 2; i++) { /* nobody broke a rule */
        assert_int_equal(w.side[i].closed, 0);
        assert_non_null(w.side[i].conn);
    }
    conn_free(&w);
}

void conn_test_random_sessions(void **state)
{
    (void)state;
    for (uint32_t seed = 1; seed <= (conn_kind->mux != NULL ? 100 : 15); seed++) {
        random_session(seed);
    }
}

/* --- memory --- */

/* The first of a conn's life to fail; how transports meet without memory is their own tests'. */
static bool begin_without_memory(conn_world *w, size_t at)
{
    w->failing = true;
    if (conn_pair_whole(&w->pair)) {
        conn_meet(w);
        conn_side_take(&w->side[1]);
        tern_mem_fail_at(at, 0);
        return true;
    }
    tern_mem_fail_at(at, 0);
    bool both = conn_make_side(w, 0);
    both = conn_make_side(w, 1) && both;
    for (int i = 0; i < 2; i++) {
        if (w->side[i].conn != NULL) {
            conn_kind->mux->attach(w->side[i].conn);
        }
    }
    return both;
}

static void scenario_without_memory(size_t at, bool *ret_done)
{
    conn_world w;
    conn_begin(&w, NULL);
    bool both = begin_without_memory(&w, at);
    w.side[0].on_accept = w.side[1].on_accept = conn_accept_echo;
    tern_error error;
    for (uint32_t i = 0; i < 4 && both; i++) {
        tern_stream *s = tern_conn_open(w.side[i % 2].conn, &error);
        if (s == NULL) {
            assert_true(error.code == TERN_E_NOMEM || error.code == TERN_E_CONN_CLOSED);
            continue;
        }
        conn_end *e = conn_end_new(&w.side[i % 2], s);
        e->to_send = 300000;
        e->ends = true;
        conn_end_take(e);
        conn_end_write(e);
    }
    conn_run(&w, TERN_SEC);
    *ret_done = tern_mem_count() < at;
    tern_mem_fail_at(0, 0);
    conn_free(&w);
}

void conn_test_each_allocation_may_fail(void **state)
{
    (void)state;
    bool done = false;
    for (size_t at = 1; !done; at += 1 + at / (conn_kind->mux != NULL ? 40 : 5)) {
        scenario_without_memory(at, &done);
        assert_true(at < 100000);
    }
}
