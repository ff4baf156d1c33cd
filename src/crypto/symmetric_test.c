/* The primitives against their RFCs' vectors and against each other; wrong tags, keys and points.
 */
#include "base/test.h"

#include <tern/error.h>

#include "crypto/symmetric.h"

static const tern_span none = {NULL, 0};

static void expect_hex(const uint8_t *p, size_t n, const char *hex)
{
    uint8_t want[256];
    assert_int_equal(tern_test_unhex(want, sizeof want, hex), n);
    assert_memory_equal(p, want, n);
}

/* RFC 8439, section 2.8.2. */
static const char rfc8439_key[] =
    "808182838485868788898a8b8c8d8e8f909192939495969798999a9b9c9d9e9f";
static const char rfc8439_nonce[] = "070000004041424344454647";
static const char rfc8439_ad[] = "50515253c0c1c2c3c4c5c6c7";
static const char rfc8439_text[] = "Ladies and Gentlemen of the class of '99: If I could offer you "
                                   "only one tip for the future, sunscreen would be it.";
static const char rfc8439_sealed[] =
    "d31a8d34648e60db7b86afbc53ef7ec2a4aded51296e08fea9e2b5a736ee62d6"
    "3dbea45e8ca9671282fafb69da92728b1a71de0a9e060b2905d6a5b67ecd3b36"
    "92ddbd7f2d778b8c9803aee328091b58fab324e4fad675945585808b4831d7bc"
    "3ff4def08e4b7a9de576d26586cec64b61161ae10b594f09e26a7e902ecbd0600691";

struct aead_case {
    tern_aead *aead;
    uint8_t nonce[TERN_AEAD_NONCE], ad_bytes[12];
    tern_span ad;
    size_t n; /* of the sealed bytes */
    uint8_t sealed[160];
};

static void aead_setup(struct aead_case *c)
{
    uint8_t key[TERN_AEAD_KEY];
    tern_test_unhex(key, sizeof key, rfc8439_key);
    tern_test_unhex(c->nonce, sizeof c->nonce, rfc8439_nonce);
    c->ad = (tern_span){c->ad_bytes, tern_test_unhex(c->ad_bytes, sizeof c->ad_bytes, rfc8439_ad)};
    c->n = tern_test_unhex(c->sealed, sizeof c->sealed, rfc8439_sealed);
    c->aead = tern_aead_new(TERN_CHACHA20_POLY1305, key);
    assert_non_null(c->aead);
}

static void aead_rfc8439(void **state)
{
    (void)state;
    struct aead_case c;
    aead_setup(&c);
    uint8_t out[160];
    const uint8_t *text = (const uint8_t *)rfc8439_text;
    size_t n = strlen(rfc8439_text);
    /* Whole, then cut in two at every place with an empty span between, with one context. */
    for (size_t cut = 0; cut <= n; cut++) {
        const tern_span v[] = {{text, cut}, none, {text + cut, n - cut}};
        assert_int_equal(tern_aead_seal(c.aead, c.nonce, c.ad, v, 3, out), 0);
        assert_memory_equal(out, c.sealed, c.n);
    }
    assert_int_equal(tern_aead_open(c.aead, c.nonce, c.ad, out, c.n), 0);
    assert_memory_equal(out, text, n);
    /* In place. */
    const tern_span here = {out, n};
    assert_int_equal(tern_aead_seal(c.aead, c.nonce, c.ad, &here, 1, out), 0);
    assert_memory_equal(out, c.sealed, c.n);
    tern_aead_free(c.aead);
}

/* Long messages, cut into spans at every kind of place: the same bytes as in one piece, and as one
 * call of OpenSSL would make them (its tag for these 5000 bytes). */
