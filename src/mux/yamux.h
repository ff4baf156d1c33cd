/* yamux (libp2p specs, yamux): /yamux/1.0.0. */
#ifndef TERN_MUX_YAMUX_H
#define TERN_MUX_YAMUX_H

#include "core/mux.h"

extern const tern_mux tern_yamux;

#endif
