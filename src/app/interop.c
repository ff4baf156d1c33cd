/* tern interop: plays a part in the official interoperability suite for transports, as its
 * environment says. Both generations of the suite's conventions are understood:
 *
 *     now      TEST_KEY IS_DIALER REDIS_ADDR TRANSPORT SECURE_CHANNEL MUXER LISTENER_IP
 *              TEST_TIMEOUT_SECS; the address goes through the list TEST_KEY_listener_multiaddr
 *     before   transport security muxer is_dialer ip redis_addr test_timeout_seconds; the list is
 *              listenerAddr
 *
 * The listener publishes one address and runs until it is stopped. The dialer takes it, connects,
 * pings once, prints what it took, and ends with 0. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <hiredis/hiredis.h>

#include "app/app.h"

enum { ADDR_MAX = 2300, TRIES_A_SECOND = 10 };

typedef struct part {
    const char *redis, *transport, *security, *muxer, *ip;
    char key[256];
    long timeout; /* seconds, for all of it */
    bool dials, modern;
    char addr[ADDR_MAX]; /* the listener's */
    tern_node *node;
    uint64_t started;
    int status;
    bool finished;
} part;

/* ---- the environment ---- */

static const char *given(const char *name, const char *otherwise)
{
    const char *value = getenv(name);
    return value != NULL && value[0] != '\0' && strcmp(value, "null") != 0 ? value : otherwise;
}

static bool parse_bool(const char *name, const char *value, bool *ret)
{
    *ret = strcmp(value, "true") == 0;
    if (!*ret && strcmp(value, "false") != 0) {
        app_error("%s wants true or false, not '%s'", name, value);
        return false;
    }
    return true;
}

static bool parse_seconds(const char *name, const char *value, long *ret)
{
    char *end;
    errno = 0;
    *ret = strtol(value, &end, 10);
    if (errno != 0 || end == value || *end != '\0' || *ret < 1 || *ret > 86400) {
        app_error("%s wants seconds from 1, not '%s'", name, value);
        return false;
    }
    return true;
}

static bool read_environment(part *p)
{
    p->modern = getenv("TEST_KEY") != NULL;
    if (!p->modern && getenv("transport") == NULL) {
        app_error("interop takes its part from the environment: TEST_KEY, IS_DIALER, TRANSPORT, "
                  "REDIS_ADDR (or the older lower-case names); see tern(1)");
        return false;
    }
    const char *dials = p->modern ? "IS_DIALER" : "is_dialer";
    const char *timeout = p->modern ? "TEST_TIMEOUT_SECS" : "test_timeout_seconds";
    p->transport = given(p->modern ? "TRANSPORT" : "transport", "");
    p->security = given(p->modern ? "SECURE_CHANNEL" : "security", NULL);
    p->muxer = given(p->modern ? "MUXER" : "muxer", NULL);
    p->redis = given(p->modern ? "REDIS_ADDR" : "redis_addr",
                     p->modern ? "transport-redis:6379" : "redis:6379");
    p->ip = given(p->modern ? "LISTENER_IP" : "ip", "0.0.0.0");
    if (p->modern) {
        snprintf(p->key, sizeof p->key, "%s_listener_multiaddr", getenv("TEST_KEY"));
    } else {
        snprintf(p->key, sizeof p->key, "listenerAddr");
    }
    return parse_bool(dials, given(dials, "false"), &p->dials) &&
           parse_seconds(timeout, given(timeout, "180"), &p->timeout);
}

/* ---- redis ---- */

static void wait_a_little(void)
{
    nanosleep(&(struct timespec){.tv_nsec = 1000000000L / TRIES_A_SECOND}, NULL);
}

/* Connects, again and again while there is time: its container may start after ours. */
static redisContext *connect_redis(const part *p)
{
    char host[256];
    const char *colon = strrchr(p->redis, ':');
    size_t n = colon != NULL ? (size_t)(colon - p->redis) : strlen(p->redis);
    int port = colon != NULL ? atoi(colon + 1) : 6379;
    redisContext *c = NULL;
    snprintf(host, sizeof host, "%.*s", (int)n, p->redis);
    for (long i = 0; i < p->timeout * TRIES_A_SECOND; i++) {
        c = redisConnectWithTimeout(host, port, (struct timeval){.tv_sec = 5});
        if (c != NULL && c->err == 0) {
            return c;
        }
        if (i + 1 < p->timeout * TRIES_A_SECOND) {
            redisFree(c);
            wait_a_little();
        }
    }
    app_error("redis at %s cannot be reached: %s", p->redis,
              c != NULL ? c->errstr : "out of memory");
    redisFree(c);
    return NULL;
}

/* Suites keep the address in a list; where it is a plain value, that is read. */
static bool take_address(part *p)
{
    redisContext *c = connect_redis(p);
    bool plain = false, found = false;
    if (c == NULL) {
        return false;
    }
    redisSetTimeout(c, (struct timeval){.tv_sec = p->timeout + 5});
    for (long i = 0; !found && c->err == 0 && i < p->timeout * TRIES_A_SECOND; i++) {
        redisReply *r = plain ? redisCommand(c, "GET %s", p->key)
                              : redisCommand(c, "BLPOP %s %ld", p->key, p->timeout);
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
            wait_a_little();
        }
        freeReplyObject(r);
    }
    if (!found) {
        app_error("redis at %s has no address under %s within %ld s%s%s", p->redis, p->key,
                  p->timeout, c->err != 0 ? ": " : "", c->err != 0 ? c->errstr : "");
    }
    redisFree(c);
    return found;
}

