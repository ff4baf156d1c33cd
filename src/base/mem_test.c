/* Allocation: counting, and failing on demand. */
#include "base/test.h"

static void counts_what_is_alive(void **state)
{
    (void)state;
    size_t before = tern_mem_alive();
    void *a = tern_malloc(0), *b = tern_calloc(3, 5);
    char *c = tern_strdup("abc");
    assert_non_null(a);
    assert_non_null(b);
    assert_string_equal(c, "abc");
    assert_int_equal(tern_mem_alive(), before + 3);
    b = tern_realloc(b, 1000);
    a = tern_realloc(a, 0);
    assert_non_null(a);
    assert_int_equal(tern_mem_alive(), before + 3);
    tern_free(a);
    tern_free(b);
    tern_free(c);
    tern_free(NULL);
    assert_int_equal(tern_mem_alive(), before);
}

static void calloc_is_zeroed_and_checks_overflow(void **state)
{
    (void)state;
    uint8_t *p = tern_calloc(16, 4);
    for (size_t i = 0; i < 64; i++) {
        assert_int_equal(p[i], 0);
    }
    tern_free(p);
    volatile size_t huge = SIZE_MAX / 2;
    assert_null(tern_calloc(huge, 4));
}

static void memdup_copies(void **state)
{
    (void)state;
    uint8_t *p = tern_memdup("\1\2\3", 3), *none = tern_memdup(NULL, 0);
    assert_memory_equal(p, "\1\2\3", 3);
    assert_non_null(none);
    tern_free(p);
    tern_free(none);
}

static void fails_the_nth_allocation_once(void **state)
{
    (void)state;
    tern_mem_fail_at(2, 0);
    void *a = tern_malloc(1), *b = tern_malloc(1), *c = tern_malloc(1);
    assert_int_equal(tern_mem_count(), 3);
    assert_non_null(a);
    assert_null(b);
    assert_non_null(c);
    tern_mem_fail_at(1, 0);
    assert_null(tern_realloc(a, 100)); /* a stays */
    tern_mem_fail_at(1, 0);
    assert_null(tern_strdup("x"));
    tern_mem_fail_at(1, 0);
    assert_null(tern_calloc(1, 1));
    tern_mem_fail_at(0, 0);
    tern_free(a);
    tern_free(c);
}

static void fails_from_the_nth_on(void **state)
{
    (void)state;
    tern_mem_fail_at(2, 1);
    void *a = tern_malloc(1);
    assert_non_null(a);
    for (int i = 0; i < 5; i++) {
        assert_null(tern_malloc(1));
    }
    assert_int_equal(tern_mem_count(), 6);
    tern_mem_fail_at(0, 0);
    assert_int_equal(tern_mem_count(), 0);
    tern_free(a);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(counts_what_is_alive),
        cmocka_unit_test(calloc_is_zeroed_and_checks_overflow),
        cmocka_unit_test(memdup_copies),
        cmocka_unit_test(fails_the_nth_allocation_once),
        cmocka_unit_test(fails_from_the_nth_on),
    };
    return TERN_TEST_MAIN(tests);
}
