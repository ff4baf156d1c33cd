/* Tests of ping, both sides: two whole nodes in a simulated world, where one side is sometimes a
 * peer that answers wrongly, or asks by hand. */
#include "proto/ping.h"

#include "sim/nodes.h"
#include "streams/memory.h"
#include "suite/ear.h"

#define DELAY (50 * TERN_MS)
#define RTT   (2 * DELAY)

struct pair {
    sim_nodes w;
    sim_node *a, *b;
    tern_conn *c; /* a's */
    ear ears[4];
    size_t streams; /* of b's handler, or opened by hand */
};

static void setup(struct pair *p, bool b_serves)
{
    tern_options o;
    memset(p, 0, sizeof *p);
    tern_options_init(&o);
    o.no_ping = !b_serves;
    sim_nodes_init(&p->w, DELAY);
    p->a = sim_nodes_add(&p->w, "-10.0.0.1", NULL);
    p->b = sim_nodes_add(&p->w, "10.0.0.2", &o);
    for (size_t i = 0; i < 4; i++) {
        ear_init(&p->ears[i]);
    }
    p->c = sim_nodes_connect(&p->w, p->a, p->b);
    sim_nodes_run(&p->w, TERN_SEC);
}

static void teardown(struct pair *p)
{
    for (size_t i = 0; i < 4; i++) {
        ear_clear(&p->ears[i]);
    }
    sim_nodes_clear(&p->w);
}

static void told(void *owner, uint64_t rtt, const tern_error *error)
{
    sim_ping *p = owner;
    p->done++;
    p->at = sim_nodes_now(p->world);
    p->rtt = rtt;
    p->error = *error;
}

static int ask(struct pair *p, sim_ping *ping)
{
    *ping = (sim_ping){.world = &p->w};
    return tern_node_ping(p->a->node, p->c, told, ping);
}

/* b's own handler of the protocol: an ear that hears and says nothing by itself. */
static void hears(void *ctx, tern_node *node, tern_conn *conn, tern_stream *s)
{
    struct pair *p = ctx;
    (void)node;
    (void)conn;
    assert_true(p->streams < 4);
    ear_take(&p->ears[p->streams++], s);
}

static void setup_deaf(struct pair *p)
{
    setup(p, false);
    assert_int_equal(tern_node_handle(p->b->node, TERN_PING_ID, NULL, hears, p), 0);
}

/* ---- asking ---- */

static void test_several_under_way(void **state)
{
    struct pair p;
    sim_ping pings[33];
    (void)state;
    setup(&p, true);
    for (size_t i = 0; i < 32; i++) {
        assert_int_equal(ask(&p, &pings[i]), 0);
    }
    assert_int_equal(ask(&p, &pings[32]), TERN_E_LIMIT);
    sim_nodes_run(&p.w, RTT);
    for (size_t i = 0; i < 32; i++) {
        assert_int_equal(pings[i].done, 1);
        assert_int_equal(pings[i].error.code, 0);
        assert_int_equal(pings[i].rtt, RTT);
    }
    assert_int_equal(pings[32].done, 0);
    assert_int_equal(sim_counters(p.b)->streams_in, 2); /* identify's and this one */
    teardown(&p);
}

static void test_not_spoken(void **state)
{
    struct pair p;
    sim_ping ping;
    (void)state;
    setup(&p, false);
    sim_nodes_ping(p.a, p.c, &ping);
    assert_int_equal(ping.error.code, TERN_E_NEGOTIATION);
    assert_int_equal(p.a->disconnected, 0);
    teardown(&p);
}

static void test_silent_peer(void **state)
{
    struct pair p;
    sim_ping first, second;
    (void)state;
    setup_deaf(&p);
    uint64_t start = sim_nodes_now(&p.w);
    assert_int_equal(ask(&p, &first), 0);
    sim_nodes_run(&p.w, TERN_SEC);
    assert_int_equal(ask(&p, &second), 0);
    sim_nodes_run(&p.w, 30 * TERN_SEC);
    assert_int_equal(first.done, 1);
    assert_int_equal(second.done, 1); /* its stream is given up with the first */
    assert_int_equal(first.error.code, TERN_E_TIMEOUT);
    assert_int_equal(first.at - start, 10 * TERN_SEC);
    assert_int_equal(sim_counters(p.a)->ping_timeout, 1);
    assert_int_equal(p.ears[0].closed, 1);
    assert_int_equal(p.ears[0].why.code, TERN_E_RESET);
    assert_int_equal(tern_buf_len(&p.ears[0].got), 64);
    teardown(&p);
}

