/* A TCP socket as a stream.
 *
 *   write -> out (bounded queue) -> one tern_tcp_write at the end of the turn -> the system
 *   the loop's read buffer -> tern_stream_deliver; while the base keeps bytes, reading pauses
 *
 * A dropped stream whose peer never ends is let go after LINGER. */
#include "streams/tcp.h"

#include "base/error.h"
#include "base/mem.h"

#define LINGER (5 * TERN_SEC)

typedef struct tcp_stream {
    tern_stream s;
    tern_tcp *t; /* NULL once closed */
    tern_buf out;
    tern_deferred flush;
    tern_timer timer; /* stalled output, or lingering after a drop */
    tern_net *net;
    tern_list link; /* in net->sockets */
    uint64_t stall;
    bool blocked;    /* waits for on_writable */
    bool paused;     /* reading is paused */
    bool end_wanted; /* FIN follows what is queued */
    bool end_sent;
} tcp_stream;

static void close_socket(tcp_stream *c, bool abort)
{
    tern_timer_stop(&c->timer);
    tern_deferred_cancel(&c->flush);
    tern_buf_free(&c->out);
    if (c->t != NULL) {
        tern_tcp_close(c->t, abort);
        c->t = NULL;
    }
}

static void fail(tcp_stream *c, int code, const char *what)
{
    tern_error why;
    tern_endpoint remote;
    char text[TERN_ENDPOINT_TEXT];
    tern_tcp_remote(c->t, &remote);
    tern_fail(&why, code, "tcp", "%s (%s)", what, tern_endpoint_text(text, &remote));
    close_socket(c, true);
    tern_stream_finish(&c->s, &why);
}

static int not_connected(const tern_endpoint *to, int code, const char *what, tern_error *ret)
{
    char text[TERN_ENDPOINT_TEXT];
    return tern_fail(ret, code, "tcp", "%s: %s", tern_endpoint_text(text, to), what);
}

/* A stream that was given before the peer answered fails as its dial would have. */
static void broke(tcp_stream *c, int code, const char *what)
{
    if (!tern_tcp_opening(c->t)) {
        fail(c, code, what);
        return;
    }
    tern_error why;
    tern_endpoint remote;
    tern_tcp_remote(c->t, &remote);
    not_connected(&remote, code, tern_code_text(code), &why);
    close_socket(c, true);
    tern_stream_finish(&c->s, &why);
}

static void on_stalled(tern_timer *timer)
{
    tcp_stream *c = TERN_CONTAINER(timer, tcp_stream, timer);
    fail(c, TERN_E_TIMEOUT, "the peer takes no bytes");
}

/* Everything is with the system, which goes on delivering it; only the wait for the peer's end is
 * over. */
static void on_lingered(tern_timer *timer)
{
    tcp_stream *c = TERN_CONTAINER(timer, tcp_stream, timer);
    tern_error why;
    close_socket(c, false);
    tern_fail(&why, TERN_E_TIMEOUT, "tcp", "the peer did not close");
    tern_stream_finish(&c->s, &why);
}

static void check_done(tcp_stream *c)
{
    if (c->end_sent && c->s.peer_ended) {
        tern_error why;
        tern_fail(&why, TERN_OK, "tcp", "both sides ended");
        tern_stream_finish(&c->s, &why);
    } else if (c->end_sent && c->s.dropped) {
        tern_timer_start(c->s.loop, &c->timer, tern_loop_now(c->s.loop) + LINGER, on_lingered);
    }
}

static void flush(tern_deferred *d)
{
    tcp_stream *c = TERN_CONTAINER(d, tcp_stream, flush);
    if (c->net != NULL) {
        tern_net_grew(c->net);
    }
    if (c->t == NULL || c->blocked) {
        return;
    }
    size_t queued = tern_buf_len(&c->out);
    if (queued > 0) {
        tern_span span = {tern_buf_data(&c->out), queued};
        ssize_t n = tern_tcp_write(c->t, &span, 1);
        if (n < 0) {
            broke(c, (int)n, "the connection broke while writing");
            return;
        }
        tern_buf_consume(&c->out, (size_t)n);
        if (c->net != NULL) {
            c->net->counters.bytes_out += (uint64_t)n;
        }
        if ((size_t)n < queued) {
            c->blocked = true;
            tern_timer_start(c->s.loop, &c->timer, tern_loop_now(c->s.loop) + c->stall, on_stalled);
        } else {
            tern_timer_stop(&c->timer);
        }
        if (tern_buf_len(&c->out) <= c->out.limit / 2) {
            tern_stream_signal_room(&c->s);
        }
    }
    if (c->end_wanted && !c->end_sent && tern_buf_len(&c->out) == 0) {
        c->end_sent = true;
        tern_tcp_shutdown(c->t);
        check_done(c);
    }
}

