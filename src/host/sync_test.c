/* Tests of the blocking helpers: two real nodes, each on a thread of its own, over loopback. Meant
 * to be run under ThreadSanitizer as well. */
#include <netinet/in.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include <tern/tern.h>

#include "base/test.h"

enum { LONG = 60000, SHORT = 5, BULK = 5 << 20, PIECE = 10000 };

#define ECHO "/test/echo/1"

struct pair {
    tern_node *a, *b; /* a dials b, which serves ECHO */
    tern_peer_id a_id, b_id;
    char b_addr[256];
};

static tern_node *start_node(void)
{
    tern_options o;
    tern_node *node;
    tern_error error;
    tern_options_init(&o);
    if (tern_node_new(&o, &node, &error) != 0 || tern_node_start(node) != 0) {
        fail_msg("%s", error.text);
    }
    return node;
}

static void must(int code, const tern_error *error)
{
    if (code != 0) {
        fail_msg("%s: %s", error->layer, error->text);
    }
}

static void setup(struct pair *p)
{
    tern_error error;
    memset(p, 0, sizeof *p);
    p->a = start_node();
    p->b = start_node();
    tern_node_peer_id(p->a, &p->a_id);
    tern_node_peer_id(p->b, &p->b_id);
    must(tern_sync_listen(p->b, "/ip4/127.0.0.1/tcp/0", p->b_addr, sizeof p->b_addr, &error),
         &error);
    must(tern_sync_serve(p->b, ECHO, &error), &error);
}

static void teardown(struct pair *p)
{
    tern_node_free(p->a);
    tern_node_free(p->b);
    assert_int_equal(tern_mem_alive(), 0);
}

static void connect_pair(struct pair *p)
{
    tern_error error;
    tern_peer_id peer;
    must(tern_sync_dial(p->a, p->b_addr, LONG, &peer, &error), &error);
    assert_true(tern_peer_id_equal(&peer, &p->b_id));
}

static void open_pipe(struct pair *p, tern_pipe **at_a, tern_pipe **at_b)
{
    tern_error error;
    must(tern_sync_open(p->a, &p->b_id, ECHO, at_a, &error), &error);
    must(tern_sync_accept(p->b, ECHO, LONG, at_b, &error), &error);
}

static void read_all(tern_pipe *pipe, void *out, size_t n)
{
    size_t got = 0;
    while (got < n) {
        ssize_t k = tern_pipe_read(pipe, (uint8_t *)out + got, n - got, LONG);
        assert_true(k > 0);
        got += (size_t)k;
    }
}

/* ---- talking ---- */

static void test_ping(void **state)
{
    struct pair p;
    tern_error error;
    uint64_t rtt = 0;
    (void)state;
    setup(&p);
    connect_pair(&p);
    must(tern_sync_ping(p.a, &p.b_id, &rtt, &error), &error);
    assert_true(rtt > 0);
    must(tern_sync_ping(p.a, &p.b_id, NULL, &error), &error);
    teardown(&p);
}

static void test_echo(void **state)
{
    struct pair p;
    tern_pipe *a, *b;
    char got[16] = {0};
    (void)state;
    setup(&p);
    connect_pair(&p);
    open_pipe(&p, &a, &b);
    assert_int_equal(tern_pipe_write(a, "question", 8, LONG), 8);
    read_all(b, got, 8);
    assert_string_equal(got, "question");
    assert_int_equal(tern_pipe_write(b, "answer", 6, LONG), 6);
    memset(got, 0, sizeof got);
    read_all(a, got, 6);
    assert_string_equal(got, "answer");
    tern_pipe_end(a);
    assert_int_equal(tern_pipe_read(b, got, 1, LONG), 0); /* the end, as often as it is asked */
    assert_int_equal(tern_pipe_read(b, got, 1, LONG), 0);
    assert_int_equal(tern_pipe_write(a, "x", 1, LONG), TERN_E_STATE);
    assert_int_equal(tern_pipe_write(b, "still", 5, LONG), 5); /* the other half is open */
    read_all(a, got, 5);
    tern_pipe_end(b);
    assert_int_equal(tern_pipe_read(a, got, 1, LONG), 0);
    tern_pipe_free(a);
    tern_pipe_free(b);
    teardown(&p);
}

static uint8_t pattern(size_t i)
{
    return (uint8_t)(i * 167 + (i >> 8) * 13);
}

