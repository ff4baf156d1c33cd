/* Nodes with a data folder: a peer is found again after a restart, through what dials and signed
 * records taught; an older record never replaces a newer one. */
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "sim/nodes.h"

static char folder[64];

static int set_up(void **state)
{
    (void)state;
    snprintf(folder, sizeof folder, "/tmp/tern-book-XXXXXX");
    assert_non_null(mkdtemp(folder));
    return 0;
}

static int tear_down(void **state)
{
    char name[128];
    (void)state;
    snprintf(name, sizeof name, "%s/book.sqlite", folder);
    unlink(name);
    return rmdir(folder);
}

static void dial_by_id(sim_node *from, const tern_peer_id *id, sim_dial *d)
{
    char text[TERN_PEER_ID_TEXT], addr[TERN_PEER_ID_TEXT + 8];
    snprintf(addr, sizeof addr, "/p2p/%s", tern_peer_id_text(id, text));
    sim_nodes_dial_one(from, addr, d);
}

static void test_found_after_a_restart(void **state)
{
    tern_options o;
    sim_nodes w;
    sim_dial d;
    size_t n;
    (void)state;
    tern_options_init(&o);
    o.data = folder;
    sim_nodes_init(&w, 10 * TERN_MS);
    sim_node *b = sim_nodes_add(&w, "10.0.0.2", NULL);
    sim_node *nobody = sim_nodes_add(&w, "-10.0.0.3", NULL);
    sim_node *a = sim_nodes_add(&w, "-10.0.0.1", &o);
    tern_net *net = tern_node_net(a->node);
    sim_nodes_connect(&w, a, b);
    assert_true(sim_nodes_wait(&w, &a->identified, 1, TERN_SEC));
    assert_int_equal(
        net->ops->remember(net, &b->id, TERN_KEPT_QUIC_TICKET, "ticket", 6, 60 * TERN_SEC), 0);
    sim_node_end(a);

    sim_node *again = sim_nodes_add(&w, "-10.0.0.4", &o);
    net = tern_node_net(again->node);
    assert_true(sim_counters(again)->book_loaded >= 2);
    assert_int_equal(sim_counters(again)->book_malformed, 0);
    assert_memory_equal(net->ops->recall(net, &b->id, TERN_KEPT_QUIC_TICKET, &n), "ticket", 6);
    assert_int_equal(n, 6);
    /* What it speaks is known before there is a connection, and not of whom only dialled us. */
    assert_true(net->ops->speaks(net, &b->id, "/ipfs/ping/1.0.0"));
    assert_true(net->ops->speaks(net, &b->id, "/ipfs/id/push/1.0.0"));
    assert_false(net->ops->speaks(net, &b->id, "/ipfs/ping/1.0"));
    assert_false(net->ops->speaks(net, &b->id, ""));
    assert_false(net->ops->speaks(net, &nobody->id, "/ipfs/ping/1.0.0"));
    net->ops->remember(net, &nobody->id, TERN_KEPT_PROTOCOLS, "/a\n/b", 5, TERN_SEC);
    assert_true(net->ops->speaks(net, &nobody->id, "/b")); /* a file that was cut */
    dial_by_id(again, &b->id, &d);
    assert_int_equal(d.error.code, 0);
    dial_by_id(nobody, &b->id, &d);
    assert_int_not_equal(d.error.code, 0);
    sim_nodes_clear(&w);
}

/* An address that is of no use any more does not come back. */
static void test_expired_after_a_restart(void **state)
{
    tern_options o;
    sim_nodes w;
    sim_dial d;
    (void)state;
    tern_options_init(&o);
    o.data = folder;
    sim_nodes_init(&w, 10 * TERN_MS);
    sim_node *b = sim_nodes_add(&w, "10.0.0.2", NULL);
    sim_node *a = sim_nodes_add(&w, "-10.0.0.1", &o);
    sim_nodes_connect(&w, a, b);
    assert_true(sim_nodes_wait(&w, &a->identified, 1, TERN_SEC));
    sim_node_end(a);
    tern_sim_set_wall(w.sim, tern_loop_wall(w.clock) + 91 * 24 * 3600 * TERN_SEC);
    sim_node *again = sim_nodes_add(&w, "-10.0.0.4", &o);
    assert_int_equal(sim_counters(again)->book_loaded, 0);
    dial_by_id(again, &b->id, &d);
    assert_int_not_equal(d.error.code, 0);
    sim_nodes_clear(&w);
}

static void learn(tern_net *net, tern_conn *conn, uint64_t seq, const char *addr)
{
    tern_multiaddr *ma = tern_multiaddr_parse(addr, NULL);
    tern_identity identity = {.agent = "",
                              .protocol_version = "",
                              .addrs = &ma,
                              .addr_count = 1,
                              .signed_record = true,
                              .record_seq = seq};
    net->ops->identified(net, conn, &identity);
    tern_multiaddr_unref(ma);
}

static bool knows(sim_node *n, const tern_peer_id *id, const char *addr)
{
    tern_known_peer *p = tern_peerstore_get(&n->node->swarm->store, id);
    for (size_t i = 0; p != NULL && i < p->addr_count; i++) {
        if (strcmp(tern_multiaddr_text(p->addrs[i].addr), addr) == 0) {
            return true;
        }
    }
    return false;
}

static void test_records_have_an_order(void **state)
{
    const uint64_t seq = UINT64_C(1) << 62;
    tern_options o;
    sim_nodes w;
    (void)state;
    tern_options_init(&o);
    o.data = folder;
    sim_nodes_init(&w, 10 * TERN_MS);
    sim_node *b = sim_nodes_add(&w, "10.0.0.2", NULL);
    sim_node *a = sim_nodes_add(&w, "-10.0.0.1", &o);
    tern_conn *c = sim_nodes_connect(&w, a, b);
    assert_true(sim_nodes_wait(&w, &a->identified, 1, TERN_SEC));
    learn(tern_node_net(a->node), c, seq, "/ip4/10.9.0.1/tcp/1");
    learn(tern_node_net(a->node), c, seq + 1, "/ip4/10.9.0.2/tcp/2");
    assert_false(knows(a, &b->id, "/ip4/10.9.0.1/tcp/1")); /* only the older record had it */
    sim_nodes_run(&w, 5 * TERN_SEC);
    learn(tern_node_net(a->node), c, seq, "/ip4/10.9.0.3/tcp/3");
    assert_false(knows(a, &b->id, "/ip4/10.9.0.3/tcp/3"));
    assert_int_equal(sim_counters(a)->record_stale, 1);
    sim_node_end(a);

    sim_node *again = sim_nodes_add(&w, "-10.0.0.4", &o);
    assert_true(knows(again, &b->id, "/ip4/10.9.0.2/tcp/2"));
    assert_false(knows(again, &b->id, "/ip4/10.9.0.1/tcp/1"));
    c = sim_nodes_connect(&w, again, b); /* b's own record is older than the one in the book */
    assert_true(sim_nodes_wait(&w, &again->identified, 1, TERN_SEC));
    assert_int_equal(sim_counters(again)->record_stale, 1);
    learn(tern_node_net(again->node), c, seq, "/ip4/10.9.0.3/tcp/3");
    assert_false(knows(again, &b->id, "/ip4/10.9.0.3/tcp/3"));
    sim_nodes_clear(&w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_found_after_a_restart, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_expired_after_a_restart, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_records_have_an_order, set_up, tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
