/* The transport contract: takes a multiaddr and yields streams (the swarm upgrades them) or conns,
 * by dialling or listening. */
#ifndef TERN_CORE_TRANSPORT_H
#define TERN_CORE_TRANSPORT_H

#include "core/net.h"

typedef struct tern_dial_op {
    tern_op op; /* initialise with tern_op_init */
    /* in; valid until done */
    tern_net *net;
    tern_multiaddr *addr;  /* resolved: begins with an IP (or circuit, memory); no trailing /p2p */
    const char *host;      /* the name it was resolved from (Host, SNI), NULL if none */
    tern_peer_id expected; /* for transports that yield conns; len 0 = anybody */
    bool any_port;         /* do not dial from a port that we listen on */
    tern_punch_role punch; /* the peer dials us at the same time (a hole is punched). With SERVER a
                              transport that yields conns only opens the way for it, until the op
                              ends; the conn comes to its listener. With CLIENT one that yields
                              streams takes what came from there to its listener and says nothing:
                              the peer was faster, and waits for us */
    /* out, on success: one of the two, the caller's */
    tern_stream *stream;
    tern_conn *conn;
    tern_multiaddr *local;  /* our address, with stream; the caller's reference */
    tern_multiaddr *remote; /* where the peer is, if not at addr; the caller's reference */
    void *state;            /* the implementation's */
} tern_dial_op;

typedef struct tern_listener tern_listener;

typedef struct tern_listener_events {
    /* An incoming stream to be upgraded by `deadline` (absolute: counted from accept on, whatever
     * the peer did since); the addresses are lent. */
    void (*on_stream)(void *owner, tern_listener *l, tern_stream *s, tern_multiaddr *local,
                      tern_multiaddr *remote, uint64_t deadline);
    /* An incoming conn of a transport that yields conns. */
    void (*on_conn)(void *owner, tern_listener *l, tern_conn *c);
} tern_listener_events;

typedef struct tern_transport {
    const char *name; /* as in facts: "tcp", "ws" */
    bool native;  /* yields conns, secured by themselves: a private network cannot go over them */
    bool punches; /* holes can be punched for it: it knows tern_dial_op.punch */
    bool (*dials)(const tern_multiaddr *addr); /* by its components alone */
    bool (*listens)(const tern_multiaddr *addr);
    /* Starts op->op. 0, or an error at once with op not started (*reterr says why). */
    int (*dial)(tern_dial_op *op, tern_error *reterr);
    /* Listens on an IP address (port 0 picks one). Transports given the same ip and TCP port share
     * the socket. */
    int (*listen)(tern_net *net, const tern_multiaddr *addr, const tern_listener_events *events,
                  void *owner, tern_listener **ret, tern_error *reterr);
} tern_transport;

/* A listener of some transport; implementations embed it first. */
struct tern_listener {
    const tern_transport *transport;
    const tern_listener_events *events;
    void *owner;
    tern_multiaddr *addr;  /* as bound, real port; a reference held here */
    tern_multiaddr **more; /* where it can be reached besides; references held here */
    size_t more_count;
    bool silent; /* nobody could reach it now: not announced. After a change of this or of `more`
                    the implementation calls net->ops->readdress */
    void (*close)(tern_listener *l); /* stops, frees; no event follows; conns live on */
};

static inline void tern_listener_close(tern_listener *l)
{
    l->close(l);
}

#endif
