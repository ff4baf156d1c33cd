/* What holds for every conn (core/conn.h) and muxer (core/mux.h): opening, bytes, backpressure; and
 * the list of all rows.
 *
 * Each row makes two conns of the kind, lets scripted stream owners talk, and checks what they
 * heard: bytes complete and in order, the table of tern/stream.h, each terminal event once and
 * last. */
#include "suite/conns.h"

#include "suite/conn_world.h"

/* --- opening --- */

void conn_test_opens_from_both_sides(void **state)
{
    (void)state;
    conn_world w;
    conn_make(&w, NULL);
    conn_end *a = conn_open_heard(&w, 0, 3), *b = conn_open_heard(&w, 1, 4),
             *c = conn_open_heard(&w, 0, 5);
    assert_true(a->id != c->id);
    conn_turn(&w);
    assert_non_null(conn_other(a));
    assert_non_null(conn_other(b));
    assert_non_null(conn_other(c));
    conn_free(&w);
}

void conn_test_silent_streams_are_heard_of(void **state)
{
    (void)state;
    conn_world w;
    conn_make(&w, NULL);
    conn_end *a = conn_open(&w, 0, 3, 0), *b = conn_open(&w, 1, 4, 0), *c = conn_open(&w, 0, 5, 0);
    conn_turn(&w);
    assert_non_null(conn_other(a));
    assert_non_null(conn_other(b));
    assert_non_null(conn_other(c));
    conn_free(&w);
}

static void accept_and_speak(conn_end *e)
{
    e->tag = 9;
    e->to_send = 1000;
    e->ends = true;
    conn_end_write(e);
}

void conn_test_the_acceptor_may_speak_first(void **state)
{
    (void)state;
    conn_world w;
    conn_make(&w, NULL);
    w.side[1].on_accept = accept_and_speak;
    conn_end *a = conn_open_heard(&w, 0, 1);
    a->peer_tag = 9;
    conn_turn(&w);
    assert_int_equal(a->got, 1000);
    assert_int_equal(a->ended, 1);
    assert_int_equal(a->closed, 0);
    conn_free(&w);
}

void conn_test_writes_before_attach_travel(void **state)
{
    (void)state;
    conn_world w;
    conn_begin(&w, NULL);
    conn_make_side(&w, 0);
    conn_end *a = conn_open(&w, 0, 2, 500), *b = conn_open(&w, 0, 3, 700);
    conn_end_write(b);
    conn_end_write(a);
    a->peer_tag = 2;
    b->peer_tag = 3;
    conn_turn(&w);
    conn_make_side(&w, 1);
    w.side[1].on_accept = conn_accept_echo;
    conn_kind->mux->attach(w.side[1].conn);
    conn_turn(&w);
    assert_int_equal(a->got, 0); /* the answer waits for attach */
    conn_kind->mux->attach(w.side[0].conn);
    conn_turn(&w);
    assert_int_equal(a->got, 500);
    assert_int_equal(b->got, 700);
    conn_free(&w);
}

void conn_test_streams_wait_for_the_conns_owner(void **state)
{
    (void)state;
    conn_world w;
    conn_begin(&w, NULL);
    conn_meet(&w);
    w.side[1].on_accept = conn_accept_echo;
    conn_end *a = conn_open(&w, 0, 2, 5000);
    a->peer_tag = 2;
    a->ends = true;
    conn_end_write(a);
    conn_turn(&w);
    assert_int_equal(a->got, 0);
    conn_side_take(&w.side[1]);
    conn_turn(&w);
    assert_int_equal(a->got, 5000);
    assert_int_equal(a->closed, 1);
    assert_int_equal(a->why.code, 0);
    conn_free(&w);
}

/* --- bytes --- */

static void echo_of(uint64_t size, const tern_memory_options *options)
{
    conn_world w;
    conn_make(&w, options);
    w.side[1].on_accept = conn_accept_echo;
    conn_end *a = conn_open(&w, 0, 1, size);
    a->peer_tag = 1;
    a->ends = true;
    conn_end_write(a);
    conn_run(&w, 10 * TERN_SEC);
    assert_int_equal(a->got, size);
    assert_int_equal(a->ended, 1);
    assert_int_equal(a->closed, 1);
    assert_int_equal(a->why.code, 0);
    assert_int_equal(conn_other(a)->got, size);
    assert_int_equal(conn_other(a)->why.code, 0);
    conn_free(&w);
}

void conn_test_echoes(void **state)
{
    (void)state;
    const tern_memory_options bytewise = {.chunk = 1}, narrow = {.window = 1}, odd = {100, 7};
    echo_of(0, NULL);
    echo_of(1, NULL);
    echo_of(5000, NULL);
    echo_of(5 << 20, NULL);
    echo_of(3000, &bytewise);
    echo_of(3000, &narrow);
    echo_of(300000, &odd);
}

