/* Ed25519 at its edges: what a strict verifier must not take, made from honest signatures, and
 * every key that is no honest point. The vectors and the plain cases are in key_test.c. */
#include <tern/key.h>

#include "base/test.h"
#include "crypto/key.h"

enum { KEY = 36, POINT = 32, SIGNATURE = 64 };

/* The order of the base point, little-endian (RFC 8032, section 5.1). */
static const uint8_t order[POINT] = {0xed, 0xd3, 0xf5, 0x5c, 0x1a, 0x63, 0x12, 0x58,       0xd6,
                                     0x9c, 0xf7, 0xa2, 0xde, 0xf9, 0xde, 0x14, [31] = 0x10};
static const char *const small[] = {
    "0000000000000000000000000000000000000000000000000000000000000000",
    "0100000000000000000000000000000000000000000000000000000000000000",
    "26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05",
    "c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac037a",
    "ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
};
static const tern_span message = {(const uint8_t *)"tern", 4};

static tern_key *pair;
static uint8_t honest[SIGNATURE];

static int setup(void **state)
{
    (void)state;
    assert_int_equal(tern_key_generate(TERN_KEY_ED25519, &pair), 0);
    assert_int_equal(tern_key_sign(pair, &message, 1, honest, sizeof honest), SIGNATURE);
    assert_int_equal(tern_key_verify(pair, &message, 1, honest, SIGNATURE), 0);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    tern_key_unref(pair);
    return 0;
}

static void assert_refused(const uint8_t sig[SIGNATURE])
{
    assert_int_equal(tern_key_verify(pair, &message, 1, sig, SIGNATURE), TERN_E_SIGNATURE);
}

/* p + n of the field, n <= 18: a second encoding of n. */
static void beyond_p(unsigned n, bool sign, uint8_t out[POINT])
{
    memset(out, 0xff, POINT);
    out[0] = (uint8_t)(0xed + n);
    out[31] = sign ? 0xff : 0x7f;
}

static int key_code(const uint8_t point[POINT])
{
    uint8_t bytes[KEY] = {0x08, 0x01, 0x12, 0x20};
    tern_key *key;
    memcpy(bytes + 4, point, POINT);
    int code = tern_key_from_public(bytes, sizeof bytes, &key);
    if (code == 0) {
        tern_key_unref(key);
    }
    return code;
}

/* s + n L proves the same and is another signature: RFC 8032, section 5.1.7, step 1. */
static void s_has_one_form(void **state)
{
    (void)state;
    uint8_t sig[SIGNATURE];
    memcpy(sig, honest, sizeof sig);
    for (int n = 1; n < 15; n++) {
        unsigned carry = 0;
        for (int i = 0; i < POINT; i++) {
            carry += (unsigned)sig[32 + i] + order[i];
            sig[32 + i] = (uint8_t)carry;
            carry >>= 8;
        }
        assert_int_equal(carry, 0);
        assert_refused(sig);
    }
    memcpy(sig + 32, order, POINT); /* a second zero */
    assert_refused(sig);
    memset(sig + 32, 0xff, POINT);
    assert_refused(sig);
    for (int bit = 253; bit < 256; bit++) {
        memcpy(sig, honest, sizeof sig);
        sig[32 + bit / 8] ^= (uint8_t)(1u << (bit % 8));
        assert_refused(sig);
    }
}

/* Commitments of small order, in each form, with an honest s and with none. */
static void commitments_are_points(void **state)
{
    (void)state;
    uint8_t sig[SIGNATURE];
    for (int zero = 0; zero < 2; zero++) {
        memcpy(sig, honest, sizeof sig);
        if (zero) {
            memset(sig + 32, 0, POINT);
            assert_refused(sig);
        }
        for (int sign = 0; sign < 2; sign++) {
            for (size_t i = 0; i < sizeof small / sizeof small[0]; i++) {
                tern_test_unhex(sig, POINT, small[i]);
                sig[31] |= (uint8_t)(sign << 7);
                assert_refused(sig);
            }
            for (unsigned n = 0; n < 19; n++) {
                beyond_p(n, sign, sig);
                assert_refused(sig);
            }
        }
    }
}

static void keys_are_honest_points(void **state)
{
    (void)state;
    uint8_t point[POINT];
    for (int sign = 0; sign < 2; sign++) {
        for (size_t i = 0; i < sizeof small / sizeof small[0]; i++) {
            tern_test_unhex(point, POINT, small[i]);
            point[31] |= (uint8_t)(sign << 7);
            assert_int_equal(key_code(point), TERN_E_MALFORMED);
        }
        for (unsigned n = 0; n < 19; n++) {
            beyond_p(n, sign, point);
            assert_int_equal(key_code(point), TERN_E_MALFORMED);
        }
    }
    tern_test_unhex(point, POINT, small[4]); /* p - 1; below it there are others */
    point[0]--;
    assert_int_equal(key_code(point), 0);
}

/* One key's signature is none of another's, nor of its own negative. */
static void keys_are_not_mixed_up(void **state)
{
    (void)state;
    uint8_t bytes[KEY];
    size_t n;
    tern_key *negative;
    const uint8_t *own = tern_key_public(pair, &n);
    assert_int_equal(n, KEY);
    memcpy(bytes, own, KEY);
    bytes[KEY - 1] ^= 0x80;
    assert_int_equal(tern_key_from_public(bytes, KEY, &negative), 0);
    assert_int_equal(tern_key_verify(negative, &message, 1, honest, SIGNATURE), TERN_E_SIGNATURE);
    tern_key_unref(negative);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(s_has_one_form, setup, teardown),
        cmocka_unit_test_setup_teardown(commitments_are_points, setup, teardown),
        cmocka_unit_test(keys_are_honest_points),
        cmocka_unit_test_setup_teardown(keys_are_not_mixed_up, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
