/* The connection: authenticated, to one peer, opening and accepting streams. Which road it took
 * (TCP with Noise and yamux, later QUIC, WebTransport, WebRTC, a relay) shows only in its facts.
 * All calls are made on the node's loop thread. */
#ifndef TERN_CONN_H
#define TERN_CONN_H

#include <stdbool.h>

#include <tern/key.h>
#include <tern/multiaddr.h>
#include <tern/peer_id.h>
#include <tern/stream.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef struct tern_conn tern_conn;

/* What is known of a connection; valid as long as the connection. */
typedef struct tern_conn_facts {
    uint64_t id;            /* for logs; unique in its node */
    tern_peer_id peer;      /* proven by the security handshake */
    tern_key *key;          /* the peer's public key */
    tern_multiaddr *local;  /* our address of this connection, without /p2p */
    tern_multiaddr *remote; /* the peer's, without /p2p; another object once a QUIC peer has moved:
                               take a reference to keep it over a turn of the loop */
    const char *transport;  /* "tcp", "ws", "wss", "quic-v1", ... */
    const char *security;   /* "noise", "tls" */
    const char *muxer;      /* "yamux", "mplex", "native" */
    bool inbound;           /* the peer dialled */
    bool limited;           /* through a relay that limits it */
    uint64_t rtt;           /* smoothed round trip in nanoseconds, 0 = not measured yet */
    uint64_t opened;        /* the loop's clock when it was secured */
    bool resumed;           /* the peer proved its id earlier, and now that it is the same */
    bool unproven;          /* 0-RTT: the peer has not answered yet, or not shown that it is no
                               replay; it becomes false, or the connection fails */
} tern_conn_facts;

TERN_API const tern_conn_facts *tern_conn_get_facts(const tern_conn *conn);

#ifdef __cplusplus
}
#endif
#endif
