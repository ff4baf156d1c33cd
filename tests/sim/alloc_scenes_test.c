/* Every allocation fails in turn, tern's and OpenSSL's, over what two nodes do: each security,
 * muxer and road, echoes with half closes, resets, perf, identify/push, stops amid a transfer,
 * dials that fail, dials that cross, names, the page. Nothing crashes, leaks or hangs; every
 * question is answered; and when memory is back, the same two nodes connect and ping.
 *
 * alloc_failure_test.c has the first of these, and the birth of a node. OpenSSL makes thousands of
 * allocations for a TLS handshake: some of them fail here, all with ALL=1 (make soak). */
#include <stdio.h>
#include <stdlib.h>

#include <openssl/crypto.h>
#include <tern/perf.h>

#include "sim/fixed.h"
#include "sim/nodes.h"

#define DELAY   (5 * TERN_MS)
#define ECHO_ID "/scene/echo/1.0.0"
#define PUSH_ID "/scene/push/1.0.0"

enum { BULK = 5000, OPENSSL_RUNS = 120 };

enum doing { TALK, RESET, PERF, PUSH, STOP, CROSS, REFUSED, NOBODY, NAMES, PAGE };

typedef struct scene {
    const char *name;
    enum doing doing;
    const char *security, *muxer;
    bool ws, psk, openssl; /* openssl: its allocations fail too */
} scene;

static const scene scenes[] = {
    {"noise yamux echo", TALK, "noise", "yamux", 0, 0, 1},
    {"noise yamux reset", RESET, "noise", "yamux", 0, 0, 0},
    {"noise yamux perf", PERF, "noise", "yamux", 0, 0, 0},
    {"noise yamux push", PUSH, "noise", "yamux", 0, 0, 0},
    {"noise yamux stop", STOP, "noise", "yamux", 0, 0, 0},
    {"noise mplex echo", TALK, "noise", "mplex", 0, 0, 0},
    {"noise mplex reset", RESET, "noise", "mplex", 0, 0, 0},
    {"noise mplex stop", STOP, "noise", "mplex", 0, 0, 0},
    {"tls yamux echo", TALK, "tls", "yamux", 0, 0, 1},
    {"tls yamux push", PUSH, "tls", "yamux", 0, 0, 0},
    {"tls yamux stop", STOP, "tls", "yamux", 0, 0, 0},
    {"tls mplex perf", PERF, "tls", "mplex", 0, 0, 0},
    {"any cross", CROSS, NULL, NULL, 0, 0, 0},
    {"ws noise yamux echo", TALK, "noise", "yamux", 1, 0, 0},
    {"ws tls yamux perf", PERF, "tls", "yamux", 1, 0, 1},
    {"ws any stop", STOP, NULL, NULL, 1, 0, 0},
    {"psk echo", TALK, NULL, NULL, 0, 1, 0},
    {"refused", REFUSED, NULL, NULL, 0, 0, 0},
    {"nobody there", NOBODY, NULL, NULL, 0, 0, 0},
    {"by name", NAMES, NULL, NULL, 0, 0, 0},
    {"page", PAGE, NULL, NULL, 0, 0, 0},
};
enum { SCENES = sizeof scenes / sizeof *scenes };

typedef struct life {
    const scene *scene;
    sim_nodes w;
    sim_node *a, *b;
    char ws[256];
    unsigned asked, answered, failed, echoing, closed;
    tern_stream *talk; /* NULL when there is none */
    size_t got;
    tern_tcp *raw; /* the page's reader */
} life;

static tern_key *keys[2];
static char folder[] = "/tmp/tern-scenes-XXXXXX";

/* ---- OpenSSL's memory ---- */

static size_t ssl_made, ssl_fail_at;

static bool refused(void)
{
    return ++ssl_made == ssl_fail_at;
}

static void *ssl_allocate(size_t n, const char *file, int line)
{
    (void)file;
    (void)line;
    return refused() ? NULL : malloc(n);
}

static void *ssl_resize(void *p, size_t n, const char *file, int line)
{
    (void)file;
    (void)line;
    return refused() ? NULL : realloc(p, n);
}

static void ssl_release(void *p, const char *file, int line)
{
    (void)file;
    (void)line;
    free(p);
}

