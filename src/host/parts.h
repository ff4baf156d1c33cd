/* The concrete parts of this build: the only list of them. */
#ifndef TERN_HOST_PARTS_H
#define TERN_HOST_PARTS_H

#include <tern/node.h>

#include "core/mux.h"
#include "core/secure.h"
#include "core/transport.h"

extern const tern_transport *const tern_parts_transports[]; /* NULL-terminated, as all of these */
extern const tern_secure *const tern_parts_secures[];       /* best first */
extern const tern_mux *const tern_parts_muxes[];            /* best first */

/* What the transports keep beyond a connection goes, with its timers, which would keep an
 * embedder's loop running: as soon as the net has stopped. Twice is once. */
void tern_parts_let_go(tern_net *net);

#endif
