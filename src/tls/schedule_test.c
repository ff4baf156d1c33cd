/* The key schedule, and handshakes as RFC 8448 has them. Those have neither ALPN nor QUIC's
 * parameters, and a certificate of RSA with 1024 bits: these messages go past the checks, straight
 * into the transcript. What comes behind proves that they are there. */
#include <openssl/bn.h>
#include <openssl/core_names.h>
#include <openssl/param_build.h>

#include "tls/ends_test.h"
#include "tls/rfc8448_test.h"

typedef struct bytes {
    size_t n;
    uint8_t p[1024];
} bytes;

static bytes of(const char *hex)
{
    bytes b;
    b.n = tern_test_unhex(b.p, sizeof b.p, hex);
    return b;
}

static void same(const uint8_t *p, const char *hex)
{
    bytes b = of(hex);
    assert_memory_equal(p, b.p, b.n);
}

static void secret_is(const end *e, tern_level level, bool out, const char *hex)
{
    const end_secret *s = &e->secrets[level][out];
    assert_true(s->known);
    assert_int_equal(s->n, TERN_SHA256);
    same(s->bytes, hex);
}

/* ---- a client that begins as the trace's does ---- */

static void begin(end *e, const char *secret, const char *const *hellos)
{
    const tern_handshake_config config = {.alpn = {{(const uint8_t *)"h3", 2}}};
    e->h = tern_handshake_new(&config, &end_ops, e);
    assert_non_null(e->h);
    tls_share *share = &e->h->share;
    share->group = TLS_X25519;
    tern_test_unhex(share->secret, sizeof share->secret, secret);
    assert_int_equal(tern_x25519_public(share->secret, share->public), 0);
    for (; *hellos != NULL; hellos++) {
        bytes hello = of(*hellos);
        assert_int_equal(tern_buf_append(&e->h->hello, hello.p, hello.n), 0);
    }
}

static void hear(end *e, tern_level level, const char *message)
{
    bytes m = of(message);
    assert_int_equal(end_feed(e, level, m.p, m.n), 0);
}

/* A message that is not judged. */
static void overhear(end *e, const char *message, tls_state next)
{
    bytes m = of(message);
    assert_int_equal(tern_hash_add(e->h->transcript, (tern_span){m.p, m.n}), 0);
    e->h->state = next;
}

/* ---- section 3 ---- */

static void test_simple(void **state)
{
    end e = {.h = NULL};
    (void)state;
    begin(&e, simple_client_secret, (const char *const[]){simple_client_hello, NULL});
    hear(&e, TERN_LEVEL_INITIAL, simple_server_hello);
    assert_string_equal(e.said, "in2 out2");
    same(e.h->secret, simple_handshake);
    secret_is(&e, TERN_LEVEL_HANDSHAKE, true, simple_client_handshake);
    secret_is(&e, TERN_LEVEL_HANDSHAKE, false, simple_server_handshake);
    overhear(&e, simple_extensions, TLS_WAIT_CERTIFICATE);
    overhear(&e, rsa_certificate, TLS_WAIT_CERTIFICATE_VERIFY);
    overhear(&e, simple_verify, TLS_WAIT_FINISHED);
    hear(&e, TERN_LEVEL_HANDSHAKE, simple_server_finished);
    secret_is(&e, TERN_LEVEL_TRAFFIC, true, simple_client_traffic);
    secret_is(&e, TERN_LEVEL_TRAFFIC, false, simple_server_traffic);
    same(e.h->resumption, simple_resumption);
    const end_message *m = end_next(&e);
    assert_non_null(m);
    assert_int_equal(m->n, strlen(simple_client_finished) / 2);
    same(m->bytes, simple_client_finished);
    hear(&e, TERN_LEVEL_TRAFFIC, simple_ticket);
    assert_int_equal(e.tickets, 1);
    same(e.ticket.psk.key, resumed_psk);
    assert_int_equal(e.ticket.lifetime, 30);
    assert_int_equal(e.ticket.age_add, 0xfad6aac5);
    assert_int_equal(e.ticket.bytes.len, 178);
    assert_false(e.ticket.early); /* of 1024 bytes, not as QUIC's */
    end_clear(&e);
}

