/* TLS by the web's rules: a server with a given chain, a client that trusts authorities and names.
 */
#include "crypto/tls_context.h"

#include <openssl/pem.h>

#include "crypto/openssl_short_test.h"
#include "crypto/tls_ends_test.h"

static const char *const http[] = {"http/1.1", NULL};
static tern_key *identity;

/* ---- ends ---- */

static bool web_ends(ends *x, tern_tls_context *client, tern_tls_context *server,
                     const tern_tls_web_options *client_options)
{
    static const tern_tls_web_options server_options = {.server = true, .alpn = http};
    tern_tls_engine *e[2] = {NULL, NULL};
    bool ok = tern_tls_web_new(client, client_options, &e[0]) == 0;
    ok = tern_tls_web_new(server, &server_options, &e[1]) == 0 && ok;
    end_is(&x->e[0], e[0]);
    end_is(&x->e[1], e[1]);
    return ok;
}

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
        assert_true(web_ends(&x, client, server,
                             &(tern_tls_web_options){.alpn = http, .server_name = cases[i].name}));
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

/* ---- both versions, with a certificate that is made here ---- */

typedef struct versions {
    tern_tls_context *server, *client;
} versions;

static versions make_versions(void)
{
    versions v;
    assert_int_equal(tern_tls_context_new(&(tern_tls_settings){.self_signed = true}, &v.server), 0);
    assert_int_equal(tern_tls_context_new(&(tern_tls_settings){.trust_any = true}, &v.client), 0);
    return v;
}

static void drop_versions(versions *v)
{
    tern_tls_context_free(v->client);
    tern_tls_context_free(v->server);
}

static const tern_tls_web_options by_http = {.alpn = http, .server_name = "localhost"};

/* The same from outside: pieces of any size, records of ours (1.3) and of OpenSSL's (1.2), halves
 * that close by themselves. */
static void either_version(void **state)
{
    (void)state;
    static const size_t chunks[] = {1, 7, 1000, SIZE_MAX};
    static uint8_t data[100000];
    versions v = make_versions();
    for (size_t i = 0; i < 2 * sizeof chunks / sizeof *chunks; i++) {
        ends x;
        tern_buf got;
        tern_buf_init(&got, 0);
        SSL_CTX_set_max_proto_version(v.client->ctx, i % 2 ? TLS1_3_VERSION : TLS1_2_VERSION);
        assert_true(web_ends(&x, v.client, v.server, &by_http));
        shake(&x, chunks[i / 2]);
        assert_shaken(&x, 1, 1);
        for (int k = 0; k < 2; k++) {
            assert_ptr_equal(tern_tls_engine_alpn(x.e[k].engine), http[0]);
            assert_int_equal(write_all(&x, k, data, sizeof data), 0);
            assert_int_equal(read_all(&x, 1 - k, &got), 0);
            assert_int_equal(tern_buf_len(&got), sizeof data);
            tern_buf_consume(&got, sizeof data);
        }
        assert_int_equal(tern_tls_engine_close(x.e[0].engine), 0);
        assert_int_equal(read_all(&x, 1, &got), TERN_E_EOF);
        if (i % 2) {
            exchange(&x, 1, data, 10);
        }
        assert_int_equal(tern_tls_engine_close(x.e[1].engine), 0);
        assert_int_equal(read_all(&x, 0, &got), TERN_E_EOF);
        tern_buf_free(&got);
        ends_clear(&x);
    }
    drop_versions(&v);
}

static void no_protocol_in_common(void **state)
{
    (void)state;
    static const char *const h2[] = {"h2", NULL};
    static const struct {
        const char *const *alpn;
        int client, server;
    } cases[] = {{h2, TERN_E_RESET, TERN_E_NEGOTIATION}, {NULL, 1, 1}};
    versions v = make_versions();
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        ends x;
        assert_true(
            web_ends(&x, v.client, v.server, &(tern_tls_web_options){.alpn = cases[i].alpn}));
        shake(&x, SIZE_MAX);
        assert_shaken(&x, cases[i].client, cases[i].server);
        ends_clear(&x);
    }
    drop_versions(&v);
}

static void output_without_memory(void **state)
{
    (void)state;
    versions v = make_versions();
    for (int i = 0; i < 2; i++) {
        ends x;
        SSL_CTX_set_max_proto_version(v.client->ctx, i ? TLS1_3_VERSION : TLS1_2_VERSION);
        assert_true(web_ends(&x, v.client, v.server, &by_http));
        x.e[0].no_memory = true;
        advance(&x, 0, SIZE_MAX);
        assert_int_equal(x.e[0].result, TERN_E_NOMEM);
        ends_clear(&x);
        assert_true(web_ends(&x, v.client, v.server, &by_http));
        shake(&x, SIZE_MAX);
        x.e[0].no_memory = x.e[1].no_memory = true;
        assert_int_equal(write_all(&x, 1, (const uint8_t *)"x", 1), TERN_E_NOMEM);
        assert_int_equal(tern_tls_engine_close(x.e[0].engine), TERN_E_NOMEM);
        ends_clear(&x);
    }
    drop_versions(&v);
}

/* The n-th allocation of OpenSSL's fails: an end says so or all is well, and nothing breaks. */
static void openssl_short_of_memory(void **state)
{
    (void)state;
    versions v = make_versions();
    bool whole = false;
    for (size_t nth = 1; !whole; nth += nth < 300 ? 1 : 5) {
        ends x;
        openssl_made = 0;
        openssl_fail_at = nth;
        bool ok = web_ends(&x, v.client, v.server, &by_http);
        if (ok) {
            shake(&x, SIZE_MAX);
        }
        whole = openssl_made < nth;
        openssl_fail_at = 0;
        if (whole) {
            assert_true(ok);
            assert_shaken(&x, 1, 1);
        }
        ends_clear(&x);
        assert_true(nth < 100000);
    }
    drop_versions(&v);
}

static void contexts_short_of_memory(void **state)
{
    (void)state;
    bool whole = false;
    for (size_t nth = 1; !whole; nth += nth < 300 ? 1 : 7) {
        tern_tls_context *c = NULL;
        openssl_made = 0;
        openssl_fail_at = nth;
        int e = tern_tls_context_new(&(tern_tls_settings){.self_signed = true}, &c);
        whole = openssl_made < nth;
        openssl_fail_at = 0;
        assert_true(e == 0 ? c != NULL : c == NULL);
        assert_true(e == 0 || !whole);
        tern_tls_context_free(c);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(by_name_and_authority),   cmocka_unit_test(settings_that_do_not_fit),
        cmocka_unit_test(either_version),          cmocka_unit_test(no_protocol_in_common),
        cmocka_unit_test(output_without_memory),   cmocka_unit_test(contexts_short_of_memory),
        cmocka_unit_test(openssl_short_of_memory),
    };
    if (!openssl_short() || tern_key_generate(TERN_KEY_ED25519, &identity) != 0) {
        return 1;
    }
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    tern_key_unref(identity);
    return failed + (tern_mem_alive() == 0 ? 0 : tern_test_leak());
}
