/* The hash map: linear probing without wrap-around, deletion by shifting back.
 *
 *      slots: | home 0 .. cap-1                    | overflow |
 *               an entry lies at its home or after it, never before, with no gap between
 *
 * Probes run off the homes into a short overflow instead of wrapping to the front. Walks go from
 * the last slot to the first; as a removal moves only later entries one step towards the front,
 * onto slots that the walk has passed, it neither misses nor repeats one. No tombstones, so no
 * degradation. */
#include "base/map.h"

#include <pthread.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include <tern/error.h>

#include "base/mem.h"

enum {
    MAP_FIRST = 8,     /* homes of a first table */
    MAP_OVERFLOW = 24, /* slots after the homes; a probe that runs past them makes the table grow */
    KEY_INLINE = 16    /* longer keys have a block of their own */
};

struct tern_map_slot {
    union {
        uint8_t bytes[KEY_INLINE];
        uint8_t *block;
    } key;
    size_t n; /* of the key */
    uint64_t hash;
    void *value; /* NULL: an empty slot */
};

/* The hash key. */

static uint64_t key0, key1;
static pthread_once_t key_once = PTHREAD_ONCE_INIT;

static void draw_key(void)
{
    uint64_t drawn[2];
    if (getentropy(drawn, sizeof drawn) != 0) {
        /* No entropy source at all: still differs from run to run, and correctness does not depend
         * on it. */
        struct timespec now = {0};
        clock_gettime(CLOCK_REALTIME, &now);
        drawn[0] = (uint64_t)now.tv_nsec << 32 ^ (uint64_t)now.tv_sec;
        drawn[1] = (uint64_t)(uintptr_t)&drawn ^ (uint64_t)getpid();
    }
    key0 = drawn[0];
    key1 = drawn[1];
}

void tern_map_seed(uint64_t k0, uint64_t k1)
{
    pthread_once(&key_once, draw_key);
    key0 = k0;
    key1 = k1;
}

static uint64_t rotate(uint64_t v, int by)
{
    return v << by | v >> (64 - by);
}

static void sip_round(uint64_t v[4])
{
    v[0] += v[1];
    v[2] += v[3];
    v[1] = rotate(v[1], 13) ^ v[0];
    v[3] = rotate(v[3], 16) ^ v[2];
    v[0] = rotate(v[0], 32);
    v[2] += v[1];
    v[0] += v[3];
    v[1] = rotate(v[1], 17) ^ v[2];
    v[3] = rotate(v[3], 21) ^ v[0];
    v[2] = rotate(v[2], 32);
}

/* SipHash-1-3: one round a word, three at the end. */
static uint64_t hash_of(const uint8_t *p, size_t n)
{
    uint64_t v[4] = {key0 ^ 0x736f6d6570736575U, key1 ^ 0x646f72616e646f6dU,
                     key0 ^ 0x6c7967656e657261U, key1 ^ 0x7465646279746573U};
    size_t left = n;
    for (; left >= 8; p += 8, left -= 8) {
        uint64_t word;
        memcpy(&word, p, 8);
        v[3] ^= word;
        sip_round(v);
        v[0] ^= word;
    }
    uint64_t last = (uint64_t)n << 56;
    for (size_t i = 0; i < left; i++) {
        last |= (uint64_t)p[i] << (8 * i);
    }
    v[3] ^= last;
    sip_round(v);
    v[0] ^= last;
    v[2] ^= 0xff;
    sip_round(v);
    sip_round(v);
    sip_round(v);
    return v[0] ^ v[1] ^ v[2] ^ v[3];
}

/* Slots. */

static const uint8_t *slot_key(const tern_map_slot *s)
{
    return s->n <= KEY_INLINE ? s->key.bytes : s->key.block;
}

static size_t slot_count(size_t cap)
{
    return cap + MAP_OVERFLOW;
}

static size_t home_of(uint64_t hash, size_t cap)
{
    return (size_t)hash & (cap - 1); /* cap is a power of two */
}

/* The slot of a key, or NULL. */
static tern_map_slot *find(const tern_map *m, const void *key, size_t n, uint64_t hash)
{
    size_t end = slot_count(m->cap);
    for (size_t i = home_of(hash, m->cap); i < end && m->slots[i].value != NULL; i++) {
        tern_map_slot *s = &m->slots[i];
        if (s->hash == hash && s->n == n && (n == 0 || memcmp(slot_key(s), key, n) == 0)) {
            return s;
        }
    }
    return NULL;
}

/* The first empty slot from the home on, or NULL when the overflow is full there. */
static tern_map_slot *find_empty(tern_map_slot *slots, size_t cap, uint64_t hash)
{
    size_t end = slot_count(cap);
    for (size_t i = home_of(hash, cap); i < end; i++) {
        if (slots[i].value == NULL) {
            return &slots[i];
        }
    }
    return NULL;
}

