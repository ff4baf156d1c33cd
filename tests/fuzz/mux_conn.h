/* What the fuzz targets of the muxers' conns share: the input is acts of a peer that may send
 * anything, and of the owners of conn and streams, also from inside their events. */
#ifndef TERN_TESTS_FUZZ_MUX_CONN_H
#define TERN_TESTS_FUZZ_MUX_CONN_H

#include "core/mux.h"

/* Plays one input; `frame` makes the peer send a frame, from four bytes. 0. */
int fuzz_mux_conn(const tern_mux *mux, void (*frame)(const uint8_t p[4]), const uint8_t *data,
                  size_t n);
/* The peer sends these bytes. */
void fuzz_mux_say(const uint8_t *bytes, size_t n);

#endif
