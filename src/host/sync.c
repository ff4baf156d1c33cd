/* Blocking helpers: each posts a request to the node's loop and waits on a condition. See
 * tern/sync.h.
 *
 * A pipe is shared by two threads: the loop's (stream events) and the caller's. Its lock guards the
 * buffer and the flags; the stream itself is touched on the loop only. */
#include <errno.h>
#include <pthread.h>
#include <time.h>

#include "base/error.h"
#include "base/mem.h"
#include "host/host.h"

enum { SERVICE_WAITING_MAX = 64, PIPE_BUFFER = 256 << 10 };

/* ---- one call that waits ---- */

typedef struct call {
    pthread_mutex_t lock;
    pthread_cond_t done;
    bool finished;
    tern_node *node;
    tern_error error;
    /* in and out, as the call needs them */
    const char *text;
    char *out;
    size_t cap;
    uint32_t timeout_ms;
    tern_peer_id peer;
    uint64_t rtt;
    tern_pipe *pipe;
} call;

static void call_init(call *c, tern_node *node)
{
    memset(c, 0, sizeof *c);
    c->node = node;
    pthread_mutex_init(&c->lock, NULL);
    pthread_cond_init(&c->done, NULL);
}

static void call_finish(call *c)
{
    pthread_mutex_lock(&c->lock);
    c->finished = true;
    pthread_cond_signal(&c->done);
    pthread_mutex_unlock(&c->lock);
}

static int call_run(call *c, void (*fn)(void *arg), tern_error *reterr)
{
    int code = tern_node_post(c->node, fn, c);
    if (code != 0) {
        tern_fail(&c->error, code, "host", "the node does not run");
    } else {
        pthread_mutex_lock(&c->lock);
        while (!c->finished) {
            pthread_cond_wait(&c->done, &c->lock);
        }
        pthread_mutex_unlock(&c->lock);
    }
    pthread_mutex_destroy(&c->lock);
    pthread_cond_destroy(&c->done);
    if (c->error.code != 0 && reterr != NULL) {
        *reterr = c->error;
    }
    return c->error.code;
}

static void listen_here(void *arg)
{
    call *c = arg;
    tern_node_listen(c->node, c->text, c->out, c->cap, &c->error);
    call_finish(c);
}

int tern_sync_listen(tern_node *node, const char *addr, char *bound, size_t cap, tern_error *reterr)
{
    call c;
    call_init(&c, node);
    c.text = addr;
    c.out = bound;
    c.cap = cap;
    return call_run(&c, listen_here, reterr);
}

static void dialled(void *owner, tern_conn *conn, const tern_error *error,
                    const tern_dial_report *reports, size_t report_count)
{
    call *c = owner;
    (void)reports;
    (void)report_count;
    c->error = *error;
    if (conn != NULL) {
        c->peer = tern_conn_get_facts(conn)->peer;
    }
    call_finish(c);
}

static void dial_here(void *arg)
{
    call *c = arg;
    if (tern_node_dial(c->node, &c->text, 1, c->timeout_ms, false, dialled, c, &c->error) != 0) {
        call_finish(c);
    }
}

int tern_sync_dial(tern_node *node, const char *addr, uint32_t timeout_ms, tern_peer_id *ret_peer,
                   tern_error *reterr)
{
    call c;
    call_init(&c, node);
    c.text = addr;
    c.timeout_ms = timeout_ms;
    int code = call_run(&c, dial_here, reterr);
    if (code == 0 && ret_peer != NULL) {
        *ret_peer = c.peer;
    }
    return code;
}

static void ponged(void *owner, uint64_t rtt, const tern_error *error)
{
    call *c = owner;
    c->rtt = rtt;
    c->error = *error;
    call_finish(c);
}

static tern_conn *find_conn(call *c)
{
    tern_conn *conn = tern_node_find(c->node, &c->peer);
    if (conn == NULL) {
        tern_fail(&c->error, TERN_E_NOT_FOUND, "host", "no connection to this peer; dial it");
    }
    return conn;
}

static void ping_here(void *arg)
{
    call *c = arg;
    tern_conn *conn = find_conn(c);
    int code = conn != NULL ? tern_node_ping(c->node, conn, ponged, c) : 0;
    if (code != 0) {
        tern_fail(&c->error, code, "ping", "%s", tern_code_text(code));
    }
    if (conn == NULL || code != 0) {
        call_finish(c);
    }
}

int tern_sync_ping(tern_node *node, const tern_peer_id *peer, uint64_t *ret_rtt, tern_error *reterr)
{
    call c;
    call_init(&c, node);
    c.peer = *peer;
    int code = call_run(&c, ping_here, reterr);
    if (code == 0 && ret_rtt != NULL) {
        *ret_rtt = c.rtt;
    }
    return code;
}