/* Moves all entries to a table of at least `cap` homes. */
static int resize(tern_map *m, size_t cap)
{
    for (;; cap *= 2) {
        if (cap > SIZE_MAX / sizeof(tern_map_slot) / 4) {
            return TERN_E_NOMEM;
        }
        tern_map_slot *slots = tern_calloc(slot_count(cap), sizeof *slots);
        if (slots == NULL) {
            return TERN_E_NOMEM;
        }
        bool fits = true;
        for (size_t i = 0; m->slots != NULL && fits && i < slot_count(m->cap); i++) {
            if (m->slots[i].value != NULL) {
                tern_map_slot *to = find_empty(slots, cap, m->slots[i].hash);
                fits = to != NULL;
                if (fits) {
                    *to = m->slots[i];
                }
            }
        }
        if (fits) {
            tern_free(m->slots);
            m->slots = slots;
            m->cap = cap;
            return 0;
        }
        tern_free(slots);
    }
}

void tern_map_init(tern_map *m)
{
    *m = (tern_map){0};
}

void tern_map_free(tern_map *m)
{
    for (size_t i = 0; m->slots != NULL && i < slot_count(m->cap); i++) {
        if (m->slots[i].value != NULL && m->slots[i].n > KEY_INLINE) {
            tern_free(m->slots[i].key.block);
        }
    }
    tern_free(m->slots);
    tern_map_init(m);
}

void *tern_map_get(const tern_map *m, const void *key, size_t n)
{
    if (m->len == 0) {
        return NULL;
    }
    tern_map_slot *s = find(m, key, n, hash_of(key, n));
    return s != NULL ? s->value : NULL;
}

/* Grows a table that is three quarters full; shrinks one that is nearly empty, here and not in
 * remove so that a walk may remove. */
static int fit_for_one_more(tern_map *m)
{
    if (m->cap == 0) {
        pthread_once(&key_once, draw_key);
        return resize(m, MAP_FIRST);
    }
    if (m->len >= m->cap - m->cap / 4) {
        return resize(m, m->cap * 2);
    }
    if (m->cap > 64 && m->len < m->cap / 16) {
        (void)resize(m, m->cap / 4); /* without memory it just stays large */
    }
    return 0;
}

int tern_map_set(tern_map *m, const void *key, size_t n, void *value)
{
    if (m->len > 0) {
        tern_map_slot *s = find(m, key, n, hash_of(key, n));
        if (s != NULL) {
            s->value = value;
            return 0;
        }
    }
    tern_map_slot entry = {.n = n, .value = value};
    if (fit_for_one_more(m) != 0) {
        return TERN_E_NOMEM;
    }
    if (n > KEY_INLINE) {
        entry.key.block = tern_memdup(key, n);
        if (entry.key.block == NULL) {
            goto fail;
        }
    } else if (n > 0) {
        memcpy(entry.key.bytes, key, n);
    }
    entry.hash = hash_of(key, n);
    tern_map_slot *to;
    while ((to = find_empty(m->slots, m->cap, entry.hash)) == NULL) {
        if (resize(m, m->cap * 2) != 0) {
            if (n > KEY_INLINE) {
                tern_free(entry.key.block);
            }
            goto fail;
        }
    }
    *to = entry;
    m->len++;
    return 0;

fail:
    if (m->len == 0) {
        tern_map_free(m);
    }
    return TERN_E_NOMEM;
}

void *tern_map_remove(tern_map *m, const void *key, size_t n)
{
    if (m->len == 0) {
        return NULL;
    }
    tern_map_slot *gone = find(m, key, n, hash_of(key, n));
    if (gone == NULL) {
        return NULL;
    }
    void *value = gone->value;
    if (gone->n > KEY_INLINE) {
        tern_free(gone->key.block);
    }
    /* Entries behind the hole close up, each as far as its home allows. */
    size_t hole = (size_t)(gone - m->slots), end = slot_count(m->cap);
    for (size_t i = hole + 1; i < end && m->slots[i].value != NULL; i++) {
        if (home_of(m->slots[i].hash, m->cap) <= hole) {
            m->slots[hole] = m->slots[i];
            hole = i;
        }
    }
    m->slots[hole] = (tern_map_slot){0};
    if (--m->len == 0) {
        tern_map_free(m);
    }
    return value;
}

bool tern_map_next(const tern_map *m, size_t *it, const void **ret_key, size_t *ret_n,
                   void **ret_value)
{
    while (m->len > 0 && *it < slot_count(m->cap)) {
        const tern_map_slot *s = &m->slots[slot_count(m->cap) - ++*it];
        if (s->value != NULL) {
            if (ret_key != NULL) {
                *ret_key = slot_key(s);
            }
            if (ret_n != NULL) {
                *ret_n = s->n;
            }
            if (ret_value != NULL) {
                *ret_value = s->value;
            }
            return true;
        }
    }
    return false;
}
