/* A machine that was suspended and a process that was stopped, with clocks that the test moves: the
 * watches hear of it, and no deadline passes that would not have passed otherwise. */
#include "loop/uv_backend.h"
#include "loop/uv_test.h"

static tern_watch watch;
static unsigned awake, turns, fired;
static tern_timer tick, late;

static void on_change(tern_watch *w, tern_change change)
{
    (void)w;
    awake += change == TERN_CHANGE_AWAKE;
}

static int setup(void **state)
{
    loop_setup(state);
    awake = turns = fired = 0;
    watch = (tern_watch){0};
    tern_watch_start(loop, &watch, on_change);
    return 0;
}

static int teardown(void **state)
{
    tern_watch_stop(&watch);
    return loop_teardown(state);
}

static void on_late(tern_timer *timer)
{
    (void)timer;
    fired++;
}

/* A few turns; the clocks jump in one of them. */
static uint64_t jump_clock, jump_boot;

static void on_tick(tern_timer *timer)
{
    turns++;
    if (turns == 2) {
        tern_uv_of(loop)->test_clock += jump_clock;
        tern_uv_of(loop)->test_boot += jump_boot;
    }
    if (turns == 5) {
        tern_timer_stop(&late);
        tern_loop_stop(loop);
        return;
    }
    tern_timer_start(loop, timer, tern_loop_now(loop) + 10 * TERN_MS, on_tick);
}

static void run_turns(uint64_t clock, uint64_t boot)
{
    jump_clock = clock;
    jump_boot = boot;
    turns = 0;
    tern_timer_start(loop, &late, tern_loop_now(loop) + 30 * TERN_SEC, on_late);
    tern_timer_start(loop, &tick, tern_loop_now(loop) + TERN_MS, on_tick);
    run();
    assert_int_equal(turns, 5);
}

static void test_suspended(void **state)
{
    (void)state;
    run_turns(0, 3600 * TERN_SEC);
    assert_int_equal(awake, 1);
    assert_int_equal(fired, 0);
    run_turns(0, TERN_SEC); /* a nap */
    assert_int_equal(awake, 1);
    run_turns(0, 0);
    assert_int_equal(awake, 1);
}

/* The watchdog of run(), of a minute, is a deadline like others: it does not bite either. */
static void test_stopped(void **state)
{
    (void)state;
    uint64_t before = tern_loop_now(loop);
    run_turns(3600 * TERN_SEC, 0);
    assert_int_equal(awake, 1);
    assert_int_equal(fired, 0);
    assert_true(tern_loop_now(loop) >= before); /* it never goes back ... */
    assert_true(tern_loop_now(loop) < before + 1800 * TERN_SEC);
    run_turns(TERN_SEC, 0); /* ... and a slow second is a second */
    assert_int_equal(awake, 1);
    run_turns(7200 * TERN_SEC, 0);
    assert_int_equal(awake, 2);
    assert_int_equal(fired, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_suspended, setup, teardown),
        cmocka_unit_test_setup_teardown(test_stopped, setup, teardown),
    };
    return TERN_TEST_MAIN(tests);
}
