/* Malformed input through the whole stack: raw bytes thrown at a listening node's TCP port, whole
 * and one byte at a time. Each is refused by its deadline at the latest, and counted where it was
 * noticed; afterwards nothing of it is left, and the node answers an honest one's ping. */
#include "sim/nodes.h"

#include <stdio.h>

#define DELAY TERN_MS

#define HEADER   "\x13/multistream/1.0.0\n"
#define NOISE    "\x07/noise\n"
#define UNKNOWN  "\x0b/xyz/1.0.0\n"
#define ZEROS_32 "\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0"
#define KEY_32   "0123456789abcdef0123456789abcdef" /* as good a public key as any */
#define GARBAGE  "what is this, and what does it want here?"
#define WS_HEAD                                                                                    \
    "GET / HTTP/1.1\r\nHost: b\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"                   \
    "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"

/* A raw TCP client. */
struct raw {
    tern_tcp *t;
    bool connected, ended, broken;
    size_t got;
    char first[16]; /* of what came back */
};

static void on_connected(void *owner, int code)
{
    struct raw *r = owner;
    assert_int_equal(code, 0);
    r->connected = true;
    tern_tcp_read(r->t);
}

static void on_data(void *owner, uint8_t *data, size_t n)
{
    struct raw *r = owner;
    for (size_t i = 0; i < n && r->got + i < sizeof r->first - 1; i++) {
        r->first[r->got + i] = (char)data[i];
    }
    r->got += n;
}

static void on_end(void *owner)
{
    ((struct raw *)owner)->ended = true;
}

static void on_writable(void *owner)
{
    (void)owner;
}

static void on_error(void *owner, int code)
{
    (void)code;
    ((struct raw *)owner)->broken = true;
}

static const tern_tcp_events raw_events = {.on_connected = on_connected,
                                           .on_data = on_data,
                                           .on_end = on_end,
                                           .on_writable = on_writable,
                                           .on_error = on_error};

/* What follows the bytes. */
enum then { STAY, END };

struct attack {
    const char *name;
    const char *bytes;
    size_t n;
    const char *filler; /* repeated behind them until `total` */
    size_t total;
    enum then then;
    size_t counter;    /* which one counts it; SIZE_MAX = none */
    const char *reply; /* how the answer begins, NULL = any */
};

#define BYTES(text)   .bytes = (text), .n = sizeof(text) - 1
#define COUNTER(name) .counter = offsetof(tern_counters, name)

