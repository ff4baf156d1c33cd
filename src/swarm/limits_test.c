/* Tests of the limits on connections: in all, per peer, per address block, and on those that are
 * not secured yet, of which the busiest address loses its oldest. */
#include "sim/nodes.h"
#include "suite/ear.h"

#include <stdio.h>

#define DELAY (5 * TERN_MS)

struct world {
    sim_nodes w;
    sim_node *b;
};

static void setup(struct world *t, const tern_options *o)
{
    sim_nodes_init(&t->w, DELAY);
    t->b = sim_nodes_add(&t->w, "10.0.0.100", o);
}

static tern_options options(void)
{
    tern_options o;
    tern_options_init(&o);
    return o;
}

/* One more node, connected or tried to: it, after both know. */
static sim_node *join(struct world *t, const char *ip)
{
    sim_dial d;
    sim_node *n = sim_nodes_add(&t->w, ip, NULL);
    sim_nodes_dial_one(n, t->b->addr, &d);
    assert_int_equal(d.error.code, 0); /* a refusal comes later */
    sim_nodes_run(&t->w, TERN_SEC);
    return n;
}

static void expect_in(const sim_node *n)
{
    assert_int_equal(n->connected, 1);
    assert_int_equal(n->disconnected, 0);
}

static void expect_refused(const sim_node *n)
{
    assert_int_equal(n->connected, 1);
    assert_int_equal(n->disconnected, 1);
    assert_int_not_equal(n->why.code, 0);
    assert_int_equal(n->why.wire, 0x1001);
}

static void test_in_all(void **state)
{
    struct world t;
    tern_options o = options();
    (void)state;
    o.max_connections = 3;
    setup(&t, &o);
    sim_node *first = join(&t, "-10.0.0.1");
    expect_in(join(&t, "-10.0.0.2"));
    expect_in(join(&t, "-10.0.0.3"));
    expect_refused(join(&t, "-10.0.0.4"));
    assert_int_equal(t.b->connected, 3);
    assert_int_equal(sim_counters(t.b)->accept_limit, 1);
    assert_int_equal(sim_counters(t.b)->refused_conns, 1);
    tern_node_disconnect(first->node, &t.b->id); /* makes place */
    sim_nodes_run(&t.w, 5 * TERN_SEC);
    expect_in(join(&t, "-10.0.0.5"));
    /* Our own dials count as well. */
    sim_node *c = sim_nodes_add(&t.w, "10.0.0.6", NULL);
    sim_dial d;
    sim_nodes_dial_one(t.b, c->addr, &d);
    assert_int_equal(d.error.code, TERN_E_LIMIT);
    assert_non_null(strstr(d.error.text, "3 connections"));
    sim_nodes_clear(&t.w);
}

static void test_per_peer(void **state)
{
    struct world t;
    tern_options o = options();
    (void)state;
    o.max_connections_per_peer = 2;
    o.max_connections_per_ip = -1;
    setup(&t, &o);
    sim_node *a = join(&t, "-10.0.0.1");
    const char *texts[] = {t.b->addr};
    for (int i = 0; i < 3; i++) {
        assert_int_equal(
            tern_node_dial(a->node, texts, 1, 0, true, sim_nodes_ignore_dial, NULL, NULL), 0);
        sim_nodes_run(&t.w, TERN_SEC);
    }
    assert_int_equal(a->connected, 4);
    assert_int_equal(a->disconnected, 2);
    assert_int_equal(t.b->connected, 2);
    assert_int_equal(sim_counters(t.b)->refused_per_peer, 2);
    assert_int_equal(a->why.wire, 0x1001);
    expect_in(join(&t, "-10.0.0.2")); /* another peer */
    sim_nodes_clear(&t.w);
}

static void test_per_ip4(void **state)
{
    struct world t;
    tern_options o = options();
    (void)state;
    o.max_connections_per_ip = 2;
    setup(&t, &o);
    sim_node *first = join(&t, "-10.0.0.1");
    sim_node *more[3];
    for (int i = 0; i < 3; i++) { /* other nodes on the same machine */
        more[i] = sim_nodes_beside(first, NULL);
        sim_dial d;
        sim_nodes_dial_one(more[i], t.b->addr, &d);
        sim_nodes_run(&t.w, TERN_SEC);
    }
    expect_in(first);
    expect_in(more[0]);
    expect_refused(more[1]);
    expect_refused(more[2]);
    assert_int_equal(sim_counters(t.b)->refused_per_ip, 2);
    expect_in(join(&t, "-10.0.0.2"));
    sim_node_end(more[0]);
    sim_nodes_run(&t.w, TERN_SEC);
    sim_dial d;
    sim_nodes_dial_one(more[1], t.b->addr, &d);
    sim_nodes_run(&t.w, TERN_SEC);
    assert_int_equal(more[1]->connected, 2);
    assert_int_equal(more[1]->disconnected, 1);
    sim_nodes_clear(&t.w);
}