/* ---- what is answered ---- */

static void answered(life *l, int code)
{
    l->answered++;
    l->failed += code != 0;
}

static void dialled(void *owner, tern_conn *conn, const tern_error *error,
                    const tern_dial_report *reports, size_t report_count)
{
    (void)reports;
    (void)report_count;
    assert_true((conn != NULL) == (error->code == 0));
    answered(owner, error->code);
}

static void measured(void *owner, const tern_perf_result *result, const tern_error *error)
{
    if (error->code == 0) {
        assert_int_equal(result->sent, BULK);
        assert_int_equal(result->received, BULK);
    }
    answered(owner, error->code);
}

static size_t echo_on_data(void *owner, tern_stream *s, uint8_t *data, size_t n)
{
    (void)owner;
    return tern_stream_write(s, data, n);
}

static void echo_on_room(void *owner, tern_stream *s)
{
    (void)owner;
    tern_stream_resume(s);
}

static void echo_on_end(void *owner, tern_stream *s)
{
    (void)owner;
    tern_stream_end(s);
}

static void echo_on_closed(void *owner, tern_stream *s, const tern_error *why)
{
    (void)s;
    assert_non_null(why->layer);
    ((life *)owner)->echoing--;
}

static void on_echo(void *ctx, tern_node *node, tern_conn *conn, tern_stream *s)
{
    static const tern_stream_events events = {echo_on_data, echo_on_end, echo_on_room,
                                              echo_on_closed};
    life *l = ctx;
    (void)node;
    (void)conn;
    l->echoing++;
    tern_stream_take(s, &events, l);
}

static size_t talk_on_data(void *owner, tern_stream *s, uint8_t *data, size_t n)
{
    life *l = owner;
    (void)s;
    for (size_t i = 0; i < n; i++) {
        assert_int_equal(data[i], (uint8_t)((l->got + i) * 7));
    }
    l->got += n;
    return n;
}

static void talk_on_closed(void *owner, tern_stream *s, const tern_error *why)
{
    life *l = owner;
    assert_ptr_equal(s, l->talk);
    l->talk = NULL;
    l->closed++;
    if (why->code == 0) {
        assert_int_equal(l->got, BULK);
    }
}

static void talk_opened(void *owner, tern_stream *s, const tern_error *error)
{
    static const tern_stream_events events = {.on_data = talk_on_data, .on_closed = talk_on_closed};
    life *l = owner;
    uint8_t bytes[BULK];
    answered(l, error->code);
    if (s == NULL) {
        return;
    }
    for (size_t i = 0; i < BULK; i++) {
        bytes[i] = (uint8_t)(i * 7);
    }
    l->talk = s;
    tern_stream_take(s, &events, l);
    if (tern_stream_write(s, bytes, BULK) < BULK) {
        tern_stream_reset(s, 1); /* memory, or a window smaller than this */
    } else {
        tern_stream_end(s);
    }
}

/* ---- acts ---- */

static void dial(life *l, sim_node *from, const char *text)
{
    int code = tern_node_dial(from->node, &text, 1, 0, true, dialled, l, NULL);
    assert_true(code == 0 || code == TERN_E_NOMEM);
    l->asked += code == 0;
}

static void talk(life *l)
{
    if (l->a->conn != NULL &&
        tern_node_open(l->a->node, l->a->conn, ECHO_ID, talk_opened, l, NULL) != NULL) {
        l->asked++;
    }
}

static void perf(life *l)
{
    if (l->a->conn != NULL &&
        tern_node_perf(l->a->node, l->a->conn, BULK, BULK, NULL, measured, l, NULL) == 0) {
        l->asked++;
    }
}

static void raw_close(life *l)
{
    if (l->raw != NULL) {
        tern_tcp_close(l->raw, false);
        l->raw = NULL;
    }
}

static void raw_connected(void *owner, int code)
{
    static const char request[] = "GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n";
    const tern_span v = {(const uint8_t *)request, sizeof request - 1};
    life *l = owner;
    if (code != 0 || tern_tcp_write(l->raw, &v, 1) != (ssize_t)v.len) {
        raw_close(l);
        return;
    }
    tern_tcp_read(l->raw);
}

