/* AutoNAT with peers that break the rules, want others attacked, flood, lie, or vanish. */
#include <stdio.h>

#include "nat/autonat.h"
#include "nat/autonat_message.h"
#include "sim/nodes.h"
#include "streams/frame.h"
#include "suite/ear.h"

#define DELAY (20 * TERN_MS)

typedef struct scene {
    sim_nodes w;
    sim_node *server, *asker, *victim;
    tern_conn *conn; /* the asker's, to the server */
} scene;

static void scene_make(scene *s)
{
    tern_options o;
    tern_options_init(&o);
    o.autonat_service = true;
    sim_nodes_init(&s->w, DELAY);
    s->server = sim_nodes_add(&s->w, "5.1.0.1", &o);
    s->asker = sim_nodes_add(&s->w, "6.0.0.1", NULL);
    s->victim = sim_nodes_add(&s->w, "7.0.0.1", NULL);
    s->conn = sim_nodes_connect(&s->w, s->asker, s->server);
    sim_nodes_run(&s->w, TERN_SEC);
}

static tern_stream *open_to(sim_node *from, tern_conn *conn, const char *id, ear *e)
{
    tern_error error;
    ear_init(e);
    tern_stream *s = tern_node_open(from->node, conn, id, sim_nodes_ear_opened, e, &error);
    assert_non_null(s);
    return s;
}

static void write_message(tern_stream *s, const tern_autonat_message *m)
{
    tern_buf out;
    tern_buf_init(&out, 0);
    assert_int_equal(tern_autonat_build(m, &out), 0);
    assert_int_equal(tern_frame_write(s, tern_buf_data(&out), tern_buf_len(&out)), 0);
    tern_buf_free(&out);
}

static void ask_about(tern_stream *s, const char *addr, uint64_t nonce)
{
    tern_autonat_message m = {.kind = TERN_AUTONAT_REQUEST, .nonce = nonce, .addr_count = 1};
    m.addrs[0] = tern_multiaddr_parse(addr, NULL);
    assert_non_null(m.addrs[0]);
    write_message(s, &m);
    tern_autonat_clear(&m);
}

/* The message that was heard first. */
static void heard(ear *e, tern_autonat_message *ret)
{
    tern_frame f;
    tern_span message;
    size_t used;
    tern_frame_init(&f, TERN_AUTONAT_MESSAGE_MAX);
    assert_int_equal(
        tern_frame_feed(&f, tern_buf_data(&e->got), tern_buf_len(&e->got), &used, &message), 1);
    assert_int_equal(tern_autonat_parse(message, ret), 0);
    tern_buf_consume(&e->got, used);
    tern_frame_free(&f);
}

static void expect_status(ear *e, uint32_t status, uint32_t dial_status)
{
    tern_autonat_message m;
    heard(e, &m);
    assert_int_equal(m.kind, TERN_AUTONAT_RESPONSE);
    assert_int_equal(m.status, status);
    assert_int_equal(m.dial_status, dial_status);
}

static uint64_t accepts(sim_node *n)
{
    return sim_counters(n)->accepts;
}

static void idle(const scene *s)
{
    assert_int_equal(tern_autonat_requests(s->server->node->autonat), 0);
}

/* ---- others are not to be attacked ---- */

static void pay(tern_stream *s, uint64_t bytes, size_t chunk)
{
    static const uint8_t zeros[4000];
    while (bytes > 0) {
        size_t n = bytes < chunk ? (size_t)bytes : chunk;
        tern_autonat_message m = {.kind = TERN_AUTONAT_DATA_RESPONSE, .data = {zeros, n}};
        write_message(s, &m);
        bytes -= n;
    }
}

