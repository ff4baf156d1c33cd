/* The security contract: wires that die, end, stall or lie at each byte; cancels, deadlines,
 * garbage, failing memory. */
#include "suite/security_world.h"

/* ---- failure ---- */

/* From one disturbed byte to the next: each, as long as that is quick. */
static size_t stride(size_t total)
{
    return total < 1000 ? 1 : 7;
}

/* Whatever happens at whatever byte: each op ends once, and if both sides believed in the handshake
 * then what they believe in is either whole or ends too. */
static void disturb(enum act what)
{
    size_t total = security_handshake_bytes();
    size_t step = stride(total);
    for (size_t at = 0; at < total; at += step) {
        world w;
        security_world_make(&w);
        w.act = what;
        w.act_at = at;
        security_run_both(&w);
        if (what == ACT_STALL || what == ACT_FLIP) {
            tern_sim_run(w.sim, tern_sim_now(w.sim) + DEADLINE, NULL, NULL);
        }
        for (int i = 0; i < 2; i++) {
            assert_int_equal(w.n[i].done, 1);
        }
        bool both = w.n[0].error.code == 0 && w.n[1].error.code == 0;
        if (both && w.passed > at && what != ACT_STALL) { /* signatures differ in length */
            if (what == ACT_FLIP) {
                security_assert_both_done(&w);
            } else if (what == ACT_RESET) {
                assert_true(w.n[0].ear.closed && w.n[1].ear.closed);
            }
        }
        security_world_clear(&w);
    }
}

static void lower_dies_at_each_byte(void **state)
{
    (void)state;
    disturb(ACT_RESET);
}

static void lower_ends_at_each_byte(void **state)
{
    (void)state;
    disturb(ACT_END);
}

static void peer_stalls_at_each_byte(void **state)
{
    (void)state;
    disturb(ACT_STALL);
}

static void each_byte_changed(void **state)
{
    (void)state;
    disturb(ACT_FLIP);
}

static void cancelled_at_each_byte(void **state)
{
    (void)state;
    size_t total = security_handshake_bytes();
    for (size_t at = 0; at < total; at += stride(total)) {
        for (int victim = 0; victim < 2; victim++) {
            world w;
            security_world_make(&w);
            w.act = ACT_CANCEL;
            w.act_at = at;
            w.victim = victim;
            security_run_both(&w);
            assert_true(w.n[victim].done == 0 || w.n[victim].error.code == 0);
            if (w.n[victim].done == 0) {
                assert_int_equal(w.n[1 - victim].done, 1);
                assert_true(w.n[1 - victim].error.code != 0 || w.n[1 - victim].ear.closed);
            }
            security_world_clear(&w);
        }
    }
}

/* Cancels in the n-th round of the loop: also between success and done. */
typedef struct alarm_clock {
    tern_deferred deferred;
    world *w;
    int victim;
    unsigned rounds;
} alarm_clock;

static void ring(tern_deferred *d)
{
    alarm_clock *a = TERN_CONTAINER(d, alarm_clock, deferred);
    if (a->rounds-- > 0) {
        tern_defer(a->w->loop, d);
    } else {
        security_cancel(&a->w->n[a->victim]);
    }
}

static void cancelled_in_each_round(void **state)
{
    (void)state;
    for (unsigned i = 0; i < 2 * 40; i++) {
        world w;
        alarm_clock a = {.w = &w, .victim = i % 2, .rounds = i / 2};
        security_world_make(&w);
        tern_deferred_init(&a.deferred, ring);
        tern_defer(w.loop, &a.deferred);
        security_run_both(&w);
        const node *n = &w.n[a.victim];
        if (n->done == 0) {
            assert_null(n->op.stream);
        }
        security_world_clear(&w);
    }
}

