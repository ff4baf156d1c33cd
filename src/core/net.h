/* What a part is handed from above: loop, identity, limits, counters, and a few acts that only the
 * swarm can do. Parts below the swarm (security, muxers, transports, protocols) reach it only
 * through this table, so nothing closes a cycle. */
#ifndef TERN_CORE_NET_H
#define TERN_CORE_NET_H

#include <tern/port_mapping.h>
#include <tern/reachability.h>

#include "base/crowd.h"
#include "codec/http1.h"
#include "codec/multiaddr.h"
#include "core/conn.h"
#include "core/counters.h"
#include "core/protocol.h"
#include "crypto/key.h"
#include "loop/op.h"
#include "loop/udp_port.h"

/* Limits and times, one struct of defaults; the host fills it from the options. Times in
 * nanoseconds. */
typedef struct tern_limits {
    uint64_t upgrade_time;     /* accepted socket to muxer, or to the head of an HTTP request */
    uint64_t negotiation_time; /* multistream on a stream */
    uint64_t dial_time;        /* one address, transport and upgrade */
    uint64_t identify_time;
    uint64_t write_stall_time;     /* a connection whose output does not move is closed */
    size_t write_queue;            /* bytes queued on one socket */
    uint32_t streams_per_conn;     /* incoming, alive */
    uint32_t streams_unnegotiated; /* of these, negotiating at once; the next ones wait */
    uint32_t stream_window_max;    /* yamux: largest receive window of a stream */
    uint32_t conn_window_max;      /* sum of what all streams of a conn may have unread */
    uint32_t conns;                /* in all */
    uint32_t conns_per_peer;
    uint32_t conns_per_ip; /* IPv4 address or IPv6 /56; 0 = no limit */
    uint32_t conns_low,
        conns_high;          /* above high, idle ones are closed down to low; high 0 = never */
    uint64_t conns_grace;    /* younger ones are left alone */
    uint32_t pending;        /* accepted, not yet secured */
    uint32_t pending_per_ip; /* of these from one address; 0 = no limit */
    uint32_t sockets;        /* of all kinds; 0 = no limit */
    uint64_t memory;         /* bytes allocated in the process; 0 = no limit */
} tern_limits;

/* How much of the memory is used: each step gives something up. */
typedef enum tern_pressure {
    TERN_PRESSURE_NONE,
    TERN_PRESSURE_SOME, /* half: windows do not grow any more */
    TERN_PRESSURE_HIGH, /* three quarters: they shrink; for what is new, the connection that holds
                           most ends */
    TERN_PRESSURE_FULL, /* seven eighths: new connections and streams are refused */
    TERN_PRESSURE_OVER, /* all: nothing is kept for owners that do not take it; the connections
                           that hold most end until it is less */
} tern_pressure;

tern_pressure tern_limits_pressure(const tern_limits *limits);

/* The defaults of reliability section "Defaults to ship". */
void tern_limits_default(tern_limits *ret);

struct tern_identity;
struct tern_listener;
typedef struct tern_net tern_net;

/* What is kept of peers; the numbers are in files, so none is given twice. */
typedef enum tern_kept {
    TERN_KEPT_QUIC_TICKET = 1, /* quic/'s: resumption ticket and transport parameters */
    TERN_KEPT_TLS_TICKET = 2,  /* for TLS over TCP */
    TERN_KEPT_PROTOCOLS = 3,   /* swarm/'s: what a peer whom we dialled speaks */
} tern_kept;

/* What we are when both sides dial at once. */
typedef enum tern_punch_role {
    TERN_PUNCH_NONE,
    TERN_PUNCH_CLIENT, /* of security and muxer, whatever the sockets say */
    TERN_PUNCH_SERVER,
} tern_punch_role;

/* A dial that somebody waits for. */
typedef struct tern_net_dial tern_net_dial;

