/* Which addresses could be reached, and what became of them: see reach.h. */
#include "base/mem.h"
#include "nat/reach_inner.h"

#define IDENTIFIED_TIME (2 * TERN_SEC) /* others may come, with votes of their own */

/* ---- addresses ---- */

static bool is_circuit(const tern_multiaddr *addr)
{
    tern_ma_part part;
    return tern_ma_find(addr, TERN_MA_P2P_CIRCUIT, &part);
}

/* The endpoint of an address that is no circuit's; false if it has none. */
static bool endpoint_of(const tern_multiaddr *addr, tern_endpoint *ret, uint32_t *ret_transport)
{
    return addr != NULL && tern_ma_endpoint(addr, ret, ret_transport) && !is_circuit(addr);
}

static size_t add_once(tern_multiaddr **out, size_t n, tern_multiaddr *addr)
{
    for (size_t i = 0; addr != NULL && i < n; i++) {
        if (tern_multiaddr_equal(out[i], addr)) {
            tern_multiaddr_unref(addr);
            return n;
        }
    }
    if (addr != NULL) {
        out[n++] = addr;
    }
    return n;
}

/* Those that are listened on there; of another IP than ours, what they would be with that. */
size_t reach_addresses_of(tern_reach *r, const tern_reach_target *t, tern_multiaddr **out,
                          size_t cap)
{
    tern_multiaddr *const *all;
    size_t count = r->net->ops->listening(r->net, &all), n = 0;
    for (size_t i = 0; i < count && n < cap; i++) {
        tern_endpoint e;
        uint32_t transport;
        if (!endpoint_of(all[i], &e, &transport) || transport != t->transport) {
            continue;
        }
        if (tern_endpoint_eq(&e, &t->at)) {
            n = add_once(out, n, tern_multiaddr_ref(all[i]));
        } else if (!t->own && e.family == t->at.family && e.port == t->port) {
            n = add_once(out, n, tern_ma_at(all[i], &t->at));
        }
    }
    return n;
}

/* ---- targets ---- */

static bool is_own(const tern_endpoint *own, size_t n, const tern_endpoint *e)
{
    for (size_t i = 0; i < n; i++) {
        if (own[i].family == e->family && memcmp(own[i].ip, e->ip, sizeof e->ip) == 0) {
            return true;
        }
    }
    return false;
}

static size_t own_addresses(tern_reach *r, tern_endpoint out[TERN_REACH_OWN_MAX])
{
    size_t n = tern_loop_addresses(r->net->loop, out, TERN_REACH_OWN_MAX);
    return n < TERN_REACH_OWN_MAX ? n : TERN_REACH_OWN_MAX;
}

static size_t add_target(tern_reach_target *out, size_t n, uint32_t transport,
                         const tern_endpoint *at, uint16_t port, bool own)
{
    bool known = n == TERN_REACH_TARGETS_MAX || !tern_endpoint_is_public(at);
    for (size_t i = 0; !known && i < n; i++) {
        known = out[i].transport == transport && tern_endpoint_eq(&out[i].at, at);
    }
    if (!known) {
        out[n].transport = transport;
        out[n].at = *at;
        out[n].port = port;
        out[n++].own = own;
    }
    return n;
}

/* Whether something listens at that port of ours, for that family. */
static bool listens(tern_reach *r, uint32_t transport, uint16_t port, uint8_t family)
{
    tern_multiaddr *const *all;
    size_t count = r->net->ops->listening(r->net, &all);
    for (size_t i = 0; i < count; i++) {
        tern_endpoint e;
        uint32_t other;
        if (endpoint_of(all[i], &e, &other) && other == transport && e.port == port &&
            e.family == family) {
            return true;
        }
    }
    return false;
}

