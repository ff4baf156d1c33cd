/* Deny and allow lists: see gater.h. Peers are looked up, and so are networks: once for each length
 * of prefix that some entry has, however many addresses are banned one by one. */
#include "swarm/gater.h"

#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "base/mem.h"

enum { BITS_MAX = 128, KEY = 2 + 16 };

typedef struct network {
    tern_endpoint base; /* port 0 */
    unsigned bits;
} network;

void tern_gater_init(tern_gater *g)
{
    memset(g, 0, sizeof *g);
    tern_map_init(&g->peers);
    tern_map_init(&g->networks);
}

void tern_gater_free(tern_gater *g)
{
    tern_map_free(&g->networks);
    tern_map_free(&g->peers);
}

/* ---- networks ---- */

/* Family, length, and the address without what is behind the prefix. */
static void key_of(const tern_endpoint *e, unsigned bits, uint8_t key[KEY])
{
    size_t bytes = bits / 8;
    memset(key, 0, KEY);
    key[0] = e->family;
    key[1] = (uint8_t)bits;
    memcpy(key + 2, e->ip, bytes);
    if (bits % 8 != 0) {
        key[2 + bytes] = (uint8_t)(e->ip[bytes] & (0xff00U >> bits % 8));
    }
}

static tern_gate network_gate(const tern_gater *g, const tern_endpoint *e, unsigned bits)
{
    uint8_t key[KEY];
    key_of(e, bits, key);
    return (tern_gate)(uintptr_t)tern_map_get(&g->networks, key, sizeof key);
}

static bool in_networks(const tern_gater *g, const tern_endpoint *e, tern_gate gate)
{
    const uint32_t *lengths = e->family == 4 ? g->lengths4 : g->lengths6;
    unsigned most = e->family == 4 ? 32 : e->family == 6 ? BITS_MAX : 0;
    if (e->family == 0 || tern_map_len(&g->networks) == 0) {
        return false;
    }
    for (unsigned bits = 0; bits <= most; bits++) {
        if (lengths[bits] > 0 && network_gate(g, e, bits) == gate) {
            return true;
        }
    }
    return false;
}

/* "192.0.2.0/24" or an address alone. */
static bool parse_network(const char *what, network *ret)
{
    char ip[64];
    const char *slash = strchr(what, '/');
    size_t n = slash != NULL ? (size_t)(slash - what) : strlen(what);
    memset(ret, 0, sizeof *ret);
    if (n >= sizeof ip) {
        return false;
    }
    memcpy(ip, what, n);
    ip[n] = '\0';
    if (tern_endpoint_parse_ip(&ret->base, ip) != 0) {
        return false;
    }
    unsigned most = ret->base.family == 4 ? 32 : 128;
    ret->bits = most;
    if (slash != NULL) {
        char *end;
        unsigned long bits = strtoul(slash + 1, &end, 10);
        if (slash[1] < '0' || slash[1] > '9' || *end != '\0' || bits > most) {
            return false;
        }
        ret->bits = (unsigned)bits;
    }
    return true;
}

/* ---- entries ---- */

static uint32_t *length_count(tern_gater *g, const network *n)
{
    return n->base.family == 4 ? &g->lengths4[n->bits] : &g->lengths6[n->bits];
}

static int add_network(tern_gater *g, const network *n, tern_gate gate)
{
    uint8_t key[KEY];
    tern_gate before = network_gate(g, &n->base, n->bits);
    key_of(&n->base, n->bits, key);
    int code = tern_map_set(&g->networks, key, sizeof key, (void *)(uintptr_t)gate);
    if (code == 0) {
        *length_count(g, n) += before == 0;
        g->allowed_networks +=
            (size_t)(gate == TERN_GATE_ALLOW) - (size_t)(before == TERN_GATE_ALLOW);
    }
    return code;
}

static bool remove_network(tern_gater *g, const network *n)
{
    uint8_t key[KEY];
    tern_gate before = network_gate(g, &n->base, n->bits);
    if (before == 0) {
        return false;
    }
    key_of(&n->base, n->bits, key);
    tern_map_remove(&g->networks, key, sizeof key);
    --*length_count(g, n);
    g->allowed_networks -= before == TERN_GATE_ALLOW;
    return true;
}

static tern_gate gate_of(const tern_gater *g, const tern_peer_id *peer)
{
    return (tern_gate)(uintptr_t)tern_map_get(&g->peers, peer->bytes, peer->len);
}

static int add_peer(tern_gater *g, const tern_peer_id *peer, tern_gate gate)
{
    bool allowed = gate_of(g, peer) == TERN_GATE_ALLOW;
    int code = tern_map_set(&g->peers, peer->bytes, peer->len, (void *)(uintptr_t)gate);
    if (code == 0) {
        g->allowed_peers += (size_t)(gate == TERN_GATE_ALLOW) - (size_t)allowed;
    }
    return code;
}

static int malformed(const char *what, tern_error *reterr)
{
    return tern_fail(reterr, TERN_E_MALFORMED, "gater",
                     "'%s' is no peer id, IP address or network such as 192.0.2.0/24", what);
}

int tern_gater_add(tern_gater *g, tern_gate gate, const char *what, tern_error *reterr)
{
    network n;
    tern_peer_id peer;
    int code;
    if (parse_network(what, &n)) {
        code = add_network(g, &n, gate);
    } else if (tern_peer_id_parse(&peer, what) == 0) {
        code = add_peer(g, &peer, gate);
    } else {
        return malformed(what, reterr);
    }
    return code == 0 ? 0 : tern_fail(reterr, code, "gater", "%s", tern_code_text(code));
}

int tern_gater_remove(tern_gater *g, const char *what, tern_error *reterr)
{
    network n;
    tern_peer_id peer;
    if (parse_network(what, &n)) {
        if (remove_network(g, &n)) {
            return 0;
        }
    } else if (tern_peer_id_parse(&peer, what) == 0) {
        tern_gate gate = gate_of(g, &peer);
        if (gate != 0) {
            g->allowed_peers -= gate == TERN_GATE_ALLOW;
            tern_map_remove(&g->peers, peer.bytes, peer.len);
            return 0;
        }
    } else {
        return malformed(what, reterr);
    }
    return tern_fail(reterr, TERN_E_NOT_FOUND, "gater", "'%s' is in no list", what);
}

/* ---- questions ---- */

bool tern_gater_admits(const tern_gater *g, const tern_endpoint *remote)
{
    if (in_networks(g, remote, TERN_GATE_DENY)) {
        return false;
    }
    return g->allowed_networks == 0 || g->allowed_peers > 0 ||
           in_networks(g, remote, TERN_GATE_ALLOW);
}

bool tern_gater_lets_in(const tern_gater *g, const tern_peer_id *peer, const tern_endpoint *remote)
{
    tern_gate gate = gate_of(g, peer);
    if (gate == TERN_GATE_DENY || in_networks(g, remote, TERN_GATE_DENY)) {
        return false;
    }
    return g->allowed_networks + g->allowed_peers == 0 || gate == TERN_GATE_ALLOW ||
           in_networks(g, remote, TERN_GATE_ALLOW);
}
