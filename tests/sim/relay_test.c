/* Circuit relay v2 over whole nodes: a relay, nodes that are reached through it, and those who
 * reach them; limits, refusals, ends of every kind, and peers that break the rules. */
#include "sim/relay_scene.h"

#include <stdio.h>

#include "nat/relay.h"
#include "nat/relay_message.h"
#include "streams/frame.h"
#include "suite/ear.h"

static void first_address(void *arg, const char *addr)
{
    char *out = arg;
    if (out[0] == '\0') {
        snprintf(out, 512, "%s", addr);
    }
}

/* ---- what shall work ---- */

static void reached_through_a_relay(void **state)
{
    (void)state;
    relay_scene s;
    sim_ping p;
    char shown[512] = "";
    relay_scene_make(&s, NULL);
    tern_node_addresses(s.behind->node, first_address, shown);
    assert_string_equal(shown, s.at);
    tern_conn *c = relay_scene_reach(&s);
    const tern_conn_facts *f = tern_conn_get_facts(c);
    assert_true(tern_peer_id_equal(&f->peer, &s.behind->id));
    assert_string_equal(f->transport, "circuit");
    assert_string_equal(f->security, "noise");
    assert_true(f->limited);
    const tern_conn_facts *theirs = tern_conn_get_facts(s.behind->conn);
    assert_true(tern_peer_id_equal(&theirs->peer, &s.asker->id));
    assert_true(theirs->limited);
    assert_true(theirs->inbound);
    assert_string_equal(theirs->transport, "circuit");
    sim_nodes_ping(s.asker, c, &p);
    assert_int_equal(p.error.code, 0);
    assert_int_equal(p.rtt, 2 * RELAY_RTT);
    assert_int_equal(tern_relay_circuits(s.relay->node->relay), 1);
    assert_int_equal(s.asker->identified, 2); /* the relay, and who is behind it */
    sim_nodes_clear(&s.w);
}

/* Connected to the relay already: CONNECT and the upgrade's two, each through to the other end. */
static void round_trips(void **state)
{
    (void)state;
    relay_scene s;
    sim_dial d;
    relay_scene_make(&s, NULL);
    sim_nodes_connect(&s.w, s.asker, s.relay);
    sim_nodes_run(&s.w, TERN_SEC);
    uint64_t began = sim_nodes_now(&s.w);
    sim_nodes_dial_one(s.asker, s.at, &d);
    assert_int_equal(d.error.code, 0);
    assert_int_equal(d.at - began, 2 * 2 * RELAY_RTT);
    sim_nodes_clear(&s.w);
}

static void without_limits_nothing_is_limited(void **state)
{
    (void)state;
    relay_scene s;
    tern_options o = relay_test_options();
    o.relay_data = -1;
    o.relay_duration_s = -1;
    relay_scene_make(&s, &o);
    tern_conn *c = relay_scene_reach(&s);
    assert_false(tern_conn_get_facts(c)->limited);
    assert_false(tern_conn_get_facts(s.behind->conn)->limited);
    sim_nodes_run(&s.w, 600 * TERN_SEC);
    assert_int_equal(tern_relay_circuits(s.relay->node->relay), 1);
    sim_nodes_clear(&s.w);
}

static void reservations_are_renewed(void **state)
{
    (void)state;
    relay_scene s;
    relay_scene_make(&s, NULL);
    sim_nodes_run(&s.w, 4 * 3600 * TERN_SEC);
    assert_true(sim_counters(s.relay)->relay_reservations >= 5);
    assert_int_equal(tern_relay_reservations(s.relay->node->relay), 1);
    relay_scene_reach(&s);
    sim_nodes_clear(&s.w);
}

/* The relay is gone for a while: the address is announced no more, then again. */
static void a_relay_that_comes_back(void **state)
{
    (void)state;
    relay_scene s;
    char shown[512] = "";
    tern_options o = relay_test_options();
    assert_int_equal(tern_key_generate(TERN_KEY_ED25519, &o.key), 0);
    relay_scene_make(&s, &o);
    sim_node_vanish(s.relay);
    sim_nodes_run(&s.w, 120 * TERN_SEC);
    tern_node_addresses(s.behind->node, first_address, shown);
    assert_string_equal(shown, "");
    s.relay = sim_nodes_add(&s.w, "10.0.0.1", &o);
    sim_nodes_run(&s.w, 400 * TERN_SEC);
    tern_node_addresses(s.behind->node, first_address, shown);
    assert_string_equal(shown, s.at);
    relay_scene_reach(&s);
    sim_nodes_clear(&s.w);
    tern_key_unref(o.key);
}