void reach_sync(tern_reach *r)
{
    tern_reach_target ours[TERN_REACH_TARGETS_MAX];
    tern_observed_address seen[TERN_REACH_TARGETS_MAX];
    tern_endpoint e;
    tern_multiaddr *const *all;
    uint32_t transport;
    uint64_t now = tern_loop_now(r->net->loop);
    size_t n = 0, count = r->net->ops->listening(r->net, &all);
    r->own_count = own_addresses(r, r->own);
    for (size_t i = 0; i < count; i++) {
        if (endpoint_of(all[i], &e, &transport)) {
            bool mine = is_own(r->own, r->own_count, &e);
            n = add_target(ours, n, transport, &e, mine ? e.port : 0, mine);
        }
    }
    for (size_t i = 0; i < r->mapped_count; i++) {
        n = add_target(ours, n, r->mapped[i].transport, &r->mapped[i].at, r->mapped[i].port, false);
    }
    count = tern_observed_addresses(&r->observed, now, TERN_OBSERVED_NETWORKS, seen,
                                    TERN_REACH_TARGETS_MAX);
    for (size_t i = 0; i < count; i++) {
        if (listens(r, seen[i].transport, seen[i].port, seen[i].seen.family)) {
            n = add_target(ours, n, seen[i].transport, &seen[i].seen, seen[i].port, false);
        }
    }
    if (tern_reach_core_sync(&r->core, ours, n, now)) {
        r->net->ops->readdress(r->net);
    }
}

void reach_tell(tern_reach *r, const tern_reach_target *t)
{
    tern_multiaddr *addrs[TERN_REACH_ADDRS_MAX];
    tern_reachability verdict = t->verdict;
    size_t n = reach_addresses_of(r, t, addrs, TERN_REACH_ADDRS_MAX);
    for (size_t i = 0; i < n; i++) {
        r->net->ops->reached(r->net, addrs[i], verdict);
        tern_multiaddr_unref(addrs[i]);
    }
    r->net->ops->readdress(r->net);
}

/* ---- what peers say ---- */

static void hear_observed(tern_reach *r, const tern_conn *conn, const tern_identity *identity)
{
    tern_endpoint from, local;
    uint32_t transport, seen_transport, from_transport;
    tern_observed_vote v = {.conn = conn->facts.id, .dialled = !conn->facts.inbound};
    if (!endpoint_of(identity->observed, &v.seen, &seen_transport) ||
        !endpoint_of(conn->facts.local, &local, &transport) ||
        !endpoint_of(conn->facts.remote, &from, &from_transport) || tern_conn_relayed(conn) ||
        seen_transport != transport || from_transport != transport ||
        !tern_reach_punchable(r->net, &v.seen) || !tern_reach_punchable(r->net, &from) ||
        !listens(r, transport, local.port, v.seen.family)) {
        return;
    }
    v.transport = transport;
    v.port = local.port;
    tern_observed_vote_add(&r->observed, tern_loop_now(r->net->loop), &v, &from);
}

static void on_identified(tern_net_ear *ear, tern_conn *conn, const tern_identity *identity)
{
    tern_reach *r = TERN_CONTAINER(ear, tern_reach, ear);
    hear_observed(r, conn, identity);
    if (r->stopped || r->forced != TERN_REACHABILITY_UNKNOWN) {
        return;
    }
    tern_reach_core_hurry(&r->core, tern_loop_now(r->net->loop));
    reach_work_in(r, IDENTIFIED_TIME);
}

static void on_gone(tern_net_ear *ear, tern_conn *conn)
{
    tern_reach *r = TERN_CONTAINER(ear, tern_reach, ear);
    tern_observed_conn_gone(&r->observed, tern_loop_now(r->net->loop), conn->facts.id);
}

static void cancel_asks(tern_reach *r)
{
    while (!tern_list_empty(&r->asks)) {
        tern_autonat_ask_cancel(TERN_CONTAINER(r->asks.next, tern_autonat_ask, link));
    }
    r->ask_count = 0;
}

/* Addresses that come besides change nothing for those that were there. */
void tern_reach_moved(tern_reach *r)
{
    tern_endpoint own[TERN_REACH_OWN_MAX];
    size_t n = own_addresses(r, own);
    bool lost = false;
    for (size_t i = 0; i < r->own_count; i++) {
        lost |= !is_own(own, n, &r->own[i]);
    }
    if (lost) {
        cancel_asks(r);
        tern_observed_clear(&r->observed);
        tern_reach_core_forget(&r->core, tern_loop_now(r->net->loop));
    }
    if (!r->stopped && r->forced == TERN_REACHABILITY_UNKNOWN) {
        reach_work_in(r, IDENTIFIED_TIME);
    }
}

