/* A real loop for tests: one loop a test, a watchdog instead of sleeping, everything closed at the
 * end. */
#ifndef TERN_LOOP_UV_TEST_H
#define TERN_LOOP_UV_TEST_H

#include "base/test.h"

#include "loop/loop.h"
#include "loop/uv.h"

static tern_loop *loop;
static tern_timer watchdog;

/* The machine may be slow, so it is long; it only turns a hang into a failure. */
#define WATCHDOG (60 * TERN_SEC)

static inline void on_watchdog(tern_timer *timer)
{
    (void)timer;
    print_error("nothing happened in time\n");
    tern_loop_stop(loop);
}

static inline int loop_setup(void **state)
{
    (void)state;
    return tern_loop_new_uv(NULL, &loop);
}

static inline int loop_teardown(void **state)
{
    (void)state;
    tern_loop_free(loop);
    loop = NULL;
    return 0;
}

/* Runs until tern_loop_stop; fails the test if nobody calls it in time. */
static inline void run(void)
{
    tern_timer_start(loop, &watchdog, tern_loop_now(loop) + WATCHDOG, on_watchdog);
    tern_loop_run(loop);
    assert_true(tern_timer_armed(&watchdog));
    tern_timer_stop(&watchdog);
}

static inline tern_endpoint loopback(uint8_t family, uint16_t port)
{
    tern_endpoint e;
    assert_int_equal(tern_endpoint_parse_ip(&e, family == 4 ? "127.0.0.1" : "::1"), 0);
    e.port = port;
    return e;
}

#endif
