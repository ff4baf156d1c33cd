/* Relays under attack, and relays that attack: floods from many identities, requests that never
 * become one, peers that vanish at each step, answers that are none. Refused, counted, bounded. */
#include <stdio.h>

#include "nat/relay_inner.h"
#include "sim/relay_scene.h"

static size_t hops_of(const sim_node *relay)
{
    size_t n = 0;
    const tern_list *all = &relay->node->relay->hops;
    for (const tern_list *l = all->next; l != all; l = l->next) {
        n++;
    }
    return n;
}

static void nothing_is_left(const sim_node *relay, size_t reservations)
{
    const tern_relay *r = relay->node->relay;
    assert_int_equal(r->circuits, 0);
    assert_int_equal(hops_of(relay), 0);
    assert_int_equal(r->reserved, reservations);
    assert_int_equal(tern_map_len(&r->by_peer), reservations);
    assert_int_equal(tern_map_len(&r->from.counts), 0);
    assert_int_equal(tern_map_len(&r->to.counts), 0);
    if (reservations == 0) {
        assert_int_equal(tern_map_len(&r->blocks.counts), 0);
        assert_int_equal(tern_map_len(&r->networks.counts), 0);
    }
}

/* ---- floods ---- */

/* Identities cost nothing: what they get is what one address, one network and all may have. */
static void a_flood_of_identities(void **state)
{
    (void)state;
    static const struct {
        const char *front, *back; /* of the addresses, with a number between; back NULL: one host */
        uint32_t in_all, granted;
    } cases[] = {
        {"-10.0.1.", NULL, 128, 8}, /* one address */
        {"-10.0.1.", "", 128, 31},  /* one network, in which there is one already */
        {"-10.", ".1.1", 20, 19},   /* many */
    };
    for (size_t k = 0; k < sizeof cases / sizeof *cases; k++) {
        relay_scene s;
        sim_node *first = NULL;
        uint32_t granted = 0;
        enum { FLOOD = 40 };
        tern_options o = relay_test_options();
        o.max_connections_per_ip = -1; /* they all get in: it is the places that are few */
        o.relay_reservations_per_ip = 8;
        o.relay_reservations_per_network = 32;
        o.relay_reservations = cases[k].in_all;
        relay_scene_make(&s, &o);
        for (int i = 0; i < FLOOD; i++) {
            char ip[40];
            tern_relay_message reserve = {.kind = TERN_RELAY_RESERVE};
            bool beside = cases[k].back == NULL;
            snprintf(ip, sizeof ip, "%s%d%s", cases[k].front, i + 1, beside ? "" : cases[k].back);
            sim_node *n = beside && first != NULL ? sim_nodes_beside(first, NULL)
                                                  : sim_nodes_add(&s.w, ip, NULL);
            first = first != NULL ? first : n;
            tern_conn *c = sim_nodes_connect(&s.w, n, s.relay);
            granted += relay_ask(n, c, true, &reserve) == TERN_RELAY_OK;
        }
        if (granted != cases[k].granted) {
            fail_msg("case %zu: %u places", k, granted);
        }
        assert_int_equal(sim_counters(s.relay)->relay_reservations_refused, FLOOD - granted);
        relay_scene_reach(&s); /* who had his place before has it still */
        sim_nodes_clear(&s.w);
    }
}

/* Streams that say nothing: so many at once, and each for half a minute. */
static void a_flood_of_silent_requests(void **state)
{
    (void)state;
    enum { FLOOD = 200 };
    static ear e[FLOOD];
    relay_scene s;
    relay_scene_make(&s, NULL);
    tern_conn *c = sim_nodes_connect(&s.w, s.asker, s.relay);
    for (int i = 0; i < FLOOD; i++) {
        tern_error error;
        ear_init(&e[i]);
        assert_non_null(tern_node_open(s.asker->node, c, TERN_RELAY_HOP_ID, sim_nodes_ear_opened,
                                       &e[i], &error));
    }
    sim_nodes_run(&s.w, TERN_SEC);
    assert_int_equal(hops_of(s.relay), TERN_RELAY_STREAMS_MIN);
    assert_int_equal(sim_counters(s.relay)->refused_per_protocol, FLOOD - TERN_RELAY_STREAMS_MIN);
    sim_nodes_run(&s.w, 31 * TERN_SEC);
    assert_int_equal(sim_counters(s.relay)->relay_timeouts, TERN_RELAY_STREAMS_MIN);
    nothing_is_left(s.relay, 1);
    for (int i = 0; i < FLOOD; i++) {
        ear_clear(&e[i]);
    }
    relay_scene_reach(&s);
    sim_nodes_clear(&s.w);
}

