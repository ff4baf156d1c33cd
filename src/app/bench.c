/* tern bench connect: so many connections, a few at a time, fresh or resumed: per second, and
 * percentiles.
 * tern bench idle: opens connections, each from an identity of its own, and holds them.
 *
 * Every hand is a node; all of them live on the loop of the first one, which stops last. */
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>

#include "app/app.h"

enum { PARALLEL_MAX = 1000, IDLE_MAX = 100000, IDLE_AT_ONCE = 16, CONNS_PER_PEER = 1000 };

typedef struct bench bench;

typedef struct hand {
    bench *b;
    tern_node *node; /* NULL = not made yet */
    uint64_t started;
    tern_conn *kept; /* the last connection, until the next one has come; or NULL */
    bool stopped;
} hand;

struct bench {
    app_options *o;
    const char *addr;
    bool idle;
    hand *hands;
    long hand_count, made, running;          /* running: hands that have not stopped */
    long begun, done, failed, lost, resumed; /* dials */
    uint64_t *times;                         /* of the dials that succeeded */
    uint64_t started, finished;
    bool stopping, holding, interrupted;
};

static void next_dial(hand *h);

static hand *base(bench *b)
{
    return &b->hands[0];
}

/* ---- the end ---- */

static void stop_all(bench *b)
{
    if (b->stopping) {
        return;
    }
    b->stopping = true;
    for (long i = 1; i < b->made; i++) {
        tern_node_stop(b->hands[i].node);
    }
    if (b->running == 1) {
        tern_node_stop(base(b)->node);
    }
}

static void on_stopped(void *owner, tern_node *node)
{
    hand *h = owner;
    bench *b = h->b;
    (void)node;
    if (h != base(b) && --b->running == 1) {
        tern_node_stop(base(b)->node);
    }
}

static int by_size(const void *a, const void *b)
{
    uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;
    return (x > y) - (x < y);
}

static uint64_t percentile(const bench *b, long percent)
{
    long n = b->done - b->failed;
    return n > 0 ? b->times[(n - 1) * percent / 100] / 1000 : 0;
}

static void summarise(bench *b)
{
    long n = b->done - b->failed;
    double seconds = (double)(b->finished - b->started) / 1e9;
    double per_second = seconds > 0 ? (double)n / seconds : 0;
    qsort(b->times, (size_t)n, sizeof *b->times, by_size);
    if (b->o->json) {
        json_t *o =
            json_pack("{s:s, s:I, s:I, s:f, s:f, s:I, s:I, s:I}", "event", "summary", "count",
                      (json_int_t)n, "failed", (json_int_t)b->failed, "seconds", seconds,
                      "per_second", per_second, "p50_us", (json_int_t)percentile(b, 50), "p95_us",
                      (json_int_t)percentile(b, 95), "p99_us", (json_int_t)percentile(b, 99));
        json_object_set_new(o, "resumed", json_integer(b->resumed));
        if (b->idle) {
            json_object_set_new(o, "lost", json_integer(b->lost));
        }
        app_emit(o);
        return;
    }
    app_say("%ld connections in %.3f s, %ld failed: %.1f per second; "
            "p50 %.3f p95 %.3f p99 %.3f ms",
            n, seconds, b->failed, per_second, (double)percentile(b, 50) / 1e3,
            (double)percentile(b, 95) / 1e3, (double)percentile(b, 99) / 1e3);
    if (b->o->resumed) {
        app_say("%ld were resumed", b->resumed);
    }
    if (b->idle) {
        app_say("%ld were lost while held", b->lost);
    }
}

/* ---- holding ---- */

static void held(void *arg)
{
    stop_all(arg);
}

static void hold(bench *b)
{
    long n = b->done - b->failed;
    b->holding = true;
    if (b->o->json) {
        app_emit(json_pack("{s:s, s:I}", "event", "holding", "count", (json_int_t)n));
    } else {
        app_say("holding %ld connections", n);
    }
    if (n == 0 || tern_node_after(base(b)->node, app_ms(b->o->hold), held, b) != 0) {
        stop_all(b);
    }
}

