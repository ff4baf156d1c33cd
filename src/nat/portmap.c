/* Which gateway is asked for which ports, over PCP and NAT-PMP: see portmap.h. */
#include "nat/portmap_inner.h"

#include "base/mem.h"
#include "crypto/symmetric.h"

#define SETTLE (200 * TERN_MS) /* listeners come one after the other */
#define AGAIN  (30 * TERN_SEC) /* when a gateway, a socket or memory could not be had */
#define STOP   (3 * TERN_SEC)  /* ports are given back for so long, at most */

static void on_timer(tern_timer *timer);

/* ---- which ports ---- */

/* So that a node that starts again is the one whose mapping the gateway remembers, and that nobody
 * else can say it is. */
static int nonce_of(tern_portmap *m, uint32_t transport, uint16_t port,
                    uint8_t out[TERN_PORTMAP_NONCE])
{
    static const char label[] = "tern port mapping nonce";
    uint8_t secret[TERN_KEY_PB_MAX], which[6], digest[TERN_SHA256];
    ssize_t n = tern_key_private(m->net->key, secret, sizeof secret);
    tern_put32(which, transport);
    tern_put16(which + 4, port);
    const tern_span v[] = {{(const uint8_t *)label, sizeof label}, {which, sizeof which}};
    int code = n < 0 ? (int)n : tern_hmac_sha256(secret, (size_t)n, v, 2, digest);
    tern_wipe(secret, sizeof secret);
    memcpy(out, digest, TERN_PORTMAP_NONCE);
    return code;
}

/* False: memory is short. */
static bool want_all(tern_portmap *m, uint64_t now)
{
    tern_multiaddr *const *all;
    size_t count = m->net->ops->listening(m->net, &all);
    for (size_t i = 0; i < count; i++) {
        tern_endpoint e;
        uint32_t transport;
        tern_ma_part part;
        uint8_t nonce[TERN_PORTMAP_NONCE];
        if (tern_ma_endpoint(all[i], &e, &transport) && e.family == 4 &&
            memcmp(e.ip, m->own.ip, sizeof e.ip) == 0 &&
            !tern_ma_find(all[i], TERN_MA_P2P_CIRCUIT, &part) &&
            nonce_of(m, transport, e.port, nonce) == 0) {
            tern_portmap_core_want(&m->core, transport, e.port, nonce, now);
        }
    }
    return all != NULL;
}

/* ---- the gateway ---- */

static void forget_gateway(tern_portmap *m)
{
    portmap_upnp_forget(m);
    portmap_tell_gone(m);
    tern_udp_close(m->udp);
    m->udp = NULL;
    m->core.count = 0;
    m->gateway.family = m->own.family = 0;
}

/* False: there is none yet. */
static bool find_gateway(tern_portmap *m, uint64_t now)
{
    tern_endpoint gateway, own;
    uint64_t random;
    int code = tern_loop_gateway(m->net->loop, &gateway, &own);
    if (code != 0 || own.family != 4 || tern_endpoint_is_public(&own) ||
        tern_endpoint_is_loopback(&own)) {
        forget_gateway(m);
        return code == 0;
    }
    if (tern_endpoint_eq(&gateway, &m->gateway) && tern_endpoint_eq(&own, &m->own)) {
        return true;
    }
    forget_gateway(m);
    m->gateway = gateway;
    m->own = own;
    m->igd_next = now;
    tern_loop_random(m->net->loop, &random, sizeof random);
    tern_portmap_core_init(&m->core, &gateway, &own, random);
    return true;
}

static void on_datagram(void *owner, tern_udp *u, tern_datagram *d)
{
    tern_portmap *m = owner;
    (void)u;
    if (portmap_upnp_in_charge(m)) {
        return; /* late */
    }
    unsigned restarts = m->core.restarts;
    if (!tern_portmap_core_receive(&m->core, tern_loop_now(m->net->loop), &d->from, d->data,
                                   d->len)) {
        m->net->counters.portmap_bad_answers++;
    }
    m->net->counters.portmap_restarts += m->core.restarts - restarts;
    portmap_work(m);
}

/* From the address that faces the gateway: PCP compares it with what the message says. Whether
 * there is a socket. */
static bool open_socket(tern_portmap *m)
{
    if (m->udp == NULL && tern_udp_bind(m->net->loop, &m->own, &m->udp) == 0) {
        tern_udp_register(m->udp, TERN_UDP_STUN, on_datagram, m); /* first bytes 0 and 2 */
    }
    return m->udp != NULL;
}

/* ---- work ---- */

static void tell_changes(tern_portmap *m)
{
    tern_portmap_port *p;
    while ((p = tern_portmap_core_changed(&m->core)) != NULL) {
        if (p->external.family != 0) {
            portmap_tell(m, m->core.protocol, p->transport, p->port, &p->external, p->lifetime);
            continue;
        }
        portmap_tell(m, m->core.protocol, p->transport, p->port, NULL, 0);
        if (p->why != TERN_PORTMAP_SILENT) {
            portmap_tell_why(m, m->core.protocol, p);
        }
    }
    if (m->core.silent && m->igd_absent && m->told_count == 0) {
        portmap_tell_why(m, TERN_PORTMAP_NOTHING, &(tern_portmap_port){.why = TERN_PORTMAP_SILENT});
    }
}

