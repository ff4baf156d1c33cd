/* Perf, both sides of /perf/1.0.0 (contract: tern/perf.h).
 *
 *   asking:     | wanted 8 BE | upload ... | end          counts what comes until the peer's end
 *   answering:  counts until the peer's end               | wanted bytes ... | end
 *
 * Payload is zeros from one small block that is named many times in a write, so the only copy is
 * the one that encryption makes. Both sides write until a write comes short and go on in on_room;
 * what arrives is counted where it lies. Each stream has a tick: it tells the progress, and ends a
 * stream on which nothing moves. */
#include "proto/perf.h"

#include "base/error.h"
#include "base/mem.h"

enum {
    HEAD = 8,
    BLOCK = 16 << 10,
    SPANS = 16,   /* blocks in one write */
    STALLED = 60, /* ticks without a byte */
};
#define TICK (TERN_SEC / 2)

/* What both sides have: how much is to be written, and whether anything moves. */
typedef struct flow {
    tern_net *net;
    tern_stream *s;
    tern_timer tick;
    uint64_t left;     /* payload to write */
    uint64_t received; /* payload that came */
    uint64_t mark;     /* left + received at the last tick that saw a change */
    unsigned idle;     /* ticks since */
    uint8_t head[HEAD];
    size_t head_len; /* of it: received (answering) or written (asking) */
} flow;

/* Writes the payload that is left; false when on_room follows. */
static bool pour(flow *f)
{
    static const uint8_t block[BLOCK];
    while (f->left > 0 && tern_stream_writable(f->s)) {
        tern_span v[SPANS];
        unsigned n = 0;
        uint64_t rest = f->left;
        for (; n < SPANS && rest > 0; n++) {
            v[n] = (tern_span){block, rest < BLOCK ? (size_t)rest : BLOCK};
            rest -= v[n].len;
        }
        size_t taken = tern_stream_writev(f->s, v, n);
        f->left -= taken;
        if (f->left > rest) {
            return false;
        }
    }
    return true;
}

/* Whether the stream has stood still for too long. */
static bool stalled(flow *f)
{
    uint64_t now = f->left - f->received - f->head_len; /* each byte changes it, in one direction */
    f->idle = now == f->mark ? f->idle + 1 : 0;
    f->mark = now;
    return f->idle >= STALLED;
}

static void start_tick(flow *f, void (*fn)(tern_timer *timer))
{
    tern_timer_start(f->net->loop, &f->tick, tern_loop_now(f->net->loop) + TICK, fn);
}

/* ---- answering ---- */

static void answer_tick(tern_timer *timer)
{
    flow *f = TERN_CONTAINER(timer, flow, tick);
    if (stalled(f)) {
        f->net->counters.perf_timeout++;
        tern_stream_reset(f->s, 0);
    } else {
        start_tick(f, answer_tick);
    }
}

static size_t answer_on_data(void *owner, tern_stream *s, uint8_t *data, size_t n)
{
    flow *f = owner;
    size_t part = HEAD - f->head_len < n ? HEAD - f->head_len : n;
    (void)s;
    memcpy(f->head + f->head_len, data, part);
    f->head_len += part;
    f->received += n - part;
    return n;
}

static void answer_on_room(void *owner, tern_stream *s)
{
    if (pour(owner)) {
        tern_stream_end(s);
    }
}

static void answer_on_end(void *owner, tern_stream *s)
{
    flow *f = owner;
    if (f->head_len < HEAD) {
        f->net->counters.perf_malformed++;
        tern_stream_reset(s, 0);
        return;
    }
    f->left = tern_get64(f->head);
    answer_on_room(f, s);
}

static void answer_on_closed(void *owner, tern_stream *s, const tern_error *why)
{
    flow *f = owner;
    (void)s;
    (void)why;
    tern_timer_stop(&f->tick);
    tern_free(f);
}

static const tern_stream_events answer_events = {.on_data = answer_on_data,
                                                 .on_end = answer_on_end,
                                                 .on_room = answer_on_room,
                                                 .on_closed = answer_on_closed};

static void on_stream(void *ctx, tern_conn *conn, tern_stream *s, const char *id)
{
    tern_net *net = ctx;
    flow *f = tern_calloc(1, sizeof *f);
    (void)conn;
    (void)id;
    if (f == NULL) {
        net->counters.allocation_failures++;
        tern_stream_reset(s, 0);
        tern_stream_drop(s);
        return;
    }
    f->net = net;
    f->s = s;
    tern_stream_take(s, &answer_events, f);
    start_tick(f, answer_tick);
}

int tern_perf_serve(tern_net *net)
{
    static const char id[] = TERN_PERF_ID;
    /* What is uploaded is dropped: asked twice, it is served twice, and that is all. */
    tern_protocol protocol = {.id = id, .on_stream = on_stream, .ctx = net, .replay_safe = true};
    return net->ops->handle(net, &protocol);
}

/* ---- asking ---- */

