/* Identity keys: the specs' vectors in and out, signatures of every kind, and what is refused. */
#include "base/test.h"

#include "crypto/key_vectors_test.h"

static tern_key *private_key(const char *hex)
{
    uint8_t pb[1024];
    tern_key *key = NULL;
    size_t n = tern_test_unhex(pb, sizeof pb, hex);
    assert_int_equal(tern_key_from_private(pb, n, &key), 0);
    return key;
}

static tern_key *public_key(const char *hex)
{
    uint8_t pb[1024];
    tern_key *key = NULL;
    size_t n = tern_test_unhex(pb, sizeof pb, hex);
    assert_int_equal(tern_key_from_public(pb, n, &key), 0);
    return key;
}

static void expect_public(const tern_key *key, const char *hex)
{
    uint8_t want[1024];
    size_t n, want_n = tern_test_unhex(want, sizeof want, hex);
    const uint8_t *pb = tern_key_public(key, &n);
    assert_int_equal(n, want_n);
    assert_memory_equal(pb, want, n);
}

static void spec_vectors(void **state)
{
    (void)state;
    for (size_t i = 0; i < KEY_VECTORS; i++) {
        const struct key_vector *v = &key_vectors[i];
        uint8_t pb[512], out[512];
        char text[TERN_PEER_ID_TEXT];
        tern_peer_id id;
        tern_key *pair = private_key(v->private_pb), *key = public_key(v->public_pb);

        assert_int_equal(tern_key_type_of(pair), v->type);
        assert_true(tern_key_has_private(pair));
        assert_false(tern_key_has_private(key));
        assert_true(tern_key_equal_public(pair, key));
        expect_public(pair, v->public_pb);
        expect_public(key, v->public_pb);
        tern_key_peer_id(key, &id);
        assert_string_equal(tern_peer_id_text(&id, text), v->id);

        /* Out again, and with every room that is too small. */
        size_t n = tern_test_unhex(pb, sizeof pb, v->private_pb);
        for (size_t cap = 0; cap < n; cap++) {
            assert_int_equal(tern_key_private(pair, out, cap), TERN_E_TOO_LARGE);
        }
        assert_int_equal(tern_key_private(pair, out, n), n);
        assert_memory_equal(out, pb, n);
        assert_int_equal(tern_key_private(key, out, sizeof out), TERN_E_STATE);
        tern_key_unref(pair);
        tern_key_unref(key);
    }
}

/* Signs and verifies in pieces; every changed bit of signature and message is noticed. */
static void check_signing(const tern_key *pair, const tern_key *key)
{
    uint8_t sig[TERN_SIGNATURE_MAX], message[300];
    for (size_t i = 0; i < sizeof message; i++) {
        message[i] = (uint8_t)i;
    }
    const tern_span whole = {message, sizeof message};
    const tern_span v[] = {{message, 24}, {NULL, 0}, {message + 24, sizeof message - 24}};
    ssize_t n = tern_key_sign(pair, v, 3, sig, sizeof sig);
    assert_true(n > 0);
    assert_int_equal(tern_key_verify(key, &whole, 1, sig, (size_t)n), 0);
    assert_int_equal(tern_key_verify(pair, v, 3, sig, (size_t)n), 0);

    size_t step = (size_t)n > 100 ? 97 : 1; /* RSA: not every bit, for the time it takes */
    for (size_t bit = 0; bit < (size_t)n * 8; bit += step) {
        sig[bit / 8] ^= (uint8_t)(1u << (bit % 8));
        assert_int_equal(tern_key_verify(key, &whole, 1, sig, (size_t)n), TERN_E_SIGNATURE);
        sig[bit / 8] ^= (uint8_t)(1u << (bit % 8));
    }
    message[299] ^= 1;
    assert_int_equal(tern_key_verify(key, &whole, 1, sig, (size_t)n), TERN_E_SIGNATURE);
    message[299] ^= 1;
    for (size_t k = 0; k < (size_t)n; k += step) {
        assert_int_equal(tern_key_verify(key, &whole, 1, sig, k), TERN_E_SIGNATURE);
    }
    assert_int_equal(tern_key_verify(key, &whole, 1, sig, (size_t)n + 1), TERN_E_SIGNATURE);
    assert_int_equal(tern_key_sign(pair, v, 3, sig, 10), TERN_E_TOO_LARGE);
    if (!tern_key_has_private(key)) {
        assert_int_equal(tern_key_sign(key, v, 3, sig, sizeof sig), TERN_E_STATE);
    }

    /* Nothing is a message too. */
    n = tern_key_sign(pair, NULL, 0, sig, sizeof sig);
    assert_true(n > 0);
    assert_int_equal(tern_key_verify(key, NULL, 0, sig, (size_t)n), 0);
    assert_int_equal(tern_key_verify(key, &whole, 1, sig, (size_t)n), TERN_E_SIGNATURE);
}

