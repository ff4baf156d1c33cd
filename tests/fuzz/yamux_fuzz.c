/* The yamux core under any session: the input is a list of acts of the peer (frames well formed,
 * odd or raw) and of the owner (open, write, end, reset, take, wait), in either role. After each
 * act the sums the core keeps must agree with its streams; what it sends must be whole frames. */
#include <stdlib.h>

#include "base/bytes.h"
#include "mux/yamux_core.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

enum { STREAMS = 24 };
enum { FRAME, RAW, OPEN, WRITE, END, RESET, TAKE, WAIT };

typedef struct session {
    tern_limits limits;
    tern_counters counters;
    tern_yamux_core core;
    uint64_t now;
    tern_yamux_stream streams[STREAMS];
    bool used[STREAMS];
    bool over;
} session;

static void check(bool holds)
{
    if (!holds) {
        abort();
    }
}

static tern_yamux_stream *unused(session *x)
{
    for (size_t i = 0; i < STREAMS; i++) {
        if (!x->used[i]) {
            return &x->streams[i];
        }
    }
    return NULL;
}

static void check_sums(const session *x)
{
    uint64_t windows = 0, unread = 0;
    uint32_t in = 0, ours = 0, live = 0, unacked = 0;
    for (size_t i = 0; i < STREAMS; i++) {
        const tern_yamux_stream *s = &x->streams[i];
        if (x->used[i]) {
            windows += s->recv_max;
            unread += s->unread;
            in += !s->ours;
            ours += s->ours;
            live += s->live;
            unacked += s->ours && !s->acked;
            check(s->recv_window <= s->recv_max);
            check((uint64_t)s->recv_window + s->unread <= s->recv_max);
            check(!s->live || tern_yamux_find(&x->core, s->id) == s);
        }
    }
    check(windows == x->core.windows && unread == x->core.unread);
    check(in == x->core.in_count && ours == x->core.ours_count);
    check(live == x->core.in.n + x->core.ours.n && unacked == x->core.unacked);
    check(unread <= x->limits.conn_window_max);
    check(in <= x->limits.streams_per_conn);
    check(tern_buf_len(&x->core.out) % TERN_YAMUX_HEADER == 0);
    for (size_t at = 0; at < tern_buf_len(&x->core.out); at += TERN_YAMUX_HEADER) {
        const uint8_t *frame = tern_buf_data(&x->core.out) + at;
        check(frame[0] == 0 && frame[1] != TERN_YAMUX_DATA && frame[1] <= TERN_YAMUX_GOAWAY);
    }
}

static void forget(session *x, size_t i)
{
    if (x->used[i]) {
        tern_yamux_core_forget(&x->core, &x->streams[i]);
        x->used[i] = false;
    }
}

static void on_event(session *x, const tern_yamux_event *e)
{
    tern_yamux_stream *s;
    switch (e->kind) {
    case TERN_YAMUX_OPENED:
        s = unused(x);
        if (s != NULL && tern_yamux_core_accept(&x->core, s, x->now) == 0) {
            x->used[s - x->streams] = true;
        } else {
            tern_yamux_core_refuse(&x->core, 1);
        }
        break;
    case TERN_YAMUX_BYTES:
        check(e->stream->live && e->len > 0);
        if (e->len % 3 != 0) {
            tern_yamux_core_consumed(&x->core, e->stream, e->len, x->now);
        }
        break;
    case TERN_YAMUX_RESET:
    case TERN_YAMUX_OVERFULL:
        check(!e->stream->live);
        forget(x, (size_t)(e->stream - x->streams));
        break;
    case TERN_YAMUX_FAILED:
        check(e->why.code != 0);
        x->over = true;
        break;
    default:
        break;
    }
}

static void receive(session *x, const uint8_t *bytes, size_t n)
{
    uint8_t copy[512]; /* the core's input is writable; sanitizers see its exact end */
    tern_yamux_event e;
    size_t used = 0;
    n = n < sizeof copy ? n : sizeof copy;
    memcpy(copy, bytes, n);
    while (!x->over) {
        used += tern_yamux_core_receive(&x->core, x->now, copy + used, n - used, &e);
        check(used <= n);
        if (e.kind == TERN_YAMUX_NOTHING) {
            break;
        }
        on_event(x, &e);
    }
    check(x->over || used == n);
}

/* A frame from five bytes, with lengths near the borders that matter. */
static void frame(session *x, const uint8_t *p)
{
    static const uint32_t lengths[] = {0,      1,      5,          255,        65536,
                                       262143, 262144, 262145,     UINT32_MAX, UINT32_MAX - 262144,
                                       131072, 262120, 0x7fffffff, 16,         100,
                                       3};
    uint8_t h[TERN_YAMUX_HEADER];
    tern_yamux_header(h, p[0] & 3, p[1] & 15, p[2], lengths[p[3] & 15] + (p[3] >> 4));
    h[0] = p[4] == 0xff;
    receive(x, h, sizeof h);
}

static void act(session *x, unsigned what, uint8_t arg)
{
    tern_yamux_stream *s = &x->streams[arg % STREAMS];
    bool used = x->used[arg % STREAMS];
    uint8_t h[TERN_YAMUX_HEADER];
    switch (what) {
    case OPEN:
        s = unused(x);
        if (s != NULL && tern_yamux_core_open(&x->core, s, x->now) == 0) {
            x->used[s - x->streams] = true;
        }
        break;
    case WRITE:
        if (used && s->live && !s->fin_sent && s->send_window > arg) {
            tern_yamux_core_announce(&x->core, s);
            tern_yamux_core_data(&x->core, s, arg + 1u, h);
        }
        break;
    case END:
        if (used) {
            tern_yamux_core_end(&x->core, s);
        }
        break;
    case RESET:
        if (used) {
            tern_yamux_core_reset(&x->core, s, arg);
            forget(x, (size_t)(s - x->streams));
        }
        break;
    case TAKE:
        if (used) {
            tern_yamux_core_consumed(&x->core, s, s->unread, x->now);
        }
        break;
    default:
        x->now += (uint64_t)arg * arg * TERN_MS;
        x->over = tern_yamux_core_tick(&x->core, x->now) != 0;
        tern_yamux_core_sent(&x->core, tern_buf_len(&x->core.out));
        break;
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    static session x;
    if (n == 0) {
        return 0;
    }
    memset(&x, 0, sizeof x);
    tern_limits_default(&x.limits);
    x.limits.streams_per_conn = 16;
    x.limits.conn_window_max = 1 << 20;
    x.now = TERN_SEC;
    tern_yamux_core_init(&x.core, (data[0] & 1) != 0, &x.limits, &x.counters, x.now);
    size_t at = 1;
    while (at + 1 < n && !x.over && x.core.broken == 0) {
        unsigned what = data[at] & 7;
        uint8_t arg = data[at + 1];
        if (what == FRAME && n - at >= 6) {
            frame(&x, data + at + 1);
            at += 6;
        } else if (what == RAW) {
            size_t len = arg < n - at - 2 ? arg : n - at - 2;
            receive(&x, data + at + 2, len);
            at += 2 + len;
        } else {
            act(&x, what, arg);
            at += 2;
        }
        check_sums(&x);
    }
    for (size_t i = 0; i < STREAMS; i++) {
        forget(&x, i);
    }
    check(x.core.windows == 0 && x.core.unread == 0 && tern_yamux_core_any(&x.core) == NULL);
    tern_yamux_core_free(&x.core);
    return 0;
}
