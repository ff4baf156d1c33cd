/* The part of a listener or of a dialer in the suite for transports: see interop.c.
 *
 *     now      TEST_KEY IS_DIALER REDIS_ADDR TRANSPORT SECURE_CHANNEL MUXER LISTENER_IP
 *              TEST_TIMEOUT_SECS; the address goes through the list TEST_KEY_listener_multiaddr
 *     before   transport security muxer is_dialer ip redis_addr test_timeout_seconds; the list is
 *              listenerAddr
 *
 * The listener publishes one address and runs until it is stopped. The dialer takes it, connects,
 * pings once, prints what it took, and ends with 0. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "app/interop.h"

typedef struct part {
    interop base;
    const char *ip;
    char key[INTEROP_KEY_MAX];
    char addr[INTEROP_ADDR_MAX]; /* the listener's */
} part;

static bool read_environment(part *p)
{
    bool modern = getenv("TEST_KEY") != NULL;
    p->base.modern = modern;
    p->ip = interop_given(modern ? "LISTENER_IP" : "ip", "0.0.0.0");
    if (modern) {
        snprintf(p->key, sizeof p->key, "%s_listener_multiaddr", getenv("TEST_KEY"));
    } else {
        snprintf(p->key, sizeof p->key, "listenerAddr");
    }
    return interop_read_common(&p->base, modern ? "transport-redis:6379" : "redis:6379", "180");
}

/* ---- redis ---- */

/* Suites keep the address in a list; where it is a plain value, that is read. */
static bool take_address(part *p)
{
    redisContext *c = interop_redis(p->base.redis, p->base.timeout);
    bool plain = false, found = false;
    if (c == NULL) {
        return false;
    }
    redisSetTimeout(c, (struct timeval){.tv_sec = p->base.timeout + 5});
    for (long i = 0; !found && c->err == 0 && i < p->base.timeout * INTEROP_TRIES_A_SECOND; i++) {
        redisReply *r = plain ? redisCommand(c, "GET %s", p->key)
                              : redisCommand(c, "BLPOP %s %ld", p->key, p->base.timeout);
        const redisReply *value = NULL;
        if (r != NULL && r->type == REDIS_REPLY_ARRAY && r->elements == 2) {
            value = r->element[1];
        } else if (r != NULL && r->type == REDIS_REPLY_STRING) {
            value = r;
        }
        if (value != NULL && value->type == REDIS_REPLY_STRING && value->len < sizeof p->addr) {
            memcpy(p->addr, value->str, value->len + 1);
            found = true;
        } else if (r != NULL && r->type == REDIS_REPLY_ERROR &&
                   strncmp(r->str, "WRONGTYPE", 9) == 0) {
            plain = true;
        } else if (!plain) {
            freeReplyObject(r);
            break;
        } else {
            interop_wait_a_little();
        }
        freeReplyObject(r);
    }
    if (!found) {
        app_error("redis at %s has no address under %s within %ld s%s%s", p->base.redis, p->key,
                  p->base.timeout, c->err != 0 ? ": " : "", c->err != 0 ? c->errstr : "");
    }
    redisFree(c);
    return found;
}

static bool publish(const part *p)
{
    redisContext *c = interop_redis(p->base.redis, p->base.timeout);
    if (c == NULL) {
        return false;
    }
    redisReply *gone = redisCommand(c, "DEL %s", p->key);
    redisReply *r = redisCommand(c, "RPUSH %s %s", p->key, p->addr);
    bool ok = r != NULL && r->type == REDIS_REPLY_INTEGER;
    if (!ok) {
        app_error("redis at %s does not take the address: %s", p->base.redis,
                  r != NULL && r->type == REDIS_REPLY_ERROR ? r->str : c->errstr);
    }
    freeReplyObject(gone);
    freeReplyObject(r);
    redisFree(c);
    return ok;
}

/* ---- the listener ---- */

static int listen(part *p)
{
    int status = interop_listen(&p->base, p->ip, p->addr);
    if (status == APP_OK) {
        status = publish(p) ? interop_run(&p->base) : APP_FAILED;
    }
    return status;
}

/* ---- the dialer ---- */

static void ponged(void *owner, uint64_t rtt, const tern_error *error)
{
    part *p = owner;
    if (p->base.finished) {
        return;
    }
    if (error->code != 0) {
        app_say_error("ping", error);
        interop_finish(&p->base, APP_FAILED);
        return;
    }
    uint64_t all = tern_node_now(p->base.node) - p->base.started;
    if (p->base.modern) {
        interop_say_latency(all, rtt);
    } else { /* three l's: so it is written */
        app_say("{\"handshakePlusOneRTTMillis\":%.3f,\"pingRTTMilllis\":%.3f}", (double)all / 1e6,
                (double)rtt / 1e6);
    }
    interop_finish(&p->base, APP_OK);
}

static void dialled(void *owner, tern_conn *conn, const tern_error *error,
                    const tern_dial_report *reports, size_t report_count)
{
    part *p = owner;
    (void)reports;
    (void)report_count;
    if (p->base.finished) {
        return;
    }
    if (conn == NULL || tern_node_ping(p->base.node, conn, ponged, p) != 0) {
        app_say_error(p->addr, error);
        interop_finish(&p->base, APP_FAILED);
    }
}

static int dial(part *p)
{
    tern_error error;
    const char *addr = p->addr;
    if (!take_address(p)) {
        return APP_FAILED;
    }
    p->base.started = tern_node_now(p->base.node);
    if (tern_node_dial(p->base.node, &addr, 1, 0, false, dialled, p, &error) != 0) {
        return app_address_error(p->addr, &error);
    }
    return interop_run(&p->base);
}

int interop_transport(void)
{
    static const tern_node_events events = {.on_stopped = app_on_stopped};
    part p = {.base = {.status = APP_FAILED}};
    tern_options options;
    if (!read_environment(&p)) {
        return APP_USAGE;
    }
    tern_options_init(&options);
    options.events = &events;
    options.tls_self_signed = true; /* the suite's: certificates are not looked at */
    options.tls_trust_any = true;
    int status = interop_make_node(&p.base, &options);
    if (status == APP_OK) {
        status = p.base.dials ? dial(&p) : listen(&p);
    }
    tern_node_free(p.base.node);
    return status;
}
