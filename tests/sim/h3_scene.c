/* See h3_scene.h. */
#include "sim/h3_scene.h"

void h3_scene_open(h3_scene *x, const tern_options *options)
{
    tern_error error;
    memset(x, 0, sizeof *x);
    sim_nodes_init(&x->w, H3_DELAY);
    x->a = sim_nodes_add(&x->w, "-10.0.0.1", NULL);
    x->b = sim_nodes_add(&x->w, "10.0.0.2", options);
    assert_int_equal(tern_node_listen(x->b->node, "/ip4/10.0.0.2/udp/4001/quic-v1/webtransport",
                                      x->addr, sizeof x->addr, &error),
                     0);
}

void h3_scene_dial(h3_scene *x)
{
    h3_peer_dial(&x->p, x->a, "10.0.0.2");
    assert_true(sim_nodes_wait(&x->w, &x->p.begun, 1, 5 * TERN_SEC));
}

void h3_scene_close(h3_scene *x)
{
    sim_dial d;
    sim_ping ping;
    if (x->p.node != NULL) {
        h3_peer_clear(&x->p);
    }
    sim_nodes_run(&x->w, 60 * TERN_SEC);
    assert_int_equal(tern_node_net(x->b->node)->natives, 0);
    assert_int_equal(tern_node_net(x->b->node)->pending.count, 0);
    assert_int_equal(x->b->connected, x->b->disconnected);
    sim_node *c = sim_nodes_add(&x->w, "-10.0.0.3", NULL);
    sim_nodes_dial_one(c, x->addr, &d);
    assert_non_null(d.conn);
    sim_nodes_ping(c, d.conn, &ping);
    assert_int_equal(ping.error.code, 0);
    sim_nodes_clear(&x->w);
}

uint64_t h3_scene_counted(const h3_scene *x, size_t counter)
{
    const uint8_t *base = (const uint8_t *)sim_counters(x->b);
    uint64_t value;
    memcpy(&value, base + counter, sizeof value);
    return value;
}

void h3_scene_expect_end(h3_scene *x, const char *name, uint64_t wire, size_t counter,
                         uint64_t before)
{
    sim_nodes_run(&x->w, TERN_SEC);
    uint64_t more = h3_scene_counted(x, counter) - before;
    if (x->p.gone != 1 || x->p.why.wire != wire || more != 1) {
        fail_msg("%s: gone %u, code 0x%llx (%s), counted %u", name, x->p.gone,
                 (unsigned long long)x->p.why.wire, x->p.why.text, (unsigned)more);
    }
    h3_peer_clear(&x->p);
}
