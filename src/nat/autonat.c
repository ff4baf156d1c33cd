/* AutoNAT's server: the life of a request. See autonat.h. */
#include "nat/autonat_inner.h"

#include "base/mem.h"

/* ---- what may be dialled ---- */

/* Whether we have a way to such IPs at all: without it every answer would be wrong. */
static bool has_family(tern_net *net, uint8_t family)
{
    enum { OWN_MAX = 64 };
    tern_endpoint own[OWN_MAX];
    size_t n = tern_loop_addresses(net->loop, own, OWN_MAX);
    for (size_t i = 0; i < n && i < OWN_MAX; i++) {
        bool usable =
            family == 6 ? tern_endpoint_is_public(&own[i]) : !tern_endpoint_is_loopback(&own[i]);
        if (own[i].family == family && usable) {
            return true;
        }
    }
    return false;
}

bool autonat_dialable(tern_autonat *a, const tern_multiaddr *addr, tern_endpoint *ret)
{
    uint32_t transport;
    tern_ma_part part;
    return addr != NULL && tern_ma_endpoint(addr, ret, &transport) && ret->port != 0 &&
           ret->scope == 0 && tern_endpoint_is_public(ret) &&
           !tern_ma_find(addr, TERN_MA_P2P_CIRCUIT, &part) &&
           !tern_ma_find(addr, TERN_MA_P2P, &part) && a->net->ops->dials(a->net, addr) &&
           a->net->ops->admits(a->net, ret) && has_family(a->net, ret->family);
}

/* ---- a request's life ---- */

void autonat_free_request(request *q)
{
    if (q->s != NULL || q->dial != NULL || q->back != NULL) {
        return; /* something ends still */
    }
    tern_list_remove(&q->link);
    q->autonat->count--;
    tern_timer_stop(&q->timer);
    tern_frame_free(&q->frame);
    tern_frame_free(&q->back_frame);
    tern_multiaddr_unref(q->addr);
    tern_free(q);
}

void autonat_phase(request *q, phase next, uint64_t time, void (*fn)(tern_timer *timer))
{
    tern_loop *loop = q->autonat->net->loop;
    q->phase = next;
    tern_timer_stop(&q->timer);
    tern_timer_start(loop, &q->timer, tern_loop_now(loop) + time, fn);
}

bool autonat_dial(request *q, tern_multiaddr *const *addrs, size_t n,
                  void (*done)(void *owner, tern_conn *conn, const tern_error *error))
{
    tern_net *net = q->autonat->net;
    q->stranger = net->stranger(net);
    if (q->stranger != NULL) {
        q->dial = q->stranger->ops->dial_only(q->stranger, &q->peer, addrs, n, done, q);
    }
    net->counters.autonat_dials += q->dial != NULL;
    return q->dial != NULL;
}

/* Nothing is awaited any more but the end of streams. */
static void stop_work(request *q)
{
    tern_timer_stop(&q->timer);
    if (q->dial != NULL) {
        q->stranger->ops->cancel_dial(q->dial);
        q->dial = NULL;
    }
    if (q->back != NULL) {
        tern_stream_reset(q->back, 0);
    }
}

void autonat_answer(request *q, const tern_buf *message)
{
    tern_stream *s = q->s;
    stop_work(q);
    if (s != NULL) {
        q->s = NULL;
        if (tern_buf_len(message) == 0 ||
            tern_frame_write(s, tern_buf_data(message), tern_buf_len(message)) != 0) {
            tern_stream_reset(s, 0);
        }
        tern_stream_drop(s);
    }
    autonat_free_request(q);
}

void autonat_break(request *q)
{
    tern_stream *s = q->s;
    q->autonat->net->counters.autonat_malformed++;
    stop_work(q);
    q->s = NULL;
    tern_stream_reset(s, 0);
    tern_stream_drop(s);
    autonat_free_request(q);
}

static size_t on_data(void *owner, tern_stream *s, uint8_t *data, size_t n)
{
    request *q = owner;
    size_t at = 0;
    while (at < n && q->phase <= PAYING) {
        size_t used = 0;
        tern_span message;
        int code = tern_frame_feed(&q->frame, data + at, n - at, &used, &message);
        at += used;
        if (code < 0) {
            autonat_break(q);
            return n;
        }
        if (code == 1) {
            void (*serve)(request *, tern_span) = q->old ? autonat_1_serve : autonat_serve;
            serve(q, message);
            if (s->dropped) {
                return n; /* answered, or broken off: q is gone */
            }
        }
    }
    return n; /* what comes after the request has no meaning */
}

