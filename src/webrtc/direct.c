/* The transport "webrtc-direct": see direct.h; how connections come about is conn.c. */
#include "webrtc/direct.h"

#include "base/error.h"
#include "base/mem.h"
#include "crypto/cert_derive.h"
#include "crypto/symmetric.h"
#include "webrtc/conn.h"

/* 2020-01-01 to 2120-01-01: the hash in our address is to stay. */
#define FROM UINT64_C(1577836800)
#define TO   UINT64_C(4733510400)

#define CLIENT_LIFE (3600 * TERN_SEC) /* then dials get a fresh certificate: nobody links them */

enum { HASH = 2 + TERN_DTLS_FINGERPRINT };

/* ---- certificates ---- */

static int make_context(tern_cert *cert, tern_dtls_context **ret, uint8_t *hash)
{
    tern_span der = tern_cert_der(cert);
    int code = tern_sha256(&der, 1, hash);
    return code == 0 ? tern_dtls_context_new(cert, ret) : code;
}

static int server_context(tern_webrtc *w)
{
    static const tern_cert_recipe recipe = {"tern webrtc-direct certificate", FROM, TO};
    tern_cert *cert;
    int code = tern_cert_derive(w->net->key, &recipe, &cert);
    if (code == 0) {
        code = make_context(cert, &w->server, w->server_hash);
        tern_cert_free(cert);
    }
    return code;
}

/* From yesterday, so that a clock that is behind takes it, for a year. */
static int client_context(tern_webrtc *w)
{
    uint8_t secret[32];
    uint64_t day = UINT64_C(86400), now = tern_loop_wall(w->net->loop) / TERN_SEC;
    const tern_cert_recipe recipe = {"dial", now > day ? now - day : 0, now + 365 * day};
    tern_cert *cert;
    tern_dtls_context *context;
    uint8_t hash[TERN_DTLS_FINGERPRINT];
    tern_loop_random(w->net->loop, secret, sizeof secret);
    int code = tern_cert_derive_from((tern_span){secret, sizeof secret}, &recipe, &cert);
    tern_wipe(secret, sizeof secret);
    if (code == 0) {
        code = make_context(cert, &context, hash);
        tern_cert_free(cert);
    }
    if (code == 0) {
        tern_dtls_context_free(w->client);
        w->client = context;
        memcpy(w->client_hash, hash, sizeof hash);
        w->client_born = tern_loop_now(w->net->loop);
    }
    return code;
}

int webrtc_contexts(tern_webrtc *w, bool server, tern_error *reterr)
{
    int code = 0;
    if (server && w->server == NULL) {
        code = server_context(w);
    } else if (!server &&
               (w->client == NULL || tern_loop_now(w->net->loop) - w->client_born > CLIENT_LIFE)) {
        code = client_context(w);
    }
    if (code != 0) {
        return tern_fail(reterr, code, "webrtc-direct", "the certificate cannot be made: %s",
                         tern_code_text(code));
    }
    return 0;
}

/* ---- addresses ---- */

static const uint32_t bare[] = {TERN_MA_IP4, TERN_MA_UDP, TERN_MA_WEBRTC_DIRECT, 0};
static const uint32_t hashed[] = {TERN_MA_IP4, TERN_MA_UDP, TERN_MA_WEBRTC_DIRECT, TERN_MA_CERTHASH,
                                  0};
static const uint32_t named[] = {TERN_MA_DNS, TERN_MA_UDP, TERN_MA_WEBRTC_DIRECT, TERN_MA_CERTHASH,
                                 0};

static bool dials(const tern_multiaddr *addr)
{
    return tern_ma_matches(addr, hashed) || tern_ma_matches(addr, named);
}

static bool listens(const tern_multiaddr *addr)
{
    return tern_ma_matches(addr, bare) || tern_ma_matches(addr, hashed);
}

static tern_multiaddr *and_then(tern_multiaddr *addr, uint32_t code, const void *value, size_t n)
{
    tern_multiaddr *longer = addr != NULL ? tern_ma_with(addr, code, value, n) : NULL;
    tern_multiaddr_unref(addr);
    return longer;
}

