/* Tests of the scheduler: order of timers, stopping and re-arming, deferred calls, lack of memory.
 */
#include "base/test.h"

#include "loop/fake_test.h"

enum { MANY = 500 };

typedef struct item {
    tern_timer timer;
    tern_deferred deferred;
    unsigned id;
} item;

static fake_loop f;
static item items[MANY];
static unsigned seen[4 * MANY];
static size_t seen_count;

static int setup(void **state)
{
    (void)state;
    fake_init(&f, 100);
    memset(items, 0, sizeof items);
    for (unsigned i = 0; i < MANY; i++) {
        items[i].id = i;
    }
    seen_count = 0;
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    tern_sched_free(&f.sched);
    return 0;
}

static void note(unsigned id)
{
    assert_true(seen_count < 4 * MANY);
    seen[seen_count++] = id;
}

static void on_timer(tern_timer *timer)
{
    assert_false(tern_timer_armed(timer));
    note(TERN_CONTAINER(timer, item, timer)->id);
}

static void on_deferred(tern_deferred *d)
{
    assert_false(tern_deferred_queued(d));
    note(TERN_CONTAINER(d, item, deferred)->id);
}

static void start(unsigned i, uint64_t at)
{
    tern_timer_start(&f.base, &items[i].timer, at, on_timer);
}

static void fires_by_deadline_and_then_by_order(void **state)
{
    (void)state;
    /* a fixed permutation of deadlines with many ties */
    for (unsigned i = 0; i < MANY; i++) {
        start(i, 200 + i * 37 % 10);
    }
    assert_int_equal(tern_sched_next(&f.sched), 200);
    fake_advance(&f, 199);
    assert_int_equal(seen_count, 0);
    fake_advance(&f, 300);
    assert_int_equal(seen_count, MANY);
    for (size_t i = 1; i < MANY; i++) {
        unsigned a = seen[i - 1] * 37 % 10, b = seen[i] * 37 % 10;
        assert_true(a < b || (a == b && seen[i - 1] < seen[i]));
    }
    assert_int_equal(tern_sched_next(&f.sched), TERN_NEVER);
}

static void stopped_timers_do_not_fire(void **state)
{
    (void)state;
    for (unsigned i = 0; i < MANY; i++) {
        start(i, 1000 - i % 100);
    }
    for (unsigned i = 0; i < MANY; i += 3) {
        tern_timer_stop(&items[i].timer);
        tern_timer_stop(&items[i].timer);
        assert_false(tern_timer_armed(&items[i].timer));
    }
    uint64_t last = 0;
    size_t expected = MANY - (MANY + 2) / 3;
    while (tern_sched_next(&f.sched) != TERN_NEVER) {
        assert_true(tern_sched_next(&f.sched) > last);
        last = tern_sched_next(&f.sched);
        fake_advance(&f, last);
    }
    assert_int_equal(seen_count, expected);
    for (size_t i = 0; i < seen_count; i++) {
        assert_true(seen[i] % 3 != 0);
    }
}

static void rearming_moves_a_timer(void **state)
{
    (void)state;
    start(0, 200);
    start(1, 300);
    start(0, 400);
    fake_advance(&f, 250);
    assert_int_equal(seen_count, 0);
    fake_advance(&f, 400);
    assert_int_equal(seen_count, 2);
    assert_int_equal(seen[0], 1);
    assert_int_equal(seen[1], 0);
}

static void stop_other(tern_timer *timer)
{
    (void)timer;
    note(0);
    tern_timer_stop(&items[1].timer);
    tern_deferred_cancel(&items[2].deferred);
}

static void a_timer_may_stop_a_due_one(void **state)
{
    (void)state;
    tern_deferred_init(&items[2].deferred, on_deferred);
    tern_timer_start(&f.base, &items[0].timer, 150, stop_other);
    start(1, 150);
    tern_defer(&f.base, &items[2].deferred);
    fake_advance(&f, 150);
    assert_int_equal(seen_count, 1);
    assert_false(tern_sched_run_deferred(&f.sched, 1));
    assert_int_equal(seen_count, 1);
}

static void again_at_once(tern_timer *timer)
{
    note(TERN_CONTAINER(timer, item, timer)->id);
    tern_timer_start(&f.base, timer, 0, again_at_once);
}

