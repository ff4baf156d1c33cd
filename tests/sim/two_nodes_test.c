/* Two nodes in a simulated world: connected, identified, pinged and closed, with the number of
 * round trips that each of these takes. */
#include "sim/nodes.h"

#define DELAY (50 * TERN_MS)
#define RTT   (2 * DELAY)

static void test_connect_takes_two_round_trips(void **state)
{
    (void)state;
    sim_nodes w;
    sim_dial d;
    sim_nodes_init(&w, DELAY);
    sim_node *a = sim_nodes_add(&w, "-10.0.0.1", NULL);
    sim_node *b = sim_nodes_add(&w, "10.0.0.2", NULL);
    uint64_t start = sim_nodes_now(&w);
    sim_nodes_dial_one(a, b->addr, &d);
    assert_int_equal(d.error.code, 0);
    assert_int_equal(d.at - start, 2 * RTT);
    const tern_conn_facts *facts = tern_conn_get_facts(d.conn);
    assert_string_equal(facts->transport, "tcp");
    assert_string_equal(facts->security, "noise");
    assert_string_equal(facts->muxer, "yamux");
    assert_false(facts->inbound);
    assert_true(tern_peer_id_equal(&facts->peer, &b->id));
    assert_string_equal(tern_multiaddr_text(facts->remote), "/ip4/10.0.0.2/tcp/4001");
    assert_int_equal(a->connected, 1);
    assert_ptr_equal(tern_node_find(a->node, &b->id), d.conn);
    sim_nodes_run(&w, DELAY);
    assert_int_equal(b->connected, 1);
    assert_true(tern_conn_get_facts(b->conn)->inbound);
    assert_true(tern_peer_id_equal(&tern_conn_get_facts(b->conn)->peer, &a->id));
    sim_nodes_clear(&w);
}

static void test_identify_both_ways(void **state)
{
    (void)state;
    sim_nodes w;
    sim_dial d;
    tern_options o;
    tern_options_init(&o);
    o.agent = "a-test/1";
    sim_nodes_init(&w, DELAY);
    sim_node *a = sim_nodes_add(&w, "-10.0.0.1", &o);
    o.agent = "b-test/2";
    sim_node *b = sim_nodes_add(&w, "10.0.0.2", &o);
    sim_nodes_dial_one(a, b->addr, &d);
    /* The question travels with its negotiation: one round trip later. */
    sim_nodes_run(&w, RTT);
    assert_int_equal(a->identified, 1);
    assert_string_equal(a->agent, "b-test/2");
    assert_true(a->signed_record);
    assert_string_equal(a->addrs, "/ip4/10.0.0.2/tcp/4001,");
    assert_string_equal(a->protocols, "/ipfs/id/1.0.0,/ipfs/id/push/1.0.0,/ipfs/ping/1.0.0,");
    assert_memory_equal(a->observed, "/ip4/10.0.0.1/tcp/", 18);
    sim_nodes_run(&w, RTT);
    assert_int_equal(b->identified, 1);
    assert_string_equal(b->agent, "a-test/1");
    assert_string_equal(b->addrs, "");
    assert_string_equal(b->observed, "/ip4/10.0.0.2/tcp/4001");
    sim_nodes_clear(&w);
}

static void test_ping_takes_one_round_trip(void **state)
{
    (void)state;
    sim_nodes w;
    sim_ping p;
    sim_nodes_init(&w, DELAY);
    sim_node *a = sim_nodes_add(&w, "-10.0.0.1", NULL);
    sim_node *b = sim_nodes_add(&w, "10.0.0.2", NULL);
    tern_conn *c = sim_nodes_connect(&w, a, b);
    for (int i = 0; i < 3; i++) { /* the first one travels with its negotiation */
        sim_nodes_ping(a, c, &p);
        assert_int_equal(p.error.code, 0);
        assert_int_equal(p.rtt, RTT);
    }
    sim_nodes_ping(b, b->conn, &p);
    assert_int_equal(p.rtt, RTT);
    assert_int_equal(sim_counters(a)->ping_wrong, 0);
    sim_nodes_clear(&w);
}

static void test_closing(void **state)
{
    (void)state;
    sim_nodes w;
    sim_nodes_init(&w, DELAY);
    sim_node *a = sim_nodes_add(&w, "-10.0.0.1", NULL);
    sim_node *b = sim_nodes_add(&w, "10.0.0.2", NULL);
    sim_nodes_connect(&w, a, b);
    sim_nodes_run(&w, TERN_SEC);
    assert_int_equal(tern_node_disconnect(a->node, &b->id), 1);
    assert_null(tern_node_find(a->node, &b->id));
    sim_nodes_run(&w, TERN_SEC);
    assert_int_equal(a->disconnected, 1);
    assert_int_equal(a->why.code, 0);
    assert_int_equal(b->disconnected, 1);
    assert_int_equal(b->why.code, 0);
    assert_int_equal(tern_node_disconnect(a->node, &b->id), 0);
    sim_nodes_clear(&w);
}

static void test_stop_tells_the_peer(void **state)
{
    (void)state;
    sim_nodes w;
    sim_nodes_init(&w, DELAY);
    sim_node *a = sim_nodes_add(&w, "-10.0.0.1", NULL);
    sim_node *b = sim_nodes_add(&w, "10.0.0.2", NULL);
    sim_nodes_connect(&w, a, b);
    sim_node_end(b);
    sim_nodes_run(&w, TERN_SEC);
    assert_int_equal(a->disconnected, 1);
    assert_int_equal(a->why.code, 0);
    sim_nodes_clear(&w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_connect_takes_two_round_trips),
        cmocka_unit_test(test_identify_both_ways),
        cmocka_unit_test(test_ping_takes_one_round_trip),
        cmocka_unit_test(test_closing),
        cmocka_unit_test(test_stop_tells_the_peer),
    };
    return TERN_TEST_MAIN(tests);
}
