/* WebRTC Direct against strangers, who send datagrams and get as far as the DTLS handshake: what is
 * no check, what is forged, floods, reflection, addresses of others. Dropped or bounded, counted,
 * never answered with more than they cost, and those who come are served. */
#include "sim/webrtc_pair.h"

#include <stdio.h>

#include "base/mem.h"
#include "crypto/cert_derive.h"

enum { MEMORY = 512 * 1024 };

static void test_datagrams_that_are_refused(void **state)
{
    webrtc_pair p;
    sim_attacker x;
    uint8_t m[TERN_STUN_MAX];
    (void)state;
    webrtc_pair_init(&p, NULL);
    webrtc_pair_stranger(&p, &x, "10.0.9.9");
    tern_counters *count = sim_counters(p.b);
    sim_attacker_say(&x, "\0\1\0\0garbage", 11);
    sim_attacker_say(&x, "\2", 1);
    sim_attacker_say(&x, "\24\376\375\0\0", 5); /* DTLS of an unknown address */
    static const tern_span bad = {(const uint8_t *)"evtj:h6vY", 9};
    tern_stun_request r = {.username = bad, .password = bad, .priority = 1};
    sim_attacker_say(&x, m, (size_t)tern_stun_put_request(m, &r)); /* another scheme */
    size_t n = webrtc_pair_check(m, 1);
    m[n - 9] ^= 1; /* the last byte of its integrity; its fingerprint is wrong too */
    sim_attacker_say(&x, m, n);
    m[n - 9] ^= 1;
    static const uint8_t id[TERN_STUN_ID] = {1};
    ssize_t k = tern_stun_put_success(m, id, &x.to, bad);
    sim_attacker_say(&x, m, (size_t)k); /* an answer to nothing */
    sim_nodes_run(&p.w, TERN_SEC);
    assert_int_equal(x.answers, 0);
    assert_int_equal(count->stun_malformed, 2);
    assert_int_equal(count->dtls_unexpected, 1);
    assert_int_equal(count->stun_bad_user, 1);
    assert_int_equal(count->stun_forged, 1);
    assert_int_equal(count->stun_unexpected, 1);
    /* A good one is answered with less than it asked; its DTLS is garbage. */
    n = webrtc_pair_check(m, 2);
    sim_attacker_say(&x, m, n);
    sim_nodes_run(&p.w, 100 * TERN_MS);
    assert_int_equal(x.answers, 1);
    assert_true(x.answered < n);
    sim_attacker_say(&x, "\26\376\375\0\0\0\0\0\0\0\0\0\4junk", 17);
    sim_nodes_run(&p.w, TERN_SEC);
    sim_nodes_run(&p.w, 20 * TERN_SEC);
    assert_int_equal(tern_node_net(p.b->node)->pending.count, 0);
    webrtc_pair_connect(&p);
    tern_udp_close(x.u);
    sim_nodes_clear(&p.w);
}

/* 5,000 names from one address: it keeps eight places and nobody else notices. */
static void test_a_flood_of_names(void **state)
{
    webrtc_pair p;
    sim_attacker x;
    (void)state;
    webrtc_pair_init(&p, NULL);
    webrtc_pair_stranger(&p, &x, "10.0.9.9");
    for (uint32_t i = 0; i < 5000; i++) {
        webrtc_pair_say_check(&x, i);
    }
    sim_nodes_run(&p.w, 100 * TERN_MS);
    const tern_net *net = tern_node_net(p.b->node);
    assert_int_equal(net->pending.count, net->limits.pending_per_ip);
    assert_int_equal(net->counters.evicted_pending_per_ip, 5000 - net->limits.pending_per_ip);
    webrtc_pair_connect(&p);
    tern_udp_close(x.u);
    sim_nodes_clear(&p.w);
}

