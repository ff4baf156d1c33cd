/* A QUIC peer whose address changes under way: a NAT that gives it another port, another network,
 * and somebody who only pretends (RFC 9000, sections 8.2 and 9). */
#include <stdio.h>

#include "sim/attacker.h"
#include "sim/quic_pair.h"

enum { BYTES = 4 << 20 };

typedef struct moved {
    unsigned done;
    tern_perf_result result;
    tern_error error;
} moved;

static void on_moved(void *owner, const tern_perf_result *result, const tern_error *error)
{
    moved *m = owner;
    m->done++;
    m->result = *result;
    m->error = *error;
}

static void start(quic_pair *x, moved *m, uint64_t up, uint64_t down)
{
    tern_error error;
    memset(m, 0, sizeof *m);
    tern_conn *c = quic_pair_dial(x);
    if (tern_node_perf(x->a->node, c, up, down, NULL, on_moved, m, &error) != 0) {
        fail_msg("perf: %s: %s", error.layer, error.text);
    }
}

static void all_arrived(quic_pair *x, const moved *m, uint64_t up, uint64_t down)
{
    if (m->done == 0 || m->error.code != 0) {
        fail_msg("done %u: %s: %s", m->done, m->error.layer, m->error.text);
    }
    assert_int_equal(m->result.sent, up);
    assert_int_equal(m->result.received, down);
    assert_int_equal(x->a->disconnected + x->b->disconnected, 0);
}

static uint16_t port_of(sim_node *n)
{
    tern_endpoint e;
    uint32_t transport;
    assert_true(tern_ma_endpoint(tern_conn_get_facts(n->conn)->local, &e, &transport));
    return e.port;
}

/* From now on the others see `a` there. */
static void see_at(quic_pair *x, const char *ip, uint16_t port)
{
    tern_endpoint seen;
    assert_int_equal(tern_endpoint_parse_ip(&seen, ip), 0);
    seen.port = port;
    tern_sim_nat(x->a->host, port_of(x->a), &seen);
}

static const char *remote_of(sim_node *n)
{
    return tern_multiaddr_text(tern_conn_get_facts(n->conn)->remote);
}

/* Until b has sent about so much of what is asked. */
static void run_until(quic_pair *x, sim_node *n, uint64_t bytes_out)
{
    for (int i = 0; i < 10000 && sim_counters(n)->bytes_out < bytes_out; i++) {
        sim_nodes_run(&x->w, QUIC_PAIR_RTT / 10);
    }
    assert_true(sim_counters(n)->bytes_out >= bytes_out);
}

static void another_port(uint64_t up, uint64_t down)
{
    quic_pair x;
    moved m;
    quic_pair_open(&x, false, &(tern_sim_link){.delay = QUIC_PAIR_RTT / 2, .rate = 1 << 20});
    start(&x, &m, up, down);
    sim_node *sender = up > 0 ? x.a : x.b;
    run_until(&x, sender, BYTES / 3);
    see_at(&x, "10.0.0.1", 5001);
    /* Who only listens is not heard there before it says something: a keep-alive. */
    for (int i = 0; i < 1500 && sim_counters(x.b)->quic_moved == 0; i++) {
        sim_nodes_run(&x.w, QUIC_PAIR_RTT / 10);
    }
    assert_int_equal(m.done, 0); /* still in the middle */
    assert_string_equal(remote_of(x.b), "/ip4/10.0.0.1/udp/5001/quic-v1");
    see_at(&x, "10.0.0.1", 5002);
    sim_nodes_wait(&x.w, &m.done, 1, 60 * TERN_SEC);
    all_arrived(&x, &m, up, down);
    assert_string_equal(remote_of(x.b), "/ip4/10.0.0.1/udp/5002/quic-v1");
    assert_int_equal(sim_counters(x.b)->quic_moved, 2);
    assert_int_equal(sim_counters(x.a)->quic_moved, 0);
    assert_string_equal(remote_of(x.a), "/ip4/10.0.0.2/udp/4001/quic-v1");
    sim_nodes_clear(&x.w);
}