static void aead_spans_of_long_messages(void **state)
{
    enum { N = 5000 };
    (void)state;
    struct aead_case c;
    static uint8_t text[N], whole[N + TERN_AEAD_TAG], out[N + TERN_AEAD_TAG];
    static const size_t steps[] = {1, 3, 12, 64, 511, 1023, 1024, 1025, 2048, 4999};
    aead_setup(&c);
    for (size_t i = 0; i < N; i++) {
        text[i] = (uint8_t)(i * 7 + i / 256);
    }
    assert_int_equal(tern_aead_seal(c.aead, c.nonce, c.ad, &(tern_span){text, N}, 1, whole), 0);
    expect_hex(whole + N, TERN_AEAD_TAG, "c51f73ca2a59f85f646c9f91c88e03b4");
    for (size_t k = 0; k < sizeof steps / sizeof *steps; k++) {
        tern_span v[N];
        unsigned n = 0;
        for (size_t at = 0; at < N; at += v[n++].len) {
            size_t len = (n & 1) != 0 ? 12 : steps[k];
            v[n] = (tern_span){text + at, len < N - at ? len : N - at};
        }
        assert_int_equal(tern_aead_seal(c.aead, c.nonce, c.ad, v, n, out), 0);
        assert_memory_equal(out, whole, sizeof whole);
        assert_int_equal(tern_aead_open(c.aead, c.nonce, c.ad, out, sizeof out), 0);
        assert_memory_equal(out, text, N);
        assert_int_equal(tern_aead_seal(c.aead, c.nonce, c.ad, &(tern_span){out, N}, 1, out), 0);
        assert_memory_equal(out, whole, sizeof whole);
    }
    tern_aead_free(c.aead);
}

/* "ping" under nonce 0, from the libp2p Noise exchange of two fixed identities. */
static void aead_noise_transport(void **state)
{
    (void)state;
    uint8_t key[32], out[20];
    const uint8_t nonce[TERN_AEAD_NONCE] = {0};
    const tern_span ping = {(const uint8_t *)"ping", 4};
    tern_test_unhex(key, sizeof key,
                    "141399b149034c671cc52b0ec1fcb71262d7ad66908d693bebe61b7b96344a35");
    tern_aead *c = tern_aead_new(TERN_CHACHA20_POLY1305, key);
    assert_non_null(c);
    assert_int_equal(tern_aead_seal(c, nonce, none, &ping, 1, out), 0);
    expect_hex(out, sizeof out, "572fd6c78f344ddaf4d3f41bbebc2f8b9c1e48a5");
    tern_aead_free(c);
}

/* Every flipped bit is noticed, the plaintext is not left behind, and the context still works. */
static void aead_refuses_changes(void **state)
{
    (void)state;
    struct aead_case c;
    uint8_t p[160];
    static const uint8_t zero[160];
    aead_setup(&c);
    for (size_t bit = 0; bit < c.n * 8; bit++) {
        memcpy(p, c.sealed, c.n);
        p[bit / 8] ^= (uint8_t)(1u << (bit % 8));
        assert_int_equal(tern_aead_open(c.aead, c.nonce, c.ad, p, c.n), TERN_E_CRYPTO);
        assert_memory_equal(p, zero, c.n);
    }
    for (size_t n = 0; n < c.n; n++) {
        memcpy(p, c.sealed, c.n);
        assert_int_equal(tern_aead_open(c.aead, c.nonce, c.ad, p, n), TERN_E_CRYPTO);
    }
    memcpy(p, c.sealed, c.n);
    assert_int_equal(tern_aead_open(c.aead, c.nonce, none, p, c.n), TERN_E_CRYPTO);
    memcpy(p, c.sealed, c.n);
    c.nonce[11] ^= 1;
    assert_int_equal(tern_aead_open(c.aead, c.nonce, c.ad, p, c.n), TERN_E_CRYPTO);
    c.nonce[11] ^= 1;
    memcpy(p, c.sealed, c.n);
    assert_int_equal(tern_aead_open(c.aead, c.nonce, c.ad, p, c.n), 0);
    tern_aead_free(c.aead);
}

/* The smallest and the largest frame of Noise. */
static void aead_sizes(void **state)
{
    (void)state;
    static uint8_t text[65519], out[65535];
    const uint8_t key[32] = {7}, nonce[12] = {0};
    tern_aead *c = tern_aead_new(TERN_CHACHA20_POLY1305, key);
    assert_non_null(c);
    memset(text, 0x5a, sizeof text);
    assert_int_equal(tern_aead_seal(c, nonce, none, NULL, 0, out), 0);
    assert_int_equal(tern_aead_open(c, nonce, none, out, TERN_AEAD_TAG), 0);
    assert_int_equal(tern_aead_seal(c, nonce, none, &(tern_span){text, sizeof text}, 1, out), 0);
    assert_int_equal(tern_aead_open(c, nonce, none, out, sizeof out), 0);
    assert_memory_equal(out, text, sizeof text);
    tern_aead_free(c);
    tern_aead_free(NULL);
}

