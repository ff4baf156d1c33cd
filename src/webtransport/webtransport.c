/* The transport "webtransport": dialling and listening; see webtransport.h. */
#include "webtransport/webtransport.h"

#include "base/error.h"
#include "base/mem.h"
#include "webtransport/session.h"

typedef struct wt_listener {
    tern_listener base;
    tern_list link; /* in w->listeners */
    tern_webtransport *w;
    struct quic_endpoint *endpoint;
    tern_endpoint at;
} wt_listener;

/* ---- addresses ---- */

/* Whether it is /ip|dns../udp/../quic-v1/webtransport, and what follows: only certhashes, a
 * trailing /p2p left out. */
static bool is_ours(const tern_multiaddr *addr, bool names, size_t *ret_hashes)
{
    static const uint32_t by_ip[] = {TERN_MA_IP4, TERN_MA_UDP, TERN_MA_QUIC_V1,
                                     TERN_MA_WEBTRANSPORT, 0};
    static const uint32_t by_name[] = {TERN_MA_DNS, TERN_MA_UDP, TERN_MA_QUIC_V1,
                                       TERN_MA_WEBTRANSPORT, 0};
    tern_ma_part part;
    size_t at = 0, end = 0;
    *ret_hashes = 0;
    while (tern_ma_next(addr, &at, &part)) {
        if (part.code == TERN_MA_WEBTRANSPORT && end == 0) {
            end = at;
        } else if (end > 0 && part.code == TERN_MA_CERTHASH) {
            (*ret_hashes)++;
        } else if (end > 0 && part.code != TERN_MA_P2P) {
            return false;
        }
    }
    tern_multiaddr *front = end > 0 ? tern_ma_slice(addr, 0, end) : NULL;
    bool ours = front != NULL &&
                (tern_ma_matches(front, by_ip) || (names && tern_ma_matches(front, by_name)));
    tern_multiaddr_unref(front);
    return ours;
}

static bool dials(const tern_multiaddr *addr)
{
    size_t hashes;
    return is_ours(addr, true, &hashes) && hashes > 0;
}

static bool listens(const tern_multiaddr *addr)
{
    size_t hashes;
    return is_ours(addr, false, &hashes);
}

/* ---- dialling ---- */

/* The SHA-256 hashes of an address; others are passed over. */
static void read_hashes(const tern_multiaddr *addr, wt_session *s)
{
    tern_ma_part part;
    size_t at = 0;
    while (tern_ma_next(addr, &at, &part) && s->hash_count < WT_DIALLED_MAX) {
        if (part.code == TERN_MA_CERTHASH && part.value.len == WT_HASH &&
            part.value.data[0] == 0x12 && part.value.data[1] == WT_HASH - 2) {
            memcpy(s->hashes[s->hash_count++], part.value.data, WT_HASH);
        }
    }
}

static int dial(tern_dial_op *op, tern_error *reterr)
{
    tern_endpoint to;
    uint32_t transport;
    if (!tern_ma_endpoint(op->addr, &to, &transport) || transport != TERN_MA_UDP) {
        return tern_fail(reterr, TERN_E_INVALID, "webtransport",
                         "%s does not begin with an IP and UDP port",
                         tern_multiaddr_text(op->addr));
    }
    wt_session *s = wt_session_dial(op->net, op->addr, &to, &op->expected);
    if (s == NULL) {
        return tern_fail(reterr, TERN_E_NOMEM, "webtransport", "out of memory");
    }
    read_hashes(op->addr, s);
    int code = s->hash_count > 0 ? tern_quic_app_dial(op, &to, &wt_app, s, reterr)
                                 : tern_fail(reterr, TERN_E_INVALID, "webtransport",
                                             "%s names no SHA-256 certificate hash",
                                             tern_multiaddr_text(op->addr));
    if (code != 0) {
        wt_session_free(s);
    }
    return code;
}

/* ---- listening ---- */

void wt_listeners_changed(tern_webtransport *w)
{
    for (tern_list *l = w->listeners.next; l != &w->listeners; l = l->next) {
        wt_listener *listener = TERN_CONTAINER(l, wt_listener, link);
        tern_multiaddr *addr = wt_addr(&listener->at, w);
        tern_quic_app_show(listener->endpoint, w->shown);
        if (addr != NULL) {
            tern_multiaddr_unref(listener->base.addr);
            listener->base.addr = addr;
        }
    }
}

static void close_listener(tern_listener *base)
{
    wt_listener *l = (wt_listener *)base;
    tern_quic_app_unlisten(l->endpoint);
    tern_list_remove(&l->link);
    tern_multiaddr_unref(base->addr);
    tern_free(l);
}

static int listen_on(tern_net *net, const tern_multiaddr *addr, const tern_listener_events *events,
                     void *owner, tern_listener **ret, tern_error *reterr)
{
    tern_endpoint at;
    uint32_t kind;
    tern_webtransport *w;
    if (!listens(addr) || !tern_ma_endpoint(addr, &at, &kind)) {
        return tern_fail(reterr, TERN_E_INVALID, "webtransport",
                         "%s is no address to listen on with this transport",
                         tern_multiaddr_text(addr));
    }
    int code = wt_of(net, &w, reterr);
    if (code != 0) {
        return code;
    }
    wt_listener *l = tern_calloc(1, sizeof *l);
    if (l == NULL) {
        return tern_fail(reterr, TERN_E_NOMEM, "webtransport", "out of memory");
    }
    l->w = w;
    l->base = (tern_listener){.transport = &tern_webtransport_transport,
                              .events = events,
                              .owner = owner,
                              .close = close_listener};
    code = tern_quic_app_listen(net, &at, &wt_app, &l->base, &l->endpoint, &l->at, reterr);
    if (code != 0) {
        tern_free(l);
        return code;
    }
    tern_list_push(&w->listeners, &l->link);
    tern_quic_app_show(l->endpoint, w->shown);
    l->base.addr = wt_addr(&l->at, w);
    if (l->base.addr == NULL) {
        close_listener(&l->base);
        return tern_fail(reterr, TERN_E_NOMEM, "webtransport", "out of memory");
    }
    *ret = &l->base;
    return 0;
}

const tern_transport tern_webtransport_transport = {
    .name = "webtransport",
    .native = true,
    .dials = dials,
    .listens = listens,
    .dial = dial,
    .listen = listen_on,
};
