/* Dialling a peer: its addresses are resolved, ranked, and raced with staggered starts; the first
 * that ends in a secured connection to the right peer wins and the others are cancelled.
 *
 *   request (one per caller) --> dialer (one per peer) --> candidates --> attempts: transport,
 * upgrade
 *
 * Requests for a peer that is being dialled join its dialer. A failed attempt starts the next at
 * once; an optimistic upgrade that was refused is tried once more without optimism. */
#include "swarm/dialer.h"

#include "base/error.h"
#include "base/mem.h"
#include "swarm/dial_rank.h"
#include "swarm/resolve.h"

enum { PARALLEL_MAX = 8, KNOCKS_MAX = 4 };

typedef struct name {
    tern_list link;
    tern_dialer *dialer;
    tern_resolve resolve;
    tern_multiaddr *addr;
} name;

static void step(tern_dialer *d);

/* ---- the end of a dialer ---- */

static void free_name(name *n)
{
    tern_list_remove(&n->link);
    tern_op_cancel(&n->resolve.op);
    tern_multiaddr_unref(n->addr);
    tern_free(n);
}

static void free_dialer(tern_dialer *d)
{
    d->swarm->net.punching -= d->punch == TERN_PUNCH_CLIENT;
    tern_list_remove(&d->link);
    tern_timer_stop(&d->next);
    tern_deferred_cancel(&d->step);
    while (!tern_list_empty(&d->names)) {
        free_name(TERN_CONTAINER(d->names.next, name, link));
    }
    for (size_t i = 0; i < d->count; i++) {
        dialer_free_attempt(&d->candidates[i]);
        tern_multiaddr_unref(d->candidates[i].addr);
        tern_free(d->candidates[i].host);
    }
    tern_free(d);
}

/* What became of an address that did not fail. `over`: the race has ended. */
static void outcome(const candidate *c, bool over, tern_error *ret)
{
    if (c->state == RUNNING && !over) {
        tern_fail(ret, TERN_E_CANCELLED, "swarm", "was still under way");
        return;
    }
    tern_fail(ret, 0, "swarm", "%s",
              c->state == WON       ? "connected"
              : c->state == WAITING ? "was not needed"
                                    : "another address was faster");
}

static void report(tern_dialer *d, tern_dial_request *r, bool over)
{
    r->attempts = tern_calloc(d->count > 0 ? d->count : 1, sizeof *r->attempts);
    for (size_t i = 0; r->attempts != NULL && i < d->count; i++) {
        candidate *c = &d->candidates[i];
        r->attempts[i].addr = tern_multiaddr_ref(c->addr);
        r->attempts[i].error = c->error;
        if (c->state != FAILED) {
            outcome(c, over, &r->attempts[i].error);
        }
        r->attempt_count++;
    }
}

/* The request's done comes in a moment; the conn may go before it. */
static void give_conn(tern_swarm *swarm, tern_dial_request *r, tern_conn *conn)
{
    r->conn = conn;
    if (conn != NULL) {
        tern_list_push(&swarm->given, &r->link);
    }
}

void tern_swarm_dial_lost(tern_swarm *swarm, const tern_conn *conn, const tern_error *why)
{
    tern_list *next;
    for (tern_list *l = swarm->given.next; l != &swarm->given; l = next) {
        tern_dial_request *r = TERN_CONTAINER(l, tern_dial_request, link);
        next = l->next;
        if (r->conn == conn) {
            tern_list_remove(l);
            r->conn = NULL;
            tern_fail(&r->op.error, TERN_E_CONN_CLOSED, why->layer, "closed at once: %s",
                      why->text);
        }
    }
}

/* Ends all requests, then the dialer. conn NULL: error says why. */
void dialer_finish(tern_dialer *d, tern_conn *conn, const tern_error *error)
{
    tern_list *node;
    while ((node = tern_list_pop(&d->requests)) != NULL) {
        tern_dial_request *r = TERN_CONTAINER(node, tern_dial_request, link);
        report(d, r, conn != NULL);
        r->dialer = NULL;
        give_conn(d->swarm, r, conn);
        tern_op_finish(&r->op, error);
    }
    free_dialer(d);
}

