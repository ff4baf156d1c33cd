/* One address of a peer that is being dialled: transport, upgrade, and what its end means for the
 * race. See dialer.h. */
#include "swarm/dialer.h"

#include "base/error.h"
#include "base/log.h"
#include "base/mem.h"
#include "swarm/dial_rank.h"

#define KEEP_ADDRESS  (7 * 24 * 3600 * TERN_SEC) /* one that worked */
#define DOUBT_ADDRESS (24 * 3600 * TERN_SEC)     /* one that did not */
#define PUNCH_PAUSE   (200 * TERN_MS)

void dialer_free_attempt(candidate *c)
{
    if (c->attempt != NULL) {
        tern_op_cancel(&c->attempt->dial.op);
        tern_op_cancel(&c->attempt->upgrade.op);
        tern_multiaddr_unref(c->attempt->dial.local);
        tern_multiaddr_unref(c->attempt->dial.remote);
        tern_free(c->attempt);
        c->attempt = NULL;
    }
}

/* What the winner says about UDP: that it gets through, or, where it did without although UDP began
 * earlier, that it does not. A peer that cannot be had at all says nothing. */
static void judge_udp(tern_dialer *d, const candidate *winner)
{
    tern_swarm *swarm = d->swarm;
    if (tern_black_hole_concerns(winner->addr)) {
        tern_black_hole_answered(&swarm->black_hole);
        return;
    }
    for (size_t i = 0; i < d->count; i++) {
        const candidate *c = &d->candidates[i];
        bool silent =
            c->state == RUNNING || (c->state == FAILED && c->error.code == TERN_E_TIMEOUT);
        if (silent && c->started < winner->started && tern_black_hole_concerns(c->addr)) {
            swarm->net.counters.dials_udp_lost++;
            tern_black_hole_lost(&swarm->black_hole, tern_loop_now(swarm->net.loop));
            return;
        }
    }
}

/* While a hole is punched an address that failed is dialled again after a pause: the other side was
 * not there yet. */
static bool again(tern_dialer *d, candidate *c)
{
    int code = c->error.code;
    if (d->punch == TERN_PUNCH_NONE || code == TERN_E_UNSUPPORTED || code == TERN_E_GATED) {
        return false;
    }
    c->state = WAITING;
    if (!tern_timer_armed(&d->next)) {
        dialer_pause(d, PUNCH_PAUSE);
    }
    return true;
}

void dialer_fail(tern_dialer *d, size_t i, const tern_error *error)
{
    candidate *c = &d->candidates[i];
    tern_error copy = *error;
    bool was_running = c->state == RUNNING || c->state == WON;
    TERN_LOG(TERN_LOG_DEBUG, "dial", "%s failed: %s: %s", tern_multiaddr_text(c->addr), copy.layer,
             copy.text);
    if (d->peer.len > 0 && !d->only) {
        tern_peerstore_doubt(&d->swarm->store, &d->peer, c->addr,
                             tern_loop_now(d->swarm->net.loop) + DOUBT_ADDRESS);
    }
    dialer_free_attempt(c);
    c->state = FAILED;
    c->error = copy;
    d->swarm->net.counters.dial_failures++;
    if (was_running) {
        d->running--;
    }
    if (again(d, c)) {
        return;
    }
    d->next.at = 0;
    tern_timer_stop(&d->next); /* the next one starts at once */
    tern_defer(d->swarm->net.loop, &d->step);
}

static void win(tern_dialer *d, attempt *a)
{
    tern_swarm *swarm = d->swarm;
    tern_conn *conn = a->upgrade.conn != NULL ? a->upgrade.conn : a->dial.conn;
    tern_multiaddr *addr = d->candidates[a->candidate].addr;
    tern_peer_id peer = conn->facts.peer;
    tern_error error;
    size_t i = a->candidate;
    a->upgrade.conn = NULL;
    a->dial.conn = NULL;
    d->candidates[i].state = WON;
    if (d->punch == TERN_PUNCH_NONE) {
        judge_udp(d, &d->candidates[i]);
    }
    if (tern_swarm_add(swarm, conn, &error) != 0) {
        dialer_fail(d, i, &error);
        return;
    }
    if (!d->only) {
        tern_peerstore_add_addr(&swarm->store, &peer, addr,
                                tern_loop_now(swarm->net.loop) + KEEP_ADDRESS);
    }
    if (d->candidates[i].cautious) {
        tern_peerstore_set_cautious(&swarm->store, &peer);
    }
    dialer_finish(d, conn, NULL);
}

