/* The real loop: libuv's turn, the clock, posts, work and the order of closing. See uv_backend.h
 * for the drawing of a turn. Sockets, names and the program's signals are in the other uv_*.c
 * files. */
#include "loop/uv_backend.h"

#include <assert.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#include <tern/error.h>

#include "base/mem.h"
#include "loop/uv_socket.h"

typedef struct uv_job {
    uv_work_t req;
    tern_uv *u;
    tern_work *work;
} uv_job;

enum { BASE_HANDLES = 5 };

#define OVERSLEPT (5 * TERN_SEC)  /* so late for a timer, the process was stopped or starved */
#define NOT_YET   (100 * TERN_MS) /* sockets have their turn before that timer */
#define ASLEEP    (2 * TERN_SEC)  /* so much suspension matters to connections */

/* --- the turn --- */

/* Two kinds of standstill. Suspension: the monotonic clock does not count it, another one does. And
 * a process that was stopped, or a virtual machine that was paused: that clock ran on, and when the
 * loop wakes up all deadlines are over before a byte that came meanwhile was read. So the loop's
 * clock does not count what it is late for the timer that should have woken it. */
static uint64_t boot_clock(void)
{
#ifdef CLOCK_BOOTTIME
    struct timespec t;
    if (clock_gettime(CLOCK_BOOTTIME, &t) == 0) {
        return (uint64_t)t.tv_sec * TERN_SEC + (uint64_t)t.tv_nsec;
    }
#endif
    return uv_hrtime();
}

static uint64_t system_clock(const tern_uv *u)
{
    return uv_hrtime() + u->test_clock;
}

static void look_for_sleep(tern_uv *u)
{
    uint64_t system = uv_hrtime(), boot = boot_clock() + u->test_boot;
    uint64_t ahead = boot > system ? boot - system : 0;
    if (ahead > u->asleep + ASLEEP) {
        tern_loop_awoke(&u->base);
    }
    u->asleep = ahead;
}

void tern_uv_enter(tern_uv *u)
{
    if (u->inside++ > 0 || !u->stale) {
        return;
    }
    uint64_t t = system_clock(u) - u->lost;
    uint64_t late = u->armed < t ? t - u->armed : 0;
    if (late > OVERSLEPT) {
        uint64_t resume = u->armed > NOT_YET ? u->armed - NOT_YET : 0;
        resume = resume > u->sched.now ? resume : u->sched.now;
        u->lost += t - resume;
        t = resume;
        u->armed = TERN_NEVER; /* libuv's timer runs by the other clock: set anew */
    }
    u->sched.now = t;
    u->stale = false;
    if (late > OVERSLEPT) {
        tern_loop_awoke(&u->base);
    }
}

void tern_uv_leave(tern_uv *u)
{
    u->inside--;
}

static void on_timer(uv_timer_t *timer);

/* libuv counts whole milliseconds of the same clock; rounding up keeps the timer from being early.
 */
static void arm(tern_uv *u)
{
    uint64_t next = tern_sched_next(&u->sched);
    if (next == u->armed) {
        return;
    }
    u->armed = next;
    if (next == TERN_NEVER) {
        uv_timer_stop(&u->timer);
        return;
    }
    next += u->lost - u->test_clock;
    uint64_t at = next / TERN_MS + (next % TERN_MS != 0);
    uv_update_time(u->uv);
    uint64_t now = uv_now(u->uv);
    uv_timer_start(&u->timer, on_timer, at > now ? at - now : 0, 0);
}

static void on_timer(uv_timer_t *timer)
{
    tern_uv *u = timer->data;
    tern_uv_enter(u);
    u->armed = TERN_NEVER;
    tern_sched_run_timers(&u->sched);
    tern_uv_leave(u);
}

static void on_idle(uv_idle_t *idle)
{
    (void)idle; /* being active is all it is for */
}

