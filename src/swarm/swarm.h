/* The swarm: every connection of a node, the protocols it speaks, the addresses it listens on, and
 * the dials under way. One file a verb:
 *
 *   swarm.c     birth, stop, the table of connections
 *   listen.c    listeners, accepted streams, pending upgrades and their limits
 *   dial.c      a peer with many addresses: race, upgrade, keep one
 *   dial_attempt.c  one of its addresses
 *   net_dial.c  the same for parts of ours
 *   resolve.c   names to addresses        dial_rank.c  which address when
 *   black_hole.c  whether UDP gets through
 *   streams.c   protocols: incoming streams to handlers, outgoing ones negotiated
 *   addrs.c     what we announce          peerstore.c  what we know of peers
 *   remember.c  what outlives the node  network.c    addresses of ours that come and go
 *   connmgr.c   which connections stay    gater.c      who may connect at all
 *
 * It fills the tern_net table that all rooms below use. */
#ifndef TERN_SWARM_SWARM_H
#define TERN_SWARM_SWARM_H

#include "base/tally.h"
#include "core/mux.h"
#include "core/secure.h"
#include "core/transport.h"
#include "swarm/black_hole.h"
#include "swarm/connmgr.h"
#include "swarm/gater.h"
#include "swarm/peerstore.h"
#include "swarm/upgrade.h"

typedef struct tern_swarm tern_swarm;
typedef struct tern_swarm_conn tern_swarm_conn;
typedef struct tern_swarm_peer tern_swarm_peer;

enum { TERN_PROTOCOLS_MAX = 64, TERN_INTERFACES_MAX = 64 };

/* What the swarm's owner (the host) hears. */
typedef struct tern_swarm_events {
    void (*on_connected)(void *owner, tern_conn *conn);
    void (*on_disconnected)(void *owner, tern_conn *conn, const tern_error *why);
    void (*on_identified)(void *owner, tern_conn *conn, const tern_identity *identity);
    void (*on_protocols)(void *owner); /* the protocols that we speak changed */
    /* An incoming connection broke the rules before it was secured; may be NULL. */
    void (*on_misbehaving)(void *owner, const tern_endpoint *remote, const tern_error *why);
    void (*on_addresses)(void *owner); /* the machine's addresses changed */
    /* See net->ops->reserved. */
    void (*on_reservation)(void *owner, const tern_multiaddr *addr, const tern_peer_id *relay,
                           uint64_t expires, const tern_error *why);
    /* See net->ops->reached. */
    void (*on_reachability)(void *owner, const tern_multiaddr *addr, tern_reachability verdict);
    /* See net->ops->mapped. */
    void (*on_mapped)(void *owner, const tern_port_mapping *what, const tern_error *why);
    /* See net->ops->punched. */
    void (*on_punched)(void *owner, const tern_peer_id *peer, unsigned attempts, uint64_t time,
                       const tern_error *why);
    void (*on_awake)(void *owner);   /* we stood still: connections may be dead unnoticed */
    void (*on_stopped)(void *owner); /* after tern_swarm_stop: nothing is open any more */
} tern_swarm_events;

/* A live connection in the table. */
struct tern_swarm_conn {
    tern_list link;         /* in swarm->conns */
    tern_list peer_link;    /* in its peer's conns */
    tern_list negotiations; /* incoming streams still negotiating, or waiting to */
    uint32_t negotiating;   /* of these, the former */
    tern_deferred admit;    /* lets the next ones negotiate */
    tern_swarm *swarm;
    tern_conn *conn;
    tern_swarm_peer *peer;
    tern_endpoint block; /* the remote's address block that limits count, family 0 = not counted */
    uint64_t gone;       /* when it ends unless our address comes back; 0 = it is there */
    uint64_t used;       /* when a stream was last opened, by either side */
    size_t serial;       /* grows from each to the next in the table */
};

/* A peer with at least one live connection. */
struct tern_swarm_peer {
    tern_peer_id id;
    tern_list conns;
    size_t count;
    uint16_t tallies[TERN_PROTOCOLS_MAX]; /* incoming streams per protocol */
};

