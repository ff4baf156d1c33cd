/* A thousand whole nodes in one process: each listens, dials the next one in a ring and the one
 * across it, identifies, pings. Two thousand connections with Noise and yamux; the simulated
 * network must carry them, and the memory that a node and its connections hold stays within bounds.
 */
#include <stdio.h>

#include "base/test.h"

#include "host/host.h"
#include "loop/sim.h"

enum { NODES = 1000, DIALS = 2 };

typedef struct crowd {
    tern_sim *sim;
    tern_loop *hosts[NODES];
    tern_node *nodes[NODES];
    char addrs[NODES][160];
    unsigned connected, identified, ponged, stopped;
} crowd;

static void ponged(void *owner, uint64_t rtt, const tern_error *error)
{
    crowd *c = owner;
    assert_int_equal(error->code, 0);
    assert_true(rtt >= 40 * TERN_MS);
    c->ponged++;
}

static void dialled(void *owner, tern_conn *conn, const tern_error *error,
                    const tern_dial_report *reports, size_t report_count)
{
    crowd *c = owner;
    (void)reports;
    (void)report_count;
    if (conn == NULL) {
        fail_msg("dial: %s: %s", error->layer, error->text);
    }
    c->connected++;
}

static void on_identified(void *owner, tern_node *node, tern_conn *conn,
                          const tern_identified *what)
{
    crowd *c = owner;
    assert_true(what->protocol_count >= 3);
    assert_true(what->signed_record);
    c->identified++;
    if (!tern_conn_get_facts(conn)->inbound) {
        assert_int_equal(tern_node_ping(node, conn, ponged, c), 0);
    }
}

static void on_stopped(void *owner, tern_node *node)
{
    (void)node;
    ((crowd *)owner)->stopped++;
}

static bool all_ponged(void *arg)
{
    return ((crowd *)arg)->ponged == NODES * DIALS;
}

static bool all_stopped(void *arg)
{
    return ((crowd *)arg)->stopped == NODES;
}

static void open_crowd(crowd *c)
{
    static const tern_node_events events = {.on_identified = on_identified,
                                            .on_stopped = on_stopped};
    tern_sim_link link = {.delay = 20 * TERN_MS, .rate = 10 << 20, .loss = 0.01};
    assert_int_equal(tern_sim_new(7, &c->sim), 0);
    tern_sim_set_default_link(c->sim, &link);
    for (int i = 0; i < NODES; i++) {
        char ip[32], addr[64];
        tern_options options;
        tern_error error;
        tern_options_init(&options);
        options.events = &events;
        options.owner = c;
        snprintf(ip, sizeof ip, "10.1.%d.%d", i / 250, i % 250 + 1);
        snprintf(addr, sizeof addr, "/ip4/%s/tcp/4001", ip);
        assert_int_equal(tern_sim_host(c->sim, ip, &c->hosts[i]), 0);
        assert_int_equal(tern_node_new_on(c->hosts[i], &options, &c->nodes[i], &error), 0);
        assert_int_equal(
            tern_node_listen(c->nodes[i], addr, c->addrs[i], sizeof c->addrs[i], &error), 0);
    }
}

static void test_ring(void **state)
{
    static crowd c;
    (void)state;
    open_crowd(&c);
    size_t nodes_only = tern_mem_alive();
    for (int i = 0; i < NODES; i++) {
        const char *next = c.addrs[(i + 1) % NODES], *across = c.addrs[(i + NODES / 3) % NODES];
        tern_error error;
        assert_int_equal(tern_node_dial(c.nodes[i], &next, 1, 0, false, dialled, &c, &error), 0);
        assert_int_equal(tern_node_dial(c.nodes[i], &across, 1, 0, false, dialled, &c, &error), 0);
    }
    tern_sim_run(c.sim, 120 * TERN_SEC, all_ponged, &c);
    assert_int_equal(c.connected, NODES * DIALS);
    assert_int_equal(c.ponged, NODES * DIALS);
    assert_true(c.identified >= NODES * DIALS);
    /* Blocks per end of a connection, with all that hangs on it (peer store, identify, streams). */
    assert_true((tern_mem_alive() - nodes_only) / (2 * NODES * DIALS) < 60);
    for (int i = 0; i < NODES; i++) {
        tern_node_stop(c.nodes[i]);
    }
    tern_sim_run(c.sim, tern_sim_now(c.sim) + 120 * TERN_SEC, all_stopped, &c);
    assert_int_equal(c.stopped, NODES);
    for (int i = 0; i < NODES; i++) {
        tern_node_free(c.nodes[i]);
    }
    tern_sim_free(c.sim);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_ring)};
    return TERN_TEST_MAIN(tests);
}
