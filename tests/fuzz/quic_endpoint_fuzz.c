/* QUIC's endpoint under datagrams of the input's: two nodes of a simulated world, B listens for
 * QUIC and, if the input's first byte is odd, for WebTransport on the same port; what A and B say
 * to each other goes through a stranger. The rest of the input is a list of
 *
 *     what, 1 | length, 1 | bytes
 *
 * The stranger sends datagrams as they are, or filled up to 1200 bytes as an Initial must be; with
 * a connection id that one of both knows; Initials whose frames are the input's, sealed as a client
 * would, so that they reach what lies behind (with the token of a Retry, if one came). And to what
 * passes him he does what a network may: flips a bit, cuts, loses, doubles it, sends it from
 * another port, or once more later.
 *
 * Whatever happens: memory and places are bounded, who proved no address is sent at most three
 * times of what he sent, and nothing is left at the end. GnuTLS draws its own random bytes, so a
 * run repeats but for its keys. */
#include <stdio.h>
#include <stdlib.h>

#include <gnutls/crypto.h>

#include "base/mem.h"
#include "host/host.h"
#include "loop/sim.h"
#include "loop/udp.h"
#include "quic/conn.h"
#include "sim/fixed.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

enum { PORT = 4001, OPS_MAX = 120, MEMORY = 16 << 20, INITIAL = 1200, TOKEN = 200, PENDING = 6 };

enum {
    WAIT,
    DATAGRAM, /* to B, as it is */
    PADDED,   /* ... with zeros behind it */
    INITIAL_OF,
    KNOWN, /* a connection id of B's or A's, and the bytes */
    DIAL,
    CLOSE,
    FLIP, /* from here on: what the stranger does to what passes */
    CUT,
    LOSE,
    DOUBLE,
    MOVE,
    AGAIN,
    OPS
};

typedef struct side {
    tern_loop *loop;
    tern_node *node;
    unsigned connected, disconnected, stopped;
} side;

typedef struct world {
    tern_sim *sim;
    side side[2]; /* A, B */
    tern_loop *middle;
    tern_udp *raw;         /* the stranger's own datagrams */
    tern_udp *road[3];     /* towards A; towards B, from two ports */
    unsigned from;         /* which of the two */
    tern_endpoint a, b;    /* a: where A was heard last */
    unsigned act, act_way; /* what is done to the next datagram that goes that way */
    uint8_t act_arg;
    uint8_t kept[1500]; /* of AGAIN */
    size_t kept_n;
    unsigned kept_way;
    size_t said, answered; /* bytes of raw */
    bool proven;           /* it came back from a Retry */
    uint8_t token[TOKEN], retry_scid[20];
    size_t token_n, retry_scid_n;
    unsigned dials, dialled;
    char target[256];
} world;

static world w;
static tern_key *keys[2];

static void check(bool holds)
{
    if (!holds) {
        abort();
    }
}

static void run(uint64_t time)
{
    tern_sim_run(w.sim, tern_sim_now(w.sim) + time, NULL, NULL);
}

/* ---- the nodes ---- */

static void on_connected(void *owner, tern_node *node, tern_conn *conn)
{
    (void)node;
    (void)conn;
    ((side *)owner)->connected++;
}

static void on_disconnected(void *owner, tern_node *node, tern_conn *conn, const tern_error *why)
{
    (void)node;
    (void)conn;
    (void)why;
    ((side *)owner)->disconnected++;
}

static void on_stopped(void *owner, tern_node *node)
{
    (void)node;
    ((side *)owner)->stopped++;
}

static void on_dialled(void *owner, tern_conn *conn, const tern_error *error,
                       const tern_dial_report *reports, size_t count)
{
    (void)owner;
    (void)reports;
    (void)count;
    check((conn != NULL) == (error->code == 0));
    w.dialled++;
}

/* ---- the stranger ---- */

