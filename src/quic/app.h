/* Another protocol than libp2p's over QUIC, on the same UDP port and chosen by ALPN (RFC 7301):
 * what WebTransport is made of.
 *
 *   server   ClientHello chooses it -> accept -> begin (as 0.5-RTT data) -> on_stream ... -> gone
 *   client   tern_quic_app_dial     -> verify -> begin                   -> on_stream ... -> gone
 *
 * The conn is told to its listener, or to the dial that waits for it, once tern_quic_app_ready says
 * who the peer is. What the calls are handed comes from inside ngtcp2: streams may be opened,
 * written, taken and reset there, and the conn ends in a moment, not at once. */
#ifndef TERN_QUIC_APP_H
#define TERN_QUIC_APP_H

#include "core/transport.h"
#include "crypto/cert.h"

struct quic_conn;
struct quic_endpoint;

typedef struct tern_quic_app {
    const char *name; /* of the transport, in facts and errors */
    const char *alpn;
    uint64_t no_error; /* the code of a QUIC close in good order */
    /* Server: makes the session of a conn; NULL without memory. */
    void *(*accept)(tern_net *net, struct quic_conn *c);
    /* Streams may be written from now on. */
    void (*begin)(void *session, struct quic_conn *c);
    /* Client: judges the server's certificate. 0, or an error with *reterr. */
    int (*verify)(void *session, tern_span der, tern_error *reterr);
    /* The peer opened a stream, which is of the session's own until tern_quic_app_give. */
    void (*on_stream)(void *session, tern_stream *s, bool both_ways);
    /* The conn's owner opens a stream. */
    tern_stream *(*open)(void *session, tern_error *reterr);
    /* The conn's owner closes it: a last word. */
    void (*closing)(void *session, uint64_t code, const char *text);
    /* Error codes of the owners' streams: to the wire and back. */
    uint64_t (*code_out)(uint64_t code);
    uint64_t (*code_in)(uint64_t wire);
    /* The conn is over; *why may be changed. Streams of the session's own that are still there
     * are dropped by it now. It frees the session. */
    void (*gone)(void *session, tern_error *why);
} tern_quic_app;

/* ---- listening and dialling ---- */

/* Joins the QUIC of a UDP port, or opens it; one app a port. *ret_at is where it is. Connections
 * come to l->events->on_conn. TERN_E_ADDRINUSE, TERN_E_NOMEM, and tern_udp_bind's. */
int tern_quic_app_listen(tern_net *net, const tern_endpoint *at, const tern_quic_app *app,
                         tern_listener *l, struct quic_endpoint **ret, tern_endpoint *ret_at,
                         tern_error *reterr);
/* What the server shows from now on; the one before is not used any more. */
void tern_quic_app_show(struct quic_endpoint *e, const tern_cert *cert);
void tern_quic_app_unlisten(struct quic_endpoint *e);
/* Starts op->op towards an endpoint; `session` is the app's until this fails. TERN_E_NOMEM and
 * tern_udp_bind's, with *reterr. */
int tern_quic_app_dial(tern_dial_op *op, const tern_endpoint *to, const tern_quic_app *app,
                       void *session, tern_error *reterr);

/* ---- a conn ---- */

tern_conn *tern_quic_app_conn(struct quic_conn *c);
/* Where its peer is. */
const tern_endpoint *tern_quic_app_remote(const struct quic_conn *c);
/* A new stream of the session's own, one way or both; NULL with *reterr. */
tern_stream *tern_quic_app_open(struct quic_conn *c, bool both_ways, tern_error *reterr);
/* A stream becomes the conn's: its codes are translated, and it is counted. */
void tern_quic_app_give(tern_stream *s);
/* The peer is known: takes the key over. From the loop, not from inside the calls above. */
void tern_quic_app_ready(struct quic_conn *c, tern_key *key);
/* The conn ends in a moment, with a code of the app's on the wire. */
void tern_quic_app_fail(struct quic_conn *c, uint64_t code, const tern_error *why);

#endif
