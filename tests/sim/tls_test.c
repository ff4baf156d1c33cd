/* Whole nodes with TLS in a simulated world: round trips, and what becomes of a dial whose first
 * choice of security the other does not speak. */
#include "sim/nodes.h"

#define DELAY (50 * TERN_MS)
#define RTT   (2 * DELAY)

typedef struct two {
    sim_nodes w;
    sim_node *a, *b; /* a dials b */
} two;

/* Securities: "noise", "tls", or NULL for both, noise first. */
static void two_make(two *t, const char *dialler, const char *listener)
{
    tern_options o;
    tern_options_init(&o);
    sim_nodes_init(&t->w, DELAY);
    o.security = dialler;
    t->a = sim_nodes_add(&t->w, "-10.0.0.1", &o);
    o.security = listener;
    t->b = sim_nodes_add(&t->w, "10.0.0.2", &o);
}

/* Dials and pings; the round trips until the answer. */
static unsigned measure(two *t, const char *security)
{
    sim_dial d;
    sim_ping p;
    uint64_t start = sim_nodes_now(&t->w);
    sim_nodes_dial_one(t->a, t->b->addr, &d);
    if (d.error.code != 0) {
        fail_msg("dial: %s", d.error.text);
    }
    const tern_conn_facts *facts = tern_conn_get_facts(d.conn);
    assert_string_equal(facts->security, security);
    assert_string_equal(facts->muxer, "yamux");
    assert_true(tern_peer_id_equal(&facts->peer, &t->b->id));
    sim_nodes_ping(t->a, d.conn, &p);
    assert_int_equal(p.error.code, 0);
    assert_int_equal((p.at - start) % RTT, 0);
    return (unsigned)((p.at - start) / RTT);
}

/* SYN | proposal and ClientHello | certificate, the ping's proposal and the ping. */
static void test_three_round_trips(void **state)
{
    (void)state;
    two t;
    two_make(&t, "tls", "tls");
    assert_int_equal(measure(&t, "tls"), 3);
    sim_nodes_run(&t.w, RTT);
    assert_int_equal(t.b->connected, 1);
    assert_string_equal(tern_conn_get_facts(t.b->conn)->security, "tls");
    assert_true(tern_peer_id_equal(&tern_conn_get_facts(t.b->conn)->peer, &t.a->id));
    sim_nodes_clear(&t.w);
}

static void test_common_ground(void **state)
{
    (void)state;
    static const struct {
        const char *dialler, *listener, *agreed;
    } cases[] = {{NULL, NULL, "noise"}, {"tls", NULL, "tls"}, {"noise", NULL, "noise"}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        two t;
        two_make(&t, cases[i].dialler, cases[i].listener);
        assert_int_equal(measure(&t, cases[i].agreed), 3);
        sim_nodes_clear(&t.w);
    }
}

/* The first choice is refused together with what was sent behind it: a second connection, on which
 * each proposal waits for its answer. */
static void test_first_choice_refused(void **state)
{
    (void)state;
    two t;
    two_make(&t, NULL, "tls");
    assert_int_equal(measure(&t, "tls"), 7);
    sim_nodes_clear(&t.w);
}

static void test_nothing_in_common(void **state)
{
    (void)state;
    static const char *const ways[][2] = {{"tls", "noise"}, {"noise", "tls"}};
    for (size_t i = 0; i < 2; i++) {
        two t;
        sim_dial d;
        two_make(&t, ways[i][0], ways[i][1]);
        sim_nodes_dial_one(t.a, t.b->addr, &d);
        assert_null(d.conn);
        assert_int_equal(d.error.code, TERN_E_NEGOTIATION);
        assert_int_equal(t.b->connected, 0);
        sim_nodes_clear(&t.w);
    }
}

static void test_another_peer_than_expected(void **state)
{
    (void)state;
    two t;
    sim_dial d;
    char addr[sizeof t.b->addr], id[TERN_PEER_ID_TEXT];
    two_make(&t, "tls", "tls");
    strcpy(addr, t.b->addr);
    *strstr(addr, "/p2p/") = '\0';
    strcat(addr, "/p2p/");
    sim_node *c = sim_nodes_add(&t.w, "-10.0.0.3", NULL);
    strcat(addr, tern_peer_id_text(&c->id, id));
    sim_nodes_dial_one(t.a, addr, &d);
    assert_null(d.conn);
    assert_int_equal(d.error.code, TERN_E_PEER_ID);
    assert_int_equal(sim_counters(t.a)->tls_wrong_peer, 1);
    sim_nodes_run(&t.w, RTT);
    assert_int_equal(sim_counters(t.b)->tls_refused, 1); /* it was told why */
    assert_int_equal(t.b->connected, 0);
    sim_nodes_clear(&t.w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_three_round_trips),          cmocka_unit_test(test_common_ground),
        cmocka_unit_test(test_first_choice_refused),       cmocka_unit_test(test_nothing_in_common),
        cmocka_unit_test(test_another_peer_than_expected),
    };
    return TERN_TEST_MAIN(tests);
}
