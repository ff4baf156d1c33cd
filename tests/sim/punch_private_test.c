/* Hole punching where no address is public: only who was told so punches there. */
#include <stdio.h>

#include "nat/reach.h"
#include "sim/nodes.h"

#define DELAY (20 * TERN_MS)

static sim_node *add(sim_nodes *w, const char *ip, const char *outside, bool private)
{
    tern_options o;
    tern_options_init(&o);
    o.reachability = TERN_REACHABILITY_PRIVATE;
    o.hole_punch = true;
    o.hole_punch_private = private;
    sim_node *n = sim_nodes_add(w, ip, &o);
    assert_int_equal(tern_sim_shield(n->host, outside, TERN_SIM_ANY, TERN_SIM_BY_PORT), 0);
    return n;
}

/* The direct connection of one to another; NULL without. */
static tern_conn *direct(sim_node *n, const sim_node *other)
{
    tern_net *net = tern_node_net(n->node);
    size_t it = 0;
    tern_conn *c;
    while ((c = net->ops->next_conn(net, &other->id, &it)) != NULL && c->facts.limited) {
    }
    return c;
}

/* A dials B, both behind NATs, through a relay; all have private addresses. */
static void all_is_private(void **state)
{
    (void)state;
    for (int told = 0; told < 2; told++) {
        sim_nodes w;
        sim_dial d;
        tern_options o;
        tern_error error;
        char text[600], id[TERN_PEER_ID_TEXT];
        tern_options_init(&o);
        o.relay_service = true;
        sim_nodes_init(&w, DELAY);
        sim_node *relay = sim_nodes_add(&w, "10.9.9.68", &o);
        sim_node *a = add(&w, "10.9.9.99", "10.9.9.66", told);
        sim_node *b = add(&w, "10.9.9.131", "10.9.9.67", told);
        sim_nodes_connect(&w, a, relay);
        sim_nodes_connect(&w, b, relay);
        snprintf(text, sizeof text, "%s/p2p-circuit", relay->addr);
        assert_int_equal(tern_node_listen(b->node, text, NULL, 0, &error), 0);
        sim_nodes_run(&w, 2 * TERN_SEC);
        snprintf(text, sizeof text, "%s/p2p-circuit/p2p/%s", relay->addr,
                 tern_peer_id_text(&b->id, id));
        sim_nodes_dial_one(a, text, &d);
        assert_int_equal(d.error.code, 0);
        sim_nodes_run(&w, 60 * TERN_SEC);
        assert_int_equal(direct(a, b) != NULL, told);
        assert_int_equal(direct(b, a) != NULL, told);
        assert_int_equal(sim_counters(b)->punches_tried, told);
        assert_int_equal(sim_counters(b)->punches_lost, !told);
        sim_nodes_clear(&w);
    }
}

static void where_to(void **state)
{
    (void)state;
    static const struct {
        const char *ip;
        bool always, told;
    } cases[] = {
        {"5.0.0.1", true, true},       {"2a00::1", true, true},
        {"10.0.0.1", false, true},     {"192.168.1.1", false, true},
        {"100.64.0.1", false, true},   {"fd00::1", false, true},
        {"127.0.0.1", false, false},   {"::1", false, false},
        {"0.0.0.0", false, false},     {"::", false, false},
        {"169.254.1.1", false, false}, {"fe80::1", false, false},
        {"224.0.0.1", false, false},   {"255.255.255.255", false, false},
        {"ff02::1", false, false},
    };
    tern_net net = {.punch_private = false};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        tern_endpoint e;
        assert_int_equal(tern_endpoint_parse_ip(&e, cases[i].ip), 0);
        net.punch_private = false;
        assert_int_equal(tern_reach_punchable(&net, &e), cases[i].always);
        net.punch_private = true;
        assert_int_equal(tern_reach_punchable(&net, &e), cases[i].told);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(all_is_private),
        cmocka_unit_test(where_to),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
