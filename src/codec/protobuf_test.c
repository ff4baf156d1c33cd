/* Protobuf: fields of every wire type, foreign habits, malformed bytes, writing. */
#include "codec/protobuf.h"

#include <tern/error.h>

#include "base/test.h"

static void reads_every_wire_type(void **state)
{
    (void)state;
    uint8_t bytes[64];
    size_t n = tern_test_unhex(bytes, sizeof bytes,
                               "08ac02"             /* 1: 300 */
                               "110807060504030201" /* 2: fixed64 */
                               "1a03616263"         /* 3: "abc" */
                               "2504030201"         /* 4: fixed32 */
                               "2a00");             /* 5: "" */
    tern_pb r = tern_pb_read(bytes, n);
    uint64_t value = 0;
    tern_span body = {0};
    assert_true(tern_pb_next(&r) && r.field == 1 && tern_pb_uint(&r, &value));
    assert_int_equal(value, 300);
    assert_true(tern_pb_next(&r) && r.field == 2 && tern_pb_uint(&r, &value));
    assert_int_equal(value, 0x0102030405060708);
    assert_true(tern_pb_next(&r) && r.field == 3 && tern_pb_bytes(&r, &body));
    assert_int_equal(body.len, 3);
    assert_ptr_equal(body.data, bytes + 14);
    assert_true(tern_pb_next(&r) && r.field == 4 && tern_pb_uint(&r, &value));
    assert_int_equal(value, 0x01020304);
    assert_true(tern_pb_next(&r) && r.field == 5 && tern_pb_bytes(&r, &body));
    assert_int_equal(body.len, 0);
    assert_false(tern_pb_next(&r));
    assert_false(r.error);
}

static void empty_message_has_no_fields(void **state)
{
    (void)state;
    tern_pb r = tern_pb_read(NULL, 0);
    assert_false(tern_pb_next(&r));
    assert_false(r.error);
}

static void foreign_habits_are_taken(void **state)
{
    (void)state;
    static const struct {
        const char *hex;
        uint32_t field;
        uint64_t value;
    } cases[] = {
        {"08808000", 1, 0},                        /* padded value */
        {"0881808080808080808000", 1, 1},          /* padded to ten bytes */
        {"8800ff01", 1, 255},                      /* padded tag */
        {"08ffffffffffffffffff01", 1, UINT64_MAX}, /* -1 as ten bytes */
        {"f8ffffff0f00", (1U << 29) - 1, 0},       /* greatest field */
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        uint8_t bytes[32];
        uint64_t value = 99;
        size_t n = tern_test_unhex(bytes, sizeof bytes, cases[i].hex);
        tern_pb r = tern_pb_read(bytes, n);
        assert_true(tern_pb_next(&r));
        assert_int_equal(r.field, cases[i].field);
        assert_true(tern_pb_uint(&r, &value));
        assert_true(value == cases[i].value);
        assert_false(tern_pb_next(&r));
        assert_false(r.error);
    }
}

static void malformed(void **state)
{
    (void)state;
    static const char *const wrong[] = {
        "08",                       /* no value */
        "0880",                     /* value cut off */
        "80",                       /* tag cut off */
        "0000",                     /* field 0 */
        "0200",                     /* field 0 */
        "808080801000",             /* field 2^29 */
        "ffffffffffffffffff0100",   /* tag far too large */
        "08ffffffffffffffffff02",   /* more than 64 bits */
        "088080808080808080808001", /* eleven bytes */
        "0b",                       /* group begins */
        "0b0c",                     /* group */
        "0c",                       /* group ends */
        "0e00",                     /* wire type 6 */
        "0f00",                     /* wire type 7 */
        "0900000000000000",         /* fixed64 cut off */
        "0d000000",                 /* fixed32 cut off */
        "0a",                       /* no length */
        "0a01",                     /* one byte missing */
        "0a0361",                   /* two missing */
        "0affffffff0f61",           /* 4 GiB announced */
        "0affffffffffffffffff0161", /* 2^64 - 1 announced */
        "08000a05616263",           /* a good field first */
    };
    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
        uint8_t bytes[32];
        tern_pb r = tern_pb_read(bytes, tern_test_unhex(bytes, sizeof bytes, wrong[i]));
        while (tern_pb_next(&r)) {
        }
        if (!r.error) {
            fail_msg("%s is taken", wrong[i]);
        }
        assert_false(tern_pb_next(&r)); /* the walk has ended */
    }
}

