/* Listening at a relay: listeners, and the streams that relays bring (the stop protocol). */
#include "nat/circuit_inner.h"

#include "base/error.h"
#include "base/mem.h"
#include "nat/circuit_stream.h"
#include "nat/relay_find.h"

#define MESSAGE_TIME (30 * TERN_SEC) /* from a stop stream's start to its message */

/* ---- the stop protocol ---- */

/* A stop stream before it became a circuit. */
typedef struct stop {
    tern_net *net;
    tern_conn *conn; /* lives as long as s */
    tern_stream *s;
    tern_frame frame;
    tern_timer timer;
} stop;

static void free_stop(stop *st)
{
    tern_timer_stop(&st->timer);
    tern_frame_free(&st->frame);
    tern_free(st);
}

static circuit_listener *listener_at(tern_circuits *c, const tern_peer_id *relay)
{
    for (tern_list *l = c->listeners.next; l != &c->listeners; l = l->next) {
        circuit_listener *at = TERN_CONTAINER(l, circuit_listener, link);
        if (tern_peer_id_equal(&at->relay, relay) && circuit_reserve_held(at)) {
            return at;
        }
    }
    return NULL;
}

static bool answer(stop *st, uint32_t status)
{
    tern_relay_message m = {.kind = TERN_RELAY_STATUS, .status = status};
    tern_buf out;
    tern_buf_init(&out, TERN_RELAY_MESSAGE_MAX);
    bool ok = tern_relay_build(false, &m, &out) == 0 &&
              tern_frame_write(st->s, tern_buf_data(&out), tern_buf_len(&out)) == 0;
    tern_buf_free(&out);
    return ok;
}

static void refuse(stop *st, uint32_t status)
{
    st->net->counters.relay_refused++;
    if (!answer(st, status)) {
        tern_stream_reset(st->s, 0);
    }
    tern_stream_drop(st->s);
    free_stop(st);
}

/* The relay's address with /p2p/R/p2p-circuit behind it. */
static tern_multiaddr *remote_of(const tern_conn *conn)
{
    tern_multiaddr *with =
        tern_ma_with(conn->facts.remote, TERN_MA_P2P, conn->facts.peer.bytes, conn->facts.peer.len);
    tern_multiaddr *whole = with != NULL ? tern_ma_with(with, TERN_MA_P2P_CIRCUIT, NULL, 0) : NULL;
    tern_multiaddr_unref(with);
    return whole;
}

static void accept_circuit(stop *st, circuit_listener *l, const tern_relay_limit *limit)
{
    tern_multiaddr *remote = remote_of(st->conn);
    if (remote == NULL) {
        st->net->counters.allocation_failures++;
        refuse(st, TERN_RELAY_RESOURCE_LIMIT_EXCEEDED);
        return;
    }
    tern_stream *s = answer(st, TERN_RELAY_OK) ? circuit_stream_new(st->s, limit) : NULL;
    if (s != NULL) {
        l->base.events->on_stream(l->base.owner, &l->base, s, l->base.addr, remote,
                                  tern_loop_now(st->net->loop) + st->net->limits.upgrade_time);
    } else {
        st->net->counters.allocation_failures++;
        tern_stream_reset(st->s, 0);
        tern_stream_drop(st->s);
    }
    tern_multiaddr_unref(remote);
    free_stop(st);
}

static void on_message(stop *st, tern_span message)
{
    tern_relay_message m;
    if (tern_relay_parse(false, message, &m) != 0) {
        st->net->counters.relay_malformed++;
        refuse(st, TERN_RELAY_MALFORMED_MESSAGE);
        return;
    }
    tern_relay_kind kind = m.kind;
    tern_peer_id from = m.peer;
    tern_relay_limit limit = m.limit;
    tern_relay_clear(&m);
    circuit_listener *l =
        st->net->circuits != NULL ? listener_at(st->net->circuits, &st->conn->facts.peer) : NULL;
    if (kind != TERN_RELAY_CONNECT || from.len == 0) {
        st->net->counters.relay_malformed++;
        refuse(st, kind != TERN_RELAY_CONNECT ? TERN_RELAY_UNEXPECTED_MESSAGE
                                              : TERN_RELAY_MALFORMED_MESSAGE);
    } else if (l == NULL || tern_conn_relayed(st->conn)) {
        refuse(st, TERN_RELAY_PERMISSION_DENIED); /* we have no place there */
    } else {
        accept_circuit(st, l, &limit);
    }
}

