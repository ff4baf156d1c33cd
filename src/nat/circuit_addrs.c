/* Where a relay says that it is reached, and what of it we repeat to others. It may say anything:
 * what is repeated is bounded, leads to no private network but the one that it is seen in itself,
 * and through no second relay. That it is there at all, whoever dials finds out: his connection
 * must be proven by the relay's key. */
#include "nat/circuit_inner.h"

#include "base/mem.h"

void circuit_addrs_forget(circuit_listener *l)
{
    for (size_t i = 0; i < l->base.more_count; i++) {
        tern_multiaddr_unref(l->base.more[i]);
    }
    tern_free(l->base.more);
    l->base.more = NULL;
    l->base.more_count = 0;
}

/* Without the relay's id behind it: some relays say it twice, some not at all. NULL with an id in
 * the middle, a relay behind a relay. */
static tern_multiaddr *without_ids(const tern_multiaddr *addr)
{
    tern_ma_part part;
    tern_multiaddr *bare = tern_multiaddr_ref(addr);
    while (bare != NULL && tern_ma_find(bare, TERN_MA_P2P, &part)) {
        tern_multiaddr *less = tern_ma_without_p2p(bare);
        bool same = less == bare;
        tern_multiaddr_unref(bare);
        bare = less;
        if (same) {
            tern_multiaddr_unref(bare);
            return NULL;
        }
    }
    return bare;
}

static bool is_name(const tern_multiaddr *addr)
{
    size_t at = 0;
    tern_ma_part part;
    return tern_ma_next(addr, &at, &part) &&
           (part.code == TERN_MA_DNS || part.code == TERN_MA_DNS4 || part.code == TERN_MA_DNS6);
}

static bool fits(const circuit_listener *l, const tern_multiaddr *bare)
{
    tern_endpoint e;
    uint32_t transport;
    tern_ma_part part;
    if (tern_ma_find(bare, TERN_MA_P2P_CIRCUIT, &part) || !l->net->ops->dials(l->net, bare)) {
        return false;
    }
    if (is_name(bare)) {
        return true;
    }
    return tern_ma_endpoint(bare, &e, &transport) && e.port != 0 &&
           (tern_endpoint_is_public(&e) ||
            (e.family == l->seen.family && memcmp(e.ip, l->seen.ip, sizeof e.ip) == 0));
}

void circuit_addrs_take(circuit_listener *l, const tern_relay_message *m)
{
    circuit_addrs_forget(l);
    l->base.more = tern_calloc(TERN_CIRCUIT_ADDRS_MAX, sizeof(tern_multiaddr *));
    for (size_t i = 0; l->base.more != NULL && i < m->addr_count; i++) {
        tern_multiaddr *bare = without_ids(m->addrs[i]);
        if (bare == NULL || l->base.more_count == TERN_CIRCUIT_ADDRS_MAX || !fits(l, bare)) {
            l->net->counters.relay_bad_addresses++;
            tern_multiaddr_unref(bare);
            continue;
        }
        tern_multiaddr *with = tern_ma_with(bare, TERN_MA_P2P, l->relay.bytes, l->relay.len);
        tern_multiaddr *whole =
            with != NULL ? tern_ma_with(with, TERN_MA_P2P_CIRCUIT, NULL, 0) : NULL;
        tern_multiaddr_unref(bare);
        tern_multiaddr_unref(with);
        if (whole != NULL && !tern_multiaddr_equal(whole, l->base.addr)) {
            l->base.more[l->base.more_count++] = whole;
        } else {
            tern_multiaddr_unref(whole);
        }
    }
}
