/* Watches of a simulated loop: when they are told, how often, and what they may do inside. */
#include "loop/backend.h"
#include "loop/sim_tcp_test.h"

typedef struct seen {
    tern_watch watch;
    unsigned addresses, awake;
    uint64_t at;
    struct seen *stops; /* ended inside */
} seen;

static tern_sim *sim;
static tern_loop *host;

static void on_change(tern_watch *watch, tern_change change)
{
    seen *s = TERN_CONTAINER(watch, seen, watch);
    s->addresses += change == TERN_CHANGE_ADDRESSES;
    s->awake += change == TERN_CHANGE_AWAKE;
    s->at = tern_sim_now(sim);
    if (s->stops != NULL) {
        tern_watch_stop(&s->stops->watch);
    }
}

static int setup_world(void **state)
{
    (void)state;
    assert_int_equal(tern_sim_new(1, &sim), 0);
    return tern_sim_host(sim, "10.0.0.1", &host);
}

static int end_world(void **state)
{
    (void)state;
    tern_sim_free(sim);
    return 0;
}

static void go(uint64_t time)
{
    tern_sim_run(sim, tern_sim_now(sim) + time, NULL, NULL);
}

static void test_told_once(void **state)
{
    seen a = {0}, b = {0};
    (void)state;
    tern_watch_start(host, &a.watch, on_change);
    tern_watch_start(host, &b.watch, on_change);
    go(TERN_SEC);
    assert_int_equal(a.addresses, 0);
    uint64_t start = tern_sim_now(sim);
    assert_int_equal(tern_sim_add_address(host, "10.0.0.2"), 0);
    assert_int_equal(tern_sim_add_address(host, "2001:db8::1"), 0);
    assert_int_equal(a.addresses, 0); /* from the loop */
    go(TERN_SEC);
    assert_int_equal(a.addresses, 1);
    assert_int_equal(a.at - start, 100 * TERN_MS);
    assert_int_equal(b.addresses, 1);
    assert_int_equal(tern_sim_remove_address(host, "10.0.0.1"), 0);
    go(TERN_SEC);
    assert_int_equal(a.addresses, 2);
    assert_int_equal(tern_sim_remove_address(host, "10.0.0.2"), 0); /* gone and back */
    assert_int_equal(tern_sim_add_address(host, "10.0.0.2"), 0);
    go(TERN_SEC);
    assert_int_equal(a.addresses, 2);
    tern_watch_stop(&a.watch);
    tern_watch_stop(&a.watch);
    assert_int_equal(tern_sim_add_address(host, "10.0.0.3"), 0);
    go(TERN_SEC);
    assert_int_equal(a.addresses, 2);
    assert_int_equal(b.addresses, 3);
    tern_watch_stop(&b.watch);
}

static void test_awake(void **state)
{
    seen a = {0};
    (void)state;
    tern_sim_awake(host); /* nobody to tell */
    tern_watch_start(host, &a.watch, on_change);
    go(TERN_SEC);
    assert_int_equal(a.awake, 0);
    tern_sim_awake(host);
    assert_int_equal(a.awake, 0);
    go(TERN_SEC);
    assert_int_equal(a.awake, 1);
    assert_int_equal(a.addresses, 0);
    tern_sim_awake(host);
    tern_watch_stop(&a.watch); /* before it was told */
    go(TERN_SEC);
    assert_int_equal(a.awake, 1);
}

static void test_stopped_inside(void **state)
{
    seen a = {0}, b = {0}, c = {0};
    (void)state;
    a.stops = &b;
    c.stops = &c;
    tern_watch_start(host, &a.watch, on_change);
    tern_watch_start(host, &b.watch, on_change);
    tern_watch_start(host, &c.watch, on_change);
    assert_int_equal(tern_sim_add_address(host, "10.0.0.2"), 0);
    go(TERN_SEC);
    assert_int_equal(a.addresses, 1);
    assert_int_equal(b.addresses, 0);
    assert_int_equal(c.addresses, 1);
    assert_int_equal(tern_sim_add_address(host, "10.0.0.3"), 0);
    go(TERN_SEC);
    assert_int_equal(a.addresses, 2);
    assert_int_equal(c.addresses, 1);
    a.stops = &a;
    assert_int_equal(tern_sim_add_address(host, "10.0.0.4"), 0);
    go(TERN_SEC);
    assert_int_equal(a.addresses, 3);
}

