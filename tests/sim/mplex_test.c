/* Two whole nodes that multiplex with mplex, because one of them, or both, offer nothing else:
 * agreed inside the handshake, after it, and after the better muxer was refused. */
#include "sim/nodes.h"

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

typedef struct pair {
    sim_nodes w;
    sim_node *a, *b;
    uint64_t start;
} pair;

/* NULL: all muxers. */
static void setup(pair *p, const char *a_muxer, const char *b_muxer)
{
    tern_options options;
    sim_nodes_init(&p->w, DELAY);
    tern_options_init(&options);
    options.muxer = a_muxer;
    p->a = sim_nodes_add(&p->w, "-10.0.0.1", &options);
    options.muxer = b_muxer;
    p->b = sim_nodes_add(&p->w, "10.0.0.2", &options);
    p->start = sim_nodes_now(&p->w);
}

static void expect_mplex(pair *p, tern_conn *conn)
{
    sim_ping ping;
    assert_string_equal(tern_conn_get_facts(conn)->muxer, "mplex");
    for (int i = 0; i < 3; i++) {
        sim_nodes_ping(p->a, conn, &ping);
        assert_int_equal(ping.error.code, 0);
        assert_int_equal(ping.rtt, RTT);
    }
    assert_true(sim_nodes_wait(&p->w, &p->a->identified, 1, 5 * TERN_SEC));
    assert_true(sim_nodes_wait(&p->w, &p->b->identified, 1, 5 * TERN_SEC));
    assert_string_equal(tern_conn_get_facts(p->b->conn)->muxer, "mplex");
    sim_nodes_ping(p->b, p->b->conn, &ping);
    assert_int_equal(ping.error.code, 0);
}

static void test_one_side_has_nothing_else(void **state)
{
    (void)state;
    static const char *const offers[][2] = {{"mplex", "mplex"}, {"mplex", NULL}, {NULL, "mplex"}};
    for (size_t i = 0; i < sizeof offers / sizeof *offers; i++) {
        pair p;
        sim_dial d;
        setup(&p, offers[i][0], offers[i][1]);
        sim_nodes_dial_one(p.a, p.b->addr, &d);
        assert_int_equal(d.error.code, 0);
        assert_int_equal(d.at - p.start, CONNECT);
        expect_mplex(&p, d.conn);
        assert_int_equal(tern_node_disconnect(p.a->node, &p.b->id), 1);
        assert_true(sim_nodes_wait(&p.w, &p.b->disconnected, 1, 5 * TERN_SEC));
        assert_int_equal(p.b->why.code, 0);
        assert_true(sim_nodes_wait(&p.w, &p.a->disconnected, 1, 5 * TERN_SEC));
        assert_int_equal(p.a->why.code, 0);
        sim_nodes_clear(&p.w);
    }
}

static void test_both_prefer_yamux(void **state)
{
    (void)state;
    pair p;
    setup(&p, NULL, NULL);
    tern_conn *conn = sim_nodes_connect(&p.w, p.a, p.b);
    assert_string_equal(tern_conn_get_facts(conn)->muxer, "yamux");
    sim_nodes_clear(&p.w);
}

static void test_no_muxer_in_common(void **state)
{
    (void)state;
    pair p;
    sim_dial d;
    setup(&p, "yamux", "mplex");
    sim_nodes_dial_one(p.a, p.b->addr, &d);
    sim_nodes_run(&p.w, TERN_SEC);
    assert_int_equal(p.a->connected, p.a->disconnected);
    assert_int_equal(p.b->connected, 0);
    sim_nodes_clear(&p.w);
}

/* A peer without early muxers, told to speak mplex only: no round trip more than yamux. */
static void test_proposed_after_the_handshake(void **state)
{
    (void)state;
    pair p;
    sim_dial d;
    setup(&p, "mplex", NULL);
    p.b->node->secures[0] = &silent;
    sim_nodes_dial_one(p.a, p.b->addr, &d);
    assert_int_equal(d.error.code, 0);
    assert_int_equal(d.at - p.start, CONNECT);
    expect_mplex(&p, d.conn);
    sim_nodes_clear(&p.w);
}

/* Without early muxers nobody knows that b has no yamux: the connection is in use when it refuses,
 * and ends. From then on a asks before it goes on. */
static void test_yamux_refused(void **state)
{
    (void)state;
    pair p;
    sim_dial d;
    setup(&p, NULL, "mplex");
    p.b->node->secures[0] = &silent;
    sim_nodes_dial_one(p.a, p.b->addr, &d);
    sim_nodes_run(&p.w, TERN_SEC);
    assert_int_equal(p.a->disconnected, 1);
    assert_int_equal(p.a->why.code, TERN_E_NEGOTIATION);
    assert_non_null(strstr(p.a->why.text, "/yamux/1.0.0"));
    assert_int_equal(p.b->connected, 0);
    sim_nodes_dial_one(p.a, p.b->addr, &d);
    assert_int_equal(d.error.code, 0);
    expect_mplex(&p, d.conn);
    sim_nodes_clear(&p.w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_one_side_has_nothing_else),
        cmocka_unit_test(test_both_prefer_yamux),
        cmocka_unit_test(test_no_muxer_in_common),
        cmocka_unit_test(test_proposed_after_the_handshake),
        cmocka_unit_test(test_yamux_refused),
    };
    return TERN_TEST_MAIN(tests);
}
