/* Inside nat/: the relay service's parts, relay.c and relay_circuit.c. */
#ifndef TERN_NAT_RELAY_INNER_H
#define TERN_NAT_RELAY_INNER_H

#include "base/tally.h"
#include "nat/relay.h"
#include "nat/relay_message.h"
#include "nat/splice.h"
#include "streams/frame.h"

#define TERN_RELAY_TAG ":relay" /* protects peers with a reservation from being trimmed */

enum {
    TERN_RELAY_STREAMS_MIN = 64
}; /* hop streams of one peer at once, if no more circuits may be */

typedef struct reservation {
    tern_list link; /* in relay->reservations */
    tern_peer_id peer;
    tern_endpoint block, network; /* where it came from, as limits count */
    uint64_t until;
} reservation;

struct tern_relay {
    tern_net *net;
    tern_relay_limits limits;
    tern_net_ear ear;
    tern_list reservations; /* the one that expires first is first */
    tern_map by_peer;       /* peer id -> reservation */
    size_t reserved;
    tern_tally blocks, networks; /* of the reservations */
    tern_list hops;              /* hop: requests, and the circuits they became */
    size_t circuits;
    tern_tally from, to; /* circuits by peer */
    bool served;
};

/* A hop stream: one request, then perhaps a circuit. */
typedef struct hop {
    tern_list link;
    tern_relay *relay;
    tern_conn *conn; /* of s: it lives as long */
    tern_peer_id from, to;
    tern_stream *s, *stop; /* NULL: gone, or not there yet */
    tern_frame frame, stop_frame;
    tern_timer timer;
    bool asked;   /* the message has come */
    bool circuit; /* counted among the circuits */
    bool opened;  /* stop is negotiated, and ours */
    tern_splice *splice;
} hop;

/* relay_reserve.c: the reservation of a peer that has not expired; NULL if there is none. */
reservation *tern_relay_find(tern_relay *r, const tern_peer_id *peer);
/* A new reservation or the peer's renewed one; NULL with the status to answer. */
reservation *tern_relay_reserve(tern_relay *r, const tern_conn *conn, uint32_t *ret_status);
void tern_relay_forget(tern_relay *r, reservation *v);

/* A connection to the peer that is no relay's, other than `but`. */
tern_conn *tern_relay_direct_conn(tern_net *net, const tern_peer_id *peer, const tern_conn *but);
/* The limits as messages say them. */
tern_relay_limit tern_relay_said_limit(const tern_relay *r);

/* Writes an answer; clears the message. A stream that does not take it is reset. */
void tern_relay_answer(hop *h, tern_relay_message *m);
/* Answers with a status and ends the request. */
void tern_relay_refuse(hop *h, uint32_t status);
void tern_relay_free_hop(hop *h);

/* relay_circuit.c: a circuit to the target was asked for. */
void tern_relay_connect(hop *h, const tern_peer_id *target);
/* The asker's stream is gone. */
void tern_relay_abandon(hop *h);

#endif