/* ---- limits ---- */

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

static void a_circuit_carries_what_is_allowed(void **state)
{
    (void)state;
    static uint8_t data[256 << 10];
    relay_scene s;
    ear e;
    tern_error error;
    tern_protocol_options over = {.over_limited = true};
    relay_scene_make(&s, NULL);
    drained = 0;
    assert_int_equal(tern_node_handle(s.behind->node, "/sink", &over, take_all, NULL), 0);
    tern_conn *c = relay_scene_reach(&s);
    ear_init(&e);
    tern_stream *stream =
        tern_node_open(s.asker->node, c, "/sink", sim_nodes_ear_opened, &e, &error);
    assert_non_null(stream);
    tern_stream_write(stream, data, sizeof data);
    sim_nodes_run(&s.w, 5 * TERN_SEC);
    if (drained < (32 << 10) || drained >= (128 << 10)) {
        fail_msg("%zu bytes arrived", drained);
    }
    assert_int_equal(sim_counters(s.relay)->relay_out_of_data, 1);
    sim_nodes_run(&s.w, 60 * TERN_SEC);
    assert_int_equal(tern_relay_circuits(s.relay->node->relay), 0);
    assert_null(tern_node_find(s.behind->node, &s.asker->id));
    ear_clear(&e);
    sim_nodes_clear(&s.w);
}

static void a_circuit_lasts_as_long_as_is_allowed(void **state)
{
    (void)state;
    relay_scene s;
    relay_scene_make(&s, NULL);
    relay_scene_reach(&s);
    sim_nodes_run(&s.w, 119 * TERN_SEC);
    assert_int_equal(tern_relay_circuits(s.relay->node->relay), 1);
    sim_nodes_run(&s.w, 3 * TERN_SEC);
    assert_int_equal(tern_relay_circuits(s.relay->node->relay), 0);
    assert_int_equal(sim_counters(s.relay)->relay_out_of_time, 1);
    sim_nodes_run(&s.w, TERN_SEC);
    assert_null(tern_node_find(s.asker->node, &s.behind->id));
    assert_null(tern_node_find(s.behind->node, &s.asker->id));
    sim_nodes_clear(&s.w);
}

static void protocols_ask_for_limited_connections(void **state)
{
    (void)state;
    relay_scene s;
    ear e;
    tern_error error;
    relay_scene_make(&s, NULL);
    assert_int_equal(tern_node_handle(s.behind->node, "/sink", NULL, take_all, NULL), 0);
    tern_conn *c = relay_scene_reach(&s);
    ear_init(&e);
    assert_non_null(tern_node_open(s.asker->node, c, "/sink", sim_nodes_ear_opened, &e, &error));
    sim_nodes_run(&s.w, TERN_SEC);
    assert_int_equal(e.closed, 1);
    ear_clear(&e);
    sim_nodes_clear(&s.w);
}

static void places_are_few(void **state)
{
    (void)state;
    relay_scene s;
    tern_options o = relay_test_options();
    o.relay_reservations = 1;
    relay_scene_make(&s, &o);
    relay_reserve_at(s.asker, s.relay);
    sim_nodes_run(&s.w, TERN_SEC);
    assert_int_equal(sim_counters(s.relay)->relay_reservations_refused, 1);
    assert_int_equal(sim_counters(s.asker)->relay_reserve_failures, 1);
    /* The one who had it leaves: a later try succeeds. */
    sim_node_end(s.behind);
    sim_nodes_run(&s.w, 20 * TERN_SEC);
    assert_int_equal(sim_counters(s.asker)->relay_reserved, 1);
    sim_nodes_clear(&s.w);
}