static void on_closed(void *owner, tern_stream *s, const tern_error *why)
{
    request *q = owner;
    (void)s;
    (void)why;
    q->s = NULL;
    stop_work(q);
    autonat_free_request(q);
}

static const tern_stream_events request_events = {.on_data = on_data, .on_closed = on_closed};

static void on_ask_time(tern_timer *timer)
{
    request *q = TERN_CONTAINER(timer, request, timer);
    q->autonat->net->counters.autonat_timeouts++;
    tern_stream_reset(q->s, 0);
}

static void start(tern_autonat *a, tern_conn *conn, tern_stream *s, bool old)
{
    uint32_t transport;
    tern_endpoint from;
    tern_ma_part part;
    bool direct = tern_ma_endpoint(conn->facts.remote, &from, &transport) &&
                  !tern_ma_find(conn->facts.remote, TERN_MA_P2P_CIRCUIT, &part);
    request *q = direct && a->count < TERN_AUTONAT_REQUESTS_MAX ? tern_calloc(1, sizeof *q) : NULL;
    if (q == NULL) {
        a->net->counters.autonat_refused++;
        tern_stream_reset(s, 0);
        tern_stream_drop(s);
        return;
    }
    q->autonat = a;
    q->old = old;
    q->peer = conn->facts.peer;
    q->from = from;
    q->s = s;
    tern_frame_init(&q->frame, old ? TERN_AUTONAT_1_MESSAGE_MAX : TERN_AUTONAT_MESSAGE_MAX);
    tern_frame_init(&q->back_frame, TERN_AUTONAT_DIAL_BACK_MAX);
    tern_list_push(&a->requests, &q->link);
    a->count++;
    autonat_phase(q, ASKING, TERN_AUTONAT_ASK_TIME, on_ask_time);
    tern_stream_take(s, &request_events, q);
}

static void on_stream(void *ctx, tern_conn *conn, tern_stream *s, const char *id)
{
    (void)id;
    start(ctx, conn, s, false);
}

static void on_stream_1(void *ctx, tern_conn *conn, tern_stream *s, const char *id)
{
    (void)id;
    start(ctx, conn, s, true);
}

/* ---- the service ---- */

int tern_autonat_new(tern_net *net, tern_autonat **ret)
{
    static const char id[] = TERN_AUTONAT_REQUEST_ID, id_1[] = TERN_AUTONAT_1_ID;
    tern_autonat *a = tern_calloc(1, sizeof *a);
    if (a == NULL) {
        return TERN_E_NOMEM;
    }
    a->net = net;
    tern_list_init(&a->requests);
    a->rate.most = 60;
    a->rate.most_of_block = a->rate.most_of_peer = 12;
    a->paid.most = 12;
    a->paid.most_of_block = a->paid.most_of_peer = 6;
    a->rate_1.most = 30;
    a->rate_1.most_of_block = 9;
    a->rate_1.most_of_peer = 3;
    tern_protocol protocol = {
        .id = id, .on_stream = on_stream, .ctx = a, .per_peer = TERN_AUTONAT_PER_PEER};
    tern_protocol protocol_1 = {
        .id = id_1, .on_stream = on_stream_1, .ctx = a, .per_peer = TERN_AUTONAT_PER_PEER};
    int code = net->ops->handle(net, &protocol);
    if (code == 0 && (code = net->ops->handle(net, &protocol_1)) != 0) {
        net->ops->unhandle(net, id);
    }
    if (code != 0) {
        tern_free(a);
        return code;
    }
    *ret = a;
    return 0;
}

void tern_autonat_free(tern_autonat *a)
{
    if (a != NULL) {
        a->net->ops->unhandle(a->net, TERN_AUTONAT_REQUEST_ID);
        a->net->ops->unhandle(a->net, TERN_AUTONAT_1_ID);
        tern_free(a);
    }
}

size_t tern_autonat_requests(const tern_autonat *a)
{
    return a->count;
}
