/* WebRTC Direct between whole nodes in a simulated world: loss, reordering, duplicates, many
 * streams, wrong certificates, peers that vanish, and datagrams that nobody should send. */
#include "sim/attacker.h"
#include "sim/nodes.h"

#include <stdio.h>

#include "proto/perf.h"
#include "webrtc/conn.h"

#define DELAY (10 * TERN_MS)

typedef struct pair {
    sim_nodes w;
    sim_node *a, *b;
    tern_conn *conn; /* a's */
    char addr[512];  /* b's */
} pair;

static void init(pair *p)
{
    tern_error error;
    char bound[256], id[TERN_PEER_ID_TEXT];
    memset(p, 0, sizeof *p);
    sim_nodes_init(&p->w, DELAY);
    p->a = sim_nodes_add(&p->w, "-10.0.0.1", NULL);
    p->b = sim_nodes_add(&p->w, "10.0.0.2", NULL);
    if (tern_node_listen(p->b->node, "/ip4/10.0.0.2/udp/4001/webrtc-direct", bound, sizeof bound,
                         &error) != 0) {
        fail_msg("%s", error.text);
    }
    tern_peer_id_text(&p->b->id, id);
    snprintf(p->addr, sizeof p->addr, "%s/p2p/%s", bound, id);
    assert_int_equal(tern_node_serve_perf(p->b->node), 0);
}

static void connect_both(pair *p)
{
    sim_dial d;
    sim_nodes_dial_one(p->a, p->addr, &d);
    if (d.conn == NULL) {
        fail_msg("%s: %s", d.error.layer, d.error.text);
    }
    p->conn = d.conn;
    sim_nodes_run(&p->w, TERN_SEC);
    assert_int_equal(p->b->connected, 1);
}

static void test_facts(void **state)
{
    pair p;
    sim_ping ping;
    (void)state;
    init(&p);
    connect_both(&p);
    const tern_conn_facts *f = tern_conn_get_facts(p.conn), *g = tern_conn_get_facts(p.b->conn);
    assert_string_equal(f->transport, "webrtc-direct");
    assert_string_equal(f->security, "noise");
    assert_string_equal(f->muxer, "native");
    assert_true(tern_peer_id_equal(&f->peer, &p.b->id));
    assert_true(tern_peer_id_equal(&g->peer, &p.a->id));
    assert_true(!f->inbound && g->inbound);
    assert_int_equal(p.a->identified, 1);
    assert_int_equal(p.b->identified, 1);
    assert_non_null(strstr(p.a->addrs, "/udp/4001/webrtc-direct/certhash/"));
    sim_nodes_ping(p.a, p.conn, &ping);
    assert_int_equal(ping.error.code, 0);
    assert_int_equal(ping.rtt, 2 * DELAY);
    /* Idle for long: both keep it, and channels that are over are gone. */
    sim_nodes_run(&p.w, 600 * TERN_SEC);
    assert_int_equal(p.a->disconnected + p.b->disconnected, 0);
    assert_true(((webrtc_conn *)(void *)p.conn)->channels <= 2);
    assert_true(((webrtc_conn *)(void *)p.b->conn)->channels <= 2);
    sim_nodes_clear(&p.w);
}

/* ---- bytes ---- */

typedef struct asked {
    unsigned done;
    tern_perf_result result;
    tern_error error;
} asked;

static void on_done(void *owner, const tern_perf_result *result, const tern_error *error)
{
    asked *a = owner;
    a->done++;
    a->result = *result;
    a->error = *error;
}

static void on_progress(void *owner, uint64_t sent, uint64_t received)
{
    (void)owner;
    (void)sent;
    (void)received;
}

static void transfer(pair *p, uint64_t up, uint64_t down, uint64_t time)
{
    asked a = {0};
    tern_error error;
    assert_int_equal(
        tern_node_perf(p->a->node, p->conn, up, down, on_progress, on_done, &a, &error), 0);
    assert_true(sim_nodes_wait(&p->w, &a.done, 1, time));
    if (a.error.code != 0) {
        fail_msg("%s: %s", a.error.layer, a.error.text);
    }
    assert_int_equal(a.result.sent, up);
    assert_int_equal(a.result.received, down);
}

