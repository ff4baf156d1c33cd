/* Whether, and at which addresses, others can reach us: the one place that knows. It hears how
 * peers see us (observed_core.h), asks AutoNAT servers about each address (autonat_ask.h) and keeps
 * their verdicts (reach_core.h). What is announced, whether we relay for others and what a user is
 * told follow from it.
 *
 *     our addresses, and those observed --> targets --> one question at a time each --> verdicts
 *
 * Asked are connected peers that speak AutoNAT, 2 before 1, at random, in other networks than those
 * that answered. Only public IPs are of interest. */
#ifndef TERN_NAT_REACH_H
#define TERN_NAT_REACH_H

#include <tern/reachability.h>

#include "core/net.h"

typedef struct tern_reach tern_reach;

/* Begins; net->reach is set. forced other than UNKNOWN: that is the verdict on everything, and
 * nobody is asked. TERN_E_NOMEM, TERN_E_STATE. */
int tern_reach_new(tern_net *net, tern_reachability forced, tern_reach **ret);
/* The net stops: nobody is asked any more. */
void tern_reach_stop(tern_reach *reach);
/* Once the net has stopped. NULL is nothing. */
void tern_reach_free(tern_reach *reach);

/* The machine's addresses are others: when one is gone, all verdicts and votes are void. */
void tern_reach_moved(tern_reach *reach);

/* The gateway leads from there to a port of ours (nat/portmap), or (NULL) not any more: an address
 * like those that others see us at, without their votes. */
void tern_reach_mapped(tern_reach *reach, uint32_t transport, uint16_t port,
                       const tern_endpoint *external);

/* Of the node: public when one of its addresses is, private when some are and none is public. */
tern_reachability tern_reach_node(const tern_reach *reach);
/* Of one address; UNKNOWN for what is no target. */
tern_reachability tern_reach_of(const tern_reach *reach, const tern_multiaddr *addr);
/* The addresses that are not the machine's own and that others can reach: references for the
 * caller, at most cap. */
size_t tern_reach_found(tern_reach *reach, tern_multiaddr **out, size_t cap);

/* Where a hole may be punched to, the likeliest first: public addresses of ours, those that the
 * gateway leads to us from, those at which a NAT that counts up will let us be seen next, and those
 * that anybody sees us at: references for the caller, at most cap. Nothing is promised of them.
 * attempt: how many have failed with such addresses; what is foreseen lies further off then. */
size_t tern_reach_candidates(tern_reach *reach, unsigned attempt, tern_multiaddr **out, size_t cap);
/* Whether that is where we listen, or where anybody sees us. */
bool tern_reach_is_ours(tern_reach *reach, const tern_endpoint *at, uint32_t transport);

/* Whether a hole may be punched to it: it is public, or private and all of it is allowed. */
bool tern_reach_punchable(const tern_net *net, const tern_endpoint *e);

/* Whether peers see one port of ours at several ports of one address: our NAT is symmetric. */
bool tern_reach_ports_vary(const tern_reach *reach);

/* Whether peers see us at that IP, and it is not the machine's own: who else is seen there is
 * behind the same NAT. */
bool tern_reach_shares_nat(const tern_reach *reach, const tern_endpoint *with);

/* The questions under way (tern_autonat_ask), for whoever hears dial-backs. */
tern_list *tern_reach_asks(tern_reach *reach);

#endif
