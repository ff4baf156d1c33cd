/* What the transports over TCP share: the way from a multiaddr to a connected stream, and a
 * listener on a class of the shared port. */
#ifndef TERN_TRANSPORT_OVER_TCP_H
#define TERN_TRANSPORT_OVER_TCP_H

#include "streams/tcp.h"
#include "transport/tcp_port.h"

enum { TERN_OVER_TCP_SUFFIX_MAX = 4 };

/* Whether the address is [/ip6zone]/ip/tcp followed by `suffix` (0-terminated codes, at most
 * TERN_OVER_TCP_SUFFIX_MAX), or, with `names`, the same with a DNS name. */
bool tern_over_tcp_matches(const tern_multiaddr *addr, const uint32_t *suffix, bool names);

/* Connects to the endpoint that begins op->addr, from the shared port when there is one; done as in
 * tern_tcp_stream_dial. Connecting has no deadline of its own: op's is to cancel it. 0 or a code as
 * there, TERN_E_INVALID when the address does not begin with an endpoint. */
int tern_over_tcp_connect(const tern_dial_op *op, tern_tcp_dial_op *connect,
                          void (*done)(tern_op *op, const tern_error *error), tern_error *reterr);

/* The same, up to where it is dialled. */
int tern_over_tcp_ready(const tern_dial_op *op, tern_tcp_dial_op *connect,
                        void (*done)(tern_op *op, const tern_error *error), tern_error *reterr);

/* For the cancel of a dial: releases a result that nobody was told of. */
void tern_over_tcp_release(tern_dial_op *op);

/* /ip4|ip6/../tcp/PORT, with /ws behind it for TERN_TCP_WS, /tls/ws for TERN_TCP_WSS; NULL without
 * memory. */
tern_multiaddr *tern_over_tcp_addr(const tern_endpoint *e, enum tern_tcp_class class);

typedef struct tern_over_tcp_listener {
    tern_listener base;
    tern_net *net;
    tern_tcp_port *port;
    enum tern_tcp_class class;
} tern_over_tcp_listener;

/* Joins the port of `addr`; its streams of the class come to `on_stream`, whose owner is the
 * tern_over_tcp_listener. */
int tern_over_tcp_listen(const tern_transport *transport, tern_net *net, const tern_multiaddr *addr,
                         enum tern_tcp_class class, const tern_tcp_class_events *class_events,
                         const tern_listener_events *events, void *owner, tern_listener **ret,
                         tern_error *reterr);

/* Tells the listener's owner of a stream; without memory for the addresses it is reset. */
void tern_over_tcp_accept(tern_over_tcp_listener *l, tern_stream *s, const tern_endpoint *local,
                          const tern_endpoint *remote, uint64_t deadline);

#endif