static void test_steps(void **state)
{
    tern_handshake h = {.cipher = TERN_AES_128_GCM};
    bytes shared = of(simple_shared), key = of(simple_server_handshake);
    uint8_t out[TERN_HASH_MAX];
    (void)state;
    assert_int_equal(tls_early_secret(&h, TERN_AES_128_GCM, NULL), 0);
    same(h.secret, simple_early);
    assert_int_equal(tls_next_secret(&h, shared.p, shared.n), 0);
    same(h.secret, simple_handshake);
    assert_int_equal(tls_next_secret(&h, NULL, 0), 0);
    same(h.secret, simple_master);
    assert_int_equal(tern_tls_expand(TERN_AES_128_GCM, key.p, "key", out, 16), 0);
    same(out, simple_server_key);
    assert_int_equal(tern_tls_expand(TERN_AES_128_GCM, key.p, "iv", out, 12), 0);
    same(out, simple_server_iv);
}

/* RFC 9001, appendices A.1 (Initial keys of its client) and A.5 (ChaCha20). */
static void test_quic_keys(void **state)
{
    bytes initial = of("c00cf151ca5be075ed0ebfb5c80323c42d6b7db67881289af4008f1f6c357aea");
    bytes chacha = of("9ac312a7f877468ebe69422748ad00a15443f18203a07d6060f688f30f21632b");
    uint8_t out[TERN_HASH_MAX];
    (void)state;
    assert_int_equal(tern_tls_expand(TERN_AES_128_GCM, initial.p, "quic key", out, 16), 0);
    same(out, "1f369613dd76d5467730efcbe3b1a22d");
    assert_int_equal(tern_tls_expand(TERN_AES_128_GCM, initial.p, "quic iv", out, 12), 0);
    same(out, "fa044b2f42a3fd3b46fb255c");
    assert_int_equal(tern_tls_expand(TERN_AES_128_GCM, initial.p, "quic hp", out, 16), 0);
    same(out, "9f50449e04a0e810283a1e9933adedd2");
    assert_int_equal(tern_tls_expand(TERN_CHACHA20_POLY1305, chacha.p, "quic key", out, 32), 0);
    same(out, "c6d98ff3441c3fe1b2182094f69caa2ed4b716b65488960a7a984979fb23e1c8");
    assert_int_equal(tern_tls_expand(TERN_CHACHA20_POLY1305, chacha.p, "quic iv", out, 12), 0);
    same(out, "e0459b3474bdd0e44a41c144");
    assert_int_equal(tern_tls_expand(TERN_CHACHA20_POLY1305, chacha.p, "quic hp", out, 32), 0);
    same(out, "25a282b9e82f06f21f488917a4fc8f1b73573685608597d0efcb076b0ab7a7a4");
}

/* ---- section 4 ---- */

