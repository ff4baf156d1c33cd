/* Who may connect and who stays, for the node's owner: see tern/node.h; swarm/gater.h and connmgr.h
 * do it. */
#include "host/host.h"

static int gate(tern_node *node, tern_gate gate, const char *what, tern_error *reterr)
{
    int code = tern_gater_add(&node->swarm->gater, gate, what, reterr);
    if (code == 0) {
        tern_swarm_close_gated(node->swarm);
    }
    return code;
}

int tern_node_deny(tern_node *node, const char *what, tern_error *reterr)
{
    return gate(node, TERN_GATE_DENY, what, reterr);
}

int tern_node_allow(tern_node *node, const char *what, tern_error *reterr)
{
    return gate(node, TERN_GATE_ALLOW, what, reterr);
}

int tern_node_ungate(tern_node *node, const char *what, tern_error *reterr)
{
    int code = tern_gater_remove(&node->swarm->gater, what, reterr);
    if (code == 0) {
        tern_swarm_close_gated(node->swarm); /* without an allow entry its peers have none */
    }
    return code;
}

int tern_node_tag_peer(tern_node *node, const tern_peer_id *peer, const char *tag, int32_t value)
{
    return tern_connmgr_tag(&node->swarm->connmgr, peer, tag, value);
}

int tern_node_protect_peer(tern_node *node, const tern_peer_id *peer, const char *tag)
{
    return tern_connmgr_protect(&node->swarm->connmgr, peer, tag);
}

bool tern_node_unprotect_peer(tern_node *node, const tern_peer_id *peer, const char *tag)
{
    return tern_connmgr_unprotect(&node->swarm->connmgr, peer, tag);
}
