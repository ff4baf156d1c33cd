/* Birth and stop of the swarm, and the table of its connections: see swarm.h. */
#include "swarm/swarm.h"

#include "base/error.h"
#include "base/log.h"
#include "base/mem.h"
#include "core/spare_pair.h"
#include "streams/tcp.h"

/* Codes of closes (libp2p specs, error codes). */
enum { CLOSE_LIMIT = 0x1001, CLOSE_GATED = 0x1007 };

#define STOP_TIME  (3 * TERN_SEC) /* for connections to close in good order */
#define DRAIN_TIME (TERN_SEC)     /* then for their sockets */

static tern_conn *next_conn(tern_net *net, const tern_peer_id *peer, size_t *it);
static void identified(tern_net *net, tern_conn *conn, const tern_identity *identity);
static bool admits(tern_net *net, const tern_endpoint *remote);
static bool dials(tern_net *net, const tern_multiaddr *addr);
static void reached(tern_net *net, const tern_multiaddr *addr, tern_reachability verdict);
static void punched(tern_net *net, const tern_peer_id *peer, unsigned attempts, uint64_t time,
                    const tern_error *why);
static void mapped(tern_net *net, const tern_port_mapping *what, const tern_error *why);
static void readdress(tern_net *net);
static void reserved(tern_net *net, const tern_multiaddr *addr, const tern_peer_id *relay,
                     uint64_t expires, const tern_error *why);
static int protect(tern_net *net, const tern_peer_id *peer, const char *tag, bool on);
static bool known(tern_net *net, const tern_peer_id *peer);
static void on_stopped(tern_deferred *d);
static void on_sockets_gone(tern_deferred *d);
static void on_drain_time(tern_timer *timer);

static const tern_net_ops net_ops = {
    .handle = tern_swarm_handle,
    .unhandle = tern_swarm_unhandle,
    .open = tern_swarm_open,
    .addresses = tern_swarm_addresses,
    .listening = tern_swarm_listening,
    .protocols = tern_swarm_protocols,
    .next_conn = next_conn,
    .speaks = tern_swarm_speaks,
    .admits = admits,
    .identified = identified,
    .remember = tern_swarm_remember,
    .recall = tern_swarm_recall,
    .dial = tern_swarm_net_dial,
    .dial_only = tern_swarm_net_dial_only,
    .punches = tern_swarm_punches,
    .punch = tern_swarm_net_punch,
    .knocked = tern_swarm_dial_knocked,
    .cancel_dial = tern_swarm_cancel_net_dial,
    .listen = tern_swarm_net_listen,
    .unlisten = tern_swarm_net_unlisten,
    .dials = dials,
    .readdress = readdress,
    .reserved = reserved,
    .reached = reached,
    .punched = punched,
    .mapped = mapped,
    .protect = protect,
    .known = known,
    .relieve = tern_connmgr_over,
};

int tern_swarm_new(tern_loop *loop, tern_key *key, const tern_limits *limits, const char *agent,
                   const tern_transport *const *transports, const tern_upgrade_parts *parts,
                   const tern_swarm_events *events, void *owner, tern_swarm **ret)
{
    tern_swarm *swarm = tern_calloc(1, sizeof *swarm);
    if (swarm == NULL) {
        return TERN_E_NOMEM;
    }
    tern_net_init(&swarm->net);
    swarm->net.loop = loop;
    swarm->net.key = tern_key_ref(key);
    tern_key_peer_id(key, &swarm->net.self);
    swarm->net.limits = *limits;
    swarm->net.agent = agent;
    swarm->net.ops = &net_ops;
    swarm->net.spare = tern_spare_pair_new();
    swarm->transports = transports;
    swarm->parts = *parts;
    swarm->events = events;
    swarm->owner = owner;
    tern_deferred_init(&swarm->net.sockets_gone, on_sockets_gone);
    tern_list_init(&swarm->conns);
    tern_list_init(&swarm->listeners);
    tern_list_init(&swarm->pending);
    tern_list_init(&swarm->dials);
    tern_list_init(&swarm->given);
    tern_map_init(&swarm->peers);
    tern_tally_init(&swarm->blocks);
    tern_peerstore_init(&swarm->store);
    if (tern_book_new(loop, &swarm->net.counters, &swarm->book) != 0) {
        tern_spare_pair_free(swarm->net.spare);
        tern_key_unref(swarm->net.key);
        tern_free(swarm);
        return TERN_E_NOMEM;
    }
    swarm->store.book = swarm->book;
    tern_connmgr_init(&swarm->connmgr);
    tern_gater_init(&swarm->gater);
    tern_deferred_init(&swarm->stopped, on_stopped);
    tern_swarm_watch(swarm);
    *ret = swarm;
    return 0;
}

