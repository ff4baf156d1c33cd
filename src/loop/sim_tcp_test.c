/* Tests of simulated TCP: handshakes, and bytes under delay, rate, window and loss. */
#include "loop/sim_tcp_test.h"

/* --- handshake --- */

static void test_connect_takes_one_round_trip(void **state)
{
    (void)state;
    struct fixture f;
    setup(&f, 1, &(tern_sim_link){.delay = 50 * TERN_MS});
    f.d.want = 5;
    dial(&f, "10.0.0.2", PORT);
    assert_int_equal(f.d.connects, 0);
    run(&f);
    assert_int_equal(f.d.connects, 1);
    assert_int_equal(f.d.code, 0);
    assert_int_equal(f.d.connected_at, f.start + 100 * TERN_MS);
    assert_int_equal(f.s.accepted_at, f.start + 150 * TERN_MS);
    assert_int_equal(f.s.last_at, f.start + 150 * TERN_MS);
    assert_int_equal(f.s.got, 5);
    tern_endpoint local, remote;
    tern_tcp_local(f.d.t, &local);
    tern_tcp_remote(f.s.t, &remote);
    assert_true(tern_endpoint_eq(&local, &remote));
    tern_tcp_local(f.s.t, &local);
    assert_int_equal(local.ip[3], 2); /* the listener is at any address, the socket at one */
    assert_int_equal(local.port, PORT);
    teardown(&f);
}

static void test_refused(void **state)
{
    (void)state;
    struct fixture f;
    setup(&f, 1, &(tern_sim_link){.delay = 50 * TERN_MS});
    dial(&f, "10.0.0.2", PORT + 1);
    run(&f);
    assert_int_equal(f.d.code, TERN_E_REFUSED);
    assert_int_equal(f.d.connected_at, f.start + 100 * TERN_MS);
    assert_int_equal(f.d.errors, 0);
    teardown(&f);
}

static void test_nobody_there(void **state)
{
    (void)state;
    struct fixture f;
    setup(&f, 1, &(tern_sim_link){.delay = 50 * TERN_MS});
    dial(&f, "10.9.9.9", PORT);
    run(&f);
    assert_int_equal(f.d.connects, 1);
    assert_int_equal(f.d.code, TERN_E_TIMEOUT);
    assert_int_equal(f.d.connected_at, f.start + 120 * TERN_SEC);
    tern_endpoint six = at("2001:db8::1", PORT);
    tern_tcp *t;
    assert_int_equal(tern_tcp_dial(f.a, &six, NULL, &events, &f.d, &t), TERN_E_UNREACHABLE);
    teardown(&f);
}

static void test_dial_given_up(void **state)
{
    (void)state;
    struct fixture f;
    setup(&f, 1, &(tern_sim_link){.delay = 50 * TERN_MS});
    dial(&f, "10.0.0.2", PORT);
    tern_sim_run(f.sim, f.start + 70 * TERN_MS, NULL, NULL); /* half open by now */
    tern_tcp_close(f.d.t, false);
    f.d.t = NULL;
    run(&f);
    assert_int_equal(f.d.connects, 0);
    assert_null(f.s.t);
    assert_true(tern_sim_now(f.sim) < f.start + TERN_SEC); /* a RST ended it, not a deadline */
    teardown(&f);
}

static void test_listener_gone_meanwhile(void **state)
{
    (void)state;
    struct fixture f;
    setup(&f, 1, &(tern_sim_link){.delay = 50 * TERN_MS});
    dial(&f, "10.0.0.2", PORT);
    tern_sim_run(f.sim, f.start + 70 * TERN_MS, NULL, NULL);
    tern_tcp_listener_close(f.l);
    f.l = NULL;
    run(&f);
    assert_int_equal(f.d.code, 0);
    assert_int_equal(f.d.error, TERN_E_RESET);
    assert_int_equal(f.d.error_at, f.start + 200 * TERN_MS);
    teardown(&f);
}

