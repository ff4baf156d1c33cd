/* The transports "ws" and "wss": libp2p in a WebSocket, plain or through TLS (libp2p specs,
 * websockets; RFC 6455). Dialling is ws_dial.c.
 *
 *     listen:  the shared port shakes hands (wss) and parses the request -> it is checked -> 101
 *              -> the stream
 *
 * What the client sends behind its request belongs to the stream already. */
#include "transport/ws.h"

#include <stdio.h>

#include "base/error.h"
#include "transport/http_door.h"
#include "transport/over_tcp.h"
#include "transport/web_tls.h"
#include "transport/ws_core.h"
#include "transport/ws_dial.h"
#include "transport/ws_stream.h"

/* What stands behind /tcp/PORT; the last two of each also with a path. */
static const uint32_t ws_behind[][4] = {
    {TERN_MA_WS, 0},
    {TERN_MA_WS, TERN_MA_HTTP_PATH, 0},
};
static const uint32_t wss_behind[][5] = {
    {TERN_MA_TLS, TERN_MA_WS, 0},
    {TERN_MA_WSS, 0},
    {TERN_MA_TLS, TERN_MA_SNI, TERN_MA_WS, 0},
    {TERN_MA_TLS, TERN_MA_WS, TERN_MA_HTTP_PATH, 0},
    {TERN_MA_WSS, TERN_MA_HTTP_PATH, 0},
    {TERN_MA_TLS, TERN_MA_SNI, TERN_MA_WS, TERN_MA_HTTP_PATH, 0},
};

static bool ws_dials(const tern_multiaddr *addr)
{
    return tern_over_tcp_matches(addr, ws_behind[0], true) ||
           tern_over_tcp_matches(addr, ws_behind[1], true);
}

static bool ws_listens(const tern_multiaddr *addr)
{
    return tern_over_tcp_matches(addr, ws_behind[0], false);
}

static bool wss_dials(const tern_multiaddr *addr)
{
    bool fits = false;
    for (size_t i = 0; !fits && i < sizeof wss_behind / sizeof *wss_behind; i++) {
        fits = tern_over_tcp_matches(addr, wss_behind[i], true);
    }
    return fits;
}

static bool wss_listens(const tern_multiaddr *addr)
{
    return tern_over_tcp_matches(addr, wss_behind[0], false) ||
           tern_over_tcp_matches(addr, wss_behind[1], false);
}

static int ws_dial(tern_dial_op *op, tern_error *reterr)
{
    return tern_ws_dial(op, false, reterr);
}

static int wss_dial(tern_dial_op *op, tern_error *reterr)
{
    return tern_ws_dial(op, true, reterr);
}

/* ---- listening ---- */

/* Accepts the upgrade; NULL when memory is short. The lower is then still the caller's. */
static tern_stream *accept_upgrade(tern_stream *lower, const char *accept, tern_counters *counters)
{
    char answer[160];
    int n = snprintf(answer, sizeof answer,
                     "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\n"
                     "Connection: Upgrade\r\nSec-WebSocket-Accept: %s\r\n\r\n",
                     accept);
    tern_stream *s = NULL;
    if (tern_stream_write(lower, answer, (size_t)n) == (size_t)n) {
        s = tern_ws_stream_new(lower, false, counters);
    }
    return s;
}

static void on_stream(void *owner, tern_stream *lower, const tern_http1_head *head,
                      const tern_endpoint *local, const tern_endpoint *remote, uint64_t deadline)
{
    tern_over_tcp_listener *l = owner;
    tern_counters *count = &l->net->counters;
    char accept[TERN_WS_ACCEPT_TEXT];
    int status = tern_ws_check_request(head, accept);
    if (status != 0) {
        count->ws_bad_handshake++;
        tern_tcp_port_turn_away(l->port, lower, remote, deadline, tern_http_door_answer(status));
        return;
    }
    tern_stream *s = accept_upgrade(lower, accept, count);
    if (s == NULL) {
        count->allocation_failures++;
        tern_stream_reset(lower, 0);
        tern_stream_drop(lower);
        return;
    }
    tern_over_tcp_accept(l, s, local, remote, deadline);
}

static const tern_tcp_class_events class_events = {.on_stream = on_stream};

static int ws_listen(tern_net *net, const tern_multiaddr *addr, const tern_listener_events *events,
                     void *owner, tern_listener **ret, tern_error *reterr)
{
    return tern_over_tcp_listen(&tern_ws_transport, net, addr, TERN_TCP_WS, &class_events, events,
                                owner, ret, reterr);
}

static int wss_listen(tern_net *net, const tern_multiaddr *addr, const tern_listener_events *events,
                      void *owner, tern_listener **ret, tern_error *reterr)
{
    if (tern_web_server(net) == NULL) {
        return tern_fail(reterr, TERN_E_INVALID, "wss",
                         "%s: Secure WebSocket wants a certificate; try --tls-cert and --tls-key",
                         tern_multiaddr_text(addr));
    }
    return tern_over_tcp_listen(&tern_wss_transport, net, addr, TERN_TCP_WSS, &class_events, events,
                                owner, ret, reterr);
}

const tern_transport tern_ws_transport = {
    .name = "ws",
    .dials = ws_dials,
    .listens = ws_listens,
    .dial = ws_dial,
    .listen = ws_listen,
};

const tern_transport tern_wss_transport = {
    .name = "wss",
    .dials = wss_dials,
    .listens = wss_listens,
    .dial = wss_dial,
    .listen = wss_listen,
};
