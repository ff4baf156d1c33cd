/* Every protocol that may stand in a multiaddr, by code and by name (multiformats "multiaddr"
 * specification, table of protocols). */
#include "codec/multiaddr.h"
#include "codec/multiaddr_value.h"

/* In the order of the codes, for the binary search. */
static const tern_ma_protocol protocols[] = {
    {TERN_MA_IP4, "ip4", &tern_ma_kind_ip4},
    {TERN_MA_TCP, "tcp", &tern_ma_kind_port},
    {TERN_MA_DCCP, "dccp", &tern_ma_kind_port},
    {TERN_MA_IP6, "ip6", &tern_ma_kind_ip6},
    {TERN_MA_IP6ZONE, "ip6zone", &tern_ma_kind_name},
    {TERN_MA_IPCIDR, "ipcidr", &tern_ma_kind_cidr},
    {TERN_MA_DNS, "dns", &tern_ma_kind_name},
    {TERN_MA_DNS4, "dns4", &tern_ma_kind_name},
    {TERN_MA_DNS6, "dns6", &tern_ma_kind_name},
    {TERN_MA_DNSADDR, "dnsaddr", &tern_ma_kind_name},
    {TERN_MA_SCTP, "sctp", &tern_ma_kind_port},
    {TERN_MA_UDP, "udp", &tern_ma_kind_port},
    {TERN_MA_P2P_WEBRTC_STAR, "p2p-webrtc-star", &tern_ma_kind_none},
    {TERN_MA_P2P_WEBRTC_DIRECT, "p2p-webrtc-direct", &tern_ma_kind_none},
    {TERN_MA_P2P_STARDUST, "p2p-stardust", &tern_ma_kind_none},
    {TERN_MA_WEBRTC_DIRECT, "webrtc-direct", &tern_ma_kind_none},
    {TERN_MA_WEBRTC, "webrtc", &tern_ma_kind_none},
    {TERN_MA_P2P_CIRCUIT, "p2p-circuit", &tern_ma_kind_none},
    {TERN_MA_UDT, "udt", &tern_ma_kind_none},
    {TERN_MA_UTP, "utp", &tern_ma_kind_none},
    {TERN_MA_UNIX, "unix", &tern_ma_kind_unix},
    {TERN_MA_P2P, "p2p", &tern_ma_kind_peer},
    {TERN_MA_HTTPS, "https", &tern_ma_kind_none},
    {TERN_MA_ONION, "onion", &tern_ma_kind_onion},
    {TERN_MA_ONION3, "onion3", &tern_ma_kind_onion3},
    {TERN_MA_GARLIC64, "garlic64", &tern_ma_kind_garlic64},
    {TERN_MA_GARLIC32, "garlic32", &tern_ma_kind_garlic32},
    {TERN_MA_TLS, "tls", &tern_ma_kind_none},
    {TERN_MA_SNI, "sni", &tern_ma_kind_name},
    {TERN_MA_NOISE, "noise", &tern_ma_kind_none},
    {TERN_MA_QUIC, "quic", &tern_ma_kind_none},
    {TERN_MA_QUIC_V1, "quic-v1", &tern_ma_kind_none},
    {TERN_MA_WEBTRANSPORT, "webtransport", &tern_ma_kind_none},
    {TERN_MA_CERTHASH, "certhash", &tern_ma_kind_certhash},
    {TERN_MA_WS, "ws", &tern_ma_kind_none},
    {TERN_MA_WSS, "wss", &tern_ma_kind_none},
    {TERN_MA_P2P_WEBSOCKET_STAR, "p2p-websocket-star", &tern_ma_kind_none},
    {TERN_MA_HTTP, "http", &tern_ma_kind_none},
    {TERN_MA_HTTP_PATH, "http-path", &tern_ma_kind_http_path},
    {TERN_MA_MEMORY, "memory", &tern_ma_kind_memory},
};

enum { PROTOCOLS = sizeof protocols / sizeof protocols[0] };

const tern_ma_protocol *tern_ma_protocol_by_code(uint64_t code)
{
    size_t low = 0, high = PROTOCOLS;
    while (low < high) {
        size_t middle = (low + high) / 2;
        if (protocols[middle].code == code) {
            return &protocols[middle];
        }
        if (protocols[middle].code < code) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    return NULL;
}

const tern_ma_protocol *tern_ma_protocol_by_name(const char *name, size_t n)
{
    if (n == 4 && memcmp(name, "ipfs", 4) == 0) {
        return tern_ma_protocol_by_code(TERN_MA_P2P); /* its name before 2019 */
    }
    for (size_t i = 0; i < PROTOCOLS; i++) {
        if (strlen(protocols[i].name) == n && memcmp(protocols[i].name, name, n) == 0) {
            return &protocols[i];
        }
    }
    return NULL;
}

const char *tern_ma_name(uint32_t code)
{
    const tern_ma_protocol *p = tern_ma_protocol_by_code(code);
    return p != NULL ? p->name : NULL;
}
