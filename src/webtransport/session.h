/* Inside webtransport/: a session, which is a conn of quic/'s with HTTP/3 around its beginning.
 *
 *     session.c   birth, CONNECT, Noise, the end
 *     streams.c   what streams begin with, request streams
 *     control.c   the peer's control stream
 *
 *   client                               server                               round trips
 *   ClientHello                     ->
 *                                   <-   .. Finished, SETTINGS (0.5-RTT)          1
 *   Finished, SETTINGS, CONNECT,
 *   a stream with Noise's first     ->
 *                                   <-   200, Noise's second, certhashes          2
 *   Noise's third, streams          ->
 *
 * A browser waits for the SETTINGS before CONNECT, and for the 200 before it opens the stream. We
 * do not: who has an address with a certificate hash and /webtransport in it knows what is there.
 * But the conn is nobody's until SETTINGS that allow sessions have come. */
#ifndef TERN_WEBTRANSPORT_SESSION_H
#define TERN_WEBTRANSPORT_SESSION_H

#include "core/secure.h"
#include "webtransport/certs.h"
#include "webtransport/h3_core.h"

enum {
    WT_EARLY = 16,        /* streams that come before their CONNECT */
    WT_REQUESTS_MAX = 16, /* requests that are no session of ours, then the conn ends */
    WT_DIALLED_MAX = 16,  /* hashes of a dialled address */
};

#define WT_PATH  "/.well-known/libp2p-webtransport"
#define WT_QUERY "type=noise"

typedef struct wt_session wt_session;

/* A stream that is not the conn's owner's, or not yet. */
typedef struct wt_stream {
    tern_list link; /* in session->streams */
    wt_session *session;
    tern_stream *s;
    tern_h3_kind kind;
    tern_h3_prefix prefix;
    tern_h3_reader reader;
    uint8_t cancels; /* of a decoder's stream */
    bool both_ways;
    bool answered; /* the request on it: what follows is dropped, or is the session's */
    bool settings; /* on the control stream: they were read */
} wt_stream;

struct wt_session {
    tern_net *net;
    struct quic_conn *q;
    bool server;
    bool failed;   /* the conn ends in a moment */
    bool accepted; /* CONNECT was answered with success */
    bool allowed;  /* the peer's SETTINGS were read; a server's allow sessions */
    bool given;    /* the conn's owner has it */
    bool control_came, encoder_came, decoder_came, goaway_came;
    bool closed;                  /* our last word was said */
    tern_list streams;            /* wt_stream */
    unsigned early;               /* of these, those that wait for their CONNECT */
    unsigned refused;             /* requests */
    uint64_t goaway, most_pushes; /* the last ids of GOAWAY and MAX_PUSH_ID */
    tern_stream *control;
    wt_stream *connect; /* the CONNECT stream */
    uint64_t id;        /* the session's: that stream's */
    tern_h3_reader capsules;
    tern_timer deadline; /* server: to be authenticated */
    tern_secure_op *noise;
    tern_stream *auth; /* after Noise, until it closes */
    tern_key *key;     /* the peer's, once it is proven, until the conn is given */
    tern_peer_id peer;
    /* client */
    tern_multiaddr *addr;
    char authority[TERN_ENDPOINT_TEXT];
    tern_peer_id expected;
    size_t hash_count;
    uint8_t hashes[WT_DIALLED_MAX][WT_HASH];
};

extern const tern_quic_app wt_app;

/* ---- session.c ---- */
/* A client's; `addr` is taken a reference of. NULL without memory. */
wt_session *wt_session_dial(tern_net *net, tern_multiaddr *addr, const tern_endpoint *to,
                            const tern_peer_id *expected);
void wt_session_free(wt_session *s);
/* Ends the conn with an HTTP/3 code, counted as the peer's fault where `count` is one. */
void wt_session_fail(wt_session *s, uint64_t wire, uint64_t *count, int code, const char *text);
/* The same for what breaks HTTP/3's rules. */
void wt_session_broken(wt_session *s, uint64_t wire, const char *text);
/* The peer's SETTINGS came, and allow what we want. */
void wt_session_allowed(wt_session *s);
/* CONNECT was accepted by the server, which is us or the peer. */
void wt_session_accepted(wt_session *s, wt_stream *connect);
/* A stream of the session whose CONNECT was accepted; its owner is nobody. */
void wt_session_stream(wt_session *s, tern_stream *stream);
/* Bytes of the CONNECT stream's DATA frames; its end. */
void wt_session_capsules(wt_session *s, tern_span bytes);
void wt_session_capsules_end(wt_session *s);
/* The peer ended the session by a capsule, with a code, or without. */
void wt_session_ended(wt_session *s, uint64_t code, const char *text);

/* ---- control.c ---- */
/* A frame on the peer's control stream, whole where it is one that is read. */
void wt_control_frame(wt_stream *w, const tern_h3_item *item);

/* ---- streams.c ---- */
void wt_stream_came(wt_session *s, tern_stream *stream, bool both_ways);
/* A stream of ours on which frames are read: CONNECT. NULL without memory. */
wt_stream *wt_stream_of_ours(wt_session *s, tern_stream *stream);
/* Nobody's any more: the stream is kept for its next owner. */
tern_stream *wt_stream_release(wt_stream *w);
/* Drops all that are left. */
void wt_streams_drop(wt_session *s);
/* Those that waited for their CONNECT. */
void wt_streams_go_on(wt_session *s);

#endif
