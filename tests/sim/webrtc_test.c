/* WebRTC Direct between whole nodes in a simulated world: what a connection is, many streams, ends
 * under load, wrong certificates and peers, and allocations that fail. */
#include "sim/webrtc_pair.h"

static void facts_of(const char *credentials)
{
    webrtc_pair p;
    sim_ping ping;
    webrtc_pair_init(&p, credentials);
    webrtc_pair_connect(&p);
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
    assert_int_equal(ping.rtt, 2 * WEBRTC_PAIR_DELAY);
    /* Idle for long: both keep it, and channels that are over are gone. */
    sim_nodes_run(&p.w, 600 * TERN_SEC);
    assert_int_equal(p.a->disconnected + p.b->disconnected, 0);
    assert_true(webrtc_pair_of(p.conn)->channels <= 2);
    assert_true(webrtc_pair_of(p.b->conn)->channels <= 2);
    sim_nodes_clear(&p.w);
}

static void test_facts(void **state)
{
    (void)state;
    facts_of(NULL);
}

static void test_facts_with_the_second_scheme(void **state)
{
    (void)state;
    facts_of("v2");
}

/* ---- streams ---- */

static void test_many_streams(void **state)
{
    enum { STREAMS = 100, ROUNDS = 50 };
    webrtc_pair p;
    (void)state;
    webrtc_pair_init(&p, NULL);
    webrtc_pair_connect(&p);
    for (unsigned round = 0; round < ROUNDS; round++) {
        webrtc_pair_asked a = {0};
        for (unsigned i = 0; i < STREAMS; i++) {
            webrtc_pair_ask(&p, 100 * i, 10 * round, &a);
        }
        assert_true(sim_nodes_wait(&p.w, &a.done, STREAMS, 60 * TERN_SEC));
        assert_int_equal(a.error.code, 0);
    }
    assert_int_equal(sim_counters(p.b)->streams_limit, 0);
    sim_nodes_run(&p.w, 20 * TERN_SEC);
    assert_true(webrtc_pair_of(p.conn)->channels <= 2);
    assert_true(webrtc_pair_of(p.b->conn)->channels <= 2);
    sim_nodes_clear(&p.w);
}

/* As many as a connection may have, at once, with more to send than there is room for: those beyond
 * what may negotiate wait, and none is refused. */
static void test_streams_that_wait(void **state)
{
    enum { STREAMS = 250, BYTES = 100000 };
    webrtc_pair p;
    webrtc_pair_asked a = {0};
    (void)state;
    webrtc_pair_init(&p, NULL);
    webrtc_pair_connect(&p);
    for (unsigned i = 0; i < STREAMS; i++) {
        webrtc_pair_ask(&p, BYTES, 100, &a);
    }
    assert_true(sim_nodes_wait(&p.w, &a.done, STREAMS, 60 * TERN_SEC));
    assert_int_equal(a.error.code, 0);
    const tern_counters *count = sim_counters(p.b);
    assert_int_equal(count->streams_limit, 0);
    assert_true(count->streams_queued >= STREAMS / 2);
    sim_nodes_clear(&p.w);
}

/* Everything ends while bytes move. */
static void test_ends_under_load(void **state)
{
    (void)state;
    for (unsigned how = 0; how < 3; how++) {
        webrtc_pair p;
        webrtc_pair_asked a = {0};
        webrtc_pair_init(&p, NULL);
        webrtc_pair_connect(&p);
        webrtc_pair_ask(&p, 50 << 20, 50 << 20, &a);
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

/* ---- who is refused ---- */

static void test_wrong_certificate(void **state)
{
    webrtc_pair p;
    sim_dial d;
    (void)state;
    webrtc_pair_init(&p, NULL);
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
    webrtc_pair p;
    sim_dial d;
    char id[TERN_PEER_ID_TEXT];
    (void)state;
    webrtc_pair_init(&p, NULL);
    sim_node *c = sim_nodes_add(&p.w, "10.0.0.3", NULL);
    tern_peer_id_text(&c->id, id);
    strcpy(strstr(p.addr, "/p2p/") + 5, id); /* as long as the other */
    sim_nodes_dial_one(p.a, p.addr, &d);
    assert_null(d.conn);
    assert_int_equal(d.error.code, TERN_E_PEER_ID);
    sim_nodes_clear(&p.w);
}

/* ---- memory ---- */

/* Each allocation of a connection's life fails in turn; then the two nodes connect all the same. */
static void test_each_allocation_may_fail(void **state)
{
    (void)state;
    for (size_t at = 1; at < 2000; at += 1 + at / 40) {
        webrtc_pair p;
        unsigned done = 0;
        webrtc_pair_init(&p, NULL);
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
        cmocka_unit_test(test_facts),           cmocka_unit_test(test_facts_with_the_second_scheme),
        cmocka_unit_test(test_many_streams),    cmocka_unit_test(test_streams_that_wait),
        cmocka_unit_test(test_ends_under_load), cmocka_unit_test(test_wrong_certificate),
        cmocka_unit_test(test_wrong_peer),      cmocka_unit_test(test_each_allocation_may_fail),
    };
    return TERN_TEST_MAIN(tests);
}
