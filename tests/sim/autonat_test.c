/* AutoNAT over whole nodes: who finds out that others reach him, at which addresses, and who that
 * they do not; on his own address, behind NATs and firewalls, with new servers and old ones. */
#include <stdio.h>

#include "nat/autonat_message.h"
#include "nat/reach.h"
#include "nat/relay.h"
#include "nat/relay_message.h"
#include "sim/nodes.h"

#define DELAY (20 * TERN_MS)
enum { SERVERS = 3 };

typedef struct scene {
    sim_nodes w;
    sim_node *servers[SERVERS], *asker;
} scene;

static tern_options asker_options(void)
{
    tern_options o;
    tern_options_init(&o);
    o.autonat = true;
    return o;
}

static sim_node *add_server(sim_nodes *w, const char *ip)
{
    tern_options o;
    tern_options_init(&o);
    o.autonat_service = true;
    return sim_nodes_add(w, ip, &o);
}

static void listen_quic(sim_node *n, const char *ip)
{
    char text[80];
    tern_error error;
    snprintf(text, sizeof text, "/%s/%s/udp/%d/quic-v1", strchr(ip, ':') != NULL ? "ip6" : "ip4",
             ip, SIM_NODE_PORT);
    if (tern_node_listen(n->node, text, NULL, 0, &error) != 0) {
        fail_msg("%s", error.text);
    }
}

static void scene_make(scene *s, const char *ip, const tern_options *options)
{
    static const char *const ips[SERVERS] = {"5.1.0.1", "5.2.0.1", "5.3.0.1"};
    tern_options o = options != NULL ? *options : asker_options();
    sim_nodes_init(&s->w, DELAY);
    for (size_t i = 0; i < SERVERS; i++) {
        s->servers[i] = add_server(&s->w, ips[i]);
        listen_quic(s->servers[i], ips[i]);
    }
    s->asker = sim_nodes_add(&s->w, ip, &o);
    listen_quic(s->asker, ip);
}

/* Over TCP and over QUIC, so that both are seen from outside. */
static void connect_to(scene *s, size_t servers)
{
    for (size_t i = 0; i < servers; i++) {
        sim_dial d;
        char text[200];
        tern_error error;
        const char *texts[] = {text};
        sim_nodes_connect(&s->w, s->asker, s->servers[i]);
        snprintf(text, sizeof text, "%s", s->servers[i]->addr);
        char *tcp = strstr(text, "/tcp/4001");
        char rest[100];
        snprintf(rest, sizeof rest, "%s", tcp + strlen("/tcp/4001"));
        snprintf(tcp, sizeof text - (size_t)(tcp - text), "/udp/4001/quic-v1%s", rest);
        memset(&d, 0, sizeof d);
        unsigned done = 0;
        assert_int_equal(
            tern_node_dial(s->asker->node, texts, 1, 0, true, sim_nodes_count_dial, &done, &error),
            0);
        assert_true(sim_nodes_wait(&s->w, &done, 1, 20 * TERN_SEC));
    }
}

static uint64_t sum(const scene *s, size_t field)
{
    uint64_t n = 0;
    for (size_t i = 0; i < SERVERS; i++) {
        n += *(const uint64_t *)(const void *)((const char *)sim_counters(s->servers[i]) + field);
    }
    return n;
}
#define SUM(s, name) sum((s), offsetof(tern_counters, name))

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

static void expect_verdict(const sim_node *n, const char *what)
{
    if (strstr(n->verdicts, what) == NULL) {
        fail_msg("no \"%s\" among \"%s\"", what, n->verdicts);
    }
}

/* ---- verdicts ---- */

static void a_public_address(void **state)
{
    (void)state;
    scene s;
    scene_make(&s, "6.0.0.1", NULL);
    connect_to(&s, SERVERS);
    sim_nodes_run(&s.w, 60 * TERN_SEC);
    expect_verdict(s.asker, "/ip4/6.0.0.1/tcp/4001 public,");
    expect_verdict(s.asker, "/ip4/6.0.0.1/udp/4001/quic-v1 public,");
    assert_int_equal(s.asker->judged, 2);
    assert_int_equal(tern_node_reachability(s.asker->node), TERN_REACHABILITY_PUBLIC);
    assert_int_equal(SUM(&s, autonat_dials), 2 * SERVERS); /* each of both, once */
    assert_int_equal(SUM(&s, autonat_reached), 2 * SERVERS);
    assert_int_equal(SUM(&s, autonat_charged), 0); /* it is his own IP */
    assert_int_equal(sim_counters(s.asker)->autonat_wrong_nonces, 0);
    assert_int_equal(sim_counters(s.asker)->autonat_unproven, 0);
    assert_true(announces(s.asker, "/ip4/6.0.0.1/tcp/4001/p2p/"));
    sim_nodes_clear(&s.w);
}

