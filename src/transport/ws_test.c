/* The transport "ws" in the simulated world, each side against a raw peer: what the handshake looks
 * like on the wire, what it refuses, and what follows it. (Its conduct as a transport is the
 * transport suite's to test.) */
#include "transport/ws.h"

#include <stdio.h>

#include "base/test.h"
#include "loop/sim.h"
#include "loop/tcp.h"
#include "streams/tcp.h"
#include "suite/ear.h"
#include "transport/tcp.h"
#include "transport/ws_core.h"

enum { PORT = 4001 };

/* Host 0 dials, host 1 listens; one of the two is raw TCP. */
typedef struct world {
    tern_sim *sim;
    tern_net net[2];
    tern_listener *listener, *second;
    tern_tcp_listener *raw_listener;
    tern_tcp_dial_op raw_dial;
    tern_dial_op dial;
    tern_multiaddr *target;
    ear raw;   /* the raw peer */
    ear ws;    /* what we dialled, or accepted from a raw client */
    ear other; /* accepted where both sides are ours */
    unsigned accepts, done;
    tern_error error;
} world;

static tern_endpoint listening(void)
{
    tern_endpoint e;
    assert_int_equal(tern_endpoint_parse_ip(&e, "10.0.0.2"), 0);
    e.port = PORT;
    return e;
}

static void make(world *w)
{
    const tern_sim_link link = {.delay = 10 * TERN_MS};
    memset(w, 0, sizeof *w);
    assert_int_equal(tern_sim_new(1, &w->sim), 0);
    tern_sim_set_default_link(w->sim, &link);
    assert_int_equal(tern_sim_host(w->sim, "10.0.0.1", &w->net[0].loop), 0);
    assert_int_equal(tern_sim_host(w->sim, "10.0.0.2", &w->net[1].loop), 0);
    for (int i = 0; i < 2; i++) {
        tern_net_init(&w->net[i]);
    }
    ear_init(&w->raw);
    ear_init(&w->ws);
    ear_init(&w->other);
}

static void run_for(world *w, uint64_t time)
{
    tern_sim_run(w->sim, tern_sim_now(w->sim) + time, NULL, NULL);
}

static void clear(world *w)
{
    tern_op_cancel(&w->dial.op);
    tern_multiaddr_unref(w->dial.local);
    tern_multiaddr_unref(w->target);
    ear_clear(&w->raw);
    ear_clear(&w->ws);
    ear_clear(&w->other);
    if (w->listener != NULL) {
        tern_listener_close(w->listener);
    }
    if (w->second != NULL) {
        tern_listener_close(w->second);
    }
    if (w->raw_listener != NULL) {
        tern_tcp_listener_close(w->raw_listener);
    }
    run_for(w, 60 * TERN_SEC);
    tern_sim_free(w->sim);
}

static bool raw_got(const world *w, const char *text)
{
    size_t n = strlen(text);
    return tern_buf_len(&w->raw.got) == n && memcmp(tern_buf_data(&w->raw.got), text, n) == 0;
}

/* ---- our listener, a raw client ---- */

static void on_stream(void *owner, tern_listener *l, tern_stream *s, tern_multiaddr *local,
                      tern_multiaddr *remote, uint64_t deadline)
{
    world *w = owner;
    assert_true(deadline <= tern_sim_now(w->sim) + 10 * TERN_SEC);
    (void)local;
    (void)remote;
    w->accepts++;
    assert_ptr_equal(l, w->listener);
    ear_take(w->target == NULL ? &w->ws : &w->other, s);
}

static const tern_listener_events listener_events = {.on_stream = on_stream};

static void listen_on(world *w, const tern_transport *t, const char *text, tern_listener **ret)
{
    tern_multiaddr *addr = tern_multiaddr_parse(text, NULL);
    assert_non_null(addr);
    assert_int_equal(t->listen(&w->net[1], addr, &listener_events, w, ret, NULL), 0);
    tern_multiaddr_unref(addr);
}

