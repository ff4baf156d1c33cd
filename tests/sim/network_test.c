/* A machine whose addresses come and go, and one that stood still: what its node, its connections
 * and its peers make of that. */
#include "sim/nodes.h"

#define DELAY (20 * TERN_MS)
#define HOME  "10.0.0.1" /* a's addresses */
#define AWAY  "10.0.0.5"

typedef struct pair {
    sim_nodes w;
    sim_node *a, *b;
    uint64_t start;
} pair;

static void set_up(pair *p, const char *muxer)
{
    tern_options o;
    tern_error error;
    tern_options_init(&o);
    o.muxer = muxer;
    sim_nodes_init(&p->w, DELAY);
    p->a = sim_nodes_add(&p->w, "-" HOME, &o);
    p->b = sim_nodes_add(&p->w, "10.0.0.2", &o);
    assert_int_equal(tern_node_listen(p->a->node, "/ip4/0.0.0.0/tcp/4001", NULL, 0, &error), 0);
    p->start = sim_nodes_now(&p->w);
}

static void add_text(void *arg, const char *addr)
{
    char *list = arg;
    strcat(list, addr);
}

static bool listens_at(sim_node *n, const char *front)
{
    char list[1024] = "";
    tern_node_addresses(n->node, add_text, list);
    return strstr(list, front) != NULL;
}

static void test_addresses_told(void **state)
{
    pair p;
    (void)state;
    set_up(&p, NULL);
    sim_nodes_connect(&p.w, p.a, p.b);
    assert_true(sim_nodes_wait(&p.w, &p.b->identified, 1, TERN_SEC));
    assert_null(strstr(p.b->addrs, AWAY));
    sim_nodes_run(&p.w, 10 * TERN_SEC);
    assert_int_equal(p.a->moved, 0);
    assert_int_equal(tern_sim_add_address(p.a->host, AWAY), 0);
    assert_true(sim_nodes_wait(&p.w, &p.a->moved, 1, TERN_SEC));
    assert_true(listens_at(p.a, "/ip4/" AWAY "/tcp/4001"));
    assert_true(sim_nodes_wait(&p.w, &p.b->identified, 2, 10 * TERN_SEC)); /* a push */
    assert_non_null(strstr(p.b->addrs, "/ip4/" AWAY "/tcp/4001"));
    assert_int_equal(tern_sim_remove_address(p.a->host, AWAY), 0);
    assert_true(sim_nodes_wait(&p.w, &p.a->moved, 2, TERN_SEC));
    assert_false(listens_at(p.a, AWAY));
    assert_true(sim_nodes_wait(&p.w, &p.b->identified, 3, 10 * TERN_SEC));
    assert_null(strstr(p.b->addrs, AWAY));
    assert_int_equal(p.a->disconnected, 0);
    sim_nodes_clear(&p.w);
}

/* a dials from HOME, which then is taken away: both hear of it within a minute. */
static void lost_address(const char *muxer)
{
    pair p;
    set_up(&p, muxer);
    sim_nodes_connect(&p.w, p.a, p.b);
    sim_nodes_run(&p.w, 5 * TERN_SEC);
    assert_int_equal(tern_sim_add_address(p.a->host, AWAY), 0);
    sim_nodes_run(&p.w, 5 * TERN_SEC);
    p.start = sim_nodes_now(&p.w);
    assert_int_equal(tern_sim_remove_address(p.a->host, HOME), 0);
    sim_nodes_run(&p.w, 29 * TERN_SEC);
    assert_int_equal(p.a->disconnected, 0); /* it may come back */
    assert_true(sim_nodes_wait(&p.w, &p.a->disconnected, 1, 2 * TERN_SEC));
    assert_string_equal(p.a->why.text,
                        "closed on this side: our address that it went over is gone");
    assert_int_equal(sim_counters(p.a)->conns_address_gone, 1);
    sim_nodes_clear(&p.w);
}

static void test_lost_address(void **state)
{
    (void)state;
    lost_address("yamux");
    lost_address("mplex");
}

/* The connection over the other address goes on. */
static void test_other_address(void **state)
{
    pair p;
    sim_ping ping;
    (void)state;
    set_up(&p, NULL);
    assert_int_equal(tern_sim_add_address(p.a->host, AWAY), 0);
    tern_conn *conn = sim_nodes_connect(&p.w, p.a, p.b); /* from the first: HOME */
    sim_nodes_run(&p.w, 5 * TERN_SEC);
    assert_int_equal(tern_sim_remove_address(p.a->host, AWAY), 0);
    sim_nodes_run(&p.w, 60 * TERN_SEC);
    sim_nodes_ping(p.a, conn, &ping);
    assert_int_equal(ping.error.code, 0);
    assert_int_equal(p.a->disconnected, 0);
    assert_int_equal(sim_counters(p.a)->conns_address_gone, 0);
    sim_nodes_clear(&p.w);
}

