/* Direct connections for peers that met through a relay (libp2p specs, relay/DCUtR). Whoever was
 * dialled through the relay, B, does the work; A, who dialled, answers.
 *
 *     B dials A, where A says that it can be reached            connection reversal
 *     B -> A   CONNECT, B's addresses    over the relay
 *     A -> B   CONNECT, A's addresses    B knows the round trip now
 *     B -> A   SYNC                      A dials when it comes, B half a round trip later
 *
 * So both dial at the same time, from the ports that they listen on, and what the NATs let out
 * lets the other in. A is the client of what comes of it, B the server. Three attempts; the
 * connection through the relay stays until the direct one is there, and until its streams have
 * ended. */
#ifndef TERN_NAT_PUNCH_H
#define TERN_NAT_PUNCH_H

#include "core/net.h"

typedef struct tern_puncher tern_puncher;

/* Answers others, and begins by itself for each peer that comes through a relay. TERN_E_NOMEM,
 * TERN_E_STATE. */
int tern_puncher_new(tern_net *net, tern_puncher **ret);
/* The net stops: what is under way ends. */
void tern_puncher_stop(tern_puncher *p);
/* Once the net has stopped. NULL is nothing. */
void tern_puncher_free(tern_puncher *p);

#endif
