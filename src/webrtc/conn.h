/* What the files of WebRTC Direct's driver share. Private to them.
 *
 *     endpoint.c   a UDP port: which datagram belongs to whom, what may begin, limits
 *     conn.c       a connection: ICE, DTLS, SCTP, Noise, time, its end
 *     channel.h    its data channels, which are its streams
 *     direct.c     the transport: addresses, certificates, dialling and listening
 *
 *     datagram -> endpoint -> conn -> DTLS -> SCTP -> channel -> frames -> the stream's owner */
#ifndef TERN_WEBRTC_CONN_H
#define TERN_WEBRTC_CONN_H

#include "core/secure.h"
#include "core/transport.h"
#include "crypto/dtls_engine.h"
#include "base/map.h"
#include "loop/udp_port.h"
#include "webrtc/channel_core.h"
#include "webrtc/ice_core.h"
#include "webrtc/sctp_core.h"

enum {
    WEBRTC_BUCKETS = 16,
    WEBRTC_ADDRESSES = 8,         /* of one peer at a time: the paths that it tries */
    WEBRTC_EARLY = 10,            /* streams that a peer may open before it is known who it is */
    WEBRTC_IDS = 1024,            /* browsers have no stream ids beyond */
    WEBRTC_NO_ID = 65535,         /* no channel's (RFC 8831, 6.2) */
    WEBRTC_QUEUE = 4 * 14 * 1132, /* bytes that a stream has waiting */
    WEBRTC_BATCH = 48 * TERN_DTLS_MTU,
    WEBRTC_PROLOGUE = 20 + 2 * 34,
};

#define WEBRTC_SETUP_TIME  (10 * TERN_SEC)
#define WEBRTC_SILENCE     (30 * TERN_SEC) /* RFC 7675 */
#define WEBRTC_CHECK_EVERY (5 * TERN_SEC)
#define WEBRTC_AGAIN       (500 * TERN_MS) /* to a check's second answer; four times to the last */
#define WEBRTC_CLOSE_TIME  (3 * TERN_SEC)
#define WEBRTC_FIN_TIME    (5 * TERN_SEC)  /* for the acknowledgement of our FIN */
#define WEBRTC_LINGER      (10 * TERN_SEC) /* for the end of what we do not read */
#define WEBRTC_ACK_TIME    (2 * TERN_SEC)  /* until a FIN is acknowledged to a rust-libp2p */
#define WEBRTC_STALL       (30 * TERN_SEC) /* until an unread stream that holds up others goes */

struct webrtc_endpoint;

/* What the endpoints of a net have in common: net->webrtc. */
typedef struct tern_webrtc {
    tern_net *net;
    tern_list endpoints;
    tern_dtls_context *server, *client;
    uint8_t server_hash[TERN_DTLS_FINGERPRINT], client_hash[TERN_DTLS_FINGERPRINT];
    uint64_t client_born;
    uint8_t cookie_key[32];
} tern_webrtc;

typedef struct webrtc_endpoint {
    tern_list link;
    tern_webrtc *w;
    tern_udp_port *port;
    tern_listener *listener; /* NULL: only dials */
    tern_map addresses;      /* where peers are -> webrtc_conn */
    tern_map names;          /* the server's ufrag -> webrtc_conn; incoming ones */
    tern_list conns;
    size_t users;       /* listener, conns */
    tern_deferred gone; /* closes the port once nobody uses it */
    bool full;          /* the system's buffer */
    uint8_t *batch;     /* datagrams of `segment` bytes on their way to `to` */
    size_t batch_n, segment;
    tern_endpoint to;
} webrtc_endpoint;

typedef struct webrtc_channel {
    tern_stream base; /* its owner's side; unused once gone */
    struct webrtc_conn *conn;
    struct webrtc_channel *next; /* in its bucket */
    tern_sctp_stream st;
    tern_frame_reader reader;
    uint64_t until;  /* a deadline of the closing; 0 = none */
    uint64_t ack_at; /* when FIN is to be acknowledged at the latest; 0 = not owed */
    size_t unread;
    uint32_t born; /* the peer's: the TSN that opened it */
    unsigned incoming : 1;
    unsigned gone : 1;     /* the stream is; the channel still closes */
    unsigned fin_sent : 1; /* queued at least */
    unsigned fin_acked : 1;
    unsigned fin_got : 1;
    unsigned stop_sent : 1;
    unsigned stop_got : 1;    /* the peer reads no more */
    unsigned finished : 1;    /* the stream knows its end */
    unsigned closing : 1;     /* our half of the channel is to be reset once all is sent */
    unsigned reset_asked : 1; /* ... and the peer was asked to note it */
    unsigned reset_done : 1;
    unsigned reset_got : 1; /* the peer ended its half */
} webrtc_channel;

typedef enum webrtc_phase {
    WEBRTC_CHECKING, /* no datagram of DTLS yet */
    WEBRTC_SHAKING,  /* DTLS */
    WEBRTC_SECURING, /* SCTP and Noise */
    WEBRTC_OPEN,
    WEBRTC_CLOSING, /* in good order */
    WEBRTC_OVER,
} webrtc_phase;