void tern_swarm_free(tern_swarm *swarm)
{
    if (swarm == NULL) {
        return;
    }
    tern_swarm_unwatch(swarm);
    tern_timer_stop(&swarm->stop_timer);
    tern_deferred_cancel(&swarm->stopped);
    tern_deferred_cancel(&swarm->net.sockets_gone);
    tern_swarm_forget_addresses(swarm);
    tern_swarm_forget_announced(swarm);
    tern_peerstore_free(&swarm->store);
    tern_book_free(swarm->book);
    tern_connmgr_free(&swarm->connmgr);
    tern_gater_free(&swarm->gater);
    tern_map_free(&swarm->peers);
    tern_tally_free(&swarm->blocks);
    tern_spare_pair_free(swarm->net.spare);
    tern_key_unref(swarm->net.key);
    tern_free(swarm);
}

bool tern_swarm_misbehaves(const tern_error *why)
{
    switch (why->code) {
    case TERN_E_MALFORMED:
    case TERN_E_PROTOCOL:
    case TERN_E_TOO_LARGE:
    case TERN_E_CRYPTO:
    case TERN_E_SIGNATURE:
    case TERN_E_LIMIT: /* of frames that do nothing, or of answers that it does not read */
        return true;
    default:
        return false;
    }
}

/* ---- the table ---- */

static tern_swarm_peer *find_peer(tern_swarm *swarm, const tern_peer_id *id)
{
    return tern_map_get(&swarm->peers, id->bytes, id->len);
}

/* Behind a relay nobody's IP is known: it is the relay's that the address begins with. */
tern_endpoint tern_swarm_ip_of(const tern_multiaddr *addr)
{
    tern_endpoint e;
    uint32_t transport;
    tern_ma_part part;
    if (addr == NULL || tern_ma_find(addr, TERN_MA_P2P_CIRCUIT, &part) ||
        !tern_ma_endpoint(addr, &e, &transport)) {
        memset(&e, 0, sizeof e);
    }
    e.port = 0;
    return e;
}

static void forget_conn(tern_swarm_conn *c)
{
    tern_swarm *swarm = c->swarm;
    tern_swarm_peer *peer = c->peer;
    tern_list_remove(&c->link);
    tern_list_remove(&c->peer_link);
    tern_deferred_cancel(&c->admit);
    swarm->walked = swarm->walked == c ? NULL : swarm->walked;
    swarm->conn_count--;
    if (--peer->count == 0) {
        tern_map_remove(&swarm->peers, peer->id.bytes, peer->id.len);
        tern_free(peer);
    }
    if (c->block.family != 0) {
        tern_tally_take(&swarm->blocks, &c->block, sizeof c->block);
    }
    tern_free(c);
}

static void check_stopped(tern_swarm *swarm)
{
    if (!swarm->stopping || swarm->conn_count > 0) {
        return;
    }
    if (tern_list_empty(&swarm->net.sockets) && swarm->net.natives == 0) {
        tern_timer_stop(&swarm->stop_timer);
        tern_defer(swarm->net.loop, &swarm->stopped);
    } else if (!swarm->draining) { /* last bytes and farewells are still on their way */
        swarm->draining = true;
        tern_timer_start(swarm->net.loop, &swarm->stop_timer,
                         tern_loop_now(swarm->net.loop) + DRAIN_TIME, on_drain_time);
    }
}

