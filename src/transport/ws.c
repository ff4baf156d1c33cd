/* The transport "ws": libp2p in a WebSocket, without TLS (libp2p specs, websockets; RFC 6455).
 *
 *     dial:    connect -> GET with a key -> 101 with its answer -> the stream       2 round trips
 *     listen:  the shared port parses the request -> it is checked -> 101 -> the stream
 *
 * Nothing follows the request before the answer has come: section 4.1 forbids it. What the server
 * sends behind its answer, or the client behind its request, belongs to the stream already. */
#include "transport/ws.h"

#include <stdio.h>

#include "base/error.h"
#include "base/mem.h"
#include "transport/http_door.h"
#include "transport/over_tcp.h"
#include "transport/ws_core.h"
#include "transport/ws_stream.h"

static const uint32_t ws_behind[] = {TERN_MA_WS, 0};
static const uint32_t ws_path_behind[] = {TERN_MA_WS, TERN_MA_HTTP_PATH, 0};

static bool dials(const tern_multiaddr *addr)
{
    return tern_over_tcp_matches(addr, ws_behind, true) ||
           tern_over_tcp_matches(addr, ws_path_behind, true);
}

static bool listens(const tern_multiaddr *addr)
{
    return tern_over_tcp_matches(addr, ws_behind, false);
}

/* ---- the request ---- */

typedef struct ws_dial {
    tern_tcp_dial_op connect;
    tern_dial_op *op;
    tern_stream *lower; /* while the handshake runs on it */
    tern_multiaddr *local;
    char key[TERN_WS_KEY_TEXT];
    tern_timer timer;
    tern_buf head; /* what has come of the answer */
} ws_dial;

