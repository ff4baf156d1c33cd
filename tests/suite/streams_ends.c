/* The stream contract: ends, resets, stops, drops, acts inside events, failing memory. */
#include "suite/streams_pair.h"

/* ---- ends ---- */

static void half_close(bool a_first, bool at_once)
{
    pair p;
    pair_make_taken(&p);
    ear *first = a_first ? &p.a : &p.b, *second = a_first ? &p.b : &p.a;
    assert_int_equal(ear_write(first, "last words", 10), 10);
    EAR(first, tern_stream_end(first->s));
    EAR(first, tern_stream_end(first->s)); /* twice is once */
    if (!at_once) {
        run(&p);
        assert_got(second, "last words", 10);
        assert_true(second->ended);
        assert_int_equal(first->closed + second->closed, 0);
    }
    assert_int_equal(ear_write(second, "answer", 6), 6);
    EAR(second, tern_stream_end(second->s));
    run(&p);
    assert_got(second, "last words", 10);
    assert_got(first, "answer", 6);
    assert_true(first->ended && second->ended);
    assert_closed(first, 0);
    assert_closed(second, 0);
    pair_clear(&p);
}

static void half_close_in_each_order(void **state)
{
    (void)state;
    half_close(true, false);
    half_close(false, false);
    half_close(true, true);
    half_close(false, true);
}

static void end_follows_all_bytes(void **state)
{
    (void)state;
    pair p;
    pair_make_taken(&p);
    p.b.take = 0;
    size_t total = fill(&p.a);
    EAR(&p.a, tern_stream_end(p.a.s));
    run(&p);
    assert_false(p.b.ended);
    p.b.take = SIZE_MAX;
    EAR(&p.b, tern_stream_resume(p.b.s));
    run(&p);
    assert_int_equal(tern_buf_len(&p.b.got), total);
    assert_true(p.b.ended);
    assert_int_equal(p.a.rooms, 0); /* nobody wants to hear of room after end */
    pair_clear(&p);
}

static void write_after_end_goes_nowhere(void **state)
{
    (void)state;
    pair p;
    pair_make_taken(&p);
    EAR(&p.a, tern_stream_end(p.a.s));
    assert_int_equal(ear_write(&p.a, "late", 4), 4);
    run(&p);
    assert_int_equal(ear_write(&p.a, "later", 5), 5);
    run(&p);
    assert_got(&p.b, "", 0);
    assert_true(p.b.ended);
    pair_clear(&p);
}

static void closed_waits_for_kept_bytes(void **state)
{
    (void)state;
    pair p;
    pair_make_taken(&p);
    p.b.take = 0;
    assert_int_equal(ear_write(&p.a, "kept", 4), 4);
    EAR(&p.a, tern_stream_end(p.a.s));
    EAR(&p.b, tern_stream_end(p.b.s));
    run(&p);
    assert_int_equal(p.b.closed, 0);
    p.b.take = SIZE_MAX;
    EAR(&p.b, tern_stream_resume(p.b.s));
    run(&p);
    assert_got(&p.b, "kept", 4);
    assert_true(p.b.ended);
    assert_closed(&p.b, 0);
    assert_closed(&p.a, 0);
    pair_clear(&p);
}

/* ---- resets, stops, drops ---- */

static void reset_by(bool by_a, bool with_queues)
{
    pair p;
    pair_make_taken(&p);
    ear *us = by_a ? &p.a : &p.b, *them = by_a ? &p.b : &p.a;
    if (with_queues) {
        them->take = 0;
        fill(us);
        run(&p);
        fill(us);
    }
    EAR(us, tern_stream_reset(us->s, 7));
    assert_int_equal(us->closed, 0); /* never from inside a call */
    EAR(us, tern_stream_reset(us->s, 8));
    assert_int_equal(ear_write(us, "x", 1), 1);
    run(&p);
    assert_closed(us, TERN_E_RESET);
    assert_closed(them, TERN_E_RESET);
    assert_false(them->ended);
    assert_int_equal(tern_buf_len(&them->got), 0);
    if (tern_suite_maker->wire_codes) {
        assert_int_equal(them->why.wire, 7);
    }
    pair_clear(&p);
}

static void resets(void **state)
{
    (void)state;
    reset_by(true, false);
    reset_by(false, false);
    reset_by(true, true);
    reset_by(false, true);
}

static void reset_before_taken(void **state)
{
    (void)state;
    pair p;
    pair_make(&p);
    ear_take(&p.a, p.a_stream);
    assert_int_equal(ear_write(&p.a, "gone", 4), 4);
    run(&p);
    EAR(&p.a, tern_stream_reset(p.a.s, 0));
    run(&p);
    ear_take(&p.b, p.b_stream);
    run(&p);
    assert_got(&p.b, "", 0);
    assert_closed(&p.b, TERN_E_RESET);
    pair_clear(&p);
}

