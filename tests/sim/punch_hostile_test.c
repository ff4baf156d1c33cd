/* Hole punching with peers that want others dialled, or us to dial without an end. */
#include <stdio.h>

#include "nat/punch_message.h"
#include "sim/punch_scene.h"
#include "suite/ear.h"

static const punch_place behind_a = {"10.1.0.2", "8.0.0.1", .filtering = TERN_SIM_BY_PORT},
                         behind_b = {"10.2.0.2", "9.0.0.1", .filtering = TERN_SIM_BY_PORT};

/* A has dialled B through the relay, and it is the test that speaks for B. */
static void make(punch_scene *s)
{
    punch_scene_make(s, &(punch_setting){.a = &behind_a, .b = &behind_b, .tcp = true});
    tern_puncher_stop(s->b->node->puncher);
    punch_scene_reach(s);
    sim_nodes_run(&s->w, TERN_SEC);
}

static tern_stream *ask(punch_scene *s, ear *e)
{
    tern_error error;
    ear_init(e);
    tern_stream *st =
        tern_node_open(s->b->node, s->b->conn, TERN_PUNCH_ID, sim_nodes_ear_opened, e, &error);
    assert_non_null(st);
    return st;
}

/* CONNECT with one address over TCP. */
static void say_connect(tern_stream *st, const uint8_t ip[4], uint16_t port)
{
    uint8_t bytes[] = {
        12, 8, 100, 18, 8, 4, ip[0], ip[1], ip[2], ip[3], 6, (uint8_t)(port >> 8), (uint8_t)port};
    assert_int_equal(tern_stream_write(st, bytes, sizeof bytes), sizeof bytes);
}

static void say_sync(tern_stream *st)
{
    assert_int_equal(tern_stream_write(st, "\x03\x08\xac\x02", 4), 4);
}

/* Addresses that nobody punches a hole to. */
static void addresses_of_no_use(void **state)
{
    (void)state;
    static const struct {
        uint8_t ip[4];
        uint16_t port;
    } cases[] = {
        {{10, 0, 0, 1}, 4001},    {{192, 168, 1, 1}, 4001}, {{127, 0, 0, 1}, 4001},
        {{169, 254, 1, 1}, 4001}, {{224, 0, 0, 1}, 4001},   {{255, 255, 255, 255}, 4001},
        {{0, 0, 0, 0}, 4001},     {{100, 64, 0, 1}, 4001},  {{9, 0, 0, 1}, 0},
        {{8, 0, 0, 1}, 4001}, /* where we are seen ourselves */
    };
    punch_scene s;
    make(&s);
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        ear e;
        tern_stream *st = ask(&s, &e);
        say_connect(st, cases[i].ip, cases[i].port);
        sim_nodes_run(&s.w, TERN_SEC);
        assert_int_equal(e.closed, 1);
        assert_int_equal(sim_counters(s.a)->punch_malformed, i + 1);
        ear_clear(&e);
    }
    assert_int_equal(sim_counters(s.a)->punches_tried, 0);
    assert_int_equal(s.a->punched, 0);
    sim_nodes_clear(&s.w);
}

/* Of many addresses few are dialled. */
static void many_addresses(void **state)
{
    (void)state;
    punch_scene s;
    ear e;
    make(&s);
    uint64_t before = sim_counters(s.a)->dials;
    tern_stream *st = ask(&s, &e);
    uint8_t message[2 + 2 + 40 * 10] = {0x92, 0x03, 8, 100}; /* 402 bytes, CONNECT */
    for (uint8_t i = 0; i < 40; i++) {
        const uint8_t addr[10] = {18, 8, 4, 9, 0, 1, i, 6, 0x0f, 0xa1};
        memcpy(message + 4 + (size_t)i * 10, addr, sizeof addr);
    }
    assert_int_equal(tern_stream_write(st, message, sizeof message), sizeof message);
    sim_nodes_run(&s.w, TERN_SEC);
    say_sync(st);
    sim_nodes_run(&s.w, 3 * TERN_SEC);
    assert_int_equal(sim_counters(s.a)->punches_tried, 1);
    assert_int_equal(sim_counters(s.a)->dials - before, 8);
    ear_clear(&e);
    sim_nodes_clear(&s.w);
}

