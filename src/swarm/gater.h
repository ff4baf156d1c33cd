/* Who may connect to us and whom we dial: lists of what is denied and what is allowed, each entry a
 * peer id, an IP address or a network (CIDR).
 *
 * What a deny entry names is refused. Once there are allow entries, what none of them names is
 * refused too: an address is named by its network, or by the peer behind it, which shows only after
 * the security handshake. */
#ifndef TERN_SWARM_GATER_H
#define TERN_SWARM_GATER_H

#include <tern/error.h>
#include <tern/peer_id.h>

#include "base/endpoint.h"
#include "base/map.h"

typedef struct tern_gater {
    tern_map peers;                       /* peer id -> TERN_GATE_DENY or TERN_GATE_ALLOW */
    tern_map networks;                    /* family, length, prefix -> the same */
    uint32_t lengths4[33], lengths6[129]; /* entries of each length of prefix */
    size_t allowed_networks, allowed_peers;
} tern_gater;

typedef enum tern_gate { TERN_GATE_DENY = 1, TERN_GATE_ALLOW = 2 } tern_gate;

void tern_gater_init(tern_gater *g);
void tern_gater_free(tern_gater *g);
/* Adds an entry: "12D3Koo...", "192.0.2.7", "2001:db8::/32". The same one with the other gate
 * replaces it. TERN_E_MALFORMED (says what), TERN_E_NOMEM. */
int tern_gater_add(tern_gater *g, tern_gate gate, const char *what, tern_error *reterr);
/* Takes an entry out. TERN_E_NOT_FOUND, TERN_E_MALFORMED. */
int tern_gater_remove(tern_gater *g, const char *what, tern_error *reterr);

/* Whether an address may come as far as the security handshake. */
bool tern_gater_admits(const tern_gater *g, const tern_endpoint *remote);
/* Whether this peer at this address is let in; family 0 = an address that is no IP. */
bool tern_gater_lets_in(const tern_gater *g, const tern_peer_id *peer, const tern_endpoint *remote);

#endif
