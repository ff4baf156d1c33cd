/* Port mapping over whole nodes: a node behind a router that maps ports when it is asked, over each
 * protocol, and servers that tell whether that leads to it. What a router can do to it. */
#include <stdio.h>

#include "sim/gateway.h"
#include "sim/nodes.h"

#define DELAY   (20 * TERN_MS)
#define INSIDE  "10.1.0.2"
#define ROUTER  "10.1.0.1"
#define OUTSIDE "8.0.0.1"
enum { SERVERS = 3 };

typedef struct scene {
    sim_nodes w;
    sim_node *n, *servers[SERVERS], *stranger;
    sim_gateway g;
} scene;

static void listen_quic(sim_node *n, const char *ip)
{
    char text[80];
    tern_error error;
    snprintf(text, sizeof text, "/ip4/%s/udp/%d/quic-v1", ip, SIM_NODE_PORT);
    if (tern_node_listen(n->node, text, NULL, 0, &error) != 0) {
        fail_msg("%s", error.text);
    }
}

static sim_node *add(sim_nodes *w, const char *ip)
{
    tern_options o;
    tern_options_init(&o);
    o.autonat = o.hole_punch = o.port_mapping = true;
    sim_node *n = sim_nodes_add(w, ip, &o);
    listen_quic(n, ip);
    return n;
}

static void scene_make(scene *s, const char *outside)
{
    memset(s, 0, sizeof *s);
    sim_nodes_init(&s->w, DELAY);
    s->n = add(&s->w, INSIDE);
    sim_gateway_make(&s->g, s->w.sim, ROUTER, s->n->host, outside, TERN_SIM_ANY, TERN_SIM_BY_PORT);
}

static void scene_clear(scene *s)
{
    for (size_t i = 0; i < s->w.count; i++) {
        sim_node_end(s->w.nodes[i]);
    }
    assert_int_equal(s->g.count, 0); /* nothing is left behind */
    sim_gateway_close(&s->g);
    sim_nodes_clear(&s->w);
}

/* Three that answer AutoNAT, and are connected. */
static void add_servers(scene *s)
{
    static const char *const ips[SERVERS] = {"5.1.0.1", "5.2.0.1", "5.3.0.1"};
    for (size_t i = 0; i < SERVERS; i++) {
        tern_options o;
        tern_options_init(&o);
        o.autonat_service = true;
        s->servers[i] = sim_nodes_add(&s->w, ips[i], &o);
        listen_quic(s->servers[i], ips[i]);
        sim_nodes_connect(&s->w, s->n, s->servers[i]);
    }
}

static void list_address(void *arg, const char *addr)
{
    char *out = arg;
    size_t n = strlen(out);
    snprintf(out + n, 1024 - n, "%s,", addr);
}

static bool announces(sim_node *n, const char *what)
{
    char list[1024] = "";
    tern_node_addresses(n->node, list_address, list);
    return strstr(list, what) != NULL;
}

static void expect(const sim_node *n, const char *what)
{
    if (strstr(n->mappings, what) == NULL) {
        fail_msg("no \"%s\" among \"%s\"", what, n->mappings);
    }
}

static void expect_reached(scene *s, const char *at)
{
    char text[200], id[TERN_PEER_ID_TEXT];
    sim_dial d;
    sim_ping p;
    s->stranger = s->stranger != NULL ? s->stranger : sim_nodes_add(&s->w, "-5.9.0.1", NULL);
    snprintf(text, sizeof text, "%s/p2p/%s", at, tern_peer_id_text(&s->n->id, id));
    sim_nodes_dial_one(s->stranger, text, &d);
    if (d.error.code != 0) {
        fail_msg("%s: %s", at, d.error.text);
    }
    sim_nodes_ping(s->stranger, d.conn, &p);
    assert_int_equal(p.error.code, 0);
}

/* ---- each protocol ---- */

