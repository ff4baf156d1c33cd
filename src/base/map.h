/* A hash map from byte strings to pointers: open addressing, keys copied, SipHash-1-3 under a
 * random key of the process (a peer cannot aim for collisions). An empty map holds no memory. */
#ifndef TERN_BASE_MAP_H
#define TERN_BASE_MAP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef struct tern_map_slot tern_map_slot;
typedef struct tern_map {
    tern_map_slot *slots;
    size_t cap, len;
} tern_map;

void tern_map_init(tern_map *m);
void tern_map_free(tern_map *m); /* frees the keys, not the values */
static inline size_t tern_map_len(const tern_map *m)
{
    return m->len;
}

void *tern_map_get(const tern_map *m, const void *key, size_t n); /* NULL if absent */
/* Sets or replaces; value must not be NULL. 0 or TERN_E_NOMEM. */
int tern_map_set(tern_map *m, const void *key, size_t n, void *value);
void *tern_map_remove(tern_map *m, const void *key, size_t n); /* the value it had, or NULL */

/* Walks: *it starts at 0; false at the end. Removing the entry just returned is allowed. */
bool tern_map_next(const tern_map *m, size_t *it, const void **ret_key, size_t *ret_n,
                   void **ret_value);

/* The keys of this process's maps; for tests that need repeatable walks. */
void tern_map_seed(uint64_t k0, uint64_t k1);

#endif
