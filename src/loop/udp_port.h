/* The UDP ports of a node: whoever speaks over one joins it for the classes of first bytes that are
 * his (loop/udp.h), and several share the socket.
 *
 *   join 0.0.0.0:4001 for QUIC   -> opens the socket
 *   join 0.0.0.0:4001 for STUN and DTLS -> the same socket
 *   leave, leave -> the last one closes it
 *
 * The table is its user's: one pointer, NULL while no port is open. Dialling goes out of the same
 * sockets, so that the port that a peer observes is the one that is listened on. */
#ifndef TERN_LOOP_UDP_PORT_H
#define TERN_LOOP_UDP_PORT_H

#include "loop/udp.h"

typedef struct tern_udp_port tern_udp_port;
typedef struct tern_udp_ports tern_udp_ports;

/* A set of classes. */
#define TERN_UDP_SET(class) (1u << (class))

typedef struct tern_udp_member {
    unsigned classes; /* TERN_UDP_SET of each */
    tern_udp_handler *on_datagram;
    void (*on_room)(
        void *owner); /* the system's buffer was full and is not any more; may be NULL */
    void *owner;
} tern_udp_member;

/* Joins (or opens) the port; `member` is copied. Port 0 joins a port of the same ip that was opened
 * with 0 and lacks the classes, else it opens another. TERN_E_ADDRINUSE also when one of the
 * classes is taken there, TERN_E_INVALID (no class), TERN_E_NOMEM, and tern_udp_bind's. */
int tern_udp_port_join(tern_loop *loop, tern_udp_ports **table, const tern_endpoint *at,
                       const tern_udp_member *member, tern_udp_port **ret);
/* The member with these classes goes; nothing is called any more. */
void tern_udp_port_leave(tern_udp_port *port, unsigned classes);

/* The socket, for sending. Its handlers and on_room are the port's. */
tern_udp *tern_udp_port_socket(const tern_udp_port *port);
void tern_udp_port_local(const tern_udp_port *port, tern_endpoint *ret);

/* Where to dial `to` from: an open port of its family that reaches it (loopback only meets
 * loopback); false if there is none. */
bool tern_udp_port_dial_from(tern_udp_ports *table, const tern_endpoint *to, tern_endpoint *ret);

#endif
