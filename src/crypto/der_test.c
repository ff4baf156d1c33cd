/* DER elements: lengths in their one form, that fit; integers in their one form. */
#include "base/test.h"

#include "crypto/der.h"

static const struct row {
    const char *name, *hex;
    bool ok;
    size_t body_n, left;
} rows[] = {
    {"empty", "0400", true, 0, 0},
    {"one byte and a rest", "0401aabb", true, 1, 1},
    {"nothing", "", false, 0, 0},
    {"a tag alone", "04", false, 0, 0},
    {"another tag", "0500", false, 0, 0},
    {"length past the end", "0402aa", false, 0, 0},
    {"indefinite length", "0480aa0000", false, 0, 0},
    {"length 0x7f in two bytes", "04817f", false, 0, 0},
    {"length 0xff in three bytes", "048200ff", false, 0, 0},
    {"length of three bytes", "0483010000", false, 0, 0},
    {"length of 127 bytes", "04ff", false, 0, 0},
    {"length byte missing", "0481", false, 0, 0},
    {"second length byte missing", "048201", false, 0, 0},
    {"64 KiB announced", "0482ffff00", false, 0, 0},
};

static void elements(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        uint8_t bytes[64];
        tern_span in = {bytes, tern_test_unhex(bytes, sizeof bytes, rows[i].hex)}, body = {NULL, 0};
        size_t n = in.len;
        bool ok = tern_der_take(&in, 0x04, &body);
        size_t left = ok ? rows[i].left : n;
        if (ok != rows[i].ok || body.len != rows[i].body_n || in.len != left) {
            fail_msg("%s", rows[i].name);
        }
    }
}

/* Lengths around the borders of their forms, each also with every prefix of the element. */
static void long_elements(void **state)
{
    (void)state;
    static uint8_t bytes[4 + 0x1000];
    static const size_t sizes[] = {0x7f, 0x80, 0xff, 0x100, 0x1000};
    for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++) {
        size_t n = sizes[i], head = n < 0x80 ? 2 : n < 0x100 ? 3 : 4;
        bytes[0] = 0x30;
        bytes[1] = n < 0x80 ? (uint8_t)n : (uint8_t)(0x80 + head - 2);
        if (head == 3) {
            bytes[2] = (uint8_t)n;
        } else if (head == 4) {
            tern_put16(bytes + 2, (uint16_t)n);
        }
        for (size_t k = 0; k <= head + n; k++) {
            tern_span in = {bytes, k}, body;
            assert_int_equal(tern_der_take(&in, TERN_DER_SEQUENCE, &body), k == head + n);
            if (k == head + n) {
                assert_int_equal(body.len, n);
                assert_int_equal(in.len, 0);
            }
        }
    }
}

static const struct number {
    const char *name, *hex;
    int bits; /* -1: refused */
} numbers[] = {
    {"0", "020100", 0},
    {"1", "020101", 1},
    {"127", "02017f", 7},
    {"128", "02020080", 8},
    {"65537", "0203010001", 17},
    {"2^32 - 1", "020500ffffffff", 32},
    {"negative", "020180", -1},
    {"empty", "0200", -1},
    {"padded 1", "02020001", -1},
    {"padded 0", "02020000", -1},
    {"not an integer", "030101", -1},
};

static void integers(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof numbers / sizeof numbers[0]; i++) {
        uint8_t bytes[16];
        tern_span in = {bytes, tern_test_unhex(bytes, sizeof bytes, numbers[i].hex)}, n = {NULL, 0};
        bool ok = tern_der_take_uint(&in, &n);
        int bits = ok ? (int)tern_der_bits(n) : -1;
        if (bits != numbers[i].bits || (in.len == 0) != ok) {
            fail_msg("%s: %d bits", numbers[i].name, bits);
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(elements),
        cmocka_unit_test(long_elements),
        cmocka_unit_test(integers),
    };
    return TERN_TEST_MAIN(tests);
}
