/* Deny and allow lists: see gater.h. Peers are looked up; networks are walked, and there are few.
 */
#include "swarm/gater.h"

#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "base/mem.h"

typedef struct gater_network {
    tern_list link;
    tern_endpoint base; /* port 0 */
    unsigned bits;
    tern_gate gate;
} gater_network;

void tern_gater_init(tern_gater *g)
{
    memset(g, 0, sizeof *g);
    tern_map_init(&g->peers);
    tern_list_init(&g->networks);
}

void tern_gater_free(tern_gater *g)
{
    tern_list *l;
    while ((l = tern_list_pop(&g->networks)) != NULL) {
        tern_free(TERN_CONTAINER(l, gater_network, link));
    }
    tern_map_free(&g->peers);
}

/* ---- networks ---- */

static bool covers(const gater_network *n, const tern_endpoint *e)
{
    unsigned bytes = n->bits / 8, rest = n->bits % 8;
    if (e->family != n->base.family || memcmp(e->ip, n->base.ip, bytes) != 0) {
        return false;
    }
    uint8_t mask = (uint8_t)(0xff00U >> rest);
    return rest == 0 || ((e->ip[bytes] ^ n->base.ip[bytes]) & mask) == 0;
}

/* "192.0.2.0/24" or an address alone. */
static bool parse_network(const char *what, gater_network *ret)
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

static gater_network *find_network(const tern_gater *g, const gater_network *wanted)
{
    for (tern_list *l = g->networks.next; l != &g->networks; l = l->next) {
        gater_network *n = TERN_CONTAINER(l, gater_network, link);
        if (n->bits == wanted->bits && covers(n, &wanted->base)) {
            return n;
        }
    }
    return NULL;
}

static bool in_networks(const tern_gater *g, const tern_endpoint *e, tern_gate gate)
{
    for (tern_list *l = g->networks.next; l != &g->networks; l = l->next) {
        const gater_network *n = TERN_CONTAINER(l, gater_network, link);
        if (n->gate == gate && covers(n, e)) {
            return true;
        }
    }
    return false;
}

/* ---- entries ---- */

static int add_network(tern_gater *g, const gater_network *wanted, tern_gate gate)
{
    gater_network *n = find_network(g, wanted);
    if (n == NULL) {
        n = tern_memdup(wanted, sizeof *wanted);
        if (n == NULL) {
            return TERN_E_NOMEM;
        }
        tern_list_init(&n->link);
        tern_list_push(&g->networks, &n->link);
    } else {
        g->allowed_networks -= n->gate == TERN_GATE_ALLOW;
    }
    n->gate = gate;
    g->allowed_networks += gate == TERN_GATE_ALLOW;
    return 0;
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
    gater_network network;
    tern_peer_id peer;
    int code;
    if (parse_network(what, &network)) {
        code = add_network(g, &network, gate);
    } else if (tern_peer_id_parse(&peer, what) == 0) {
        code = add_peer(g, &peer, gate);
    } else {
        return malformed(what, reterr);
    }
    return code == 0 ? 0 : tern_fail(reterr, code, "gater", "%s", tern_code_text(code));
}

int tern_gater_remove(tern_gater *g, const char *what, tern_error *reterr)
{
    gater_network network, *n;
    tern_peer_id peer;
    if (parse_network(what, &network)) {
        n = find_network(g, &network);
        if (n != NULL) {
            g->allowed_networks -= n->gate == TERN_GATE_ALLOW;
            tern_list_remove(&n->link);
            tern_free(n);
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