typedef struct request {
    flow f; /* first */
    uint64_t upload, download;
    uint64_t started, answered; /* loop time; answered 0 = not yet */
    tern_perf_progress *progress;
    tern_perf_done *done; /* NULL once told */
    void *owner;
} request;

static void tell(request *r, const tern_error *error)
{
    tern_perf_done *done = r->done;
    uint64_t now = tern_loop_now(r->f.net->loop);
    uint64_t answered = r->answered != 0 ? r->answered : now;
    uint64_t sent = r->upload - r->f.left;
    tern_perf_result result = {.sent = sent, .received = r->f.received};
    if (r->upload > 0) {
        result.upload_time = answered - r->started;
    }
    if (r->download > 0) {
        result.download_time = now - (r->upload > 0 ? answered : r->started);
    }
    tern_timer_stop(&r->f.tick);
    r->done = NULL;
    if (done != NULL) {
        done(r->owner, &result, error);
    }
}

static void fail(request *r, int code, const char *text)
{
    tern_error error;
    tern_fail(&error, code, "perf", "%s", text);
    tern_stream_reset(r->f.s, 0);
    tell(r, &error);
}

static void ask_tick(tern_timer *timer)
{
    request *r = TERN_CONTAINER(TERN_CONTAINER(timer, flow, tick), request, f);
    if (stalled(&r->f)) {
        fail(r, TERN_E_TIMEOUT, "no byte moved for 30 seconds");
        return;
    }
    start_tick(&r->f, ask_tick);
    if (r->progress != NULL) {
        r->progress(r->owner, r->upload - r->f.left, r->f.received);
    }
}

/* Writes what is left of the request, and its end. */
static void ask_on_room(void *owner, tern_stream *s)
{
    request *r = owner;
    flow *f = &r->f;
    f->head_len += tern_stream_write(s, f->head + f->head_len, HEAD - f->head_len);
    if (f->head_len == HEAD && pour(f)) {
        tern_stream_end(s);
    }
}

static size_t ask_on_data(void *owner, tern_stream *s, uint8_t *data, size_t n)
{
    request *r = owner;
    (void)s;
    (void)data;
    if (r->done == NULL) {
        return n;
    }
    if (r->answered == 0) {
        r->answered = tern_loop_now(r->f.net->loop);
    }
    r->f.received += n;
    if (r->f.left > 0) {
        fail(r, TERN_E_PROTOCOL, "the peer answers before the upload is over");
    } else if (r->f.received > r->download) {
        fail(r, TERN_E_PROTOCOL, "the peer sends more than it was asked for");
    }
    return n;
}

static void ask_on_end(void *owner, tern_stream *s)
{
    request *r = owner;
    tern_error none;
    (void)s;
    if (r->done == NULL) {
        return;
    }
    if (r->f.left > 0 || r->f.received < r->download) {
        fail(r, TERN_E_EOF, "the peer ended too early");
        return;
    }
    if (r->answered == 0) {
        r->answered = tern_loop_now(r->f.net->loop);
    }
    tern_fail(&none, TERN_OK, "perf", "done");
    tell(r, &none);
}

static void ask_on_closed(void *owner, tern_stream *s, const tern_error *why)
{
    (void)s;
    tell(owner, why);
    tern_free(owner);
}

static const tern_stream_events ask_events = {.on_data = ask_on_data,
                                              .on_end = ask_on_end,
                                              .on_room = ask_on_room,
                                              .on_closed = ask_on_closed};

static void opened(void *owner, tern_stream *s, const char *id, const tern_error *error)
{
    request *r = owner;
    (void)id;
    if (s == NULL) {
        tell(r, error);
        tern_free(r);
        return;
    }
    tern_stream_take(s, &ask_events, r);
    ask_on_room(r, s);
    start_tick(&r->f, ask_tick);
}

int tern_perf_ask(tern_net *net, tern_conn *conn, uint64_t upload, uint64_t download,
                  tern_perf_progress *progress, tern_perf_done *done, void *owner,
                  tern_error *reterr)
{
    static const char *const ids[] = {TERN_PERF_ID, NULL};
    tern_error error;
    reterr = reterr != NULL ? reterr : &error;
    request *r = tern_calloc(1, sizeof *r);
    if (r == NULL) {
        return tern_fail(reterr, TERN_E_NOMEM, "perf", "out of memory");
    }
    *r = (request){.f = {.net = net, .left = upload},
                   .upload = upload,
                   .download = download,
                   .started = tern_loop_now(net->loop),
                   .progress = progress,
                   .done = done,
                   .owner = owner};
    tern_put64(r->f.head, download);
    r->f.s = net->ops->open(net, conn, ids, upload == 0, opened, r, reterr);
    if (r->f.s == NULL) {
        tern_free(r);
        return reterr->code;
    }
    r->f.head_len = tern_stream_write(r->f.s, r->f.head, HEAD);
    if (r->f.head_len == HEAD && upload == 0) {
        tern_stream_end(r->f.s);
    }
    return 0;
}
