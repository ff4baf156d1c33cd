/* Networks that drop UDP: see black_hole.h. */
#include "swarm/black_hole.h"

bool tern_black_hole_concerns(const tern_multiaddr *addr)
{
    tern_endpoint e;
    uint32_t transport;
    return tern_ma_endpoint(addr, &e, &transport) && transport == TERN_MA_UDP &&
           tern_endpoint_is_public(&e);
}

void tern_black_hole_lost(tern_black_hole *h, uint64_t now)
{
    if (h->lost < TERN_BLACK_HOLE_LOST) {
        h->lost++;
    }
    /* Dials that were under way when it was noticed say nothing new. */
    if (h->lost < TERN_BLACK_HOLE_LOST || now < h->again) {
        return;
    }
    h->period = h->period == 0 ? TERN_BLACK_HOLE_FIRST : 2 * h->period;
    h->period = h->period < TERN_BLACK_HOLE_MOST ? h->period : TERN_BLACK_HOLE_MOST;
    h->again = now + h->period;
}

void tern_black_hole_answered(tern_black_hole *h)
{
    *h = (tern_black_hole){0};
}

bool tern_black_hole_holds(const tern_black_hole *h, uint64_t now)
{
    return h->lost == TERN_BLACK_HOLE_LOST && now < h->again;
}