static void keep_silent(void *ctx, tern_node *node, tern_conn *conn, tern_stream *s)
{
    (void)node;
    (void)conn;
    ++*(unsigned *)ctx;
    tern_stream_drop(s); /* our half ends; theirs is not reset */
}

static size_t take_silently(void *owner, tern_stream *s, uint8_t *data, size_t n)
{
    (void)owner;
    (void)s;
    (void)data;
    return n;
}

static const tern_stream_events silent_events = {.on_data = take_silently};

static void hold_silently(void *ctx, tern_node *node, tern_conn *conn, tern_stream *s)
{
    (void)node;
    (void)conn;
    ++*(unsigned *)ctx;
    tern_stream_take(s, &silent_events, NULL);
}

/* A peer that has a place and never answers whoever wants to reach it: its own loss. */
static void a_peer_that_does_not_answer(void **state)
{
    (void)state;
    for (int ends = 0; ends < 2; ends++) {
        enum { FLOOD = 30 };
        static ear e[FLOOD];
        relay_scene s;
        unsigned asked = 0;
        relay_scene_make(&s, NULL);
        tern_relay_message reserve = {.kind = TERN_RELAY_RESERVE}, m;
        sim_node *silent = sim_nodes_add(&s.w, "-10.0.0.4", NULL);
        tern_conn *own = sim_nodes_connect(&s.w, silent, s.relay);
        assert_int_equal(tern_node_handle(silent->node, TERN_RELAY_STOP_ID, NULL,
                                          ends ? keep_silent : hold_silently, &asked),
                         0);
        assert_int_equal(relay_ask(silent, own, true, &reserve), TERN_RELAY_OK);
        tern_conn *c = sim_nodes_connect(&s.w, s.asker, s.relay);
        uint8_t wire[128];
        tern_buf out;
        tern_buf_init(&out, 0);
        m = (tern_relay_message){.kind = TERN_RELAY_CONNECT, .peer = silent->id};
        assert_int_equal(tern_relay_build(true, &m, &out), 0);
        wire[0] = (uint8_t)tern_buf_len(&out);
        memcpy(wire + 1, tern_buf_data(&out), tern_buf_len(&out));
        for (int i = 0; i < FLOOD; i++) {
            tern_error error;
            ear_init(&e[i]);
            tern_stream *st = tern_node_open(s.asker->node, c, TERN_RELAY_HOP_ID,
                                             sim_nodes_ear_opened, &e[i], &error);
            tern_stream_write(st, wire, 1 + tern_buf_len(&out));
        }
        sim_nodes_run(&s.w, 32 * TERN_SEC);
        assert_int_equal(asked, 16);
        size_t full = 0, failed = 0;
        for (int i = 0; i < FLOOD; i++) {
            tern_span answer = {tern_buf_data(&e[i].got) + 1, tern_buf_len(&e[i].got) - 1};
            assert_int_equal(tern_relay_parse(true, answer, &m), 0);
            full += m.status == TERN_RELAY_RESOURCE_LIMIT_EXCEEDED;
            failed += m.status == TERN_RELAY_CONNECTION_FAILED;
            ear_clear(&e[i]);
        }
        assert_int_equal(full, FLOOD - 16);
        assert_int_equal(failed, 16);
        tern_buf_free(&out);
        sim_nodes_run(&s.w, TERN_SEC);
        nothing_is_left(s.relay, 2);
        sim_nodes_clear(&s.w);
    }
}

/* ---- vanishing ---- */

typedef enum going { VANISHES, ENDS, GOINGS } going;

static void go(sim_node *n, going how)
{
    if (how == VANISHES) {
        sim_node_vanish(n);
    } else {
        sim_node_end(n);
    }
}