/* ---- dials ---- */

static void dials_over(bench *b)
{
    b->finished = tern_node_now(base(b)->node);
    if (b->idle) {
        hold(b);
    } else {
        stop_all(b);
    }
}

static int make_hand(bench *b, hand *h, tern_key *key, tern_error *reterr);

/* The next one of a bench idle is another node's. */
static void next_idle(bench *b)
{
    hand *h = &b->hands[b->made];
    tern_error error;
    if (b->made == b->hand_count) {
        return;
    }
    if (make_hand(b, h, NULL, &error) != 0) {
        app_say_error("a node cannot start", &error);
        b->failed += b->hand_count - b->begun;
        b->done += b->hand_count - b->begun;
        b->begun = b->hand_count;
        if (b->done == b->o->count) {
            dials_over(b);
        }
        return;
    }
    next_dial(h);
}

static void go_on(hand *h)
{
    bench *b = h->b;
    if (b->done == b->o->count) {
        dials_over(b);
    } else if (b->idle) {
        next_idle(b);
    } else {
        next_dial(h);
    }
}

/* Its tickets come while the next one is dialled with those of the one before. */
static void keep(hand *h, tern_conn *conn)
{
    if (h->kept != NULL) {
        tern_node_close(h->node, h->kept);
    }
    h->kept = conn;
}

static void dialled(void *owner, tern_conn *conn, const tern_error *error,
                    const tern_dial_report *reports, size_t report_count)
{
    hand *h = owner;
    bench *b = h->b;
    (void)reports;
    (void)report_count;
    if (b->stopping) {
        return;
    }
    b->done++;
    if (conn == NULL) {
        if (b->failed++ == 0) {
            app_say_error(b->addr, error);
        }
    } else {
        b->times[b->done - 1 - b->failed] = tern_node_now(h->node) - h->started;
        const tern_conn_facts *f = tern_conn_get_facts(conn);
        b->resumed += f->resumed;
        if (!b->idle && b->o->resumed) {
            keep(h, conn);
        } else if (!b->idle) {
            tern_node_close(h->node, conn);
        }
    }
    go_on(h);
}

static void next_dial(hand *h)
{
    bench *b = h->b;
    tern_error error;
    if (b->begun == b->o->count || b->stopping) {
        return;
    }
    b->begun++;
    h->started = tern_node_now(h->node);
    if (tern_node_dial(h->node, &b->addr, 1, app_ms(b->o->timeout), true, dialled, h, &error) !=
        0) {
        app_say_error(b->addr, &error);
        b->failed += b->o->count - b->done;
        b->done = b->o->count;
        b->finished = b->started;
        stop_all(b);
    }
}

static void on_disconnected(void *owner, tern_node *node, tern_conn *conn, const tern_error *why)
{
    hand *h = owner;
    (void)node;
    (void)why;
    h->kept = h->kept == conn ? NULL : h->kept;
    h->b->lost += h->b->holding && !h->b->stopping;
}

/* ---- the begin ---- */

static int make_hand(bench *b, hand *h, tern_key *key, tern_error *reterr)
{
    static const tern_node_events events = {.on_disconnected = on_disconnected,
                                            .on_stopped = on_stopped};
    tern_options options;
    app_node_options(b->o, key, &events, h, &options);
    options.no_resumption |= !b->idle && !b->o->resumed;
    if (options.max_connections_per_peer == 0) { /* those that are being closed count, too */
        options.max_connections_per_peer = CONNS_PER_PEER;
    }
    options.no_identify = !b->idle; /* a handshake is measured, not what follows it */
    options.beside = h != base(b) ? base(b)->node : NULL;
    h->b = b;
    int code = tern_node_new(&options, &h->node, reterr);
    if (code == 0) {
        b->made++;
        b->running++;
    }
    return code;
}