/* The same from many addresses: at most limits.pending places, and those who come get one. */
static void test_a_flood_of_addresses(void **state)
{
    enum { ATTACKERS = 40 };
    webrtc_pair p;
    sim_attacker x[ATTACKERS];
    char ip[32];
    (void)state;
    webrtc_pair_init(&p, NULL);
    for (uint32_t i = 0; i < ATTACKERS; i++) {
        snprintf(ip, sizeof ip, "10.0.8.%u", (unsigned)i + 1);
        webrtc_pair_stranger(&p, &x[i], ip);
        for (uint32_t k = 0; k < 20; k++) {
            webrtc_pair_say_check(&x[i], i << 8 | k);
        }
    }
    sim_nodes_run(&p.w, 100 * TERN_MS);
    const tern_net *net = tern_node_net(p.b->node);
    assert_int_equal(net->pending.count, net->limits.pending);
    webrtc_pair_connect(&p); /* with a cookie now */
    for (uint32_t i = 0; i < ATTACKERS; i++) {
        tern_udp_close(x[i].u);
    }
    sim_nodes_clear(&p.w);
}

/* Virtual time until a node of its own has dialled. */
static uint64_t dial_time(webrtc_pair *p, const char *ip)
{
    sim_dial d;
    sim_node *n = sim_nodes_add(&p->w, ip, NULL);
    uint64_t begin = sim_nodes_now(&p->w);
    sim_nodes_dial_one(n, p->addr, &d);
    assert_non_null(d.conn);
    return d.at - begin;
}

/* The cookie costs a round trip, and only those who come while more than half of the places are
 * taken pay it. */
static void test_a_cookie_under_load_alone(void **state)
{
    enum { ATTACKERS = 40 };
    webrtc_pair p;
    sim_attacker x[ATTACKERS];
    char ip[32];
    (void)state;
    webrtc_pair_init(&p, NULL);
    const tern_net *net = tern_node_net(p.b->node);
    uint64_t alone = dial_time(&p, "-10.0.0.3");
    assert_int_equal(alone, 5 * 2 * WEBRTC_PAIR_DELAY);
    for (uint32_t i = 0; i < ATTACKERS; i++) {
        snprintf(ip, sizeof ip, "10.0.8.%u", (unsigned)i + 1);
        webrtc_pair_stranger(&p, &x[i], ip);
    }
    for (uint32_t i = 0; i < net->limits.pending / 2 - 1; i++) {
        webrtc_pair_say_check(&x[i], i);
    }
    sim_nodes_run(&p.w, 2 * WEBRTC_PAIR_DELAY);
    assert_int_equal(net->pending.count, net->limits.pending / 2 - 1);
    assert_int_equal(dial_time(&p, "-10.0.0.4"), alone);
    for (uint32_t i = 0; i < ATTACKERS; i++) {
        webrtc_pair_say_check(&x[i], 1000 + i);
    }
    sim_nodes_run(&p.w, 2 * WEBRTC_PAIR_DELAY);
    assert_true(net->pending.count > net->limits.pending / 2);
    assert_int_equal(dial_time(&p, "-10.0.0.5"), alone + 2 * WEBRTC_PAIR_DELAY);
    for (uint32_t i = 0; i < ATTACKERS; i++) {
        tern_udp_close(x[i].u);
    }
    sim_nodes_clear(&p.w);
}

/* Requests under user names of no scheme, of lengths and characters that are none, and with a wrong
 * password: nothing is kept of them and nobody answers. */
static void test_a_flood_of_wrong_names(void **state)
{
    static const char *const names[] = {
        "libp2p+webrtc+v3/abcdefghijklmnopqrstuvwxyz:abcd",
        "libp2p+webrtc+v2/short:abcd",
        "libp2p+webrtc+v2/abcdefghijklmnopqrstuvwxyz:a",
        "libp2p+webrtc+v2/abcdefghijklmnopqrst\r\na=x:abcd",
        "libp2p+webrtc+v1/abcdefghijklmnopqrstuvwxyz:abcd",
        "libp2p+webrtc+v2/abcdefghijklmnopqrstuvwxyz",
        "somebody:else",
    };
    enum { NAMES = sizeof names / sizeof *names, ROUNDS = 1000 };
    webrtc_pair p;
    sim_attacker x;
    uint8_t m[TERN_STUN_MAX];
    (void)state;
    webrtc_pair_init(&p, NULL);
    webrtc_pair_stranger(&p, &x, "10.0.9.9");
    size_t before = tern_mem_bytes();
    for (unsigned i = 0; i < NAMES * ROUNDS; i++) {
        const char *name = names[i % NAMES];
        tern_stun_request r = {.username = {(const uint8_t *)name, strlen(name)},
                               .password = {(const uint8_t *)name, strcspn(name, ":")},
                               .priority = 1};
        sim_attacker_say(&x, m, (size_t)tern_stun_put_request(m, &r));
    }
    for (uint32_t i = 0; i < ROUNDS; i++) {
        size_t n = webrtc_pair_check(m, i);
        m[n - 12] ^= 1; /* integrity; the fingerprint does not cover for it */
        sim_attacker_say(&x, m, n);
    }
    sim_nodes_run(&p.w, TERN_SEC);
    const tern_net *net = tern_node_net(p.b->node);
    assert_int_equal(net->counters.stun_bad_user, NAMES * ROUNDS);
    assert_int_equal(net->counters.stun_forged, ROUNDS);
    assert_int_equal(x.answers, 0);
    assert_int_equal(net->pending.count, 0);
    assert_true(tern_mem_bytes() < before + MEMORY / 4); /* the simulator's own queue */
    tern_udp_close(x.u);
    webrtc_pair_end(&p);
}