/* Both return what went wrong, NULL = nothing. */
static const char *write_bulk(tern_pipe *pipe)
{
    uint8_t *bytes = malloc(PIECE);
    for (size_t at = 0; at < BULK; at += PIECE) {
        size_t n = BULK - at < PIECE ? BULK - at : PIECE;
        for (size_t i = 0; i < n; i++) {
            bytes[i] = pattern(at + i);
        }
        if (tern_pipe_write(pipe, bytes, n, LONG) != (ssize_t)n) {
            free(bytes);
            return "a write failed";
        }
    }
    tern_pipe_end(pipe);
    free(bytes);
    return NULL;
}

static const char *read_bulk(tern_pipe *pipe)
{
    static _Thread_local uint8_t bytes[PIECE];
    size_t at = 0;
    ssize_t n;
    while ((n = tern_pipe_read(pipe, bytes, sizeof bytes, LONG)) > 0) {
        for (ssize_t i = 0; i < n; i++, at++) {
            if (bytes[i] != pattern(at)) {
                return "a byte differs";
            }
        }
    }
    return n < 0 ? "a read failed" : at != BULK ? "not all came" : NULL;
}

static void *write_bulk_thread(void *arg)
{
    return (void *)(uintptr_t)write_bulk(arg);
}

static void *read_bulk_thread(void *arg)
{
    return (void *)(uintptr_t)read_bulk(arg);
}

/* Both directions at once: each end has a thread that writes and one that reads. */
static void test_bulk_both_ways(void **state)
{
    struct pair p;
    tern_pipe *a, *b;
    pthread_t threads[3];
    void *faults[3];
    (void)state;
    setup(&p);
    connect_pair(&p);
    open_pipe(&p, &a, &b);
    assert_int_equal(pthread_create(&threads[0], NULL, write_bulk_thread, a), 0);
    assert_int_equal(pthread_create(&threads[1], NULL, write_bulk_thread, b), 0);
    assert_int_equal(pthread_create(&threads[2], NULL, read_bulk_thread, a), 0);
    const char *fault = read_bulk(b);
    for (int i = 0; i < 3; i++) {
        assert_int_equal(pthread_join(threads[i], &faults[i]), 0);
        assert_null(faults[i]);
    }
    assert_null(fault);
    tern_pipe_free(a);
    tern_pipe_free(b);
    teardown(&p);
}

static void test_several_pipes(void **state)
{
    struct pair p;
    tern_pipe *a[8], *b[8];
    char got[2];
    (void)state;
    setup(&p);
    connect_pair(&p);
    for (int i = 0; i < 8; i++) {
        open_pipe(&p, &a[i], &b[i]);
    }
    for (int i = 7; i >= 0; i--) {
        char text[2] = {(char)('a' + i), 0};
        assert_int_equal(tern_pipe_write(a[i], text, 2, LONG), 2);
        read_all(b[i], got, 2);
        assert_string_equal(got, text);
    }
    for (int i = 0; i < 8; i++) {
        tern_pipe_free(i % 2 != 0 ? a[i] : b[i]);
        tern_pipe_free(i % 2 != 0 ? b[i] : a[i]);
    }
    teardown(&p);
}

/* ---- time ---- */

static void test_timeouts(void **state)
{
    struct pair p;
    tern_pipe *a, *b, *none;
    tern_error error;
    static uint8_t zeros[1 << 20];
    char got[4];
    (void)state;
    setup(&p);
    connect_pair(&p);
    assert_int_equal(tern_sync_accept(p.b, ECHO, SHORT, &none, &error), TERN_E_TIMEOUT);
    assert_null(none);
    open_pipe(&p, &a, &b);
    assert_int_equal(tern_pipe_read(a, got, 4, SHORT), TERN_E_TIMEOUT);
    /* Nobody reads: some day no more is taken. */
    ssize_t code = 0;
    for (int i = 0; i < 1000 && code >= 0; i++) {
        code = tern_pipe_write(a, zeros, sizeof zeros, SHORT);
    }
    assert_int_equal(code, TERN_E_TIMEOUT);
    tern_pipe_free(a);
    tern_pipe_free(b);
    teardown(&p);
}

/* ---- orders of freeing ---- */

static void test_freed_without_end_is_a_reset(void **state)
{
    struct pair p;
    tern_pipe *a, *b;
    char got[8];
    (void)state;
    setup(&p);
    connect_pair(&p);
    open_pipe(&p, &a, &b);
    tern_pipe_free(a);
    assert_int_equal(tern_pipe_read(b, got, 8, LONG), TERN_E_RESET);
    ssize_t code = 0;
    while ((code = tern_pipe_write(b, got, 8, LONG)) > 0) { /* until it is noticed */
    }
    assert_int_equal(code, TERN_E_RESET);
    tern_pipe_free(b);
    teardown(&p);
}

