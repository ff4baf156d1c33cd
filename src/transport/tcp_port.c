/* The shared TCP ports of a node: who listens on which, and what they accept. See tcp_port.h; the
 * way of an accepted connection to its listener is tcp_visitor.c. */
#include "base/error.h"
#include "base/mem.h"
#include "streams/tcp.h"
#include "transport/tcp_visitor.h"

#define SILENCE (400 * TERN_MS) /* longer than a dialler's first bytes take after its handshake */

/* ---- accepting ---- */

/* Whether a socket that was just accepted may stay; counted when not. */
static bool admit(tern_net *net, const tern_endpoint *remote)
{
    if (net->ops != NULL && net->ops->admits != NULL && !net->ops->admits(net, remote)) {
        net->counters.accept_gated++;
        return false;
    }
    if (net->limits.sockets == 0 || net->socket_count < net->limits.sockets) {
        return true;
    }
    /* Descriptors run low: who is not secured yet makes place, if there is anybody. */
    bool place = tern_crowds_evict(&net->pending);
    net->counters.evicted_sockets += place;
    net->counters.accept_limit += place;
    net->counters.accept_no_descriptors += !place;
    return place;
}

static void on_accept(void *owner, tern_tcp *socket)
{
    tern_tcp_port *port = owner;
    tern_net *net = port->net;
    tern_endpoint local, remote;
    if (socket == NULL) {
        net->counters.accept_no_descriptors++;
        return;
    }
    net->counters.accepts++;
    tern_tcp_local(socket, &local);
    tern_tcp_remote(socket, &remote);
    tern_endpoint_unmap(&local);
    tern_endpoint_unmap(&remote);
    if (!admit(net, &remote)) {
        tern_tcp_close(socket, true);
        return;
    }
    tern_stream *s = tern_tcp_stream_new(net->loop, socket, net->limits.write_queue,
                                         net->limits.write_stall_time, net);
    if (s == NULL) {
        net->counters.allocation_failures++;
        tern_tcp_close(socket, true);
        return;
    }
    tern_tcp_visit(port, s, &local, &remote);
}

/* ---- ports ---- */

static tern_tcp_ports *make_table(tern_net *net)
{
    if (net->ports == NULL) {
        net->ports = tern_calloc(1, sizeof *net->ports);
        if (net->ports != NULL) {
            tern_list_init(&net->ports->ports);
            tern_list_init(&net->ports->visitors);
        }
    }
    return net->ports;
}

static void free_table_if_empty(tern_net *net)
{
    if (tern_list_empty(&net->ports->ports)) {
        tern_free(net->ports);
        net->ports = NULL;
    }
}

static tern_tcp_port *find_port(tern_net *net, const tern_endpoint *at, enum tern_tcp_class class)
{
    tern_tcp_ports *ports = net->ports;
    for (tern_list *l = ports->ports.next; l != &ports->ports; l = l->next) {
        tern_tcp_port *port = TERN_CONTAINER(l, tern_tcp_port, link);
        tern_endpoint local = port->local;
        if (at->port == 0 && port->any && port->classes[class].events == NULL) {
            local.port = 0;
        }
        if (tern_endpoint_eq(&local, at)) {
            return port;
        }
    }
    return NULL;
}

static int open_port(tern_net *net, const tern_endpoint *at, tern_tcp_port **ret,
                     tern_error *reterr)
{
    char text[TERN_ENDPOINT_TEXT];
    tern_tcp_port *port = tern_calloc(1, sizeof *port);
    if (port == NULL) {
        return tern_fail(reterr, TERN_E_NOMEM, "tcp", "out of memory");
    }
    port->net = net;
    port->any = at->port == 0;
    int code = net->fast_open
                   ? tern_tcp_listen_fast(net->loop, at, on_accept, port, &port->listener)
                   : tern_tcp_listen(net->loop, at, on_accept, port, &port->listener);
    if (code != 0) {
        tern_free(port);
        return tern_fail(reterr, code, "tcp", "cannot listen on %s: %s",
                         tern_endpoint_text(text, at), tern_code_text(code));
    }
    tern_tcp_listener_local(port->listener, &port->local);
    tern_list_push(&net->ports->ports, &port->link);
    *ret = port;
    return 0;
}

int tern_tcp_port_join(tern_net *net, const tern_endpoint *at, enum tern_tcp_class class,
                       const tern_tcp_class_events *events, void *owner, tern_tcp_port **ret,
                       tern_error *reterr)
{
    char text[TERN_ENDPOINT_TEXT];
    if (make_table(net) == NULL) {
        return tern_fail(reterr, TERN_E_NOMEM, "tcp", "out of memory");
    }
    tern_tcp_port *port = find_port(net, at, class);
    if (port == NULL) {
        int code = open_port(net, at, &port, reterr);
        if (code != 0) {
            free_table_if_empty(net);
            return code;
        }
    } else if (port->classes[class].events != NULL) {
        return tern_fail(reterr, TERN_E_ADDRINUSE, "tcp", "this node listens on %s already",
                         tern_endpoint_text(text, at));
    }
    port->classes[class].events = events;
    port->classes[class].owner = owner;
    *ret = port;
    return 0;
}

void tern_tcp_port_leave(tern_tcp_port *port, enum tern_tcp_class class)
{
    tern_net *net = port->net;
    port->classes[class].events = NULL;
    for (size_t i = 0; i < TERN_TCP_CLASSES; i++) {
        if (port->classes[i].events != NULL) {
            return;
        }
    }
    tern_tcp_visitors_expel(port);
    tern_tcp_listener_close(port->listener);
    tern_list_remove(&port->link);
    tern_free(port);
    free_table_if_empty(net);
}

void tern_tcp_port_local(const tern_tcp_port *port, tern_endpoint *ret)
{
    *ret = port->local;
}

tern_stream *tern_tcp_port_claim(tern_net *net, const tern_endpoint *from)
{
    uint64_t now = tern_loop_now(net->loop);
    uint64_t since = now > SILENCE ? now - SILENCE : 0;
    return net->ports != NULL ? tern_tcp_visitors_claim(net->ports, from, since) : NULL;
}

bool tern_tcp_port_dial_from(tern_net *net, const tern_endpoint *to, tern_endpoint *ret)
{
    tern_tcp_ports *ports = net->ports;
    if (ports == NULL) {
        return false;
    }
    for (tern_list *l = ports->ports.next; l != &ports->ports; l = l->next) {
        const tern_endpoint *local = &TERN_CONTAINER(l, tern_tcp_port, link)->local;
        if (tern_endpoint_reaches(local, to)) {
            *ret = *local;
            return true;
        }
    }
    return false;
}