static void cancelled_before_attach(void **state)
{
    (void)state;
    for (int i = 0; i < 2; i++) {
        world w;
        ear negotiator;
        security_world_make(&w);
        ear_init(&negotiator);
        ear_take(&negotiator, w.n[i].lower);
        security_begin(&w, i);
        security_cancel(&w.n[i]);
        security_run(&w);
        assert_int_equal(w.n[i].done, 0);
        assert_int_equal(negotiator.closed, 1); /* the lower was reset, and its owner heard it */
        assert_int_equal(negotiator.why.code, TERN_E_RESET);
        security_world_clear(&w);
    }
}

static void silent_peer(void **state)
{
    (void)state;
    for (int i = 0; i < 2; i++) {
        world w;
        security_world_make(&w);
        security_start(&w, i);
        security_run(&w);
        assert_int_equal(w.n[i].done, 0);
        tern_sim_run(w.sim, tern_sim_now(w.sim) + DEADLINE, NULL, NULL);
        security_assert_done(&w.n[i], TERN_E_TIMEOUT);
        assert_string_equal(w.n[i].error.layer, tern_suite_secure->name);
        assert_null(w.p[i].s); /* the lower was reset */
        security_world_clear(&w);
    }
}

static void deadline_before_attach(void **state)
{
    (void)state;
    world w;
    security_world_make(&w);
    security_begin(&w, 0);
    tern_stream *lower = w.n[0].op.lower;
    tern_sim_run(w.sim, tern_sim_now(w.sim) + 2 * DEADLINE, NULL, NULL);
    security_assert_done(&w.n[0], TERN_E_TIMEOUT);
    tern_stream_drop(lower); /* nobody had its events: still ours */
    security_world_clear(&w);
}

static void garbage_is_refused(void **state)
{
    (void)state;
    for (int i = 0; i < 2; i++) {
        for (int byte = 0; byte < 256; byte += 5) {
            world w;
            uint8_t garbage[3000];
            security_world_make(&w);
            w.over = true;
            memset(garbage, byte, sizeof garbage);
            security_start(&w, i);
            tern_stream_write(w.p[i].s, garbage, sizeof garbage);
            tern_stream_end(w.p[i].s);
            security_run(&w);
            assert_int_equal(w.n[i].done, 1);
            assert_int_not_equal(w.n[i].error.code, 0);
            security_world_clear(&w);
        }
    }
}

static void short_of_memory(void **state)
{
    (void)state;
    bool whole = false;
    for (size_t at = 1; !whole; at++) {
        world w;
        security_world_make(&w);
        tern_mem_fail_at(at, 0);
        int begun[2];
        for (int i = 0; i < 2; i++) {
            begun[i] = tern_suite_secure->begin(&w.n[i].op);
            if (begun[i] == 0) {
                w.n[i].lower = NULL;
                tern_suite_secure->attach(&w.n[i].op);
            } else {
                assert_int_equal(begun[i], TERN_E_NOMEM);
                assert_false(tern_op_running(&w.n[i].op.op));
                security_leave(&w.n[i].lower);
            }
        }
        security_run(&w);
        tern_sim_run(w.sim, tern_sim_now(w.sim) + DEADLINE, NULL, NULL);
        whole = tern_mem_count() < at;
        tern_mem_fail_at(0, 0);
        for (int i = 0; i < 2; i++) {
            assert_int_equal(w.n[i].done, begun[i] == 0);
        }
        if (whole) {
            security_assert_both_done(&w);
        }
        security_world_clear(&w);
        assert_true(at < 1000);
    }
}

const struct CMUnitTest tern_suite_security_faults[] = {
    cmocka_unit_test(lower_dies_at_each_byte),  cmocka_unit_test(lower_ends_at_each_byte),
    cmocka_unit_test(peer_stalls_at_each_byte), cmocka_unit_test(each_byte_changed),
    cmocka_unit_test(cancelled_at_each_byte),   cmocka_unit_test(cancelled_in_each_round),
    cmocka_unit_test(cancelled_before_attach),  cmocka_unit_test(silent_peer),
    cmocka_unit_test(deadline_before_attach),   cmocka_unit_test(garbage_is_refused),
    cmocka_unit_test(short_of_memory),          {0},
};