/* Hears of the connections of a net: linked into net->ears, as long as it likes. */
typedef struct tern_net_ear {
    tern_list link;
    void (*on_conn)(struct tern_net_ear *ear,
                    tern_conn *conn); /* it joined the table; may be NULL */
    /* Its peer said what it is (again); may be NULL. */
    void (*on_identified)(struct tern_net_ear *ear, tern_conn *conn,
                          const struct tern_identity *identity);
    void (*on_gone)(struct tern_net_ear *ear, tern_conn *conn); /* it is about to go; may be NULL */
} tern_net_ear;

typedef struct tern_net_ops {
    /* Registers / removes a protocol handler. TERN_E_STATE if the id is taken, TERN_E_NOMEM. */
    int (*handle)(tern_net *net, const tern_protocol *protocol);
    void (*unhandle)(tern_net *net, const char *id);
    /* Opens a stream on a conn and negotiates one of the ids (NULL-terminated, best first; the
     * strings stay valid until done). replay_safe: what is asked first changes nothing there and
     * may be heard twice, so it may travel as 0-RTT data. With a single id the caller may write at
     * once (optimistic); until done only write, room, end and reset are his. NULL with *reterr as
     * tern_conn_open. `done` comes exactly once, from the loop: with code 0 and the id agreed on
     * (take the stream inside it), or with the error, also after the caller's own reset; the stream
     * is gone when it returns. */
    tern_stream *(*open)(tern_net *net, tern_conn *conn, const char *const *ids, bool replay_safe,
                         void (*done)(void *owner, tern_stream *s, const char *id,
                                      const tern_error *error),
                         void *owner, tern_error *reterr);
    /* The addresses that we listen on and announce (without /p2p); returns how many, references
     * held by the net, valid until the loop's next turn. */
    size_t (*addresses)(tern_net *net, tern_multiaddr *const **ret);
    /* The same without what was found out of others, and whatever became of it: what listens with
     * unspecified IPs expanded, or what the owner announces. */
    size_t (*listening)(tern_net *net, tern_multiaddr *const **ret);
    /* The ids that we speak, valid until the loop's next turn. */
    size_t (*protocols)(tern_net *net, const char *const **ret);
    /* Walks the live conns (of a peer, or all with NULL); *it starts at 0. */
    tern_conn *(*next_conn)(tern_net *net, const tern_peer_id *peer, size_t *it);
    /* Whether the peer said (identify) that it speaks this protocol; of peers whom we dialled also
     * in an earlier life. */
    bool (*speaks)(tern_net *net, const tern_peer_id *peer, const char *id);
    /* Whether connections from and to this address are let through: deny and allow lists. */
    bool (*admits)(tern_net *net, const tern_endpoint *remote);
    /* What identify learned of a conn's peer. Everything is copied. */
    void (*identified)(tern_net *net, tern_conn *conn, const struct tern_identity *identity);
    /* Keeps a copy of a blob for a peer for so many nanoseconds, at most 90 days; it replaces what
     * was kept of the same kind, n = 0 forgets it. With a data folder it survives the process (it
     * is written within seconds, mode 0600). Nothing is promised: the least used go when there are
     * too many. 0, TERN_E_TOO_LARGE (16 KiB), TERN_E_NOMEM. */
    int (*remember)(tern_net *net, const tern_peer_id *peer, tern_kept kind, const void *blob,
                    size_t n, uint64_t life);
    /* What is kept, valid until the next remember or recall; NULL when there is none. It may come
     * from a file that somebody else wrote: parse it as a peer's bytes. */
    const uint8_t *(*recall)(tern_net *net, const tern_peer_id *peer, tern_kept kind,
                             size_t *ret_n);
    /* Connects to a peer: over a connection that there is and that is no relay's, else to one of
     * the addresses, which are lent until it returns, or those that are known. done comes once,
     * from the loop, unless cancelled; conn is the swarm's, NULL with an error. NULL: memory is
     * short. */
    tern_net_dial *(*dial)(tern_net *net, const tern_peer_id *peer, tern_multiaddr *const *addrs,
                           size_t n,
                           void (*done)(void *owner, tern_conn *conn, const tern_error *error),
                           void *owner);
    /* Connects to a peer anew, at exactly these addresses, which are lent until it returns: what is
     * known of it besides is not tried, nothing is learned. Else as dial. */
    tern_net_dial *(*dial_only)(tern_net *net, const tern_peer_id *peer,
                                tern_multiaddr *const *addrs, size_t n,
                                void (*done)(void *owner, tern_conn *conn, const tern_error *error),
                                void *owner);
    /* Whether a hole can be punched for such an address: by its transport, and it is no name. */
    bool (*punches)(tern_net *net, const tern_multiaddr *addr);
    /* Punches a hole: dials exactly these addresses, all at once and again and again until
     * `deadline`, from the ports that we listen on, while the peer does the same. It has succeeded
     * with the first direct connection to the peer, whoever made it. Else as dial. */
    tern_net_dial *(*punch)(tern_net *net, const tern_peer_id *peer, tern_multiaddr *const *addrs,
                            size_t n, tern_punch_role role, uint64_t deadline,
                            void (*done)(void *owner, tern_conn *conn, const tern_error *error),
                            void *owner);
    void (*cancel_dial)(tern_net_dial *dial);
    /* Listens there as our owner does / closes such a listener. Never from inside one of its
     * events. The errors of the transport; TERN_E_CANCELLED when we are stopping. */
    int (*listen)(tern_net *net, const tern_multiaddr *addr, struct tern_listener **ret,
                  tern_error *reterr);
    void (*unlisten)(tern_net *net, struct tern_listener *listener);
    /* While net->punching: a datagram without meaning came from there to a port that we listen on,
     * as a peer sends them to open its NAT. If a hole is punched to that IP as the client, it is
     * dialled there too: its NAT has chosen another port than others saw. */
    void (*knocked)(tern_net *net, const tern_endpoint *from);
    /* Whether a transport of ours dials such an address. */
    bool (*dials)(tern_net *net, const tern_multiaddr *addr);
    /* What our listeners say of their addresses has changed: others are told. */
    void (*readdress)(tern_net *net);
    /* A place at a relay was granted or renewed until then (Unix seconds), or, why not NULL, could
     * not be had; addr is the listener's. */
    void (*reserved)(tern_net *net, const tern_multiaddr *addr, const tern_peer_id *relay,
                     uint64_t expires, const tern_error *why);
    /* Whether others can reach us at this address of ours is judged otherwise than before. */
    void (*reached)(tern_net *net, const tern_multiaddr *addr, tern_reachability verdict);
    /* A direct connection to a peer who was met through a relay was tried for, in so many attempts
     * and so long; why NULL: it is there. */
    void (*punched)(tern_net *net, const tern_peer_id *peer, unsigned attempts, uint64_t time,
                    const tern_error *why);
    /* The gateway leads others to a port of ours, or not any more, or, why not NULL, will not. */
    void (*mapped)(tern_net *net, const tern_port_mapping *what, const tern_error *why);
    /* While a tag protects a peer its connections are not closed for being idle. TERN_E_NOMEM,
     * TERN_E_LIMIT; taking it away is always 0. */
    int (*protect)(tern_net *net, const tern_peer_id *peer, const char *tag, bool on);
    /* Whether our owner knows a peer: he has protected or tagged it with more than nothing. Tags
     * that begin with a colon are ours and do not count. */
    bool (*known)(tern_net *net, const tern_peer_id *peer);
    /* More memory is used than allowed: the connections that hold most are closed at the end of
     * the turn. May be NULL; called by tern_net_grew. */
    void (*relieve)(tern_net *net);
} tern_net_ops;

