/* A second net of the node, with another identity, without listeners and protocols: what it dials
 * is dialled as by a stranger, from other ports, and meets no connection that exists. AutoNAT's
 * server dials back with it. It is made at the first such dial, and stays. */
#include "base/mem.h"
#include "host/host.h"
#include "host/parts.h"
#include "secure/noise.h"
#include "secure/tls.h"

enum { CONNS_MAX = 64 };
#define DIAL_TIME (10 * TERN_SEC)

struct tern_stranger {
    tern_node *node;
    tern_swarm *swarm;
    bool stopped;
};

/* What it hears is nobody's business. */
static void on_conn(void *owner, tern_conn *conn)
{
    (void)owner;
    (void)conn;
}

static void on_disconnected(void *owner, tern_conn *conn, const tern_error *why)
{
    (void)owner;
    (void)conn;
    (void)why;
}

static void on_identified(void *owner, tern_conn *conn, const tern_identity *identity)
{
    (void)owner;
    (void)conn;
    (void)identity;
}

static void on_nothing(void *owner)
{
    (void)owner;
}

static void on_stopped(void *owner)
{
    tern_stranger *s = owner;
    s->stopped = true;
    tern_parts_let_go(&s->swarm->net);
    tern_node_part_stopped(s->node);
}

static const tern_swarm_events stranger_events = {
    .on_connected = on_conn,
    .on_disconnected = on_disconnected,
    .on_identified = on_identified,
    .on_protocols = on_nothing,
    .on_addresses = on_nothing,
    .on_awake = on_nothing,
    .on_stopped = on_stopped,
};

static void free_stranger(tern_stranger *s)
{
    if (s->swarm != NULL) {
        tern_noise_identity_free(s->swarm->net.noise);
        tern_tls_identity_free(s->swarm->net.tls);
        tern_parts_let_go(&s->swarm->net);
        tern_swarm_free(s->swarm);
    }
    tern_free(s);
}

static tern_stranger *make(tern_node *node)
{
    const tern_net *net = tern_node_net(node);
    tern_limits limits = net->limits;
    tern_upgrade_parts parts = {tern_parts_secures, tern_parts_muxes};
    tern_key *key = NULL;
    tern_stranger *s = tern_calloc(1, sizeof *s);
    if (s == NULL) {
        return NULL;
    }
    s->node = node;
    limits.conns = limits.conns_per_peer = CONNS_MAX;
    limits.dial_time = limits.dial_time < DIAL_TIME ? limits.dial_time : DIAL_TIME;
    int code = tern_key_generate(TERN_KEY_ED25519, &key);
    if (code == 0) {
        code = tern_swarm_new(node->loop, key, &limits, net->agent, tern_parts_transports, &parts,
                              &stranger_events, s, &s->swarm);
    }
    if (code == 0) {
        s->swarm->net.psk = net->psk;
        s->swarm->net.no_resumption = true;
        code = tern_noise_identity_new(node->loop, key, &s->swarm->net.noise);
    }
    tern_key_unref(key);
    if (code != 0) {
        free_stranger(s);
        return NULL;
    }
    return s;
}

tern_net *tern_node_stranger(tern_net *net)
{
    tern_node *node = tern_node_of(net);
    if (!node->running) {
        return NULL;
    }
    if (node->stranger == NULL) {
        node->stranger = make(node);
    }
    return node->stranger != NULL ? &node->stranger->swarm->net : NULL;
}

void tern_node_stop_stranger(tern_node *node)
{
    if (node->stranger != NULL) {
        tern_swarm_stop(node->stranger->swarm);
    }
}

bool tern_node_stranger_stopped(const tern_node *node)
{
    return node->stranger == NULL || node->stranger->stopped;
}

void tern_node_free_stranger(tern_node *node)
{
    if (node->stranger != NULL) {
        free_stranger(node->stranger);
        node->stranger = NULL;
    }
}
