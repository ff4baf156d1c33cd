/* Datagrams that nobody should send to a QUIC port, and the answers that need no connection:
 * version negotiation, Retry, stateless resets. None is longer than three times of what asked for
 * it, none leaves anything behind. */
#include <stdio.h>

#include "sim/attacker.h"
#include "sim/quic_pair.h"
#include "sim/raw_quic.h"

#define DELAY (10 * TERN_MS)

enum { INITIAL = 1200, MEMORY = 4 << 20 };

typedef struct world {
    sim_nodes w;
    sim_node *b;
    char addr[256];
    tern_endpoint at;
    sim_attacker e;
    size_t sent;
    unsigned honest, crowds;
} world;

static void serves(world *x)
{
    sim_dial d;
    sim_ping p;
    char ip[20];
    snprintf(ip, sizeof ip, "-10.0.1.%u", ++x->honest);
    sim_node *c = sim_nodes_add(&x->w, ip, NULL);
    sim_nodes_dial_one(c, x->addr, &d);
    if (d.conn == NULL) {
        fail_msg("an honest dial: %s: %s", d.error.layer, d.error.text);
    }
    sim_nodes_ping(c, d.conn, &p);
    assert_int_equal(p.error.code, 0);
    sim_node_end(c);
}

static void set_up(world *x)
{
    memset(x, 0, sizeof *x);
    sim_nodes_init(&x->w, DELAY);
    x->b = sim_nodes_add(&x->w, "-10.0.0.2", NULL);
    quic_pair_listen(x->b, "10.0.0.2", x->addr, sizeof x->addr);
    assert_int_equal(tern_endpoint_parse_ip(&x->at, "10.0.0.2"), 0);
    x->at.port = 4001;
    sim_attacker_init(&x->e, x->w.sim, "10.0.0.9", TERN_UDP_SET(TERN_UDP_QUIC));
}

static void tear_down(world *x)
{
    serves(x);
    sim_nodes_run(&x->w, 60 * TERN_SEC);
    assert_int_equal(tern_node_net(x->b->node)->natives, 0);
    assert_int_equal(tern_node_net(x->b->node)->pending.count, 0);
    tern_udp_close(x->e.u);
    sim_nodes_clear(&x->w);
}

static void say(world *x, const void *bytes, size_t n)
{
    sim_attacker_say(&x->e, bytes, n);
    x->sent += n;
}

/* ---- one datagram ---- */

/* Every first byte, in lengths on both sides of every limit. */
static void every_first_byte(void **state)
{
    static const size_t lengths[] = {1, 2, 5, 6, 7, 21, 22, 43, 100, 600, 1199, 1200, 1452, 4000};
    world x;
    uint8_t p[4000];
    uint32_t seed = 1;
    (void)state;
    set_up(&x);
    for (unsigned first = 0; first < 256; first++) {
        for (size_t i = 0; i < sizeof lengths / sizeof *lengths; i++) {
            for (size_t k = 0; k < lengths[i]; k++) {
                seed = seed * 1664525u + 1013904223u;
                p[k] = (uint8_t)(seed >> 24);
            }
            p[0] = (uint8_t)first;
            if (i % 2 == 1 && lengths[i] > 5) { /* of our version: further in */
                memcpy(p + 1, "\0\0\0\1\x08", 5);
            }
            size_t before = x.e.answered;
            say(&x, p, lengths[i]);
            sim_nodes_run(&x.w, 3 * DELAY);
            assert_in_range(x.e.answered - before, 0, 3 * lengths[i]);
        }
    }
    tern_counters *count = sim_counters(x.b);
    assert_true(count->quic_malformed > 0 && count->quic_unknown > 0 && count->quic_versions > 0);
    assert_in_range(x.e.answered, 0, x.sent);
    tear_down(&x);
}

typedef struct seen {
    tern_udp *u;
    uint8_t last[2000];
    size_t n;
    unsigned count;
} seen;

static void on_seen(void *owner, tern_udp *u, tern_datagram *d)
{
    seen *s = owner;
    (void)u;
    s->count++;
    s->n = d->len < sizeof s->last ? d->len : sizeof s->last;
    memcpy(s->last, d->data, s->n);
}