/* The dials come from strangers: the servers' ids are no others' in the asker's eyes. */
static void dials_are_a_strangers(void **state)
{
    (void)state;
    scene s;
    scene_make(&s, "6.0.0.1", NULL);
    connect_to(&s, SERVERS);
    unsigned before = s.asker->connected;
    sim_nodes_run(&s.w, 60 * TERN_SEC);
    assert_int_equal(s.asker->connected, before + 2 * SERVERS);
    assert_int_equal(s.asker->disconnected, 2 * SERVERS); /* they leave when it is done */
    for (size_t i = 0; i < SERVERS; i++) {
        size_t it = 0, conns = 0;
        tern_net *net = tern_node_net(s.asker->node);
        while (net->ops->next_conn(net, &s.servers[i]->id, &it) != NULL) {
            conns++;
        }
        assert_int_equal(conns, 2); /* those that were dialled before */
    }
    sim_nodes_clear(&s.w);
}

static void behind_a_firewall(void **state)
{
    (void)state;
    scene s;
    scene_make(&s, "6.0.0.1", NULL);
    assert_int_equal(tern_sim_shield(s.asker->host, NULL, TERN_SIM_ANY, TERN_SIM_BY_PORT), 0);
    connect_to(&s, SERVERS);
    sim_nodes_run(&s.w, 180 * TERN_SEC);
    expect_verdict(s.asker, "/ip4/6.0.0.1/tcp/4001 private,");
    expect_verdict(s.asker, "/ip4/6.0.0.1/udp/4001/quic-v1 private,");
    assert_int_equal(tern_node_reachability(s.asker->node), TERN_REACHABILITY_PRIVATE);
    assert_int_equal(SUM(&s, autonat_reached), 0);
    assert_true(announces(s.asker, "/ip4/6.0.0.1/tcp/4001/p2p/")); /* there is nothing better */
    sim_nodes_clear(&s.w);
}

/* What the others see is what they can dial: it is announced once that is proven. */
static void behind_a_nat_that_lets_in(void **state)
{
    (void)state;
    scene s;
    scene_make(&s, "10.0.0.9", NULL);
    assert_int_equal(tern_sim_shield(s.asker->host, "6.0.0.1", TERN_SIM_ANY, TERN_SIM_ANY), 0);
    connect_to(&s, SERVERS);
    assert_false(announces(s.asker, "6.0.0.1"));
    sim_nodes_run(&s.w, 60 * TERN_SEC);
    expect_verdict(s.asker, "/ip4/6.0.0.1/tcp/4001 public,");
    expect_verdict(s.asker, "/ip4/6.0.0.1/udp/4001/quic-v1 public,");
    assert_true(announces(s.asker, "/ip4/6.0.0.1/tcp/4001/p2p/"));
    assert_true(announces(s.asker, "/ip4/6.0.0.1/udp/4001/quic-v1/p2p/"));
    assert_int_equal(SUM(&s, autonat_charged), 0);
    assert_non_null(strstr(s.servers[0]->addrs, "/ip4/6.0.0.1/tcp/4001,")); /* they are told */
    sim_nodes_clear(&s.w);
}

static void behind_a_nat(void **state)
{
    (void)state;
    scene s;
    scene_make(&s, "10.0.0.9", NULL);
    assert_int_equal(tern_sim_shield(s.asker->host, "6.0.0.1", TERN_SIM_ANY, TERN_SIM_BY_PORT), 0);
    connect_to(&s, SERVERS);
    sim_nodes_run(&s.w, 180 * TERN_SEC);
    expect_verdict(s.asker, "/ip4/6.0.0.1/tcp/4001 private,");
    expect_verdict(s.asker, "/ip4/6.0.0.1/udp/4001/quic-v1 private,");
    assert_int_equal(tern_node_reachability(s.asker->node), TERN_REACHABILITY_PRIVATE);
    assert_false(announces(s.asker, "6.0.0.1"));
    sim_nodes_clear(&s.w);
}

/* ---- who decides ---- */

