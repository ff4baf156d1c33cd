/* Tests of what a node serves over HTTPS, in a simulated world: files of the page to readers fast
 * and slow, readers that leave. What HTTP has in common with it:
 * http_test.c. */
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "secure/tls_handshake.h"
#include "sim/nodes.h"
#include "streams/tcp.h"
#include "suite/ear.h"
#include "suite/web_cert.h"
#include "transport/web_tls.h"

enum { BIG = 3 << 20, SIP = 5000 };

static char folder[] = "tern_https_XXXXXX"; /* where the test runs */

static void write_file(const char *name, const void *bytes, size_t n)
{
    char path[256];
    snprintf(path, sizeof path, "%s/%s", folder, name);
    FILE *f = fopen(path, "wb");
    assert_non_null(f);
    assert_int_equal(fwrite(bytes, 1, n, f), n);
    assert_int_equal(fclose(f), 0);
}

static uint8_t byte_at(size_t i)
{
    return (uint8_t)(i * 131 + (i >> 11));
}

static int make_folder(void **state)
{
    static uint8_t big[BIG];
    (void)state;
    if (mkdtemp(folder) == NULL) {
        return -1;
    }
    for (size_t i = 0; i < BIG; i++) {
        big[i] = byte_at(i);
    }
    write_file("index.html", "<p>tern</p>", 11);
    write_file("page.js", big, sizeof big);
    return 0;
}

static int remove_folder(void **state)
{
    char path[256];
    (void)state;
    snprintf(path, sizeof path, "%s/index.html", folder);
    unlink(path);
    snprintf(path, sizeof path, "%s/page.js", folder);
    unlink(path);
    rmdir(folder);
    return tern_mem_alive() == 0 ? 0 : tern_test_leak();
}

/* A node at 10.0.0.1 and a client that has shaken hands with it. */
typedef struct world {
    sim_nodes nodes;
    sim_node *n;
    tern_net net; /* the client's */
    tern_tcp_dial_op dial;
    tern_tls_handshake tls;
    unsigned shaken;
    ear ear;
} world;

static void on_shaken(tern_tls_handshake *h, const tern_error *error)
{
    world *w = h->owner;
    if (error != NULL) {
        fail_msg("%s", error->text);
    }
    w->shaken++;
    ear_take(&w->ear, h->stream);
}

static void on_dialled(tern_op *op, const tern_error *error)
{
    static const char *const alpn[] = {"http/1.1", NULL};
    const tern_tls_options options = {.alpn = alpn, .server_name = "localhost"};
    world *w = TERN_CONTAINER(op, world, dial.op);
    assert_int_equal(error->code, 0);
    w->tls = (tern_tls_handshake){
        .lower = w->dial.stream, .counters = &w->net.counters, .done = on_shaken, .owner = w};
    assert_int_equal(tern_tls_handshake_start(&w->tls, tern_web_client(&w->net), &options), 0);
    tern_tls_handshake_attach(&w->tls);
}

static void make(world *w)
{
    web_cert cert;
    tern_options o;
    tern_error error;
    tern_options_init(&o);
    o.page = folder;
    memset(w, 0, sizeof *w);
    ear_init(&w->ear);
    sim_nodes_init(&w->nodes, TERN_MS);
    tern_sim_set_default_link(w->nodes.sim,
                              &(tern_sim_link){.delay = TERN_MS, .tcp_buffer = 20000});
    w->n = sim_nodes_add(&w->nodes, "-10.0.0.1", &o);
    assert_int_equal(tern_sim_host(w->nodes.sim, "10.0.0.9", &w->net.loop), 0);
    tern_loop *loop = w->net.loop;
    tern_net_init(&w->net);
    w->net.loop = loop;
    web_cert_make(&cert, "DNS:localhost", 0, 0);
    tern_span chain = {(const uint8_t *)cert.chain, strlen(cert.chain)};
    assert_int_equal(tern_node_set_certificate(w->n->node, cert.chain, cert.key, &error), 0);
    assert_int_equal(tern_web_set_authorities(&w->net, chain), 0);
    web_cert_clear(&cert);
}

