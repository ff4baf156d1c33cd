/* The places of a relay: who has one, and how many there may be of an address and a network. */
#include "nat/relay_inner.h"

#include "base/mem.h"

void tern_relay_forget(tern_relay *r, reservation *v)
{
    tern_map_remove(&r->by_peer, v->peer.bytes, v->peer.len);
    tern_tally_take(&r->blocks, &v->block, sizeof v->block);
    tern_tally_take(&r->networks, &v->network, sizeof v->network);
    tern_list_remove(&v->link);
    r->reserved--;
    r->net->ops->protect(r->net, &v->peer, TERN_RELAY_TAG, false);
    tern_free(v);
}

/* The list is in the order of the last renewal, so of expiry. */
static void purge(tern_relay *r)
{
    uint64_t now = tern_loop_now(r->net->loop);
    while (!tern_list_empty(&r->reservations)) {
        reservation *v = TERN_CONTAINER(r->reservations.next, reservation, link);
        if (v->until > now) {
            break;
        }
        tern_relay_forget(r, v);
    }
}

reservation *tern_relay_find(tern_relay *r, const tern_peer_id *peer)
{
    purge(r);
    return tern_map_get(&r->by_peer, peer->bytes, peer->len);
}

/* Where a peer comes from; family 0 when its address does not tell. */
static tern_endpoint source_of(const tern_conn *conn)
{
    tern_endpoint e;
    uint32_t transport;
    if (!tern_ma_endpoint(conn->facts.remote, &e, &transport)) {
        memset(&e, 0, sizeof e);
    }
    return e;
}

static bool is_full(uint32_t most, const tern_tally *t, const tern_endpoint *part)
{
    return most > 0 && tern_tally_of(t, part, sizeof *part) >= most;
}

/* For whom we know a stranger goes, the one whose time is up first; false: there is none. */
static bool displace(tern_relay *r)
{
    for (tern_list *l = r->reservations.next; l != &r->reservations; l = l->next) {
        reservation *v = TERN_CONTAINER(l, reservation, link);
        if (!r->net->ops->known(r->net, &v->peer)) {
            r->net->counters.relay_displaced++;
            tern_relay_forget(r, v);
            return true;
        }
    }
    return false;
}

static bool has_place(tern_relay *r, const reservation *v)
{
    bool known = r->net->ops->known(r->net, &v->peer);
    if (!known && (is_full(r->limits.reservations_per_ip, &r->blocks, &v->block) ||
                   is_full(r->limits.reservations_per_network, &r->networks, &v->network))) {
        return false;
    }
    return r->reserved < r->limits.reservations || (known && displace(r));
}

static int add(tern_relay *r, reservation *v)
{
    if (tern_map_set(&r->by_peer, v->peer.bytes, v->peer.len, v) != 0) {
        return TERN_E_NOMEM;
    }
    if (tern_tally_add(&r->blocks, &v->block, sizeof v->block) != 0) {
        tern_map_remove(&r->by_peer, v->peer.bytes, v->peer.len);
        return TERN_E_NOMEM;
    }
    if (tern_tally_add(&r->networks, &v->network, sizeof v->network) != 0) {
        tern_tally_take(&r->blocks, &v->block, sizeof v->block);
        tern_map_remove(&r->by_peer, v->peer.bytes, v->peer.len);
        return TERN_E_NOMEM;
    }
    r->reserved++;
    /* When there is no memory for it the connection may be trimmed like any other. */
    r->net->ops->protect(r->net, &v->peer, TERN_RELAY_TAG, true);
    return 0;
}

static reservation *reserve_new(tern_relay *r, const tern_conn *conn)
{
    tern_endpoint from = source_of(conn);
    reservation new = {.peer = conn->facts.peer,
                       .block = tern_endpoint_block(&from),
                       .network = tern_endpoint_network(&from)};
    if (!has_place(r, &new)) {
        return NULL;
    }
    reservation *v = tern_memdup(&new, sizeof new);
    if (v == NULL || add(r, v) != 0) {
        tern_free(v);
        r->net->counters.allocation_failures++;
        return NULL;
    }
    tern_list_init(&v->link);
    return v;
}

reservation *tern_relay_reserve(tern_relay *r, const tern_conn *conn, uint32_t *ret_status)
{
    reservation *v = tern_relay_find(r, &conn->facts.peer);
    if (v == NULL) {
        v = reserve_new(r, conn);
    }
    if (v == NULL) {
        *ret_status = TERN_RELAY_RESERVATION_REFUSED;
        return NULL;
    }
    tern_list_remove(&v->link);
    tern_list_push(&r->reservations, &v->link);
    v->until = tern_loop_now(r->net->loop) + r->limits.ttl;
    return v;
}