/* Each part goes at each moment of a circuit's making; nothing of it is left at the relay. */
static void gone_while_it_connects(void **state)
{
    (void)state;
    for (unsigned who = 0; who < 3; who++) {
        for (going how = VANISHES; how < GOINGS; how++) {
            for (uint64_t at = 0; at <= 240 * TERN_MS; at += 12 * TERN_MS) {
                relay_scene s;
                sim_dial d;
                relay_scene_make(&s, NULL);
                const char *text = s.at;
                sim_nodes_dial(s.asker, &text, 1, &d);
                sim_nodes_run(&s.w, at);
                go(who == 0 ? s.asker : who == 1 ? s.behind : s.relay, how);
                sim_nodes_run(&s.w, 200 * TERN_SEC);
                assert_int_equal(d.done, who != 0 || d.done);
                if (who == 1) {
                    nothing_is_left(s.relay, 0);
                } else if (who == 0) {
                    nothing_is_left(s.relay, 1);
                }
                sim_nodes_clear(&s.w);
            }
        }
    }
}

/* The same of a place. */
static void gone_while_it_reserves(void **state)
{
    (void)state;
    for (unsigned who = 0; who < 2; who++) {
        for (going how = VANISHES; how < GOINGS; how++) {
            for (uint64_t at = 0; at <= 180 * TERN_MS; at += 10 * TERN_MS) {
                sim_nodes w;
                tern_options o = relay_test_options();
                sim_nodes_init(&w, RELAY_DELAY);
                sim_node *relay = sim_nodes_add(&w, "10.0.0.1", &o);
                sim_node *behind = sim_nodes_add(&w, "-10.0.0.2", NULL);
                relay_reserve_at(behind, relay);
                sim_nodes_run(&w, at);
                go(who == 0 ? relay : behind, how);
                sim_nodes_run(&w, 200 * TERN_SEC);
                if (who == 1) {
                    nothing_is_left(relay, 0);
                } else {
                    size_t held = sim_counters(behind)->relay_reserved;
                    assert_true(sim_counters(behind)->relay_reserve_failures > 0);
                    assert_true(held <= 1);
                }
                sim_nodes_clear(&w);
            }
        }
    }
}

/* ---- relays that attack ---- */

typedef struct bytes {
    const char *data;
    size_t n;
} bytes;

static void answer_bytes(void *ctx, tern_node *node, tern_conn *conn, tern_stream *s)
{
    const bytes *b = ctx;
    (void)node;
    (void)conn;
    tern_stream_write(s, b->data, b->n);
    tern_stream_drop(s);
}

#define BYTES(text)                                                                                \
    {                                                                                              \
        text, sizeof text - 1                                                                      \
    }

/* What is no answer to RESERVE and CONNECT: both fail, with a reason. */
static void answers_that_are_none(void **state)
{
    (void)state;
    static const bytes cases[] = {
        BYTES(""),
        BYTES("\x00"),
        BYTES("\x02\x08\x00"),                     /* RESERVE */
        BYTES("\x02\x08\x07"),                     /* no kind that there is */
        BYTES("\x02\x08\x02"),                     /* STATUS without one */
        BYTES("\x05\x08\x02\x28\xc8\x01"),         /* RESERVATION_REFUSED */
        BYTES("\x05\x08\x02\x28\xff\x7f"),         /* no status that there is */
        BYTES("\x04\x08\x02\x1a\x7f"),             /* a reservation that is longer */
        BYTES("\x09\x08\x02\x1a\x02\x12\x01\xff"), /* ... cut */
        BYTES("\x81\x20"),                         /* 4097 bytes */
        BYTES("\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01"),
        BYTES("\x13/multistream/1.0.0\n"),
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        sim_nodes w;
        sim_dial d;
        char at[512];
        sim_nodes_init(&w, RELAY_DELAY);
        sim_node *relay = sim_nodes_add(&w, "10.0.0.1", NULL);
        sim_node *behind = sim_nodes_add(&w, "-10.0.0.2", NULL);
        sim_node *asker = sim_nodes_add(&w, "-10.0.0.3", NULL);
        bytes b = cases[i];
        assert_int_equal(tern_node_handle(relay->node, TERN_RELAY_HOP_ID, NULL, answer_bytes, &b),
                         0);
        relay_reserve_at(behind, relay);
        sim_nodes_run(&w, 4 * TERN_SEC);
        assert_int_equal(sim_counters(behind)->relay_reserved, 0);
        if (sim_counters(behind)->relay_reserve_failures != 1) {
            fail_msg("case %zu: no failure", i);
        }
        relay_address_of(relay, behind, at, sizeof at);
        sim_nodes_dial_one(asker, at, &d);
        if (d.error.code == 0 || d.error.text[0] == '\0') {
            fail_msg("case %zu: the dial has no error", i);
        }
        sim_nodes_clear(&w);
    }
}