static void test_bad_networks(void **state)
{
    static const struct {
        tern_sim_link link;
        uint64_t time;
    } nets[] = {
        {{.delay = DELAY, .loss = 0.01}, 60 * TERN_SEC},
        {{.delay = DELAY, .loss = 0.05}, 120 * TERN_SEC},
        {{.delay = DELAY, .jitter = 2 * DELAY}, 120 * TERN_SEC},
        {{.delay = DELAY, .duplicate = 0.2}, 60 * TERN_SEC},
        {{.delay = DELAY, .loss = 0.05, .jitter = DELAY, .duplicate = 0.1}, 240 * TERN_SEC},
        {{.delay = DELAY, .rate = 200000}, 60 * TERN_SEC},
    };
    (void)state;
    for (size_t i = 0; i < sizeof nets / sizeof *nets; i++) {
        pair p;
        init(&p);
        tern_sim_set_default_link(p.w.sim, &nets[i].link);
        sim_dial d;
        for (int tries = 0; tries < 3 && p.conn == NULL; tries++) { /* a dial has 10 seconds */
            sim_nodes_dial_one(p.a, p.addr, &d);
            p.conn = d.conn;
        }
        assert_non_null(p.conn);
        transfer(&p, 1 << 20, 1 << 20, nets[i].time);
        transfer(&p, 1, 3 << 20, nets[i].time);
        sim_nodes_clear(&p.w);
    }
}

static void test_many_streams(void **state)
{
    enum { STREAMS = 100, ROUNDS = 50 };
    pair p;
    (void)state;
    init(&p);
    connect_both(&p);
    for (unsigned round = 0; round < ROUNDS; round++) {
        asked a = {0};
        for (unsigned i = 0; i < STREAMS; i++) {
            tern_error error;
            assert_int_equal(tern_node_perf(p.a->node, p.conn, 100 * i, 10 * round, on_progress,
                                            on_done, &a, &error),
                             0);
        }
        assert_true(sim_nodes_wait(&p.w, &a.done, STREAMS, 60 * TERN_SEC));
        assert_int_equal(a.error.code, 0);
    }
    sim_nodes_run(&p.w, 20 * TERN_SEC);
    assert_true(((webrtc_conn *)(void *)p.conn)->channels <= 2);
    assert_true(((webrtc_conn *)(void *)p.b->conn)->channels <= 2);
    sim_nodes_clear(&p.w);
}

/* Everything ends while bytes move. */
static void test_ends_under_load(void **state)
{
    (void)state;
    for (unsigned how = 0; how < 3; how++) {
        pair p;
        asked a = {0};
        tern_error error;
        init(&p);
        connect_both(&p);
        assert_int_equal(
            tern_node_perf(p.a->node, p.conn, 50 << 20, 50 << 20, on_progress, on_done, &a, &error),
            0);
        sim_nodes_run(&p.w, 300 * TERN_MS);
        if (how == 0) {
            sim_node_end(p.b);
        } else if (how == 1) {
            tern_node_disconnect(p.a->node, &p.b->id);
        } else {
            const tern_sim_link down = {.down = true};
            tern_sim_set_default_link(p.w.sim, &down);
        }
        sim_nodes_run(&p.w, 60 * TERN_SEC);
        assert_int_equal(p.a->disconnected, 1);
        assert_int_equal(a.done, 1);
        assert_true(a.error.code != 0);
        sim_nodes_clear(&p.w);
    }
}

/* ---- what is refused ---- */

static void test_wrong_certificate(void **state)
{
    pair p;
    sim_dial d;
    (void)state;
    init(&p);
    char *hash = strstr(p.addr, "/certhash/uEi") + 20;
    *hash = *hash == 'a' ? 'b' : 'a';
    sim_nodes_dial_one(p.a, p.addr, &d);
    assert_null(d.conn);
    assert_int_equal(d.error.code, TERN_E_CRYPTO);
    assert_int_equal(sim_counters(p.a)->dtls_wrong_certificate, 1);
    sim_nodes_run(&p.w, 20 * TERN_SEC);
    assert_int_equal(p.b->connected, 0);
    sim_nodes_clear(&p.w);
}

