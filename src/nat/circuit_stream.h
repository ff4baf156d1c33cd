/* The stream of a circuit that its relay limits: it passes everything on as it is, and counts, so
 * that an end which the limit brought is told by its name (TERN_E_LIMITED). */
#ifndef TERN_NAT_CIRCUIT_STREAM_H
#define TERN_NAT_CIRCUIT_STREAM_H

#include "core/stream.h"
#include "nat/relay_message.h"

/* A circuit begins on `inner`, which it owns from now on, within what the relay said of it.
 * Without any limit it is inner itself. NULL when memory is short: inner is then still the
 * caller's. */
tern_stream *circuit_stream_new(tern_stream *inner, const tern_relay_limit *limit);

#endif
