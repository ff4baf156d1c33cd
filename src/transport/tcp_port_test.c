/* The shared TCP port in the simulated world: who gets which connection, whole and byte by byte,
 * what is refused and counted, what times out, and who makes place for whom. In one file: every
 * test works with the same world of guests and attackers. */
#include "transport/tcp_port.h"

#include "base/test.h"
#include "loop/sim.h"
#include "streams/tcp.h"
#include "suite/ear.h"

enum { PORT = 4001, GUESTS = 12 };

typedef struct guest {
    ear ear;
    tern_tcp_dial_op dial;
} guest;

/* One host listens; three others are guests. */
typedef struct world {
    tern_sim *sim;
    tern_loop *hosts[3];
    tern_net net;
    tern_tcp_port *port;
    guest guests[GUESTS];
    size_t guest_count;
    ear got[3]; /* the last stream of: raw, ws, http */
    unsigned count[3];
    char target[100];
    tern_endpoint local, remote;
    uint64_t deadline;
} world;

enum { RAW = TERN_TCP_RAW, WS = TERN_TCP_WS, HTTP };

static world *current; /* for net->http, which has no owner */

static void keep(world *w, int kind, tern_stream *s, const tern_http1_head *head)
{
    w->count[kind]++;
    ear_clear(&w->got[kind]);
    ear_init(&w->got[kind]);
    if (head != NULL) {
        assert_true(head->target.len < sizeof w->target);
        memcpy(w->target, head->target.data, head->target.len);
        w->target[head->target.len] = '\0';
    }
    ear_take(&w->got[kind], s);
}

static void on_raw(void *owner, tern_stream *s, const tern_http1_head *head,
                   const tern_endpoint *local, const tern_endpoint *remote, uint64_t deadline)
{
    world *w = owner;
    w->deadline = deadline;
    assert_null(head);
    w->local = *local;
    w->remote = *remote;
    keep(w, RAW, s, NULL);
}

static void on_ws(void *owner, tern_stream *s, const tern_http1_head *head,
                  const tern_endpoint *local, const tern_endpoint *remote, uint64_t deadline)
{
    world *w = owner;
    w->deadline = deadline;
    (void)local;
    (void)remote;
    keep(owner, WS, s, head);
}

static void on_http(tern_net *net, tern_stream *s, const tern_http1_head *head,
                    const tern_endpoint *remote)
{
    assert_ptr_equal(net, &current->net);
    current->remote = *remote;
    keep(current, HTTP, s, head);
}

static const tern_tcp_class_events raw_events = {.on_stream = on_raw};
static const tern_tcp_class_events ws_events = {.on_stream = on_ws};

static tern_endpoint endpoint(const char *ip, uint16_t port)
{
    tern_endpoint e;
    assert_int_equal(tern_endpoint_parse_ip(&e, ip), 0);
    e.port = port;
    return e;
}

static int join(world *w, const char *ip, uint16_t port, enum tern_tcp_class class,
                tern_tcp_port **ret)
{
    tern_endpoint at = endpoint(ip, port);
    return tern_tcp_port_join(&w->net, &at, class, class == TERN_TCP_RAW ? &raw_events : &ws_events,
                              w, ret, NULL);
}

static void make(world *w)
{
    static const char *const ips[] = {"10.0.0.1", "10.0.0.2", "10.0.0.3"};
    const tern_sim_link link = {.delay = TERN_MS};
    memset(w, 0, sizeof *w);
    current = w;
    assert_int_equal(tern_sim_new(1, &w->sim), 0);
    tern_sim_set_default_link(w->sim, &link);
    for (int i = 0; i < 3; i++) {
        assert_int_equal(tern_sim_host(w->sim, ips[i], &w->hosts[i]), 0);
        ear_init(&w->got[i]);
    }
    assert_int_equal(tern_sim_host(w->sim, "10.0.0.9", &w->net.loop), 0);
    tern_net_init(&w->net);
    w->net.http = on_http;
}

