/* Which ends of a circuit are told to be the relay's limit. */
#include "nat/circuit_stream.h"

#include "base/test.h"
#include "loop/sim.h"
#include "streams/memory.h"
#include "suite/ear.h"

enum { LIMIT = 128 << 10 };

static void on_time(tern_timer *timer)
{
    (void)timer;
}

/* So many bytes each way through a circuit of 128 KiB and a minute, so long, then its end: what is
 * heard of it. */
static int end_after(size_t sent, size_t received, uint64_t time, bool reset)
{
    static const uint8_t bytes[2 * LIMIT];
    static const tern_relay_limit limit = {.data = LIMIT, .duration = 60};
    tern_sim *sim;
    tern_loop *loop;
    tern_stream *near, *far;
    ear ours, relay;
    assert_int_equal(tern_sim_new(1, &sim), 0);
    assert_int_equal(tern_sim_host(sim, "10.0.0.1", &loop), 0);
    assert_int_equal(tern_memory_pair(loop, NULL, &near, &far), 0);
    tern_stream *circuit = circuit_stream_new(near, &limit);
    assert_non_null(circuit);
    ear_init(&ours);
    ear_init(&relay);
    ear_take(&ours, circuit);
    ear_take(&relay, far);
    assert_int_equal(ear_write(&ours, bytes, sent), sent);
    assert_int_equal(ear_write(&relay, bytes, received), received);
    tern_timer clock = {0}; /* time passes to what there is to do */
    tern_timer_start(loop, &clock, tern_loop_now(loop) + time, on_time);
    tern_sim_run(sim, tern_sim_now(sim) + 2 * time, NULL, NULL);
    if (reset) {
        EAR(&relay, tern_stream_reset(relay.s, 0));
    } else {
        EAR(&relay, tern_stream_end(relay.s));
    }
    tern_sim_run(sim, tern_sim_now(sim) + TERN_SEC, NULL, NULL);
    assert_int_equal(ours.closed + ours.ended, 1);
    int code = ours.closed ? ours.why.code : 0;
    ear_clear(&ours);
    ear_clear(&relay);
    tern_sim_run(sim, tern_sim_now(sim) + TERN_SEC, NULL, NULL);
    tern_sim_free(sim);
    return code;
}

static void bytes_of_one_way(void **state)
{
    (void)state;
    for (int reset = 0; reset < 2; reset++) {
        assert_int_equal(end_after(LIMIT, 10, TERN_SEC, reset), TERN_E_LIMITED);
        assert_int_equal(end_after(10, LIMIT, TERN_SEC, reset), TERN_E_LIMITED);
    }
    assert_int_equal(end_after(10, 10, TERN_SEC, false), 0);
    assert_int_equal(end_after(10, 10, TERN_SEC, true), TERN_E_RESET);
}

/* As rust counts: it resets, when there was too much of both. */
static void bytes_of_both_ways(void **state)
{
    (void)state;
    size_t half = LIMIT / 2;
    assert_int_equal(end_after(half, half, TERN_SEC, true), TERN_E_LIMITED);
    assert_int_equal(end_after(half, half - 500, TERN_SEC, true), TERN_E_LIMITED);
    assert_int_equal(end_after(half + 9000, half, TERN_SEC, true), TERN_E_LIMITED);
    assert_int_equal(end_after(half, half - 2000, TERN_SEC, true), TERN_E_RESET);
    assert_int_equal(end_after(half + 20000, half, TERN_SEC, true), TERN_E_RESET);
    assert_int_equal(end_after(half, half, TERN_SEC, false), 0);
}

static void a_minute(void **state)
{
    (void)state;
    assert_int_equal(end_after(10, 10, 59 * TERN_SEC, true), TERN_E_LIMITED);
    assert_int_equal(end_after(10, 10, 50 * TERN_SEC, true), TERN_E_RESET);
    assert_int_equal(end_after(10, 10, 61 * TERN_SEC, false), TERN_E_LIMITED);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(bytes_of_one_way),
        cmocka_unit_test(bytes_of_both_ways),
        cmocka_unit_test(a_minute),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