/* Found, mapped, judged, announced, dialled, and given back. */
static void whole_way(bool pcp, bool nat_pmp, bool upnp, const char *name)
{
    scene s;
    char text[100];
    scene_make(&s, OUTSIDE);
    s.g.pcp = pcp;
    s.g.nat_pmp = nat_pmp;
    s.g.upnp = upnp;
    s.g.shift = 1000;
    sim_nodes_run(&s.w, 30 * TERN_SEC);
    assert_int_equal(s.g.count, 2);
    assert_int_equal(s.n->mapped, 2);
    assert_int_equal(s.n->refused, 0);
    snprintf(text, sizeof text, "%s /ip4/" OUTSIDE "/tcp/5001,", name);
    expect(s.n, text);
    snprintf(text, sizeof text, "%s /ip4/" OUTSIDE "/udp/5001,", name);
    expect(s.n, text);
    assert_false(announces(s.n, OUTSIDE)); /* nobody has proven it */
    add_servers(&s);
    sim_nodes_run(&s.w, 60 * TERN_SEC);
    assert_true(announces(s.n, "/ip4/" OUTSIDE "/tcp/5001/p2p/"));
    assert_true(announces(s.n, "/ip4/" OUTSIDE "/udp/5001/quic-v1/p2p/"));
    assert_int_equal(tern_node_reachability(s.n->node), TERN_REACHABILITY_PUBLIC);
    expect_reached(&s, "/ip4/" OUTSIDE "/tcp/5001");
    sim_nodes_run(&s.w, 4 * 3600 * TERN_SEC); /* renewed, again and again */
    assert_int_equal(s.g.count, 2);
    assert_int_equal(s.n->mapped, 2);
    assert_int_equal(s.n->refused, 0);
    assert_int_equal(sim_counters(s.n)->portmap_restarts, 0);
    expect_reached(&s, "/ip4/" OUTSIDE "/udp/5001/quic-v1");
    scene_clear(&s);
}

static void over_pcp(void **state)
{
    (void)state;
    whole_way(true, false, false, "pcp");
}

static void over_nat_pmp(void **state)
{
    (void)state;
    whole_way(false, true, false, "nat-pmp");
}

static void over_upnp(void **state)
{
    (void)state;
    whole_way(false, false, true, "upnp");
}

static void the_best_of_all(void **state)
{
    (void)state;
    whole_way(true, true, true, "pcp");
    whole_way(false, true, true, "nat-pmp");
}

/* Forced public: it is announced at once. Forced private, it is not. */
static void without_autonat(void **state)
{
    (void)state;
    for (int i = 0; i < 2; i++) {
        scene s;
        tern_options o;
        memset(&s, 0, sizeof s);
        sim_nodes_init(&s.w, DELAY);
        tern_options_init(&o);
        o.port_mapping = true;
        o.reachability = i == 0 ? TERN_REACHABILITY_PUBLIC : TERN_REACHABILITY_PRIVATE;
        s.n = sim_nodes_add(&s.w, INSIDE, &o);
        sim_gateway_make(&s.g, s.w.sim, ROUTER, s.n->host, OUTSIDE, TERN_SIM_ANY, TERN_SIM_BY_PORT);
        s.g.pcp = true;
        sim_nodes_run(&s.w, 5 * TERN_SEC);
        assert_int_equal(s.n->mapped, 1);
        assert_int_equal(announces(s.n, "/ip4/" OUTSIDE "/tcp/4001/p2p/"), i == 0);
        scene_clear(&s);
    }
}

/* ---- what becomes of it ---- */

/* A router that restarts is noticed with the next renewal. */
static void router_restarts(void **state)
{
    (void)state;
    for (int i = 0; i < 3; i++) {
        scene s;
        scene_make(&s, OUTSIDE);
        s.g.pcp = i == 0;
        s.g.nat_pmp = i == 1;
        s.g.upnp = i == 2;
        sim_nodes_run(&s.w, 1800 * TERN_SEC);
        assert_int_equal(s.g.count, 2);
        sim_gateway_restart(&s.g);
        assert_int_equal(s.g.count, 0);
        sim_nodes_run(&s.w, 800 * TERN_SEC);
        assert_int_equal(s.g.count, 2);
        assert_int_equal(s.n->mapped, 2); /* the same ports: nothing to tell */
        assert_int_equal(sim_counters(s.n)->portmap_restarts, i < 2);
        scene_clear(&s);
    }
}

/* One that is gone for an hour: told of, and mapped again when it is back. */
static void router_is_away(void **state)
{
    (void)state;
    for (int i = 0; i < 3; i++) {
        scene s;
        scene_make(&s, OUTSIDE);
        s.g.pcp = i == 0;
        s.g.nat_pmp = i == 1;
        s.g.upnp = i == 2;
        sim_nodes_run(&s.w, 100 * TERN_SEC);
        assert_int_equal(s.n->mapped, 2);
        s.g.deaf = true;
        unsigned before = s.g.asked;
        sim_nodes_run(&s.w, 3600 * TERN_SEC);
        assert_true(s.g.asked - before < 200);
        expect(s.n, " none,");
        expect(s.n, "did not renew");
        expect(s.n, "answers no PCP, NAT-PMP or UPnP");
        s.g.deaf = false;
        sim_nodes_run(&s.w, 1000 * TERN_SEC);
        assert_int_equal(s.g.count, 2);
        assert_int_equal(s.n->mapped, 4);
        scene_clear(&s);
    }
}

