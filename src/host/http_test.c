/* Tests of what a node serves over HTTP, in a simulated world: requests as raw bytes, answers as
 * they come. Malformed requests: tests/sim/hostile_test.c. */
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "sim/nodes.h"

#define DELAY TERN_MS

static char folder[] = "tern_page_XXXXXX"; /* where the test runs */

enum { BIG = 3 << 20 };

static void write_file(const char *name, const void *bytes, size_t n)
{
    char path[256];
    snprintf(path, sizeof path, "%s/%s", folder, name);
    FILE *f = fopen(path, "wb");
    assert_non_null(f);
    assert_int_equal(fwrite(bytes, 1, n, f), n);
    assert_int_equal(fclose(f), 0);
}

static int make_folder(void **state)
{
    static uint8_t big[BIG];
    (void)state;
    if (mkdtemp(folder) == NULL) {
        return -1;
    }
    memset(big, 'b', sizeof big);
    write_file("index.html", "<p>tern</p>", 11);
    write_file("page.js", big, sizeof big);
    write_file("secret", "not for you", 11);
    return 0;
}

static int remove_folder(void **state)
{
    static const char *const names[] = {"index.html", "page.js", "secret"};
    char path[256];
    (void)state;
    for (size_t i = 0; i < 3; i++) {
        snprintf(path, sizeof path, "%s/%s", folder, names[i]);
        unlink(path);
    }
    rmdir(folder);
    return tern_mem_alive() == 0 ? 0 : tern_test_leak();
}

/* ---- a client ---- */

struct client {
    tern_tcp *t;
    const char *request;
    tern_buf got;
    bool ended, broken, lazy; /* lazy: does not read */
};

static void on_connected(void *owner, int code)
{
    struct client *c = owner;
    tern_span v = {(const uint8_t *)c->request, strlen(c->request)};
    assert_int_equal(code, 0);
    if (!c->lazy) {
        tern_tcp_read(c->t);
    }
    assert_int_equal(tern_tcp_write(c->t, &v, 1), v.len);
}

static void on_data(void *owner, uint8_t *data, size_t n)
{
    struct client *c = owner;
    assert_int_equal(tern_buf_append(&c->got, data, n), 0);
}

static void on_end(void *owner)
{
    struct client *c = owner;
    c->ended = true;
    tern_tcp_close(c->t, false);
    c->t = NULL;
}

static void on_error(void *owner, int code)
{
    (void)code;
    ((struct client *)owner)->broken = true;
}

static const tern_tcp_events client_events = {
    .on_connected = on_connected, .on_data = on_data, .on_end = on_end, .on_error = on_error};

struct world {
    sim_nodes w;
    sim_node *n;
    tern_loop *other;
    struct client c;
};

static void setup(struct world *t, const tern_options *o)
{
    tern_error error;
    memset(t, 0, sizeof *t);
    sim_nodes_init(&t->w, DELAY);
    t->n = sim_nodes_add(&t->w, "10.0.0.1", o);
    if (tern_node_listen(t->n->node, "/ip4/10.0.0.1/tcp/4001/ws", NULL, 0, &error) != 0 ||
        tern_node_listen(t->n->node, "/ip4/127.0.0.1/tcp/4001", NULL, 0, &error) != 0) {
        fail_msg("%s", error.text);
    }
    assert_int_equal(tern_sim_host(t->w.sim, "10.0.0.2", &t->other), 0);
}

static void start(struct world *t, struct client *c, tern_loop *from, const char *ip,
                  const char *request)
{
    tern_endpoint to;
    c->request = request;
    tern_buf_init(&c->got, 0);
    assert_int_equal(tern_endpoint_parse_ip(&to, ip), 0);
    to.port = SIM_NODE_PORT;
    assert_int_equal(tern_tcp_dial(from, &to, NULL, &client_events, c, &c->t), 0);
    (void)t;
}

/* One request; the answer, ended by a zero byte, until the next one. */
static const char *ask_from(struct world *t, tern_loop *from, const char *ip, const char *request)
{
    tern_buf_free(&t->c.got);
    memset(&t->c, 0, sizeof t->c);
    start(t, &t->c, from, ip, request);
    sim_nodes_run(&t->w, TERN_SEC);
    assert_true(t->c.ended);
    assert_int_equal(tern_buf_append(&t->c.got, "", 1), 0);
    return (const char *)tern_buf_data(&t->c.got);
}

static const char *ask(struct world *t, const char *request)
{
    return ask_from(t, t->other, "10.0.0.1", request);
}

static void teardown(struct world *t)
{
    assert_int_equal(t->n->node->answers.count, 0);
    tern_buf_free(&t->c.got);
    sim_nodes_clear(&t->w);
}

static const char *body_of(const char *answer)
{
    const char *body = strstr(answer, "\r\n\r\n");
    assert_non_null(body);
    return body + 4;
}