/* ---- pipes ---- */

struct tern_pipe {
    tern_list link;  /* in node->pipes */
    tern_node *node; /* NULL once it is freed: only what has come can be read */
    tern_stream *s;  /* the loop's; NULL once it is gone */
    pthread_mutex_t lock;
    pthread_cond_t changed;
    tern_buf in, out; /* between the threads, at most PIPE_BUFFER each */
    bool ended;       /* the peer's end was seen */
    bool want_end;    /* our end, after out */
    bool ready;       /* the stream is ours: negotiated and taken */
    bool posted;      /* a pump is on its way to the loop */
    bool closing;     /* the caller is done with it */
    int error;
    call *opening;
};

static tern_pipe *pipe_new(tern_node *node)
{
    tern_pipe *p = tern_calloc(1, sizeof *p);
    if (p != NULL) {
        p->node = node;
        tern_list_init(&p->link);
        tern_buf_init(&p->in, PIPE_BUFFER);
        tern_buf_init(&p->out, PIPE_BUFFER);
        pthread_mutex_init(&p->lock, NULL);
        pthread_cond_init(&p->changed, NULL);
        pthread_mutex_lock(&node->lock);
        tern_list_push(&node->pipes, &p->link);
        pthread_mutex_unlock(&node->lock);
    }
    return p;
}

static void pipe_delete(tern_pipe *p)
{
    if (p->node != NULL) {
        pthread_mutex_lock(&p->node->lock);
        tern_list_remove(&p->link);
        pthread_mutex_unlock(&p->node->lock);
    }
    tern_buf_free(&p->in);
    tern_buf_free(&p->out);
    pthread_mutex_destroy(&p->lock);
    pthread_cond_destroy(&p->changed);
    tern_free(p);
}

/* On the loop, locked: moves what was written to the stream. */
static void pump_locked(tern_pipe *p)
{
    if (p->s == NULL || !p->ready) {
        return;
    }
    size_t n = tern_stream_write(p->s, tern_buf_data(&p->out), tern_buf_len(&p->out));
    tern_buf_consume(&p->out, n);
    if (tern_buf_len(&p->out) == 0 && p->want_end) {
        tern_stream_end(p->s);
    }
    tern_stream_resume(p->s);
    pthread_cond_broadcast(&p->changed);
}

static size_t pipe_data(void *owner, tern_stream *s, uint8_t *data, size_t n)
{
    tern_pipe *p = owner;
    (void)s;
    pthread_mutex_lock(&p->lock);
    size_t room = tern_buf_room(&p->in);
    size_t take = n < room ? n : room;
    if (tern_buf_append(&p->in, data, take) != 0) {
        take = 0;
    }
    pthread_cond_broadcast(&p->changed);
    pthread_mutex_unlock(&p->lock);
    return take;
}

static void pipe_ended(void *owner, tern_stream *s)
{
    tern_pipe *p = owner;
    (void)s;
    pthread_mutex_lock(&p->lock);
    p->ended = true;
    pthread_cond_broadcast(&p->changed);
    pthread_mutex_unlock(&p->lock);
}

static void pipe_room(void *owner, tern_stream *s)
{
    tern_pipe *p = owner;
    (void)s;
    pthread_mutex_lock(&p->lock);
    pump_locked(p);
    pthread_mutex_unlock(&p->lock);
}

static void pipe_closed(void *owner, tern_stream *s, const tern_error *why)
{
    tern_pipe *p = owner;
    (void)s;
    pthread_mutex_lock(&p->lock);
    p->s = NULL;
    p->ended = true;
    p->error = why->code;
    pthread_cond_broadcast(&p->changed);
    pthread_mutex_unlock(&p->lock);
}

static const tern_stream_events pipe_events = {
    .on_data = pipe_data, .on_end = pipe_ended, .on_room = pipe_room, .on_closed = pipe_closed};

static void pipe_take(tern_pipe *p, tern_stream *s)
{
    p->s = s;
    p->ready = true;
    tern_stream_take(s, &pipe_events, p);
}

static void opened(void *owner, tern_stream *s, const tern_error *error)
{
    tern_pipe *p = owner;
    call *c = p->opening;
    p->opening = NULL;
    c->error = *error;
    if (s != NULL) {
        pipe_take(p, s);
        c->pipe = p;
    } else {
        pipe_delete(p);
    }
    call_finish(c);
}

