/* Tests of simulated TCP: how connections end, crashes, links that fail, memory that fails. */
#include "loop/sim_tcp_test.h"

/* --- ends --- */

static void test_half_close(void **state)
{
    (void)state;
    struct fixture f;
    setup(&f, 1, &(tern_sim_link){.delay = 10 * TERN_MS});
    f.d.want = 100;
    f.d.finish = true;
    dial(&f, "10.0.0.2", PORT);
    run(&f);
    assert_int_equal(f.s.ends, 1);
    assert_int_equal(f.s.got, 100);
    tern_span span = {(const uint8_t *)"x", 1};
    assert_int_equal(tern_tcp_write(f.d.t, &span, 1), TERN_E_STATE);
    f.s.want = 5000; /* the other half goes on */
    f.s.finish = true;
    pump(&f.s);
    run(&f);
    assert_int_equal(f.d.got, 5000);
    assert_int_equal(f.d.ends, 1);
    assert_int_equal(f.d.errors + f.s.errors, 0);
    teardown(&f);
}

static void test_close_flushes(void **state)
{
    (void)state;
    struct fixture f;
    setup(&f, 1, &(tern_sim_link){.delay = 10 * TERN_MS, .rate = 1000000});
    dial(&f, "10.0.0.2", PORT);
    run(&f);
    f.d.want = 300000;
    pump(&f.d);
    tern_tcp_close(f.d.t, false);
    f.d.t = NULL;
    run(&f);
    assert_int_equal(f.s.got, 300000);
    assert_int_equal(f.s.ends, 1);
    assert_int_equal(f.s.errors, 0);
    teardown(&f);
}

static void test_abort(void **state)
{
    (void)state;
    struct fixture f;
    setup(&f, 1, &(tern_sim_link){.delay = 10 * TERN_MS, .rate = 1000000});
    dial(&f, "10.0.0.2", PORT);
    run(&f);
    f.d.want = 300000;
    pump(&f.d);
    uint64_t sent = tern_sim_now(f.sim);
    tern_tcp_close(f.d.t, true);
    f.d.t = NULL;
    run(&f);
    assert_true(f.s.got < 300000);
    assert_int_equal(f.s.ends, 0);
    assert_int_equal(f.s.errors, 1);
    assert_int_equal(f.s.error, TERN_E_RESET);
    assert_true(f.s.error_at >= sent + 10 * TERN_MS && f.s.error_at < sent + 20 * TERN_MS);
    assert_int_equal(tern_tcp_write(f.s.t, &(tern_span){(const uint8_t *)"x", 1}, 1), TERN_E_RESET);
    teardown(&f);
}

static void test_bytes_after_close_are_reset(void **state)
{
    (void)state;
    struct fixture f;
    setup(&f, 1, &(tern_sim_link){.delay = 10 * TERN_MS});
    f.s.close_on_data = true;
    f.d.want = 10;
    dial(&f, "10.0.0.2", PORT);
    run(&f);
    assert_null(f.s.t);
    assert_int_equal(f.d.ends, 1);
    f.d.want = 20;
    pump(&f.d);
    run(&f);
    assert_int_equal(f.d.error, TERN_E_RESET);
    teardown(&f);
}

static void test_close_with_unread_bytes_resets(void **state)
{
    (void)state;
    struct fixture f;
    setup(&f, 1, &(tern_sim_link){.delay = 10 * TERN_MS});
    dial(&f, "10.0.0.2", PORT);
    run(&f);
    tern_tcp_pause(f.s.t);
    f.d.want = 10;
    pump(&f.d);
    run(&f);
    tern_tcp_close(f.s.t, false);
    f.s.t = NULL;
    run(&f);
    assert_int_equal(f.d.ends, 0);
    assert_int_equal(f.d.error, TERN_E_RESET);
    teardown(&f);
}

static void on_accept_nothing(void *owner, tern_tcp *t)
{
    struct end *e = owner;
    e->t = t;
}

static void test_unowned_accept(void **state)
{
    (void)state;
    struct fixture f;
    setup(&f, 1, &(tern_sim_link){.delay = 10 * TERN_MS});
    tern_tcp_listener *l;
    tern_endpoint any = {.family = 4, .port = PORT + 1};
    assert_int_equal(tern_tcp_listen(f.b, &any, on_accept_nothing, &f.s, &l), 0);
    f.d.want = 10;
    dial(&f, "10.0.0.2", PORT + 1);
    run(&f);
    tern_tcp_close(f.d.t, true);
    f.d.t = NULL;
    run(&f);
    tern_tcp_set_owner(f.s.t, &events, &f.s); /* hears of it when it asks */
    tern_tcp_read(f.s.t);
    run(&f);
    assert_int_equal(f.s.error, TERN_E_RESET);
    tern_tcp_listener_close(l);
    teardown(&f);
}

/* --- trouble --- */

