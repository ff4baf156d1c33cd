/* What holds for every muxer (core/mux.h): opening, bytes, backpressure; and the list of all its
 * tests.
 *
 * Each test makes two conns of the muxer, lets scripted stream owners talk, and checks what they
 * heard: bytes complete and in order, the table of tern/stream.h, each terminal event once and
 * last. */
#include "suite/muxers.h"

#include "suite/mux_world.h"

/* --- opening --- */

void mux_test_opens_from_both_sides(void **state)
{
    (void)state;
    mux_world w;
    mux_make(&w, NULL);
    mux_end *a = mux_open(&w, 0, 3, 0), *b = mux_open(&w, 1, 4, 0), *c = mux_open(&w, 0, 5, 0);
    assert_true(a->id != c->id);
    mux_end_write(a);
    mux_turn(&w);
    assert_non_null(mux_other(a)); /* also those that said nothing */
    assert_non_null(mux_other(b));
    assert_non_null(mux_other(c));
    mux_free(&w);
}

static void accept_and_speak(mux_end *e)
{
    e->tag = 9;
    e->to_send = 1000;
    e->ends = true;
    mux_end_write(e);
}

void mux_test_the_acceptor_may_speak_first(void **state)
{
    (void)state;
    mux_world w;
    mux_make(&w, NULL);
    w.side[1].on_accept = accept_and_speak;
    mux_end *a = mux_open(&w, 0, 1, 0);
    a->peer_tag = 9;
    mux_turn(&w);
    assert_int_equal(a->got, 1000);
    assert_int_equal(a->ended, 1);
    assert_int_equal(a->closed, 0);
    mux_free(&w);
}

void mux_test_writes_before_attach_travel(void **state)
{
    (void)state;
    mux_world w;
    mux_begin(&w, NULL);
    mux_make_side(&w, 0);
    mux_end *a = mux_open(&w, 0, 2, 500), *b = mux_open(&w, 0, 3, 700);
    mux_end_write(b);
    mux_end_write(a);
    a->peer_tag = 2;
    b->peer_tag = 3;
    mux_turn(&w);
    mux_make_side(&w, 1);
    w.side[1].on_accept = mux_accept_echo;
    mux_under_test->mux->attach(w.side[1].conn);
    mux_turn(&w);
    assert_int_equal(a->got, 0); /* the answer waits for attach */
    mux_under_test->mux->attach(w.side[0].conn);
    mux_turn(&w);
    assert_int_equal(a->got, 500);
    assert_int_equal(b->got, 700);
    mux_free(&w);
}

void mux_test_streams_wait_for_the_conns_owner(void **state)
{
    (void)state;
    mux_world w;
    mux_begin(&w, NULL);
    const tern_conn_facts facts = {.muxer = "test"};
    mux_make_side(&w, 0);
    w.side[1].conn = mux_under_test->mux->make(&w.side[1].net, w.side[1].lower, false, &facts);
    w.side[1].on_accept = mux_accept_echo;
    mux_under_test->mux->attach(w.side[0].conn);
    mux_under_test->mux->attach(w.side[1].conn);
    mux_end *a = mux_open(&w, 0, 2, 5000);
    a->peer_tag = 2;
    a->ends = true;
    mux_end_write(a);
    mux_turn(&w);
    assert_int_equal(a->got, 0);
    tern_conn_take(w.side[1].conn, &mux_side_events, &w.side[1]);
    mux_turn(&w);
    assert_int_equal(a->got, 5000);
    assert_int_equal(a->closed, 1);
    assert_int_equal(a->why.code, 0);
    mux_free(&w);
}

/* --- bytes --- */

static void echo_of(uint64_t size, const tern_memory_options *options)
{
    mux_world w;
    mux_make(&w, options);
    w.side[1].on_accept = mux_accept_echo;
    mux_end *a = mux_open(&w, 0, 1, size);
    a->peer_tag = 1;
    a->ends = true;
    mux_end_write(a);
    mux_run(&w, 10 * TERN_SEC);
    assert_int_equal(a->got, size);
    assert_int_equal(a->ended, 1);
    assert_int_equal(a->closed, 1);
    assert_int_equal(a->why.code, 0);
    assert_int_equal(mux_other(a)->got, size);
    assert_int_equal(mux_other(a)->why.code, 0);
    mux_free(&w);
}

