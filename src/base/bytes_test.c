/* Bytes: byte order, hex, wiping, comparison. */
#include "base/bytes.h"

#include <tern/error.h>

#include "base/test.h"

static void byte_orders(void **state)
{
    (void)state;
    uint8_t p[8];
    tern_put64(p, 0x0102030405060708);
    assert_memory_equal(p, "\1\2\3\4\5\6\7\10", 8);
    assert_int_equal(tern_get16(p), 0x0102);
    assert_int_equal(tern_get32(p), 0x01020304);
    assert_int_equal(tern_get64(p), 0x0102030405060708);
    assert_int_equal(tern_get64_le(p), 0x0807060504030201);
    tern_put64_le(p, 0x0102030405060708);
    assert_memory_equal(p, "\10\7\6\5\4\3\2\1", 8);
    tern_put64(p, UINT64_MAX);
    assert_true(tern_get64(p) == UINT64_MAX && tern_get64_le(p) == UINT64_MAX);
    tern_put16(p, 0xfffe);
    assert_int_equal(tern_get16(p), 0xfffe);
}

static void span_totals(void **state)
{
    (void)state;
    const tern_span v[] = {{NULL, 0}, {(const uint8_t *)"ab", 2}, {(const uint8_t *)"cde", 3}};
    assert_int_equal(tern_span_total(v, 3), 5);
    assert_int_equal(tern_span_total(v, 1), 0);
    assert_int_equal(tern_span_total(NULL, 0), 0);
}

static void wiping(void **state)
{
    (void)state;
    uint8_t p[5] = {1, 2, 3, 4, 5};
    tern_wipe(p + 1, 3);
    assert_memory_equal(p, "\1\0\0\0\5", 5);
    tern_wipe(NULL, 0);
}

static void comparing(void **state)
{
    (void)state;
    assert_true(tern_eq_ct("abcd", "abcd", 4));
    assert_false(tern_eq_ct("abcd", "abce", 4));
    assert_false(tern_eq_ct("xbcd", "abcd", 4));
    assert_true(tern_eq_ct("x", "y", 0));
}

static void hex_both_ways(void **state)
{
    (void)state;
    char text[9];
    uint8_t p[4];
    tern_hex(text, (const uint8_t *)"\x00\x7f\x80\xff", 4);
    assert_string_equal(text, "007f80ff");
    assert_int_equal(tern_unhex(p, 4, "007F80fF", 8), 4);
    assert_memory_equal(p, "\x00\x7f\x80\xff", 4);
    tern_hex(text, p, 0);
    assert_string_equal(text, "");
    assert_int_equal(tern_unhex(p, 0, "", 0), 0);
}

static void hex_that_is_none(void **state)
{
    (void)state;
    uint8_t p[4];
    assert_int_equal(tern_unhex(p, 4, "abc", 3), TERN_E_MALFORMED);
    assert_int_equal(tern_unhex(p, 4, "0g", 2), TERN_E_MALFORMED);
    assert_int_equal(tern_unhex(p, 4, "@0", 2), TERN_E_MALFORMED);
    assert_int_equal(tern_unhex(p, 4, "`0", 2), TERN_E_MALFORMED);
    assert_int_equal(tern_unhex(p, 4, "0x12", 4), TERN_E_MALFORMED);
    assert_int_equal(tern_unhex(p, 1, "0011", 4), TERN_E_TOO_LARGE);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(byte_orders),   cmocka_unit_test(span_totals),
        cmocka_unit_test(wiping),        cmocka_unit_test(comparing),
        cmocka_unit_test(hex_both_ways), cmocka_unit_test(hex_that_is_none),
    };
    return TERN_TEST_MAIN(tests);
}
