/* Tests of the simulated world itself: clock, timers, hosts, posts, randomness, crash. */
#include "base/test.h"

#include <tern/error.h>

#include "loop/sim.h"

struct note {
    tern_timer timer;
    tern_deferred deferred;
    tern_sim *sim;
    uint64_t at;
    unsigned order;
};

static unsigned notes;

static void on_timer(tern_timer *timer)
{
    struct note *n = TERN_CONTAINER(timer, struct note, timer);
    n->at = tern_loop_now(timer->loop);
    n->order = ++notes;
}

static void on_deferred(tern_deferred *d)
{
    struct note *n = TERN_CONTAINER(d, struct note, deferred);
    n->at = tern_sim_now(n->sim);
    n->order = ++notes;
}

static tern_sim *world(uint64_t seed)
{
    tern_sim *sim;
    assert_int_equal(tern_sim_new(seed, &sim), 0);
    notes = 0;
    return sim;
}

static tern_loop *host(tern_sim *sim, const char *ip)
{
    tern_loop *loop;
    assert_int_equal(tern_sim_host(sim, ip, &loop), 0);
    return loop;
}

static void test_clock_jumps(void **state)
{
    (void)state;
    tern_sim *sim = world(1);
    tern_loop *a = host(sim, "10.0.0.1"), *b = host(sim, "10.0.0.2");
    uint64_t start = tern_sim_now(sim);
    struct note late = {0}, soon = {0}, same = {0}, never = {0};
    tern_timer_start(a, &late.timer, start + 3600 * TERN_SEC, on_timer);
    tern_timer_start(b, &soon.timer, start + 5, on_timer);
    tern_timer_start(a, &same.timer, start + 5, on_timer);
    tern_timer_start(a, &never.timer, start + 6, on_timer);
    tern_timer_stop(&never.timer);
    assert_int_equal(tern_sim_run(sim, start + TERN_SEC, NULL, NULL), start + TERN_SEC);
    assert_int_equal(soon.order, 1); /* equal deadlines of two hosts: first armed, first run */
    assert_int_equal(same.order, 2);
    assert_int_equal(soon.at, start + 5);
    assert_int_equal(late.order, 0);
    assert_int_equal(tern_loop_now(b), start + TERN_SEC);
    assert_int_equal(tern_sim_run(sim, TERN_NEVER, NULL, NULL), start + 3600 * TERN_SEC);
    assert_int_equal(late.order, 3);
    assert_int_equal(never.order, 0);
    /* Nothing left: the clock stays. */
    assert_int_equal(tern_sim_run(sim, TERN_NEVER, NULL, NULL), start + 3600 * TERN_SEC);
    tern_sim_free(sim);
}

static bool after_two(void *arg)
{
    (void)arg;
    return notes >= 2;
}

static void test_stop(void **state)
{
    (void)state;
    tern_sim *sim = world(1);
    tern_loop *a = host(sim, "10.0.0.1");
    uint64_t start = tern_sim_now(sim);
    struct note n[3] = {{.at = 0}};
    for (unsigned i = 0; i < 3; i++) {
        tern_timer_start(a, &n[i].timer, start + i * TERN_SEC, on_timer);
    }
    assert_int_equal(tern_sim_run(sim, TERN_NEVER, after_two, NULL), start + TERN_SEC);
    assert_int_equal(n[2].order, 0);
    assert_true(tern_timer_armed(&n[2].timer));
    tern_timer_stop(&n[2].timer);
    tern_sim_free(sim);
}

static void on_post(void *arg)
{
    ((struct note *)arg)->order = ++notes;
}

static void work_run(tern_work *work)
{
    work->backend = NULL;
    notes += 10;
}

static void work_done(tern_work *work)
{
    (void)work;
    notes += 100;
}

static void test_post_work_defer(void **state)
{
    (void)state;
    tern_sim *sim = world(1);
    tern_loop *a = host(sim, "10.0.0.1");
    struct note d = {.sim = sim}, p = {.at = 0};
    tern_work work = {.run = work_run, .done = work_done};
    tern_deferred_init(&d.deferred, on_deferred);
    tern_defer(a, &d.deferred);
    assert_int_equal(tern_loop_post(a, on_post, &p), 0);
    assert_int_equal(tern_loop_work(a, &work), 0);
    assert_int_equal(notes, 0);
    uint64_t start = tern_sim_now(sim);
    assert_int_equal(tern_sim_run(sim, TERN_NEVER, NULL, NULL), start);
    assert_int_equal(d.order, 1);
    assert_int_equal(p.order, 2);
    assert_int_equal(notes, 112);
    /* A call that is still waiting at the end is freed with the world. */
    assert_int_equal(tern_loop_post(a, on_post, &p), 0);
    tern_sim_free(sim);
    assert_int_equal(notes, 112);
}

static void test_addresses(void **state)
{
    (void)state;
    tern_sim *sim = world(1);
    tern_loop *a = host(sim, "10.0.0.1"), *b;
    assert_int_equal(tern_sim_add_address(a, "2001:db8::1"), 0);
    assert_int_equal(tern_sim_add_address(a, "10.0.0.1"), TERN_E_ADDRINUSE);
    assert_int_equal(tern_sim_add_address(a, "127.0.0.2"), TERN_E_MALFORMED);
    assert_int_equal(tern_sim_add_address(a, "0.0.0.0"), TERN_E_MALFORMED);
    assert_int_equal(tern_sim_host(sim, "10.0.0.1", &b), TERN_E_ADDRINUSE);
    assert_int_equal(tern_sim_host(sim, "ten", &b), TERN_E_MALFORMED);
    tern_endpoint got[4];
    static const char *const want[] = {"10.0.0.1", "2001:db8::1", "127.0.0.1", "::1"};
    assert_int_equal(tern_loop_addresses(a, got, 1), 4);
    assert_int_equal(tern_loop_addresses(a, got, 4), 4);
    for (size_t i = 0; i < 4; i++) {
        tern_endpoint e;
        assert_int_equal(tern_endpoint_parse_ip(&e, want[i]), 0);
        assert_true(tern_endpoint_eq(&e, &got[i]));
    }
    /* A host that left gives its address back. */
    tern_loop_free(a);
    b = host(sim, "10.0.0.1");
    tern_sim_free(sim);
}

