/* See quic_pair.h. */
#include "sim/quic_pair.h"

#include <stdio.h>

void quic_pair_listen(sim_node *n, const char *ip, char *ret, size_t cap)
{
    tern_error error;
    char addr[64];
    snprintf(addr, sizeof addr, "/ip4/%s/udp/4001/quic-v1", ip);
    if (tern_node_listen(n->node, addr, ret, cap, &error) != 0) {
        fail_msg("listen: %s: %s", error.layer, error.text);
    }
}

void quic_pair_open(quic_pair *x, bool early, const tern_sim_link *link)
{
    tern_options o;
    memset(x, 0, sizeof *x);
    sim_nodes_init(&x->w, QUIC_PAIR_RTT / 2);
    if (link != NULL) {
        tern_sim_set_default_link(x->w.sim, link);
    }
    tern_options_init(&o);
    o.early_data = early;
    x->a = sim_nodes_add(&x->w, "-10.0.0.1", &o);
    x->b = sim_nodes_add(&x->w, "-10.0.0.2", NULL);
    assert_int_equal(tern_node_serve_perf(x->b->node), 0);
    quic_pair_listen(x->b, "10.0.0.2", x->addr, sizeof x->addr);
}

tern_conn *quic_pair_dial(quic_pair *x)
{
    sim_dial d;
    sim_nodes_dial_one(x->a, x->addr, &d);
    if (d.conn == NULL) {
        fail_msg("dial: %s: %s", d.error.layer, d.error.text);
    }
    return d.conn;
}

void quic_pair_part(quic_pair *x)
{
    unsigned here = x->a->disconnected, there = x->b->disconnected;
    assert_int_equal(tern_node_disconnect(x->a->node, &x->b->id), 1);
    assert_true(sim_nodes_wait(&x->w, &x->a->disconnected, here + 1, 20 * TERN_SEC));
    assert_true(sim_nodes_wait(&x->w, &x->b->disconnected, there + 1, 60 * TERN_SEC));
}

void quic_pair_meet(quic_pair *x)
{
    assert_false(tern_conn_get_facts(quic_pair_dial(x))->resumed);
    sim_nodes_run(&x->w, 2 * TERN_SEC);
    quic_pair_part(x);
}

void quic_pair_take(quic_pair *x, quic_kept *ret)
{
    tern_endpoint at;
    assert_int_equal(tern_endpoint_parse_ip(&at, "10.0.0.2"), 0);
    at.port = 4001;
    quic_kept_take(quic_pair_quic(x->a), &x->b->id, &at, ret);
    assert_non_null(ret->session);
}

void quic_pair_give(quic_pair *x, const tern_key *server, quic_kept *kept)
{
    quic_kept_add(quic_pair_quic(x->a), server, (tern_span){kept->session, kept->session_n},
                  (tern_span){kept->params, kept->params_n}, QUIC_TICKET_LIFE);
    quic_kept_clear(kept);
}
