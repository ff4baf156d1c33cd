/* What a relay lets through, and for whom: no relay behind a relay, limited or not; ends that its
 * limits bring, by name at both ends; places by network, and for those who are known; the rate. */
#include <stdio.h>

#include "sim/relay_scene.h"

static const tern_protocol_options over = {.over_limited = true};

/* ---- a relay behind a relay ---- */

typedef struct chain {
    relay_scene s;      /* its relay limits nothing */
    sim_node *second;   /* a relay that is reached through it, and directly */
    tern_conn *direct;  /* the asker's to it */
    tern_conn *circuit; /* the asker's to it, through the first */
    char through[512];
} chain;

static void chain_make(chain *c, const char *second_ip)
{
    tern_options first = relay_test_options(), second = relay_test_options();
    first.relay_data = first.relay_duration_s = -1;
    relay_scene_make(&c->s, &first);
    c->second = sim_nodes_add(&c->s.w, second_ip, &second);
    relay_reserve_at(c->second, c->s.relay);
    sim_nodes_run(&c->s.w, TERN_SEC);
    relay_address_of(c->s.relay, c->second, c->through, sizeof c->through);
}

/* The asker's new connection to the second relay. */
static tern_conn *reach_second(chain *c, const char *at, const char *transport)
{
    unsigned done = 0;
    tern_error error;
    int code =
        tern_node_dial(c->s.asker->node, &at, 1, 0, true, sim_nodes_count_dial, &done, &error);
    assert_int_equal(code, 0);
    sim_nodes_run(&c->s.w, TERN_SEC);
    assert_int_equal(done, 1);
    const tern_conn_facts *f = tern_conn_get_facts(c->s.asker->conn); /* the newest */
    assert_string_equal(f->transport, transport);
    assert_false(f->limited);
    return c->s.asker->conn;
}

static void chain_reach(chain *c)
{
    c->circuit = reach_second(c, c->through, "circuit");
}

static void no_relay_behind_an_unlimited_one(void **state)
{
    (void)state;
    chain c;
    chain_make(&c, "-10.0.0.9");
    chain_reach(&c);
    tern_relay_message reserve = {.kind = TERN_RELAY_RESERVE};
    tern_relay_message connect = {.kind = TERN_RELAY_CONNECT, .peer = c.s.behind->id};
    assert_int_equal(relay_ask(c.s.asker, c.circuit, true, &reserve), TERN_RELAY_PERMISSION_DENIED);
    assert_int_equal(relay_ask(c.s.asker, c.circuit, true, &connect), TERN_RELAY_PERMISSION_DENIED);
    assert_int_equal(relay_ask(c.s.asker, c.circuit, false, &connect),
                     TERN_RELAY_PERMISSION_DENIED);
    assert_int_equal(tern_relay_reservations(c.second->node->relay), 0);
    sim_nodes_clear(&c.s.w);
}

/* Nobody keeps a place at a relay that he reaches through another. */
static void no_place_through_a_relay(void **state)
{
    (void)state;
    chain c;
    tern_error error;
    char id[TERN_PEER_ID_TEXT], text[512];
    chain_make(&c, "-10.0.0.9");
    chain_reach(&c);
    /* Where it is dialled there is nobody: what is left is the circuit. */
    snprintf(text, sizeof text, "/ip4/10.0.0.77/tcp/4001/p2p/%s/p2p-circuit",
             tern_peer_id_text(&c.second->id, id));
    assert_int_equal(tern_node_listen(c.s.asker->node, text, NULL, 0, &error), 0);
    sim_nodes_run(&c.s.w, 3 * TERN_SEC);
    assert_int_equal(sim_counters(c.second)->relay_reservations_refused, 0); /* not asked even */
    assert_int_equal(tern_relay_reservations(c.second->node->relay), 0);
    sim_nodes_clear(&c.s.w);
}

static void count_circuits(void *arg, const char *addr)
{
    *(unsigned *)arg += strstr(addr, "/p2p-circuit") != NULL;
}

static void a_place_needs_a_direct_connection(void **state)
{
    (void)state;
    chain c;
    unsigned announced = 0;
    chain_make(&c, "10.0.0.9");
    chain_reach(&c);
    c.direct = reach_second(&c, c.second->addr, "tcp");
    relay_reserve_at(c.s.asker, c.second);
    sim_nodes_run(&c.s.w, TERN_SEC);
    assert_int_equal(tern_relay_reservations(c.second->node->relay), 1);
    tern_conn_close(c.direct, 0, NULL);
    sim_nodes_run(&c.s.w, TERN_SEC);
    assert_false(c.circuit->closing);
    assert_int_equal(tern_relay_reservations(c.second->node->relay), 0);
    tern_node_addresses(c.s.asker->node, count_circuits, &announced);
    assert_int_equal(announced, 0);
    sim_nodes_run(&c.s.w, 10 * TERN_SEC); /* it is dialled again, directly */
    assert_int_equal(tern_relay_reservations(c.second->node->relay), 1);
    sim_nodes_clear(&c.s.w);
}

