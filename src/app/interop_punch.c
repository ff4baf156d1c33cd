/* The parts of the suite for hole punching: a relay, and two peers behind NATs who meet there and
 * end with a direct connection.
 *
 *     now      TEST_KEY REDIS_ADDR TRANSPORT SECURE_CHANNEL MUXER TEST_TIMEOUT_SECS; with RELAY_IP
 *              the relay, else IS_DIALER and DIALER_IP or LISTENER_IP, and WAN_SUBNET. The relay's
 *              address is TEST_KEY_relay_multiaddr, the listener's id TEST_KEY_listener_peer_id
 *     before   MODE=dial|listen TRANSPORT=tcp|quic; the relay, somebody else's, puts its address
 *              into the list RELAY_TCP_ADDRESS or RELAY_QUIC_ADDRESS, once for each peer; the
 *              listener its id into LISTEN_CLIENT_PEER_ID
 *
 * All addresses there are private ones. Routes are made before, by whoever starts us. The relay
 * and the listener run until they are stopped; the dialer pings over the direct connection, prints
 * what it took, and ends with 0. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "app/interop.h"

enum { LOOK_MS = 100, DIAL_AGAIN_MS = 500 };

typedef enum role { RELAY, LISTENER, DIALER } role;

typedef struct part {
    interop base;
    role role;
    const char *ip;
    char relay_key[INTEROP_KEY_MAX], peer_key[INTEROP_KEY_MAX];
    redisContext *redis;
    char relay[INTEROP_ADDR_MAX];        /* where it is */
    char target[INTEROP_ADDR_MAX + 128]; /* the dialer's: the listener, through the relay */
    tern_peer_id peer;                   /* the listener, once target is known */
    bool seen;                           /* the relay told us where it sees us */
    bool reserved, published;            /* the listener's place there, and its id */
    bool direct;                         /* the dialer is connected without the relay */
} part;

/* ---- the environment ---- */

bool interop_punch_wanted(void)
{
    return getenv("TEST_KEY") != NULL ? getenv("RELAY_IP") != NULL || getenv("WAN_SUBNET") != NULL
                                      : getenv("MODE") != NULL && getenv("transport") == NULL;
}

static bool read_modern(part *p)
{
    const char *key = getenv("TEST_KEY"), *relay = getenv("RELAY_IP");
    snprintf(p->relay_key, sizeof p->relay_key, "%s_relay_multiaddr", key);
    snprintf(p->peer_key, sizeof p->peer_key, "%s_listener_peer_id", key);
    if (!interop_read_common(&p->base, "hole-punch-redis:6379", "180")) {
        return false;
    }
    p->role = relay != NULL ? RELAY : p->base.dials ? DIALER : LISTENER;
    p->ip = relay != NULL   ? relay
            : p->base.dials ? interop_given("DIALER_IP", "0.0.0.0")
                            : interop_given("LISTENER_IP", "0.0.0.0");
    return true;
}

static bool read_legacy(part *p)
{
    const char *mode = getenv("MODE");
    if (!interop_read_common(&p->base, "redis:6379", "55")) {
        return false;
    }
    p->base.modern = false;
    p->base.dials = strcmp(mode, "dial") == 0;
    if (!p->base.dials && strcmp(mode, "listen") != 0) {
        app_error("MODE wants dial or listen, not '%s'", mode);
        return false;
    }
    bool quic = strcmp(p->base.transport, "quic") == 0;
    if (!quic && strcmp(p->base.transport, "tcp") != 0) {
        app_error("TRANSPORT wants tcp or quic, not '%s'", p->base.transport);
        return false;
    }
    p->base.transport = quic ? "quic-v1" : "tcp";
    p->role = p->base.dials ? DIALER : LISTENER;
    p->ip = "0.0.0.0";
    snprintf(p->relay_key, sizeof p->relay_key, "RELAY_%s_ADDRESS", quic ? "QUIC" : "TCP");
    snprintf(p->peer_key, sizeof p->peer_key, "LISTEN_CLIENT_PEER_ID");
    return true;
}

/* ---- meeting ---- */

static bool take(part *p, const char *key, char *out, size_t cap)
{
    return interop_ask(p->redis, out, cap, p->base.modern ? "GET %s" : "LPOP %s", key);
}

static void put(part *p, const char *key, const char *value)
{
    char unused[8];
    interop_ask(p->redis, unused, sizeof unused, p->base.modern ? "SET %s %s" : "RPUSH %s %s", key,
                value);
    if (p->redis->err != 0) {
        app_error("redis at %s: %s", p->base.redis, p->redis->errstr);
        interop_finish(&p->base, APP_FAILED);
    }
}

/* Comes again in a while, when redis is there. */
static void look_again(part *p, void (*look)(void *arg))
{
    if (p->redis->err != 0) {
        app_error("redis at %s: %s", p->base.redis, p->redis->errstr);
        interop_finish(&p->base, APP_FAILED);
    } else if (tern_node_after(p->base.node, LOOK_MS, look, p) != 0) {
        interop_finish(&p->base, APP_FAILED);
    }
}

/* ---- the listener ---- */

static void publish_id(part *p)
{
    char id[TERN_PEER_ID_TEXT];
    tern_peer_id self;
    if (p->role == LISTENER && p->seen && p->reserved && !p->published) {
        p->published = true;
        tern_node_peer_id(p->base.node, &self);
        put(p, p->peer_key, tern_peer_id_text(&self, id));
    }
}

static void on_reservation(void *owner, tern_node *node, const tern_multiaddr *addr,
                           const tern_peer_id *relay, uint64_t expires, const tern_error *why)
{
    part *p = owner;
    (void)node;
    (void)addr;
    (void)relay;
    (void)expires;
    if (why != NULL) {
        app_say_error("no place at the relay, tried again", why);
    } else {
        p->reserved = true;
        publish_id(p);
    }
}

