/* Inside nat/: the relay service's parts, relay.c and relay_circuit.c. */
#ifndef TERN_NAT_RELAY_INNER_H
#define TERN_NAT_RELAY_INNER_H

#include "base/map.h"
#include "nat/relay.h"
#include "nat/relay_message.h"
#include "nat/splice.h"
#include "streams/frame.h"

#define TERN_RELAY_TAG "relay" /* protects peers with a reservation from being trimmed */

enum { TERN_RELAY_STREAMS_MAX = 64 }; /* hop streams of one peer at once */

typedef struct reservation {
    tern_list link; /* in relay->reservations */
    tern_peer_id peer;
    tern_endpoint block; /* where it came from, as limits count */
    uint64_t until;
} reservation;

struct tern_relay {
    tern_net *net;
    tern_relay_limits limits;
    tern_net_ear ear;
    tern_list reservations; /* the one that expires first is first */
    tern_map by_peer;       /* peer id -> reservation */
    size_t reserved;
    tern_list hops; /* hop: requests, and the circuits they became */
    size_t circuits;
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

/* The reservation of a peer that has not expired; NULL if there is none. */
reservation *tern_relay_find(tern_relay *r, const tern_peer_id *peer);
/* A connection to the peer that no relay limits, other than `but`. */
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