/* The answer names both ids, turned round, and the one version that there is. */
static void unknown_versions(void **state)
{
    static const uint32_t versions[] = {0x6b3343cf, 2, 9, 0x0a0a0a0a, 0xff00001d, UINT32_MAX};
    world x;
    seen s = {0};
    uint8_t p[1452];
    (void)state;
    set_up(&x);
    tern_udp_register(x.e.u, TERN_UDP_QUIC, on_seen, &s);
    for (size_t i = 0; i < sizeof versions / sizeof *versions; i++) {
        for (size_t n = 1199; n <= 1200; n++) {
            memset(p, 0x55, sizeof p);
            p[0] = 0xc3;
            tern_put32(p + 1, versions[i]);
            memcpy(p + 5,
                   "\x05"
                   "there"
                   "\x04"
                   "here",
                   11);
            s.count = 0;
            sim_attacker_say(&x.e, p, n);
            sim_nodes_run(&x.w, 3 * DELAY);
            assert_int_equal(s.count, n >= INITIAL);
        }
        assert_int_equal(s.n, 1 + 4 + 1 + 4 + 1 + 5 + 4);
        assert_true((s.last[0] & 0x80) != 0);
        assert_memory_equal(s.last + 1, "\0\0\0\0\x04here\x05there\0\0\0\1", 19);
    }
    assert_true(sim_counters(x.b)->quic_versions >= sizeof versions / sizeof *versions);
    s.count = 0; /* an answer is not answered: two nodes would talk for ever */
    tern_put32(p + 1, 0);
    sim_attacker_say(&x.e, p, 1200);
    sim_nodes_run(&x.w, 3 * DELAY);
    assert_int_equal(s.count, 0);
    tear_down(&x);
}

/* ---- Initials ---- */

/* A client's first datagram from that address; each is another one's. */
static void first_flight(world *x, tern_loop *host, const char *ip, uint16_t port,
                         const raw_quic_options *options, raw_quic *r)
{
    raw_quic_options o = *options;
    o.alpn = "libp2p";
    o.port = port;
    raw_quic_dial(r, host, ip, &x->at, &o);
    assert_int_equal(r->first_n, INITIAL);
}

/* Whatever is missing of it, it is no client. */
static void truncated_initials(void **state)
{
    world x;
    raw_quic r;
    tern_loop *host;
    uint8_t p[INITIAL];
    (void)state;
    set_up(&x);
    assert_int_equal(tern_sim_host(x.w.sim, "10.0.0.8", &host), 0);
    first_flight(&x, host, "10.0.0.8", 9, &(raw_quic_options){.silent = true}, &r);
    for (size_t n = 1; n < INITIAL; n += n < 80 || n > 1190 ? 1 : 37) { /* the datagram's end */
        say(&x, r.first, n);
    }
    sim_nodes_run(&x.w, TERN_SEC);
    assert_int_equal(x.e.answers, 0);
    assert_int_equal(sim_counters(x.b)->accepts, 0);
    for (size_t n = 1; n < INITIAL; n += n < 80 || n > 1190 ? 1 : 37) { /* what follows is zeros */
        memset(p, 0, sizeof p);
        memcpy(p, r.first, n);
        say(&x, p, sizeof p);
        sim_nodes_run(&x.w, 3 * DELAY);
        assert_int_equal(tern_node_net(x.b->node)->natives, 0);
    }
    assert_in_range(x.e.answered, 0, x.sent);
    raw_quic_clear(&r);
    tear_down(&x);
}

enum { FLOOD = 5000, HOSTS = 50 };

/* From so many addresses; each Initial from a port of its own. */
static void flood(world *x, unsigned hosts, uint16_t first_port)
{
    const tern_net *net = tern_node_net(x->b->node);
    size_t before = tern_mem_bytes();
    for (unsigned h = 0; h < hosts; h++) {
        tern_loop *host;
        char ip[20];
        snprintf(ip, sizeof ip, "10.%u.0.1", 1 + h);
        assert_int_equal(tern_sim_host(x->w.sim, ip, &host), 0);
        for (unsigned i = 0; i < FLOOD / hosts; i++) {
            raw_quic r;
            first_flight(x, host, ip, (uint16_t)(first_port + i), &(raw_quic_options){0}, &r);
            x->sent += r.first_n;
            raw_quic_clear(&r); /* it never answers */
            if (i % 50 == 0) {
                sim_nodes_run(&x->w, DELAY / 10);
                assert_in_range(net->pending.count, 0, net->limits.pending);
                assert_in_range(net->natives, 0, net->limits.pending);
                assert_in_range(tern_mem_bytes(), 0, before + MEMORY);
            }
        }
    }
    sim_nodes_run(&x->w, 2 * DELAY);
}