static void lossy(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed <= 200; seed++) {
        scene s;
        memset(&s, 0, sizeof s);
        sim_nodes_init_seeded(&s.w, seed,
                              &(tern_sim_link){.delay = DELAY, .loss = 0.3, .duplicate = 0.1});
        s.n = add(&s.w, INSIDE);
        sim_gateway_make(&s.g, s.w.sim, ROUTER, s.n->host, OUTSIDE, TERN_SIM_ANY, TERN_SIM_BY_PORT);
        s.g.pcp = seed % 3 == 0;
        s.g.nat_pmp = seed % 3 > 0;
        s.g.upnp = seed % 3 == 2;
        sim_nodes_run(&s.w, 2000 * TERN_SEC);
        assert_int_equal(s.g.count, 2);
        assert_true(s.n->mapped >= 2);
        sim_nodes_run(&s.w, 8000 * TERN_SEC);
        assert_int_equal(s.g.count, 2);
        sim_node_end(s.n); /* what a lost word leaves there ends by itself */
        sim_nodes_run(&s.w, 1200 * TERN_SEC);
        scene_clear(&s);
    }
}

static void refused(void **state)
{
    (void)state;
    static const struct {
        bool pcp, nat_pmp, upnp;
        unsigned code;
        const char *says;
    } cases[] = {{1, 0, 0, 2, "pcp the gateway 10.1.0.1 refuses to map the port (pcp, code 2)"},
                 {1, 0, 0, 10, "has no port for us (pcp, code 10)"},
                 {1, 0, 0, 7, "has no public address itself (pcp)"},
                 {1, 0, 0, 9, "maps no port (pcp, code 9)"},
                 {0, 1, 0, 2, "refuses to map the port (nat-pmp, code 2)"},
                 {0, 1, 0, 4, "has no port for us (nat-pmp, code 4)"},
                 {0, 0, 1, 606, "refuses to map the port (upnp, code 606)"},
                 {0, 0, 1, 718, "has no port for us (upnp, code 718)"},
                 {0, 0, 1, 501, "maps no port (upnp, code 501)"}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        scene s;
        scene_make(&s, OUTSIDE);
        s.g.pcp = cases[i].pcp;
        s.g.nat_pmp = cases[i].nat_pmp;
        s.g.upnp = cases[i].upnp;
        s.g.refuse = cases[i].code;
        sim_nodes_run(&s.w, 3600 * TERN_SEC);
        expect(s.n, cases[i].says);
        assert_int_equal(s.n->mapped, 0);
        if (!cases[i].upnp) {
            assert_int_equal(s.n->refused, 1); /* told once */
        }
        s.g.refuse = 0; /* its owner allows it */
        sim_nodes_run(&s.w, 1000 * TERN_SEC);
        assert_int_equal(s.n->mapped, 2);
        scene_clear(&s);
    }
}

/* The router's own address is not public. */
static void double_nat(void **state)
{
    (void)state;
    for (int i = 0; i < 3; i++) {
        scene s;
        scene_make(&s, OUTSIDE);
        s.g.outside = i == 0 ? "192.168.178.20" : "100.64.0.9";
        s.g.pcp = i == 0;
        s.g.nat_pmp = i == 1;
        s.g.upnp = i == 2;
        sim_nodes_run(&s.w, 60 * TERN_SEC);
        expect(s.n, "double NAT: the gateway 10.1.0.1 itself has the address ");
        expect(s.n, s.g.outside);
        assert_int_equal(s.n->mapped, 0);
        assert_int_equal(s.g.count, 0);
        scene_clear(&s);
    }
}

static void nobody_answers(void **state)
{
    (void)state;
    scene s;
    scene_make(&s, OUTSIDE);
    sim_nodes_run(&s.w, 60 * TERN_SEC);
    assert_int_equal(s.n->refused, 1);
    assert_string_equal(s.n->mappings, "- the gateway 10.1.0.1 answers no PCP, NAT-PMP or UPnP,");
    unsigned before = s.g.asked;
    sim_nodes_run(&s.w, 3600 * TERN_SEC);
    assert_true(s.g.asked - before <= 4 * 9);
    assert_int_equal(s.n->refused, 1);
    scene_clear(&s);
}

