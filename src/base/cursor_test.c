/* A list of spans cut at any places, into any number of pieces: no byte lost, none twice. */
#include "base/cursor.h"

#include "base/test.h"

static const uint8_t text[] = "abcdefghij";
static const tern_span list[] = {{text, 3}, {NULL, 0}, {text + 3, 1}, {text + 4, 6}, {NULL, 0}};

static void every_cut(void **state)
{
    (void)state;
    for (size_t step = 1; step <= 10; step++) {
        for (unsigned cap = 1; cap <= 4; cap++) {
            tern_cursor c = {list, 0};
            for (size_t at = 0; at < 10;) {
                tern_span v[4];
                unsigned count;
                size_t want = step < 10 - at ? step : 10 - at, sum = 0;
                size_t n = tern_cursor_slice(&c, want, v, cap, &count);
                assert_true(n > 0 && n <= want && count > 0 && count <= cap);
                assert_true(n == want || count == cap);
                for (unsigned i = 0; i < count; i++) {
                    assert_true(v[i].len > 0);
                    assert_memory_equal(v[i].data, text + at + sum, v[i].len);
                    sum += v[i].len;
                }
                assert_int_equal(sum, n);
                at += n;
            }
        }
    }
}

static void nothing_to_step_over(void **state)
{
    (void)state;
    tern_cursor c = {list, 0};
    tern_span v;
    unsigned count = 7;
    assert_int_equal(tern_cursor_slice(&c, 0, &v, 1, &count), 0);
    assert_int_equal(count, 0);
    assert_int_equal(c.at, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_cut),
        cmocka_unit_test(nothing_to_step_over),
    };
    return TERN_TEST_MAIN(tests);
}
