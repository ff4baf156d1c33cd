/* The loop: time, timers, deferred calls, work on other threads. One loop, one thread, no locks.
 *
 * Two backends stand behind this header: the real one (loop/uv: libuv, c-ares, sockets) and the
 * simulated one (loop/sim: a virtual clock, links with delay, rate and loss). The code above cannot
 * tell which it runs on. Sockets are in loop/tcp.h and loop/udp.h, names in loop/dns.h. */
#ifndef TERN_LOOP_LOOP_H
#define TERN_LOOP_LOOP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/list.h"
#include "base/endpoint.h"

typedef struct tern_loop tern_loop;

#define TERN_MS    UINT64_C(1000000)    /* one millisecond in the clock's unit */
#define TERN_SEC   UINT64_C(1000000000) /* one second */
#define TERN_NEVER UINT64_MAX

/* Monotonic nanoseconds, the same during one turn of the loop. */
uint64_t tern_loop_now(const tern_loop *loop);
/* Wall clock in nanoseconds since 1970 (certificates, records). */
uint64_t tern_loop_wall(const tern_loop *loop);
/* Random bytes: the system's generator, or the simulation's seeded one. Cannot fail. */
void tern_loop_random(tern_loop *loop, void *out, size_t n);

/* A timer, embedded in its user. Zero-initialise before first use. */
typedef struct tern_timer {
    uint64_t at;             /* absolute; valid while armed */
    size_t place;            /* position in the heap + 1; 0 = not armed */
    uint64_t order;          /* of arming: equal deadlines fire in it */
    struct tern_timer *next; /* among those that found no memory */
    tern_loop *loop;
    void (*fn)(struct tern_timer *timer);
} tern_timer;

/* (Re)arms: fn runs once when the clock reaches `at` (at once, from the loop, if it has). Cannot
 * fail except for memory: then the timer fires at the next turn. */
void tern_timer_start(tern_loop *loop, tern_timer *timer, uint64_t at,
                      void (*fn)(tern_timer *timer));
void tern_timer_stop(tern_timer *timer); /* harmless when not armed */
static inline bool tern_timer_armed(const tern_timer *timer)
{
    return timer->place != 0;
}

/* A deferred call, embedded in its user: runs once in this turn after the current event, in the
 * order queued. Queuing a queued one again changes nothing. Call tern_deferred_init once before
 * use. */
typedef struct tern_deferred {
    tern_list link;
    void (*fn)(struct tern_deferred *deferred);
} tern_deferred;

void tern_deferred_init(tern_deferred *d, void (*fn)(tern_deferred *d));
void tern_defer(tern_loop *loop, tern_deferred *d);
/* The same, but after all that tern_defer has queued in this turn and what that queues: for work
 * that is done once for many, as a write. */
void tern_defer_late(tern_loop *loop, tern_deferred *d);
/* The same, but before all others, and already when somebody who does long work asks for it: */
void tern_defer_soon(tern_loop *loop, tern_deferred *d);
/* runs those, but for one (or NULL). For who is called by the loop and about to work for long. */
void tern_run_soon(tern_loop *loop, const tern_deferred *but);
void tern_deferred_cancel(tern_deferred *d); /* must be called before d's memory is freed */
bool tern_deferred_queued(const tern_deferred *d);

/* The only calls that other threads may make: fn(arg) runs on the loop thread. 0, TERN_E_NOMEM, or
 * TERN_E_STATE once the loop is closing. */
int tern_loop_post(tern_loop *loop, void (*fn)(void *arg), void *arg);

/* A post embedded in its user, for what must not fail for want of memory; zero-initialise. It is
 * the loop's until fn runs, and may be posted again from then on. */
typedef struct tern_post {
    void (*fn)(void *arg);
    void *arg;
    /* the loop's */
    tern_list link;
    tern_deferred deferred; /* of the simulation */
    tern_loop *loop;
    bool allocated; /* by tern_loop_post */
} tern_post;

/* The same with the caller's memory. 0 or TERN_E_STATE: then it is not posted. */
int tern_loop_post_kept(tern_loop *loop, tern_post *post);

/* Slow work: run(work) on a pool thread, then done(work) on the loop. The simulation runs it at the
 * next deferred turn. Cannot be cancelled; keep `work` alive until done. 0 or TERN_E_NOMEM. */
typedef struct tern_work {
    void (*run)(struct tern_work *work);
    void (*done)(struct tern_work *work);
    void *backend; /* the loop's */
} tern_work;

int tern_loop_work(tern_loop *loop, tern_work *work);

/* The machine's own unicast addresses (port 0), written to out; returns how many there are (which
 * may be more than cap). Loopback included. */
size_t tern_loop_addresses(tern_loop *loop, tern_endpoint *out, size_t cap);

/* The default gateway of IPv4 (port 0) and the address of ours that faces it. NOT_FOUND when there
 * is none or the system does not say. */
int tern_loop_gateway(tern_loop *loop, tern_endpoint *ret, tern_endpoint *ret_own);

/* What a watch tells of. */
typedef enum tern_change {
    TERN_CHANGE_ADDRESSES, /* tern_loop_addresses would answer differently */
    TERN_CHANGE_AWAKE,     /* the machine, or this process, stood still: peers may have given up */
} tern_change;

/* A watch, embedded in its user; zero-initialise. */
typedef struct tern_watch {
    tern_list link;
    tern_loop *loop; /* NULL = not started */
    void (*fn)(struct tern_watch *watch, tern_change change);
} tern_watch;

/* fn runs from the loop: a tenth of a second after the addresses became others (where the system
 * does not tell, they are looked at every five seconds); after a standstill at once. Dials from an
 * address that is gone have failed with TERN_E_UNREACHABLE by then or do so in this turn. */
void tern_watch_start(tern_loop *loop, tern_watch *watch,
                      void (*fn)(tern_watch *watch, tern_change change));
void tern_watch_stop(tern_watch *watch); /* harmless when not started */

/* Frees a loop with nothing open on it any more. */
void tern_loop_free(tern_loop *loop);

#endif