static void make_port(world *w)
{
    make(w);
    assert_int_equal(join(w, "0.0.0.0", PORT, TERN_TCP_RAW, &w->port), 0);
    assert_int_equal(join(w, "0.0.0.0", PORT, TERN_TCP_WS, &w->port), 0);
}

static void run_for(world *w, uint64_t time)
{
    tern_sim_run(w->sim, tern_sim_now(w->sim) + time, NULL, NULL);
}

static void clear(world *w)
{
    if (w->port != NULL) {
        tern_tcp_port_leave(w->port, TERN_TCP_RAW);
        if (w->net.ports != NULL) {
            tern_tcp_port_leave(w->port, TERN_TCP_WS);
        }
    }
    assert_null(w->net.ports);
    for (size_t i = 0; i < w->guest_count; i++) {
        ear_clear(&w->guests[i].ear);
    }
    for (int i = 0; i < 3; i++) {
        ear_clear(&w->got[i]);
    }
    run_for(w, 60 * TERN_SEC);
    tern_sim_free(w->sim);
}

static void on_dialled(tern_op *op, const tern_error *error)
{
    guest *g = TERN_CONTAINER(op, guest, dial.op);
    assert_int_equal(error->code, 0);
    ear_take(&g->ear, g->dial.stream);
}

/* A connection from one of the hosts. */
static ear *visit(world *w, int host)
{
    assert_true(w->guest_count < GUESTS);
    guest *g = &w->guests[w->guest_count++];
    ear_init(&g->ear);
    g->dial = (tern_tcp_dial_op){
        .to = endpoint("10.0.0.9", PORT), .write_queue = 1 << 20, .stall = 60 * TERN_SEC};
    tern_op_init(&g->dial.op, w->hosts[host], TERN_NEVER, on_dialled);
    assert_int_equal(tern_tcp_stream_dial(&g->dial, NULL), 0);
    run_for(w, 10 * TERN_MS);
    assert_non_null(g->ear.s);
    return &g->ear;
}

/* Writes in pieces that arrive one by one. */
static void say(world *w, ear *e, const char *text, size_t n, size_t piece)
{
    for (size_t at = 0; at < n && e->s != NULL; at += piece) {
        size_t k = piece < n - at ? piece : n - at;
        assert_int_equal(ear_write(e, text + at, k), k);
        run_for(w, 5 * TERN_MS);
    }
}

static bool begins(const ear *e, const char *text)
{
    size_t n = strlen(text);
    return tern_buf_len(&e->got) >= n && (n == 0 || memcmp(tern_buf_data(&e->got), text, n) == 0);
}

#define UPGRADE                                                                                    \
    "GET /up HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: upgrade\r\n"                 \
    "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"

/* ---- who gets what ---- */

