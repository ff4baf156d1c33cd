/* Dials with TCP Fast Open between whole nodes, when the address that gave a cookie is not what it
 * was: its stream comes before anybody answered, and neither the report nor the race is fooled. */
#include "sim/nodes.h"

#define DELAY   (50 * TERN_MS)
#define RTT     (2 * DELAY)
#define STAGGER (30 * TERN_MS) /* of addresses in a private network */

typedef struct trio {
    sim_nodes w;
    sim_node *a, *b, *c; /* a dials; it has cookies of b and c */
    uint64_t start;
} trio;

static void forget(trio *t, sim_node *n, tern_conn *conn)
{
    unsigned before = n->disconnected;
    tern_peer_id peer = tern_conn_get_facts(conn)->peer;
    assert_int_equal(tern_node_disconnect(t->a->node, &peer), 1);
    assert_true(sim_nodes_wait(&t->w, &n->disconnected, before + 1, TERN_SEC));
    sim_nodes_run(&t->w, 10 * TERN_SEC);
}

static void set_up(trio *t, const char *security)
{
    tern_options o;
    tern_options_init(&o);
    o.tcp_fast_open = true;
    o.security = security;
    sim_nodes_init(&t->w, DELAY);
    t->a = sim_nodes_add(&t->w, "-10.0.0.1", &o);
    t->b = sim_nodes_add(&t->w, "10.0.0.2", &o);
    t->c = sim_nodes_add(&t->w, "10.0.0.3", &o);
    forget(t, t->b, sim_nodes_connect(&t->w, t->a, t->b));
    forget(t, t->c, sim_nodes_connect(&t->w, t->a, t->c));
    t->start = sim_nodes_now(&t->w);
}

static void dial(trio *t, const char *const *texts, size_t n, sim_dial *d)
{
    sim_nodes_dial(t->a, texts, n, d);
    assert_true(sim_nodes_wait(&t->w, &d->done, 1, 60 * TERN_SEC));
}

static void refused(const char *security)
{
    trio t;
    sim_dial d;
    set_up(&t, security);
    sim_node_end(t.b);
    t.start = sim_nodes_now(&t.w);
    const char *texts[] = {"/ip4/10.0.0.2/tcp/4001"};
    dial(&t, texts, 1, &d);
    assert_int_equal(d.error.code, TERN_E_REFUSED);
    assert_string_equal(d.error.layer, "tcp");
    assert_string_equal(d.error.text, "10.0.0.2:4001: the other machine refused the connection");
    assert_int_equal(d.at - t.start, RTT);
    assert_int_equal(d.reports[0].error.code, TERN_E_REFUSED);
    assert_int_equal(sim_counters(t.a)->dial_failures, 1);
    sim_nodes_clear(&t.w);
}

static void test_refused(void **state)
{
    (void)state;
    refused("noise");
    refused("tls");
}

static void test_silence(void **state)
{
    trio t;
    sim_dial d;
    (void)state;
    set_up(&t, NULL);
    sim_node_vanish(t.b);
    t.start = sim_nodes_now(&t.w);
    const char *texts[] = {"/ip4/10.0.0.2/tcp/4001"};
    dial(&t, texts, 1, &d);
    assert_int_equal(d.error.code, TERN_E_TIMEOUT);
    assert_int_equal(d.at - t.start, 15 * TERN_SEC);
    sim_nodes_clear(&t.w);
}

/* The silent one is "connected" first; the other one wins as it would have. */
static void test_race(void **state)
{
    trio t;
    sim_dial d;
    (void)state;
    set_up(&t, NULL);
    sim_node_vanish(t.b);
    t.start = sim_nodes_now(&t.w);
    const char *texts[] = {"/ip4/10.0.0.2/tcp/4001", t.c->addr};
    dial(&t, texts, 2, &d);
    assert_int_equal(d.error.code, 0);
    assert_int_equal(d.at - t.start, STAGGER + RTT); /* and a round trip earlier than without */
    assert_string_equal(d.reports[0].error.text, "another address was faster");
    sim_nodes_clear(&t.w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_refused),
        cmocka_unit_test(test_silence),
        cmocka_unit_test(test_race),
    };
    return TERN_TEST_MAIN(tests);
}
