/* Everything again with each allocation of OpenSSL's failing in turn: an error or the right answer,
 * never a crash, and the next call works. */
#include "base/test.h"

#include <openssl/evp.h>

#include "crypto/key_vectors_test.h"
#include "crypto/openssl_short_test.h"
#include "crypto/symmetric.h"

/* One operation: true when its result is right, false when it reports an error. A wrong result
 * fails the test by itself. */
typedef bool operation(void *arg);

static void each_failure(operation *run, void *arg)
{
    openssl_fail_at = 0;
    assert_true(run(arg)); /* what is made once a process is made here */
    for (size_t nth = 1;; nth++) {
        openssl_made = 0;
        openssl_fail_at = nth;
        bool ok = run(arg);
        bool whole = openssl_made < nth;
        openssl_fail_at = 0;
        assert_true(run(arg));
        if (whole) {
            assert_true(ok);
            return;
        }
        assert_true(nth < 100000);
    }
}

static bool aead(void *arg)
{
    (void)arg;
    static const uint8_t key[32] = {1}, nonce[12] = {0};
    uint8_t out[20], again[20];
    const tern_span text = {(const uint8_t *)"tern", 4}, none = {NULL, 0};
    tern_aead *c = tern_aead_new(TERN_CHACHA20_POLY1305, key);
    bool ok = c != NULL && tern_aead_seal(c, nonce, none, &text, 1, out) == 0;
    if (ok) {
        memcpy(again, out, sizeof again);
        ok = tern_aead_open(c, nonce, none, again, sizeof again) == 0;
        assert_true(!ok || memcmp(again, "tern", 4) == 0);
    }
    tern_aead_free(c);
    return ok;
}

static bool x25519(void *arg)
{
    (void)arg;
    static const uint8_t a[32] = {1}, b[32] = {2};
    uint8_t pa[32], pb[32], one[32], two[32];
    bool ok = tern_x25519_public(a, pa) == 0 && tern_x25519_public(b, pb) == 0 &&
              tern_x25519(a, pb, one) == 0 && tern_x25519(b, pa, two) == 0;
    assert_true(!ok || memcmp(one, two, 32) == 0);
    return ok;
}

static bool hashes(void *arg)
{
    (void)arg;
    const tern_span abc = {(const uint8_t *)"abc", 3};
    uint8_t out[32], a[32], b[32];
    return tern_sha256(&abc, 1, out) == 0 && tern_sha1("abc", 3, out) == 0 &&
           tern_hmac_sha256(out, 20, &abc, 1, a) == 0 && tern_hkdf2(a, out, 20, a, b) == 0;
}

/* Reads a private key, signs, reads the public half, verifies, and refuses another message. */
static bool identity(void *arg)
{
    const struct key_vector *v = arg;
    uint8_t pb[256], sig[TERN_SIGNATURE_MAX];
    const tern_span m = {(const uint8_t *)"m", 1}, other = {(const uint8_t *)"n", 1};
    tern_key *pair = NULL, *key = NULL;
    size_t n = tern_test_unhex(pb, sizeof pb, v->private_pb);
    bool ok = tern_key_from_private(pb, n, &pair) == 0;
    ssize_t sig_n = ok ? tern_key_sign(pair, &m, 1, sig, sizeof sig) : -1;
    n = tern_test_unhex(pb, sizeof pb, v->public_pb);
    ok = sig_n > 0 && tern_key_from_public(pb, n, &key) == 0;
    if (ok) {
        ok = tern_key_verify(key, &m, 1, sig, (size_t)sig_n) == 0;
        assert_int_not_equal(tern_key_verify(key, &other, 1, sig, (size_t)sig_n), 0);
    }
    tern_key_unref(key);
    tern_key_unref(pair);
    return ok;
}

/* A process's first use fetches the algorithms: when that fails, the next call tries again. */
static void first_use(void **state)
{
    (void)state;
    static const uint8_t key[32] = {1};
    EVP_MD_free(EVP_MD_fetch(NULL, "SHA512", NULL)); /* OpenSSL's own start is not ours to repeat */
    size_t failures = 0;
    for (tern_aead *c = NULL; c == NULL; failures++) {
        openssl_made = 0;
        openssl_fail_at = failures + 1;
        c = tern_aead_new(TERN_CHACHA20_POLY1305, key);
        tern_aead_free(c);
        assert_true(failures < 100000);
    }
    openssl_fail_at = 0;
    assert_true(failures > 1);
}

static void primitives(void **state)
{
    (void)state;
    each_failure(aead, NULL);
    each_failure(x25519, NULL);
    each_failure(hashes, NULL);
}

static void identities(void **state)
{
    (void)state;
    for (size_t i = 0; i < KEY_VECTORS; i++) {
        struct key_vector v = key_vectors[i];
        each_failure(identity, &v);
    }
}

int main(void)
{
    if (!openssl_short()) {
        return 1;
    }
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(first_use),
        cmocka_unit_test(primitives),
        cmocka_unit_test(identities),
    };
    return TERN_TEST_MAIN(tests);
}