/* Nobody is asked where there is no need: no gateway, a public address, nothing listened on. */
static void no_need(void **state)
{
    (void)state;
    for (int i = 0; i < 3; i++) {
        scene s;
        tern_options o;
        memset(&s, 0, sizeof s);
        tern_options_init(&o);
        o.port_mapping = true;
        sim_nodes_init(&s.w, DELAY);
        s.n = sim_nodes_add(&s.w, i == 1 ? "6.0.0.1" : i == 2 ? "-" INSIDE : INSIDE, &o);
        sim_gateway_make(&s.g, s.w.sim, ROUTER, s.n->host, OUTSIDE, TERN_SIM_ANY, TERN_SIM_ANY);
        s.g.pcp = s.g.upnp = true;
        if (i == 0) {
            tern_sim_gateway(s.n->host, NULL);
        }
        sim_nodes_run(&s.w, 100 * TERN_SEC);
        assert_int_equal(s.g.asked, 0);
        assert_int_equal(s.n->mapped + s.n->refused, 0);
        if (i == 0) { /* the route comes late */
            tern_sim_gateway(s.n->host, ROUTER);
            sim_nodes_run(&s.w, 60 * TERN_SEC);
            assert_int_equal(s.n->mapped, 1);
        }
        scene_clear(&s);
    }
}

static void lies(void **state)
{
    (void)state;
    for (int pcp = 0; pcp < 2; pcp++) {
        for (sim_lie lie = SIM_WRONG_NONCE; lie < SIM_LIES; lie++) {
            scene s;
            bool harmless = lie == SIM_TWICE || (lie == SIM_WRONG_NONCE && !pcp);
            scene_make(&s, OUTSIDE);
            s.g.pcp = pcp;
            s.g.nat_pmp = !pcp;
            s.g.lie = lie;
            sim_nodes_run(&s.w, 1000 * TERN_SEC);
            assert_int_equal(s.n->mapped, harmless ? 2 : 0);
            assert_int_equal(sim_counters(s.n)->portmap_bad_answers > 0,
                             lie != SIM_WRONG_NONCE || pcp);
            s.g.lie = SIM_HONEST;
            sim_nodes_run(&s.w, 1000 * TERN_SEC);
            assert_int_equal(s.n->mapped, 2);
            scene_clear(&s);
        }
    }
}

/* The machine moves to another network and back. */
static void moves(void **state)
{
    (void)state;
    scene s;
    scene_make(&s, OUTSIDE);
    s.g.pcp = true;
    sim_nodes_run(&s.w, 10 * TERN_SEC);
    assert_int_equal(s.n->mapped, 2);
    assert_int_equal(tern_sim_add_address(s.n->host, "10.9.0.2"), 0);
    assert_int_equal(tern_sim_remove_address(s.n->host, INSIDE), 0);
    sim_nodes_run(&s.w, 10 * TERN_SEC);
    expect(s.n, "- none,"); /* nothing listens at the new address */
    assert_false(announces(s.n, OUTSIDE));
    assert_int_equal(tern_sim_add_address(s.n->host, INSIDE), 0);
    assert_int_equal(tern_sim_remove_address(s.n->host, "10.9.0.2"), 0);
    sim_nodes_run(&s.w, 10 * TERN_SEC);
    assert_int_equal(s.n->mapped, 4);
    scene_clear(&s);
}

/* After a standstill, of which the clock knows nothing, all is renewed. */
static void stands_still(void **state)
{
    (void)state;
    for (int i = 0; i < 2; i++) {
        scene s;
        scene_make(&s, OUTSIDE);
        s.g.pcp = i == 0;
        s.g.upnp = i == 1;
        sim_nodes_run(&s.w, 10 * TERN_SEC);
        unsigned before = s.g.asked;
        tern_sim_awake(s.n->host);
        sim_nodes_run(&s.w, TERN_SEC);
        assert_int_equal(s.g.asked - before, i == 0 ? 2 : 1);
        scene_clear(&s);
    }
}

/* ---- stopping ---- */

/* At each moment: nothing is left behind by a router that hears us. */
static void stops_any_time(void **state)
{
    (void)state;
    for (unsigned i = 0; i < 3 * 120; i++) {
        scene s;
        scene_make(&s, OUTSIDE);
        s.g.pcp = i % 3 == 0;
        s.g.nat_pmp = i % 3 == 1;
        s.g.upnp = i % 3 == 2;
        sim_nodes_run(&s.w, 180 * TERN_MS + (i / 3) * (i % 3 == 2 ? 20 : 2) * TERN_MS);
        uint64_t before = sim_nodes_now(&s.w);
        sim_node_end(s.n);
        assert_true(sim_nodes_now(&s.w) - before < 2 * TERN_SEC);
        sim_nodes_run(&s.w, TERN_SEC); /* its last words arrive */
        scene_clear(&s);
    }
}