static void test_from_the_listening_port(void **state)
{
    (void)state;
    struct fixture f;
    setup(&f, 1, &(tern_sim_link){.delay = TERN_MS});
    tern_endpoint from = {.family = 4, .port = PORT}, to = at("10.0.0.2", PORT), local;
    tern_tcp_listener *l;
    struct end other = {.sim = f.sim};
    assert_int_equal(tern_tcp_listen(f.a, &from, on_accept, &other, &l), 0);
    assert_int_equal(tern_tcp_dial(f.a, &to, &from, &events, &f.d, &f.d.t), 0);
    run(&f);
    tern_tcp_remote(f.s.t, &local);
    assert_int_equal(local.port, PORT);
    /* The 4-tuple is taken: any port then. */
    tern_tcp *second;
    struct end server = f.s;
    assert_int_equal(tern_tcp_dial(f.a, &to, &from, &events, &other, &second), 0);
    other.t = second;
    tern_tcp_local(second, &local);
    assert_true(local.port >= 49152);
    run(&f);
    assert_int_equal(other.code, 0);
    tern_tcp_close(f.s.t, false);
    tern_tcp_close(second, false);
    f.s = server;
    tern_tcp_set_owner(f.s.t, &events, &f.s);
    run(&f);
    /* Closed and dialled again at once from the same port: what the old one's peer had sent
     * arrives in between and does no harm. */
    f.s.want = f.s.sent + 500;
    pump(&f.s);
    tern_tcp_close(f.d.t, false);
    f.d = (struct end){.sim = f.sim, .want = 1000};
    assert_int_equal(tern_tcp_dial(f.a, &to, &from, &events, &f.d, &f.d.t), 0);
    tern_tcp_local(f.d.t, &local);
    assert_int_equal(local.port, PORT);
    tern_tcp *old = f.s.t;
    run(&f);
    assert_int_equal(f.d.code, 0);
    assert_true(f.s.t != old);
    assert_int_equal(f.s.got, 1000);
    tern_tcp_close(old, false);
    tern_tcp_listener_close(l);
    teardown(&f);
}

static void test_both_dial_at_once(void **state)
{
    (void)state;
    static const uint64_t apart[] = {0, 3 * TERN_MS};
    for (size_t i = 0; i < 2; i++) {
        struct fixture f;
        setup(&f, 1, &(tern_sim_link){.delay = 10 * TERN_MS});
        tern_endpoint a = at("10.0.0.1", PORT), b = at("10.0.0.2", PORT);
        f.d.want = 700;
        f.s.want = 900;
        assert_int_equal(tern_tcp_dial(f.a, &b, &a, &events, &f.d, &f.d.t), 0);
        tern_sim_run(f.sim, f.start + apart[i], NULL, NULL);
        assert_int_equal(tern_tcp_dial(f.b, &a, &b, &events, &f.s, &f.s.t), 0);
        run(&f);
        assert_int_equal(f.d.connects, 1);
        assert_int_equal(f.s.connects, 1);
        assert_int_equal(f.d.code, 0);
        assert_int_equal(f.s.code, 0);
        assert_int_equal(f.s.accepted_at, 0); /* not as the listener's */
        assert_int_equal(f.d.got, 900);
        assert_int_equal(f.s.got, 700);
        assert_true(f.d.connected_at <= f.start + 20 * TERN_MS);
        teardown(&f);
    }
}

/* --- bytes --- */

static void test_transfer_takes_the_computed_time(void **state)
{
    (void)state;
    struct fixture f;
    /* 50 MB fit in the window: the first byte waits for nothing, the last for 50/600 s. */
    tern_sim_link link = {.delay = 100 * TERN_MS, .rate = 600000000, .tcp_buffer = 64 * MIB};
    setup(&f, 1, &link);
    f.d.want = 50000000;
    f.d.finish = true;
    dial(&f, "10.0.0.2", PORT);
    run(&f);
    assert_int_equal(f.s.got, 50000000);
    assert_false(f.s.wrong_byte);
    assert_int_equal(f.s.last_at, f.start + 300 * TERN_MS + UINT64_C(50000000) * 10 / 6);
    assert_int_equal(f.s.ends, 1);
    assert_int_equal(f.s.end_at, f.s.last_at);
    teardown(&f);
}