static void another_ip_is_paid_for(void **state)
{
    (void)state;
    scene s;
    ear e;
    tern_autonat_message m;
    scene_make(&s);
    tern_stream *st = open_to(s.asker, s.conn, TERN_AUTONAT_REQUEST_ID, &e);
    ask_about(st, "/ip4/7.0.0.1/tcp/4001", 7);
    sim_nodes_run(&s.w, TERN_SEC);
    heard(&e, &m);
    assert_int_equal(m.kind, TERN_AUTONAT_DATA_REQUEST);
    assert_int_equal(m.index, 0);
    assert_in_range(m.bytes, TERN_AUTONAT_DATA_LEAST, TERN_AUTONAT_DATA_MOST);
    pay(e.s, m.bytes - 1000, 4000);
    sim_nodes_run(&s.w, 10 * TERN_SEC);
    assert_int_equal(accepts(s.victim), 0); /* not before all of it is there */
    pay(e.s, 1000, 4000);
    sim_nodes_run(&s.w, 10 * TERN_SEC);
    assert_int_equal(accepts(s.victim), 1);
    /* The victim is not who asked: the connection fails, nothing was said to it. */
    expect_status(&e, TERN_AUTONAT_OK, TERN_AUTONAT_DIAL_ERROR);
    assert_int_equal(sim_counters(s.server)->autonat_charged, 1);
    idle(&s);
    ear_clear(&e);
    sim_nodes_clear(&s.w);
}

/* Others wait for an answer for ten seconds, whatever becomes of the dial. */
static void nobody_there_is_told_in_time(void **state)
{
    (void)state;
    scene s;
    ear e;
    scene_make(&s);
    assert_int_equal(tern_sim_shield(s.asker->host, NULL, TERN_SIM_ANY, TERN_SIM_BY_PORT), 0);
    tern_stream *st = open_to(s.asker, s.conn, TERN_AUTONAT_REQUEST_ID, &e);
    ask_about(st, "/ip4/6.0.0.1/tcp/4001", 7);
    sim_nodes_run(&s.w, 7 * TERN_SEC);
    expect_status(&e, TERN_AUTONAT_OK, TERN_AUTONAT_DIAL_ERROR);
    assert_int_equal(sim_counters(s.server)->autonat_dials, 1);
    idle(&s);
    ear_clear(&e);
    sim_nodes_clear(&s.w);
}

static void who_does_not_pay_gets_nothing(void **state)
{
    (void)state;
    for (int how = 0; how < 3; how++) {
        scene s;
        ear e;
        tern_autonat_message m;
        scene_make(&s);
        tern_stream *st = open_to(s.asker, s.conn, TERN_AUTONAT_REQUEST_ID, &e);
        ask_about(st, "/ip4/7.0.0.1/tcp/4001", 7);
        sim_nodes_run(&s.w, TERN_SEC);
        heard(&e, &m);
        if (how == 1) {
            pay(e.s, 200, 50); /* crumbs */
        } else if (how == 2) {
            ask_about(e.s, "/ip4/7.0.0.1/tcp/4001", 7); /* another request instead */
        }
        sim_nodes_run(&s.w, 40 * TERN_SEC);
        assert_int_equal(e.closed, 1);
        assert_int_equal(accepts(s.victim), 0);
        assert_int_equal(sim_counters(s.server)->autonat_dials, 0);
        assert_int_equal(sim_counters(s.server)->autonat_timeouts, how == 0);
        assert_int_equal(sim_counters(s.server)->autonat_malformed, how != 0);
        idle(&s);
        ear_clear(&e);
        sim_nodes_clear(&s.w);
    }
}

static void addresses_that_are_not_dialled(void **state)
{
    (void)state;
    static const char *const addrs[] = {
        "/ip4/127.0.0.1/tcp/4001",
        "/ip4/10.0.0.1/tcp/4001",
        "/ip4/192.168.1.1/udp/4001/quic-v1",
        "/ip4/100.64.0.1/tcp/4001",
        "/ip4/169.254.1.1/tcp/4001",
        "/ip4/0.0.0.0/tcp/4001",
        "/ip4/224.0.0.1/udp/4001/quic-v1",
        "/ip4/255.255.255.255/tcp/4001",
        "/ip4/6.0.0.1/tcp/0",
        "/ip4/6.0.0.1/tcp/4001/p2p-circuit",
        "/ip4/6.0.0.1/udp/4001",
        "/dns4/example.com/tcp/4001",
        "/ip6/::1/tcp/4001",
        "/ip6/fe80::1/tcp/4001",
        "/ip6/2a00::1/tcp/4001", /* the server has no IPv6 */
        "/ip6/::ffff:10.0.0.1/tcp/4001",
        "/memory/1",
    };
    scene s;
    scene_make(&s);
    for (size_t i = 0; i < sizeof addrs / sizeof *addrs; i++) {
        ear e;
        tern_stream *st = open_to(s.asker, s.conn, TERN_AUTONAT_REQUEST_ID, &e);
        ask_about(st, addrs[i], 7);
        sim_nodes_run(&s.w, TERN_SEC);
        expect_status(&e, TERN_AUTONAT_DIAL_REFUSED, TERN_AUTONAT_DIAL_UNUSED);
        ear_clear(&e);
    }
    assert_int_equal(sim_counters(s.server)->autonat_dials, 0);
    idle(&s);
    sim_nodes_clear(&s.w);
}