static void raw_data(void *owner, uint8_t *data, size_t n)
{
    (void)data;
    ((life *)owner)->got += n;
}

static void raw_end(void *owner)
{
    raw_close(owner);
}

static void raw_writable(void *owner)
{
    (void)owner;
}

static void raw_error(void *owner, int code)
{
    (void)code;
    raw_close(owner);
}

static void page(life *l)
{
    static const tern_tcp_events events = {raw_connected, raw_data, raw_end, raw_writable,
                                           raw_error};
    tern_endpoint to = {.family = 4, .ip = {10, 0, 0, 2}, .port = SIM_NODE_PORT};
    if (tern_tcp_dial(l->w.clock, &to, NULL, &events, l, &l->raw) != 0) {
        l->raw = NULL;
    }
}

/* What may fail at every step. */
static void live(life *l)
{
    static const char *const elsewhere[] = {[REFUSED] = "/ip4/10.0.0.2/tcp/9",
                                            [NOBODY] = "/ip4/10.9.9.9/tcp/9",
                                            [NAMES] = "/dnsaddr/b.example",
                                            [PAGE] = NULL};
    enum doing doing = l->scene->doing;
    const char *text = elsewhere[doing] != NULL ? elsewhere[doing]
                       : l->scene->ws           ? l->ws
                                                : l->b->addr;
    if (doing == PAGE) {
        page(l);
        sim_nodes_run(&l->w, 20 * TERN_SEC);
        return;
    }
    dial(l, l->a, text);
    if (doing == CROSS) {
        dial(l, l->b, l->a->addr);
    }
    sim_nodes_run(&l->w, 20 * TERN_SEC);
    if (doing == TALK || doing == RESET || doing == STOP) {
        talk(l);
        sim_nodes_run(&l->w, doing == TALK ? 5 * TERN_SEC : 3 * DELAY);
    }
    if (doing == RESET && l->talk != NULL) {
        tern_stream_reset(l->talk, 3);
    }
    if (doing == PERF || doing == STOP) {
        perf(l);
    }
    if (doing == PUSH) {
        int code = tern_node_handle(l->b->node, PUSH_ID, NULL, on_echo, l);
        assert_true(code == 0 || code == TERN_E_NOMEM);
    }
    if (doing == STOP) {
        tern_node_stop(l->b->node);
    }
    sim_nodes_run(&l->w, 5 * TERN_SEC);
    tern_node_disconnect(l->a->node, &l->b->id);
    sim_nodes_run(&l->w, TERN_SEC);
}

/* ---- one life ---- */

static void begin(life *l, const scene *s)
{
    static const uint8_t psk[TERN_PSK] = {7};
    tern_options o;
    memset(l, 0, sizeof *l);
    l->scene = s;
    tern_options_init(&o);
    sim_fixed_random(1);
    sim_nodes_init(&l->w, DELAY);
    o.security = s->security;
    o.muxer = s->muxer;
    o.psk = s->psk ? psk : NULL;
    o.page = s->doing == PAGE ? folder : NULL;
    o.key = keys[0];
    l->a = sim_nodes_add(&l->w, "10.0.0.1", &o);
    o.key = keys[1];
    l->b = sim_nodes_add(&l->w, "10.0.0.2", &o);
    assert_int_equal(tern_node_handle(l->b->node, ECHO_ID, NULL, on_echo, l), 0);
    assert_int_equal(tern_node_serve_perf(l->b->node), 0);
    if (s->ws) {
        assert_int_equal(
            tern_node_listen(l->b->node, "/ip4/10.0.0.2/tcp/4001/ws", l->ws, sizeof l->ws, NULL),
            0);
    }
    if (s->doing == NAMES) {
        char record[300];
        snprintf(record, sizeof record, "dnsaddr=%s", l->b->addr);
        assert_int_equal(tern_sim_add_txt(l->w.sim, "_dnsaddr.b.example", record), 0);
    }
}

