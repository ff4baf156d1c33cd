/* XSalsa20 against the key stream of a private network that rust-libp2p tests with, and in pieces
 * of every length. */
#include "crypto/xsalsa20.h"

#include "base/bytes.h"
#include "base/test.h"

static const char key_hex[] = "6189c5cf0b87fb800c1a9feeda73c6ab5e998db48fb9e6a978575c770ceef683";
/* With the nonce 00 01 .. 17. */
static const char stream_hex[] = "20847ee9fb08cb6a2da5306341e2cc059972d4d8b5c9c16e04c5c5f0cf8a15e7"
                                 "5e5c6b5fa06471a6f43a3212f4b28e5917255c07683849a5ad0b7bca72fc8013";

static void start(tern_xsalsa20 *c)
{
    uint8_t key[32], nonce[24];
    assert_int_equal(tern_unhex(key, sizeof key, key_hex, 64), 32);
    for (uint8_t i = 0; i < sizeof nonce; i++) {
        nonce[i] = i;
    }
    assert_int_equal(tern_xsalsa20_init(c, key, nonce), 0);
}

static void gives_the_known_key_stream(void **state)
{
    tern_xsalsa20 c;
    uint8_t zero[64] = {0}, out[64], expected[64];
    (void)state;
    assert_int_equal(tern_unhex(expected, sizeof expected, stream_hex, 128), 64);
    start(&c);
    tern_xsalsa20_xor(&c, out, zero, sizeof zero);
    assert_memory_equal(out, expected, sizeof out);
    tern_xsalsa20_clear(&c);
}

static void pieces_make_no_difference(void **state)
{
    enum { TOTAL = 1000 };
    static uint8_t in[TOTAL], whole[TOTAL], parts[TOTAL];
    tern_xsalsa20 c;
    (void)state;
    for (size_t i = 0; i < TOTAL; i++) {
        in[i] = (uint8_t)(i * 7);
    }
    start(&c);
    tern_xsalsa20_xor(&c, whole, in, TOTAL);
    for (size_t piece = 1; piece < 200; piece++) {
        memcpy(parts, in, TOTAL);
        start(&c);
        for (size_t at = 0; at < TOTAL; at += piece) {
            size_t n = TOTAL - at < piece ? TOTAL - at : piece;
            tern_xsalsa20_xor(&c, parts + at, parts + at, n); /* in place */
            tern_xsalsa20_xor(&c, NULL, NULL, 0);
        }
        assert_memory_equal(parts, whole, TOTAL);
    }
}

static void what_is_cleared_is_wiped(void **state)
{
    static const tern_xsalsa20 zero;
    tern_xsalsa20 c;
    (void)state;
    memset(&c, 0, sizeof c);
    start(&c);
    tern_xsalsa20_clear(&c);
    assert_memory_equal(&c, &zero, sizeof c);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(gives_the_known_key_stream),
        cmocka_unit_test(pieces_make_no_difference),
        cmocka_unit_test(what_is_cleared_is_wiped),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
