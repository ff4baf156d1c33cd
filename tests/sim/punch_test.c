/* Direct connections for peers that meet through a relay (DCUtR), over whole nodes: over TCP and
 * QUIC; who is dialled back, who cannot be had, and peers that break the rules. For NATs of every
 * kind see punch_pairs_test.c. */
#include "nat/punch_message.h"
#include "nat/relay.h"
#include "sim/punch_scene.h"
#include "suite/ear.h"

/* Ports are kept, and only who was sent to gets in: most homes. */
static const punch_place behind_a = {"10.1.0.2", "8.0.0.1", .filtering = TERN_SIM_BY_PORT},
                         behind_b = {"10.2.0.2", "9.0.0.1", .filtering = TERN_SIM_BY_PORT};

static void scene_make(punch_scene *s, const punch_place *a, const punch_place *b, bool tcp,
                       bool quic)
{
    punch_scene_make(s, &(punch_setting){.a = a, .b = b, .tcp = tcp, .quic = quic});
}

static void reach(punch_scene *s)
{
    punch_scene_reach(s);
    assert_true(tern_conn_get_facts(s->a->conn)->limited);
}

static void expect_direct(punch_scene *s, const char *transport)
{
    sim_ping p;
    tern_conn *a = punch_scene_direct(s->a, s->b), *b = punch_scene_direct(s->b, s->a);
    assert_non_null(a);
    assert_non_null(b);
    assert_string_equal(a->facts.transport, transport);
    assert_false(a->facts.inbound); /* A is the client */
    assert_true(b->facts.inbound);
    sim_nodes_ping(s->a, a, &p);
    assert_int_equal(p.error.code, 0);
    assert_int_equal(p.rtt, 2 * PUNCH_DELAY);
    sim_nodes_ping(s->b, b, &p);
    assert_int_equal(p.error.code, 0);
}

static void over_tcp(void **state)
{
    (void)state;
    punch_scene s;
    scene_make(&s, &behind_a, &behind_b, true, false);
    reach(&s);
    sim_nodes_run(&s.w, 5 * TERN_SEC);
    expect_direct(&s, "tcp");
    assert_int_equal(sim_counters(s.b)->punches_tried, 1);
    assert_int_equal(sim_counters(s.b)->punches_won, 1);
    assert_int_equal(sim_counters(s.a)->punches_won, 1);
    sim_nodes_clear(&s.w);
}

static void over_quic(void **state)
{
    (void)state;
    punch_scene s;
    scene_make(&s, &behind_a, &behind_b, false, true);
    reach(&s);
    sim_nodes_run(&s.w, 5 * TERN_SEC);
    expect_direct(&s, "quic-v1");
    assert_int_equal(sim_counters(s.b)->punches_tried, 1);
    sim_nodes_clear(&s.w);
}

/* A is public: B dials it as anybody may. */
static void reversal(void **state)
{
    (void)state;
    static const punch_place open_a = {.ip = "8.0.0.1"};
    punch_scene s;
    scene_make(&s, &open_a, &behind_b, true, true);
    reach(&s);
    sim_nodes_run(&s.w, 5 * TERN_SEC);
    assert_non_null(punch_scene_direct(s.a, s.b));
    assert_int_equal(sim_counters(s.b)->punches_reversed, 1);
    assert_int_equal(sim_counters(s.b)->punches_tried, 0);
    sim_nodes_clear(&s.w);
}

/* Nobody has told them where they are seen: there is nothing to say. */
static void nobody_sees_us(void **state)
{
    (void)state;
    punch_scene s;
    scene_make(&s, &behind_a, &behind_b, false, false);
    reach(&s); /* over TCP, from which only the relay's word is known of A */
    sim_nodes_run(&s.w, 60 * TERN_SEC);
    assert_int_equal(sim_counters(s.b)->punches_won + sim_counters(s.b)->punches_lost, 1);
    sim_nodes_clear(&s.w);
}

static size_t conns_between(sim_node *n, const sim_node *other, bool relayed)
{
    tern_net *net = tern_node_net(n->node);
    size_t it = 0, count = 0;
    tern_conn *c;
    while ((c = net->ops->next_conn(net, &other->id, &it)) != NULL) {
        count += tern_conn_relayed(c) == relayed;
    }
    return count;
}

static void keep(void *owner, tern_node *node, tern_conn *conn, tern_stream *s)
{
    ear *e = owner;
    (void)node;
    (void)conn;
    ear_take(e, s);
}