/* How much a failure says about why the peer cannot be had. */
static int telling(int code)
{
    switch (code) {
    case TERN_E_PEER_ID:
    case TERN_E_SIGNATURE:
    case TERN_E_LIMIT:
    case TERN_E_GATED:
        return 5;
    case TERN_E_NEGOTIATION:
    case TERN_E_CRYPTO:
    case TERN_E_MALFORMED:
        return 4;
    case TERN_E_REFUSED:
        return 3;
    case TERN_E_TIMEOUT:
        return 2;
    case TERN_E_UNSUPPORTED:
        return 0;
    default:
        return 1;
    }
}

static void give_up(tern_dialer *d)
{
    const candidate *best = NULL;
    tern_error why;
    for (size_t i = 0; i < d->count; i++) {
        if (best == NULL || telling(d->candidates[i].error.code) > telling(best->error.code)) {
            best = &d->candidates[i];
        }
    }
    if (best == NULL) {
        tern_fail(&why, TERN_E_NOT_FOUND, "swarm", "no address to dial");
    } else if (d->count == 1) {
        why = best->error;
    } else {
        tern_fail(&why, best->error.code, best->error.layer, "none of %zu addresses: %s", d->count,
                  best->error.text);
    }
    dialer_finish(d, NULL, &why);
}

/* ---- the race ---- */

static void on_next(tern_timer *timer)
{
    step(TERN_CONTAINER(timer, tern_dialer, next));
}

void dialer_pause(tern_dialer *d, uint64_t time)
{
    tern_loop *loop = d->swarm->net.loop;
    tern_timer_start(loop, &d->next, tern_loop_now(loop) + time, on_next);
}

static void on_step(tern_deferred *deferred)
{
    step(TERN_CONTAINER(deferred, tern_dialer, step));
}

static bool best_waiting(tern_dialer *d, size_t *ret)
{
    tern_multiaddr *waiting[TERN_DIAL_ADDRS_MAX];
    size_t index[TERN_DIAL_ADDRS_MAX], order[TERN_DIAL_ADDRS_MAX];
    size_t n = 0;
    for (size_t i = 0; i < d->count; i++) {
        if (d->candidates[i].state == WAITING) {
            index[n] = i;
            waiting[n++] = d->candidates[i].addr;
        }
    }
    if (n == 0) {
        return false;
    }
    bool udp_last = tern_black_hole_holds(&d->swarm->black_hole, tern_loop_now(d->swarm->net.loop));
    tern_dial_rank_order(waiting, n, !d->ip4_next, udp_last, order);
    *ret = index[order[0]];
    return true;
}

/* Both sides dial: everything at once, and again after a pause. Until the request's deadline; one
 * that cannot be dialled at all stays where it is. */
static void step_punch(tern_dialer *d)
{
    tern_conn *conn = tern_swarm_find(d->swarm, &d->peer);
    if (conn != NULL && !tern_conn_relayed(conn)) {
        dialer_finish(d, conn, NULL);
        return;
    }
    size_t left = 0;
    bool pause =
        tern_timer_armed(&d->next); /* one that fails at once does not hold up the others */
    for (size_t i = 0; i < d->count; i++) {
        if (d->candidates[i].state == WAITING && !pause) {
            dialer_start(d, i);
        }
        left += d->candidates[i].state != FAILED;
    }
    if (left == 0) {
        give_up(d);
    }
}

/* Starts what may start now; ends the dialer when nothing is left. */
static void step(tern_dialer *d)
{
    size_t i;
    if (d->punch != TERN_PUNCH_NONE) {
        step_punch(d);
        return;
    }
    while (!tern_timer_armed(&d->next) && d->running < PARALLEL_MAX && best_waiting(d, &i)) {
        uint64_t stagger = tern_dial_rank_of(d->candidates[i].addr).stagger;
        dialer_start(d, i);
        if (d->candidates[i].state == RUNNING) {
            tern_timer_start(d->swarm->net.loop, &d->next,
                             tern_loop_now(d->swarm->net.loop) + stagger, on_next);
        }
    }
    if (d->running == 0 && tern_list_empty(&d->names) && !best_waiting(d, &i)) {
        give_up(d);
    }
}

static void add_candidate(tern_dialer *d, const tern_multiaddr *full, const char *host)
{
    tern_multiaddr *addr = tern_ma_without_p2p(full);
    bool known = addr == NULL || d->count == TERN_DIAL_ADDRS_MAX;
    for (size_t i = 0; !known && i < d->count; i++) {
        known = tern_multiaddr_equal(d->candidates[i].addr, addr);
    }
    if (known) {
        tern_multiaddr_unref(addr);
        return;
    }
    candidate *c = &d->candidates[d->count++];
    memset(c, 0, sizeof *c);
    c->addr = addr;
    c->host = host != NULL ? tern_strdup(host) : NULL;
    c->cautious = d->cautious;
    tern_defer(d->swarm->net.loop, &d->step);
}

