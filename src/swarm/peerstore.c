/* The peer store in memory: see peerstore.h. */
#include "swarm/peerstore.h"

#include <string.h>

#include <tern/error.h>

#include "base/mem.h"

void tern_peerstore_init(tern_peerstore *store)
{
    tern_map_init(&store->peers);
    tern_list_init(&store->recent);
    store->book = NULL;
}

static void clear_protocols(tern_known_peer *p)
{
    for (size_t i = 0; i < p->protocol_count; i++) {
        tern_free(p->protocols[i]);
    }
    tern_free(p->protocols);
    p->protocols = NULL;
    p->protocol_count = 0;
}

static void forget(tern_peerstore *store, tern_known_peer *p)
{
    tern_map_remove(&store->peers, p->id.bytes, p->id.len);
    tern_list_remove(&p->link);
    for (size_t i = 0; i < p->addr_count; i++) {
        tern_multiaddr_unref(p->addrs[i].addr);
    }
    tern_free(p->addrs);
    clear_protocols(p);
    tern_free(p);
}

void tern_peerstore_free(tern_peerstore *store)
{
    while (!tern_list_empty(&store->recent)) {
        forget(store, TERN_CONTAINER(store->recent.next, tern_known_peer, link));
    }
    tern_map_free(&store->peers);
}

tern_known_peer *tern_peerstore_get(tern_peerstore *store, const tern_peer_id *id)
{
    return tern_map_get(&store->peers, id->bytes, id->len);
}

static tern_known_peer *touch(tern_peerstore *store, const tern_peer_id *id)
{
    tern_known_peer *p = tern_peerstore_get(store, id);
    if (p == NULL) {
        if (tern_map_len(&store->peers) >= TERN_PEERSTORE_PEERS_MAX) {
            forget(store, TERN_CONTAINER(store->recent.next, tern_known_peer, link));
        }
        p = tern_calloc(1, sizeof *p);
        if (p == NULL) {
            return NULL;
        }
        p->id = *id;
        tern_list_init(&p->link);
        if (tern_map_set(&store->peers, id->bytes, id->len, p) != 0) {
            tern_free(p);
            return NULL;
        }
    }
    tern_list_remove(&p->link);
    tern_list_push(&store->recent, &p->link);
    return p;
}

static void write_through(tern_peerstore *store, const tern_known_peer *p, const tern_known_addr *a)
{
    if (store->book != NULL) {
        size_t n;
        const uint8_t *bytes = tern_multiaddr_bytes(a->addr, &n);
        tern_book_put_addr(store->book, &p->id, bytes, n, a->seq, a->until);
    }
}

static void drop_from_book(tern_peerstore *store, const tern_known_peer *p,
                           const tern_known_addr *a)
{
    if (store->book != NULL) {
        size_t n;
        const uint8_t *bytes = tern_multiaddr_bytes(a->addr, &n);
        tern_book_drop_addr(store->book, &p->id, bytes, n, a->seq);
    }
}

/* The place of an address: its own, a new one, or that of the one that expires first. NULL without
 * memory. */
static tern_known_addr *place_of(tern_peerstore *store, tern_known_peer *p,
                                 const tern_multiaddr *addr)
{
    size_t oldest = 0;
    for (size_t i = 0; i < p->addr_count; i++) {
        if (tern_multiaddr_equal(p->addrs[i].addr, addr)) {
            return &p->addrs[i];
        }
        if (p->addrs[i].until < p->addrs[oldest].until) {
            oldest = i;
        }
    }
    if (p->addr_count == TERN_PEERSTORE_ADDRS_MAX) {
        drop_from_book(store, p, &p->addrs[oldest]);
        tern_multiaddr_unref(p->addrs[oldest].addr);
        p->addrs[oldest] = (tern_known_addr){tern_multiaddr_ref(addr), 0, 0};
        return &p->addrs[oldest];
    }
    tern_known_addr *grown = tern_realloc(p->addrs, (p->addr_count + 1) * sizeof *grown);
    if (grown == NULL) {
        return NULL;
    }
    p->addrs = grown;
    p->addrs[p->addr_count] = (tern_known_addr){tern_multiaddr_ref(addr), 0, 0};
    return &p->addrs[p->addr_count++];
}

