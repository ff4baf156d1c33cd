/* Makers of the streams of transports: TCP in the simulated world, and WebSockets and the layer of
 * private networks over memory pairs and over TCP (where bytes are built in the socket's output).
 */
#include "suite/streams.h"

#include "base/test.h"
#include "loop/tcp.h"
#include "secure/psk.h"
#include "streams/memory.h"
#include "streams/tcp.h"
#include "transport/ws_stream.h"

typedef struct net_world {
    tern_counters counters;
    tern_net net; /* of the layer of private networks */
    tern_loop *loop;
    tern_tcp_listener *listener;
    tern_tcp_dial_op dial;
    tern_stream *accepted;
} net_world;

enum { WRITE_QUEUE = 200000 };

static net_world *new_world(tern_loop *loop)
{
    net_world *w = tern_calloc(1, sizeof *w);
    assert_non_null(w);
    w->loop = loop;
    return w;
}

static void on_accept(void *owner, tern_tcp *t)
{
    net_world *w = owner;
    w->accepted = tern_tcp_stream_new(w->loop, t, WRITE_QUEUE, 30 * TERN_SEC, NULL);
    assert_non_null(w->accepted);
}

static void on_dialled(tern_op *op, const tern_error *error)
{
    (void)op;
    assert_int_equal(error->code, 0);
}

static void *tcp_make(tern_sim *sim, tern_loop *loop, tern_stream **ret_a, tern_stream **ret_b)
{
    net_world *w = new_world(loop);
    tern_endpoint at;
    assert_int_equal(tern_endpoint_parse_ip(&at, "10.0.0.1"), 0);
    at.port = 4001;
    assert_int_equal(tern_tcp_listen(loop, &at, on_accept, w, &w->listener), 0);
    w->dial.to = at;
    w->dial.write_queue = WRITE_QUEUE;
    w->dial.stall = 30 * TERN_SEC;
    tern_op_init(&w->dial.op, loop, TERN_NEVER, on_dialled);
    assert_int_equal(tern_tcp_stream_dial(&w->dial, NULL), 0);
    tern_sim_run(sim, tern_sim_now(sim) + TERN_SEC, NULL, NULL);
    assert_non_null(w->dial.stream);
    assert_non_null(w->accepted);
    *ret_a = w->dial.stream;
    *ret_b = w->accepted;
    return w;
}

static void finish(void *world)
{
    net_world *w = world;
    if (w->listener != NULL) {
        tern_tcp_listener_close(w->listener);
    }
    tern_free(w);
}

/* The dialler's side is a, so that both directions, masked and plain, are tried. */
static void wrap(net_world *w, tern_stream **a, tern_stream **b)
{
    *a = tern_ws_stream_new(*a, true, &w->counters);
    *b = tern_ws_stream_new(*b, false, &w->counters);
    assert_non_null(*a);
    assert_non_null(*b);
}

static void *ws_make(tern_sim *sim, tern_loop *loop, tern_stream **ret_a, tern_stream **ret_b)
{
    (void)sim;
    net_world *w = new_world(loop);
    assert_int_equal(tern_memory_pair(loop, NULL, ret_a, ret_b), 0);
    wrap(w, ret_a, ret_b);
    return w;
}

static void *ws_bytes_make(tern_sim *sim, tern_loop *loop, tern_stream **ret_a, tern_stream **ret_b)
{
    (void)sim;
    net_world *w = new_world(loop);
    tern_memory_options options = {.window = 100, .chunk = 1};
    assert_int_equal(tern_memory_pair(loop, &options, ret_a, ret_b), 0);
    wrap(w, ret_a, ret_b);
    return w;
}

static void *ws_tcp_make(tern_sim *sim, tern_loop *loop, tern_stream **ret_a, tern_stream **ret_b)
{
    net_world *w = tcp_make(sim, loop, ret_a, ret_b);
    wrap(w, ret_a, ret_b);
    return w;
}

static void fence(net_world *w, tern_stream **a, tern_stream **b)
{
    static const uint8_t psk[TERN_PSK] = {7, 8, 9};
    w->net.loop = w->loop;
    *a = tern_psk_stream_new(&w->net, *a, psk);
    *b = tern_psk_stream_new(&w->net, *b, psk);
    assert_non_null(*a);
    assert_non_null(*b);
}

static void *psk_memory(tern_loop *loop, const tern_memory_options *options, tern_stream **ret_a,
                        tern_stream **ret_b)
{
    net_world *w = new_world(loop);
    assert_int_equal(tern_memory_pair(loop, options, ret_a, ret_b), 0);
    fence(w, ret_a, ret_b);
    return w;
}

static void *psk_make(tern_sim *sim, tern_loop *loop, tern_stream **ret_a, tern_stream **ret_b)
{
    (void)sim;
    return psk_memory(loop, NULL, ret_a, ret_b);
}

static void *psk_bytes_make(tern_sim *sim, tern_loop *loop, tern_stream **ret_a,
                            tern_stream **ret_b)
{
    (void)sim;
    return psk_memory(loop, &(tern_memory_options){.window = 100, .chunk = 1}, ret_a, ret_b);
}

static void *psk_tcp_make(tern_sim *sim, tern_loop *loop, tern_stream **ret_a, tern_stream **ret_b)
{
    net_world *w = tcp_make(sim, loop, ret_a, ret_b);
    fence(w, ret_a, ret_b);
    return w;
}

const tern_stream_maker tern_stream_maker_tcp = {
    .name = "tcp",
    .make = tcp_make,
    .finish = finish,
};

const tern_stream_maker tern_stream_maker_ws = {
    .name = "ws", .make = ws_make, .finish = finish, .wire_codes = true, /* memory's */
};

const tern_stream_maker tern_stream_maker_ws_bytes = {
    .name = "ws, byte by byte",
    .make = ws_bytes_make,
    .finish = finish,
    .bulk = 20000,
    .wire_codes = true,
};

const tern_stream_maker tern_stream_maker_ws_tcp = {
    .name = "ws over tcp",
    .make = ws_tcp_make,
    .finish = finish,
};

const tern_stream_maker tern_stream_maker_psk = {
    .name = "psk", .make = psk_make, .finish = finish, .wire_codes = true, /* memory's */
};

const tern_stream_maker tern_stream_maker_psk_bytes = {
    .name = "psk, byte by byte",
    .make = psk_bytes_make,
    .finish = finish,
    .bulk = 20000,
    .wire_codes = true,
};

const tern_stream_maker tern_stream_maker_psk_tcp = {
    .name = "psk over tcp",
    .make = psk_tcp_make,
    .finish = finish,
};