/* Version 1: whatever is named, the IP is the asker's. */
static void version_1_dials_only_who_asks(void **state)
{
    (void)state;
    scene s;
    ear e;
    tern_buf out;
    scene_make(&s);
    tern_autonat_1_message m = {.peer = s.asker->id, .addr_count = 2};
    m.addrs[0] = tern_multiaddr_parse("/ip4/7.0.0.1/tcp/4001", NULL);
    m.addrs[1] = tern_multiaddr_parse("/ip4/10.0.0.1/tcp/4001", NULL);
    tern_buf_init(&out, 0);
    assert_int_equal(tern_autonat_1_build(&m, &out), 0);
    tern_autonat_1_clear(&m);
    tern_stream *st = open_to(s.asker, s.conn, TERN_AUTONAT_1_ID, &e);
    assert_int_equal(tern_frame_write(st, tern_buf_data(&out), tern_buf_len(&out)), 0);
    sim_nodes_run(&s.w, 5 * TERN_SEC);
    tern_span answer = {tern_buf_data(&e.got) + 1, tern_buf_len(&e.got) - 1};
    assert_int_equal(tern_autonat_1_parse(answer, &m), 0);
    assert_int_equal(m.status, TERN_AUTONAT_1_OK);
    assert_string_equal(tern_multiaddr_text(m.addrs[0]), "/ip4/6.0.0.1/tcp/4001");
    tern_autonat_1_clear(&m);
    assert_int_equal(accepts(s.victim), 0);
    assert_int_equal(accepts(s.asker), 1);
    tern_buf_free(&out);
    ear_clear(&e);
    idle(&s);
    sim_nodes_clear(&s.w);
}

/* ---- floods ---- */

static unsigned ask_and_count(scene *s, sim_node *from, tern_conn *conn, unsigned times)
{
    uint64_t before = sim_counters(s->server)->autonat_dials;
    char at[80];
    tern_endpoint e;
    uint32_t transport;
    assert_true(tern_ma_endpoint(tern_conn_get_facts(conn)->local, &e, &transport));
    e.port = 9; /* nobody listens */
    tern_multiaddr *addr = tern_ma_from_endpoint(&e, TERN_MA_TCP);
    snprintf(at, sizeof at, "%s", tern_multiaddr_text(addr));
    tern_multiaddr_unref(addr);
    for (unsigned i = 0; i < times; i++) {
        ear one;
        tern_stream *st = open_to(from, conn, TERN_AUTONAT_REQUEST_ID, &one);
        ask_about(st, at, i);
        sim_nodes_run(&s->w, 200 * TERN_MS);
        ear_clear(&one);
    }
    return (unsigned)(sim_counters(s->server)->autonat_dials - before);
}

static void so_often_a_minute(void **state)
{
    (void)state;
    scene s;
    scene_make(&s);
    assert_int_equal(ask_and_count(&s, s.asker, s.conn, 30), 12);
    assert_int_equal(sim_counters(s.server)->autonat_rate, 18);
    tern_conn *c = sim_nodes_connect(&s.w, s.victim, s.server);
    assert_int_equal(ask_and_count(&s, s.victim, c, 1), 1); /* others are served still */
    sim_nodes_run(&s.w, 60 * TERN_SEC);
    assert_int_equal(ask_and_count(&s, s.asker, s.conn, 1), 1);
    idle(&s);
    sim_nodes_clear(&s.w);
}

/* A new identity is no new address. */
static void many_identities(void **state)
{
    (void)state;
    scene s;
    unsigned dials = 0;
    scene_make(&s);
    for (unsigned i = 0; i < 6; i++) {
        sim_node *other = sim_nodes_beside(s.asker, NULL);
        tern_conn *c = sim_nodes_connect(&s.w, other, s.server);
        dials += ask_and_count(&s, other, c, 4);
    }
    assert_int_equal(dials, 12);
    idle(&s);
    sim_nodes_clear(&s.w);
}

