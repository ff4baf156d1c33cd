/* The order in which a peer's addresses are dialled: see dial_rank.h. */
#include "swarm/dial_rank.h"

#include "codec/multiaddr.h"
#include "swarm/black_hole.h"

/* Score, from the most significant: relayed, kind of network, transport; the IP family is handled
 * by taking turns, not by the score. */
enum { SCORE_RELAYED = 1 << 16, SCORE_PUBLIC = 1 << 8, SCORE_LATE = 1 << 7 };

static uint32_t transport_score(const tern_multiaddr *a)
{
    static const struct {
        uint32_t code, score;
    } order[] = {
        {TERN_MA_WEBTRANSPORT, 1}, {TERN_MA_QUIC_V1, 0}, {TERN_MA_WEBRTC_DIRECT, 6},
        {TERN_MA_WSS, 4},          {TERN_MA_TLS, 4},     {TERN_MA_WS, 3},
        {TERN_MA_TCP, 2},
    };
    tern_ma_part part;
    for (size_t i = 0; i < sizeof order / sizeof *order; i++) {
        if (tern_ma_find(a, order[i].code, &part)) {
            return order[i].score;
        }
    }
    return 9;
}

tern_dial_rank tern_dial_rank_of(const tern_multiaddr *addr)
{
    tern_dial_rank rank = {.score = transport_score(addr), .stagger = TERN_DIAL_STAGGER_PUBLIC};
    tern_endpoint e;
    uint32_t transport;
    tern_ma_part part;
    if (tern_ma_endpoint(addr, &e, &transport)) {
        if (tern_endpoint_is_public(&e)) {
            rank.score += SCORE_PUBLIC;
        } else {
            rank.stagger = TERN_DIAL_STAGGER_PRIVATE;
        }
    }
    if (tern_ma_find(addr, TERN_MA_P2P_CIRCUIT, &part)) {
        rank.score += SCORE_RELAYED;
        rank.stagger = TERN_DIAL_STAGGER_RELAY;
    }
    return rank;
}

bool tern_dial_rank_is_ip6(const tern_multiaddr *a)
{
    tern_ma_part part;
    return tern_ma_find(a, TERN_MA_IP6, &part);
}

/* The best address left of the wanted family with that score. */
static size_t pick(tern_multiaddr *const *addrs, const uint32_t *scores, const bool *used, size_t n,
                   uint32_t score, int family6)
{
    for (size_t i = 0; i < n; i++) {
        if (!used[i] && scores[i] == score &&
            (family6 < 0 || tern_dial_rank_is_ip6(addrs[i]) == (family6 == 1))) {
            return i;
        }
    }
    return n;
}

void tern_dial_rank_order(tern_multiaddr *const *addrs, size_t n, bool ip6_first, bool udp_last,
                          size_t *order)
{
    enum { MOST = 128 };
    uint32_t scores[MOST];
    bool used[MOST] = {false};
    if (n > MOST) {
        n = MOST;
    }
    for (size_t i = 0; i < n; i++) {
        scores[i] = tern_dial_rank_of(addrs[i]).score;
        scores[i] += udp_last && tern_black_hole_concerns(addrs[i]) ? SCORE_LATE : 0;
    }
    int want6 = ip6_first;
    for (size_t done = 0; done < n; done++) {
        uint32_t best = UINT32_MAX;
        for (size_t i = 0; i < n; i++) {
            if (!used[i] && scores[i] < best) {
                best = scores[i];
            }
        }
        size_t i = pick(addrs, scores, used, n, best, want6);
        if (i == n) {
            i = pick(addrs, scores, used, n, best, -1);
        }
        used[i] = true;
        order[done] = i;
        want6 = !tern_dial_rank_is_ip6(addrs[i]);
    }
}