static void test_freed_after_end_delivers(void **state)
{
    struct pair p;
    tern_pipe *a, *b;
    uint8_t *bytes = calloc(1, 200000);
    (void)state;
    setup(&p);
    connect_pair(&p);
    open_pipe(&p, &a, &b);
    assert_int_equal(tern_pipe_write(a, bytes, 200000, LONG), 200000);
    tern_pipe_end(a);
    tern_pipe_free(a); /* what was written arrives all the same */
    read_all(b, bytes, 200000);
    assert_int_equal(tern_pipe_read(b, bytes, 1, LONG), 0);
    tern_pipe_free(b);
    free(bytes);
    teardown(&p);
}

static void test_pipes_outlive_their_nodes(void **state)
{
    struct pair p;
    tern_pipe *a, *b;
    char got[8] = {0};
    (void)state;
    setup(&p);
    connect_pair(&p);
    open_pipe(&p, &a, &b);
    assert_int_equal(tern_pipe_write(b, "last", 4, LONG), 4);
    read_all(a, got, 1);
    tern_node_free(p.b);
    p.b = NULL;
    read_all(a, got + 1, 3); /* what had come */
    assert_string_equal(got, "last");
    assert_int_equal(tern_pipe_read(a, got, 8, LONG), TERN_E_CONN_CLOSED);
    assert_true(tern_pipe_read(b, got, 8, LONG) < 0);
    assert_true(tern_pipe_write(b, "x", 1, LONG) < 0);
    tern_pipe_end(b);
    tern_node_free(p.a);
    p.a = NULL;
    assert_true(tern_pipe_read(a, got, 8, LONG) < 0);
    tern_pipe_free(a);
    tern_pipe_free(b);
    teardown(&p);
}

static void test_unaccepted_pipes(void **state)
{
    struct pair p;
    tern_pipe *a[3];
    tern_error error;
    uint64_t rtt;
    (void)state;
    setup(&p);
    connect_pair(&p);
    for (int i = 0; i < 3; i++) {
        must(tern_sync_open(p.a, &p.b_id, ECHO, &a[i], &error), &error);
    }
    must(tern_sync_ping(p.a, &p.b_id, &rtt, &error), &error); /* they have arrived */
    tern_pipe_free(a[1]);
    tern_node_free(p.b);
    p.b = NULL;
    tern_pipe_free(a[0]);
    tern_pipe_free(a[2]);
    tern_pipe_free(NULL);
    teardown(&p);
}

/* At most 64 wait. */
static void test_too_many_wait(void **state)
{
    enum { MANY = 66 };
    struct pair p;
    tern_pipe *a[MANY], *b;
    tern_error error;
    char got;
    unsigned refused = 0;
    (void)state;
    setup(&p);
    connect_pair(&p);
    for (int i = 0; i < MANY; i++) {
        must(tern_sync_open(p.a, &p.b_id, ECHO, &a[i], &error), &error);
    }
    for (int i = 64; i < MANY; i++) {
        refused += tern_pipe_read(a[i], &got, 1, LONG) == TERN_E_RESET;
    }
    assert_int_equal(refused, 2);
    for (int i = 0; i < 64; i++) {
        must(tern_sync_accept(p.b, ECHO, LONG, &b, &error), &error);
        tern_pipe_free(b);
    }
    assert_int_equal(tern_sync_accept(p.b, ECHO, SHORT, &b, &error), TERN_E_TIMEOUT);
    for (int i = 0; i < MANY; i++) {
        tern_pipe_free(a[i]);
    }
    teardown(&p);
}

/* ---- errors ---- */

