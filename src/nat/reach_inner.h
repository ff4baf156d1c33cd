/* Inside nat/: what reach.c (which addresses, and their verdicts) and reach_ask.c (who is asked)
 * share. */
#ifndef TERN_NAT_REACH_INNER_H
#define TERN_NAT_REACH_INNER_H

#include "nat/autonat_ask.h"
#include "nat/observed_core.h"
#include "nat/reach.h"
#include "nat/reach_core.h"

enum {
    TERN_REACH_ASKS_MAX = 4,
    TERN_REACH_ADDRS_MAX = 16,
    TERN_REACH_OWN_MAX = 64,
    TERN_REACH_MAPPED_MAX = 16
};

/* A port of ours that the gateway leads to. */
typedef struct tern_reach_mapping {
    uint32_t transport;
    uint16_t port;
    tern_endpoint at;
} tern_reach_mapping;

struct tern_reach {
    tern_net *net;
    tern_net_ear ear;
    tern_reachability forced;
    tern_observed observed;
    tern_reach_core core;
    tern_endpoint own[TERN_REACH_OWN_MAX]; /* the machine's addresses at the last sync */
    size_t own_count;
    tern_reach_mapping mapped[TERN_REACH_MAPPED_MAX];
    size_t mapped_count;
    tern_list asks; /* tern_autonat_ask */
    size_t ask_count;
    tern_timer timer;
    bool stopped;
};

/* The addresses of a target, each of another transport: references for the caller. */
size_t reach_addresses_of(tern_reach *r, const tern_reach_target *t, tern_multiaddr **out,
                          size_t cap);
/* Takes the targets from what listens and what is observed. */
void reach_sync(tern_reach *r);
/* A verdict has changed: others are told. */
void reach_tell(tern_reach *r, const tern_reach_target *t);

/* reach_ask.c: asks about what is due, and comes back for the rest. */
void reach_work(tern_reach *r);
/* ... in so long, or sooner. */
void reach_work_in(tern_reach *r, uint64_t time);
/* The address and the way of a target that is asked about first; false when memory is short. */
bool reach_way_of(tern_reach *r, const tern_reach_target *t, tern_autonat_way *ret);

#endif