tern_multiaddr *webrtc_addr(const tern_endpoint *e, const uint8_t *hash)
{
    uint8_t multihash[HASH] = {0x12, TERN_DTLS_FINGERPRINT};
    tern_endpoint plain = *e;
    tern_endpoint_unmap(&plain);
    tern_multiaddr *addr =
        and_then(tern_ma_from_endpoint(&plain, TERN_MA_UDP), TERN_MA_WEBRTC_DIRECT, NULL, 0);
    if (hash != NULL) {
        memcpy(multihash + 2, hash, TERN_DTLS_FINGERPRINT);
        addr = and_then(addr, TERN_MA_CERTHASH, multihash, sizeof multihash);
    }
    return addr;
}

/* The SHA-256 hash in an address. */
static bool read_hash(const tern_multiaddr *addr, uint8_t out[TERN_DTLS_FINGERPRINT])
{
    tern_ma_part part;
    if (!tern_ma_find(addr, TERN_MA_CERTHASH, &part) || part.value.len != HASH ||
        part.value.data[0] != 0x12 || part.value.data[1] != TERN_DTLS_FINGERPRINT) {
        return false;
    }
    memcpy(out, part.value.data + 2, TERN_DTLS_FINGERPRINT);
    return true;
}

/* ---- dialling ---- */

static void cancel(tern_op *o)
{
    tern_dial_op *op = TERN_CONTAINER(o, tern_dial_op, op);
    webrtc_conn *c = op->state;
    op->state = NULL;
    if (op->conn != NULL) { /* finished, but nobody was told */
        tern_conn_drop(op->conn, 1, "cancelled");
        op->conn = NULL;
    } else if (c != NULL) {
        c->dial = NULL;
        webrtc_conn_fail(c, TERN_E_CANCELLED, "the dial was given up");
    }
}

void webrtc_dial_failed(webrtc_conn *c, const tern_error *why)
{
    tern_dial_op *op = c->dial;
    tern_error copy = *why;
    c->dial = NULL;
    op->state = NULL;
    if (copy.code == 0) {
        copy.code = TERN_E_CONN_CLOSED; /* a good end, but too early */
    }
    tern_op_finish(&op->op, &copy);
}

void webrtc_deliver(webrtc_conn *c)
{
    tern_dial_op *op = c->dial;
    tern_listener *l = c->endpoint->listener;
    if (op != NULL) {
        c->dial = NULL;
        op->state = NULL;
        op->conn = &c->base;
        tern_op_finish(&op->op, NULL);
    } else if (l != NULL) {
        l->events->on_conn(l->owner, l, &c->base);
    } else {
        tern_conn_drop(&c->base, 1, "the listener is closed");
    }
}

/* A port to dial from on which no peer is at `to` yet. */
static int open_from(tern_net *net, const tern_endpoint *to, webrtc_endpoint **ret,
                     tern_error *reterr)
{
    const tern_webrtc *w = net->webrtc;
    tern_endpoint at = {.family = to->family};
    for (tern_list *l = w != NULL ? w->endpoints.next : NULL; l != NULL && l != &w->endpoints;
         l = l->next) {
        webrtc_endpoint *e = TERN_CONTAINER(l, webrtc_endpoint, link);
        tern_endpoint local;
        tern_udp_port_local(e->port, &local);
        if (e->listener == NULL && local.family == to->family &&
            tern_endpoint_is_unspecified(&local) && !webrtc_endpoint_knows(e, to)) {
            at = local;
            break;
        }
    }
    return webrtc_endpoint_open(net, &at, NULL, ret, reterr);
}

