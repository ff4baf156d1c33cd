/* The transport /ip4|ip6/../tcp/PORT: raw libp2p over TCP. */
#ifndef TERN_TRANSPORT_TCP_H
#define TERN_TRANSPORT_TCP_H

#include "core/transport.h"

extern const tern_transport tern_tcp_transport;

#endif