/* ---- ends by name ---- */

static size_t drain(void *owner, tern_stream *s, uint8_t *data, size_t n)
{
    size_t *got = owner;
    (void)s;
    (void)data;
    *got += n;
    return n;
}

static void ignore_closed(void *owner, tern_stream *s, const tern_error *why)
{
    (void)owner;
    (void)s;
    (void)why;
}

static const tern_stream_events drain_events = {.on_data = drain, .on_closed = ignore_closed};
static size_t drained;

static void take_all(void *ctx, tern_node *node, tern_conn *conn, tern_stream *s)
{
    (void)ctx;
    (void)node;
    (void)conn;
    tern_stream_take(s, &drain_events, &drained);
}

/* What is poured into a stream of the asker's towards `behind`. */
typedef struct pouring {
    size_t left;
    bool closed;
    tern_error why;
} pouring;

static void pour_on(void *owner, tern_stream *s)
{
    static uint8_t data[16 << 10];
    pouring *p = owner;
    size_t taken = 1;
    while (p->left > 0 && taken > 0) {
        taken = tern_stream_write(s, data, p->left < sizeof data ? p->left : sizeof data);
        p->left -= taken;
    }
}

static void pour_closed(void *owner, tern_stream *s, const tern_error *why)
{
    pouring *p = owner;
    (void)s;
    p->closed = true;
    p->why = *why;
}

static const tern_stream_events pour_events = {.on_room = pour_on, .on_closed = pour_closed};

static void poured(void *owner, tern_stream *s, const tern_error *error)
{
    pouring *p = owner;
    if (s == NULL) {
        p->closed = true;
        p->why = *error;
        return;
    }
    tern_stream_take(s, &pour_events, p);
    pour_on(p, s);
}

static void pour(relay_scene *s, tern_conn *c, pouring *p, size_t n)
{
    tern_error error;
    *p = (pouring){.left = n};
    drained = 0;
    assert_int_equal(tern_node_handle(s->behind->node, "/sink", &over, take_all, NULL), 0);
    assert_non_null(tern_node_open(s->asker->node, c, "/sink", poured, p, &error));
}

static void is_limit(const tern_error *why, const char *text)
{
    if (why->code != TERN_E_LIMITED || strstr(why->text, text) == NULL) {
        fail_msg("%s: %s", tern_code_name(why->code), why->text);
    }
}

static void the_limit_of_data_is_named(void **state)
{
    (void)state;
    relay_scene s;
    pouring p;
    relay_scene_make(&s, NULL);
    pour(&s, relay_scene_reach(&s), &p, 256 << 10);
    sim_nodes_run(&s.w, 60 * TERN_SEC);
    assert_int_equal(sim_counters(s.relay)->relay_out_of_data, 1);
    assert_true(p.closed);
    assert_int_equal(p.why.code, TERN_E_CONN_CLOSED);
    assert_non_null(strstr(p.why.text, "the relay's limit of 128 KiB was reached"));
    is_limit(&s.asker->why, "the relay's limit of 128 KiB was reached");
    is_limit(&s.behind->why, "the relay's limit of 128 KiB was reached");
    sim_nodes_clear(&s.w);
}

static void the_limit_of_time_is_named(void **state)
{
    (void)state;
    relay_scene s;
    relay_scene_make(&s, NULL);
    relay_scene_reach(&s);
    sim_nodes_run(&s.w, 125 * TERN_SEC);
    is_limit(&s.asker->why, "the relay's limit of 120 seconds was reached");
    is_limit(&s.behind->why, "the relay's limit of 120 seconds was reached");
    sim_nodes_clear(&s.w);
}

/* Less than a handshake: the dial says why it failed. */
static void a_limit_that_lets_nothing_through(void **state)
{
    (void)state;
    relay_scene s;
    sim_dial d;
    tern_options o = relay_test_options();
    o.relay_data = 100;
    relay_scene_make(&s, &o);
    sim_nodes_dial_one(s.asker, s.at, &d);
    is_limit(&d.error, "the relay's limit of 100 bytes was reached");
    sim_nodes_clear(&s.w);
}

/* What ends before the limit has its own reason. */
static void other_ends_keep_their_names(void **state)
{
    (void)state;
    for (int who = 0; who < 2; who++) {
        relay_scene s;
        relay_scene_make(&s, NULL);
        relay_scene_reach(&s);
        sim_node_end(who == 0 ? s.relay : s.behind);
        sim_nodes_run(&s.w, 10 * TERN_SEC);
        assert_true(s.asker->disconnected >= 1);
        assert_int_not_equal(s.asker->why.code, TERN_E_LIMITED);
        sim_nodes_clear(&s.w);
    }
}