/* Loopback is an address like any other: a flood from a tunnel on the same machine is one. */
static void test_loopback_counts(void **state)
{
    struct world t;
    tern_options o = options();
    (void)state;
    o.max_connections_per_ip = 1;
    setup(&t, &o);
    assert_int_equal(tern_node_listen(t.b->node, "/ip4/127.0.0.1/tcp/4005", NULL, 0, NULL), 0);
    sim_node *n[2];
    for (int i = 0; i < 2; i++) {
        sim_dial d;
        n[i] = sim_nodes_beside(t.b, NULL);
        sim_nodes_dial_one(n[i], "/ip4/127.0.0.1/tcp/4005", &d);
        sim_nodes_run(&t.w, TERN_SEC);
    }
    expect_in(n[0]);
    expect_refused(n[1]);
    sim_nodes_clear(&t.w);
}

static void test_per_ip6_block(void **state)
{
    static const struct {
        const char *ip;
        bool in;
    } table[] = {
        {"-2001:db8:1:100::1", true},
        {"-2001:db8:1:1ff::9", true},
        {"-2001:db8:1:123::7", false}, /* the third of its /56 */
        {"-2001:db8:1:200::1", true},
    };
    struct world t;
    tern_options o = options();
    (void)state;
    o.max_connections_per_ip = 2;
    sim_nodes_init(&t.w, DELAY);
    t.b = sim_nodes_add(&t.w, "2001:db8:ffff::1", &o);
    for (size_t i = 0; i < sizeof table / sizeof *table; i++) {
        sim_node *n = join(&t, table[i].ip);
        if (table[i].in) {
            expect_in(n);
        } else {
            expect_refused(n);
        }
    }
    sim_nodes_clear(&t.w);
}

/* What we dial is not counted by address. */
static void test_own_dials_are_not_counted_by_address(void **state)
{
    struct world t;
    tern_options o = options();
    sim_dial d;
    (void)state;
    o.max_connections_per_ip = 1;
    setup(&t, &o);
    sim_node *first = sim_nodes_add(&t.w, "10.0.0.1", NULL);
    sim_node *second = sim_nodes_beside(first, "/ip4/10.0.0.1/tcp/4002");
    sim_nodes_dial_one(t.b, first->addr, &d);
    assert_int_equal(d.error.code, 0);
    sim_nodes_dial_one(t.b, second->addr, &d);
    assert_int_equal(d.error.code, 0);
    sim_nodes_run(&t.w, TERN_SEC);
    assert_int_equal(t.b->disconnected, 0);
    sim_nodes_clear(&t.w);
}

/* A walk over all connections meets each that stays, though others go and come meanwhile. */
static void test_walk(void **state)
{
    struct world t;
    sim_node *n[4];
    (void)state;
    setup(&t, NULL);
    for (size_t i = 0; i < 4; i++) {
        char ip[20];
        snprintf(ip, sizeof ip, "-10.0.0.%zu", i + 1);
        n[i] = join(&t, ip);
    }
    for (size_t gone = 0; gone < 3; gone++) { /* the one just met, one behind it, none */
        tern_net *net = tern_node_net(t.b->node);
        size_t it = 0, met = 0;
        bool seen[4] = {false};
        tern_conn *c;
        while ((c = net->ops->next_conn(net, NULL, &it)) != NULL) {
            for (size_t i = 0; i < 4; i++) {
                if (n[i] != NULL && tern_peer_id_equal(&c->facts.peer, &n[i]->id)) {
                    assert_false(seen[i]);
                    seen[i] = true;
                }
            }
            if (++met == 2 && gone < 2) {
                sim_node_end(n[1 - gone]);
                n[1 - gone] = NULL;
                sim_nodes_run(&t.w, TERN_SEC);
            }
        }
        for (size_t i = 0; i < 4; i++) {
            assert_true(n[i] == NULL || seen[i]);
        }
        if (gone < 2) {
            n[1 - gone] = join(&t, gone == 0 ? "-10.0.0.8" : "-10.0.0.9");
        }
    }
    size_t it = 0, of_peer = 0;
    tern_net *net = tern_node_net(t.b->node);
    while (net->ops->next_conn(net, &n[3]->id, &it) != NULL) {
        of_peer++;
    }
    assert_int_equal(of_peer, 1);
    sim_nodes_clear(&t.w);
}

/* ---- pending ---- */

struct stranger {
    tern_tcp *t;
    bool gone;
};

