/* 0-RTT over QUIC: what leaves with the first flight, what waits, and what is left of it when
 * somebody plays it again (docs/quic-resumption.md, sections 4, 5 and 7). */
#include <stdio.h>

#include "loop/udp_port.h"
#include "sim/quic_pair.h"
#include "suite/ear.h"

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

static void one_round_trip(void **state)
{
    quic_pair x;
    sim_ping p;
    (void)state;
    quic_pair_open(&x, true, NULL);
    quic_pair_meet(&x);
    uint64_t start = sim_nodes_now(&x.w);
    tern_conn *c = quic_pair_dial(&x);
    assert_int_equal(sim_nodes_now(&x.w), start);
    assert_true(tern_conn_get_facts(c)->unproven);
    assert_true(tern_peer_id_equal(&tern_conn_get_facts(c)->peer, &x.b->id));
    sim_nodes_ping(x.a, c, &p);
    assert_int_equal(p.error.code, 0);
    assert_int_equal((p.at - start) / TERN_MS, QUIC_PAIR_RTT / TERN_MS);
    sim_nodes_run(&x.w, 2 * TERN_SEC);
    assert_false(tern_conn_get_facts(c)->unproven);
    assert_true(tern_conn_get_facts(c)->resumed);
    assert_false(tern_conn_get_facts(x.b->conn)->unproven);
    assert_int_equal(sim_counters(x.a)->quic_early, 1);
    assert_int_equal(sim_counters(x.b)->quic_early, 1);
    assert_int_equal(quic_pair_quic(x.b)->early_conns, 0);
    sim_nodes_clear(&x.w);
}

/* ---- what may not travel early ---- */

typedef struct taker {
    ear ear;
    unsigned taken;
    uint64_t at;
    sim_nodes *w;
} taker;

static void take_stream(void *ctx, tern_node *node, tern_conn *conn, tern_stream *s)
{
    taker *t = ctx;
    (void)node;
    assert_false(tern_conn_get_facts(conn)->unproven);
    t->taken++;
    t->at = sim_nodes_now(t->w);
    ear_take(&t->ear, s);
}

/* The client thinks that a protocol is safe, the server does not: it waits there, whole. A stream
 * that the client holds safe for nobody waits at the client. */
static void held(void **state)
{
    static const char *const ids[] = {"/held/1", "/kept/1"};
    for (unsigned i = 0; i < 2; i++) {
        quic_pair x;
        ear mine;
        tern_error error;
        (void)state;
        quic_pair_open(&x, true, NULL);
        taker t = {.w = &x.w};
        ear_init(&t.ear);
        ear_init(&mine);
        const tern_protocol_options safe = {.replay_safe = i == 0};
        assert_int_equal(tern_node_handle(x.a->node, ids[i], &safe, take_stream, &t), 0);
        assert_int_equal(tern_node_handle(x.b->node, ids[i], NULL, take_stream, &t), 0);
        quic_pair_meet(&x);
        uint64_t start = sim_nodes_now(&x.w);
        tern_conn *c = quic_pair_dial(&x);
        assert_true(tern_conn_get_facts(c)->unproven);
        tern_stream *s = tern_node_open(x.a->node, c, ids[i], sim_nodes_ear_opened, &mine, &error);
        assert_non_null(s);
        assert_int_equal(tern_stream_write(s, "hello", 5), 5);
        tern_stream_end(s);
        assert_true(sim_nodes_wait(&x.w, &t.taken, 1, 10 * TERN_SEC));
        assert_int_equal((t.at - start) / TERN_MS, 3 * QUIC_PAIR_RTT / 2 / TERN_MS);
        sim_nodes_run(&x.w, TERN_SEC);
        assert_int_equal(t.taken, 1);
        assert_true(t.ear.ended);
        assert_int_equal(tern_buf_len(&t.ear.got), 5);
        assert_memory_equal(tern_buf_data(&t.ear.got), "hello", 5);
        assert_int_equal(sim_counters(x.b)->quic_held, i == 0);
        assert_int_equal(sim_counters(x.b)->quic_early, 1);
        ear_clear(&mine);
        ear_clear(&t.ear);
        sim_nodes_clear(&x.w);
    }
}

/* A first flight that took more than ten seconds longer than the client says (here: its ticket says
 * that it came twenty seconds later than it did) resumes, but its early data is sent again. */