static void two_at_a_time(void **state)
{
    (void)state;
    scene s;
    ear e[8];
    unsigned closed = 0;
    scene_make(&s);
    for (size_t i = 0; i < 8; i++) {
        open_to(s.asker, s.conn, TERN_AUTONAT_REQUEST_ID, &e[i]);
    }
    sim_nodes_run(&s.w, TERN_SEC);
    assert_int_equal(tern_autonat_requests(s.server->node->autonat), 2);
    for (size_t i = 0; i < 8; i++) {
        closed += e[i].closed;
        ear_clear(&e[i]);
    }
    assert_int_equal(closed, 6);
    sim_nodes_clear(&s.w);
}

/* ---- bad messages ---- */

static void messages_that_do_not_parse(void **state)
{
    (void)state;
    static const struct {
        const char *bytes;
        size_t n;
    } cases[] = {
        {"\x00", 1},                                      /* none of the four */
        {"\x02\x28\x01", 3},                              /* an unknown one */
        {"\x03\x0a\x7f\x00", 4},                          /* longer inside than outside */
        {"\x81\x40", 2},                                  /* 8193 bytes announced */
        {"\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff", 10}, /* without end */
        {"\x02\x12\x00", 3},                              /* a response */
        {"\x02\x22\x00", 3},                              /* payment that nobody asked for */
    };
    for (int old = 0; old < 2; old++) {
        scene s;
        scene_make(&s);
        for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
            ear e;
            tern_stream *st =
                open_to(s.asker, s.conn, old ? TERN_AUTONAT_1_ID : TERN_AUTONAT_REQUEST_ID, &e);
            tern_stream_write(st, cases[i].bytes, cases[i].n);
            sim_nodes_run(&s.w, TERN_SEC);
            assert_int_equal(e.closed, 1);
            ear_clear(&e);
        }
        assert_int_equal(sim_counters(s.server)->autonat_malformed, sizeof cases / sizeof *cases);
        idle(&s);
        sim_nodes_clear(&s.w);
    }
}

/* A thousand addresses in one message: the first fifty are looked at. */
static void many_addresses(void **state)
{
    (void)state;
    scene s;
    ear e;
    tern_buf inner, out;
    scene_make(&s);
    tern_buf_init(&inner, 0);
    tern_buf_init(&out, 0);
    for (int i = 0; i < 700; i++) {
        assert_int_equal(tern_buf_append(&inner, "\x0a\x08\x04\x0a\x00\x00\x01\x06\x0f\xa1", 10),
                         0);
    }
    uint8_t head[] = {0x0a, 0xd8, 0x36}; /* 7000 bytes */
    assert_int_equal(tern_buf_append(&out, head, sizeof head), 0);
    assert_int_equal(tern_buf_append(&out, tern_buf_data(&inner), tern_buf_len(&inner)), 0);
    tern_stream *st = open_to(s.asker, s.conn, TERN_AUTONAT_REQUEST_ID, &e);
    assert_int_equal(tern_frame_write(st, tern_buf_data(&out), tern_buf_len(&out)), 0);
    sim_nodes_run(&s.w, TERN_SEC);
    expect_status(&e, TERN_AUTONAT_DIAL_REFUSED, TERN_AUTONAT_DIAL_UNUSED);
    tern_buf_free(&inner);
    tern_buf_free(&out);
    ear_clear(&e);
    idle(&s);
    sim_nodes_clear(&s.w);
}

/* ---- liars ---- */

/* A server that answers as it likes; each is a handler of its own peer. */
static tern_autonat_message lie;

static size_t lie_to(void *owner, tern_stream *s, uint8_t *data, size_t n)
{
    (void)owner;
    (void)data;
    write_message(s, &lie);
    return n;
}

static void lie_closed(void *owner, tern_stream *s, const tern_error *why)
{
    (void)owner;
    (void)s;
    (void)why;
}

static const tern_stream_events lie_events = {.on_data = lie_to, .on_closed = lie_closed};