/* Opens until refused, lets the answers come, goes on. */
void conn_test_many_streams(void **state)
{
    (void)state;
    enum { MANY = 400 };
    conn_world w;
    conn_make(&w, NULL);
    w.side[1].on_accept = conn_accept_echo;
    conn_end *ends[MANY];
    for (uint32_t i = 0; i < MANY; i++) {
        tern_error error;
        tern_stream *s = tern_conn_open(w.side[0].conn, &error);
        if (s == NULL) {
            assert_int_equal(error.code, TERN_E_LIMIT);
            conn_turn(&w);
            s = tern_conn_open(w.side[0].conn, &error);
        }
        assert_non_null(s);
        ends[i] = conn_end_new(&w.side[0], s);
        ends[i]->tag = ends[i]->peer_tag = i + 1;
        ends[i]->to_send = 20000;
        conn_end_take(ends[i]);
        conn_end_write(ends[i]);
    }
    conn_run(&w, TERN_SEC);
    for (uint32_t i = 0; i < MANY; i++) {
        assert_int_equal(ends[i]->got, 20000);
        tern_stream_end(ends[i]->s);
    }
    conn_turn(&w);
    for (uint32_t i = 0; i < MANY; i++) {
        assert_int_equal(ends[i]->why.code, 0);
        assert_int_equal(ends[i]->closed, 1);
    }
    conn_open(&w, 0, 1, 0);
    conn_free(&w);
}

/* Through a narrow road, all writers get on alike. */
enum { WRITERS = 8 };

typedef struct writers {
    conn_end *ends[WRITERS];
} writers;

static bool one_has_half(void *arg)
{
    writers *x = arg;
    for (int i = 0; i < WRITERS; i++) {
        const conn_end *there = conn_other(x->ends[i]);
        if (there != NULL && there->got >= 1 << 20) {
            return true;
        }
    }
    return false;
}

void conn_test_writers_share_the_road(void **state)
{
    (void)state;
    conn_world w;
    writers x;
    const tern_memory_options options = {.window = 4096};
    conn_make(&w, &options);
    if (conn_pair_whole(&w.pair)) {
        tern_sim_set_default_link(w.sim, &(tern_sim_link){.delay = TERN_MS, .rate = 10 << 20});
    }
    for (uint32_t i = 0; i < WRITERS; i++) {
        x.ends[i] = conn_open(&w, 0, i + 1, 2 << 20);
        x.ends[i]->ends = true;
    }
    for (int i = 0; i < WRITERS; i++) {
        conn_end_write(x.ends[i]);
        assert_true(x.ends[i]->sent < 1 << 20);
    }
    tern_sim_run(w.sim, tern_sim_now(w.sim) + 60 * TERN_SEC, one_has_half, &x);
    for (int i = 0; i < WRITERS; i++) {
        assert_true(conn_other(x.ends[i])->got >= 1 << 19);
    }
    conn_run(&w, 60 * TERN_SEC);
    for (int i = 0; i < WRITERS; i++) {
        assert_int_equal(conn_other(x.ends[i])->got, 2 << 20);
        assert_int_equal(conn_other(x.ends[i])->ended, 1);
    }
    conn_free(&w);
}

/* A write takes what room says. */
void conn_test_room_is_kept(void **state)
{
    (void)state;
    conn_world w;
    const tern_memory_options options = {.window = 3000};
    static const uint8_t data[100000];
    conn_make(&w, &options);
    uint32_t most = conn_pair_whole(&w.pair) ? sizeof data : 3000;
    conn_end *a = conn_open(&w, 0, 1, 0);
    unsigned full = 0;
    for (int i = 0; i < 300; i++) {
        size_t room = tern_stream_room(a->s);
        size_t n = 1 + conn_random(&w) % most;
        size_t expected = n < room ? n : room;
        assert_int_equal(tern_stream_write(a->s, data, n), expected);
        if (expected < n) {
            full++;
            conn_turn(&w);
        }
    }
    assert_true(full > (conn_pair_whole(&w.pair) ? 3 : 10));
    conn_free(&w);
}

/* --- backpressure --- */

static void accept_and_refuse_the_first(conn_end *e)
{
    e->refuse = e->side->accepted == 1;
    e->echo = !e->refuse;
}

