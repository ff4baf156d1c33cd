/* Ping (libp2p specs, ping): /ipfs/ping/1.0.0, 32 random bytes echoed. */
#ifndef TERN_PROTO_PING_H
#define TERN_PROTO_PING_H

#include "core/net.h"

#define TERN_PING_ID "/ipfs/ping/1.0.0"

/* Serves it: echoes each 32-byte block as soon as it is whole, at most two streams a connection. */
int tern_ping_serve(tern_net *net);

/* The asking side for one connection. It keeps its stream open between pings, ends it after 10 s
 * without one, and opens a new one then, or when the peer ended it. */
typedef struct tern_pinger tern_pinger;

tern_pinger *tern_pinger_new(tern_net *net, tern_conn *conn); /* NULL when memory is short */
/* One ping; the first is optimistic: it travels with the negotiation. done comes once, from the
 * loop, rtt in nanoseconds; errors TIMEOUT (10 s), PROTOCOL (a wrong echo, counted ping_wrong, the
 * stream is reset), NEGOTIATION, CONN_CLOSED, NOMEM. Several may be under way; they are answered in
 * order. 0 or TERN_E_NOMEM, TERN_E_LIMIT (32 are under way). */
int tern_pinger_ping(tern_pinger *p, void (*done)(void *owner, uint64_t rtt, const tern_error *e),
                     void *owner);
/* Ends it: pings under way are told TERN_E_CANCELLED first. The conn may be closing. */
void tern_pinger_free(tern_pinger *p);

#endif