/* A router that says nothing any more holds nobody up for long. */
static void stops_without_answer(void **state)
{
    (void)state;
    for (int i = 0; i < 3; i++) {
        scene s;
        scene_make(&s, OUTSIDE);
        s.g.pcp = i == 0;
        s.g.nat_pmp = i == 1;
        s.g.upnp = i == 2;
        sim_nodes_run(&s.w, 10 * TERN_SEC);
        s.g.deaf = true;
        uint64_t before = sim_nodes_now(&s.w);
        sim_node_end(s.n);
        assert_true(sim_nodes_now(&s.w) - before < 4 * TERN_SEC);
        sim_nodes_run(&s.w, 1200 * TERN_SEC); /* it ends by itself */
        scene_clear(&s);
    }
}

static void each_allocation_may_fail(void **state)
{
    (void)state;
    for (int i = 0; i < 3; i++) {
        bool whole = false;
        for (size_t nth = 1; !whole; nth++) {
            scene s;
            scene_make(&s, OUTSIDE);
            s.g.pcp = i == 0;
            s.g.nat_pmp = i == 1;
            s.g.upnp = i == 2;
            tern_mem_fail_at(nth, 0);
            sim_nodes_run(&s.w, 40 * TERN_SEC);
            whole = tern_mem_count() < nth;
            tern_mem_fail_at(0, 0);
            sim_nodes_run(&s.w, 1000 * TERN_SEC);
            assert_int_equal(s.g.count, 2); /* it came to it all the same */
            scene_clear(&s);
        }
    }
}

/* ---- holes ---- */

/* Both behind NATs with another port for each destination: no hole can be punched, but one has a
 * port mapped, which is where the other finds it. */
static void a_place_to_punch_to(void **state)
{
    (void)state;
    scene s;
    tern_options o;
    tern_error error;
    sim_dial d;
    char text[600], id[TERN_PEER_ID_TEXT];
    memset(&s, 0, sizeof s);
    sim_nodes_init(&s.w, DELAY);
    tern_options_init(&o);
    o.relay_service = true;
    sim_node *relay = sim_nodes_add(&s.w, "5.1.0.1", &o);
    s.n = add(&s.w, INSIDE);
    sim_gateway_make(&s.g, s.w.sim, ROUTER, s.n->host, OUTSIDE, TERN_SIM_BY_PORT, TERN_SIM_BY_PORT);
    s.g.pcp = true;
    sim_node *a = add(&s.w, "10.2.0.2");
    assert_int_equal(tern_sim_shield(a->host, "9.0.0.1", TERN_SIM_BY_PORT, TERN_SIM_BY_PORT), 0);
    sim_nodes_connect(&s.w, a, relay);
    sim_nodes_connect(&s.w, s.n, relay);
    snprintf(text, sizeof text, "%s/p2p-circuit", relay->addr);
    assert_int_equal(tern_node_listen(s.n->node, text, NULL, 0, &error), 0);
    sim_nodes_run(&s.w, 10 * TERN_SEC);
    snprintf(text, sizeof text, "%s/p2p-circuit/p2p/%s", relay->addr,
             tern_peer_id_text(&s.n->id, id));
    sim_nodes_dial_one(a, text, &d);
    if (d.error.code != 0) {
        fail_msg("%s", d.error.text);
    }
    sim_nodes_run(&s.w, 60 * TERN_SEC);
    assert_int_equal(sim_counters(s.n)->punches_won, 1);
    scene_clear(&s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(over_pcp),
        cmocka_unit_test(over_nat_pmp),
        cmocka_unit_test(over_upnp),
        cmocka_unit_test(the_best_of_all),
        cmocka_unit_test(without_autonat),
        cmocka_unit_test(router_restarts),
        cmocka_unit_test(router_is_away),
        cmocka_unit_test(lossy),
        cmocka_unit_test(refused),
        cmocka_unit_test(double_nat),
        cmocka_unit_test(nobody_answers),
        cmocka_unit_test(no_need),
        cmocka_unit_test(lies),
        cmocka_unit_test(moves),
        cmocka_unit_test(stands_still),
        cmocka_unit_test(stops_any_time),
        cmocka_unit_test(stops_without_answer),
        cmocka_unit_test(each_allocation_may_fail),
        cmocka_unit_test(a_place_to_punch_to),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