static void on_data(void *owner, uint8_t *data, size_t n)
{
    tcp_stream *c = owner;
    tern_net *net = c->net;
    if (net != NULL) {
        net->counters.bytes_in += n;
    }
    if (!tern_stream_deliver(&c->s, data, n) && c->t != NULL) {
        c->paused = true;
        tern_tcp_pause(c->t);
    }
    if (net != NULL) {
        tern_net_grew(net);
    }
}

static void on_end(void *owner)
{
    tcp_stream *c = owner;
    tern_stream_deliver_end(&c->s);
    check_done(c);
}

static void on_writable(void *owner)
{
    tcp_stream *c = owner;
    c->blocked = false;
    flush(&c->flush);
}

static void on_error(void *owner, int code)
{
    tcp_stream *c = owner;
    broke(c, code, "the connection broke");
}

static const tern_tcp_events socket_events = {
    .on_data = on_data,
    .on_end = on_end,
    .on_writable = on_writable,
    .on_error = on_error,
};

static size_t tcp_room(const tern_stream *s)
{
    const tcp_stream *c = (const tcp_stream *)(const void *)s;
    return c->t != NULL ? tern_buf_room(&c->out) : 0;
}

static size_t tcp_write(tern_stream *s, const tern_span *v, unsigned n)
{
    tcp_stream *c = (tcp_stream *)s;
    size_t taken = 0;
    for (unsigned i = 0; i < n; i++) {
        size_t room = tcp_room(s);
        size_t part = v[i].len < room ? v[i].len : room;
        if (part > 0 && tern_buf_append(&c->out, v[i].data, part) != 0) {
            fail(c, TERN_E_NOMEM, "out of memory");
            return tern_span_total(v, n);
        }
        taken += part;
        if (part < v[i].len) {
            break;
        }
    }
    tern_defer_late(s->loop, &c->flush);
    return taken;
}

static uint8_t *tcp_reserve(tern_stream *s, size_t n)
{
    tcp_stream *c = (tcp_stream *)s;
    return c->t != NULL ? tern_buf_reserve(&c->out, n) : NULL;
}

static void tcp_commit(tern_stream *s, size_t n)
{
    tcp_stream *c = (tcp_stream *)s;
    tern_buf_commit(&c->out, n);
    tern_defer_late(s->loop, &c->flush);
}

static void tcp_consumed(tern_stream *s, size_t n)
{
    tcp_stream *c = (tcp_stream *)s;
    (void)n;
    if (c->paused && c->t != NULL && tern_stream_kept(s) == 0) {
        c->paused = false;
        tern_tcp_read(c->t);
    }
}

static void tcp_end(tern_stream *s)
{
    tcp_stream *c = (tcp_stream *)s;
    c->end_wanted = true;
    tern_defer_late(s->loop, &c->flush);
}

static void tcp_stop(tern_stream *s, uint64_t code)
{
    tcp_stream *c = (tcp_stream *)s;
    (void)code;
    tcp_consumed(s, 0); /* go on reading, to see the peer's end; the base drops the bytes */
    if (c->end_sent) {
        check_done(c);
    }
}

static void tcp_reset(tern_stream *s, uint64_t code)
{
    (void)code;
    close_socket((tcp_stream *)s, true);
}

static void tcp_destroy(tern_stream *s)
{
    tcp_stream *c = (tcp_stream *)s;
    close_socket(c, false);
    if (c->net != NULL) {
        tern_list_remove(&c->link);
        c->net->socket_count--;
        if (tern_list_empty(&c->net->sockets) && c->net->sockets_gone.fn != NULL) {
            tern_defer(s->loop, &c->net->sockets_gone);
        }
    }
    tern_free(c);
}

