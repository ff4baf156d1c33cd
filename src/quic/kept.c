/* What a client keeps of a server: see kept.h. As a blob of the store:
 *
 *     | HMAC-SHA-256 of the peer id and the rest | version: 1 | tickets: 1 | lengths of token, key:
 * 4 | token | its address: 19 | public key | ticket | ticket | ...
 *
 *     ticket: | end, ns since 1970: 8 | lengths of session, parameters: 4 | session | parameters |
 */
#include "quic/kept.h"

#include "base/error.h"
#include "base/mem.h"
#include "crypto/symmetric.h"

enum {
    VERSION = 2,
    ADDRESS = 1 + 2 + 16,
    HEAD = TERN_SHA256 + 6,
    TICKET_HEAD = 12,
    KEY_MAX = 2048
};
#define BLOB_LIFE (24 * 3600 * TERN_SEC)

typedef struct entry {
    uint64_t until; /* wall clock */
    tern_span session, params;
} entry;

/* A blob, taken apart; the spans are in it. */
typedef struct blob {
    tern_span token, address, key;
    entry tickets[QUIC_KEPT_TICKETS];
    unsigned count;
} blob;

static void write_address(uint8_t out[ADDRESS], const tern_endpoint *e)
{
    out[0] = e->family;
    tern_put16(out + 1, e->port);
    memcpy(out + 3, e->ip, 16);
}

static bool take(tern_span *from, size_t n, tern_span *ret)
{
    if (from->len < n) {
        return false;
    }
    *ret = (tern_span){from->data, n};
    *from = (tern_span){from->data + n, from->len - n};
    return true;
}

/* Nobody moves what is kept to another peer, and another identity of ours does not read it. */
static bool tag(const tern_quic *q, const tern_peer_id *peer, tern_span body,
                uint8_t ret[TERN_SHA256])
{
    const tern_span v[] = {{peer->bytes, peer->len}, body};
    return tern_hmac_sha256(q->kept_key, sizeof q->kept_key, v, 2, ret) == 0;
}

static bool parse(const tern_quic *q, const tern_peer_id *peer, tern_span in, blob *ret)
{
    uint8_t right[TERN_SHA256];
    tern_span sum, head;
    memset(ret, 0, sizeof *ret);
    if (!take(&in, TERN_SHA256, &sum) || !tag(q, peer, in, right) ||
        !tern_eq_ct(sum.data, right, sizeof right) || !take(&in, 6, &head) ||
        head.data[0] != VERSION || head.data[1] > QUIC_KEPT_TICKETS ||
        !take(&in, tern_get16(head.data + 2), &ret->token) || !take(&in, ADDRESS, &ret->address) ||
        !take(&in, tern_get16(head.data + 4), &ret->key)) {
        return false;
    }
    for (unsigned i = 0; i < head.data[1]; i++) {
        entry *e = &ret->tickets[i];
        tern_span lengths;
        if (!take(&in, TICKET_HEAD, &lengths) ||
            !take(&in, tern_get16(lengths.data + 8), &e->session) ||
            !take(&in, tern_get16(lengths.data + 10), &e->params)) {
            return false;
        }
        e->until = tern_get64(lengths.data);
        ret->count++;
    }
    return true;
}

/* What is kept of a peer, without what has expired. */
static void load(tern_quic *q, const tern_peer_id *peer, blob *ret)
{
    const tern_net_ops *ops = q->net->ops;
    size_t n = 0;
    uint64_t now = tern_loop_wall(q->net->loop);
    const uint8_t *p = ops != NULL && ops->recall != NULL
                           ? ops->recall(q->net, peer, TERN_KEPT_QUIC_TICKET, &n)
                           : NULL;
    if (p == NULL || !parse(q, peer, (tern_span){p, n}, ret)) {
        memset(ret, 0, sizeof *ret);
    }
    unsigned live = 0;
    for (unsigned i = 0; i < ret->count; i++) {
        if (ret->tickets[i].until > now) {
            ret->tickets[live++] = ret->tickets[i];
        }
    }
    ret->count = live;
}

static size_t put(uint8_t *out, tern_span v)
{
    if (v.len > 0) {
        memcpy(out, v.data, v.len);
    }
    return v.len;
}

