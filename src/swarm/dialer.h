/* Inside swarm/: a dialer, one peer that is being dialled. dial.c has the requests for it and the
 * race of its addresses, dial_attempt.c what happens at one of them. */
#ifndef TERN_SWARM_DIALER_H
#define TERN_SWARM_DIALER_H

#include "swarm/swarm.h"

typedef struct tern_dialer tern_dialer;

typedef struct attempt {
    tern_dialer *dialer;
    size_t candidate;
    const tern_transport *transport;
    tern_dial_op dial;
    tern_upgrade upgrade;
} attempt;

typedef struct candidate {
    tern_multiaddr *addr;
    char *host;
    attempt *attempt; /* while running */
    enum { WAITING, RUNNING, WON, FAILED } state;
    bool cautious;    /* optimism was refused: again without */
    bool crossed;     /* both sides dialled and met in one connection: again from another port */
    uint64_t started; /* the clock when it was dialled last */
    tern_error error;
} candidate;

struct tern_dialer {
    tern_list link; /* in swarm->dials */
    tern_swarm *swarm;
    tern_peer_id peer;
    bool cautious; /* the peer is known to refuse optimism */
    bool alone;    /* a fresh connection was asked for: nobody joins */
    bool direct;   /* not through a relay */
    bool only;     /* nothing but what was asked for */
    tern_punch_role punch;
    unsigned knocks; /* candidates that came by them */
    tern_list requests;
    candidate candidates[TERN_DIAL_ADDRS_MAX];
    size_t count, running;
    bool ip4_next;   /* the families take turns: IPv6 was last */
    tern_list names; /* being resolved */
    tern_timer next; /* when the next candidate may start */
    tern_deferred step;
};

/* dial.c: ends all requests, then the dialer. conn NULL: error says why. */
void dialer_finish(tern_dialer *d, tern_conn *conn, const tern_error *error);

/* dial.c: nothing more is started for so long. */
void dialer_pause(tern_dialer *d, uint64_t time);

/* dial_attempt.c: starts a candidate; what becomes of it steps the dialer, or finishes it. */
void dialer_start(tern_dialer *d, size_t i);
/* A candidate cannot be had: the next may start at once. */
void dialer_fail(tern_dialer *d, size_t i, const tern_error *error);
void dialer_free_attempt(candidate *c);

#endif