/* What B answers to the stranger himself; of a Retry the token and the id are kept. */
static void on_answer(void *owner, tern_udp *u, tern_datagram *d)
{
    ngtcp2_version_cid vc;
    (void)owner;
    (void)u;
    w.answered += d->len;
    if (d->len > 40 && (d->data[0] & 0xf0) == 0xf0 &&
        ngtcp2_pkt_decode_version_cid(&vc, d->data, d->len, QUIC_CID) == 0) {
        size_t at = 7 + vc.dcidlen + vc.scidlen;
        if (vc.version != NGTCP2_PROTO_VER_V1 || d->len < at + 16) {
            return; /* version negotiation may begin in the same way */
        }
        size_t n = d->len - at - 16;
        w.token_n = n < TOKEN ? n : TOKEN;
        memcpy(w.token, d->data + at, w.token_n);
        w.retry_scid_n = vc.scidlen < 20 ? vc.scidlen : 20;
        memcpy(w.retry_scid, vc.scid, w.retry_scid_n);
    }
}

static void say(const tern_endpoint *to, const uint8_t *bytes, size_t n)
{
    if (n > 0) {
        tern_udp_send(w.raw, to, bytes, n, 0, 0);
        w.said += n;
    }
}

static void pass(unsigned way, const uint8_t *bytes, size_t n)
{
    if (way == 0) {
        tern_udp_send(w.road[1 + w.from], &w.b, bytes, n, 0, 0);
    } else if (w.a.port != 0) {
        tern_udp_send(w.road[0], &w.a, bytes, n, 0, 0);
    }
}

/* A datagram on its way: 0 = to B, 1 = to A. */
static void on_road(unsigned way, tern_datagram *d)
{
    unsigned act = w.act;
    size_t n = d->len;
    if (act == WAIT || way != w.act_way) {
        pass(way, d->data, n);
        return;
    }
    w.act = WAIT;
    if (act == FLIP) {
        size_t at = w.act_arg % n;
        d->data[at] ^= (uint8_t)(1 << w.act_arg % 8);
    } else if (act == CUT) {
        n = 1 + w.act_arg * n / 256;
    } else if (act == LOSE) {
        return;
    } else if (act == MOVE) {
        w.from ^= 1;
    }
    if (act == AGAIN || act == DOUBLE) {
        w.kept_n = n < sizeof w.kept ? n : sizeof w.kept;
        memcpy(w.kept, d->data, w.kept_n);
        w.kept_way = way;
    }
    pass(way, d->data, n);
    if (act == DOUBLE) {
        pass(way, w.kept, w.kept_n);
    }
}

static void on_from_a(void *owner, tern_udp *u, tern_datagram *d)
{
    (void)owner;
    (void)u;
    w.a = d->from;
    on_road(0, d);
}

static void on_from_b(void *owner, tern_udp *u, tern_datagram *d)
{
    (void)owner;
    (void)u;
    on_road(1, d);
}

/* ---- Initials ---- */

/* HKDF-Expand-Label of TLS 1.3 (RFC 8446, section 7.1). */
static void expand(const uint8_t secret[32], const char *label, uint8_t *out, size_t n)
{
    uint8_t info[64] = {0, (uint8_t)n, (uint8_t)(6 + strlen(label))};
    memcpy(info + 3, "tls13 ", 6);
    memcpy(info + 9, label, strlen(label));
    const gnutls_datum_t key = {(uint8_t *)(uintptr_t)secret, 32},
                         what = {info, (unsigned)(10 + strlen(label))};
    check(gnutls_hkdf_expand(GNUTLS_MAC_SHA256, &key, &what, out, n) == 0);
}

typedef struct initial_keys {
    uint8_t key[16], iv[12], hp[16];
} initial_keys;

