/* The transport "circuit" (libp2p specs, relay/circuit-v2), the client's side: streams that run
 * through a relay, to be upgraded as any other.
 *
 *     dial      RELAY/p2p/R/p2p-circuit/p2p/PEER    the relay is asked to connect us
 *     listen    RELAY/p2p/R/p2p-circuit             a place is reserved there, and kept
 *
 * A listener dials its relay by itself, again and again with longer pauses; its address is
 * announced while the reservation holds. The reservation is renewed after three quarters of its
 * time, and made anew when the last connection to the relay is gone. Streams of a relay that said a
 * limit are marked (tern_stream.limited). */
#ifndef TERN_NAT_CIRCUIT_H
#define TERN_NAT_CIRCUIT_H

#include "core/transport.h"

extern const tern_transport tern_circuit_transport;

/* A place at a relay that is listened at; valid during the call. */
typedef struct tern_circuit_place {
    const tern_multiaddr *addr;
    const tern_peer_id *relay;
    uint64_t expires;      /* Unix seconds; 0 = not held */
    uint32_t duration;     /* of a circuit there, seconds; 0 = without end */
    uint64_t data;         /* bytes each way; 0 = without end */
    bool found;            /* by nat/relay_find */
    const tern_error *why; /* not held: the last failure, code 0 when there was none yet */
} tern_circuit_place;
void tern_circuit_places(const tern_net *net,
                         void (*fn)(void *arg, const tern_circuit_place *place), void *arg);

#endif
