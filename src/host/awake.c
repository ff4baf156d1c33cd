/* After the machine, or the process, stood still: NATs and peers may have given connections up
 * while we could not hear of it, and TCP would notice within a minute only. Every connection is
 * asked for a ping; who does not answer in time is gone. Any answer will do, also that ping is not
 * spoken. */
#include "base/log.h"
#include "base/mem.h"
#include "host/host.h"

typedef struct probe {
    tern_node *node;
    tern_conn *conn;
} probe;

/* Comes before the conn is gone: its end tells its pings first. */
static void on_answer(void *owner, uint64_t rtt, const tern_error *error)
{
    probe *p = owner;
    (void)rtt;
    if (error->code == TERN_E_TIMEOUT) {
        tern_node_net(p->node)->counters.conns_dead_after_standstill++;
        tern_conn_abort(p->conn, 1, "no answer after we stood still");
    }
    tern_free(p);
}

void tern_node_probe_all(tern_node *node)
{
    tern_swarm *swarm = node->swarm;
    TERN_LOG(TERN_LOG_INFO, "host", "the machine stood still: asking %zu connections",
             swarm->conn_count);
    for (tern_list *l = swarm->conns.next; l != &swarm->conns; l = l->next) {
        tern_conn *conn = TERN_CONTAINER(l, tern_swarm_conn, link)->conn;
        probe *p = conn->closing || conn->finished ? NULL : tern_calloc(1, sizeof *p);
        if (p == NULL) {
            continue;
        }
        *p = (probe){node, conn};
        if (tern_node_ping(node, conn, on_answer, p) != 0) {
            tern_free(p);
        }
    }
}
