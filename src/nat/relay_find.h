/* Finding relays: a node that others cannot reach, or that does not know whether they can, keeps
 * places at so many relays among the peers that it is connected with.
 *
 *     a peer says that it relays (identify) --> candidate --> a place there (circuit_listen)
 *                                                  ^                |
 *                                                  '-- in a while <-' refused, or gone
 *
 * Places that the owner has listened at count, while they are held. Relays at public addresses are
 * asked first; each that fails makes place for another and is left alone for a minute, then longer,
 * up to an hour. A node that is found to be public gives its places up. */
#ifndef TERN_NAT_RELAY_FIND_H
#define TERN_NAT_RELAY_FIND_H

#include "core/transport.h"

enum { TERN_RELAY_CANDIDATES_MAX = 32, TERN_RELAYS_WANTED_MAX = 16 };

typedef struct tern_relay_finder tern_relay_finder;

/* Keeps `wanted` places from now on. TERN_E_NOMEM. */
int tern_relay_finder_new(tern_net *net, size_t wanted, tern_relay_finder **ret);
/* Whether others reach us is judged otherwise than before. */
void tern_relay_finder_judge(tern_relay_finder *f);
/* The net stops: nothing is looked for any more. */
void tern_relay_finder_stop(tern_relay_finder *f);
/* Once the net has stopped. NULL is nothing. */
void tern_relay_finder_free(tern_relay_finder *f);

/* What the circuits tell of a listener: its place is held; it could not be had or is lost; it is
 * gone. */
void tern_relay_finder_held(tern_relay_finder *f, const tern_listener *l);
void tern_relay_finder_lost(tern_relay_finder *f, const tern_listener *l);
void tern_relay_finder_gone(tern_relay_finder *f, const tern_listener *l);

#endif
