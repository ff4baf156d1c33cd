/* The encrypted stream of TLS under any order of acts. Each input byte is one act: its low three
 * bits choose which, the rest how much. On one side the stream with an owner, on the other an
 * engine by itself over the bare bytes: all plaintext must arrive, once and in order, until
 * somebody breaks the rules. */
#include <stdlib.h>

#include "base/mem.h"
#include "loop/sim.h"
#include "secure/tls_stream.h"
#include "streams/memory.h"
#include "tls/mutual.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

enum { WRITE, WRITE_MANY, RECORD, PIECES, GARBAGE, REFUSE, END, RUN };

typedef struct world {
    tern_sim *sim;
    tern_stream *s, *raw;  /* NULL once closed */
    tern_tls_engine *peer; /* at the raw end */
    tern_counters counters;
    size_t take;                              /* most bytes the owner takes an event */
    uint8_t out_at, out_seen, in_at, in_seen; /* places in the flows, which count upwards */
    tern_buf got;                             /* raw bytes from the stream */
    tern_buf sealed;                          /* the peer's, not sent yet */
    bool broken;                              /* somebody breaks off: anything may end now */
} world;

static uint8_t flow[70000];

static void check_up(uint8_t *at, const uint8_t *p, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        if (p[i] != (*at)++) {
            abort();
        }
    }
}

/* ---- a connection of two engines ---- */

static uint8_t *place(void *owner, size_t n)
{
    return tern_buf_reserve(owner, n);
}

static bool keep(void *owner, size_t n)
{
    tern_buf_commit(owner, n);
    return true;
}

static int judge(void *owner, tern_span shown, size_t count, tern_error *ret)
{
    (void)owner;
    (void)shown;
    (void)count;
    (void)ret;
    return 0;
}

static const tern_cert *certificate(void)
{
    static tern_cert *made;
    if (made == NULL) {
        tern_key *key;
        if (tern_key_generate(TERN_KEY_ED25519, &key) != 0 ||
            tern_cert_make(key, UINT64_C(1800000000000000000), &made) != 0) {
            abort();
        }
        tern_key_unref(key);
    }
    return made;
}

static void connect_engines(tern_tls_engine *e[2])
{
    tern_buf out[2];
    tern_error error;
    int done[2] = {0, 0};
    for (int i = 0; i < 2; i++) {
        const tern_tls_mutual o = {.server = i == 1, .cert = certificate(), .judge = judge};
        tern_buf_init(&out[i], 0);
        if (tern_tls_mutual_new(&o, &e[i]) != 0) {
            abort();
        }
        tern_tls_engine_output(e[i], &(tern_tls_output){place, keep, &out[i]});
    }
    for (int turn = 0; done[0] == 0 || done[1] == 0; turn++) {
        int i = turn % 2;
        tern_span in = {tern_buf_data(&out[1 - i]), tern_buf_len(&out[1 - i])};
        size_t n = in.len;
        done[i] = tern_tls_engine_handshake(e[i], &in, &error);
        if (done[i] < 0 || turn > 10) {
            abort();
        }
        tern_buf_consume(&out[1 - i], n - in.len);
    }
    for (int i = 0; i < 2; i++) {
        tern_buf_free(&out[i]);
    }
}

/* ---- the two ends ---- */

static size_t on_plain(void *owner, tern_stream *s, uint8_t *data, size_t n)
{
    world *w = owner;
    size_t k = n < w->take ? n : w->take;
    (void)s;
    check_up(&w->in_seen, data, k);
    memset(data, 0xee, k);
    return k;
}

static void on_plain_closed(void *owner, tern_stream *s, const tern_error *why)
{
    world *w = owner;
    (void)s;
    if (why->code != 0 && !w->broken) {
        abort();
    }
    w->s = NULL;
}

static size_t on_raw(void *owner, tern_stream *s, uint8_t *data, size_t n)
{
    world *w = owner;
    tern_error error;
    (void)s;
    if (tern_buf_append(&w->got, data, n) != 0) {
        abort();
    }
    while (tern_buf_len(&w->got) >= TERN_TLS_HEADER) {
        uint8_t *plain, *record = tern_buf_data(&w->got);
        size_t whole = TERN_TLS_HEADER + (size_t)tern_get16(record + 3);
        if (tern_buf_len(&w->got) < whole) {
            break;
        }
        ssize_t r = tern_tls_engine_read(w->peer, record, whole, &plain, &error);
        if (r < 0 && r != TERN_E_EOF && !w->broken) {
            abort();
        }
        check_up(&w->out_seen, plain, r > 0 ? (size_t)r : 0);
        tern_buf_consume(&w->got, whole);
    }
    return n;
}

static void on_raw_closed(void *owner, tern_stream *s, const tern_error *why)
{
    world *w = owner;
    (void)s;
    (void)why;
    w->raw = NULL;
}

static const tern_stream_events plain_events = {.on_data = on_plain, .on_closed = on_plain_closed};
static const tern_stream_events raw_events = {.on_data = on_raw, .on_closed = on_raw_closed};

/* ---- acts ---- */

static void run(world *w, uint64_t time)
{
    tern_sim_run(w->sim, tern_sim_now(w->sim) + time, NULL, NULL);
}

