/* The list of what a node is made of. A new transport, security layer, muxer or protocol is one
 * line here. */
#include "host/parts.h"

#include "mux/mplex.h"
#include "mux/yamux.h"
#include "nat/autonat_message.h"
#include "nat/punch_message.h"
#include "nat/circuit.h"
#include "nat/relay_message.h"
#include "proto/identify.h"
#include "proto/perf.h"
#include "proto/ping.h"
#include "quic/quic.h"
#include "secure/noise.h"
#include "secure/tls.h"
#include "transport/tcp.h"
#include "transport/ws.h"
#include "webrtc/direct.h"
#include "webtransport/webtransport.h"

const tern_transport *const tern_parts_transports[] = {
    &tern_quic_transport,    &tern_wss_transport,
    &tern_ws_transport,      &tern_tcp_transport,
    &tern_webrtc_direct,     &tern_webtransport_transport,
    &tern_circuit_transport, NULL};
const tern_secure *const tern_parts_secures[] = {&tern_noise, &tern_tls, NULL};
const tern_mux *const tern_parts_muxes[] = {&tern_yamux, &tern_mplex, NULL};

static const tern_feature features[] = {
    {"transport", "tcp", "/ip4|ip6|dns*/…/tcp/PORT", true, true},
    {"transport", "ws", "/ip4|ip6|dns*/…/tcp/PORT/ws", true, true},
    {"transport", "wss", "/ip4|ip6|dns*/…/tcp/PORT/tls/ws, …/tls/sni/NAME/ws, …/wss", true, true},
    {"transport", "quic-v1", "/ip4|ip6|dns*/…/udp/PORT/quic-v1", true, true},
    {"transport", "webtransport",
     "/ip4|ip6|dns*/…/udp/PORT/quic-v1/webtransport/certhash/HASH/certhash/HASH", true, true},
    {"transport", "webrtc-direct", "/ip4|ip6|dns*/…/udp/PORT/webrtc-direct/certhash/HASH", true,
     true},
    {"transport", "circuit", "RELAY/p2p/ID/p2p-circuit", true, true},
    {"security", "noise", "/noise", true, true},
    {"security", "tls", "/tls/1.0.0", true, true},
    {"network", "private (PSK)", "/key/swarm/psk/1.0.0", true, true},
    {"muxer", "yamux", "/yamux/1.0.0", true, true},
    {"muxer", "mplex", "/mplex/6.7.0", true, true},
    {"protocol", "identify", TERN_IDENTIFY_ID, true, true},
    {"protocol", "identify push", TERN_IDENTIFY_PUSH_ID, true, true},
    {"protocol", "ping", TERN_PING_ID, true, true},
    {"protocol", "perf", TERN_PERF_ID, true, true},
    {"protocol", "relay hop", TERN_RELAY_HOP_ID, true, true},
    {"protocol", "relay stop", TERN_RELAY_STOP_ID, true, true},
    {"protocol", "autonat", TERN_AUTONAT_1_ID, true, true},
    {"protocol", "autonat 2 dial request", TERN_AUTONAT_REQUEST_ID, true, true},
    {"protocol", "autonat 2 dial back", TERN_AUTONAT_DIAL_BACK_ID, true, true},
    {"protocol", "hole punching (DCUtR)", TERN_PUNCH_ID, true, true},
    {"gateway", "PCP", "RFC 6887", true, false},
    {"gateway", "NAT-PMP", "RFC 6886", true, false},
#ifdef TERN_UPNP
    {"gateway", "UPnP IGD", "WANIPConnection:1", true, false},
#endif
    {"key", "ed25519", "", true, true},
    {"key", "secp256k1", "", true, true},
    {"key", "ecdsa", "P-256", true, true},
    {"key", "rsa", "2048 to 8192 bits", true, true},
};

size_t tern_features(const tern_feature **ret)
{
    *ret = features;
    return sizeof features / sizeof *features;
}

const char *tern_transport_for(const tern_multiaddr *addr)
{
    for (size_t i = 0; tern_parts_transports[i] != NULL; i++) {
        if (tern_parts_transports[i]->dials(addr)) {
            return tern_parts_transports[i]->name;
        }
    }
    return NULL;
}

void tern_parts_let_go(tern_net *net)
{
    tern_webtransport_free(net);
    tern_quic_free(net);
}
