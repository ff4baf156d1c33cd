/* Multibase: RFC 4648 and multibase vectors, peer ids in three bases, strictness, bounds. */
#include "codec/multibase.h"

#include <tern/error.h>

#include "base/test.h"

static const struct {
    const char *bytes, *text; /* bytes in hex */
} vectors[] = {
    /* RFC 4648 section 10, unpadded where the base is */
    {"", "u"},
    {"66", "mZg"},
    {"666f", "mZm8"},
    {"666f6f", "mZm9v"},
    {"666f6f62", "MZm9vYg=="},
    {"666f6f6261", "MZm9vYmE="},
    {"666f6f626172", "MZm9vYmFy"},
    {"66", "bmy"},
    {"666f", "bmzxq"},
    {"666f6f", "bmzxw6"},
    {"666f6f62", "bmzxw6yq"},
    {"666f6f6261", "bmzxw6ytb"},
    {"666f6f626172", "bmzxw6ytboi"},
    {"666f6f626172", "f666f6f626172"},
    /* multibase: "yes mani !" */
    {"796573206d616e692021", "f796573206d616e692021"},
    {"796573206d616e692021", "F796573206D616E692021"},
    {"796573206d616e692021", "bpfsxgidnmfxgsibb"},
    {"796573206d616e692021", "BPFSXGIDNMFXGSIBB"},
    {"796573206d616e692021", "k2lcpzo5yikidynfl"},
    {"796573206d616e692021", "K2LCPZO5YIKIDYNFL"},
    {"796573206d616e692021", "z7paNL19xttacUY"},
    {"796573206d616e692021", "meWVzIG1hbmkgIQ"},
    {"796573206d616e692021", "MeWVzIG1hbmkgIQ=="},
    {"796573206d616e692021", "ueWVzIG1hbmkgIQ"},
    {"796573206d616e692021", "UeWVzIG1hbmkgIQ=="},
    /* leading zeros */
    {"0000796573206d616e692021", "z117paNL19xttacUY"},
    {"00", "z1"},
    {"00", "k0"},
    {"0000", "k00"},
    {"fbff", "u-_8"},
    {"fbff", "m+/8"},
    /* an Ed25519 peer id */
    {"0024080112201ed1e8fae2c4a144b8be8fd4b47bf3d3b34b871c3cacf6010f0e42d474fce27e",
     "z12D3KooWBtg3aaRMjxwedh83aGiUkwSxDwUZkzuJcfaqUmo7R3pq"},
    {"01720024080112201ed1e8fae2c4a144b8be8fd4b47bf3d3b34b871c3cacf6010f0e42d474fce27e",
     "k51qzi5uqu5dgy8qsq67hbz73jqkw87l3fgf4a91qb0d9b5173tir7n4vxk1oe"},
    {"01720024080112201ed1e8fae2c4a144b8be8fd4b47bf3d3b34b871c3cacf6010f0e42d474fce27e",
     "bafzaajaiaejcahwr5d5ofrfbis4l5d6uwr57hu5tjodrypfm6yaq6dsc2r2pzyt6"},
};

static void vectors_both_ways(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof vectors / sizeof vectors[0]; i++) {
        uint8_t bytes[64], out[64];
        char text[128];
        const char *want = vectors[i].text;
        size_t n = tern_test_unhex(bytes, sizeof bytes, vectors[i].bytes), len = strlen(want);
        assert_int_equal(tern_multibase_encode(want[0], bytes, n, text, sizeof text), len);
        assert_string_equal(text, want);
        assert_int_equal(tern_multibase_decode(want, len, out, sizeof out), n);
        assert_memory_equal(out, bytes, n);
        /* Exactly enough room, and one too little. */
        assert_int_equal(tern_multibase_encode(want[0], bytes, n, text, len + 1), len);
        assert_int_equal(tern_multibase_encode(want[0], bytes, n, text, len), TERN_E_TOO_LARGE);
        assert_int_equal(tern_multibase_decode(want, len, out, n), n);
        if (n > 0) {
            assert_int_equal(tern_multibase_decode(want, len, out, n - 1), TERN_E_TOO_LARGE);
        }
    }
}

static void case_where_it_does_not_matter(void **state)
{
    (void)state;
    static const char *const same[] = {"fDEADbeef", "Fdeadbeef", "b32W353Y",
                                       "B32w353y",  "k1Ps9Wxb",  "K1ps9wxb"};
    for (size_t i = 0; i < sizeof same / sizeof same[0]; i++) {
        uint8_t out[8];
        assert_int_equal(tern_multibase_decode(same[i], strlen(same[i]), out, sizeof out), 4);
        assert_memory_equal(out, "\xde\xad\xbe\xef", 4);
    }
}