static void fresh_keys(void **state)
{
    (void)state;
    static const char *const names[] = {"rsa", "ed25519", "secp256k1", "ecdsa"};
    uint8_t *pb = tern_malloc(TERN_KEY_PB_MAX);
    for (size_t i = 0; i < 4; i++) {
        tern_key_type type;
        tern_key *pair, *again, *key;
        tern_peer_id id;
        size_t public_n;
        assert_int_equal(tern_key_type_parse(names[i], &type), 0);
        assert_string_equal(tern_key_type_name(type), names[i]);
        assert_int_equal(tern_key_generate(type, &pair), 0);
        assert_int_equal(tern_key_type_of(pair), type);
        const uint8_t *public_pb = tern_key_public(pair, &public_n);
        assert_int_equal(tern_key_from_public(public_pb, public_n, &key), 0);
        check_signing(pair, key);
        tern_key_unref(key);

        ssize_t n = tern_key_private(pair, pb, TERN_KEY_PB_MAX);
        assert_true(n > 0);
        assert_int_equal(tern_key_from_private(pb, (size_t)n, &again), 0);
        assert_true(tern_key_equal_public(pair, again));
        check_signing(again, pair);

        tern_key_peer_id(pair, &id);
        int code = tern_key_from_peer_id(&id, &key);
        if (type == TERN_KEY_ED25519 || type == TERN_KEY_SECP256K1) {
            assert_int_equal(code, 0);
            assert_true(tern_key_equal_public(pair, key));
            tern_key_unref(key);
        } else {
            assert_int_equal(code, TERN_E_NOT_FOUND);
        }
        tern_key_unref(again);
        tern_key_unref(pair);
    }
    tern_free(pb);
}

static void types_unknown(void **state)
{
    (void)state;
    tern_key_type type;
    tern_key *key;
    assert_int_equal(tern_key_type_parse("dsa", &type), TERN_E_UNSUPPORTED);
    assert_int_equal(tern_key_type_parse("", &type), TERN_E_UNSUPPORTED);
    assert_int_equal(tern_key_generate((tern_key_type)4, &key), TERN_E_UNSUPPORTED);
    assert_string_equal(tern_key_type_name((tern_key_type)4), "unknown");
}

/* The signatures of the Noise exchange between the two fixed identities: Ed25519 is deterministic.
 */
