/* TLS by the web's rules: a server with a given chain, a client that trusts authorities and names.
 */
#include "crypto/tls_ends_test.h"

#include <openssl/pem.h>

static tern_key *identity;

typedef struct pem {
    tern_buf chain, key;
} pem;

static void pem_append(BIO *bio, tern_buf *out)
{
    char *p;
    long n = BIO_get_mem_data(bio, &p);
    assert_int_equal(tern_buf_append(out, p, (size_t)n), 0);
    BIO_free(bio);
}

static void pem_make(pem *ret, const forge *f)
{
    tern_cert *cert = forge_cert(identity, f);
    BIO *bio = BIO_new(BIO_s_mem());
    tern_buf_init(&ret->chain, 0);
    tern_buf_init(&ret->key, 0);
    assert_int_equal(PEM_write_bio_X509(bio, cert->x509), 1);
    pem_append(bio, &ret->chain);
    bio = BIO_new(BIO_s_mem());
    assert_int_equal(PEM_write_bio_PrivateKey(bio, cert->pkey, NULL, NULL, 0, NULL, NULL), 1);
    pem_append(bio, &ret->key);
    tern_cert_free(cert);
}

static void pem_clear(pem *p)
{
    tern_buf_free(&p->chain);
    tern_buf_free(&p->key);
}

static tern_span span_of(const tern_buf *b)
{
    return (tern_span){tern_buf_data(b), tern_buf_len(b)};
}

static void by_name_and_authority(void **state)
{
    (void)state;
    static const char *const http[] = {"http/1.1", NULL};
    int64_t now = (int64_t)time(NULL);
    const forge valid = {.not_critical = true, .from = now - 60, .to = now + 3600};
    const forge old = {.not_critical = true, .from = now - 60, .to = now - 30};
    const struct {
        const forge *f;
        const char *name;
        bool trusted;
        int result;
    } cases[] = {
        {&valid, "localhost", true, 1},
        {&valid, "elsewhere", true, TERN_E_SIGNATURE},
        {&valid, "localhost", false, TERN_E_SIGNATURE},
        {&old, "localhost", true, TERN_E_SIGNATURE},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        ends x;
        pem p, other;
        tern_tls_context *server, *client;
        pem_make(&p, cases[i].f);
        pem_make(&other, &valid);
        tern_tls_settings s = {.chain_pem = span_of(&p.chain), .key_pem = span_of(&p.key)};
        tern_tls_settings c = {.ca_pem = span_of(cases[i].trusted ? &p.chain : &other.chain)};
        assert_int_equal(tern_tls_context_new(&s, &server), 0);
        assert_int_equal(tern_tls_context_new(&c, &client), 0);
        assert_true(ends_make(&x, client, server, http, http, cases[i].name));
        shake(&x, SIZE_MAX);
        assert_int_equal(x.e[0].result, cases[i].result);
        if (cases[i].result == 1) {
            assert_shaken(&x, 1, 1);
            assert_string_equal(tern_tls_engine_alpn(x.e[1].engine), "http/1.1");
            exchange(&x, 0, (const uint8_t *)"GET / HTTP/1.1\r\n\r\n", 18);
        } else {
            assert_non_null(strstr(x.e[0].error.text, "not trusted"));
        }
        ends_clear(&x);
        tern_tls_context_free(client);
        tern_tls_context_free(server);
        pem_clear(&p);
        pem_clear(&other);
    }
}

static void settings_that_do_not_fit(void **state)
{
    (void)state;
    pem p, other;
    tern_tls_context *c = NULL;
    const tern_span junk = {(const uint8_t *)"-----BEGIN CERTIFICATE-----\nxx\n", 31};
    pem_make(&p, &(forge){0});
    pem_make(&other, &(forge){0});
    const tern_tls_settings wrong[] = {
        {.chain_pem = junk, .key_pem = span_of(&p.key)},
        {.chain_pem = span_of(&p.key), .key_pem = span_of(&p.key)},
        {.chain_pem = span_of(&p.chain)},
        {.chain_pem = span_of(&p.chain), .key_pem = junk},
        {.chain_pem = span_of(&p.chain), .key_pem = span_of(&other.key)},
        {.ca_pem = junk},
        {.ca_pem = span_of(&p.key)},
    };
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        assert_int_equal(tern_tls_context_new(&wrong[i], &c), TERN_E_INVALID);
        assert_null(c);
    }
    pem_clear(&p);
    pem_clear(&other);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(by_name_and_authority),
        cmocka_unit_test(settings_that_do_not_fit),
    };
    if (tern_key_generate(TERN_KEY_ED25519, &identity) != 0) {
        return 1;
    }
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    tern_key_unref(identity);
    return failed + (tern_mem_alive() == 0 ? 0 : tern_test_leak());
}