static void reserve(part *p)
{
    char where[INTEROP_ADDR_MAX + 16];
    tern_error error;
    snprintf(where, sizeof where, "%s/p2p-circuit", p->relay);
    if (tern_node_listen(p->base.node, where, NULL, 0, &error) != 0) {
        interop_finish(&p->base, app_address_error(where, &error));
    }
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
    if (p->base.modern) {
        interop_say_latency(tern_node_now(p->base.node) - p->base.started, rtt);
    } else {
        app_say("{\"rtt_to_holepunched_peer_millis\":%u}", (unsigned)((rtt + 500000) / 1000000));
    }
    interop_finish(&p->base, APP_OK);
}

static void through_relay(void *owner, tern_conn *conn, const tern_error *error,
                          const tern_dial_report *reports, size_t report_count)
{
    part *p = owner;
    (void)reports;
    (void)report_count;
    if (!p->base.finished && conn == NULL) {
        app_say_error(p->target, error);
        interop_finish(&p->base, APP_FAILED);
    }
}

static void look_for_listener(void *arg)
{
    part *p = arg;
    char id[TERN_PEER_ID_TEXT];
    const char *addr = p->target;
    tern_error error;
    if (p->base.finished) {
        return;
    }
    if (!take(p, p->peer_key, id, sizeof id)) {
        look_again(p, look_for_listener);
        return;
    }
    if (tern_peer_id_parse(&p->peer, id) != 0) {
        app_error("redis at %s: '%s' is no peer id", p->base.redis, id);
        interop_finish(&p->base, APP_FAILED);
        return;
    }
    snprintf(p->target, sizeof p->target, "%s/p2p-circuit/p2p/%s", p->relay, id);
    p->base.started = tern_node_now(p->base.node);
    if (tern_node_dial(p->base.node, &addr, 1, 0, false, through_relay, p, &error) != 0) {
        interop_finish(&p->base, app_address_error(addr, &error));
    }
}

static void on_connected(void *owner, tern_node *node, tern_conn *conn)
{
    part *p = owner;
    const tern_conn_facts *facts = tern_conn_get_facts(conn);
    if (p->role == DIALER && !p->direct && p->target[0] != '\0' &&
        tern_peer_id_equal(&facts->peer, &p->peer) && strcmp(facts->transport, "circuit") != 0) {
        p->direct = true;
        if (tern_node_ping(node, conn, ponged, p) != 0) {
            interop_finish(&p->base, APP_FAILED);
        }
    }
}

static void dial_relay(void *arg);

static void at_relay(void *owner, tern_conn *conn, const tern_error *error,
                     const tern_dial_report *reports, size_t report_count)
{
    part *p = owner;
    (void)error;
    (void)reports;
    (void)report_count;
    if (!p->base.finished && conn == NULL &&
        tern_node_after(p->base.node, DIAL_AGAIN_MS, dial_relay, p) != 0) {
        interop_finish(&p->base, APP_FAILED);
    }
}

static void dial_relay(void *arg)
{
    part *p = arg;
    const char *addr = p->relay;
    tern_error error;
    if (!p->base.finished &&
        tern_node_dial(p->base.node, &addr, 1, 0, false, at_relay, p, &error) != 0) {
        interop_finish(&p->base, app_address_error(addr, &error));
    }
}

/* ---- both peers ---- */

static void on_identified(void *owner, tern_node *node, tern_conn *conn,
                          const tern_identified *what)
{
    part *p = owner;
    (void)node;
    (void)conn;
    (void)what;
    if (p->seen) {
        return;
    }
    p->seen = true; /* nobody but the relay comes before the other peer's id is known */
    if (p->role == DIALER) {
        look_for_listener(p);
    } else {
        publish_id(p);
    }
}

static void look_for_relay(void *arg)
{
    part *p = arg;
    if (p->base.finished) {
        return;
    }
    if (!take(p, p->relay_key, p->relay, sizeof p->relay)) {
        look_again(p, look_for_relay);
    } else if (p->role == DIALER) {
        dial_relay(p);
    } else {
        reserve(p);
    }
}

static int play(part *p)
{
    static const tern_node_events events = {.on_stopped = app_on_stopped,
                                            .on_connected = on_connected,
                                            .on_identified = on_identified,
                                            .on_reservation = on_reservation};
    tern_options options;
    char own[INTEROP_ADDR_MAX];
    tern_options_init(&options);
    options.events = &events;
    options.owner = p;
    options.relay_service = p->role == RELAY;
    options.reachability = p->role == RELAY ? TERN_REACHABILITY_PUBLIC : TERN_REACHABILITY_PRIVATE;
    options.hole_punch = options.hole_punch_private = p->role != RELAY;
    int status = interop_make_node(&p->base, &options);
    if (status == APP_OK) {
        status = interop_listen(&p->base, p->ip, own);
    }
    if (status != APP_OK) {
        return status;
    }
    if (p->role == RELAY) {
        put(p, p->relay_key, own);
    } else if (tern_node_after(p->base.node, 1, look_for_relay, p) != 0) {
        return APP_FAILED;
    }
    return interop_run(&p->base);
}

int interop_punch(void)
{
    part p = {.base = {.status = APP_FAILED, .modern = true}};
    bool modern = getenv("TEST_KEY") != NULL;
    if (!(modern ? read_modern(&p) : read_legacy(&p))) {
        return APP_USAGE;
    }
    p.redis = interop_redis(p.base.redis, p.base.timeout);
    int status = p.redis != NULL ? play(&p) : APP_FAILED;
    tern_node_free(p.base.node);
    redisFree(p.redis);
    return status;
}