static int begin(tern_dial_op *op, const tern_endpoint *to, const uint8_t *hash, tern_error *reterr)
{
    webrtc_endpoint *e;
    uint8_t random[TERN_ICE_SEED];
    int code = open_from(op->net, to, &e, reterr);
    if (code != 0) {
        return code;
    }
    webrtc_conn *c = webrtc_conn_new(e, false, to);
    webrtc_endpoint_release(e); /* the conn has it */
    if (c == NULL) {
        return tern_fail(reterr, TERN_E_NOMEM, "webrtc-direct", "out of memory");
    }
    c->ice = tern_calloc(1, sizeof *c->ice);
    if (c->ice == NULL || webrtc_endpoint_path(e, c, to) != 0) {
        webrtc_conn_fail(c, TERN_E_NOMEM, "out of memory");
        return tern_fail(reterr, TERN_E_NOMEM, "webrtc-direct", "out of memory");
    }
    tern_loop_random(op->net->loop, random, sizeof random);
    tern_ice_client_init(c->ice, op->net->webrtc_scheme, random);
    tern_wipe(random, sizeof random);
    memcpy(c->expected_hash, hash, sizeof c->expected_hash);
    c->dial = op;
    op->state = c;
    tern_op_start(&op->op, "webrtc-direct", cancel, op);
    webrtc_conn_start(c);
    return 0;
}

static int dial(tern_dial_op *op, tern_error *reterr)
{
    tern_endpoint to;
    uint32_t transport;
    uint8_t hash[TERN_DTLS_FINGERPRINT];
    op->stream = NULL;
    op->conn = NULL;
    op->local = NULL;
    op->state = NULL;
    if (!tern_ma_endpoint(op->addr, &to, &transport) || transport != TERN_MA_UDP) {
        return tern_fail(reterr, TERN_E_INVALID, "webrtc-direct",
                         "%s does not begin with an IP and UDP port",
                         tern_multiaddr_text(op->addr));
    }
    if (!read_hash(op->addr, hash)) {
        return tern_fail(reterr, TERN_E_INVALID, "webrtc-direct",
                         "%s names no SHA-256 certificate hash", tern_multiaddr_text(op->addr));
    }
    return begin(op, &to, hash, reterr);
}

/* ---- listening ---- */

typedef struct webrtc_listener {
    tern_listener base;
    webrtc_endpoint *endpoint;
} webrtc_listener;

/* Those that nobody was told of end with the listener. */
static void end_pending(webrtc_endpoint *e)
{
    tern_list *l = e->conns.next;
    while (l != &e->conns) {
        webrtc_conn *c = TERN_CONTAINER(l, webrtc_conn, link);
        l = l->next;
        if (c->server && c->phase < WEBRTC_OPEN) {
            webrtc_conn_fail(c, TERN_E_CANCELLED, "the listener is closed");
        }
    }
}

static void close_listener(tern_listener *listener)
{
    webrtc_listener *l = (webrtc_listener *)listener;
    if (l->endpoint != NULL) {
        l->endpoint->listener = NULL;
        end_pending(l->endpoint);
        webrtc_endpoint_release(l->endpoint);
    }
    tern_multiaddr_unref(l->base.addr);
    tern_free(l);
}

static int listen_on(tern_net *net, const tern_multiaddr *addr, const tern_listener_events *events,
                     void *owner, tern_listener **ret, tern_error *reterr)
{
    tern_endpoint at;
    uint32_t kind;
    if (!listens(addr) || !tern_ma_endpoint(addr, &at, &kind)) {
        return tern_fail(reterr, TERN_E_INVALID, "webrtc-direct",
                         "%s is no address to listen on with this transport",
                         tern_multiaddr_text(addr));
    }
    webrtc_listener *l = tern_calloc(1, sizeof *l);
    if (l == NULL) {
        return tern_fail(reterr, TERN_E_NOMEM, "webrtc-direct", "out of memory");
    }
    l->base = (tern_listener){.transport = &tern_webrtc_direct,
                              .events = events,
                              .owner = owner,
                              .close = close_listener};
    int code = webrtc_endpoint_open(net, &at, &l->base, &l->endpoint, reterr);
    if (code != 0) {
        tern_free(l);
        return code;
    }
    tern_udp_port_local(l->endpoint->port, &at);
    l->base.addr = webrtc_addr(&at, net->webrtc->server_hash);
    if (l->base.addr == NULL) {
        close_listener(&l->base);
        return tern_fail(reterr, TERN_E_NOMEM, "webrtc-direct", "out of memory");
    }
    *ret = &l->base;
    return 0;
}

const tern_transport tern_webrtc_direct = {
    .name = "webrtc-direct",
    .native = true,
    .dials = dials,
    .listens = listens,
    .dial = dial,
    .listen = listen_on,
};