static void one_server_does_not_decide(void **state)
{
    (void)state;
    scene s;
    scene_make(&s, "6.0.0.1", NULL);
    connect_to(&s, 1);
    sim_nodes_run(&s.w, 3600 * TERN_SEC);
    assert_int_equal(s.asker->judged, 0);
    assert_int_equal(tern_node_reachability(s.asker->node), TERN_REACHABILITY_UNKNOWN);
    assert_true(SUM(&s, autonat_dials) >= 2);
    assert_true(SUM(&s, autonat_dials) <= 2 * 7); /* six times an hour at most, each */
    sim_nodes_clear(&s.w);
}

/* One network's servers are one. */
static void one_network_does_not_decide(void **state)
{
    (void)state;
    static const char *const ips[] = {"2a00:1:1:1::1", "2a00:1:1:2::1", "2a00:1:1:3::1"};
    scene s;
    tern_options o = asker_options();
    sim_nodes_init(&s.w, DELAY);
    for (size_t i = 0; i < SERVERS; i++) {
        s.servers[i] = add_server(&s.w, ips[i]);
    }
    s.asker = sim_nodes_add(&s.w, "2a00:2::1", &o);
    for (size_t i = 0; i < SERVERS; i++) {
        sim_nodes_connect(&s.w, s.asker, s.servers[i]);
    }
    sim_nodes_run(&s.w, 300 * TERN_SEC);
    assert_int_equal(s.asker->judged, 0);
    assert_int_equal(SUM(&s, autonat_dials), 1);
    sim_node *other = add_server(&s.w, "2a00:3::1");
    sim_nodes_connect(&s.w, s.asker, other);
    sim_nodes_run(&s.w, 60 * TERN_SEC);
    expect_verdict(s.asker, "/ip6/2a00:2::1/tcp/4001 public,");
    sim_nodes_clear(&s.w);
}

static void old_servers(void **state)
{
    (void)state;
    for (int filter = 0; filter < 2; filter++) {
        scene s;
        scene_make(&s, "6.0.0.1", NULL);
        assert_int_equal(tern_sim_shield(s.asker->host, NULL, TERN_SIM_ANY,
                                         filter ? TERN_SIM_BY_PORT : TERN_SIM_ANY),
                         0);
        for (size_t i = 0; i < SERVERS; i++) {
            tern_swarm_unhandle(tern_node_net(s.servers[i]->node), TERN_AUTONAT_REQUEST_ID);
        }
        connect_to(&s, SERVERS);
        sim_nodes_run(&s.w, 180 * TERN_SEC);
        expect_verdict(s.asker,
                       filter ? "/ip4/6.0.0.1/tcp/4001 private," : "/ip4/6.0.0.1/tcp/4001 public,");
        expect_verdict(s.asker, filter ? "/ip4/6.0.0.1/udp/4001/quic-v1 private,"
                                       : "/ip4/6.0.0.1/udp/4001/quic-v1 public,");
        sim_nodes_clear(&s.w);
    }
}

/* ---- time ---- */

/* A firewall comes, which leaves the connections that there are. */
static void what_was_public_is_no_more(void **state)
{
    (void)state;
    scene s;
    scene_make(&s, "6.0.0.1", NULL);
    assert_int_equal(tern_sim_shield(s.asker->host, NULL, TERN_SIM_ANY, TERN_SIM_ANY), 0);
    connect_to(&s, SERVERS);
    sim_nodes_run(&s.w, 60 * TERN_SEC);
    assert_int_equal(tern_node_reachability(s.asker->node), TERN_REACHABILITY_PUBLIC);
    assert_int_equal(tern_sim_shield(s.asker->host, NULL, TERN_SIM_ANY, TERN_SIM_BY_PORT), 0);
    sim_nodes_run(&s.w, 2 * 3600 * TERN_SEC);
    expect_verdict(s.asker, "/ip4/6.0.0.1/tcp/4001 private,");
    expect_verdict(s.asker, "/ip4/6.0.0.1/udp/4001/quic-v1 private,");
    assert_int_equal(tern_node_reachability(s.asker->node), TERN_REACHABILITY_PRIVATE);
    sim_nodes_clear(&s.w);
}

