/* The node: an identity, its listeners, its connections and the protocols it speaks.
 *
 *     tern_options o;
 *     tern_options_init(&o);
 *     tern_node_new(&o, &node, &error);
 *     tern_node_listen(node, "/ip4/0.0.0.0/tcp/4001", NULL, 0, &error);
 *     tern_node_run(node);                  until tern_node_stop
 *     tern_node_free(node);
 *
 * Where it runs: tern_node_run runs the node's own loop in the calling thread; tern_node_start runs
 * it on a thread of its own (then use tern/sync.h, or tern_node_post); with options.uv_loop the
 * node lives on the embedder's loop. All calls but tern_node_post and tern_node_stop are made on
 * the loop's thread, or before it runs. Callbacks come from the loop, never from inside a call. */
#ifndef TERN_NODE_H
#define TERN_NODE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <tern/conn.h>
#include <tern/error.h>
#include <tern/key.h>
#include <tern/multiaddr.h>
#include <tern/peer_id.h>
#include <tern/port_mapping.h>
#include <tern/psk.h>
#include <tern/reachability.h>
#include <tern/stream.h>

#ifdef __cplusplus
extern "C" {
#endif

struct uv_loop_s;
typedef struct tern_node tern_node;

/* What a peer said of itself (identify); valid during the event. */
typedef struct tern_identified {
    const char *agent, *protocol_version; /* "" when absent */
    const char *const *protocols;
    size_t protocol_count;
    tern_multiaddr *const *addrs;
    size_t addr_count;
    const tern_multiaddr *observed; /* how the peer sees us; may be NULL */
    bool signed_record;             /* addrs come from a signed peer record */
} tern_identified;

/* What the node's owner hears; any member may be NULL. */
typedef struct tern_node_events {
    void (*on_connected)(void *owner, tern_node *node, tern_conn *conn);
    void (*on_disconnected)(void *owner, tern_node *node, tern_conn *conn, const tern_error *why);
    void (*on_identified)(void *owner, tern_node *node, tern_conn *conn,
                          const tern_identified *what);
    void (*on_stopped)(void *owner, tern_node *node); /* last */
    /* The machine's addresses changed, and with them what tern_node_addresses tells. */
    void (*on_addresses)(void *owner, tern_node *node);
    /* A place at a relay that is listened at or was found (addr) was granted or renewed: it expires
     * then, in Unix seconds. Or, why not NULL, it could not be had or renewed, or is lost: one that
     * is listened at is tried again later, instead of one that was found another relay is. */
    void (*on_reservation)(void *owner, tern_node *node, const tern_multiaddr *addr,
                           const tern_peer_id *relay, uint64_t expires, const tern_error *why);
    /* Whether others can reach us at this address of ours is judged otherwise than before. */
    void (*on_reachability)(void *owner, tern_node *node, const tern_multiaddr *addr,
                            tern_reachability verdict);
    /* A direct connection to a peer that is connected through a relay was tried for: NULL, it is
     * there (on_connected came before), or why it is not. `time` in nanoseconds since the peer came
     * through the relay. */
    void (*on_hole_punch)(void *owner, tern_node *node, const tern_peer_id *peer, unsigned attempts,
                          uint64_t time, const tern_error *why);
    /* The gateway leads others to a port of ours, or (external NULL) not any more; or, why not
     * NULL, it will not: REFUSED, LIMIT, UNREACHABLE (it has no public address itself: double NAT),
     * PROTOCOL (another of its codes, in `wire`), TIMEOUT (it did not renew, or speaks no protocol
     * for that). It is tried again by itself. */
    void (*on_port_mapping)(void *owner, tern_node *node, const tern_port_mapping *what,
                            const tern_error *why);
} tern_node_events;

/* Everything that can be set. Zero or NULL means the default; tern_options_init sets them all. */
typedef struct tern_options {
    size_t size;               /* set by tern_options_init */
    tern_key *key;             /* identity, referenced; NULL = a fresh Ed25519 key */
    struct uv_loop_s *uv_loop; /* the embedder's loop; NULL = an own one */
    const char *agent;         /* "tern/VERSION" */
    const tern_node_events *events;
    void *owner;
    const char *security;     /* offer only this ("noise", "tls"); NULL = all, best first */
    const char *muxer;        /* offer only this ("yamux", "mplex"); NULL = all, best first */
    const char *page;         /* folder of files served over HTTP on the TCP port; NULL = none */
    bool metrics;             /* serve /metrics and /healthz, to loopback only ... */
    bool metrics_public;      /* ... or to everybody */
    bool no_ping;             /* do not serve it */
    bool no_identify;         /* do not serve it, nor ask others */
    uint32_t max_connections; /* 1024 */
    uint32_t max_connections_per_peer; /* 8 */
    int32_t
        max_connections_per_ip; /* incoming, per IPv4 address or IPv6 /56; 8; negative = no limit */
    uint32_t max_pending;       /* accepted, not yet secured: 64 */
    uint32_t max_streams;       /* incoming per connection: 256 */
    uint32_t max_write_queue;   /* bytes per connection: 1 MiB */
    uint32_t max_window;        /* receive window of one stream: 128 MiB */
    uint32_t dial_timeout_ms;   /* one address: 15,000 */
    uint32_t handshake_timeout_ms; /* from an accepted socket to a secured connection with a muxer,
                                      or to a whole HTTP request: 10,000 */
    tern_node *beside; /* lives on this node's loop, which this one's run, start or embedder drives;
                          stopped and freed before it; not together with uv_loop */
    const char *tls_cert,
        *tls_key;                /* PEM files: the certificate chain, ours first, and its key, for
                                    Secure WebSocket and HTTPS; read again when they change */
    const char *tls_ca;          /* PEM file: trusted for Secure WebSocket instead of the system's
                                    authorities */
    uint32_t max_sockets;        /* of TCP; default: the process's descriptors less a reserve */
    uint32_t max_pending_per_ip; /* accepted, not yet secured, of one address: 8; no limit when
                                    max_connections_per_ip has none */
    uint64_t max_memory;         /* bytes of the process that make the node give things up step by
                                    step; default: an eighth of the machine's, 64 MiB to 1 GiB */
    uint32_t low_water, high_water; /* more connections than high: idle ones are closed down to low;
                                       3/4 and 7/8 of max_connections */
    uint32_t grace_ms;              /* younger connections are left alone then: 60,000 */
    const uint8_t *psk; /* the key of a private network (TERN_PSK bytes, tern/psk.h), copied: all
                           connections go through it, others fail; NULL = none */
    const char *data; /* folder that exists, where the address book is kept (book.sqlite), which is
                         read when the node is made and written within seconds; when it cannot be
                         used a warning is logged and the book is in memory alone, as with NULL */
    bool
        tls_self_signed; /* a certificate for Secure WebSocket made here, which no browser trusts */
    bool tls_trust_any; /* takes any certificate of a Secure WebSocket's server: the peer proves its
                           id inside all the same, but the name of the server is not proven */
    bool tcp_fast_open; /* TCP Fast Open (RFC 7413): a dial to an address that gave a cookie before
                           saves a round trip; where system or path do not have it all is as ever */
    uint32_t max_unnegotiated; /* incoming streams of a connection that agree on a protocol at once;
                                  the next ones wait: 64 */
    uint32_t negotiation_timeout_ms; /* to agree on a stream's protocol: 10,000 */
    uint32_t identify_timeout_ms;    /* 5,000 */
    uint32_t stall_timeout_ms;       /* a connection whose output does not move is closed: 30,000 */
    bool early_data; /* 0-RTT: a dial over QUIC to a peer that gave a ticket is done at once, before
                        the peer answers (facts.unproven), and the first request of protocols that
                        are safe to be played twice leaves with it. If nothing answers within three
                        seconds the connection fails, and the next dial is an ordinary one */
    bool relay_service;                /* relays for others (circuit relay v2), within: */
    uint32_t relay_reservations;       /* peers that have a place here: 128 */
    int32_t relay_reservations_per_ip; /* ... of one address; 8, negative = no limit, as when
                                          max_connections_per_ip has none */
    uint32_t relay_circuits;           /* in all: 1024 */
    uint32_t relay_circuits_per_peer;  /* 16 */
    int32_t relay_duration_s;          /* of a circuit: 120; negative = no limit */
    int64_t relay_data; /* bytes each way of a circuit: 128 KiB; negative = no limit */
    bool no_resumption; /* QUIC: no tickets are asked for or given, every connection is a fresh one
                         */
    const char *webrtc_credentials; /* the scheme with which WebRTC Direct dials: "v1"
                                       (libp2p+webrtc+v1/), which every listener knows, or "v2", the
                                       one of browsers to come; NULL = v1. A listener takes both */
    bool autonat; /* finds out whether others can reach us: connected peers are asked to dial
                     our public addresses, and those that they see us at (AutoNAT 2 and 1) */
    bool autonat_service; /* dials back for others who ask, as a stranger of another identity */
    tern_reachability reachability; /* known beforehand: nobody is asked */
    bool relay_service_auto;        /* relay_service, while an address of ours is public */
    bool hole_punch; /* makes direct connections to peers that come through a relay (DCUtR); with
                        autonat, which knows where others see us */
    int32_t relay_reservations_per_network; /* relay_reservations of an IPv4 /16 or IPv6 /32: 32;
                                               negative = no limit, as when max_connections_per_ip
                                               has none. A peer that is tagged or protected has a
                                               place whatever its address, and where all are taken
                                               that of a stranger */
    uint64_t relay_rate;                    /* bytes a second each way of a circuit; 0 = any */
    bool port_mapping; /* has the default gateway (PCP, NAT-PMP, UPnP) lead others to the TCP and
                          UDP ports that are listened on at a private IPv4 address facing it, until
                          the node stops; with autonat, which announces where it leads from once
                          others reach us there */
    bool hole_punch_private; /* ... at private addresses as well, for networks that have no others:
                                a peer may have us dial hosts beside us then */
    uint32_t relay_ttl_s;    /* how long a place here is kept unless it is renewed: 3600 */
    uint32_t find_relays; /* while others cannot reach us, or nobody knows whether they can: keeps
                             places at so many relays, 16 at most, found among connected peers.
                             Those that are listened at count while they are held; 0 = only those */
} tern_options;

TERN_API void tern_options_init_sized(tern_options *options, size_t size);
#define tern_options_init(options) tern_options_init_sized((options), sizeof(tern_options))

/* Makes a node; nothing runs yet. Errors: INVALID (which option), UNSUPPORTED (unknown security or
 * muxer), NOMEM, CRYPTO, IO. */
TERN_API int tern_node_new(const tern_options *options, tern_node **ret, tern_error *reterr);

/* Runs the own loop here until the node has stopped. Not with options.uv_loop. */
TERN_API int tern_node_run(tern_node *node);
/* Runs the own loop on a thread; returns at once. TERN_E_STATE, TERN_E_NOMEM. */
TERN_API int tern_node_start(tern_node *node);
/* From any thread: closes listeners, dials and connections in good order (three seconds at most),
 * then on_stopped. From there on nothing of the node keeps an embedder's loop running but sockets
 * that say their last words, for seconds. Twice is once. */
TERN_API void tern_node_stop(tern_node *node);
/* After it stopped (or before it ever ran). Joins the thread of tern_node_start, stopping it first.
 * On an embedder's loop: only after on_stopped and outside of it; the loop must run on for a few
 * turns to close its handles. NULL is nothing. */
TERN_API void tern_node_free(tern_node *node);

/* From any thread: runs fn(arg) on the loop. TERN_E_STATE once the node has stopped. */
TERN_API int tern_node_post(tern_node *node, void (*fn)(void *arg), void *arg);
/* Runs fn(arg) after so many milliseconds, unless the node stops before. TERN_E_NOMEM. */
TERN_API int tern_node_after(tern_node *node, uint32_t ms, void (*fn)(void *arg), void *arg);
/* The loop's monotonic clock in nanoseconds. */
TERN_API uint64_t tern_node_now(const tern_node *node);

TERN_API void tern_node_peer_id(const tern_node *node, tern_peer_id *ret);
TERN_API const tern_key *tern_node_key(const tern_node *node);

/* Listens on a multiaddr with an IP; port 0 picks one. Or at a relay, RELAY/p2p/ID/p2p-circuit: a
 * place is reserved there and kept, on_reservation tells. `bound` (capacity cap, may be NULL) gets
 * the text of the address as bound, with /p2p. Errors: MALFORMED, UNSUPPORTED, ADDRINUSE, ACCESS,
 * UNREACHABLE. */
TERN_API int tern_node_listen(tern_node *node, const char *addr, char *bound, size_t cap,
                              tern_error *reterr);
/* A place at a relay that is listened at, or was found; valid during the call. */
typedef struct tern_relay_place {
    const tern_multiaddr *addr; /* where it is listened at: RELAY/p2p/ID/p2p-circuit */
    const tern_peer_id *relay;
    uint64_t expires;      /* Unix seconds; 0 = it is not held */
    uint32_t duration_s;   /* how long the relay lets a circuit last; 0 = as long as it likes */
    uint64_t data;         /* bytes each way that it lets through one; 0 = any */
    bool found;            /* options.find_relays found it */
    const tern_error *why; /* not held: of the last try, code 0 when there was none yet. Held: NULL
                            */
} tern_relay_place;
/* Calls fn with each. */
TERN_API void tern_node_relays(tern_node *node,
                               void (*fn)(void *arg, const tern_relay_place *place), void *arg);
/* Announces this address (without /p2p) instead of those listened on; may be called several times.
 * MALFORMED, NOMEM. */
TERN_API int tern_node_announce(tern_node *node, const char *addr, tern_error *reterr);
/* Calls fn with each address that others may dial us at, with /p2p (unspecified IPs expanded). */
TERN_API void tern_node_addresses(tern_node *node, void (*fn)(void *arg, const char *addr),
                                  void *arg);

/* Whether others can reach us: public when one of our addresses is, private when some are and none
 * is public. Without options.autonat UNKNOWN, or what options.reachability says. */
TERN_API tern_reachability tern_node_reachability(const tern_node *node);

/* Shows this certificate for Secure WebSocket and HTTPS from now on: a chain, ours first, and its
 * key, in PEM; connections that live keep theirs. INVALID (does not parse or does not fit: what was
 * before stays), NOMEM, CRYPTO. */
TERN_API int tern_node_set_certificate(tern_node *node, const char *chain_pem, const char *key_pem,
                                       tern_error *reterr);

/* One address that was dialled, and what became of it (code 0: it won or was not needed). */
typedef struct tern_dial_report {
    const tern_multiaddr *addr;
    tern_error error;
} tern_dial_report;

typedef void tern_dial_done(void *owner, tern_conn *conn, const tern_error *error,
                            const tern_dial_report *reports, size_t report_count);

/* Connects to a peer: one of `addrs` (texts, all of the same peer if they name one) in the order of
 * likely success, raced; an existing connection to the peer is used unless `fresh`. done comes
 * once: conn (the node's, valid until on_disconnected) or NULL with the error; also if the node
 * stops. Errors at once: MALFORMED (an address, says where), INVALID (none, or different peers),
 * NOMEM. */
TERN_API int tern_node_dial(tern_node *node, const char *const *addrs, size_t n,
                            uint32_t timeout_ms, bool fresh, tern_dial_done *done, void *owner,
                            tern_error *reterr);

/* The live connection to a peer, NULL if there is none. */
TERN_API tern_conn *tern_node_find(tern_node *node, const tern_peer_id *peer);
/* Closes all connections to a peer in good order; returns how many. */
TERN_API size_t tern_node_disconnect(tern_node *node, const tern_peer_id *peer);
/* Closes one connection of the node's in good order; what runs over the peer's others goes on. It
 * is valid until on_disconnected, which follows; closing it again changes nothing. */
TERN_API void tern_node_close(tern_node *node, tern_conn *conn);

/* ---- who may connect, and who stays ---- */

/* Denies, or allows, a peer id, an IP address or a network ("12D3Koo...", "192.0.2.7",
 * "2001:db8::/32"): nothing is accepted from it or dialled, and its connections are closed. Once
 * something is allowed, all that no allowed entry names is denied; a deny entry wins. The same
 * entry again moves it to the other list. MALFORMED, NOMEM. */
TERN_API int tern_node_deny(tern_node *node, const char *what, tern_error *reterr);
TERN_API int tern_node_allow(tern_node *node, const char *what, tern_error *reterr);
/* Takes an entry out of its list. NOT_FOUND, MALFORMED. */
TERN_API int tern_node_ungate(tern_node *node, const char *what, tern_error *reterr);

/* Says what a peer is worth under a tag (0 takes it away): when there are more connections than the
 * high water, those of the least worth are closed first. NOMEM, LIMIT (32 tags a peer). */
TERN_API int tern_node_tag_peer(tern_node *node, const tern_peer_id *peer, const char *tag,
                                int32_t value);
/* While a tag protects a peer its connections are not closed for that. NOMEM, LIMIT. */
TERN_API int tern_node_protect_peer(tern_node *node, const tern_peer_id *peer, const char *tag);
/* Whether the peer is still protected, by another tag. */
TERN_API bool tern_node_unprotect_peer(tern_node *node, const tern_peer_id *peer, const char *tag);

/* ---- protocols ---- */

/* A peer opened a stream for this protocol: take it. */
typedef void tern_protocol_handler(void *ctx, tern_node *node, tern_conn *conn, tern_stream *s);

typedef struct tern_protocol_options {
    uint8_t per_peer;  /* most incoming streams of one peer at once; 0 = its connections' limit */
    bool over_limited; /* may run over limited (relayed) connections */
    bool replay_safe;  /* its first request may be replayed harmlessly (0-RTT), here and at peers
                          that we open it to */
} tern_protocol_options;

/* Serves a protocol. options may be NULL. TERN_E_STATE if the id is served already, TERN_E_LIMIT.
 */
TERN_API int tern_node_handle(tern_node *node, const char *id, const tern_protocol_options *options,
                              tern_protocol_handler *handler, void *ctx);
TERN_API void tern_node_unhandle(tern_node *node, const char *id);

/* s is NULL on failure. Take it inside. */
typedef void tern_open_done(void *owner, tern_stream *s, const tern_error *error);

/* Opens a stream for a protocol. done comes once. The stream returned may be written at once (the
 * bytes travel with the negotiation); until done only write, room, end and reset are allowed. NULL
 * with *reterr: CONN_CLOSED, LIMIT, NOMEM; done does not come then. */
TERN_API tern_stream *tern_node_open(tern_node *node, tern_conn *conn, const char *id,
                                     tern_open_done *done, void *owner, tern_error *reterr);

/* One ping over the connection's ping stream (kept open between pings). rtt in nanoseconds. done
 * comes once; errors: TIMEOUT (10 s), NEGOTIATION, PROTOCOL (a wrong echo), CONN_CLOSED, NOMEM. */
typedef void tern_ping_done(void *owner, uint64_t rtt, const tern_error *error);
TERN_API int tern_node_ping(tern_node *node, tern_conn *conn, tern_ping_done *done, void *owner);

/* ---- what it can and what it did ---- */

typedef struct tern_feature {
    const char *kind; /* "transport", "security", "network", "muxer", "protocol", "gateway", "key"
                       */
    const char *name;
    const char *id; /* protocol id or multiaddr pattern */
    bool dial, listen;
} tern_feature;
/* The table of what this build supports; returns its length. */
TERN_API size_t tern_features(const tern_feature **ret);

/* The name of the transport that would dial an address; NULL if this build has none. */
TERN_API const char *tern_transport_for(const tern_multiaddr *addr);

typedef struct tern_stats {
    size_t size; /* set by the caller: sizeof(tern_stats) */
    uint64_t connections, streams, bytes_in, bytes_out;
    uint64_t memory; /* resident bytes of the process, 0 where unknown */
} tern_stats;
TERN_API void tern_node_stats(tern_node *node, tern_stats *ret);
/* All counters in Prometheus' text format, appended by calls of fn with pieces. */
TERN_API void tern_node_metrics(tern_node *node, void (*fn)(void *arg, const char *text, size_t n),
                                void *arg);
/* The URL of the page, written to out; false when no page is served. */
TERN_API bool tern_node_page(tern_node *node, char *out, size_t cap);

TERN_API const char *tern_version(void);

/* ---- for programs with an own loop ---- */

/* SIGINT and SIGTERM on the loop. */
TERN_API int tern_node_on_signal(tern_node *node, void (*fn)(void *arg, int signal), void *arg);
/* Lines of standard input on the loop; line NULL at its end, n = SIZE_MAX for one that was too
 * long. */
TERN_API int tern_node_on_stdin(tern_node *node, void (*fn)(void *arg, char *line, size_t n),
                                void *arg);

#ifdef __cplusplus
}
#endif
#endif
