/* QUIC between whole nodes in the simulated world: round trips, loss, reordering, ends. */
#include <stdio.h>

#include "sim/nodes.h"
#include "suite/ear.h"

#define RTT (100 * TERN_MS)

typedef struct world {
    sim_nodes w;
    sim_node *a, *b;
    char addr[256]; /* of b */
} world;

static void open_world(world *x, const tern_sim_link *link)
{
    tern_error error;
    memset(x, 0, sizeof *x);
    sim_nodes_init(&x->w, RTT / 2);
    if (link != NULL) {
        tern_sim_set_default_link(x->w.sim, link);
    }
    x->a = sim_nodes_add(&x->w, "10.0.0.1", NULL);
    x->b = sim_nodes_add(&x->w, "10.0.0.2", NULL);
    if (tern_node_listen(x->b->node, "/ip4/10.0.0.2/udp/4001/quic-v1", x->addr, sizeof x->addr,
                         &error) != 0) {
        fail_msg("listen: %s: %s", error.layer, error.text);
    }
}

static tern_conn *connect(world *x)
{
    sim_dial d;
    sim_nodes_dial_one(x->a, x->addr, &d);
    if (d.conn == NULL) {
        fail_msg("dial: %s: %s", d.error.layer, d.error.text);
    }
    return d.conn;
}

static void two_round_trips(void **state)
{
    world x;
    sim_dial d;
    sim_ping p;
    (void)state;
    open_world(&x, NULL);
    uint64_t start = sim_nodes_now(&x.w);
    sim_nodes_dial_one(x.a, x.addr, &d);
    assert_non_null(d.conn);
    assert_int_equal((d.at - start) / TERN_MS, RTT / TERN_MS);
    const tern_conn_facts *f = tern_conn_get_facts(d.conn);
    assert_string_equal(f->transport, "quic-v1");
    assert_string_equal(f->security, "tls");
    assert_string_equal(f->muxer, "native");
    assert_true(tern_peer_id_equal(&f->peer, &x.b->id));
    sim_nodes_ping(x.a, d.conn, &p);
    assert_int_equal(p.error.code, 0);
    assert_int_equal((p.at - start) / TERN_MS, 2 * RTT / TERN_MS);
    sim_nodes_clear(&x.w);
}

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

/* Every byte arrives, both ways, over such a link. */
static void moves(const tern_sim_link *link, uint64_t bytes, uint64_t within)
{
    world x;
    moved m = {0};
    tern_error error;
    open_world(&x, link);
    assert_int_equal(tern_node_serve_perf(x.b->node), 0);
    tern_conn *c = connect(&x);
    assert_int_equal(tern_node_perf(x.a->node, c, bytes, bytes, NULL, on_moved, &m, &error), 0);
    sim_nodes_wait(&x.w, &m.done, 1, within);
    if (m.done == 0 || m.error.code != 0) {
        fail_msg("done %u: %s: %s", m.done, m.error.layer, m.error.text);
    }
    assert_int_equal(m.result.sent, bytes);
    assert_int_equal(m.result.received, bytes);
    assert_int_equal(x.a->disconnected + x.b->disconnected, 0);
    sim_nodes_clear(&x.w);
}

static void bytes_arrive(void **state)
{
    (void)state;
    moves(&(tern_sim_link){.delay = RTT / 2}, 8 << 20, 60 * TERN_SEC);
}

static void bytes_arrive_with_loss(void **state)
{
    (void)state;
    moves(&(tern_sim_link){.delay = 10 * TERN_MS, .loss = 0.01}, 4 << 20, 120 * TERN_SEC);
    moves(&(tern_sim_link){.delay = 10 * TERN_MS, .loss = 0.05}, 2 << 20, 240 * TERN_SEC);
}

static void bytes_arrive_out_of_order(void **state)
{
    (void)state;
    moves(&(tern_sim_link){.delay = 10 * TERN_MS, .jitter = 15 * TERN_MS}, 2 << 20, 240 * TERN_SEC);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(two_round_trips), cmocka_unit_test(bytes_arrive),
        cmocka_unit_test(bytes_arrive_with_loss), cmocka_unit_test(bytes_arrive_out_of_order)};
    return TERN_TEST_MAIN(tests);
}
