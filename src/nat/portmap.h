/* Port mapping: has the default gateway lead others to the TCP and UDP ports that are listened on
 * at a private IPv4 address that faces it, and keeps it so until the node stops.
 *
 *     PCP, else NAT-PMP (portmap_core.h) --.
 *                                          |--> net->reach: an address to be asked about, announced
 *     UPnP (loop/igd.h), found meanwhile --'    once it is public, and a place to punch holes to
 *
 * The first that works is kept; PCP and NAT-PMP answer in milliseconds, UPnP is searched for a
 * second and used when neither has mapped anything until then. */
#ifndef TERN_NAT_PORTMAP_H
#define TERN_NAT_PORTMAP_H

#include "core/net.h"

typedef struct tern_portmap tern_portmap;

/* Begins with the loop's next turn. TERN_E_NOMEM. */
int tern_portmap_new(tern_net *net, tern_portmap **ret);
/* What is listened on may be something else. */
void tern_portmap_look(tern_portmap *m);
/* Gives the ports back; stopped comes from the loop, once, within three seconds. */
void tern_portmap_stop(tern_portmap *m, void (*stopped)(void *owner), void *owner);
/* Any time; NULL is nothing. */
void tern_portmap_free(tern_portmap *m);

#endif
