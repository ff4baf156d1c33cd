/* TCP Fast Open in the simulation (RFC 7413): a cookie with the first connection, from then on the
 * first bytes with the SYN, and what becomes of that when the peer, the path or the cookie is not
 * as it was. */
#include "loop/sim_tcp_test.h"

#define DELAY (50 * TERN_MS)

static tern_tcp_listener *fast_listener(struct fixture *f)
{
    tern_tcp_listener *l;
    tern_endpoint any = {.family = 4, .port = PORT};
    assert_int_equal(tern_tcp_listen_fast(f->b, &any, on_accept, &f->s, &l), 0);
    return l;
}

static void fast_dial(struct fixture *f, uint64_t want)
{
    tern_endpoint to = at("10.0.0.2", PORT);
    f->d = (struct end){.sim = f->sim, .want = want};
    f->s = (struct end){.sim = f->sim, .echo = true};
    f->start = tern_sim_now(f->sim);
    assert_int_equal(tern_tcp_dial_fast(f->a, &to, NULL, &events, &f->d, &f->d.t), 0);
}

static void hang_up(struct fixture *f)
{
    tern_tcp_close(f->d.t, false);
    tern_tcp_close(f->s.t, false);
    f->d.t = f->s.t = NULL;
    run(f);
}

/* Both have all bytes, in order. */
static void assert_exchanged(const struct fixture *f, uint64_t n)
{
    assert_int_equal(f->d.connects, 1);
    assert_int_equal(f->d.code, 0);
    assert_int_equal(f->d.errors, 0);
    assert_int_equal(f->s.got, n);
    assert_int_equal(f->d.got, n);
    assert_false(f->s.wrong_byte || f->d.wrong_byte);
    assert_false(tern_tcp_opening(f->d.t));
}

/* Two hosts of which the first has the second's cookie. */
static void setup_known(struct fixture *f, const tern_sim_link *link)
{
    setup(f, 1, link);
    tern_tcp_listener_close(f->l);
    f->l = fast_listener(f);
    fast_dial(f, 100);
    assert_false(tern_tcp_opening(f->d.t));
    run(f);
    assert_exchanged(f, 100);
    assert_int_equal(f->d.first_at - f->start, 4 * DELAY); /* as ever */
    hang_up(f);
}

static const tern_sim_link plain = {.delay = DELAY};

static void test_one_round_trip_less(void **state)
{
    struct fixture f;
    (void)state;
    setup_known(&f, &plain);
    fast_dial(&f, 100);
    assert_true(tern_tcp_opening(f.d.t));
    run(&f);
    assert_exchanged(&f, 100);
    assert_int_equal(f.d.connected_at, f.start);
    assert_int_equal(f.s.accepted_at - f.start, DELAY);
    assert_int_equal(f.d.first_at - f.start, 2 * DELAY);
    teardown(&f);
}

/* More than the SYN holds: the rest follows the handshake. */
static void test_much(void **state)
{
    struct fixture f;
    (void)state;
    setup_known(&f, &plain);
    fast_dial(&f, 3 * MIB);
    f.d.finish = true;
    run(&f);
    assert_exchanged(&f, 3 * MIB);
    assert_int_equal(f.s.ends, 1);
    assert_int_equal(f.s.first_at - f.start, DELAY);
    teardown(&f);
}

/* Only who asked for it, and only with a listener that gives cookies. */
static void test_only_if_both_want(void **state)
{
    struct fixture f;
    (void)state;
    setup_known(&f, &plain);
    f.d = (struct end){.sim = f.sim, .want = 100};
    f.s = (struct end){.sim = f.sim};
    f.start = tern_sim_now(f.sim);
    dial(&f, "10.0.0.2", PORT);
    assert_false(tern_tcp_opening(f.d.t));
    run(&f);
    assert_int_equal(f.s.first_at - f.start, 3 * DELAY);
    teardown(&f);

    setup(&f, 1, &plain); /* a listener without */
    for (int i = 0; i < 2; i++) {
        fast_dial(&f, 100);
        assert_false(tern_tcp_opening(f.d.t));
        run(&f);
        assert_exchanged(&f, 100);
        hang_up(&f);
    }
    teardown(&f);
}