static void on_raw_dialled(tern_op *op, const tern_error *error)
{
    world *w = TERN_CONTAINER(op, world, raw_dial.op);
    assert_int_equal(error->code, 0);
    ear_take(&w->raw, w->raw_dial.stream);
}

static void make_listener(world *w)
{
    make(w);
    listen_on(w, &tern_ws_transport, "/ip4/10.0.0.2/tcp/4001/ws", &w->listener);
    w->raw_dial =
        (tern_tcp_dial_op){.to = listening(), .write_queue = 1 << 20, .stall = 60 * TERN_SEC};
    tern_op_init(&w->raw_dial.op, w->net[0].loop, TERN_NEVER, on_raw_dialled);
    assert_int_equal(tern_tcp_stream_dial(&w->raw_dial, NULL), 0);
    run_for(w, 30 * TERN_MS);
    assert_non_null(w->raw.s);
}

static void raw_says(world *w, const char *text, size_t n, size_t piece)
{
    for (size_t at = 0; at < n; at += piece) {
        size_t k = piece < n - at ? piece : n - at;
        assert_int_equal(ear_write(&w->raw, text + at, k), k);
        run_for(w, 30 * TERN_MS);
    }
}

#define FIELDS                                                                                     \
    "Host: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"                                     \
    "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
#define REQUEST "GET /any/path HTTP/1.1\r\n" FIELDS "Sec-WebSocket-Version: 13\r\n\r\n"
#define ANSWER                                                                                     \
    "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"            \
    "Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n"

static void accepts_an_upgrade(void **state)
{
    (void)state;
    for (size_t piece = 1; piece < 2000; piece += 1500) {
        world w;
        make_listener(&w);
        raw_says(&w, REQUEST, sizeof REQUEST - 1, piece);
        assert_true(raw_got(&w, ANSWER));
        assert_int_equal(w.accepts, 1);
        assert_int_equal(w.net[1].counters.ws_bad_handshake, 0);
        clear(&w);
    }
}

/* A client that does not wait for the answer is wrong, but understood. */
static void bytes_behind_the_request(void **state)
{
    (void)state;
    static const char text[] = REQUEST "\x82\x85\0\0\0\0Hello";
    for (size_t piece = 1; piece < 2000; piece += 1500) {
        world w;
        make_listener(&w);
        raw_says(&w, text, sizeof text - 1, piece);
        assert_true(raw_got(&w, ANSWER));
        assert_int_equal(tern_buf_len(&w.ws.got), 5);
        assert_memory_equal(tern_buf_data(&w.ws.got), "Hello", 5);
        clear(&w);
    }
}

static void refuses_bad_requests(void **state)
{
    (void)state;
    static const struct {
        const char *request, *answer;
    } rows[] = {
        {"GET / HTTP/1.0\r\n" FIELDS "Sec-WebSocket-Version: 13\r\n\r\n", "HTTP/1.1 400 "},
        {"PUT / HTTP/1.1\r\n" FIELDS "Sec-WebSocket-Version: 13\r\n\r\n", "HTTP/1.1 400 "},
        {"GET / HTTP/1.1\r\n" FIELDS "Sec-WebSocket-Version: 8\r\n\r\n", "HTTP/1.1 426 "},
        {"GET / HTTP/1.1\r\n" FIELDS "\r\n", "HTTP/1.1 426 "},
        {"GET / HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\n\r\n", "HTTP/1.1 400 "},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        world w;
        make_listener(&w);
        raw_says(&w, rows[i].request, strlen(rows[i].request), 2000);
        assert_int_equal(w.accepts, 0);
        assert_int_equal(w.net[1].counters.ws_bad_handshake, 1);
        assert_true(tern_buf_len(&w.raw.got) > 13);
        assert_memory_equal(tern_buf_data(&w.raw.got), rows[i].answer, 13);
        bool version = memmem(tern_buf_data(&w.raw.got), tern_buf_len(&w.raw.got),
                              "Sec-WebSocket-Version: 13\r\n", 27) != NULL;
        assert_int_equal(version, strstr(rows[i].answer, "426") != NULL);
        assert_true(w.raw.ended);
        run_for(&w, 3 * TERN_SEC); /* who does not close is cut off */
        assert_int_equal(w.raw.closed, 1);
        clear(&w);
    }
}

