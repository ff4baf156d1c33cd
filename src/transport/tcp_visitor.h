/* Inside transport/: the shared TCP ports, and their visitors: connections on their way from accept
 * to the listener that they belong to.
 *
 *     FIRST --13 2f 6d--> handed over with its bytes unread
 *       |-----GET ...---> HEAD --complete--> handed over, its head consumed
 *       |                  ^  \--refused---> ANSWERED --read or 2 s--> closed
 *       '-----16 03-----> TLS --shaken hands--'
 *
 * All stages have one deadline, counted from accept on, and it goes with the stream to whoever it
 * is handed to: silence, drips and pauses between the stages buy no time. All visitors count among
 * what is not secured yet (net->pending). A visitor is freed before its stream is handed over, so
 * the callee may do anything, also close the port. */
#ifndef TERN_TRANSPORT_TCP_VISITOR_H
#define TERN_TRANSPORT_TCP_VISITOR_H

#include "loop/tcp.h"
#include "transport/tcp_port.h"

typedef struct tern_tcp_ports {
    tern_list ports;
    tern_list visitors;
} tern_tcp_ports;

struct tern_tcp_port {
    tern_list link;
    tern_net *net;
    tern_tcp_listener *listener;
    tern_endpoint local;
    bool any; /* was asked for as port 0 */
    struct {
        const tern_tcp_class_events *events; /* NULL: nobody */
        void *owner;
    } classes[TERN_TCP_CLASSES];
};

/* A stream that was just accepted comes in. */
void tern_tcp_visit(tern_tcp_port *port, tern_stream *s, const tern_endpoint *local,
                    const tern_endpoint *remote);
/* The stream of a visitor from that endpoint who has said nothing yet, or else of one from that IP
 * who has not since then; it is the caller's. NULL: there is none. */
tern_stream *tern_tcp_visitors_claim(tern_tcp_ports *ports, const tern_endpoint *from,
                                     uint64_t silent_since);
/* Sends all visitors of a port away. */
void tern_tcp_visitors_expel(tern_tcp_port *port);

#endif
