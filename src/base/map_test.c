/* The hash map: entries, removal during a walk, growth, failing allocations. */
#include "base/map.h"

#include <stdio.h>

#include <tern/error.h>

#include "base/test.h"

static int values[4096]; /* their addresses are the values */

static size_t make_key(char out[64], unsigned i)
{
    /* Half of the keys are short enough to lie in the slot, half are not. */
    return (size_t)snprintf(out, 64, i % 2 == 0 ? "k%u" : "a key that has a block of its own %u",
                            i);
}

static void sets_gets_removes(void **state)
{
    (void)state;
    tern_map m;
    tern_map_init(&m);
    assert_null(tern_map_get(&m, "a", 1));
    assert_null(tern_map_remove(&m, "a", 1));
    assert_int_equal(tern_map_set(&m, "a", 1, &values[1]), 0);
    assert_int_equal(tern_map_set(&m, "ab", 2, &values[2]), 0);
    assert_int_equal(tern_map_set(&m, "a\0", 2, &values[3]), 0);
    assert_int_equal(tern_map_set(&m, NULL, 0, &values[4]), 0);
    assert_int_equal(tern_map_len(&m), 4);
    assert_ptr_equal(tern_map_get(&m, "a", 1), &values[1]);
    assert_ptr_equal(tern_map_get(&m, "ab", 2), &values[2]);
    assert_ptr_equal(tern_map_get(&m, "a\0", 2), &values[3]);
    assert_ptr_equal(tern_map_get(&m, "", 0), &values[4]);
    assert_null(tern_map_get(&m, "b", 1));
    assert_int_equal(tern_map_set(&m, "a", 1, &values[5]), 0);
    assert_int_equal(tern_map_len(&m), 4);
    assert_ptr_equal(tern_map_remove(&m, "a", 1), &values[5]);
    assert_null(tern_map_get(&m, "a", 1));
    tern_map_free(&m);
    assert_int_equal(tern_map_len(&m), 0);
}

static void empty_map_holds_no_memory(void **state)
{
    (void)state;
    size_t before = tern_mem_alive();
    tern_map m;
    tern_map_init(&m);
    assert_int_equal(tern_map_set(&m, "a key longer than a slot has room for", 37, values), 0);
    assert_true(tern_mem_alive() > before);
    assert_non_null(tern_map_remove(&m, "a key longer than a slot has room for", 37));
    assert_int_equal(tern_mem_alive(), before);
    size_t it = 0;
    assert_false(tern_map_next(&m, &it, NULL, NULL, NULL));
}

static void many_entries_under_several_hash_keys(void **state)
{
    (void)state;
    enum { COUNT = 3000 };
    char key[64];
    for (uint64_t seed = 0; seed < 5; seed++) {
        tern_map_seed(seed, ~seed);
        tern_map m;
        tern_map_init(&m);
        for (unsigned i = 0; i < COUNT; i++) {
            assert_int_equal(tern_map_set(&m, key, make_key(key, i), &values[i]), 0);
        }
        for (unsigned i = 0; i < COUNT; i += 3) {
            assert_ptr_equal(tern_map_remove(&m, key, make_key(key, i)), &values[i]);
        }
        for (unsigned i = 0; i < COUNT; i++) {
            assert_ptr_equal(tern_map_get(&m, key, make_key(key, i)),
                             i % 3 == 0 ? NULL : &values[i]);
        }
        assert_int_equal(tern_map_len(&m), COUNT - COUNT / 3);
        tern_map_free(&m);
    }
}

static void map_shrinks_after_a_flood(void **state)
{
    (void)state;
    char key[64];
    tern_map m;
    tern_map_init(&m);
    for (unsigned i = 0; i < 3000; i++) {
        assert_int_equal(tern_map_set(&m, key, make_key(key, i), &values[i]), 0);
    }
    size_t large = m.cap;
    for (unsigned i = 10; i < 3000; i++) {
        assert_non_null(tern_map_remove(&m, key, make_key(key, i)));
    }
    for (unsigned i = 10; i < 20; i++) {
        assert_int_equal(tern_map_set(&m, key, make_key(key, i), &values[i]), 0);
    }
    assert_true(m.cap <= large / 16);
    for (unsigned i = 0; i < 20; i++) {
        assert_ptr_equal(tern_map_get(&m, key, make_key(key, i)), &values[i]);
    }
    tern_map_free(&m);
}

/* Walks and removes a part of the entries as they come: each entry must come exactly once. */
static void removing_during_a_walk(void **state)
{
    (void)state;
    enum { COUNT = 200 };
    char key[64];
    for (unsigned keep = 1; keep < 5; keep++) {
        tern_map_seed(keep, 7);
        uint8_t seen[COUNT] = {0};
        tern_map m;
        tern_map_init(&m);
        for (unsigned i = 0; i < COUNT; i++) {
            assert_int_equal(tern_map_set(&m, key, make_key(key, i), &values[i]), 0);
        }
        size_t it = 0, n;
        const void *k;
        void *value;
        while (tern_map_next(&m, &it, &k, &n, &value)) {
            unsigned i = (unsigned)((int *)value - values);
            assert_int_equal(n, make_key(key, i));
            assert_memory_equal(k, key, n);
            assert_int_equal(seen[i]++, 0);
            if (i % keep == 0) {
                assert_ptr_equal(tern_map_remove(&m, key, n), value);
            }
        }
        for (unsigned i = 0; i < COUNT; i++) {
            assert_int_equal(seen[i], 1);
            assert_ptr_equal(tern_map_get(&m, key, make_key(key, i)),
                             i % keep == 0 ? NULL : &values[i]);
        }
        tern_map_free(&m);
    }
}

