/* The shared UDP ports of a node: see udp_port.h. */
#include "loop/udp_port.h"

#include <tern/error.h>

#include "base/mem.h"

struct tern_udp_ports {
    tern_list ports;
};

struct tern_udp_port {
    tern_list link;
    tern_udp_ports **table;
    tern_udp *socket;
    tern_endpoint local;
    bool any; /* opened with port 0 */
    unsigned taken;
    tern_udp_member members[TERN_UDP_CLASSES]; /* classes 0 = free */
};

static void on_room(void *owner)
{
    tern_udp_port *port = owner;
    /* Each member is told once; one that leaves inside takes itself out of the array. */
    for (size_t i = 0; i < TERN_UDP_CLASSES; i++) {
        tern_udp_member *m = &port->members[i];
        if (m->classes != 0 && m->on_room != NULL) {
            m->on_room(m->owner);
        }
    }
}

static tern_udp_port *find(tern_udp_ports *ports, const tern_endpoint *at, unsigned classes)
{
    for (tern_list *l = ports->ports.next; l != &ports->ports; l = l->next) {
        tern_udp_port *port = TERN_CONTAINER(l, tern_udp_port, link);
        tern_endpoint local = port->local;
        if (at->port == 0 && port->any && (port->taken & classes) == 0) {
            local.port = 0;
        }
        if (tern_endpoint_eq(&local, at)) {
            return port;
        }
    }
    return NULL;
}

static void free_if_empty(tern_udp_ports **table)
{
    if (*table != NULL && tern_list_empty(&(*table)->ports)) {
        tern_free(*table);
        *table = NULL;
    }
}

static int open_port(tern_loop *loop, tern_udp_ports **table, const tern_endpoint *at,
                     tern_udp_port **ret)
{
    tern_udp_port *port = tern_calloc(1, sizeof *port);
    if (port == NULL) {
        return TERN_E_NOMEM;
    }
    int code = tern_udp_bind(loop, at, &port->socket);
    if (code != 0) {
        tern_free(port);
        return code;
    }
    port->table = table;
    port->any = at->port == 0;
    tern_udp_local(port->socket, &port->local);
    tern_udp_on_room(port->socket, on_room, port);
    tern_list_push(&(*table)->ports, &port->link);
    *ret = port;
    return 0;
}

static void enter(tern_udp_port *port, const tern_udp_member *member)
{
    for (size_t i = 0; i < TERN_UDP_CLASSES; i++) {
        if (port->members[i].classes == 0) {
            port->members[i] = *member;
            break;
        }
    }
    port->taken |= member->classes;
    for (unsigned class = 0; class < TERN_UDP_CLASSES; class ++) {
        if (member->classes & TERN_UDP_SET(class)) {
            tern_udp_register(port->socket, (enum tern_udp_class) class, member->on_datagram,
                              member->owner);
        }
    }
}

int tern_udp_port_join(tern_loop *loop, tern_udp_ports **table, const tern_endpoint *at,
                       const tern_udp_member *member, tern_udp_port **ret)
{
    if (member->classes == 0 || member->classes >= TERN_UDP_SET(TERN_UDP_CLASSES)) {
        return TERN_E_INVALID;
    }
    if (*table == NULL) {
        *table = tern_calloc(1, sizeof **table);
        if (*table == NULL) {
            return TERN_E_NOMEM;
        }
        tern_list_init(&(*table)->ports);
    }
    tern_udp_port *port = find(*table, at, member->classes);
    int code = 0;
    if (port == NULL) {
        code = open_port(loop, table, at, &port);
    } else if (port->taken & member->classes) {
        code = TERN_E_ADDRINUSE;
    }
    if (code != 0) {
        free_if_empty(table);
        return code;
    }
    enter(port, member);
    *ret = port;
    return 0;
}

void tern_udp_port_leave(tern_udp_port *port, unsigned classes)
{
    for (size_t i = 0; i < TERN_UDP_CLASSES; i++) {
        if (port->members[i].classes == classes) {
            port->members[i] = (tern_udp_member){.classes = 0};
        }
    }
    for (unsigned class = 0; class < TERN_UDP_CLASSES; class ++) {
        if (classes & TERN_UDP_SET(class)) {
            tern_udp_register(port->socket, (enum tern_udp_class) class, NULL, NULL);
        }
    }
    port->taken &= ~classes;
    if (port->taken == 0) {
        tern_udp_ports **table = port->table;
        tern_udp_close(port->socket);
        tern_list_remove(&port->link);
        tern_free(port);
        free_if_empty(table);
    }
}

tern_udp *tern_udp_port_socket(const tern_udp_port *port)
{
    return port->socket;
}

void tern_udp_port_local(const tern_udp_port *port, tern_endpoint *ret)
{
    *ret = port->local;
}

bool tern_udp_port_dial_from(tern_udp_ports *table, const tern_endpoint *to, tern_endpoint *ret)
{
    if (table == NULL) {
        return false;
    }
    for (tern_list *l = table->ports.next; l != &table->ports; l = l->next) {
        const tern_endpoint *local = &TERN_CONTAINER(l, tern_udp_port, link)->local;
        if (tern_endpoint_reaches(local, to)) {
            *ret = *local;
            return true;
        }
    }
    return false;
}
