/* A WebTransport server against clients that come in numbers, fall silent or vanish: deadlines
 * hold, memory is bounded, and the node serves the next one. */
#include "sim/h3_scene.h"

#include <stdio.h>

enum { KIB = 1024, MANY = 3000 };

/* ---- silence ---- */

static void say_nothing(h3_peer *p)
{
    (void)p;
}

static void say_half_a_prefix(h3_peer *p)
{
    h3_say_settings(p);
    h3_open_saying(p, true, "\x40", 1, false);
}

static void ask_for_nothing_more(h3_peer *p)
{
    h3_say_settings(p);
    h3_connect(p, WT_PATH "?" WT_QUERY);
}

static void ask_and_open(h3_peer *p)
{
    ask_for_nothing_more(p);
    h3_open_in(p, true, 0);
}

static void begin_noise(h3_peer *p)
{
    ask_for_nothing_more(p);
    h3_say(h3_open_in(p, true, 0),
           "\0\x20"
           "0123456789",
           12);
}

static void be_asked_in_noise(h3_peer *p)
{
    ask_for_nothing_more(p);
    h3_say(h3_open_in(p, true, 0),
           "\0\x20"
           "0123456789abcdef0123456789abcdef",
           34);
}

static void open_without_asking(h3_peer *p)
{
    h3_say_settings(p);
    h3_say(h3_open_in(p, true, 0), "\0\x20", 2);
}

static void (*const steps[])(h3_peer *) = {
    say_nothing,  h3_say_settings, say_half_a_prefix, ask_for_nothing_more,
    ask_and_open, begin_noise,     be_asked_in_noise, open_without_asking};
enum { STEPS = sizeof steps / sizeof *steps };

/* Ten seconds after its first packet the conn is over, and its session is told why. */
static void test_silence(void **state)
{
    h3_scene x;
    (void)state;
    h3_scene_open(&x, NULL);
    for (unsigned i = 0; i < STEPS; i++) {
        h3_scene_dial(&x);
        steps[i](&x.p);
        sim_nodes_run(&x.w, 9 * TERN_SEC);
        assert_int_equal(x.p.gone, 0);
        h3_stream *connect = NULL;
        for (h3_stream *s = x.p.streams; s != NULL; s = s->next) {
            connect = h3_status(s) == 200 ? s : connect;
        }
        sim_nodes_run(&x.w, 2 * TERN_SEC);
        assert_int_equal(x.p.gone, 1);
        assert_int_equal(x.p.why.code, 0); /* H3_NO_ERROR */
        assert_int_equal(h3_scene_counted(&x, H3_COUNTER(upgrade_timeouts)), i + 1);
        if (connect != NULL) { /* CLOSE with PROTOCOL_NEGOTIATION_FAILED */
            assert_memory_equal(connect->bytes + connect->n - 7, "\x68\x43\4\0\0\x10\0", 7);
        }
        h3_peer_clear(&x.p);
    }
    assert_int_equal(x.b->connected, 0);
    h3_scene_close(&x);
}

static void cut(h3_scene *x, bool down)
{
    assert_int_equal(tern_sim_set_link(x->w.sim, x->a->host, x->b->host,
                                       &(tern_sim_link){.delay = H3_DELAY, .down = down}),
                     0);
}

/* The peer's machine is gone, at each step and in the middle of a session. */
static void test_who_vanishes(void **state)
{
    h3_scene x;
    (void)state;
    h3_scene_open(&x, NULL);
    for (unsigned i = 0; i < STEPS + 2; i++) {
        h3_scene_dial(&x);
        if (i < STEPS) {
            steps[i](&x.p);
        } else {
            h3_establish(&x.p);
            if (i > STEPS) {
                h3_say(h3_open_in(&x.p, true, 0), "\x13/multistream/1.0.0\n", 20);
            }
        }
        sim_nodes_run(&x.w, 3 * H3_DELAY / 2);
        cut(&x, true);
        sim_nodes_run(&x.w, 45 * TERN_SEC);
        assert_int_equal(tern_node_net(x.b->node)->natives, 0);
        assert_int_equal(tern_node_net(x.b->node)->pending.count, 0);
        assert_int_equal(x.b->connected, i < STEPS ? 0 : i - STEPS + 1);
        assert_int_equal(x.b->disconnected, x.b->connected);
        h3_peer_clear(&x.p);
        cut(&x, false);
    }
    assert_int_equal(x.b->why.code, TERN_E_TIMEOUT);
    h3_scene_close(&x);
}

/* ---- Noise ---- */

