/* The addresses that we announce: what listens, with unspecified IPs expanded to the machine's own,
 * and what else was found to lead to us (nat/reach). The lists are made anew when they are a second
 * old, so interfaces may come and go. */
#include "base/mem.h"
#include "nat/reach.h"
#include "swarm/swarm.h"

enum { ADDRS_MAX = 256 };

static void forget(tern_multiaddr ***list, size_t *count)
{
    for (size_t i = 0; i < *count; i++) {
        tern_multiaddr_unref((*list)[i]);
    }
    tern_free(*list);
    *list = NULL;
    *count = 0;
}

void tern_swarm_forget_addresses(tern_swarm *swarm)
{
    forget(&swarm->listening, &swarm->listening_count);
    forget(&swarm->addrs, &swarm->addr_count);
    swarm->addrs_until = 0;
}

static void add(tern_swarm *swarm, tern_multiaddr *addr)
{
    if (addr == NULL || swarm->listening_count == ADDRS_MAX) {
        tern_multiaddr_unref(addr);
        return;
    }
    swarm->listening[swarm->listening_count++] = addr;
}

/* The listener's address with another IP in front. */
static tern_multiaddr *with_ip(const tern_multiaddr *addr, const tern_endpoint *bound,
                               const tern_endpoint *ip)
{
    tern_endpoint e = *ip;
    e.port = bound->port;
    return tern_ma_at(addr, &e);
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
            add(swarm, with_ip(addr, &bound, &own[i]));
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

/* Whether there is a way to us by what listens that is better than an address which nobody reaches.
 */
static bool has_better(const tern_swarm *swarm)
{
    tern_ma_part part;
    for (size_t i = 0; i < swarm->listening_count; i++) {
        if (tern_ma_find(swarm->listening[i], TERN_MA_P2P_CIRCUIT, &part) ||
            tern_reach_of(swarm->net.reach, swarm->listening[i]) == TERN_REACHABILITY_PUBLIC) {
            return true;
        }
    }
    return false;
}

/* What is announced of what listens, and what was found besides. */
static void choose(tern_swarm *swarm)
{
    tern_reach *reach = swarm->net.reach;
    tern_multiaddr **more = swarm->addrs + ADDRS_MAX;
    size_t found = reach != NULL ? tern_reach_found(reach, more, ADDRS_MAX) : 0, n = 0;
    bool better = reach != NULL && (found > 0 || has_better(swarm));
    for (size_t i = 0; i < swarm->listening_count; i++) {
        tern_multiaddr *addr = swarm->listening[i];
        if (!better || tern_reach_of(reach, addr) != TERN_REACHABILITY_PRIVATE) {
            swarm->addrs[n++] = tern_multiaddr_ref(addr);
        }
    }
    memmove(swarm->addrs + n, more, found * sizeof *swarm->addrs);
    swarm->addr_count = n + found;
}

static void refresh(tern_swarm *swarm)
{
    uint64_t now = tern_loop_now(swarm->net.loop);
    if (swarm->listening != NULL && now < swarm->addrs_until) {
        return;
    }
    tern_swarm_forget_addresses(swarm);
    swarm->listening = tern_calloc(ADDRS_MAX, sizeof(tern_multiaddr *));
    swarm->addrs_until = now + TERN_SEC;
    if (swarm->listening != NULL) {
        collect(swarm);
    }
}

size_t tern_swarm_listening(tern_net *net, tern_multiaddr *const **ret)
{
    tern_swarm *swarm = tern_swarm_of(net);
    refresh(swarm);
    *ret = swarm->listening;
    return swarm->listening_count;
}

size_t tern_swarm_addresses(tern_net *net, tern_multiaddr *const **ret)
{
    tern_swarm *swarm = tern_swarm_of(net);
    refresh(swarm);
    if (swarm->addrs == NULL) {
        swarm->addrs = tern_calloc(2 * ADDRS_MAX, sizeof(tern_multiaddr *));
        if (swarm->addrs != NULL) {
            choose(swarm);
        }
    }
    *ret = swarm->addrs;
    return swarm->addr_count;
}
