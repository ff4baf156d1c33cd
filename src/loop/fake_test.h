/* A loop for tests of the shared parts: a scheduler and nothing behind it. The test moves the
 * clock. */
#ifndef TERN_LOOP_FAKE_TEST_H
#define TERN_LOOP_FAKE_TEST_H

#include "loop/backend.h"

typedef struct fake_loop {
    tern_loop base;
    tern_sched sched;
    unsigned wakes;
} fake_loop;

static inline void fake_wake(tern_loop *loop)
{
    ((fake_loop *)(void *)loop)->wakes++;
}

static inline void fake_init(fake_loop *f, uint64_t now)
{
    static const tern_loop_ops ops = {.wake = fake_wake};
    *f = (fake_loop){.base = {.ops = &ops}};
    f->base.sched = &f->sched;
    tern_sched_init(&f->sched, now);
}

static inline void fake_advance(fake_loop *f, uint64_t now)
{
    f->sched.now = now;
    tern_sched_run_timers(&f->sched);
}

#endif