/* What runs over the relay goes on there, what is new takes the direct road, and the relayed
 * connection goes once it is empty. */
static void streams_in_progress(void **state)
{
    (void)state;
    static const char id[] = "/test/1";
    punch_scene s;
    ear at_a, at_b;
    tern_error error;
    sim_dial d;
    scene_make(&s, &behind_a, &behind_b, true, true);
    tern_protocol_options o = {.over_limited = true};
    ear_init(&at_a);
    ear_init(&at_b);
    assert_int_equal(tern_node_handle(s.b->node, id, &o, keep, &at_b), 0);
    sim_nodes_dial_one(s.a, s.at, &d);
    assert_int_equal(d.error.code, 0);
    tern_stream *st = tern_node_open(s.a->node, d.conn, id, sim_nodes_ear_opened, &at_a, &error);
    assert_non_null(st);
    assert_int_equal(tern_stream_write(st, "before", 6), 6);
    sim_nodes_run(&s.w, 40 * TERN_SEC);
    assert_non_null(punch_scene_direct(s.a, s.b));
    assert_int_equal(conns_between(s.a, s.b, true), 1);
    EAR(&at_a, assert_int_equal(tern_stream_write(at_a.s, "after", 5), 5));
    sim_nodes_run(&s.w, TERN_SEC);
    assert_int_equal(tern_buf_len(&at_b.got), 11);
    assert_false(tern_conn_relayed(tern_swarm_find(s.a->node->swarm, &s.b->id)));
    EAR(&at_a, tern_stream_end(at_a.s));
    EAR(&at_b, tern_stream_end(at_b.s));
    sim_nodes_run(&s.w, 30 * TERN_SEC);
    assert_int_equal(at_a.why.code, 0);
    assert_int_equal(conns_between(s.a, s.b, true), 0);
    assert_int_equal(conns_between(s.a, s.b, false), 1);
    ear_clear(&at_a);
    ear_clear(&at_b);
    sim_nodes_clear(&s.w);
}

/* Any of the three goes at any moment: what is left is as it was, and nothing leaks. */
static void one_vanishes(void **state)
{
    (void)state;
    for (unsigned i = 0; i < 3 * 40; i++) {
        punch_scene s;
        sim_dial d;
        scene_make(&s, &behind_a, &behind_b, true, true);
        sim_nodes_dial_one(s.a, s.at, &d);
        sim_nodes_run(&s.w, (i / 3) * 5 * TERN_MS);
        sim_node *who[] = {s.relay, s.a, s.b};
        sim_node_vanish(who[i % 3]);
        sim_nodes_run(&s.w, 90 * TERN_SEC);
        sim_nodes_clear(&s.w);
    }
}

/* A, whose firewall keeps B out, goes while B still dials it where it says that it is. */
static void gone_during_the_reversal(void **state)
{
    (void)state;
    static const punch_place shut_a = {"8.0.0.1", .filtering = TERN_SIM_BY_PORT};
    punch_scene s;
    scene_make(&s, &shut_a, &behind_b, true, true);
    reach(&s);
    sim_nodes_run(&s.w, 500 * TERN_MS);
    uint64_t dials = sim_counters(s.b)->dials;
    sim_node_end(s.a);
    assert_int_equal(conns_between(s.b, s.a, true), 0);
    sim_nodes_run(&s.w, 30 * TERN_SEC);
    assert_int_equal(sim_counters(s.b)->punches_tried, 0);
    assert_int_equal(sim_counters(s.b)->dials, dials); /* nor is anything begun for who is gone */
    sim_nodes_clear(&s.w);
}

/* The n-th allocation of a hole's life fails: a connection may be lost, never a node. */
static void each_allocation_may_fail(void **state)
{
    (void)state;
    bool whole = false;
    for (size_t nth = 1; !whole; nth += 1 + nth / 200) {
        punch_scene s;
        scene_make(&s, &behind_a, &behind_b, true, true);
        reach(&s);
        tern_mem_fail_at(nth, 0);
        sim_nodes_run(&s.w, 40 * TERN_SEC);
        whole = tern_mem_count() < nth;
        tern_mem_fail_at(0, 0);
        sim_nodes_clear(&s.w);
    }
}

static void no_matter(void *owner, tern_conn *conn, const tern_error *error)
{
    (void)owner;
    (void)conn;
    (void)error;
}

