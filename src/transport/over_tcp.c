/* What the transports over TCP share. See over_tcp.h. */
#include "transport/over_tcp.h"

#include "base/error.h"
#include "base/mem.h"

bool tern_over_tcp_matches(const tern_multiaddr *addr, const uint32_t *suffix, bool names)
{
    uint32_t plain[TERN_OVER_TCP_SUFFIX_MAX + 3] = {TERN_MA_IP4, TERN_MA_TCP};
    uint32_t named[TERN_OVER_TCP_SUFFIX_MAX + 3] = {TERN_MA_DNS, TERN_MA_TCP};
    for (size_t i = 0; i < TERN_OVER_TCP_SUFFIX_MAX && suffix[i] != 0; i++) {
        plain[2 + i] = named[2 + i] = suffix[i];
    }
    return tern_ma_matches(addr, plain) || (names && tern_ma_matches(addr, named));
}

/* ---- dialling ---- */

int tern_over_tcp_ready(const tern_dial_op *op, tern_tcp_dial_op *connect,
                        void (*done)(tern_op *op, const tern_error *error), tern_error *reterr)
{
    const tern_limits *limits = &op->net->limits;
    uint32_t transport;
    *connect = (tern_tcp_dial_op){
        .write_queue = limits->write_queue,
        .stall = limits->write_stall_time,
        .fast = op->net->fast_open,
        .net = op->net,
    };
    if (!tern_ma_endpoint(op->addr, &connect->to, &transport) || transport != TERN_MA_TCP) {
        return tern_fail(reterr, TERN_E_INVALID, "tcp", "%s does not begin with an IP and TCP port",
                         tern_multiaddr_text(op->addr));
    }
    if (op->any_port || !tern_tcp_port_dial_from(op->net, &connect->to, &connect->from)) {
        connect->from = (tern_endpoint){0};
    }
    tern_op_init(&connect->op, op->net->loop, TERN_NEVER, done);
    return 0;
}

int tern_over_tcp_connect(const tern_dial_op *op, tern_tcp_dial_op *connect,
                          void (*done)(tern_op *op, const tern_error *error), tern_error *reterr)
{
    int code = tern_over_tcp_ready(op, connect, done, reterr);
    return code == 0 ? tern_tcp_stream_dial(connect, reterr) : code;
}

void tern_over_tcp_release(tern_dial_op *op)
{
    if (op->stream != NULL) {
        tern_stream_reset(op->stream, 0);
        tern_stream_drop(op->stream);
        op->stream = NULL;
    }
    tern_multiaddr_unref(op->local);
    tern_multiaddr_unref(op->remote);
    op->local = op->remote = NULL;
}

/* ---- listening ---- */

/* addr with one more component; takes over the reference. */
static tern_multiaddr *and_then(tern_multiaddr *addr, uint32_t code)
{
    tern_multiaddr *longer = addr != NULL ? tern_ma_with(addr, code, NULL, 0) : NULL;
    tern_multiaddr_unref(addr);
    return longer;
}

tern_multiaddr *tern_over_tcp_addr(const tern_endpoint *e, enum tern_tcp_class class)
{
    tern_endpoint plain = *e;
    tern_endpoint_unmap(&plain);
    tern_multiaddr *addr = tern_ma_from_endpoint(&plain, TERN_MA_TCP);
    if (class == TERN_TCP_WSS) {
        addr = and_then(addr, TERN_MA_TLS);
    }
    return class == TERN_TCP_RAW ? addr : and_then(addr, TERN_MA_WS);
}

void tern_over_tcp_accept(tern_over_tcp_listener *l, tern_stream *s, const tern_endpoint *local,
                          const tern_endpoint *remote, uint64_t deadline)
{
    tern_multiaddr *local_addr = tern_over_tcp_addr(local, l->class);
    tern_multiaddr *remote_addr = tern_over_tcp_addr(remote, l->class);
    if (local_addr != NULL && remote_addr != NULL) {
        l->base.events->on_stream(l->base.owner, &l->base, s, local_addr, remote_addr, deadline);
    } else {
        l->net->counters.allocation_failures++;
        tern_stream_reset(s, 0);
        tern_stream_drop(s);
    }
    tern_multiaddr_unref(local_addr);
    tern_multiaddr_unref(remote_addr);
}

static void close_listener(tern_listener *listener)
{
    tern_over_tcp_listener *l = (tern_over_tcp_listener *)listener;
    tern_tcp_port_leave(l->port, l->class);
    tern_multiaddr_unref(l->base.addr);
    tern_free(l);
}

int tern_over_tcp_listen(const tern_transport *transport, tern_net *net, const tern_multiaddr *addr,
                         enum tern_tcp_class class, const tern_tcp_class_events *class_events,
                         const tern_listener_events *events, void *owner, tern_listener **ret,
                         tern_error *reterr)
{
    tern_endpoint at;
    uint32_t kind;
    if (!transport->listens(addr) || !tern_ma_endpoint(addr, &at, &kind)) {
        return tern_fail(reterr, TERN_E_INVALID, transport->name,
                         "%s is no address to listen on with this transport",
                         tern_multiaddr_text(addr));
    }
    tern_over_tcp_listener *l = tern_calloc(1, sizeof *l);
    if (l == NULL) {
        return tern_fail(reterr, TERN_E_NOMEM, transport->name, "out of memory");
    }
    l->base = (tern_listener){
        .transport = transport, .events = events, .owner = owner, .close = close_listener};
    l->net = net;
    l->class = class;
    int code = tern_tcp_port_join(net, &at, class, class_events, l, &l->port, reterr);
    if (code != 0) {
        tern_free(l);
        return code;
    }
    tern_tcp_port_local(l->port, &at);
    l->base.addr = tern_over_tcp_addr(&at, class);
    if (l->base.addr == NULL) {
        close_listener(&l->base);
        return tern_fail(reterr, TERN_E_NOMEM, transport->name, "out of memory");
    }
    *ret = &l->base;
    return 0;
}
