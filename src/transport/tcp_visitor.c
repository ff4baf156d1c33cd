/* What the visitors of the shared TCP ports say and hear until they are handed over: see
 * tcp_visitor.h. */
#include "transport/tcp_visitor.h"

#include "base/error.h"
#include "base/log.h"
#include "base/mem.h"
#include "secure/tls_handshake.h"
#include "transport/http_door.h"
#include "transport/web_tls.h"

#define ANSWER_TIME (2 * TERN_SEC) /* for reading an answer and closing */

enum stage { FIRST, TLS, HEAD, ANSWERED };

typedef struct visitor {
    tern_list link;
    tern_tcp_port *port;
    tern_stream *s;          /* NULL while the handshake has it */
    tern_tls_handshake *tls; /* in stage TLS */
    tern_endpoint local, remote;
    tern_timer timer;
    uint64_t since;          /* when it was accepted */
    uint64_t deadline;       /* for all stages together */
    tern_crowd_member place; /* in net->pending */
    enum stage stage;
    uint8_t first[TERN_FIRST_BYTES];
    uint8_t first_len;
    bool secure; /* it came through TLS */
    tern_buf head;
} visitor;

/* ---- visitors: the list and its bound ---- */

/* Frees a visitor; its stream lives on, silent until somebody takes it. */
static void remove_visitor(visitor *v)
{
    tern_crowds_leave(&v->port->net->pending, &v->place);
    tern_list_remove(&v->link);
    tern_timer_stop(&v->timer);
    tern_buf_free(&v->head);
    if (v->s != NULL) {
        tern_stream_take(v->s, NULL, NULL);
    }
    tern_free(v->tls);
    tern_free(v);
}

static void abort_stream(tern_stream *s)
{
    tern_stream_reset(s, 0);
    tern_stream_drop(s);
}

static void expel(visitor *v, uint64_t *counter, const char *why)
{
    char text[TERN_ENDPOINT_TEXT];
    tern_stream *s = v->s;
    if (counter != NULL) {
        ++*counter;
    }
    TERN_LOG(TERN_LOG_DEBUG, "tcp_port", "%s closed: %s", tern_endpoint_text(text, &v->remote),
             why);
    if (s == NULL) {
        tern_tls_handshake_cancel(v->tls);
    }
    remove_visitor(v);
    if (s != NULL) {
        abort_stream(s);
    }
}

static void evict(tern_crowd_member *place)
{
    expel(TERN_CONTAINER(place, visitor, place), NULL, "made place for a newer connection");
}

static void on_deadline(tern_timer *timer)
{
    visitor *v = TERN_CONTAINER(timer, visitor, timer);
    tern_counters *count = &v->port->net->counters;
    switch (v->stage) {
    case FIRST:
        expel(v, &count->first_bytes_timeout, "sent no first bytes in time");
        break;
    case TLS:
        expel(v, &count->tls_timeout, "did not finish its TLS handshake in time");
        break;
    case HEAD:
        expel(v, &count->http_timeout, "did not finish its request in time");
        break;
    case ANSWERED:
        expel(v, NULL, "did not close after its answer");
        break;
    }
}

static const tern_stream_events visitor_events;

/* Makes a visitor of a stream; NULL, and the stream is gone, without memory. */
static visitor *add_visitor(tern_tcp_port *port, tern_stream *s, const tern_endpoint *remote,
                            uint64_t deadline)
{
    tern_net *net = port->net;
    tern_net_make_place(net, remote);
    visitor *v = tern_calloc(1, sizeof *v);
    if (v != NULL) {
        v->place.evict = evict;
    }
    if (v == NULL || tern_crowds_join(&net->pending, remote, &v->place) != 0) {
        tern_free(v);
        net->counters.allocation_failures++;
        abort_stream(s);
        return NULL;
    }
    v->port = port;
    v->s = s;
    v->remote = *remote;
    v->since = tern_loop_now(net->loop);
    v->deadline = deadline;
    tern_timer_start(net->loop, &v->timer, deadline, on_deadline);
    tern_buf_init(&v->head, 0);
    tern_list_push(&net->ports->visitors, &v->link);
    tern_stream_take(s, &visitor_events, v);
    return v;
}

/* ---- answering ---- */

static void answer(visitor *v, const char *text)
{
    tern_loop *loop = v->port->net->loop;
    uint64_t until = tern_loop_now(loop) + ANSWER_TIME;
    size_t n = strlen(text);
    tern_buf_free(&v->head);
    v->stage = ANSWERED;
    if (until < v->deadline) {
        tern_timer_start(loop, &v->timer, until, on_deadline);
    }
    if (tern_stream_write(v->s, text, n) < n) {
        expel(v, NULL, "has no room for its answer");
        return;
    }
    tern_stream_end(v->s);
}