static void aead_without_memory(void **state)
{
    (void)state;
    const uint8_t key[32] = {7};
    tern_mem_fail_at(1, 0);
    assert_null(tern_aead_new(TERN_CHACHA20_POLY1305, key));
    tern_mem_fail_at(0, 0);
}

/* RFC 7748, sections 5.2 and 6.1; the last is the ephemeral key of the Noise exchange. */
static const struct x25519_row {
    const char *secret, *peer, *shared;
} x25519_rows[] = {
    {"a546e36bf0527c9d3b16154b82465edd62144c0ac1fc5a18506a2244ba449ac4",
     "e6db6867583030db3594c1a424b15f7c726624ec26b3353b10a903a6d0ab1c4c",
     "c3da55379de9c6908e94ea4df28d084f32eccf03491c71f754b4075577a28552"},
    {"5dab087e624a8a4b79e17f8b83800ee66f3bb1292618b6fd1c2f8b27ff88e0eb",
     "8520f0098930a754748b7ddcb43ef75a0dbf3a0d26381af4eba4a98eaa9b4e6a",
     "4a5d9d5ba4ce2de1728e3bf480350f25e07e21c947d19e3376f09b3c1e161742"},
};

static const struct x25519_public_row {
    const char *secret, *point;
} x25519_public_rows[] = {
    {"5dab087e624a8a4b79e17f8b83800ee66f3bb1292618b6fd1c2f8b27ff88e0eb",
     "de9edb7d7b7dc1b4d35b61c2ece435373f8343c85b78674dadfc7e146f882b4f"},
    {"2222222222222222222222222222222222222222222222222222222222222222",
     "0faa684ed28867b97f4a6a2dee5df8ce974e76b7018e3f22a1c4cf2678570f20"},
};

static void x25519_vectors(void **state)
{
    (void)state;
    uint8_t secret[32], peer[32], out[32];
    for (size_t i = 0; i < sizeof x25519_rows / sizeof x25519_rows[0]; i++) {
        tern_test_unhex(secret, 32, x25519_rows[i].secret);
        tern_test_unhex(peer, 32, x25519_rows[i].peer);
        assert_int_equal(tern_x25519(secret, peer, out), 0);
        expect_hex(out, 32, x25519_rows[i].shared);
    }
    for (size_t i = 0; i < sizeof x25519_public_rows / sizeof x25519_public_rows[0]; i++) {
        tern_test_unhex(secret, 32, x25519_public_rows[i].secret);
        assert_int_equal(tern_x25519_public(secret, out), 0);
        expect_hex(out, 32, x25519_public_rows[i].point);
    }
}

/* Points of small order give zero, whatever the secret (RFC 7748, section 6.1). */
static const char *const x25519_small[] = {
    "0000000000000000000000000000000000000000000000000000000000000000",
    "0100000000000000000000000000000000000000000000000000000000000000",
    "e0eb7a7c3b41b8ae1656e3faf19fc46ada098deb9c32b1fd866205165f49b800",
    "5f9c95bca3508c24b1d0b1559c83ef5b04445cc4581c8e86d8224eddd09f1157",
    "ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
    "edffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
    "eeffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
};

static void x25519_refuses_small_order(void **state)
{
    (void)state;
    uint8_t secret[32], peer[32], out[32], untouched[32];
    memset(out, 0xcc, 32);
    memset(untouched, 0xcc, 32);
    tern_random(secret, 32);
    for (size_t i = 0; i < sizeof x25519_small / sizeof x25519_small[0]; i++) {
        tern_test_unhex(peer, 32, x25519_small[i]);
        for (int bit = 0; bit < 2; bit++) { /* the top bit is not looked at */
            peer[31] ^= (uint8_t)(bit << 7);
            assert_int_equal(tern_x25519(secret, peer, out), TERN_E_CRYPTO);
            assert_memory_equal(out, untouched, 32);
        }
    }
}