static const struct attack attacks[] = {
    {"silence", BYTES(""), COUNTER(first_bytes_timeout), .reply = ""},
    {"comes and goes", BYTES(""), .then = END, .counter = SIZE_MAX, .reply = ""},
    {"one byte", BYTES("\x13"), COUNTER(first_bytes_timeout), .reply = ""},
    {"garbage", BYTES(GARBAGE), COUNTER(first_bytes_unknown), .reply = ""},
    {"zeros", BYTES(ZEROS_32), COUNTER(first_bytes_unknown), .reply = ""},
    {"TLS", BYTES("\x16\x03\x01\x00\x20" KEY_32), COUNTER(first_bytes_unknown), .reply = ""},

    {"another version", BYTES("\x13/multistream/2.0.0\n"), COUNTER(multistream_malformed)},
    {"no newline", BYTES("\x13/multistream/1.0.00"), COUNTER(multistream_malformed)},
    {"header and silence", BYTES(HEADER), COUNTER(upgrade_timeouts), .reply = HEADER},
    {"header and end", BYTES(HEADER), .then = END, COUNTER(upgrade_failures)},
    {"empty proposal", BYTES(HEADER "\x00"), COUNTER(multistream_malformed)},
    {"long proposal", BYTES(HEADER "\x81\x08"), COUNTER(multistream_too_large)},
    {"endless length", BYTES(HEADER "\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff"),
     COUNTER(multistream_malformed)},
    {"unknown security", BYTES(HEADER UNKNOWN), .then = END, COUNTER(multistream_refused)},
    {"unknown security and its bytes", BYTES(HEADER UNKNOWN "\x16\x03\x01\x00\x20" KEY_32),
     COUNTER(multistream_refused)},
    {"many proposals", BYTES(HEADER), .filler = UNKNOWN, .total = 12000,
     COUNTER(multistream_too_large)},
    {"lists for ever", BYTES(HEADER), .filler = "\x03ls\n", .total = 4000,
     COUNTER(multistream_too_large)},

    {"noise and silence", BYTES(HEADER NOISE), COUNTER(upgrade_timeouts), .reply = HEADER},
    {"noise, cut",
     BYTES(HEADER NOISE "\x00\x20"
                        "0123"),
     .then = END, COUNTER(noise_truncated)},
    {"noise, short",
     BYTES(HEADER NOISE "\x00\x05"
                        "01234"),
     COUNTER(noise_malformed)},
    {"noise, empty", BYTES(HEADER NOISE "\x00\x00"), COUNTER(noise_malformed)},
    {"noise, zero key", BYTES(HEADER NOISE "\x00\x20" ZEROS_32), COUNTER(noise_bad_key)},
    {"noise, then garbage", BYTES(HEADER NOISE "\x00\x20" KEY_32 "\x00\x60" KEY_32 KEY_32 KEY_32),
     COUNTER(noise_decrypt)},
    {"noise, then short", BYTES(HEADER NOISE "\x00\x20" KEY_32 "\x00\x20" KEY_32),
     COUNTER(noise_malformed)},
    {"noise, then silence", BYTES(HEADER NOISE "\x00\x20" KEY_32), COUNTER(upgrade_timeouts)},

    {"HTTP, nothing served", BYTES("GET / HTTP/1.1\r\nHost: b\r\n\r\n"), COUNTER(http_requests),
     .reply = "HTTP/1.1 404"},
    {"HTTP, no version", BYTES("GET /\r\n\r\n"), COUNTER(http_malformed), .reply = "HTTP/1.1 400"},
    {"HTTP, control bytes", BYTES("GET /\x01 HTTP/1.1\r\n\r\n"), COUNTER(http_malformed)},
    {"HTTP, folded", BYTES("GET / HTTP/1.1\r\nA: b\r\n c\r\n\r\n"), COUNTER(http_malformed)},
    {"HTTP, endless", BYTES("GET / HTTP/1.1\r\nX: "), .filler = "aaaaaaaaaaaaaaaa", .total = 20000,
     COUNTER(http_too_large), .reply = "HTTP/1.1 431"},
    {"HTTP, many fields", BYTES("GET / HTTP/1.1\r\n"), .filler = "a: b\r\n", .total = 2000,
     COUNTER(http_too_large)},
    {"HTTP, half", BYTES("GET / HT"), COUNTER(http_timeout)},
    {"WebSocket, no key",
     BYTES("GET / HTTP/1.1\r\nHost: b\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n"),
     COUNTER(ws_bad_handshake)},
    {"WebSocket, unmasked", BYTES(WS_HEAD "\x82\x05hello"), COUNTER(ws_malformed),
     .reply = "HTTP/1.1 101"},
    {"WebSocket, reserved bits", BYTES(WS_HEAD "\xf2\x85\0\0\0\0hello"), COUNTER(ws_malformed)},
    {"WebSocket, garbage inside", BYTES(WS_HEAD "\x82\x85\0\0\0\0\0ello"),
     COUNTER(multistream_malformed)},
    {"WebSocket and silence", BYTES(WS_HEAD), COUNTER(upgrade_timeouts)},
};

struct stage {
    sim_nodes w;
    sim_node *honest, *b;
    tern_loop *attacker;
};

static uint64_t counter_of(struct stage *s, size_t offset)
{
    return *(const uint64_t *)(const void *)((const char *)sim_counters(s->b) + offset);
}

