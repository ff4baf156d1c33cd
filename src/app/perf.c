/* tern perf: connects, uploads, then downloads over /perf/1.0.0, and prints what it reached. With
 * --streams the bytes of a direction are shared out to so many streams at once. */
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "app/app.h"

enum {
    STREAMS_MAX = 255,
    AT_ONCE = 32, /* opened at once: peers refuse streams while too many negotiate */
    OPEN_EVERY_MS = 10,
};
#define DEFAULT_BYTES (UINT64_C(256) << 20)

typedef struct perf_command perf_command;

/* One stream of a direction. */
typedef struct lane {
    perf_command *p;
    uint64_t moved;
} lane;

/* What a direction reached. */
typedef struct reached {
    uint64_t bytes, time;
} reached;

struct perf_command {
    app_dial dial; /* first */
    lane lanes[STREAMS_MAX];
    long begun;   /* lanes of this direction */
    long running; /* of them: not done */
    bool up, failed, shown;
    uint64_t started;
    reached result[2]; /* down, up */
};

static void start_direction(perf_command *p, bool up);

static uint64_t wanted(const perf_command *p, bool up)
{
    const app_options *o = p->dial.o;
    uint64_t bytes = up ? o->upload : o->download;
    bool none = o->upload == APP_NOT_GIVEN && o->download == APP_NOT_GIVEN;
    return none ? DEFAULT_BYTES : bytes == APP_NOT_GIVEN ? 0 : bytes;
}

static double mbit_s(reached r)
{
    return r.time > 0 ? (double)r.bytes * 8e3 / (double)r.time : 0;
}

static json_t *result_fields(reached r)
{
    return json_pack("{s:I, s:f, s:f}", "bytes", (json_int_t)r.bytes, "seconds",
                     (double)r.time / 1e9, "mbit_s", mbit_s(r));
}

static void clear_progress(perf_command *p)
{
    if (p->shown) {
        fputs("\r\033[K", stderr);
        p->shown = false;
    }
}

static void show_progress(void *owner, uint64_t sent, uint64_t received)
{
    lane *own = owner;
    perf_command *p = own->p;
    uint64_t bytes = 0, time = tern_node_now(p->dial.node) - p->started;
    own->moved = sent + received;
    if (own != &p->lanes[0] || p->dial.o->json || !isatty(STDERR_FILENO)) {
        return;
    }
    for (long i = 0; i < p->dial.o->streams; i++) {
        bytes += p->lanes[i].moved;
    }
    fprintf(stderr, "\r%s %.1f of %.1f MiB, %.1f MiB/s\033[K", p->up ? "up" : "down",
            (double)bytes / 1048576, (double)wanted(p, p->up) / 1048576,
            (double)bytes * 1e9 / 1048576 / (double)(time > 0 ? time : 1));
    p->shown = true;
}

static void summarise(perf_command *p)
{
    app_dial *d = &p->dial;
    clear_progress(p);
    if (d->o->json) {
        json_t *o =
            json_pack("{s:s, s:o, s:o, s:I}", "event", "summary", "up", result_fields(p->result[1]),
                      "down", result_fields(p->result[0]), "streams", (json_int_t)d->o->streams);
        if (d->conn != NULL) {
            app_add_facts(o, tern_conn_get_facts(d->conn));
        }
        app_emit(o);
    }
    app_finish(d, p->failed ? APP_FAILED : APP_OK);
}

static void direction_done(perf_command *p)
{
    reached *r = &p->result[p->up];
    r->time = tern_node_now(p->dial.node) - p->started;
    clear_progress(p);
    if (!p->failed && p->dial.o->json) {
        json_t *o = json_pack("{s:s, s:s}", "event", "perf", "direction", p->up ? "up" : "down");
        json_t *fields = result_fields(*r);
        json_object_update(o, fields);
        json_decref(fields);
        app_emit(o);
    } else if (!p->failed) {
        app_say("%-4s %.1f MiB in %.3f s: %.1f Mbit/s, %.1f MiB/s", p->up ? "up" : "down",
                (double)r->bytes / 1048576, (double)r->time / 1e9, mbit_s(*r),
                mbit_s(*r) / 8 * 1e6 / 1048576);
    }
    if (p->up && !p->failed) {
        start_direction(p, false);
    } else {
        summarise(p);
    }
}

static void lane_done(void *owner, const tern_perf_result *result, const tern_error *error)
{
    lane *own = owner;
    perf_command *p = own->p;
    if (p->dial.finished) {
        return;
    }
    if (error->code != 0 && !p->failed) {
        clear_progress(p);
        app_say_error(p->up ? "upload" : "download", error);
        p->failed = true;
    }
    p->result[p->up].bytes += result->sent + result->received;
    own->moved = result->sent + result->received;
    if (--p->running == 0 && (p->begun == p->dial.o->streams || p->failed)) {
        direction_done(p);
    }
}

static void start_lane(perf_command *p)
{
    app_dial *d = &p->dial;
    uint64_t bytes = wanted(p, p->up), n = (uint64_t)d->o->streams, i = (uint64_t)p->begun;
    uint64_t part = bytes / n + (i < bytes % n);
    lane *own = &p->lanes[p->begun++];
    tern_error error;
    own->p = p;
    if (tern_node_perf(d->node, d->conn, p->up ? part : 0, p->up ? 0 : part, show_progress,
                       lane_done, own, &error) == 0) {
        p->running++;
    } else {
        app_say_error(p->up ? "upload" : "download", &error);
        p->failed = true;
    }
}

static void start_lanes(void *arg)
{
    perf_command *p = arg;
    app_dial *d = &p->dial;
    if (d->finished || d->conn == NULL) {
        return;
    }
    for (int i = 0; i < AT_ONCE && p->begun < d->o->streams && !p->failed; i++) {
        start_lane(p);
    }
    if (p->begun < d->o->streams && !p->failed) {
        p->failed = tern_node_after(d->node, OPEN_EVERY_MS, start_lanes, p) != 0;
    }
    if (p->running == 0 && p->failed) {
        summarise(p);
    }
}

static void start_direction(perf_command *p, bool up)
{
    p->up = up;
    if (wanted(p, up) > 0) {
        memset(p->lanes, 0, sizeof p->lanes);
        p->begun = 0;
        p->started = tern_node_now(p->dial.node);
        start_lanes(p);
    } else if (up) {
        start_direction(p, false);
    } else {
        summarise(p);
    }
}

static void on_conn(app_dial *d)
{
    perf_command *p = (perf_command *)d;
    const tern_conn_facts *f = tern_conn_get_facts(d->conn);
    if (!d->o->json) {
        app_say_connected(f);
    }
    start_direction(p, true);
}

int app_perf(app_options *o)
{
    static perf_command p;
    p = (perf_command){.dial = {.o = o, .on_conn = on_conn, .status = APP_FAILED}};
    if (o->streams < 1 || o->streams > STREAMS_MAX) {
        return app_usage_error("perf", "--streams wants 1 to %d", STREAMS_MAX);
    }
    return app_dial_run(&p.dial, NULL);
}
