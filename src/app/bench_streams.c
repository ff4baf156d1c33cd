/* tern bench streams: what a stream costs. One connection, on which so many streams are opened,
 * negotiated, used for an empty question of /perf/1.0.0 and closed, a few at a time. */
#include <stdlib.h>

#include "app/app.h"

typedef struct streams {
    app_dial dial; /* first */
    long begun, done, failed;
    uint64_t started;
    uint64_t *times; /* of those that succeeded */
} streams;

typedef struct one {
    streams *all;
    uint64_t started;
} one;

static int by_size(const void *a, const void *b)
{
    uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;
    return (x > y) - (x < y);
}

static uint64_t percentile(const streams *s, long percent)
{
    long n = s->done - s->failed;
    return n > 0 ? s->times[(n - 1) * percent / 100] / 1000 : 0;
}

static void summarise(streams *s)
{
    app_dial *d = &s->dial;
    uint64_t time = tern_node_now(d->node) - s->started;
    double seconds = (double)time / 1e9, rate = seconds > 0 ? (double)s->done / seconds : 0;
    qsort(s->times, (size_t)(s->done - s->failed), sizeof *s->times, by_size);
    if (d->o->json) {
        app_emit(json_pack("{s:s, s:I, s:I, s:f, s:f, s:I, s:I, s:I}", "event", "summary", "count",
                           (json_int_t)s->done, "failed", (json_int_t)s->failed, "seconds", seconds,
                           "per_second", rate, "p50_us", (json_int_t)percentile(s, 50), "p95_us",
                           (json_int_t)percentile(s, 95), "p99_us", (json_int_t)percentile(s, 99)));
    } else {
        app_say("%ld streams in %.3f s: %.0f per second, %ld failed; p50 %.3f p95 %.3f p99 %.3f ms",
                s->done, seconds, rate, s->failed, (double)percentile(s, 50) / 1e3,
                (double)percentile(s, 95) / 1e3, (double)percentile(s, 99) / 1e3);
    }
    app_finish(d, s->failed == 0 ? APP_OK : APP_FAILED);
}

static void next(streams *s);

static void answered(void *owner, const tern_perf_result *result, const tern_error *error)
{
    one *o = owner;
    streams *s = o->all;
    uint64_t took = tern_node_now(s->dial.node) - o->started;
    (void)result;
    free(o);
    if (s->dial.finished) {
        return;
    }
    s->done++;
    if (error->code == 0) {
        s->times[s->done - 1 - s->failed] = took;
    } else if (s->failed++ == 0) {
        app_say_error("a stream", error);
    }
    if (s->done == s->dial.o->count) {
        summarise(s);
    } else {
        next(s);
    }
}

static void next(streams *s)
{
    one *o = s->begun < s->dial.o->count ? calloc(1, sizeof *o) : NULL;
    if (o == NULL || s->dial.conn == NULL) {
        free(o);
        return;
    }
    o->all = s;
    o->started = tern_node_now(s->dial.node);
    s->begun++;
    tern_error error;
    if (tern_node_perf(s->dial.node, s->dial.conn, 0, 0, NULL, answered, o, &error) != 0) {
        app_say_error("a stream cannot be opened", &error);
        free(o);
        app_finish(&s->dial, APP_FAILED);
    }
}

static void on_conn(app_dial *d)
{
    streams *s = (streams *)d;
    s->started = tern_node_now(d->node);
    for (long i = 0; i < d->o->parallel && !d->finished; i++) {
        next(s);
    }
}

static void on_interrupt(app_dial *d)
{
    summarise((streams *)d);
}

int app_bench_streams(app_options *o)
{
    streams s = {
        .dial = {.o = o, .on_conn = on_conn, .on_interrupt = on_interrupt, .status = APP_FAILED}};
    s.times = calloc((size_t)o->count, sizeof *s.times);
    if (s.times == NULL) {
        app_error("out of memory");
        return APP_FAILED;
    }
    o->args.items[0] = o->args.items[1]; /* the address alone, as commands that dial have it */
    o->args.count = 1;
    int status = app_dial_run(&s.dial, NULL);
    free(s.times);
    return status;
}