/* A relay where we have a place asks us things that it may not. */
static void questions_that_do_not_belong(void **state)
{
    (void)state;
    static const struct {
        bytes b;
        uint32_t status;
    } cases[] = {
        {BYTES("\x00"), TERN_RELAY_MALFORMED_MESSAGE},
        {BYTES("\x02\x08\x00"), TERN_RELAY_MALFORMED_MESSAGE}, /* who? */
        {BYTES("\x02\x08\x01"), TERN_RELAY_UNEXPECTED_MESSAGE},
        {BYTES("\x02\x08\x02"), TERN_RELAY_MALFORMED_MESSAGE},
        {BYTES("\x04\x08\x00\x12\x00"), TERN_RELAY_MALFORMED_MESSAGE},
        {BYTES("\x08\x08\x00\x12\x04\x0a\x02\x00\x01"), TERN_RELAY_MALFORMED_MESSAGE},
        {BYTES("\x81\x20"), TERN_RELAY_MALFORMED_MESSAGE},
    };
    relay_scene s;
    relay_scene_make(&s, NULL);
    tern_conn *c = s.relay->conn; /* to `behind` */
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        ear e;
        tern_relay_message m;
        uint64_t refused = sim_counters(s.behind)->relay_refused;
        relay_say(s.relay, c, TERN_RELAY_STOP_ID, cases[i].b.data, cases[i].b.n, &e);
        assert_int_equal(sim_counters(s.behind)->relay_refused, refused + 1);
        tern_span answer = {tern_buf_data(&e.got) + 1, tern_buf_len(&e.got) - 1};
        assert_int_equal(tern_relay_parse(false, answer, &m), 0);
        if (m.status != cases[i].status) {
            fail_msg("case %zu: %u", i, m.status);
        }
        ear_clear(&e);
    }
    assert_int_equal(sim_counters(s.behind)->relay_malformed, sizeof cases / sizeof *cases);
    relay_scene_reach(&s);
    sim_nodes_clear(&s.w);
}

/* More circuits at once than a peer takes, none of which becomes a connection. */
static void a_flood_of_circuits(void **state)
{
    (void)state;
    enum { FLOOD = 100 };
    static ear e[FLOOD];
    relay_scene s;
    tern_relay_message m;
    tern_buf out;
    relay_scene_make(&s, NULL);
    tern_conn *c = s.relay->conn;
    tern_buf_init(&out, 0);
    m = (tern_relay_message){.kind = TERN_RELAY_CONNECT, .peer = s.asker->id};
    assert_int_equal(tern_relay_build(false, &m, &out), 0);
    uint8_t wire[128] = {(uint8_t)tern_buf_len(&out)};
    memcpy(wire + 1, tern_buf_data(&out), tern_buf_len(&out));
    for (int i = 0; i < FLOOD; i++) {
        tern_error error;
        ear_init(&e[i]);
        tern_stream *st = tern_node_open(s.relay->node, c, TERN_RELAY_STOP_ID, sim_nodes_ear_opened,
                                         &e[i], &error);
        assert_non_null(st);
        tern_stream_write(st, wire, 1 + tern_buf_len(&out));
    }
    tern_buf_free(&out);
    sim_nodes_run(&s.w, TERN_SEC);
    const tern_counters *count = sim_counters(s.behind);
    uint64_t shed =
        count->refused_per_protocol + count->evicted_pending + count->evicted_pending_per_ip;
    size_t left = s.behind->node->swarm->pending_count;
    if (left > 64 || shed != FLOOD - left) {
        fail_msg("%zu are left, %llu went", left, (unsigned long long)shed);
    }
    sim_nodes_run(&s.w, 30 * TERN_SEC); /* none has said anything */
    assert_int_equal(s.behind->node->swarm->pending_count, 0);
    for (int i = 0; i < FLOOD; i++) {
        ear_clear(&e[i]);
    }
    relay_scene_reach(&s);
    sim_nodes_clear(&s.w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_flood_of_identities),
        cmocka_unit_test(a_flood_of_silent_requests),
        cmocka_unit_test(a_peer_that_does_not_answer),
        cmocka_unit_test(gone_while_it_connects),
        cmocka_unit_test(gone_while_it_reserves),
        cmocka_unit_test(answers_that_are_none),
        cmocka_unit_test(questions_that_do_not_belong),
        cmocka_unit_test(a_flood_of_circuits),
    };
    return TERN_TEST_MAIN(tests);
}
