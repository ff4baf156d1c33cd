/* Direct connections for peers that meet through a relay (DCUtR), over whole nodes: behind NATs of
 * every kind, over TCP and QUIC; who is dialled back, who cannot be had, and peers that break the
 * rules. */
#include <stdio.h>

#include "nat/punch_message.h"
#include "nat/relay.h"
#include "sim/nodes.h"
#include "suite/ear.h"

#define DELAY (20 * TERN_MS)

/* A relay, B behind it, and A, who dials B there. */
typedef struct scene {
    sim_nodes w;
    sim_node *relay, *a, *b;
    char at[512]; /* where B is reached */
} scene;

typedef struct place {
    const char *ip, *outside; /* NULL: the ip is seen as it is */
    tern_sim_rule mapping, filtering;
} place;

/* Ports are kept, and only who was sent to gets in: most homes. */
static const place behind_a = {"10.1.0.2", "8.0.0.1", TERN_SIM_ANY, TERN_SIM_BY_PORT},
                   behind_b = {"10.2.0.2", "9.0.0.1", TERN_SIM_ANY, TERN_SIM_BY_PORT};

static void listen_quic(sim_node *n, const char *ip)
{
    char text[80];
    tern_error error;
    snprintf(text, sizeof text, "/ip4/%s/udp/%d/quic-v1", ip, SIM_NODE_PORT);
    if (tern_node_listen(n->node, text, NULL, 0, &error) != 0) {
        fail_msg("%s", error.text);
    }
}

static sim_node *add(sim_nodes *w, const place *at)
{
    tern_options o;
    tern_options_init(&o);
    o.autonat = o.hole_punch = true;
    sim_node *n = sim_nodes_add(w, at->ip, &o);
    listen_quic(n, at->ip);
    assert_int_equal(tern_sim_shield(n->host, at->outside, at->mapping, at->filtering), 0);
    return n;
}

/* A new connection to one that listens on both. */
static void connect_over(sim_nodes *w, sim_node *from, const sim_node *to, bool quic)
{
    char text[300], id[TERN_PEER_ID_TEXT];
    const char *texts[] = {text};
    unsigned done = 0;
    tern_error error;
    char ip[40];
    assert_int_equal(sscanf(to->addr, "/ip4/%39[0-9.]/", ip), 1);
    snprintf(text, sizeof text, "/ip4/%s/%s/p2p/%s", ip, quic ? "udp/4001/quic-v1" : "tcp/4001",
             tern_peer_id_text(&to->id, id));
    assert_int_equal(
        tern_node_dial(from->node, texts, 1, 0, true, sim_nodes_count_dial, &done, &error), 0);
    assert_true(sim_nodes_wait(w, &done, 1, 20 * TERN_SEC));
}

static void scene_make(scene *s, const place *a, const place *b, bool tcp, bool quic)
{
    tern_options o;
    tern_error error;
    char text[256], id[TERN_PEER_ID_TEXT];
    tern_options_init(&o);
    o.relay_service = true;
    sim_nodes_init(&s->w, DELAY);
    s->relay = sim_nodes_add(&s->w, "5.1.0.1", &o);
    listen_quic(s->relay, "5.1.0.1");
    s->a = add(&s->w, a);
    s->b = add(&s->w, b);
    for (int over = 0; over < 2; over++) {
        if (over == 0 ? tcp : quic) {
            connect_over(&s->w, s->a, s->relay, over == 1);
            connect_over(&s->w, s->b, s->relay, over == 1);
        }
    }
    snprintf(text, sizeof text, "%s/p2p-circuit", s->relay->addr);
    if (tern_node_listen(s->b->node, text, NULL, 0, &error) != 0) {
        fail_msg("%s", error.text);
    }
    sim_nodes_run(&s->w, 2 * TERN_SEC);
    assert_int_equal(sim_counters(s->b)->relay_reserved, 1);
    snprintf(s->at, sizeof s->at, "%s/p2p-circuit/p2p/%s", s->relay->addr,
             tern_peer_id_text(&s->b->id, id));
}

static void reach(scene *s)
{
    sim_dial d;
    sim_nodes_dial_one(s->a, s->at, &d);
    if (d.error.code != 0) {
        fail_msg("%s", d.error.text);
    }
    assert_true(tern_conn_get_facts(d.conn)->limited);
}

/* The direct connection of one to another; NULL without. */
static tern_conn *direct(sim_node *n, const sim_node *other)
{
    tern_net *net = tern_node_net(n->node);
    size_t it = 0;
    tern_conn *c;
    while ((c = net->ops->next_conn(net, &other->id, &it)) != NULL && c->facts.limited) {
    }
    return c;
}

static void expect_direct(scene *s, const char *transport)
{
    sim_ping p;
    tern_conn *a = direct(s->a, s->b), *b = direct(s->b, s->a);
    assert_non_null(a);
    assert_non_null(b);
    assert_string_equal(a->facts.transport, transport);
    assert_false(a->facts.inbound); /* A is the client */
    assert_true(b->facts.inbound);
    sim_nodes_ping(s->a, a, &p);
    assert_int_equal(p.error.code, 0);
    assert_int_equal(p.rtt, 2 * DELAY);
    sim_nodes_ping(s->b, b, &p);
    assert_int_equal(p.error.code, 0);
}