void mux_test_echoes(void **state)
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
void mux_test_many_streams(void **state)
{
    (void)state;
    enum { MANY = 400 };
    mux_world w;
    mux_make(&w, NULL);
    w.side[1].on_accept = mux_accept_echo;
    mux_end *ends[MANY];
    for (uint32_t i = 0; i < MANY; i++) {
        tern_error error;
        tern_stream *s = tern_conn_open(w.side[0].conn, &error);
        if (s == NULL) {
            assert_int_equal(error.code, TERN_E_LIMIT);
            mux_turn(&w);
            s = tern_conn_open(w.side[0].conn, &error);
        }
        assert_non_null(s);
        ends[i] = mux_end_new(&w.side[0], s);
        ends[i]->tag = ends[i]->peer_tag = i + 1;
        ends[i]->to_send = 20000;
        mux_end_take(ends[i]);
        mux_end_write(ends[i]);
    }
    mux_run(&w, TERN_SEC);
    for (uint32_t i = 0; i < MANY; i++) {
        assert_int_equal(ends[i]->got, 20000);
        tern_stream_end(ends[i]->s);
    }
    mux_turn(&w);
    for (uint32_t i = 0; i < MANY; i++) {
        assert_int_equal(ends[i]->why.code, 0);
        assert_int_equal(ends[i]->closed, 1);
    }
    mux_open(&w, 0, 1, 0);
    mux_free(&w);
}

/* Through a narrow lower stream, all writers get on alike. */
void mux_test_writers_share_the_lower_stream(void **state)
{
    (void)state;
    enum { WRITERS = 8 };
    mux_world w;
    const tern_memory_options options = {.window = 4096};
    mux_make(&w, &options);
    mux_end *ends[WRITERS];
    for (uint32_t i = 0; i < WRITERS; i++) {
        ends[i] = mux_open(&w, 0, i + 1, 2 << 20);
        ends[i]->ends = true;
    }
    for (int i = 0; i < WRITERS; i++) {
        mux_end_write(ends[i]);
        assert_true(ends[i]->sent < 64 << 10);
    }
    mux_run(&w, TERN_SEC);
    for (int i = 0; i < WRITERS; i++) {
        assert_int_equal(mux_other(ends[i])->got, 2 << 20);
        assert_int_equal(mux_other(ends[i])->ended, 1);
    }
    mux_free(&w);
}

/* A write takes what room says. */
void mux_test_room_is_kept(void **state)
{
    (void)state;
    mux_world w;
    const tern_memory_options options = {.window = 3000};
    static const uint8_t data[3000];
    mux_make(&w, &options);
    mux_end *a = mux_open(&w, 0, 1, 0);
    unsigned full = 0;
    for (int i = 0; i < 300; i++) {
        size_t room = tern_stream_room(a->s);
        size_t n = 1 + mux_random(&w) % sizeof data;
        size_t expected = n < room ? n : room;
        assert_int_equal(tern_stream_write(a->s, data, n), expected);
        if (expected < n) {
            full++;
            mux_turn(&w);
        }
    }
    assert_true(full > 10);
    mux_free(&w);
}

/* --- backpressure --- */

static void accept_and_refuse(mux_end *e)
{
    e->refuse = e->id == 1;
    e->echo = !e->refuse;
}

static void slow_reader_goes_on(mux_world *w, mux_end *slow)
{
    uint64_t stuck = slow->sent;
    assert_int_equal(mux_other(slow)->got, 0);
    assert_true(stuck > 0 && stuck <= 16 << 20 && stuck < slow->to_send);
    assert_true(tern_stream_room(slow->s) == 0);
    mux_other(slow)->refuse = false;
    mux_other(slow)->peer_tag = 1;
    tern_stream_resume(mux_other(slow)->s);
    mux_run(w, TERN_SEC);
    assert_int_equal(mux_other(slow)->got, 10 << 20);
    assert_true(slow->rooms > 0);
}