void tern_tcp_port_turn_away(tern_tcp_port *port, tern_stream *s, const tern_endpoint *remote,
                             uint64_t deadline, const char *text)
{
    visitor *v = add_visitor(port, s, remote, deadline);
    if (v != NULL) {
        answer(v, text);
    }
}

/* ---- handing over ---- */

/* The stream of a class leaves the visitor, which is freed. */
static void hand_over(visitor *v, enum tern_tcp_class class, const tern_http1_head *head)
{
    const tern_tcp_class_events *events = v->port->classes[class].events;
    void *owner = v->port->classes[class].owner;
    tern_stream *s = v->s;
    tern_endpoint local = v->local, remote = v->remote;
    uint64_t deadline = v->deadline;
    remove_visitor(v);
    events->on_stream(owner, s, head, &local, &remote, deadline);
}

static void take_request(visitor *v, const tern_http1_head *head)
{
    tern_tcp_port *port = v->port;
    tern_net *net = port->net;
    tern_buf bytes = v->head; /* `head` points into it */
    tern_buf_init(&v->head, 0);
    bool upgrade = tern_http1_has_token(head, "Upgrade", "websocket");
    enum tern_tcp_class class = v->secure ? TERN_TCP_WSS : TERN_TCP_WS;
    if (upgrade && port->classes[class].events != NULL) {
        hand_over(v, class, head);
    } else {
        net->counters.http_requests++;
        if (net->http != NULL) {
            tern_stream *s = v->s;
            tern_endpoint remote = v->remote;
            remove_visitor(v);
            net->http(net, s, head, &remote);
        } else {
            answer(v, tern_http_door_answer(404));
        }
    }
    tern_buf_free(&bytes);
}

/* Bytes of the head; returns how many were taken. */
static size_t take_head(visitor *v, const uint8_t *data, size_t n)
{
    tern_counters *count = &v->port->net->counters;
    tern_http1_head head;
    size_t used;
    int got = tern_http_door_feed(&v->head, data, n, &used, &head);
    switch (got) {
    case 0:
        return n;
    case 1:
        take_request(v, &head);
        return used;
    case TERN_E_NOMEM:
        expel(v, &count->allocation_failures, "out of memory");
        return n;
    case TERN_E_TOO_LARGE:
        count->http_too_large++;
        answer(v, tern_http_door_answer(431));
        return n;
    default:
        count->http_malformed++;
        answer(v, tern_http_door_answer(400));
        return n;
    }
}

/* Hands a raw stream over with nothing taken. The first bytes may have come one by one, and waiting
 * for the rest meant taking them: they go back in front of the others. Inside on_data a delivery is
 * kept for the next owner. */
static size_t take_raw(visitor *v, size_t n)
{
    if (v->port->classes[TERN_TCP_RAW].events == NULL) {
        expel(v, &v->port->net->counters.first_bytes_unknown, "raw libp2p is not listened for");
        return n;
    }
    if (v->first_len > 0) {
        tern_stream_deliver(v->s, v->first, v->first_len);
    }
    hand_over(v, TERN_TCP_RAW, NULL);
    return 0;
}

/* ---- TLS ---- */

static void on_shaken(tern_tls_handshake *h, const tern_error *error)
{
    visitor *v = h->owner;
    char text[TERN_ENDPOINT_TEXT];
    if (error != NULL) { /* the handshake has counted it, and the stream is gone */
        TERN_LOG(TERN_LOG_DEBUG, "tcp_port", "%s: TLS: %s", tern_endpoint_text(text, &v->remote),
                 error->text);
        remove_visitor(v);
        return;
    }
    v->s = h->stream;
    v->secure = true;
    tern_free(v->tls);
    v->tls = NULL;
    v->stage = HEAD;
    tern_stream_take(v->s, &visitor_events, v);
}

