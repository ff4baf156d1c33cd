/* A peer that has both QUIC and TCP: QUIC first, TCP a head start later, and a network that drops
 * UDP, which is noticed and costs no more than the head start. */
#include <stdio.h>

#include "sim/nodes.h"
#include "swarm/black_hole.h"
#include "swarm/dial_rank.h"

#define RTT     (40 * TERN_MS)
#define TCP_RTS 2 /* round trips until a connection over TCP is secured: TCP's own, Noise's */

typedef struct pair {
    sim_nodes w;
    sim_node *a, *b;
    char quic[256];
} pair;

static void open_pair(pair *x)
{
    tern_error error;
    memset(x, 0, sizeof *x);
    sim_nodes_init(&x->w, RTT / 2);
    x->a = sim_nodes_add(&x->w, "-198.41.0.4", NULL);
    x->b = sim_nodes_add(&x->w, "192.58.128.30", NULL); /* listens on TCP, too */
    assert_int_equal(tern_node_listen(x->b->node, "/ip4/192.58.128.30/udp/4001/quic-v1", x->quic,
                                      sizeof x->quic, &error),
                     0);
}

static void udp_drops(pair *x, bool drops)
{
    tern_sim_set_default_link(x->w.sim, &(tern_sim_link){.delay = RTT / 2, .no_udp = drops});
}

/* Dials both addresses, TCP named first; how long it took, *ret_transport what it became. */
static uint64_t dial(pair *x, const char **ret_transport)
{
    const char *texts[] = {x->b->addr, x->quic};
    sim_dial d = {.world = &x->w};
    uint64_t start = sim_nodes_now(&x->w);
    sim_nodes_dial(x->a, texts, 2, &d);
    sim_nodes_wait(&x->w, &d.done, 1, 30 * TERN_SEC);
    if (d.conn == NULL) {
        fail_msg("dial: %s: %s", d.error.layer, d.error.text);
    }
    *ret_transport = tern_conn_get_facts(d.conn)->transport;
    uint64_t took = d.at - start;
    unsigned gone = x->a->disconnected;
    assert_int_equal(tern_node_disconnect(x->a->node, &x->b->id), 1);
    assert_true(sim_nodes_wait(&x->w, &x->a->disconnected, gone + 1, 20 * TERN_SEC));
    return took;
}

static void quic_is_first(void **state)
{
    pair x;
    const char *transport;
    (void)state;
    open_pair(&x);
    assert_int_equal(dial(&x, &transport), RTT);
    assert_string_equal(transport, "quic-v1");
    assert_int_equal(sim_counters(x.a)->dials, 1); /* TCP was not even asked */
    sim_nodes_clear(&x.w);
}

static void tcp_comes_a_head_start_later(void **state)
{
    pair x;
    const char *transport;
    (void)state;
    open_pair(&x);
    udp_drops(&x, true);
    assert_int_equal(dial(&x, &transport), TERN_DIAL_STAGGER_PUBLIC + TCP_RTS * RTT);
    assert_string_equal(transport, "tcp");
    assert_int_equal(sim_counters(x.a)->dials_udp_lost, 1);
    sim_nodes_clear(&x.w);
}

static void a_black_hole_is_noticed(void **state)
{
    pair x;
    const char *transport;
    (void)state;
    open_pair(&x);
    udp_drops(&x, true);
    for (int i = 0; i < TERN_BLACK_HOLE_LOST; i++) {
        dial(&x, &transport);
    }
    /* From here on no time is lost on it, */
    for (int i = 0; i < 3; i++) {
        assert_int_equal(dial(&x, &transport), TCP_RTS * RTT);
        assert_string_equal(transport, "tcp");
    }
    assert_int_equal(sim_counters(x.a)->dials_udp_lost, TERN_BLACK_HOLE_LOST);
    /* ... but once in a while, which costs the head start at most, */
    sim_nodes_run(&x.w, TERN_BLACK_HOLE_FIRST);
    assert_int_equal(dial(&x, &transport), TERN_DIAL_STAGGER_PUBLIC + TCP_RTS * RTT);
    assert_int_equal(dial(&x, &transport), TCP_RTS * RTT);
    /* ... and so it is seen when the network lets UDP through again. */
    udp_drops(&x, false);
    assert_int_equal(dial(&x, &transport), TCP_RTS * RTT);
    sim_nodes_run(&x.w, 2 * TERN_BLACK_HOLE_FIRST);
    assert_int_equal(dial(&x, &transport), RTT);
    assert_string_equal(transport, "quic-v1");
    assert_int_equal(dial(&x, &transport), RTT);
    sim_nodes_clear(&x.w);
}

/* Without TCP, UDP is dialled at once all the same. */
static void alone_it_is_dialled(void **state)
{
    pair x;
    const char *transport;
    char text[256];
    sim_dial d;
    (void)state;
    open_pair(&x);
    udp_drops(&x, true);
    for (int i = 0; i < TERN_BLACK_HOLE_LOST; i++) {
        dial(&x, &transport);
    }
    udp_drops(&x, false);
    sim_node *c = sim_nodes_add(&x.w, "-199.7.83.42", NULL);
    assert_int_equal(
        tern_node_listen(c->node, "/ip4/199.7.83.42/udp/4001/quic-v1", text, sizeof text, NULL), 0);
    uint64_t start = sim_nodes_now(&x.w);
    sim_nodes_dial_one(x.a, text, &d);
    assert_non_null(d.conn);
    assert_string_equal(tern_conn_get_facts(d.conn)->transport, "quic-v1");
    assert_int_equal(d.at - start, RTT);
    sim_nodes_clear(&x.w);
}

/* Another network of ours may let it through: what was noticed is forgotten. */
static void another_network_is_tried(void **state)
{
    pair x;
    const char *transport;
    (void)state;
    open_pair(&x);
    udp_drops(&x, true);
    for (int i = 0; i < TERN_BLACK_HOLE_LOST; i++) {
        dial(&x, &transport);
    }
    udp_drops(&x, false);
    assert_int_equal(tern_sim_add_address(x.a->host, "199.7.91.13"), 0);
    sim_nodes_run(&x.w, TERN_SEC);
    dial(&x, &transport);
    assert_string_equal(transport, "quic-v1");
    sim_nodes_clear(&x.w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(quic_is_first),
        cmocka_unit_test(tcp_comes_a_head_start_later),
        cmocka_unit_test(a_black_hole_is_noticed),
        cmocka_unit_test(alone_it_is_dialled),
        cmocka_unit_test(another_network_is_tried),
    };
    return TERN_TEST_MAIN(tests);
}
