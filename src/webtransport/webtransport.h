/* The transport /ip4|ip6/../udp/PORT/quic-v1/webtransport/certhash/.. (libp2p specs, webtransport;
 * draft-ietf-webtrans-http3), server and client. It yields conns: QUIC multiplexes, TLS with a
 * certificate that the address names encrypts, Noise says who the peer is. */
#ifndef TERN_WEBTRANSPORT_WEBTRANSPORT_H
#define TERN_WEBTRANSPORT_WEBTRANSPORT_H

#include "core/transport.h"

extern const tern_transport tern_webtransport_transport;

/* Frees what the transport keeps for a net; after its conns are gone. NULL in net->webtransport is
 * nothing. */
void tern_webtransport_free(tern_net *net);

#endif
