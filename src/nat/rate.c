/* A minute's window over what was let through: see rate.h. */
#include "nat/rate.h"

#include <string.h>

bool tern_rate_admit(tern_rate *r, uint64_t now, const tern_endpoint *from,
                     const tern_peer_id *peer)
{
    tern_endpoint block = tern_endpoint_block(from);
    size_t of_block = 0, of_peer = 0;
    for (size_t i = 0; i < r->most; i++) {
        bool counts = r->times[i].until > now;
        of_block += counts && memcmp(&r->times[i].block, &block, sizeof block) == 0;
        of_peer += counts && tern_peer_id_equal(&r->times[i].peer, peer);
    }
    /* They are in the order of time: when the oldest counts still, all do. */
    if (r->times[r->next].until > now || of_block >= r->most_of_block ||
        of_peer >= r->most_of_peer) {
        return false;
    }
    r->times[r->next].until = now + TERN_RATE_TIME;
    r->times[r->next].block = block;
    r->times[r->next].peer = *peer;
    r->next = (r->next + 1) % r->most;
    return true;
}