/* ---- our dialler, a raw server ---- */

static void on_raw_accept(void *owner, tern_tcp *t)
{
    world *w = owner;
    tern_stream *s = tern_tcp_stream_new(w->net[1].loop, t, 1 << 20, 60 * TERN_SEC, NULL);
    assert_non_null(s);
    ear_take(&w->raw, s);
}

static void on_done(tern_op *op, const tern_error *error)
{
    world *w = TERN_CONTAINER(op, world, dial.op);
    w->done++;
    w->error = *error;
    if (error->code == 0) {
        ear_take(&w->ws, w->dial.stream);
    }
}

static int start_dial(world *w, const char *addr, const char *host)
{
    w->target = tern_multiaddr_parse(addr, NULL);
    assert_non_null(w->target);
    w->dial = (tern_dial_op){.net = &w->net[0], .addr = w->target, .host = host};
    tern_op_init(&w->dial.op, w->net[0].loop, tern_loop_now(w->net[0].loop) + 60 * TERN_SEC,
                 on_done);
    return tern_ws_transport.dial(&w->dial, &w->error);
}

static void make_dial(world *w, const char *addr, const char *host)
{
    tern_endpoint at = listening();
    make(w);
    assert_int_equal(tern_sim_add_address(w->net[0].loop, "2001:db8::1"), 0);
    assert_int_equal(tern_sim_add_address(w->net[1].loop, "2001:db8::2"), 0);
    if (strncmp(addr, "/ip6", 4) == 0) {
        assert_int_equal(tern_endpoint_parse_ip(&at, "2001:db8::2"), 0);
        at.port = PORT;
    }
    assert_int_equal(tern_tcp_listen(w->net[1].loop, &at, on_raw_accept, w, &w->raw_listener), 0);
    assert_int_equal(start_dial(w, addr, host), 0);
    run_for(w, 100 * TERN_MS);
    assert_non_null(w->raw.s);
}

/* Answers the request that the raw server has got, with the accept text that belongs to it. */
static void answer(world *w, const char *before, const char *after, size_t n, size_t piece)
{
    char text[20000], accept[TERN_WS_ACCEPT_TEXT];
    tern_http1_head head;
    tern_span key;
    ssize_t got = tern_http1_request(tern_buf_data(&w->raw.got), tern_buf_len(&w->raw.got), &head);
    assert_int_equal(got, tern_buf_len(&w->raw.got)); /* and nothing behind it */
    assert_true(tern_http1_field_get(&head, "Sec-WebSocket-Key", &key));
    assert_int_equal(tern_ws_accept_text(key, accept), 0);
    int len = snprintf(text, sizeof text, "%sSec-WebSocket-Accept: %s\r\n", before, accept);
    memcpy(text + len, after, n);
    raw_says(w, text, (size_t)len + n, piece);
}

#define SWITCH "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"