static void classes(void **state)
{
    (void)state;
    enum { NOBODY = -1 };
    static const struct {
        const char *text;
        size_t n;
        int kind;
        const char *rest; /* what the class gets to read */
    } rows[] = {
#define ROW(text, kind, rest) {text, sizeof(text) - 1, kind, rest}
        ROW("\x13/multistream/1.0.0\n\x07/noise\n", RAW, "\x13/multistream/1.0.0\n\x07/noise\n"),
        ROW("\x13/m", RAW, "\x13/m"),
        ROW("GET /page HTTP/1.1\r\nHost: x\r\n\r\n", HTTP, ""),
        ROW("POST /x HTTP/1.1\r\nContent-Length: 4\r\n\r\nbody", HTTP, "body"),
        ROW("HEAD / HTTP/1.0\r\n\r\n", HTTP, ""),
        ROW(UPGRADE, WS, ""),
        ROW(UPGRADE "behind", WS, "behind"),
        ROW("\x13/x", NOBODY, NULL),
        ROW("\x13\x2f\x6e", NOBODY, NULL),
        ROW("\x00", NOBODY, NULL),
        ROW("hello", NOBODY, NULL),
        ROW("get / HTTP/1.1\r\n\r\n", NOBODY, NULL),
        ROW("SSH-2.0-x\r\n", NOBODY, NULL),
        ROW("GEX", NOBODY, NULL),
        ROW("\x16\x03\x01\x02\x00", NOBODY, NULL), /* TLS */
        ROW("\x16\x04", NOBODY, NULL),
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        for (size_t piece = 1; piece < 2000; piece += piece < 4 ? 1 : 1996) {
            world w;
            make_port(&w);
            ear *e = visit(&w, 0);
            say(&w, e, rows[i].text, rows[i].n, piece);
            run_for(&w, TERN_SEC);
            for (int kind = RAW; kind <= HTTP; kind++) {
                assert_int_equal(w.count[kind], kind == rows[i].kind);
            }
            if (rows[i].kind != NOBODY) {
                assert_true(begins(&w.got[rows[i].kind], rows[i].rest));
                assert_int_equal(tern_buf_len(&w.got[rows[i].kind].got), strlen(rows[i].rest));
                assert_int_equal(w.net.counters.first_bytes_unknown, 0);
                assert_non_null(e->s);
            } else {
                assert_int_equal(w.net.counters.first_bytes_unknown, 1);
                assert_int_equal(e->closed, 1);
            }
            assert_int_equal(w.net.counters.accepts, 1);
            assert_int_equal(w.net.counters.http_requests, rows[i].kind == HTTP);
            clear(&w);
        }
    }
}

static void endpoints_are_told(void **state)
{
    (void)state;
    world w;
    make_port(&w);
    say(&w, visit(&w, 1), "\x13/m", 3, 3);
    tern_endpoint expected = endpoint("10.0.0.9", PORT);
    assert_true(tern_endpoint_eq(&w.local, &expected));
    tern_endpoint_parse_ip(&expected, "10.0.0.2");
    expected.port = w.remote.port;
    assert_true(tern_endpoint_eq(&w.remote, &expected));
    say(&w, visit(&w, 2), "GET / HTTP/1.1\r\n\r\n", 18, 18);
    assert_string_equal(w.target, "/");
    assert_int_equal(w.remote.ip[3], 3);
    clear(&w);
}

/* Bytes go both ways on what was handed over. */
static void handed_over_streams_work(void **state)
{
    (void)state;
    world w;
    make_port(&w);
    ear *e = visit(&w, 0);
    say(&w, e, "\x13/m", 3, 1);
    say(&w, e, "more", 4, 4);
    assert_true(begins(&w.got[RAW], "\x13/mmore"));
    assert_int_equal(ear_write(&w.got[RAW], "answer", 6), 6);
    run_for(&w, TERN_SEC);
    assert_true(begins(e, "answer"));
    EAR(e, tern_stream_end(e->s));
    run_for(&w, 30 * TERN_SEC); /* the visitor's deadline is gone */
    assert_true(w.got[RAW].ended);
    assert_int_equal(w.net.counters.first_bytes_timeout, 0);
    clear(&w);
}

static void classes_that_nobody_has(void **state)
{
    (void)state;
    world w;
    make(&w);
    assert_int_equal(join(&w, "0.0.0.0", PORT, TERN_TCP_WS, &w.port), 0);
    ear *e = visit(&w, 0);
    say(&w, e, "\x13/m", 3, 3);
    assert_int_equal(e->closed, 1);
    assert_int_equal(w.net.counters.first_bytes_unknown, 1);
    assert_int_equal(join(&w, "0.0.0.0", PORT, TERN_TCP_RAW, &w.port), 0);
    tern_tcp_port_leave(w.port, TERN_TCP_WS);
    say(&w, visit(&w, 0), UPGRADE, sizeof UPGRADE - 1, 2000);
    assert_int_equal(w.count[HTTP], 1); /* a request that may be answered without upgrading */
    clear(&w);
}

/* ---- answers of the port itself ---- */