static void late(void **state)
{
    quic_pair x;
    sim_ping p;
    quic_kept kept;
    (void)state;
    quic_pair_open(&x, true, NULL);
    quic_pair_meet(&x);
    sim_nodes_run(&x.w, 20 * TERN_SEC);
    quic_pair_take(&x, &kept);
    tern_put64(kept.session + 6, tern_get64(kept.session + 6) + 20000); /* when it came, ms */
    quic_pair_give(&x, tern_node_key(x.b->node), &kept);
    uint64_t start = sim_nodes_now(&x.w);
    tern_conn *c = quic_pair_dial(&x);
    sim_nodes_ping(x.a, c, &p);
    assert_int_equal(p.error.code, 0);
    assert_int_equal((p.at - start) / TERN_MS, 2 * QUIC_PAIR_RTT / TERN_MS);
    assert_true(tern_conn_get_facts(c)->resumed);
    assert_int_equal(sim_counters(x.a)->quic_early_refused, 1);
    assert_int_equal(sim_counters(x.b)->quic_early_refused, 1);
    assert_int_equal(sim_counters(x.b)->quic_early, 0);
    sim_nodes_clear(&x.w);
}

/* ---- a first flight that is played again ---- */

enum { FLIGHT_MAX = 32 };

typedef struct recorder {
    tern_udp *u;
    struct {
        size_t n;
        uint8_t bytes[1500];
    } flight[FLIGHT_MAX];
    unsigned count;
} recorder;

static void record(void *owner, tern_udp *u, tern_datagram *d)
{
    recorder *r = owner;
    (void)u;
    assert_true(r->count < FLIGHT_MAX && d->len <= sizeof r->flight->bytes);
    r->flight[r->count].n = d->len;
    memcpy(r->flight[r->count++].bytes, d->data, d->len);
}

static void play(recorder *r, unsigned count)
{
    tern_endpoint to;
    assert_int_equal(tern_endpoint_parse_ip(&to, "10.0.0.2"), 0);
    to.port = 4001;
    for (unsigned i = 0; i < count; i++) {
        assert_int_equal(tern_udp_send(r->u, &to, r->flight[i].bytes, r->flight[i].n, 0, 0), 0);
    }
}

/* Between a and b stands somebody who writes down what a says, and says it to b: once is as if a
 * had; never again. */
static void played_again(void **state)
{
    quic_pair x;
    recorder r = {0};
    tern_loop *host;
    tern_endpoint at;
    char addr[512], id[TERN_PEER_ID_TEXT];
    sim_dial d;
    unsigned done = 0;
    (void)state;
    quic_pair_open(&x, true, NULL);
    assert_int_equal(tern_sim_host(x.w.sim, "10.0.9.9", &host), 0);
    assert_int_equal(tern_endpoint_parse_ip(&at, "10.0.9.9"), 0);
    at.port = 4001;
    assert_int_equal(tern_udp_bind(host, &at, &r.u), 0);
    tern_udp_register(r.u, TERN_UDP_QUIC, record, &r);
    quic_pair_meet(&x);
    uint64_t streams = sim_counters(x.b)->streams_in;
    snprintf(addr, sizeof addr, "/ip4/10.0.9.9/udp/4001/quic-v1/p2p/%s",
             tern_peer_id_text(&x.b->id, id));
    sim_nodes_dial_one(x.a, addr, &d);
    assert_non_null(d.conn);
    sim_nodes_run(&x.w, QUIC_PAIR_RTT);
    unsigned first = r.count;
    assert_true(first >= 2);
    play(&r, first);
    sim_nodes_run(&x.w, 2 * QUIC_PAIR_RTT);
    assert_int_equal(sim_counters(x.b)->quic_early, 1);
    assert_int_equal(sim_counters(x.b)->streams_in, streams + 1); /* identify: a asks it at once */
    play(&r, first);                                              /* to the same connection */
    sim_nodes_run(&x.w, 2 * QUIC_PAIR_RTT);
    assert_int_equal(sim_counters(x.b)->streams_in, streams + 1);
    (void)done;
    sim_nodes_run(&x.w, 60 * TERN_SEC); /* which ends, unproven */
    assert_int_equal(tern_node_net(x.b->node)->natives, 0);
    assert_int_equal(quic_pair_quic(x.b)->early_conns, 0);
    for (unsigned i = 0; i < 3; i++) {
        play(&r, first);
        sim_nodes_run(&x.w, 60 * TERN_SEC);
        assert_int_equal(sim_counters(x.b)->streams_in, streams + 1);
        assert_int_equal(sim_counters(x.b)->quic_early, 1);
        assert_int_equal(sim_counters(x.b)->quic_tickets_refused, i + 1);
    }
    tern_udp_close(r.u);
    sim_nodes_clear(&x.w);
}

