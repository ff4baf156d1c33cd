/* What outlives the node: the address book behind the peer store, and blobs a peer: tickets, and
 * the protocols of peers whom we dialled, each with a line feed behind it. */
#include "codec/multiaddr.h"
#include "swarm/swarm.h"

#define KEEP_PROTOCOLS (7 * 24 * 3600 * TERN_SEC) /* as an address that worked */
enum { PROTOCOLS_ROOM = 2048 };                   /* bytes; who speaks more is kept in part */

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

void tern_swarm_keep_protocols(tern_swarm *swarm, const tern_peer_id *peer,
                               const tern_identity *identity)
{
    char text[PROTOCOLS_ROOM];
    size_t n = 0;
    for (size_t i = 0; i < identity->protocol_count; i++) {
        const char *id = identity->protocols[i];
        size_t len = strlen(id);
        if (len + 1 <= sizeof text - n && strchr(id, '\n') == NULL) {
            memcpy(text + n, id, len);
            text[n + len] = '\n';
            n += len + 1;
        }
    }
    tern_swarm_remember(&swarm->net, peer, TERN_KEPT_PROTOCOLS, text, n, KEEP_PROTOCOLS);
}

/* Whether it stands among the lines that are kept. */
static bool is_kept(tern_net *net, const tern_peer_id *peer, const char *id)
{
    size_t n, len = strlen(id);
    const uint8_t *text = tern_swarm_recall(net, peer, TERN_KEPT_PROTOCOLS, &n);
    while (text != NULL && n > 0) {
        const uint8_t *end = memchr(text, '\n', n);
        size_t line = end != NULL ? (size_t)(end - text) : n;
        if (line == len && memcmp(text, id, len) == 0) {
            return true;
        }
        n -= end != NULL ? line + 1 : n;
        text = end != NULL ? end + 1 : NULL;
    }
    return false;
}

bool tern_swarm_speaks(tern_net *net, const tern_peer_id *peer, const char *id)
{
    tern_peerstore *store = &tern_swarm_of(net)->store;
    const tern_known_peer *known = tern_peerstore_get(store, peer);
    return known != NULL && known->identified ? tern_peerstore_speaks(store, peer, id)
                                              : is_kept(net, peer, id);
}