static void ed25519_noise_signatures(void **state)
{
    (void)state;
    static const char *const rows[][3] = {
        {KEY1_PRIVATE, "7b4e909bbe7ffe44c465a220037d608ee35897d31ef972f07f74892cb0f73f13",
         "4695b9061d4513c39d09742ba3d1d3afa851b3996f5dcc9f5dd8c80975f25b05"
         "0aed2961f3f16c14392ebf4fc5c8da3354182a5afc4577faa66c2b21f794190e"},
        {KEY2_PRIVATE, "7b0d47d93427f8311160781c7c733fd89f88970aef490d8aa0ee19a4cb8a1b14",
         "227aedf280b53bf3d503ef258a296a8ccd5b15ea6d1bf3e0075831d6abb566f1"
         "382de6c0ff79af9d44baddb0a79a3da55a87b1cffcb444c3abe206cbdf36f906"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        uint8_t point[32], want[64], sig[64];
        tern_key *key = private_key(rows[i][0]);
        tern_test_unhex(point, 32, rows[i][1]);
        tern_test_unhex(want, 64, rows[i][2]);
        const tern_span v[] = {{(const uint8_t *)"noise-libp2p-static-key:", 24}, {point, 32}};
        assert_int_equal(tern_key_sign(key, v, 2, sig, sizeof sig), 64);
        assert_memory_equal(sig, want, 64);
        tern_key_unref(key);
    }
}

/* Key 1 and "Satoshi Nakamoto": the known answer of RFC 6979 on secp256k1; high s is accepted. */
static void secp256k1_signatures(void **state)
{
    (void)state;
    static const char one[] =
        "080212200000000000000000000000000000000000000000000000000000000000000001";
    static const char satoshi[] =
        "3045022100934b1ea10a4b3c1757e2b0c017d0b6143ce3c9a7e6a4a49860d7a6ab210ee3d8"
        "02202442ce9d2b916064108014783e923ec36b49743e2ffa1c4496f01a512aafd9e5";
    static const char low[] =
        "30450221008894e305a30c88ee7332797c626f571972ee0e17d175909b28f8e59db3e319e4"
        "022027154c5a3e0d0c49b8cc3f0d0b50e2b36969b28f51808ade560b1b0c3c88b4f3";
    static const char high[] =
        "30460221008894e305a30c88ee7332797c626f571972ee0e17d175909b28f8e59db3e319e4"
        "022100d8eab3a5c1f2f3b64733c0f2f4af1d4b51452a575dc8155d69c7438093ad8c4e";
    uint8_t want[80], sig[80];
    const tern_span name = {(const uint8_t *)"Satoshi Nakamoto", 16};
    tern_key *key = private_key(one);
    size_t n = tern_test_unhex(want, sizeof want, satoshi);
    assert_int_equal(tern_key_sign(key, &name, 1, sig, sizeof sig), n);
    assert_memory_equal(sig, want, n);
    tern_key_unref(key);

    const tern_span tern = {(const uint8_t *)"tern", 4};
    key = private_key(key_vectors[1].private_pb);
    n = tern_test_unhex(want, sizeof want, low);
    assert_int_equal(tern_key_sign(key, &tern, 1, sig, sizeof sig), n);
    assert_memory_equal(sig, want, n);
    assert_int_equal(tern_key_verify(key, &tern, 1, want, n), 0);
    n = tern_test_unhex(want, sizeof want, high);
    assert_int_equal(tern_key_verify(key, &tern, 1, want, n), 0);
    tern_key_unref(key);
}

/* Signatures made elsewhere over "tern": P-256, P-384, P-521. */
static void ecdsa_curves(void **state)
{
    (void)state;
    const tern_span tern = {(const uint8_t *)"tern", 4};
    for (size_t i = 0; i < ECDSA_SIGNATURES; i++) {
        uint8_t sig[160];
        tern_key *key = public_key(ecdsa_signatures[i].public_pb);
        size_t n = tern_test_unhex(sig, sizeof sig, ecdsa_signatures[i].signature);
        assert_int_equal(tern_key_verify(key, &tern, 1, sig, n), 0);
        sig[n - 1] ^= 1;
        assert_int_equal(tern_key_verify(key, &tern, 1, sig, n), TERN_E_SIGNATURE);
        expect_public(key, ecdsa_signatures[i].public_pb);
        tern_key_unref(key);
    }
}

/* A long secp256k1 point, fields in the other order, padded varints: the key is kept in its one
 * form. */
static void canonical_form(void **state)
{
    (void)state;
    static const char *const forms[][2] = {
        {"08021241047777e994e452c21604f91de093ce415f5432f701dd8cd1a7a6fea0e630bfca99"
         "1b41b30efa52b659e9db235c31f9975578a17e2b356a6b84837b5b45c555cfb1",
         SECP_PUBLIC},
        {"1220" ED_POINT "0801", ED_PUBLIC},
        {"08810012a000" ED_POINT, ED_PUBLIC},
    };
    for (size_t i = 0; i < sizeof forms / sizeof forms[0]; i++) {
        tern_key *key = public_key(forms[i][0]);
        expect_public(key, forms[i][1]);
        tern_key_unref(key);
    }
    tern_key *key = private_key("08011260" ED_SEED ED_POINT ED_POINT); /* the legacy form */
    expect_public(key, ED_PUBLIC);
    uint8_t out[128];
    assert_int_equal(tern_key_private(key, out, sizeof out), 68);
    tern_key_unref(key);
}

static void refuses(const struct bad_key *rows, size_t count,
                    int (*read)(const uint8_t *, size_t, tern_key **))
{
    for (size_t i = 0; i < count; i++) {
        uint8_t pb[512];
        tern_key *key = NULL;
        size_t n = tern_test_unhex(pb, sizeof pb, rows[i].hex);
        int code = read(pb, n, &key);
        if (code != rows[i].code || key != NULL) {
            fail_msg("%s: %d", rows[i].name, code);
        }
    }
}

static void malformed_keys(void **state)
{
    (void)state;
    refuses(bad_public_keys, BAD_PUBLIC_KEYS, tern_key_from_public);
    refuses(bad_private_keys, BAD_PRIVATE_KEYS, tern_key_from_private);
    static const uint8_t large[TERN_KEY_PB_MAX + 1] = {0};
    tern_key *key = NULL;
    assert_int_equal(tern_key_from_public(large, sizeof large, &key), TERN_E_TOO_LARGE);
    assert_int_equal(tern_key_from_private(large, sizeof large, &key), TERN_E_TOO_LARGE);
    assert_null(key);
}

/* Every prefix of every vector, and every vector with a byte more. */
static void cut_keys(void **state)
{
    (void)state;
    for (size_t i = 0; i < KEY_VECTORS; i++) {
        uint8_t pb[512];
        tern_key *key = NULL;
        size_t n = tern_test_unhex(pb, sizeof pb, key_vectors[i].public_pb);
        pb[n] = 0;
        for (size_t k = 0; k <= n + 1; k++) {
            if (k != n) {
                assert_int_equal(tern_key_from_public(pb, k, &key), TERN_E_MALFORMED);
            }
        }
        n = tern_test_unhex(pb, sizeof pb, key_vectors[i].private_pb);
        for (size_t k = 0; k < n; k++) {
            assert_int_equal(tern_key_from_private(pb, k, &key), TERN_E_MALFORMED);
        }
    }
}

/* A point off the curve parses, as in go, but no signature fits it. */
static void ed25519_off_curve(void **state)
{
    (void)state;
    static const uint8_t sig[64] = {1};
    const tern_span m = {(const uint8_t *)"m", 1};
    tern_key *key =
        public_key("080112200200000000000000000000000000000000000000000000000000000000000000");
    assert_int_equal(tern_key_verify(key, &m, 1, sig, sizeof sig), TERN_E_SIGNATURE);
    tern_key_unref(key);
}

static void peer_id_without_key(void **state)
{
    (void)state;
    tern_peer_id id = {0};
    tern_key *key = NULL;
    assert_int_equal(tern_key_from_peer_id(&id, &key), TERN_E_NOT_FOUND);
    /* Identity of something else, and of another encoding of a key: type and data exchanged. */
    static const char *const rows[] = {
        "0003010203",
        "00241220" ED_POINT "0801",
        "0024080112200000000000000000000000000000000000000000000000000000000000000000",
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        uint8_t bytes[64];
        size_t n = tern_test_unhex(bytes, sizeof bytes, rows[i]);
        assert_int_equal(tern_peer_id_from_bytes(&id, bytes, n), 0);
        assert_int_equal(tern_key_from_peer_id(&id, &key), TERN_E_MALFORMED);
    }
    assert_null(key);
}

static void references(void **state)
{
    (void)state;
    size_t before = tern_mem_alive();
    tern_key *key = public_key(ED_PUBLIC);
    assert_int_equal(tern_mem_alive(), before + 1); /* one small block, nothing of OpenSSL's */
    assert_ptr_equal(tern_key_ref(key), key);
    tern_key_unref(key);
    assert_int_equal(tern_mem_alive(), before + 1);
    tern_key_unref(key);
    assert_int_equal(tern_mem_alive(), before);
    tern_key_unref(NULL);
}

/* Parse, sign and verify with each of our allocations failing in turn. */
static void without_memory(void **state)
{
    (void)state;
    static const uint8_t message[1000] = {1};
    const tern_span v[] = {{message, 500}, {message + 500, 500}};
    size_t before = tern_mem_alive();
    for (size_t i = 0; i < KEY_VECTORS; i++) {
        uint8_t pb[512], sig[TERN_SIGNATURE_MAX];
        size_t n = tern_test_unhex(pb, sizeof pb, key_vectors[i].private_pb);
        bool whole = false;
        for (size_t nth = 1; !whole; nth++) {
            assert_true(nth < 100);
            tern_key *pair = NULL;
            tern_mem_fail_at(nth, 0);
            int code = tern_key_from_private(pb, n, &pair);
            ssize_t sig_n = code == 0 ? tern_key_sign(pair, v, 2, sig, sizeof sig) : code;
            code = sig_n < 0 ? (int)sig_n : tern_key_verify(pair, v, 2, sig, (size_t)sig_n);
            whole = tern_mem_count() < nth;
            tern_mem_fail_at(0, 0);
            assert_int_equal(code, whole ? 0 : TERN_E_NOMEM);
            tern_key_unref(pair);
            assert_int_equal(tern_mem_alive(), before);
        }
        n = tern_test_unhex(pb, sizeof pb, key_vectors[i].public_pb);
        tern_key *key = NULL;
        tern_mem_fail_at(1, 0);
        assert_int_equal(tern_key_from_public(pb, n, &key), TERN_E_NOMEM);
        tern_mem_fail_at(0, 0);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(spec_vectors),
        cmocka_unit_test(fresh_keys),
        cmocka_unit_test(types_unknown),
        cmocka_unit_test(ed25519_noise_signatures),
        cmocka_unit_test(secp256k1_signatures),
        cmocka_unit_test(ecdsa_curves),
        cmocka_unit_test(canonical_form),
        cmocka_unit_test(malformed_keys),
        cmocka_unit_test(cut_keys),
        cmocka_unit_test(ed25519_off_curve),
        cmocka_unit_test(peer_id_without_key),
        cmocka_unit_test(references),
        cmocka_unit_test(without_memory),
    };
    return TERN_TEST_MAIN(tests);
}