struct tern_swarm {
    tern_net net;                            /* first: parts get it as tern_net */
    const tern_transport *const *transports; /* NULL-terminated */
    tern_upgrade_parts parts;
    const tern_swarm_events *events;
    void *owner;
    tern_protocol protocols[TERN_PROTOCOLS_MAX]; /* id NULL = free */
    const char *protocol_ids[TERN_PROTOCOLS_MAX + 1];
    tern_list conns;
    size_t conn_count;
    size_t serials;          /* the last one given */
    tern_swarm_conn *walked; /* where a walk over all of them stands; NULL = nowhere */
    tern_map peers;          /* peer id -> tern_swarm_peer */
    tern_tally blocks;       /* secured incoming conns by address block */
    tern_list listeners;     /* tern_swarm_listener */
    tern_list pending;       /* tern_pending: accepted, being upgraded */
    size_t pending_count;
    tern_list dials; /* tern_dialer */
    tern_list given; /* tern_dial_request: finished with a conn, done not told yet */
    tern_peerstore store;
    tern_book *book; /* the store behind it, and blobs a peer; never NULL */
    void (*on_trouble)(void *owner, const tern_error *error); /* of the book */
    tern_connmgr connmgr;
    tern_gater gater;
    tern_black_hole black_hole;
    tern_multiaddr **listening; /* the answer of tern_swarm_listening, cached */
    size_t listening_count;
    tern_multiaddr **addrs; /* the answer of tern_swarm_addresses, cached */
    size_t addr_count;
    uint64_t addrs_until;       /* the caches' age */
    tern_multiaddr **announced; /* given by the owner: they replace what is listened on */
    size_t announced_count;
    tern_watch watch;
    tern_timer gone_timer;
    tern_timer stop_timer;
    tern_deferred stopped;
    bool stopping, draining;
};

/* Whether an end is the peer's fault: it broke a rule, or flooded us. */
bool tern_swarm_misbehaves(const tern_error *why);

/* key is referenced; transports and parts must outlive the swarm. TERN_E_NOMEM. */
int tern_swarm_new(tern_loop *loop, tern_key *key, const tern_limits *limits, const char *agent,
                   const tern_transport *const *transports, const tern_upgrade_parts *parts,
                   const tern_swarm_events *events, void *owner, tern_swarm **ret);
/* Graceful: listeners close, dials are cancelled, conns close in good order; after three seconds
 * whatever is left is cut. on_stopped follows, then tern_swarm_free may be called. */
void tern_swarm_stop(tern_swarm *swarm);
void tern_swarm_free(tern_swarm *swarm);

/* ---- listen.c ---- */
/* Listens; *ret (may be NULL) is the address as bound, the caller's reference. */
int tern_swarm_listen(tern_swarm *swarm, const tern_multiaddr *addr, tern_multiaddr **ret,
                      tern_error *reterr);
int tern_swarm_net_listen(tern_net *net, const tern_multiaddr *addr, tern_listener **ret,
                          tern_error *reterr);
void tern_swarm_net_unlisten(tern_net *net, tern_listener *listener);
void tern_swarm_close_listeners(tern_swarm *swarm);
void tern_swarm_cancel_pending(tern_swarm *swarm);

/* ---- swarm.c ---- */
/* A secured connection joins the table; limits are charged, on_connected is told. On an error the
 * conn is dropped: TERN_E_SELF, TERN_E_LIMIT, TERN_E_CANCELLED (stopping), TERN_E_NOMEM. */
int tern_swarm_add(tern_swarm *swarm, tern_conn *conn, tern_error *reterr);
/* The best live connection to a peer: direct before relayed before limited, then the newest. NULL
 * if none. */
tern_conn *tern_swarm_find(tern_swarm *swarm, const tern_peer_id *peer);
size_t tern_swarm_close_peer(tern_swarm *swarm, const tern_peer_id *peer, uint64_t code,
                             const char *text);

/* Closes what the gater does not let in any more; returns how many. */
size_t tern_swarm_close_gated(tern_swarm *swarm);
/* The IP that a connection's remote address begins with, port 0; family 0 if with none. */
tern_endpoint tern_swarm_ip_of(const tern_multiaddr *addr);

/* ---- dial.c ---- */
typedef struct tern_dial_attempt {
    tern_multiaddr *addr; /* a reference held by the request */
    tern_error error;     /* code 0: it won, or was not needed any more (text says which) */
} tern_dial_attempt;

enum { TERN_DIAL_ADDRS_MAX = 100 };

/* One request to be connected to a peer. */
typedef struct tern_dial_request {
    tern_op op; /* initialise with tern_op_init */
    /* in */
    tern_peer_id peer; /* len 0: whoever answers at the addresses */
    tern_multiaddr *const
        *addrs; /* lent until start returns; the store's addresses of peer join them */
    size_t addr_count;
    bool fresh;  /* a new connection even if there is one */
    bool direct; /* one through a relay does not count, and none is dialled through one */
    bool only;   /* fresh, and nothing but addrs: the store is not asked, and learns nothing */
    tern_punch_role punch; /* with `only`: the peer dials too (net->ops->punch) */
    /* out */
    tern_conn *conn;             /* lent: the swarm's */
    tern_dial_attempt *attempts; /* what was tried */
    size_t attempt_count;
    /* private */
    tern_list link;
    struct tern_dialer *dialer;
} tern_dial_request;

/* Starts request->op. Errors by op: SELF, NOT_FOUND (no address), UNSUPPORTED (no transport dials
 * any of them), TIMEOUT, CONN_CLOSED (right after it was made), or the most telling of the
 * attempts'. 0 or TERN_E_NOMEM. */