static void upgraded(tern_op *op, const tern_error *error)
{
    attempt *a = TERN_CONTAINER(op, attempt, upgrade.op);
    tern_dialer *d = a->dialer;
    if (error->code == 0) {
        win(d, a);
        return;
    }
    candidate *c = &d->candidates[a->candidate];
    bool refused = a->upgrade.retry && !c->cautious;
    bool crossed = a->upgrade.crossed && !c->crossed;
    dialer_fail(d, a->candidate, error);
    if (d->punch == TERN_PUNCH_NONE && (refused || crossed)) {
        c->cautious |= refused;
        c->crossed |= crossed;
        c->state = WAITING;
    }
}

static void start_upgrade(attempt *a)
{
    tern_swarm *swarm = a->dialer->swarm;
    candidate *c = &a->dialer->candidates[a->candidate];
    a->upgrade = (tern_upgrade){
        .net = &swarm->net,
        .parts = &swarm->parts,
        .stream = a->dial.stream,
        .initiator = a->dialer->punch != TERN_PUNCH_SERVER,
        .optimistic = !c->cautious,
        .expected = a->dialer->peer,
        .facts = {.local = a->dial.local,
                  .remote = tern_multiaddr_ref(a->dial.remote != NULL ? a->dial.remote : c->addr),
                  .transport = a->transport->name,
                  .inbound = a->dialer->punch == TERN_PUNCH_SERVER}};
    a->dial.stream = NULL;
    a->dial.local = NULL;
    tern_op_init(&a->upgrade.op, swarm->net.loop, a->dial.op.deadline, upgraded);
    tern_upgrade_start(&a->upgrade);
}

static void dialled(tern_op *op, const tern_error *error)
{
    attempt *a = TERN_CONTAINER(op, attempt, dial.op);
    if (error->code != 0) {
        dialer_fail(a->dialer, a->candidate, error);
    } else if (a->dial.conn != NULL) {
        win(a->dialer, a);
    } else {
        start_upgrade(a);
    }
}

const tern_transport *tern_swarm_transport_for(const tern_swarm *swarm, const tern_multiaddr *addr)
{
    for (size_t i = 0; swarm->transports[i] != NULL; i++) {
        if (swarm->transports[i]->dials(addr)) {
            return swarm->transports[i];
        }
    }
    return NULL;
}

void dialer_start(tern_dialer *d, size_t i)
{
    tern_swarm *swarm = d->swarm;
    candidate *c = &d->candidates[i];
    tern_error error;
    const tern_transport *transport = tern_swarm_transport_for(swarm, c->addr);
    if (transport == NULL) {
        tern_fail(&error, TERN_E_UNSUPPORTED, "swarm", "no transport of this build dials %s",
                  tern_multiaddr_text(c->addr));
        dialer_fail(d, i, &error);
        return;
    }
    if (transport->native && swarm->net.psk != NULL) {
        tern_fail(&error, TERN_E_UNSUPPORTED, "swarm", "%s: %s cannot carry a private network",
                  tern_multiaddr_text(c->addr), transport->name);
        dialer_fail(d, i, &error);
        return;
    }
    tern_endpoint ip = tern_swarm_ip_of(c->addr);
    if (!tern_gater_admits(&swarm->gater, &ip) ||
        (d->peer.len > 0 && !tern_gater_lets_in(&swarm->gater, &d->peer, &ip))) {
        swarm->net.counters.dials_gated++;
        tern_fail(&error, TERN_E_GATED, "swarm", "%s is denied by our lists",
                  tern_multiaddr_text(c->addr));
        dialer_fail(d, i, &error);
        return;
    }
    attempt *a = tern_calloc(1, sizeof *a);
    if (a == NULL) {
        tern_fail(&error, TERN_E_NOMEM, "swarm", "out of memory");
        dialer_fail(d, i, &error);
        return;
    }
    c->attempt = a;
    c->state = RUNNING;
    c->started = tern_loop_now(swarm->net.loop);
    d->ip4_next = tern_dial_rank_is_ip6(c->addr);
    d->running++;
    swarm->net.counters.dials++;
    a->dialer = d;
    a->candidate = i;
    a->transport = transport;
    a->dial.net = &swarm->net;
    a->dial.addr = c->addr;
    a->dial.host = c->host;
    a->dial.expected = d->peer;
    a->dial.any_port = c->crossed;
    a->dial.punch = d->punch;
    tern_op_init(&a->dial.op, swarm->net.loop,
                 tern_loop_now(swarm->net.loop) + swarm->net.limits.dial_time, dialled);
    if (transport->dial(&a->dial, &error) != 0) {
        dialer_fail(d, i, &error);
    }
}
