/* Coming back over QUIC: round trips, and what a ticket is good for and what not
 * (docs/quic-resumption.md, section 7). */
#include <stdio.h>

#include "sim/quic_pair.h"

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

/* ---- round trips ---- */

static void resumes(void **state)
{
    quic_pair x;
    sim_ping p;
    (void)state;
    quic_pair_open(&x, false, NULL);
    quic_pair_meet(&x);
    assert_int_equal(sim_counters(x.b)->quic_tickets_given, 2);
    for (unsigned i = 1; i <= 5; i++) {
        uint64_t start = sim_nodes_now(&x.w);
        tern_conn *c = quic_pair_dial(&x);
        const tern_conn_facts *f = tern_conn_get_facts(c);
        assert_int_equal((sim_nodes_now(&x.w) - start) / TERN_MS, QUIC_PAIR_RTT / TERN_MS);
        assert_true(f->resumed);
        assert_false(f->unproven);
        assert_true(tern_peer_id_equal(&f->peer, &x.b->id));
        sim_nodes_ping(x.a, c, &p);
        assert_int_equal(p.error.code, 0);
        assert_int_equal((p.at - start) / TERN_MS, 2 * QUIC_PAIR_RTT / TERN_MS);
        assert_true(tern_peer_id_equal(&tern_conn_get_facts(x.b->conn)->peer, &x.a->id));
        assert_true(tern_conn_get_facts(x.b->conn)->resumed);
        sim_nodes_run(&x.w, 2 * TERN_SEC);
        quic_pair_part(&x);
        assert_int_equal(sim_counters(x.b)->quic_resumed, i);
        assert_int_equal(sim_counters(x.b)->quic_tickets_given, 2 + i);
    }
    assert_int_equal(sim_counters(x.b)->quic_early, 0);
    sim_nodes_clear(&x.w);
}

/* ---- tickets that are refused: a full handshake, and nothing is lost ---- */

/* Connects with a ticket that is refused: a ping that left early is answered all the same. */
static tern_conn *refused(quic_pair *x, const char *addr, bool early)
{
    sim_dial d;
    sim_ping p;
    uint64_t start = sim_nodes_now(&x->w);
    sim_nodes_dial_one(x->a, addr, &d);
    assert_non_null(d.conn);
    assert_int_equal(tern_conn_get_facts(d.conn)->unproven, early);
    sim_nodes_ping(x->a, d.conn, &p);
    assert_int_equal(p.error.code, 0);
    assert_int_equal((p.at - start) / TERN_MS, 2 * QUIC_PAIR_RTT / TERN_MS);
    assert_false(tern_conn_get_facts(d.conn)->resumed);
    assert_false(tern_conn_get_facts(d.conn)->unproven);
    return d.conn;
}

static void a_ticket_works_once(bool early)
{
    quic_pair x;
    size_t n;
    quic_pair_open(&x, early, NULL);
    quic_pair_meet(&x);
    tern_net *net = tern_node_net(x.a->node);
    const uint8_t *kept = net->ops->recall(net, &x.b->id, TERN_KEPT_QUIC_TICKET, &n);
    assert_non_null(kept);
    uint8_t *before = tern_memdup(kept, n);
    quic_pair_dial(&x);
    sim_nodes_run(&x.w, TERN_SEC);
    quic_pair_part(&x);
    assert_int_equal(sim_counters(x.b)->quic_resumed, 1);
    assert_int_equal(
        net->ops->remember(net, &x.b->id, TERN_KEPT_QUIC_TICKET, before, n, 3600 * TERN_SEC), 0);
    uint64_t given = sim_counters(x.b)->quic_tickets_given;
    uint64_t early_before = sim_counters(x.b)->quic_early;
    refused(&x, x.addr, early);
    assert_int_equal(sim_counters(x.b)->quic_resumed, 1);
    assert_int_equal(sim_counters(x.b)->quic_tickets_refused, 1);
    assert_int_equal(sim_counters(x.b)->quic_early, early_before);
    assert_int_equal(sim_counters(x.b)->quic_early_refused, early);
    assert_int_equal(sim_counters(x.a)->quic_early_refused, early);
    sim_nodes_run(&x.w, TERN_SEC);
    assert_int_equal(sim_counters(x.b)->quic_tickets_given, given + 2); /* it is welcome to more */
    tern_free(before);
    sim_nodes_clear(&x.w);
}