/* A stream that nobody asks on any more is ended: a peer has two of them, over all connections. */
static void test_idle_stream_ends(void **state)
{
    struct pair p;
    sim_ping ping;
    (void)state;
    setup_deaf(&p);
    for (size_t round = 0; round < 2; round++) {
        ear *e = &p.ears[round];
        assert_int_equal(ask(&p, &ping), 0);
        sim_nodes_run(&p.w, RTT);
        assert_int_equal(p.streams, round + 1);
        for (size_t i = 0; i < 3; i++) { /* pings keep it */
            ear_write(e, tern_buf_data(&e->got) + 32 * i, 32);
            sim_nodes_run(&p.w, 9 * TERN_SEC);
            assert_int_equal(ping.error.code, 0);
            assert_int_equal(e->ended, 0);
            assert_int_equal(ask(&p, &ping), 0);
            sim_nodes_run(&p.w, RTT);
        }
        ear_write(e, tern_buf_data(&e->got) + 96, 32);
        sim_nodes_run(&p.w, 11 * TERN_SEC);
        assert_int_equal(ping.error.code, 0);
        assert_int_equal(e->ended, 1);
        assert_int_equal(p.streams, round + 1);
    }
    teardown(&p);
}

static void test_wrong_answer(void **state)
{
    struct pair p;
    sim_ping ping;
    uint8_t wrong[32] = {1};
    (void)state;
    setup_deaf(&p);
    assert_int_equal(ask(&p, &ping), 0);
    sim_nodes_run(&p.w, RTT);
    ear_write(&p.ears[0], wrong, 32);
    sim_nodes_run(&p.w, RTT);
    assert_int_equal(ping.done, 1);
    assert_int_equal(ping.error.code, TERN_E_PROTOCOL);
    assert_int_equal(sim_counters(p.a)->ping_wrong, 1);
    assert_int_equal(p.ears[0].why.code, TERN_E_RESET);
    sim_nodes_run(&p.w, 20 * TERN_SEC);
    assert_int_equal(sim_counters(p.a)->ping_timeout, 0); /* nothing is waited for any more */
    assert_int_equal(ask(&p, &ping), 0);                  /* on a new stream */
    sim_nodes_run(&p.w, RTT);
    assert_int_equal(p.streams, 2);
    teardown(&p);
}

static void test_answer_in_pieces(void **state)
{
    struct pair p;
    sim_ping ping;
    (void)state;
    setup_deaf(&p);
    assert_int_equal(ask(&p, &ping), 0);
    sim_nodes_run(&p.w, RTT);
    for (size_t i = 0; i < 32; i++) {
        assert_int_equal(ping.done, 0);
        ear_write(&p.ears[0], tern_buf_data(&p.ears[0].got) + i, 1);
        sim_nodes_run(&p.w, RTT);
    }
    assert_int_equal(ping.done, 1);
    assert_int_equal(ping.error.code, 0);
    /* One byte that nobody asked for. */
    ear_write(&p.ears[0], "x", 1);
    sim_nodes_run(&p.w, RTT);
    assert_int_equal(sim_counters(p.a)->ping_wrong, 1);
    assert_int_equal(p.ears[0].why.code, TERN_E_RESET);
    teardown(&p);
}

/* As go does after some silence: the peer ends its half. The next ping gets a new stream, also one
 * that was under way when the end came. */
static void test_peer_ends_the_stream(void **state)
{
    struct pair p;
    sim_ping first, ping;
    (void)state;
    setup_deaf(&p);
    assert_int_equal(ask(&p, &first), 0);
    sim_nodes_run(&p.w, RTT);
    ear_write(&p.ears[0], tern_buf_data(&p.ears[0].got), 32);
    EAR(&p.ears[0], tern_stream_end(p.ears[0].s));
    sim_nodes_run(&p.w, DELAY / 2);
    assert_int_equal(ask(&p, &ping), 0); /* crosses the end */
    sim_nodes_run(&p.w, 2 * RTT);
    assert_int_equal(first.done, 1);
    assert_int_equal(first.error.code, 0);
    assert_int_equal(p.streams, 2);
    assert_int_equal(ping.done, 0);
    ear_write(&p.ears[1], tern_buf_data(&p.ears[1].got), 32);
    sim_nodes_run(&p.w, RTT);
    assert_int_equal(ping.done, 1);
    assert_int_equal(ping.error.code, 0);
    teardown(&p);
}

