/* The transport /ip4|ip6/../udp/PORT/quic-v1 (libp2p specs, quic; RFC 9000, 9001, 9002), server and
 * client, on ngtcp2. It yields conns: QUIC secures and multiplexes by itself. */
#ifndef TERN_QUIC_QUIC_H
#define TERN_QUIC_QUIC_H

#include "core/transport.h"

extern const tern_transport tern_quic_transport;

/* Frees what the transport keeps for a net (certificate, endpoints); after its conns are gone. NULL
 * in net->quic is nothing. */
void tern_quic_free(tern_net *net);

#endif
