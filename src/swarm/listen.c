/* Listening: transports' listeners, accepted streams on their way through the upgrade, and the
 * limit on how many of these may be pending. When it is reached, the oldest pending one of the
 * busiest address is evicted: the newest is never refused, so a flood from one address harms itself
 * first. */
#include "swarm/swarm.h"

#include "base/error.h"
#include "base/log.h"
#include "base/mem.h"

/* An accepted stream that is being upgraded. */
typedef struct tern_pending {
    tern_list link;
    tern_swarm *swarm;
    tern_endpoint remote; /* port 0: what is counted is the address */
    tern_upgrade upgrade;
} tern_pending;

static void free_pending(tern_pending *p)
{
    tern_list_remove(&p->link);
    p->swarm->pending_count--;
    tern_free(p);
}

static void upgraded(tern_op *op, const tern_error *error)
{
    tern_pending *p = TERN_CONTAINER(op, tern_pending, upgrade.op);
    tern_swarm *swarm = p->swarm;
    tern_conn *conn = p->upgrade.conn;
    if (error->code == 0) {
        free_pending(p);
        tern_swarm_add(swarm, conn, NULL);
        return;
    }
    char text[TERN_ENDPOINT_TEXT];
    swarm->net.counters.upgrade_timeouts += error->code == TERN_E_TIMEOUT;
    TERN_LOG(TERN_LOG_DEBUG, "swarm", "incoming from %s failed: %s: %s",
             tern_endpoint_text(text, &p->remote), error->layer, error->text);
    free_pending(p);
}

static bool same_address(const tern_endpoint *a, const tern_endpoint *b)
{
    return a->family == b->family && memcmp(a->ip, b->ip, sizeof a->ip) == 0;
}

static size_t pending_from(tern_swarm *swarm, const tern_endpoint *remote,
                           tern_pending **ret_oldest)
{
    size_t n = 0;
    *ret_oldest = NULL;
    for (tern_list *l = swarm->pending.next; l != &swarm->pending; l = l->next) {
        tern_pending *p = TERN_CONTAINER(l, tern_pending, link);
        if (same_address(&p->remote, remote)) {
            *ret_oldest = n++ == 0 ? p : *ret_oldest; /* the list is in order of arrival */
        }
    }
    return n;
}

static void evict(tern_pending *victim)
{
    victim->swarm->net.counters.accept_limit++;
    tern_op_cancel(&victim->upgrade.op);
    free_pending(victim);
}

/* The oldest of the busiest address. The list is short: limits.pending bounds it. */
static void evict_one(tern_swarm *swarm)
{
    tern_pending *victim = NULL, *oldest;
    size_t most = 0;
    for (tern_list *l = swarm->pending.next; l != &swarm->pending; l = l->next) {
        size_t n = pending_from(swarm, &TERN_CONTAINER(l, tern_pending, link)->remote, &oldest);
        if (n > most) {
            most = n;
            victim = oldest;
        }
    }
    if (victim != NULL) {
        evict(victim);
    }
}

/* Makes place for one more from `remote`. */
static void make_place(tern_swarm *swarm, const tern_endpoint *remote)
{
    const tern_limits *l = &swarm->net.limits;
    tern_pending *oldest;
    if (l->pending_per_ip > 0 && pending_from(swarm, remote, &oldest) >= l->pending_per_ip) {
        evict(oldest);
    } else if (swarm->pending_count >= l->pending) {
        evict_one(swarm);
    }
}

static void on_stream(void *owner, tern_listener *listener, tern_stream *s, tern_multiaddr *local,
                      tern_multiaddr *remote)
{
    tern_swarm *swarm = ((tern_swarm_listener *)owner)->swarm;
    tern_endpoint from = tern_swarm_ip_of(remote);
    if (from.family == 6) {
        memset(from.ip + 7, 0, sizeof from.ip - 7); /* a /56 is one household */
    }
    make_place(swarm, &from);
    tern_pending *p = tern_calloc(1, sizeof *p);
    if (p == NULL) {
        swarm->net.counters.allocation_failures++;
        tern_stream_reset(s, 0);
        tern_stream_drop(s);
        return;
    }
    p->swarm = swarm;
    p->remote = from;
    p->upgrade = (tern_upgrade){.net = &swarm->net,
                                .parts = &swarm->parts,
                                .stream = s,
                                .facts = {.local = tern_multiaddr_ref(local),
                                          .remote = tern_multiaddr_ref(remote),
                                          .transport = listener->transport->name,
                                          .inbound = true}};
    tern_list_push(&swarm->pending, &p->link);
    swarm->pending_count++;
    tern_op_init(&p->upgrade.op, swarm->net.loop,
                 tern_loop_now(swarm->net.loop) + swarm->net.limits.upgrade_time, upgraded);
    tern_upgrade_start(&p->upgrade);
}

static void on_conn(void *owner, tern_listener *listener, tern_conn *conn)
{
    (void)listener;
    tern_swarm_add(((tern_swarm_listener *)owner)->swarm, conn, NULL);
}

static const tern_listener_events listener_events = {.on_stream = on_stream, .on_conn = on_conn};

int tern_swarm_listen(tern_swarm *swarm, const tern_multiaddr *addr, tern_multiaddr **ret,
                      tern_error *reterr)
{
    const tern_transport *transport = NULL;
    if (swarm->stopping) {
        return tern_fail(reterr, TERN_E_CANCELLED, "swarm", "the node is stopping");
    }
    for (size_t i = 0; transport == NULL && swarm->transports[i] != NULL; i++) {
        if (swarm->transports[i]->listens(addr)) {
            transport = swarm->transports[i];
        }
    }
    if (transport == NULL) {
        return tern_fail(reterr, TERN_E_UNSUPPORTED, "swarm",
                         "no transport of this build listens on %s", tern_multiaddr_text(addr));
    }
    if (transport->native && swarm->net.psk != NULL) {
        return tern_fail(reterr, TERN_E_UNSUPPORTED, "swarm",
                         "%s: %s cannot carry a private network; try tcp or ws",
                         tern_multiaddr_text(addr), transport->name);
    }
    tern_swarm_listener *l = tern_calloc(1, sizeof *l);
    if (l == NULL) {
        return tern_fail(reterr, TERN_E_NOMEM, "swarm", "out of memory");
    }
    l->swarm = swarm;
    int code = transport->listen(&swarm->net, addr, &listener_events, l, &l->listener, reterr);
    if (code != 0) {
        tern_free(l);
        return code;
    }
    tern_list_push(&swarm->listeners, &l->link);
    tern_swarm_forget_addresses(swarm);
    if (ret != NULL) {
        *ret = tern_multiaddr_ref(l->listener->addr);
    }
    return 0;
}

void tern_swarm_close_listeners(tern_swarm *swarm)
{
    tern_list *node;
    while ((node = tern_list_pop(&swarm->listeners)) != NULL) {
        tern_swarm_listener *l = TERN_CONTAINER(node, tern_swarm_listener, link);
        tern_listener_close(l->listener);
        tern_free(l);
    }
    tern_swarm_forget_addresses(swarm);
}

void tern_swarm_cancel_pending(tern_swarm *swarm)
{
    while (!tern_list_empty(&swarm->pending)) {
        tern_pending *p = TERN_CONTAINER(swarm->pending.next, tern_pending, link);
        tern_op_cancel(&p->upgrade.op);
        free_pending(p);
    }
}
