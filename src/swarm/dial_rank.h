/* Which address when (happy eyeballs, RFC 8305, as far as it is about order): a pure function over
 * the list of candidates. Direct before relayed, private before public, QUIC before TCP, plain TCP
 * before WebSocket, IPv6 before IPv4 in turns. */
#ifndef TERN_SWARM_DIAL_RANK_H
#define TERN_SWARM_DIAL_RANK_H

#include <tern/multiaddr.h>

#include "loop/loop.h"

#define TERN_DIAL_STAGGER_PUBLIC  (250 * TERN_MS)
#define TERN_DIAL_STAGGER_PRIVATE (30 * TERN_MS)
#define TERN_DIAL_STAGGER_RELAY   (500 * TERN_MS)

typedef struct tern_dial_rank {
    uint32_t score;   /* lower is dialled earlier */
    uint64_t stagger; /* how long to wait for it before the next one starts */
} tern_dial_rank;

/* Ranks one address by what it is. */
tern_dial_rank tern_dial_rank_of(const tern_multiaddr *addr);

/* Sorts addresses by rank, the IP families of one class in turns, `ip6_first` or not; order[] gets
 * indexes. Equal ones keep their order. udp_last: what goes over UDP to public addresses comes
 * after the other public ones. */
void tern_dial_rank_order(tern_multiaddr *const *addrs, size_t n, bool ip6_first, bool udp_last,
                          size_t *order);
bool tern_dial_rank_is_ip6(const tern_multiaddr *addr);

#endif