static void test_crash(void **state)
{
    (void)state;
    struct fixture f;
    setup(&f, 1, &(tern_sim_link){.delay = 10 * TERN_MS, .tcp_buffer = 1000});
    dial(&f, "10.0.0.2", PORT);
    run(&f);
    tern_sim_crash(f.b);
    uint64_t crashed = tern_sim_now(f.sim);
    f.d.want = 5000;
    pump(&f.d);
    tern_sim_run(f.sim, crashed + 600 * TERN_SEC, NULL, NULL);
    assert_int_equal(f.d.sent, 1000);
    assert_int_equal(f.d.ends + f.d.errors, 0); /* nothing is heard of it */
    run(&f);
    assert_int_equal(f.d.error, TERN_E_TIMEOUT); /* as a system's TCP ends it at last */
    assert_int_equal(f.d.error_at, crashed + 900 * TERN_SEC);
    assert_int_equal(f.s.got, 0);
    teardown(&f);
}

static void test_link_down_and_up(void **state)
{
    (void)state;
    struct fixture f;
    tern_sim_link link = {.delay = 10 * TERN_MS, .tcp_buffer = 50000};
    setup(&f, 1, &(tern_sim_link){.delay = TERN_SEC});
    assert_int_equal(tern_sim_set_link(f.sim, f.b, f.a, &link), 0);
    f.d.want = 400000;
    f.d.finish = true;
    dial(&f, "10.0.0.2", PORT);
    tern_sim_run(f.sim, f.start + 65 * TERN_MS, NULL, NULL);
    link.down = true;
    assert_int_equal(tern_sim_set_link(f.sim, f.a, f.b, &link), 0);
    tern_sim_run(f.sim, f.start + 30 * TERN_SEC, NULL, NULL);
    uint64_t got = f.s.got;
    assert_true(got > 0 && got < 400000);
    assert_int_equal(f.d.errors, 0);
    link.down = false;
    assert_int_equal(tern_sim_set_link(f.sim, f.a, f.b, &link), 0);
    run(&f);
    assert_int_equal(f.s.got, 400000);
    assert_false(f.s.wrong_byte);
    assert_int_equal(f.s.ends, 1);
    assert_true(f.s.last_at < f.start + 60 * TERN_SEC);
    /* Down for good: connects and connections time out in the end. */
    link.down = true;
    assert_int_equal(tern_sim_set_link(f.sim, f.a, f.b, &link), 0);
    f.s.want = 10;
    pump(&f.s);
    struct end late = {.sim = f.sim};
    tern_endpoint to = at("10.0.0.2", PORT);
    assert_int_equal(tern_tcp_dial(f.a, &to, NULL, &events, &late, &late.t), 0);
    run(&f);
    assert_int_equal(late.code, TERN_E_TIMEOUT);
    assert_int_equal(f.s.error, TERN_E_TIMEOUT);
    tern_tcp_close(late.t, false);
    teardown(&f);
}

static void test_loopback(void **state)
{
    (void)state;
    struct fixture f;
    setup(&f, 1, &(tern_sim_link){.delay = TERN_SEC, .rate = 1});
    tern_endpoint to = at("127.0.0.1", PORT);
    f.d.want = MIB;
    f.d.finish = true;
    assert_int_equal(tern_tcp_dial(f.b, &to, NULL, &events, &f.d, &f.d.t), 0);
    run(&f);
    assert_int_equal(f.s.got, MIB);
    assert_int_equal(f.s.last_at, f.start);
    teardown(&f);
}

static void test_no_memory(void **state)
{
    (void)state;
    /* Whatever allocation fails, nothing is lost, hung or leaked: bytes come late or not at all. */
    for (size_t n = 1; n < 60; n++) {
        struct fixture f;
        setup(&f, 1, &(tern_sim_link){.delay = 10 * TERN_MS});
        f.d.want = 1000;
        f.s.want = 3000;
        f.d.starves = f.s.starves = true;
        tern_endpoint to = at("10.0.0.2", PORT);
        tern_mem_fail_at(n, 0);
        int rc = tern_tcp_dial(f.a, &to, NULL, &events, &f.d, &f.d.t);
        if (rc == 0) {
            run(&f);
        }
        size_t made = tern_mem_count();
        tern_mem_fail_at(0, 0);
        if (rc == 0 && f.d.code == 0) {
            pump(&f.d); /* a write may have found no memory */
            pump(&f.s);
            run(&f);
            assert_int_equal(f.s.got, 1000);
            assert_int_equal(f.d.got, 3000);
            assert_int_equal(f.d.errors + f.s.errors, 0);
        } else {
            assert_true(rc == TERN_E_NOMEM || f.d.code < 0);
        }
        teardown(&f);
        if (made < n) {
            return;
        }
    }
    fail_msg("allocations without end");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_half_close),
        cmocka_unit_test(test_close_flushes),
        cmocka_unit_test(test_abort),
        cmocka_unit_test(test_bytes_after_close_are_reset),
        cmocka_unit_test(test_close_with_unread_bytes_resets),
        cmocka_unit_test(test_unowned_accept),
        cmocka_unit_test(test_crash),
        cmocka_unit_test(test_link_down_and_up),
        cmocka_unit_test(test_loopback),
        cmocka_unit_test(test_no_memory),
    };
    return TERN_TEST_MAIN(tests);
}