static void test_resumed(void **state)
{
    end e = {.h = NULL};
    bytes hello = of(resumed_client_hello), psk = of(resumed_psk);
    tern_hello parts;
    uint8_t hash[TERN_HASH_MAX], binder[TERN_HASH_MAX];
    (void)state;
    begin(&e, resumed_client_secret, (const char *const[]){resumed_client_hello, NULL});
    assert_int_equal(
        tern_hello_read((tern_span){hello.p + TLS_HEAD, hello.n - TLS_HEAD}, 0, &parts), 0);
    assert_true(parts.offered == 1 && parts.early_data && parts.dhe && parts.tls13);
    assert_int_equal(parts.ob_age, 0xfad6aacb);
    assert_int_equal(parts.ticket.len, 178);
    const tern_span whole = {hello.p, hello.n}, bound = {hello.p, TLS_HEAD + parts.unbound};
    assert_int_equal(tern_hash_of(TERN_HASH_SHA256, &bound, 1, hash), 0);
    same(hash, resumed_bound);
    assert_int_equal(tls_early_secret(e.h, TERN_AES_128_GCM, psk.p), 0);
    same(e.h->secret, resumed_early);
    assert_int_equal(tls_binder(e.h, TERN_AES_128_GCM, hash, binder), 0);
    same(binder, resumed_binder);
    assert_memory_equal(binder, parts.binder.data, parts.binder.len);
    assert_int_equal(tern_hash_of(TERN_HASH_SHA256, &whole, 1, hash), 0);
    assert_int_equal(tls_early_traffic(e.h, TERN_AES_128_GCM, hash), 0);
    secret_is(&e, TERN_LEVEL_EARLY, true, resumed_early_traffic);

    e.h->offered = 1;
    e.h->psk.cipher = TERN_AES_128_GCM;
    memcpy(e.h->psk.key, psk.p, psk.n);
    hear(&e, TERN_LEVEL_INITIAL, resumed_server_hello);
    assert_true(tern_handshake_resumed(e.h));
    secret_is(&e, TERN_LEVEL_HANDSHAKE, true, resumed_client_handshake);
    secret_is(&e, TERN_LEVEL_HANDSHAKE, false, resumed_server_handshake);
    overhear(&e, resumed_extensions, TLS_WAIT_FINISHED);
    hear(&e, TERN_LEVEL_HANDSHAKE, resumed_server_finished);
    assert_true(tern_handshake_done(e.h));
    end_clear(&e);
}

/* ---- section 5 ---- */

static tern_p256 *pair_of(const char *secret, uint8_t ret_public[TERN_P256_POINT])
{
    bytes s = of(secret);
    BIGNUM *number = BN_bin2bn(s.p, (int)s.n, NULL);
    EC_GROUP *group = EC_GROUP_new_by_curve_name(NID_X9_62_prime256v1);
    EC_POINT *point = EC_POINT_new(group);
    assert_int_equal(EC_POINT_mul(group, point, number, NULL, NULL, NULL), 1);
    assert_int_equal(EC_POINT_point2oct(group, point, POINT_CONVERSION_UNCOMPRESSED, ret_public,
                                        TERN_P256_POINT, NULL),
                     TERN_P256_POINT);
    OSSL_PARAM_BLD *build = OSSL_PARAM_BLD_new();
    OSSL_PARAM_BLD_push_utf8_string(build, OSSL_PKEY_PARAM_GROUP_NAME, "P-256", 0);
    OSSL_PARAM_BLD_push_BN(build, OSSL_PKEY_PARAM_PRIV_KEY, number);
    OSSL_PARAM_BLD_push_octet_string(build, OSSL_PKEY_PARAM_PUB_KEY, ret_public, TERN_P256_POINT);
    OSSL_PARAM *params = OSSL_PARAM_BLD_to_param(build);
    EVP_PKEY_CTX *ctx = EVP_PKEY_CTX_new_from_name(NULL, "EC", NULL);
    EVP_PKEY *pair = NULL;
    assert_int_equal(EVP_PKEY_fromdata_init(ctx), 1);
    assert_int_equal(EVP_PKEY_fromdata(ctx, &pair, EVP_PKEY_KEYPAIR, params), 1);
    EVP_PKEY_CTX_free(ctx);
    OSSL_PARAM_free(params);
    OSSL_PARAM_BLD_free(build);
    EC_POINT_free(point);
    EC_GROUP_free(group);
    BN_free(number);
    return (tern_p256 *)(void *)pair;
}

