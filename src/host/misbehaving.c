/* Who breaks the rules is told of in the log: one line each, with address and peer, that a program
 * can read and ban by. So many a second, for a flood of them would be an attack in itself. */
#include <stdio.h>

#include "base/log.h"
#include "host/host.h"

enum { TOLD_MAX = 10 };

static void tell(tern_node *node, const char *addr, const char *peer, const tern_error *why)
{
    uint64_t now = tern_loop_now(node->loop);
    if (now - node->told_at >= TERN_SEC) {
        if (node->told > TOLD_MAX) {
            TERN_LOG(TERN_LOG_INFO, "host", "%u more were misbehaving", node->told - TOLD_MAX);
        }
        node->told_at = now;
        node->told = 0;
    }
    if (node->told++ < TOLD_MAX) {
        TERN_LOG(TERN_LOG_INFO, "host", "%s %s misbehaving: %s: %s", addr, peer, why->layer,
                 why->text);
    }
}

void tern_node_tell_misbehaving(void *owner, const tern_endpoint *remote, const tern_error *why)
{
    char ip[TERN_ENDPOINT_TEXT], addr[TERN_ENDPOINT_TEXT + 16];
    snprintf(addr, sizeof addr, "/ip%u/%s", (unsigned)remote->family,
             tern_endpoint_ip_text(ip, remote));
    tell(owner, addr, "-", why);
}

void tern_node_tell_conn_misbehaving(tern_node *node, const tern_conn *conn, const tern_error *why)
{
    char peer[TERN_PEER_ID_TEXT];
    const tern_conn_facts *f = tern_conn_get_facts(conn);
    tell(node, tern_multiaddr_text(f->remote), tern_peer_id_text(&f->peer, peer), why);
}