static void test_wrong_peer(void **state)
{
    pair p;
    sim_dial d;
    char id[TERN_PEER_ID_TEXT];
    (void)state;
    init(&p);
    sim_node *c = sim_nodes_add(&p.w, "10.0.0.3", NULL);
    tern_peer_id_text(&c->id, id);
    strcpy(strstr(p.addr, "/p2p/") + 5, id); /* as long as the other */
    sim_nodes_dial_one(p.a, p.addr, &d);
    assert_null(d.conn);
    assert_int_equal(d.error.code, TERN_E_PEER_ID);
    sim_nodes_clear(&p.w);
}

/* A check that verifies, under a name of its own. */
static size_t check_of(uint8_t out[TERN_STUN_MAX], uint32_t number)
{
    char user[100], pwd[80];
    snprintf(pwd, sizeof pwd, "libp2p+webrtc+v2/abcdefghijklmnopqrstuvwxyz%08x", number);
    snprintf(user, sizeof user, "%s:abcd", pwd);
    tern_stun_request r = {.username = {(uint8_t *)user, strlen(user)},
                           .password = {(uint8_t *)pwd, strlen(pwd)},
                           .priority = 1};
    ssize_t n = tern_stun_put_request(out, &r);
    assert_true(n > 0);
    return (size_t)n;
}

static void test_datagrams_that_are_refused(void **state)
{
    pair p;
    sim_attacker x;
    uint8_t m[TERN_STUN_MAX];
    (void)state;
    init(&p);
    sim_attacker_init(&x, p.w.sim, "10.0.9.9",
                      TERN_UDP_SET(TERN_UDP_STUN) | TERN_UDP_SET(TERN_UDP_DTLS));
    tern_counters *count = sim_counters(p.b);
    sim_attacker_say(&x, "\0\1\0\0garbage", 11);
    sim_attacker_say(&x, "\2", 1);
    sim_attacker_say(&x, "\24\376\375\0\0", 5); /* DTLS of an unknown address */
    static const tern_span bad = {(const uint8_t *)"evtj:h6vY", 9};
    tern_stun_request r = {.username = bad, .password = bad, .priority = 1};
    sim_attacker_say(&x, m, (size_t)tern_stun_put_request(m, &r)); /* another scheme */
    size_t n = check_of(m, 1);
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
    n = check_of(m, 2);
    sim_attacker_say(&x, m, n);
    sim_nodes_run(&p.w, 100 * TERN_MS);
    assert_int_equal(x.answers, 1);
    assert_true(x.answered < n);
    sim_attacker_say(&x, "\26\376\375\0\0\0\0\0\0\0\0\0\4junk", 17);
    sim_nodes_run(&p.w, TERN_SEC);
    sim_nodes_run(&p.w, 20 * TERN_SEC);
    assert_int_equal(tern_node_net(p.b->node)->pending.count, 0);
    connect_both(&p);
    tern_udp_close(x.u);
    sim_nodes_clear(&p.w);
}

/* 5,000 names from one address: it keeps eight places and nobody else notices. */
static void test_a_flood_of_names(void **state)
{
    pair p;
    sim_attacker x;
    uint8_t m[TERN_STUN_MAX];
    (void)state;
    init(&p);
    sim_attacker_init(&x, p.w.sim, "10.0.9.9",
                      TERN_UDP_SET(TERN_UDP_STUN) | TERN_UDP_SET(TERN_UDP_DTLS));
    for (uint32_t i = 0; i < 5000; i++) {
        sim_attacker_say(&x, m, check_of(m, i));
    }
    sim_nodes_run(&p.w, 100 * TERN_MS);
    const tern_net *net = tern_node_net(p.b->node);
    assert_int_equal(net->pending.count, net->limits.pending_per_ip);
    assert_int_equal(net->counters.evicted_pending_per_ip, 5000 - net->limits.pending_per_ip);
    connect_both(&p);
    tern_udp_close(x.u);
    sim_nodes_clear(&p.w);
}

