/* The addresses that we announce: what listens, with unspecified IPs expanded to the machine's own.
 * The list is made anew when it is a second old, so interfaces may come and go. */
#include "swarm/swarm.h"

#include "base/mem.h"

enum { ADDRS_MAX = 256 };

void tern_swarm_forget_addresses(tern_swarm *swarm)
{
    for (size_t i = 0; i < swarm->addr_count; i++) {
        tern_multiaddr_unref(swarm->addrs[i]);
    }
    tern_free(swarm->addrs);
    swarm->addrs = NULL;
    swarm->addr_count = 0;
    swarm->addrs_until = 0;
}

static void add(tern_swarm *swarm, tern_multiaddr *addr)
{
    if (addr == NULL || swarm->addr_count == ADDRS_MAX) {
        tern_multiaddr_unref(addr);
        return;
    }
    swarm->addrs[swarm->addr_count++] = addr;
}

/* The listener's address with another IP in front. */
static tern_multiaddr *with_ip(const tern_multiaddr *addr, const tern_endpoint *bound,
                               const tern_endpoint *ip, uint32_t transport)
{
    tern_endpoint e = *ip;
    e.port = bound->port;
    tern_multiaddr *front = tern_ma_from_endpoint(&e, transport);
    tern_multiaddr *old = tern_ma_from_endpoint(bound, transport);
    tern_multiaddr *result = NULL;
    if (front != NULL && old != NULL) {
        size_t skip, whole;
        tern_multiaddr_bytes(old, &skip);
        tern_multiaddr_bytes(addr, &whole);
        tern_multiaddr *rest = skip < whole ? tern_ma_slice(addr, skip, whole) : NULL;
        result = rest != NULL ? tern_ma_join(front, rest) : tern_multiaddr_ref(front);
        tern_multiaddr_unref(rest);
    }
    tern_multiaddr_unref(front);
    tern_multiaddr_unref(old);
    return result;
}

static void add_expanded(tern_swarm *swarm, const tern_multiaddr *addr)
{
    tern_endpoint bound, own[TERN_INTERFACES_MAX];
    uint32_t transport;
    if (!tern_ma_endpoint(addr, &bound, &transport) || !tern_endpoint_is_unspecified(&bound)) {
        add(swarm, tern_multiaddr_ref(addr));
        return;
    }
    size_t n = tern_loop_addresses(swarm->net.loop, own, TERN_INTERFACES_MAX);
    for (size_t i = 0; i < n && i < TERN_INTERFACES_MAX; i++) {
        if (own[i].family == bound.family && !tern_endpoint_is_link_local(&own[i])) {
            add(swarm, with_ip(addr, &bound, &own[i], transport));
        }
    }
}

static void collect(tern_swarm *swarm)
{
    for (size_t i = 0; i < swarm->announced_count; i++) {
        add(swarm, tern_multiaddr_ref(swarm->announced[i]));
    }
    if (swarm->announced_count > 0) {
        return;
    }
    for (tern_list *l = swarm->listeners.next; l != &swarm->listeners; l = l->next) {
        const tern_listener *listener = TERN_CONTAINER(l, tern_swarm_listener, link)->listener;
        if (!listener->silent) {
            add_expanded(swarm, listener->addr);
        }
        for (size_t i = 0; !listener->silent && i < listener->more_count; i++) {
            add(swarm, tern_multiaddr_ref(listener->more[i]));
        }
    }
}

int tern_swarm_announce(tern_swarm *swarm, const tern_multiaddr *addr)
{
    if (swarm->announced_count == ADDRS_MAX) {
        return TERN_E_LIMIT;
    }
    tern_multiaddr **grown =
        tern_realloc(swarm->announced, (swarm->announced_count + 1) * sizeof(tern_multiaddr *));
    if (grown == NULL) {
        return TERN_E_NOMEM;
    }
    swarm->announced = grown;
    swarm->announced[swarm->announced_count++] = tern_multiaddr_ref(addr);
    tern_swarm_forget_addresses(swarm);
    return 0;
}

void tern_swarm_forget_announced(tern_swarm *swarm)
{
    for (size_t i = 0; i < swarm->announced_count; i++) {
        tern_multiaddr_unref(swarm->announced[i]);
    }
    tern_free(swarm->announced);
    swarm->announced = NULL;
    swarm->announced_count = 0;
}

size_t tern_swarm_addresses(tern_net *net, tern_multiaddr *const **ret)
{
    tern_swarm *swarm = tern_swarm_of(net);
    uint64_t now = tern_loop_now(net->loop);
    if (swarm->addrs == NULL || now >= swarm->addrs_until) {
        tern_swarm_forget_addresses(swarm);
        swarm->addrs = tern_calloc(ADDRS_MAX, sizeof(tern_multiaddr *));
        swarm->addrs_until = now + TERN_SEC;
        if (swarm->addrs != NULL) {
            collect(swarm);
        }
    }
    *ret = swarm->addrs;
    return swarm->addr_count;
}