static void a_circuit_has_a_rate(void **state)
{
    (void)state;
    relay_scene s;
    pouring p;
    tern_options o = relay_test_options();
    o.relay_data = o.relay_duration_s = -1;
    o.relay_rate = 50 << 10;
    relay_scene_make(&s, &o);
    pour(&s, relay_scene_reach(&s), &p, 2 << 20);
    sim_nodes_run(&s.w, 20 * TERN_SEC);
    if (drained < 900 << 10 || drained > 1024 << 10) {
        fail_msg("%zu bytes in 20 s", drained);
    }
    sim_nodes_run(&s.w, 25 * TERN_SEC);
    assert_int_equal(drained, 2 << 20);
    sim_nodes_clear(&s.w);
}

/* ---- places ---- */

/* 0, or RESERVATION_REFUSED. */
static uint32_t place_for(relay_scene *s, sim_node *n)
{
    tern_relay_message reserve = {.kind = TERN_RELAY_RESERVE};
    tern_conn *c = n->conn != NULL ? n->conn : sim_nodes_connect(&s->w, n, s->relay);
    return relay_ask(n, c, true, &reserve);
}

static void places_of_a_network(void **state)
{
    (void)state;
    relay_scene s;
    tern_options o = relay_test_options();
    o.relay_reservations_per_network = 2;
    relay_scene_make(&s, &o); /* one of 10.0 */
    sim_node *same = sim_nodes_add(&s.w, "-10.0.200.4", NULL);
    sim_node *other = sim_nodes_add(&s.w, "-10.1.0.4", NULL);
    assert_int_equal(place_for(&s, s.asker), TERN_RELAY_OK);
    assert_int_equal(place_for(&s, same), TERN_RELAY_RESERVATION_REFUSED);
    assert_int_equal(place_for(&s, other), TERN_RELAY_OK);
    assert_int_equal(place_for(&s, s.asker), TERN_RELAY_OK); /* again */
    sim_node_end(s.behind);
    assert_int_equal(place_for(&s, same), TERN_RELAY_OK);
    sim_nodes_clear(&s.w);
}

static void places_of_an_address(void **state)
{
    (void)state;
    relay_scene s;
    tern_options o = relay_test_options();
    o.relay_reservations_per_ip = 1;
    relay_scene_make(&s, &o);
    sim_node *beside = sim_nodes_beside(s.behind, NULL);
    assert_int_equal(place_for(&s, beside), TERN_RELAY_RESERVATION_REFUSED);
    assert_int_equal(place_for(&s, s.asker), TERN_RELAY_OK);
    sim_nodes_clear(&s.w);
}

/* Whom the owner knows takes the place of a stranger, and is not put out by one. */
static void known_peers_first(void **state)
{
    (void)state;
    relay_scene s;
    tern_options o = relay_test_options();
    o.relay_reservations = 2;
    o.relay_reservations_per_network = 2;
    relay_scene_make(&s, &o);
    sim_node *friends[] = {sim_nodes_add(&s.w, "-10.0.0.4", NULL),
                           sim_nodes_add(&s.w, "-10.0.0.5", NULL),
                           sim_nodes_add(&s.w, "-10.0.0.6", NULL)};
    assert_int_equal(place_for(&s, s.asker), TERN_RELAY_OK);
    assert_int_equal(place_for(&s, friends[0]), TERN_RELAY_RESERVATION_REFUSED);
    tern_node_protect_peer(s.relay->node, &friends[0]->id, "mine");
    tern_node_tag_peer(s.relay->node, &friends[1]->id, "mine", 1);
    tern_node_tag_peer(s.relay->node, &friends[2]->id, "mine", -1);
    assert_int_equal(place_for(&s, friends[0]), TERN_RELAY_OK);
    assert_int_equal(place_for(&s, friends[1]), TERN_RELAY_OK);
    assert_int_equal(sim_counters(s.relay)->relay_displaced, 2);
    assert_int_equal(place_for(&s, friends[2]), TERN_RELAY_RESERVATION_REFUSED);
    assert_int_equal(place_for(&s, s.asker), TERN_RELAY_RESERVATION_REFUSED);
    assert_int_equal(tern_relay_reservations(s.relay->node->relay), 2);
    tern_relay_message connect = {.kind = TERN_RELAY_CONNECT, .peer = s.behind->id};
    assert_int_equal(relay_ask(s.asker, s.asker->conn, true, &connect), TERN_RELAY_NO_RESERVATION);
    sim_nodes_clear(&s.w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(no_relay_behind_an_unlimited_one),
        cmocka_unit_test(no_place_through_a_relay),
        cmocka_unit_test(a_place_needs_a_direct_connection),
        cmocka_unit_test(the_limit_of_data_is_named),
        cmocka_unit_test(the_limit_of_time_is_named),
        cmocka_unit_test(a_limit_that_lets_nothing_through),
        cmocka_unit_test(other_ends_keep_their_names),
        cmocka_unit_test(a_circuit_has_a_rate),
        cmocka_unit_test(places_of_a_network),
        cmocka_unit_test(places_of_an_address),
        cmocka_unit_test(known_peers_first),
    };
    return TERN_TEST_MAIN(tests);
}