static void test_bad_noise(void **state)
{
    static const char zero_key[34] = {0, 0x20};
    static const struct {
        const char *bytes;
        size_t n;
        bool end;
    } bad[] = {
        {H3_BYTES("\0\0"), false},        /* an empty message */
        {H3_BYTES("\0\x05hello"), false}, /* no key */
        {H3_BYTES("\0\x20"
                  "0123"),
         true},                                       /* cut off */
        {H3_BYTES("\x13/multistream/1.0.0\n"), true}, /* a protocol's words */
        {H3_BYTES(""), true},
        {zero_key, sizeof zero_key, false},
    };
    h3_scene x;
    (void)state;
    h3_scene_open(&x, NULL);
    for (unsigned i = 0; i < sizeof bad / sizeof *bad; i++) {
        h3_scene_dial(&x);
        h3_say_settings(&x.p);
        h3_stream *connect = h3_connect(&x.p, WT_PATH "?" WT_QUERY);
        h3_stream *s = h3_open_in(&x.p, true, 0);
        h3_say(s, bad[i].bytes, bad[i].n);
        if (bad[i].end) {
            tern_stream_end(s->s);
        }
        sim_nodes_run(&x.w, TERN_SEC);
        if (x.p.gone != 1 || x.p.why.code != 0 ||
            h3_scene_counted(&x, H3_COUNTER(upgrade_failures)) != i + 1) {
            fail_msg("%u: gone %u, %s", i, x.p.gone, x.p.why.text);
        }
        /* CLOSE with PROTOCOL_VIOLATION */
        assert_memory_equal(connect->bytes + connect->n - 7, "\x68\x43\4\0\0\x10\3", 7);
        h3_peer_clear(&x.p);
    }
    assert_int_equal(x.b->connected, 0);
    h3_scene_close(&x);
}

/* ---- numbers ---- */

/* Streams that are refused, as fast as QUIC permits: they leave nothing. */
static void flood(h3_scene *x, bool both_ways, const void *head, size_t n, uint64_t wire)
{
    unsigned opened = 0, closed = 0;
    size_t before = tern_mem_bytes();
    while (opened < MANY && x->p.gone == 0) {
        h3_stream *s;
        for (unsigned i = 0; i < 100 && opened < MANY && (s = h3_open(&x->p, both_ways)) != NULL;
             i++) {
            h3_say(s, head, n);
            h3_say(s, "and more", 8);
            opened++;
        }
        sim_nodes_run(&x->w, 3 * H3_DELAY);
        assert_true(tern_mem_bytes() < before + 512 * KIB);
    }
    sim_nodes_run(&x->w, TERN_SEC);
    for (h3_stream *s = x->p.streams; s != NULL; s = s->next) {
        closed += s->closed == 1 && s->why.wire == wire;
    }
    assert_int_equal(opened, MANY);
    assert_true(closed >= MANY);
    assert_true(tern_mem_bytes() < before + 64 * KIB);
}

static void test_one_way_streams(void **state)
{
    h3_scene x;
    (void)state;
    h3_scene_open(&x, NULL);
    h3_scene_dial(&x);
    h3_establish(&x.p);
    flood(&x, false, H3_BYTES("\x40\x54\0"), tern_wt_code_out(0)); /* libp2p has none */
    assert_int_equal(h3_scene_counted(&x, H3_COUNTER(wt_bad_stream)), MANY);
    flood(&x, false, H3_BYTES("\x21"), TERN_H3_STREAM_CREATION_ERROR); /* of no known type */
    assert_int_equal(x.p.gone + x.b->disconnected, 0);
    h3_scene_close(&x);
}

static void test_streams_of_no_session(void **state)
{
    h3_scene x;
    (void)state;
    h3_scene_open(&x, NULL);
    h3_scene_dial(&x);
    h3_establish(&x.p);
    flood(&x, true, H3_BYTES("\x40\x41\x40\x64"), TERN_WT_SESSION_GONE);
    assert_int_equal(h3_scene_counted(&x, H3_COUNTER(wt_bad_stream)), MANY);
    assert_int_equal(x.p.gone + x.b->disconnected, 0);
    h3_scene_close(&x);
}

/* Bytes of capsules and frames that are passed over, and of settings that are none. */
static void test_bytes_that_are_passed_over(void **state)
{
    static uint8_t bytes[64 * KIB];
    h3_scene x;
    (void)state;
    h3_scene_open(&x, NULL);
    h3_scene_dial(&x);
    h3_stream *connect = h3_establish(&x.p);
    h3_stream *grease = h3_open_saying(&x.p, false, "\x21", 1, false);
    size_t before = tern_mem_bytes();
    h3_say(connect, "\0\x80\x40\0\x06\x41\x23\x80\x40\0\0", 11); /* 4 MiB of DATA, and a capsule of
                                                                    all that */
    for (unsigned sent = 0; sent < 64; sent++) {
        while (tern_stream_room(connect->s) < sizeof bytes) {
            sim_nodes_run(&x.w, H3_DELAY);
        }
        h3_say(connect, bytes, sizeof bytes);
    }
    sim_nodes_run(&x.w, TERN_SEC);
    assert_true(grease->closed == 1 && tern_mem_bytes() < before + 64 * KIB);
    h3_say(connect, "\0\7\x68\x43\4\0\0\0\3", 9); /* it is still understood */
    sim_nodes_run(&x.w, TERN_SEC);
    assert_int_equal(x.b->disconnected, 1);
    assert_int_equal(x.b->why.wire, 3);
    h3_scene_close(&x);
}

