/* Whether others can reach the node, and what follows: see tern/node.h; nat/reach, nat/autonat and
 * nat/portmap do the work. */
#include "host/host.h"

/* A relay that nobody can dial is none: the service runs while an address is public. What is not
 * known any more changes nothing. */
static void judge_relay(tern_node *node)
{
    tern_reachability all = tern_node_reachability(node);
    if (!node->options.relay_service_auto || node->options.relay_service) {
        return;
    }
    if (all == TERN_REACHABILITY_PUBLIC && node->relay == NULL) {
        tern_node_net(node)->counters.allocation_failures += tern_node_serve_relay(node) != 0;
    } else if (node->relay != NULL) {
        tern_relay_serve(node->relay, all != TERN_REACHABILITY_PRIVATE);
    }
}

void tern_node_on_reachability(void *owner, const tern_multiaddr *addr, tern_reachability verdict)
{
    tern_node *node = owner;
    const tern_node_events *events = node->options.events;
    judge_relay(node);
    if (node->finder != NULL) {
        tern_relay_finder_judge(node->finder);
    }
    if (events != NULL && events->on_reachability != NULL) {
        events->on_reachability(node->options.owner, node, addr, verdict);
    }
}

int tern_node_start_autonat(tern_node *node)
{
    tern_net *net = tern_node_net(node);
    const tern_options *o = &node->options;
    int code = 0;
    net->stranger = tern_node_stranger;
    if (o->autonat || o->reachability != TERN_REACHABILITY_UNKNOWN) {
        code = tern_reach_new(net, o->reachability, &node->reach);
    }
    if (code == 0 && o->autonat_service) {
        code = tern_autonat_new(net, &node->autonat);
    }
    if (code == 0) {
        judge_relay(node);
    }
    return code;
}

void tern_node_on_mapped(void *owner, const tern_port_mapping *what, const tern_error *why)
{
    tern_node *node = owner;
    const tern_node_events *events = node->options.events;
    if (events != NULL && events->on_port_mapping != NULL) {
        events->on_port_mapping(node->options.owner, node, what, why);
    }
}

int tern_node_start_portmap(tern_node *node)
{
    return node->options.port_mapping ? tern_portmap_new(tern_node_net(node), &node->portmap) : 0;
}

static void portmap_stopped(void *owner)
{
    tern_node *node = owner;
    node->portmap_stopped = true;
    tern_node_part_stopped(node);
}

void tern_node_stop_portmap(tern_node *node)
{
    node->portmap_stopped = node->portmap == NULL;
    if (node->portmap != NULL) {
        tern_portmap_stop(node->portmap, portmap_stopped, node);
    }
}

tern_reachability tern_node_reachability(const tern_node *node)
{
    return node->reach != NULL ? tern_reach_node(node->reach) : TERN_REACHABILITY_UNKNOWN;
}