static void on_addr(tern_resolve *r, const tern_multiaddr *addr, const char *host)
{
    add_candidate(r->owner, addr, host);
}

static void resolved(tern_op *op, const tern_error *error)
{
    name *n = TERN_CONTAINER(op, name, resolve.op);
    tern_dialer *d = n->dialer;
    if (error->code != 0 && d->count < TERN_DIAL_ADDRS_MAX) {
        candidate *c = &d->candidates[d->count++];
        memset(c, 0, sizeof *c);
        c->addr = tern_multiaddr_ref(n->addr);
        dialer_fail(d, d->count - 1, error);
    }
    free_name(n);
    tern_defer(d->swarm->net.loop, &d->step);
}

static void add_address(tern_dialer *d, tern_multiaddr *addr)
{
    tern_ma_part part;
    if ((d->direct && tern_ma_find(addr, TERN_MA_P2P_CIRCUIT, &part)) ||
        (d->punch != TERN_PUNCH_NONE && !tern_swarm_punches(&d->swarm->net, addr))) {
        return;
    }
    if (!tern_resolve_needed(addr)) {
        add_candidate(d, addr, NULL);
        return;
    }
    name *n = tern_calloc(1, sizeof *n);
    if (n == NULL) {
        return;
    }
    n->dialer = d;
    n->addr = tern_multiaddr_ref(addr);
    n->resolve.net = &d->swarm->net;
    n->resolve.peer = d->peer;
    n->resolve.on_addr = on_addr;
    n->resolve.owner = d;
    tern_list_push(&d->names, &n->link);
    tern_op_init(&n->resolve.op, d->swarm->net.loop, TERN_NEVER, resolved);
    tern_resolve_start(&n->resolve, addr);
}

/* ---- requests ---- */

static void on_cancel(tern_op *op)
{
    tern_dial_request *r = TERN_CONTAINER(op, tern_dial_request, op);
    tern_dialer *d = r->dialer;
    tern_list_remove(&r->link);
    if (d == NULL) {
        return;
    }
    report(d, r, false);
    r->dialer = NULL;
    if (tern_list_empty(&d->requests)) {
        free_dialer(d);
    }
}

static tern_dialer *find_dialer(tern_swarm *swarm, const tern_dial_request *r)
{
    for (tern_list *l = swarm->dials.next; l != &swarm->dials; l = l->next) {
        tern_dialer *d = TERN_CONTAINER(l, tern_dialer, link);
        if (!r->fresh && !r->only && !d->alone && d->direct == r->direct && r->peer.len > 0 &&
            tern_peer_id_equal(&d->peer, &r->peer)) {
            return d;
        }
    }
    return NULL;
}

static tern_dialer *new_dialer(tern_swarm *swarm, const tern_dial_request *r)
{
    tern_dialer *d = tern_calloc(1, sizeof *d);
    if (d != NULL) {
        d->swarm = swarm;
        d->peer = r->peer;
        d->alone = r->fresh || r->only;
        d->only = r->only;
        d->punch = r->punch;
        swarm->net.punching += d->punch == TERN_PUNCH_CLIENT;
        d->direct = r->direct;
        tern_known_peer *known =
            r->peer.len > 0 ? tern_peerstore_get(&swarm->store, &r->peer) : NULL;
        d->cautious = known != NULL && known->cautious;
        tern_list_init(&d->requests);
        tern_list_init(&d->names);
        tern_deferred_init(&d->step, on_step);
        tern_list_push(&swarm->dials, &d->link);
    }
    return d;
}

static void finish_now(tern_dial_request *r, int code, const char *text)
{
    tern_error why;
    tern_fail(&why, code, "swarm", "%s", text);
    tern_op_finish(&r->op, &why);
}

