/* Tests of simulated UDP: delay, loss, jitter, duplicates, rate, sizes, segments. */
#include "base/test.h"

#include <tern/error.h>

#include "loop/sim.h"
#include "loop/udp.h"

enum { FIRST_BYTE = 0x40 }; /* any of the QUIC class */

struct fixture {
    tern_sim *sim;
    tern_loop *a, *b;
    tern_udp *ua, *ub;
    tern_endpoint to; /* b's socket */
};

struct seen {
    unsigned count, reordered;
    uint32_t last;
    size_t bytes, last_len;
    uint8_t ecn;
    uint64_t first_at, last_at;
    tern_endpoint from;
    tern_sim *sim;
};

static void on_datagram(void *owner, tern_udp *u, tern_datagram *d)
{
    struct seen *seen = owner;
    (void)u;
    seen->last_at = tern_sim_now(seen->sim);
    seen->first_at = seen->count == 0 ? seen->last_at : seen->first_at;
    seen->count++;
    seen->bytes += d->len;
    seen->last_len = d->len;
    seen->ecn = d->ecn;
    seen->from = d->from;
    if (d->len >= 5) {
        uint32_t number = tern_get32(d->data + 1);
        seen->reordered += number < seen->last;
        seen->last = number;
    }
    memset(d->data, 0, d->len); /* the receiver may change it */
}

static tern_endpoint at(const char *ip, uint16_t port)
{
    tern_endpoint e;
    assert_int_equal(tern_endpoint_parse_ip(&e, ip), 0);
    e.port = port;
    return e;
}

static struct fixture open_world(uint64_t seed, const tern_sim_link *link, struct seen *seen)
{
    struct fixture f;
    assert_int_equal(tern_sim_new(seed, &f.sim), 0);
    tern_sim_set_default_link(f.sim, link);
    assert_int_equal(tern_sim_host(f.sim, "10.0.0.1", &f.a), 0);
    assert_int_equal(tern_sim_host(f.sim, "10.0.0.2", &f.b), 0);
    tern_endpoint any = {.family = 4};
    f.to = at("10.0.0.2", 4001);
    assert_int_equal(tern_udp_bind(f.a, &any, &f.ua), 0);
    any.port = 4001;
    assert_int_equal(tern_udp_bind(f.b, &any, &f.ub), 0);
    *seen = (struct seen){.sim = f.sim};
    tern_udp_register(f.ub, TERN_UDP_QUIC, on_datagram, seen);
    return f;
}

static void close_world(struct fixture *f)
{
    tern_udp_close(f->ua);
    tern_udp_close(f->ub);
    tern_sim_free(f->sim);
}

static void send_numbered(struct fixture *f, uint32_t number, size_t len)
{
    uint8_t data[1500] = {FIRST_BYTE};
    tern_put32(data + 1, number);
    assert_int_equal(tern_udp_send(f->ua, &f->to, data, len, 0, 2), 0);
}

static void test_delay(void **state)
{
    (void)state;
    struct seen seen;
    struct fixture f = open_world(1, &(tern_sim_link){.delay = 30 * TERN_MS}, &seen);
    uint64_t start = tern_sim_now(f.sim);
    send_numbered(&f, 0, 100);
    tern_sim_run(f.sim, TERN_NEVER, NULL, NULL);
    assert_int_equal(seen.count, 1);
    assert_int_equal(seen.last_len, 100);
    assert_int_equal(seen.last_at, start + 30 * TERN_MS);
    assert_int_equal(seen.ecn, 2);
    tern_endpoint from;
    tern_udp_local(f.ua, &from);
    assert_int_equal(seen.from.port, from.port);
    assert_int_equal(seen.from.ip[3], 1);
    assert_true(from.port >= 49152);
    close_world(&f);
}

static void test_loss_in_bounds(void **state)
{
    (void)state;
    struct seen seen;
    struct fixture f = open_world(3, &(tern_sim_link){.delay = TERN_MS, .loss = 0.1}, &seen);
    for (uint32_t i = 0; i < 10000; i++) {
        send_numbered(&f, i, 20);
    }
    tern_sim_run(f.sim, TERN_NEVER, NULL, NULL);
    /* 9000 expected, standard deviation 30: five of them each way. */
    assert_in_range(seen.count, 8850, 9150);
    assert_int_equal(seen.reordered, 0);
    assert_int_equal(tern_sim_get_stats(f.sim).lost, 10000 - seen.count);
    close_world(&f);
}

static void test_jitter_reorders(void **state)
{
    (void)state;
    struct seen seen;
    tern_sim_link link = {.delay = 10 * TERN_MS, .jitter = 5 * TERN_MS};
    struct fixture f = open_world(4, &link, &seen);
    uint64_t start = tern_sim_now(f.sim);
    for (uint32_t i = 0; i < 200; i++) {
        send_numbered(&f, i, 20);
    }
    tern_sim_run(f.sim, TERN_NEVER, NULL, NULL);
    assert_int_equal(seen.count, 200);
    assert_true(seen.reordered > 50);
    assert_true(seen.first_at >= start + 10 * TERN_MS);
    assert_true(seen.last_at <= start + 15 * TERN_MS);
    close_world(&f);
}

static void test_duplicates(void **state)
{
    (void)state;
    struct seen seen;
    struct fixture f = open_world(5, &(tern_sim_link){.duplicate = 0.5}, &seen);
    for (uint32_t i = 0; i < 1000; i++) {
        send_numbered(&f, i, 20);
    }
    tern_sim_run(f.sim, TERN_NEVER, NULL, NULL);
    assert_in_range(seen.count, 1400, 1600);
    close_world(&f);
}

