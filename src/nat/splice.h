/* Two streams made one: what arrives on the one is written to the other, as far as a relay's limits
 * let it. Bytes go from where the one decrypted them into the output of the other; what does not
 * fit is refused, so that each side slows the other down and nothing is queued here. */
#ifndef TERN_NAT_SPLICE_H
#define TERN_NAT_SPLICE_H

#include "core/net.h"

typedef struct tern_splice tern_splice;

typedef struct tern_splice_end {
    uint64_t bytes[2]; /* that passed: from a, from b */
    bool out_of_data;  /* a limit ended it */
    bool out_of_time;
} tern_splice_end;

typedef struct tern_splice_limits { /* 0 = without */
    uint64_t data;                  /* bytes each way; then that way ends in good order */
    uint64_t time;                  /* nanoseconds; then both are reset */
    uint64_t rate;                  /* bytes a second each way; what comes faster waits */
} tern_splice_limits;

/* Takes both streams, of which each may keep bytes already: those pass first. A half's end passes
 * on, a reset resets the other. done comes once, from the loop, when both are gone. NULL: memory is
 * short, and both are the caller's still. */
tern_splice *tern_splice_new(tern_net *net, tern_stream *a, tern_stream *b,
                             const tern_splice_limits *limits,
                             void (*done)(void *owner, const tern_splice_end *end), void *owner);
/* Resets both; done comes still. */
void tern_splice_cut(tern_splice *s);

#endif