/* The same from many addresses: at most limits.pending places, and those who come get one. */
static void test_a_flood_of_addresses(void **state)
{
    enum { ATTACKERS = 40 };
    pair p;
    sim_attacker x[ATTACKERS];
    uint8_t m[TERN_STUN_MAX];
    char ip[32];
    (void)state;
    init(&p);
    for (uint32_t i = 0; i < ATTACKERS; i++) {
        snprintf(ip, sizeof ip, "10.0.8.%u", (unsigned)i + 1);
        sim_attacker_init(&x[i], p.w.sim, ip,
                          TERN_UDP_SET(TERN_UDP_STUN) | TERN_UDP_SET(TERN_UDP_DTLS));
        for (uint32_t k = 0; k < 20; k++) {
            sim_attacker_say(&x[i], m, check_of(m, i << 8 | k));
        }
    }
    sim_nodes_run(&p.w, 100 * TERN_MS);
    const tern_net *net = tern_node_net(p.b->node);
    assert_int_equal(net->pending.count, net->limits.pending);
    connect_both(&p); /* with a cookie now */
    for (uint32_t i = 0; i < ATTACKERS; i++) {
        tern_udp_close(x[i].u);
    }
    sim_nodes_clear(&p.w);
}

/* Virtual time until a node of its own has dialled. */
static uint64_t dial_time(pair *p, const char *ip)
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
    pair p;
    sim_attacker x[ATTACKERS];
    uint8_t m[TERN_STUN_MAX];
    char ip[32];
    (void)state;
    init(&p);
    const tern_net *net = tern_node_net(p.b->node);
    uint64_t alone = dial_time(&p, "-10.0.0.3");
    assert_int_equal(alone, 5 * 2 * DELAY);
    for (uint32_t i = 0; i < ATTACKERS; i++) {
        snprintf(ip, sizeof ip, "10.0.8.%u", (unsigned)i + 1);
        sim_attacker_init(&x[i], p.w.sim, ip,
                          TERN_UDP_SET(TERN_UDP_STUN) | TERN_UDP_SET(TERN_UDP_DTLS));
    }
    for (uint32_t i = 0; i < net->limits.pending / 2 - 1; i++) {
        sim_attacker_say(&x[i], m, check_of(m, i));
    }
    sim_nodes_run(&p.w, 2 * DELAY);
    assert_int_equal(net->pending.count, net->limits.pending / 2 - 1);
    assert_int_equal(dial_time(&p, "-10.0.0.4"), alone);
    for (uint32_t i = 0; i < ATTACKERS; i++) {
        sim_attacker_say(&x[i], m, check_of(m, 1000 + i));
    }
    sim_nodes_run(&p.w, 2 * DELAY);
    assert_true(net->pending.count > net->limits.pending / 2);
    assert_int_equal(dial_time(&p, "-10.0.0.5"), alone + 2 * DELAY);
    for (uint32_t i = 0; i < ATTACKERS; i++) {
        tern_udp_close(x[i].u);
    }
    sim_nodes_clear(&p.w);
}

/* ---- memory ---- */

/* Each allocation of a connection's life fails in turn; then the two nodes connect all the same. */
static void test_each_allocation_may_fail(void **state)
{
    (void)state;
    for (size_t at = 1; at < 2000; at += 1 + at / 40) {
        pair p;
        unsigned done = 0;
        init(&p);
        const char *texts[] = {p.addr};
        tern_mem_fail_at(at, 0);
        int code = tern_node_dial(p.a->node, texts, 1, 0, false, sim_nodes_count_dial, &done, NULL);
        sim_nodes_run(&p.w, 20 * TERN_SEC);
        assert_true(code != 0 || done == 1);
        bool over = tern_mem_count() < at;
        tern_mem_fail_at(0, 0);
        sim_dial d;
        sim_nodes_dial_one(p.a, p.addr, &d);
        assert_non_null(d.conn);
        sim_nodes_clear(&p.w);
        if (over) {
            return;
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_facts),
        cmocka_unit_test(test_bad_networks),
        cmocka_unit_test(test_many_streams),
        cmocka_unit_test(test_ends_under_load),
        cmocka_unit_test(test_wrong_certificate),
        cmocka_unit_test(test_wrong_peer),
        cmocka_unit_test(test_datagrams_that_are_refused),
        cmocka_unit_test(test_a_flood_of_names),
        cmocka_unit_test(test_a_flood_of_addresses),
        cmocka_unit_test(test_a_cookie_under_load_alone),
        cmocka_unit_test(test_each_allocation_may_fail),
    };
    return TERN_TEST_MAIN(tests);
}
