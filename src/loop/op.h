/* An op: one asynchronous act, embedded in the caller's object, with an absolute deadline. Either
 * done() runs exactly once, from the loop, or the caller cancelled and it never runs.
 *
 *   caller:   tern_op_init, hand it to a provider; later perhaps tern_op_cancel
 *   provider: tern_op_start(op, cancel), later tern_op_finish(op, error)
 *
 * A provider embeds it in a struct of its own (inputs and results beside it). */
#ifndef TERN_LOOP_OP_H
#define TERN_LOOP_OP_H

#include <tern/error.h>

#include "loop/loop.h"

typedef struct tern_op {
    tern_loop *loop;
    uint64_t deadline;                                         /* TERN_NEVER = none */
    void (*done)(struct tern_op *op, const tern_error *error); /* error->code 0 = success */
    void (*cancel)(struct tern_op *op); /* the provider's: undo; it must not finish any more */
    void *provider;                     /* the provider's state */
    tern_timer timer;
    tern_deferred deferred;
    tern_error error;
    enum { TERN_OP_IDLE, TERN_OP_RUNNING, TERN_OP_FINISHED } state;
} tern_op;

void tern_op_init(tern_op *op, tern_loop *loop, uint64_t deadline,
                  void (*done)(tern_op *op, const tern_error *error));
/* The caller's: stops it; done will not run. The provider's cancel runs if it was running, and also
 * if it had finished but done had not run yet (it releases the results then). Harmless on an idle
 * op or inside done. After it the memory is the caller's again. */
void tern_op_cancel(tern_op *op);
static inline bool tern_op_running(const tern_op *op)
{
    return op->state != TERN_OP_IDLE;
}

/* The provider's. On the deadline the provider's cancel runs, then done with TERN_E_TIMEOUT, layer
 * `layer`, text "no answer in time". */
void tern_op_start(tern_op *op, const char *layer, void (*cancel)(tern_op *op), void *provider);
/* Success with NULL. done runs from the loop; inside it the op may be started again or freed. */
void tern_op_finish(tern_op *op, const tern_error *error);

#endif
