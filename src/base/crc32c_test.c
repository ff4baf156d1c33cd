/* CRC32C against the published values of RFC 3720, appendix B.4, with and without the instruction.
 */
#include "base/crc32c.h"

#include "base/test.h"

static void published(void **state)
{
    (void)state;
    uint8_t bytes[32];
    memset(bytes, 0, sizeof bytes);
    assert_int_equal(tern_crc32c(bytes, 32), 0x8a9136aa);
    memset(bytes, 0xff, sizeof bytes);
    assert_int_equal(tern_crc32c(bytes, 32), 0x62a8ab43);
    for (unsigned i = 0; i < 32; i++) {
        bytes[i] = (uint8_t)i;
    }
    assert_int_equal(tern_crc32c(bytes, 32), 0x46dd794e);
    for (unsigned i = 0; i < 32; i++) {
        bytes[i] = (uint8_t)(31 - i);
    }
    assert_int_equal(tern_crc32c(bytes, 32), 0x113fdb5c);
    assert_int_equal(tern_crc32c("123456789", 9), 0xe3069283);
}

static void both_ways_agree(void **state)
{
    (void)state;
    uint8_t bytes[300];
    for (unsigned i = 0; i < sizeof bytes; i++) {
        bytes[i] = (uint8_t)(i * 7 + 3);
    }
    for (size_t n = 0; n <= sizeof bytes; n++) {
        assert_int_equal(tern_crc32c(bytes, n), tern_crc32c_plain(bytes, n));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(published),
                                       cmocka_unit_test(both_ways_agree)};
    return TERN_TEST_MAIN(tests);
}