int tern_swarm_dial(tern_swarm *swarm, tern_dial_request *request);
/* Frees what it brought; after done or cancel, before its memory goes. */
void tern_dial_request_clear(tern_dial_request *request);
/* A conn is going: whoever was given it and does not know yet hears that instead. */
void tern_swarm_dial_lost(tern_swarm *swarm, const tern_conn *conn, const tern_error *why);
void tern_swarm_cancel_dials(tern_swarm *swarm);
/* There is a connection to the peer: who punches a hole to it has it. */
void tern_swarm_dial_met(tern_swarm *swarm, const tern_peer_id *peer);
bool tern_swarm_punches(tern_net *net, const tern_multiaddr *addr);
void tern_swarm_dial_knocked(tern_net *net, const tern_endpoint *from);

/* ---- net_dial.c ---- */
tern_net_dial *
tern_swarm_net_dial(tern_net *net, const tern_peer_id *peer, tern_multiaddr *const *addrs, size_t n,
                    void (*done)(void *owner, tern_conn *conn, const tern_error *error),
                    void *owner);
tern_net_dial *tern_swarm_net_dial_only(
    tern_net *net, const tern_peer_id *peer, tern_multiaddr *const *addrs, size_t n,
    void (*done)(void *owner, tern_conn *conn, const tern_error *error), void *owner);
tern_net_dial *
tern_swarm_net_punch(tern_net *net, const tern_peer_id *peer, tern_multiaddr *const *addrs,
                     size_t n, tern_punch_role role, uint64_t deadline,
                     void (*done)(void *owner, tern_conn *conn, const tern_error *error),
                     void *owner);
void tern_swarm_cancel_net_dial(tern_net_dial *dial);
/* dial_attempt.c: the transport that dials such addresses; NULL if none does. */
const tern_transport *tern_swarm_transport_for(const tern_swarm *swarm, const tern_multiaddr *addr);

/* ---- streams.c ---- */
int tern_swarm_handle(tern_net *net, const tern_protocol *protocol);
void tern_swarm_unhandle(tern_net *net, const char *id);
tern_stream *
tern_swarm_open(tern_net *net, tern_conn *conn, const char *const *ids, bool replay_safe,
                void (*done)(void *owner, tern_stream *s, const char *id, const tern_error *error),
                void *owner, tern_error *reterr);
/* Whether we serve this protocol, declared as safe to be played twice. */
bool tern_swarm_replay_safe(const tern_swarm *swarm, const char *id);
void tern_swarm_incoming(tern_swarm_conn *c, tern_stream *s);
/* tern_swarm_conn.admit. */
void tern_swarm_admit(tern_deferred *d);
/* The conn is proven: streams that waited for that go to their handlers. */
void tern_swarm_proven(tern_swarm_conn *c);
size_t tern_swarm_protocols(tern_net *net, const char *const **ret);

/* ---- remember.c ---- */
/* Joins the address book of a data folder, before the first dial; its addresses fill the store. The
 * errors of tern_book_open leave a node that remembers in memory alone. trouble: when something
 * cannot be written any more, told once. */
int tern_swarm_open_book(tern_swarm *swarm, const char *folder,
                         void (*trouble)(void *owner, const tern_error *error), tern_error *reterr);
int tern_swarm_remember(tern_net *net, const tern_peer_id *peer, tern_kept kind, const void *blob,
                        size_t n, uint64_t life);
const uint8_t *tern_swarm_recall(tern_net *net, const tern_peer_id *peer, tern_kept kind,
                                 size_t *ret_n);
/* Keeps what identify said of a peer whom we dialled. */
void tern_swarm_keep_protocols(tern_swarm *swarm, const tern_peer_id *peer,
                               const tern_identity *identity);
/* What it said in this life, else what is kept. */
bool tern_swarm_speaks(tern_net *net, const tern_peer_id *peer, const char *id);

/* ---- addrs.c ---- */
/* Our listening addresses, unspecified ones expanded to the machine's own, or what the owner
 * announces; cached for a second. */
size_t tern_swarm_listening(tern_net *net, tern_multiaddr *const **ret);
/* What others are told: these, without those that nobody reaches while there are better ones, and
 * those that were found to lead to us. */
size_t tern_swarm_addresses(tern_net *net, tern_multiaddr *const **ret);
void tern_swarm_forget_addresses(tern_swarm *swarm);
/* Announces addr instead of the listening ones; a reference is taken. TERN_E_NOMEM, TERN_E_LIMIT.
 */
int tern_swarm_announce(tern_swarm *swarm, const tern_multiaddr *addr);
void tern_swarm_forget_announced(tern_swarm *swarm);

/* ---- network.c ---- */
/* From birth to stop: the machine's addresses are watched. */
void tern_swarm_watch(tern_swarm *swarm);
void tern_swarm_unwatch(tern_swarm *swarm);

static inline tern_swarm *tern_swarm_of(tern_net *net)
{
    return (tern_swarm *)net;
}

/* A listener of a transport, in swarm->listeners. */
typedef struct tern_swarm_listener {
    tern_list link;
    tern_swarm *swarm;
    tern_listener *listener;
} tern_swarm_listener;

#endif
