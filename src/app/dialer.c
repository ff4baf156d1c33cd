/* What the commands that dial have in common: a node without listeners, one dial, a way out. */
#include <signal.h>

#include "app/app.h"

uint32_t app_ms(double seconds)
{
    double ms = seconds * 1000;
    return ms < 1 ? 1 : ms < UINT32_MAX ? (uint32_t)ms : UINT32_MAX;
}

void app_node_options(const app_options *o, tern_key *key, const tern_node_events *events,
                      void *owner, tern_options *ret)
{
    tern_options_init(ret);
    ret->tls_cert = o->tls_cert;
    ret->tls_key = o->tls_key;
    ret->tls_ca = o->tls_ca;
    ret->psk = o->psk != NULL ? o->psk_key : NULL;
    ret->tcp_fast_open = o->tcp_fast_open;
    ret->early_data = o->early_data;
    ret->no_resumption = o->no_resumption;
    ret->key = key;
    ret->data = app_data(o);
    ret->events = events;
    ret->owner = owner;
    ret->security = o->security;
    ret->muxer = o->muxer;
    ret->webrtc_credentials = o->webrtc_credentials;
    ret->max_connections = (uint32_t)o->max_connections;
    ret->max_connections_per_peer = (uint32_t)o->max_connections_per_peer;
    ret->max_pending = (uint32_t)o->max_pending;
    ret->max_pending_per_ip = (uint32_t)o->max_pending_per_ip;
    ret->max_sockets = (uint32_t)o->max_sockets;
    ret->max_memory = o->max_memory;
    ret->max_write_queue =
        o->max_write_queue > UINT32_MAX ? UINT32_MAX : (uint32_t)o->max_write_queue;
    ret->max_window = o->max_window > UINT32_MAX ? UINT32_MAX : (uint32_t)o->max_window;
    ret->high_water = (uint32_t)o->high_water;
    ret->low_water = (uint32_t)o->low_water;
    ret->grace_ms = o->grace > 0 ? app_ms(o->grace) : 0;
    ret->handshake_timeout_ms = o->handshake_time > 0 ? app_ms(o->handshake_time) : 0;
    ret->negotiation_timeout_ms = o->negotiation_time > 0 ? app_ms(o->negotiation_time) : 0;
    ret->identify_timeout_ms = o->identify_time > 0 ? app_ms(o->identify_time) : 0;
    ret->stall_timeout_ms = o->stall_time > 0 ? app_ms(o->stall_time) : 0;
    ret->max_unnegotiated = (uint32_t)o->max_unnegotiated;
    ret->max_streams = (uint32_t)o->max_streams;
    ret->dial_timeout_ms = app_ms(o->timeout);
    if (o->per_ip_given) {
        ret->max_connections_per_ip =
            o->max_connections_per_ip == 0 ? -1 : (int32_t)o->max_connections_per_ip;
    }
}

void app_finish(app_dial *d, int status)
{
    if (!d->finished) {
        d->finished = true;
        d->status = status;
        tern_node_stop(d->node);
    }
}

void app_on_stopped(void *owner, tern_node *node)
{
    (void)owner;
    (void)node;
    signal(SIGINT, SIG_IGN);
    signal(SIGTERM, SIG_IGN);
}

static void on_signal(void *arg, int number)
{
    app_dial *d = arg;
    (void)number;
    if (d->finished) {
        return;
    }
    if (d->conn != NULL && d->on_interrupt != NULL) {
        d->on_interrupt(d);
        return;
    }
    app_error("%s: interrupted before there was an answer", d->o->args.items[0]);
    app_finish(d, APP_FAILED);
}

static void dialled(void *owner, tern_conn *conn, const tern_error *error,
                    const tern_dial_report *reports, size_t report_count)
{
    app_dial *d = owner;
    if (d->finished) {
        return;
    }
    if (conn == NULL) {
        app_say_error(d->o->args.items[0], error);
        for (size_t i = 0; d->o->verbose > 0 && report_count > 1 && i < report_count; i++) {
            app_say_error(tern_multiaddr_text(reports[i].addr), &reports[i].error);
        }
        app_finish(d, APP_FAILED);
        return;
    }
    d->conn = conn;
    d->connected = tern_node_now(d->node);
    if (d->on_conn != NULL) {
        d->on_conn(d);
    }
}

static void on_disconnected(void *owner, tern_node *node, tern_conn *conn, const tern_error *why)
{
    app_dial *d = owner;
    (void)node;
    if (conn == d->conn) {
        d->conn = NULL;
        if (!d->finished) {
            app_say_error("the connection ended", why);
            app_finish(d, APP_FAILED);
        }
    }
}

int app_dial_run(app_dial *d, const tern_node_events *extra)
{
    tern_node_events events = extra != NULL ? *extra : (tern_node_events){0};
    tern_options options;
    tern_error error;
    tern_key *key = NULL;
    if (d->o->args.count != 1) {
        return app_usage_error(d->o->command, "wants one multiaddr, not %zu", d->o->args.count);
    }
    if (app_identity(d->o, &key) != APP_OK) {
        return APP_FAILED;
    }
    events.on_disconnected = on_disconnected;
    events.on_stopped = app_on_stopped;
    app_node_options(d->o, key, &events, d, &options);
    int code = tern_node_new(&options, &d->node, &error);
    tern_key_unref(key);
    if (code != 0) {
        app_say_error("the node cannot start", &error);
        return code == TERN_E_UNSUPPORTED ? APP_USAGE : APP_FAILED;
    }
    d->started = tern_node_now(d->node);
    code = tern_node_dial(d->node, d->o->args.items, 1, app_ms(d->o->timeout), false, dialled, d,
                          &error);
    if (code != 0) {
        tern_node_free(d->node);
        return app_address_error(d->o->args.items[0], &error);
    }
    tern_node_on_signal(d->node, on_signal, d);
    tern_node_run(d->node);
    tern_node_free(d->node);
    return d->status;
}
