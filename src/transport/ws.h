/* The transport /ip4|ip6/../tcp/PORT/ws: libp2p in WebSocket messages (RFC 6455). */
#ifndef TERN_TRANSPORT_WS_H
#define TERN_TRANSPORT_WS_H

#include "core/transport.h"

extern const tern_transport tern_ws_transport, tern_wss_transport;

#endif
