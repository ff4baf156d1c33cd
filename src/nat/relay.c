/* The relay service: see relay.h. relay_reserve.c has the places, relay_circuit.c what follows a
 * CONNECT. */
#include "nat/relay_inner.h"

#include "base/mem.h"
#include "nat/voucher.h"

#define MESSAGE_TIME (30 * TERN_SEC) /* from a stream's start to its message */

void tern_relay_limits_default(tern_relay_limits *ret)
{
    *ret = (tern_relay_limits){
        .reservations = 128,
        .reservations_per_ip = 8,
        .reservations_per_network = 32,
        .circuits = 1024,
        .circuits_per_peer = 16,
        .ttl = 3600 * TERN_SEC,
        .duration = 120 * TERN_SEC,
        .data = 128 << 10,
    };
}

/* ---- peers ---- */

tern_conn *tern_relay_direct_conn(tern_net *net, const tern_peer_id *peer, const tern_conn *but)
{
    size_t it = 0;
    tern_conn *c;
    while ((c = net->ops->next_conn(net, peer, &it)) != NULL) {
        if (c != but && !tern_conn_relayed(c) && !c->closing && !c->finished) {
            return c;
        }
    }
    return NULL;
}

static void on_gone(tern_net_ear *ear, tern_conn *conn)
{
    tern_relay *r = TERN_CONTAINER(ear, tern_relay, ear);
    reservation *v = tern_map_get(&r->by_peer, conn->facts.peer.bytes, conn->facts.peer.len);
    if (v != NULL && tern_relay_direct_conn(r->net, &v->peer, conn) == NULL) {
        tern_relay_forget(r, v);
    }
}

/* Where this relay is reached, with its peer id. */
static void add_addresses(tern_net *net, tern_relay_message *m)
{
    enum { BYTES_MAX = 2048 };
    tern_multiaddr *const *own;
    tern_ma_part part;
    size_t n = net->ops->addresses(net, &own), bytes = 0;
    for (size_t i = 0; i < n && m->addr_count < TERN_RELAY_ADDRS_MAX; i++) {
        size_t len;
        tern_multiaddr *a = NULL;
        if (!tern_ma_find(own[i], TERN_MA_P2P_CIRCUIT, &part)) {
            a = tern_ma_with(own[i], TERN_MA_P2P, net->self.bytes, net->self.len);
        }
        if (a == NULL) {
            continue;
        }
        tern_multiaddr_bytes(a, &len);
        if (bytes + len > BYTES_MAX) {
            tern_multiaddr_unref(a);
            break;
        }
        bytes += len;
        m->addrs[m->addr_count++] = a;
    }
}

tern_relay_limit tern_relay_said_limit(const tern_relay *r)
{
    return (tern_relay_limit){.duration = (uint32_t)(r->limits.duration / TERN_SEC),
                              .data = r->limits.data};
}

/* ---- requests ---- */

void tern_relay_answer(hop *h, tern_relay_message *m)
{
    tern_buf out;
    tern_buf_init(&out, TERN_RELAY_MESSAGE_MAX);
    int code = tern_relay_build(true, m, &out);
    if (code == 0) {
        code = tern_frame_write(h->s, tern_buf_data(&out), tern_buf_len(&out));
    }
    if (code != 0) {
        tern_stream_reset(h->s, 0);
    }
    tern_buf_free(&out);
    tern_relay_clear(m);
}

void tern_relay_free_hop(hop *h)
{
    tern_list_remove(&h->link);
    tern_timer_stop(&h->timer);
    tern_frame_free(&h->frame);
    tern_frame_free(&h->stop_frame);
    tern_free(h);
}

void tern_relay_refuse(hop *h, uint32_t status)
{
    tern_relay_message m = {.kind = TERN_RELAY_STATUS, .status = status};
    h->relay->net->counters.relay_refused++;
    tern_relay_answer(h, &m);
    tern_stream_drop(h->s);
    h->s = NULL;
    if (h->stop == NULL) {
        tern_relay_free_hop(h);
    }
}

static void on_reserve(hop *h, const tern_conn *conn)
{
    tern_relay *r = h->relay;
    uint32_t status = TERN_RELAY_PERMISSION_DENIED;
    reservation *v = tern_conn_relayed(conn) ? NULL : tern_relay_reserve(r, conn, &status);
    if (v == NULL) {
        r->net->counters.relay_reservations_refused++;
        tern_relay_refuse(h, status);
        return;
    }
    tern_relay_message m = {.kind = TERN_RELAY_STATUS,
                            .status = TERN_RELAY_OK,
                            .reserved = true,
                            .expire = (tern_loop_wall(r->net->loop) + r->limits.ttl) / TERN_SEC,
                            .limit = tern_relay_said_limit(r)};
    tern_buf voucher;
    tern_buf_init(&voucher, 0);
    if (tern_voucher_seal(r->net->key, &v->peer, m.expire, &voucher) == 0) {
        m.voucher = (tern_span){tern_buf_data(&voucher), tern_buf_len(&voucher)};
    }
    add_addresses(r->net, &m);
    r->net->counters.relay_reservations++;
    tern_relay_answer(h, &m);
    tern_buf_free(&voucher);
    tern_stream_drop(h->s);
    tern_relay_free_hop(h);
}