/* Writes it back; its spans may be in what is kept now. */
static void save(tern_quic *q, const tern_peer_id *peer, blob *b)
{
    static const uint8_t nowhere[ADDRESS];
    const tern_net_ops *ops = q->net->ops;
    if (ops == NULL || ops->remember == NULL) {
        return;
    }
    if (b->count == 0 && b->token.len == 0) {
        ops->remember(q->net, peer, TERN_KEPT_QUIC_TICKET, NULL, 0, 0);
        return;
    }
    uint8_t *out = tern_malloc(QUIC_KEPT_MAX);
    if (out == NULL) {
        q->net->counters.allocation_failures++;
        return;
    }
    size_t n = HEAD;
    out[TERN_SHA256] = VERSION;
    tern_put16(out + TERN_SHA256 + 2, (uint16_t)b->token.len);
    tern_put16(out + TERN_SHA256 + 4, (uint16_t)b->key.len);
    n += put(out + n, b->token);
    n += put(out + n, b->address.len == ADDRESS ? b->address : (tern_span){nowhere, ADDRESS});
    n += put(out + n, b->key);
    /* The newest are worth most: of those that do not fit, the oldest go. */
    unsigned from = b->count;
    size_t total = n;
    while (from > 0 && total + TICKET_HEAD + b->tickets[from - 1].session.len +
                               b->tickets[from - 1].params.len <=
                           QUIC_KEPT_MAX) {
        from--;
        total += TICKET_HEAD + b->tickets[from].session.len + b->tickets[from].params.len;
    }
    out[TERN_SHA256 + 1] = (uint8_t)(b->count - from);
    for (unsigned i = from; i < b->count; i++) {
        const entry *e = &b->tickets[i];
        tern_put64(out + n, e->until);
        tern_put16(out + n + 8, (uint16_t)e->session.len);
        tern_put16(out + n + 10, (uint16_t)e->params.len);
        n += TICKET_HEAD;
        n += put(out + n, e->session);
        n += put(out + n, e->params);
    }
    if (tag(q, peer, (tern_span){out + TERN_SHA256, n - TERN_SHA256}, out)) {
        ops->remember(q->net, peer, TERN_KEPT_QUIC_TICKET, out, n, BLOB_LIFE);
    }
    tern_wipe(out, n);
    tern_free(out);
}

void quic_kept_take(tern_quic *q, const tern_peer_id *peer, const tern_endpoint *to, quic_kept *ret)
{
    blob b;
    uint8_t address[ADDRESS];
    memset(ret, 0, sizeof *ret);
    if (peer->len == 0) {
        return; /* it could be anybody */
    }
    load(q, peer, &b);
    write_address(address, to);
    if (b.token.len > 0 && b.token.len <= sizeof ret->token && b.address.len == ADDRESS &&
        memcmp(b.address.data, address, ADDRESS) == 0) {
        ret->token_n = put(ret->token, b.token);
    }
    const entry *e = &b.tickets[b.count > 0 ? b.count - 1 : 0];
    if (b.count == 0 || e->session.len == 0 || e->params.len > sizeof ret->params ||
        tern_key_from_public(b.key.data, b.key.len, &ret->key) != 0) {
        return;
    }
    ret->session = tern_memdup(e->session.data, e->session.len);
    if (ret->session == NULL) {
        return;
    }
    ret->session_n = e->session.len;
    ret->params_n = put(ret->params, e->params);
    b.count--;
    save(q, peer, &b);
}

void quic_kept_clear(quic_kept *k)
{
    if (k->session != NULL) {
        tern_wipe(k->session, k->session_n);
        tern_free(k->session);
    }
    tern_key_unref(k->key);
    tern_wipe(k, sizeof *k);
}

void quic_kept_add(tern_quic *q, const tern_key *server, tern_span session, tern_span params,
                   uint64_t life)
{
    blob b;
    tern_peer_id peer;
    size_t n;
    const uint8_t *key = tern_key_public(server, &n);
    if (n > KEY_MAX || session.len > UINT16_MAX || params.len > sizeof((quic_kept *)NULL)->params) {
        return;
    }
    tern_key_peer_id(server, &peer);
    load(q, &peer, &b);
    b.key = (tern_span){key, n};
    if (b.count == QUIC_KEPT_TICKETS) {
        memmove(b.tickets, b.tickets + 1, (QUIC_KEPT_TICKETS - 1) * sizeof *b.tickets);
        b.count--;
    }
    b.tickets[b.count++] =
        (entry){.until = tern_loop_wall(q->net->loop) + life, .session = session, .params = params};
    save(q, &peer, &b);
}

void quic_kept_token(tern_quic *q, const tern_peer_id *peer, const tern_endpoint *from,
                     tern_span token)
{
    blob b;
    uint8_t address[ADDRESS];
    if (token.len == 0 || token.len > QUIC_TOKEN_MAX) {
        return;
    }
    load(q, peer, &b);
    write_address(address, from);
    b.token = token;
    b.address = (tern_span){address, ADDRESS};
    save(q, peer, &b);
}

void quic_kept_forget(tern_quic *q, const tern_peer_id *peer)
{
    blob b;
    load(q, peer, &b);
    if (b.count > 0) {
        b.count = 0;
        save(q, peer, &b);
    }
}
