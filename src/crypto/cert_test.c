/* libp2p certificates: the specs' vectors, our own for every key type, what must be refused and
 * with which code, each byte changed, each length cut. */
#include "crypto/cert_forge_test.h"

#include "crypto/cert_vectors_test.h"
#include "crypto/key_vectors_test.h"

#define HOUR  UINT64_C(3600000000000)
#define YEAR  (UINT64_C(365) * 24 * HOUR)
#define Y1975 (5 * YEAR + 24 * HOUR)

static tern_key *identity;

static int judge(tern_span der, uint64_t wall, tern_peer_id *ret)
{
    tern_key *key = NULL;
    const char *text = NULL;
    int e = tern_cert_verify(der, wall, NULL, &key, NULL, &text);
    if (e == 0) {
        tern_key_peer_id(key, ret);
        tern_key_unref(key);
    } else {
        assert_non_null(text);
        assert_null(key);
    }
    return e;
}

static void vectors(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof cert_vectors / sizeof *cert_vectors; i++) {
        const struct cert_vector *v = &cert_vectors[i];
        uint8_t der[1024];
        char text[TERN_PEER_ID_TEXT];
        tern_peer_id peer;
        size_t n = tern_test_unhex(der, sizeof der, v->der);
        assert_int_equal(judge((tern_span){der, n}, FORGE_WALL, &peer), v->code);
        if (v->code == 0) {
            assert_string_equal(tern_peer_id_text(&peer, text), v->peer);
        }
    }
}

/* ---- ours ---- */

static void ours_for_every_identity(void **state)
{
    (void)state;
    static const tern_key_type types[] = {TERN_KEY_ED25519, TERN_KEY_SECP256K1, TERN_KEY_ECDSA,
                                          TERN_KEY_RSA};
    for (size_t i = 0; i < sizeof types / sizeof *types; i++) {
        tern_key *key;
        tern_cert *cert;
        tern_peer_id own, peer;
        assert_int_equal(tern_key_generate(types[i], &key), 0);
        tern_key_peer_id(key, &own);
        assert_int_equal(tern_cert_make(key, FORGE_WALL, &cert), 0);
        tern_span der = tern_cert_der(cert);
        assert_int_equal(judge(der, FORGE_WALL, &peer), 0);
        assert_true(tern_peer_id_equal(&peer, &own));
        assert_int_equal(judge(der, Y1975, &peer), 0); /* clocks are set back */
        assert_int_equal(judge(der, Y1975 - 1, &peer), TERN_E_PROTOCOL);
        assert_int_equal(judge(der, FORGE_WALL + 100 * YEAR, &peer), 0);
        assert_int_equal(judge(der, FORGE_WALL + 100 * YEAR + HOUR, &peer), TERN_E_PROTOCOL);
        tern_cert_free(cert);
        tern_key_unref(key);
    }
}

/* What other stacks want of ours: v3, names, one extension, ecdsa-with-SHA256 on P-256. */
static void ours_as_others_read_it(void **state)
{
    (void)state;
    tern_cert *cert, *second;
    char name[64];
    assert_int_equal(tern_cert_make(identity, FORGE_WALL, &cert), 0);
    assert_int_equal(tern_cert_make(identity, FORGE_WALL, &second), 0);
    const X509 *x = cert->x509;
    assert_int_equal(X509_get_version(x), X509_VERSION_3);
    assert_int_equal(X509_get_ext_count(x), 1);
    assert_int_equal(X509_get_signature_nid(x), NID_ecdsa_with_SHA256);
    assert_int_equal(X509_NAME_cmp(X509_get_subject_name(x), X509_get_issuer_name(x)), 0);
    assert_true(X509_NAME_entry_count(X509_get_subject_name(x)) > 0);
    assert_int_equal(X509_verify(cert->x509, cert->pkey), 1);
    assert_int_equal(EVP_PKEY_get_group_name(cert->pkey, name, sizeof name, NULL), 1);
    assert_string_equal(name, "prime256v1");
    assert_int_not_equal(EVP_PKEY_eq(cert->pkey, second->pkey), 1);
    assert_int_not_equal(
        ASN1_INTEGER_cmp(X509_get0_serialNumber(x), X509_get0_serialNumber(second->x509)), 0);
    tern_cert_free(cert);
    tern_cert_free(second);
    tern_cert_free(NULL);
}

static void ours_needs_a_private_key(void **state)
{
    (void)state;
    tern_key *public;
    tern_cert *cert;
    size_t n;
    const uint8_t *pb = tern_key_public(identity, &n);
    assert_int_equal(tern_key_from_public(pb, n, &public), 0);
    assert_int_equal(tern_cert_make(public, FORGE_WALL, &cert), TERN_E_STATE);
    tern_key_unref(public);
}

