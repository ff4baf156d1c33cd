/* Private networks: nodes with one key find each other in the usual round trips, over TCP and
 * WebSocket; a node without it, or with another, gets nothing and gives nothing. */
#include <stdio.h>

#include "sim/nodes.h"

#define RTT (100 * TERN_MS)

static const uint8_t ours[TERN_PSK] = {1, 2, 3}, theirs[TERN_PSK] = {1, 2, 4};

static sim_node *add(sim_nodes *w, const char *ip, const uint8_t *psk, const char *security)
{
    tern_options options;
    tern_options_init(&options);
    options.psk = psk;
    options.security = security;
    return sim_nodes_add(w, ip, &options);
}

static void nodes_with_the_key_talk(const char *security)
{
    sim_nodes w;
    sim_ping p;
    sim_nodes_init(&w, RTT / 2);
    sim_node *a = add(&w, "10.0.0.1", ours, security);
    sim_node *b = add(&w, "10.0.0.2", ours, security);
    uint64_t start = sim_nodes_now(&w);
    sim_dial d;
    sim_nodes_dial_one(a, b->addr, &d);
    assert_non_null(d.conn);
    assert_int_equal(d.at - start, 2 * RTT); /* as without a key */
    sim_nodes_ping(a, d.conn, &p);
    assert_int_equal(p.error.code, 0);
    assert_int_equal(p.at - start, 3 * RTT);
    sim_nodes_clear(&w);
}

static void test_noise(void **state)
{
    (void)state;
    nodes_with_the_key_talk("noise");
}

static void test_tls(void **state)
{
    (void)state;
    nodes_with_the_key_talk("tls");
}

static void test_ws(void **state)
{
    sim_nodes w;
    sim_ping p;
    sim_dial d;
    char bound[256], text[256];
    tern_error error;
    (void)state;
    sim_nodes_init(&w, RTT / 2);
    sim_node *a = add(&w, "10.0.0.1", ours, NULL);
    sim_node *b = add(&w, "10.0.0.2", ours, NULL);
    assert_int_equal(
        tern_node_listen(b->node, "/ip4/10.0.0.2/tcp/4001/ws", bound, sizeof bound, &error), 0);
    snprintf(text, sizeof text, "%s", bound);
    sim_nodes_dial_one(a, text, &d);
    assert_non_null(d.conn);
    sim_nodes_ping(a, d.conn, &p);
    assert_int_equal(p.error.code, 0);
    sim_nodes_clear(&w);
}

/* Both ways; the stranger's connection is gone within the time for an upgrade. */
static void strangers_get_nothing(const uint8_t *key, const uint8_t *other)
{
    sim_nodes w;
    sim_dial d;
    sim_nodes_init(&w, RTT / 2);
    sim_node *a = add(&w, "10.0.0.1", key, NULL);
    sim_node *b = add(&w, "10.0.0.2", other, NULL);
    sim_nodes_dial_one(a, b->addr, &d);
    assert_null(d.conn);
    assert_true(d.error.code != 0);
    sim_nodes_dial_one(b, a->addr, &d);
    assert_null(d.conn);
    sim_nodes_run(&w, 30 * TERN_SEC);
    assert_int_equal(a->connected + b->connected, 0);
    assert_true(tern_list_empty(&tern_node_net(a->node)->sockets));
    assert_true(tern_list_empty(&tern_node_net(b->node)->sockets));
    sim_nodes_clear(&w);
}

static void test_without_the_key(void **state)
{
    (void)state;
    strangers_get_nothing(ours, NULL);
}

static void test_with_another_key(void **state)
{
    (void)state;
    strangers_get_nothing(ours, theirs);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_noise),
        cmocka_unit_test(test_tls),
        cmocka_unit_test(test_ws),
        cmocka_unit_test(test_without_the_key),
        cmocka_unit_test(test_with_another_key),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