/* What a peer says of itself (identify). */
typedef struct tern_identity {
    const char *agent, *protocol_version; /* "" when absent */
    const char *const *protocols;
    size_t protocol_count;
    tern_multiaddr *const *addrs;
    size_t addr_count;
    tern_multiaddr *observed; /* how the peer sees us; NULL when absent */
    bool signed_record;       /* addrs come from a peer record that verifies ... */
    uint64_t record_seq;      /* ... and that has this sequence number */
    bool push;                /* an update: absent lists are unchanged */
} tern_identity;

struct tern_net {
    tern_loop *loop;
    tern_key *key;
    tern_peer_id self;
    tern_limits limits;
    tern_counters counters;
    const char *agent;
    const tern_net_ops *ops;
    tern_list ears;    /* tern_net_ear */
    tern_list sockets; /* streams over sockets that are alive, also dropped ones */
    uint32_t socket_count;
    uint32_t natives; /* conns of transports that make conns, alive: also those not secured yet */
    tern_crowds pending;           /* incoming connections that are not secured yet, on any road */
    tern_deferred sockets_gone;    /* queued when the last of these goes; fn NULL = nobody waits */
    uint64_t conn_ids;             /* the last one given */
    uint32_t punching;             /* holes that are punched as the client at the moment */
    struct tern_spare_pair *spare; /* for the next key exchange: core/spare_pair; NULL: none */
    struct tern_noise_identity *noise; /* made and freed by secure/noise */
    struct tern_tls_identity *tls;     /* made by secure/tls, freed by the host */
    struct tern_tcp_ports *ports; /* the shared TCP ports, made and freed by transport/tcp_port */
    struct tern_udp_ports *udp_ports;       /* the shared UDP ports: loop/udp_port */
    struct tern_webrtc *webrtc;             /* made and freed by webrtc/ */
    struct tern_webtransport *webtransport; /* made and freed by webtransport/ */
    struct tern_web *web;   /* certificate and authorities for the web: transport/web_tls; the host
                               frees it */
    bool fast_open;         /* TCP Fast Open: the first flight of a dial may travel with the SYN */
    unsigned webrtc_scheme; /* of the credentials with which WebRTC Direct dials: 1 or 2 */
    bool no_resumption;     /* no tickets are asked for, offered, given or taken */
    bool early_data; /* a dial that resumes is given before the peer answers, and what is safe to be
                        played twice travels with its first flight */
    struct tern_quic *quic;                 /* made and freed by quic/ */
    struct tern_circuits *circuits;         /* made and freed by nat/circuit */
    struct tern_relay_finder *relay_finder; /* made and freed by nat/relay_find; NULL = relays are
                                               not looked for */
    struct tern_reach *reach;               /* made and freed by nat/reach; NULL = nobody asks */
    bool punch_private;                     /* holes are punched to private addresses, too */
    /* A net beside this one with another identity and without listeners, so that what it dials is
     * dialled as by a stranger; NULL: memory is short, or we are stopping. The host's; may be NULL
     * itself. */
    tern_net *(*stranger)(tern_net *net);
    const uint8_t *psk; /* the key of a private network (TERN_PSK bytes), the host's; NULL = none */
    /* An HTTP request that is no upgrade, on the shared TCP port: the head is parsed and consumed;
     * the callee takes the stream and answers. NULL answers 404. */
    void (*http)(tern_net *net, tern_stream *s, const tern_http1_head *head,
                 const tern_endpoint *remote);
};

/* Readies a zeroed net: its lists and the default limits. */
void tern_net_init(tern_net *net);

/* Makes place among net->pending for one more from this address, within limits.pending and
 * limits.pending_per_ip, and counts who had to go. */
void tern_net_make_place(tern_net *net, const tern_endpoint *remote);

/* For whoever reads from the network, after each read: what came may have made us keep more than
 * the limit of memory, and somebody must pay for it. Cheap. */
void tern_net_grew(tern_net *net);
/* Bytes that wait in a stream whose queue has the size of limits.write_queue. */
size_t tern_net_queued(const tern_net *net, const tern_stream *s);

#endif
