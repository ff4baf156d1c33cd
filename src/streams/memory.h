/* A pair of streams in memory: what one writes, the other reads. The twin that every layer is
 * tested over; also the `memory` transport's stream. Time and loss are the simulated network's
 * (loop/sim.h). */
#ifndef TERN_STREAMS_MEMORY_H
#define TERN_STREAMS_MEMORY_H

#include "core/stream.h"

typedef struct tern_memory_options {
    size_t window; /* bytes in flight each way; 0 = 256 KiB */
    size_t chunk;  /* deliver at most so many bytes an event; 0 = all; 1 = byte by byte */
} tern_memory_options;

/* Makes a connected pair; options may be NULL. TERN_E_NOMEM. */
int tern_memory_pair(tern_loop *loop, const tern_memory_options *options, tern_stream **ret_a,
                     tern_stream **ret_b);

#endif