static void on_sockets_gone(tern_deferred *d)
{
    check_stopped((tern_swarm *)TERN_CONTAINER(d, tern_net, sockets_gone));
}

static void on_drain_time(tern_timer *timer)
{
    tern_tcp_streams_abort(&TERN_CONTAINER(timer, tern_swarm, stop_timer)->net);
}

/* An ear may leave while it hears. */
static void tell_ears(tern_net *net, tern_conn *conn, bool gone)
{
    tern_list *next;
    for (tern_list *l = net->ears.next; l != &net->ears; l = next) {
        tern_net_ear *ear = TERN_CONTAINER(l, tern_net_ear, link);
        void (*hear)(tern_net_ear *, tern_conn *) = gone ? ear->on_gone : ear->on_conn;
        next = l->next;
        if (hear != NULL) {
            hear(ear, conn);
        }
    }
}

static void on_stream(void *owner, tern_conn *conn, tern_stream *s)
{
    (void)conn;
    tern_swarm_incoming(owner, s);
}

static void on_closed(void *owner, tern_conn *conn, const tern_error *why)
{
    tern_swarm_conn *c = owner;
    tern_swarm *swarm = c->swarm;
    swarm->net.counters.conns_closed++;
    TERN_LOG(TERN_LOG_DEBUG, "swarm", "conn %llu closed: %s: %s",
             (unsigned long long)conn->facts.id, why->layer, why->text);
    if (why->code == TERN_E_NEGOTIATION && !conn->facts.inbound) {
        tern_peerstore_set_cautious(&swarm->store, &conn->facts.peer); /* it refused the muxer */
    }
    tern_swarm_dial_lost(swarm, conn, why);
    tell_ears(&swarm->net, conn, true);
    swarm->events->on_disconnected(swarm->owner, conn, why);
    forget_conn(c);
    check_stopped(swarm);
}

static void on_proven(void *owner, tern_conn *conn)
{
    (void)conn;
    tern_swarm_proven(owner);
}

static const tern_conn_events conn_events = {
    .on_stream = on_stream, .on_proven = on_proven, .on_closed = on_closed};

static int check_limits(tern_swarm *swarm, const tern_conn *conn, const tern_swarm_peer *peer,
                        const tern_endpoint *block, tern_error *reterr)
{
    const tern_limits *l = &swarm->net.limits;
    if (swarm->stopping) {
        return tern_fail(reterr, TERN_E_CANCELLED, "swarm", "the node is stopping");
    }
    if (tern_peer_id_equal(&conn->facts.peer, &swarm->net.self)) {
        return tern_fail(reterr, TERN_E_SELF, "swarm", "this is our own peer id");
    }
    tern_endpoint ip = tern_swarm_ip_of(conn->facts.remote);
    if (!tern_gater_lets_in(&swarm->gater, &conn->facts.peer, &ip)) {
        swarm->net.counters.conns_gated++;
        return tern_fail(reterr, TERN_E_GATED, "swarm",
                         "this peer or its address is denied by our lists");
    }
    if (tern_connmgr_relieve(swarm) >= TERN_PRESSURE_FULL) {
        swarm->net.counters.memory_refusals++;
        return tern_fail(reterr, TERN_E_LIMIT, "swarm", "memory is nearly used up");
    }
    if (swarm->conn_count >= l->conns) {
        swarm->net.counters.refused_conns++;
        return tern_fail(reterr, TERN_E_LIMIT, "swarm", "%u connections are open, the most allowed",
                         l->conns);
    }
    if (peer != NULL && peer->count >= l->conns_per_peer) {
        swarm->net.counters.refused_per_peer++;
        return tern_fail(reterr, TERN_E_LIMIT, "swarm",
                         "%u connections to this peer are open, the most allowed",
                         l->conns_per_peer);
    }
    if (block->family != 0 &&
        tern_tally_of(&swarm->blocks, block, sizeof *block) >= l->conns_per_ip) {
        swarm->net.counters.refused_per_ip++;
        return tern_fail(reterr, TERN_E_LIMIT, "swarm",
                         "%u connections from this address are open, the most allowed",
                         l->conns_per_ip);
    }
    return 0;
}

