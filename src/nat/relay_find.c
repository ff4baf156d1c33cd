/* See relay_find.h. */
#include "nat/relay_find.h"

#include "base/log.h"
#include "base/mem.h"
#include "nat/circuit_inner.h"
#include "nat/reach.h"
#include "nat/relay_message.h"

enum { DOUBLINGS = 6 };
#define PATIENCE    (30 * TERN_SEC) /* for a verdict on whether others reach us */
#define FIRST_PAUSE (60 * TERN_SEC) /* of a relay that failed */

typedef struct candidate {
    tern_peer_id peer;
    tern_multiaddr *at;      /* where a place is asked for, with /p2p-circuit; a reference */
    tern_listener *listener; /* NULL: not asked */
    bool public;             /* of its address */
    bool over;               /* the listener is to be closed */
    unsigned failures;       /* in a row */
    uint64_t next;           /* left alone until then */
} candidate;

struct tern_relay_finder {
    tern_net *net;
    tern_net_ear ear;
    size_t wanted, count;
    candidate all[TERN_RELAY_CANDIDATES_MAX];
    tern_timer timer;
    uint64_t begins;
    bool stopped;
};

static void on_timer(tern_timer *timer);

static void work_at(tern_relay_finder *f, uint64_t at)
{
    if (!f->stopped && (!tern_timer_armed(&f->timer) || f->timer.at > at)) {
        tern_timer_start(f->net->loop, &f->timer, at, on_timer);
    }
}

static void work_soon(tern_relay_finder *f)
{
    work_at(f, tern_loop_now(f->net->loop));
}

/* ---- candidates ---- */

static candidate *find(tern_relay_finder *f, const tern_peer_id *peer)
{
    for (size_t i = 0; i < f->count; i++) {
        if (tern_peer_id_equal(&f->all[i].peer, peer)) {
            return &f->all[i];
        }
    }
    return NULL;
}

static candidate *of_listener(tern_relay_finder *f, const tern_listener *l)
{
    for (size_t i = 0; i < f->count; i++) {
        if (f->all[i].listener == l) {
            return &f->all[i];
        }
    }
    return NULL;
}

static void forget(tern_relay_finder *f, candidate *c)
{
    tern_multiaddr_unref(c->at);
    *c = f->all[--f->count];
}

static bool is_connected(tern_relay_finder *f, const tern_peer_id *peer)
{
    size_t it = 0;
    tern_conn *c;
    while ((c = f->net->ops->next_conn(f->net, peer, &it)) != NULL) {
        if (!tern_conn_relayed(c) && !c->closing && !c->finished) {
            return true;
        }
    }
    return false;
}

/* Those that are gone, once nothing is held against them any more. */
static void purge(tern_relay_finder *f)
{
    uint64_t now = tern_loop_now(f->net->loop);
    for (size_t i = 0; i < f->count;) {
        candidate *c = &f->all[i];
        if (c->listener == NULL && c->next <= now && !is_connected(f, &c->peer)) {
            forget(f, c);
        } else {
            i++;
        }
    }
}

/* ---- where a relay is ---- */

static bool speaks_hop(const tern_identity *identity)
{
    for (size_t i = 0; i < identity->protocol_count; i++) {
        if (strcmp(identity->protocols[i], TERN_RELAY_HOP_ID) == 0) {
            return true;
        }
    }
    return false;
}

static bool is_public(const tern_multiaddr *addr)
{
    tern_endpoint e;
    uint32_t transport;
    return tern_ma_endpoint(addr, &e, &transport) && tern_endpoint_is_public(&e);
}

/* Where we dialled it, or, of who dialled us, a public address that it says. */
static tern_multiaddr *address_of(tern_relay_finder *f, const tern_conn *conn,
                                  const tern_identity *identity)
{
    tern_ma_part part;
    if (!conn->facts.inbound) {
        return tern_multiaddr_ref(conn->facts.remote);
    }
    for (size_t i = 0; i < identity->addr_count; i++) {
        tern_multiaddr *addr = tern_ma_without_p2p(identity->addrs[i]);
        if (addr != NULL && is_public(addr) && !tern_ma_find(addr, TERN_MA_P2P_CIRCUIT, &part) &&
            f->net->ops->dials(f->net, addr)) {
            return addr;
        }
        tern_multiaddr_unref(addr);
    }
    return NULL;
}

static void add(tern_relay_finder *f, tern_conn *conn, const tern_identity *identity)
{
    const tern_peer_id *peer = &conn->facts.peer;
    purge(f);
    tern_multiaddr *addr =
        f->count < TERN_RELAY_CANDIDATES_MAX ? address_of(f, conn, identity) : NULL;
    if (addr == NULL) {
        return;
    }
    candidate c = {.peer = *peer, .public = is_public(addr)};
    tern_multiaddr *with = tern_ma_with(addr, TERN_MA_P2P, peer->bytes, peer->len);
    c.at = with != NULL ? tern_ma_with(with, TERN_MA_P2P_CIRCUIT, NULL, 0) : NULL;
    tern_multiaddr_unref(addr);
    tern_multiaddr_unref(with);
    if (c.at != NULL) {
        f->all[f->count++] = c;
        work_soon(f);
    }
}

