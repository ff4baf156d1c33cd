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

#endif
