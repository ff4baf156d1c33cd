/* mplex (libp2p specs, mplex): /mplex/6.7.0. Deprecated, because nothing in it slows a writer down;
 * for peers that speak nothing else. */
#ifndef TERN_MUX_MPLEX_H
#define TERN_MUX_MPLEX_H

#include "core/mux.h"

extern const tern_mux tern_mplex;

#endif
