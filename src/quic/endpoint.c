/* QUIC on one UDP port: see endpoint.h. */
#include "quic/endpoint.h"

#include <ngtcp2/ngtcp2_crypto.h>

#include "base/error.h"
#include "base/mem.h"
#include "crypto/symmetric.h"
#include "quic/conn.h"
#include "quic/quic.h"
#include "quic/tls.h"

const tern_span quic_alpn = {(const uint8_t *)"libp2p", 6};

enum { KNOWN_CIDS = 16 };          /* ids of a conn that are looked up one by one at its end */
#define TOKEN_TIME (10 * TERN_SEC) /* for a client to come back with a Retry's token */

/* ---- what a net's QUIC has in common ---- */

/* Keys from the identity, so that a node that was restarted can reset connections of before. */
static int derive_keys(tern_quic *q)
{
    uint8_t secret[8192];
    ssize_t n = tern_key_private(q->net->key, secret, sizeof secret);
    if (n < 0) {
        return (int)n;
    }
    tern_span from = {secret, (size_t)n}, salt = {NULL, 0};
    tern_span reset = {(const uint8_t *)"tern quic stateless reset", 25};
    tern_span token = {(const uint8_t *)"tern quic address token", 23};
    tern_span kept = {(const uint8_t *)"tern quic kept tickets", 22};
    int e = tern_hkdf(from, salt, reset, q->reset_key, sizeof q->reset_key);
    if (e == 0) {
        e = tern_hkdf(from, salt, token, q->token_key, sizeof q->token_key);
    }
    if (e == 0) {
        e = tern_hkdf(from, salt, kept, q->kept_key, sizeof q->kept_key);
    }
    tern_wipe(secret, sizeof secret);
    return e;
}

int quic_of(tern_net *net, tern_quic **ret, tern_error *reterr)
{
    if (net->quic == NULL) {
        tern_quic *q = tern_calloc(1, sizeof *q);
        int e = q != NULL ? 0 : TERN_E_NOMEM;
        if (e == 0) {
            q->net = net;
            tern_list_init(&q->endpoints);
            quic_tickets_init(&q->tickets, net->loop);
            q->known.hits = &net->counters.tls_recognised;
            e = derive_keys(q);
        }
        if (e != 0) {
            tern_free(q);
            return tern_fail(reterr, e, "quic", "the identity cannot be used: %s",
                             tern_code_text(e));
        }
        net->quic = q;
    }
    *ret = net->quic;
    return 0;
}

void tern_quic_free(tern_net *net)
{
    tern_quic *q = net->quic;
    if (q != NULL) {
        quic_tls_release(q);
        quic_tickets_free(&q->tickets);
        tern_wipe(q, sizeof *q);
        tern_free(q);
        net->quic = NULL;
    }
}

/* ---- addresses ---- */

void quic_address_from(quic_address *ret, const tern_endpoint *e)
{
    memset(ret, 0, sizeof *ret);
    uint8_t port[2] = {(uint8_t)(e->port >> 8), (uint8_t)e->port};
    if (e->family == 4) {
        ret->address.in.sin_family = NGTCP2_AF_INET;
        memcpy(&ret->address.in.sin_port, port, 2);
        memcpy(&ret->address.in.sin_addr, e->ip, 4);
        ret->view.addrlen = sizeof ret->address.in;
    } else {
        ret->address.in6.sin6_family = NGTCP2_AF_INET6;
        memcpy(&ret->address.in6.sin6_port, port, 2);
        memcpy(&ret->address.in6.sin6_addr, e->ip, 16);
        ret->address.in6.sin6_scope_id = e->scope;
        ret->view.addrlen = sizeof ret->address.in6;
    }
    ret->view.addr = &ret->address.sa;
}

void quic_address_to(tern_endpoint *ret, const ngtcp2_addr *a)
{
    const ngtcp2_sockaddr_union *u = (const ngtcp2_sockaddr_union *)(const void *)a->addr;
    uint8_t port[2];
    memset(ret, 0, sizeof *ret);
    if (u->sa.sa_family == NGTCP2_AF_INET) {
        ret->family = 4;
        memcpy(port, &u->in.sin_port, 2);
        memcpy(ret->ip, &u->in.sin_addr, 4);
    } else {
        ret->family = 6;
        memcpy(port, &u->in6.sin6_port, 2);
        memcpy(ret->ip, &u->in6.sin6_addr, 16);
        ret->scope = u->in6.sin6_scope_id;
    }
    ret->port = (uint16_t)(port[0] << 8 | port[1]);
}

/* ---- connection ids ---- */

int quic_endpoint_add_cid(quic_endpoint *e, const ngtcp2_cid *cid, quic_conn *conn)
{
    int r = tern_map_set(&e->cids, cid->data, cid->datalen, conn);
    conn->cids += r == 0;
    return r;
}

