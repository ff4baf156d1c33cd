/* Names in addresses to IPs: /dns, /dns4, /dns6 by A and AAAA records, /dnsaddr by TXT records at
 * _dnsaddr.<name>, which may name further names (libp2p specs, addressing). Bounded in depth,
 * look-ups and results. */
#ifndef TERN_SWARM_RESOLVE_H
#define TERN_SWARM_RESOLVE_H

#include "core/net.h"
#include "loop/dns.h"

enum { TERN_RESOLVE_DEPTH_MAX = 4, TERN_RESOLVE_LOOKUPS_MAX = 32, TERN_RESOLVE_RESULTS_MAX = 100 };

typedef struct tern_resolve {
    tern_op op; /* initialise with tern_op_init; error NOT_FOUND when nothing came of it */
    /* in */
    tern_net *net;
    tern_peer_id peer; /* len != 0: /dnsaddr results that name another peer are left out */
    /* Each address as it is found, beginning with an IP; the name it was resolved from or NULL.
     * Lent. May be called from inside tern_resolve_start too. */
    void (*on_addr)(struct tern_resolve *r, const tern_multiaddr *addr, const char *host);
    void *owner;
    /* private */
    tern_list lookups;
    unsigned lookup_count, result_count;
    tern_error last;
} tern_resolve;

bool tern_resolve_needed(const tern_multiaddr *addr);
/* Starts op. 0 or TERN_E_NOMEM. */
int tern_resolve_start(tern_resolve *r, const tern_multiaddr *addr);

#endif