/* ---- a backend that does not notice ---- */

static tern_endpoint polled[2];
static size_t polled_count;

static int refuses(tern_loop *loop, bool on)
{
    (void)loop;
    return on ? TERN_E_UNSUPPORTED : 0;
}

static size_t lists(tern_loop *loop, tern_endpoint *out, size_t cap)
{
    (void)loop;
    for (size_t i = 0; i < polled_count && i < cap; i++) {
        out[i] = polled[i];
    }
    return polled_count;
}

static void test_polled(void **state)
{
    seen a = {0};
    tern_loop_ops ops = *host->ops;
    const tern_loop_ops *before = host->ops;
    (void)state;
    ops.watch = refuses;
    ops.addresses = lists;
    polled[0] = at("10.0.0.1", 0);
    polled[1] = at("10.0.0.2", 0);
    polled_count = 1;
    host->ops = &ops;
    tern_watch_start(host, &a.watch, on_change);
    go(20 * TERN_SEC);
    assert_int_equal(a.addresses, 0);
    polled_count = 2;
    go(5 * TERN_SEC);
    assert_int_equal(a.addresses, 1);
    tern_endpoint first = polled[0]; /* the order says nothing */
    polled[0] = polled[1];
    polled[1] = first;
    go(5 * TERN_SEC);
    assert_int_equal(a.addresses, 1);
    tern_mem_fail_at(1, 1);
    go(5 * TERN_SEC);
    tern_mem_fail_at(0, 0);
    polled_count = 1;
    go(5 * TERN_SEC);
    assert_int_equal(a.addresses, 2);
    tern_watch_stop(&a.watch);
    host->ops = before;
}

/* ---- dials ---- */

static void test_dial_from_a_lost_address(void **state)
{
    seen a = {0};
    struct end d = {.sim = sim}, other = {.sim = sim};
    tern_endpoint to = at("10.9.9.9", 1), from = at("10.0.0.2", 5000);
    (void)state;
    assert_int_equal(tern_sim_add_address(host, "10.0.0.2"), 0);
    tern_watch_start(host, &a.watch, on_change);
    uint64_t start = tern_sim_now(sim);
    assert_int_equal(tern_tcp_dial(host, &to, &from, &events, &d, &d.t), 0);
    assert_int_equal(tern_tcp_dial(host, &to, NULL, &events, &other, &other.t), 0);
    assert_int_equal(tern_sim_remove_address(host, "10.0.0.2"), 0);
    assert_int_equal(tern_sim_remove_address(host, "10.0.0.2"), TERN_E_NOT_FOUND);
    assert_int_equal(tern_sim_remove_address(host, "10.0.0.1"), TERN_E_STATE);
    go(TERN_SEC);
    assert_int_equal(d.connects, 1);
    assert_int_equal(d.code, TERN_E_UNREACHABLE);
    assert_int_equal(d.connected_at - start, 100 * TERN_MS);
    assert_int_equal(other.connects, 0);
    tern_tcp_close(d.t, false);
    tern_tcp_close(other.t, false);
    tern_watch_stop(&a.watch);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_told_once, setup_world, end_world),
        cmocka_unit_test_setup_teardown(test_awake, setup_world, end_world),
        cmocka_unit_test_setup_teardown(test_stopped_inside, setup_world, end_world),
        cmocka_unit_test_setup_teardown(test_polled, setup_world, end_world),
        cmocka_unit_test_setup_teardown(test_dial_from_a_lost_address, setup_world, end_world),
    };
    return TERN_TEST_MAIN(tests);
}
