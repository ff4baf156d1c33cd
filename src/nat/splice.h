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

/* Takes both streams, of which each may keep bytes already: those pass first. data: bytes each way,
 * 0 = without end; then that way ends in good order. time: nanoseconds, 0 = without end; then both
 * are reset. A half's end passes on, a reset resets the other. done comes once, from the loop, when
 * both are gone. NULL: memory is short, and both are the caller's still. */
tern_splice *tern_splice_new(tern_net *net, tern_stream *a, tern_stream *b, uint64_t data,
                             uint64_t time, void (*done)(void *owner, const tern_splice_end *end),
                             void *owner);
/* Resets both; done comes still. */
void tern_splice_cut(tern_splice *s);

#endif