static tern_swarm_peer *add_peer(tern_swarm *swarm, const tern_peer_id *id)
{
    tern_swarm_peer *peer = tern_calloc(1, sizeof *peer);
    if (peer == NULL) {
        return NULL;
    }
    peer->id = *id;
    tern_list_init(&peer->conns);
    if (tern_map_set(&swarm->peers, id->bytes, id->len, peer) != 0) {
        tern_free(peer);
        return NULL;
    }
    return peer;
}

int tern_swarm_add(tern_swarm *swarm, tern_conn *conn, tern_error *reterr)
{
    tern_swarm_peer *peer = find_peer(swarm, &conn->facts.peer);
    tern_endpoint block = {0};
    if (conn->facts.inbound && swarm->net.limits.conns_per_ip > 0) {
        tern_endpoint ip = tern_swarm_ip_of(conn->facts.remote);
        block = tern_endpoint_block(&ip);
    }
    int code = check_limits(swarm, conn, peer, &block, reterr);
    if (code != 0) {
        swarm->net.counters.accept_limit += code == TERN_E_LIMIT;
        tern_conn_drop(conn,
                       code == TERN_E_LIMIT   ? CLOSE_LIMIT
                       : code == TERN_E_GATED ? CLOSE_GATED
                                              : 0,
                       "refused");
        return code;
    }
    tern_swarm_conn *c = tern_calloc(1, sizeof *c);
    if (c != NULL && peer == NULL) {
        peer = add_peer(swarm, &conn->facts.peer);
    }
    if (c == NULL || peer == NULL ||
        (block.family != 0 && tern_tally_add(&swarm->blocks, &block, sizeof block) != 0)) {
        if (peer != NULL && peer->count == 0) {
            tern_map_remove(&swarm->peers, peer->id.bytes, peer->id.len);
            tern_free(peer);
        }
        tern_free(c);
        tern_conn_drop(conn, CLOSE_LIMIT, "out of memory");
        return tern_fail(reterr, TERN_E_NOMEM, "swarm", "out of memory");
    }
    c->swarm = swarm;
    c->conn = conn;
    c->peer = peer;
    c->used = tern_loop_now(swarm->net.loop);
    c->block = block;
    c->serial = ++swarm->serials;
    tern_list_init(&c->negotiations);
    tern_deferred_init(&c->admit, tern_swarm_admit);
    tern_list_push(&swarm->conns, &c->link);
    tern_list_push(&peer->conns, &c->peer_link);
    peer->count++;
    swarm->conn_count++;
    swarm->net.counters.conns_opened++;
    TERN_LOG(TERN_LOG_DEBUG, "swarm", "conn %llu opened: %s, %s, %s",
             (unsigned long long)conn->facts.id, tern_multiaddr_text(conn->facts.remote),
             conn->facts.security, conn->facts.muxer);
    tern_conn_take(conn, &conn_events, c);
    swarm->events->on_connected(swarm->owner, conn);
    tell_ears(&swarm->net, conn, false);
    tern_swarm_dial_met(swarm, &conn->facts.peer);
    tern_connmgr_check(swarm);
    return 0;
}

static int worth(const tern_conn *conn)
{
    return conn->facts.limited ? 0 : tern_conn_relayed(conn) ? 1 : 2;
}

tern_conn *tern_swarm_find(tern_swarm *swarm, const tern_peer_id *id)
{
    tern_swarm_peer *peer = find_peer(swarm, id);
    tern_conn *best = NULL;
    if (peer == NULL) {
        return NULL;
    }
    for (tern_list *l = peer->conns.next; l != &peer->conns; l = l->next) {
        tern_conn *conn = TERN_CONTAINER(l, tern_swarm_conn, peer_link)->conn;
        if (!conn->closing && !conn->finished && (best == NULL || worth(conn) >= worth(best))) {
            best = conn;
        }
    }
    return best;
}

