/* The transport "tcp": raw libp2p on a TCP connection. */
#include "transport/tcp.h"

#include "base/error.h"
#include "base/mem.h"
#include "transport/over_tcp.h"

static const uint32_t nothing_behind[] = {0};

static bool dials(const tern_multiaddr *addr)
{
    return tern_over_tcp_matches(addr, nothing_behind, true);
}

static bool listens(const tern_multiaddr *addr)
{
    return tern_over_tcp_matches(addr, nothing_behind, false);
}

/* ---- dialling ---- */

#define LOOK_TIME (50 * TERN_MS) /* while a hole is punched */

typedef struct tcp_dial {
    tern_tcp_dial_op connect;
    tern_dial_op *op;
    tern_stream *claimed; /* what the peer has made already */
    tern_timer look;      /* punched as the client: whether it has */
} tcp_dial;

/* Frees the dial's state; what it still runs is cancelled. */
static void free_dial(tern_dial_op *op)
{
    tcp_dial *d = op->state;
    if (d != NULL) {
        op->state = NULL;
        tern_timer_stop(&d->look);
        tern_op_cancel(&d->connect.op);
        if (d->claimed != NULL) {
            tern_stream_reset(d->claimed, 0);
            tern_stream_drop(d->claimed);
        }
        tern_free(d);
    }
}

static void cancel(tern_op *o)
{
    tern_dial_op *op = TERN_CONTAINER(o, tern_dial_op, op);
    free_dial(op);
    tern_over_tcp_release(op);
}

static void finish(tcp_dial *d, tern_stream *s, const tern_error *error)
{
    tern_dial_op *op = d->op;
    tern_error why = *error;
    if (why.code == 0) {
        tern_endpoint local, remote, to = d->connect.to;
        op->stream = s;
        tern_tcp_stream_endpoints(op->stream, &local, &remote);
        tern_endpoint_unmap(&remote);
        bool elsewhere = !tern_endpoint_eq(&remote, &to);
        op->local = tern_over_tcp_addr(&local, TERN_TCP_RAW);
        op->remote = elsewhere ? tern_over_tcp_addr(&remote, TERN_TCP_RAW) : NULL;
        if (op->local == NULL || (elsewhere && op->remote == NULL)) {
            tern_fail(&why, TERN_E_NOMEM, "tcp", "out of memory");
            tern_over_tcp_release(op);
        }
    }
    free_dial(op);
    tern_op_finish(&op->op, &why);
}

static void on_connected(tern_op *o, const tern_error *error)
{
    tcp_dial *d = TERN_CONTAINER(o, tcp_dial, connect.op);
    finish(d, d->connect.stream, error);
}

static void on_look(tern_timer *timer)
{
    tcp_dial *d = TERN_CONTAINER(timer, tcp_dial, look);
    tern_net *net = d->op->net;
    tern_stream *s = d->claimed != NULL ? d->claimed : tern_tcp_port_claim(net, &d->connect.to);
    d->claimed = NULL;
    if (s != NULL) {
        tern_error none = {0};
        finish(d, s, &none);
    } else {
        tern_timer_start(net->loop, timer, tern_loop_now(net->loop) + LOOK_TIME, on_look);
    }
}

static int dial(tern_dial_op *op, tern_error *reterr)
{
    op->stream = NULL;
    op->conn = NULL;
    op->local = op->remote = NULL;
    tcp_dial *d = op->state = tern_calloc(1, sizeof *d);
    if (d == NULL) {
        return tern_fail(reterr, TERN_E_NOMEM, "tcp", "out of memory");
    }
    d->op = op;
    bool looks = op->punch == TERN_PUNCH_CLIENT;
    int code = tern_over_tcp_ready(op, &d->connect, on_connected, reterr);
    d->claimed = code == 0 && looks ? tern_tcp_port_claim(op->net, &d->connect.to) : NULL;
    if (code == 0 && d->claimed == NULL) {
        code = tern_tcp_stream_dial(&d->connect, reterr);
    }
    if (code != 0) {
        free_dial(op);
        return code;
    }
    if (looks) {
        uint64_t pause = d->claimed != NULL ? 0 : LOOK_TIME;
        tern_timer_start(op->net->loop, &d->look, tern_loop_now(op->net->loop) + pause, on_look);
    }
    tern_op_start(&op->op, "tcp", cancel, d);
    return 0;
}

/* ---- listening ---- */

static void on_stream(void *owner, tern_stream *s, const tern_http1_head *head,
                      const tern_endpoint *local, const tern_endpoint *remote, uint64_t deadline)
{
    (void)head;
    tern_over_tcp_accept(owner, s, local, remote, deadline);
}

static const tern_tcp_class_events class_events = {.on_stream = on_stream};

static int listen_on(tern_net *net, const tern_multiaddr *addr, const tern_listener_events *events,
                     void *owner, tern_listener **ret, tern_error *reterr)
{
    return tern_over_tcp_listen(&tern_tcp_transport, net, addr, TERN_TCP_RAW, &class_events, events,
                                owner, ret, reterr);
}

const tern_transport tern_tcp_transport = {
    .name = "tcp",
    .punches = true,
    .dials = dials,
    .listens = listens,
    .dial = dial,
    .listen = listen_on,
};