/* All of one address: it loses its own places, and costs nobody else one. */
static void initials_of_one_address(void **state)
{
    world x;
    (void)state;
    set_up(&x);
    flood(&x, 1, 1000);
    const tern_net *net = tern_node_net(x.b->node);
    assert_in_range(net->pending.count, 1, net->limits.pending_per_ip);
    assert_int_equal(sim_counters(x.b)->quic_retries, 0);
    assert_true(sim_counters(x.b)->evicted_pending_per_ip > FLOOD / 2);
    assert_in_range(sim_counters(x.b)->bytes_out, 1, 3 * x.sent);
    tear_down(&x);
}

/* Of many: once half of the places are taken, an address is proven before it gets one. */
static void initials_of_many_addresses(void **state)
{
    world x;
    (void)state;
    set_up(&x);
    flood(&x, HOSTS, 1000);
    const tern_net *net = tern_node_net(x.b->node);
    assert_int_equal(net->pending.count, net->limits.pending / 2);
    assert_true(sim_counters(x.b)->quic_retries > FLOOD / 2);
    assert_int_equal(sim_counters(x.b)->evicted_pending, 0);
    assert_in_range(sim_counters(x.b)->bytes_out, 1, 3 * x.sent);
    serves(&x); /* while it goes on: by way of a Retry */
    tear_down(&x);
}

/* ---- tokens ---- */

/* So many half-open ones that an address has to be proven. */
static void crowd(world *x)
{
    const tern_net *net = tern_node_net(x->b->node);
    while (net->pending.count < net->limits.pending / 2) {
        tern_loop *host;
        char ip[20];
        snprintf(ip, sizeof ip, "10.%u.0.9", 100 + x->crowds++);
        assert_int_equal(tern_sim_host(x->w.sim, ip, &host), 0);
        for (unsigned i = 0; i < 4; i++) {
            raw_quic r;
            first_flight(x, host, ip, (uint16_t)(1 + i), &(raw_quic_options){0}, &r);
            raw_quic_clear(&r);
        }
        sim_nodes_run(&x->w, 2 * DELAY);
    }
}

/* A client that was sent away with a Retry: its next datagram has the token; is it sent? */
static void retried(world *x, raw_quic *r, bool sent)
{
    tern_loop *host;
    crowd(x);
    uint64_t retries = sim_counters(x->b)->quic_retries;
    assert_int_equal(tern_sim_host(x->w.sim, "10.0.0.8", &host), 0);
    first_flight(x, host, "10.0.0.8", 9, &(raw_quic_options){0}, r);
    r->options.silent = !sent;
    sim_nodes_run(&x->w, 2 * DELAY + DELAY / 2); /* it has come, and the answer is on its way */
    assert_int_equal(r->retries, 1);
    assert_int_equal(sim_counters(x->b)->quic_retries, retries + 1);
}

static void a_token_opens(void **state)
{
    world x;
    raw_quic r;
    (void)state;
    set_up(&x);
    retried(&x, &r, true);
    uint64_t accepts = sim_counters(x.b)->accepts;
    sim_nodes_run(&x.w, DELAY);
    assert_int_equal(sim_counters(x.b)->accepts, accepts + 1);
    assert_int_equal(sim_counters(x.b)->quic_retries, 1);
    raw_quic_clear(&r);
    tear_down(&x);
}

/* Whoever comes with it is asked again, and nothing is kept of him. */
static void a_wrong_token(void **state)
{
    world x;
    raw_quic r;
    (void)state;
    set_up(&x);
    retried(&x, &r, false);
    uint64_t accepts = sim_counters(x.b)->accepts;
    r.first[1 + 4 + 1 + 8 + 1 + 8 + 2 + 20] ^= 1; /* behind the ids and its length */
    assert_int_equal(tern_udp_send(r.u, &x.at, r.first, r.first_n, 0, 0), 0);
    sim_nodes_run(&x.w, 3 * DELAY);
    assert_int_equal(sim_counters(x.b)->quic_retries, 2);
    assert_int_equal(sim_counters(x.b)->accepts, accepts);
    raw_quic_clear(&r);
    tear_down(&x);
}