static void a_timer_in_the_past_cannot_hold_the_others(void **state)
{
    (void)state;
    tern_timer_start(&f.base, &items[0].timer, 0, again_at_once);
    start(1, 150);
    start(2, 140);
    fake_advance(&f, 150);
    assert_int_equal(seen_count, 3);
    assert_int_equal(seen[0], 0);
    assert_int_equal(seen[1], 2);
    assert_int_equal(seen[2], 1);
    fake_advance(&f, 150);
    assert_int_equal(seen_count, 4); /* once a call */
    tern_timer_stop(&items[0].timer);
}

/* Before the others, and those that are asked for at once but for one. */
static void who_is_wanted_soon_runs_first(void **state)
{
    (void)state;
    for (size_t i = 0; i < 5; i++) {
        tern_deferred_init(&items[i].deferred, on_deferred);
        tern_defer(&f.base, &items[i].deferred);
    }
    tern_defer_soon(&f.base, &items[4].deferred);
    tern_defer_soon(&f.base, &items[3].deferred);
    tern_defer_soon(&f.base, &items[2].deferred);
    tern_run_soon(&f.base, &items[3].deferred);
    assert_int_equal(seen_count, 2);
    assert_int_equal(seen[0], 4);
    assert_int_equal(seen[1], 2);
    assert_false(tern_deferred_queued(&items[4].deferred));
    tern_defer(&f.base, &items[3].deferred); /* is queued already */
    assert_false(tern_sched_run_deferred(&f.sched, 8));
    assert_int_equal(seen_count, 5);
    assert_int_equal(seen[2], 3);
    assert_int_equal(seen[3], 0);
    tern_defer_soon(&f.base, &items[0].deferred);
    tern_deferred_cancel(&items[0].deferred);
    tern_run_soon(&f.base, NULL);
    assert_int_equal(seen_count, 5);
}

static void defer_one(tern_timer *timer)
{
    note(TERN_CONTAINER(timer, item, timer)->id);
    tern_defer(&f.base, &items[9].deferred);
}

static void deferred_calls_run_between_timers(void **state)
{
    (void)state;
    tern_deferred_init(&items[9].deferred, on_deferred);
    tern_timer_start(&f.base, &items[0].timer, 150, defer_one);
    start(1, 150);
    fake_advance(&f, 150);
    assert_int_equal(seen_count, 3);
    assert_int_equal(seen[1], 9);
    assert_int_equal(seen[2], 1);
}

static void deferred_calls_keep_their_order(void **state)
{
    (void)state;
    for (unsigned i = 0; i < 5; i++) {
        tern_deferred_init(&items[i].deferred, on_deferred);
        tern_defer(&f.base, &items[i].deferred);
        tern_defer(&f.base, &items[0].deferred); /* changes nothing */
    }
    tern_deferred_cancel(&items[3].deferred);
    tern_deferred_cancel(&items[3].deferred);
    assert_int_equal(f.wakes, 1);
    assert_false(tern_sched_run_deferred(&f.sched, 1));
    static const unsigned expected[] = {0, 1, 2, 4};
    assert_int_equal(seen_count, 4);
    assert_memory_equal(seen, expected, sizeof expected);
}

static void cancel_next(tern_deferred *d)
{
    note(TERN_CONTAINER(d, item, deferred)->id);
    tern_deferred_cancel(&items[1].deferred);
    tern_defer(&f.base, &items[2].deferred);
}

static void queue_both(tern_deferred *d)
{
    item *i = TERN_CONTAINER(d, item, deferred);
    note(i->id);
    tern_defer(&f.base, &items[3].deferred);
    tern_defer_late(&f.base, &items[4].deferred);
}

static void late_calls_follow_all_others(void **state)
{
    (void)state;
    tern_deferred_init(&items[0].deferred, on_deferred);
    tern_deferred_init(&items[1].deferred, queue_both);
    for (unsigned i = 2; i < 6; i++) {
        tern_deferred_init(&items[i].deferred, on_deferred);
    }
    tern_defer_late(&f.base, &items[0].deferred);
    tern_defer_late(&f.base, &items[5].deferred);
    tern_defer(&f.base, &items[1].deferred);
    tern_defer(&f.base, &items[2].deferred);
    tern_defer(&f.base, &items[0].deferred); /* queued already: changes nothing */
    tern_deferred_cancel(&items[5].deferred);
    assert_int_equal(f.wakes, 1);
    assert_false(tern_sched_run_deferred(&f.sched, 3));
    static const unsigned expected[] = {1, 2, 3, 0, 4};
    assert_int_equal(seen_count, 5);
    assert_memory_equal(seen, expected, sizeof expected);
}