/* Of a client (RFC 9001, section 5.2). */
static void derive(initial_keys *k, const uint8_t *dcid, size_t n)
{
    static const uint8_t salt[] = {0x38, 0x76, 0x2c, 0xf7, 0xf5, 0x59, 0x34, 0xb3, 0x4d, 0x17,
                                   0x9a, 0xe6, 0xa4, 0xc8, 0x0c, 0xad, 0xcc, 0xbb, 0x7f, 0x0a};
    uint8_t secret[32], client[32];
    const gnutls_datum_t from = {(uint8_t *)(uintptr_t)dcid, (unsigned)n},
                         with = {(uint8_t *)(uintptr_t)salt, sizeof salt};
    check(gnutls_hkdf_extract(GNUTLS_MAC_SHA256, &from, &with, secret) == 0);
    expand(secret, "client in", client, 32);
    expand(client, "quic key", k->key, sizeof k->key);
    expand(client, "quic iv", k->iv, sizeof k->iv);
    expand(client, "quic hp", k->hp, sizeof k->hp);
}

/* Header protection (RFC 9001, section 5.4.3): one block of AES. */
static void mask_of(initial_keys *k, const uint8_t *sample, uint8_t mask[16])
{
    uint8_t zeros[16] = {0};
    const gnutls_datum_t key = {k->hp, sizeof k->hp}, iv = {zeros, sizeof zeros};
    gnutls_cipher_hd_t cipher;
    check(gnutls_cipher_init(&cipher, GNUTLS_CIPHER_AES_128_CBC, &key, &iv) == 0);
    check(gnutls_cipher_encrypt2(cipher, sample, 16, mask, 16) == 0);
    gnutls_cipher_deinit(cipher);
}

/* A whole Initial of 1200 bytes with these frames and PADDING. */
static size_t seal(uint8_t *out, const uint8_t *dcid, size_t dcid_n, const uint8_t *token,
                   size_t token_n, uint8_t number, const uint8_t *frames, size_t n)
{
    initial_keys k;
    uint8_t plain[INITIAL] = {0}, mask[16];
    size_t at = 0;
    out[at++] = 0xc0;
    tern_put32(out + at, NGTCP2_PROTO_VER_V1);
    at += 4;
    out[at++] = (uint8_t)dcid_n;
    memcpy(out + at, dcid, dcid_n);
    at += dcid_n;
    memcpy(out + at,
           "\x04"
           "mine",
           5);
    at += 5;
    tern_put16(out + at, (uint16_t)(0x4000 | token_n));
    memcpy(out + at + 2, token, token_n);
    at += 2 + token_n;
    size_t rest = INITIAL - at - 2; /* packet number, frames, tag */
    tern_put16(out + at, (uint16_t)(0x4000 | rest));
    at += 2;
    size_t pn = at;
    out[at++] = number;
    memcpy(plain, frames, n < rest - 17 ? n : rest - 17);
    derive(&k, dcid, dcid_n);
    k.iv[11] ^= number;
    const gnutls_datum_t key = {k.key, sizeof k.key};
    gnutls_aead_cipher_hd_t aead;
    size_t sealed = rest - 1;
    check(gnutls_aead_cipher_init(&aead, GNUTLS_CIPHER_AES_128_GCM, &key) == 0);
    check(gnutls_aead_cipher_encrypt(aead, k.iv, sizeof k.iv, out, at, 16, plain, rest - 17,
                                     out + at, &sealed) == 0);
    gnutls_aead_cipher_deinit(aead);
    mask_of(&k, out + pn + 4, mask);
    out[0] ^= mask[0] & 0x0f;
    out[pn] ^= mask[1];
    return INITIAL;
}

/* bytes: flags | packet number | connection id, 8 | frames, or what a CRYPTO frame has. */
static void say_initial(const uint8_t *bytes, size_t n)
{
    uint8_t out[INITIAL], frames[300];
    if (n < 10) {
        return;
    }
    uint8_t flags = bytes[0], number = bytes[1];
    const uint8_t *dcid = bytes + 2, *token = NULL;
    size_t dcid_n = 8, token_n = 0, at = 0;
    if ((flags & 1) != 0 && w.token_n > 0) {
        token = w.token;
        token_n = w.token_n;
        dcid = w.retry_scid;
        dcid_n = w.retry_scid_n;
        w.proven = true;
    } else if ((flags & 2) != 0) { /* a token of the input's */
        token = bytes + 10;
        token_n = n - 10;
    }
    if ((flags & 4) != 0) {
        frames[at++] = 0x06; /* CRYPTO at the beginning */
        frames[at++] = 0;
        tern_put16(frames + at, (uint16_t)(0x4000 | (n - 10)));
        at += 2;
    }
    memcpy(frames + at, bytes + 10, n - 10);
    size_t len = seal(out, dcid, dcid_n, token != NULL ? token : bytes, token_n, number, frames,
                      at + n - 10);
    say(&w.b, out, (flags & 8) != 0 ? len - 1 : len);
}