static void another_port_while_it_sends(void **state)
{
    (void)state;
    another_port(BYTES, 0);
}

static void another_port_while_it_receives(void **state)
{
    (void)state;
    another_port(0, BYTES);
}

/* As when a telephone leaves the house: another address, and what was on its way is lost. */
static void another_network(void **state)
{
    quic_pair x;
    moved m;
    (void)state;
    quic_pair_open(&x, false, NULL);
    start(&x, &m, BYTES, BYTES);
    run_until(&x, x.a, BYTES / 2);
    assert_int_equal(tern_sim_add_address(x.a->host, "10.7.0.1"), 0);
    see_at(&x, "10.7.0.1", 6001);
    sim_nodes_wait(&x.w, &m.done, 1, 120 * TERN_SEC);
    all_arrived(&x, &m, BYTES, BYTES);
    assert_string_equal(remote_of(x.b), "/ip4/10.7.0.1/udp/6001/quic-v1");
    sim_ping p;
    sim_nodes_ping(x.b, x.b->conn, &p);
    assert_int_equal(p.error.code, 0);
    sim_nodes_clear(&x.w);
}

/* Packets of ours that come from a third one's address: he gets no more than three times of what
 * came from there, nothing goes on from there, and what was under way arrives all the same. */
static void a_third_one_is_not_flooded(void **state)
{
    quic_pair x;
    moved m;
    sim_attacker e;
    char before[64];
    (void)state;
    quic_pair_open(&x, false, NULL);
    sim_attacker_init(&e, x.w.sim, "10.0.9.9", TERN_UDP_SET(TERN_UDP_QUIC));
    start(&x, &m, 0, BYTES);
    run_until(&x, x.b, BYTES / 4);
    snprintf(before, sizeof before, "%s", remote_of(x.b));
    uint64_t forged = sim_counters(x.a)->bytes_out;
    see_at(&x, "10.0.9.9", 9);
    sim_nodes_run(&x.w, 3 * TERN_SEC);
    forged = sim_counters(x.a)->bytes_out - forged;
    assert_true(e.answered > 0);
    assert_true(e.answered <= 3 * forged);
    assert_string_equal(remote_of(x.b), before);
    assert_int_equal(sim_counters(x.b)->quic_moved, 0);
    tern_endpoint none = {0};
    tern_sim_nat(x.a->host, 0, &none);
    sim_nodes_wait(&x.w, &m.done, 1, 60 * TERN_SEC);
    all_arrived(&x, &m, 0, BYTES);
    assert_string_equal(remote_of(x.b), before);
    assert_true(e.answered <= 3 * forged);
    tern_udp_close(e.u);
    sim_nodes_clear(&x.w);
}

/* Who is denied there may not come along from there either. */
static void not_to_where_it_is_denied(void **state)
{
    quic_pair x;
    moved m;
    (void)state;
    quic_pair_open(&x, false, NULL);
    start(&x, &m, 0, BYTES);
    run_until(&x, x.b, BYTES / 4);
    assert_int_equal(tern_sim_add_address(x.a->host, "10.7.0.1"), 0);
    assert_int_equal(tern_node_deny(x.b->node, "10.7.0.0/16", NULL), 0);
    see_at(&x, "10.7.0.1", 6001);
    sim_nodes_run(&x.w, 5 * TERN_SEC);
    assert_int_equal(m.done, 0);
    assert_int_equal(sim_counters(x.b)->quic_moved, 0);
    assert_true(sim_counters(x.b)->accept_gated > 0);
    tern_endpoint none = {0};
    tern_sim_nat(x.a->host, 0, &none); /* back where it was: it goes on */
    sim_nodes_wait(&x.w, &m.done, 1, 60 * TERN_SEC);
    all_arrived(&x, &m, 0, BYTES);
    sim_nodes_clear(&x.w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(another_port_while_it_sends),
        cmocka_unit_test(another_port_while_it_receives),
        cmocka_unit_test(another_network),
        cmocka_unit_test(a_third_one_is_not_flooded),
        cmocka_unit_test(not_to_where_it_is_denied),
    };
    return TERN_TEST_MAIN(tests);
}