/* Past every deadline all is answered and over; then the nodes talk again, unless one has gone. */
static void finish(life *l, bool reached)
{
    sim_dial d;
    sim_ping p;
    sim_nodes_run(&l->w, 60 * TERN_SEC);
    raw_close(l);
    assert_int_equal(l->answered, l->asked);
    assert_int_equal(l->echoing, 0);
    assert_null(l->talk);
    assert_int_equal(l->a->connected, l->a->disconnected);
    assert_int_equal(l->b->connected, l->b->disconnected);
    assert_int_equal(l->b->node->swarm->pending_count, 0);
    if (!reached && l->scene->doing == TALK) {
        assert_int_equal(l->got, BULK);
    }
    if (!reached && l->scene->doing != STOP) {
        bool dead_end = l->scene->doing == REFUSED || l->scene->doing == NOBODY;
        assert_int_equal(l->failed, dead_end ? 1 : 0);
    }
    if (!reached && l->scene->doing == PAGE) {
        assert_true(l->got > 0);
    }
    if (l->b->stopped == 0) {
        sim_nodes_dial_one(l->a, l->scene->ws ? l->ws : l->b->addr, &d);
        if (d.error.code != 0) {
            fail_msg("the next dial: %s: %s", d.error.layer, d.error.text);
        }
        sim_nodes_ping(l->a, d.conn, &p);
        assert_int_equal(p.error.code, 0);
    }
    sim_nodes_clear(&l->w);
}

/* Whether the n-th allocation of tern's was reached. */
static bool fail_ours(const scene *s, size_t n)
{
    life l;
    begin(&l, s);
    tern_mem_fail_at(n, 0);
    live(&l);
    bool reached = tern_mem_count() >= n;
    tern_mem_fail_at(0, 0);
    finish(&l, reached);
    return reached;
}

/* The same of OpenSSL's; returns how many it made. */
static size_t fail_theirs(const scene *s, size_t n)
{
    life l;
    begin(&l, s);
    ssl_made = 0;
    ssl_fail_at = n;
    live(&l);
    size_t made = ssl_made;
    ssl_fail_at = 0;
    finish(&l, n > 0 && made >= n);
    return made;
}

static void test_scene(void **state)
{
    const scene *s = *state;
    size_t n = 1;
    while (fail_ours(s, n)) {
        fprintf(stderr, "# %s: allocation %zu\n", s->name, n);
        n++;
    }
    assert_true(n > 10);
    printf("# %s: %zu allocations failed\n", s->name, n - 1);
    if (!s->openssl) {
        return;
    }
    size_t made = fail_theirs(s, 0);
    size_t step = getenv("ALL") != NULL ? 1 : made / OPENSSL_RUNS + 1, runs = 0;
    for (size_t at = 1; at <= made; at += step) {
        fprintf(stderr, "# %s: OpenSSL's allocation %zu\n", s->name, at);
        fail_theirs(s, at);
        runs++;
    }
    printf("# %s: %zu of OpenSSL's %zu allocations failed\n", s->name, runs, made);
}

static int make(void **state)
{
    char path[80];
    (void)state;
    keys[0] = sim_fixed_key(0);
    keys[1] = sim_fixed_key(1);
    if (keys[0] == NULL || keys[1] == NULL || mkdtemp(folder) == NULL) {
        return 1;
    }
    snprintf(path, sizeof path, "%s/index.html", folder);
    FILE *f = fopen(path, "we");
    return f == NULL || fputs("<p>scene</p>", f) < 0 || fclose(f) != 0;
}

static int clear(void **state)
{
    char path[80];
    (void)state;
    snprintf(path, sizeof path, "%s/index.html", folder);
    remove(path);
    remove(folder);
    tern_key_unref(keys[0]);
    tern_key_unref(keys[1]);
    return tern_mem_alive() == 0 ? 0 : tern_test_leak();
}

int main(void)
{
    static struct CMUnitTest tests[SCENES];
    static scene copies[SCENES];
    if (CRYPTO_set_mem_functions(ssl_allocate, ssl_resize, ssl_release) != 1) {
        return 1;
    }
    for (size_t i = 0; i < SCENES; i++) {
        copies[i] = scenes[i];
        tests[i] = (struct CMUnitTest){scenes[i].name, test_scene, NULL, NULL, &copies[i]};
    }
    return cmocka_run_group_tests(tests, make, clear);
}