static void stranger_connected(void *owner, int code)
{
    struct stranger *s = owner;
    static const char header[] = "\x13/multistream/1.0.0\n";
    tern_span v = {(const uint8_t *)header, sizeof header - 1};
    assert_int_equal(code, 0);
    tern_tcp_read(s->t);
    assert_int_equal(tern_tcp_write(s->t, &v, 1), sizeof header - 1);
}

static void stranger_data(void *owner, uint8_t *data, size_t n)
{
    (void)owner;
    (void)data;
    (void)n;
}

static void stranger_end(void *owner)
{
    ((struct stranger *)owner)->gone = true;
}

static void stranger_error(void *owner, int code)
{
    (void)code;
    stranger_end(owner);
}

static const tern_tcp_events stranger_events = {.on_connected = stranger_connected,
                                                .on_data = stranger_data,
                                                .on_end = stranger_end,
                                                .on_error = stranger_error};

static void come(struct world *t, tern_loop *host, struct stranger *s)
{
    tern_endpoint to;
    assert_int_equal(tern_endpoint_parse_ip(&to, "10.0.0.100"), 0);
    to.port = SIM_NODE_PORT;
    memset(s, 0, sizeof *s);
    assert_int_equal(tern_tcp_dial(host, &to, NULL, &stranger_events, s, &s->t), 0);
    sim_nodes_run(&t->w, 10 * DELAY);
}

static void silent_connected(void *owner, int code)
{
    assert_int_equal(code, 0);
    tern_tcp_read(((struct stranger *)owner)->t);
}

static void come_silently(struct world *t, tern_loop *host, struct stranger *s)
{
    static const tern_tcp_events silent_events = {.on_connected = silent_connected,
                                                  .on_data = stranger_data,
                                                  .on_end = stranger_end,
                                                  .on_error = stranger_error};
    tern_endpoint to;
    assert_int_equal(tern_endpoint_parse_ip(&to, "10.0.0.100"), 0);
    to.port = SIM_NODE_PORT;
    memset(s, 0, sizeof *s);
    assert_int_equal(tern_tcp_dial(host, &to, NULL, &silent_events, s, &s->t), 0);
    sim_nodes_run(&t->w, 10 * DELAY);
}

static void test_pending(void **state)
{
    struct world t;
    tern_options o = options();
    tern_loop *busy, *quiet;
    struct stranger b[6], q[2];
    (void)state;
    o.max_pending = 4;
    setup(&t, &o);
    assert_int_equal(tern_sim_host(t.w.sim, "10.0.0.66", &busy), 0);
    assert_int_equal(tern_sim_host(t.w.sim, "10.0.0.67", &quiet), 0);
    come(&t, quiet, &q[0]);
    come(&t, busy, &b[0]);
    come(&t, busy, &b[1]);
    come(&t, busy, &b[2]);
    assert_int_equal(t.b->node->swarm->pending_count, 4);
    come(&t, quiet, &q[1]); /* the flood loses its oldest */
    assert_true(b[0].gone);
    come(&t, busy, &b[3]); /* two of each: the oldest of all */
    assert_true(q[0].gone != b[1].gone);
    assert_int_equal(t.b->node->swarm->pending_count, 4);
    assert_int_equal(sim_counters(t.b)->accept_limit, 2);
    assert_int_equal(sim_counters(t.b)->evicted_pending, 2);
    expect_in(join(&t, "-10.0.0.1")); /* an honest one gets in all the same */
    sim_nodes_run(&t.w, 20 * TERN_SEC);
    assert_int_equal(t.b->node->swarm->pending_count, 0);
    for (int i = 0; i < 4; i++) {
        assert_true(b[i].gone);
        tern_tcp_close(b[i].t, false);
    }
    assert_true(q[0].gone && q[1].gone);
    tern_tcp_close(q[0].t, false);
    tern_tcp_close(q[1].t, false);
    sim_nodes_clear(&t.w);
}

/* Of one address only so many, in all stages together: silent ones and those in the middle of the
 * upgrade. */
static void test_pending_per_ip(void **state)
{
    struct world t;
    tern_options o = options();
    tern_loop *busy;
    struct stranger b[4];
    (void)state;
    o.max_pending_per_ip = 3;
    setup(&t, &o);
    assert_int_equal(tern_sim_host(t.w.sim, "10.0.0.66", &busy), 0);
    come(&t, busy, &b[0]);
    come_silently(&t, busy, &b[1]);
    come(&t, busy, &b[2]);
    assert_int_equal(t.b->node->swarm->pending_count, 2);
    assert_int_equal(tern_node_net(t.b->node)->pending.count, 3);
    come_silently(&t, busy, &b[3]);
    assert_true(b[0].gone); /* the oldest, which has got furthest */
    assert_int_equal(tern_node_net(t.b->node)->pending.count, 3);
    assert_int_equal(sim_counters(t.b)->evicted_pending_per_ip, 1);
    assert_int_equal(sim_counters(t.b)->accept_limit, 1);
    expect_in(join(&t, "-10.0.0.1"));
    sim_nodes_run(&t.w, 20 * TERN_SEC);
    assert_int_equal(tern_node_net(t.b->node)->pending.count, 0);
    for (int i = 0; i < 4; i++) {
        tern_tcp_close(b[i].t, false);
    }
    sim_nodes_clear(&t.w);
}

