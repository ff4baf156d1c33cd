/* A UDP port of WebRTC Direct: see conn.h.
 *
 *   known address   STUN: answered for the peer that is there     DTLS: to it
 *   new address     STUN that verifies: a known name's new path, or a new connection
 *                   anything else: dropped and counted
 *   of a secured connection: nobody else's, whatever a check says
 *
 * A check proves nothing about its sender (ice_core.h), so what one costs is small, bounded in
 * number and in time; under load the DTLS handshake begins with a cookie. When there is no place
 * the oldest of the busiest address goes: a flood from one address harms itself. */
#include "base/error.h"
#include "base/mem.h"
#include "crypto/symmetric.h"
#include "webrtc/conn.h"

enum { KEY = 23, CLASSES = 1u << TERN_UDP_STUN | 1u << TERN_UDP_DTLS };

/* An address as a key; mapped ones are what they map. */
static void key_of(uint8_t key[KEY], const tern_endpoint *at)
{
    tern_endpoint e = *at;
    tern_endpoint_unmap(&e);
    key[0] = e.family;
    tern_put16(key + 1, e.port);
    tern_put32(key + 3, e.scope);
    memcpy(key + 7, e.ip, sizeof e.ip);
}

static webrtc_conn *find(const webrtc_endpoint *e, const tern_endpoint *at)
{
    uint8_t key[KEY];
    key_of(key, at);
    return tern_map_get(&e->addresses, key, sizeof key);
}

bool webrtc_endpoint_knows(const webrtc_endpoint *e, const tern_endpoint *at)
{
    return find(e, at) != NULL;
}

int webrtc_endpoint_path(webrtc_endpoint *e, webrtc_conn *c, const tern_endpoint *at)
{
    uint8_t key[KEY];
    unsigned i = 0;
    while (i < c->path_count && !tern_endpoint_eq(&c->paths[i], at)) {
        i++;
    }
    if (i == WEBRTC_ADDRESSES) {
        return TERN_E_LIMIT;
    }
    key_of(key, at);
    int code = tern_map_set(&e->addresses, key, sizeof key, c);
    if (code == 0 && i == c->path_count) {
        c->paths[c->path_count++] = *at;
    }
    return code;
}

void webrtc_endpoint_forget(webrtc_endpoint *e, webrtc_conn *c)
{
    uint8_t key[KEY];
    for (unsigned i = 0; i < c->path_count; i++) {
        key_of(key, &c->paths[i]);
        if (tern_map_get(&e->addresses, key, sizeof key) == c) {
            tern_map_remove(&e->addresses, key, sizeof key);
        }
    }
    c->path_count = 0;
    if (c->name != NULL) {
        tern_map_remove(&e->names, c->name, c->name_n);
        tern_free(c->name);
        c->name = NULL;
    }
    tern_list_remove(&c->link);
    tern_crowds_leave(&c->net->pending, &c->place);
}

/* ---- sending ---- */

bool webrtc_endpoint_flush(webrtc_endpoint *e)
{
    size_t n = e->batch_n;
    e->batch_n = 0;
    if (n == 0) {
        return !e->full;
    }
    e->w->net->counters.bytes_out += n;
    int code = tern_udp_send(tern_udp_port_socket(e->port), &e->to, e->batch, n, e->segment, 0);
    e->full = e->full || code == TERN_E_STATE;
    return !e->full;
}

uint8_t *webrtc_endpoint_place(webrtc_endpoint *e)
{
    if (e->batch == NULL) {
        e->batch = tern_malloc(WEBRTC_BATCH);
        if (e->batch == NULL) {
            return NULL;
        }
    }
    if (e->batch_n + TERN_DTLS_MTU > WEBRTC_BATCH) {
        webrtc_endpoint_flush(e);
    }
    return e->full ? NULL : e->batch + e->batch_n;
}

/* The datagrams of one call have one length; only the last may be shorter. */
bool webrtc_endpoint_placed(webrtc_endpoint *e, const tern_endpoint *to, size_t n)
{
    uint8_t *at = e->batch + e->batch_n;
    if (e->batch_n > 0 && (n > e->segment || !tern_endpoint_eq(to, &e->to))) {
        size_t before = e->batch_n;
        webrtc_endpoint_flush(e);
        memmove(e->batch, e->batch + before, n);
        at = e->batch;
    }
    if (at == e->batch) {
        e->segment = n;
        e->to = *to;
    }
    e->batch_n += n;
    return n == e->segment ? true : webrtc_endpoint_flush(e);
}

