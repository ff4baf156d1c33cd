/* How often strangers may make us work: so many times in a minute in all, of one address block and
 * of one peer. Nothing is kept but the times that were let through, so there is nothing to fill. */
#ifndef TERN_NAT_RATE_H
#define TERN_NAT_RATE_H

#include <tern/peer_id.h>

#include "loop/loop.h"

enum { TERN_RATE_MAX = 60 };
#define TERN_RATE_TIME (60 * TERN_SEC)

typedef struct tern_rate {
    size_t most, most_of_block, most_of_peer; /* in TERN_RATE_TIME; most is at most TERN_RATE_MAX */
    size_t next;                              /* the oldest */
    struct {
        uint64_t until; /* counted until then; 0 = free */
        tern_endpoint block;
        tern_peer_id peer;
    } times[TERN_RATE_MAX];
} tern_rate;

/* Zeroed, then the three bounds are set. Whether one more is let through now; it is counted then.
 * `from` is where the peer is. */
bool tern_rate_admit(tern_rate *r, uint64_t now, const tern_endpoint *from,
                     const tern_peer_id *peer);

#endif
