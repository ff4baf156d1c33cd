/* What a router's UPnP is asked for a round (igd.h), on the thread of a job. */
#ifndef TERN_LOOP_UV_IGD_ASK_H
#define TERN_LOOP_UV_IGD_ASK_H

#include <stdatomic.h>

#include "loop/igd.h"

/* Does it, and fills the round; after the exchange that it is in it ends when it is cancelled. 0,
 * or what the op fails with. */
int tern_igd_ask(tern_igd_round *r, const atomic_bool *cancelled);

#endif