static void test_rate_and_queue(void **state)
{
    (void)state;
    struct seen seen;
    /* 1000 bytes at 1 MB/s: a millisecond each. */
    tern_sim_link link = {.delay = 20 * TERN_MS, .rate = 1000000};
    struct fixture f = open_world(6, &link, &seen);
    uint64_t start = tern_sim_now(f.sim);
    for (uint32_t i = 0; i < 1500; i++) {
        send_numbered(&f, i, 1000);
    }
    tern_sim_run(f.sim, TERN_NEVER, NULL, NULL);
    assert_int_equal(seen.count, 1000); /* the queue holds that many */
    assert_int_equal(seen.first_at, start + 21 * TERN_MS);
    assert_int_equal(seen.last_at, start + 1020 * TERN_MS);
    assert_int_equal(seen.reordered, 0);
    send_numbered(&f, 2000, 1000); /* it is empty again */
    tern_sim_run(f.sim, TERN_NEVER, NULL, NULL);
    assert_int_equal(seen.count, 1001);
    close_world(&f);
}

static void test_sizes_and_segments(void **state)
{
    (void)state;
    struct seen seen;
    struct fixture f = open_world(7, &(tern_sim_link){.delay = TERN_MS}, &seen);
    static uint8_t data[5000];
    memset(data, FIRST_BYTE, sizeof data);
    assert_int_equal(tern_udp_send(f.ua, &f.to, data, 1472, 0, 0), 0);
    assert_int_equal(tern_udp_send(f.ua, &f.to, data, 1473, 0, 0), 0);
    tern_sim_run(f.sim, TERN_NEVER, NULL, NULL);
    assert_int_equal(seen.count, 1);
    assert_int_equal(tern_udp_send(f.ua, &f.to, data, 5000, 1200, 0), 0);
    tern_sim_run(f.sim, TERN_NEVER, NULL, NULL);
    assert_int_equal(seen.count, 6);
    assert_int_equal(seen.last_len, 200);
    assert_int_equal(seen.bytes, 1472 + 5000);
    close_world(&f);
}

static void test_binding(void **state)
{
    (void)state;
    struct seen seen;
    struct fixture f = open_world(8, &(tern_sim_link){.delay = TERN_MS}, &seen);
    tern_udp *u;
    tern_endpoint e = at("10.0.0.2", 4001);
    assert_int_equal(tern_udp_bind(f.b, &e, &u), TERN_E_ADDRINUSE); /* any:4001 is there */
    e.port = 4002;
    assert_int_equal(tern_udp_bind(f.b, &e, &u), 0);
    tern_endpoint any = {.family = 4, .port = 4002};
    tern_udp *other;
    assert_int_equal(tern_udp_bind(f.b, &any, &other), TERN_E_ADDRINUSE);
    tern_udp_close(u);
    assert_int_equal(tern_udp_bind(f.b, &any, &u), 0);
    tern_udp_close(u);
    e = at("10.0.0.9", 4002);
    assert_int_equal(tern_udp_bind(f.b, &e, &u), TERN_E_UNREACHABLE);
    close_world(&f);
}

static void test_loopback(void **state)
{
    (void)state;
    struct seen seen;
    struct fixture f = open_world(9, &(tern_sim_link){.delay = TERN_SEC, .loss = 1}, &seen);
    tern_endpoint any = {.family = 4}, to = at("127.0.0.1", 4001);
    tern_udp *u;
    uint64_t start = tern_sim_now(f.sim);
    static uint8_t data[9000] = {FIRST_BYTE};
    assert_int_equal(tern_udp_bind(f.b, &any, &u), 0);
    assert_int_equal(tern_udp_send(u, &to, data, sizeof data, 0, 0), 0);
    tern_sim_run(f.sim, TERN_NEVER, NULL, NULL);
    assert_int_equal(seen.count, 1);
    assert_int_equal(seen.last_at, start);
    assert_true(tern_endpoint_is_loopback(&seen.from));
    tern_udp_close(u);
    close_world(&f);
}

static void test_nowhere(void **state)
{
    (void)state;
    struct seen seen;
    struct fixture f = open_world(10, &(tern_sim_link){.delay = TERN_MS}, &seen);
    tern_endpoint nobody = at("10.0.0.99", 1), closed = at("10.0.0.2", 9);
    assert_int_equal(tern_udp_send(f.ua, &nobody, "@", 1, 0, 0), 0);
    assert_int_equal(tern_udp_send(f.ua, &closed, "@", 1, 0, 0), 0);
    send_numbered(&f, 1, 20);
    tern_sim_crash(f.b); /* while it is on its way */
    tern_sim_run(f.sim, TERN_NEVER, NULL, NULL);
    assert_int_equal(seen.count, 0);
    send_numbered(&f, 1, 20); /* left behind on the wire when the world ends */
    close_world(&f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_delay),           cmocka_unit_test(test_loss_in_bounds),
        cmocka_unit_test(test_jitter_reorders), cmocka_unit_test(test_duplicates),
        cmocka_unit_test(test_rate_and_queue),  cmocka_unit_test(test_sizes_and_segments),
        cmocka_unit_test(test_binding),         cmocka_unit_test(test_loopback),
        cmocka_unit_test(test_nowhere),
    };
    return TERN_TEST_MAIN(tests);
}