void tern_reach_mapped(tern_reach *r, uint32_t transport, uint16_t port,
                       const tern_endpoint *external)
{
    size_t i = 0;
    while (i < r->mapped_count &&
           (r->mapped[i].transport != transport || r->mapped[i].port != port)) {
        i++;
    }
    if (external == NULL && i < r->mapped_count) {
        r->mapped[i] = r->mapped[--r->mapped_count];
    } else if (external != NULL && i < TERN_REACH_MAPPED_MAX) {
        r->mapped_count += i == r->mapped_count;
        r->mapped[i] = (tern_reach_mapping){transport, port, *external};
    }
    if (!r->stopped && r->forced == TERN_REACHABILITY_UNKNOWN) {
        reach_work_in(r, 0);
    } else if (r->forced == TERN_REACHABILITY_PUBLIC) {
        r->net->ops->readdress(r->net);
    }
}

/* ---- birth and end ---- */

int tern_reach_new(tern_net *net, tern_reachability forced, tern_reach **ret)
{
    tern_reach *r = net->reach == NULL ? tern_calloc(1, sizeof *r) : NULL;
    if (r == NULL) {
        return net->reach == NULL ? TERN_E_NOMEM : TERN_E_STATE;
    }
    int code = tern_autonat_hear_dial_backs(net);
    if (code != 0) {
        tern_free(r);
        return code;
    }
    r->net = net;
    r->forced = forced;
    r->ear.on_identified = on_identified;
    r->ear.on_gone = on_gone;
    tern_list_init(&r->asks);
    tern_list_push(&net->ears, &r->ear.link);
    *ret = net->reach = r;
    return 0;
}

void tern_reach_stop(tern_reach *r)
{
    r->stopped = true;
    tern_timer_stop(&r->timer);
    cancel_asks(r);
}

void tern_reach_free(tern_reach *r)
{
    if (r != NULL) {
        tern_reach_stop(r);
        tern_list_remove(&r->ear.link);
        r->net->ops->unhandle(r->net, TERN_AUTONAT_DIAL_BACK_ID);
        r->net->reach = NULL;
        tern_free(r);
    }
}

/* ---- what is known ---- */

tern_reachability tern_reach_node(const tern_reach *r)
{
    return r->forced != TERN_REACHABILITY_UNKNOWN ? r->forced : tern_reach_core_all(&r->core);
}

tern_reachability tern_reach_of(const tern_reach *r, const tern_multiaddr *addr)
{
    tern_endpoint e;
    uint32_t transport;
    if (!endpoint_of(addr, &e, &transport) || !tern_endpoint_is_public(&e)) {
        return TERN_REACHABILITY_UNKNOWN;
    }
    for (size_t i = 0; i < r->core.count; i++) {
        const tern_reach_target *t = &r->core.targets[i];
        if (t->transport == transport && tern_endpoint_eq(&t->at, &e)) {
            return t->verdict;
        }
    }
    return r->forced;
}

/* What mapped ports lead to. */
static size_t add_mapped(tern_reach *r, tern_multiaddr **out, size_t n, size_t cap)
{
    for (size_t i = 0; i < r->mapped_count; i++) {
        tern_reach_target t = {
            .transport = r->mapped[i].transport, .at = r->mapped[i].at, .port = r->mapped[i].port};
        n += reach_addresses_of(r, &t, out + n, cap - n);
    }
    return n;
}

size_t tern_reach_found(tern_reach *r, tern_multiaddr **out, size_t cap)
{
    size_t n = r->forced == TERN_REACHABILITY_PUBLIC ? add_mapped(r, out, 0, cap) : 0;
    for (size_t i = 0; i < r->core.count; i++) {
        const tern_reach_target *t = &r->core.targets[i];
        if (!t->own && t->verdict == TERN_REACHABILITY_PUBLIC) {
            n += reach_addresses_of(r, t, out + n, cap - n);
        }
    }
    return n;
}

/* ---- for holes ---- */

/* Adds what listens, as seen there. */
static size_t add_seen(tern_reach *r, const tern_observed_address *seen, size_t count,
                       tern_multiaddr **out, size_t n, size_t cap)
{
    for (size_t i = 0; i < count; i++) {
        tern_multiaddr *at[TERN_REACH_ADDRS_MAX];
        tern_reach_target t = {
            .transport = seen[i].transport, .at = seen[i].seen, .port = seen[i].port};
        size_t more = reach_addresses_of(r, &t, at, TERN_REACH_ADDRS_MAX);
        for (size_t k = 0; k < more; k++) {
            if (n < cap) {
                n = add_once(out, n, at[k]);
            } else {
                tern_multiaddr_unref(at[k]);
            }
        }
    }
    return n;
}

