/* The dial-back protocol of AutoNAT 2: a server whom we asked connects to us, under whatever name,
 * and says the nonce of our question. What counts is by which of our addresses it came. */
#include "base/mem.h"
#include "nat/autonat_ask.h"
#include "nat/reach.h"

enum { PER_PEER = 2 };
#define HEAR_TIME (5 * TERN_SEC)

typedef struct hearing {
    tern_net *net;
    tern_list *asks;
    tern_conn *conn; /* lives as long as the stream */
    tern_stream *s;
    tern_frame frame;
    tern_timer timer;
} hearing;

static void free_hearing(hearing *h)
{
    tern_timer_stop(&h->timer);
    tern_frame_free(&h->frame);
    tern_free(h);
}

/* Whether a connection to that address arrives where this one did. */
static bool came_by(const tern_autonat_way *way, const tern_endpoint *local, uint32_t transport)
{
    bool same_ip =
        local->family == way->at.family && memcmp(local->ip, way->at.ip, sizeof local->ip) == 0;
    return transport == way->transport && (way->port == 0 || local->port == way->port) &&
           (!way->own || same_ip || tern_endpoint_is_unspecified(local));
}

static bool prove(hearing *h, uint64_t nonce)
{
    tern_endpoint local;
    uint32_t transport;
    bool proven = false;
    if (!h->conn->facts.inbound || !tern_ma_endpoint(h->conn->facts.local, &local, &transport)) {
        return false;
    }
    for (tern_list *l = h->asks->next; l != h->asks; l = l->next) {
        tern_autonat_ask *ask = TERN_CONTAINER(l, tern_autonat_ask, link);
        for (size_t i = 0; !ask->old && ask->nonce == nonce && i < ask->way_count; i++) {
            if (came_by(&ask->ways[i], &local, transport)) {
                proven = ask->ways[i].proven = true;
            }
        }
    }
    return proven;
}

static void refuse(hearing *h)
{
    tern_stream *s = h->s;
    h->net->counters.autonat_wrong_nonces++;
    free_hearing(h);
    tern_stream_reset(s, 0);
    tern_stream_drop(s);
}

static size_t on_data(void *owner, tern_stream *s, uint8_t *data, size_t n)
{
    hearing *h = owner;
    size_t used = 0;
    tern_span message;
    uint64_t nonce;
    int code = tern_frame_feed(&h->frame, data, n, &used, &message);
    if (code == 0) {
        return n;
    }
    if (code < 0 || tern_autonat_parse_dial_back(message, &nonce) != 0 || !prove(h, nonce)) {
        refuse(h);
        return n;
    }
    free_hearing(h);
    if (tern_frame_write(s, NULL, 0) != 0) { /* OK is the empty message */
        tern_stream_reset(s, 0);
    }
    tern_stream_drop(s);
    return n;
}

static void on_end(void *owner, tern_stream *s)
{
    (void)owner;
    tern_stream_reset(s, 0); /* without a nonce */
}

static void on_closed(void *owner, tern_stream *s, const tern_error *why)
{
    (void)s;
    (void)why;
    free_hearing(owner);
}

static const tern_stream_events hearing_events = {
    .on_data = on_data, .on_end = on_end, .on_closed = on_closed};

static void on_time(tern_timer *timer)
{
    hearing *h = TERN_CONTAINER(timer, hearing, timer);
    h->net->counters.autonat_timeouts++;
    tern_stream_reset(h->s, 0);
}

static void on_stream(void *ctx, tern_conn *conn, tern_stream *s, const char *id)
{
    tern_net *net = ctx;
    (void)id;
    hearing *h = net->reach != NULL ? tern_calloc(1, sizeof *h) : NULL;
    if (h == NULL) {
        tern_stream_reset(s, 0);
        tern_stream_drop(s);
        return;
    }
    h->net = net;
    h->asks = tern_reach_asks(net->reach);
    h->conn = conn;
    h->s = s;
    tern_frame_init(&h->frame, TERN_AUTONAT_DIAL_BACK_MAX);
    tern_timer_start(net->loop, &h->timer, tern_loop_now(net->loop) + HEAR_TIME, on_time);
    tern_stream_take(s, &hearing_events, h);
}

int tern_autonat_hear_dial_backs(tern_net *net)
{
    static const char id[] = TERN_AUTONAT_DIAL_BACK_ID;
    tern_protocol protocol = {.id = id, .on_stream = on_stream, .ctx = net, .per_peer = PER_PEER};
    return net->ops->handle(net, &protocol);
}