static void requests_as_written(void **state)
{
    (void)state;
    static const struct {
        const char *addr, *host, *expected;
    } rows[] = {
        {"/ip4/10.0.0.2/tcp/4001/ws", NULL, "GET / HTTP/1.1\r\nHost: 10.0.0.2:4001\r\n"},
        {"/ip4/10.0.0.2/tcp/4001/ws", "a.example", "GET / HTTP/1.1\r\nHost: a.example:4001\r\n"},
        {"/ip6/2001:db8::2/tcp/4001/ws", NULL, "GET / HTTP/1.1\r\nHost: [2001:db8::2]:4001\r\n"},
        {"/ip4/10.0.0.2/tcp/4001/ws/http-path/a%2Fb", NULL, "GET /a/b HTTP/1.1\r\n"},
        {"/ip4/10.0.0.2/tcp/4001/ws/http-path/%2Fa", NULL, "GET /a HTTP/1.1\r\n"},
        {"/ip4/10.0.0.2/tcp/4001/ws/http-path/a%20b%3F%0D%0Ac%25", NULL,
         "GET /a%20b%3F%0D%0Ac%25 HTTP/1.1\r\n"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        world w;
        char accept[TERN_WS_ACCEPT_TEXT];
        tern_http1_head head;
        make_dial(&w, rows[i].addr, rows[i].host);
        const uint8_t *p = tern_buf_data(&w.raw.got);
        size_t n = tern_buf_len(&w.raw.got), k = strlen(rows[i].expected);
        assert_true(n > k);
        assert_memory_equal(p, rows[i].expected, k);
        assert_int_equal(tern_http1_request(p, n, &head), n);
        assert_int_equal(tern_ws_check_request(&head, accept), 0);
        assert_false(tern_http1_has_token(&head, "Sec-WebSocket-Extensions", ""));
        clear(&w);
    }
}

static void hosts_that_are_none(void **state)
{
    (void)state;
    static const char *const hosts[] = {"", "a b", "a\r\nX: y", "a/b", "a:80", "a\x7f", "\xc3\xa4"};
    for (size_t i = 0; i < sizeof hosts / sizeof *hosts; i++) {
        world w;
        make(&w);
        assert_int_equal(start_dial(&w, "/ip4/10.0.0.2/tcp/4001/ws", hosts[i]), TERN_E_INVALID);
        clear(&w);
    }
}

/* The answer comes in any pieces, with the first frame right behind it. */
static void opens(void **state)
{
    (void)state;
    static const char behind[] = "Server: x\r\n\r\n\x82\x05Hello";
    for (size_t piece = 1; piece < 2000; piece += 1500) {
        world w;
        make_dial(&w, "/ip4/10.0.0.2/tcp/4001/ws", NULL);
        answer(&w, SWITCH, behind, sizeof behind - 1, piece);
        run_for(&w, 100 * TERN_MS);
        assert_int_equal(w.done, 1);
        assert_int_equal(w.error.code, 0);
        assert_int_equal(tern_buf_len(&w.ws.got), 5);
        assert_memory_equal(tern_buf_data(&w.ws.got), "Hello", 5);
        assert_int_equal(w.net[0].counters.ws_bad_handshake, 0);
        clear(&w);
    }
}

static void refuses_bad_answers(void **state)
{
    (void)state;
    static char large[9000];
    static const struct {
        const char *before, *after;
        int code;
    } rows[] = {
        {"HTTP/1.1 404 Not Found\r\n", "\r\n", TERN_E_REFUSED},
        {"HTTP/1.1 302 Found\r\nLocation: /\r\n", "\r\n", TERN_E_REFUSED},
        {"HTTP/1.1 200 OK\r\n", "\r\n", TERN_E_REFUSED},
        {"HTTP/1.0 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n",
         "\r\n", TERN_E_PROTOCOL},
        {"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\n", "\r\n", TERN_E_PROTOCOL},
        {SWITCH "Sec-WebSocket-Accept: x\r\n", "\r\n", TERN_E_PROTOCOL},
        {SWITCH, "Sec-WebSocket-Extensions: permessage-deflate\r\n\r\n", TERN_E_PROTOCOL},
        {SWITCH, "Sec-WebSocket-Protocol: x\r\n\r\n", TERN_E_PROTOCOL},
        {"\x13/multistream/1.0.0\n", "\r\n", TERN_E_MALFORMED},
        {"HTTP/1.1 101\x01\r\n", "\r\n", TERN_E_MALFORMED},
        {SWITCH, large, TERN_E_TOO_LARGE},
    };
    memset(large, 'a', sizeof large - 1);
    large[1] = ':';
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        world w;
        make_dial(&w, "/ip4/10.0.0.2/tcp/4001/ws", NULL);
        answer(&w, rows[i].before, rows[i].after, strlen(rows[i].after), 20000);
        assert_int_equal(w.done, 1);
        assert_int_equal(w.error.code, rows[i].code);
        assert_string_equal(w.error.layer, "ws");
        assert_int_equal(w.net[0].counters.ws_bad_handshake, 1);
        run_for(&w, 100 * TERN_MS);
        assert_int_equal(w.raw.closed, 1);
        clear(&w);
    }
}