void quic_endpoint_remove_cid(quic_endpoint *e, const ngtcp2_cid *cid, quic_conn *conn)
{
    if (tern_map_get(&e->cids, cid->data, cid->datalen) == conn) {
        tern_map_remove(&e->cids, cid->data, cid->datalen);
        conn->cids--;
    }
}

void quic_endpoint_remove_cids(quic_endpoint *e, quic_conn *conn)
{
    const void *key;
    void *value;
    size_t it = 0, n;
    ngtcp2_cid known[KNOWN_CIDS];
    size_t count = ngtcp2_conn_get_scid(conn->q, NULL);
    count = count <= KNOWN_CIDS ? ngtcp2_conn_get_scid(conn->q, known) : 0;
    for (size_t i = 0; i < count; i++) {
        quic_endpoint_remove_cid(e, &known[i], conn);
    }
    quic_endpoint_remove_cid(e, ngtcp2_conn_get_client_initial_dcid(conn->q), conn);
    /* What ngtcp2 does not tell of, such as ids that the peer gave back a moment ago. */
    while (conn->cids > 0 && tern_map_next(&e->cids, &it, &key, &n, &value)) {
        if (value == conn) {
            tern_map_remove(&e->cids, key, n);
            conn->cids--;
        }
    }
}

/* ---- answers without a connection ---- */

static void send_bytes(quic_endpoint *e, const tern_endpoint *to, const uint8_t *p, ngtcp2_ssize n)
{
    if (n > 0) {
        tern_udp_send(e->udp, to, p, (size_t)n, 0, 0);
        e->net->counters.bytes_out += (uint64_t)n;
    }
}

static void negotiate_version(quic_endpoint *e, const tern_datagram *d,
                              const ngtcp2_version_cid *vc)
{
    uint32_t versions[] = {NGTCP2_PROTO_VER_V1};
    uint8_t out[256], unpredictable;
    e->net->counters.quic_versions++;
    if (d->len < NGTCP2_MAX_UDP_PAYLOAD_SIZE) {
        return; /* an answer to a small datagram would amplify it */
    }
    tern_loop_random(e->net->loop, &unpredictable, 1);
    send_bytes(e, &d->from, out,
               ngtcp2_pkt_write_version_negotiation(out, sizeof out, unpredictable, vc->scid,
                                                    vc->scidlen, vc->dcid, vc->dcidlen, versions,
                                                    1));
}

/* For a connection that we do not know (any more); smaller than what asked for it, and only so many
 * a second, so that two nodes cannot keep each other busy. */
static void reset_stateless(quic_endpoint *e, const tern_datagram *d, const ngtcp2_version_cid *vc)
{
    uint8_t token[NGTCP2_STATELESS_RESET_TOKENLEN], random[64], out[128];
    ngtcp2_cid cid;
    uint64_t second = tern_loop_now(e->net->loop) / TERN_SEC;
    e->net->counters.quic_unknown++;
    if (second != e->resets_at) {
        e->resets_at = second;
        e->resets = 0;
    }
    if (d->len <= NGTCP2_MIN_STATELESS_RESET_RANDLEN + NGTCP2_STATELESS_RESET_TOKENLEN + 1 ||
        vc->dcidlen != QUIC_CID || e->resets >= QUIC_RESETS_MAX) {
        return;
    }
    e->resets++;
    ngtcp2_cid_init(&cid, vc->dcid, vc->dcidlen);
    if (ngtcp2_crypto_generate_stateless_reset_token(token, e->quic->reset_key,
                                                     sizeof e->quic->reset_key, &cid) != 0) {
        return;
    }
    size_t most = d->len - 1 - NGTCP2_STATELESS_RESET_TOKENLEN;
    size_t n = most < 40 ? most : 40;
    tern_loop_random(e->net->loop, random, sizeof random);
    send_bytes(e, &d->from, out,
               ngtcp2_pkt_write_stateless_reset(out, sizeof out, token, random, n));
}

/* A stateless reset of a peer's has no connection id of ours: whoever talks with that address looks
 * whether it is his (RFC 9000, section 10.3.1). Only so many a second, since all are looked at. */
static void reset_by_peer(quic_endpoint *e, tern_datagram *d)
{
    uint64_t second = tern_loop_now(e->net->loop) / TERN_SEC;
    tern_list *next;
    if (second != e->looks_at) {
        e->looks_at = second;
        e->looks = 0;
    }
    if (e->looks++ >= QUIC_LOOKS_MAX) {
        return;
    }
    for (tern_list *l = e->conns.next; l != &e->conns; l = next) {
        quic_conn *c = TERN_CONTAINER(l, quic_conn, link);
        next = l->next;
        if (c->complete && tern_endpoint_eq(&c->remote, &d->from)) {
            quic_conn_read(c, d);
        }
    }
}

