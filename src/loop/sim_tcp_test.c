/* Tests of simulated TCP: handshake, rate, window, loss, ends, resets, crashes, replay, many hosts.
 */
#include "base/test.h"

#include <stdio.h>

#include <tern/error.h>

#include "loop/sim.h"
#include "loop/tcp.h"

enum { PORT = 4001, PIECE = 256 * 1024 };

#define MIB UINT64_C(1048576)

/* One side of a connection and what happened to it. */
struct end {
    tern_sim *sim;
    tern_tcp *t;
    unsigned connects;
    int code, error;
    uint64_t connected_at, accepted_at, first_at, last_at, end_at, error_at;
    uint64_t want, sent, got; /* bytes to write, written, read */
    size_t largest;
    unsigned pieces, ends, errors;
    bool finish;     /* end after the last byte */
    bool echo;       /* answer what arrives with as many bytes */
    bool wrong_byte; /* got something else than was sent */
    bool close_on_data;
    uint64_t *trace; /* FNV-1a of every event */
};

static void trace(struct end *e, unsigned what, uint64_t n)
{
    if (e->trace != NULL) {
        uint64_t values[3] = {what, tern_sim_now(e->sim), n};
        for (size_t i = 0; i < sizeof values; i++) {
            *e->trace = (*e->trace ^ ((const uint8_t *)values)[i]) * UINT64_C(0x100000001b3);
        }
    }
}

static uint8_t pattern(uint64_t i)
{
    return (uint8_t)(i * 167 + (i >> 8) * 13 + (i >> 16));
}

static void pump(struct end *e)
{
    static uint8_t data[PIECE];
    while (e->sent < e->want) {
        size_t n = e->want - e->sent < PIECE ? (size_t)(e->want - e->sent) : PIECE;
        for (size_t i = 0; i < n; i++) {
            data[i] = pattern(e->sent + i);
        }
        size_t cut = n / 3;
        tern_span v[2] = {{data, cut}, {data + cut, n - cut}};
        ssize_t took = tern_tcp_write(e->t, v, 2);
        assert_true(took >= 0);
        e->sent += (size_t)took;
        if ((size_t)took < n) {
            return;
        }
    }
    if (e->finish) {
        e->finish = false;
        tern_tcp_shutdown(e->t);
    }
}

static void on_connected(void *owner, int code)
{
    struct end *e = owner;
    e->connects++;
    e->code = code;
    e->connected_at = tern_sim_now(e->sim);
    trace(e, 1, (uint64_t)code);
    if (code == 0) {
        tern_tcp_read(e->t);
        pump(e);
    }
}

static void on_data(void *owner, uint8_t *data, size_t n)
{
    struct end *e = owner;
    e->first_at = e->got == 0 ? tern_sim_now(e->sim) : e->first_at;
    e->last_at = tern_sim_now(e->sim);
    for (size_t i = 0; i < n; i++) {
        e->wrong_byte |= data[i] != pattern(e->got + i);
    }
    memset(data, 0xee, n); /* the receiver may change it */
    e->got += n;
    e->pieces++;
    e->largest = n > e->largest ? n : e->largest;
    trace(e, 2, n);
    if (e->close_on_data) {
        tern_tcp_close(e->t, false);
        e->t = NULL;
    } else if (e->echo) {
        e->want += n;
        pump(e);
    }
}

static void on_end(void *owner)
{
    struct end *e = owner;
    e->ends++;
    e->end_at = tern_sim_now(e->sim);
    trace(e, 3, 0);
}

static void on_writable(void *owner)
{
    pump(owner);
}

static void on_error(void *owner, int code)
{
    struct end *e = owner;
    e->errors++;
    e->error = code;
    e->error_at = tern_sim_now(e->sim);
    trace(e, 4, (uint64_t)code);
}

static const tern_tcp_events events = {.on_connected = on_connected,
                                       .on_data = on_data,
                                       .on_end = on_end,
                                       .on_writable = on_writable,
                                       .on_error = on_error};

static void on_accept(void *owner, tern_tcp *t)
{
    struct end *e = owner;
    e->t = t;
    e->accepted_at = tern_sim_now(e->sim);
    trace(e, 5, 0);
    tern_tcp_set_owner(t, &events, e);
    tern_tcp_read(t);
    pump(e);
}

/* Two hosts, a listener on the second, a dial from the first. */
struct fixture {
    tern_sim *sim;
    tern_loop *a, *b;
    tern_tcp_listener *l;
    uint64_t start;
    struct end d, s; /* dialler, server */
};

static tern_endpoint at(const char *ip, uint16_t port)
{
    tern_endpoint e;
    assert_int_equal(tern_endpoint_parse_ip(&e, ip), 0);
    e.port = port;
    return e;
}