bool webrtc_endpoint_send(webrtc_endpoint *e, const tern_endpoint *to, const uint8_t *p, size_t n)
{
    webrtc_endpoint_flush(e);
    e->w->net->counters.bytes_out += n;
    return tern_udp_send(tern_udp_port_socket(e->port), to, p, n, 0, 0) == 0;
}

static void on_room(void *owner)
{
    webrtc_endpoint *e = owner;
    e->full = false;
    for (tern_list *l = e->conns.next; l != &e->conns; l = l->next) {
        webrtc_want_turn(TERN_CONTAINER(l, webrtc_conn, link));
    }
}

/* ---- who may begin ---- */

static void evict(tern_crowd_member *place)
{
    webrtc_conn *c = TERN_CONTAINER(place, webrtc_conn, place);
    webrtc_conn_fail(c, TERN_E_LIMIT, "too many connections are being set up");
}

/* A check that verifies, of a name that nobody has. */
static webrtc_conn *begin(webrtc_endpoint *e, const tern_endpoint *from, const tern_ice_user *user)
{
    tern_net_make_place(e->w->net, from);
    webrtc_conn *c = webrtc_conn_new(e, true, from);
    if (c == NULL) {
        e->w->net->counters.allocation_failures++;
        return NULL;
    }
    c->name = tern_memdup(user->server.data, user->server.len);
    c->name_n = user->server.len;
    /* rust-libp2p's random part is twice as long as go's and js's. */
    c->slow_ack = user->version == 1 && user->server.len == TERN_ICE_PREFIX + 64;
    c->place.evict = evict;
    e->w->net->counters.accepts++;
    if (c->name == NULL || tern_crowds_join(&e->w->net->pending, from, &c->place) != 0 ||
        tern_map_set(&e->names, c->name, c->name_n, c) != 0 ||
        webrtc_endpoint_path(e, c, from) != 0) {
        e->w->net->counters.allocation_failures++;
        webrtc_conn_fail(c, TERN_E_NOMEM, "out of memory");
        return NULL;
    }
    return c;
}

/* ---- datagrams ---- */

static void answer(webrtc_endpoint *e, const tern_datagram *d, tern_ice_verdict verdict,
                   const tern_stun *m, const tern_ice_user *user)
{
    uint8_t out[TERN_STUN_MAX];
    ssize_t n = tern_ice_answer(out, verdict, m, d->len, user, &d->from);
    if (n > 0) {
        webrtc_endpoint_send(e, &d->from, out, (size_t)n);
    }
}

static void on_check(webrtc_endpoint *e, const tern_datagram *d, tern_ice_verdict verdict,
                     const tern_stun *m, const tern_ice_user *user)
{
    if (e->listener == NULL) {
        e->w->net->counters.stun_unexpected++;
        return;
    }
    webrtc_conn *c = tern_map_get(&e->names, user->server.data, user->server.len);
    const webrtc_conn *there = find(e, &d->from);
    if (there != NULL && there != c && there->phase >= WEBRTC_SECURING) {
        e->w->net->counters.stun_taken++; /* who is there has proven it; this one's may be forged */
        return;
    }
    if (c == NULL && verdict == TERN_ICE_CHECK) {
        c = begin(e, &d->from, user);
    } else if (c != NULL && there != c && webrtc_endpoint_path(e, c, &d->from) != 0) {
        e->w->net->counters.stun_paths++;
        return;
    }
    if (c == NULL && verdict == TERN_ICE_CHECK) {
        return;
    }
    answer(e, d, verdict, m, user);
    if (c != NULL && verdict == TERN_ICE_CHECK) {
        webrtc_conn_checked(c, d, m);
    }
}

static void on_stun(webrtc_endpoint *e, const tern_datagram *d)
{
    tern_counters *count = &e->w->net->counters;
    tern_stun m;
    tern_ice_user user;
    webrtc_conn *c = find(e, &d->from);
    const tern_ice_client *client = c != NULL ? c->ice : NULL;
    tern_ice_verdict verdict = tern_ice_judge(d->data, d->len, client, &m, &user);
    switch (verdict) {
    case TERN_ICE_MALFORMED:
        count->stun_malformed++;
        break;
    case TERN_ICE_BAD_USER:
        count->stun_bad_user++;
        break;
    case TERN_ICE_FORGED:
        count->stun_forged++;
        break;
    case TERN_ICE_ANSWER:
        if (client != NULL) {
            webrtc_conn_answered(c, d->data, &m);
        } else {
            count->stun_unexpected++;
        }
        break;
    case TERN_ICE_CHECK:
    case TERN_ICE_CONFLICT:
        if (client != NULL) { /* go's server is a full agent: it checks back, and then goes on */
            answer(e, d, verdict, &m, &user);
        } else {
            on_check(e, d, verdict, &m, &user);
        }
        break;
    case TERN_ICE_NOTHING:
        break;
    }
}