/* A stream that ended without any answer is not tried again. */
static void test_peer_only_ends(void **state)
{
    struct pair p;
    sim_ping ping;
    (void)state;
    setup_deaf(&p);
    assert_int_equal(ask(&p, &ping), 0);
    sim_nodes_run(&p.w, RTT);
    EAR(&p.ears[0], tern_stream_end(p.ears[0].s));
    sim_nodes_run(&p.w, RTT);
    assert_int_equal(ping.done, 1);
    assert_int_equal(ping.error.code, TERN_E_EOF);
    assert_int_equal(p.streams, 1);
    teardown(&p);
}

static void test_connection_goes(void **state)
{
    struct pair p;
    sim_ping ping;
    (void)state;
    setup_deaf(&p);
    assert_int_equal(ask(&p, &ping), 0);
    sim_nodes_run(&p.w, RTT);
    tern_node_disconnect(p.b->node, &p.a->id);
    sim_nodes_run(&p.w, RTT);
    assert_int_equal(ping.done, 1);
    assert_int_equal(ping.error.code, TERN_E_CONN_CLOSED);
    assert_int_equal(p.a->disconnected, 1);
    teardown(&p);
}

static void test_node_stops(void **state)
{
    (void)state;
    for (uint64_t t = 0; t <= RTT; t += DELAY / 2) { /* also while it negotiates */
        struct pair p;
        sim_ping ping;
        setup_deaf(&p);
        assert_int_equal(ask(&p, &ping), 0);
        sim_nodes_run(&p.w, t);
        sim_node_end(p.a);
        assert_int_equal(ping.done, 1);
        assert_int_equal(ping.error.code, TERN_E_CONN_CLOSED);
        teardown(&p);
        assert_int_equal(ping.done, 1);
    }
}

static void again(void *owner, uint64_t rtt, const tern_error *error)
{
    struct pair *p = owner;
    (void)rtt;
    assert_int_equal(error->code, 0);
    if (++p->streams < 10) {
        assert_int_equal(tern_node_ping(p->a->node, p->c, again, p), 0);
    }
}

static void test_asked_inside_the_answer(void **state)
{
    struct pair p;
    (void)state;
    setup(&p, true);
    assert_int_equal(tern_node_ping(p.a->node, p.c, again, &p), 0);
    sim_nodes_run(&p.w, 10 * RTT);
    assert_int_equal(p.streams, 10);
    teardown(&p);
}

/* ---- answering ---- */

static ear *open_by_hand(struct pair *p)
{
    ear *e = &p->ears[p->streams++];
    tern_error error;
    assert_non_null(
        tern_node_open(p->a->node, p->c, TERN_PING_ID, sim_nodes_ear_opened, e, &error));
    sim_nodes_run(&p->w, RTT);
    return e;
}

static void test_blocks_come_back(void **state)
{
    struct pair p;
    uint8_t bytes[96];
    (void)state;
    setup(&p, true);
    ear *e = open_by_hand(&p);
    for (size_t i = 0; i < sizeof bytes; i++) {
        bytes[i] = (uint8_t)i;
        ear_write(e, bytes + i, 1);
        sim_nodes_run(&p.w, RTT);
        assert_int_equal(tern_buf_len(&e->got), (i + 1) / 32 * 32); /* whole blocks only */
    }
    assert_memory_equal(tern_buf_data(&e->got), bytes, sizeof bytes);
    EAR(e, tern_stream_end(e->s));
    sim_nodes_run(&p.w, RTT);
    assert_true(e->ended);
    assert_int_equal(e->why.code, 0);
    teardown(&p);
}

static void test_end_inside_a_block(void **state)
{
    struct pair p;
    (void)state;
    setup(&p, true);
    ear *e = open_by_hand(&p);
    ear_write(e, "not a whole block", 17);
    EAR(e, tern_stream_end(e->s));
    sim_nodes_run(&p.w, RTT);
    assert_int_equal(e->closed, 1);
    assert_int_equal(e->why.code, TERN_E_RESET);
    teardown(&p);
}