static void short_of_memory(void **state)
{
    (void)state;
    bool whole = false;
    for (size_t at = 1; !whole; at++) {
        tern_cert *cert = NULL;
        tern_peer_id peer;
        tern_mem_fail_at(at, 0);
        int e = tern_cert_make(identity, FORGE_WALL, &cert);
        if (e == 0) {
            e = judge(tern_cert_der(cert), FORGE_WALL, &peer);
        }
        whole = tern_mem_count() < at;
        tern_mem_fail_at(0, 0);
        assert_int_equal(e, whole ? 0 : TERN_E_NOMEM);
        tern_cert_free(cert);
        assert_true(at < 100);
    }
}

/* ---- those of others ---- */

static const struct {
    forge f;
    int code;
} forgeries[] = {
    {{0}, 0},
    {{.not_critical = true}, 0},
    {{.key = "P-384", .digest = "SHA384"}, 0},
    {{.key = "ED25519"}, 0},
    {{.key = "RSA"}, 0},
    {{.key = "RSA", .digest = "SHA384"}, 0},
    {{.key = "RSA", .digest = "SHA512"}, 0},
    {{.key = "RSA", .pss = true}, 0},
    {{.key = "RSA", .pss = true, .digest = "SHA384"}, 0},
    {{.key = "RSA", .pss = true, .digest = "SHA512"}, 0},
    {{.other = "keyUsage", .other_value = "digitalSignature"}, 0},
    {{.to = 67090165200}, 0}, /* 4096 */
    {{.to = FORGE_NOW}, 0},
    {{.from = FORGE_NOW}, 0},
    {{.from = -86400, .to = 2 * FORGE_NOW}, 0}, /* before 1970 */
    {{.to = FORGE_NOW - 1}, TERN_E_PROTOCOL},
    {{.from = FORGE_NOW + 1}, TERN_E_PROTOCOL},
    {{.from = 2524608000, .to = 67090165200}, TERN_E_PROTOCOL}, /* from 2050 on */
    {{.no_extension = true}, TERN_E_PROTOCOL},
    {{.extensions = 1}, TERN_E_PROTOCOL},
    {{.other = "keyUsage", .other_value = "critical,digitalSignature"}, TERN_E_UNSUPPORTED},
    {{.other = "basicConstraints", .other_value = "critical,CA:TRUE"}, TERN_E_UNSUPPORTED},
    {{.trailing_inside = true}, TERN_E_MALFORMED},
    {{.trailing_outside = true}, TERN_E_MALFORMED},
    {{.wrong_self = true}, TERN_E_SIGNATURE},
    {{.wrong_self = true, .key = "RSA"}, TERN_E_SIGNATURE},
    {{.wrong_self = true, .key = "RSA", .pss = true}, TERN_E_SIGNATURE},
    {{.wrong_self = true, .key = "ED25519"}, TERN_E_SIGNATURE},
    {{.wrong_identity = true}, TERN_E_SIGNATURE},
    {{.wrong_domain = true}, TERN_E_SIGNATURE},
    {{.other_identity = true}, TERN_E_SIGNATURE},
    {{.key = "RSA", .rsa_bits = 1024}, TERN_E_UNSUPPORTED},
    {{.key = "RSA", .rsa_bits = 2047}, TERN_E_UNSUPPORTED},
    {{.key = "P-521", .digest = "SHA512"}, TERN_E_UNSUPPORTED},
    {{.key = "P-224"}, TERN_E_UNSUPPORTED},
    {{.key = "secp256k1"}, TERN_E_UNSUPPORTED},
    {{.digest = "SHA384"}, TERN_E_UNSUPPORTED}, /* each curve has its hash */
    {{.key = "P-384"}, TERN_E_UNSUPPORTED},
    {{.digest = "SHA1"}, TERN_E_UNSUPPORTED},
    {{.key = "RSA", .digest = "SHA1"}, TERN_E_UNSUPPORTED},
};

static void forged(void **state)
{
    (void)state;
    tern_peer_id own, peer;
    tern_key_peer_id(identity, &own);
    for (size_t i = 0; i < sizeof forgeries / sizeof *forgeries; i++) {
        tern_cert *cert = forge_cert(identity, &forgeries[i].f);
        int e = judge(tern_cert_der(cert), FORGE_WALL, &peer);
        if (e != forgeries[i].code) {
            fail_msg("forgery %zu: %d", i, e);
        }
        if (e == 0) {
            assert_true(tern_peer_id_equal(&peer, &own));
        }
        tern_cert_free(cert);
    }
}

/* No bit of a certificate may change without anybody noticing. */
static void each_bit_changed(void **state)
{
    (void)state;
    tern_cert *cert = forge_cert(identity, &(forge){0});
    tern_span der = tern_cert_der(cert);
    for (size_t i = 0; i < der.len; i++) {
        tern_peer_id peer;
        uint8_t *copy = tern_memdup(der.data, der.len);
        copy[i] ^= (uint8_t)(1 << i % 8);
        assert_int_not_equal(judge((tern_span){copy, der.len}, FORGE_WALL, &peer), 0);
        tern_free(copy);
    }
    tern_cert_free(cert);
}

