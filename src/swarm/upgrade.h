/* From a stream to a conn: (the layer of a private network ->) multistream -> security -> (muxer
 * inside the handshake, or multistream)
 * -> conn (libp2p specs, connections).
 *
 * An optimistic initiator sends the security proposal together with the handshake's first message,
 * and a muxer proposal together with the muxer's first frames, so a connection is usable two round
 * trips after the first SYN. A peer that refuses the security then has read the message as garbage:
 * the upgrade fails with TERN_E_NEGOTIATION and `retry` set, and the dialler dials again without
 * optimism. A peer that refuses the muxer is found out when the conn is in use: it ends with
 * TERN_E_NEGOTIATION, and the swarm asks that peer before it goes on from then on. Only peers that
 * name no muxer inside the handshake can do that. */
#ifndef TERN_SWARM_UPGRADE_H
#define TERN_SWARM_UPGRADE_H

#include "core/mux.h"
#include "core/secure.h"
#include "swarm/negotiate.h"

enum { TERN_PARTS_MAX = 8 };

/* What may be negotiated, best first, NULL-terminated. */
typedef struct tern_upgrade_parts {
    const tern_secure *const *secures;
    const tern_mux *const *muxes;
} tern_upgrade_parts;

typedef struct tern_upgrade {
    tern_op op; /* initialise with tern_op_init */
    /* in */
    tern_net *net;
    const tern_upgrade_parts *parts;
    tern_stream *stream; /* the upgrade's from the start on */
    bool initiator;      /* role: security initiator and muxer client */
    bool optimistic;
    tern_peer_id expected; /* len 0 = anybody */
    tern_conn_facts facts; /* local, remote, transport, inbound; references taken over */
    /* out */
    tern_conn *conn;
    bool retry;   /* failed only because it was optimistic */
    bool crossed; /* the peer speaks as an initiator too: both dialled, and the sockets met */
    /* private */
    tern_negotiation negotiation;
    tern_secure_op secure;
    const tern_secure *chosen;
    const char *ids[TERN_PARTS_MAX + 1];
    const char *mux_ids[TERN_PARTS_MAX + 1];
} tern_upgrade;

/* Starts op. On any failure the stream is reset and gone. 0 or TERN_E_NOMEM (nothing started,
 * stream and facts are still the caller's). */
int tern_upgrade_start(tern_upgrade *u);

#endif