static void on_prepare(uv_prepare_t *prepare)
{
    tern_uv *u = prepare->data;
    tern_uv_enter(u);
    bool left = tern_sched_run_deferred(&u->sched, TERN_SCHED_ROUNDS);
    arm(u);
    if (!left) {
        uv_idle_stop(&u->idle);
    }
    tern_uv_leave(u);
    u->stale = true;
}

static void on_check(uv_check_t *check)
{
    tern_uv *u = check->data;
    tern_uv_enter(u);
    look_for_sleep(u);
    tern_sched_run_deferred(&u->sched, TERN_SCHED_ROUNDS);
    tern_uv_leave(u);
    u->stale = true;
}

/* Makes sure that a turn comes, and soon: outside of a callback nothing else might keep libuv
 * going. */
static void wake(tern_loop *loop)
{
    tern_uv *u = tern_uv_of(loop);
    if (u->state == TERN_UV_OPEN) {
        uv_idle_start(&u->idle, on_idle);
    }
}

/* --- clock and chance --- */

static uint64_t now(const tern_loop *loop)
{
    const tern_uv *u = (const tern_uv *)(const void *)loop;
    return u->inside > 0 ? u->sched.now : system_clock(u) - u->lost;
}

static uint64_t wall(tern_loop *loop)
{
    (void)loop;
    struct timespec t;
    clock_gettime(CLOCK_REALTIME, &t);
    return (uint64_t)t.tv_sec * TERN_SEC + (uint64_t)t.tv_nsec;
}

static void fill_random(tern_loop *loop, void *out, size_t n)
{
    (void)loop;
    if (n > 0 && uv_random(NULL, NULL, out, n, 0, NULL) != 0) {
        abort(); /* without the system's generator no key would be safe */
    }
}

/* --- other threads --- */

static int post(tern_loop *loop, tern_post *post)
{
    tern_uv *u = tern_uv_of(loop);
    uv_mutex_lock(&u->mutex);
    bool refuse = u->refuse;
    if (!refuse) {
        tern_list_push(&u->posts, &post->link);
        uv_async_send(&u->async); /* under the lock: closing cannot pass us */
    }
    uv_mutex_unlock(&u->mutex);
    return refuse ? TERN_E_STATE : 0;
}

static void run_posts(tern_uv *u)
{
    tern_list batch;
    tern_list_init(&batch);
    uv_mutex_lock(&u->mutex);
    tern_list_splice(&batch, &u->posts);
    uv_mutex_unlock(&u->mutex);
    tern_list *node;
    while ((node = tern_list_pop(&batch)) != NULL) {
        tern_post *post = TERN_CONTAINER(node, tern_post, link);
        void (*fn)(void *arg) = post->fn;
        void *arg = post->arg;
        if (post->allocated) {
            tern_free(post);
        }
        fn(arg);
    }
}

static void on_async(uv_async_t *async)
{
    tern_uv *u = async->data;
    tern_uv_enter(u);
    run_posts(u);
    tern_uv_leave(u);
}

static void on_job(uv_work_t *req)
{
    uv_job *job = req->data;
    job->work->run(job->work);
}

static void on_job_done(uv_work_t *req, int status)
{
    (void)status; /* never cancelled */
    uv_job *job = req->data;
    tern_uv *u = job->u;
    tern_work *work = job->work;
    tern_free(job);
    tern_uv_enter(u);
    work->backend = NULL;
    work->done(work);
    tern_uv_leave(u);
    tern_uv_release(u);
}

static int start_work(tern_loop *loop, tern_work *work)
{
    tern_uv *u = tern_uv_of(loop);
    uv_job *job = tern_calloc(1, sizeof *job);
    if (job == NULL) {
        return TERN_E_NOMEM;
    }
    job->req.data = job;
    job->u = u;
    job->work = work;
    if (uv_queue_work(u->uv, &job->req, on_job, on_job_done) != 0) {
        tern_free(job);
        return TERN_E_NOMEM;
    }
    work->backend = job;
    tern_uv_hold(u);
    return 0;
}