static void take_request(void *ctx, tern_node *node, tern_conn *conn, tern_stream *s)
{
    (void)ctx;
    (void)node;
    (void)conn;
    tern_stream_take(s, &lie_events, NULL);
}

static void liars_are_not_believed(void **state)
{
    (void)state;
    static const struct {
        tern_autonat_message says;
        bool bad;
    } lies[] = {
        {{.kind = TERN_AUTONAT_RESPONSE, .status = TERN_AUTONAT_OK, .dial_status = 200}, false},
        {{.kind = TERN_AUTONAT_RESPONSE, .status = 200, .index = 77, .dial_status = 200}, true},
        {{.kind = TERN_AUTONAT_RESPONSE, .status = 200, .dial_status = 0}, false},
        {{.kind = TERN_AUTONAT_RESPONSE, .status = 12345}, false},
        {{.kind = TERN_AUTONAT_DATA_REQUEST, .bytes = 100001}, true},
        {{.kind = TERN_AUTONAT_DATA_REQUEST, .index = 8, .bytes = 30000}, true},
        {{.kind = TERN_AUTONAT_DATA_RESPONSE, .data = {(const uint8_t *)"x", 1}}, true},
        {{.kind = TERN_AUTONAT_REQUEST, .nonce = 1}, true},
    };
    static const char *const ips[] = {"5.1.0.1", "5.2.0.1", "5.3.0.1"};
    for (size_t i = 0; i < sizeof lies / sizeof *lies; i++) {
        sim_nodes w;
        tern_options o;
        lie = lies[i].says;
        tern_options_init(&o);
        o.autonat = true;
        sim_nodes_init(&w, DELAY);
        sim_node *asker = sim_nodes_add(&w, "6.0.0.1", &o);
        for (size_t k = 0; k < 3; k++) {
            sim_node *liar = sim_nodes_add(&w, ips[k], NULL);
            assert_int_equal(
                tern_node_handle(liar->node, TERN_AUTONAT_REQUEST_ID, NULL, take_request, NULL), 0);
            sim_nodes_connect(&w, asker, liar);
        }
        sim_nodes_run(&w, 200 * TERN_SEC);
        assert_int_equal(asker->judged, 0);
        const tern_counters *c = sim_counters(asker);
        assert_true(c->autonat_asked >= 3);
        assert_int_equal(c->autonat_bad_answers, lies[i].bad ? c->autonat_asked : 0);
        assert_int_equal(c->autonat_unproven, i == 0 ? c->autonat_asked : 0);
        assert_true(c->autonat_paid == 0);
        sim_nodes_clear(&w);
    }
}

static void a_nonce_that_is_not_ours(void **state)
{
    (void)state;
    static const char *const cases[] = {"\x09\x09\x01\x02\x03\x04\x05\x06\x07\x08", "\x00"};
    sim_nodes w;
    tern_options o;
    tern_options_init(&o);
    o.autonat = true;
    sim_nodes_init(&w, DELAY);
    sim_node *asker = sim_nodes_add(&w, "6.0.0.1", &o);
    sim_node *stranger = sim_nodes_add(&w, "7.0.0.1", NULL);
    tern_conn *c = sim_nodes_connect(&w, stranger, asker);
    for (size_t i = 0; i < 2; i++) {
        ear e;
        tern_stream *st = open_to(stranger, c, TERN_AUTONAT_DIAL_BACK_ID, &e);
        tern_stream_write(st, cases[i], i == 0 ? 10 : 1);
        sim_nodes_run(&w, TERN_SEC);
        assert_int_equal(e.closed, 1);
        assert_int_equal(tern_buf_len(&e.got), 0);
        assert_int_equal(sim_counters(asker)->autonat_wrong_nonces, i + 1);
        ear_clear(&e);
    }
    ear e; /* and who says nothing is not waited for */
    open_to(stranger, c, TERN_AUTONAT_DIAL_BACK_ID, &e);
    sim_nodes_run(&w, 10 * TERN_SEC);
    assert_int_equal(e.closed, 1);
    ear_clear(&e);
    sim_nodes_clear(&w);
}

/* ---- those who vanish ---- */