static const uint8_t elsewhere[4] = {9, 0, 1, 1};

/* One exchange to its end: A dials. */
static void have_it_dial(punch_scene *s)
{
    ear e;
    tern_stream *st = ask(s, &e);
    say_connect(st, elsewhere, 4001);
    sim_nodes_run(&s->w, 500 * TERN_MS);
    assert_int_equal(e.closed, 0);
    say_sync(st);
    sim_nodes_run(&s->w, 500 * TERN_MS);
    ear_clear(&e);
}

/* Whoever asks over and over, for an address where nobody is: a few times a minute, not more. */
static void asked_too_often(void **state)
{
    (void)state;
    enum { ALLOWED = 8, ASKED = 12 };
    punch_scene s;
    make(&s);
    for (unsigned i = 0; i < ASKED; i++) {
        have_it_dial(&s);
    }
    assert_int_equal(sim_counters(s.a)->punches_tried, ALLOWED);
    assert_int_equal(sim_counters(s.a)->punches_rate, ASKED - ALLOWED);
    sim_nodes_run(&s.w, 60 * TERN_SEC);
    have_it_dial(&s);
    assert_int_equal(sim_counters(s.a)->punches_tried, ALLOWED + 1);
    sim_nodes_clear(&s.w);
}

/* B lets A's attempts come to nothing: A's owner hears it once, when nothing more comes. */
static void given_up(void **state)
{
    (void)state;
    punch_scene s;
    make(&s);
    have_it_dial(&s);
    sim_nodes_run(&s.w, 6 * TERN_SEC);
    have_it_dial(&s); /* again, soon enough */
    assert_int_equal(s.a->punched, 0);
    sim_nodes_run(&s.w, 20 * TERN_SEC);
    assert_int_equal(s.a->punched, 1);
    assert_int_equal(s.a->punch_attempts, 2);
    assert_int_equal(s.a->punch_why.code, TERN_E_TIMEOUT);
    assert_int_equal(sim_counters(s.a)->punches_lost, 1);
    sim_nodes_clear(&s.w);
}

/* Between two attempts the relay goes. */
static void the_relay_goes(void **state)
{
    (void)state;
    punch_scene s;
    make(&s);
    have_it_dial(&s);
    sim_nodes_run(&s.w, 6 * TERN_SEC);
    sim_node_end(s.relay);
    sim_nodes_run(&s.w, TERN_SEC);
    assert_int_equal(s.a->punched, 1);
    assert_int_equal(s.a->punch_why.code, TERN_E_CONN_CLOSED);
    sim_nodes_clear(&s.w);
}

/* A says that it can be dialled at many places, and comes through the relay again and again. */
static void reversed_too_often(void **state)
{
    (void)state;
    enum { ALLOWED = 8, COMES = 12, SAID = 20, DIALLED = 8 };
    punch_scene s;
    tern_error error;
    punch_scene_make(&s, &(punch_setting){.a = &behind_a, .b = &behind_b, .tcp = true});
    for (int i = 0; i < SAID; i++) {
        char text[64];
        snprintf(text, sizeof text, "/ip4/9.0.1.%d/tcp/4001", i + 1);
        assert_int_equal(tern_node_announce(s.a->node, text, &error), 0);
    }
    tern_puncher_stop(s.a->node->puncher); /* it answers nothing */
    uint64_t before = sim_counters(s.b)->dials;
    for (unsigned i = 0; i < COMES; i++) {
        punch_scene_reach(&s);
        sim_nodes_run(&s.w, 400 * TERN_MS);
        tern_conn_close(s.a->conn, 0, "and again");
        sim_nodes_run(&s.w, 200 * TERN_MS);
    }
    assert_int_equal(sim_counters(s.b)->punches_rate, COMES - ALLOWED);
    assert_in_range(sim_counters(s.b)->dials - before, 1, ALLOWED * DIALLED);
    sim_nodes_clear(&s.w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(addresses_of_no_use), cmocka_unit_test(many_addresses),
        cmocka_unit_test(asked_too_often),     cmocka_unit_test(given_up),
        cmocka_unit_test(the_relay_goes),      cmocka_unit_test(reversed_too_often),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
