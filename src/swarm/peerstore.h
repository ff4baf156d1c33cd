/* What we know of peers: addresses (with expiry), protocols, agent. Bounded: the peer not used for
 * the longest time is forgotten first. Addresses are written through to the book, if there is one.
 */
#ifndef TERN_SWARM_PEERSTORE_H
#define TERN_SWARM_PEERSTORE_H

#include <tern/multiaddr.h>
#include <tern/peer_id.h>

#include "base/list.h"
#include "base/map.h"
#include "loop/loop.h"
#include "store/book.h"

enum {
    TERN_PEERSTORE_PEERS_MAX = 4096,
    TERN_PEERSTORE_ADDRS_MAX = 64,      /* a peer */
    TERN_PEERSTORE_PROTOCOLS_MAX = 128, /* a peer */
};

typedef struct tern_peerstore {
    tern_map peers;   /* peer id -> tern_known_peer */
    tern_list recent; /* least recently used first */
    tern_book *book;  /* lent; NULL = in memory only */
} tern_peerstore;

typedef struct tern_known_addr {
    tern_multiaddr *addr; /* without /p2p */
    uint64_t until;       /* loop time */
    uint64_t seq;         /* of the signed record that has it; 0 = none */
} tern_known_addr;

typedef struct tern_known_peer {
    tern_list link;
    tern_peer_id id;
    tern_known_addr *addrs;
    size_t addr_count;
    char **protocols;
    size_t protocol_count;
    uint64_t record_seq; /* the newest signed record */
    bool cautious;       /* it refused an optimistic upgrade: dial it without */
    bool identified;     /* protocols are known, also when there are none */
} tern_known_peer;

void tern_peerstore_init(tern_peerstore *store);
void tern_peerstore_free(tern_peerstore *store);
/* NULL if unknown. */
tern_known_peer *tern_peerstore_get(tern_peerstore *store, const tern_peer_id *id);
/* Remembers an address until then (the later of two times wins). Full lists drop the one that
 * expires first. 0 or TERN_E_NOMEM. */
int tern_peerstore_add_addr(tern_peerstore *store, const tern_peer_id *id,
                            const tern_multiaddr *addr, uint64_t until);
/* An address did not answer: it is forgotten by then, if it was not to be sooner. Nothing for one
 * that is not known. */
void tern_peerstore_doubt(tern_peerstore *store, const tern_peer_id *id, const tern_multiaddr *addr,
                          uint64_t until);
/* A signed peer record of the peer came: false if one with a higher number is known already, whose
 * addresses stay. Otherwise its addresses follow by certify, and then those that only older records
 * had are dropped. */
bool tern_peerstore_renew(tern_peerstore *store, const tern_peer_id *id, uint64_t seq);
int tern_peerstore_certify(tern_peerstore *store, const tern_peer_id *id,
                           const tern_multiaddr *addr, uint64_t seq, uint64_t until);
void tern_peerstore_drop_older(tern_peerstore *store, const tern_peer_id *id);
/* Replaces the peer's protocols with copies. */
int tern_peerstore_set_protocols(tern_peerstore *store, const tern_peer_id *id,
                                 const char *const *protocols, size_t n);
/* The next dials of this peer are not optimistic. */
void tern_peerstore_set_cautious(tern_peerstore *store, const tern_peer_id *id);
bool tern_peerstore_speaks(tern_peerstore *store, const tern_peer_id *id, const char *protocol);

#endif
