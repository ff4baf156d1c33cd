/* tern bench relay: what a relay can. So many peers, each a node with an identity of its own, get a
 * place there; then each is connected with the next one through it. They are held after either. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "app/app.h"

enum { ADDR_MAX = 1200 };
#define MEMORY (UINT64_C(16) << 30) /* the measure is the relay's, not ours */

typedef struct relay_bench relay_bench;

typedef struct hand {
    relay_bench *b;
    tern_node *node; /* NULL = not made yet */
    uint64_t started;
    bool placed; /* has a place, or could not get one */
} hand;

struct relay_bench {
    app_options *o;
    const char *relay;
    hand *hands;
    long made, running; /* running: those that have not stopped */
    bool circuits;      /* the second phase */
    long begun, done, failed;
    uint64_t started;
    uint64_t *times; /* of what succeeded in this phase */
    bool stopping, wrong;
};

static void begin_next(relay_bench *b);

/* ---- the end ---- */

static void stop_all(relay_bench *b)
{
    if (b->stopping) {
        return;
    }
    b->stopping = true;
    for (long i = 1; i < b->made; i++) {
        tern_node_stop(b->hands[i].node);
    }
    if (b->running == 1) {
        tern_node_stop(b->hands[0].node);
    }
}

static void on_stopped(void *owner, tern_node *node)
{
    hand *p = owner;
    relay_bench *b = p->b;
    (void)node;
    if (p != &b->hands[0] && --b->running == 1) {
        tern_node_stop(b->hands[0].node);
    }
}

static void on_signal(void *arg, int signal)
{
    relay_bench *b = arg;
    (void)signal;
    b->wrong = true;
    stop_all(b);
}

/* ---- the phases ---- */

static int by_size(const void *a, const void *b)
{
    uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;
    return (x > y) - (x < y);
}

static void tell(relay_bench *b)
{
    const char *what = b->circuits ? "circuits" : "places";
    long n = b->done - b->failed;
    double seconds = (double)(tern_node_now(b->hands[0].node) - b->started) / 1e9;
    double rate = seconds > 0 ? (double)n / seconds : 0;
    qsort(b->times, (size_t)n, sizeof *b->times, by_size);
    uint64_t p50 = n > 0 ? b->times[(n - 1) / 2] / 1000 : 0;
    if (b->o->json) {
        app_emit(json_pack("{s:s, s:I, s:I, s:f, s:f, s:I}", "event", what, "count", (json_int_t)n,
                           "failed", (json_int_t)b->failed, "seconds", seconds, "per_second", rate,
                           "p50_us", (json_int_t)p50));
    } else {
        app_say("%ld %s in %.3f s, %ld failed: %.1f per second; p50 %.3f ms", n, what, seconds,
                b->failed, rate, (double)p50 / 1e3);
    }
    b->wrong |= b->failed > 0;
}

static void begin_phase(relay_bench *b)
{
    b->begun = b->done = b->failed = 0;
    b->started = tern_node_now(b->hands[0].node);
    for (long i = 0; i < b->o->parallel && !b->stopping; i++) {
        begin_next(b);
    }
}

static void held(void *arg)
{
    relay_bench *b = arg;
    if (b->circuits) {
        stop_all(b);
    } else {
        b->circuits = true;
        begin_phase(b);
    }
}

static void one_done(hand *p, bool well)
{
    relay_bench *b = p->b;
    b->done++;
    b->failed += !well;
    if (well) {
        b->times[b->done - 1 - b->failed] = tern_node_now(p->node) - p->started;
    }
    if (b->done < b->o->count) {
        begin_next(b);
        return;
    }
    tell(b);
    if ((b->failed > 0 && !b->circuits) ||
        tern_node_after(b->hands[0].node, app_ms(b->o->hold), held, b) != 0) {
        stop_all(b);
    }
}

/* ---- a place ---- */

static void on_reservation(void *owner, tern_node *node, const tern_multiaddr *addr,
                           const tern_peer_id *relay, uint64_t expires, const tern_error *why)
{
    hand *p = owner;
    (void)node;
    (void)relay;
    (void)expires;
    if (p->placed || p->b->stopping) {
        return;
    }
    if (why != NULL && p->b->failed == 0) {
        app_say_error(tern_multiaddr_text(addr), why);
    }
    p->placed = true;
    one_done(p, why == NULL);
}

