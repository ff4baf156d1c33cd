/* The byte queue: order, limits, memory, and a long run against a plain model. */
#include "base/buf.h"

#include <tern/error.h>

#include "base/test.h"

static void appends_and_takes_in_order(void **state)
{
    (void)state;
    tern_buf b;
    tern_buf_init(&b, 0);
    assert_int_equal(tern_buf_len(&b), 0);
    assert_null(tern_buf_data(&b));
    assert_true(tern_buf_room(&b) == SIZE_MAX);
    assert_int_equal(tern_buf_append(&b, NULL, 0), 0);
    assert_int_equal(tern_buf_append(&b, "hello ", 6), 0);
    assert_int_equal(tern_buf_append(&b, "world", 5), 0);
    assert_memory_equal(tern_buf_data(&b), "hello world", 11);
    tern_buf_consume(&b, 6);
    assert_int_equal(tern_buf_len(&b), 5);
    assert_memory_equal(tern_buf_data(&b), "world", 5);
    tern_buf_consume(&b, 0);
    tern_buf_consume(&b, 5);
    assert_int_equal(tern_buf_len(&b), 0);
    tern_buf_free(&b);
}

static void limit_holds_for_live_bytes(void **state)
{
    (void)state;
    tern_buf b;
    tern_buf_init(&b, 10);
    assert_int_equal(tern_buf_append(&b, "12345678", 8), 0);
    assert_int_equal(tern_buf_room(&b), 2);
    assert_int_equal(tern_buf_append(&b, "abc", 3), TERN_E_TOO_LARGE);
    assert_int_equal(tern_buf_printf(&b, "%s", "abc"), TERN_E_TOO_LARGE);
    assert_null(tern_buf_reserve(&b, 3));
    assert_int_equal(tern_buf_len(&b), 8);
    assert_int_equal(tern_buf_printf(&b, "%s", "ab"), 0); /* exactly full */
    assert_int_equal(tern_buf_room(&b), 0);
    tern_buf_consume(&b, 4);
    assert_int_equal(tern_buf_append(&b, "cdef", 4), 0);
    assert_memory_equal(tern_buf_data(&b), "5678abcdef", 10);
    tern_buf_free(&b);
    assert_int_equal(tern_buf_room(&b), 10); /* the limit stays */
}

static void reserve_and_commit(void **state)
{
    (void)state;
    tern_buf b;
    tern_buf_init(&b, 0);
    uint8_t *p = tern_buf_reserve(&b, 100);
    assert_non_null(p);
    memcpy(p, "abc", 3);
    tern_buf_commit(&b, 3);
    assert_memory_equal(tern_buf_data(&b), "abc", 3);
    assert_int_equal(tern_buf_len(&b), 3);
    assert_non_null(tern_buf_reserve(&b, 0));
    assert_null(tern_buf_reserve(&b, SIZE_MAX / 2));
    assert_int_equal(tern_buf_append(&b, "x", SIZE_MAX), TERN_E_TOO_LARGE);
    tern_buf_free(&b);
}

static void printf_appends(void **state)
{
    (void)state;
    tern_buf b;
    tern_buf_init(&b, 0);
    assert_int_equal(tern_buf_printf(&b, "%d-%s", 42, "x"), 0);
    assert_int_equal(tern_buf_printf(&b, "%s", ""), 0);
    assert_int_equal(tern_buf_printf(&b, "%200d", 7), 0);
    assert_int_equal(tern_buf_len(&b), 204);
    assert_memory_equal(tern_buf_data(&b), "42-x  ", 6);
    tern_buf_free(&b);
}

static void empty_queue_gives_a_large_block_back(void **state)
{
    (void)state;
    static const uint8_t zeros[4096];
    size_t before = tern_mem_alive();
    tern_buf b;
    tern_buf_init(&b, 0);
    assert_int_equal(tern_mem_alive(), before);
    assert_int_equal(tern_buf_append(&b, zeros, sizeof zeros), 0);
    tern_buf_consume(&b, sizeof zeros - 1);
    assert_int_equal(tern_mem_alive(), before + 1);
    tern_buf_consume(&b, 1);
    assert_int_equal(tern_mem_alive(), before);
}

static void failed_allocation_appends_nothing(void **state)
{
    (void)state;
    tern_buf b;
    tern_buf_init(&b, 0);
    tern_mem_fail_at(1, 0);
    assert_int_equal(tern_buf_append(&b, "abc", 3), TERN_E_NOMEM);
    assert_int_equal(tern_buf_append(&b, "abc", 3), 0);
    tern_mem_fail_at(1, 1);
    assert_null(tern_buf_reserve(&b, 1000));
    assert_int_equal(tern_buf_printf(&b, "%1000d", 1), TERN_E_NOMEM);
    tern_buf_consume(&b, 1);
    assert_int_equal(tern_buf_append(&b, (const uint8_t[200]){0}, 200), TERN_E_NOMEM);
    tern_mem_fail_at(0, 0);
    assert_int_equal(tern_buf_len(&b), 2);
    assert_memory_equal(tern_buf_data(&b), "bc", 2);
    tern_buf_free(&b);
}

/* Bytes count up; whatever the sizes, the front must be the next number. */
static void long_run_keeps_order_and_stays_small(void **state)
{
    (void)state;
    enum { LIMIT = 1000 };
    tern_buf b;
    tern_buf_init(&b, LIMIT);
    uint8_t next_in = 0, next_out = 0, chunk[97];
    uint32_t random = 1;
    for (int step = 0; step < 20000; step++) {
        random = random * 1664525 + 1013904223;
        size_t n = (random >> 16) % sizeof chunk;
        if ((random >> 8 & 3) != 0 && n <= tern_buf_room(&b)) {
            for (size_t i = 0; i < n; i++) {
                chunk[i] = next_in++;
            }
            assert_int_equal(tern_buf_append(&b, chunk, n), 0);
        } else {
            n = n < tern_buf_len(&b) ? n : tern_buf_len(&b);
            for (size_t i = 0; i < n; i++) {
                assert_int_equal(tern_buf_data(&b)[i], next_out++);
            }
            tern_buf_consume(&b, n);
        }
        assert_true(b.len <= LIMIT);
        assert_true(b.cap <= 2 * LIMIT);
    }
    tern_buf_free(&b);
}

/* A queue that is nearly full and moves by little steps must not copy itself at each step. */
static void nearly_full_queue_seldom_moves(void **state)
{
    (void)state;
    enum { LIMIT = 4096 };
    static const uint8_t zeros[LIMIT];
    tern_buf b;
    tern_buf_init(&b, LIMIT);
    assert_int_equal(tern_buf_append(&b, zeros, LIMIT), 0);
    int moves = 0;
    for (int i = 0; i < LIMIT; i++) {
        tern_buf_consume(&b, 1);
        size_t start = b.start;
        assert_int_equal(tern_buf_append(&b, "x", 1), 0);
        moves += b.start < start;
    }
    assert_true(moves <= 3);
    tern_buf_free(&b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(appends_and_takes_in_order),
        cmocka_unit_test(limit_holds_for_live_bytes),
        cmocka_unit_test(reserve_and_commit),
        cmocka_unit_test(printf_appends),
        cmocka_unit_test(empty_queue_gives_a_large_block_back),
        cmocka_unit_test(failed_allocation_appends_nothing),
        cmocka_unit_test(long_run_keeps_order_and_stays_small),
        cmocka_unit_test(nearly_full_queue_seldom_moves),
    };
    return TERN_TEST_MAIN(tests);
}