/* RFC 7748, section 5: of a secret five bits are set or cleared; of a point the top bit is not
 * looked at, and p + u is taken for u. */
static void x25519_takes_other_forms(void **state)
{
    (void)state;
    uint8_t secret[32], peer[32], out[32], same[32];
    tern_random(secret, 32);
    for (uint8_t u = 2; u < 19; u++) {
        memset(peer, 0, 32);
        peer[0] = u;
        assert_int_equal(tern_x25519(secret, peer, out), 0);
        secret[0] ^= (uint8_t)(u & 7);
        secret[31] ^= (uint8_t)(u << 6);
        peer[31] = 0x80;
        assert_int_equal(tern_x25519(secret, peer, same), 0);
        assert_memory_equal(out, same, 32);
        memset(peer, 0xff, 32);
        peer[0] = (uint8_t)(0xed + u);
        peer[31] = 0x7f;
        assert_int_equal(tern_x25519(secret, peer, same), 0);
        assert_memory_equal(out, same, 32);
    }
    memset(peer, 0, 32);
    peer[0] = 9;
    assert_int_equal(tern_x25519(secret, peer, out), 0);
    assert_int_equal(tern_x25519_public(secret, same), 0);
    assert_memory_equal(out, same, 32);
}

/* RFC 4231 cases 1, 2 and 6, FIPS 180 "abc", the WebSocket accept key of RFC 6455, section 1.3. */
static void hashes(void **state)
{
    (void)state;
    uint8_t out[32], key[20];
    const tern_span abc[] = {{(const uint8_t *)"a", 1}, none, {(const uint8_t *)"bc", 2}};
    assert_int_equal(tern_sha256(abc, 3, out), 0);
    expect_hex(out, 32, "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
    assert_int_equal(tern_sha256(NULL, 0, out), 0);
    expect_hex(out, 32, "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");

    const char *accept = "dGhlIHNhbXBsZSBub25jZQ==258EAFA5-E914-47DA-95CA-C5AB0DC85B11";
    assert_int_equal(tern_sha1(accept, strlen(accept), out), 0);
    expect_hex(out, 20, "b37a4f2cc0624f1690f64606cf385945b2bec4ea");

    const tern_span there[] = {{(const uint8_t *)"Hi ", 3}, {(const uint8_t *)"There", 5}};
    memset(key, 0x0b, sizeof key);
    assert_int_equal(tern_hmac_sha256(key, sizeof key, there, 2, out), 0);
    expect_hex(out, 32, "b0344c61d8db38535ca8afceaf0bf12b881dc200c9833da726e9376c2e32cff7");
    const tern_span what = {(const uint8_t *)"what do ya want for nothing?", 28};
    assert_int_equal(tern_hmac_sha256((const uint8_t *)"Jefe", 4, &what, 1, out), 0);
    expect_hex(out, 32, "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843");
    uint8_t long_key[131]; /* case 6: longer than a block */
    const char *text = "Test Using Larger Than Block-Size Key - Hash Key First";
    const tern_span larger = {(const uint8_t *)text, strlen(text)};
    memset(long_key, 0xaa, sizeof long_key);
    assert_int_equal(tern_hmac_sha256(long_key, sizeof long_key, &larger, 1, out), 0);
    expect_hex(out, 32, "60e431591ee0b67f0d8a26aacbf5b77f8e0bc6213728c5140546040f0ee37f54");
}

/* RFC 5869, appendix A, cases 1 to 3. */
static const struct hkdf_row {
    const char *secret, *salt, *info, *out;
} hkdf_rows[] = {
    {"0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b", "000102030405060708090a0b0c",
     "f0f1f2f3f4f5f6f7f8f9",
     "3cb25f25faacd57a90434f64d0362f2a2d2d0a90cf1a5a4c5db02d56ecc4c5bf34007208d5b887185865"},
    {"000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f20212223242526272829"
     "2a2b2c2d2e2f303132333435363738393a3b3c3d3e3f404142434445464748494a4b4c4d4e4f",
     "606162636465666768696a6b6c6d6e6f707172737475767778797a7b7c7d7e7f80818283848586878889"
     "8a8b8c8d8e8f909192939495969798999a9b9c9d9e9fa0a1a2a3a4a5a6a7a8a9aaabacadaeaf",
     "b0b1b2b3b4b5b6b7b8b9babbbcbdbebfc0c1c2c3c4c5c6c7c8c9cacbcccdcecfd0d1d2d3d4d5d6d7d8d9"
     "dadbdcdddedfe0e1e2e3e4e5e6e7e8e9eaebecedeeeff0f1f2f3f4f5f6f7f8f9fafbfcfdfeff",
     "b11e398dc80327a1c8e7f78c596a49344f012eda2d4efad8a050cc4c19afa97c59045a99cac7827271cb"
     "41c65e590e09da3275600c2f09b8367793a9aca3db71cc30c58179ec3e87c14c01d5c1f3434f1d87"},
    {"0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b", "", "",
     "8da4e775a563c18f715f802a063c5a31b8a11f5c5ee1879ec3454e5f3c738d2d9d201395faa4b61a96c8"},
};

static void hkdf_vectors(void **state)
{
    (void)state;
    uint8_t secret[80], salt[80], info[80], want[82], out[82];
    for (size_t i = 0; i < sizeof hkdf_rows / sizeof hkdf_rows[0]; i++) {
        const struct hkdf_row *r = &hkdf_rows[i];
        tern_span s = {secret, tern_test_unhex(secret, sizeof secret, r->secret)};
        tern_span t = {salt, tern_test_unhex(salt, sizeof salt, r->salt)};
        tern_span f = {info, tern_test_unhex(info, sizeof info, r->info)};
        size_t n = tern_test_unhex(want, sizeof want, r->out);
        /* A shorter output is a prefix of a longer one. */
        for (size_t k = 0; k <= n; k++) {
            memset(out, 0, sizeof out);
            assert_int_equal(tern_hkdf(s, t, f, out, k), 0);
            assert_memory_equal(out, want, k);
            assert_true(k == sizeof out || out[k] == 0);
        }
    }
    static uint8_t most[255 * 32 + 1];
    const tern_span s = {(const uint8_t *)"s", 1};
    assert_int_equal(tern_hkdf(s, none, none, most, sizeof most - 1), 0);
    assert_int_equal(tern_hkdf(s, none, none, most, sizeof most), TERN_E_INVALID);
}

/* Chaining key 00..1f without input: the Split of Noise. The outputs may replace the chaining key.
 */
static void hkdf2_of_noise(void **state)
{
    (void)state;
    uint8_t chaining[32], second[32];
    for (uint8_t i = 0; i < 32; i++) {
        chaining[i] = i;
    }
    assert_int_equal(tern_hkdf2(chaining, NULL, 0, chaining, second), 0);
    expect_hex(chaining, 32, "1d7e0d6f1d9da2d68dabed53b5f88345f3fd01cb75411fbe5aa4293bd8f430d6");
    expect_hex(second, 32, "3ed9b8035bbf370b8cfef7ff15007de45488e18660c84e3d996e8e6c658fa7f8");
}

static void random_fills(void **state)
{
    (void)state;
    uint8_t a[1000], b[1000];
    memset(a, 0, sizeof a);
    memset(b, 0, sizeof b);
    tern_random(a, sizeof a);
    tern_random(b, sizeof b);
    assert_memory_not_equal(a, b, sizeof a);
    /* Past the 256 bytes that one system call gives. */
    assert_memory_not_equal(a + 984, b + 984, 16);
    tern_random(a, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(aead_rfc8439),
        cmocka_unit_test(aead_spans_of_long_messages),
        cmocka_unit_test(aead_noise_transport),
        cmocka_unit_test(aead_refuses_changes),
        cmocka_unit_test(aead_sizes),
        cmocka_unit_test(aead_without_memory),
        cmocka_unit_test(x25519_vectors),
        cmocka_unit_test(x25519_refuses_small_order),
        cmocka_unit_test(x25519_takes_other_forms),
        cmocka_unit_test(hashes),
        cmocka_unit_test(hkdf_vectors),
        cmocka_unit_test(hkdf2_of_noise),
        cmocka_unit_test(random_fills),
    };
    return TERN_TEST_MAIN(tests);
}
