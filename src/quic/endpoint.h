/* Inside quic/: an endpoint is QUIC on one UDP port: it gives each datagram to the connection that
 * its connection id names, and makes connections of Initials (RFC 9000, sections 5 and 7).
 *
 *     datagram -> destination connection id -> known: the conn reads it
 *                                           -> an Initial, and we listen: a new conn, or a Retry
 *                                           -> another version: version negotiation
 *                                           -> anything else: a stateless reset, a few a second
 *
 * Listeners and dials share the endpoint of an address, so that the port that a peer observes is
 * the one that we listen on. An endpoint lives as long as somebody uses it. */
#ifndef TERN_QUIC_ENDPOINT_H
#define TERN_QUIC_ENDPOINT_H

#include <ngtcp2/ngtcp2.h>

#include "base/map.h"
#include "core/transport.h"
#include "crypto/known.h"
#include "loop/udp_port.h"
#include "quic/tickets.h"

typedef struct quic_endpoint quic_endpoint;
typedef struct quic_conn quic_conn;

enum {
    QUIC_CID = 8,              /* bytes of the connection ids that we choose */
    QUIC_PACKET_MAX = 1452,    /* of UDP payload: an Ethernet frame with IPv6 */
    QUIC_PACKET_JUMBO = 8952,  /* ... and a jumbo frame, as private networks may have */
    QUIC_PACKET_LOCAL = 16336, /* ... and a quarter of what loopback takes */
    QUIC_BATCH = 65487,        /* bytes of packets sent at once: what a call takes with IPv6 */
    QUIC_RESETS_MAX = 16,      /* stateless resets a second */
    QUIC_LOOKS_MAX = 64,       /* datagrams a second that may be such of a peer's */
    QUIC_KNOCK = 64,           /* bytes of a datagram that punches a hole */
    QUIC_EARLY_CONNS = 16,     /* incoming conns with 0-RTT data whose handshake is not done */
};

/* What a net's QUIC has in common: the certificate and the keys of tokens. */
typedef struct tern_quic {
    tern_net *net;
    tern_cert *cert;                      /* made for the first connection; NULL before */
    uint8_t reset_key[32], token_key[32]; /* from the identity: they survive a restart */
    uint8_t kept_key[32];                 /* of what is kept of servers; from it, too */
    quic_tickets tickets;                 /* that we gave out */
    tern_known known;                     /* certificates that were verified */
    unsigned early_conns;                 /* incoming, with 0-RTT data, the handshake not done */
    tern_list endpoints;
    /* where packets are written, within one call; a probe of the path may come behind a batch */
    uint8_t batch[QUIC_BATCH + QUIC_PACKET_LOCAL];
} tern_quic;

struct quic_endpoint {
    tern_list link;
    tern_quic *quic;
    tern_net *net;
    tern_udp_port *port;
    tern_udp *udp;
    tern_endpoint local;
    unsigned users;                  /* listener, dials, conns */
    tern_listener *listener;         /* NULL: nobody listens */
    const struct tern_quic_app *app; /* another protocol that is listened for, or NULL; ... */
    tern_listener *app_listener;     /* ... by whom, */
    const tern_cert *shown;          /* ... with this certificate */
    bool any_port;                   /* opened with port 0 */
    tern_map cids;                   /* connection id -> quic_conn */
    tern_list conns;                 /* quic_conn, all */
    tern_list waiting;               /* of these: those that the full socket stopped */
    uint64_t resets_at;              /* the second in which ... */
    unsigned resets;                 /* ... so many stateless resets were sent */
    uint64_t looks_at;               /* ... so many that may be a peer's were looked at */
    unsigned looks;
};

extern const tern_span quic_alpn; /* "libp2p" */

/* The net's, made when first needed: TERN_E_NOMEM, TERN_E_CRYPTO. */
int quic_of(tern_net *net, tern_quic **ret, tern_error *reterr);

/* Joins, or opens, the endpoint at an address; its user count grows. */
int quic_endpoint_use(tern_quic *quic, const tern_endpoint *at, quic_endpoint **ret,
                      tern_error *reterr);
/* The same for a listener, of libp2p's QUIC or of an app: with port 0 it joins the other's. */
int quic_endpoint_listen(tern_quic *quic, const tern_endpoint *at, bool app, quic_endpoint **ret,
                         tern_error *reterr);
void quic_endpoint_unuse(quic_endpoint *e);
/* Ends the incoming conns whose handshake is not done: nobody listens any more. */
void quic_endpoint_drop_pending(quic_endpoint *e);

/* A connection id leads to a conn from now on. TERN_E_NOMEM. */
int quic_endpoint_add_cid(quic_endpoint *e, const ngtcp2_cid *cid, quic_conn *conn);
void quic_endpoint_remove_cid(quic_endpoint *e, const ngtcp2_cid *cid, quic_conn *conn);
/* All of them, at its end. */
void quic_endpoint_remove_cids(quic_endpoint *e, quic_conn *conn);

/* tern_endpoint and ngtcp2's address. */
typedef struct quic_address {
    ngtcp2_sockaddr_union address;
    ngtcp2_addr view; /* of it */
} quic_address;
void quic_address_from(quic_address *ret, const tern_endpoint *e);
void quic_address_to(tern_endpoint *ret, const ngtcp2_addr *a);

#endif
