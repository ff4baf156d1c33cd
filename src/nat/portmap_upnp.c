/* The ports over UPnP: looked for at once, used when PCP and NAT-PMP have mapped nothing by the
 * time that a device is found. See portmap.h.
 *
 *     FIND --> there is one: MAP, unless PCP or NAT-PMP hold a port --> renewed at half of the
 *       ^      lifetime by another MAP; a port that could not be renewed until it ended: FIND
 *       '----- there is none: again after PAUSE, as long as nobody holds a port
 */
#include "nat/portmap_inner.h"

#define FIND_TIME  (15 * TERN_SEC)
#define MAP_TIME   (30 * TERN_SEC)
#define UNMAP_TIME (2500 * TERN_MS)
#define AGAIN      (60 * TERN_SEC)

/* UPnP's error codes (WANIPConnection:1, section 2.4.16; 606 of the Device Architecture). */
enum { NOT_AUTHORIZED = 606, CONFLICT = 718 };

bool portmap_upnp_in_charge(const tern_portmap *m)
{
    return m->igd_holds || (tern_op_running(&m->igd.op) && m->igd.round.act == TERN_IGD_MAP);
}

static void begin(tern_portmap *m, tern_igd_act act, uint64_t time,
                  void (*done)(tern_op *op, const tern_error *error))
{
    uint64_t now = tern_loop_now(m->net->loop);
    tern_op_init(&m->igd.op, m->net->loop, now + time, done);
    m->igd.round.act = act;
    m->igd.round.gateway = m->gateway;
    m->igd.round.own = m->own;
    int code = tern_igd_start(&m->igd);
    m->igd_absent |= code == TERN_E_UNSUPPORTED;
    m->igd_next = code == 0 || code == TERN_E_UNSUPPORTED ? TERN_NEVER : now + AGAIN;
}

/* ---- the end ---- */

static void on_unmapped(tern_op *op, const tern_error *error)
{
    (void)error; /* what is left ends by itself */
    portmap_stopped(TERN_CONTAINER(op, tern_portmap, igd.op));
}

/* Gives back what is mapped; false: there is nothing to wait for. */
static bool unmap(tern_portmap *m)
{
    bool any = false;
    for (size_t i = 0; i < m->igd.round.count; i++) {
        any |= m->igd.round.ports[i].mapped != 0;
    }
    if (any) {
        begin(m, TERN_IGD_UNMAP, UNMAP_TIME, on_unmapped);
    }
    return any && tern_op_running(&m->igd.op);
}

bool portmap_upnp_stop(tern_portmap *m)
{
    if (tern_op_running(&m->igd.op) && m->igd.round.act == TERN_IGD_MAP) {
        return true; /* what it maps is given back when it is done */
    }
    tern_op_cancel(&m->igd.op);
    return unmap(m);
}

/* ---- finding ---- */

static void on_found(tern_op *op, const tern_error *error)
{
    tern_portmap *m = TERN_CONTAINER(op, tern_portmap, igd.op);
    m->igd_found = error->code == 0;
    m->igd_absent = !m->igd_found;
    m->igd_next = tern_loop_now(m->net->loop) + (m->igd_found ? 0 : TERN_PORTMAP_PAUSE);
    portmap_work(m);
}

/* ---- mapping ---- */

static tern_portmap_why why_of(int code)
{
    return code == NOT_AUTHORIZED ? TERN_PORTMAP_REFUSED
           : code == CONFLICT     ? TERN_PORTMAP_FULL
                                  : TERN_PORTMAP_FAILED;
}

static void tell_port(tern_portmap *m, const tern_igd_port *p)
{
    const tern_igd_round *r = &m->igd.round;
    uint32_t transport = p->udp ? TERN_MA_UDP : TERN_MA_TCP;
    tern_portmap_port failed = {.transport = transport, .port = p->port};
    if (p->mapped != 0) {
        tern_endpoint external = r->outside;
        external.port = p->mapped;
        portmap_tell(m, TERN_PORTMAP_UPNP, transport, p->port, &external, r->lifetime);
        return;
    }
    portmap_tell(m, TERN_PORTMAP_UPNP, transport, p->port, NULL, 0);
    if (r->outside.family == 0) {
        failed.why = TERN_PORTMAP_NO_NETWORK;
    } else if (!tern_endpoint_is_public(&r->outside)) {
        failed.why = TERN_PORTMAP_DOUBLE_NAT;
        failed.outside = r->outside;
    } else {
        failed.why = why_of(p->code);
        failed.code = p->code > 0 ? (unsigned)p->code : 0;
    }
    portmap_tell_why(m, TERN_PORTMAP_UPNP, &failed);
}

