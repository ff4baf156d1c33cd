/* Two nodes on the embedder's own libuv loop: they share it with the embedder's handles, and leave
 * it as they found it. */
#include <uv.h>

#include "base/test.h"

#include <tern/tern.h>

typedef struct embedder {
    uv_loop_t loop;
    uv_timer_t ticker; /* something of the embedder's own */
    unsigned ticks;
    tern_node *server, *client;
    unsigned stopped;
    uint64_t rtt;
} embedder;

static void on_stopped(void *owner, tern_node *node)
{
    (void)node;
    ((embedder *)owner)->stopped++;
}

static void on_tick(uv_timer_t *t)
{
    ((embedder *)t->data)->ticks++;
}

static void ponged(void *owner, uint64_t rtt, const tern_error *error)
{
    embedder *e = owner;
    assert_int_equal(error->code, 0);
    e->rtt = rtt;
    tern_node_stop(e->client);
    tern_node_stop(e->server);
}

static void dialled(void *owner, tern_conn *conn, const tern_error *error,
                    const tern_dial_report *reports, size_t report_count)
{
    embedder *e = owner;
    (void)reports;
    (void)report_count;
    assert_int_equal(error->code, 0);
    assert_int_equal(tern_node_ping(e->client, conn, ponged, e), 0);
}

static void test_embedded(void **state)
{
    static const tern_node_events events = {.on_stopped = on_stopped};
    embedder e = {.ticks = 0};
    tern_options options;
    tern_error error;
    char addr[256];
    const char *addrs[] = {addr};
    (void)state;
    assert_int_equal(uv_loop_init(&e.loop), 0);
    uv_timer_init(&e.loop, &e.ticker);
    e.ticker.data = &e;
    uv_timer_start(&e.ticker, on_tick, 0, 1);
    tern_options_init(&options);
    options.uv_loop = &e.loop;
    options.events = &events;
    options.owner = &e;
    assert_int_equal(tern_node_new(&options, &e.server, &error), 0);
    assert_int_equal(tern_node_new(&options, &e.client, &error), 0);
    assert_int_equal(tern_node_run(e.server), TERN_E_STATE);
    assert_int_equal(tern_node_listen(e.server, "/ip4/127.0.0.1/tcp/0", addr, sizeof addr, &error),
                     0);
    assert_int_equal(tern_node_dial(e.client, addrs, 1, 0, false, dialled, &e, &error), 0);
    while (e.stopped < 2 && uv_run(&e.loop, UV_RUN_ONCE) != 0) {
    }
    assert_int_equal(e.stopped, 2);
    assert_true(e.rtt > 0);
    assert_true(e.ticks > 0);
    uv_timer_stop(&e.ticker);
    for (int turn = 0; turn < 4; turn++) { /* to the end of the one in which they stopped */
        uv_run(&e.loop, UV_RUN_NOWAIT);
    }
    assert_false(uv_loop_alive(&e.loop)); /* nothing of stopped nodes keeps it running */
    tern_node_free(e.client);
    tern_node_free(e.server);
    uv_close((uv_handle_t *)&e.ticker, NULL);
    assert_int_equal(uv_run(&e.loop, UV_RUN_DEFAULT), 0);
    assert_int_equal(uv_loop_close(&e.loop), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_embedded)};
    return TERN_TEST_MAIN(tests);
}