static void send_all(tern_portmap *m, uint64_t now)
{
    uint8_t message[TERN_PORTMAP_REQUEST_MAX];
    size_t n;
    while ((n = tern_portmap_core_send(&m->core, now, message)) > 0) {
        m->net->counters.portmap_asked++;
        /* What the system does not take is lost, and sent again, as any datagram. */
        tern_udp_send(m->udp, &m->core.gateway, message, n, 0, 0);
    }
}

void portmap_work(tern_portmap *m)
{
    uint64_t now = tern_loop_now(m->net->loop), next = TERN_NEVER;
    if (m->stopping) {
        send_all(m, now);
        if (tern_portmap_core_closed(&m->core)) {
            portmap_stopped(m);
        } else {
            tern_timer_start(m->net->loop, &m->timer, tern_portmap_core_deadline(&m->core),
                             on_timer);
        }
        return;
    }
    portmap_upnp_work(m);
    if (!portmap_upnp_in_charge(m)) {
        if (open_socket(m)) {
            send_all(m, now);
            next = tern_portmap_core_deadline(&m->core);
        } else {
            next = now + AGAIN;
        }
        tell_changes(m);
    }
    uint64_t upnp = portmap_upnp_deadline(m);
    next = upnp < next ? upnp : next;
    if (next != TERN_NEVER) {
        tern_timer_start(m->net->loop, &m->timer, next, on_timer);
    }
}

static void look(tern_portmap *m)
{
    uint64_t now = tern_loop_now(m->net->loop);
    bool known = find_gateway(m, now);
    if (known && m->gateway.family == 0) {
        return;
    }
    if (!known || !want_all(m, now)) { /* a route may come behind its address */
        tern_timer_start(m->net->loop, &m->timer, now + AGAIN, on_timer);
    } else if (m->core.count > 0) {
        portmap_work(m);
    }
}

static void on_timer(tern_timer *timer)
{
    tern_portmap *m = TERN_CONTAINER(timer, tern_portmap, timer);
    if (m->stopping) {
        portmap_work(m);
    } else {
        look(m);
    }
}

void tern_portmap_look(tern_portmap *m)
{
    uint64_t at = tern_loop_now(m->net->loop) + SETTLE;
    if (!m->stopping && (!tern_timer_armed(&m->timer) || m->timer.at > at)) {
        tern_timer_start(m->net->loop, &m->timer, at, on_timer);
    }
}

static void on_change(tern_watch *watch, tern_change change)
{
    tern_portmap *m = TERN_CONTAINER(watch, tern_portmap, watch);
    if (change == TERN_CHANGE_AWAKE) { /* what was mapped may have ended: our clock stood still */
        tern_portmap_core_renew(&m->core, tern_loop_now(m->net->loop));
        m->igd_next = m->igd_holds ? tern_loop_now(m->net->loop) : m->igd_next;
    }
    tern_portmap_look(m);
}

/* ---- birth and end ---- */

static void on_stopped(tern_deferred *d)
{
    tern_portmap *m = TERN_CONTAINER(d, tern_portmap, stopped_call);
    m->stopped(m->owner);
}

int tern_portmap_new(tern_net *net, tern_portmap **ret)
{
    tern_portmap *m = tern_calloc(1, sizeof *m);
    if (m == NULL) {
        return TERN_E_NOMEM;
    }
    m->net = net;
    tern_deferred_init(&m->stopped_call, on_stopped);
    tern_watch_start(net->loop, &m->watch, on_change);
    tern_portmap_look(m);
    *ret = m;
    return 0;
}

void portmap_stopped(tern_portmap *m)
{
    tern_timer_stop(&m->timer);
    tern_timer_stop(&m->stop_timer);
    if (!m->stopped_told) {
        m->stopped_told = true;
        tern_defer(m->net->loop, &m->stopped_call);
    }
}

static void too_late(tern_timer *timer)
{
    portmap_stopped(TERN_CONTAINER(timer, tern_portmap, stop_timer));
}

void tern_portmap_stop(tern_portmap *m, void (*stopped)(void *owner), void *owner)
{
    uint64_t now = tern_loop_now(m->net->loop);
    bool upnp = portmap_upnp_in_charge(m);
    m->stopping = true;
    m->stopped = stopped;
    m->owner = owner;
    tern_watch_stop(&m->watch);
    tern_timer_stop(&m->timer);
    tern_timer_start(m->net->loop, &m->stop_timer, now + STOP, too_late);
    bool waits = portmap_upnp_stop(m);
    if (!upnp && m->udp != NULL) {
        tern_portmap_core_close(&m->core, now);
        portmap_work(m);
    } else if (!waits) {
        portmap_stopped(m);
    }
}

void tern_portmap_free(tern_portmap *m)
{
    if (m == NULL) {
        return;
    }
    tern_op_cancel(&m->igd.op);
    tern_watch_stop(&m->watch);
    tern_timer_stop(&m->timer);
    tern_timer_stop(&m->stop_timer);
    tern_deferred_cancel(&m->stopped_call);
    tern_udp_close(m->udp);
    tern_free(m);
}