static void stop_drops_what_arrives(void **state)
{
    (void)state;
    pair p;
    pair_make_taken(&p);
    p.b.take = 0;
    assert_int_equal(ear_write(&p.a, "unwanted", 8), 8);
    run(&p);
    p.b.take = SIZE_MAX;
    EAR(&p.b, tern_stream_stop(p.b.s, 3));
    assert_int_equal(ear_write(&p.b, "but I talk", 10), 10);
    run(&p);
    assert_got(&p.a, "but I talk", 10);
    size_t sent = 0, end = tern_suite_maker->bulk != 0 ? tern_suite_maker->bulk : 1 << 20;
    for (size_t i = 0; i < end && sent < end; i++) { /* more than any window */
        sent = push(&p.a, sent, end, 100000);
        run(&p);
    }
    assert_int_equal(sent, end);
    EAR(&p.a, tern_stream_end(p.a.s));
    EAR(&p.b, tern_stream_end(p.b.s));
    run(&p);
    assert_false(p.b.ended);
    assert_closed(&p.a, 0);
    assert_closed(&p.b, 0);
    assert_got(&p.b, "", 0);
    pair_clear(&p);
}

static void drop_flushes(void **state)
{
    (void)state;
    pair p;
    pair_make_taken(&p);
    p.b.take = 0;
    size_t total = fill(&p.a);
    EAR(&p.a, tern_stream_drop(p.a.s));
    p.a.s = NULL;
    assert_int_equal(ear_write(&p.b, "to nobody", 9), 9);
    run(&p);
    p.b.take = SIZE_MAX;
    EAR(&p.b, tern_stream_resume(p.b.s));
    run(&p);
    assert_int_equal(tern_buf_len(&p.b.got), total);
    assert_true(p.b.ended);
    if (!tern_suite_maker->drop_told) {
        EAR(&p.b, tern_stream_end(p.b.s));
        run(&p);
    }
    assert_closed(&p.b, tern_suite_maker->drop_told ? TERN_E_RESET : 0);
    assert_int_equal(p.a.closed, 0);
    pair_clear(&p);
}

static void dropped_and_then_reset_by_the_peer(void **state)
{
    (void)state;
    pair p;
    pair_make_taken(&p);
    assert_int_equal(ear_write(&p.a, "x", 1), 1);
    EAR(&p.a, tern_stream_drop(p.a.s));
    p.a.s = NULL;
    EAR(&p.b, tern_stream_reset(p.b.s, 0));
    run(&p);
    assert_closed(&p.b, TERN_E_RESET);
    pair_clear(&p);
}

/* ---- from inside events ---- */

static void then_reset(ear *e)
{
    EAR(e, tern_stream_reset(e->s, 0));
}

static void then_drop(ear *e)
{
    EAR(e, tern_stream_drop(e->s));
    e->s = NULL;
}

static void then_end(ear *e)
{
    EAR(e, tern_stream_end(e->s));
}

static void then_stop(ear *e)
{
    EAR(e, tern_stream_stop(e->s, 0));
}

static void acts_inside_on_data(void **state)
{
    (void)state;
    void (*const acts[])(ear *) = {then_reset, then_drop, then_end, then_stop};
    for (size_t i = 0; i < 4; i++) {
        for (size_t take = 0; take < 3; take++) {
            pair p;
            pair_make_taken(&p);
            p.b.then = acts[i];
            p.b.take = take == 2 ? SIZE_MAX : take;
            assert_int_equal(ear_write(&p.a, "trigger", 7), 7);
            run(&p);
            if (acts[i] == then_reset) {
                assert_closed(&p.a, TERN_E_RESET);
                assert_closed(&p.b, TERN_E_RESET);
            } else if (acts[i] == then_end || acts[i] == then_drop) {
                assert_true(p.a.ended);
            }
            pair_clear(&p);
        }
    }
}

/* ---- memory ---- */

/* Each allocation of an exchange fails in turn. What happens then is the stream's choice, but it
 * must not crash, lose track of memory, or deliver wrong bytes. */
static void short_of_memory(void **state)
{
    (void)state;
    for (size_t at = 1; at < 200; at++) {
        pair p;
        static uint8_t block[20000];
        pair_make_taken(&p);
        tern_mem_fail_at(at, 0);
        for (int i = 0; i < 4 && p.a.s != NULL && p.b.s != NULL; i++) {
            EAR(&p.a, tern_stream_write(p.a.s, block, i % 2 == 0 ? 100 : sizeof block));
            EAR(&p.b, tern_stream_write(p.b.s, block, i % 2 == 0 ? sizeof block : 10));
            /* not through the ears' buffers: these would take the failure */
            p.a.take = p.b.take = 0;
            run(&p);
        }
        bool over = tern_mem_count() < at;
        tern_mem_fail_at(0, 0);
        pair_clear(&p);
        if (over) {
            break;
        }
    }
}

const struct CMUnitTest tern_suite_streams_ends[] = {
    cmocka_unit_test(half_close_in_each_order),
    cmocka_unit_test(end_follows_all_bytes),
    cmocka_unit_test(write_after_end_goes_nowhere),
    cmocka_unit_test(closed_waits_for_kept_bytes),
    cmocka_unit_test(resets),
    cmocka_unit_test(reset_before_taken),
    cmocka_unit_test(stop_drops_what_arrives),
    cmocka_unit_test(drop_flushes),
    cmocka_unit_test(dropped_and_then_reset_by_the_peer),
    cmocka_unit_test(acts_inside_on_data),
    cmocka_unit_test(short_of_memory),
    {0},
};
