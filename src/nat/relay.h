/* The relay's side of circuit relay v2 (libp2p specs, relay/circuit-v2): peers that cannot be
 * dialled reserve a place here, others reach them through it, within limits.
 *
 *     peer behind a NAT -- RESERVE --> relay
 *     somebody -- CONNECT --> relay -- CONNECT over the stop protocol --> that peer
 *     somebody <============ the two streams, spliced ============> that peer
 *
 * A reservation lives until it expires or the last connection to its peer is gone. Nothing is ever
 * dialled for a CONNECT. Who comes through a relay himself is refused. Whom the node's owner knows
 * (net->ops->known) has a place whatever his address, and where all are taken that of a stranger.
 */
#ifndef TERN_NAT_RELAY_H
#define TERN_NAT_RELAY_H

#include "core/net.h"

typedef struct tern_relay_limits {
    uint32_t reservations;             /* in all */
    uint32_t reservations_per_ip;      /* IPv4 address or IPv6 /56; 0 = no limit */
    uint32_t reservations_per_network; /* IPv4 /16 or IPv6 /32; 0 = no limit */
    uint32_t circuits;                 /* in all */
    uint32_t circuits_per_peer;        /* from one, and to one */
    uint64_t ttl;                      /* of a reservation, nanoseconds */
    uint64_t duration;                 /* of a circuit, nanoseconds; 0 = without end */
    uint64_t data;                     /* of a circuit, bytes each way; 0 = without end */
    uint64_t rate;                     /* of a circuit, bytes a second each way; 0 = any */
} tern_relay_limits;

/* 128 reservations, 8 an address, 32 a network, 1024 circuits, 16 a peer, an hour; 2 minutes and
 * 128 KiB a circuit at any rate: as go, whose network is an IPv6's ASN. */
void tern_relay_limits_default(tern_relay_limits *ret);

typedef struct tern_relay tern_relay;

/* Serves the hop protocol from now on. TERN_E_NOMEM, TERN_E_STATE (served already). */
int tern_relay_new(tern_net *net, const tern_relay_limits *limits, tern_relay **ret);
/* Serves (again), or does not any more: places are forgotten then and nothing new is let through;
 * circuits last as long as they may. */
void tern_relay_serve(tern_relay *relay, bool on);
/* Once the net has stopped: no stream is open any more. NULL is nothing. */
void tern_relay_free(tern_relay *relay);

/* How many there are now. */
size_t tern_relay_reservations(const tern_relay *relay);
size_t tern_relay_circuits(const tern_relay *relay);

#endif