static void malformed(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        int code;
    } wrong[] = {
        {"", TERN_E_MALFORMED},
        {"f0", TERN_E_MALFORMED},        /* half a byte */
        {"f0g", TERN_E_MALFORMED},       /* no digit */
        {"ba", TERN_E_MALFORMED},        /* five bits */
        {"bmz1", TERN_E_MALFORMED},      /* 1 is no digit */
        {"bmzx", TERN_E_MALFORMED},      /* a digit too many */
        {"bmz", TERN_E_MALFORMED},       /* left-over bits are not zero */
        {"bmy======", TERN_E_MALFORMED}, /* padding where there is none */
        {"mZ", TERN_E_MALFORMED},        /* six bits */
        {"mZh", TERN_E_MALFORMED},       /* left-over bits are not zero */
        {"mZg==", TERN_E_MALFORMED},     /* padding where there is none */
        {"m-_8", TERN_E_MALFORMED},      /* the digits of another alphabet */
        {"u+/8", TERN_E_MALFORMED},      /* the digits of another alphabet */
        {"MZg", TERN_E_MALFORMED},       /* padding is missing */
        {"MZg=", TERN_E_MALFORMED},      /* half of it is */
        {"MZ===", TERN_E_MALFORMED},     /* too much of it */
        {"MZm9v====", TERN_E_MALFORMED}, /* too much of it */
        {"MZ=9v", TERN_E_MALFORMED},     /* in the middle */
        {"z0", TERN_E_MALFORMED},        /* 0, O, I and l are no digits */
        {"zO", TERN_E_MALFORMED},
        {"zI", TERN_E_MALFORMED},
        {"zl", TERN_E_MALFORMED},
        {"k-", TERN_E_MALFORMED},
        {"\x80", TERN_E_UNSUPPORTED},
        {"x00", TERN_E_UNSUPPORTED},
        {"QmYyQSo1c1Ym7orWxLYvCrM2EmxFTANf8wXmmE7DWjhx5N", TERN_E_UNSUPPORTED},
    };
    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
        uint8_t out[64];
        ssize_t n = tern_multibase_decode(wrong[i].text, strlen(wrong[i].text), out, sizeof out);
        if (n != wrong[i].code) {
            fail_msg("'%s' gives %zd", wrong[i].text, n);
        }
    }
    uint8_t out[8];
    char text[8];
    assert_int_equal(tern_base_decode('f', "0\0001", 3, out, 8), TERN_E_MALFORMED);
    assert_int_equal(tern_base_decode('z', "1\0001", 3, out, 8), TERN_E_MALFORMED);
    assert_int_equal(tern_base_encode('x', out, 1, text, 8), TERN_E_UNSUPPORTED);
    assert_int_equal(tern_multibase_encode('f', out, 0, text, 1), TERN_E_TOO_LARGE);
    assert_int_equal(tern_base_encode('f', out, 0, text, 0), TERN_E_TOO_LARGE);
}

static void big_numbers_are_bounded(void **state)
{
    (void)state;
    char text[600];
    uint8_t bytes[300], out[300];
    memset(text, 'z', sizeof text);
    memset(bytes, 0xff, sizeof bytes);
    assert_int_equal(tern_base_decode('z', text, 257, out, sizeof out), TERN_E_TOO_LARGE);
    assert_int_equal(tern_base_decode('z', text, 256, out, sizeof out), 188);
    assert_int_equal(tern_base_decode('k', text, 256, out, sizeof out), 166);
    assert_int_equal(tern_base_encode('z', bytes, 257, text, sizeof text), TERN_E_TOO_LARGE);
    assert_int_equal(tern_base_encode('z', bytes, 256, text, sizeof text), 350);
    assert_int_equal(tern_base_encode('k', bytes, 256, text, sizeof text), 397);
    memset(text, '1', 256);
    assert_int_equal(tern_base_decode('z', text, 256, out, sizeof out), 256);
}

/* Every length and a mix of bytes, through every base. */
static void round_trips(void **state)
{
    (void)state;
    uint8_t bytes[70], out[70];
    char text[200];
    uint32_t random = 7;
    for (size_t n = 0; n <= sizeof bytes; n++) {
        for (size_t i = 0; i < n; i++) {
            random = random * 1664525 + 1013904223;
            bytes[i] = i < n % 4 ? 0 : (uint8_t)(random >> 24);
        }
        for (const char *prefix = "fFbBkKzmMuU"; *prefix != '\0'; prefix++) {
            ssize_t len = tern_multibase_encode(*prefix, bytes, n, text, sizeof text);
            assert_true(len > 0);
            assert_int_equal(tern_multibase_decode(text, (size_t)len, out, sizeof out), n);
            assert_memory_equal(out, bytes, n);
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(vectors_both_ways), cmocka_unit_test(case_where_it_does_not_matter),
        cmocka_unit_test(malformed),         cmocka_unit_test(big_numbers_are_bounded),
        cmocka_unit_test(round_trips),
    };
    return TERN_TEST_MAIN(tests);
}