/* Over TCP, where A's NAT lets in whoever it sent to: B's connection is there before A hears that
 * it is to dial, and B says nothing, as it is the server. A takes it, from whatever port it comes.
 */
static void the_peer_was_first(void **state)
{
    (void)state;
    static const punch_place open_a = {.ip = "10.1.0.2", .outside = "8.0.0.1"},
                             any_port = {"10.2.0.2", "9.0.0.1", .mapping = TERN_SIM_BY_PORT,
                                         .filtering = TERN_SIM_BY_PORT};
    const punch_place *const places[] = {&behind_b, &any_port};
    for (size_t i = 0; i < 2; i++) {
        punch_scene s;
        ear e;
        tern_error error;
        scene_make(&s, &open_a, places[i], true, false);
        tern_puncher_stop(s.b->node->puncher);
        reach(&s);
        sim_nodes_run(&s.w, TERN_SEC);
        ear_init(&e);
        tern_stream *st =
            tern_node_open(s.b->node, s.b->conn, TERN_PUNCH_ID, sim_nodes_ear_opened, &e, &error);
        assert_non_null(st);
        tern_stream_write(st, "\x0c\x08\x64\x12\x08\x04\x09\x00\x00\x01\x06\x0f\xa1", 13);
        tern_net *net = tern_node_net(s.b->node);
        tern_multiaddr *at = tern_multiaddr_parse("/ip4/8.0.0.1/tcp/4001", NULL);
        tern_net_dial *dial =
            net->ops->punch(net, &s.a->id, &at, 1, TERN_PUNCH_SERVER,
                            tern_loop_now(net->loop) + 5 * TERN_SEC, no_matter, NULL);
        assert_non_null(dial);
        sim_nodes_run(&s.w, TERN_SEC);
        assert_null(punch_scene_direct(s.a, s.b));
        assert_int_equal(tern_stream_write(st, "\x03\x08\xac\x02", 4), 4);
        sim_nodes_run(&s.w, TERN_SEC);
        expect_direct(&s, "tcp");
        const tern_multiaddr *remote = punch_scene_direct(s.a, s.b)->facts.remote;
        bool at_4001 = strcmp(tern_multiaddr_text(remote), "/ip4/9.0.0.1/tcp/4001") == 0;
        assert_int_equal(at_4001, i == 0);
        tern_multiaddr_unref(at);
        ear_clear(&e);
        sim_nodes_clear(&s.w);
    }
}

/* ---- peers that break the rules ---- */

typedef struct message {
    const char *bytes; /* as on the wire; NULL: the stream is reset */
    size_t n;
} message;

/* To A: what B would never say. */
static void asked_badly(void **state)
{
    (void)state;
    static const message cases[] = {
        {"\x03\x08\xac\x02", 4},                          /* SYNC first */
        {"\x02\x08\x64", 3},                              /* CONNECT without addresses */
        {"\x00", 1},                                      /* nothing */
        {"\x02\x08\x01", 3},                              /* an unknown kind */
        {"\x81\x20", 2},                                  /* 4097 bytes announced */
        {"\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff", 10}, /* no length */
    };
    punch_scene s;
    tern_error error;
    scene_make(&s, &behind_a, &behind_b, true, false);
    tern_puncher_stop(s.b->node->puncher); /* it is the test that speaks for B */
    reach(&s);
    sim_nodes_run(&s.w, TERN_SEC);
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        ear e;
        ear_init(&e);
        tern_stream *st =
            tern_node_open(s.b->node, s.b->conn, TERN_PUNCH_ID, sim_nodes_ear_opened, &e, &error);
        assert_non_null(st);
        tern_stream_write(st, cases[i].bytes, cases[i].n);
        sim_nodes_run(&s.w, TERN_SEC);
        assert_int_equal(e.closed, 1);
        assert_int_equal(sim_counters(s.a)->punch_malformed, i + 1);
        ear_clear(&e);
    }
    assert_int_equal(sim_counters(s.a)->punches_tried, 0);
    sim_nodes_clear(&s.w);
}