static bool publish(const part *p)
{
    redisContext *c = connect_redis(p);
    if (c == NULL) {
        return false;
    }
    redisReply *gone = redisCommand(c, "DEL %s", p->key);
    redisReply *r = redisCommand(c, "RPUSH %s %s", p->key, p->addr);
    bool ok = r != NULL && r->type == REDIS_REPLY_INTEGER;
    if (!ok) {
        app_error("redis at %s does not take the address: %s", p->redis,
                  r != NULL && r->type == REDIS_REPLY_ERROR ? r->str : c->errstr);
    }
    freeReplyObject(gone);
    freeReplyObject(r);
    redisFree(c);
    return ok;
}

/* ---- both parts ---- */

static void finish(part *p, int status)
{
    if (!p->finished) {
        p->finished = true;
        p->status = status;
        tern_node_stop(p->node);
    }
}

static void on_signal(void *arg, int number)
{
    part *p = arg;
    (void)number;
    finish(p, p->dials ? APP_FAILED : APP_OK);
}

static void on_timeout(void *arg)
{
    part *p = arg;
    if (!p->finished) {
        app_error("%s", p->dials ? "there was no answer in time" : "the time of the test is over");
        finish(p, APP_FAILED);
    }
}

static int make_node(part *p)
{
    static const tern_node_events events = {.on_stopped = app_on_stopped};
    tern_options options;
    tern_error error;
    tern_options_init(&options);
    options.events = &events;
    options.security = p->security;
    options.muxer = p->muxer;
    options.tls_self_signed = true; /* the suite's: certificates are not looked at */
    options.tls_trust_any = true;
    if (tern_node_new(&options, &p->node, &error) != 0) {
        app_say_error("the node cannot start", &error);
        return APP_FAILED;
    }
    return APP_OK;
}

static int run(part *p)
{
    if (tern_node_on_signal(p->node, on_signal, p) != 0 ||
        tern_node_after(p->node, (uint32_t)p->timeout * 1000, on_timeout, p) != 0) {
        app_error("the system gives no signals or memory to wait for");
        return APP_FAILED;
    }
    tern_node_run(p->node);
    return p->status;
}

/* ---- the listener ---- */

static const struct {
    const char *name, *behind;
} roads[] = {
    {"tcp", "/tcp/0"},
    {"ws", "/tcp/0/ws"},
    {"wss", "/tcp/0/tls/ws"},
    {"quic-v1", "/udp/0/quic-v1"},
    {"webtransport", "/udp/0/quic-v1/webtransport"},
    {"webrtc-direct", "/udp/0/webrtc-direct"},
};

static const char *behind(const char *transport)
{
    for (size_t i = 0; i < sizeof roads / sizeof *roads; i++) {
        if (strcmp(roads[i].name, transport) == 0) {
            return roads[i].behind;
        }
    }
    return NULL;
}

/* One address that others can reach: not loopback, if there is any other. */
static void choose_address(void *arg, const char *addr)
{
    part *p = arg;
    bool loopback = strncmp(p->addr, "/ip4/127.", 9) == 0;
    if (p->addr[0] == '\0' || loopback) {
        snprintf(p->addr, sizeof p->addr, "%s", addr);
    }
}

static int listen(part *p)
{
    char where[128];
    tern_error error;
    const char *rest = behind(p->transport);
    if (rest == NULL) {
        app_error("there is no transport '%s'; see 'tern features'", p->transport);
        return APP_FAILED;
    }
    snprintf(where, sizeof where, "/ip4/%s%s", p->ip, rest);
    if (tern_node_listen(p->node, where, NULL, 0, &error) != 0) {
        return app_address_error(where, &error);
    }
    tern_node_addresses(p->node, choose_address, p);
    return publish(p) ? run(p) : APP_FAILED;
}

/* ---- the dialer ---- */

static void ponged(void *owner, uint64_t rtt, const tern_error *error)
{
    part *p = owner;
    if (p->finished) {
        return;
    }
    if (error->code != 0) {
        app_say_error("ping", error);
        finish(p, APP_FAILED);
        return;
    }
    double all = (double)(tern_node_now(p->node) - p->started) / 1e6, one = (double)rtt / 1e6;
    if (p->modern) {
        app_say("latency:");
        app_say("  handshake_plus_one_rtt: %.3f", all);
        app_say("  ping_rtt: %.3f", one);
        app_say("  unit: ms");
    } else { /* three l's: so it is written */
        app_say("{\"handshakePlusOneRTTMillis\":%.3f,\"pingRTTMilllis\":%.3f}", all, one);
    }
    finish(p, APP_OK);
}

static void dialled(void *owner, tern_conn *conn, const tern_error *error,
                    const tern_dial_report *reports, size_t report_count)
{
    part *p = owner;
    (void)reports;
    (void)report_count;
    if (p->finished) {
        return;
    }
    if (conn == NULL || tern_node_ping(p->node, conn, ponged, p) != 0) {
        app_say_error(p->addr, error);
        finish(p, APP_FAILED);
    }
}

static int dial(part *p)
{
    tern_error error;
    const char *addr = p->addr;
    if (!take_address(p)) {
        return APP_FAILED;
    }
    p->started = tern_node_now(p->node);
    if (tern_node_dial(p->node, &addr, 1, 0, false, dialled, p, &error) != 0) {
        return app_address_error(p->addr, &error);
    }
    return run(p);
}

int app_interop(app_options *o)
{
    part p = {.status = APP_FAILED};
    if (o->args.count > 0) {
        return app_usage_error("interop", "takes no argument '%s'", o->args.items[0]);
    }
    if (!read_environment(&p)) {
        return APP_USAGE;
    }
    int status = make_node(&p);
    if (status == APP_OK) {
        status = p.dials ? dial(&p) : listen(&p);
    }
    tern_node_free(p.node);
    return status;
}
