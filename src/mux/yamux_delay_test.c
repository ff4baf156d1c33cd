/* yamux over simulated TCP with delay: windows grow until one stream fills the link, and no further
 * than needed; the round trip is known. */
#include "base/test.h"
#include "loop/sim.h"
#include "mux/yamux.h"
#include "mux/yamux_conn.h"
#include "streams/tcp.h"

#define RATE  UINT64_C(597500000) /* bytes a second: 4.78 Gbit/s */
#define DELAY (50 * TERN_MS)      /* one way */

typedef struct node {
    tern_loop *loop;
    tern_net net;
    tern_conn *conn;
    tern_stream *s;
    uint64_t got;
    struct world *w;
} node;

typedef struct world {
    tern_sim *sim;
    node a, b;
    tern_tcp_listener *listener;
    tern_tcp_dial_op dial;
} world;

static uint8_t block[1 << 20];

static size_t on_data(void *owner, tern_stream *s, uint8_t *data, size_t n)
{
    (void)s;
    (void)data;
    ((node *)owner)->got += n;
    return n;
}

static void pump(void *owner, tern_stream *s)
{
    (void)owner;
    while (tern_stream_write(s, block, sizeof block) == sizeof block) {
    }
}

static void on_closed(void *owner, tern_stream *s, const tern_error *why)
{
    (void)s;
    (void)why;
    ((node *)owner)->s = NULL;
}

static const tern_stream_events events = {
    .on_data = on_data, .on_room = pump, .on_closed = on_closed};

static void on_stream(void *owner, tern_conn *c, tern_stream *s)
{
    node *n = owner;
    (void)c;
    n->s = s;
    tern_stream_take(s, &events, n);
}

static void on_conn_closed(void *owner, tern_conn *c, const tern_error *why)
{
    (void)c;
    (void)why;
    ((node *)owner)->conn = NULL;
}

static const tern_conn_events conn_events = {.on_stream = on_stream, .on_closed = on_conn_closed};

static void node_conn(node *n, tern_stream *lower, bool client)
{
    const tern_conn_facts facts = {.muxer = "yamux"};
    n->net.loop = n->loop;
    n->conn = tern_yamux.make(&n->net, lower, client, &facts);
    assert_non_null(n->conn);
    tern_conn_take(n->conn, &conn_events, n);
    tern_yamux.attach(n->conn);
}

static void on_accept(void *owner, tern_tcp *t)
{
    world *w = owner;
    node_conn(&w->b, tern_tcp_stream_new(w->b.loop, t, 4 << 20, 30 * TERN_SEC, NULL), false);
}

static void on_dialled(tern_op *op, const tern_error *error)
{
    world *w = TERN_CONTAINER(op, world, dial.op);
    assert_int_equal(error->code, 0);
    node_conn(&w->a, w->dial.stream, true);
}

static void run(world *w, uint64_t time)
{
    tern_sim_run(w->sim, tern_sim_now(w->sim) + time, NULL, NULL);
}

static void world_make(world *w, uint32_t window_max)
{
    memset(w, 0, sizeof *w);
    tern_endpoint at;
    tern_error error;
    const tern_sim_link link = {.delay = DELAY, .rate = RATE, .tcp_buffer = 256 << 20};
    assert_int_equal(tern_sim_new(1, &w->sim), 0);
    tern_sim_set_default_link(w->sim, &link);
    assert_int_equal(tern_sim_host(w->sim, "10.0.0.1", &w->a.loop), 0);
    assert_int_equal(tern_sim_host(w->sim, "10.0.0.2", &w->b.loop), 0);
    for (node *n = &w->a; n != NULL; n = n == &w->a ? &w->b : NULL) {
        tern_net_init(&n->net);
        n->net.limits.stream_window_max = window_max;
        n->net.limits.conn_window_max = 512u << 20;
    }
    assert_int_equal(tern_endpoint_parse_ip(&at, "10.0.0.2"), 0);
    at.port = 4001;
    assert_int_equal(tern_tcp_listen(w->b.loop, &at, on_accept, w, &w->listener), 0);
    tern_op_init(&w->dial.op, w->a.loop, TERN_NEVER, on_dialled);
    w->dial.to = at;
    w->dial.write_queue = 4 << 20;
    w->dial.stall = 30 * TERN_SEC;
    assert_int_equal(tern_tcp_stream_dial(&w->dial, &error), 0);
    run(w, TERN_SEC);
    assert_non_null(w->a.conn);
    assert_non_null(w->b.conn);
}

static void world_free(world *w)
{
    tern_conn_close(w->a.conn, 1, NULL);
    run(w, 30 * TERN_SEC);
    assert_null(w->a.conn);
    assert_null(w->b.conn);
    tern_tcp_listener_close(w->listener);
    run(w, TERN_SEC);
    tern_sim_free(w->sim);
}

/* Bytes a second that one stream brings once windows have grown. */
static uint64_t rate_of(world *w)
{
    tern_error error;
    tern_stream *s = tern_conn_open(w->a.conn, &error);
    assert_non_null(s);
    tern_stream_take(s, &events, &w->a);
    pump(NULL, s);
    run(w, 1500 * TERN_MS);
    uint64_t before = w->b.got;
    run(w, 500 * TERN_MS);
    return 2 * (w->b.got - before);
}

static void one_stream_fills_a_long_link(void **state)
{
    (void)state;
    world w;
    world_make(&w, 128u << 20);
    uint64_t rate = rate_of(&w);
    print_message("%.2f of the link\n", (double)rate / (double)RATE);
    assert_true(rate > RATE * 95 / 100);
    uint64_t rtt = tern_conn_get_facts(w.b.conn)->rtt;
    assert_true(rtt >= 2 * DELAY && rtt < 8 * DELAY);
    world_free(&w);
}

/* The limit holds, and costs what it must: a window a round trip. */
static void the_limit_of_a_window_holds(void **state)
{
    (void)state;
    world w;
    world_make(&w, 1 << 20);
    uint64_t rate = rate_of(&w);
    assert_true(rate > (8 << 20) && rate < (11 << 20));
    assert_true(yamux_of(((yamux_conn *)w.b.conn)->core.in.v[0])->y.recv_max == 1 << 20);
    world_free(&w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(one_stream_fills_a_long_link),
        cmocka_unit_test(the_limit_of_a_window_holds),
    };
    return TERN_TEST_MAIN(tests);
}