static void write_plain(world *w, size_t n)
{
    if (w->s == NULL || !tern_stream_writable(w->s)) {
        return;
    }
    size_t room = tern_stream_room(w->s);
    size_t taken = tern_stream_write(w->s, flow + w->out_at, n);
    if (taken != (n < room ? n : room)) {
        abort(); /* room is honest */
    }
    w->out_at = (uint8_t)(w->out_at + taken);
}

static void write_raw(world *w, const uint8_t *p, size_t n)
{
    if (w->raw != NULL && tern_stream_write(w->raw, p, n) < n) {
        w->broken = true; /* the wire is full: the flow has a hole */
    }
}

static void write_record(world *w, size_t n, size_t pieces)
{
    size_t whole = n + (n / TERN_TLS_PLAIN_MAX + 1) * TERN_TLS_OVERHEAD;
    if (n == 0 || w->raw == NULL || !tern_stream_writable(w->raw) ||
        tern_stream_room(w->raw) < whole) {
        return;
    }
    for (size_t at = 0; at < n; at += TERN_TLS_PLAIN_MAX) {
        size_t k = n - at < TERN_TLS_PLAIN_MAX ? n - at : TERN_TLS_PLAIN_MAX;
        if (tern_tls_engine_write(w->peer, &(tern_span){flow + w->in_at + at, k}, 1, k) != 0) {
            abort();
        }
    }
    w->in_at = (uint8_t)(w->in_at + n);
    size_t len = tern_buf_len(&w->sealed), first = len / pieces;
    write_raw(w, tern_buf_data(&w->sealed), first);
    if (pieces > 1) {
        run(w, TERN_MS);
    }
    write_raw(w, tern_buf_data(&w->sealed) + first, len - first);
    tern_buf_free(&w->sealed);
}

static void end(world *w, size_t how)
{
    w->broken |= how > 2;
    if (how % 2 == 0 && w->raw != NULL) {
        tern_stream_end(w->raw);
    } else if (w->s != NULL) {
        how > 2 ? tern_stream_reset(w->s, how) : tern_stream_end(w->s);
    }
}

static void act(world *w, uint8_t byte)
{
    size_t much = byte >> 3; /* 0 .. 31 */
    uint8_t junk[32];
    switch (byte & 7) {
    case WRITE:
        write_plain(w, much);
        break;
    case WRITE_MANY:
        write_plain(w, much * 2211);
        break;
    case RECORD:
        write_record(w, much * much * 68, 1);
        break;
    case PIECES:
        write_record(w, much * 900, 3);
        break;
    case GARBAGE:
        w->broken = true;
        memset(junk, (int)much, sizeof junk);
        write_raw(w, junk, much + 1);
        break;
    case REFUSE:
        w->take = much == 0 ? SIZE_MAX : much * 40 - 40;
        if (w->s != NULL) {
            tern_stream_resume(w->s);
        }
        break;
    case END:
        end(w, much);
        break;
    default:
        run(w, TERN_MS);
    }
}

static void leave(tern_stream *s)
{
    if (s != NULL) {
        tern_stream_reset(s, 0);
        tern_stream_drop(s);
    }
}

static void world_make(world *w, uint8_t shape)
{
    tern_loop *loop;
    tern_stream *lower;
    tern_tls_engine *e[2];
    tern_buf out;
    tern_memory_options options = {.window = 1 + shape * (size_t)shape * 4,
                                   .chunk = shape % 3 == 0 ? shape : 0};
    connect_engines(e);
    w->take = SIZE_MAX;
    w->peer = e[0];
    tern_buf_init(&w->sealed, 0);
    tern_tls_engine_output(w->peer, &(tern_tls_output){place, keep, &w->sealed});
    if (tern_sim_new(1, &w->sim) != 0 || tern_sim_host(w->sim, "10.0.0.1", &loop) != 0 ||
        tern_memory_pair(loop, &options, &lower, &w->raw) != 0) {
        abort();
    }
    tern_buf_init(&out, 0);
    w->s = tern_tls_stream_new(lower, &w->counters, e[1], &out);
    tern_stream_take(w->s, &plain_events, w);
    tern_stream_take(w->raw, &raw_events, w);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    world w = {0};
    if (n < 1 || n > 400) {
        return 0;
    }
    for (size_t i = 0; i < sizeof flow; i++) {
        flow[i] = (uint8_t)i;
    }
    world_make(&w, data[0]);
    for (size_t i = 1; i < n; i++) {
        act(&w, data[i]);
    }
    /* In the end all that was accepted arrives, unless somebody broke off. */
    w.take = SIZE_MAX;
    if (w.s != NULL) {
        tern_stream_resume(w.s);
    }
    run(&w, TERN_SEC);
    if (!w.broken && (w.out_at != w.out_seen || w.in_at != w.in_seen)) {
        abort();
    }
    w.broken = true;
    leave(w.s);
    leave(w.raw);
    run(&w, TERN_SEC);
    tern_sim_free(w.sim);
    tern_tls_engine_free(w.peer);
    tern_buf_free(&w.got);
    return 0;
}