static void send_retry(quic_endpoint *e, const tern_datagram *d, const ngtcp2_pkt_hd *hd)
{
    uint8_t token[NGTCP2_CRYPTO_MAX_RETRY_TOKENLEN], out[NGTCP2_MAX_UDP_PAYLOAD_SIZE];
    quic_address remote;
    ngtcp2_cid scid = {.datalen = QUIC_CID};
    quic_address_from(&remote, &d->from);
    tern_loop_random(e->net->loop, scid.data, scid.datalen);
    if (ngtcp2_cid_eq(&scid, &hd->dcid)) {
        return; /* ngtcp2 insists that they differ */
    }
    ngtcp2_ssize n = ngtcp2_crypto_generate_retry_token(
        token, e->quic->token_key, sizeof e->quic->token_key, hd->version, remote.view.addr,
        remote.view.addrlen, &scid, &hd->dcid, tern_loop_now(e->net->loop));
    if (n < 0) {
        return;
    }
    e->net->counters.quic_retries++;
    send_bytes(e, &d->from, out,
               ngtcp2_crypto_write_retry(out, sizeof out, hd->version, &hd->scid, &scid, &hd->dcid,
                                         token, (size_t)n));
}

/* ---- new connections ---- */

/* Whether the token proves the address; *ret_original is the id that the client chose first. */
static bool token_holds(quic_endpoint *e, const tern_datagram *d, const ngtcp2_pkt_hd *hd,
                        ngtcp2_cid *ret_original)
{
    quic_address remote;
    quic_address_from(&remote, &d->from);
    return hd->tokenlen > 0 && hd->token[0] == NGTCP2_CRYPTO_TOKEN_MAGIC_RETRY &&
           ngtcp2_crypto_verify_retry_token(
               ret_original, hd->token, hd->tokenlen, e->quic->token_key, sizeof e->quic->token_key,
               hd->version, remote.view.addr, remote.view.addrlen, &hd->dcid, TOKEN_TIME,
               tern_loop_now(e->net->loop)) == 0;
}

/* Whether a connection of before, in the life of its tickets, proved the address. By the wall
 * clock, as it was made. */
static bool known_address(quic_endpoint *e, const tern_datagram *d, const ngtcp2_pkt_hd *hd)
{
    quic_address remote;
    quic_address_from(&remote, &d->from);
    return hd->tokenlen > 0 && hd->token[0] == NGTCP2_CRYPTO_TOKEN_MAGIC_REGULAR &&
           ngtcp2_crypto_verify_regular_token(hd->token, hd->tokenlen, e->quic->token_key,
                                              sizeof e->quic->token_key, remote.view.addr,
                                              remote.view.addrlen, QUIC_TICKET_LIFE,
                                              tern_loop_wall(e->net->loop)) == 0;
}

static void accept_initial(quic_endpoint *e, tern_datagram *d)
{
    ngtcp2_pkt_hd hd;
    ngtcp2_cid original;
    tern_net *net = e->net;
    if ((e->listener == NULL && e->app == NULL) || ngtcp2_accept(&hd, d->data, d->len) != 0) {
        net->counters.quic_unknown++; /* too short, or of a connection that is over */
        return;
    }
    if (net->ops != NULL && net->ops->admits != NULL && !net->ops->admits(net, &d->from)) {
        net->counters.accept_gated++;
        return;
    }
    bool retried = token_holds(e, d, &hd, &original);
    bool known = !retried && known_address(e, d, &hd);
    /* Where places are short an address is proven first: nobody is evicted for a forged one. */
    if (!retried && !known && net->pending.count >= net->limits.pending / 2) {
        send_retry(e, d, &hd);
        return;
    }
    tern_net_make_place(net, &d->from);
    quic_conn *conn = quic_conn_accept(e, &d->from, &hd, retried ? &original : NULL, known);
    if (conn == NULL) {
        net->counters.allocation_failures++;
        return;
    }
    net->counters.accepts++;
    quic_conn_read(conn, d);
}

/* Whether it may be a peer's that punches a hole (knock.c): whatever its bytes seem to say. */
static bool is_knock(quic_endpoint *e, const tern_datagram *d)
{
    if (e->net->punching == 0 || d->len != QUIC_KNOCK) {
        return false;
    }
    e->net->ops->knocked(e->net, &d->from);
    return true;
}

