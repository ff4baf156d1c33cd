/* Inside nat/: hole punching, punch.c (what both sides share), punch_begin.c (B, who begins) and
 * punch_answer.c (A). */
#ifndef TERN_NAT_PUNCH_INNER_H
#define TERN_NAT_PUNCH_INNER_H

#include "nat/punch.h"
#include "nat/punch_message.h"
#include "nat/rate.h"
#include "streams/frame.h"

enum {
    TERN_PUNCH_TRIES = 3,
    TERN_PUNCHES_MAX = 64,    /* under way at once, of both kinds */
    TERN_PUNCH_DIALS_MAX = 8, /* addresses that are dialled at once */
    TERN_PUNCH_PER_PEER = 2,  /* streams of a peer at once */
    /* How often in a minute peers through relays may have us dial: in all, through one relay's
     * address block, and one peer. Two connections of a peer may take it to the end. */
    TERN_PUNCH_RATE = TERN_RATE_MAX,
    TERN_PUNCH_RATE_OF_RELAY = 48,
    TERN_PUNCH_RATE_OF_PEER = 2 * (TERN_PUNCH_TRIES + 1),
};
#define TERN_PUNCH_IDENTIFY_TIME (10 * TERN_SEC) /* for the peer to say where it is */
/* For its own addresses: so many round trips over the relay, within bounds. A public peer answers
 * sooner; one who does not is had with the first attempt as well. */
#define TERN_PUNCH_REVERSE_TRIPS 3
#define TERN_PUNCH_REVERSE_LEAST (500 * TERN_MS)
#define TERN_PUNCH_REVERSE_MOST  (2 * TERN_SEC)
#define TERN_PUNCH_STREAM_TIME   (15 * TERN_SEC) /* for each message */
#define TERN_PUNCH_DIAL_TIME     (5 * TERN_SEC)  /* of one attempt */
#define TERN_PUNCH_PAUSE         (TERN_SEC)      /* after the first; longer after the second */
#define TERN_PUNCH_WAIT_TIME     (10 * TERN_SEC) /* A: for B to ask again, after a failure */
#define TERN_PUNCH_CHECK_TIME    (10 * TERN_SEC) /* how often a relayed conn is looked at after */

struct tern_puncher {
    tern_net *net;
    tern_net_ear ear;
    tern_list all; /* punch */
    size_t count;
    tern_rate rate; /* of dials that are others' doing */
    bool stopped;
};

/* One peer that is connected to us through a relay. While it has a stream it lives on until that
 * one's last event. */
typedef struct punch {
    tern_list link;
    tern_puncher *puncher;
    tern_net *net;
    tern_conn *conn; /* the relayed one; NULL: it is gone */
    tern_peer_id peer;
    tern_endpoint relay; /* through which it came */
    bool begins;         /* we are B */
    bool waits;          /* B: for the peer to say where it is */
    bool won;            /* there is a direct connection; the relayed one is to go */
    bool over;           /* waits for its stream's last event only */
    tern_stream *s;      /* NULL: none at the moment */
    tern_frame frame;
    tern_timer timer;
    void (*next)(struct punch *p); /* what the timer does */
    tern_net_dial *dial;
    tern_multiaddr *theirs[TERN_PUNCH_DIALS_MAX]; /* where the peer says it is; references */
    size_t their_count;
    uint64_t began;        /* the clock */
    uint64_t asked;        /* when CONNECT went */
    unsigned tries, dials; /* attempts, and those of them that came as far as dialling */
    tern_error why;        /* of the last failure */
} punch;

/* The one of a connection; NULL: none. */
punch *punch_find(tern_puncher *all, const tern_conn *conn);
/* NULL: too many, or memory is short; counted. */
punch *punch_new(tern_puncher *all, tern_conn *conn, bool begins);
/* It is over: freed, now or with its stream's last event. */
void punch_end(punch *p);
/* Of a stream's last event: true when that was all that p lived for; it is freed. */
bool punch_stream_gone(punch *p);
/* next comes in so long; it replaces what was to come. */
void punch_in(punch *p, uint64_t time, void (*next)(punch *p));
/* Writes a message of this kind, CONNECT with our addresses. TERN_E_NOT_FOUND: we know none;
 * TERN_E_LIMIT, TERN_E_NOMEM. */
int punch_say(punch *p, tern_punch_kind kind);
/* Takes the addresses of a message that a hole can be punched to, and clears it. False: none. */
bool punch_take_addrs(punch *p, tern_punch_message *m);
void punch_drop_addrs(punch *p);
/* Whether somebody may be dialled for p now; it is counted. */
bool punch_may_dial(punch *p, tern_error *reterr);
/* Both dial now; done as of net->ops->punch. False: too often (TERN_E_LIMIT), or memory is short.
 */
bool punch_dial(punch *p, void (*done)(void *owner, tern_conn *conn, const tern_error *error),
                tern_error *reterr);
/* A direct connection to the peer, or NULL. */
tern_conn *punch_direct(const punch *p);
/* There is a direct connection: the owner hears it, and the relayed one goes when it is not used
 * any more. Ends p. */
void punch_won(punch *p);
/* None is to be had: the owner hears why, if it was tried at all. Ends p. */
void punch_lost(punch *p, const tern_error *why);

/* punch_begin.c: a peer came through a relay; it said where it is. */
void punch_begin(punch *p);
void punch_begin_identified(punch *p, const tern_identity *identity);
/* punch_answer.c: for tern_protocol; ctx is the puncher. */
void punch_on_stream(void *ctx, tern_conn *conn, tern_stream *s, const char *id);

#endif