/* The datagram from another address; then from its own, but when its time is over. */
static void a_token_of_another(void **state)
{
    world x;
    raw_quic r;
    (void)state;
    set_up(&x);
    retried(&x, &r, false);
    uint64_t accepts = sim_counters(x.b)->accepts, retries = sim_counters(x.b)->quic_retries;
    sim_attacker_say(&x.e, r.first, r.first_n);
    sim_nodes_run(&x.w, 3 * DELAY);
    assert_int_equal(sim_counters(x.b)->accepts, accepts);
    assert_int_equal(sim_counters(x.b)->quic_retries, retries + 1);
    sim_nodes_run(&x.w, 11 * TERN_SEC);
    crowd(&x);
    accepts = sim_counters(x.b)->accepts;
    retries = sim_counters(x.b)->quic_retries;
    assert_int_equal(tern_udp_send(r.u, &x.at, r.first, r.first_n, 0, 0), 0);
    sim_nodes_run(&x.w, 3 * DELAY);
    assert_int_equal(sim_counters(x.b)->accepts, accepts);
    assert_int_equal(sim_counters(x.b)->quic_retries, retries + 1);
    raw_quic_clear(&r);
    tear_down(&x);
}

/* ---- stateless resets ---- */

/* For a connection that it does not know, with less than what came, and so many a second. */
static void stateless_resets(void **state)
{
    world x;
    seen s = {0};
    uint8_t p[100];
    (void)state;
    set_up(&x);
    tern_udp_register(x.e.u, TERN_UDP_QUIC, on_seen, &s);
    memset(p, 0x42, sizeof p);
    for (size_t n = 1; n <= sizeof p; n++) {
        s.count = 0;
        sim_attacker_say(&x.e, p, n);
        sim_nodes_run(&x.w, TERN_SEC);
        assert_true(s.count == 0 || s.n < n);
        assert_int_equal(s.count, n > 5 + 16 + 1);
        if (s.count > 0) {
            assert_int_equal(s.last[0] & 0xc0, 0x40);
        }
    }
    for (unsigned second = 0; second < 3; second++) {
        sim_nodes_run(&x.w, TERN_SEC - sim_nodes_now(&x.w) % TERN_SEC);
        s.count = 0;
        uint64_t unknown = sim_counters(x.b)->quic_unknown;
        for (uint8_t i = 0; i < 100; i++) {
            p[1] = i;
            sim_attacker_say(&x.e, p, sizeof p);
        }
        sim_nodes_run(&x.w, TERN_SEC / 2);
        assert_int_equal(s.count, QUIC_RESETS_MAX);
        assert_int_equal(sim_counters(x.b)->quic_unknown, unknown + 100);
    }
    tear_down(&x);
}

/* A node that was killed and came back as the same tells so to those who go on. */
static void a_node_that_was_restarted(void **state)
{
    sim_nodes w;
    sim_dial d;
    sim_ping ping;
    tern_options o;
    char addr[256];
    (void)state;
    sim_nodes_init(&w, DELAY);
    tern_options_init(&o);
    assert_int_equal(tern_key_generate(TERN_KEY_ED25519, &o.key), 0);
    sim_node *b = sim_nodes_add(&w, "-10.0.0.2", &o);
    sim_node *a = sim_nodes_add(&w, "-10.0.0.1", NULL);
    quic_pair_listen(b, "10.0.0.2", addr, sizeof addr);
    sim_nodes_dial_one(a, addr, &d);
    assert_non_null(d.conn);
    sim_nodes_run(&w, TERN_SEC);
    sim_node_vanish(b);
    b = sim_nodes_add(&w, "-10.0.0.2", &o);
    quic_pair_listen(b, "10.0.0.2", addr, sizeof addr);
    sim_nodes_ping(a, d.conn, &ping);
    assert_int_equal(ping.error.code, TERN_E_CONN_CLOSED);
    sim_nodes_run(&w, DELAY);
    assert_int_equal(a->disconnected, 1);
    assert_int_equal(a->why.code, TERN_E_RESET);
    assert_in_range(sim_counters(b)->quic_unknown, 1, 2);
    tern_key_unref(o.key);
    sim_nodes_clear(&w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_first_byte),
        cmocka_unit_test(unknown_versions),
        cmocka_unit_test(truncated_initials),
        cmocka_unit_test(initials_of_one_address),
        cmocka_unit_test(initials_of_many_addresses),
        cmocka_unit_test(a_token_opens),
        cmocka_unit_test(a_wrong_token),
        cmocka_unit_test(a_token_of_another),
        cmocka_unit_test(stateless_resets),
        cmocka_unit_test(a_node_that_was_restarted),
    };
    return TERN_TEST_MAIN(tests);
}