static void take(quic_endpoint *e, tern_datagram *d)
{
    ngtcp2_version_cid vc;
    int r = ngtcp2_pkt_decode_version_cid(&vc, d->data, d->len, QUIC_CID);
    if ((r != 0 || tern_map_get(&e->cids, vc.dcid, vc.dcidlen) == NULL) && is_knock(e, d)) {
        return;
    }
    if (r == NGTCP2_ERR_VERSION_NEGOTIATION) {
        negotiate_version(e, d, &vc);
        return;
    }
    if (r != 0) {
        e->net->counters.quic_malformed++;
        return;
    }
    quic_conn *conn = tern_map_get(&e->cids, vc.dcid, vc.dcidlen);
    /* Handshakes cost a millisecond each. Who has something to say in one says it before the next
     * is looked at, or of two nodes that have many with each other one would always wait. */
    tern_run_soon(e->net->loop, conn != NULL ? &conn->turn : NULL);
    if (conn != NULL) {
        quic_conn_read(conn, d);
    } else if (vc.version != 0 && vc.version != NGTCP2_PROTO_VER_V1) {
        negotiate_version(e, d, &vc);
    } else if (vc.version != 0) {
        accept_initial(e, d);
    } else {
        reset_by_peer(e, d);
        reset_stateless(e, d, &vc);
    }
}

static void on_datagram(void *owner, tern_udp *udp, tern_datagram *d)
{
    quic_endpoint *e = owner;
    (void)udp;
    e->net->counters.bytes_in += d->len;
    e->users++; /* a conn that ends meanwhile may be the last one */
    take(e, d);
    quic_endpoint_unuse(e);
}

static void on_room(void *owner)
{
    quic_endpoint *e = owner;
    tern_list *l;
    while ((l = tern_list_pop(&e->waiting)) != NULL) {
        quic_conn_go_on(l);
    }
}

/* ---- the port ---- */

static quic_endpoint *find(tern_quic *quic, const tern_endpoint *at)
{
    for (tern_list *l = quic->endpoints.next; l != &quic->endpoints; l = l->next) {
        quic_endpoint *e = TERN_CONTAINER(l, quic_endpoint, link);
        if (tern_endpoint_eq(&e->local, at)) {
            return e;
        }
    }
    return NULL;
}

int quic_endpoint_use(tern_quic *quic, const tern_endpoint *at, quic_endpoint **ret,
                      tern_error *reterr)
{
    char text[TERN_ENDPOINT_TEXT];
    tern_net *net = quic->net;
    quic_endpoint *e = at->port != 0 ? find(quic, at) : NULL;
    if (e == NULL) {
        e = tern_calloc(1, sizeof *e);
        if (e == NULL) {
            return tern_fail(reterr, TERN_E_NOMEM, "quic", "out of memory");
        }
        e->quic = quic;
        e->net = net;
        tern_map_init(&e->cids);
        tern_list_init(&e->conns);
        tern_list_init(&e->waiting);
        tern_udp_member member = {.classes = TERN_UDP_SET(TERN_UDP_QUIC),
                                  .on_datagram = on_datagram,
                                  .on_room = on_room,
                                  .owner = e};
        int code = tern_udp_port_join(net->loop, &net->udp_ports, at, &member, &e->port);
        if (code != 0) {
            tern_free(e);
            return tern_fail(reterr, code, "quic", "cannot use %s: %s",
                             tern_endpoint_text(text, at), tern_code_text(code));
        }
        e->udp = tern_udp_port_socket(e->port);
        e->any_port = at->port == 0;
        tern_udp_port_local(e->port, &e->local);
        tern_list_push(&quic->endpoints, &e->link);
    }
    e->users++;
    *ret = e;
    return 0;
}

int quic_endpoint_listen(tern_quic *quic, const tern_endpoint *at, bool app, quic_endpoint **ret,
                         tern_error *reterr)
{
    tern_list *first = &quic->endpoints;
    for (tern_list *l = at->port == 0 ? first->next : first; l != first; l = l->next) {
        quic_endpoint *e = TERN_CONTAINER(l, quic_endpoint, link);
        tern_endpoint there = e->local;
        there.port = 0;
        if (e->any_port && tern_endpoint_eq(&there, at) &&
            (app ? e->app == NULL && e->listener != NULL : e->app != NULL && e->listener == NULL)) {
            return quic_endpoint_use(quic, &e->local, ret, reterr);
        }
    }
    return quic_endpoint_use(quic, at, ret, reterr);
}

void quic_endpoint_drop_pending(quic_endpoint *e)
{
    tern_list *next;
    for (tern_list *l = e->conns.next; l != &e->conns; l = next) {
        quic_conn *c = TERN_CONTAINER(l, quic_conn, link);
        next = l->next;
        if (c->place.crowd != NULL) {
            c->place.evict(&c->place);
        }
    }
}

void quic_endpoint_unuse(quic_endpoint *e)
{
    if (--e->users > 0) {
        return;
    }
    tern_udp_port_leave(e->port, TERN_UDP_SET(TERN_UDP_QUIC));
    tern_list_remove(&e->link);
    tern_map_free(&e->cids);
    tern_free(e);
}
