/* The loop's calls that every backend answers in its own way: clock, random bytes, posts, work,
 * addresses. Timers and deferred calls are in sched.c. */
#include <tern/error.h>

#include "base/mem.h"
#include "loop/backend.h"

uint64_t tern_loop_now(const tern_loop *loop)
{
    if (loop->ops->now != NULL) {
        return loop->ops->now(loop);
    }
    return loop->sched->now;
}

uint64_t tern_loop_wall(const tern_loop *loop)
{
    /* The loop is constant to the caller; a simulated one may count the question. */
    return loop->ops->wall((tern_loop *)(uintptr_t)loop);
}

void tern_loop_random(tern_loop *loop, void *out, size_t n)
{
    loop->ops->random(loop, out, n);
}

int tern_loop_post(tern_loop *loop, void (*fn)(void *arg), void *arg)
{
    tern_post *post = tern_calloc(1, sizeof *post);
    if (post == NULL) {
        return TERN_E_NOMEM;
    }
    post->fn = fn;
    post->arg = arg;
    post->allocated = true;
    int code = loop->ops->post(loop, post);
    if (code != 0) {
        tern_free(post);
    }
    return code;
}

int tern_loop_post_kept(tern_loop *loop, tern_post *post)
{
    return loop->ops->post(loop, post);
}

int tern_loop_work(tern_loop *loop, tern_work *work)
{
    return loop->ops->work(loop, work);
}

size_t tern_loop_addresses(tern_loop *loop, tern_endpoint *out, size_t cap)
{
    return loop->ops->addresses(loop, out, cap);
}

int tern_loop_gateway(tern_loop *loop, tern_endpoint *ret, tern_endpoint *ret_own)
{
    return loop->ops->gateway(loop, ret, ret_own);
}

void tern_loop_free(tern_loop *loop)
{
    if (loop != NULL) {
        loop->ops->free(loop);
    }
}