static bool begins(const char *text, const char *with)
{
    return strncmp(text, with, strlen(with)) == 0;
}

/* ---- the page ---- */

static void test_page(void **state)
{
    struct world t;
    tern_options o;
    (void)state;
    tern_options_init(&o);
    o.page = folder;
    setup(&t, &o);
    const char *answer = ask(&t, "GET / HTTP/1.1\r\nHost: x\r\n\r\n");
    assert_true(begins(answer, "HTTP/1.1 200 OK\r\n"));
    assert_non_null(strstr(answer, "\r\nContent-Type: text/html; charset=utf-8\r\n"));
    assert_non_null(strstr(answer, "\r\nContent-Length: 11\r\n"));
    assert_non_null(strstr(answer, "\r\nX-Content-Type-Options: nosniff\r\n"));
    assert_string_equal(body_of(answer), "<p>tern</p>");
    assert_string_equal(body_of(ask(&t, "GET /index.html?a=b HTTP/1.0\r\n\r\n")), "<p>tern</p>");
    assert_int_equal(sim_counters(t.n)->http_requests, 2);
    char url[128];
    assert_true(tern_node_page(t.n->node, url, sizeof url));
    assert_string_equal(url, "http://10.0.0.1:4001/");
    teardown(&t);
}

static void test_large_file(void **state)
{
    struct world t;
    tern_options o;
    (void)state;
    tern_options_init(&o);
    o.page = folder;
    setup(&t, &o);
    const char *answer = ask(&t, "GET /page.js HTTP/1.1\r\nHost: x\r\n\r\n");
    assert_true(begins(answer, "HTTP/1.1 200 OK\r\n"));
    assert_int_equal(strlen(body_of(answer)), BIG);
    answer = ask(&t, "HEAD /page.js HTTP/1.1\r\nHost: x\r\n\r\n");
    assert_non_null(strstr(answer, "\r\nContent-Length: 3145728\r\n"));
    assert_string_equal(body_of(answer), "");
    teardown(&t);
}

static void test_nothing_else(void **state)
{
    static const char *const paths[] = {"/secret",      "/../secret", "/page.css", "/%2e%2e/secret",
                                        "//index.html", "/index",     "*",         "/metrics"};
    struct world t;
    tern_options o;
    (void)state;
    tern_options_init(&o);
    o.page = folder;
    setup(&t, &o);
    for (size_t i = 0; i < sizeof paths / sizeof *paths; i++) {
        char request[128];
        snprintf(request, sizeof request, "GET %s HTTP/1.1\r\nHost: x\r\n\r\n", paths[i]);
        assert_true(begins(ask(&t, request), "HTTP/1.1 404 Not Found\r\n"));
    }
    teardown(&t);
}

static void test_methods(void **state)
{
    struct world t;
    tern_options o;
    (void)state;
    tern_options_init(&o);
    o.page = folder;
    setup(&t, &o);
    const char *answer = ask(&t, "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\n\r\nabc");
    assert_true(begins(answer, "HTTP/1.1 405 Method Not Allowed\r\n"));
    assert_non_null(strstr(answer, "\r\nAllow: GET, HEAD\r\n"));
    assert_true(begins(ask(&t, "DELETE / HTTP/1.1\r\nHost: x\r\n\r\n"), "HTTP/1.1 405"));
    assert_true(begins(ask(&t, "GET /\r\n\r\n"), "HTTP/1.1 400"));
    teardown(&t);
}

static void test_node_json(void **state)
{
    struct world t;
    tern_options o;
    char id[TERN_PEER_ID_TEXT], want[256];
    (void)state;
    tern_options_init(&o);
    o.page = folder;
    o.agent = "a \"quoted\" \\ agent";
    setup(&t, &o);
    const char *body = body_of(ask(&t, "GET /node.json HTTP/1.1\r\nHost: x\r\n\r\n"));
    snprintf(want, sizeof want, "{\"peer\":\"%s\",\"agent\":\"a \\\"quoted\\\" \\\\ agent\",",
             tern_peer_id_text(&t.n->id, id));
    assert_true(begins(body, want));
    snprintf(want, sizeof want, "\"/ip4/10.0.0.1/tcp/4001/ws/p2p/%s\"", id);
    assert_non_null(strstr(body, want));
    teardown(&t);
}

/* ---- health and metrics ---- */

