/* The server's side of AutoNAT (libp2p specs, autonat), versions 2 and 1: peers ask whether they
 * can be reached, and we dial them back.
 *
 *     2   the first of the addresses that we can dial. Where it has another IP than the peer, the
 *         peer pays for it with 30 to 100 KB, so that nobody makes us attack others cheaply; after
 *         that, and a random moment, we dial. Over the connection goes the nonce of the request.
 *     1   the peer's own IP only, whatever it asks for, with the ports that it names
 *
 * Dials go out as a stranger's (net->stranger): another identity, other ports, never over a
 * connection that exists. Only public addresses are dialled, and nothing for who comes through a
 * relay. */
#ifndef TERN_NAT_AUTONAT_H
#define TERN_NAT_AUTONAT_H

#include "core/net.h"

typedef struct tern_autonat tern_autonat;

/* Serves both protocols from now on; net->stranger must be set. TERN_E_NOMEM, TERN_E_STATE. */
int tern_autonat_new(tern_net *net, tern_autonat **ret);
/* Once the net has stopped: no stream is open any more. NULL is nothing. */
void tern_autonat_free(tern_autonat *autonat);

/* Requests under way. */
size_t tern_autonat_requests(const tern_autonat *autonat);

#endif