static void once(void **state)
{
    (void)state;
    a_ticket_works_once(false);
    a_ticket_works_once(true);
}

/* What b gave, offered to c. */
static void of_another_server(void **state)
{
    quic_pair x;
    quic_kept kept;
    char addr[256];
    (void)state;
    quic_pair_open(&x, true, NULL);
    sim_node *c = sim_nodes_add(&x.w, "-10.0.0.3", NULL);
    quic_pair_listen(c, "10.0.0.3", addr, sizeof addr);
    quic_pair_meet(&x);
    quic_pair_take(&x, &kept);
    quic_pair_give(&x, tern_node_key(c->node), &kept);
    tern_conn *conn = refused(&x, addr, true);
    assert_true(tern_peer_id_equal(&tern_conn_get_facts(conn)->peer, &c->id));
    assert_int_equal(sim_counters(c)->quic_tickets_refused, 1);
    assert_int_equal(sim_counters(c)->quic_tickets_given, 2); /* ours are welcome */
    sim_nodes_clear(&x.w);
}

/* c answers where b is expected. */
static void another_server_answers(void **state)
{
    quic_pair x;
    sim_dial d;
    sim_ping p;
    char addr[512], at_c[256];
    char id[TERN_PEER_ID_TEXT];
    (void)state;
    quic_pair_open(&x, true, NULL);
    sim_node *c = sim_nodes_add(&x.w, "-10.0.0.3", NULL);
    quic_pair_listen(c, "10.0.0.3", at_c, sizeof at_c);
    quic_pair_meet(&x);
    snprintf(addr, sizeof addr, "/ip4/10.0.0.3/udp/4001/quic-v1/p2p/%s",
             tern_peer_id_text(&x.b->id, id));
    sim_nodes_dial_one(x.a, addr, &d);
    assert_non_null(d.conn);
    assert_true(tern_conn_get_facts(d.conn)->unproven);
    sim_nodes_ping(x.a, d.conn, &p);
    assert_int_equal(p.error.code, TERN_E_CONN_CLOSED);
    assert_int_equal(x.a->why.code, TERN_E_PEER_ID);
    assert_int_equal(sim_counters(c)->streams_in, 0);
    sim_nodes_clear(&x.w);
}

static void one_bit_changed(void **state)
{
    quic_pair x;
    quic_kept kept;
    (void)state;
    quic_pair_open(&x, true, NULL);
    quic_pair_meet(&x);
    quic_pair_take(&x, &kept);
    kept.session[kept.session_n - 1] ^= 1; /* of the ticket, which comes last */
    quic_pair_give(&x, tern_node_key(x.b->node), &kept);
    refused(&x, x.addr, true);
    assert_int_equal(sim_counters(x.b)->quic_tickets_refused, 1);
    sim_nodes_clear(&x.w);
}

static void after_a_day(void **state)
{
    quic_pair x;
    quic_kept kept;
    (void)state;
    quic_pair_open(&x, true, NULL);
    quic_pair_meet(&x);
    quic_pair_take(&x, &kept);
    sim_nodes_run(&x.w, QUIC_TICKET_LIFE);
    quic_pair_give(&x, tern_node_key(x.b->node), &kept);
    refused(&x, x.addr, true);
    assert_int_equal(sim_counters(x.b)->quic_tickets_refused, 1);
    quic_pair_part(&x);
    sim_nodes_run(&x.w, 2 * QUIC_TICKET_LIFE); /* the keys go, too */
    assert_int_equal(tern_map_len(&quic_pair_quic(x.b)->tickets.by_bytes), 0);
    quic_pair_dial(&x); /* and there is nothing to offer */
    assert_int_equal(sim_counters(x.b)->quic_tickets_refused, 1);
    sim_nodes_clear(&x.w);
}

/* The server was restarted, with less room than was promised for 0-QUIC_PAIR_RTT data: what it
 * cannot know any more is refused, and a download that was asked for early arrives whole. */