/* ---- what the input does ---- */

/* One of the connection ids that a node has. */
static bool known_cid(const side *s, unsigned which, uint8_t *out, size_t *ret_n)
{
    const tern_quic *q = tern_node_net(s->node)->quic;
    const void *key;
    void *value;
    for (tern_list *l = q != NULL ? q->endpoints.next : NULL; l != NULL && l != &q->endpoints;
         l = l->next) {
        const quic_endpoint *e = TERN_CONTAINER(l, quic_endpoint, link);
        size_t it = 0;
        while (tern_map_next(&e->cids, &it, &key, ret_n, &value)) {
            if (which-- == 0 && *ret_n <= 20) {
                memcpy(out, key, *ret_n);
                return true;
            }
        }
    }
    return false;
}

static void say_known(const uint8_t *bytes, size_t n)
{
    uint8_t out[300];
    size_t cid_n = 0;
    if (n < 2) {
        return;
    }
    bool to_a = (bytes[0] & 0x80) != 0;
    out[0] = bytes[1];
    bool whole = (bytes[1] & 0x80) != 0; /* a long header */
    size_t at = whole ? 6 : 1;
    if (whole) {
        tern_put32(out + 1, (bytes[0] & 0x40) != 0 ? 1 : 0x0a0a0a0a);
    }
    if (!known_cid(&w.side[to_a ? 0 : 1], bytes[0] & 0x0f, out + at, &cid_n)) {
        return;
    }
    if (whole) {
        out[5] = (uint8_t)cid_n;
    }
    memcpy(out + at + cid_n, bytes + 2, n - 2);
    if (to_a && w.a.port != 0) { /* as if it came from B */
        pass(1, out, at + cid_n + n - 2);
    } else if (!to_a) {
        say(&w.b, out, at + cid_n + n - 2);
    }
}

static void dial(void)
{
    const char *texts[] = {w.target};
    w.dials++;
    if (tern_node_dial(w.side[0].node, texts, 1, 0, true, on_dialled, NULL, NULL) != 0) {
        w.dialled++;
    }
}

static void act(unsigned what, const uint8_t *bytes, size_t n)
{
    uint8_t out[INITIAL] = {0};
    tern_peer_id id;
    switch (what) {
    case WAIT:
        run((uint64_t)n * n * TERN_MS);
        break;
    case DATAGRAM:
        say(&w.b, bytes, n);
        break;
    case PADDED:
        memcpy(out, bytes, n);
        say(&w.b, out, sizeof out);
        break;
    case INITIAL_OF:
        say_initial(bytes, n);
        break;
    case KNOWN:
        say_known(bytes, n);
        break;
    case DIAL:
        dial();
        break;
    case CLOSE:
        tern_node_peer_id(w.side[1].node, &id);
        tern_node_disconnect(w.side[0].node, &id);
        break;
    case AGAIN:
        if (w.kept_n > 0) {
            pass(w.kept_way, w.kept, w.kept_n);
        } /* fall through */
    default:
        w.act = what;
        w.act_way = n > 0 ? bytes[0] & 1 : 0;
        w.act_arg = n > 1 ? bytes[1] : 0;
    }
}

/* ---- the world ---- */

static void birth(unsigned who, const char *ip)
{
    static const tern_node_events events = {
        .on_connected = on_connected, .on_disconnected = on_disconnected, .on_stopped = on_stopped};
    side *s = &w.side[who];
    tern_options o;
    tern_options_init(&o);
    o.key = keys[who];
    o.events = &events;
    o.owner = s;
    check(tern_sim_host(w.sim, ip, &s->loop) == 0);
    check(tern_node_new_on(s->loop, &o, &s->node, NULL) == 0);
}