static void setup(struct stage *s)
{
    tern_error error;
    sim_nodes_init(&s->w, DELAY);
    s->honest = sim_nodes_add(&s->w, "-10.0.0.1", NULL);
    s->b = sim_nodes_add(&s->w, "10.0.0.2", NULL);
    if (tern_node_listen(s->b->node, "/ip4/10.0.0.2/tcp/4001/ws", NULL, 0, &error) != 0) {
        fail_msg("%s", error.text);
    }
    assert_int_equal(tern_sim_host(s->w.sim, "10.0.0.66", &s->attacker), 0);
}

static void write_all(struct stage *s, struct raw *r, const char *bytes, size_t n, bool slowly)
{
    size_t chunk = slowly ? 1 : n;
    for (size_t i = 0; i < n && !r->broken; i += chunk) {
        tern_span v = {(const uint8_t *)bytes + i, chunk};
        assert_int_equal(tern_tcp_write(r->t, &v, 1), chunk);
        if (slowly) {
            sim_nodes_run(&s->w, TERN_MS / 100);
        }
    }
}

static void connect_raw(struct stage *s, struct raw *r)
{
    tern_endpoint to;
    memset(r, 0, sizeof *r);
    assert_int_equal(tern_endpoint_parse_ip(&to, "10.0.0.2"), 0);
    to.port = SIM_NODE_PORT;
    assert_int_equal(tern_tcp_dial(s->attacker, &to, NULL, &raw_events, r, &r->t), 0);
    sim_nodes_run(&s->w, 4 * DELAY);
    assert_true(r->connected);
}

static void expect(bool good, const struct attack *a, bool slowly, const char *what)
{
    if (!good) {
        fail_msg("%s%s: %s", a->name, slowly ? ", slowly" : "", what);
    }
}

static void attack(struct stage *s, const struct attack *a, bool slowly)
{
    struct raw r;
    sim_ping ping;
    uint64_t before = a->counter != SIZE_MAX ? counter_of(s, a->counter) : 0;
    connect_raw(s, &r);
    write_all(s, &r, a->bytes, a->n, slowly);
    for (size_t n = a->n; a->filler != NULL && n < a->total; n += strlen(a->filler)) {
        write_all(s, &r, a->filler, strlen(a->filler), slowly);
    }
    if (a->then == END && !r.broken) {
        tern_tcp_shutdown(r.t);
    }
    sim_nodes_run(&s->w, 25 * TERN_SEC);
    expect(r.ended || r.broken, a, slowly, "the connection is open");
    expect(a->counter == SIZE_MAX || counter_of(s, a->counter) == before + 1, a, slowly,
           "not counted once");
    if (a->reply != NULL) {
        size_t n = strlen(a->reply) < sizeof r.first - 1 ? strlen(a->reply) : sizeof r.first - 1;
        expect(n > 0 ? r.got >= n && memcmp(r.first, a->reply, n) == 0 : r.got == 0, a, slowly,
               "another answer");
    }
    expect(s->b->node->swarm->pending_count == 0, a, slowly, "something is pending");
    expect(s->b->connected == 1, a, slowly, "it became a connection");
    sim_nodes_ping(s->honest, s->honest->conn, &ping);
    expect(ping.error.code == 0 && ping.rtt == 2 * DELAY, a, slowly, "no ping any more");
    tern_tcp_close(r.t, true);
    sim_nodes_run(&s->w, 10 * TERN_SEC);
    /* The honest one's socket is left. */
    const tern_list *sockets = &tern_node_net(s->b->node)->sockets;
    expect(sockets->next != sockets && sockets->next->next == sockets, a, slowly,
           "a socket is left");
}

static void test_attacks(void **state)
{
    struct stage s;
    (void)state;
    setup(&s);
    sim_nodes_connect(&s.w, s.honest, s.b);
    for (size_t i = 0; i < 2 * sizeof attacks / sizeof *attacks; i++) {
        attack(&s, &attacks[i / 2], i % 2 != 0);
    }
    sim_nodes_clear(&s.w);
}