/* Who asks and then says nothing is gone in time. */
static void asked_and_left(void **state)
{
    (void)state;
    punch_scene s;
    ear e;
    tern_error error;
    scene_make(&s, &behind_a, &behind_b, true, false);
    tern_puncher_stop(s.b->node->puncher);
    reach(&s);
    sim_nodes_run(&s.w, TERN_SEC);
    ear_init(&e);
    tern_stream *st =
        tern_node_open(s.b->node, s.b->conn, TERN_PUNCH_ID, sim_nodes_ear_opened, &e, &error);
    assert_non_null(st);
    tern_stream_write(st, "\x0c\x08\x64\x12\x08\x04\x09\x00\x00\x01\x06\x0f\xa1", 13);
    sim_nodes_run(&s.w, TERN_SEC);
    assert_true(tern_buf_len(&e.got) > 0); /* its own addresses */
    sim_nodes_run(&s.w, 20 * TERN_SEC);
    assert_int_equal(e.closed, 1);
    assert_int_equal(sim_counters(s.a)->punch_timeouts, 1);
    assert_int_equal(sim_counters(s.a)->punches_tried, 0);
    ear_clear(&e);
    sim_nodes_clear(&s.w);
}

/* Over a direct connection, or from the wrong side of a relayed one. */
static void asked_out_of_place(void **state)
{
    (void)state;
    punch_scene s;
    tern_error error;
    scene_make(&s, &behind_a, &behind_b, true, false);
    reach(&s);
    sim_nodes_run(&s.w, 30 * TERN_SEC); /* they are connected directly */
    tern_conn *conns[] = {punch_scene_direct(s.b, s.a), punch_scene_direct(s.a, s.b)};
    sim_node *from[] = {s.b, s.a}, *to[] = {s.a, s.b};
    for (size_t i = 0; i < 2; i++) {
        ear e;
        uint64_t refused = sim_counters(to[i])->punches_refused;
        ear_init(&e);
        assert_non_null(tern_node_open(from[i]->node, conns[i], TERN_PUNCH_ID, sim_nodes_ear_opened,
                                       &e, &error));
        sim_nodes_run(&s.w, TERN_SEC);
        assert_int_equal(e.closed, 1);
        assert_int_equal(sim_counters(to[i])->punches_refused, refused + 1);
        ear_clear(&e);
    }
    sim_nodes_clear(&s.w);
}

static const message *answer;

static void answers(void *owner, tern_node *node, tern_conn *conn, tern_stream *s)
{
    (void)owner;
    (void)node;
    (void)conn;
    if (answer->bytes == NULL) {
        tern_stream_reset(s, 0);
    } else {
        tern_stream_write(s, answer->bytes, answer->n);
    }
    tern_stream_drop(s);
}

/* To B: what A would never answer. Three attempts, then it is over, and the relay is left. */
static void answered_badly(void **state)
{
    (void)state;
    static const message cases[] = {
        {NULL, 0},
        {"\x02\x08\x64", 3},                                          /* no addresses */
        {"\x03\x08\xac\x02", 4},                                      /* SYNC */
        {"\x02\x08\x01", 3},                                          /* an unknown kind */
        {"\x81\x20", 2},                                              /* 4097 bytes announced */
        {"\x0c\x08\x64\x12\x08\x04\x7f\x00\x00\x01\x06\x0f\xa1", 13}, /* our own loopback */
    };
    tern_protocol_options o = {.over_limited = true};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        punch_scene s;
        answer = &cases[i];
        scene_make(&s, &behind_a, &behind_b, true, false);
        tern_swarm_unhandle(tern_node_net(s.a->node), TERN_PUNCH_ID);
        assert_int_equal(tern_node_handle(s.a->node, TERN_PUNCH_ID, &o, answers, NULL), 0);
        reach(&s);
        sim_nodes_run(&s.w, 60 * TERN_SEC);
        assert_int_equal(sim_counters(s.b)->punches_lost, 1);
        assert_int_equal(sim_counters(s.b)->punches_won, 0);
        assert_int_equal(conns_between(s.b, s.a, true), 1);
        sim_nodes_clear(&s.w);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(over_tcp),
        cmocka_unit_test(over_quic),
        cmocka_unit_test(reversal),
        cmocka_unit_test(nobody_sees_us),
        cmocka_unit_test(streams_in_progress),
        cmocka_unit_test(one_vanishes),
        cmocka_unit_test(gone_during_the_reversal),
        cmocka_unit_test(each_allocation_may_fail),
        cmocka_unit_test(the_peer_was_first),
        cmocka_unit_test(asked_badly),
        cmocka_unit_test(asked_and_left),
        cmocka_unit_test(asked_out_of_place),
        cmocka_unit_test(answered_badly),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
