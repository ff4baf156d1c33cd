/* The transport "webrtc-direct": conns over UDP, for browsers and for everybody else (libp2p specs,
 * webrtc-direct). */
#ifndef TERN_WEBRTC_DIRECT_H
#define TERN_WEBRTC_DIRECT_H

#include "core/transport.h"

/* Addresses are /ip/udp/PORT/webrtc-direct, with /certhash/HASH behind for dialling. A listener's
 * address has the hash of the certificate that is derived from the identity, so it outlives
 * restarts. Listeners share their UDP port with other transports (loop/udp_port); dials leave from
 * a port of their own, since a port tells its peers apart by their addresses alone. */
extern const tern_transport tern_webrtc_direct;

#endif