static tern_udp *bind_at(uint16_t port, tern_udp_handler *fn)
{
    const tern_endpoint at = {.family = 4, .ip = {10, 0, 0, 3}, .port = port};
    tern_udp *u;
    check(tern_udp_bind(w.middle, &at, &u) == 0);
    for (unsigned class = 0; class < TERN_UDP_CLASSES; class ++) {
        tern_udp_register(u, (enum tern_udp_class) class, fn, NULL);
    }
    return u;
}

static void begin(bool web)
{
    char bound[256], id[TERN_PEER_ID_TEXT];
    tern_peer_id peer;
    for (size_t i = 0; i < 2; i++) {
        keys[i] = keys[i] != NULL ? keys[i] : sim_fixed_key((uint8_t)i);
        check(keys[i] != NULL);
    }
    memset(&w, 0, sizeof w);
    w.b = (tern_endpoint){.family = 4, .ip = {10, 0, 0, 2}, .port = PORT};
    sim_fixed_random(1);
    check(tern_sim_new(1, &w.sim) == 0);
    check(tern_sim_host(w.sim, "10.0.0.3", &w.middle) == 0);
    w.raw = bind_at(9, on_answer);
    w.road[0] = bind_at(PORT, on_from_a);
    w.road[1] = bind_at(PORT + 1, on_from_b);
    w.road[2] = bind_at(PORT + 2, on_from_b);
    birth(0, "10.0.0.1");
    birth(1, "10.0.0.2");
    tern_node_net(w.side[1].node)->limits.pending = PENDING;
    const char *listens[] = {"/ip4/10.0.0.2/udp/4001/quic-v1",
                             "/ip4/10.0.0.2/udp/4001/quic-v1/webtransport"};
    for (int i = 0; i < 1 + web; i++) {
        check(tern_node_listen(w.side[1].node, listens[i], bound, sizeof bound, NULL) == 0);
    }
    tern_node_peer_id(w.side[1].node, &peer);
    tern_peer_id_text(&peer, id);
    snprintf(w.target, sizeof w.target, "/ip4/10.0.0.3/udp/4001/quic-v1/p2p/%s", id);
}

static void bounds(void)
{
    const tern_net *net = tern_node_net(w.side[1].node);
    check(tern_mem_bytes() < MEMORY);
    check(net->pending.count <= PENDING);
    check(w.proven || w.answered <= 3 * w.said);
}

static void end(void)
{
    run(100 * TERN_SEC);
    check(w.dials == w.dialled);
    tern_node_stop(w.side[0].node);
    tern_node_stop(w.side[1].node);
    run(10 * TERN_SEC);
    for (size_t i = 0; i < 2; i++) {
        side *s = &w.side[i];
        const tern_net *net = tern_node_net(s->node);
        check(s->stopped == 1 && s->connected == s->disconnected);
        check(net->pending.count == 0 && net->natives == 0);
        tern_node_free(s->node);
    }
    tern_udp_close(w.raw);
    for (size_t i = 0; i < 3; i++) {
        tern_udp_close(w.road[i]);
    }
    tern_sim_free(w.sim);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    size_t alive = keys[0] != NULL ? tern_mem_alive() : 0, at = 1;
    if (n == 0) {
        return 0;
    }
    begin((data[0] & 1) != 0);
    for (unsigned ops = 0; at + 2 <= n && ops < OPS_MAX; ops++) {
        size_t len = data[at + 1] < n - at - 2 ? data[at + 1] : n - at - 2;
        act((data[at] & 0x7f) % OPS, data + at + 2, len);
        if ((data[at] & 0x80) == 0) {
            run(TERN_MS);
        }
        at += 2 + len;
        bounds();
    }
    end();
    check(alive == 0 || tern_mem_alive() == alive);
    return 0;
}
