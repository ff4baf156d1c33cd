/* Ping and perf, both sides, against a peer that says anything: the input is what comes on the
 * stream, in pieces, with waits, ends and resets between. Every question is answered once, every
 * stream ends, no memory stays. */
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "loop/sim.h"
#include "proto/perf.h"
#include "proto/ping.h"
#include "streams/memory.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

enum { PING_SERVER, PING_ASKER, PERF_SERVER, PERF_ASKER };
enum { GOT_MAX = 1 << 20 };

typedef struct world {
    tern_sim *sim;
    tern_net net;
    tern_protocol protocol;
    tern_stream *here, *peer; /* ours until somebody takes it; the stranger's, NULL once closed */
    unsigned asked, answered;
    size_t got; /* by the stranger */
    bool deaf;
    void (*opened)(void *owner, tern_stream *s, const char *id, const tern_error *error);
    void *opener;
    tern_deferred tell;
} world;

static world w;

static void check(bool holds)
{
    if (!holds) {
        abort();
    }
}

static size_t peer_on_data(void *owner, tern_stream *s, uint8_t *data, size_t n)
{
    (void)owner;
    (void)s;
    (void)data;
    if (w.deaf || w.got > GOT_MAX) { /* perf would send what was asked for, without end */
        return 0;
    }
    w.got += n;
    return n;
}

static void peer_on_closed(void *owner, tern_stream *s, const tern_error *why)
{
    (void)owner;
    (void)s;
    (void)why;
    w.peer = NULL;
}

static void make_pair(void)
{
    static const tern_stream_events events = {.on_data = peer_on_data, .on_closed = peer_on_closed};
    check(tern_memory_pair(w.net.loop, NULL, &w.here, &w.peer) == 0);
    tern_stream_take(w.peer, &events, NULL);
}

/* ---- what the protocols are handed ---- */

static int handle(tern_net *net, const tern_protocol *protocol)
{
    (void)net;
    w.protocol = *protocol;
    return 0;
}

static void tell(tern_deferred *d)
{
    static const tern_error none = {.layer = "fuzz"};
    tern_stream *s = w.here;
    (void)d;
    w.here = NULL;
    w.opened(w.opener, s, w.protocol.id, &none);
}

/* One stream is there to be opened; who asks for another is told that there is none. */
static tern_stream *
open_stream(tern_net *net, tern_conn *conn, const char *const *ids, bool replay_safe,
            void (*done)(void *owner, tern_stream *s, const char *id, const tern_error *error),
            void *owner, tern_error *reterr)
{
    (void)net;
    (void)conn;
    (void)ids;
    (void)replay_safe;
    if (w.opened != NULL) {
        if (reterr != NULL) {
            *reterr = (tern_error){.code = TERN_E_LIMIT, .layer = "fuzz"};
        }
        return NULL;
    }
    make_pair();
    w.opened = done;
    w.opener = owner;
    tern_deferred_init(&w.tell, tell);
    tern_defer(w.net.loop, &w.tell);
    return w.here;
}

static void ponged(void *owner, uint64_t rtt, const tern_error *error)
{
    (void)owner;
    (void)rtt;
    (void)error;
    w.answered++;
}

static void measured(void *owner, const tern_perf_result *result, const tern_error *error)
{
    (void)owner;
    check(error->code != 0 || result->received == 100);
    w.answered++;
}

static void run(uint64_t time)
{
    tern_sim_run(w.sim, tern_sim_now(w.sim) + time, NULL, NULL);
}

/* ---- the stranger ---- */

static void play(const uint8_t *data, size_t n)
{
    for (size_t at = 0; at < n && w.peer != NULL;) {
        uint8_t op = data[at++];
        size_t len = op & 63;
        len = len < n - at ? len : n - at;
        if (op < 0xc0) {
            tern_stream_write(w.peer, data + at, len);
            at += len;
        } else if (op < 0xe0) {
            run((uint64_t)(op & 31) * TERN_SEC);
        } else if (op < 0xf0) {
            tern_stream_end(w.peer);
        } else if (op < 0xf8) {
            w.deaf = !w.deaf;
            tern_stream_resume(w.peer);
        } else {
            tern_stream_reset(w.peer, op);
        }
        if ((op & 0x40) == 0) {
            run(0);
        }
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    static const tern_net_ops ops = {.handle = handle, .open = open_stream};
    size_t alive = tern_mem_alive();
    if (n < 2) {
        return 0;
    }
    memset(&w, 0, sizeof w);
    check(tern_sim_new(1, &w.sim) == 0);
    tern_net_init(&w.net);
    check(tern_sim_host(w.sim, "10.0.0.1", &w.net.loop) == 0);
    w.net.ops = &ops;
    unsigned role = data[0] & 3;
    tern_pinger *pinger = NULL;
    if (role == PING_SERVER || role == PERF_SERVER) {
        check((role == PING_SERVER ? tern_ping_serve(&w.net) : tern_perf_serve(&w.net)) == 0);
        make_pair();
        tern_stream *s = w.here;
        w.here = NULL;
        w.protocol.on_stream(w.protocol.ctx, NULL, s, w.protocol.id);
    } else if (role == PING_ASKER) {
        pinger = tern_pinger_new(&w.net, NULL);
        check(pinger != NULL);
        for (unsigned i = 0; i < 1U + (data[0] >> 6); i++) {
            w.asked += tern_pinger_ping(pinger, ponged, NULL) == 0;
        }
    } else {
        w.asked += tern_perf_ask(&w.net, NULL, data[0], 100, NULL, measured, NULL, NULL) == 0;
    }
    run(0);
    play(data + 1, n - 1);
    if (w.peer != NULL) {
        tern_stream_reset(w.peer, 0);
    }
    run(100 * TERN_SEC);
    if (pinger != NULL) {
        tern_pinger_free(pinger);
        run(TERN_SEC);
    }
    check(w.asked == w.answered && w.peer == NULL);
    tern_sim_free(w.sim);
    check(tern_mem_alive() == alive);
    return 0;
}