static void test_metrics_to_loopback_only(void **state)
{
    struct world t;
    tern_options o;
    (void)state;
    tern_options_init(&o);
    o.metrics = true;
    setup(&t, &o);
    static const char request[] = "GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n";
    assert_true(begins(ask(&t, request), "HTTP/1.1 404"));
    const char *answer = ask_from(&t, t.n->host, "127.0.0.1", request);
    assert_true(begins(answer, "HTTP/1.1 200 OK\r\nContent-Type: text/plain; version=0.0.4"));
    assert_non_null(strstr(answer, "\n# TYPE tern_http_requests_total counter\n"));
    assert_non_null(strstr(answer, "\ntern_http_requests_total 2\n"));
    assert_non_null(strstr(answer, "\ntern_connections 0\n"));
    assert_string_equal(body_of(ask(&t, "GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n")), "ok\n");
    assert_true(begins(ask(&t, "GET / HTTP/1.1\r\nHost: x\r\n\r\n"), "HTTP/1.1 404"));
    assert_true(begins(ask(&t, "GET /node.json HTTP/1.1\r\nHost: x\r\n\r\n"), "HTTP/1.1 404"));
    teardown(&t);
}

static void test_metrics_to_all(void **state)
{
    struct world t;
    tern_options o;
    (void)state;
    tern_options_init(&o);
    o.metrics_public = true;
    setup(&t, &o);
    assert_true(begins(ask(&t, "GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n"), "HTTP/1.1 200"));
    teardown(&t);
}

static void test_nothing_served(void **state)
{
    struct world t;
    (void)state;
    setup(&t, NULL);
    assert_true(begins(ask(&t, "GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n"), "HTTP/1.1 404"));
    assert_false(tern_node_page(t.n->node, (char[8]){0}, 8));
    teardown(&t);
}

/* ---- peers that take their time ---- */

static void test_slow_readers_are_bounded(void **state)
{
    enum { MANY = 70 };
    static struct client clients[MANY];
    struct world t;
    tern_options o;
    (void)state;
    tern_options_init(&o);
    o.page = folder;
    o.max_pending = 200;
    o.max_pending_per_ip = 200;
    setup(&t, &o);
    tern_sim_set_default_link(t.w.sim, &(tern_sim_link){.delay = DELAY, .tcp_buffer = 10000});
    memset(clients, 0, sizeof clients);
    for (size_t i = 0; i < MANY; i++) {
        clients[i].lazy = true;
        start(&t, &clients[i], t.other, "10.0.0.1", "GET /page.js HTTP/1.1\r\nHost: x\r\n\r\n");
    }
    sim_nodes_run(&t.w, TERN_SEC);
    assert_int_equal(t.n->node->answers.count, 64);
    assert_int_equal(sim_counters(t.n)->evicted_answers, MANY - 64);
    assert_true(begins(ask(&t, "GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n"), "HTTP/1.1 200"));
    assert_int_equal(sim_counters(t.n)->evicted_answers, MANY - 64 + 1); /* the oldest made place */
    sim_nodes_run(&t.w, 70 * TERN_SEC);
    assert_int_equal(t.n->node->answers.count, 0);
    for (size_t i = 0; i < MANY; i++) {
        tern_tcp_close(clients[i].t, true);
        tern_buf_free(&clients[i].got);
    }
    teardown(&t);
}

static void test_stop_while_answering(void **state)
{
    struct world t;
    tern_options o;
    (void)state;
    tern_options_init(&o);
    o.page = folder;
    setup(&t, &o);
    tern_sim_set_default_link(t.w.sim, &(tern_sim_link){.delay = DELAY, .tcp_buffer = 10000});
    struct client lazy = {.lazy = true};
    start(&t, &lazy, t.other, "10.0.0.1", "GET /page.js HTTP/1.1\r\nHost: x\r\n\r\n");
    sim_nodes_run(&t.w, TERN_SEC);
    assert_int_equal(t.n->node->answers.count, 1);
    sim_node_end(t.n);
    tern_tcp_close(lazy.t, true);
    sim_nodes_clear(&t.w);
}

static void test_no_such_page(void **state)
{
    tern_sim *sim;
    tern_loop *host;
    tern_node *node;
    tern_options o;
    tern_error error;
    (void)state;
    assert_int_equal(tern_sim_new(1, &sim), 0);
    assert_int_equal(tern_sim_host(sim, "10.0.0.1", &host), 0);
    tern_options_init(&o);
    o.page = "tern_nowhere";
    assert_int_equal(tern_node_new_on(host, &o, &node, &error), TERN_E_NOT_FOUND);
    assert_non_null(strstr(error.text, "tern_nowhere/index.html"));
    tern_sim_free(sim);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_page),
        cmocka_unit_test(test_large_file),
        cmocka_unit_test(test_nothing_else),
        cmocka_unit_test(test_methods),
        cmocka_unit_test(test_node_json),
        cmocka_unit_test(test_metrics_to_loopback_only),
        cmocka_unit_test(test_metrics_to_all),
        cmocka_unit_test(test_nothing_served),
        cmocka_unit_test(test_slow_readers_are_bounded),
        cmocka_unit_test(test_stop_while_answering),
        cmocka_unit_test(test_no_such_page),
    };
    return cmocka_run_group_tests(tests, make_folder, remove_folder);
}
