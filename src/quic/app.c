/* Another protocol than libp2p's over QUIC: see app.h. */
#include "quic/app.h"

#include "base/error.h"
#include "base/mem.h"
#include "quic/conn.h"
#include "quic/quic.h"

enum { UNI_STREAMS = 8, DATAGRAM_MAX = 65535 };

/* ---- which protocol ---- */

/* The server's parameters for an app: its peers open streams of their own and ask whether there
 * could be datagrams. */
static int app_params(ngtcp2_conn *q)
{
    ngtcp2_transport_params params = *ngtcp2_conn_get_local_transport_params(q);
    params.initial_max_streams_uni = UNI_STREAMS;
    params.max_datagram_frame_size = DATAGRAM_MAX;
    return ngtcp2_conn_set_local_transport_params(q, &params);
}

int quic_app_choose(quic_conn *c, const tern_hello *hello, tern_answer *answer)
{
    const quic_endpoint *e = c->endpoint;
    if (e->app == NULL) {
        return 0;
    }
    const tern_span alpn = {(const uint8_t *)e->app->alpn, strlen(e->app->alpn)};
    if (!tern_hello_offers(hello, alpn)) {
        return 0;
    }
    if (e->shown == NULL) {
        return TERN_E_STATE;
    }
    if (app_params(c->q) != 0) {
        return TERN_E_NOMEM;
    }
    c->session = e->app->accept(c->net, c);
    if (c->session == NULL) {
        c->net->counters.allocation_failures++;
        return TERN_E_NOMEM;
    }
    c->app = e->app;
    answer->alpn = alpn;
    answer->cert = e->shown;
    return 0;
}

void quic_app_params(ngtcp2_transport_params *params)
{
    params->initial_max_streams_uni = UNI_STREAMS;
    params->max_datagram_frame_size = DATAGRAM_MAX;
}

/* ---- listening and dialling ---- */

int tern_quic_app_listen(tern_net *net, const tern_endpoint *at, const tern_quic_app *app,
                         tern_listener *l, quic_endpoint **ret, tern_endpoint *ret_at,
                         tern_error *reterr)
{
    tern_quic *quic;
    char text[TERN_ENDPOINT_TEXT];
    int code = quic_of(net, &quic, reterr);
    if (code == 0) {
        code = quic_endpoint_listen(quic, at, true, ret, reterr);
    }
    if (code != 0) {
        return code;
    }
    quic_endpoint *e = *ret;
    if (e->app != NULL) {
        quic_endpoint_unuse(e);
        return tern_fail(reterr, TERN_E_ADDRINUSE, app->name, "this node listens on %s already",
                         tern_endpoint_text(text, at));
    }
    e->app = app;
    e->app_listener = l;
    *ret_at = e->local;
    return 0;
}

void tern_quic_app_show(quic_endpoint *e, const tern_cert *cert)
{
    e->shown = cert;
}

void tern_quic_app_unlisten(quic_endpoint *e)
{
    quic_endpoint_drop_pending(e);
    e->app = NULL;
    e->app_listener = NULL;
    e->shown = NULL;
    quic_endpoint_unuse(e);
}

/* ---- a conn ---- */

tern_conn *tern_quic_app_conn(quic_conn *c)
{
    return &c->base;
}

const tern_endpoint *tern_quic_app_remote(const quic_conn *c)
{
    return &c->remote;
}

tern_stream *tern_quic_app_open(quic_conn *c, bool both_ways, tern_error *reterr)
{
    if (both_ways) {
        quic_stream *s = (quic_stream *)quic_conn_open(c, reterr);
        if (s == NULL) {
            return NULL;
        }
        quic_stream_own(s);
        return &s->base;
    }
    int64_t id;
    quic_stream *s = quic_stream_new(c, -1);
    if (s != NULL && ngtcp2_conn_open_uni_stream(c->q, &id, s) != 0) {
        tern_stream_drop(&s->base);
        tern_stream_finish(&s->base, &(tern_error){.code = TERN_E_LIMIT});
        tern_fail(reterr, TERN_E_LIMIT, c->app->name, "the peer permits no one-way stream");
        return NULL;
    }
    if (s == NULL) {
        tern_fail(reterr, TERN_E_NOMEM, c->app->name, "out of memory");
        return NULL;
    }
    s->id = id;
    s->base.id = (uint64_t)id;
    s->base.peer_ended = s->base.end_told = 1;
    quic_stream_own(s);
    return &s->base;
}

void tern_quic_app_give(tern_stream *base)
{
    quic_stream *s = (quic_stream *)base;
    if (s->own) {
        s->own = 0;
        s->conn->base.own_count--;
    }
}

void tern_quic_app_ready(quic_conn *c, tern_key *key)
{
    tern_key_unref(c->key);
    c->key = key;
    quic_conn_ready(c);
}

static void on_end(tern_timer *timer)
{
    quic_conn *c = TERN_CONTAINER(timer, quic_conn, linger);
    tern_error why = {.code = TERN_E_NOMEM, .layer = "quic", .text = "out of memory"};
    if (c->failure != NULL) {
        why = *c->failure;
    }
    if (quic_conn_write(c)) { /* what was said before */
        quic_conn_say_goodbye(c, true, c->close_code, 0);
        quic_conn_fail(c, &why);
    }
}

void tern_quic_app_fail(quic_conn *c, uint64_t code, const tern_error *why)
{
    if (c->over || c->failure != NULL) {
        return; /* the first reason counts */
    }
    c->failure = tern_memdup(why, sizeof *why);
    c->close_code = code;
    tern_timer_start(c->base.loop, &c->linger, tern_loop_now(c->base.loop), on_end);
}