/* ---- streams ---- */

static void keep(void *ctx, tern_node *node, tern_conn *conn, tern_stream *s)
{
    (void)node;
    (void)conn;
    sim_nodes_ear_opened(ctx, s, NULL);
}

static void test_streams_per_protocol(void **state)
{
    struct world t;
    ear served[3], asked[4];
    tern_protocol_options p = {.per_peer = 2};
    (void)state;
    setup(&t, NULL);
    for (int i = 0; i < 4; i++) {
        ear_init(&asked[i]);
        ear_init(&served[i % 3]);
    }
    assert_int_equal(tern_node_handle(t.b->node, "/kept/1", &p, keep, &served[0]), 0);
    sim_node *a = join(&t, "-10.0.0.1");
    for (int i = 0; i < 3; i++) {
        if (i == 1) { /* the second stream has another ear */
            tern_node_unhandle(t.b->node, "/kept/1");
            assert_int_equal(tern_node_handle(t.b->node, "/kept/1", &p, keep, &served[1]), 0);
        }
        assert_non_null(
            tern_node_open(a->node, a->conn, "/kept/1", sim_nodes_ear_opened, &asked[i], NULL));
        sim_nodes_run(&t.w, TERN_SEC);
    }
    assert_int_equal(asked[0].closed, 0);
    assert_int_equal(asked[1].closed, 0);
    assert_int_equal(asked[2].closed, 1);
    assert_int_equal(asked[2].why.code, TERN_E_RESET);
    assert_int_equal(sim_counters(t.b)->streams_limit, 1);
    assert_int_equal(sim_counters(t.b)->refused_per_protocol, 1);
    ear_clear(&asked[0]); /* reset: its place is free */
    sim_nodes_run(&t.w, TERN_SEC);
    tern_node_unhandle(t.b->node, "/kept/1");
    assert_int_equal(tern_node_handle(t.b->node, "/kept/1", &p, keep, &served[2]), 0);
    assert_non_null(
        tern_node_open(a->node, a->conn, "/kept/1", sim_nodes_ear_opened, &asked[3], NULL));
    sim_nodes_run(&t.w, TERN_SEC);
    assert_int_equal(asked[3].closed, 0);
    assert_non_null(served[2].s);
    for (int i = 0; i < 4; i++) {
        ear_clear(&asked[i]);
        ear_clear(&served[i % 3]);
    }
    sim_nodes_clear(&t.w);
}

static void test_unnegotiated_streams(void **state)
{
    struct world t;
    (void)state;
    setup(&t, NULL);
    sim_node *a = join(&t, "-10.0.0.1");
    /* Opened below the swarm: nothing is ever proposed. */
    tern_stream *silent[70];
    for (size_t i = 0; i < 70; i++) {
        silent[i] = tern_conn_open(a->conn, NULL);
        assert_non_null(silent[i]);
    }
    sim_nodes_run(&t.w, TERN_SEC);
    assert_int_equal(sim_counters(t.b)->streams_queued, 70 - 64);
    assert_int_equal(sim_counters(t.b)->multistream_timeout, 0);
    assert_int_equal(sim_counters(t.b)->streams_limit, 0);
    sim_nodes_run(&t.w, 10 * TERN_SEC); /* the queue prolongs nobody's time */
    assert_int_equal(sim_counters(t.b)->multistream_timeout, 70);
    for (size_t i = 0; i < 70; i++) {
        tern_stream_drop(silent[i]);
    }
    sim_ping p;
    sim_nodes_ping(a, a->conn, &p);
    assert_int_equal(p.error.code, 0);
    sim_nodes_clear(&t.w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_in_all),
        cmocka_unit_test(test_per_peer),
        cmocka_unit_test(test_per_ip4),
        cmocka_unit_test(test_loopback_counts),
        cmocka_unit_test(test_per_ip6_block),
        cmocka_unit_test(test_own_dials_are_not_counted_by_address),
        cmocka_unit_test(test_walk),
        cmocka_unit_test(test_pending),
        cmocka_unit_test(test_pending_per_ip),
        cmocka_unit_test(test_streams_per_protocol),
        cmocka_unit_test(test_unnegotiated_streams),
    };
    return TERN_TEST_MAIN(tests);
}