typedef struct webrtc_conn {
    tern_conn base;
    tern_net *net;
    webrtc_endpoint *endpoint;
    tern_list link;          /* in the endpoint's conns */
    tern_crowd_member place; /* among what is not secured yet; incoming */
    webrtc_phase phase;
    bool server;
    bool slow_ack; /* the peer may be a rust-libp2p, which does not know FIN_ACK */
    bool sending;  /* a turn is under way */
    bool choked;   /* too much is queued in all: writers wait */
    bool withheld; /* some of our flight of DTLS did not leave */
    size_t credit; /* server: what may still be sent to whom nothing has proven yet */
    tern_endpoint remote;
    tern_endpoint paths[WEBRTC_ADDRESSES];
    unsigned path_count;
    char *name; /* server: its ufrag, a key in names */
    size_t name_n;
    uint8_t check_id[TERN_STUN_ID]; /* server: of the peer's last check, */
    uint64_t again_at;              /* when it is answered once more, TERN_NEVER = it is not, */
    bool last_again;                /* and for the last time */
    tern_ice_client *ice;           /* client */
    uint64_t check_at, check_wait;
    bool confirmed;
    uint8_t expected_hash[TERN_DTLS_FINGERPRINT]; /* client: of the certificate */
    tern_dtls_engine *dtls;
    tern_sctp sctp;
    tern_secure_op *noise; /* during the handshake */
    uint8_t prologue[WEBRTC_PROLOGUE];
    tern_dial_op *dial; /* client, until done */
    tern_timer timer;
    tern_deferred turn;
    uint64_t heard, began, stalled; /* stalled: the window has been shut since; 0 = is open */
    webrtc_channel *buckets[WEBRTC_BUCKETS];
    size_t channels;    /* in the buckets */
    uint16_t last_id;   /* that we opened */
    uint32_t incoming;  /* of these, alive streams of the peer's */
    uint64_t linger_at; /* the earliest deadline of a channel, TERN_NEVER = none */
    tern_error why;
} webrtc_conn;

/* ---- endpoint.c ---- */

/* The endpoint at `at`, joined or opened; `listener` may be NULL. */
int webrtc_endpoint_open(tern_net *net, const tern_endpoint *at, tern_listener *listener,
                         webrtc_endpoint **ret, tern_error *reterr);
void webrtc_endpoint_release(webrtc_endpoint *e); /* one user less */
/* Where a peer is to be known from now on. TERN_E_NOMEM, TERN_E_LIMIT. */
int webrtc_endpoint_path(webrtc_endpoint *e, webrtc_conn *c, const tern_endpoint *at);
bool webrtc_endpoint_knows(const webrtc_endpoint *e, const tern_endpoint *at);
void webrtc_endpoint_forget(webrtc_endpoint *e, webrtc_conn *c);
/* Sends a datagram, together with others of the same length to the same place when `more` follow.
 * False: the system's buffer is full; the endpoint wakes its conns later. */
bool webrtc_endpoint_send(webrtc_endpoint *e, const tern_endpoint *to, const uint8_t *p, size_t n);
uint8_t *webrtc_endpoint_place(webrtc_endpoint *e); /* room for a datagram in the batch, or NULL */
bool webrtc_endpoint_placed(webrtc_endpoint *e, const tern_endpoint *to, size_t n);
bool webrtc_endpoint_flush(webrtc_endpoint *e);

/* ---- conn.c ---- */

webrtc_conn *webrtc_conn_new(webrtc_endpoint *e, bool server, const tern_endpoint *remote);
void webrtc_conn_dtls(webrtc_conn *c, tern_span datagram);
/* A client's check was answered: DTLS begins. */
void webrtc_conn_shake(webrtc_conn *c);
/* A server may send n bytes more to whom nothing has proven yet, and sends what waited for it. */
void webrtc_conn_grant(webrtc_conn *c, size_t n);
/* The end: streams, then the conn. Nothing is sent any more but what is said before. */
void webrtc_conn_end(webrtc_conn *c, const tern_error *why);
void webrtc_conn_fail(webrtc_conn *c, int code, const char *text);
static inline void webrtc_want_turn(webrtc_conn *c)
{
    if (c->phase != WEBRTC_OVER) {
        tern_defer_late(c->base.loop, &c->turn);
    }
}

/* ---- conn_checks.c ---- */

void webrtc_conn_start(webrtc_conn *c); /* a client's first check */
/* A verified STUN message of the peer's: to a server, which has answered it, and to a client. */
void webrtc_conn_checked(webrtc_conn *c, const tern_datagram *check, const tern_stun *message);
void webrtc_conn_answered(webrtc_conn *c, const uint8_t *p, const tern_stun *message);
/* When something is to be asked or answered again, TERN_NEVER = not; and what is due by now. */
uint64_t webrtc_conn_checks_at(const webrtc_conn *c);
void webrtc_conn_checks_tick(webrtc_conn *c, uint64_t now);

/* ---- channels.c ---- */

extern const tern_sctp_events webrtc_sctp_events;
/* A channel of ours (DCEP is sent) or the negotiated one (sid 0). NULL with an error code. */
webrtc_channel *webrtc_channel_open(webrtc_conn *c, bool negotiated, int *ret_code);
void webrtc_channels_end(webrtc_conn *c, const tern_error *why); /* every stream finishes */
void webrtc_channels_free(webrtc_conn *c);
void webrtc_channels_tick(webrtc_conn *c, uint64_t now);

/* ---- direct.c ---- */

int webrtc_contexts(tern_webrtc *w, bool server, tern_error *reterr);
tern_multiaddr *webrtc_addr(const tern_endpoint *e, const uint8_t *hash);
/* A conn is secured: to its listener or its dial. */
void webrtc_deliver(webrtc_conn *c);
void webrtc_dial_failed(webrtc_conn *c, const tern_error *why);

#endif
