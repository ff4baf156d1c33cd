/* Tests of the upgrade, with whole nodes whose parts are changed: a peer that names no muxer inside
 * the handshake (as rust), one that refuses the muxer or the security proposed, and connections
 * that are closed while the muxer's answer is still on its way. */
#include "sim/nodes.h"

#include "mux/yamux.h"
#include "secure/noise.h"

#define DELAY   (50 * TERN_MS)
#define RTT     (2 * DELAY)
#define CONNECT (2 * RTT)

static int silent_begin(tern_secure_op *op)
{
    op->silent_early = true;
    return tern_noise.begin(op);
}

static void silent_attach(tern_secure_op *op)
{
    tern_noise.attach(op);
}

/* Noise that offers no muxer: it is negotiated afterwards. */
static const tern_secure silent = {
    .id = "/noise", .name = "noise", .begin = silent_begin, .attach = silent_attach};

static tern_conn *no_conn(tern_net *net, tern_stream *lower, bool client,
                          const tern_conn_facts *facts)
{
    (void)net;
    (void)lower;
    (void)client;
    (void)facts;
    fail_msg("nobody agreed on this muxer");
    return NULL;
}

static void never(tern_conn *conn)
{
    (void)conn;
    fail_msg("nobody agreed on this muxer");
}

static const tern_mux other_mux = {
    .id = "/other/1.0.0", .name = "other", .make = no_conn, .attach = never};

struct pair {
    sim_nodes w;
    sim_node *a, *b;
    sim_dial d;
    uint64_t start;
};

/* a knows where b listens, and b offers no early muxer. */
static void setup(struct pair *p)
{
    sim_nodes_init(&p->w, DELAY);
    p->a = sim_nodes_add(&p->w, "-10.0.0.1", NULL);
    p->b = sim_nodes_add(&p->w, "10.0.0.2", NULL);
    p->b->node->secures[0] = &silent;
    p->start = sim_nodes_now(&p->w);
}

static void test_late_muxer(void **state)
{
    struct pair p;
    sim_ping ping;
    (void)state;
    setup(&p);
    sim_nodes_dial_one(p.a, p.b->addr, &p.d);
    assert_int_equal(p.d.error.code, 0);
    assert_int_equal(p.d.at - p.start, CONNECT); /* its proposal costs no round trip */
    assert_string_equal(tern_conn_get_facts(p.d.conn)->muxer, "yamux");
    sim_nodes_ping(p.a, p.d.conn, &ping);
    assert_int_equal(ping.error.code, 0);
    assert_int_equal(ping.rtt, RTT);    /* nor does the ping's */
    sim_nodes_run(&p.w, 60 * TERN_SEC); /* past all deadlines of the negotiation */
    assert_int_equal(p.a->disconnected, 0);
    sim_nodes_ping(p.b, p.b->conn, &ping);
    assert_int_equal(ping.error.code, 0);
    sim_nodes_clear(&p.w);
}

static void test_refused_late_muxer(void **state)
{
    struct pair p;
    (void)state;
    setup(&p);
    p.b->node->muxes[0] = &other_mux;
    sim_nodes_dial_one(p.a, p.b->addr, &p.d);
    assert_int_equal(p.d.error.code, 0); /* not known yet */
    sim_nodes_run(&p.w, TERN_SEC);
    assert_int_equal(p.a->disconnected, 1);
    assert_int_equal(p.a->why.code, TERN_E_NEGOTIATION);
    assert_int_equal(p.b->connected, 0);
    assert_int_equal(sim_counters(p.b)->upgrade_failures, 1);
    sim_nodes_clear(&p.w);
}

/* The conn is closed in good order, cut, or its node stopped, at every tenth of a round trip of the
 * muxer's negotiation. */
static void close_at(uint64_t time, int how)
{
    struct pair p;
    setup(&p);
    sim_nodes_dial_one(p.a, p.b->addr, &p.d);
    assert_int_equal(p.d.error.code, 0);
    sim_nodes_run(&p.w, time);
    switch (how) {
    case 0:
        assert_int_equal(tern_node_disconnect(p.a->node, &p.b->id), 1);
        break;
    case 1:
        tern_conn_abort(p.d.conn, 5, "cut");
        break;
    case 2:
        sim_node_end(p.a);
        break;
    default:
        sim_node_end(p.b);
        break;
    }
    sim_nodes_run(&p.w, 20 * TERN_SEC);
    assert_int_equal(p.a->disconnected, 1);
    assert_int_equal(p.b->connected, p.b->disconnected);
    if (how == 0) {
        assert_int_equal(p.a->why.code, 0);
    }
    sim_nodes_clear(&p.w);
}

