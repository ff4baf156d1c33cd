/* Derived certificates: the same each time, different for each key, purpose and time, well-formed,
 * with a signature that OpenSSL verifies. */
#include "crypto/cert_derive.h"

#include <openssl/x509v3.h>

#include "base/test.h"
#include "crypto/cert_pair.h"
#include "crypto/symmetric.h"

#define KEY                                                                                        \
    "08011240000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f"                     \
    "03a107bff3ce10be1d70dd18e74bc09967e4d6309ba50d5f1ddc8664125531b8"

static const tern_cert_recipe recipe = {"test", 1577836800, 4733510400};

static tern_key *identity(void)
{
    uint8_t bytes[128];
    tern_key *key;
    size_t n = tern_test_unhex(bytes, sizeof bytes, KEY);
    assert_int_equal(tern_key_from_private(bytes, n, &key), 0);
    return key;
}

static tern_cert *derive(const tern_cert_recipe *r)
{
    tern_key *key = identity();
    tern_cert *cert;
    assert_int_equal(tern_cert_derive(key, r, &cert), 0);
    tern_key_unref(key);
    return cert;
}

static void the_same_each_time(void **state)
{
    (void)state;
    tern_cert *a = derive(&recipe), *b = derive(&recipe);
    char hash[2 * TERN_SHA256 + 1];
    uint8_t digest[TERN_SHA256];
    tern_span der = tern_cert_der(a);
    assert_int_equal(der.len, tern_cert_der(b).len);
    assert_memory_equal(der.data, tern_cert_der(b).data, der.len);
    assert_int_equal(tern_sha256(&der, 1, digest), 0);
    tern_hex(hash, digest, sizeof digest);
    /* Addresses that were given out must go on meaning this certificate. */
    assert_string_equal(hash, "fd049e9198ce945be9325e413ea3f80096f2056427e81bc2e637c8eb17a31a50");
    tern_cert_free(a);
    tern_cert_free(b);
}

static void well_formed(void **state)
{
    (void)state;
    static const tern_cert_recipe recipes[] = {{"test", 1577836800, 4733510400},
                                               {"other", 1795824000, 1795824000 + 14 * 86400}};
    for (size_t i = 0; i < 2; i++) {
        tern_cert *c = derive(&recipes[i]);
        assert_int_equal(X509_verify(c->x509, c->pkey), 1);
        assert_int_equal(X509_check_private_key(c->x509, c->pkey), 1);
        assert_int_equal(X509_get_version(c->x509), X509_VERSION_3);
        assert_int_equal(X509_get_ext_count(c->x509), 1);
        assert_int_equal(X509_check_ca(c->x509), 0);
        time_t from = (time_t)recipes[i].from, to = (time_t)recipes[i].to;
        assert_int_equal(ASN1_TIME_cmp_time_t(X509_get0_notBefore(c->x509), from), 0);
        assert_int_equal(ASN1_TIME_cmp_time_t(X509_get0_notAfter(c->x509), to), 0);
        uint8_t *der = NULL; /* what OpenSSL writes is what we wrote: it is DER */
        int n = i2d_X509(c->x509, &der);
        assert_int_equal(n, c->der_n);
        assert_memory_equal(der, c->der, c->der_n);
        OPENSSL_free(der);
        tern_cert_free(c);
    }
}

static void others_differ(void **state)
{
    (void)state;
    static const tern_cert_recipe recipes[] = {{"test", 1577836800, 4733510400},
                                               {"tesu", 1577836800, 4733510400},
                                               {"test", 1577836801, 4733510400},
                                               {"test", 1577836800, 4733510401}};
    tern_cert *c[4];
    for (size_t i = 0; i < 4; i++) {
        c[i] = derive(&recipes[i]);
        for (size_t j = 0; j < i; j++) {
            assert_int_not_equal(EVP_PKEY_eq(c[i]->pkey, c[j]->pkey), 1);
        }
    }
    for (size_t i = 0; i < 4; i++) {
        tern_cert_free(c[i]);
    }
    /* Many secrets: every length of the two integers occurs. */
    for (uint8_t i = 0; i < 100; i++) {
        tern_cert *one;
        assert_int_equal(tern_cert_derive_from((tern_span){&i, 1}, &recipe, &one), 0);
        assert_int_equal(X509_verify(one->x509, one->pkey), 1);
        tern_cert_free(one);
    }
}

static void no_private_key(void **state)
{
    (void)state;
    tern_key *key = identity(), *public;
    tern_cert *cert;
    size_t n;
    const uint8_t *pb = tern_key_public(key, &n);
    assert_int_equal(tern_key_from_public(pb, n, &public), 0);
    assert_int_equal(tern_cert_derive(public, &recipe, &cert), TERN_E_STATE);
    tern_key_unref(key);
    tern_key_unref(public);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_same_each_time),
        cmocka_unit_test(well_formed),
        cmocka_unit_test(others_differ),
        cmocka_unit_test(no_private_key),
    };
    return TERN_TEST_MAIN(tests);
}