static void open_here(void *arg)
{
    call *c = arg;
    tern_conn *conn = find_conn(c);
    tern_pipe *p = conn != NULL ? pipe_new(c->node) : NULL;
    if (conn != NULL && p == NULL) {
        tern_fail(&c->error, TERN_E_NOMEM, "host", "out of memory");
    }
    if (p != NULL) {
        p->opening = c;
        if (tern_node_open(c->node, conn, c->text, opened, p, &c->error) != NULL) {
            return;
        }
        pipe_delete(p);
    }
    call_finish(c);
}

int tern_sync_open(tern_node *node, const tern_peer_id *peer, const char *protocol, tern_pipe **ret,
                   tern_error *reterr)
{
    call c;
    call_init(&c, node);
    c.peer = *peer;
    c.text = protocol;
    int code = call_run(&c, open_here, reterr);
    *ret = c.pipe;
    return code;
}

/* The caller's half of the pipe: changes go to the loop as one pump at a time. */
static void pump_here(void *arg)
{
    tern_pipe *p = arg;
    pthread_mutex_lock(&p->lock);
    p->posted = false;
    bool closing = p->closing;
    tern_stream *s = p->s;
    pump_locked(p);
    pthread_mutex_unlock(&p->lock);
    if (!closing) {
        return;
    }
    if (s != NULL && p->ended && tern_buf_len(&p->out) == 0) {
        tern_stream_drop(s);
    } else if (s != NULL && p->want_end) {
        /* What was written before the end is delivered; what the peer still says is dropped. */
        size_t left = tern_buf_len(&p->out);
        if (left == 0) {
            tern_stream_drop(s);
        } else {
            tern_stream_reset(s, 0);
            tern_stream_drop(s);
        }
    } else if (s != NULL) {
        tern_stream_reset(s, 0);
        tern_stream_drop(s);
    }
    pipe_delete(p);
}

static void post_pump(tern_pipe *p)
{
    if (!p->posted && p->node != NULL) {
        p->posted = tern_node_post(p->node, pump_here, p) == 0;
    }
}

static struct timespec deadline_in(uint32_t ms)
{
    struct timespec t;
    clock_gettime(CLOCK_REALTIME, &t);
    t.tv_sec += ms / 1000;
    t.tv_nsec += (long)(ms % 1000) * 1000000;
    if (t.tv_nsec >= 1000000000) {
        t.tv_sec++;
        t.tv_nsec -= 1000000000;
    }
    return t;
}

ssize_t tern_pipe_read(tern_pipe *p, void *out, size_t n, uint32_t timeout_ms)
{
    struct timespec until = deadline_in(timeout_ms);
    int waited = 0;
    pthread_mutex_lock(&p->lock);
    while (tern_buf_len(&p->in) == 0 && !p->ended && waited == 0) {
        waited = pthread_cond_timedwait(&p->changed, &p->lock, &until);
    }
    size_t have = tern_buf_len(&p->in);
    ssize_t result = have > 0   ? (ssize_t)(have < n ? have : n)
                     : p->ended ? p->error
                                : TERN_E_TIMEOUT;
    if (have > 0) {
        memcpy(out, tern_buf_data(&p->in), (size_t)result);
        tern_buf_consume(&p->in, (size_t)result);
        post_pump(p); /* the stream may offer more */
    }
    pthread_mutex_unlock(&p->lock);
    return result;
}

ssize_t tern_pipe_write(tern_pipe *p, const void *data, size_t n, uint32_t timeout_ms)
{
    struct timespec until = deadline_in(timeout_ms);
    size_t done = 0;
    int waited = 0;
    pthread_mutex_lock(&p->lock);
    while (done < n && p->s != NULL && !p->want_end && waited == 0) {
        size_t room = tern_buf_room(&p->out);
        size_t part = n - done < room ? n - done : room;
        if (part == 0) {
            waited = pthread_cond_timedwait(&p->changed, &p->lock, &until);
            continue;
        }
        if (tern_buf_append(&p->out, (const uint8_t *)data + done, part) != 0) {
            break;
        }
        done += part;
        post_pump(p);
    }
    ssize_t result = (ssize_t)n;
    if (done < n) {
        result = waited != 0    ? TERN_E_TIMEOUT
                 : p->want_end  ? TERN_E_STATE
                 : p->s == NULL ? (p->error != 0 ? p->error : TERN_E_CONN_CLOSED)
                                : TERN_E_NOMEM;
    }
    pthread_mutex_unlock(&p->lock);
    return result;
}

void tern_pipe_end(tern_pipe *p)
{
    pthread_mutex_lock(&p->lock);
    p->want_end = true;
    post_pump(p);
    pthread_mutex_unlock(&p->lock);
}