static void check_answer(const char *request, size_t piece, const char *status)
{
    world w;
    make_port(&w);
    w.net.http = NULL;
    ear *e = visit(&w, 0);
    say(&w, e, request, strlen(request), piece);
    run_for(&w, TERN_SEC);
    if (!begins(e, status)) {
        fail_msg("not %s but %.*s", status, (int)tern_buf_len(&e->got), tern_buf_data(&e->got));
    }
    assert_true(e->ended);
    assert_int_equal(e->closed, 0); /* the end is a polite one */
    EAR(e, tern_stream_end(e->s));
    run_for(&w, TERN_SEC);
    assert_int_equal(e->why.code, 0);
    assert_int_equal(w.count[HTTP] + w.count[WS] + w.count[RAW], 0);
    assert_int_equal(w.net.counters.http_malformed, strstr(status, "400") != NULL);
    assert_int_equal(w.net.counters.http_too_large, strstr(status, "431") != NULL);
    assert_int_equal(w.net.counters.http_requests, strstr(status, "404") != NULL);
    clear(&w);
}

static void answers(void **state)
{
    (void)state;
    static char large[9000];
    memset(large, 'a', sizeof large - 1);
    memcpy(large, "GET /", 5);
    for (size_t piece = 1; piece < 3000; piece += 2000) {
        check_answer("GET / HTTP/1.1\r\n\r\n", piece, "HTTP/1.1 404 ");
        check_answer("DELETE /x HTTP/1.1\r\nA: b\r\n\r\n", piece, "HTTP/1.1 404 ");
        check_answer("GET / HTTP/2.0\r\n\r\n", piece, "HTTP/1.1 400 ");
        check_answer("GET  / HTTP/1.1\r\n\r\n", piece, "HTTP/1.1 400 ");
        check_answer("GET / HTTP/1.1\r\nA : b\r\n\r\n", piece, "HTTP/1.1 400 ");
        check_answer("GET / HTTP/1.1\r\nA: b\r\n c\r\n\r\n", piece, "HTTP/1.1 400 ");
        check_answer("GET /\x01 HTTP/1.1", piece, "HTTP/1.1 400 ");
    }
    check_answer(large, 1000, "HTTP/1.1 431 ");
    check_answer(large, sizeof large, "HTTP/1.1 431 ");
}

/* Who does not close after his answer is cut off; what he sends meanwhile is dropped. */
static void answered_and_stays(void **state)
{
    (void)state;
    world w;
    make_port(&w);
    w.net.http = NULL;
    ear *e = visit(&w, 0);
    say(&w, e, "GET / HTTP/1.1\r\n\r\nGET / HTTP/1.1\r\n\r\n", 36, 40);
    say(&w, e, "GET / HTTP/1.1\r\n\r\n", 18, 18);
    assert_int_equal(w.net.counters.http_requests, 1);
    run_for(&w, TERN_SEC);
    assert_int_equal(e->closed, 0);
    run_for(&w, 2 * TERN_SEC);
    assert_int_equal(e->closed, 1);
    assert_int_equal(e->why.code, TERN_E_RESET);
    clear(&w);
}

/* ---- time ---- */

static void silent_ones_time_out(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        uint64_t first_bytes, http;
    } rows[] = {{"", 1, 0},   {"\x13", 1, 0}, {"\x13/", 1, 0},
                {"GE", 1, 0}, {"GET", 0, 1},  {"GET / HTTP/1.1\r\nA: b\r\n", 0, 1}};
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        world w;
        make_port(&w);
        w.net.limits.upgrade_time = 3 * TERN_SEC;
        ear *e = visit(&w, 0);
        say(&w, e, rows[i].text, strlen(rows[i].text), 100);
        run_for(&w, 2900 * TERN_MS);
        assert_int_equal(e->closed, 0);
        run_for(&w, 200 * TERN_MS);
        assert_int_equal(e->closed, 1);
        assert_int_equal(w.net.counters.first_bytes_timeout, rows[i].first_bytes);
        assert_int_equal(w.net.counters.http_timeout, rows[i].http);
        clear(&w);
    }
}

