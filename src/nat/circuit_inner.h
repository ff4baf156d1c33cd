/* Inside nat/: the client's side of circuit relay v2, circuit.c (dialling), circuit_listen.c and
 * circuit_reserve.c. */
#ifndef TERN_NAT_CIRCUIT_INNER_H
#define TERN_NAT_CIRCUIT_INNER_H

#include "nat/circuit.h"
#include "nat/relay_message.h"
#include "streams/frame.h"

enum {
    TERN_CIRCUIT_STREAMS_MAX = 64, /* stop streams of one relay at once */
    TERN_CIRCUIT_ADDRS_MAX = 8,    /* of a relay that are announced, besides where we dial it */
};

typedef struct circuit_request circuit_request;

/* A place at a relay, wanted or held. */
typedef struct circuit_listener {
    tern_listener base;
    tern_list link; /* in the circuits' listeners */
    tern_net *net;
    tern_peer_id relay;
    tern_multiaddr *at; /* where the relay is dialled; a reference */
    tern_net_dial *dial;
    circuit_request *request; /* the RESERVE under way */
    tern_timer timer;         /* of the next try, or the renewal */
    uint64_t until;           /* the reservation's end; 0 = none is held */
    unsigned failures;        /* in a row */
    tern_endpoint seen;       /* where the relay was when it was asked last */
    tern_relay_limit limit;   /* of circuits, as it said with the reservation */
    uint64_t expires;         /* until, in Unix seconds */
    tern_error why;           /* why none is held; code 0 = not known yet */
    bool found;               /* by relay_find.c; else the owner listens */
} circuit_listener;

/* What the circuits of a net have in common. */
typedef struct tern_circuits {
    tern_net *net;
    tern_net_ear ear;
    tern_list listeners;
} tern_circuits;

/* The relay of an address of ours; false when it is no such address. *ret_at: where it is dialled,
 * a reference, NULL when memory is short. */
bool circuit_relay_of(const tern_multiaddr *addr, tern_peer_id *ret_relay, tern_multiaddr **ret_at);

/* circuit_listen.c, for tern_circuit_transport */
int circuit_listen(tern_net *net, const tern_multiaddr *addr, const tern_listener_events *events,
                   void *owner, tern_listener **ret, tern_error *reterr);

/* circuit_reserve.c: keeps a place at the relay from now on / not any more. */
void circuit_reserve_start(circuit_listener *l);
void circuit_reserve_stop(circuit_listener *l);
/* The last connection to the relay is gone. */
void circuit_reserve_lost(circuit_listener *l);
bool circuit_reserve_held(const circuit_listener *l);

/* circuit_addrs.c: takes what may be repeated of a relay's addresses / forgets it. */
void circuit_addrs_take(circuit_listener *l, const tern_relay_message *m);
void circuit_addrs_forget(circuit_listener *l);

/* circuit_listen.c, for relay_find.c: a listener of ours is one that was found / how many places
 * are held, or found and asked for / whether we listen at that relay. */
void circuit_found(tern_listener *l);
size_t circuit_places(const tern_net *net);
bool circuit_listens_at(const tern_net *net, const tern_peer_id *relay);

#endif
