/* Dialling a WebSocket (libp2p specs, websockets; RFC 6455; RFC 8446 below it when it is secure).
 *
 *     connect -> [TLS handshake] -> GET with a key -> 101 with its answer -> the stream
 *        1              1                  1                                     round trips
 *
 * Nothing follows the request before the answer has come: section 4.1 of RFC 6455 forbids it. What
 * the server sends behind its answer belongs to the stream already. All of it together has the time
 * of an HTTP request. */
#include "transport/ws_dial.h"

#include <stdio.h>

#include "base/error.h"
#include "base/mem.h"
#include "secure/tls_handshake.h"
#include "transport/over_tcp.h"
#include "transport/web_tls.h"
#include "transport/ws_core.h"
#include "transport/ws_stream.h"

/* ---- the request ---- */

typedef struct ws_dial {
    tern_tcp_dial_op connect;
    tern_dial_op *op;
    bool secure;
    tern_tls_handshake tls;          /* of a secure one; engine NULL when it does not run */
    tern_stream *lower;              /* while the WebSocket handshake runs on it */
    char host[TERN_WS_HOST_MAX + 1]; /* the server's name; "" = its IP address is all we know */
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
    return n > 0 && n <= TERN_WS_HOST_MAX &&
           strspn(name, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-._") == n;
}

static int put_host(tern_buf *out, const char *name, const tern_endpoint *to)
{
    char text[TERN_ENDPOINT_TEXT];
    if (name[0] != '\0') {
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
    code = code != 0 ? code : put_host(out, d->host, &d->connect.to);
    return code != 0 ? code
                     : tern_buf_printf(out,
                                       "\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
                                       "Sec-WebSocket-Key: %s\r\nSec-WebSocket-Version: 13\r\n\r\n",
                                       d->key);
}

/* ---- dialling ---- */

static const char *layer_of(const ws_dial *d)
{
    return d->secure ? "wss" : "ws";
}

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
    if (d->tls.engine != NULL) {
        tern_tls_handshake_cancel(&d->tls);
    }
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
    tern_fail(&why, code, layer_of(d), "%s: %s", tern_multiaddr_text(op->addr), text);
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

/* Sends the request over what is now below. */
static void ask(ws_dial *d)
{
    tern_buf request;
    tern_buf_init(&request, 0);
    if (put_request(&request, d) != 0) {
        fail_dial(d, TERN_E_NOMEM, "out of memory");
    } else {
        tern_stream_take(d->lower, &answer_events, d);
        tern_stream_write(d->lower, tern_buf_data(&request), tern_buf_len(&request));
    }
    tern_buf_free(&request);
}

static void on_shaken(tern_tls_handshake *h, const tern_error *error)
{
    ws_dial *d = h->owner;
    if (error != NULL) {
        fail_dial(d, error->code, error->text);
        return;
    }
    d->lower = h->stream;
    ask(d);
}

/* The TLS handshake with the name, or the address, that the multiaddr gives. */
static void shake(ws_dial *d, tern_stream *lower)
{
    static const char *const alpn[] = {"http/1.1", NULL};
    char ip[TERN_ENDPOINT_TEXT];
    tern_net *net = d->op->net;
    tern_tls_engine *engine;
    tern_tls_context *context = tern_web_client(net);
    tern_endpoint_ip_text(ip, &d->connect.to);
    const tern_tls_web_options options = {.alpn = alpn,
                                          .server_name = d->host[0] != '\0' ? d->host : NULL,
                                          .server_ip = d->host[0] != '\0' ? NULL : ip};
    d->tls = (tern_tls_handshake){
        .lower = lower, .counters = &net->counters, .done = on_shaken, .owner = d};
    if (context == NULL || tern_tls_web_new(context, &options, &engine) != 0 ||
        tern_tls_handshake_start(&d->tls, engine) != 0) {
        d->tls.engine = NULL;
        d->lower = lower;
        fail_dial(d, context == NULL ? TERN_E_CRYPTO : TERN_E_NOMEM,
                  context == NULL ? "the system's authorities cannot be read; try --tls-ca"
                                  : "out of memory");
        return;
    }
    tern_tls_handshake_attach(&d->tls);
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
    tern_stream *lower = d->connect.stream;
    tern_tcp_stream_endpoints(lower, &local, &remote);
    d->local = tern_over_tcp_addr(&local, d->secure ? TERN_TCP_WSS : TERN_TCP_WS);
    tern_timer_start(loop, &d->timer, tern_loop_now(loop) + op->net->limits.upgrade_time,
                     on_answer_late);
    if (d->local == NULL) {
        d->lower = lower;
        fail_dial(d, TERN_E_NOMEM, "out of memory");
    } else if (d->secure) {
        shake(d, lower);
    } else {
        d->lower = lower;
        ask(d);
    }
}

/* The name to ask for: of /sni, or the one that was resolved. False for one that cannot be asked
 * for. */
static bool take_host(ws_dial *d)
{
    tern_ma_part sni = {0};
    if (d->secure && tern_ma_find(d->op->addr, TERN_MA_SNI, &sni)) {
        if (sni.value.len > TERN_WS_HOST_MAX) {
            return false;
        }
        memcpy(d->host, sni.value.data, sni.value.len); /* the rest is zero */
    } else if (d->op->host != NULL) {
        if (strlen(d->op->host) > TERN_WS_HOST_MAX) {
            return false;
        }
        strcpy(d->host, d->op->host);
    } else {
        return true;
    }
    return is_host(d->host);
}

int tern_ws_dial(tern_dial_op *op, bool secure, tern_error *reterr)
{
    uint8_t nonce[TERN_WS_NONCE];
    op->stream = NULL;
    op->conn = NULL;
    op->local = NULL;
    op->state = NULL;
    ws_dial *d = op->state = tern_calloc(1, sizeof *d);
    if (d == NULL) {
        return tern_fail(reterr, TERN_E_NOMEM, secure ? "wss" : "ws", "out of memory");
    }
    d->op = op;
    d->secure = secure;
    if (!take_host(d)) {
        free_dial(op);
        return tern_fail(reterr, TERN_E_INVALID, secure ? "wss" : "ws",
                         "%s: not a name for a WebSocket server", tern_multiaddr_text(op->addr));
    }
    tern_loop_random(op->net->loop, nonce, sizeof nonce);
    tern_ws_key_text(nonce, d->key);
    int code = tern_over_tcp_connect(op, &d->connect, on_connected, reterr);
    if (code != 0) {
        free_dial(op);
        return code;
    }
    tern_op_start(&op->op, layer_of(d), cancel, d);
    return 0;
}