static void each_length(void **state)
{
    (void)state;
    tern_peer_id peer;
    tern_cert *cert = forge_cert(identity, &(forge){0});
    tern_span der = tern_cert_der(cert);
    for (size_t n = 0; n < der.len; n++) {
        uint8_t *copy = tern_memdup(der.data, n); /* exactly so long: overruns show */
        assert_int_equal(judge((tern_span){copy, n}, FORGE_WALL, &peer), TERN_E_MALFORMED);
        tern_free(copy);
    }
    uint8_t *longer = tern_calloc(1, TERN_CERT_MAX + 1);
    memcpy(longer, der.data, der.len);
    assert_int_equal(judge((tern_span){longer, der.len + 1}, FORGE_WALL, &peer), TERN_E_MALFORMED);
    assert_int_equal(judge((tern_span){longer, TERN_CERT_MAX + 1}, FORGE_WALL, &peer),
                     TERN_E_TOO_LARGE);
    tern_free(longer);
    tern_cert_free(cert);
}

/* Times that are no times: the certificate's signature is not even looked at. */
static void odd_times(void **state)
{
    (void)state;
    static const char *const times[] = {"701301000000Z", "700001000000Z", "700132000000Z",
                                        "700101240000Z", "700101006000Z", "700101000060Z",
                                        "70010100000AZ", "7001010000000", "70010100 000Z"};
    for (size_t i = 0; i < sizeof times / sizeof *times; i++) {
        tern_peer_id peer;
        tern_cert *cert = forge_cert(identity, &(forge){0});
        tern_span der = tern_cert_der(cert);
        for (uint8_t *p = cert->der; p + 15 <= der.data + der.len; p++) {
            if (p[0] == 0x17 && p[1] == 13) {
                memcpy(p + 2, times[i], 13);
                break;
            }
        }
        assert_int_equal(judge(der, FORGE_WALL, &peer), TERN_E_MALFORMED);
        tern_cert_free(cert);
    }
}

/* What was verified before is judged by everything but its signatures; any other bytes by all. */
static void seen_before(void **state)
{
    (void)state;
    uint64_t hits = 0;
    tern_known known = {.hits = &hits};
    tern_cert *cert = forge_cert(identity, &(forge){0});
    tern_span der = tern_cert_der(cert);
    tern_peer_id own, peer;
    tern_key *key = NULL;
    const char *text = NULL;
    tern_key_peer_id(identity, &own);
    for (uint64_t times = 0; times < 3; times++) {
        assert_int_equal(tern_cert_verify(der, FORGE_WALL, &known, &key, NULL, &text), 0);
        tern_key_peer_id(key, &peer);
        assert_true(tern_peer_id_equal(&peer, &own));
        tern_key_unref(key);
        assert_int_equal(hits, times);
    }
    assert_int_equal(tern_cert_verify(der, FORGE_WALL + 200 * YEAR, &known, &key, NULL, &text),
                     TERN_E_PROTOCOL);
    assert_int_equal(tern_cert_verify(der, 0, &known, &key, NULL, &text), TERN_E_PROTOCOL);
    for (size_t i = 0; i < der.len; i++) {
        cert->der[i] ^= 1;
        int code = judge(der, FORGE_WALL, &peer);
        assert_int_not_equal(code, 0);
        for (int times = 0; times < 2; times++) {
            assert_int_equal(tern_cert_verify(der, FORGE_WALL, &known, &key, NULL, &text), code);
        }
        cert->der[i] ^= 1;
    }
    assert_int_equal(hits, 2);
    tern_cert_free(cert);
}

static int make_identity(void **state)
{
    (void)state;
    uint8_t pb[128];
    size_t n = tern_test_unhex(pb, sizeof pb, KEY1_PRIVATE);
    return tern_key_from_private(pb, n, &identity);
}

static int drop_identity(void **state)
{
    (void)state;
    tern_key_unref(identity);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(vectors),
        cmocka_unit_test(ours_for_every_identity),
        cmocka_unit_test(ours_as_others_read_it),
        cmocka_unit_test(ours_needs_a_private_key),
        cmocka_unit_test(short_of_memory),
        cmocka_unit_test(forged),
        cmocka_unit_test(each_bit_changed),
        cmocka_unit_test(each_length),
        cmocka_unit_test(odd_times),
        cmocka_unit_test(seen_before),
    };
    return cmocka_run_group_tests(tests, make_identity, drop_identity) +
           (tern_mem_alive() == 0 ? 0 : tern_test_leak());
}
