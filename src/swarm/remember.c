/* What outlives the node: the address book behind the peer store, and blobs a peer. */
#include "codec/multiaddr.h"
#include "swarm/swarm.h"

static void visit(void *arg, const tern_peer_id *peer, const uint8_t *addr, size_t n, uint64_t seq,
                  uint64_t until)
{
    tern_swarm *swarm = arg;
    tern_multiaddr *ma = tern_multiaddr_from_bytes(addr, n, NULL);
    if (ma == NULL) {
        swarm->net.counters.book_malformed++;
        return;
    }
    /* Rows come longest-lived first: those that find no place are the least worth. */
    tern_known_peer *known = tern_peerstore_get(&swarm->store, peer);
    bool full = known != NULL ? known->addr_count >= TERN_PEERSTORE_ADDRS_MAX
                              : tern_map_len(&swarm->store.peers) >= TERN_PEERSTORE_PEERS_MAX;
    if (!full) {
        swarm->store.book = NULL; /* what comes from the file need not be written to it */
        tern_peerstore_certify(&swarm->store, peer, ma, seq, until);
        swarm->store.book = swarm->book;
    }
    tern_multiaddr_unref(ma);
}

static void on_trouble(void *arg, const tern_error *error)
{
    tern_swarm *swarm = arg;
    if (swarm->on_trouble != NULL) {
        swarm->on_trouble(swarm->owner, error);
    }
}

int tern_swarm_open_book(tern_swarm *swarm, const char *folder,
                         void (*trouble)(void *owner, const tern_error *error), tern_error *reterr)
{
    swarm->on_trouble = trouble;
    return tern_book_open(swarm->book, folder, visit, swarm, on_trouble, reterr);
}

int tern_swarm_remember(tern_net *net, const tern_peer_id *peer, tern_kept kind, const void *blob,
                        size_t n, uint64_t life)
{
    uint64_t now = tern_loop_now(net->loop);
    return tern_book_remember(tern_swarm_of(net)->book, peer, (uint8_t)kind, blob, n,
                              life < TERN_NEVER - now ? now + life : TERN_NEVER);
}

const uint8_t *tern_swarm_recall(tern_net *net, const tern_peer_id *peer, tern_kept kind,
                                 size_t *ret_n)
{
    return tern_book_recall(tern_swarm_of(net)->book, peer, (uint8_t)kind, ret_n);
}