/* --- addresses and memory --- */

static size_t addresses(tern_loop *loop, tern_endpoint *out, size_t cap)
{
    (void)loop;
    uv_interface_address_t *list;
    int n;
    if (uv_interface_addresses(&list, &n) != 0) {
        return 0;
    }
    size_t count = 0;
    for (int i = 0; i < n; i++) {
        struct sockaddr_storage address = {.ss_family = AF_UNSPEC};
        if (list[i].address.address4.sin_family == AF_INET) {
            memcpy(&address, &list[i].address.address4, sizeof list[i].address.address4);
        } else {
            memcpy(&address, &list[i].address.address6, sizeof list[i].address.address6);
        }
        tern_endpoint e;
        tern_socket_endpoint(&e, &address);
        e.port = 0;
        if (e.family == 0 || tern_endpoint_is_unspecified(&e)) {
            continue;
        }
        if (count < cap) {
            out[count] = e;
        }
        count++;
    }
    uv_free_interface_addresses(list, n);
    return count;
}

uint8_t *tern_uv_buffer(tern_uv *u)
{
    if (u->buffer == NULL) {
        u->buffer = tern_malloc(TERN_UV_BUFFER);
    }
    return u->buffer;
}

/* --- closing --- */

void tern_uv_hold(tern_uv *u)
{
    u->held++;
}

void tern_uv_release(tern_uv *u)
{
    if (--u->held > 0 || u->state != TERN_UV_CLOSING) {
        return;
    }
    tern_uv_enter(u);
    run_posts(u); /* what was accepted before closing still runs */
    tern_sched_run_deferred(&u->sched, TERN_SCHED_ROUNDS);
    tern_uv_leave(u);
    u->state = TERN_UV_CLOSED;
    if (u->closed != NULL) {
        u->closed(u->closed_arg); /* may free u */
    }
}

static void on_closed(uv_handle_t *handle)
{
    tern_uv_release(handle->data);
}

void tern_loop_close(tern_loop *loop, void (*closed)(void *arg), void *arg)
{
    tern_uv *u = tern_uv_of(loop);
    assert(u->state == TERN_UV_OPEN);
    assert(u->sockets == 0); /* owners close their sockets first */
    u->state = TERN_UV_CLOSING;
    u->closed = closed;
    u->closed_arg = arg;
    uv_mutex_lock(&u->mutex);
    u->refuse = true;
    uv_mutex_unlock(&u->mutex);
    tern_uv_dns_close(u->dns);
    u->dns = NULL;
    tern_uv_igd_close(u->igd);
    u->igd = NULL;
    tern_uv_program_close(u->program);
    u->program = NULL;
    uv_handle_t *handles[BASE_HANDLES] = {
        (uv_handle_t *)&u->timer, (uv_handle_t *)&u->prepare, (uv_handle_t *)&u->check,
        (uv_handle_t *)&u->idle,  (uv_handle_t *)&u->async,
    };
    for (int i = 0; i < BASE_HANDLES; i++) {
        uv_close(handles[i], on_closed);
    }
}

static void destroy(tern_uv *u)
{
    if (u->uv == &u->own) {
        int rc = uv_loop_close(u->uv);
        assert(rc == 0);
        (void)rc;
    }
    uv_mutex_destroy(&u->mutex);
    if (u->reserve >= 0) {
        close(u->reserve);
    }
    tern_sched_free(&u->sched);
    tern_free(u->buffer);
    tern_free(u);
}

static void free_loop(tern_loop *loop)
{
    tern_uv *u = tern_uv_of(loop);
    if (u->running) {
        u->free_wanted = true; /* from inside `closed`: libuv is still on the stack */
        return;
    }
    if (u->uv == &u->own) {
        if (u->state == TERN_UV_OPEN) {
            tern_loop_close(loop, NULL, NULL);
        }
        while (u->state != TERN_UV_CLOSED) {
            uv_run(u->uv, UV_RUN_ONCE);
        }
    }
    assert(u->state == TERN_UV_CLOSED);
    destroy(u);
}