void tern_pipe_free(tern_pipe *p)
{
    if (p == NULL) {
        return;
    }
    pthread_mutex_lock(&p->lock);
    /* What was written and ended is worth a moment: the loop moves it into the stream's own queue.
     */
    struct timespec until = deadline_in(5000);
    int waited = 0;
    while (p->want_end && p->s != NULL && tern_buf_len(&p->out) > 0 && waited == 0) {
        waited = pthread_cond_timedwait(&p->changed, &p->lock, &until);
    }
    p->closing = true;
    bool was_posted = p->posted;
    if (!was_posted) {
        post_pump(p);
    }
    bool posted = p->posted;
    pthread_mutex_unlock(&p->lock);
    if (!posted) { /* the node has stopped: its streams are gone */
        pipe_delete(p);
    }
}

/* ---- serving ---- */

typedef struct service {
    tern_list link;
    char *protocol;
    pthread_mutex_t lock;
    pthread_cond_t arrived;
    tern_pipe *waiting[SERVICE_WAITING_MAX];
    size_t count;
} service;

static void incoming(void *ctx, tern_node *node, tern_conn *conn, tern_stream *s)
{
    service *v = ctx;
    tern_pipe *p = NULL;
    (void)conn;
    pthread_mutex_lock(&v->lock);
    if (v->count < SERVICE_WAITING_MAX && (p = pipe_new(node)) != NULL) {
        v->waiting[v->count++] = p;
        pthread_cond_signal(&v->arrived);
    }
    if (p != NULL) {
        pipe_take(p, s);
    } else {
        tern_stream_reset(s, 0);
        tern_stream_drop(s);
    }
    pthread_mutex_unlock(&v->lock);
}

static service *find_service(tern_node *node, const char *protocol)
{
    service *found = NULL;
    pthread_mutex_lock(&node->lock);
    for (tern_list *l = node->sync.next; found == NULL && l != &node->sync; l = l->next) {
        service *v = TERN_CONTAINER(l, service, link);
        found = strcmp(v->protocol, protocol) == 0 ? v : NULL;
    }
    pthread_mutex_unlock(&node->lock);
    return found;
}

static void free_service(service *v)
{
    pthread_mutex_destroy(&v->lock);
    pthread_cond_destroy(&v->arrived);
    for (size_t i = 0; i < v->count; i++) {
        pipe_delete(v->waiting[i]);
    }
    tern_free(v->protocol);
    tern_free(v);
}

static void serve_here(void *arg)
{
    call *c = arg;
    service *v = tern_calloc(1, sizeof *v);
    if (v != NULL) {
        pthread_mutex_init(&v->lock, NULL);
        pthread_cond_init(&v->arrived, NULL);
        v->protocol = tern_strdup(c->text);
    }
    int code = v == NULL || v->protocol == NULL
                   ? TERN_E_NOMEM
                   : tern_node_handle(c->node, v->protocol, NULL, incoming, v);
    if (code == 0) {
        pthread_mutex_lock(&c->node->lock);
        tern_list_push(&c->node->sync, &v->link);
        pthread_mutex_unlock(&c->node->lock);
    } else {
        tern_fail(&c->error, code, "host", "%s: %s", c->text, tern_code_text(code));
        if (v != NULL) {
            free_service(v);
        }
    }
    call_finish(c);
}

int tern_sync_serve(tern_node *node, const char *protocol, tern_error *reterr)
{
    call c;
    call_init(&c, node);
    c.text = protocol;
    return call_run(&c, serve_here, reterr);
}

int tern_sync_accept(tern_node *node, const char *protocol, uint32_t timeout_ms, tern_pipe **ret,
                     tern_error *reterr)
{
    service *v = find_service(node, protocol);
    struct timespec until = deadline_in(timeout_ms);
    int waited = 0;
    *ret = NULL;
    if (v == NULL) {
        return tern_fail(reterr, TERN_E_STATE, "host", "%s is not served: call tern_sync_serve",
                         protocol);
    }
    pthread_mutex_lock(&v->lock);
    while (v->count == 0 && waited == 0) {
        waited = pthread_cond_timedwait(&v->arrived, &v->lock, &until);
    }
    if (v->count > 0) {
        *ret = v->waiting[0];
        v->count--;
        memmove(v->waiting, v->waiting + 1, v->count * sizeof(tern_pipe *));
    }
    pthread_mutex_unlock(&v->lock);
    return *ret != NULL ? 0
                        : tern_fail(reterr, TERN_E_TIMEOUT, "host", "no stream for %s came in time",
                                    protocol);
}

void tern_node_free_sync(tern_node *node)
{
    tern_list *l;
    while ((l = tern_list_pop(&node->sync)) != NULL) {
        free_service(TERN_CONTAINER(l, service, link));
    }
    while ((l = tern_list_pop(&node->pipes)) != NULL) { /* their owners free them later */
        TERN_CONTAINER(l, tern_pipe, link)->node = NULL;
    }
}