static void on_signal(void *arg, int signal)
{
    bench *b = arg;
    (void)signal;
    b->interrupted = true;
    b->finished = b->holding ? b->finished : tern_node_now(base(b)->node);
    stop_all(b);
}

/* As many descriptors as the system lets us have. */
static void raise_descriptors(void)
{
    struct rlimit limit;
    if (getrlimit(RLIMIT_NOFILE, &limit) == 0) {
        limit.rlim_cur = limit.rlim_max;
        setrlimit(RLIMIT_NOFILE, &limit);
    }
}

static int start(bench *b)
{
    tern_error error;
    tern_key *key = NULL;
    long at_once = b->idle ? IDLE_AT_ONCE : b->hand_count;
    if (app_identity(b->o, &key) != APP_OK) {
        return APP_FAILED;
    }
    int code = 0;
    for (long i = 0; i < b->hand_count && i < at_once && code == 0; i++) {
        code = make_hand(b, &b->hands[i], i == 0 ? key : NULL, &error);
    }
    tern_key_unref(key);
    if (code != 0) {
        app_say_error("the node cannot start", &error);
        return code == TERN_E_UNSUPPORTED ? APP_USAGE : APP_FAILED;
    }
    b->started = tern_node_now(base(b)->node);
    tern_node_on_signal(base(b)->node, on_signal, b);
    for (long i = 0, n = b->made; i < n && !b->stopping; i++) {
        next_dial(&b->hands[i]);
    }
    tern_node_run(base(b)->node);
    summarise(b);
    return b->failed == 0 && b->lost == 0 && (b->idle || !b->interrupted) ? APP_OK : APP_FAILED;
}

static int check_options(const app_options *o)
{
    const char *what = o->args.count > 0 ? o->args.items[0] : "";
    tern_error error;
    if (strcmp(what, "connect") != 0 && strcmp(what, "idle") != 0 && strcmp(what, "streams") != 0 &&
        strcmp(what, "relay") != 0) {
        return app_usage_error("bench", "wants 'connect', 'idle', 'streams' or 'relay'");
    }
    if (o->args.count != 2) {
        return app_usage_error("bench", "%s wants one multiaddr", what);
    }
    if (o->count < 1 || o->count > IDLE_MAX) {
        return app_usage_error("bench", "-c wants 1 to %d", IDLE_MAX);
    }
    if (o->parallel < 1 || o->parallel > PARALLEL_MAX) {
        return app_usage_error("bench", "--parallel wants 1 to %d", PARALLEL_MAX);
    }
    tern_multiaddr *addr = tern_multiaddr_parse(o->args.items[1], &error);
    if (addr == NULL) {
        return app_address_error(o->args.items[1], &error);
    }
    tern_multiaddr_unref(addr);
    return APP_OK;
}

int app_bench(app_options *o)
{
    int status = check_options(o);
    if (status != APP_OK) {
        return status;
    }
    if (strcmp(o->args.items[0], "streams") == 0) {
        return app_bench_streams(o);
    }
    raise_descriptors();
    if (strcmp(o->args.items[0], "relay") == 0) {
        return app_bench_relay(o);
    }
    bench b = {.o = o, .addr = o->args.items[1], .idle = strcmp(o->args.items[0], "idle") == 0};
    b.hand_count = b.idle || o->parallel > o->count ? o->count : o->parallel;
    b.hands = calloc((size_t)b.hand_count, sizeof *b.hands);
    b.times = calloc((size_t)o->count, sizeof *b.times);
    status = APP_FAILED;
    if (b.hands == NULL || b.times == NULL) {
        app_error("out of memory");
    } else {
        status = start(&b);
        for (long i = b.made - 1; i >= 0; i--) {
            tern_node_free(b.hands[i].node);
        }
    }
    free(b.hands);
    free(b.times);
    return status;
}
