/* tern interop: plays a part in the official interoperability suites, as its environment says; the
 * transport suite (interop_transport.c) and the hole-punch suite (interop_punch.c), each in both
 * generations of their conventions. Here is what the parts have in common. */
#include "app/interop.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- the environment ---- */

const char *interop_given(const char *name, const char *otherwise)
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

bool interop_read_common(interop *p, const char *redis, const char *timeout)
{
    const char *dials = p->modern ? "IS_DIALER" : "is_dialer";
    const char *time = p->modern ? "TEST_TIMEOUT_SECS" : "test_timeout_seconds";
    p->transport = interop_given(p->modern ? "TRANSPORT" : "transport", "");
    p->security = interop_given(p->modern ? "SECURE_CHANNEL" : "security", NULL);
    p->muxer = interop_given(p->modern ? "MUXER" : "muxer", NULL);
    p->redis = interop_given(p->modern ? "REDIS_ADDR" : "redis_addr", redis);
    return parse_bool(dials, interop_given(dials, "false"), &p->dials) &&
           parse_seconds(time, interop_given(time, timeout), &p->timeout);
}

/* ---- the node ---- */

void interop_finish(interop *p, int status)
{
    if (!p->finished) {
        p->finished = true;
        p->status = status;
        tern_node_stop(p->node);
    }
}

static void on_signal(void *arg, int number)
{
    interop *p = arg;
    (void)number;
    interop_finish(p, p->dials ? APP_FAILED : APP_OK);
}

static void on_timeout(void *arg)
{
    interop *p = arg;
    if (!p->finished) {
        app_error("%s", p->dials ? "there was no answer in time" : "the time of the test is over");
        interop_finish(p, APP_FAILED);
    }
}

int interop_make_node(interop *p, tern_options *options)
{
    tern_error error;
    options->security = p->security;
    options->muxer = p->muxer;
    if (tern_node_new(options, &p->node, &error) != 0) {
        app_say_error("the node cannot start", &error);
        return APP_FAILED;
    }
    return APP_OK;
}

int interop_run(interop *p)
{
    if (tern_node_on_signal(p->node, on_signal, p) != 0 ||
        tern_node_after(p->node, (uint32_t)p->timeout * 1000, on_timeout, p) != 0) {
        app_error("the system gives no signals or memory to wait for");
        return APP_FAILED;
    }
    tern_node_run(p->node);
    return p->status;
}

/* ---- listening ---- */

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

static void choose_address(void *arg, const char *addr)
{
    char *chosen = arg;
    if (chosen[0] == '\0' || strncmp(chosen, "/ip4/127.", 9) == 0) {
        snprintf(chosen, INTEROP_ADDR_MAX, "%s", addr);
    }
}

int interop_listen(interop *p, const char *ip, char addr[INTEROP_ADDR_MAX])
{
    char where[128];
    tern_error error;
    const char *rest = behind(p->transport);
    if (rest == NULL) {
        app_error("there is no transport '%s'; see 'tern features'", p->transport);
        return APP_FAILED;
    }
    snprintf(where, sizeof where, "/ip4/%s%s", ip, rest);
    if (tern_node_listen(p->node, where, NULL, 0, &error) != 0) {
        return app_address_error(where, &error);
    }
    addr[0] = '\0';
    tern_node_addresses(p->node, choose_address, addr);
    return APP_OK;
}

/* ---- what is told ---- */

void interop_say_latency(uint64_t all, uint64_t ping)
{
    app_say("latency:");
    app_say("  handshake_plus_one_rtt: %.3f", (double)all / 1e6);
    app_say("  ping_rtt: %.3f", (double)ping / 1e6);
    app_say("  unit: ms");
}

int app_interop(app_options *o)
{
    if (o->args.count > 0) {
        return app_usage_error("interop", "takes no argument '%s'", o->args.items[0]);
    }
    if (interop_punch_wanted()) {
        return interop_punch();
    }
    if (getenv("TEST_KEY") == NULL && getenv("transport") == NULL) {
        app_error("interop takes its part from the environment: TEST_KEY, IS_DIALER, TRANSPORT, "
                  "REDIS_ADDR (or the older names); see tern(1)");
        return APP_USAGE;
    }
    return interop_transport();
}
