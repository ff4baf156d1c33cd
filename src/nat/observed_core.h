/* How others see us, without I/O: each connection's peer says (identify) from which address it sees
 * us; what peers in different networks agree on may be an address at which we are reached. One
 * peer's word is nothing, nor that of many in one address block.
 *
 * A vote stands while its connection does and for half an hour after. */
#ifndef TERN_NAT_OBSERVED_CORE_H
#define TERN_NAT_OBSERVED_CORE_H

#include "loop/loop.h"

enum {
    TERN_OBSERVED_VOTES_MAX = 64, /* kept in all */
    TERN_OBSERVED_OF_BLOCK = 4,   /* ... of one address block: the oldest makes place */
    TERN_OBSERVED_NETWORKS = 2,   /* that must agree */
    TERN_OBSERVED_PER_PORT = 3,   /* addresses for one port of ours, the best known first */
    TERN_OBSERVED_COUNTS = 3,     /* networks that show that a NAT counts up */
    TERN_OBSERVED_STEP = 16,      /* the longest step from one port to the next of such a NAT */
    TERN_OBSERVED_NEXT = 3,       /* ports that it may give next, of one port of ours */
};
#define TERN_OBSERVED_TIME (1800 * TERN_SEC) /* after the connection */

typedef struct tern_observed_vote {
    uint64_t conn;       /* its id */
    bool dialled;        /* by us */
    uint64_t until;      /* TERN_NEVER while the connection stands; 0 = no vote */
    uint32_t transport;  /* TERN_MA_TCP or TERN_MA_UDP */
    uint16_t port;       /* ours */
    tern_endpoint seen;  /* how the peer sees us */
    tern_endpoint block; /* where it is */
} tern_observed_vote;

typedef struct tern_observed {
    tern_observed_vote votes[TERN_OBSERVED_VOTES_MAX];
} tern_observed;

/* An address that enough networks agree on. */
typedef struct tern_observed_address {
    uint32_t transport;
    uint16_t port; /* ours that it leads to */
    tern_endpoint seen;
    size_t networks;
} tern_observed_address;

/* A vote comes (until and block are set here): the peer at `from` says how it sees us; what it said
 * before is replaced. When there is no place, a vote whose connection is gone makes it, and for a
 * peer whom we dialled one who dialled us, else the new one is left out. */
void tern_observed_vote_add(tern_observed *o, uint64_t now, const tern_observed_vote *vote,
                            const tern_endpoint *from);
void tern_observed_conn_gone(tern_observed *o, uint64_t now, uint64_t conn);
/* The network is another one: what was seen is worth nothing. */
void tern_observed_clear(tern_observed *o);
/* The addresses that at least so many networks agree on, for each port the best known first; how
 * many, at most cap. */
size_t tern_observed_addresses(const tern_observed *o, uint64_t now, size_t networks,
                               tern_observed_address *out, size_t cap);

/* Of a NAT that takes another port outside for each destination, the last one and a step: where it
 * will let us be seen next, as the highest ports that networks saw in even steps show (networks is
 * 0 there). Nothing, while two networks agree on a port. attempt: how many times this was of no
 * use; then the step is taken for a shorter one, as others may have taken ports between, and what
 * lies further off is told. How many, at most cap. */
size_t tern_observed_next(const tern_observed *o, uint64_t now, unsigned attempt,
                          tern_observed_address *out, size_t cap);

#endif