static bool is_gone(void *arg)
{
    const struct raw *r = arg;
    return r->ended || r->broken;
}

/* Silence before the first byte, and drips after it: ten seconds from accept on are all there is,
 * whatever is dripped and through however many stages it goes. */
static void test_silence_and_drips(void **state)
{
    static const uint64_t silences[] = {0, 4 * TERN_SEC, 9 * TERN_SEC, 20 * TERN_SEC};
    struct stage s;
    (void)state;
    setup(&s);
    for (size_t i = 0; i < 4 * sizeof attacks / sizeof *attacks; i++) {
        const struct attack *a = &attacks[i / 4];
        struct raw r;
        connect_raw(&s, &r);
        uint64_t end = sim_nodes_now(&s.w) + 10 * TERN_SEC + 2 * DELAY;
        tern_sim_run(s.w.sim, sim_nodes_now(&s.w) + silences[i % 4], is_gone, &r);
        for (size_t n = 0; n < a->n && !is_gone(&r); n++) {
            write_all(&s, &r, a->bytes + n, 1, false);
            tern_sim_run(s.w.sim, sim_nodes_now(&s.w) + 20 * TERN_SEC / a->n, is_gone, &r);
        }
        tern_sim_run(s.w.sim, end > sim_nodes_now(&s.w) ? end : sim_nodes_now(&s.w), is_gone, &r);
        expect(is_gone(&r) && sim_nodes_now(&s.w) <= end, a, true, "open longer than ten seconds");
        expect(s.b->node->swarm->pending_count == 0, a, true, "something is pending");
        tern_tcp_close(r.t, true);
    }
    sim_nodes_clear(&s.w);
}

/* The same, and the attacker breaks the connection at once instead of waiting. */
static void test_cut_off(void **state)
{
    struct stage s;
    struct raw r;
    sim_ping ping;
    (void)state;
    setup(&s);
    sim_nodes_connect(&s.w, s.honest, s.b);
    for (size_t i = 0; i < sizeof attacks / sizeof *attacks; i++) {
        for (size_t n = 0; n <= attacks[i].n; n += attacks[i].n / 4 + 1) {
            connect_raw(&s, &r);
            write_all(&s, &r, attacks[i].bytes, n, false);
            sim_nodes_run(&s.w, 3 * DELAY);
            tern_tcp_close(r.t, n % 2 == 0);
            sim_nodes_run(&s.w, DELAY * (n % 5));
        }
    }
    sim_nodes_run(&s.w, 25 * TERN_SEC);
    assert_int_equal(s.b->node->swarm->pending_count, 0);
    sim_nodes_ping(s.honest, s.honest->conn, &ping);
    assert_int_equal(ping.error.code, 0);
    sim_nodes_clear(&s.w);
}

/* A node stops while strangers stand in every stage of their way in. */
static void test_stop_among_strangers(void **state)
{
    enum { MANY = sizeof attacks / sizeof *attacks };
    struct stage s;
    struct raw r[MANY];
    (void)state;
    setup(&s);
    for (size_t i = 0; i < MANY; i++) {
        connect_raw(&s, &r[i]);
        write_all(&s, &r[i], attacks[i].bytes, attacks[i].n / 2, false);
    }
    sim_nodes_run(&s.w, 100 * TERN_MS);
    sim_node_end(s.b);
    sim_nodes_run(&s.w, TERN_SEC);
    for (size_t i = 0; i < MANY; i++) {
        assert_true(r[i].ended || r[i].broken);
        tern_tcp_close(r[i].t, false);
    }
    sim_nodes_clear(&s.w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_attacks),
        cmocka_unit_test(test_silence_and_drips),
        cmocka_unit_test(test_cut_off),
        cmocka_unit_test(test_stop_among_strangers),
    };
    return TERN_TEST_MAIN(tests);
}