size_t tern_swarm_close_peer(tern_swarm *swarm, const tern_peer_id *id, uint64_t code,
                             const char *text)
{
    tern_swarm_peer *peer = find_peer(swarm, id);
    size_t n = 0;
    if (peer == NULL) {
        return 0;
    }
    for (tern_list *l = peer->conns.next; l != &peer->conns; l = l->next) {
        tern_conn_close(TERN_CONTAINER(l, tern_swarm_conn, peer_link)->conn, code, text);
        n++;
    }
    return n;
}

static tern_swarm_conn *entry(tern_list *l, bool of_peer)
{
    return of_peer ? TERN_CONTAINER(l, tern_swarm_conn, peer_link)
                   : TERN_CONTAINER(l, tern_swarm_conn, link);
}

/* *it is the serial of the last one returned: conns may come and go meanwhile. A walk over all goes
 * on where it stands, unless that conn is gone or another walk came between. */
static tern_conn *next_conn(tern_net *net, const tern_peer_id *id, size_t *it)
{
    tern_swarm *swarm = tern_swarm_of(net);
    tern_swarm_peer *peer = id != NULL ? find_peer(swarm, id) : NULL;
    tern_list *head = id == NULL ? &swarm->conns : peer != NULL ? &peer->conns : NULL;
    if (head == NULL) {
        return NULL;
    }
    bool stands = id == NULL && swarm->walked != NULL && swarm->walked->serial == *it;
    tern_list *l = stands ? swarm->walked->link.next : head->next;
    while (l != head && entry(l, id != NULL)->serial <= *it) {
        l = l->next;
    }
    if (l == head) {
        return NULL;
    }
    tern_swarm_conn *c = entry(l, id != NULL);
    *it = c->serial;
    swarm->walked = id == NULL ? c : swarm->walked;
    return c->conn;
}

static bool admits(tern_net *net, const tern_endpoint *remote)
{
    return tern_gater_admits(&tern_swarm_of(net)->gater, remote);
}

size_t tern_swarm_close_gated(tern_swarm *swarm)
{
    size_t n = 0;
    for (tern_list *l = swarm->conns.next; l != &swarm->conns; l = l->next) {
        tern_conn *conn = TERN_CONTAINER(l, tern_swarm_conn, link)->conn;
        tern_endpoint ip = tern_swarm_ip_of(conn->facts.remote);
        if (!conn->closing && !tern_gater_lets_in(&swarm->gater, &conn->facts.peer, &ip)) {
            swarm->net.counters.conns_gated++;
            tern_conn_close(conn, CLOSE_GATED, "denied by a list");
            n++;
        }
    }
    return n;
}

static bool dials(tern_net *net, const tern_multiaddr *addr)
{
    const tern_transport *t = tern_swarm_transport_for(tern_swarm_of(net), addr);
    return t != NULL && !(t->native && net->psk != NULL);
}

static void reached(tern_net *net, const tern_multiaddr *addr, tern_reachability verdict)
{
    tern_swarm *swarm = tern_swarm_of(net);
    if (!swarm->stopping && swarm->events->on_reachability != NULL) {
        swarm->events->on_reachability(swarm->owner, addr, verdict);
    }
}

static void punched(tern_net *net, const tern_peer_id *peer, unsigned attempts, uint64_t time,
                    const tern_error *why)
{
    tern_swarm *swarm = tern_swarm_of(net);
    if (!swarm->stopping && swarm->events->on_punched != NULL) {
        swarm->events->on_punched(swarm->owner, peer, attempts, time, why);
    }
}

static void mapped(tern_net *net, const tern_port_mapping *what, const tern_error *why)
{
    tern_swarm *swarm = tern_swarm_of(net);
    if (!swarm->stopping && swarm->events->on_mapped != NULL) {
        swarm->events->on_mapped(swarm->owner, what, why);
    }
}

static void readdress(tern_net *net)
{
    tern_swarm *swarm = tern_swarm_of(net);
    tern_swarm_forget_addresses(swarm);
    if (!swarm->stopping) {
        swarm->events->on_addresses(swarm->owner);
    }
}

