/* The relays at which a node has, or wants, a place: see tern/node.h; nat/circuit does the work. */
#include "host/host.h"
#include "nat/circuit.h"

typedef struct listener {
    void (*fn)(void *arg, const tern_relay_place *place);
    void *arg;
} listener;

static void tell(void *arg, const tern_circuit_place *p)
{
    const listener *to = arg;
    tern_relay_place place = {.addr = p->addr,
                              .relay = p->relay,
                              .expires = p->expires,
                              .duration_s = p->duration,
                              .data = p->data,
                              .found = p->found,
                              .why = p->why};
    to->fn(to->arg, &place);
}

void tern_node_relays(tern_node *node, void (*fn)(void *arg, const tern_relay_place *place),
                      void *arg)
{
    listener to = {fn, arg};
    tern_circuit_places(tern_node_net(node), tell, &to);
}