/* From the address of a secured connection, under a name of the stranger's: the connection keeps
 * it.
 */
static void test_an_address_of_somebody_else(void **state)
{
    webrtc_pair p;
    sim_ping ping;
    uint8_t m[TERN_STUN_MAX];
    (void)state;
    webrtc_pair_init(&p, NULL);
    webrtc_conn *c = webrtc_pair_connect(&p);
    for (uint32_t i = 0; i < 20; i++) {
        size_t n = webrtc_pair_check(m, i);
        webrtc_endpoint_send(c->endpoint, &c->remote, m, n);
    }
    sim_nodes_ping(p.a, p.conn, &ping);
    assert_int_equal(ping.error.code, 0);
    assert_int_equal(sim_counters(p.b)->stun_taken, 20);
    assert_int_equal(tern_node_net(p.b->node)->pending.count, 0);
    assert_int_equal(p.a->disconnected + p.b->disconnected, 0);
    webrtc_pair_end(&p);
}

/* ---- DTLS ---- */

typedef struct hello {
    sim_attacker *x;
    size_t sent;
} hello;

static bool say_hello(void *owner, const uint8_t *bytes, size_t n)
{
    hello *h = owner;
    h->sent += n;
    sim_attacker_say(h->x, bytes, n);
    return true;
}

/* A check and a good ClientHello, after which nothing follows. */
static size_t begin_handshake(sim_attacker *x, tern_dtls_context *context, uint32_t number)
{
    uint8_t m[TERN_STUN_MAX];
    hello h = {.x = x, .sent = webrtc_pair_check(m, number)};
    const tern_dtls_options o = {.send = say_hello, .owner = &h};
    tern_dtls_engine *e;
    tern_error error;
    sim_attacker_say(x, m, h.sent);
    assert_int_equal(tern_dtls_engine_new(context, &o, &e), 0);
    assert_int_equal(tern_dtls_engine_handshake(e, 0, (tern_span){NULL, 0}, &error), 0);
    tern_dtls_engine_free(e);
    return h.sent;
}

static tern_dtls_context *make_context(void)
{
    static const tern_cert_recipe recipe = {"test", 1577836800, 4733510400};
    tern_cert *cert;
    tern_dtls_context *context;
    assert_int_equal(
        tern_cert_derive_from((tern_span){(const uint8_t *)"secret", 6}, &recipe, &cert), 0);
    assert_int_equal(tern_dtls_context_new(cert, &context), 0);
    tern_cert_free(cert);
    return context;
}

/* Whoever forges a victim's address makes the node send it no more than three times what he sends
 * himself: the flight is not repeated to who never answers. Half of the places are free, so nobody
 * is asked for a cookie. */
static void test_no_reflection(void **state)
{
    webrtc_pair p;
    sim_attacker x;
    (void)state;
    webrtc_pair_init(&p, NULL);
    webrtc_pair_stranger(&p, &x, "10.0.9.9");
    tern_dtls_context *context = make_context();
    size_t sent = begin_handshake(&x, context, 1);
    sim_nodes_run(&p.w, 60 * TERN_SEC);
    assert_true(x.answers >= 2); /* the check's answer, and a flight */
    assert_true(x.answered <= 3 * sent);
    assert_true(sim_counters(p.b)->dtls_withheld > 0);
    tern_dtls_context_free(context);
    tern_udp_close(x.u);
    webrtc_pair_end(&p);
}