/* A path's bytes as they may stand in a request (RFC 3986 section 3.3). */
static int put_path(tern_buf *out, tern_span path)
{
    int code = path.len > 0 && path.data[0] == '/' ? 0 : tern_buf_printf(out, "/");
    for (size_t i = 0; i < path.len && code == 0; i++) {
        uint8_t c = path.data[i];
        bool plain = (c >= '0' && c <= '9') || (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') ||
                     (c != '\0' && strchr("-._~!$&'()*+,;=:@/", c) != NULL);
        code = tern_buf_printf(out, plain ? "%c" : "%%%02X", c);
    }
    return code;
}

/* Whether a name can stand in a Host field. */
static bool is_host(const char *name)
{
    size_t n = strlen(name);
    return n > 0 && n <= 253 &&
           strspn(name, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-._") == n;
}

static int put_host(tern_buf *out, const char *name, const tern_endpoint *to)
{
    char text[TERN_ENDPOINT_TEXT];
    if (name != NULL) {
        return tern_buf_printf(out, "%s:%u", name, (unsigned)to->port);
    }
    tern_endpoint_ip_text(text, to);
    return tern_buf_printf(out, to->family == 6 ? "[%s]:%u" : "%s:%u", text, (unsigned)to->port);
}

static int put_request(tern_buf *out, const ws_dial *d)
{
    tern_ma_part path = {0};
    tern_ma_find(d->op->addr, TERN_MA_HTTP_PATH, &path);
    int code = tern_buf_printf(out, "GET ");
    code = code != 0 ? code : put_path(out, path.value);
    code = code != 0 ? code : tern_buf_printf(out, " HTTP/1.1\r\nHost: ");
    code = code != 0 ? code : put_host(out, d->op->host, &d->connect.to);
    return code != 0 ? code
                     : tern_buf_printf(out,
                                       "\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
                                       "Sec-WebSocket-Key: %s\r\nSec-WebSocket-Version: 13\r\n\r\n",
                                       d->key);
}

/* ---- dialling ---- */

/* Frees the dial's state; what it still runs is cancelled. */
static void free_dial(tern_dial_op *op)
{
    ws_dial *d = op->state;
    if (d == NULL) {
        return;
    }
    op->state = NULL;
    tern_op_cancel(&d->connect.op);
    tern_timer_stop(&d->timer);
    if (d->lower != NULL) {
        tern_stream_reset(d->lower, 0);
        tern_stream_drop(d->lower);
    }
    tern_multiaddr_unref(d->local);
    tern_buf_free(&d->head);
    tern_free(d);
}

static void cancel(tern_op *o)
{
    tern_dial_op *op = TERN_CONTAINER(o, tern_dial_op, op);
    free_dial(op);
    tern_over_tcp_release(op);
}

static void fail_dial(ws_dial *d, int code, const char *text)
{
    tern_dial_op *op = d->op;
    tern_error why;
    tern_fail(&why, code, "ws", "%s: %s", tern_multiaddr_text(op->addr), text);
    free_dial(op);
    tern_op_finish(&op->op, &why);
}

/* The answer is good: the lower stream becomes a WebSocket. */
static void open_stream(ws_dial *d)
{
    tern_dial_op *op = d->op;
    tern_stream *s = tern_ws_stream_new(d->lower, true, &op->net->counters);
    if (s == NULL) {
        fail_dial(d, TERN_E_NOMEM, "out of memory");
        return;
    }
    d->lower = NULL;
    op->stream = s;
    op->local = d->local;
    d->local = NULL;
    free_dial(op);
    tern_op_finish(&op->op, NULL);
}

static void refuse_answer(ws_dial *d, int code, const char *text)
{
    d->op->net->counters.ws_bad_handshake++;
    fail_dial(d, code, text);
}

/* Judges an answer that is complete. */
static void take_answer(ws_dial *d, const tern_http1_head *head)
{
    char text[80];
    const char *wrong = tern_ws_check_response(head, d->key);
    if (wrong == NULL) {
        open_stream(d);
    } else if (head->status != 101) {
        snprintf(text, sizeof text, "the server answered %d to the WebSocket request",
                 head->status);
        refuse_answer(d, TERN_E_REFUSED, text);
    } else {
        refuse_answer(d, TERN_E_PROTOCOL, wrong);
    }
}

static size_t on_answer_data(void *owner, tern_stream *lower, uint8_t *data, size_t n)
{
    ws_dial *d = owner;
    tern_http1_head head;
    (void)lower;
    size_t before = tern_buf_len(&d->head), space = TERN_HTTP1_HEAD_MAX - before;
    size_t k = n < space ? n : space;
    if (tern_buf_append(&d->head, data, k) != 0) {
        fail_dial(d, TERN_E_NOMEM, "out of memory");
        return n;
    }
    ssize_t len = tern_http1_response(tern_buf_data(&d->head), before + k, &head);
    if (len == 0) {
        return k;
    }
    if (len < 0) {
        refuse_answer(d, (int)len,
                      len == TERN_E_TOO_LARGE ? "the server's answer is too long"
                                              : "the server's answer is no HTTP");
        return n;
    }
    take_answer(d, &head);
    return (size_t)len - before;
}

static void on_answer_end(void *owner, tern_stream *lower)
{
    (void)lower;
    refuse_answer(owner, TERN_E_EOF, "the server hung up on the WebSocket request");
}

static void on_answer_closed(void *owner, tern_stream *lower, const tern_error *why)
{
    ws_dial *d = owner;
    (void)lower;
    d->lower = NULL;
    fail_dial(d, why->code != 0 ? why->code : TERN_E_EOF, why->text);
}

static const tern_stream_events answer_events = {
    .on_data = on_answer_data,
    .on_end = on_answer_end,
    .on_closed = on_answer_closed,
};

static void on_answer_late(tern_timer *timer)
{
    fail_dial(TERN_CONTAINER(timer, ws_dial, timer), TERN_E_TIMEOUT,
              "the server did not answer the WebSocket request in time");
}

static void on_connected(tern_op *o, const tern_error *error)
{
    ws_dial *d = TERN_CONTAINER(o, ws_dial, connect.op);
    tern_dial_op *op = d->op;
    if (error->code != 0) {
        tern_error why = *error;
        free_dial(op);
        tern_op_finish(&op->op, &why);
        return;
    }
    tern_loop *loop = op->net->loop;
    tern_endpoint local, remote;
    tern_buf request;
    d->lower = d->connect.stream;
    tern_tcp_stream_endpoints(d->lower, &local, &remote);
    d->local = tern_over_tcp_addr(&local, TERN_TCP_WS);
    tern_buf_init(&request, 0);
    if (d->local == NULL || put_request(&request, d) != 0) {
        fail_dial(d, TERN_E_NOMEM, "out of memory");
    } else {
        tern_stream_take(d->lower, &answer_events, d);
        tern_stream_write(d->lower, tern_buf_data(&request), tern_buf_len(&request));
        tern_timer_start(loop, &d->timer, tern_loop_now(loop) + op->net->limits.http_time,
                         on_answer_late);
    }
    tern_buf_free(&request);
}

static int dial(tern_dial_op *op, tern_error *reterr)
{
    uint8_t nonce[TERN_WS_NONCE];
    op->stream = NULL;
    op->conn = NULL;
    op->local = NULL;
    op->state = NULL;
    if (op->host != NULL && !is_host(op->host)) {
        return tern_fail(reterr, TERN_E_INVALID, "ws", "%s: not a name for a WebSocket server",
                         tern_multiaddr_text(op->addr));
    }
    ws_dial *d = op->state = tern_calloc(1, sizeof *d);
    if (d == NULL) {
        return tern_fail(reterr, TERN_E_NOMEM, "ws", "out of memory");
    }
    d->op = op;
    tern_loop_random(op->net->loop, nonce, sizeof nonce);
    tern_ws_key_text(nonce, d->key);
    int code = tern_over_tcp_connect(op, &d->connect, on_connected, reterr);
    if (code != 0) {
        free_dial(op);
        return code;
    }
    tern_op_start(&op->op, "ws", cancel, d);
    return 0;
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
                      const tern_endpoint *local, const tern_endpoint *remote)
{
    tern_over_tcp_listener *l = owner;
    tern_counters *count = &l->net->counters;
    char accept[TERN_WS_ACCEPT_TEXT];
    int status = tern_ws_check_request(head, accept);
    if (status != 0) {
        count->ws_bad_handshake++;
        tern_tcp_port_turn_away(l->port, lower, remote, tern_http_door_answer(status));
        return;
    }
    tern_stream *s = accept_upgrade(lower, accept, count);
    if (s == NULL) {
        count->allocation_failures++;
        tern_stream_reset(lower, 0);
        tern_stream_drop(lower);
        return;
    }
    tern_over_tcp_accept(l, s, local, remote);
}

static const tern_tcp_class_events class_events = {.on_stream = on_stream};

static int listen_on(tern_net *net, const tern_multiaddr *addr, const tern_listener_events *events,
                     void *owner, tern_listener **ret, tern_error *reterr)
{
    return tern_over_tcp_listen(&tern_ws_transport, net, addr, TERN_TCP_WS, &class_events, events,
                                owner, ret, reterr);
}

const tern_transport tern_ws_transport = {
    .name = "ws",
    .dials = dials,
    .listens = listens,
    .dial = dial,
    .listen = listen_on,
};
