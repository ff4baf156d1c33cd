/* Listening: transports' listeners, and accepted streams on their way through the upgrade. These
 * count among what is not secured yet (net->pending): where there is no place, the oldest of the
 * busiest address goes. */
#include "swarm/swarm.h"

#include "base/error.h"
#include "base/log.h"
#include "base/mem.h"

/* An accepted stream that is being upgraded. */
typedef struct tern_pending {
    tern_list link;
    tern_swarm *swarm;
    tern_crowd_member place; /* in net.pending */
    tern_endpoint remote;    /* port 0 */
    tern_upgrade upgrade;
} tern_pending;

static void free_pending(tern_pending *p)
{
    tern_list_remove(&p->link);
    tern_crowds_leave(&p->swarm->net.pending, &p->place);
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
    if (tern_swarm_misbehaves(error) && swarm->events->on_misbehaving != NULL) {
        swarm->events->on_misbehaving(swarm->owner, &p->remote, error);
    }
    free_pending(p);
}

static void evict(tern_crowd_member *place)
{
    tern_pending *p = TERN_CONTAINER(place, tern_pending, place);
    tern_op_cancel(&p->upgrade.op);
    free_pending(p);
}

static void on_stream(void *owner, tern_listener *listener, tern_stream *s, tern_multiaddr *local,
                      tern_multiaddr *remote, uint64_t deadline)
{
    tern_swarm *swarm = ((tern_swarm_listener *)owner)->swarm;
    tern_endpoint from = tern_swarm_ip_of(remote);
    tern_net_make_place(&swarm->net, &from);
    tern_pending *p = tern_calloc(1, sizeof *p);
    if (p != NULL) {
        p->place.evict = evict;
    }
    if (p == NULL || tern_crowds_join(&swarm->net.pending, &from, &p->place) != 0) {
        tern_free(p);
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
    tern_op_init(&p->upgrade.op, swarm->net.loop, deadline, upgraded);
    tern_upgrade_start(&p->upgrade);
}

static void on_conn(void *owner, tern_listener *listener, tern_conn *conn)
{
    (void)listener;
    tern_swarm_add(((tern_swarm_listener *)owner)->swarm, conn, NULL);
}

static const tern_listener_events listener_events = {.on_stream = on_stream, .on_conn = on_conn};

int tern_swarm_net_listen(tern_net *net, const tern_multiaddr *addr, tern_listener **ret,
                          tern_error *reterr)
{
    tern_swarm *swarm = tern_swarm_of(net);
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
    *ret = l->listener;
    return 0;
}

int tern_swarm_listen(tern_swarm *swarm, const tern_multiaddr *addr, tern_multiaddr **ret,
                      tern_error *reterr)
{
    tern_listener *listener;
    int code = tern_swarm_net_listen(&swarm->net, addr, &listener, reterr);
    if (code == 0 && ret != NULL) {
        *ret = tern_multiaddr_ref(listener->addr);
    }
    return code;
}

void tern_swarm_net_unlisten(tern_net *net, tern_listener *listener)
{
    tern_swarm *swarm = tern_swarm_of(net);
    for (tern_list *l = swarm->listeners.next; l != &swarm->listeners; l = l->next) {
        tern_swarm_listener *of = TERN_CONTAINER(l, tern_swarm_listener, link);
        if (of->listener == listener) {
            bool announced = !listener->silent;
            tern_list_remove(&of->link);
            tern_listener_close(listener);
            tern_free(of);
            if (announced) {
                net->ops->readdress(net);
            }
            return;
        }
    }
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