/* Good ClientHellos from everywhere, none of which goes on: places are bounded, and above half of
 * them what is sent is a cookie. */
static void test_a_flood_of_hellos(void **state)
{
    enum { ATTACKERS = 40, EACH = 10 };
    webrtc_pair p;
    sim_attacker x[ATTACKERS];
    char ip[32];
    size_t sent = 0, answered = 0;
    (void)state;
    webrtc_pair_init(&p, NULL);
    tern_dtls_context *context = make_context();
    for (uint32_t i = 0; i < ATTACKERS; i++) {
        snprintf(ip, sizeof ip, "10.0.8.%u", (unsigned)i + 1);
        webrtc_pair_stranger(&p, &x[i], ip);
    }
    size_t before = tern_mem_bytes();
    for (uint32_t i = 0; i < ATTACKERS * EACH; i++) {
        sent += begin_handshake(&x[i % ATTACKERS], context, i);
        sim_nodes_run(&p.w, TERN_MS);
        assert_true(tern_mem_bytes() < before + MEMORY);
    }
    const tern_net *net = tern_node_net(p.b->node);
    assert_true(net->pending.count <= net->limits.pending);
    webrtc_pair_connect(&p);
    sim_nodes_run(&p.w, 20 * TERN_SEC);
    for (uint32_t i = 0; i < ATTACKERS; i++) {
        answered += x[i].answered;
        tern_udp_close(x[i].u);
    }
    assert_true(answered <= 2 * sent);
    tern_dtls_context_free(context);
    webrtc_pair_end(&p);
}

/* A piece of a handshake message: type, the message's length and number, where the piece lies. */
static void fragment(sim_attacker *x, uint8_t type, uint32_t total, uint16_t number, uint32_t at,
                     uint16_t n)
{
    static uint64_t sequence;
    uint8_t d[1400] = {22, 0xfe, 0xfd};
    assert_true((size_t)n + 25 <= sizeof d);
    tern_put64(d + 3, ++sequence);
    tern_put16(d + 11, (uint16_t)(12 + n));
    tern_put32(d + 13, total);
    d[13] = type;
    tern_put16(d + 17, number);
    tern_put32(d + 18, at << 8);
    tern_put16(d + 22, n);
    d[18] = (uint8_t)(at >> 16);
    d[19] = (uint8_t)(at >> 8);
    d[20] = (uint8_t)at;
    d[21] = 0;
    sim_attacker_say(x, d, 25 + (size_t)n);
}

static void test_dtls_fragments(void **state)
{
    webrtc_pair p;
    sim_attacker x;
    (void)state;
    webrtc_pair_init(&p, NULL);
    webrtc_pair_stranger(&p, &x, "10.0.9.9");
    size_t before = tern_mem_bytes();
    for (uint32_t i = 0; i < 3000; i++) {
        if (i % 100 == 0) {
            webrtc_pair_say_check(&x, i);
        }
        fragment(&x, i % 3 == 0 ? 1 : 11, i % 2 == 0 ? 0xffffff : 60000, (uint16_t)(i % 7),
                 i * 37 % 60000, (uint16_t)(i % 1200));
        if (i % 50 == 0) {
            sim_nodes_run(&p.w, TERN_MS);
            assert_true(tern_mem_bytes() < before + 8 * (size_t)TERN_DTLS_HANDSHAKE_MAX + MEMORY);
        }
    }
    sim_nodes_run(&p.w, TERN_SEC);
    assert_true(tern_node_net(p.b->node)->pending.count <= 8);
    assert_true(x.answered <= 400 * 1024);
    tern_udp_close(x.u);
    webrtc_pair_end(&p);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_datagrams_that_are_refused),
        cmocka_unit_test(test_a_flood_of_names),
        cmocka_unit_test(test_a_flood_of_addresses),
        cmocka_unit_test(test_a_cookie_under_load_alone),
        cmocka_unit_test(test_a_flood_of_wrong_names),
        cmocka_unit_test(test_an_address_of_somebody_else),
        cmocka_unit_test(test_no_reflection),
        cmocka_unit_test(test_a_flood_of_hellos),
        cmocka_unit_test(test_dtls_fragments),
    };
    return TERN_TEST_MAIN(tests);
}