/* The client sends a request; it takes `take` bytes at a time of what comes. */
static void ask(world *w, const char *request, size_t take)
{
    tern_endpoint at;
    tern_error error;
    if (tern_node_listen(w->n->node, "/ip4/10.0.0.1/tcp/4001/tls/ws", NULL, 0, &error) != 0) {
        fail_msg("%s", error.text);
    }
    assert_int_equal(tern_endpoint_parse_ip(&at, "10.0.0.1"), 0);
    at.port = SIM_NODE_PORT;
    w->dial = (tern_tcp_dial_op){.to = at, .write_queue = 1 << 20, .stall = 600 * TERN_SEC};
    tern_op_init(&w->dial.op, w->net.loop, TERN_NEVER, on_dialled);
    assert_int_equal(tern_tcp_stream_dial(&w->dial, NULL), 0);
    assert_true(sim_nodes_wait(&w->nodes, &w->shaken, 1, TERN_SEC));
    w->ear.take = take;
    assert_int_equal(ear_write(&w->ear, request, strlen(request)), strlen(request));
}

static void clear(world *w)
{
    ear_clear(&w->ear);
    sim_nodes_run(&w->nodes, TERN_SEC);
    assert_int_equal(w->n->node->answers.count, 0);
    tern_web_free(&w->net);
    sim_nodes_clear(&w->nodes);
}

static void check_file(const world *w)
{
    const char *got = (const char *)tern_buf_data(&w->ear.got);
    size_t n = tern_buf_len(&w->ear.got);
    assert_true(n > BIG);
    const uint8_t *body = (const uint8_t *)got + n - BIG;
    assert_memory_equal(body - 4, "\r\n\r\n", 4);
    assert_memory_equal(got, "HTTP/1.1 200 OK\r\n", 17);
    for (size_t i = 0; i < BIG; i++) {
        if (body[i] != byte_at(i)) {
            fail_msg("byte %zu differs", i);
        }
    }
}

static const char big_file[] = "GET /page.js HTTP/1.1\r\nHost: localhost\r\n\r\n";

/* All of it, and then the end. */
static void a_file(void **state)
{
    char url[128];
    world w;
    (void)state;
    make(&w);
    ask(&w, big_file, SIZE_MAX);
    assert_true(tern_node_page(w.n->node, url, sizeof url));
    assert_string_equal(url, "https://localhost:4001/");
    sim_nodes_run(&w.nodes, 20 * TERN_SEC);
    assert_true(w.ear.ended);
    assert_int_equal(w.net.counters.tls_truncated, 0);
    check_file(&w);
    clear(&w);
}

/* Who reads slowly gets all of it. */
static void a_slow_reader(void **state)
{
    world w;
    (void)state;
    make(&w);
    ask(&w, big_file, SIP);
    sim_nodes_run(&w.nodes, TERN_SEC);
    size_t sips = 0;
    for (; !w.ear.ended && sips < 2 * BIG / SIP; sips++) {
        EAR(&w.ear, tern_stream_resume(w.ear.s));
        sim_nodes_run(&w.nodes, 5 * TERN_MS);
    }
    assert_true(w.ear.ended);
    assert_true(sips > BIG / SIP / 2);
    check_file(&w);
    clear(&w);
}

/* Who does not read is cut off. */
static void no_reader(void **state)
{
    world w;
    (void)state;
    make(&w);
    ask(&w, big_file, 0);
    sim_nodes_run(&w.nodes, 30 * TERN_SEC);
    assert_int_equal(w.n->node->answers.count, 1);
    sim_nodes_run(&w.nodes, 40 * TERN_SEC);
    assert_int_equal(w.n->node->answers.count, 0);
    clear(&w);
}

/* Who leaves in the middle leaves nothing behind. */
static void a_reader_who_leaves(void **state)
{
    world w;
    (void)state;
    make(&w);
    ask(&w, big_file, 0);
    sim_nodes_run(&w.nodes, TERN_SEC);
    assert_int_equal(w.n->node->answers.count, 1);
    clear(&w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_file),
        cmocka_unit_test(a_slow_reader),
        cmocka_unit_test(no_reader),
        cmocka_unit_test(a_reader_who_leaves),
    };
    return cmocka_run_group_tests(tests, make_folder, remove_folder);
}
