/* Which connections are worth keeping: tags and protections of peers, and the trimming of idle
 * connections when there are more than the high water.
 *
 * Trimming closes down to the low water, the least valuable first: the sum of the peer's tags, then
 * without streams before with, inbound before outbound, the longest without use first. Protected
 * peers, and connections younger than the grace, stay. */
#ifndef TERN_SWARM_CONNMGR_H
#define TERN_SWARM_CONNMGR_H

#include <tern/peer_id.h>

#include "base/map.h"
#include "core/net.h"

enum { TERN_CONNMGR_TAGS_MAX = 32 }; /* of one peer, tags and protections */

typedef struct tern_connmgr {
    tern_map peers;     /* peer id -> what the owner says of it */
    tern_timer timer;   /* of the next trimming */
    uint64_t trimmed;   /* when the last one was; 0 = never */
    tern_deferred over; /* queued when more memory is used than allowed */
} tern_connmgr;

void tern_connmgr_init(tern_connmgr *m);
void tern_connmgr_free(tern_connmgr *m);

/* Values a peer; the same tag again replaces its value, 0 takes it away. TERN_E_NOMEM,
 * TERN_E_LIMIT. */
int tern_connmgr_tag(tern_connmgr *m, const tern_peer_id *peer, const char *tag, int32_t value);
/* Nothing of a protected peer is trimmed; it is so until every tag that protects it is gone. */
int tern_connmgr_protect(tern_connmgr *m, const tern_peer_id *peer, const char *tag);
/* Whether the peer is still protected, by another tag. */
bool tern_connmgr_unprotect(tern_connmgr *m, const tern_peer_id *peer, const char *tag);
bool tern_connmgr_protected(const tern_connmgr *m, const tern_peer_id *peer);
/* Whether a tag that does not begin with a colon protects or values it. */
bool tern_connmgr_known(const tern_connmgr *m, const tern_peer_id *peer);
int64_t tern_connmgr_value(const tern_connmgr *m, const tern_peer_id *peer);

struct tern_swarm;
/* A connection has come: trims when it is time. */
void tern_connmgr_check(struct tern_swarm *swarm);
/* Something new has come. When memory is short the connection that holds most is closed, and more
 * of them, if they hold much, until something new has place. Returns what the pressure is then. */
tern_pressure tern_connmgr_relieve(struct tern_swarm *swarm);
/* tern_net_ops.relieve: closes those that hold most, as many as must be, at the end of the turn. */
void tern_connmgr_over(tern_net *net);

#endif
