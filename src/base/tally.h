/* How many there are of each, by byte string: counts in a map, of which an empty one holds no
 * memory. */
#ifndef TERN_BASE_TALLY_H
#define TERN_BASE_TALLY_H

#include "base/map.h"

typedef struct tern_tally {
    tern_map counts;
} tern_tally;

static inline void tern_tally_init(tern_tally *t)
{
    tern_map_init(&t->counts);
}
static inline void tern_tally_free(tern_tally *t)
{
    tern_map_free(&t->counts);
}
static inline size_t tern_tally_of(const tern_tally *t, const void *key, size_t n)
{
    return (size_t)(uintptr_t)tern_map_get(&t->counts, key, n);
}
/* One more. 0 or TERN_E_NOMEM. */
static inline int tern_tally_add(tern_tally *t, const void *key, size_t n)
{
    return tern_map_set(&t->counts, key, n, (void *)(uintptr_t)(tern_tally_of(t, key, n) + 1));
}
/* One less of those that were added. */
static inline void tern_tally_take(tern_tally *t, const void *key, size_t n)
{
    size_t left = tern_tally_of(t, key, n) - 1;
    if (left == 0) {
        tern_map_remove(&t->counts, key, n);
    } else { /* the key is there: nothing is allocated */
        (void)tern_map_set(&t->counts, key, n, (void *)(uintptr_t)left);
    }
}

#endif