static void over_tcp(void **state)
{
    (void)state;
    scene s;
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
    scene s;
    scene_make(&s, &behind_a, &behind_b, false, true);
    reach(&s);
    sim_nodes_run(&s.w, 5 * TERN_SEC);
    expect_direct(&s, "quic-v1");
    assert_int_equal(sim_counters(s.b)->punches_tried, 1);
    sim_nodes_clear(&s.w);
}

/* ---- pairs of NATs ---- */

typedef struct kind {
    const char *name;
    tern_sim_rule mapping, filtering;
} kind;

static const kind kinds[] = {
    {"full cone", TERN_SIM_ANY, TERN_SIM_ANY},
    {"address-restricted", TERN_SIM_ANY, TERN_SIM_BY_ADDRESS},
    {"port-restricted", TERN_SIM_ANY, TERN_SIM_BY_PORT},
    {"symmetric, filters by address", TERN_SIM_BY_PORT, TERN_SIM_BY_ADDRESS},
    {"symmetric", TERN_SIM_BY_PORT, TERN_SIM_BY_PORT},
};
enum { KINDS = sizeof kinds / sizeof *kinds };

/* Where one's port for the other cannot be known beforehand, the other must let in whoever comes
 * from the address; where both cannot, one must let in anybody. */
static bool possible(const kind *a, const kind *b)
{
    if (a->mapping == TERN_SIM_ANY && b->mapping == TERN_SIM_ANY) {
        return true;
    }
    if (a->mapping != TERN_SIM_ANY && b->mapping != TERN_SIM_ANY) {
        return false;
    }
    return (a->mapping != TERN_SIM_ANY ? b : a)->filtering != TERN_SIM_BY_PORT;
}

static void pairs_of_nats(void **state)
{
    (void)state;
    for (size_t i = 0; i < KINDS * KINDS; i++) {
        const kind *a = &kinds[i / KINDS], *b = &kinds[i % KINDS];
        place at_a = {"10.1.0.2", "8.0.0.1", a->mapping, a->filtering};
        place at_b = {"10.2.0.2", "9.0.0.1", b->mapping, b->filtering};
        scene s;
        scene_make(&s, &at_a, &at_b, true, true);
        reach(&s);
        sim_nodes_run(&s.w, 60 * TERN_SEC);
        bool made = direct(s.a, s.b) != NULL;
        if (made != possible(a, b)) {
            fail_msg("A %s, B %s: %s", a->name, b->name, made ? "connected" : "not connected");
        }
        assert_int_equal(sim_counters(s.b)->punches_won, made);
        assert_int_equal(sim_counters(s.b)->punches_lost, !made);
        if (made) {
            assert_true(sim_counters(s.b)->punches_tried <= 1);
        }
        sim_nodes_clear(&s.w);
    }
}

/* A is public: B dials it as anybody may. */
static void reversal(void **state)
{
    (void)state;
    static const place open_a = {"8.0.0.1", NULL, TERN_SIM_ANY, TERN_SIM_ANY};
    scene s;
    scene_make(&s, &open_a, &behind_b, true, true);
    reach(&s);
    sim_nodes_run(&s.w, 5 * TERN_SEC);
    assert_non_null(direct(s.a, s.b));
    assert_int_equal(sim_counters(s.b)->punches_reversed, 1);
    assert_int_equal(sim_counters(s.b)->punches_tried, 0);
    sim_nodes_clear(&s.w);
}

/* Nobody has told them where they are seen: there is nothing to say. */
static void nobody_sees_us(void **state)
{
    (void)state;
    scene s;
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
    scene s;
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
    assert_non_null(direct(s.a, s.b));
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
        scene s;
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
    static const place shut_a = {"8.0.0.1", NULL, TERN_SIM_ANY, TERN_SIM_BY_PORT};
    scene s;
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
        scene s;
        scene_make(&s, &behind_a, &behind_b, true, true);
        reach(&s);
        tern_mem_fail_at(nth, 0);
        sim_nodes_run(&s.w, 40 * TERN_SEC);
        whole = tern_mem_count() < nth;
        tern_mem_fail_at(0, 0);
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
    scene s;
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
    scene s;
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
    scene s;
    tern_error error;
    scene_make(&s, &behind_a, &behind_b, true, false);
    reach(&s);
    sim_nodes_run(&s.w, 30 * TERN_SEC); /* they are connected directly */
    tern_conn *conns[] = {direct(s.b, s.a), direct(s.a, s.b)};
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
        scene s;
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
        cmocka_unit_test(pairs_of_nats),
        cmocka_unit_test(nobody_sees_us),
        cmocka_unit_test(streams_in_progress),
        cmocka_unit_test(one_vanishes),
        cmocka_unit_test(gone_during_the_reversal),
        cmocka_unit_test(each_allocation_may_fail),
        cmocka_unit_test(asked_badly),
        cmocka_unit_test(asked_and_left),
        cmocka_unit_test(asked_out_of_place),
        cmocka_unit_test(answered_badly),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
