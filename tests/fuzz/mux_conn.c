/* A whole muxer's conn over a stream in memory: see mux_conn.h. In the end all is closed once, in
 * order (streams, then conn), and no memory is held. */
#include "fuzz/mux_conn.h"

#include <stdlib.h>

#include "base/bytes.h"
#include "base/mem.h"
#include "loop/sim.h"
#include "streams/memory.h"

enum { STREAMS = 16 };
enum { FRAME, RAW, OPEN, WRITE, END, RESET, REFUSE, WAIT };

typedef struct world {
    tern_sim *sim;
    tern_loop *loop;
    tern_net net;
    tern_conn *conn;               /* NULL once closed */
    tern_stream *peer;             /* NULL once closed */
    tern_stream *streams[STREAMS]; /* NULL once closed */
    size_t alive;
    bool refuse, deaf;
    uint8_t mood; /* what owners do inside events */
} world;

static world w;

static void check(bool holds)
{
    if (!holds) {
        abort();
    }
}

static void forget(tern_stream *s)
{
    for (size_t i = 0; i < STREAMS; i++) {
        if (w.streams[i] == s) {
            w.streams[i] = NULL;
            w.alive--;
            return;
        }
    }
    abort();
}

static void in_event(tern_stream *s)
{
    switch (w.mood & 15) {
    case 1:
        tern_stream_reset(s, 5);
        break;
    case 2:
        tern_conn_close(w.conn, 0, "from inside");
        break;
    case 3:
        tern_stream_end(s);
        break;
    case 4:
        tern_stream_stop(s, 1);
        break;
    case 5:
        forget(s);
        tern_stream_drop(s);
        break;
    case 6:
        tern_conn_close(w.conn, 3, NULL);
        break;
    case 7:
        tern_stream_write(s, "echo", 4);
        break;
    default:
        break;
    }
}

static size_t on_data(void *owner, tern_stream *s, uint8_t *data, size_t n)
{
    (void)owner;
    memset(data, 0xaa, n);
    in_event(s);
    return w.refuse ? n / 2 : n;
}

static void on_end(void *owner, tern_stream *s)
{
    (void)owner;
    in_event(s);
}

static void on_closed(void *owner, tern_stream *s, const tern_error *why)
{
    (void)owner;
    check(why != NULL && w.conn != NULL);
    forget(s);
}

static const tern_stream_events events = {
    .on_data = on_data, .on_end = on_end, .on_room = on_end, .on_closed = on_closed};

static void keep(tern_stream *s)
{
    for (size_t i = 0; i < STREAMS; i++) {
        if (w.streams[i] == NULL) {
            w.streams[i] = s;
            w.alive++;
            tern_stream_take(s, &events, NULL);
            return;
        }
    }
    tern_stream_drop(s);
}

static void on_stream(void *owner, tern_conn *c, tern_stream *s)
{
    (void)owner;
    check(c == w.conn);
    keep(s);
}

static void on_conn_closed(void *owner, tern_conn *c, const tern_error *why)
{
    (void)owner;
    check(c == w.conn && w.alive == 0 && why->layer != NULL);
    w.conn = NULL;
}

static const tern_conn_events conn_events = {.on_stream = on_stream, .on_closed = on_conn_closed};

static size_t peer_on_data(void *owner, tern_stream *s, uint8_t *data, size_t n)
{
    (void)owner;
    (void)s;
    (void)data;
    return w.deaf ? 0 : n;
}

static void peer_on_closed(void *owner, tern_stream *s, const tern_error *why)
{
    (void)owner;
    (void)s;
    (void)why;
    w.peer = NULL;
}

static const tern_stream_events peer_events = {.on_data = peer_on_data,
                                               .on_closed = peer_on_closed};

static void run(uint64_t time)
{
    tern_sim_run(w.sim, tern_sim_now(w.sim) + time, NULL, NULL);
}

void fuzz_mux_say(const uint8_t *bytes, size_t n)
{
    if (w.peer != NULL) {
        tern_stream_write(w.peer, bytes, n);
        run(0);
    }
}

static void act(unsigned what, uint8_t arg)
{
    static const uint8_t block[300000];
    tern_stream *s = w.streams[arg % STREAMS];
    tern_error error;
    if (what == OPEN && w.conn != NULL && (s = tern_conn_open(w.conn, &error)) != NULL) {
        keep(s);
    } else if (what == WRITE && s != NULL) {
        tern_stream_write(s, block, arg < 200 ? arg : sizeof block);
    } else if (what == END && s != NULL) {
        tern_stream_end(s);
    } else if (what == RESET && s != NULL) {
        tern_stream_reset(s, arg);
    } else if (what == REFUSE) {
        w.refuse = (arg & 1) != 0;
        w.deaf = (arg & 2) != 0;
        w.mood = arg >> 2;
        for (size_t i = 0; i < STREAMS; i++) {
            if (w.streams[i] != NULL) {
                tern_stream_resume(w.streams[i]);
            }
        }
        if (w.peer != NULL) {
            tern_stream_resume(w.peer);
        }
    } else if (what == WAIT) {
        run((uint64_t)arg * arg * TERN_MS);
    }
}

static void begin(const tern_mux *mux, uint8_t kind)
{
    static const size_t sizes[] = {0, 1, 100, 4096};
    const tern_memory_options options = {.window = sizes[kind >> 1 & 3],
                                         .chunk = sizes[kind >> 3 & 3]};
    const tern_conn_facts facts = {.muxer = mux->name};
    tern_stream *lower;
    memset(&w, 0, sizeof w);
    check(tern_sim_new(1, &w.sim) == 0 && tern_sim_host(w.sim, "10.0.0.1", &w.loop) == 0);
    check(tern_memory_pair(w.loop, &options, &lower, &w.peer) == 0);
    tern_net_init(&w.net);
    w.net.limits.streams_per_conn = 8;
    w.net.limits.conn_window_max = 1 << 20;
    w.net.loop = w.loop;
    tern_stream_take(w.peer, &peer_events, NULL);
    w.conn = mux->make(&w.net, lower, (kind & 1) != 0, &facts);
    check(w.conn != NULL);
    tern_conn_take(w.conn, &conn_events, NULL);
    mux->attach(w.conn);
}

int fuzz_mux_conn(const tern_mux *mux, void (*frame)(const uint8_t p[4]), const uint8_t *data,
                  size_t n)
{
    if (n == 0) {
        return 0;
    }
    begin(mux, data[0]);
    size_t at = 1;
    while (at + 1 < n) {
        unsigned what = data[at] & 7;
        uint8_t arg = data[at + 1];
        if (what == FRAME && n - at >= 5) {
            frame(data + at + 1);
            at += 5;
        } else if (what == RAW) {
            size_t len = arg < n - at - 2 ? arg : n - at - 2;
            fuzz_mux_say(data + at + 2, len);
            at += 2 + len;
        } else {
            act(what, arg);
            at += 2;
        }
    }
    if (w.conn != NULL) {
        tern_conn_close(w.conn, 0, NULL);
    }
    if (w.peer != NULL) {
        tern_stream_drop(w.peer);
    }
    run(120 * TERN_SEC);
    check(w.conn == NULL && w.alive == 0);
    tern_sim_free(w.sim);
    check(tern_mem_alive() == 0);
    return 0;
}