/* Answers the one message of a stream. */
static void on_message(hop *h, tern_span message)
{
    tern_relay_message m;
    if (tern_relay_parse(true, message, &m) != 0) {
        h->relay->net->counters.relay_malformed++;
        tern_relay_refuse(h, TERN_RELAY_MALFORMED_MESSAGE);
        return;
    }
    tern_relay_kind kind = m.kind;
    tern_peer_id target = m.peer;
    tern_relay_clear(&m);
    if (kind == TERN_RELAY_RESERVE) {
        on_reserve(h, h->conn);
    } else if (kind == TERN_RELAY_CONNECT) {
        tern_relay_connect(h, &target);
    } else {
        h->relay->net->counters.relay_malformed++;
        tern_relay_refuse(h, TERN_RELAY_UNEXPECTED_MESSAGE);
    }
}

static size_t on_data(void *owner, tern_stream *s, uint8_t *data, size_t n)
{
    hop *h = owner;
    tern_relay *r = h->relay;
    size_t used = 0;
    tern_span message;
    (void)s;
    if (h->asked) {
        return 0; /* it is the circuit's, once there is one */
    }
    int code = tern_frame_feed(&h->frame, data, n, &used, &message);
    if (code < 0) {
        r->net->counters.relay_malformed++;
        tern_relay_refuse(h, TERN_RELAY_MALFORMED_MESSAGE);
        return n;
    }
    if (code == 1) {
        h->asked = true;
        tern_timer_stop(&h->timer);
        on_message(h, message);
    }
    return used;
}

static void on_closed(void *owner, tern_stream *s, const tern_error *why)
{
    hop *h = owner;
    (void)s;
    (void)why;
    h->s = NULL;
    tern_relay_abandon(h);
}

static const tern_stream_events hop_events = {.on_data = on_data, .on_closed = on_closed};

static void on_time(tern_timer *timer)
{
    hop *h = TERN_CONTAINER(timer, hop, timer);
    h->relay->net->counters.relay_timeouts++;
    tern_stream_reset(h->s, 0);
}

static void on_stream(void *ctx, tern_conn *conn, tern_stream *s, const char *id)
{
    tern_relay *r = ctx;
    hop *h = tern_calloc(1, sizeof *h);
    (void)id;
    if (h == NULL) {
        r->net->counters.allocation_failures++;
        tern_stream_reset(s, 0);
        tern_stream_drop(s);
        return;
    }
    h->relay = r;
    h->conn = conn;
    h->from = conn->facts.peer;
    h->s = s;
    tern_frame_init(&h->frame, TERN_RELAY_MESSAGE_MAX);
    tern_frame_init(&h->stop_frame, TERN_RELAY_MESSAGE_MAX);
    tern_list_push(&r->hops, &h->link);
    tern_timer_start(r->net->loop, &h->timer, tern_loop_now(r->net->loop) + MESSAGE_TIME, on_time);
    tern_stream_take(s, &hop_events, h);
}

/* ---- the service ---- */

static int handle(tern_relay *r)
{
    static const char id[] = TERN_RELAY_HOP_ID;
    uint32_t most = r->limits.circuits_per_peer; /* and requests beside them */
    most = most < TERN_RELAY_STREAMS_MIN / 2 ? TERN_RELAY_STREAMS_MIN : 2 * most;
    tern_protocol protocol = {.id = id,
                              .on_stream = on_stream,
                              .ctx = r,
                              .per_peer = most < UINT8_MAX ? (uint8_t)most : UINT8_MAX,
                              .over_limited = true /* to be refused by name */};
    int code = r->net->ops->handle(r->net, &protocol);
    r->served = code == 0;
    return code;
}

static void forget_all(tern_relay *r)
{
    while (!tern_list_empty(&r->reservations)) {
        tern_relay_forget(r, TERN_CONTAINER(r->reservations.next, reservation, link));
    }
}

int tern_relay_new(tern_net *net, const tern_relay_limits *limits, tern_relay **ret)
{
    tern_relay *r = tern_calloc(1, sizeof *r);
    if (r == NULL) {
        return TERN_E_NOMEM;
    }
    r->net = net;
    r->limits = *limits;
    r->ear.on_gone = on_gone;
    tern_list_init(&r->reservations);
    tern_list_init(&r->hops);
    tern_map_init(&r->by_peer);
    tern_tally_init(&r->blocks);
    tern_tally_init(&r->networks);
    tern_tally_init(&r->from);
    tern_tally_init(&r->to);
    int code = handle(r);
    if (code != 0) {
        tern_free(r);
        return code;
    }
    tern_list_push(&net->ears, &r->ear.link);
    *ret = r;
    return 0;
}

void tern_relay_serve(tern_relay *r, bool on)
{
    if (on == r->served) {
        return;
    }
    if (on) {
        handle(r);
    } else {
        r->net->ops->unhandle(r->net, TERN_RELAY_HOP_ID);
        r->served = false;
        forget_all(r);
    }
}

void tern_relay_free(tern_relay *r)
{
    if (r == NULL) {
        return;
    }
    tern_list_remove(&r->ear.link);
    tern_relay_serve(r, false);
    tern_map_free(&r->by_peer);
    tern_tally_free(&r->blocks);
    tern_tally_free(&r->networks);
    tern_tally_free(&r->from);
    tern_tally_free(&r->to);
    tern_free(r);
}

size_t tern_relay_reservations(const tern_relay *r)
{
    return r->reserved;
}

size_t tern_relay_circuits(const tern_relay *r)
{
    return r->circuits;
}