static size_t on_data(void *owner, tern_stream *s, uint8_t *data, size_t n)
{
    stop *st = owner;
    size_t used = 0;
    tern_span message;
    (void)s;
    int code = tern_frame_feed(&st->frame, data, n, &used, &message);
    if (code < 0) {
        st->net->counters.relay_malformed++;
        refuse(st, TERN_RELAY_MALFORMED_MESSAGE);
        return n;
    }
    if (code == 1) {
        on_message(st, message);
    }
    return used;
}

static void on_end(void *owner, tern_stream *s)
{
    (void)owner;
    tern_stream_reset(s, 0);
}

static void on_closed(void *owner, tern_stream *s, const tern_error *why)
{
    (void)s;
    (void)why;
    free_stop(owner);
}

static const tern_stream_events stop_events = {
    .on_data = on_data, .on_end = on_end, .on_closed = on_closed};

static void on_time(tern_timer *timer)
{
    stop *st = TERN_CONTAINER(timer, stop, timer);
    st->net->counters.relay_timeouts++;
    tern_stream_reset(st->s, 0);
}

static void on_stream(void *ctx, tern_conn *conn, tern_stream *s, const char *id)
{
    tern_net *net = ctx;
    stop *st = tern_calloc(1, sizeof *st);
    (void)id;
    if (st == NULL) {
        net->counters.allocation_failures++;
        tern_stream_reset(s, 0);
        tern_stream_drop(s);
        return;
    }
    st->net = net;
    st->conn = conn;
    st->s = s;
    tern_frame_init(&st->frame, TERN_RELAY_MESSAGE_MAX);
    tern_timer_start(net->loop, &st->timer, tern_loop_now(net->loop) + MESSAGE_TIME, on_time);
    tern_stream_take(s, &stop_events, st);
}

/* ---- what a net's circuits have in common ---- */

static void on_gone(tern_net_ear *ear, tern_conn *conn)
{
    tern_circuits *c = TERN_CONTAINER(ear, tern_circuits, ear);
    for (tern_list *l = c->listeners.next; l != &c->listeners; l = l->next) {
        circuit_listener *at = TERN_CONTAINER(l, circuit_listener, link);
        size_t it = 0;
        tern_conn *other = NULL;
        if (!tern_peer_id_equal(&at->relay, &conn->facts.peer)) {
            continue;
        }
        do {
            other = c->net->ops->next_conn(c->net, &at->relay, &it);
        } while (other != NULL && (other == conn || tern_conn_relayed(other) || other->closing));
        if (other == NULL) {
            circuit_reserve_lost(at);
        }
    }
}

static void free_circuits(tern_circuits *c)
{
    tern_list_remove(&c->ear.link);
    c->net->ops->unhandle(c->net, TERN_RELAY_STOP_ID);
    c->net->circuits = NULL;
    tern_free(c);
}

static int circuits_of(tern_net *net, tern_circuits **ret)
{
    static const char id[] = TERN_RELAY_STOP_ID;
    if (net->circuits != NULL) {
        *ret = net->circuits;
        return 0;
    }
    tern_circuits *c = tern_calloc(1, sizeof *c);
    if (c == NULL) {
        return TERN_E_NOMEM;
    }
    tern_protocol protocol = {
        .id = id, .on_stream = on_stream, .ctx = net, .per_peer = TERN_CIRCUIT_STREAMS_MAX};
    int code = net->ops->handle(net, &protocol);
    if (code != 0) {
        tern_free(c);
        return code;
    }
    c->net = net;
    c->ear.on_gone = on_gone;
    tern_list_init(&c->listeners);
    tern_list_push(&net->ears, &c->ear.link);
    *ret = net->circuits = c;
    return 0;
}