/* Its first bytes go back in front of the others, as in take_raw; the handshake reads them. */
static size_t take_tls(visitor *v, size_t n)
{
    static const char *const alpn[] = {"http/1.1", NULL};
    static const tern_tls_web_options options = {.server = true, .alpn = alpn};
    tern_tls_engine *engine;
    tern_net *net = v->port->net;
    tern_tls_context *context = tern_web_server(net);
    if (context == NULL) {
        expel(v, &net->counters.first_bytes_unknown, "there is no certificate for TLS");
        return n;
    }
    v->tls = tern_calloc(1, sizeof *v->tls);
    if (v->tls != NULL) {
        *v->tls = (tern_tls_handshake){
            .lower = v->s, .counters = &net->counters, .done = on_shaken, .owner = v};
    }
    if (v->tls == NULL || tern_tls_web_new(context, &options, &engine) != 0 ||
        tern_tls_handshake_start(v->tls, engine) != 0) {
        expel(v, &net->counters.allocation_failures, "out of memory");
        return n;
    }
    if (v->first_len > 0) {
        tern_stream_deliver(v->s, v->first, v->first_len);
    }
    v->s = NULL;
    v->stage = TLS;
    tern_tls_handshake_attach(v->tls);
    return 0;
}

static size_t take_first(visitor *v, const uint8_t *data, size_t n)
{
    tern_counters *count = &v->port->net->counters;
    uint8_t all[TERN_FIRST_BYTES];
    size_t early = v->first_len;
    size_t k = n < sizeof all - early ? n : sizeof all - early;
    memcpy(all, v->first, early);
    memcpy(all + early, data, k);
    switch (tern_first_bytes(all, early + k)) {
    case TERN_FIRST_MORE:
        memcpy(v->first + early, data, k);
        v->first_len = (uint8_t)(early + k);
        return n;
    case TERN_FIRST_RAW:
        return take_raw(v, n);
    case TERN_FIRST_HTTP:
        if (tern_buf_append(&v->head, v->first, early) != 0) {
            expel(v, &count->allocation_failures, "out of memory");
            return n;
        }
        v->stage = HEAD;
        return take_head(v, data, n);
    case TERN_FIRST_TLS:
        return take_tls(v, n);
    case TERN_FIRST_UNKNOWN:
        if (v->port->net->psk != NULL) { /* the nonce of a private network is no protocol's name */
            return take_raw(v, n);
        }
        break;
    }
    expel(v, &count->first_bytes_unknown, "speaks no protocol of this port");
    return n;
}

/* ---- a visitor's events ---- */

static size_t on_data(void *owner, tern_stream *s, uint8_t *data, size_t n)
{
    visitor *v = owner;
    (void)s;
    switch (v->stage) {
    case FIRST:
        return take_first(v, data, n);
    case HEAD:
        return take_head(v, data, n);
    case TLS:
    case ANSWERED:
        break;
    }
    return n;
}

static void on_end(void *owner, tern_stream *s)
{
    visitor *v = owner;
    (void)s;
    if (v->stage != ANSWERED) {
        expel(v, NULL, "left");
    }
}

static void on_closed(void *owner, tern_stream *s, const tern_error *why)
{
    (void)s;
    (void)why;
    remove_visitor(owner);
}

static const tern_stream_events visitor_events = {
    .on_data = on_data,
    .on_end = on_end,
    .on_closed = on_closed,
};

void tern_tcp_visit(tern_tcp_port *port, tern_stream *s, const tern_endpoint *local,
                    const tern_endpoint *remote)
{
    const tern_net *net = port->net;
    visitor *v = add_visitor(port, s, remote, tern_loop_now(net->loop) + net->limits.upgrade_time);
    if (v != NULL) {
        v->local = *local;
    }
}

tern_stream *tern_tcp_visitors_claim(tern_tcp_ports *ports, const tern_endpoint *from,
                                     uint64_t silent_since)
{
    visitor *best = NULL;
    for (tern_list *l = ports->visitors.next; l != &ports->visitors; l = l->next) {
        visitor *v = TERN_CONTAINER(l, visitor, link);
        tern_endpoint at = v->remote;
        at.port = from->port;
        bool same = v->stage == FIRST && v->first_len == 0 && tern_endpoint_eq(&at, from);
        if (same && (v->remote.port == from->port || v->since <= silent_since)) {
            best = best == NULL || v->remote.port == from->port ? v : best;
        }
    }
    tern_stream *s = best != NULL ? best->s : NULL;
    if (best != NULL) {
        remove_visitor(best);
    }
    return s;
}

void tern_tcp_visitors_expel(tern_tcp_port *port)
{
    tern_tcp_ports *ports = port->net->ports;
    tern_list *next;
    for (tern_list *l = ports->visitors.next; l != &ports->visitors; l = next) {
        visitor *v = TERN_CONTAINER(l, visitor, link);
        next = l->next;
        if (v->port == port) {
            expel(v, NULL, "the port closes");
        }
    }
}