static void test_errors(void **state)
{
    struct pair p;
    tern_pipe *pipe;
    tern_error error;
    uint64_t rtt;
    char at[256];
    (void)state;
    setup(&p);
    assert_int_equal(tern_sync_ping(p.a, &p.b_id, &rtt, &error), TERN_E_NOT_FOUND);
    assert_int_equal(tern_sync_open(p.a, &p.b_id, ECHO, &pipe, &error), TERN_E_NOT_FOUND);
    assert_null(pipe);
    assert_int_equal(tern_sync_dial(p.a, "/ip4/127.0.0.1", 100, NULL, &error), TERN_E_UNSUPPORTED);
    assert_int_equal(tern_sync_dial(p.a, "127.0.0.1:4001", 100, NULL, &error), TERN_E_MALFORMED);
    assert_int_equal(tern_sync_listen(p.a, "/ip4/127.0.0.1/tcp/x", at, sizeof at, &error),
                     TERN_E_MALFORMED);
    /* Where b listens already, without the id. */
    snprintf(at, sizeof at, "%s", p.b_addr);
    *strstr(at, "/p2p/") = '\0';
    assert_int_equal(tern_sync_listen(p.a, at, NULL, 0, &error), TERN_E_ADDRINUSE);
    assert_int_equal(tern_sync_serve(p.b, ECHO, &error), TERN_E_STATE);
    assert_int_equal(tern_sync_accept(p.a, ECHO, SHORT, &pipe, &error), TERN_E_STATE);
    connect_pair(&p);
    assert_int_equal(tern_sync_open(p.a, &p.b_id, "/nobody/1", &pipe, &error), TERN_E_NEGOTIATION);
    assert_null(pipe);
    assert_int_equal(tern_sync_dial(p.b, p.b_addr, LONG, NULL, &error), TERN_E_SELF);
    /* reterr may be NULL everywhere. */
    assert_int_equal(tern_sync_open(p.a, &p.b_id, "/nobody/1", &pipe, NULL), TERN_E_NEGOTIATION);
    teardown(&p);
}

static void test_not_running(void **state)
{
    tern_node *node;
    tern_options o;
    tern_error error;
    tern_peer_id id = {0};
    tern_pipe *pipe;
    (void)state;
    tern_options_init(&o);
    must(tern_node_new(&o, &node, &error), &error);
    assert_int_equal(tern_node_start(node), 0);
    assert_int_equal(tern_node_start(node), TERN_E_STATE);
    tern_node_stop(node);
    tern_node_stop(node);
    int code; /* accepted as long as it has not stopped, and answered then */
    while ((code = tern_sync_ping(node, &id, NULL, &error)) == TERN_E_NOT_FOUND) {
    }
    assert_int_equal(code, TERN_E_STATE);
    assert_int_equal(tern_sync_open(node, &id, ECHO, &pipe, &error), TERN_E_STATE);
    assert_null(pipe);
    assert_int_equal(tern_sync_listen(node, "/ip4/127.0.0.1/tcp/0", NULL, 0, &error), TERN_E_STATE);
    tern_node_free(node);
}

struct dialler {
    tern_node *node;
    char addr[64];
    int code;
};

static void *dial_thread(void *arg)
{
    struct dialler *d = arg;
    d->code = tern_sync_dial(d->node, d->addr, LONG, NULL, NULL);
    return NULL;
}

/* Stopped while another thread waits: it is told. */
static void test_stop_while_waiting(void **state)
{
    (void)state;
    struct sockaddr_in at = {.sin_family = AF_INET, .sin_addr = {htonl(INADDR_LOOPBACK)}};
    socklen_t len = sizeof at;
    int fd = socket(AF_INET, SOCK_STREAM, 0); /* connects, and never says a word */
    assert_true(fd >= 0);
    assert_int_equal(bind(fd, (struct sockaddr *)&at, sizeof at), 0);
    assert_int_equal(listen(fd, 8), 0);
    assert_int_equal(getsockname(fd, (struct sockaddr *)&at, &len), 0);
    struct dialler d = {.node = start_node()};
    pthread_t thread;
    snprintf(d.addr, sizeof d.addr, "/ip4/127.0.0.1/tcp/%u", ntohs(at.sin_port));
    assert_int_equal(pthread_create(&thread, NULL, dial_thread, &d), 0);
    tern_node_stop(d.node);
    assert_int_equal(pthread_join(thread, NULL), 0);
    assert_true(d.code == TERN_E_CANCELLED || d.code == TERN_E_STATE);
    tern_node_free(d.node);
    close(fd);
    assert_int_equal(tern_mem_alive(), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_ping),
        cmocka_unit_test(test_echo),
        cmocka_unit_test(test_bulk_both_ways),
        cmocka_unit_test(test_several_pipes),
        cmocka_unit_test(test_timeouts),
        cmocka_unit_test(test_freed_without_end_is_a_reset),
        cmocka_unit_test(test_freed_after_end_delivers),
        cmocka_unit_test(test_pipes_outlive_their_nodes),
        cmocka_unit_test(test_unaccepted_pipes),
        cmocka_unit_test(test_too_many_wait),
        cmocka_unit_test(test_errors),
        cmocka_unit_test(test_not_running),
        cmocka_unit_test(test_stop_while_waiting),
    };
    return TERN_TEST_MAIN(tests);
}
