/* Who wants to know that the machine changed: its addresses became others, or it stood still. The
 * backend says that something may have changed; whether it has is found out here, by comparison, so
 * any number of notes within SETTLE becomes one event, and a backend that cannot notice has the
 * addresses looked at every LOOK. */
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "loop/backend.h"

enum { ADDRESSES_MAX = 256 };

#define SETTLE (100 * TERN_MS) /* an interface brings several addresses, one after the other */
#define LOOK   (5 * TERN_SEC)

static int by_ip(const void *a, const void *b)
{
    const tern_endpoint *x = a, *y = b;
    int order = (int)x->family - (int)y->family;
    order = order != 0 ? order : memcmp(x->ip, y->ip, sizeof x->ip);
    return order != 0 ? order : (x->scope > y->scope) - (x->scope < y->scope);
}

/* Sorted; NULL with *ret_n 0 without memory. */
static tern_endpoint *snapshot(tern_loop *loop, size_t *ret_n)
{
    tern_endpoint *all = tern_calloc(ADDRESSES_MAX, sizeof *all);
    size_t n = all != NULL ? tern_loop_addresses(loop, all, ADDRESSES_MAX) : 0;
    *ret_n = n < ADDRESSES_MAX ? n : ADDRESSES_MAX;
    if (*ret_n > 0) {
        qsort(all, *ret_n, sizeof *all, by_ip);
        tern_endpoint *fitting = tern_realloc(all, *ret_n * sizeof *all);
        all = fitting != NULL ? fitting : all;
    }
    return all;
}

/* Each may stop itself and others meanwhile. */
static void tell(tern_watches *w, tern_change change)
{
    tern_list told;
    tern_list_init(&told);
    tern_list_splice(&told, &w->list);
    tern_list *node;
    while ((node = tern_list_pop(&told)) != NULL) {
        tern_watch *watch = TERN_CONTAINER(node, tern_watch, link);
        tern_list_push(&w->list, node);
        watch->fn(watch, change);
    }
}

static bool same(const tern_watches *w, const tern_endpoint *now, size_t n)
{
    if (n != w->known_count) {
        return false;
    }
    for (size_t i = 0; i < n; i++) {
        if (by_ip(&w->known[i], &now[i]) != 0) {
            return false;
        }
    }
    return true;
}

static void on_look(tern_timer *timer)
{
    tern_loop *loop = timer->loop;
    tern_watches *w = &loop->watches;
    size_t n;
    if (w->polling) {
        tern_timer_start(loop, timer, tern_loop_now(loop) + LOOK, on_look);
    }
    tern_endpoint *now = snapshot(loop, &n);
    if (now == NULL || same(w, now, n)) { /* without memory the next note finds it */
        tern_free(now);
        return;
    }
    tern_free(w->known);
    w->known = now;
    w->known_count = n;
    loop->ops->orphans(loop);
    tell(w, TERN_CHANGE_ADDRESSES);
}

void tern_loop_addresses_changed(tern_loop *loop)
{
    tern_watches *w = &loop->watches;
    uint64_t at = tern_loop_now(loop) + SETTLE;
    if (w->count > 0 && (!tern_timer_armed(&w->look) || w->look.at > at)) {
        tern_timer_start(loop, &w->look, at, on_look);
    }
}

static void on_awake(tern_deferred *d)
{
    tell(TERN_CONTAINER(d, tern_watches, awake), TERN_CHANGE_AWAKE);
}

void tern_loop_awoke(tern_loop *loop)
{
    if (loop->watches.count > 0) {
        tern_defer(loop, &loop->watches.awake);
        tern_loop_addresses_changed(loop);
    }
}

void tern_watch_start(tern_loop *loop, tern_watch *watch,
                      void (*fn)(tern_watch *watch, tern_change change))
{
    tern_watches *w = &loop->watches;
    watch->loop = loop;
    watch->fn = fn;
    if (w->count++ == 0) {
        tern_list_init(&w->list);
        tern_deferred_init(&w->awake, on_awake);
        w->known = snapshot(loop, &w->known_count);
        w->polling = loop->ops->watch(loop, true) < 0;
        if (w->polling) {
            tern_timer_start(loop, &w->look, tern_loop_now(loop) + LOOK, on_look);
        }
    }
    tern_list_push(&w->list, &watch->link);
}

void tern_watch_stop(tern_watch *watch)
{
    if (watch->loop == NULL) {
        return;
    }
    tern_loop *loop = watch->loop;
    tern_watches *w = &loop->watches;
    watch->loop = NULL;
    tern_list_remove(&watch->link);
    if (--w->count == 0) {
        loop->ops->watch(loop, false);
        tern_timer_stop(&w->look);
        tern_deferred_cancel(&w->awake);
        tern_free(w->known);
        w->known = NULL;
        w->known_count = 0;
    }
}
