/* Allocation: libc's, with a count of what is alive and a switch that lets tests make it fail.
 *
 * Living blocks and their bytes are always counted (worker threads allocate too, hence atomic). The
 * ordinal of each allocation is only counted once a test has called tern_mem_fail_at, so a node
 * pays for two relaxed additions per call and nothing else. A block's size is what libc says it
 * really has; where it does not say, bytes are not counted and budgets of memory do not bind. */
#include "base/mem.h"

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#if defined(__APPLE__)
#include <malloc/malloc.h>
#define BLOCK_SIZE(p) malloc_size(p)
#elif defined(__linux__)
#include <malloc.h>
#define BLOCK_SIZE(p) malloc_usable_size(p)
#elif defined(__FreeBSD__)
#include <malloc_np.h>
#define BLOCK_SIZE(p) malloc_usable_size(p)
#else
#define BLOCK_SIZE(p) ((size_t)0)
#endif

static atomic_size_t alive, bytes;
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
        atomic_fetch_add_explicit(&bytes, BLOCK_SIZE(p), memory_order_relaxed);
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
    if (refused()) {
        return NULL;
    }
    size_t before = BLOCK_SIZE(p);
    void *moved = realloc(p, n != 0 ? n : 1);
    if (moved != NULL) { /* unsigned: the difference may be negative, and wraps as it should */
        atomic_fetch_add_explicit(&bytes, BLOCK_SIZE(moved) - before, memory_order_relaxed);
    }
    return moved;
}

void tern_free(void *p)
{
    if (p != NULL) {
        atomic_fetch_sub_explicit(&alive, 1, memory_order_relaxed);
        atomic_fetch_sub_explicit(&bytes, BLOCK_SIZE(p), memory_order_relaxed);
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

size_t tern_mem_bytes(void)
{
    return atomic_load_explicit(&bytes, memory_order_relaxed);
}
