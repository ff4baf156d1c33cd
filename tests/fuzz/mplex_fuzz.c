/* The mplex core under any session: the input is a list of acts of the peer (frames well formed,
 * odd or raw) and of the owner (open, tell, end, reset, take, wait). After each act the sums the
 * core keeps must agree with its streams; what it sends must be whole control frames. */
#include <stdlib.h>

#include "base/bytes.h"
#include "mux/mplex_core.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

enum { STREAMS = 24 };
enum { FRAME, RAW, OPEN, TELL, END, RESET, TAKE, WAIT };

typedef struct session {
    tern_limits limits;
    tern_counters counters;
    tern_mplex_core core;
    uint64_t now;
    tern_mplex_stream streams[STREAMS];
    bool used[STREAMS];
    bool over;
} session;

static void check(bool holds)
{
    if (!holds) {
        abort();
    }
}

static tern_mplex_stream *unused(session *x)
{
    for (size_t i = 0; i < STREAMS; i++) {
        if (!x->used[i]) {
            return &x->streams[i];
        }
    }
    return NULL;
}

static void check_out(const tern_mplex_core *core)
{
    const uint8_t *p = tern_buf_data(&core->out);
    size_t left = tern_buf_len(&core->out);
    while (left > 0) {
        uint64_t header = 0, length = 0;
        ssize_t a = tern_varint_get(p, left, &header);
        check(a > 0);
        ssize_t b = tern_varint_get(p + a, left - (size_t)a, &length);
        check(b > 0);
        unsigned flag = header & 7;
        check(flag == TERN_MPLEX_NEW ? length > 0 : length == 0);
        check(flag != TERN_MPLEX_MESSAGE && flag != TERN_MPLEX_MESSAGE + 1 && flag < 7);
        size_t frame = (size_t)a + (size_t)b + (size_t)length;
        check(frame <= left);
        p += frame;
        left -= frame;
    }
}

static void check_sums(const session *x)
{
    uint64_t unread = 0;
    uint32_t in = 0, ours = 0, live = 0;
    for (size_t i = 0; i < STREAMS; i++) {
        const tern_mplex_stream *s = &x->streams[i];
        if (x->used[i]) {
            unread += s->unread;
            in += !s->ours;
            ours += s->ours;
            live += s->live;
            check(s->unread <= TERN_MPLEX_UNREAD_MAX);
            check(!s->live || tern_mplex_core_find(&x->core, s->number, s->ours) == s);
            check(!s->live || !s->close_sent || !s->close_received);
        }
    }
    check(unread == x->core.unread && unread <= x->limits.conn_window_max);
    check(in == x->core.in_count && ours == x->core.ours_count);
    check(live == tern_map_len(&x->core.streams));
    check(in <= x->limits.streams_per_conn);
    check_out(&x->core);
}

static void forget(session *x, size_t i)
{
    if (x->used[i]) {
        tern_mplex_core_forget(&x->core, &x->streams[i]);
        x->used[i] = false;
    }
}

static void on_event(session *x, const tern_mplex_event *e)
{
    tern_mplex_stream *s;
    switch (e->kind) {
    case TERN_MPLEX_OPENED:
        s = unused(x);
        if (s != NULL && tern_mplex_core_accept(&x->core, s) == 0) {
            x->used[s - x->streams] = true;
        } else {
            tern_mplex_core_refuse(&x->core);
        }
        break;
    case TERN_MPLEX_BYTES:
        check(e->stream->live && e->len > 0);
        if (e->len % 3 != 0) {
            tern_mplex_core_consumed(&x->core, e->stream, e->len);
        }
        break;
    case TERN_MPLEX_STOPPED:
    case TERN_MPLEX_OVERFULL:
        check(!e->stream->live);
        forget(x, (size_t)(e->stream - x->streams));
        break;
    case TERN_MPLEX_FAILED:
        check(e->why.code != 0);
        x->over = true;
        break;
    default:
        break;
    }
}

static void receive(session *x, const uint8_t *bytes, size_t n)
{
    uint8_t *copy = malloc(n > 0 ? n : 1); /* writable; sanitizers see its exact end */
    tern_mplex_event e;
    size_t used = 0;
    check(copy != NULL);
    if (n > 0) {
        memcpy(copy, bytes, n);
    }
    while (!x->over) {
        used += tern_mplex_core_receive(&x->core, x->now, copy + used, n - used, &e);
        check(used <= n);
        if (e.kind == TERN_MPLEX_NOTHING) {
            break;
        }
        on_event(x, &e);
    }
    check(x->over || used == n);
    free(copy);
}

/* A frame from three bytes, with lengths near the borders that matter, and its body or a part. */
static void frame(session *x, const uint8_t *p)
{
    static const uint8_t zeros[65536];
    static const uint32_t lengths[] = {0,     1,     2,      5,       100,     255,     1000, 65536,
                                       65507, 65535, 300000, 1048575, 1048576, 1048577, 3,    4};
    uint8_t h[2 * TERN_VARINT_MAX];
    uint32_t length = lengths[p[2] & 15];
    size_t n = tern_varint_put(h, (uint64_t)p[1] << 3 | (p[0] & 7));
    n += tern_varint_put(h + n, length);
    receive(x, h, n);
    for (uint32_t left = length; left > 0 && !x->over && p[2] < 0xf0;) {
        uint32_t part = left < sizeof zeros ? left : (uint32_t)sizeof zeros;
        receive(x, zeros, part);
        left -= part;
    }
}

static void act(session *x, unsigned what, uint8_t arg)
{
    tern_mplex_stream *s = &x->streams[arg % STREAMS];
    bool used = x->used[arg % STREAMS];
    uint8_t h[TERN_MPLEX_HEADER_MAX];
    switch (what) {
    case OPEN:
        s = unused(x);
        if (s != NULL && tern_mplex_core_open(&x->core, s) == 0) {
            x->used[s - x->streams] = true;
        }
        break;
    case TELL:
        if (used && s->live && !s->close_sent) {
            size_t before = tern_buf_len(&x->core.out), more = tern_mplex_core_announcement(s);
            tern_mplex_core_announce(&x->core, s);
            check(x->core.broken != 0 || tern_buf_len(&x->core.out) == before + more);
            check(tern_mplex_core_message(s, arg + 1u, h) >= 2);
        }
        break;
    case END:
        if (used) {
            tern_mplex_core_end(&x->core, s);
        }
        break;
    case RESET:
        if (used) {
            tern_mplex_core_reset(&x->core, s);
            forget(x, (size_t)(s - x->streams));
        }
        break;
    case TAKE:
        if (used) {
            tern_mplex_core_consumed(&x->core, s, s->unread);
        }
        break;
    default:
        x->now += (uint64_t)arg * arg * TERN_MS;
        tern_mplex_core_announce_all(&x->core);
        tern_buf_consume(&x->core.out, tern_buf_len(&x->core.out));
        break;
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    static session x;
    memset(&x, 0, sizeof x);
    tern_limits_default(&x.limits);
    x.limits.streams_per_conn = 16;
    x.limits.conn_window_max = 2 << 20;
    x.now = TERN_SEC;
    tern_mplex_core_init(&x.core, &x.limits, &x.counters, x.now);
    size_t at = 0;
    while (at + 1 < n && !x.over && x.core.broken == 0) {
        unsigned what = data[at] & 7;
        uint8_t arg = data[at + 1];
        if (what == FRAME && n - at >= 4) {
            frame(&x, data + at + 1);
            at += 4;
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
    check(x.core.unread == 0 && tern_map_len(&x.core.streams) == 0);
    tern_mplex_core_free(&x.core);
    return 0;
}