/* A byte now and then does not prolong anything. */
static void drips_time_out(void **state)
{
    (void)state;
    world w;
    make_port(&w);
    ear *e = visit(&w, 0);
    say(&w, e, "GET /", 5, 5);
    for (int i = 0; i < 11 && e->s != NULL; i++) {
        assert_int_equal(ear_write(e, "x", 1), 1);
        run_for(&w, TERN_SEC);
    }
    assert_int_equal(e->closed, 1);
    assert_int_equal(w.net.counters.http_timeout, 1);
    clear(&w);
}

/* The time counts from accept on, whoever has the connection by then: what was spent on silence
 * before the first bytes, and on a request, is not given a second time. */
static void one_deadline_for_all_stages(void **state)
{
    (void)state;
    world w;
    make_port(&w);
    w.net.limits.upgrade_time = 10 * TERN_SEC;
    uint64_t accepted = tern_sim_now(w.sim);
    ear *raw = visit(&w, 0), *ws = visit(&w, 1), *http = visit(&w, 2);
    run_for(&w, 4 * TERN_SEC);
    say(&w, raw, "\x13/m", 3, 3);
    run_for(&w, TERN_SEC);
    assert_int_equal(w.count[RAW], 1);
    assert_in_range(w.deadline, accepted + 10 * TERN_SEC, accepted + 10 * TERN_SEC + 100 * TERN_MS);
    say(&w, ws, "GET / HTTP/1.1\r\nUpgrade: ", 25, 25);
    say(&w, http, "GET / HTTP/1.1\r\nUpgrade: ", 25, 25);
    run_for(&w, 4 * TERN_SEC);
    w.deadline = 0;
    say(&w, ws, "websocket\r\n\r\n", 13, 13);
    run_for(&w, 100 * TERN_MS);
    assert_int_equal(w.count[WS], 1);
    assert_in_range(w.deadline, accepted + 10 * TERN_SEC, accepted + 10 * TERN_SEC + 100 * TERN_MS);
    assert_int_equal(http->closed, 0);
    run_for(&w, TERN_SEC);
    assert_int_equal(http->closed, 1);
    assert_int_equal(w.net.counters.http_timeout, 1);
    clear(&w);
}

/* Nor does being turned away: the time to read the answer ends with the others'. */
static void an_answer_ends_in_time(void **state)
{
    (void)state;
    world w;
    make_port(&w);
    ear *e = visit(&w, 0);
    run_for(&w, 9500 * TERN_MS);
    e->take = 0; /* reads nothing, and stays */
    say(&w, e, "GET / HTTP/9.9\r\n\r\n", 18, 18);
    run_for(&w, 300 * TERN_MS);
    assert_int_equal(w.net.counters.http_malformed, 1);
    assert_int_equal(w.net.pending.count, 1);
    run_for(&w, 300 * TERN_MS);
    assert_int_equal(w.net.pending.count, 0);
    clear(&w);
}

static void leaving_is_no_fault(void **state)
{
    (void)state;
    static const char *const texts[] = {"", "\x13/", "GET / HT"};
    for (size_t i = 0; i < 6; i++) {
        world w;
        make_port(&w);
        ear *e = visit(&w, 0);
        say(&w, e, texts[i / 2], strlen(texts[i / 2]), 100);
        if (i % 2 == 0) {
            EAR(e, tern_stream_end(e->s));
        } else {
            EAR(e, tern_stream_reset(e->s, 0));
        }
        run_for(&w, 30 * TERN_SEC);
        assert_int_equal(e->closed, 1);
        assert_int_equal(w.net.counters.first_bytes_timeout + w.net.counters.http_timeout +
                             w.net.counters.first_bytes_unknown + w.net.counters.http_malformed,
                         0);
        clear(&w);
    }
}

/* ---- crowds ---- */