static void slow_reader_goes_on(conn_world *w, conn_end *slow)
{
    uint64_t stuck = slow->sent;
    assert_int_equal(conn_other(slow)->got, 0);
    assert_true(stuck > 0 && stuck <= 16 << 20 && stuck < slow->to_send);
    /* what QUIC lets wait grows with the others' pace, and is told when something moves */
    assert_true(conn_pair_whole(&w->pair) || tern_stream_room(slow->s) == 0);
    conn_other(slow)->refuse = false;
    conn_other(slow)->peer_tag = 1;
    tern_stream_resume(conn_other(slow)->s);
    conn_run(w, TERN_SEC);
    assert_int_equal(conn_other(slow)->got, 10 << 20);
    assert_true(slow->rooms > 0);
}

static void slow_reader_is_cut_off(const conn_end *slow)
{
    assert_int_equal(slow->why.code, TERN_E_RESET);
    assert_int_equal(conn_other(slow)->why.code, TERN_E_LIMIT);
    assert_int_equal(conn_other(slow)->got, 0);
}

void conn_test_a_slow_reader_slows_only_its_writer(void **state)
{
    (void)state;
    conn_world w;
    conn_make(&w, NULL);
    w.side[1].on_accept = accept_and_refuse_the_first;
    conn_end *slow = conn_open(&w, 0, 1, 10 << 20);
    conn_end_write(slow);
    conn_end *quick = conn_open(&w, 0, 2, 3 << 20);
    quick->peer_tag = 2;
    conn_end_write(quick);
    conn_run(&w, TERN_SEC);
    assert_int_equal(quick->got, 3 << 20);
    if (conn_kind->windows) {
        slow_reader_goes_on(&w, slow);
    } else {
        slow_reader_is_cut_off(slow);
    }
    conn_free(&w);
}

/* Kept bytes, then the end, come to a late owner; the closed stream waits for them. */
void conn_test_kept_bytes_come_before_the_end(void **state)
{
    (void)state;
    conn_world w;
    conn_make(&w, NULL);
    w.side[1].on_accept = accept_and_refuse_the_first;
    conn_end *a = conn_open(&w, 0, 1, 100000);
    a->ends = true;
    conn_end_write(a);
    conn_turn(&w);
    conn_end *b = conn_other(a);
    tern_stream_end(b->s);
    conn_turn(&w);
    assert_int_equal(a->closed, 1);
    assert_int_equal(b->ended + b->closed, 0);
    b->refuse = false;
    b->peer_tag = 1;
    tern_stream_resume(b->s);
    conn_turn(&w);
    assert_int_equal(b->got, 100000);
    assert_int_equal(b->ended, 1);
    assert_int_equal(b->closed, 1);
    assert_int_equal(b->why.code, 0);
    conn_free(&w);
}

#define ROW(name)                                                                                  \
    {                                                                                              \
#name, conn_test_##name, NULL, NULL, NULL                                                  \
    }

static const struct CMUnitTest rows[] = {
    ROW(opens_from_both_sides),
    ROW(silent_streams_are_heard_of),
    ROW(the_acceptor_may_speak_first),
    ROW(streams_wait_for_the_conns_owner),
    ROW(echoes),
    ROW(many_streams),
    ROW(writers_share_the_road),
    ROW(room_is_kept),
    ROW(a_slow_reader_slows_only_its_writer),
    ROW(kept_bytes_come_before_the_end),
    ROW(halves_close_in_each_order),
    ROW(resets),
    ROW(stop_drops_what_comes),
    ROW(drop_flushes_and_ends),
    ROW(dropped_streams_do_not_pile_up),
    ROW(what_nobody_reads_holds_up_nobody),
    ROW(close_ends_the_streams_first),
    ROW(close_flushes),
    ROW(close_on_data),
    ROW(random_sessions),
    ROW(each_allocation_may_fail),
};

/* What is below a conn: a stream, whose negotiation may be under way, or a network. */
static const struct CMUnitTest rows_of_muxers[] = {
    ROW(writes_before_attach_travel),
    ROW(the_lower_stream_dies),
    ROW(close_before_attach),
    ROW(a_refused_muxer_is_abandoned),
};
static const struct CMUnitTest rows_of_transports[] = {
    ROW(the_road_dies),
};

int tern_suite_conns(const tern_conn_kind *kind)
{
    conn_kind = kind;
    int failed = tern_suite_run(kind->name, rows, sizeof rows / sizeof *rows, kind->without);
    return failed +
           (kind->mux != NULL
                ? tern_suite_run(kind->name, rows_of_muxers,
                                 sizeof rows_of_muxers / sizeof *rows_of_muxers, NULL)
                : tern_suite_run(kind->name, rows_of_transports,
                                 sizeof rows_of_transports / sizeof *rows_of_transports, NULL));
}