/* The asker: after his request, when he is to pay, while he is dialled. */
static void askers_vanish(void **state)
{
    (void)state;
    static const char *const about[] = {"/ip4/6.0.0.1/tcp/4001", "/ip4/7.0.0.1/tcp/4001",
                                        "/ip4/6.0.0.1/tcp/4001"};
    for (size_t i = 0; i < 3; i++) {
        scene s;
        ear e;
        scene_make(&s);
        tern_stream *st = open_to(s.asker, s.conn, TERN_AUTONAT_REQUEST_ID, &e);
        ask_about(st, about[i], 7);
        sim_nodes_run(&s.w, i == 1 ? TERN_SEC : (i + 2) * DELAY);
        sim_node_vanish(s.asker);
        sim_nodes_run(&s.w, 120 * TERN_SEC);
        idle(&s);
        ear_clear(&e);
        sim_nodes_clear(&s.w);
    }
}

/* The server, at every moment of the exchange: the asker waits no longer than he must. */
static void servers_vanish(void **state)
{
    (void)state;
    for (unsigned i = 0; i < 16; i++) {
        sim_nodes w;
        tern_options o;
        tern_options_init(&o);
        o.autonat = o.autonat_service = true;
        sim_nodes_init(&w, DELAY);
        sim_node *asker = sim_nodes_add(&w, "6.0.0.1", &o);
        sim_node *server = sim_nodes_add(&w, "5.1.0.1", &o);
        sim_nodes_connect(&w, asker, server);
        sim_nodes_run(&w, 2 * TERN_SEC + i * DELAY);
        sim_node_vanish(server);
        sim_nodes_run(&w, 120 * TERN_SEC);
        assert_int_equal(asker->judged, 0);
        assert_int_equal(tern_autonat_requests(asker->node->autonat), 0);
        sim_nodes_clear(&w);
    }
}

/* A node that stops while it dials back, and one that is asked. */
static void stops_under_way(void **state)
{
    (void)state;
    for (unsigned i = 0; i < 16; i++) {
        scene s;
        ear e;
        scene_make(&s);
        tern_stream *st = open_to(s.asker, s.conn, TERN_AUTONAT_REQUEST_ID, &e);
        ask_about(st, i % 2 ? "/ip4/6.0.0.1/tcp/9999" : "/ip4/6.0.0.1/tcp/4001", 7);
        sim_nodes_run(&s.w, (1 + i / 2) * DELAY);
        sim_node_end(s.server);
        ear_clear(&e);
        sim_nodes_clear(&s.w);
    }
}

/* The n-th allocation of a question's life fails: an answer is lost, never a node. */
static void every_allocation_fails(void **state)
{
    (void)state;
    bool whole = false;
    for (size_t nth = 1; !whole; nth++) {
        sim_nodes w;
        tern_options o;
        tern_options_init(&o);
        o.autonat = o.autonat_service = true;
        sim_nodes_init(&w, DELAY);
        sim_node *asker = sim_nodes_add(&w, "6.0.0.1", &o);
        sim_node *server = sim_nodes_add(&w, "5.1.0.1", &o);
        sim_nodes_connect(&w, asker, server);
        sim_nodes_run(&w, TERN_SEC);
        tern_mem_fail_at(nth, 0);
        sim_nodes_run(&w, 5 * TERN_SEC);
        whole = tern_mem_count() < nth;
        tern_mem_fail_at(0, 0);
        assert_int_equal(tern_autonat_requests(asker->node->autonat), 0);
        sim_nodes_clear(&w);
        assert_true(nth < 5000);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(another_ip_is_paid_for),
        cmocka_unit_test(nobody_there_is_told_in_time),
        cmocka_unit_test(who_does_not_pay_gets_nothing),
        cmocka_unit_test(addresses_that_are_not_dialled),
        cmocka_unit_test(version_1_dials_only_who_asks),
        cmocka_unit_test(so_often_a_minute),
        cmocka_unit_test(many_identities),
        cmocka_unit_test(two_at_a_time),
        cmocka_unit_test(messages_that_do_not_parse),
        cmocka_unit_test(many_addresses),
        cmocka_unit_test(liars_are_not_believed),
        cmocka_unit_test(a_nonce_that_is_not_ours),
        cmocka_unit_test(askers_vanish),
        cmocka_unit_test(servers_vanish),
        cmocka_unit_test(stops_under_way),
        cmocka_unit_test(every_allocation_fails),
    };
    return TERN_TEST_MAIN(tests);
}
