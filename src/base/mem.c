/* Allocation: libc's, with a count of what is alive and a switch that lets tests make it fail.
 *
 * The count of living blocks is always kept (worker threads allocate too, hence atomic). The
 * ordinal of each allocation is only counted once a test has called tern_mem_fail_at, so a node
 * pays for one relaxed addition per call and nothing else. */
#include "base/mem.h"

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

static atomic_size_t alive;
static bool watched; /* a test counts: set by the first tern_mem_fail_at, never cleared */
static atomic_size_t made;
static size_t fail_at;
static bool fail_forever;

/* Whether this allocation is one that a test wants to fail. */
static bool refused(void)
{
    if (!watched) {
        return false;
    }
    size_t nth = atomic_fetch_add_explicit(&made, 1, memory_order_relaxed) + 1;
    return fail_at != 0 && (nth == fail_at || (fail_forever && nth > fail_at));
}

static void *counted(void *p)
{
    if (p != NULL) {
        atomic_fetch_add_explicit(&alive, 1, memory_order_relaxed);
    }
    return p;
}

void *tern_malloc(size_t n)
{
    /* Zero bytes still yield a block: NULL means failure and nothing else. */
    return refused() ? NULL : counted(malloc(n != 0 ? n : 1));
}

void *tern_calloc(size_t count, size_t n)
{
    if (refused() || (n != 0 && count > SIZE_MAX / n)) {
        return NULL;
    }
    return count == 0 || n == 0 ? counted(calloc(1, 1)) : counted(calloc(count, n));
}

void *tern_realloc(void *p, size_t n)
{
    if (p == NULL) {
        return tern_malloc(n);
    }
    return refused() ? NULL : realloc(p, n != 0 ? n : 1);
}

void tern_free(void *p)
{
    if (p != NULL) {
        atomic_fetch_sub_explicit(&alive, 1, memory_order_relaxed);
        free(p);
    }
}

char *tern_strdup(const char *s)
{
    return tern_memdup(s, strlen(s) + 1);
}

void *tern_memdup(const void *p, size_t n)
{
    void *copy = tern_malloc(n);
    if (copy != NULL && n > 0) {
        memcpy(copy, p, n);
    }
    return copy;
}

void tern_mem_fail_at(size_t n, int forever)
{
    watched = true;
    fail_at = n;
    fail_forever = forever != 0;
    atomic_store(&made, 0);
}

size_t tern_mem_count(void)
{
    return atomic_load(&made);
}

size_t tern_mem_alive(void)
{
    return atomic_load(&alive);
}