static void another_network(void **state)
{
    (void)state;
    scene s;
    scene_make(&s, "6.0.0.1", NULL);
    connect_to(&s, SERVERS);
    sim_nodes_run(&s.w, 60 * TERN_SEC);
    assert_int_equal(tern_node_reachability(s.asker->node), TERN_REACHABILITY_PUBLIC);
    assert_int_equal(tern_sim_add_address(s.asker->host, "10.0.0.9"), 0);
    sim_nodes_run(&s.w, TERN_SEC);
    assert_int_equal(tern_node_reachability(s.asker->node), TERN_REACHABILITY_PUBLIC);
    assert_int_equal(tern_sim_remove_address(s.asker->host, "6.0.0.1"), 0);
    sim_nodes_run(&s.w, TERN_SEC);
    assert_int_equal(tern_node_reachability(s.asker->node), TERN_REACHABILITY_UNKNOWN);
    sim_nodes_clear(&s.w);
}

/* ---- what follows ---- */

static bool serves_relay(sim_node *n)
{
    const char *const *ids;
    tern_net *net = tern_node_net(n->node);
    size_t count = net->ops->protocols(net, &ids);
    for (size_t i = 0; i < count; i++) {
        if (strcmp(ids[i], TERN_RELAY_HOP_ID) == 0) {
            return true;
        }
    }
    return false;
}

static void a_public_node_relays(void **state)
{
    (void)state;
    scene s;
    char text[200];
    tern_error error;
    tern_options o = asker_options();
    o.relay_service_auto = true;
    scene_make(&s, "6.0.0.1", &o);
    assert_int_equal(tern_sim_shield(s.asker->host, NULL, TERN_SIM_ANY, TERN_SIM_ANY), 0);
    connect_to(&s, SERVERS);
    assert_false(serves_relay(s.asker));
    sim_nodes_run(&s.w, 60 * TERN_SEC);
    assert_true(serves_relay(s.asker));
    sim_node *behind = sim_nodes_add(&s.w, "-10.0.0.2", NULL);
    snprintf(text, sizeof text, "%s/p2p-circuit", s.asker->addr);
    assert_int_equal(tern_node_listen(behind->node, text, NULL, 0, &error), 0);
    sim_nodes_run(&s.w, TERN_SEC);
    assert_int_equal(tern_relay_reservations(s.asker->node->relay), 1);
    assert_int_equal(tern_sim_shield(s.asker->host, NULL, TERN_SIM_ANY, TERN_SIM_BY_PORT), 0);
    sim_nodes_run(&s.w, 2 * 3600 * TERN_SEC);
    assert_false(serves_relay(s.asker));
    assert_int_equal(tern_relay_reservations(s.asker->node->relay), 0);
    sim_nodes_clear(&s.w);
}

static void a_private_node_does_not(void **state)
{
    (void)state;
    scene s;
    tern_options o = asker_options();
    o.relay_service_auto = true;
    scene_make(&s, "10.0.0.9", &o);
    assert_int_equal(tern_sim_shield(s.asker->host, "6.0.0.1", TERN_SIM_ANY, TERN_SIM_BY_PORT), 0);
    connect_to(&s, SERVERS);
    sim_nodes_run(&s.w, 600 * TERN_SEC);
    assert_int_equal(tern_node_reachability(s.asker->node), TERN_REACHABILITY_PRIVATE);
    assert_false(serves_relay(s.asker));
    sim_nodes_clear(&s.w);
}

static void known_beforehand(void **state)
{
    (void)state;
    for (int public = 0; public < 2; public ++) {
        scene s;
        tern_options o = asker_options();
        o.relay_service_auto = true;
        o.reachability = public ? TERN_REACHABILITY_PUBLIC : TERN_REACHABILITY_PRIVATE;
        scene_make(&s, "6.0.0.1", &o);
        connect_to(&s, SERVERS);
        sim_nodes_run(&s.w, 60 * TERN_SEC);
        assert_int_equal(tern_node_reachability(s.asker->node), o.reachability);
        assert_int_equal(serves_relay(s.asker), public);
        assert_int_equal(SUM(&s, autonat_dials), 0);
        sim_nodes_clear(&s.w);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_public_address),
        cmocka_unit_test(dials_are_a_strangers),
        cmocka_unit_test(behind_a_firewall),
        cmocka_unit_test(behind_a_nat_that_lets_in),
        cmocka_unit_test(behind_a_nat),
        cmocka_unit_test(one_server_does_not_decide),
        cmocka_unit_test(one_network_does_not_decide),
        cmocka_unit_test(old_servers),
        cmocka_unit_test(what_was_public_is_no_more),
        cmocka_unit_test(another_network),
        cmocka_unit_test(a_public_node_relays),
        cmocka_unit_test(a_private_node_does_not),
        cmocka_unit_test(known_beforehand),
    };
    return TERN_TEST_MAIN(tests);
}
