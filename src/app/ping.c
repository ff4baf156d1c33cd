/* tern ping: connects, pings, prints each round trip and a summary. */
#include "app/app.h"

typedef struct ping_command {
    app_dial dial; /* first */
    long sent, received;
    uint64_t min, max, sum;
} ping_command;

static void ping_next(void *arg);

static void summarise(ping_command *p, int status)
{
    app_dial *d = &p->dial;
    uint64_t avg = p->received > 0 ? p->sum / (uint64_t)p->received : 0;
    uint64_t connect = d->connected - d->started;
    if (d->o->json) {
        json_t *o =
            json_pack("{s:s, s:I, s:I, s:I, s:I, s:I, s:I}", "event", "summary", "sent",
                      (json_int_t)p->sent, "received", (json_int_t)p->received, "min_us",
                      (json_int_t)(p->min / 1000), "avg_us", (json_int_t)(avg / 1000), "max_us",
                      (json_int_t)(p->max / 1000), "connect_us", (json_int_t)(connect / 1000));
        app_add_facts(o, tern_conn_get_facts(d->conn));
        app_emit(o);
    } else {
        app_say("%ld sent, %ld received; min %.3f avg %.3f max %.3f ms; connected in %.3f ms",
                p->sent, p->received, (double)p->min / 1e6, (double)avg / 1e6, (double)p->max / 1e6,
                (double)connect / 1e6);
    }
    app_finish(d, status);
}

static void ponged(void *owner, uint64_t rtt, const tern_error *error)
{
    ping_command *p = owner;
    app_dial *d = &p->dial;
    if (d->finished || d->conn == NULL) {
        return;
    }
    if (error->code != 0) {
        app_say_error("ping", error);
        summarise(p, APP_FAILED);
        return;
    }
    p->min = p->received == 0 || rtt < p->min ? rtt : p->min;
    p->max = rtt > p->max ? rtt : p->max;
    p->sum += rtt;
    p->received++;
    if (d->o->json) {
        app_emit(json_pack("{s:s, s:I, s:I}", "event", "pong", "seq", (json_int_t)p->received,
                           "rtt_us", (json_int_t)(rtt / 1000)));
    } else {
        app_say("pong %ld: %.3f ms", p->received, (double)rtt / 1e6);
    }
    if (p->received == d->o->count) {
        summarise(p, APP_OK);
    } else if (app_output_error() != 0) {
        app_finish(d, APP_FAILED);
    } else if (tern_node_after(d->node, app_ms(d->o->interval), ping_next, p) != 0) {
        app_error("out of memory");
        app_finish(d, APP_FAILED);
    }
}

static void ping_next(void *arg)
{
    ping_command *p = arg;
    if (p->dial.finished || p->dial.conn == NULL) {
        return;
    }
    p->sent++;
    int code = tern_node_ping(p->dial.node, p->dial.conn, ponged, p);
    if (code != 0) {
        app_error("ping: %s", tern_code_text(code));
        app_finish(&p->dial, APP_FAILED);
    }
}

static void on_conn(app_dial *d)
{
    const tern_conn_facts *f = tern_conn_get_facts(d->conn);
    if (!d->o->json) {
        app_say_connected(f);
    }
    ping_next(d);
}

/* As ping(8): who stops it wants to know how it was. */
static void on_interrupt(app_dial *d)
{
    summarise((ping_command *)d, APP_OK);
}

int app_ping(app_options *o)
{
    ping_command p = {
        .dial = {.o = o, .on_conn = on_conn, .on_interrupt = on_interrupt, .status = APP_FAILED}};
    return app_dial_run(&p.dial, NULL);
}
