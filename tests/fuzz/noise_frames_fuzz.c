/* The encrypted stream under any order of acts. Each input byte is one act: its low three bits
 * choose which, the rest how much. On one side the stream with an owner, on the other the bare
 * bytes, with the keys to check them: all plaintext must arrive, once and in order, until somebody
 * breaks the rules. */
#include <stdlib.h>

#include "base/mem.h"
#include "loop/sim.h"
#include "secure/noise_stream.h"
#include "streams/memory.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

enum { WRITE, WRITE_MANY, FRAME, PIECE, GARBAGE, REFUSE, END, RUN };

typedef struct world {
    tern_sim *sim;
    tern_stream *s, *raw; /* NULL once closed */
    tern_noise_cipher seal, open;
    tern_counters counters;
    size_t take;                              /* most bytes the owner takes an event */
    uint8_t out_at, out_seen, in_at, in_seen; /* places in the flows, which count upwards */
    tern_buf got;                             /* raw bytes from the stream */
    bool broken;                              /* garbage was sent: anything may end now */
} world;

static const tern_span nothing = {NULL, 0};
static uint8_t flow[70000];

/* n bytes of a flow that counts upwards from *at. */
static const uint8_t *count_up(uint8_t *at, size_t n)
{
    const uint8_t *p = flow + *at;
    *at = (uint8_t)(*at + n);
    return p;
}

static void check_up(uint8_t *at, const uint8_t *p, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        if (p[i] != (*at)++) {
            abort();
        }
    }
}

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
    (void)s;
    if (tern_buf_append(&w->got, data, n) != 0) {
        abort();
    }
    while (tern_buf_len(&w->got) >= 2) {
        uint8_t *p = tern_buf_data(&w->got);
        size_t body = tern_get16(p);
        if (tern_buf_len(&w->got) < 2 + body) {
            break;
        }
        if (tern_noise_open(&w->open, nothing, p + 2, body) != 0) {
            abort();
        }
        check_up(&w->out_seen, p + 2, body - TERN_AEAD_TAG);
        tern_buf_consume(&w->got, 2 + body);
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

static void write_plain(world *w, size_t n)
{
    if (w->s == NULL || !tern_stream_writable(w->s)) {
        return;
    }
    size_t room = tern_stream_room(w->s);
    uint8_t at = w->out_at;
    size_t taken = tern_stream_write(w->s, count_up(&at, n), n);
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

static void write_frame(world *w, size_t n, size_t pieces)
{
    static uint8_t frame[70000];
    if (w->raw == NULL || !tern_stream_writable(w->raw) ||
        tern_stream_room(w->raw) < n + TERN_NOISE_OVERHEAD) {
        return;
    }
    tern_span span = {count_up(&w->in_at, n), n};
    tern_put16(frame, (uint16_t)(n + TERN_AEAD_TAG));
    if (tern_noise_seal(&w->seal, nothing, &span, 1, frame + 2) != 0) {
        abort();
    }
    n += TERN_NOISE_OVERHEAD;
    size_t first = n / pieces;
    write_raw(w, frame, first);
    if (pieces > 1) {
        tern_sim_run(w->sim, tern_sim_now(w->sim) + TERN_MS, NULL, NULL);
    }
    write_raw(w, frame + first, n - first);
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
    case FRAME:
        write_frame(w, much * much * 68, 1);
        break;
    case PIECE:
        write_frame(w, much * 900, 3);
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
        w->broken |= much > 2;
        if (much % 2 == 0 && w->raw != NULL) {
            tern_stream_end(w->raw);
        } else if (w->s != NULL) {
            much > 2 ? tern_stream_reset(w->s, much) : tern_stream_end(w->s);
        }
        break;
    default:
        tern_sim_run(w->sim, tern_sim_now(w->sim) + TERN_MS, NULL, NULL);
    }
}

static void leave(tern_stream *s)
{
    if (s != NULL) {
        tern_stream_reset(s, 0);
        tern_stream_drop(s);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    world w = {.take = SIZE_MAX};
    tern_loop *loop;
    tern_stream *lower;
    uint8_t keys[2][32] = {{1}, {2}};

    if (n < 1 || n > 400) {
        return 0;
    }
    for (size_t i = 0; i < sizeof flow; i++) {
        flow[i] = (uint8_t)i;
    }
    tern_memory_options options = {.window = 1 + data[0] * (size_t)data[0] * 4,
                                   .chunk = data[0] % 3 == 0 ? data[0] : 0};
    tern_noise_cipher send = {tern_aead_new(TERN_CHACHA20_POLY1305, keys[0]), 0},
                      recv = {tern_aead_new(TERN_CHACHA20_POLY1305, keys[1]), 0};
    w.open = (tern_noise_cipher){tern_aead_new(TERN_CHACHA20_POLY1305, keys[0]), 0};
    w.seal = (tern_noise_cipher){tern_aead_new(TERN_CHACHA20_POLY1305, keys[1]), 0};
    if (tern_sim_new(1, &w.sim) != 0 || tern_sim_host(w.sim, "10.0.0.1", &loop) != 0 ||
        tern_memory_pair(loop, &options, &lower, &w.raw) != 0) {
        abort();
    }
    tern_buf out;
    tern_buf_init(&out, 0);
    w.s = tern_noise_stream_new(lower, &w.counters, &send, &recv, &out);
    tern_stream_take(w.s, &plain_events, &w);
    tern_stream_take(w.raw, &raw_events, &w);
    for (size_t i = 1; i < n; i++) {
        act(&w, data[i]);
    }
    /* In the end all that was accepted arrives, unless somebody broke off. */
    w.take = SIZE_MAX;
    if (w.s != NULL) {
        tern_stream_resume(w.s);
    }
    tern_sim_run(w.sim, tern_sim_now(w.sim) + TERN_SEC, NULL, NULL);
    if (!w.broken && (w.out_at != w.out_seen || w.in_at != w.in_seen)) {
        abort();
    }
    leave(w.s);
    leave(w.raw);
    w.broken = true;
    tern_sim_run(w.sim, tern_sim_now(w.sim) + TERN_SEC, NULL, NULL);
    tern_sim_free(w.sim);
    tern_noise_cipher_clear(&w.seal);
    tern_noise_cipher_clear(&w.open);
    tern_buf_free(&w.got);
    return 0;
}