static void circuits_are_few(void **state)
{
    (void)state;
    relay_scene s;
    sim_dial d;
    tern_options o = relay_test_options();
    o.relay_circuits_per_peer = 1;
    relay_scene_make(&s, &o);
    relay_scene_reach(&s);
    sim_node *other = sim_nodes_add(&s.w, "-10.0.0.4", NULL);
    sim_nodes_dial_one(other, s.at, &d);
    assert_int_equal(d.error.code, TERN_E_REFUSED);
    assert_non_null(strstr(d.error.text, "RESOURCE_LIMIT_EXCEEDED"));
    sim_nodes_clear(&s.w);
}

/* ---- refusals ---- */

static void nobody_is_there(void **state)
{
    (void)state;
    relay_scene s;
    sim_dial d;
    char at[512];
    relay_scene_make(&s, NULL);
    sim_node *nobody = sim_nodes_add(&s.w, "-10.0.0.4", NULL);
    relay_address_of(s.relay, nobody, at, sizeof at);
    sim_nodes_dial_one(s.asker, at, &d);
    assert_int_equal(d.error.code, TERN_E_REFUSED);
    assert_non_null(strstr(d.error.text, "NO_RESERVATION"));
    /* Connected, but without a reservation: nothing is told of it. */
    sim_nodes_connect(&s.w, nobody, s.relay);
    sim_nodes_dial_one(s.asker, at, &d);
    assert_non_null(strstr(d.error.text, "NO_RESERVATION"));
    relay_address_of(s.relay, s.asker, at, sizeof at);
    sim_nodes_dial_one(s.asker, at, &d);
    assert_int_equal(d.error.code, TERN_E_SELF);
    sim_nodes_clear(&s.w);
}

/* Nobody is connected with himself, or with the relay. */
static void no_circuit_to_either_end(void **state)
{
    (void)state;
    relay_scene s;
    relay_scene_make(&s, NULL);
    tern_conn *c = sim_nodes_connect(&s.w, s.asker, s.relay);
    relay_reserve_at(s.asker, s.relay);
    sim_nodes_run(&s.w, TERN_SEC);
    const tern_peer_id *ends[] = {&s.relay->id, &s.asker->id};
    for (size_t i = 0; i < 2; i++) {
        ear e;
        tern_error error;
        tern_relay_message m = {.kind = TERN_RELAY_CONNECT, .peer = *ends[i]};
        tern_buf out;
        tern_buf_init(&out, 0);
        ear_init(&e);
        assert_int_equal(tern_relay_build(true, &m, &out), 0);
        tern_stream *st =
            tern_node_open(s.asker->node, c, TERN_RELAY_HOP_ID, sim_nodes_ear_opened, &e, &error);
        assert_non_null(st);
        assert_int_equal(tern_frame_write(st, tern_buf_data(&out), tern_buf_len(&out)), 0);
        sim_nodes_run(&s.w, TERN_SEC);
        tern_span answer = {tern_buf_data(&e.got) + 1, tern_buf_len(&e.got) - 1};
        assert_int_equal(tern_relay_parse(true, answer, &m), 0);
        assert_int_equal(m.status, TERN_RELAY_PERMISSION_DENIED);
        tern_buf_free(&out);
        ear_clear(&e);
    }
    assert_int_equal(tern_relay_circuits(s.relay->node->relay), 0);
    sim_nodes_clear(&s.w);
}

static void no_relay(void **state)
{
    (void)state;
    sim_nodes w;
    sim_dial d;
    char at[512];
    sim_nodes_init(&w, RELAY_DELAY);
    sim_node *plain = sim_nodes_add(&w, "10.0.0.1", NULL);
    sim_node *a = sim_nodes_add(&w, "-10.0.0.2", NULL);
    sim_node *b = sim_nodes_add(&w, "-10.0.0.3", NULL);
    relay_address_of(plain, b, at, sizeof at);
    sim_nodes_dial_one(a, at, &d);
    assert_int_equal(d.error.code, TERN_E_NEGOTIATION);
    assert_non_null(strstr(d.error.text, "does not relay"));
    relay_reserve_at(b, plain);
    sim_nodes_run(&w, 60 * TERN_SEC);
    assert_true(sim_counters(b)->relay_reserve_failures >= 3);
    sim_nodes_clear(&w);
}