/* A lease that is renewed: nobody cuts anything. */
static void test_back_in_time(void **state)
{
    pair p;
    (void)state;
    set_up(&p, NULL);
    sim_nodes_connect(&p.w, p.a, p.b);
    assert_int_equal(tern_sim_add_address(p.a->host, AWAY), 0);
    assert_int_equal(tern_sim_remove_address(p.a->host, HOME), 0);
    sim_nodes_run(&p.w, 20 * TERN_SEC);
    assert_int_equal(tern_sim_add_address(p.a->host, HOME), 0);
    sim_nodes_run(&p.w, 15 * TERN_SEC);
    assert_int_equal(p.a->disconnected, 0);
    assert_int_equal(sim_counters(p.a)->conns_address_gone, 0);
    sim_nodes_clear(&p.w);
}

/* The first address of the race is dialled from one that goes; the second starts at once. */
static void test_race_goes_on(void **state)
{
    pair p;
    sim_dial d;
    (void)state;
    set_up(&p, NULL);
    assert_int_equal(tern_sim_add_address(p.a->host, "2001:db8::1"), 0);
    sim_nodes_run(&p.w, TERN_SEC);
    p.start = sim_nodes_now(&p.w);
    const char *alone[] = {"/ip4/8.8.9.1/tcp/4001"}; /* nobody's */
    sim_nodes_dial(p.a, alone, 1, &d);
    sim_nodes_run(&p.w, 10 * TERN_MS);
    assert_int_equal(tern_sim_remove_address(p.a->host, HOME), 0);
    assert_true(sim_nodes_wait(&p.w, &d.done, 1, TERN_SEC));
    assert_int_equal(d.error.code, TERN_E_UNREACHABLE);
    assert_int_equal(d.at - p.start, 110 * TERN_MS);
    assert_int_equal(tern_sim_add_address(p.a->host, HOME), 0);
    sim_nodes_run(&p.w, TERN_SEC);
    /* IPv6 first, and 250 ms before the other starts by itself. */
    const char *two[] = {"/ip6/2606:4700::1/tcp/4001", p.b->addr};
    p.start = sim_nodes_now(&p.w);
    sim_nodes_dial(p.a, two, 2, &d);
    sim_nodes_run(&p.w, 10 * TERN_MS);
    assert_int_equal(tern_sim_remove_address(p.a->host, "2001:db8::1"), 0);
    assert_true(sim_nodes_wait(&p.w, &d.done, 1, TERN_SEC));
    assert_int_equal(d.error.code, 0);
    assert_true(d.at - p.start <= 110 * TERN_MS + 6 * DELAY);
    sim_nodes_clear(&p.w);
}

/* ---- a standstill ---- */

/* The peer gave up meanwhile, unheard: noticed within ten seconds. */
static void standstill(const char *muxer)
{
    pair p;
    set_up(&p, muxer);
    sim_node *c = sim_nodes_add(&p.w, "10.0.0.3", NULL);
    sim_nodes_connect(&p.w, p.a, c);
    sim_nodes_connect(&p.w, p.a, p.b);
    sim_nodes_run(&p.w, 5 * TERN_SEC);
    sim_node_vanish(p.b);
    tern_sim_awake(p.a->host);
    sim_nodes_run(&p.w, 9 * TERN_SEC);
    assert_int_equal(p.a->disconnected, 0);
    assert_true(sim_nodes_wait(&p.w, &p.a->disconnected, 1, 2 * TERN_SEC));
    assert_string_equal(p.a->why.text, "closed on this side: no answer after we stood still");
    assert_int_equal(sim_counters(p.a)->conns_dead_after_standstill, 1);
    sim_nodes_run(&p.w, 60 * TERN_SEC);
    assert_int_equal(p.a->disconnected, 1); /* c is alive */
    assert_int_equal(c->disconnected, 0);
    sim_nodes_clear(&p.w);
}

static void test_standstill(void **state)
{
    (void)state;
    standstill(NULL);
}

/* A peer that does not speak ping answers just so. */
static void test_standstill_without_ping(void **state)
{
    pair p;
    tern_options o;
    (void)state;
    set_up(&p, NULL);
    tern_options_init(&o);
    o.no_ping = true;
    sim_node *c = sim_nodes_add(&p.w, "10.0.0.3", &o);
    sim_nodes_connect(&p.w, p.a, c);
    sim_nodes_run(&p.w, 5 * TERN_SEC);
    tern_sim_awake(p.a->host);
    sim_nodes_run(&p.w, 60 * TERN_SEC);
    assert_int_equal(p.a->disconnected, 0);
    sim_nodes_clear(&p.w);
}

/* It stops while peers are asked, and while an address is missed. */
static void test_stop_meanwhile(void **state)
{
    pair p;
    (void)state;
    set_up(&p, NULL);
    sim_nodes_connect(&p.w, p.a, p.b);
    assert_int_equal(tern_sim_add_address(p.a->host, AWAY), 0);
    assert_int_equal(tern_sim_remove_address(p.a->host, HOME), 0);
    tern_sim_awake(p.a->host);
    sim_nodes_run(&p.w, TERN_SEC);
    sim_nodes_clear(&p.w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_addresses_told),
        cmocka_unit_test(test_lost_address),
        cmocka_unit_test(test_other_address),
        cmocka_unit_test(test_back_in_time),
        cmocka_unit_test(test_race_goes_on),
        cmocka_unit_test(test_standstill),
        cmocka_unit_test(test_standstill_without_ping),
        cmocka_unit_test(test_stop_meanwhile),
    };
    return TERN_TEST_MAIN(tests);
}