/* ---- when nothing answers ---- */

/* The connection that was believed in advance ends, and the next dial is an ordinary one. */
static void silence(void **state)
{
    quic_pair x;
    sim_dial d;
    sim_ping p;
    (void)state;
    quic_pair_open(&x, true, NULL);
    quic_pair_meet(&x);
    tern_sim_set_link(x.w.sim, x.a->host, x.b->host, &(tern_sim_link){.down = true});
    tern_conn *c = quic_pair_dial(&x);
    assert_true(tern_conn_get_facts(c)->unproven);
    sim_nodes_ping(x.a, c, &p);
    assert_int_equal(p.error.code, TERN_E_CONN_CLOSED);
    assert_int_equal(x.a->why.code, TERN_E_TIMEOUT);
    sim_nodes_dial_one(x.a, x.addr, &d);
    assert_null(d.conn);
    assert_int_equal(d.error.code, TERN_E_TIMEOUT);
    sim_nodes_clear(&x.w);
}

/* ---- loss ---- */

static void comes_back_often(double loss)
{
    quic_pair x;
    unsigned early = 0, given_up = 0;
    quic_pair_open(&x, true, &(tern_sim_link){.delay = 10 * TERN_MS, .loss = loss});
    quic_pair_meet(&x);
    for (unsigned i = 0; i < 30; i++) {
        moved m = {0};
        sim_ping p;
        tern_error error;
        tern_conn *c = quic_pair_dial(&x);
        early += tern_conn_get_facts(c)->unproven;
        assert_int_equal(tern_node_perf(x.a->node, c, 0, 100000, NULL, on_moved, &m, &error), 0);
        sim_nodes_ping(x.a, c, &p);
        assert_true(sim_nodes_wait(&x.w, &m.done, 1, 60 * TERN_SEC));
        if (p.error.code == TERN_E_CONN_CLOSED && x.a->why.code == TERN_E_TIMEOUT) {
            given_up++; /* two flights in a row were lost: nobody waits long for an unproven peer */
            continue;
        }
        assert_int_equal(p.error.code, 0);
        assert_int_equal(m.error.code, 0);
        assert_int_equal(m.result.received, 100000);
        sim_nodes_run(&x.w, TERN_SEC);
        quic_pair_part(&x);
    }
    assert_true(given_up <= 2);
    assert_true(early >= 20);
    assert_true(sim_counters(x.b)->quic_early >= 20);
    assert_int_equal(sim_counters(x.a)->quic_violations + sim_counters(x.b)->quic_violations, 0);
    sim_nodes_clear(&x.w);
}

static void with_loss(void **state)
{
    (void)state;
    comes_back_often(0);
    comes_back_often(0.01);
    comes_back_often(0.05);
}

/* ---- memory ---- */

static void on_ping(void *owner, uint64_t rtt, const tern_error *error)
{
    unsigned *done = owner;
    (void)rtt;
    (void)error;
    ++*done;
}

/* Each allocation of coming back fails in turn; then the two connect all the same. */
static void each_allocation_may_fail(void **state)
{
    (void)state;
    for (size_t at = 1; at < 2000; at += 1 + at / 40) {
        quic_pair x;
        sim_dial d;
        unsigned done = 0;
        quic_pair_open(&x, true, NULL);
        quic_pair_meet(&x);
        const char *texts[] = {x.addr};
        tern_mem_fail_at(at, 0);
        int code = tern_node_dial(x.a->node, texts, 1, 0, false, sim_nodes_count_dial, &done, NULL);
        sim_nodes_run(&x.w, TERN_MS);
        if (x.a->conn != NULL) {
            unsigned pinged = 0;
            if (tern_node_ping(x.a->node, x.a->conn, on_ping, &pinged) == 0) {
                assert_true(sim_nodes_wait(&x.w, &pinged, 1, 20 * TERN_SEC));
            }
        }
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
        cmocka_unit_test(one_round_trip),
        cmocka_unit_test(held),
        cmocka_unit_test(late),
        cmocka_unit_test(played_again),
        cmocka_unit_test(silence),
        cmocka_unit_test(with_loss),
        cmocka_unit_test(each_allocation_may_fail),
    };
    return TERN_TEST_MAIN(tests);
}