static void on_identified(tern_net_ear *ear, tern_conn *conn, const tern_identity *identity)
{
    tern_relay_finder *f = TERN_CONTAINER(ear, tern_relay_finder, ear);
    bool silent = identity->push && identity->protocol_count == 0; /* they are what they were */
    if (f->stopped || silent || tern_conn_relayed(conn)) {
        return;
    }
    candidate *c = find(f, &conn->facts.peer);
    bool speaks = speaks_hop(identity);
    if (c == NULL && speaks) {
        add(f, conn, identity);
    } else if (c != NULL && speaks) {
        work_soon(f); /* it is back */
    } else if (c != NULL && c->listener == NULL && c->failures == 0) {
        forget(f, c);
    }
}

/* ---- places ---- */

static void close_place(tern_relay_finder *f, candidate *c)
{
    tern_listener *l = c->listener;
    c->listener = NULL;
    c->over = false;
    if (l != NULL) {
        f->net->ops->unlisten(f->net, l);
    }
}

static void ask(tern_relay_finder *f, candidate *c)
{
    tern_error error;
    if (f->net->ops->listen(f->net, c->at, &c->listener, &error) != 0) {
        c->listener = NULL;
        c->next = tern_loop_now(f->net->loop) + FIRST_PAUSE;
        return;
    }
    circuit_found(c->listener);
    TERN_LOG(TERN_LOG_DEBUG, "circuit", "a place is asked for at %s", tern_multiaddr_text(c->at));
}

/* The one to ask next: of those that may be, with a public address if any has one, at random. */
static candidate *choose(tern_relay_finder *f, uint64_t *ret_next)
{
    uint64_t now = tern_loop_now(f->net->loop);
    candidate *best = NULL;
    uint64_t seen = 0;
    for (size_t i = 0; i < f->count; i++) {
        candidate *c = &f->all[i];
        uint64_t random;
        if (c->listener != NULL || circuit_listens_at(f->net, &c->peer) ||
            !is_connected(f, &c->peer)) {
            continue;
        }
        if (c->next > now) {
            *ret_next = c->next < *ret_next ? c->next : *ret_next;
            continue;
        }
        if (best != NULL && best->public != c->public) {
            best = best->public ? best : c;
            seen = 1;
            continue;
        }
        tern_loop_random(f->net->loop, &random, sizeof random);
        best = random % ++seen == 0 ? c : best;
    }
    return best;
}

static tern_reachability verdict(const tern_relay_finder *f)
{
    return f->net->reach != NULL ? tern_reach_node(f->net->reach) : TERN_REACHABILITY_UNKNOWN;
}

static void work(tern_relay_finder *f)
{
    uint64_t next = TERN_NEVER;
    tern_reachability known = verdict(f);
    candidate *c;
    for (size_t i = 0; i < f->count; i++) {
        if (f->all[i].over || known == TERN_REACHABILITY_PUBLIC) {
            close_place(f, &f->all[i]);
        }
    }
    purge(f);
    if (known == TERN_REACHABILITY_PUBLIC) {
        return;
    }
    if (known == TERN_REACHABILITY_UNKNOWN && tern_loop_now(f->net->loop) < f->begins) {
        work_at(f, f->begins);
        return;
    }
    while (circuit_places(f->net) < f->wanted && (c = choose(f, &next)) != NULL) {
        ask(f, c);
    }
    if (next != TERN_NEVER && circuit_places(f->net) < f->wanted) {
        work_at(f, next);
    }
}

static void on_timer(tern_timer *timer)
{
    work(TERN_CONTAINER(timer, tern_relay_finder, timer));
}

void tern_relay_finder_held(tern_relay_finder *f, const tern_listener *l)
{
    candidate *c = of_listener(f, l);
    if (c != NULL) {
        c->failures = 0;
    }
}

void tern_relay_finder_lost(tern_relay_finder *f, const tern_listener *l)
{
    candidate *c = of_listener(f, l);
    if (c == NULL || c->over) {
        work_soon(f); /* one of the owner's is missing */
        return;
    }
    unsigned doublings = c->failures < DOUBLINGS ? c->failures : DOUBLINGS;
    c->over = true;
    c->failures++;
    c->next = tern_loop_now(f->net->loop) + (FIRST_PAUSE << doublings);
    work_soon(f);
}

void tern_relay_finder_gone(tern_relay_finder *f, const tern_listener *l)
{
    candidate *c = of_listener(f, l);
    if (c != NULL) {
        c->listener = NULL;
        c->over = false;
    }
}

/* ---- birth and end ---- */

int tern_relay_finder_new(tern_net *net, size_t wanted, tern_relay_finder **ret)
{
    tern_relay_finder *f = tern_calloc(1, sizeof *f);
    if (f == NULL) {
        return TERN_E_NOMEM;
    }
    f->net = net;
    f->wanted = wanted < TERN_RELAYS_WANTED_MAX ? wanted : TERN_RELAYS_WANTED_MAX;
    f->begins = tern_loop_now(net->loop) + PATIENCE;
    f->ear.on_identified = on_identified;
    tern_list_push(&net->ears, &f->ear.link);
    *ret = net->relay_finder = f;
    return 0;
}

void tern_relay_finder_judge(tern_relay_finder *f)
{
    work_soon(f);
}

void tern_relay_finder_stop(tern_relay_finder *f)
{
    f->stopped = true;
    tern_timer_stop(&f->timer);
}

void tern_relay_finder_free(tern_relay_finder *f)
{
    if (f == NULL) {
        return;
    }
    tern_relay_finder_stop(f);
    tern_list_remove(&f->ear.link);
    f->net->relay_finder = NULL;
    while (f->count > 0) {
        forget(f, &f->all[f->count - 1]);
    }
    tern_free(f);
}