static void walks_repeat_under_the_same_hash_key(void **state)
{
    (void)state;
    int *order[2][50];
    char key[64];
    for (int run = 0; run < 2; run++) {
        tern_map_seed(11, 12);
        tern_map m;
        tern_map_init(&m);
        for (unsigned i = 0; i < 50; i++) {
            assert_int_equal(tern_map_set(&m, key, make_key(key, i), &values[i]), 0);
        }
        size_t it = 0;
        void *value;
        for (int i = 0; tern_map_next(&m, &it, NULL, NULL, &value); i++) {
            order[run][i] = value;
        }
        tern_map_free(&m);
    }
    assert_memory_equal(order[0], order[1], sizeof order[0]);
}

/* SipHash-1-3 of eight bytes under the key 0, 0: what the map computes, so that keys can collide
 * here. */
static uint64_t hash_of_number(uint64_t number)
{
    uint64_t a = 0x736f6d6570736575, b = 0x646f72616e646f6d, c = 0x6c7967656e657261,
             d = 0x7465646279746573;
    const uint64_t words[] = {number, (uint64_t)8 << 56, 0, 0, 0};
    for (int i = 0; i < 5; i++) {
        c ^= i == 2 ? 0xff : 0;
        d ^= words[i];
        a += b, b = b << 13 | b >> 51, b ^= a, a = a << 32 | a >> 32;
        c += d, d = d << 16 | d >> 48, d ^= c;
        a += d, d = d << 21 | d >> 43, d ^= a;
        c += b, b = b << 17 | b >> 47, b ^= c, c = c << 32 | c >> 32;
        a ^= words[i];
    }
    return a ^ b ^ c ^ d;
}

/* Keys that all have the last slot of small tables as their home: the overflow fills up, the table
 * grows until they part, and a failing allocation on the way loses nothing. */
static void colliding_keys_make_the_table_grow(void **state)
{
    (void)state;
    enum { COUNT = 40, MASK = 255 };
    uint64_t keys[COUNT], number = 0;
    tern_map m;
    tern_map_init(&m);
    tern_map_seed(0, 0);
    for (unsigned i = 0; i < COUNT; i++) {
        while ((hash_of_number(number) & MASK) != MASK) {
            number++;
        }
        keys[i] = number++;
        tern_mem_fail_at(1, 1);
        int code = tern_map_set(&m, &keys[i], sizeof keys[i], &values[i]);
        tern_mem_fail_at(0, 0);
        if (code != 0) {
            assert_int_equal(code, TERN_E_NOMEM);
            assert_int_equal(tern_map_len(&m), i);
            assert_int_equal(tern_map_set(&m, &keys[i], sizeof keys[i], &values[i]), 0);
        }
    }
    assert_true(m.cap > MASK + 1); /* proves that they did collide */
    assert_null(tern_map_remove(&m, "absent", 6));
    for (unsigned i = 0; i < COUNT; i += 2) {
        assert_ptr_equal(tern_map_remove(&m, &keys[i], sizeof keys[i]), &values[i]);
    }
    for (unsigned i = 0; i < COUNT; i++) {
        assert_ptr_equal(tern_map_get(&m, &keys[i], sizeof keys[i]),
                         i % 2 == 0 ? NULL : &values[i]);
    }
    tern_map_free(&m);
}

static void failed_allocations_change_nothing(void **state)
{
    (void)state;
    char key[64];
    tern_map m;
    tern_map_init(&m);
    unsigned held = 0, failures = 0;
    for (unsigned i = 0; i < 100; i++) {
        for (size_t nth = 1;; nth++) {
            tern_mem_fail_at(nth, 0);
            int code = tern_map_set(&m, key, make_key(key, i), &values[i]);
            tern_mem_fail_at(0, 0);
            if (code == 0) {
                held++;
                break;
            }
            assert_int_equal(code, TERN_E_NOMEM);
            assert_int_equal(tern_map_len(&m), held);
            assert_null(tern_map_get(&m, key, make_key(key, i)));
            failures++;
        }
    }
    assert_true(failures > 50);
    for (unsigned i = 0; i < 100; i++) {
        assert_ptr_equal(tern_map_get(&m, key, make_key(key, i)), &values[i]);
    }
    tern_map_free(&m);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(sets_gets_removes),
        cmocka_unit_test(empty_map_holds_no_memory),
        cmocka_unit_test(many_entries_under_several_hash_keys),
        cmocka_unit_test(map_shrinks_after_a_flood),
        cmocka_unit_test(removing_during_a_walk),
        cmocka_unit_test(walks_repeat_under_the_same_hash_key),
        cmocka_unit_test(colliding_keys_make_the_table_grow),
        cmocka_unit_test(failed_allocations_change_nothing),
    };
    return TERN_TEST_MAIN(tests);
}