static void test_retry(void **state)
{
    end e = {.h = NULL};
    bytes hello = of(retry_client_hello), second = of(retry_client_hello_2);
    uint8_t hashed[TLS_HEAD + TERN_HASH_MAX];
    (void)state;
    begin(&e, retry_client_secret, (const char *const[]){NULL});
    size_t n = tls_put_message_hash(TERN_HASH_SHA256, (tern_span){hello.p, hello.n}, hashed);
    assert_int_equal(n, TLS_HEAD + TERN_SHA256);
    assert_int_equal(tern_buf_append(&e.h->hello, hashed, n), 0);
    bytes request = of(retry_request);
    tern_buf_append(&e.h->hello, request.p, request.n);
    tern_buf_append(&e.h->hello, second.p, second.n);
    e.h->retried = 1;
    e.h->cipher = TERN_AES_128_GCM;
    e.h->share.group = TLS_P256;
    e.h->share.p256 = pair_of(retry_client_secret, e.h->share.public);
    size_t share_n; /* the same as the trace's client sends */
    const uint8_t *share = end_extension(second.p, second.n, TLS_EXT_KEY_SHARE, &share_n);
    assert_int_equal(share_n, 2 + 4 + TERN_P256_POINT);
    assert_memory_equal(share + 6, e.h->share.public, TERN_P256_POINT);

    hear(&e, TERN_LEVEL_INITIAL, retry_server_hello);
    overhear(&e, retry_extensions, TLS_WAIT_CERTIFICATE);
    overhear(&e, rsa_certificate, TLS_WAIT_CERTIFICATE_VERIFY);
    overhear(&e, retry_verify, TLS_WAIT_FINISHED);
    hear(&e, TERN_LEVEL_HANDSHAKE, retry_server_finished);
    assert_true(tern_handshake_done(e.h));
    end_clear(&e);
}

/* The request itself, to a client of ours that sent the trace's hello: it asks with a cookie. */
static void test_retry_asked(void **state)
{
    end e = {.h = NULL};
    (void)state;
    begin(&e, retry_client_secret, (const char *const[]){retry_client_hello, NULL});
    hear(&e, TERN_LEVEL_INITIAL, retry_request);
    const end_message *m = end_next(&e);
    assert_non_null(m);
    size_t n, cookie_n;
    bytes second = of(retry_client_hello_2);
    const uint8_t *share = end_extension(m->bytes, m->n, TLS_EXT_KEY_SHARE, &n);
    assert_non_null(share);
    assert_int_equal(tern_get16(share + 2), TLS_P256);
    const uint8_t *theirs = end_extension(second.p, second.n, TLS_EXT_COOKIE, &cookie_n);
    const uint8_t *ours = end_extension(m->bytes, m->n, TLS_EXT_COOKIE, &n);
    assert_non_null(ours);
    assert_int_equal(n, cookie_n);
    assert_memory_equal(ours, theirs, n);
    end_clear(&e);
}

/* ---- section 6 ---- */

/* A signature that somebody else made: the request, the certificate and what proves it are judged.
 */
static void test_ecdsa(void **state)
{
    (void)state;
    for (int wrong = 0; wrong < 2; wrong++) {
        end e = {.h = NULL};
        begin(&e, ecdsa_client_secret, (const char *const[]){ecdsa_client_hello, NULL});
        hear(&e, TERN_LEVEL_INITIAL, ecdsa_server_hello);
        overhear(&e, ecdsa_extensions, TLS_WAIT_CERTIFICATE_OR_REQUEST);
        hear(&e, TERN_LEVEL_HANDSHAKE, ecdsa_request);
        hear(&e, TERN_LEVEL_HANDSHAKE, ecdsa_certificate);
        bytes verify = of(ecdsa_verify);
        verify.p[verify.n - 1] ^= (uint8_t)wrong;
        end_feed(&e, TERN_LEVEL_HANDSHAKE, verify.p, verify.n);
        assert_int_equal(e.error, wrong ? TERN_E_SIGNATURE : 0);
        if (!wrong) {
            hear(&e, TERN_LEVEL_HANDSHAKE, ecdsa_server_finished);
            assert_string_equal(e.said, "in2 out2 certificate1 in3 send2 out3 done");
        }
        end_clear(&e);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_steps),  cmocka_unit_test(test_quic_keys),
        cmocka_unit_test(test_simple), cmocka_unit_test(test_resumed),
        cmocka_unit_test(test_retry),  cmocka_unit_test(test_retry_asked),
        cmocka_unit_test(test_ecdsa)};
    return TERN_TEST_MAIN(tests);
}