size_t tern_reach_candidates(tern_reach *r, unsigned attempt, tern_multiaddr **out, size_t cap)
{
    tern_observed_address seen[TERN_REACH_TARGETS_MAX];
    uint64_t now = tern_loop_now(r->net->loop);
    tern_multiaddr *const *all;
    size_t count = r->net->ops->listening(r->net, &all), n = 0;
    for (size_t i = 0; i < count && n < cap; i++) {
        tern_endpoint e;
        uint32_t transport;
        if (endpoint_of(all[i], &e, &transport) && tern_endpoint_is_public(&e)) {
            n = add_once(out, n, tern_multiaddr_ref(all[i]));
        }
    }
    n = add_mapped(r, out, n, cap);
    count = tern_observed_next(&r->observed, now, attempt, seen, TERN_REACH_TARGETS_MAX);
    n = add_seen(r, seen, count, out, n, cap);
    count = tern_observed_addresses(&r->observed, now, 1, seen, TERN_REACH_TARGETS_MAX);
    return add_seen(r, seen, count, out, n, cap);
}

bool tern_reach_is_ours(tern_reach *r, const tern_endpoint *at, uint32_t transport)
{
    tern_observed_address seen[TERN_REACH_TARGETS_MAX];
    tern_multiaddr *const *all;
    size_t count = r->net->ops->listening(r->net, &all);
    for (size_t i = 0; i < count; i++) {
        tern_endpoint e;
        uint32_t other;
        if (endpoint_of(all[i], &e, &other) && other == transport && tern_endpoint_eq(&e, at)) {
            return true;
        }
    }
    for (size_t i = 0; i < r->mapped_count; i++) {
        if (r->mapped[i].transport == transport && tern_endpoint_eq(&r->mapped[i].at, at)) {
            return true;
        }
    }
    count = tern_observed_addresses(&r->observed, tern_loop_now(r->net->loop), 1, seen,
                                    TERN_REACH_TARGETS_MAX);
    for (size_t i = 0; i < count; i++) {
        if (seen[i].transport == transport && tern_endpoint_eq(&seen[i].seen, at)) {
            return true;
        }
    }
    return false;
}

bool tern_reach_punchable(const tern_net *net, const tern_endpoint *e)
{
    return tern_endpoint_is_public(e) ||
           (net->punch_private && !tern_endpoint_is_loopback(e) &&
            !tern_endpoint_is_unspecified(e) && !tern_endpoint_is_link_local(e) &&
            e->ip[0] < (e->family == 4 ? 224 : 255)); /* nor a group of hosts */
}

bool tern_reach_ports_vary(const tern_reach *r)
{
    tern_observed_address seen[TERN_REACH_TARGETS_MAX];
    size_t n = tern_observed_addresses(&r->observed, tern_loop_now(r->net->loop), 1, seen,
                                       TERN_REACH_TARGETS_MAX);
    for (size_t i = 0; i < n; i++) {
        for (size_t k = 0; k < i; k++) {
            const tern_observed_address *a = &seen[i], *b = &seen[k];
            if (a->transport == b->transport && a->port == b->port &&
                a->seen.family == b->seen.family && a->seen.port != b->seen.port &&
                memcmp(a->seen.ip, b->seen.ip, sizeof a->seen.ip) == 0) {
                return true;
            }
        }
    }
    return false;
}

bool tern_reach_shares_nat(const tern_reach *r, const tern_endpoint *with)
{
    tern_observed_address seen[TERN_REACH_TARGETS_MAX];
    size_t n = tern_observed_addresses(&r->observed, tern_loop_now(r->net->loop), 1, seen,
                                       TERN_REACH_TARGETS_MAX);
    for (size_t i = 0; i < n; i++) {
        if (seen[i].seen.family == with->family &&
            memcmp(seen[i].seen.ip, with->ip, sizeof with->ip) == 0) {
            return !is_own(r->own, r->own_count, with);
        }
    }
    return false;
}

tern_list *tern_reach_asks(tern_reach *r)
{
    return &r->asks;
}