static void test_closed_before_the_answer(void **state)
{
    (void)state;
    for (int how = 0; how < 4; how++) {
        for (uint64_t t = 0; t <= RTT + RTT / 5; t += RTT / 10) {
            close_at(t, how);
        }
    }
}

/* The peer dies before its answer. */
static void test_peer_vanishes(void **state)
{
    struct pair p;
    sim_ping ping;
    (void)state;
    setup(&p);
    sim_nodes_dial_one(p.a, p.b->addr, &p.d);
    tern_sim_set_link(p.w.sim, p.a->host, p.b->host, &(tern_sim_link){.down = true});
    sim_nodes_ping(p.a, p.d.conn, &ping);
    assert_int_not_equal(ping.error.code, 0);
    sim_nodes_run(&p.w, 20 * TERN_SEC);
    assert_int_equal(p.a->disconnected, 1);
    assert_int_equal(p.a->why.code, TERN_E_TIMEOUT);
    sim_nodes_clear(&p.w);
}

static void test_both_silent_without_optimism(void **state)
{
    struct pair p;
    (void)state;
    setup(&p);
    p.a->node->secures[0] = &silent;
    tern_peerstore_set_cautious(&p.a->node->swarm->store, &p.b->id);
    sim_nodes_dial_one(p.a, p.b->addr, &p.d);
    assert_int_equal(p.d.error.code, 0);
    assert_int_equal(p.d.at - p.start, CONNECT + 2 * RTT); /* each negotiation is waited for */
    sim_nodes_clear(&p.w);
}

/* The first security layer that a offers is not b's: one more connection, then the second. */
static void test_security_refused(void **state)
{
    static const tern_secure unknown = {
        .id = "/unknown", .name = "unknown", .begin = silent_begin, .attach = silent_attach};
    struct pair p;
    (void)state;
    setup(&p);
    p.a->node->secures[0] = &unknown;
    p.a->node->secures[1] = &tern_noise;
    p.a->node->secures[2] = NULL;
    sim_nodes_dial_one(p.a, p.b->addr, &p.d);
    assert_int_equal(p.d.error.code, 0);
    assert_string_equal(tern_conn_get_facts(p.d.conn)->security, "noise");
    assert_int_equal(sim_counters(p.a)->dials, 2);
    assert_int_equal(sim_counters(p.b)->multistream_refused, 1);
    assert_int_equal(sim_counters(p.b)->multistream_malformed, 0); /* the message behind it */
    /* Known from now on: not tried again. */
    tern_node_disconnect(p.a->node, &p.b->id);
    sim_nodes_run(&p.w, 5 * TERN_SEC);
    sim_nodes_dial_one(p.a, p.b->addr, &p.d);
    assert_int_equal(p.d.error.code, 0);
    assert_int_equal(sim_counters(p.a)->dials, 3);
    sim_nodes_clear(&p.w);
}

static void test_no_security_in_common(void **state)
{
    static const tern_secure unknown = {
        .id = "/unknown", .name = "unknown", .begin = silent_begin, .attach = silent_attach};
    struct pair p;
    (void)state;
    setup(&p);
    p.a->node->secures[0] = &unknown;
    p.a->node->secures[1] = NULL;
    sim_nodes_dial_one(p.a, p.b->addr, &p.d);
    assert_int_equal(p.d.error.code, TERN_E_NEGOTIATION);
    assert_non_null(strstr(p.d.error.text, "/unknown"));
    assert_int_equal(sim_counters(p.a)->dials, 2); /* with and without optimism */
    sim_nodes_clear(&p.w);
}

static void test_upgrade_deadline(void **state)
{
    struct pair p;
    (void)state;
    setup(&p);
    const char *texts[] = {p.b->addr};
    sim_nodes_dial(p.a, texts, 1, &p.d);
    sim_nodes_run(&p.w, CONNECT - 10 * TERN_MS); /* the first flight has arrived */
    tern_sim_set_link(p.w.sim, p.a->host, p.b->host, &(tern_sim_link){.down = true});
    sim_nodes_run(&p.w, 9 * TERN_SEC);
    assert_int_equal(p.b->node->swarm->pending_count, 1);
    sim_nodes_run(&p.w, 2 * TERN_SEC);
    assert_int_equal(p.b->node->swarm->pending_count, 0);
    assert_int_equal(sim_counters(p.b)->upgrade_timeouts, 1);
    sim_nodes_clear(&p.w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_late_muxer),
        cmocka_unit_test(test_refused_late_muxer),
        cmocka_unit_test(test_closed_before_the_answer),
        cmocka_unit_test(test_peer_vanishes),
        cmocka_unit_test(test_both_silent_without_optimism),
        cmocka_unit_test(test_security_refused),
        cmocka_unit_test(test_no_security_in_common),
        cmocka_unit_test(test_upgrade_deadline),
    };
    return TERN_TEST_MAIN(tests);
}