static void test_window_limits_the_rate(void **state)
{
    (void)state;
    struct fixture f;
    /* Without a rate, a window a round trip: 10 windows of 64 KiB. */
    tern_sim_link link = {.delay = 50 * TERN_MS, .tcp_buffer = 65536};
    setup(&f, 1, &link);
    f.d.want = 10 * 65536;
    dial(&f, "10.0.0.2", PORT);
    run(&f);
    assert_int_equal(f.s.got, 10 * 65536);
    assert_int_equal(f.s.last_at, f.start + 100 * TERN_MS + 50 * TERN_MS + 9 * 100 * TERN_MS);
    teardown(&f);
}

static void test_rate_is_exact(void **state)
{
    (void)state;
    struct fixture f;
    /* A rate that divides nothing evenly, over many small segments and a small window's worth. */
    tern_sim_link link = {.delay = TERN_MS, .rate = 777777, .tcp_buffer = 16 * MIB};
    setup(&f, 1, &link);
    f.d.want = 1000003;
    dial(&f, "10.0.0.2", PORT);
    run(&f);
    assert_int_equal(f.s.got, 1000003);
    assert_false(f.s.wrong_byte);
    assert_int_equal(f.s.last_at, f.start + 3 * TERN_MS + UINT64_C(1000003) * TERN_SEC / 777777);
    teardown(&f);
}

static void test_rate_is_shared(void **state)
{
    (void)state;
    struct fixture f;
    tern_sim_link link = {.delay = TERN_MS, .rate = 1000000};
    setup(&f, 1, &link);
    f.d.want = 2000000;
    dial(&f, "10.0.0.2", PORT);
    tern_sim_run(f.sim, f.start + 500 * TERN_MS, NULL, NULL);
    /* A second connection beside a busy one gets its share: a few bytes come soon, not behind all.
     */
    struct end first = f.s, second = {.sim = f.sim, .want = 100};
    tern_tcp_set_owner(first.t, &events, &first);
    tern_endpoint to = at("10.0.0.2", PORT);
    assert_int_equal(tern_tcp_dial(f.a, &to, NULL, &events, &second, &second.t), 0);
    f.s = (struct end){.sim = f.sim};
    run(&f);
    assert_int_equal(first.got, 2000000);
    assert_int_equal(f.s.got, 100);
    assert_true(f.s.last_at < f.start + 520 * TERN_MS);
    /* Never idle: both together take what the rate takes. */
    assert_int_equal(first.last_at, f.start + 3 * TERN_MS + 2000100 * UINT64_C(1000));
    tern_tcp_close(second.t, false);
    tern_tcp_close(first.t, false);
    teardown(&f);
}

static void test_large_pieces(void **state)
{
    (void)state;
    struct fixture f;
    setup(&f, 1, &(tern_sim_link){.delay = TERN_MS, .tcp_buffer = 8 * MIB});
    f.d.want = 4 * MIB;
    dial(&f, "10.0.0.2", PORT);
    run(&f);
    assert_int_equal(f.s.got, 4 * MIB);
    assert_int_equal(f.s.largest, 256 * 1024);
    assert_true(f.s.pieces <= 24);
    teardown(&f);
}

static void test_paused_reader_stops_the_writer(void **state)
{
    (void)state;
    struct fixture f;
    setup(&f, 1, &(tern_sim_link){.delay = TERN_MS, .tcp_buffer = 100000});
    dial(&f, "10.0.0.2", PORT);
    run(&f);
    tern_tcp_pause(f.s.t);
    f.d.want = 1000000;
    f.d.finish = true;
    pump(&f.d);
    run(&f);
    assert_int_equal(f.d.sent, 100000);
    assert_int_equal(f.s.got, 0);
    /* The bytes have arrived, so no deadline runs, however long the pause is. */
    assert_true(tern_sim_now(f.sim) < f.start + TERN_SEC);
    tern_tcp_read(f.s.t);
    assert_int_equal(f.s.got, 0); /* never from inside the call */
    run(&f);
    assert_int_equal(f.s.got, 1000000);
    assert_int_equal(f.s.ends, 1);
    assert_false(f.s.wrong_byte);
    teardown(&f);
}