/* The peer takes no data with SYNs any more: it is sent again, at once. */
static void test_listener_changed(void **state)
{
    struct fixture f;
    tern_endpoint any = {.family = 4, .port = PORT};
    (void)state;
    setup_known(&f, &plain);
    tern_tcp_listener_close(f.l);
    assert_int_equal(tern_tcp_listen(f.b, &any, on_accept, &f.s, &f.l), 0);
    fast_dial(&f, 5000);
    run(&f);
    assert_exchanged(&f, 5000);
    assert_int_equal(f.s.first_at - f.start, 3 * DELAY);
    teardown(&f);
}

/* Another machine at the same address does not know the cookie. */
static void test_another_machine(void **state)
{
    struct fixture f;
    (void)state;
    setup_known(&f, &plain);
    tern_tcp_listener_close(f.l);
    tern_sim_crash(f.b);
    assert_int_equal(tern_sim_host(f.sim, "10.0.0.2", &f.b), 0);
    f.l = fast_listener(&f);
    fast_dial(&f, 5000);
    run(&f);
    assert_exchanged(&f, 5000);
    assert_int_equal(f.s.first_at - f.start, 3 * DELAY);
    hang_up(&f);
    fast_dial(&f, 5000); /* with its cookie */
    run(&f);
    assert_int_equal(f.s.first_at - f.start, DELAY);
    teardown(&f);
}

/* A path that drops SYNs with data: the repeated one goes without. */
static void test_hostile_path(void **state)
{
    struct fixture f;
    tern_sim_link link = {.delay = DELAY, .no_syn_data = true};
    (void)state;
    setup_known(&f, &plain);
    tern_sim_set_default_link(f.sim, &link);
    fast_dial(&f, 5000);
    run(&f);
    assert_exchanged(&f, 5000);
    assert_int_equal(f.s.first_at - f.start, TERN_SEC + 3 * DELAY);
    teardown(&f);
}

static void test_loss(void **state)
{
    tern_sim_link link = {.delay = DELAY, .loss = 0.1};
    (void)state;
    for (uint64_t seed = 1; seed <= 50; seed++) {
        struct fixture f;
        setup(&f, seed, &link);
        tern_tcp_listener_close(f.l);
        f.l = fast_listener(&f);
        for (int i = 0; i < 3; i++) {
            fast_dial(&f, 5000);
            run(&f);
            assert_exchanged(&f, 5000);
            hang_up(&f);
        }
        teardown(&f);
    }
}

/* "Connected" was premature: the failure comes as an error, with the code of a dial. */
static void test_refused(void **state)
{
    struct fixture f;
    (void)state;
    setup_known(&f, &plain);
    tern_tcp_listener_close(f.l);
    f.l = NULL;
    fast_dial(&f, 100);
    run(&f);
    assert_int_equal(f.d.connects, 1);
    assert_int_equal(f.d.code, 0);
    assert_int_equal(f.d.errors, 1);
    assert_int_equal(f.d.error, TERN_E_REFUSED);
    assert_int_equal(f.d.error_at - f.start, 2 * DELAY);
    assert_true(tern_tcp_opening(f.d.t));
    teardown(&f);
}

static void test_silence(void **state)
{
    struct fixture f;
    tern_sim_link down = {.delay = DELAY, .down = true};
    (void)state;
    setup_known(&f, &plain);
    tern_sim_set_default_link(f.sim, &down);
    fast_dial(&f, 100);
    run(&f);
    assert_int_equal(f.d.errors, 1);
    assert_int_equal(f.d.error, TERN_E_TIMEOUT);
    assert_int_equal(f.d.error_at - f.start, 120 * TERN_SEC);
    teardown(&f);
}

/* Closed before anything was written: nobody hears of it. */
static void test_closed_unused(void **state)
{
    struct fixture f;
    (void)state;
    setup_known(&f, &plain);
    fast_dial(&f, 0);
    uint64_t packets = tern_sim_get_stats(f.sim).packets;
    run(&f);
    assert_int_equal(f.d.connects, 1);
    assert_int_equal(tern_sim_get_stats(f.sim).packets, packets);
    assert_null(f.s.t);
    teardown(&f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_one_round_trip_less),
        cmocka_unit_test(test_much),
        cmocka_unit_test(test_only_if_both_want),
        cmocka_unit_test(test_listener_changed),
        cmocka_unit_test(test_another_machine),
        cmocka_unit_test(test_hostile_path),
        cmocka_unit_test(test_loss),
        cmocka_unit_test(test_refused),
        cmocka_unit_test(test_silence),
        cmocka_unit_test(test_closed_unused),
    };
    return TERN_TEST_MAIN(tests);
}