/* A peer that writes and does not read is not read either; when it reads, everything comes. */
static void test_back_pressure(void **state)
{
    enum { MANY = 2 << 20, PIECE = 4096 };
    static const uint8_t zeros[PIECE];
    struct pair p;
    size_t sent = 0, n;
    (void)state;
    setup(&p, true);
    ear *e = open_by_hand(&p);
    e->take = 0;
    do {
        n = ear_write(e, zeros, PIECE);
        sent += n;
        sim_nodes_run(&p.w, DELAY);
    } while (n > 0 && sent < MANY);
    assert_true(sent < MANY);
    sent = sent / 32 * 32;
    e->take = SIZE_MAX;
    EAR(e, tern_stream_resume(e->s));
    sim_nodes_run(&p.w, 10 * TERN_SEC);
    assert_int_equal(tern_buf_len(&e->got), sent);
    teardown(&p);
}

static tern_protocol served;

static int remember(tern_net *net, const tern_protocol *protocol)
{
    (void)net;
    served = *protocol;
    return 0;
}

/* The end comes while a block still waits for room: it goes back whole, and then our end. */
static void test_end_behind_a_waiting_block(void **state)
{
    static const tern_net_ops ops = {.handle = remember};
    static const char block[] = "0123456789abcdefFEDCBA9876543210";
    tern_net net = {.ops = &ops};
    tern_sim *sim;
    tern_stream *ours, *theirs;
    ear e;
    (void)state;
    assert_int_equal(tern_sim_new(1, &sim), 0);
    assert_int_equal(tern_sim_host(sim, "10.0.0.1", &net.loop), 0);
    assert_int_equal(tern_ping_serve(&net), 0);
    assert_int_equal(
        tern_memory_pair(net.loop, &(tern_memory_options){.window = 16}, &ours, &theirs), 0);
    served.on_stream(served.ctx, NULL, theirs, TERN_PING_ID);
    ear_init(&e);
    e.take = 0; /* does not read */
    ear_take(&e, ours);
    for (size_t i = 0; i < 64; i += 16) { /* the second block fills our way back */
        assert_int_equal(ear_write(&e, block + i % 32, 16), 16);
        tern_sim_run(sim, TERN_NEVER, NULL, NULL);
    }
    EAR(&e, tern_stream_end(ours));
    tern_sim_run(sim, TERN_NEVER, NULL, NULL);
    assert_false(e.ended);
    e.take = SIZE_MAX;
    EAR(&e, tern_stream_resume(ours));
    tern_sim_run(sim, TERN_NEVER, NULL, NULL);
    assert_int_equal(tern_buf_len(&e.got), 64);
    assert_memory_equal(tern_buf_data(&e.got) + 32, block, 32);
    assert_true(e.ended);
    assert_int_equal(e.why.code, 0);
    ear_clear(&e);
    tern_sim_free(sim);
}

static void test_two_streams_a_connection(void **state)
{
    struct pair p;
    (void)state;
    setup(&p, true);
    open_by_hand(&p);
    open_by_hand(&p);
    ear *third = open_by_hand(&p);
    sim_nodes_run(&p.w, RTT);
    assert_int_equal(third->why.code, TERN_E_RESET);
    assert_int_equal(sim_counters(p.b)->streams_limit, 1);
    EAR(&p.ears[0], tern_stream_end(p.ears[0].s));
    sim_nodes_run(&p.w, RTT);
    ear *fourth = open_by_hand(&p); /* one has gone */
    ear_write(fourth, "0123456789abcdef0123456789abcdef", 32);
    sim_nodes_run(&p.w, RTT);
    assert_int_equal(tern_buf_len(&fourth->got), 32);
    teardown(&p);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_several_under_way),
        cmocka_unit_test(test_not_spoken),
        cmocka_unit_test(test_silent_peer),
        cmocka_unit_test(test_idle_stream_ends),
        cmocka_unit_test(test_wrong_answer),
        cmocka_unit_test(test_answer_in_pieces),
        cmocka_unit_test(test_peer_ends_the_stream),
        cmocka_unit_test(test_peer_only_ends),
        cmocka_unit_test(test_connection_goes),
        cmocka_unit_test(test_node_stops),
        cmocka_unit_test(test_asked_inside_the_answer),
        cmocka_unit_test(test_blocks_come_back),
        cmocka_unit_test(test_end_inside_a_block),
        cmocka_unit_test(test_back_pressure),
        cmocka_unit_test(test_end_behind_a_waiting_block),
        cmocka_unit_test(test_two_streams_a_connection),
    };
    return TERN_TEST_MAIN(tests);
}