/* What it held has ended, or it gives nothing: PCP and NAT-PMP go on. */
static void let_go(tern_portmap *m, uint64_t now)
{
    m->igd_holds = m->igd_found = false;
    m->igd_next = now + TERN_PORTMAP_PAUSE;
}

static void lose_all(tern_portmap *m, uint64_t now)
{
    let_go(m, now);
    m->igd_next = now;
    while (m->told_count > 0) {
        const portmap_told t = m->told[m->told_count - 1];
        portmap_tell(m, TERN_PORTMAP_UPNP, t.transport, t.port, NULL, 0);
        portmap_tell_why(m, TERN_PORTMAP_UPNP,
                         &(tern_portmap_port){
                             .transport = t.transport, .port = t.port, .why = TERN_PORTMAP_LOST});
    }
}

static void on_mapped(tern_op *op, const tern_error *error)
{
    tern_portmap *m = TERN_CONTAINER(op, tern_portmap, igd.op);
    if (m->stopping) {
        if (!unmap(m)) {
            portmap_stopped(m);
        }
        return;
    }
    uint64_t now = tern_loop_now(m->net->loop);
    tern_igd_round *r = &m->igd.round;
    bool any = false;
    for (size_t i = 0; error->code == 0 && i < r->count; i++) {
        any |= r->ports[i].mapped != 0;
    }
    if (any) {
        m->igd_holds = true;
        m->igd_expires = now + r->lifetime * TERN_SEC;
        m->igd_next = now + r->lifetime * TERN_SEC / 2;
    } else if (m->igd_holds && error->code != 0) {
        m->igd_next = now + AGAIN < m->igd_expires ? now + AGAIN : m->igd_expires;
    } else {
        let_go(m, now);
        m->igd_absent |= error->code != 0;
    }
    for (size_t i = 0; error->code == 0 && i < r->count; i++) {
        tell_port(m, &r->ports[i]);
    }
    portmap_work(m);
}

static void map(tern_portmap *m)
{
    tern_igd_round *r = &m->igd.round;
    r->lifetime = TERN_PORTMAP_LIFETIME;
    tern_loop_random(m->net->loop, r->others, sizeof r->others);
    for (size_t i = 0; i < TERN_IGD_OTHERS; i++) {
        r->others[i] = (uint16_t)(20000 + r->others[i] % 40000);
    }
    for (size_t i = 0; i < m->core.count; i++) {
        const tern_portmap_port *p = &m->core.ports[i];
        uint16_t before = i < r->count ? r->ports[i].mapped : 0;
        r->ports[i] = (tern_igd_port){.udp = p->transport == TERN_MA_UDP,
                                      .port = p->port,
                                      .wanted = before != 0 ? before : p->port,
                                      .mapped = before};
    }
    r->count = m->core.count;
    begin(m, TERN_IGD_MAP, MAP_TIME, on_mapped);
}

/* ---- what is due ---- */

uint64_t portmap_upnp_deadline(const tern_portmap *m)
{
    if (tern_op_running(&m->igd.op) || (!m->igd_holds && tern_portmap_core_maps(&m->core))) {
        return TERN_NEVER;
    }
    return m->igd_next;
}

void portmap_upnp_work(tern_portmap *m)
{
    uint64_t now = tern_loop_now(m->net->loop);
    if (portmap_upnp_deadline(m) > now) {
        return;
    }
    if (m->igd_holds && now >= m->igd_expires) {
        lose_all(m, now);
    }
    if (m->igd_found) {
        map(m);
    } else {
        m->igd.round = (tern_igd_round){.count = 0};
        begin(m, TERN_IGD_FIND, FIND_TIME, on_found);
    }
}

void portmap_upnp_forget(tern_portmap *m)
{
    tern_op_cancel(&m->igd.op);
    m->igd_found = m->igd_absent = m->igd_holds = false;
    m->igd_next = TERN_NEVER;
}