static void wrong_wire_type_is_an_error(void **state)
{
    (void)state;
    uint64_t value = 99;
    tern_span body = {0};
    tern_pb r = tern_pb_read((const uint8_t *)"\x08\x01\x10\x02", 4);
    assert_true(tern_pb_next(&r));
    assert_false(tern_pb_bytes(&r, &body));
    assert_true(r.error);
    assert_false(tern_pb_next(&r));
    assert_false(tern_pb_uint(&r, &value));
    r = tern_pb_read((const uint8_t *)"\x0a\x01x", 3);
    assert_true(tern_pb_next(&r));
    assert_false(tern_pb_uint(&r, &value));
    assert_true(r.error);
    assert_int_equal(value, 99);
}

static void writes(void **state)
{
    (void)state;
    uint8_t want[64];
    tern_buf b;
    tern_buf_init(&b, 0);
    assert_int_equal(tern_pb_put_uint(&b, 1, 300), 0);
    assert_int_equal(tern_pb_put_uint(&b, 1, 0), 0);
    assert_int_equal(tern_pb_put_uint(&b, 16, UINT64_MAX), 0);
    assert_int_equal(tern_pb_put_fixed64(&b, 2, 0x0102030405060708), 0);
    assert_int_equal(tern_pb_put_bytes(&b, 3, "abc", 3), 0);
    assert_int_equal(tern_pb_put_bytes(&b, 3, NULL, 0), 0);
    assert_int_equal(tern_pb_put_string(&b, (1U << 29) - 1, "x"), 0);
    size_t n = tern_test_unhex(want, sizeof want,
                               "08ac02"                   /* 1: 300 */
                               "0800"                     /* 1: 0 */
                               "8001ffffffffffffffffff01" /* 16: -1 */
                               "110807060504030201"       /* 2: fixed64 */
                               "1a03616263"               /* 3: "abc" */
                               "1a00"                     /* 3: "" */
                               "faffffff0f0178");         /* the greatest field: "x" */
    assert_int_equal(tern_buf_len(&b), n);
    assert_memory_equal(tern_buf_data(&b), want, n);
    tern_buf_free(&b);
}

static void writes_all_of_a_field_or_nothing(void **state)
{
    (void)state;
    tern_buf b;
    tern_buf_init(&b, 6);
    assert_int_equal(tern_pb_put_bytes(&b, 1, "abcde", 5), TERN_E_TOO_LARGE);
    assert_int_equal(tern_buf_len(&b), 0);
    assert_int_equal(tern_pb_put_bytes(&b, 1, "abc", 3), 0);
    assert_int_equal(tern_pb_put_uint(&b, 1, 1), TERN_E_TOO_LARGE);
    assert_int_equal(tern_pb_put_bytes(&b, 1, "abc", SIZE_MAX), TERN_E_TOO_LARGE);
    assert_int_equal(tern_buf_len(&b), 5);
    tern_buf_free(&b);
    tern_buf_init(&b, 0);
    tern_mem_fail_at(1, 0);
    assert_int_equal(tern_pb_put_string(&b, 1, "x"), TERN_E_NOMEM);
    tern_mem_fail_at(0, 0);
    assert_int_equal(tern_buf_len(&b), 0);
    tern_buf_free(&b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(reads_every_wire_type),
        cmocka_unit_test(empty_message_has_no_fields),
        cmocka_unit_test(foreign_habits_are_taken),
        cmocka_unit_test(malformed),
        cmocka_unit_test(wrong_wire_type_is_an_error),
        cmocka_unit_test(writes),
        cmocka_unit_test(writes_all_of_a_field_or_nothing),
    };
    return TERN_TEST_MAIN(tests);
}
