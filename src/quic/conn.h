/* Inside quic/: a QUIC connection as a tern_conn, and its streams. One file a verb:
 *
 *   conn.c      birth, the handshake's end, the end     conn_read.c   what ngtcp2 tells
 *   conn_write.c  packets out, timers                   stream.c      streams
 *   resume.c    tickets     early.c   0-RTT data        tls.c  keys.c TLS to ngtcp2
 *
 * ngtcp2 may not be called from inside most of what it tells us. So whatever an owner does in an
 * event only changes our own state, and the connection's turn, a deferred call, does the rest:
 * resets and stops, then packets, then the timer. */
#ifndef TERN_QUIC_CONN_H
#define TERN_QUIC_CONN_H

#include <ngtcp2/ngtcp2_crypto.h>

#include "quic/app.h"
#include "quic/endpoint.h"
#include "tls/handshake.h"

enum {
    QUIC_STREAMS_IN = 256,
    QUIC_ASK_FRESH = 2,          /* tickets that a client asks for after a full handshake, */
    QUIC_ASK_AGAIN = 1,          /* ... and after a resumed one */
    QUIC_UNOPENED_MAX = 1024,    /* streams of ours that wait for the peer's permission */
    QUIC_CHUNK = 32 << 10,       /* of what a stream sends, ... */
    QUIC_CHUNK_FIRST = 1 << 10,  /* ... the first, which is all that most of them need */
    QUIC_SEND_LEAST = 256 << 10, /* so much of a stream may wait to be sent or acknowledged ... */
    QUIC_SEND_MOST = 16 << 20,   /* ... up to that, with the congestion window */
    QUIC_FLIGHT_LEAST = 1 << 20, /* so much may be on its way, however short the round trip, ... */
    QUIC_FLIGHT_RATE = 2,        /* ... and so many bytes more for each nanosecond of it */
};

/* A piece of what a stream sends; it stays where it is until it is acknowledged. */
typedef struct quic_chunk {
    struct quic_chunk *next;
    size_t len, cap;
    uint8_t data[];
} quic_chunk;

typedef struct quic_stream {
    tern_stream base;
    quic_conn *conn;
    tern_list link;           /* in conn->streams, until the base is done with it, too */
    tern_list ready;          /* in conn->ready: has something to send; or in conn->unopened */
    tern_list act;            /* in conn->acts: a reset or stop is to be told */
    int64_t id;               /* -1: not opened yet */
    quic_chunk *first, *last; /* what is not acknowledged */
    quic_chunk *unsent;       /* of these: where the next byte to be sent lies or will lie */
    uint64_t acked, written;  /* offsets: of `first`, behind `last` */
    uint64_t sent;            /* handed to ngtcp2 */
    uint64_t unsent_at;       /* of `unsent` */
    uint64_t unread;          /* delivered, not consumed */
    uint64_t code;            /* of the reset or stop to be told, as on the wire */
    unsigned want_reset : 1, want_stop : 1;
    unsigned fin_sent : 1;
    unsigned blocked : 1;   /* by the peer's flow control */
    unsigned mute : 1;      /* the peer wants no more, or we reset: what is written goes nowhere */
    unsigned over : 1;      /* ngtcp2 knows it no more */
    unsigned gone : 1;      /* the base is done with it */
    unsigned own : 1;       /* of what the conn's app is made of */
    unsigned stop_owed : 1; /* of an app's: told once the peer has all that we wrote */
} quic_stream;

/* What resumption has to do with a connection: resume.h. */
typedef struct quic_resumption {
    quic_ticket *offered;    /* server: the client's, while its ClientHello is answered */
    tern_key *kept;          /* client: the server's, of the ticket that is offered */
    uint64_t proven;         /* server: when the peer showed its certificate, ... */
    uint64_t until;          /* ... and when that ends, by the wall clock */
    uint8_t fresh, again;    /* server: tickets that the client asked for; client: `fresh` is how
                                many it still takes */
    unsigned takes_part : 1; /* the peer knows ticket_request */
    unsigned tried : 1;      /* a ticket is offered, to the server: one that may be used */
    unsigned resumed : 1;
    unsigned early : 1; /* client: 0-RTT data may be sent; server: it was accepted; until the end of
                           the handshake */
} quic_resumption;

struct quic_conn {
    tern_conn base;
    tern_list link;    /* in endpoint->conns */
    tern_list waiting; /* in endpoint->waiting */
    quic_endpoint *endpoint;
    tern_net *net;
    ngtcp2_conn *q;      /* NULL once it is over */
    tern_handshake *tls; /* NULL once nothing is expected of it */
    tern_endpoint remote;
    tern_peer_id expected;
    tern_key *key;       /* the peer's, once it is proven */
    tern_error *failure; /* why the peer was refused, during the handshake */
    tern_dial_op *dial;  /* until the handshake is done */
    tern_deferred turn;
    tern_timer timer, linger;
    tern_list streams, ready, unopened, acts;
    tern_crowd_member place; /* in net->pending, until the handshake is done */
    quic_resumption resumption;
    const tern_quic_app *app; /* the protocol, and its session; NULL: libp2p's own */
    void *session;
    uint32_t unopened_count;
    uint32_t cids;    /* connection ids of it that the endpoint has */
    uint64_t unread;  /* of all streams */
    size_t unacked;   /* bytes of streams that the peer has not acknowledged */
    uint64_t unpaced; /* bytes written so far */
    uint64_t close_code;
    const char *close_text;
    unsigned given : 1;    /* the owner has it */
    unsigned complete : 1; /* the handshake is done */
    unsigned closing : 1;  /* close was called: ends when nothing is unacked, or at once */
    unsigned over : 1;     /* finished or to be freed */
};