static void after_a_restart(void **state)
{
    quic_pair x;
    sim_dial d;
    tern_options o;
    tern_error error;
    moved m = {0};
    (void)state;
    quic_pair_open(&x, true, NULL);
    quic_pair_meet(&x);
    tern_options_init(&o);
    o.key = tern_key_ref(tern_node_net(x.b->node)->key);
    o.max_streams = 16;
    sim_node_end(x.b);
    sim_node *again = sim_nodes_add(&x.w, "-10.0.0.4", &o);
    tern_key_unref(o.key);
    assert_int_equal(tern_node_serve_perf(again->node), 0);
    quic_pair_listen(again, "10.0.0.4", x.addr, sizeof x.addr);
    sim_nodes_dial_one(x.a, x.addr, &d);
    assert_non_null(d.conn);
    assert_true(tern_conn_get_facts(d.conn)->unproven);
    assert_int_equal(tern_node_perf(x.a->node, d.conn, 0, 1 << 20, NULL, on_moved, &m, &error), 0);
    assert_true(sim_nodes_wait(&x.w, &m.done, 1, 60 * TERN_SEC));
    assert_int_equal(m.error.code, 0);
    assert_int_equal(m.result.received, 1 << 20);
    assert_false(tern_conn_get_facts(d.conn)->resumed);
    assert_int_equal(sim_counters(again)->quic_tickets_refused, 1);
    assert_int_equal(sim_counters(again)->quic_early, 0);
    sim_nodes_clear(&x.w);
}

/* Whoever is not welcome any more is not for his ticket's sake, and hears the same. */
static void a_denied_peer(bool early)
{
    quic_pair x;
    char id[TERN_PEER_ID_TEXT];
    tern_error error;
    sim_dial d;
    quic_pair_open(&x, early, NULL);
    quic_pair_meet(&x);
    assert_int_equal(tern_node_deny(x.b->node, tern_peer_id_text(&x.a->id, id), &error), 0);
    unsigned gone = x.a->disconnected;
    sim_nodes_dial_one(x.a, x.addr, &d);
    assert_true(sim_nodes_wait(&x.w, &x.a->disconnected, gone + 1, 10 * TERN_SEC));
    assert_int_equal(x.a->why.code, TERN_E_REFUSED);
    assert_int_equal(x.a->why.wire, 0x1007); /* GATED */
    assert_int_equal(x.b->connected, 1);
    assert_int_equal(sim_counters(x.b)->conns_gated, 1);
    sim_nodes_clear(&x.w);
}

static void denied(void **state)
{
    (void)state;
    a_denied_peer(false);
    a_denied_peer(true);
}

/* Where places are short an address is proven by a Retry first, which takes a round trip; the token
 * of an earlier connection does as well. */
static void a_known_address(void **state)
{
    quic_pair x;
    sim_dial d;
    (void)state;
    quic_pair_open(&x, false, NULL);
    sim_node *stranger = sim_nodes_add(&x.w, "-10.0.0.3", NULL);
    quic_pair_meet(&x);
    tern_node_net(x.b->node)->limits.pending = 1;
    uint64_t start = sim_nodes_now(&x.w);
    quic_pair_dial(&x);
    assert_int_equal((sim_nodes_now(&x.w) - start) / TERN_MS, QUIC_PAIR_RTT / TERN_MS);
    assert_int_equal(sim_counters(x.b)->quic_retries, 0);
    start = sim_nodes_now(&x.w);
    sim_nodes_dial_one(stranger, x.addr, &d);
    assert_non_null(d.conn);
    assert_int_equal((d.at - start) / TERN_MS, 2 * QUIC_PAIR_RTT / TERN_MS);
    assert_int_equal(sim_counters(x.b)->quic_retries, 1);
    sim_nodes_clear(&x.w);
}

/* Who wants no tickets gets none, and gives none. */
static void none_wanted(void **state)
{
    (void)state;
    for (unsigned i = 0; i < 2; i++) {
        quic_pair x;
        quic_pair_open(&x, true, NULL);
        tern_node_net(i == 0 ? x.a->node : x.b->node)->no_resumption = true;
        quic_pair_meet(&x);
        assert_int_equal(sim_counters(x.b)->quic_tickets_given, 0);
        quic_pair_meet(&x);
        assert_int_equal(sim_counters(x.b)->quic_tickets_refused, 0);
        sim_nodes_clear(&x.w);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(resumes),           cmocka_unit_test(once),
        cmocka_unit_test(of_another_server), cmocka_unit_test(another_server_answers),
        cmocka_unit_test(one_bit_changed),   cmocka_unit_test(after_a_day),
        cmocka_unit_test(after_a_restart),   cmocka_unit_test(denied),
        cmocka_unit_test(a_known_address),   cmocka_unit_test(none_wanted),
    };
    return TERN_TEST_MAIN(tests);
}
