/* What changes of the machine mean for its connections. One whose own address is gone is given
 * GONE_TIME for the address to come back (a lease that is renewed, a cable put in again), then it
 * is cut: its peer could not be heard anyway, and its streams' owners should know. */
#include "nat/reach.h"
#include "swarm/swarm.h"

#define GONE_TIME (30 * TERN_SEC)

static bool is_ours(const tern_endpoint *own, size_t n, const tern_endpoint *ip)
{
    for (size_t i = 0; i < n; i++) {
        if (own[i].family == ip->family && memcmp(own[i].ip, ip->ip, sizeof ip->ip) == 0) {
            return true;
        }
    }
    return false;
}

static void check_conns(tern_swarm *swarm);

static void on_gone_timer(tern_timer *timer)
{
    check_conns(TERN_CONTAINER(timer, tern_swarm, gone_timer));
}

/* Marks, clears and cuts; arms the timer for the next that is due. */
static void check_conns(tern_swarm *swarm)
{
    tern_endpoint own[TERN_INTERFACES_MAX];
    size_t n = tern_loop_addresses(swarm->net.loop, own, TERN_INTERFACES_MAX);
    uint64_t now = tern_loop_now(swarm->net.loop), next = TERN_NEVER;
    if (n > TERN_INTERFACES_MAX) {
        return; /* who has so many is not judged by part of them */
    }
    for (tern_list *l = swarm->conns.next; l != &swarm->conns; l = l->next) {
        tern_swarm_conn *c = TERN_CONTAINER(l, tern_swarm_conn, link);
        tern_endpoint ip = tern_swarm_ip_of(c->conn->facts.local);
        if (ip.family == 0 || tern_endpoint_is_unspecified(&ip) || tern_endpoint_is_loopback(&ip) ||
            is_ours(own, n, &ip)) {
            c->gone = 0;
            continue;
        }
        c->gone = c->gone != 0 ? c->gone : now + GONE_TIME;
        if (c->gone > now) {
            next = c->gone < next ? c->gone : next;
        } else if (!c->conn->finished) {
            swarm->net.counters.conns_address_gone++;
            tern_conn_abort(c->conn, 1, "our address that it went over is gone");
        }
    }
    if (next != TERN_NEVER) {
        tern_timer_start(swarm->net.loop, &swarm->gone_timer, next, on_gone_timer);
    } else {
        tern_timer_stop(&swarm->gone_timer);
    }
}

static void on_change(tern_watch *watch, tern_change change)
{
    tern_swarm *swarm = TERN_CONTAINER(watch, tern_swarm, watch);
    if (change == TERN_CHANGE_AWAKE) {
        swarm->events->on_awake(swarm->owner);
        return;
    }
    tern_swarm_forget_addresses(swarm);
    tern_black_hole_answered(&swarm->black_hole); /* another network may let UDP through */
    if (swarm->net.reach != NULL) {
        tern_reach_moved(swarm->net.reach);
    }
    check_conns(swarm);
    swarm->events->on_addresses(swarm->owner);
}

void tern_swarm_watch(tern_swarm *swarm)
{
    tern_watch_start(swarm->net.loop, &swarm->watch, on_change);
}

void tern_swarm_unwatch(tern_swarm *swarm)
{
    tern_watch_stop(&swarm->watch);
    tern_timer_stop(&swarm->gone_timer);
}
