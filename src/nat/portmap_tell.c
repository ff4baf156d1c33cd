/* What others hear of mapped ports: the node's verdicts (reach.h), its owner, the counters. */
#include "base/error.h"
#include "base/log.h"
#include "nat/portmap_inner.h"
#include "nat/reach.h"

static const char *name_of(tern_portmap_protocol protocol)
{
    static const char *const names[] = {NULL, "pcp", "nat-pmp", "upnp"};
    return names[protocol];
}

static void tell(tern_portmap *m, tern_portmap_protocol protocol, uint32_t transport, uint16_t port,
                 const tern_endpoint *external, uint32_t lifetime, const tern_error *why)
{
    char gateway[TERN_ENDPOINT_TEXT];
    tern_endpoint own = m->own;
    own.port = port;
    tern_multiaddr *addr = port != 0 ? tern_ma_from_endpoint(&own, transport) : NULL;
    tern_multiaddr *at = external != NULL ? tern_ma_from_endpoint(external, transport) : NULL;
    bool short_of = (port != 0 && addr == NULL) || (external != NULL && at == NULL);
    m->net->counters.allocation_failures += short_of;
    tern_port_mapping what = {.protocol = name_of(protocol),
                              .gateway = tern_endpoint_ip_text(gateway, &m->gateway),
                              .addr = addr,
                              .external = at,
                              .lifetime = lifetime};
    TERN_LOG(TERN_LOG_DEBUG, "portmap", "%s: %s, port %u: %s",
             what.protocol != NULL ? what.protocol : "no protocol", what.gateway, port,
             at != NULL    ? tern_multiaddr_text(at)
             : why != NULL ? why->text
                           : "no more");
    if (!short_of) {
        m->net->ops->mapped(m->net, &what, why);
    }
    tern_multiaddr_unref(addr);
    tern_multiaddr_unref(at);
}

static portmap_told *told_of(tern_portmap *m, uint32_t transport, uint16_t port)
{
    for (size_t i = 0; i < m->told_count; i++) {
        if (m->told[i].transport == transport && m->told[i].port == port) {
            return &m->told[i];
        }
    }
    return NULL;
}

static void reached_at(tern_portmap *m, uint32_t transport, uint16_t port,
                       const tern_endpoint *external)
{
    if (m->net->reach != NULL) {
        tern_reach_mapped(m->net->reach, transport, port, external);
    }
}

void portmap_tell(tern_portmap *m, tern_portmap_protocol protocol, uint32_t transport,
                  uint16_t port, const tern_endpoint *external, uint32_t lifetime)
{
    portmap_told *t = told_of(m, transport, port);
    if (external == NULL) {
        if (t != NULL) {
            *t = m->told[--m->told_count];
            reached_at(m, transport, port, NULL);
            tell(m, protocol, transport, port, NULL, 0, NULL);
        }
        return;
    }
    m->told_error.code = 0;
    if (t != NULL && tern_endpoint_eq(&t->external, external)) {
        return;
    }
    if (t == NULL) { /* there are no more of them than ports */
        t = &m->told[m->told_count++];
    }
    *t = (portmap_told){.transport = transport, .port = port, .external = *external};
    m->net->counters.portmap_mapped++;
    reached_at(m, transport, port, external);
    tell(m, protocol, transport, port, external, lifetime, NULL);
}

void portmap_tell_gone(tern_portmap *m)
{
    while (m->told_count > 0) {
        portmap_told *t = &m->told[m->told_count - 1];
        portmap_tell(m, TERN_PORTMAP_NOTHING, t->transport, t->port, NULL, 0);
    }
    m->told_error.code = 0;
}

/* ---- why not ---- */

static void double_nat(const char *gateway, const tern_portmap_port *p, tern_error *ret)
{
    char outside[TERN_ENDPOINT_TEXT];
    if (p->outside.family == 0) {
        tern_fail(ret, TERN_E_UNREACHABLE, "portmap",
                  "double NAT: another NAT is between us and who answers for the gateway %s",
                  gateway);
        return;
    }
    tern_fail(ret, TERN_E_UNREACHABLE, "portmap",
              "double NAT: the gateway %s itself has the address %s, which is not public: another "
              "NAT is before it",
              gateway, tern_endpoint_ip_text(outside, &p->outside));
}

static void explain(const tern_portmap *m, tern_portmap_protocol protocol,
                    const tern_portmap_port *p, tern_error *ret)
{
    char gateway[TERN_ENDPOINT_TEXT];
    const char *name = name_of(protocol);
    tern_endpoint_ip_text(gateway, &m->gateway);
    switch (p->why) {
    case TERN_PORTMAP_SILENT:
        tern_fail(ret, TERN_E_TIMEOUT, "portmap", "the gateway %s answers no PCP, NAT-PMP or UPnP",
                  gateway);
        return;
    case TERN_PORTMAP_REFUSED:
        tern_fail(ret, TERN_E_REFUSED, "portmap",
                  "the gateway %s refuses to map the port (%s, code %u): its owner may allow it",
                  gateway, name, p->code);
        break;
    case TERN_PORTMAP_FULL:
        tern_fail(
            ret, TERN_E_LIMIT, "portmap",
            "the gateway %s has no port for us (%s, code %u): none is left, or it has no public "
            "address itself (double NAT)",
            gateway, name, p->code);
        break;
    case TERN_PORTMAP_NO_NETWORK:
        tern_fail(ret, TERN_E_UNREACHABLE, "portmap",
                  "the gateway %s has no public address itself (%s): no network, or double NAT",
                  gateway, name);
        break;
    case TERN_PORTMAP_DOUBLE_NAT:
        double_nat(gateway, p, ret);
        break;
    case TERN_PORTMAP_LOST:
        tern_fail(ret, TERN_E_TIMEOUT, "portmap", "the gateway %s did not renew the mapping (%s)",
                  gateway, name);
        break;
    default:
        tern_fail(ret, TERN_E_PROTOCOL, "portmap", "the gateway %s maps no port (%s, code %u)",
                  gateway, name, p->code);
    }
    ret->wire = p->code;
}

void portmap_tell_why(tern_portmap *m, tern_portmap_protocol protocol, const tern_portmap_port *p)
{
    tern_error why;
    explain(m, protocol, p, &why);
    if (m->told_error.code == why.code && strcmp(m->told_error.text, why.text) == 0) {
        return;
    }
    m->told_error = why;
    m->net->counters.portmap_refused +=
        p->why != TERN_PORTMAP_SILENT && p->why != TERN_PORTMAP_LOST;
    tell(m, protocol, p->transport, p->port, NULL, 0, &why);
}