/* Whoever comes through a relay himself gets no place and no circuit. */
static void no_relay_behind_a_relay(void **state)
{
    (void)state;
    relay_scene s;
    ear e;
    tern_error error;
    relay_scene_make(&s, NULL);
    sim_node_end(s.behind);
    tern_options o = relay_test_options();
    sim_node *second = sim_nodes_add(&s.w, "-10.0.0.9", &o);
    relay_reserve_at(second, s.relay);
    sim_nodes_run(&s.w, TERN_SEC);
    relay_address_of(s.relay, second, s.at, sizeof s.at);
    tern_conn *c = relay_scene_reach(&s);
    ear_init(&e);
    tern_stream *st =
        tern_node_open(s.asker->node, c, TERN_RELAY_HOP_ID, sim_nodes_ear_opened, &e, &error);
    assert_non_null(st);
    assert_int_equal(tern_frame_write(st, "\x08\x00", 2), 0);
    sim_nodes_run(&s.w, TERN_SEC);
    assert_true(tern_buf_len(&e.got) > 0);
    tern_relay_message m;
    tern_span answer = {tern_buf_data(&e.got) + 1, tern_buf_len(&e.got) - 1};
    assert_int_equal(tern_relay_parse(true, answer, &m), 0);
    assert_int_equal(m.status, TERN_RELAY_PERMISSION_DENIED);
    assert_int_equal(tern_relay_reservations(second->node->relay), 0);
    ear_clear(&e);
    sim_nodes_clear(&s.w);
}

/* A stop stream from somebody who gave us no place, over a circuit even. */
static void an_unexpected_relay(void **state)
{
    (void)state;
    relay_scene s;
    ear e;
    tern_error error;
    relay_scene_make(&s, NULL);
    tern_conn *c = relay_scene_reach(&s);
    ear_init(&e);
    tern_stream *st =
        tern_node_open(s.asker->node, c, TERN_RELAY_STOP_ID, sim_nodes_ear_opened, &e, &error);
    assert_non_null(st);
    assert_int_equal(tern_frame_write(st, "\x08\x00", 2), 0);
    sim_nodes_run(&s.w, TERN_SEC);
    assert_int_equal(e.closed, 1);
    assert_int_equal(tern_relay_circuits(s.relay->node->relay), 1);
    ear_clear(&e);
    sim_nodes_clear(&s.w);
}

/* ---- bad messages ---- */

static void messages_that_do_not_belong(void **state)
{
    (void)state;
    static const struct {
        const char *bytes; /* as on the wire */
        size_t n;
        uint32_t status;
    } cases[] = {
        {"\x00", 1, TERN_RELAY_MALFORMED_MESSAGE},         /* no type */
        {"\x02\x08\x03", 3, TERN_RELAY_MALFORMED_MESSAGE}, /* an unknown one */
        {"\x02\x08\x02", 3, TERN_RELAY_UNEXPECTED_MESSAGE},
        {"\x02\x08\x01", 3, TERN_RELAY_MALFORMED_MESSAGE},         /* to whom? */
        {"\x04\x08\x01\x12\x00", 5, TERN_RELAY_MALFORMED_MESSAGE}, /* a peer without an id */
        {"\x03\x12\x7f\x00", 4, TERN_RELAY_MALFORMED_MESSAGE},
        {"\x81\x20", 2, TERN_RELAY_MALFORMED_MESSAGE}, /* 4097 bytes announced */
        {"\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff", 10, TERN_RELAY_MALFORMED_MESSAGE},
    };
    relay_scene s;
    relay_scene_make(&s, NULL);
    tern_conn *c = sim_nodes_connect(&s.w, s.asker, s.relay);
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        ear e;
        tern_error error;
        tern_relay_message m;
        uint64_t refused = sim_counters(s.relay)->relay_refused;
        ear_init(&e);
        tern_stream *st =
            tern_node_open(s.asker->node, c, TERN_RELAY_HOP_ID, sim_nodes_ear_opened, &e, &error);
        assert_non_null(st);
        tern_stream_write(st, cases[i].bytes, cases[i].n);
        sim_nodes_run(&s.w, TERN_SEC);
        assert_int_equal(sim_counters(s.relay)->relay_refused, refused + 1);
        tern_span answer = {tern_buf_data(&e.got) + 1, tern_buf_len(&e.got) - 1};
        assert_int_equal(tern_relay_parse(true, answer, &m), 0);
        if (m.status != cases[i].status) {
            fail_msg("case %zu: %u", i, m.status);
        }
        ear_clear(&e);
    }
    assert_int_equal(sim_counters(s.relay)->relay_malformed, sizeof cases / sizeof *cases);
    sim_nodes_clear(&s.w);
}