/* ---- listeners ---- */

static void close_listener(tern_listener *base)
{
    circuit_listener *l = (circuit_listener *)base;
    tern_circuits *c = l->net->circuits;
    if (l->net->relay_finder != NULL) {
        tern_relay_finder_gone(l->net->relay_finder, base);
    }
    circuit_reserve_stop(l);
    tern_list_remove(&l->link);
    tern_multiaddr_unref(l->at);
    tern_multiaddr_unref(base->addr);
    tern_free(l);
    if (tern_list_empty(&c->listeners)) {
        free_circuits(c);
    }
}

int circuit_listen(tern_net *net, const tern_multiaddr *addr, const tern_listener_events *events,
                   void *owner, tern_listener **ret, tern_error *reterr)
{
    tern_circuits *c;
    tern_peer_id relay;
    tern_multiaddr *at = NULL;
    if (!circuit_relay_of(addr, &relay, &at)) {
        return tern_fail(reterr, TERN_E_INVALID, "circuit", "%s names no relay",
                         tern_multiaddr_text(addr));
    }
    circuit_listener *l = at != NULL ? tern_calloc(1, sizeof *l) : NULL;
    tern_multiaddr *bare = tern_ma_without_p2p(addr);
    int code = l == NULL || bare == NULL ? TERN_E_NOMEM : circuits_of(net, &c);
    if (code != 0) {
        tern_free(l);
        tern_multiaddr_unref(at);
        tern_multiaddr_unref(bare);
        return tern_fail(reterr, code, "circuit", "%s", tern_code_text(code));
    }
    l->base = (tern_listener){.transport = &tern_circuit_transport,
                              .events = events,
                              .owner = owner,
                              .addr = bare,
                              .close = close_listener};
    l->net = net;
    l->relay = relay;
    l->at = at;
    tern_list_push(&c->listeners, &l->link);
    circuit_reserve_start(l);
    *ret = &l->base;
    return 0;
}

/* ---- places ---- */

void circuit_found(tern_listener *l)
{
    ((circuit_listener *)l)->found = true;
}

size_t circuit_places(const tern_net *net)
{
    tern_circuits *c = net->circuits;
    size_t n = 0;
    for (tern_list *l = c != NULL ? c->listeners.next : NULL; l != NULL && l != &c->listeners;
         l = l->next) {
        circuit_listener *at = TERN_CONTAINER(l, circuit_listener, link);
        n += at->found || circuit_reserve_held(at);
    }
    return n;
}

bool circuit_listens_at(const tern_net *net, const tern_peer_id *relay)
{
    tern_circuits *c = net->circuits;
    for (tern_list *l = c != NULL ? c->listeners.next : NULL; l != NULL && l != &c->listeners;
         l = l->next) {
        if (tern_peer_id_equal(&TERN_CONTAINER(l, circuit_listener, link)->relay, relay)) {
            return true;
        }
    }
    return false;
}

void tern_circuit_places(const tern_net *net,
                         void (*fn)(void *arg, const tern_circuit_place *place), void *arg)
{
    tern_circuits *c = net->circuits;
    for (tern_list *l = c != NULL ? c->listeners.next : NULL; l != NULL && l != &c->listeners;
         l = l->next) {
        circuit_listener *at = TERN_CONTAINER(l, circuit_listener, link);
        bool held = circuit_reserve_held(at);
        tern_circuit_place place = {.addr = at->base.addr,
                                    .relay = &at->relay,
                                    .expires = held ? at->expires : 0,
                                    .duration = held ? at->limit.duration : 0,
                                    .data = held ? at->limit.data : 0,
                                    .found = at->found,
                                    .why = held ? NULL : &at->why};
        fn(arg, &place);
    }
}
