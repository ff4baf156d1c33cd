/* PEM private keys in each of the three forms, and what is not one of ours. */
#include "base/test.h"

#include <stdio.h>

#include <openssl/evp.h>
#include <openssl/pem.h>

#include "crypto/key_vectors_test.h"

static const char ed25519_pkcs8[] =
    "-----BEGIN PRIVATE KEY-----\n"
    "MC4CAQAwBQYDK2VwBCIEIAABAgMEBQYHCAkKCwwNDg8QERITFBUWFxgZGhscHR4f\n"
    "-----END PRIVATE KEY-----\n";
static const char p256_sec1[] = "-----BEGIN EC PRIVATE KEY-----\n"
                                "MHcCAQEEID5bH+lxLmwxSUKnUL1nSF3jwe/oWxv7Ugro+a49+kpMoAoGCCqGSM49\n"
                                "AwEHoUQDQgAE3j0wD6Nq4Oj11TCJnYOrq0Sr8xYfFipLyQHY5uzaAg6LbV+NowUl\n"
                                "5x1oUVEMCY5cR8ZGpZf7Tc7ANOn3fECeYg==\n"
                                "-----END EC PRIVATE KEY-----\n";
/* As `openssl ecparam -genkey` writes it. */
static const char p256_parameters[] = "-----BEGIN EC PARAMETERS-----\n"
                                      "BggqhkjOPQMBBw==\n"
                                      "-----END EC PARAMETERS-----\n";
static const char p256_pkcs8[] =
    "-----BEGIN PRIVATE KEY-----\n"
    "MIGHAgEAMBMGByqGSM49AgEGCCqGSM49AwEHBG0wawIBAQQgPlsf6XEubDFJQqdQ\n"
    "vWdIXePB7+hbG/tSCuj5rj36SkyhRANCAATePTAPo2rg6PXVMImdg6urRKvzFh8W\n"
    "KkvJAdjm7NoCDottX42jBSXnHWhRUQwJjlxHxkall/tNzsA06fd8QJ5i\n"
    "-----END PRIVATE KEY-----\n";
static const char secp256k1_sec1[] =
    "-----BEGIN EC PRIVATE KEY-----\n"
    "MHQCAQEEIFPa3x1aFk1rSs2xXiSqTFsdNGG9vUKr7bCkQE1Wztj7oAcGBSuBBAAK\n"
    "oUQDQgAEd3fplORSwhYE+R3gk85BX1Qy9wHdjNGnpv6g5jC/ypkbQbMO+lK2Wenb\n"
    "I1wx+ZdVeKF+KzVqa4SDe1tFxVXPsQ==\n"
    "-----END EC PRIVATE KEY-----\n";
static const char encrypted[] = "-----BEGIN ENCRYPTED PRIVATE KEY-----\n"
                                "MIH0MF8GCSqGSIb3DQEFDTBSMDEGCSqGSIb3DQEFDDAkBBDLI6r/CoChGC4YzE1W\n"
                                "4K4GAgIIADAMBggqhkiG9w0CCQUAMB0GCWCGSAFlAwQBKgQQG2wr8bM0U9k3WXrx\n"
                                "5k3RxwSBkDiYRiVRe6pH8OPnXliVqKWcXRlzOabcxemFQ022NfRStu6AOMpv2xqC\n"
                                "z8LFXkNqJ8Nv3Vln05zvoLiUDuo8CigJ9VWeJRAYWcCwu0a5NsLaWDn/qvZ77eET\n"
                                "xd7Ohud/5SBG6EbShoZApWlvzHPn1Tpml4X+wJL936Zoa1sGbuaAe+/haZwXLFSA\n"
                                "faTPEk5MIA==\n"
                                "-----END ENCRYPTED PRIVATE KEY-----\n";
static const char x25519[] = "-----BEGIN PRIVATE KEY-----\n"
                             "MC4CAQAwBQYDK2VuBCIEIAABAgMEBQYHCAkKCwwNDg8QERITFBUWFxgZGhscHR4f\n"
                             "-----END PRIVATE KEY-----\n";
static const char public_only[] = "-----BEGIN PUBLIC KEY-----\n"
                                  "MCowBQYDK2VwAyEAA6EHv/POEL4dcN0Y50vAmWfk1jCbpQ1fHdyGZBJVMbg=\n"
                                  "-----END PUBLIC KEY-----\n";
static const char damaged[] = "-----BEGIN PRIVATE KEY-----\n"
                              "MC4CAQAwBQYDK2VwBCIEIAABAgMEBQYHCAkKCwwNDg8QERITFBUWFxgZGhscHR\n"
                              "-----END PRIVATE KEY-----\n";