static void test_wall(void **state)
{
    (void)state;
    tern_sim *sim = world(1);
    tern_loop *a = host(sim, "10.0.0.1");
    assert_true(tern_loop_wall(a) > UINT64_C(1700000000) * TERN_SEC);
    tern_sim_set_wall(sim, UINT64_C(1800000000) * TERN_SEC);
    assert_int_equal(tern_loop_wall(a), UINT64_C(1800000000) * TERN_SEC);
    struct note n = {0};
    tern_timer_start(a, &n.timer, tern_sim_now(sim) + 90 * TERN_SEC, on_timer);
    tern_sim_run(sim, TERN_NEVER, NULL, NULL);
    assert_int_equal(tern_loop_wall(a), UINT64_C(1800000090) * TERN_SEC);
    tern_sim_free(sim);
}

static void draw(uint64_t seed, uint8_t out[2][19])
{
    tern_sim *sim = world(seed);
    tern_loop_random(host(sim, "10.0.0.1"), out[0], 19);
    tern_loop_random(host(sim, "10.0.0.2"), out[1], 19);
    tern_sim_free(sim);
}

static void test_random(void **state)
{
    (void)state;
    uint8_t one[2][19], again[2][19], other[2][19];
    draw(7, one);
    draw(7, again);
    draw(8, other);
    assert_memory_equal(one, again, sizeof one);
    assert_memory_not_equal(one[0], other[0], sizeof one[0]);
    assert_memory_not_equal(one[0], one[1], sizeof one[0]);
}

static void test_crash_silences(void **state)
{
    (void)state;
    tern_sim *sim = world(1);
    tern_loop *a = host(sim, "10.0.0.1"), *b = host(sim, "10.0.0.2");
    uint64_t start = tern_sim_now(sim);
    enum { COUNT = 100 };
    static struct note na[COUNT], nb[COUNT];
    memset(na, 0, sizeof na);
    memset(nb, 0, sizeof nb);
    for (unsigned i = 0; i < COUNT; i++) {
        tern_timer_start(b, &nb[i].timer, start + (i * 13) % 50, on_timer);
    }
    for (unsigned i = 0; i < COUNT; i++) {
        tern_timer_start(i % 3 == 0 ? b : a, &na[i].timer, start + (i * 37) % 50, on_timer);
    }
    struct note posted = {0}, deferred = {.sim = sim};
    tern_loop_post(a, on_post, &posted);
    tern_sim_crash(a);
    tern_sim_crash(a);
    tern_deferred_init(&deferred.deferred, on_deferred);
    tern_defer(a, &deferred.deferred);
    tern_sim_run(sim, TERN_NEVER, NULL, NULL);
    for (unsigned i = 0; i < COUNT; i++) {
        bool runs = i % 3 == 0;
        assert_int_equal(na[i].order != 0, runs);
        assert_int_equal(tern_timer_armed(&na[i].timer), !runs);
        assert_int_equal(nb[i].at, start + (i * 13) % 50);
    }
    assert_int_equal(posted.order, 0);
    assert_int_equal(deferred.order, 0);
    assert_int_equal(tern_loop_now(a), start);
    /* What is armed or stopped on a crashed host stays without effect, and without harm. */
    tern_timer_stop(&na[1].timer);
    tern_timer_start(a, &na[1].timer, start + 60, on_timer);
    tern_deferred_cancel(&deferred.deferred);
    tern_sim_run(sim, start + TERN_SEC, NULL, NULL);
    assert_int_equal(na[1].order, 0);
    /* Another machine may take the address over. */
    assert_non_null(host(sim, "10.0.0.1"));
    tern_sim_free(sim);
}

static void test_no_memory(void **state)
{
    (void)state;
    size_t before = tern_mem_alive();
    for (size_t n = 1;; n++) {
        tern_sim *sim;
        tern_loop *a;
        tern_mem_fail_at(n, 0);
        int rc = tern_sim_new(1, &sim);
        if (rc == 0) {
            rc = tern_sim_host(sim, "10.0.0.1", &a);
            if (rc == 0) {
                rc = tern_sim_add_address(a, "2001:db8::1");
            }
            tern_sim_free(sim);
        }
        tern_mem_fail_at(0, 0);
        assert_int_equal(tern_mem_alive(), before);
        if (rc == 0) {
            assert_true(n > 4);
            return;
        }
        assert_int_equal(rc, TERN_E_NOMEM);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_clock_jumps),
        cmocka_unit_test(test_stop),
        cmocka_unit_test(test_post_work_defer),
        cmocka_unit_test(test_addresses),
        cmocka_unit_test(test_wall),
        cmocka_unit_test(test_random),
        cmocka_unit_test(test_crash_silences),
        cmocka_unit_test(test_no_memory),
    };
    return TERN_TEST_MAIN(tests);
}