int tern_swarm_dial(tern_swarm *swarm, tern_dial_request *r)
{
    r->conn = NULL;
    r->attempts = NULL;
    r->attempt_count = 0;
    r->dialer = NULL;
    tern_list_init(&r->link);
    tern_op_start(&r->op, "swarm", on_cancel, r);
    if (swarm->stopping) {
        finish_now(r, TERN_E_CANCELLED, "the node is stopping");
        return 0;
    }
    if (tern_peer_id_equal(&r->peer, &swarm->net.self)) {
        finish_now(r, TERN_E_SELF, "this is our own peer id");
        return 0;
    }
    bool anew = r->fresh || r->only || r->peer.len == 0;
    tern_conn *known_conn = anew ? NULL : tern_swarm_find(swarm, &r->peer);
    if (known_conn != NULL && !(r->direct && tern_conn_relayed(known_conn))) {
        give_conn(swarm, r, known_conn);
    }
    if (r->conn != NULL) {
        tern_op_finish(&r->op, NULL);
        return 0;
    }
    tern_dialer *d = find_dialer(swarm, r);
    if (d == NULL) {
        d = new_dialer(swarm, r);
    }
    if (d == NULL) {
        tern_op_cancel(&r->op);
        return TERN_E_NOMEM;
    }
    r->dialer = d;
    tern_list_push(&d->requests, &r->link);
    for (size_t i = 0; i < r->addr_count; i++) {
        add_address(d, r->addrs[i]);
    }
    tern_known_peer *known = r->peer.len > 0 ? tern_peerstore_get(&swarm->store, &r->peer) : NULL;
    uint64_t now = tern_loop_now(swarm->net.loop);
    for (size_t i = 0; !r->only && known != NULL && i < known->addr_count; i++) {
        if (known->addrs[i].until > now) {
            add_address(d, known->addrs[i].addr);
        }
    }
    tern_defer(swarm->net.loop, &d->step);
    return 0;
}

void tern_dial_request_clear(tern_dial_request *r)
{
    tern_list_remove(&r->link);
    for (size_t i = 0; i < r->attempt_count; i++) {
        tern_multiaddr_unref(r->attempts[i].addr);
    }
    tern_free(r->attempts);
    r->attempts = NULL;
    r->attempt_count = 0;
}

void tern_swarm_cancel_dials(tern_swarm *swarm)
{
    tern_error why;
    tern_fail(&why, TERN_E_CANCELLED, "swarm", "the node is stopping");
    while (!tern_list_empty(&swarm->dials)) {
        dialer_finish(TERN_CONTAINER(swarm->dials.next, tern_dialer, link), NULL, &why);
    }
}

/* ---- holes ---- */

bool tern_swarm_punches(tern_net *net, const tern_multiaddr *addr)
{
    const tern_transport *t = tern_swarm_transport_for(tern_swarm_of(net), addr);
    return t != NULL && t->punches && !(t->native && net->psk != NULL) &&
           !tern_resolve_needed(addr);
}

void tern_swarm_dial_met(tern_swarm *swarm, const tern_peer_id *peer)
{
    for (tern_list *l = swarm->dials.next; l != &swarm->dials; l = l->next) {
        tern_dialer *d = TERN_CONTAINER(l, tern_dialer, link);
        if (d->punch != TERN_PUNCH_NONE && tern_peer_id_equal(&d->peer, peer)) {
            tern_defer(swarm->net.loop, &d->step);
        }
    }
}

/* The same address at the port that the peer knocks from. */
static void follow(tern_dialer *d, const tern_endpoint *from)
{
    tern_endpoint at;
    uint32_t transport;
    for (size_t i = 0; i < d->count && d->knocks < KNOCKS_MAX; i++) {
        const tern_multiaddr *addr = d->candidates[i].addr;
        if (tern_ma_endpoint(addr, &at, &transport) && transport == TERN_MA_UDP &&
            at.family == from->family && memcmp(at.ip, from->ip, sizeof at.ip) == 0 &&
            at.port != from->port) {
            tern_multiaddr *other = tern_ma_at(addr, from);
            size_t before = d->count;
            if (other != NULL) {
                add_candidate(d, other, NULL);
                tern_multiaddr_unref(other);
            }
            d->knocks += d->count > before;
            return;
        }
    }
}

void tern_swarm_dial_knocked(tern_net *net, const tern_endpoint *from)
{
    tern_swarm *swarm = tern_swarm_of(net);
    for (tern_list *l = swarm->dials.next; l != &swarm->dials; l = l->next) {
        tern_dialer *d = TERN_CONTAINER(l, tern_dialer, link);
        if (d->punch == TERN_PUNCH_CLIENT) {
            follow(d, from);
        }
    }
}
