/* The scheduler both backends share: timers in a binary heap, deferred calls in a list.
 *
 * The heap is ordered by deadline and then by the order of arming, so equal deadlines fire first
 * come, first served, and a simulated run repeats exactly. A timer knows its place, so stopping one
 * costs O(log n). A timer that finds no memory for its place waits in `starved` and is due at once:
 * its user sees an early deadline, never a lost one.
 *
 * The backend sets `now` and decides when to run what; nothing here blocks or reads a clock. */
#include "loop/backend.h"

#include "base/mem.h"

enum { HEAP_FIRST = 64 };

static const size_t PLACE_STARVED = SIZE_MAX;

void tern_sched_init(tern_sched *sched, uint64_t now)
{
    *sched = (tern_sched){.now = now};
    tern_list_init(&sched->soon);
    tern_list_init(&sched->deferred);
    tern_list_init(&sched->late);
}

void tern_sched_free(tern_sched *sched)
{
    tern_free(sched->heap);
    sched->heap = NULL;
    sched->len = sched->cap = 0;
}

/* --- the heap --- */

static bool before(const tern_timer *a, const tern_timer *b)
{
    return a->at < b->at || (a->at == b->at && a->order < b->order);
}

static void put(tern_sched *sched, size_t i, tern_timer *timer)
{
    sched->heap[i] = timer;
    timer->place = i + 1;
}

static void sift_up(tern_sched *sched, size_t i, tern_timer *timer)
{
    while (i > 0 && before(timer, sched->heap[(i - 1) / 2])) {
        put(sched, i, sched->heap[(i - 1) / 2]);
        i = (i - 1) / 2;
    }
    put(sched, i, timer);
}

static void sift_down(tern_sched *sched, size_t i, tern_timer *timer)
{
    for (;;) {
        size_t child = 2 * i + 1;
        if (child >= sched->len) {
            break;
        }
        if (child + 1 < sched->len && before(sched->heap[child + 1], sched->heap[child])) {
            child++;
        }
        if (before(timer, sched->heap[child])) {
            break;
        }
        put(sched, i, sched->heap[child]);
        i = child;
    }
    put(sched, i, timer);
}

static void heap_remove(tern_sched *sched, tern_timer *timer)
{
    size_t i = timer->place - 1;
    tern_timer *last = sched->heap[--sched->len];
    timer->place = 0;
    if (last == timer) {
        return;
    }
    if (i > 0 && before(last, sched->heap[(i - 1) / 2])) {
        sift_up(sched, i, last);
    } else {
        sift_down(sched, i, last);
    }
}

static bool heap_grow(tern_sched *sched)
{
    if (sched->len < sched->cap) {
        return true;
    }
    size_t cap = sched->cap == 0 ? HEAP_FIRST : sched->cap * 2;
    tern_timer **heap = tern_realloc(sched->heap, cap * sizeof(tern_timer *));
    if (heap == NULL) {
        return false;
    }
    sched->heap = heap;
    sched->cap = cap;
    return true;
}

/* --- timers --- */

void tern_timer_start(tern_loop *loop, tern_timer *timer, uint64_t at,
                      void (*fn)(tern_timer *timer))
{
    tern_sched *sched = loop->sched;
    tern_timer_stop(timer);
    timer->loop = loop;
    timer->fn = fn;
    /* A deadline in the past counts as now: otherwise a timer that always asks for 0 would stay
     * ahead of every other one. */
    timer->at = at > sched->now ? at : sched->now;
    timer->order = sched->order++;
    bool earliest = true;
    if (heap_grow(sched)) {
        sift_up(sched, sched->len++, timer);
        earliest = timer->place == 1;
    } else {
        timer->place = PLACE_STARVED;
        tern_timer **end = &sched->starved;
        while (*end != NULL) {
            end = &(*end)->next;
        }
        timer->next = NULL;
        *end = timer;
    }
    if (earliest) {
        loop->ops->wake(loop);
    }
}

static void starved_remove(tern_sched *sched, tern_timer *timer)
{
    tern_timer **p = &sched->starved;
    while (*p != timer) {
        p = &(*p)->next;
    }
    *p = timer->next;
    timer->place = 0;
}