static void reserved(tern_net *net, const tern_multiaddr *addr, const tern_peer_id *relay,
                     uint64_t expires, const tern_error *why)
{
    tern_swarm *swarm = tern_swarm_of(net);
    if (!swarm->stopping && swarm->events->on_reservation != NULL) {
        swarm->events->on_reservation(swarm->owner, addr, relay, expires, why);
    }
}

static int protect(tern_net *net, const tern_peer_id *peer, const char *tag, bool on)
{
    tern_connmgr *m = &tern_swarm_of(net)->connmgr;
    if (on) {
        return tern_connmgr_protect(m, peer, tag);
    }
    tern_connmgr_unprotect(m, peer, tag);
    return 0;
}

static bool known(tern_net *net, const tern_peer_id *peer)
{
    return tern_connmgr_known(&tern_swarm_of(net)->connmgr, peer);
}

static void identified(tern_net *net, tern_conn *conn, const tern_identity *identity)
{
    tern_swarm *swarm = tern_swarm_of(net);
    const tern_peer_id *id = &conn->facts.peer;
    uint64_t until = tern_loop_now(net->loop) + 3600 * TERN_SEC;
    if (!identity->push || identity->protocol_count > 0) {
        tern_peerstore_set_protocols(&swarm->store, id, identity->protocols,
                                     identity->protocol_count);
        if (!conn->facts.inbound) {
            tern_swarm_keep_protocols(swarm, id, identity);
        }
    }
    uint64_t seq = identity->signed_record ? identity->record_seq : 0;
    bool stale = identity->signed_record && !tern_peerstore_renew(&swarm->store, id, seq);
    net->counters.record_stale += stale;
    for (size_t i = 0; !stale && i < identity->addr_count; i++) {
        tern_multiaddr *addr = tern_ma_without_p2p(identity->addrs[i]);
        if (addr != NULL) {
            tern_peerstore_certify(&swarm->store, id, addr, seq, until);
            tern_multiaddr_unref(addr);
        }
    }
    if (identity->signed_record && !stale) {
        tern_peerstore_drop_older(&swarm->store, id);
    }
    tern_list *next;
    for (tern_list *l = net->ears.next; l != &net->ears; l = next) {
        tern_net_ear *ear = TERN_CONTAINER(l, tern_net_ear, link);
        next = l->next;
        if (ear->on_identified != NULL) {
            ear->on_identified(ear, conn, identity);
        }
    }
    swarm->events->on_identified(swarm->owner, conn, identity);
}

/* ---- stop ---- */

static void on_stopped(tern_deferred *d)
{
    tern_swarm *swarm = TERN_CONTAINER(d, tern_swarm, stopped);
    /* No timer is left armed: it would keep an embedder's loop running. */
    tern_spare_pair_free(swarm->net.spare);
    swarm->net.spare = NULL;
    tern_timer_stop(&swarm->connmgr.timer);
    tern_book_rest(swarm->book);
    swarm->events->on_stopped(swarm->owner);
}

/* Good order took too long: cut what is left. */
static void on_stop_time(tern_timer *timer)
{
    tern_swarm *swarm = TERN_CONTAINER(timer, tern_swarm, stop_timer);
    for (tern_list *l = swarm->conns.next; l != &swarm->conns; l = l->next) {
        tern_conn *conn = TERN_CONTAINER(l, tern_swarm_conn, link)->conn;
        tern_conn_abort(conn, 1, "the node is stopping");
    }
}

void tern_swarm_stop(tern_swarm *swarm)
{
    if (swarm->stopping) {
        return;
    }
    swarm->stopping = true;
    tern_swarm_unwatch(swarm);
    tern_swarm_close_listeners(swarm);
    tern_swarm_cancel_pending(swarm);
    tern_swarm_cancel_dials(swarm);
    for (tern_list *l = swarm->conns.next; l != &swarm->conns; l = l->next) {
        tern_conn_close(TERN_CONTAINER(l, tern_swarm_conn, link)->conn, 0, "the node is stopping");
    }
    tern_timer_start(swarm->net.loop, &swarm->stop_timer,
                     tern_loop_now(swarm->net.loop) + STOP_TIME, on_stop_time);
    check_stopped(swarm);
}