static void test_datagrams(void **state)
{
    uint8_t bytes[1000] = {0};
    h3_scene x;
    (void)state;
    h3_scene_open(&x, NULL);
    h3_scene_dial(&x);
    assert_true(h3_datagram(&x.p, bytes, sizeof bytes));
    h3_establish(&x.p);
    size_t before = tern_mem_bytes();
    for (unsigned i = 0; i < MANY; i++) {
        bytes[0] = (uint8_t)i;
        if (!h3_datagram(&x.p, bytes, 1 + i % sizeof bytes) || i % 5 == 0) {
            sim_nodes_run(&x.w, 4 * H3_DELAY);
        }
    }
    sim_nodes_run(&x.w, TERN_SEC);
    assert_true(tern_mem_bytes() < before + 64 * KIB);
    assert_int_equal(x.p.gone + x.b->disconnected, 0);
    h3_scene_close(&x);
}

/* A client that goes away says how many pushes it saw; its session is none of them. */
static void test_goaway(void **state)
{
    h3_scene x;
    (void)state;
    h3_scene_open(&x, NULL);
    h3_scene_dial(&x);
    h3_open_saying(&x.p, false, H3_BYTES("\0\4\0\x07\1\x09\x07\1\0\x0d\1\0"), false);
    h3_connect(&x.p, WT_PATH "?" WT_QUERY);
    h3_noise(&x.p, h3_open_in(&x.p, true, 0));
    sim_nodes_run(&x.w, 12 * TERN_SEC);
    assert_int_equal(x.b->connected, 1);
    assert_int_equal(x.b->disconnected + x.p.gone, 0);
    assert_true(tern_peer_id_equal(&x.p.noise_peer, &x.b->id));
    h3_scene_close(&x);
}

/* ---- limits ---- */

/* Sessions without Noise from one address: the oldest make place, and others come through. */
static void test_sessions_that_are_not_proven(void **state)
{
    enum { PEERS = 30 };
    static h3_peer peers[PEERS];
    h3_scene x;
    sim_dial d;
    (void)state;
    h3_scene_open(&x, NULL);
    size_t before = tern_mem_bytes();
    for (unsigned i = 0; i < PEERS; i++) {
        h3_peer_dial(&peers[i], x.a, "10.0.0.2");
        assert_true(sim_nodes_wait(&x.w, &peers[i].begun, 1, 5 * TERN_SEC));
        ask_and_open(&peers[i]);
        assert_true(tern_node_net(x.b->node)->pending.count <= 8);
    }
    sim_nodes_run(&x.w, TERN_SEC);
    assert_int_equal(h3_scene_counted(&x, H3_COUNTER(evicted_pending_per_ip)), PEERS - 8);
    assert_true(tern_mem_bytes() < before + 1024 * KIB);
    sim_node *c = sim_nodes_add(&x.w, "-10.0.0.4", NULL);
    sim_nodes_dial_one(c, x.addr, &d);
    assert_non_null(d.conn);
    tern_conn_abort(d.conn, 0, NULL);
    for (unsigned i = 0; i < PEERS; i++) {
        h3_peer_clear(&peers[i]);
    }
    h3_scene_close(&x);
}

/* One more session than a peer may have: it is told so. */
static void test_sessions_beyond_the_limit(void **state)
{
    enum { PEERS = 3 };
    static h3_peer peers[PEERS];
    h3_stream *connect = NULL;
    h3_scene x;
    tern_options o;
    (void)state;
    tern_options_init(&o);
    o.max_connections_per_peer = PEERS - 1;
    h3_scene_open(&x, &o);
    for (unsigned i = 0; i < PEERS; i++) {
        h3_peer_dial(&peers[i], x.a, "10.0.0.2");
        connect = h3_establish(&peers[i]);
    }
    sim_nodes_run(&x.w, TERN_SEC);
    assert_int_equal(peers[0].gone + peers[1].gone, 0);
    assert_int_equal(peers[2].gone, 1);
    assert_int_equal(h3_scene_counted(&x, H3_COUNTER(refused_per_peer)), 1);
    /* CLOSE with RESOURCE_LIMIT_EXCEEDED and a reason */
    const uint8_t *at = connect->bytes;
    for (; at + 8 < connect->bytes + connect->n && memcmp(at, "\x68\x43", 2) != 0;) {
        at++;
    }
    assert_memory_equal(at + 3, "\0\0\x10\1", 4);
    for (unsigned i = 0; i < PEERS; i++) {
        h3_peer_clear(&peers[i]);
    }
    h3_scene_close(&x);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_silence),
        cmocka_unit_test(test_who_vanishes),
        cmocka_unit_test(test_bad_noise),
        cmocka_unit_test(test_one_way_streams),
        cmocka_unit_test(test_streams_of_no_session),
        cmocka_unit_test(test_bytes_that_are_passed_over),
        cmocka_unit_test(test_datagrams),
        cmocka_unit_test(test_goaway),
        cmocka_unit_test(test_sessions_that_are_not_proven),
        cmocka_unit_test(test_sessions_beyond_the_limit),
    };
    return TERN_TEST_MAIN(tests);
}
