/* Whether the network lets UDP through: some drop all of it, and each dial would wait for QUIC's
 * head start in vain. What is dialled over UDP to public addresses is watched: after so many dials
 * without an answer, and none with one, UDP is dialled last, and tried again first from time to
 * time. A pure function of what it is told; forgotten when the machine's addresses change. */
#ifndef TERN_SWARM_BLACK_HOLE_H
#define TERN_SWARM_BLACK_HOLE_H

#include "codec/multiaddr.h"
#include "loop/loop.h"

enum { TERN_BLACK_HOLE_LOST = 4 };                 /* unanswered dials in a row that tell */
#define TERN_BLACK_HOLE_FIRST (60 * TERN_SEC)      /* until it is tried again, doubling ... */
#define TERN_BLACK_HOLE_MOST  (16 * 60 * TERN_SEC) /* ... up to this */

typedef struct tern_black_hole {
    unsigned lost;   /* in a row */
    uint64_t again;  /* the clock when UDP may be first again, while lost is TERN_BLACK_HOLE_LOST */
    uint64_t period; /* how long until then; 0 = none yet */
} tern_black_hole;

/* Whether a dial of the address says something about it: UDP to a public address. */
bool tern_black_hole_concerns(const tern_multiaddr *addr);
/* A dial was not answered while there was time for it / was answered. */
void tern_black_hole_lost(tern_black_hole *h, uint64_t now);
void tern_black_hole_answered(tern_black_hole *h);
/* Whether UDP comes last now. */
bool tern_black_hole_holds(const tern_black_hole *h, uint64_t now);

#endif