int tern_peerstore_certify(tern_peerstore *store, const tern_peer_id *id,
                           const tern_multiaddr *addr, uint64_t seq, uint64_t until)
{
    tern_known_peer *p = touch(store, id);
    tern_known_addr *a = p != NULL ? place_of(store, p, addr) : NULL;
    if (a == NULL) {
        return TERN_E_NOMEM;
    }
    a->until = a->until > until ? a->until : until;
    a->seq = a->seq > seq ? a->seq : seq;
    p->record_seq = p->record_seq > seq ? p->record_seq : seq;
    write_through(store, p, a);
    return 0;
}

int tern_peerstore_add_addr(tern_peerstore *store, const tern_peer_id *id,
                            const tern_multiaddr *addr, uint64_t until)
{
    return tern_peerstore_certify(store, id, addr, 0, until);
}

void tern_peerstore_doubt(tern_peerstore *store, const tern_peer_id *id, const tern_multiaddr *addr,
                          uint64_t until)
{
    tern_known_peer *p = tern_peerstore_get(store, id);
    for (size_t i = 0; p != NULL && i < p->addr_count; i++) {
        tern_known_addr *a = &p->addrs[i];
        if (a->until > until && tern_multiaddr_equal(a->addr, addr)) {
            a->until = until;
            write_through(store, p, a);
        }
    }
}

bool tern_peerstore_renew(tern_peerstore *store, const tern_peer_id *id, uint64_t seq)
{
    tern_known_peer *p = touch(store, id);
    if (p == NULL) {
        return true;
    }
    if (seq < p->record_seq) {
        return false;
    }
    p->record_seq = seq;
    return true;
}

void tern_peerstore_drop_older(tern_peerstore *store, const tern_peer_id *id)
{
    tern_known_peer *p = tern_peerstore_get(store, id);
    size_t kept = 0;
    for (size_t i = 0; p != NULL && i < p->addr_count; i++) {
        tern_known_addr *a = &p->addrs[i];
        if (a->seq == 0 || a->seq == p->record_seq) {
            p->addrs[kept++] = *a;
            continue;
        }
        drop_from_book(store, p, a);
        tern_multiaddr_unref(a->addr);
    }
    if (p != NULL) {
        p->addr_count = kept;
    }
}

int tern_peerstore_set_protocols(tern_peerstore *store, const tern_peer_id *id,
                                 const char *const *protocols, size_t n)
{
    tern_known_peer *p = touch(store, id);
    if (n > TERN_PEERSTORE_PROTOCOLS_MAX) {
        n = TERN_PEERSTORE_PROTOCOLS_MAX;
    }
    char **copy = tern_calloc(n > 0 ? n : 1, sizeof *copy);
    if (p == NULL || copy == NULL) {
        tern_free(copy);
        return TERN_E_NOMEM;
    }
    clear_protocols(p);
    p->protocols = copy;
    p->identified = true;
    for (size_t i = 0; i < n; i++) {
        copy[i] = tern_strdup(protocols[i]);
        if (copy[i] == NULL) {
            return TERN_E_NOMEM;
        }
        p->protocol_count++;
    }
    return 0;
}

void tern_peerstore_set_cautious(tern_peerstore *store, const tern_peer_id *id)
{
    tern_known_peer *p = touch(store, id);
    if (p != NULL) {
        p->cautious = true;
    }
}

bool tern_peerstore_speaks(tern_peerstore *store, const tern_peer_id *id, const char *protocol)
{
    tern_known_peer *p = tern_peerstore_get(store, id);
    for (size_t i = 0; p != NULL && i < p->protocol_count; i++) {
        if (strcmp(p->protocols[i], protocol) == 0) {
            return true;
        }
    }
    return false;
}
