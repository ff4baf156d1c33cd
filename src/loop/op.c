/* Ops: one asynchronous act with a deadline. See op.h.
 *
 *   IDLE --start--> RUNNING --finish--> FINISHED --deferred--> IDLE, done()
 *
 *   RUNNING --deadline--> IDLE, the provider's cancel(), done(TIMEOUT)
 *   RUNNING or FINISHED --tern_op_cancel--> IDLE, the provider's cancel()
 *
 * The state is IDLE before any callback runs, so a callback may start the op again or free it. */
#include "loop/op.h"

#include <assert.h>

#include "base/error.h"

static void on_finished(tern_deferred *d)
{
    tern_op *op = TERN_CONTAINER(d, tern_op, deferred);
    tern_error error = op->error; /* done may free the op */
    op->state = TERN_OP_IDLE;
    op->done(op, &error);
}

static void on_deadline(tern_timer *timer)
{
    tern_op *op = TERN_CONTAINER(timer, tern_op, timer);
    tern_error error;
    tern_fail(&error, TERN_E_TIMEOUT, op->error.layer, "no answer in time");
    op->state = TERN_OP_IDLE;
    if (op->cancel != NULL) {
        op->cancel(op);
    }
    op->done(op, &error);
}

void tern_op_init(tern_op *op, tern_loop *loop, uint64_t deadline,
                  void (*done)(tern_op *op, const tern_error *error))
{
    *op = (tern_op){.loop = loop, .deadline = deadline, .done = done, .error = {.layer = "op"}};
    tern_deferred_init(&op->deferred, on_finished);
}

void tern_op_start(tern_op *op, const char *layer, void (*cancel)(tern_op *op), void *provider)
{
    assert(op->state == TERN_OP_IDLE);
    op->state = TERN_OP_RUNNING;
    op->error = (tern_error){.layer = layer};
    op->cancel = cancel;
    op->provider = provider;
    if (op->deadline != TERN_NEVER) {
        tern_timer_start(op->loop, &op->timer, op->deadline, on_deadline);
    }
}

void tern_op_finish(tern_op *op, const tern_error *error)
{
    if (op->state != TERN_OP_RUNNING) {
        return;
    }
    op->state = TERN_OP_FINISHED;
    tern_timer_stop(&op->timer);
    if (error != NULL) {
        op->error = *error;
    }
    tern_defer(op->loop, &op->deferred);
}

void tern_op_cancel(tern_op *op)
{
    if (op->state == TERN_OP_IDLE) {
        return;
    }
    op->state = TERN_OP_IDLE;
    tern_timer_stop(&op->timer);
    tern_deferred_cancel(&op->deferred);
    if (op->cancel != NULL) {
        op->cancel(op);
    }
}