static void the_busiest_makes_place(void **state)
{
    (void)state;
    world w;
    make_port(&w);
    w.net.limits.pending = 4;
    ear *lonely = visit(&w, 0);
    ear *first = visit(&w, 1), *second = visit(&w, 1);
    ear *other = visit(&w, 2);
    assert_int_equal(w.net.counters.accept_limit, 0);
    ear *newest = visit(&w, 0);
    assert_int_equal(first->closed, 1); /* the oldest of host 1, which had two */
    assert_int_equal(lonely->closed + second->closed + other->closed + newest->closed, 0);
    assert_int_equal(w.net.counters.accept_limit, 1);
    visit(&w, 1);
    assert_int_equal(lonely->closed, 1); /* now host 0 had two */
    assert_int_equal(w.net.counters.accept_limit, 2);
    say(&w, second, "\x13/m", 3, 3); /* who has said what he is counts no more */
    visit(&w, 2);
    assert_int_equal(w.net.counters.accept_limit, 2);
    assert_int_equal(second->closed, 0);
    clear(&w);
}

static void a_flood_harms_itself(void **state)
{
    (void)state;
    world w;
    make_port(&w);
    w.net.limits.pending = 3;
    ear *honest = visit(&w, 0);
    for (int i = 0; i < 10; i++) {
        visit(&w, 1);
    }
    assert_int_equal(w.net.counters.accept_limit, 8);
    say(&w, honest, "\x13/m", 3, 1);
    assert_int_equal(w.count[RAW], 1);
    clear(&w);
}

/* Refused requests that linger are in the crowd too. */
static void the_answered_count(void **state)
{
    (void)state;
    world w;
    make_port(&w);
    w.net.http = NULL;
    w.net.limits.pending = 2;
    ear *a = visit(&w, 0);
    say(&w, a, "GET / HTTP/1.1\r\n\r\n", 18, 18);
    ear *b = visit(&w, 0);
    visit(&w, 1);
    assert_int_equal(a->closed, 1);
    assert_int_equal(b->closed, 0);
    clear(&w);
}

/* ---- sharing ---- */

static void sharing(void **state)
{
    (void)state;
    world w;
    tern_tcp_port *raw, *ws, *other;
    make(&w);
    assert_int_equal(join(&w, "0.0.0.0", PORT, TERN_TCP_RAW, &raw), 0);
    assert_int_equal(join(&w, "0.0.0.0", PORT, TERN_TCP_WS, &ws), 0);
    assert_ptr_equal(raw, ws);
    assert_int_equal(join(&w, "0.0.0.0", PORT, TERN_TCP_RAW, &other), TERN_E_ADDRINUSE);
    assert_int_equal(join(&w, "0.0.0.0", PORT, TERN_TCP_WS, &other), TERN_E_ADDRINUSE);
    tern_tcp_port_leave(raw, TERN_TCP_RAW); /* ws goes on */
    say(&w, visit(&w, 0), UPGRADE, sizeof UPGRADE - 1, 2000);
    assert_int_equal(w.count[WS], 1);
    assert_int_equal(join(&w, "0.0.0.0", PORT, TERN_TCP_RAW, &other), 0);
    assert_ptr_equal(other, ws);
    tern_tcp_port_leave(ws, TERN_TCP_WS);
    tern_tcp_port_leave(ws, TERN_TCP_RAW);
    assert_null(w.net.ports);
    assert_int_equal(join(&w, "0.0.0.0", PORT, TERN_TCP_RAW, &w.port), 0);
    clear(&w);
}