static int make_hand(relay_bench *b, hand *p, tern_key *key, tern_error *reterr)
{
    static const tern_node_events events = {.on_reservation = on_reservation,
                                            .on_stopped = on_stopped};
    tern_options options;
    app_node_options(b->o, key, &events, p, &options);
    options.max_memory = MEMORY;
    options.beside = p != &b->hands[0] ? b->hands[0].node : NULL;
    p->b = b;
    int code = tern_node_new(&options, &p->node, reterr);
    if (code == 0) {
        b->made++;
        b->running++;
    }
    return code;
}

static void begin_place(relay_bench *b, hand *p)
{
    char text[ADDR_MAX];
    tern_error error;
    int code = p->node != NULL ? 0 : make_hand(b, p, NULL, &error);
    if (code == 0) {
        snprintf(text, sizeof text, "%s/p2p-circuit", b->relay);
        p->started = tern_node_now(p->node);
        code = tern_node_listen(p->node, text, NULL, 0, &error);
    }
    if (code != 0) {
        app_say_error(b->relay, &error);
        b->wrong = true;
        stop_all(b);
    }
}

/* ---- a circuit ---- */

static void dialled(void *owner, tern_conn *conn, const tern_error *error,
                    const tern_dial_report *reports, size_t report_count)
{
    hand *p = owner;
    (void)reports;
    (void)report_count;
    if (p->b->stopping) {
        return;
    }
    if (conn == NULL && p->b->failed == 0) {
        app_say_error("a circuit", error);
    }
    one_done(p, conn != NULL);
}

static void begin_circuit(relay_bench *b, hand *p, const hand *to)
{
    char id[TERN_PEER_ID_TEXT], text[ADDR_MAX];
    const char *addr = text;
    tern_peer_id peer;
    tern_error error;
    tern_node_peer_id(to->node, &peer);
    snprintf(text, sizeof text, "%s/p2p-circuit/p2p/%s", b->relay, tern_peer_id_text(&peer, id));
    p->started = tern_node_now(p->node);
    if (tern_node_dial(p->node, &addr, 1, app_ms(b->o->timeout), true, dialled, p, &error) != 0) {
        app_say_error(text, &error);
        b->wrong = true;
        stop_all(b);
    }
}

static void begin_next(relay_bench *b)
{
    if (b->begun == b->o->count || b->stopping) {
        return;
    }
    long i = b->begun++;
    if (b->circuits) {
        begin_circuit(b, &b->hands[i], &b->hands[(i + 1) % b->o->count]);
    } else {
        begin_place(b, &b->hands[i]);
    }
}

/* ---- the begin ---- */

static int run(relay_bench *b)
{
    tern_error error;
    tern_key *key = NULL;
    if (app_identity(b->o, &key) != APP_OK) {
        return APP_FAILED;
    }
    int code = make_hand(b, &b->hands[0], key, &error);
    tern_key_unref(key);
    if (code != 0) {
        app_say_error("the node cannot start", &error);
        return code == TERN_E_UNSUPPORTED ? APP_USAGE : APP_FAILED;
    }
    tern_node_on_signal(b->hands[0].node, on_signal, b);
    begin_phase(b);
    tern_node_run(b->hands[0].node);
    return b->wrong ? APP_FAILED : APP_OK;
}

int app_bench_relay(app_options *o)
{
    relay_bench b = {.o = o, .relay = o->args.items[1]};
    if (o->count < 2 || strstr(b.relay, "/p2p/") == NULL || strlen(b.relay) > ADDR_MAX / 2) {
        return app_usage_error("bench",
                               "relay wants the address of one, RELAY/p2p/ID, and -c 2 or more");
    }
    b.hands = calloc((size_t)o->count, sizeof *b.hands);
    b.times = calloc((size_t)o->count, sizeof *b.times);
    int status = APP_FAILED;
    if (b.hands == NULL || b.times == NULL) {
        app_error("out of memory");
    } else {
        status = run(&b);
        for (long i = b.made - 1; i >= 0; i--) {
            tern_node_free(b.hands[i].node);
        }
    }
    free(b.hands);
    free(b.times);
    return status;
}