static const struct good {
    const char *before, *text, *id;
} good[] = {
    {"", ed25519_pkcs8, "12D3KooWA4Xop1JaT3MHxwYMkCepYsv4iPVopMXwCz5iHYdBfeSB"},
    {"a line of text\n", ed25519_pkcs8, "12D3KooWA4Xop1JaT3MHxwYMkCepYsv4iPVopMXwCz5iHYdBfeSB"},
    {"", p256_sec1, "QmVMT29id3TUASyfZZ6k9hmNyc2nYabCo4uMSpDw4zrgDk"},
    {p256_parameters, p256_sec1, "QmVMT29id3TUASyfZZ6k9hmNyc2nYabCo4uMSpDw4zrgDk"},
    {"", p256_pkcs8, "QmVMT29id3TUASyfZZ6k9hmNyc2nYabCo4uMSpDw4zrgDk"},
    {"", secp256k1_sec1, "16Uiu2HAmLhLvBoYaoZfaMUKuibM6ac163GwKY74c5kiSLg5KvLpY"},
};

static void forms(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof good / sizeof good[0]; i++) {
        char text[1024], id_text[TERN_PEER_ID_TEXT];
        tern_peer_id id;
        tern_key *key;
        int n = snprintf(text, sizeof text, "%s%s", good[i].before, good[i].text);
        assert_int_equal(tern_key_from_pem(text, (size_t)n, &key), 0);
        assert_true(tern_key_has_private(key));
        tern_key_peer_id(key, &id);
        assert_string_equal(tern_peer_id_text(&id, id_text), good[i].id);
        tern_key_unref(key);
    }
}

static const struct bad {
    const char *name, *text;
    int code;
} bad[] = {
    {"nothing", "", TERN_E_MALFORMED},
    {"no PEM", "hello\n", TERN_E_MALFORMED},
    {"damaged", damaged, TERN_E_MALFORMED},
    {"a public key", public_only, TERN_E_MALFORMED},
    {"parameters alone", p256_parameters, TERN_E_MALFORMED},
    {"encrypted", encrypted, TERN_E_UNSUPPORTED},
    {"X25519", x25519, TERN_E_UNSUPPORTED},
};

static void refused(void **state)
{
    (void)state;
    tern_key *key = NULL;
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        int code = tern_key_from_pem(bad[i].text, strlen(bad[i].text), &key);
        if (code != bad[i].code) {
            fail_msg("%s: %d", bad[i].name, code);
        }
    }
    static char large[32769];
    assert_int_equal(tern_key_from_pem(large, sizeof large, &key), TERN_E_TOO_LARGE);
    for (size_t n = 0; n < sizeof ed25519_pkcs8 - 3; n++) {
        assert_int_equal(tern_key_from_pem(ed25519_pkcs8, n, &key), TERN_E_MALFORMED);
    }
    assert_null(key);
}

/* RSA keys as OpenSSL writes them in PKCS#1 and PKCS#8; of 1024 bits too, which are refused. */
static void rsa(void **state)
{
    (void)state;
    static const struct {
        size_t bits;
        int code;
    } rows[] = {{2048, 0}, {1024, TERN_E_UNSUPPORTED}};
    for (size_t i = 0; i < 2; i++) {
        EVP_PKEY *pkey = EVP_PKEY_Q_keygen(NULL, NULL, "RSA", rows[i].bits);
        for (int traditional = 0; traditional < 2; traditional++) {
            tern_key *key = NULL;
            char *text;
            BIO *bio = BIO_new(BIO_s_mem());
            int written =
                traditional
                    ? PEM_write_bio_PrivateKey_traditional(bio, pkey, NULL, NULL, 0, NULL, NULL)
                    : PEM_write_bio_PrivateKey(bio, pkey, NULL, NULL, 0, NULL, NULL);
            assert_int_equal(written, 1);
            long n = BIO_get_mem_data(bio, &text);
            assert_int_equal(tern_key_from_pem(text, (size_t)n, &key), rows[i].code);
            assert_true(key == NULL || tern_key_type_of(key) == TERN_KEY_RSA);
            tern_key_unref(key);
            BIO_free(bio);
        }
        EVP_PKEY_free(pkey);
    }
}

static void without_memory(void **state)
{
    (void)state;
    static const char *const texts[] = {ed25519_pkcs8, p256_sec1, secp256k1_sec1};
    for (size_t i = 0; i < 3; i++) {
        bool whole = false;
        for (size_t nth = 1; !whole; nth++) {
            tern_key *key = NULL;
            tern_mem_fail_at(nth, 0);
            int code = tern_key_from_pem(texts[i], strlen(texts[i]), &key);
            whole = tern_mem_count() < nth;
            tern_mem_fail_at(0, 0);
            assert_int_equal(code, whole ? 0 : TERN_E_NOMEM);
            tern_key_unref(key);
            assert_int_equal(tern_mem_alive(), 0);
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(forms),
        cmocka_unit_test(refused),
        cmocka_unit_test(rsa),
        cmocka_unit_test(without_memory),
    };
    return TERN_TEST_MAIN(tests);
}