static void setup(struct fixture *f, uint64_t seed, const tern_sim_link *link)
{
    memset(f, 0, sizeof *f);
    assert_int_equal(tern_sim_new(seed, &f->sim), 0);
    tern_sim_set_default_link(f->sim, link);
    assert_int_equal(tern_sim_host(f->sim, "10.0.0.1", &f->a), 0);
    assert_int_equal(tern_sim_host(f->sim, "10.0.0.2", &f->b), 0);
    f->d.sim = f->s.sim = f->sim;
    tern_endpoint any = {.family = 4, .port = PORT};
    assert_int_equal(tern_tcp_listen(f->b, &any, on_accept, &f->s, &f->l), 0);
    f->start = tern_sim_now(f->sim);
}

static void dial(struct fixture *f, const char *ip, uint16_t port)
{
    tern_endpoint to = at(ip, port);
    assert_int_equal(tern_tcp_dial(f->a, &to, NULL, &events, &f->d, &f->d.t), 0);
}

static void run(struct fixture *f)
{
    tern_sim_run(f->sim, TERN_NEVER, NULL, NULL);
}

static void teardown(struct fixture *f)
{
    tern_tcp_close(f->d.t, false);
    tern_tcp_close(f->s.t, false);
    tern_tcp_listener_close(f->l);
    run(f);
    tern_sim_free(f->sim);
}

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
    /* Closed and dialled again at once from the same port: the old one's packets do no harm. */
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

/* --- the whole --- */

static uint64_t replay(uint64_t seed)
{
    struct fixture f;
    uint64_t hash = UINT64_C(0xcbf29ce484222325);
    tern_sim_link link = {
        .delay = 20 * TERN_MS, .jitter = 7 * TERN_MS, .rate = 5000000, .loss = 0.02};
    setup(&f, seed, &link);
    f.d.trace = f.s.trace = &hash;
    f.d.want = 200000;
    f.d.finish = true;
    f.s.echo = true;
    dial(&f, "10.0.0.2", PORT);
    run(&f);
    assert_int_equal(f.d.got, 200000);
    teardown(&f);
    return hash;
}

static void test_replay(void **state)
{
    (void)state;
    uint64_t first = replay(11);
    assert_int_equal(replay(11), first);
    assert_int_not_equal(replay(12), first);
}

static void test_a_thousand_hosts(void **state)
{
    (void)state;
    enum { HOSTS = 1000, TALK = 2000 };
    static struct end dialler[HOSTS], server[HOSTS];
    static tern_tcp_listener *listener[HOSTS];
    static tern_loop *host[HOSTS];
    memset(dialler, 0, sizeof dialler);
    memset(server, 0, sizeof server);
    tern_sim *sim;
    assert_int_equal(tern_sim_new(1, &sim), 0);
    tern_sim_set_default_link(sim, &(tern_sim_link){.delay = 20 * TERN_MS, .rate = 10000000});
    tern_endpoint any = {.family = 4, .port = PORT};
    char ip[32];
    for (unsigned i = 0; i < HOSTS; i++) {
        snprintf(ip, sizeof ip, "10.1.%u.%u", i / 250, i % 250 + 1);
        assert_int_equal(tern_sim_host(sim, ip, &host[i]), 0);
        server[i] = (struct end){.sim = sim, .echo = true};
        assert_int_equal(tern_tcp_listen(host[i], &any, on_accept, &server[i], &listener[i]), 0);
    }
    for (unsigned i = 0; i < HOSTS; i++) {
        unsigned next = (i + 1) % HOSTS;
        snprintf(ip, sizeof ip, "10.1.%u.%u", next / 250, next % 250 + 1);
        tern_endpoint to = at(ip, PORT);
        dialler[i] = (struct end){.sim = sim, .want = TALK};
        assert_int_equal(tern_tcp_dial(host[i], &to, NULL, &events, &dialler[i], &dialler[i].t), 0);
    }
    uint64_t start = tern_sim_now(sim);
    tern_sim_run(sim, TERN_NEVER, NULL, NULL);
    for (unsigned i = 0; i < HOSTS; i++) {
        assert_int_equal(dialler[i].connected_at, start + 40 * TERN_MS);
        assert_int_equal(dialler[i].got, TALK);
        tern_tcp_close(dialler[i].t, false);
        tern_tcp_close(server[i].t, false);
        tern_tcp_listener_close(listener[i]);
    }
    tern_sim_run(sim, TERN_NEVER, NULL, NULL);
    /* The cost is that of the traffic, whatever the number of hosts. */
    assert_true(tern_sim_get_stats(sim).events < 40 * HOSTS);
    tern_sim_free(sim);
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
        cmocka_unit_test(test_loss_keeps_bytes_and_order),
        cmocka_unit_test(test_lost_segment_costs_a_retransmission),
        cmocka_unit_test(test_lossy_handshakes),
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
        cmocka_unit_test(test_replay),
        cmocka_unit_test(test_a_thousand_hosts),
    };
    return TERN_TEST_MAIN(tests);
}