static const tern_stream_ops tcp_ops = {
    .name = "tcp",
    .write = tcp_write,
    .room = tcp_room,
    .reserve = tcp_reserve,
    .commit = tcp_commit,
    .consumed = tcp_consumed,
    .end = tcp_end,
    .stop = tcp_stop,
    .reset = tcp_reset,
    .destroy = tcp_destroy,
};

tern_stream *tern_tcp_stream_new(tern_loop *loop, tern_tcp *t, size_t write_queue, uint64_t stall,
                                 tern_net *net)
{
    tcp_stream *c = tern_calloc(1, sizeof *c);
    if (c == NULL) {
        return NULL;
    }
    tern_stream_init(&c->s, &tcp_ops, loop, 0);
    tern_buf_init(&c->out, write_queue);
    tern_deferred_init(&c->flush, flush);
    c->t = t;
    c->stall = stall;
    c->net = net;
    tern_list_init(&c->link);
    if (net != NULL) {
        tern_list_push(&net->sockets, &c->link);
        net->socket_count++;
    }
    tern_tcp_set_owner(t, &socket_events, c);
    tern_tcp_read(t);
    return &c->s;
}

void tern_tcp_stream_endpoints(const tern_stream *s, tern_endpoint *ret_local,
                               tern_endpoint *ret_remote)
{
    const tcp_stream *c = (const tcp_stream *)(const void *)s;
    memset(ret_local, 0, sizeof *ret_local);
    memset(ret_remote, 0, sizeof *ret_remote);
    if (c->t != NULL) {
        tern_tcp_local(c->t, ret_local);
        tern_tcp_remote(c->t, ret_remote);
    }
}

void tern_tcp_streams_abort(tern_net *net)
{
    for (tern_list *l = net->sockets.next; l != &net->sockets; l = l->next) {
        tcp_stream *c = TERN_CONTAINER(l, tcp_stream, link);
        if (c->t != NULL) {
            fail(c, TERN_E_CANCELLED, "the node is stopping");
        }
    }
}

/* ---- dialling ---- */

static void dial_cancel(tern_op *op)
{
    tern_tcp_dial_op *d = TERN_CONTAINER(op, tern_tcp_dial_op, op);
    if (d->socket != NULL) {
        tern_tcp_close(d->socket, true);
        d->socket = NULL;
    }
    if (d->stream != NULL) { /* connected, but nobody was told yet */
        tern_stream_reset(d->stream, 0);
        tern_stream_drop(d->stream);
        d->stream = NULL;
    }
}

static void dial_failed(tern_tcp_dial_op *d, int code, const char *what)
{
    tern_error why;
    not_connected(&d->to, code, what, &why);
    dial_cancel(&d->op);
    tern_op_finish(&d->op, &why);
}

static void on_connected(void *owner, int code)
{
    tern_tcp_dial_op *d = owner;
    if (code != 0) {
        dial_failed(d, code, tern_code_text(code));
        return;
    }
    d->stream = tern_tcp_stream_new(d->op.loop, d->socket, d->write_queue, d->stall, d->net);
    if (d->stream == NULL) {
        dial_failed(d, TERN_E_NOMEM, "out of memory");
        return;
    }
    d->socket = NULL;
    tern_op_finish(&d->op, NULL);
}

static void on_dial_error(void *owner, int code)
{
    dial_failed(owner, code, tern_code_text(code));
}

static const tern_tcp_events dial_events = {
    .on_connected = on_connected,
    .on_error = on_dial_error,
};

int tern_tcp_stream_dial(tern_tcp_dial_op *d, tern_error *reterr)
{
    d->stream = NULL;
    d->socket = NULL;
    const tern_endpoint *from = d->from.family != 0 ? &d->from : NULL;
    int code = d->fast ? tern_tcp_dial_fast(d->op.loop, &d->to, from, &dial_events, d, &d->socket)
                       : tern_tcp_dial(d->op.loop, &d->to, from, &dial_events, d, &d->socket);
    if (code != 0) {
        return not_connected(&d->to, code, tern_code_text(code), reterr);
    }
    tern_op_start(&d->op, "tcp", dial_cancel, d);
    return 0;
}