void tern_timer_stop(tern_timer *timer)
{
    if (timer->place == PLACE_STARVED) {
        starved_remove(timer->loop->sched, timer);
    } else if (timer->place != 0) {
        heap_remove(timer->loop->sched, timer);
    }
}

uint64_t tern_sched_next(const tern_sched *sched)
{
    if (sched->starved != NULL) {
        return sched->now;
    }
    return sched->len > 0 ? sched->heap[0]->at : TERN_NEVER;
}

void tern_sched_run_timers(tern_sched *sched)
{
    /* What is armed from here on waits for the next call, so a timer that re-arms itself at once
     * cannot hold the loop. No such timer can hide an older one: its deadline is clamped to now and
     * its order is later. */
    uint64_t limit = sched->order;
    for (;;) {
        tern_timer *timer = NULL;
        if (sched->starved != NULL && sched->starved->order < limit) {
            timer = sched->starved;
        } else if (sched->len > 0 && sched->heap[0]->at <= sched->now &&
                   sched->heap[0]->order < limit) {
            timer = sched->heap[0];
        }
        if (timer == NULL) {
            return;
        }
        tern_timer_stop(timer);
        timer->fn(timer);
        tern_sched_run_deferred(sched, TERN_SCHED_ROUNDS);
    }
}

/* --- deferred calls --- */

void tern_deferred_init(tern_deferred *d, void (*fn)(tern_deferred *d))
{
    tern_list_init(&d->link);
    d->fn = fn;
}

static bool anything(const tern_sched *sched)
{
    return !tern_list_empty(&sched->soon) || !tern_list_empty(&sched->deferred) ||
           !tern_list_empty(&sched->late);
}

static void queue(tern_loop *loop, tern_list *in, tern_deferred *d)
{
    if (tern_deferred_queued(d)) {
        return;
    }
    bool first = !anything(loop->sched);
    tern_list_push(in, &d->link);
    if (first) {
        loop->ops->wake(loop);
    }
}

void tern_defer(tern_loop *loop, tern_deferred *d)
{
    queue(loop, &loop->sched->deferred, d);
}

void tern_defer_late(tern_loop *loop, tern_deferred *d)
{
    queue(loop, &loop->sched->late, d);
}

void tern_defer_soon(tern_loop *loop, tern_deferred *d)
{
    tern_list_remove(&d->link);
    queue(loop, &loop->sched->soon, d);
}

void tern_deferred_cancel(tern_deferred *d)
{
    tern_list_remove(&d->link);
}

bool tern_deferred_queued(const tern_deferred *d)
{
    return !tern_list_empty(&d->link);
}

/* One round is what is queued now. It stays linked in a list, so that a call may cancel a later one
 * of its round. */
static void run_round(tern_list *queued)
{
    tern_list round;
    tern_list_init(&round);
    tern_list_splice(&round, queued);
    tern_list *node;
    while ((node = tern_list_pop(&round)) != NULL) {
        tern_deferred *d = TERN_CONTAINER(node, tern_deferred, link);
        d->fn(d);
    }
}

void tern_run_soon(tern_loop *loop, const tern_deferred *but)
{
    tern_list round, *node;
    tern_list_init(&round);
    tern_list_splice(&round, &loop->sched->soon);
    while ((node = tern_list_pop(&round)) != NULL) {
        tern_deferred *d = TERN_CONTAINER(node, tern_deferred, link);
        if (d == but) {
            tern_list_push(&loop->sched->soon, node);
        } else {
            d->fn(d);
        }
    }
}

bool tern_sched_run_deferred(tern_sched *sched, unsigned rounds)
{
    while (rounds-- > 0 && anything(sched)) {
        run_round(!tern_list_empty(&sched->soon)       ? &sched->soon
                  : !tern_list_empty(&sched->deferred) ? &sched->deferred
                                                       : &sched->late);
    }
    if (!tern_list_empty(&sched->deferred)) {
        run_round(&sched->late); /* the others may queue each other for ever */
    }
    return anything(sched);
}