/* --- making and running --- */

static const tern_loop_ops uv_ops = {
    .wall = wall,
    .random = fill_random,
    .wake = wake,
    .post = post,
    .work = start_work,
    .addresses = addresses,
    .gateway = tern_uv_gateway,
    .igd_start = tern_uv_igd_start,
    .free = free_loop,
    .tcp_dial = tern_uv_tcp_dial,
    .tcp_write = tern_uv_tcp_write,
    .tcp_read = tern_uv_tcp_read,
    .tcp_pause = tern_uv_tcp_pause,
    .tcp_shutdown = tern_uv_tcp_shutdown,
    .tcp_close = tern_uv_tcp_close,
    .tcp_listen = tern_uv_tcp_listen,
    .tcp_listener_close = tern_uv_tcp_listener_close,
    .udp_bind = tern_uv_udp_bind,
    .udp_send = tern_uv_udp_send,
    .udp_close = tern_uv_udp_close,
    .dns_start = tern_uv_dns_start,
    .dns_cancel = tern_uv_dns_cancel,
    .watch = tern_uv_watch,
    .orphans = tern_uv_tcp_orphans,
    .now = now,
};

/* None of these keeps a loop alive by itself but the timer and the idle handle. uv_async_init is
 * the only one that can fail, so it comes first. */
static int open_handles(tern_uv *u)
{
    if (uv_async_init(u->uv, &u->async, on_async) != 0) {
        return TERN_E_IO;
    }
    uv_timer_init(u->uv, &u->timer);
    uv_prepare_init(u->uv, &u->prepare);
    uv_check_init(u->uv, &u->check);
    uv_idle_init(u->uv, &u->idle);
    u->async.data = u->timer.data = u->prepare.data = u->check.data = u->idle.data = u;
    uv_prepare_start(&u->prepare, on_prepare);
    uv_check_start(&u->check, on_check);
    uv_unref((uv_handle_t *)&u->async);
    uv_unref((uv_handle_t *)&u->prepare);
    uv_unref((uv_handle_t *)&u->check);
    u->held = BASE_HANDLES;
    return 0;
}

int tern_loop_new_uv(struct uv_loop_s *uv, tern_loop **ret)
{
    tern_uv *u = tern_calloc(1, sizeof *u);
    if (u == NULL) {
        return TERN_E_NOMEM;
    }
    u->base.ops = &uv_ops;
    u->base.sched = &u->sched;
    u->armed = TERN_NEVER;
    u->reserve = -1;
    u->stale = true;
    u->asleep = boot_clock() - uv_hrtime();
    tern_sched_init(&u->sched, uv_hrtime());
    tern_list_init(&u->posts);
    tern_list_init(&u->opening);
    if (uv_mutex_init(&u->mutex) != 0) {
        tern_free(u);
        return TERN_E_IO;
    }
    u->uv = uv;
    if (uv == NULL) {
        if (uv_loop_init(&u->own) != 0) {
            uv_mutex_destroy(&u->mutex);
            tern_free(u);
            return TERN_E_IO;
        }
        u->uv = &u->own;
    }
    int rc = open_handles(u);
    if (rc < 0) {
        destroy(u);
        return rc;
    }
    *ret = &u->base;
    return 0;
}

void tern_loop_run(tern_loop *loop)
{
    tern_uv *u = tern_uv_of(loop);
    assert(u->uv == &u->own);
    u->running = true;
    uv_run(u->uv, UV_RUN_DEFAULT);
    u->running = false;
    if (u->free_wanted) {
        free_loop(loop);
    }
}

void tern_loop_stop(tern_loop *loop)
{
    uv_stop(tern_uv_of(loop)->uv);
}
