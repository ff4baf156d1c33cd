/* The transport "quic-v1": dialling and listening; see quic.h. */
#include "quic/quic.h"

#include "base/error.h"
#include "base/mem.h"
#include "quic/conn.h"
#include "quic/knock.h"

static const uint32_t by_ip[] = {TERN_MA_IP4, TERN_MA_UDP, TERN_MA_QUIC_V1, 0};
static const uint32_t by_name[] = {TERN_MA_DNS, TERN_MA_UDP, TERN_MA_QUIC_V1, 0};

static bool dials(const tern_multiaddr *addr)
{
    return tern_ma_matches(addr, by_ip) || tern_ma_matches(addr, by_name);
}

static bool listens(const tern_multiaddr *addr)
{
    return tern_ma_matches(addr, by_ip);
}

/* ---- dialling ---- */

static void cancel(tern_op *o)
{
    tern_dial_op *op = TERN_CONTAINER(o, tern_dial_op, op);
    quic_conn *c = op->state;
    op->state = NULL;
    if (c != NULL) {
        quic_conn_forget_dial(c);
    }
    if (op->conn != NULL) { /* finished, but nobody was told yet */
        tern_conn_drop(op->conn, 0, "cancelled");
        op->conn = NULL;
    }
}

/* Where to dial from: a port of ours that reaches it, else any. */
static tern_endpoint source(tern_net *net, const tern_endpoint *to, bool any_port)
{
    tern_endpoint from;
    if (!any_port && tern_udp_port_dial_from(net->udp_ports, to, &from)) {
        return from;
    }
    memset(&from, 0, sizeof from);
    from.family = to->family;
    return from;
}

static int begin(tern_dial_op *op, const tern_endpoint *to, const tern_quic_app *app, void *session,
                 tern_error *reterr)
{
    tern_quic *quic;
    quic_endpoint *e;
    int code = quic_of(op->net, &quic, reterr);
    if (code != 0) {
        return code;
    }
    tern_endpoint from = source(op->net, to, op->any_port);
    code = quic_endpoint_use(quic, &from, &e, reterr);
    if (code != 0) {
        return code;
    }
    if (op->punch == TERN_PUNCH_SERVER) {
        code = quic_knock(e, op, to, reterr);
        quic_endpoint_unuse(e); /* the op uses it now */
        return code;
    }
    quic_conn *c = quic_conn_dial(e, op, to, app, session);
    quic_endpoint_unuse(e); /* the conn uses it now */
    if (c == NULL) {
        return tern_fail(reterr, TERN_E_NOMEM, "quic", "out of memory");
    }
    op->state = c;
    tern_op_start(&op->op, "quic", cancel, c);
    if (c->resumption.early) { /* who it is stands in the ticket, and what is asked can leave */
        quic_conn_give(c);
    }
    return 0;
}

static int dial(tern_dial_op *op, tern_error *reterr)
{
    tern_endpoint to;
    uint32_t transport;
    op->stream = NULL;
    op->conn = NULL;
    op->local = NULL;
    op->state = NULL;
    if (!tern_ma_endpoint(op->addr, &to, &transport) || transport != TERN_MA_UDP) {
        return tern_fail(reterr, TERN_E_INVALID, "quic",
                         "%s does not begin with an IP and UDP port",
                         tern_multiaddr_text(op->addr));
    }
    return begin(op, &to, NULL, NULL, reterr);
}

int tern_quic_app_dial(tern_dial_op *op, const tern_endpoint *to, const tern_quic_app *app,
                       void *session, tern_error *reterr)
{
    op->stream = NULL;
    op->conn = NULL;
    op->local = NULL;
    op->state = NULL;
    return begin(op, to, app, session, reterr);
}

/* ---- listening ---- */

typedef struct quic_listener {
    tern_listener base;
    quic_endpoint *endpoint;
} quic_listener;

static void close_listener(tern_listener *base)
{
    quic_listener *l = (quic_listener *)base;
    l->endpoint->listener = NULL;
    quic_endpoint_drop_pending(l->endpoint);
    quic_endpoint_unuse(l->endpoint);
    tern_multiaddr_unref(base->addr);
    tern_free(l);
}

static int listen_on(tern_net *net, const tern_multiaddr *addr, const tern_listener_events *events,
                     void *owner, tern_listener **ret, tern_error *reterr)
{
    tern_endpoint at;
    uint32_t transport;
    tern_quic *quic;
    if (!listens(addr) || !tern_ma_endpoint(addr, &at, &transport)) {
        return tern_fail(reterr, TERN_E_INVALID, "quic", "%s is no address to listen on",
                         tern_multiaddr_text(addr));
    }
    quic_listener *l = tern_calloc(1, sizeof *l);
    int code = l == NULL ? tern_fail(reterr, TERN_E_NOMEM, "quic", "out of memory")
                         : quic_of(net, &quic, reterr);
    if (code == 0) {
        code = quic_endpoint_listen(quic, &at, false, &l->endpoint, reterr);
    }
    if (code == 0 && l->endpoint->listener != NULL) {
        quic_endpoint_unuse(l->endpoint);
        code = tern_fail(reterr, TERN_E_ADDRINUSE, "quic", "this node listens on %s already",
                         tern_multiaddr_text(addr));
    }
    if (code != 0) {
        tern_free(l);
        return code;
    }
    l->base = (tern_listener){.transport = &tern_quic_transport,
                              .events = events,
                              .owner = owner,
                              .close = close_listener};
    tern_multiaddr *udp = tern_ma_from_endpoint(&l->endpoint->local, TERN_MA_UDP);
    l->base.addr = udp != NULL ? tern_ma_with(udp, TERN_MA_QUIC_V1, NULL, 0) : NULL;
    tern_multiaddr_unref(udp);
    if (l->base.addr == NULL) {
        close_listener(&l->base);
        return tern_fail(reterr, TERN_E_NOMEM, "quic", "out of memory");
    }
    l->endpoint->listener = &l->base;
    *ret = &l->base;
    return 0;
}

const tern_transport tern_quic_transport = {
    .name = "quic-v1",
    .native = true,
    .punches = true,
    .dials = dials,
    .listens = listens,
    .dial = dial,
    .listen = listen_on,
};