/* ---- conn.c ---- */
/* original: the id that the client chose before our Retry, NULL without one; known: a token of an
 * earlier connection proves its address. */
quic_conn *quic_conn_accept(quic_endpoint *e, const tern_endpoint *from, const ngtcp2_pkt_hd *hd,
                            const ngtcp2_cid *original, bool known);
quic_conn *quic_conn_dial(quic_endpoint *e, tern_dial_op *op, const tern_endpoint *to,
                          const tern_quic_app *app, void *session);
/* A stream of ours, opened when the peer permits. */
tern_stream *quic_conn_open(quic_conn *c, tern_error *reterr);
/* Judges the peer by its certificate, the first of `count`, and takes its key. 0, or an error whose
 * reason is left in c->failure. */
int quic_conn_judge(quic_conn *c, tern_span der, unsigned count);
/* The peer is known, c->key is its: gives the conn to who waits for it. */
void quic_conn_give(quic_conn *c);
/* The handshake is done: the conn is given, or was given early and is proven now. */
void quic_conn_ready(quic_conn *c);
/* The peer proved that it is at another address now: its NAT changed its mind, or it moved. */
void quic_conn_moved(quic_conn *c, const tern_endpoint *to);
/* It is over: every stream closes, then the conn, or the dial fails. */
void quic_conn_fail(quic_conn *c, const tern_error *why);
/* A dial that nobody waits for any more. */
void quic_conn_forget_dial(quic_conn *c);
static inline quic_conn *quic_conn_of(void *user_data)
{
    return user_data;
}
extern const tern_conn_ops quic_conn_ops;

/* ---- app.c ---- */
/* Whether a ClientHello is for the endpoint's app: then *answer says so, and c->app is set. An
 * error: it is, and cannot be. */
int quic_app_choose(quic_conn *c, const tern_hello *hello, tern_answer *answer);
void quic_app_params(ngtcp2_transport_params *params);

/* ---- conn_read.c ---- */
void quic_conn_read(quic_conn *c, tern_datagram *d);
/* `app`: it may come to be an app's. */
void quic_conn_callbacks(ngtcp2_callbacks *ret, bool server, bool app);
/* Opens what waits, as far as the peer permits. */
void quic_conn_open_waiting(quic_conn *c);

/* ---- conn_write.c ---- */
void quic_conn_turn(tern_deferred *d);
/* A turn at once. False: the conn is over, and may be freed already. */
bool quic_conn_write(quic_conn *c);
static inline void quic_conn_want_turn(quic_conn *c)
{
    if (!c->over) {
        tern_defer(c->base.loop, &c->turn);
    }
}
/* How many bytes on their way are of use: what a core can send within the shortest round trip, and
 * something to bridge the pauses of either side. What is more than that waits in the peer's socket
 * or is lost there, and leaves the caches meanwhile. No other limit knows that: losses come late.
 */
uint64_t quic_conn_flight(const ngtcp2_conn_info *info);
/* Sends a CONNECTION_CLOSE: `app` = the application's code, else the transport error at hand. */
void quic_conn_say_goodbye(quic_conn *c, bool app, uint64_t code, int liberr);
/* The socket has room again; `waiting` is the link of the conn. */
void quic_conn_go_on(tern_list *waiting);

/* ---- early.c ---- */
/* Opens a stream that waits at once, as 0-RTT data: false when it must wait. */
bool quic_early_open(quic_conn *c, quic_stream *s);

/* ---- stream.c ---- */
extern const tern_stream_ops quic_stream_ops;
/* A stream of the peer's (id) or of ours (-1, opened when the peer permits). NULL without memory.
 */
quic_stream *quic_stream_new(quic_conn *c, int64_t id);
/* It is one of what the conn is made of: tern_quic_app_give. */
void quic_stream_own(quic_stream *s);
/* ngtcp2 will not touch it any more. */
void quic_stream_over(quic_stream *s);
/* It has its id now. */
void quic_stream_opened(quic_stream *s, int64_t id);
/* So many bytes from the front were acknowledged. */
void quic_stream_acked(quic_stream *s, uint64_t to);
/* Up to `cap` spans of what is to be sent next; how many. */
size_t quic_stream_next(quic_stream *s, ngtcp2_vec *v, size_t cap);
static inline bool quic_stream_wants(const quic_stream *s)
{
    return s->id >= 0 && !s->over && !s->mute && !s->blocked &&
           (s->sent < s->written || (s->base.ended && !s->fin_sent));
}

#endif
