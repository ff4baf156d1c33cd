/* One TCP port for everything: raw libp2p, HTTP, WebSocket, and both of these inside TLS, told
 * apart by first bytes (libp2p specs, connections; protocols of the port in RFC 9110, RFC 6455).
 *
 *   accept -> first bytes:
 *       13 2f 6d      raw libp2p -> the tcp listener
 *       GET POST ...  HTTP -> its head: Upgrade: websocket -> the ws listener
 *                                       anything else      -> net->http
 *       16 03         TLS, where there is a certificate for it -> HTTP again, inside:
 *                                       Upgrade: websocket -> the wss listener
 *       anything else with a private network's key -> the tcp listener
 *       other, or none in time -> closed and counted
 *
 * Listeners of one loop that name the same ip and port share the socket; the last one closes it.
 * Connections that have not said what they are, and those that are being turned away with an
 * answer, are visitors; they count among what is not secured yet (net->pending). */
#ifndef TERN_TRANSPORT_TCP_PORT_H
#define TERN_TRANSPORT_TCP_PORT_H

#include "core/transport.h"

typedef struct tern_tcp_port tern_tcp_port;

enum tern_tcp_class { TERN_TCP_RAW, TERN_TCP_WS, TERN_TCP_WSS, TERN_TCP_CLASSES };

/* Whom a class belongs to. For TERN_TCP_WS and _WSS the head is the parsed upgrade request,
 * consumed; the WebSocket answer is still to be written. The stream is the callee's; all else is
 * lent. The deadline (absolute) is that of the whole way from accept to muxer. */
typedef struct tern_tcp_class_events {
    void (*on_stream)(void *owner, tern_stream *s, const tern_http1_head *head,
                      const tern_endpoint *local, const tern_endpoint *remote, uint64_t deadline);
} tern_tcp_class_events;

/* Joins (or opens) the port; TERN_E_ADDRINUSE also when the class is taken there. Port 0 joins a
 * port of the same ip that was opened with 0 and lacks the class, else it opens another. */
int tern_tcp_port_join(tern_net *net, const tern_endpoint *at, enum tern_tcp_class class,
                       const tern_tcp_class_events *events, void *owner, tern_tcp_port **ret,
                       tern_error *reterr);
void tern_tcp_port_leave(tern_tcp_port *port, enum tern_tcp_class class);
void tern_tcp_port_local(const tern_tcp_port *port, tern_endpoint *ret);

/* Takes a stream of this port over, writes `answer`, ends, and waits a moment, at most until
 * `deadline`, for the peer to read it and close. */
void tern_tcp_port_turn_away(tern_tcp_port *port, tern_stream *s, const tern_endpoint *remote,
                             uint64_t deadline, const char *answer);

/* A connection that came to one of our ports from where we punch a hole to, and whose peer says
 * nothing: it waits for us. From another port of that IP it has to be silent for a while, as
 * whoever dials as usual is not. The stream is the caller's; NULL: there is none. */
tern_stream *tern_tcp_port_claim(tern_net *net, const tern_endpoint *from);

/* A listening endpoint of this loop to dial from (same family, not loopback-bound unless `to` is),
 * so that the port a peer observes is the one we listen on; false if there is none. */
bool tern_tcp_port_dial_from(tern_net *net, const tern_endpoint *to, tern_endpoint *ret);

#endif