static void servers_that_do_not_answer(void **state)
{
    (void)state;
    world w;
    make_dial(&w, "/ip4/10.0.0.2/tcp/4001/ws", NULL);
    run_for(&w, 9 * TERN_SEC);
    assert_int_equal(w.done, 0);
    run_for(&w, 2 * TERN_SEC);
    assert_int_equal(w.error.code, TERN_E_TIMEOUT);
    clear(&w);

    make_dial(&w, "/ip4/10.0.0.2/tcp/4001/ws", NULL);
    EAR(&w.raw, tern_stream_end(w.raw.s));
    run_for(&w, TERN_SEC);
    assert_int_equal(w.error.code, TERN_E_EOF);
    clear(&w);

    make_dial(&w, "/ip4/10.0.0.2/tcp/4001/ws", NULL);
    EAR(&w.raw, tern_stream_reset(w.raw.s, 0));
    run_for(&w, TERN_SEC);
    assert_int_equal(w.error.code, TERN_E_RESET);
    assert_int_equal(w.done, 1);
    clear(&w);
}

/* ---- both ours ---- */

static uint8_t pattern(size_t i)
{
    return (uint8_t)(i * 31 + (i >> 9));
}

static size_t push(ear *e, size_t at, size_t end)
{
    static uint8_t block[150000];
    while (at < end) {
        size_t n = end - at < sizeof block ? end - at : sizeof block;
        for (size_t i = 0; i < n; i++) {
            block[i] = pattern(at + i);
        }
        size_t taken = ear_write(e, block, n);
        at += taken;
        if (taken < n) {
            break;
        }
    }
    return at;
}

/* 10 MB each way at once, over a port that raw libp2p listens on too. */
static void bulk_on_a_shared_port(void **state)
{
    (void)state;
    enum { SIZE = 10000000 };
    world w;
    size_t sent[2] = {0, 0};
    make(&w);
    listen_on(&w, &tern_tcp_transport, "/ip4/10.0.0.2/tcp/4001", &w.second);
    listen_on(&w, &tern_ws_transport, "/ip4/10.0.0.2/tcp/4001/ws", &w.listener);
    assert_int_equal(start_dial(&w, "/ip4/10.0.0.2/tcp/4001/ws", NULL), 0);
    run_for(&w, TERN_SEC);
    assert_int_equal(w.error.code, 0);
    assert_int_equal(w.accepts, 1);
    ear *ends[2] = {&w.ws, &w.other};
    for (int turn = 0; turn < 1000 && sent[0] + sent[1] < 2 * SIZE; turn++) {
        for (int i = 0; i < 2; i++) {
            if (sent[i] == 0 || ends[i]->rooms > 0) {
                ends[i]->rooms = 0;
                sent[i] = push(ends[i], sent[i], SIZE);
            }
        }
        run_for(&w, 50 * TERN_MS);
    }
    run_for(&w, TERN_SEC);
    for (int i = 0; i < 2; i++) {
        assert_int_equal(tern_buf_len(&ends[i]->got), SIZE);
        const uint8_t *p = tern_buf_data(&ends[i]->got);
        for (size_t k = 0; k < SIZE; k++) {
            if (p[k] != pattern(k)) {
                fail_msg("byte %zu is wrong", k);
            }
        }
    }
    clear(&w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(accepts_an_upgrade),    cmocka_unit_test(bytes_behind_the_request),
        cmocka_unit_test(refuses_bad_requests),  cmocka_unit_test(requests_as_written),
        cmocka_unit_test(hosts_that_are_none),   cmocka_unit_test(opens),
        cmocka_unit_test(refuses_bad_answers),   cmocka_unit_test(servers_that_do_not_answer),
        cmocka_unit_test(bulk_on_a_shared_port),
    };
    return TERN_TEST_MAIN(tests);
}