static void test_what_is_unread_fills_the_window(void **state)
{
    (void)state;
    struct fixture f;
    setup(&f, 1, &(tern_sim_link){.delay = TERN_MS, .tcp_buffer = 600000});
    dial(&f, "10.0.0.2", PORT);
    run(&f);
    tern_tcp_pause(f.s.t);
    f.s.sips = true;
    f.d.want = 3000000;
    pump(&f.d);
    run(&f);
    unsigned sips = 0;
    for (; f.s.got < 3000000 && sips < 100; sips++) {
        tern_tcp_read(f.s.t);
        run(&f);
        assert_int_equal(f.d.sent, f.s.got + 600000 < 3000000 ? f.s.got + 600000 : 3000000);
    }
    assert_in_range(sips, 12, 50);
    assert_false(f.s.wrong_byte);
    teardown(&f);
}

static void test_loss_keeps_bytes_and_order(void **state)
{
    (void)state;
    struct fixture f;
    tern_sim_link link = {
        .delay = 20 * TERN_MS, .jitter = 10 * TERN_MS, .loss = 0.05, .tcp_buffer = 300000};
    setup(&f, 5, &link);
    f.d.want = 3000000;
    f.d.finish = true;
    f.s.want = 500000;
    f.s.finish = true;
    dial(&f, "10.0.0.2", PORT);
    run(&f);
    assert_int_equal(f.d.code, 0);
    assert_int_equal(f.s.got, 3000000);
    assert_int_equal(f.d.got, 500000);
    assert_false(f.s.wrong_byte || f.d.wrong_byte);
    assert_int_equal(f.s.ends + f.d.ends, 2);
    assert_int_equal(f.s.errors + f.d.errors, 0);
    tern_sim_stats stats = tern_sim_get_stats(f.sim);
    assert_in_range(stats.lost, 60, 300); /* 2400 packets of data at 5 % */
    teardown(&f);
}

static void test_lost_segment_costs_a_retransmission(void **state)
{
    (void)state;
    struct fixture f;
    setup(&f, 1, &(tern_sim_link){.delay = 10 * TERN_MS});
    dial(&f, "10.0.0.2", PORT);
    run(&f);
    /* The first is lost for certain, later ones are not; they wait behind it. */
    tern_sim_set_default_link(f.sim, &(tern_sim_link){.delay = 10 * TERN_MS, .loss = 0.999999});
    uint64_t sent = tern_sim_now(f.sim);
    f.d.want = 100;
    pump(&f.d);
    tern_sim_set_default_link(f.sim, &(tern_sim_link){.delay = 10 * TERN_MS});
    f.d.want = 200;
    pump(&f.d);
    run(&f);
    assert_int_equal(f.s.got, 200);
    assert_int_equal(f.s.pieces, 1);
    assert_true(f.s.last_at >= sent + 210 * TERN_MS);
    teardown(&f);
}

static void test_lossy_handshakes(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed <= 30; seed++) {
        struct fixture f;
        setup(&f, seed, &(tern_sim_link){.delay = 10 * TERN_MS, .loss = 0.3});
        f.s.want = 10; /* the server speaks first */
        dial(&f, "10.0.0.2", PORT);
        run(&f);
        assert_int_equal(f.d.code, 0);
        assert_int_equal(f.d.got, 10);
        teardown(&f);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_connect_takes_one_round_trip),
        cmocka_unit_test(test_refused),
        cmocka_unit_test(test_nobody_there),
        cmocka_unit_test(test_dial_given_up),
        cmocka_unit_test(test_listener_gone_meanwhile),
        cmocka_unit_test(test_from_the_listening_port),
        cmocka_unit_test(test_both_dial_at_once),
        cmocka_unit_test(test_transfer_takes_the_computed_time),
        cmocka_unit_test(test_window_limits_the_rate),
        cmocka_unit_test(test_rate_is_exact),
        cmocka_unit_test(test_rate_is_shared),
        cmocka_unit_test(test_large_pieces),
        cmocka_unit_test(test_paused_reader_stops_the_writer),
        cmocka_unit_test(test_what_is_unread_fills_the_window),
        cmocka_unit_test(test_loss_keeps_bytes_and_order),
        cmocka_unit_test(test_lost_segment_costs_a_retransmission),
        cmocka_unit_test(test_lossy_handshakes),
    };
    return TERN_TEST_MAIN(tests);
}
