/* Varints: the specification's vectors, edges, every cut. */
#include "codec/varint.h"

#include <tern/error.h>

#include "base/test.h"

static const struct {
    uint64_t value;
    const char *hex;
} vectors[] = {
    {0, "00"},
    {1, "01"},
    {127, "7f"},
    {128, "8001"},
    {255, "ff01"},
    {300, "ac02"},
    {16383, "ff7f"},
    {16384, "808001"},
    {UINT32_MAX, "ffffffff0f"},
    {INT64_MAX, "ffffffffffffffff7f"},
};

static void vectors_both_ways(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof vectors / sizeof vectors[0]; i++) {
        uint8_t bytes[16], out[TERN_VARINT_MAX];
        uint64_t value = 99;
        size_t n = tern_test_unhex(bytes, sizeof bytes, vectors[i].hex);
        for (size_t cut = 0; cut < n; cut++) {
            assert_int_equal(tern_varint_get(bytes, cut, &value), 0);
        }
        assert_int_equal(value, 99);
        bytes[n] = 0xff; /* what follows does not matter */
        assert_int_equal(tern_varint_get(bytes, n + 1, &value), n);
        assert_true(value == vectors[i].value);
        assert_int_equal(tern_varint_put(out, value), n);
        assert_memory_equal(out, bytes, n);
        assert_int_equal(tern_varint_len(value), n);
    }
}

static void malformed(void **state)
{
    (void)state;
    static const char *const wrong[] = {
        "8000",                 /* not minimal */
        "8100",                 /* not minimal */
        "ff8000",               /* not minimal */
        "80808080808080808000", /* not minimal, ten bytes */
        "ffffffffffffffffff01", /* ten bytes */
        "ffffffffffffffffff",   /* nine, and more to follow */
        "808080808080808080808001",
    };
    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
        uint8_t bytes[16];
        uint64_t value = 99;
        size_t n = tern_test_unhex(bytes, sizeof bytes, wrong[i]);
        assert_int_equal(tern_varint_get(bytes, n, &value), TERN_E_MALFORMED);
        assert_int_equal(value, 99);
    }
}

static void protobuf_may_write_ten_bytes(void **state)
{
    (void)state;
    uint8_t out[10];
    assert_int_equal(tern_varint_put(out, UINT64_MAX), 10);
    assert_int_equal(tern_varint_len(UINT64_MAX), 10);
    assert_memory_equal(out, "\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01", 10);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(vectors_both_ways),
        cmocka_unit_test(malformed),
        cmocka_unit_test(protobuf_may_write_ten_bytes),
    };
    return TERN_TEST_MAIN(tests);
}