static void slow_reader_is_cut_off(const mux_end *slow)
{
    assert_int_equal(slow->why.code, TERN_E_RESET);
    assert_int_equal(mux_other(slow)->why.code, TERN_E_LIMIT);
    assert_int_equal(mux_other(slow)->got, 0);
}

void mux_test_a_slow_reader_slows_only_its_writer(void **state)
{
    (void)state;
    mux_world w;
    mux_make(&w, NULL);
    w.side[1].on_accept = accept_and_refuse;
    mux_end *slow = mux_open(&w, 0, 1, 10 << 20);
    assert_int_equal(slow->id, 1);
    mux_end_write(slow);
    mux_end *quick = mux_open(&w, 0, 2, 3 << 20);
    quick->peer_tag = 2;
    mux_end_write(quick);
    mux_run(&w, TERN_SEC);
    assert_int_equal(quick->got, 3 << 20);
    if (mux_under_test->windows) {
        slow_reader_goes_on(&w, slow);
    } else {
        slow_reader_is_cut_off(slow);
    }
    mux_free(&w);
}

/* Kept bytes, then the end, come to a late owner; the closed stream waits for them. */
void mux_test_kept_bytes_come_before_the_end(void **state)
{
    (void)state;
    mux_world w;
    mux_make(&w, NULL);
    w.side[1].on_accept = accept_and_refuse;
    mux_end *a = mux_open(&w, 0, 1, 100000);
    a->ends = true;
    mux_end_write(a);
    mux_turn(&w);
    mux_end *b = mux_other(a);
    tern_stream_end(b->s);
    mux_turn(&w);
    assert_int_equal(a->closed, 1);
    assert_int_equal(b->ended + b->closed, 0);
    b->refuse = false;
    b->peer_tag = 1;
    tern_stream_resume(b->s);
    mux_turn(&w);
    assert_int_equal(b->got, 100000);
    assert_int_equal(b->ended, 1);
    assert_int_equal(b->closed, 1);
    assert_int_equal(b->why.code, 0);
    mux_free(&w);
}

int tern_suite_muxers(const tern_muxer *muxer)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(mux_test_opens_from_both_sides),
        cmocka_unit_test(mux_test_the_acceptor_may_speak_first),
        cmocka_unit_test(mux_test_writes_before_attach_travel),
        cmocka_unit_test(mux_test_streams_wait_for_the_conns_owner),
        cmocka_unit_test(mux_test_echoes),
        cmocka_unit_test(mux_test_many_streams),
        cmocka_unit_test(mux_test_writers_share_the_lower_stream),
        cmocka_unit_test(mux_test_room_is_kept),
        cmocka_unit_test(mux_test_a_slow_reader_slows_only_its_writer),
        cmocka_unit_test(mux_test_kept_bytes_come_before_the_end),
        cmocka_unit_test(mux_test_halves_close_in_each_order),
        cmocka_unit_test(mux_test_resets),
        cmocka_unit_test(mux_test_stop_drops_what_comes),
        cmocka_unit_test(mux_test_drop_flushes_and_ends),
        cmocka_unit_test(mux_test_dropped_streams_do_not_pile_up),
        cmocka_unit_test(mux_test_close_ends_the_streams_first),
        cmocka_unit_test(mux_test_close_flushes),
        cmocka_unit_test(mux_test_the_lower_stream_dies),
        cmocka_unit_test(mux_test_close_before_attach),
        cmocka_unit_test(mux_test_a_refused_muxer_is_abandoned),
        cmocka_unit_test(mux_test_close_on_data),
        cmocka_unit_test(mux_test_random_sessions),
        cmocka_unit_test(mux_test_each_allocation_may_fail),
    };
    mux_under_test = muxer;
    return cmocka_run_group_tests_name(muxer->mux->name, tests, NULL, NULL);
}