static void sharing_of_port_0(void **state)
{
    (void)state;
    world w;
    tern_tcp_port *raw, *ws, *second, *elsewhere;
    tern_endpoint local, more;
    make(&w);
    assert_int_equal(join(&w, "10.0.0.9", 0, TERN_TCP_RAW, &raw), 0);
    assert_int_equal(join(&w, "10.0.0.9", 0, TERN_TCP_WS, &ws), 0);
    assert_ptr_equal(raw, ws);
    assert_int_equal(join(&w, "10.0.0.9", 0, TERN_TCP_RAW, &second), 0);
    assert_ptr_not_equal(raw, second);
    tern_tcp_port_local(raw, &local);
    tern_tcp_port_local(second, &more);
    assert_true(local.port != 0 && more.port != 0 && local.port != more.port);
    assert_int_equal(join(&w, "127.0.0.1", 0, TERN_TCP_WS, &elsewhere), 0);
    assert_ptr_not_equal(elsewhere, second);
    tern_tcp_port_leave(raw, TERN_TCP_RAW);
    tern_tcp_port_leave(ws, TERN_TCP_WS);
    tern_tcp_port_leave(second, TERN_TCP_RAW);
    tern_tcp_port_leave(elsewhere, TERN_TCP_WS);
    clear(&w);
}

static void closing_with_visitors(void **state)
{
    (void)state;
    world w;
    make_port(&w);
    w.net.http = NULL;
    ear *silent = visit(&w, 0), *partly = visit(&w, 1), *answered = visit(&w, 2);
    say(&w, partly, "GET /", 5, 5);
    say(&w, answered, "GET / HTTP/1.1\r\n\r\n", 18, 18);
    tern_tcp_port_leave(w.port, TERN_TCP_RAW);
    tern_tcp_port_leave(w.port, TERN_TCP_WS);
    w.port = NULL;
    assert_null(w.net.ports);
    run_for(&w, TERN_SEC);
    assert_int_equal(silent->closed + partly->closed + answered->closed, 3);
    clear(&w);
}

static void dialling_from_the_port(void **state)
{
    (void)state;
    static const struct {
        const char *listen, *to;
        uint16_t to_port;
        bool found;
    } rows[] = {
        {"0.0.0.0", "10.0.0.1", PORT, true},     {"0.0.0.0", "127.0.0.1", 9, true},
        {"0.0.0.0", "127.0.0.1", PORT, false},   {"10.0.0.9", "10.0.0.1", 9, true},
        {"10.0.0.9", "127.0.0.1", 9, false},     {"10.0.0.9", "10.0.0.9", PORT, false},
        {"127.0.0.1", "10.0.0.1", 9, false},     {"127.0.0.1", "127.0.0.1", 9, true},
        {"127.0.0.1", "127.0.0.1", PORT, false}, {"0.0.0.0", "2001:db8::1", 9, false},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        world w;
        tern_endpoint from, to = endpoint(rows[i].to, rows[i].to_port);
        make(&w);
        assert_false(tern_tcp_port_dial_from(&w.net, &to, &from));
        assert_int_equal(join(&w, rows[i].listen, PORT, TERN_TCP_RAW, &w.port), 0);
        assert_int_equal(tern_tcp_port_dial_from(&w.net, &to, &from), rows[i].found);
        if (rows[i].found) {
            tern_endpoint at = endpoint(rows[i].listen, PORT);
            assert_true(tern_endpoint_eq(&from, &at));
        }
        clear(&w);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(classes),
        cmocka_unit_test(endpoints_are_told),
        cmocka_unit_test(handed_over_streams_work),
        cmocka_unit_test(classes_that_nobody_has),
        cmocka_unit_test(answers),
        cmocka_unit_test(answered_and_stays),
        cmocka_unit_test(silent_ones_time_out),
        cmocka_unit_test(drips_time_out),
        cmocka_unit_test(one_deadline_for_all_stages),
        cmocka_unit_test(an_answer_ends_in_time),
        cmocka_unit_test(leaving_is_no_fault),
        cmocka_unit_test(the_busiest_makes_place),
        cmocka_unit_test(a_flood_harms_itself),
        cmocka_unit_test(the_answered_count),
        cmocka_unit_test(sharing),
        cmocka_unit_test(sharing_of_port_0),
        cmocka_unit_test(closing_with_visitors),
        cmocka_unit_test(dialling_from_the_port),
    };
    return TERN_TEST_MAIN(tests);
}