/* A stream that says nothing, or half of something, is gone after 30 seconds. */
static void silence(void **state)
{
    (void)state;
    relay_scene s;
    ear e;
    tern_error error;
    relay_scene_make(&s, NULL);
    tern_conn *c = sim_nodes_connect(&s.w, s.asker, s.relay);
    ear_init(&e);
    tern_stream *st =
        tern_node_open(s.asker->node, c, TERN_RELAY_HOP_ID, sim_nodes_ear_opened, &e, &error);
    tern_stream_write(st, "\x02\x08", 2);
    sim_nodes_run(&s.w, 31 * TERN_SEC);
    assert_int_equal(e.closed, 1);
    assert_int_equal(sim_counters(s.relay)->relay_timeouts, 1);
    ear_clear(&e);
    sim_nodes_clear(&s.w);
}

/* Each of the three vanishes while a circuit is there. */
static void each_may_vanish(void **state)
{
    (void)state;
    for (int who = 0; who < 3; who++) {
        relay_scene s;
        relay_scene_make(&s, NULL);
        relay_scene_reach(&s);
        sim_node *gone = who == 0 ? s.relay : who == 1 ? s.behind : s.asker;
        sim_node_vanish(gone);
        sim_nodes_run(&s.w, 300 * TERN_SEC);
        if (who != 0) {
            assert_int_equal(tern_relay_circuits(s.relay->node->relay), 0);
        }
        if (who == 1) {
            assert_int_equal(tern_relay_reservations(s.relay->node->relay), 0);
        }
        sim_nodes_clear(&s.w);
    }
}

/* The n-th allocation of a whole life fails: an act is lost, never a node. */
static void every_allocation_fails(void **state)
{
    (void)state;
    bool whole = false;
    for (size_t nth = 1; !whole; nth++) {
        relay_scene s;
        unsigned done = 0;
        tern_error error;
        const char *text = s.at;
        relay_scene_make(&s, NULL);
        tern_mem_fail_at(nth, 0);
        int code =
            tern_node_dial(s.asker->node, &text, 1, 0, false, sim_nodes_count_dial, &done, &error);
        sim_nodes_run(&s.w, 40 * TERN_SEC);
        whole = tern_mem_count() < nth;
        tern_mem_fail_at(0, 0);
        assert_true(code != 0 || done == 1);
        sim_nodes_clear(&s.w);
        assert_true(nth < 5000);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(reached_through_a_relay),
        cmocka_unit_test(round_trips),
        cmocka_unit_test(without_limits_nothing_is_limited),
        cmocka_unit_test(reservations_are_renewed),
        cmocka_unit_test(a_relay_that_comes_back),
        cmocka_unit_test(a_circuit_carries_what_is_allowed),
        cmocka_unit_test(a_circuit_lasts_as_long_as_is_allowed),
        cmocka_unit_test(protocols_ask_for_limited_connections),
        cmocka_unit_test(places_are_few),
        cmocka_unit_test(circuits_are_few),
        cmocka_unit_test(nobody_is_there),
        cmocka_unit_test(no_circuit_to_either_end),
        cmocka_unit_test(no_relay),
        cmocka_unit_test(no_relay_behind_a_relay),
        cmocka_unit_test(an_unexpected_relay),
        cmocka_unit_test(messages_that_do_not_belong),
        cmocka_unit_test(silence),
        cmocka_unit_test(each_may_vanish),
        cmocka_unit_test(every_allocation_fails),
    };
    return TERN_TEST_MAIN(tests);
}