static void for_ever(tern_deferred *d)
{
    tern_defer(&f.base, d);
}

static void late_calls_are_not_starved(void **state)
{
    (void)state;
    tern_deferred_init(&items[0].deferred, on_deferred);
    tern_deferred_init(&items[1].deferred, for_ever);
    tern_defer_late(&f.base, &items[0].deferred);
    tern_defer(&f.base, &items[1].deferred);
    assert_true(tern_sched_run_deferred(&f.sched, 4));
    assert_int_equal(seen_count, 1);
    tern_deferred_cancel(&items[1].deferred);
}

static void a_deferred_call_may_cancel_and_queue(void **state)
{
    (void)state;
    tern_deferred_init(&items[0].deferred, cancel_next);
    tern_deferred_init(&items[1].deferred, on_deferred);
    tern_deferred_init(&items[2].deferred, on_deferred);
    tern_defer(&f.base, &items[0].deferred);
    tern_defer(&f.base, &items[1].deferred);
    assert_true(tern_sched_run_deferred(&f.sched, 1));
    assert_int_equal(seen_count, 1);
    assert_false(tern_sched_run_deferred(&f.sched, 1));
    assert_int_equal(seen_count, 2);
    assert_int_equal(seen[1], 2);
}

static void queue_itself(tern_deferred *d)
{
    note(TERN_CONTAINER(d, item, deferred)->id);
    tern_defer(&f.base, d);
}

static void rounds_bound_calls_without_end(void **state)
{
    (void)state;
    tern_deferred_init(&items[0].deferred, queue_itself);
    tern_defer(&f.base, &items[0].deferred);
    assert_true(tern_sched_run_deferred(&f.sched, 7));
    assert_int_equal(seen_count, 7);
    tern_deferred_cancel(&items[0].deferred);
}

static void without_memory_timers_fire_at_once(void **state)
{
    (void)state;
    tern_mem_fail_at(1, 1);
    start(0, 1000);
    start(1, 1000);
    start(2, 1000);
    tern_timer_stop(&items[1].timer);
    assert_false(tern_timer_armed(&items[1].timer));
    assert_true(tern_timer_armed(&items[2].timer));
    assert_int_equal(tern_sched_next(&f.sched), 100);
    fake_advance(&f, 101);
    tern_mem_fail_at(0, 0);
    assert_int_equal(seen_count, 2);
    assert_int_equal(seen[0], 0);
    assert_int_equal(seen[1], 2);
    assert_int_equal(tern_sched_next(&f.sched), TERN_NEVER);
}

static void the_loop_is_woken_for_an_earlier_deadline_only(void **state)
{
    (void)state;
    start(0, 500);
    assert_int_equal(f.wakes, 1);
    start(1, 600);
    assert_int_equal(f.wakes, 1);
    start(2, 400);
    assert_int_equal(f.wakes, 2);
    tern_timer_stop(&items[2].timer);
    assert_int_equal(tern_sched_next(&f.sched), 500);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(fires_by_deadline_and_then_by_order, setup, teardown),
        cmocka_unit_test_setup_teardown(stopped_timers_do_not_fire, setup, teardown),
        cmocka_unit_test_setup_teardown(rearming_moves_a_timer, setup, teardown),
        cmocka_unit_test_setup_teardown(a_timer_may_stop_a_due_one, setup, teardown),
        cmocka_unit_test_setup_teardown(a_timer_in_the_past_cannot_hold_the_others, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(who_is_wanted_soon_runs_first, setup, teardown),
        cmocka_unit_test_setup_teardown(deferred_calls_run_between_timers, setup, teardown),
        cmocka_unit_test_setup_teardown(deferred_calls_keep_their_order, setup, teardown),
        cmocka_unit_test_setup_teardown(late_calls_follow_all_others, setup, teardown),
        cmocka_unit_test_setup_teardown(late_calls_are_not_starved, setup, teardown),
        cmocka_unit_test_setup_teardown(a_deferred_call_may_cancel_and_queue, setup, teardown),
        cmocka_unit_test_setup_teardown(rounds_bound_calls_without_end, setup, teardown),
        cmocka_unit_test_setup_teardown(without_memory_timers_fire_at_once, setup, teardown),
        cmocka_unit_test_setup_teardown(the_loop_is_woken_for_an_earlier_deadline_only, setup,
                                        teardown),
    };
    return TERN_TEST_MAIN(tests);
}