static void on_datagram(void *owner, tern_udp *u, tern_datagram *d)
{
    webrtc_endpoint *e = owner;
    (void)u;
    e->w->net->counters.bytes_in += d->len;
    if (tern_udp_classify(d->data[0]) == TERN_UDP_STUN) {
        on_stun(e, d);
        return;
    }
    webrtc_conn *c = find(e, &d->from);
    if (c == NULL) {
        e->w->net->counters.dtls_unexpected++;
        return;
    }
    if (c->server && c->phase <= WEBRTC_SHAKING) {
        c->remote = d->from; /* until a path is nominated: where the handshake comes from */
    }
    webrtc_conn_dtls(c, (tern_span){d->data, d->len});
}

/* ---- ports ---- */

static void free_webrtc(tern_net *net)
{
    tern_webrtc *w = net->webrtc;
    if (w != NULL && tern_list_empty(&w->endpoints)) {
        tern_dtls_context_free(w->server);
        tern_dtls_context_free(w->client);
        tern_wipe(w->cookie_key, sizeof w->cookie_key);
        tern_free(w);
        net->webrtc = NULL;
    }
}

static void on_gone(tern_deferred *d)
{
    webrtc_endpoint *e = TERN_CONTAINER(d, webrtc_endpoint, gone);
    tern_net *net = e->w->net;
    if (e->users > 0) {
        return;
    }
    tern_udp_port_leave(e->port, CLASSES);
    tern_list_remove(&e->link);
    tern_map_free(&e->addresses);
    tern_map_free(&e->names);
    tern_free(e->batch);
    tern_free(e);
    free_webrtc(net);
}

void webrtc_endpoint_release(webrtc_endpoint *e)
{
    if (--e->users == 0) {
        tern_deferred_cancel(&e->gone);
        on_gone(&e->gone);
    }
}

static tern_webrtc *webrtc_of(tern_net *net)
{
    tern_webrtc *w = net->webrtc;
    if (w == NULL && (w = tern_calloc(1, sizeof *w)) != NULL) {
        w->net = net;
        tern_list_init(&w->endpoints);
        tern_loop_random(net->loop, w->cookie_key, sizeof w->cookie_key);
        net->webrtc = w;
    }
    return w;
}

static webrtc_endpoint *find_endpoint(tern_webrtc *w, const tern_endpoint *at, bool listens)
{
    for (tern_list *l = w->endpoints.next; l != &w->endpoints; l = l->next) {
        webrtc_endpoint *e = TERN_CONTAINER(l, webrtc_endpoint, link);
        tern_endpoint local;
        tern_udp_port_local(e->port, &local);
        if (tern_endpoint_eq(&local, at) && !(listens && e->listener != NULL)) {
            return e;
        }
    }
    return NULL;
}

static int new_endpoint(tern_webrtc *w, const tern_endpoint *at, webrtc_endpoint **ret)
{
    webrtc_endpoint *e = tern_calloc(1, sizeof *e);
    if (e == NULL) {
        return TERN_E_NOMEM;
    }
    const tern_udp_member member = {
        .classes = CLASSES, .on_datagram = on_datagram, .on_room = on_room, .owner = e};
    int code = tern_udp_port_join(w->net->loop, &w->net->udp_ports, at, &member, &e->port);
    if (code != 0) {
        tern_free(e);
        return code;
    }
    e->w = w;
    tern_map_init(&e->addresses);
    tern_map_init(&e->names);
    tern_list_init(&e->conns);
    tern_deferred_init(&e->gone, on_gone);
    tern_list_push(&w->endpoints, &e->link);
    *ret = e;
    return 0;
}

int webrtc_endpoint_open(tern_net *net, const tern_endpoint *at, tern_listener *listener,
                         webrtc_endpoint **ret, tern_error *reterr)
{
    char text[TERN_ENDPOINT_TEXT];
    tern_webrtc *w = webrtc_of(net);
    int code = TERN_E_NOMEM;
    if (w != NULL) {
        code = webrtc_contexts(w, listener != NULL, reterr);
        if (code != 0) {
            free_webrtc(net);
            return code;
        }
        webrtc_endpoint *e = find_endpoint(w, at, listener != NULL);
        code = e != NULL ? 0 : new_endpoint(w, at, &e);
        if (code == 0) {
            e->users++;
            e->listener = listener != NULL ? listener : e->listener;
            *ret = e;
            return 0;
        }
    }
    free_webrtc(net);
    return tern_fail(reterr, code, "webrtc-direct", "cannot use the UDP port %s: %s",
                     tern_endpoint_text(text, at), tern_code_text(code));
}
