/* Multiaddrs inside the library: walking, composing, and the way to and from sockets' endpoints.
 * The type and its text and byte forms are public (tern/multiaddr.h). */
#ifndef TERN_CODEC_MULTIADDR_H
#define TERN_CODEC_MULTIADDR_H

#include <tern/multiaddr.h>

#include "base/bytes.h"
#include "base/endpoint.h"

enum {
    TERN_MA_IP4 = 4,
    TERN_MA_TCP = 6,
    TERN_MA_DCCP = 33,
    TERN_MA_IP6 = 41,
    TERN_MA_IP6ZONE = 42,
    TERN_MA_IPCIDR = 43,
    TERN_MA_DNS = 53,
    TERN_MA_DNS4 = 54,
    TERN_MA_DNS6 = 55,
    TERN_MA_DNSADDR = 56,
    TERN_MA_SCTP = 132,
    TERN_MA_UDP = 273,
    TERN_MA_P2P_WEBRTC_STAR = 275,
    TERN_MA_P2P_WEBRTC_DIRECT = 276,
    TERN_MA_P2P_STARDUST = 277,
    TERN_MA_WEBRTC_DIRECT = 280,
    TERN_MA_WEBRTC = 281,
    TERN_MA_P2P_CIRCUIT = 290,
    TERN_MA_UDT = 301,
    TERN_MA_UTP = 302,
    TERN_MA_UNIX = 400,
    TERN_MA_P2P = 421,
    TERN_MA_HTTPS = 443,
    TERN_MA_ONION = 444,
    TERN_MA_ONION3 = 445,
    TERN_MA_GARLIC64 = 446,
    TERN_MA_GARLIC32 = 447,
    TERN_MA_TLS = 448,
    TERN_MA_SNI = 449,
    TERN_MA_NOISE = 454,
    TERN_MA_QUIC = 460,
    TERN_MA_QUIC_V1 = 461,
    TERN_MA_WEBTRANSPORT = 465,
    TERN_MA_CERTHASH = 466,
    TERN_MA_WS = 477,
    TERN_MA_WSS = 478,
    TERN_MA_P2P_WEBSOCKET_STAR = 479,
    TERN_MA_HTTP = 480,
    TERN_MA_HTTP_PATH = 481,
    TERN_MA_MEMORY = 777,
};

enum { TERN_MA_MAX = 2048 }; /* most bytes (and characters) of one address */

/* One component, in place. */
typedef struct tern_ma_part {
    uint32_t code;
    tern_span value; /* without the length prefix; empty for those without a value */
    tern_span whole; /* code, length and value */
} tern_ma_part;

/* Walks: *at starts at 0; false at the end. */
bool tern_ma_next(const tern_multiaddr *a, size_t *at, tern_ma_part *ret);
/* The first / last component with that code; false if there is none. */
bool tern_ma_find(const tern_multiaddr *a, uint32_t code, tern_ma_part *ret);
bool tern_ma_find_last(const tern_multiaddr *a, uint32_t code, tern_ma_part *ret);
/* Whether the components' codes, from the first on, are exactly `codes` (0-terminated); a trailing
 * /p2p is not counted, nor is an ip6zone. TERN_MA_IP4 in the pattern matches IP4 and IP6,
 * TERN_MA_DNS any of dns, dns4, dns6. */
bool tern_ma_matches(const tern_multiaddr *a, const uint32_t *codes);
/* The name of a code in text ("ip4"), NULL if unknown. */
const char *tern_ma_name(uint32_t code);

/* New addresses; NULL without memory, or when the result would be no address (empty, over
 * TERN_MA_MAX, a value that its protocol does not take). */
/* a then b; NULL for either is nothing. */
tern_multiaddr *tern_ma_join(const tern_multiaddr *a, const tern_multiaddr *b);
/* The components between two byte offsets at component borders. */
tern_multiaddr *tern_ma_slice(const tern_multiaddr *a, size_t from, size_t to);
/* a (may be NULL) and one more component. */
tern_multiaddr *tern_ma_with(const tern_multiaddr *a, uint32_t code, const void *value, size_t n);
/* Without its trailing /p2p component (the same address again if it has none); NULL also when that
 * leaves nothing. */
tern_multiaddr *tern_ma_without_p2p(const tern_multiaddr *a);

/* /ip4|ip6/../tcp|udp/PORT for an endpoint; transport = TERN_MA_TCP or TERN_MA_UDP. */
tern_multiaddr *tern_ma_from_endpoint(const tern_endpoint *e, uint32_t transport);
/* The same address with another IP and port in front, of the same transport. NULL also when it does
 * not begin with an endpoint. */
tern_multiaddr *tern_ma_at(const tern_multiaddr *a, const tern_endpoint *e);
/* The endpoint that begins an address: [/ip6zone]/ip4|ip6/../tcp|udp/PORT. False if it begins
 * otherwise. */
bool tern_ma_endpoint(const tern_multiaddr *a, tern_endpoint *ret, uint32_t *ret_transport);

#endif
