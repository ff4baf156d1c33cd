/* QUIC between whole nodes in the simulated world: round trips, loss, reordering, ends. */
#include <stdio.h>

#include "sim/attacker.h"
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

/* Who says little sends little: no probes for longer packets, and a goodbye in one small packet
 * that nobody answers, also with streams open. */
static void a_short_talk_is_short(void **state)
{
    world x;
    sim_ping p;
    tern_error error;
    (void)state;
    open_world(&x, NULL);
    tern_conn *c = connect(&x);
    sim_nodes_ping(x.a, c, &p);
    assert_int_equal(p.error.code, 0);
    sim_nodes_run(&x.w, TERN_SEC); /* both have identified each other */
    assert_int_equal(x.a->identified + x.b->identified, 2);
    ear e;
    ear_init(&e);
    tern_stream *s = tern_conn_open(c, &error);
    assert_non_null(s);
    ear_take(&e, s);
    sim_nodes_run(&x.w, TERN_SEC);
    uint64_t said = sim_counters(x.a)->bytes_out, answered = sim_counters(x.b)->bytes_out;
    assert_in_range(said, 1200, 2 * 1200 + 1100); /* two datagrams are padded, for the address */
    assert_in_range(answered, 1200, 1200 + 1100);
    tern_node_disconnect(x.a->node, &x.b->id);
    sim_nodes_run(&x.w, TERN_SEC);
    assert_int_equal(x.b->disconnected, 1);
    assert_in_range(sim_counters(x.a)->bytes_out - said, 1, 48);
    assert_int_equal(sim_counters(x.b)->bytes_out, answered);
    assert_int_equal(e.closed, 1);
    ear_clear(&e);
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

/* The wall clock is set back by 40 days: certificates of the node that ran on are still taken. */
static void the_clock_goes_back(void **state)
{
    (void)state;
    world x;
    open_world(&x, NULL);
    connect(&x);
    tern_node_disconnect(x.a->node, &x.b->id);
    sim_nodes_run(&x.w, TERN_SEC);
    assert_int_equal(x.a->disconnected, 1);
    tern_sim_set_wall(x.w.sim, tern_loop_wall(x.w.clock) - 40 * UINT64_C(86400) * TERN_SEC);
    connect(&x);
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

/* ---- datagrams that nobody should send ---- */

/* The head of an Initial (or of another version's long packet), what follows is garbage. */
static void initial_of(uint8_t p[1200], uint8_t version, uint32_t number)
{
    static const uint8_t head[] = {0xc0, 0, 0, 0, 1, 8, 1, 2, 3, 4, 5, 6,    7,
                                   8,    8, 1, 2, 3, 4, 5, 6, 7, 8, 0, 0x44, 0x96};
    memset(p, 0xa5, 1200);
    memcpy(p, head, sizeof head);
    p[4] = version;
    memcpy(p + 6, &number, sizeof number);
}

static void datagrams_are_refused(void **state)
{
    world x;
    sim_attacker e;
    uint8_t p[1200];
    (void)state;
    open_world(&x, NULL);
    sim_attacker_init(&e, x.w.sim, "10.0.9.9", TERN_UDP_SET(TERN_UDP_QUIC));
    tern_counters *count = sim_counters(x.b);
    sim_attacker_say(&e, "\xc0\0\0\0\1\x3f", 6); /* ends within its head */
    initial_of(p, 1, 0);
    sim_attacker_say(&e, p, 600); /* an Initial is of 1200 bytes at least */
    initial_of(p, 9, 0);
    sim_attacker_say(&e, p, 600); /* another version, too short for an answer */
    sim_nodes_run(&x.w, TERN_SEC);
    assert_int_equal(count->quic_malformed, 2);
    assert_int_equal(count->quic_unknown, 1);
    assert_int_equal(count->quic_versions, 0);
    assert_int_equal(e.answers, 0);
    sim_attacker_say(&e, p, sizeof p);
    memset(p, 0x41, sizeof p); /* a short header, of no connection: reset, with less */
    sim_attacker_say(&e, p, 100);
    sim_nodes_run(&x.w, TERN_SEC);
    assert_int_equal(count->quic_versions, 1);
    assert_int_equal(count->quic_unknown, 2);
    assert_int_equal(e.answers, 2);
    assert_true(e.answered < 1300);
    tern_udp_close(e.u);
    sim_nodes_clear(&x.w);
}

/* What cannot be opened takes no place, however much of it comes. */
static void a_flood_of_initials(void **state)
{
    world x;
    sim_attacker e;
    uint8_t p[1200];
    (void)state;
    open_world(&x, NULL);
    sim_attacker_init(&e, x.w.sim, "10.0.9.9", TERN_UDP_SET(TERN_UDP_QUIC));
    const tern_net *net = tern_node_net(x.b->node);
    for (uint32_t i = 0; i < 5000; i++) {
        initial_of(p, 1, i);
        sim_attacker_say(&e, p, sizeof p);
        if (i % 500 == 0) {
            sim_nodes_run(&x.w, RTT);
            assert_true(net->pending.count <= net->limits.pending_per_ip);
        }
    }
    connect(&x);
    sim_nodes_run(&x.w, 30 * TERN_SEC);
    assert_int_equal(net->pending.count, 0);
    assert_int_equal(net->natives, 1);
    tern_udp_close(e.u);
    sim_nodes_clear(&x.w);
}

/* Each allocation of a connection's life fails in turn; then the two connect all the same. */
static void each_allocation_may_fail(void **state)
{
    (void)state;
    for (size_t at = 1; at < 2000; at += 1 + at / 40) {
        world x;
        sim_dial d;
        unsigned done = 0;
        open_world(&x, NULL);
        const char *texts[] = {x.addr};
        tern_mem_fail_at(at, 0);
        int code = tern_node_dial(x.a->node, texts, 1, 0, false, sim_nodes_count_dial, &done, NULL);
        sim_nodes_run(&x.w, 20 * TERN_SEC);
        assert_true(code != 0 || done == 1);
        bool over = tern_mem_count() < at;
        tern_mem_fail_at(0, 0);
        sim_nodes_dial_one(x.a, x.addr, &d);
        assert_non_null(d.conn);
        sim_nodes_clear(&x.w);
        if (over) {
            return;
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(two_round_trips),          cmocka_unit_test(bytes_arrive),
        cmocka_unit_test(bytes_arrive_with_loss),   cmocka_unit_test(bytes_arrive_out_of_order),
        cmocka_unit_test(datagrams_are_refused),    cmocka_unit_test(a_flood_of_initials),
        cmocka_unit_test(each_allocation_may_fail), cmocka_unit_test(the_clock_goes_back),
        cmocka_unit_test(a_short_talk_is_short)};
    return TERN_TEST_MAIN(tests);
}
