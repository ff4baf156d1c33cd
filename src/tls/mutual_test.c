/* libp2p's TLS over memory: two of our ends in any pieces, and OpenSSL as the other in both roles,
 * in all the ways that it can shake hands. */
#include "tls/mutual_ends_test.h"

/* ---- two of ours ---- */

static void in_pieces_of_any_size(void **state)
{
    (void)state;
    static const size_t chunks[] = {1, 2, 5, 6, 100, 1000, SIZE_MAX};
    static uint8_t data[100000];
    for (size_t i = 0; i < sizeof chunks / sizeof *chunks; i++) {
        pair p;
        assert_true(pair_make(&p));
        shake(&p.x, chunks[i]);
        assert_shaken(&p.x, 1, 1);
        for (int k = 0; k < 2; k++) {
            assert_ptr_equal(tern_tls_engine_alpn(p.x.e[k].engine), yamux_alpn[0]);
            assert_int_equal(p.v[k].certificates, 1);
            data[k] = (uint8_t)k;
            exchange(&p.x, k, data, 1);
            exchange(&p.x, k, data, TERN_TLS_PLAIN_MAX);
            exchange(&p.x, k, data, TERN_TLS_PLAIN_MAX + 1);
            exchange(&p.x, k, data, sizeof data);
        }
        ends_clear(&p.x);
    }
}

/* The server takes no byte behind the handshake's last. */
static void data_behind_the_handshake(void **state)
{
    (void)state;
    pair p;
    tern_buf got;
    tern_buf_init(&got, 0);
    assert_true(pair_make(&p));
    advance(&p.x, 0, SIZE_MAX);
    advance(&p.x, 1, SIZE_MAX);
    advance(&p.x, 0, SIZE_MAX);
    assert_int_equal(p.x.e[0].result, 1);
    assert_int_equal(write_all(&p.x, 0, (const uint8_t *)"early", 5), 0);
    advance(&p.x, 1, SIZE_MAX);
    assert_int_equal(p.x.e[1].result, 1);
    assert_int_equal(tern_buf_len(&p.x.e[0].out), 5 + TERN_TLS_OVERHEAD);
    assert_int_equal(read_all(&p.x, 1, &got), 0);
    assert_int_equal(tern_buf_len(&got), 5);
    tern_buf_free(&got);
    ends_clear(&p.x);
}

static void application_protocols(void **state)
{
    (void)state;
    static const char *const ab[] = {"a", "b", NULL}, *const ba[] = {"b", "a", NULL};
    static const char *const c[] = {"c", NULL}, *const bc[] = {"b", "c", NULL};
    static const char *const many[] = {"1", "2", "3", "4", "5", "6", "7", "c", NULL};
    static const struct {
        const char *const *client, *const *server;
        const char *agreed;
        int results[2];
    } cases[] = {
        {ab, ab, "a", {1, 1}},      {ab, ba, "a", {1, 1}},
        {ba, ab, "b", {1, 1}},      {bc, c, "c", {1, 1}},
        {many, bc, "c", {1, 1}},    {NULL, ab, NULL, {1, 1}},
        {NULL, NULL, NULL, {1, 1}}, {ab, c, NULL, {TERN_E_RESET, TERN_E_NEGOTIATION}},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        pair p;
        assert_true(pair_make_with(&p, cases[i].client, cases[i].server));
        shake(&p.x, SIZE_MAX);
        assert_shaken(&p.x, cases[i].results[0], cases[i].results[1]);
        for (int k = 0; k < 2 && cases[i].results[0] == 1; k++) {
            const char *got = tern_tls_engine_alpn(p.x.e[k].engine);
            if (cases[i].agreed == NULL) {
                assert_null(got);
            } else {
                assert_string_equal(got, cases[i].agreed);
            }
        }
        if (cases[i].results[0] != 1) {
            assert_int_equal(p.x.e[0].error.wire, TERN_ALERT_NO_APPLICATION_PROTOCOL);
        }
        ends_clear(&p.x);
    }
}

static void halves_close_by_themselves(void **state)
{
    (void)state;
    pair p;
    tern_buf got;
    tern_buf_init(&got, 0);
    assert_true(pair_make(&p));
    shake(&p.x, SIZE_MAX);
    assert_int_equal(write_all(&p.x, 0, (const uint8_t *)"last", 4), 0);
    assert_int_equal(tern_tls_engine_close(p.x.e[0].engine), 0);
    assert_int_equal(read_all(&p.x, 1, &got), TERN_E_EOF);
    assert_int_equal(tern_buf_len(&got), 4);
    exchange(&p.x, 1, (const uint8_t *)"still here", 10);
    assert_int_equal(tern_tls_engine_close(p.x.e[1].engine), 0);
    assert_int_equal(read_all(&p.x, 0, &got), TERN_E_EOF);
    tern_buf_free(&got);
    ends_clear(&p.x);
}

/* ---- OpenSSL as the other ---- */

static void both_talk(pair *p, int ours)
{
    end *mine = &p->x.e[ours], *other = &p->x.e[1 - ours];
    char text[16], *bytes;
    tern_buf got;
    tern_buf_init(&got, 0);
    assert_int_equal(write_all(&p->x, ours, (const uint8_t *)"hello", 5), 0);
    BIO_write(other->ssl_in, tern_buf_data(&mine->out), (int)tern_buf_len(&mine->out));
    assert_int_equal(SSL_read(other->ssl, text, sizeof text), 5);
    assert_int_equal(SSL_write(other->ssl, "answer", 6), 6);
    long n = BIO_get_mem_data(other->ssl_out, &bytes);
    assert_int_equal(tern_buf_append(&other->out, bytes, (size_t)n), 0);
    assert_int_equal(read_all(&p->x, ours, &got), 0); /* its tickets are among them */
    assert_int_equal(tern_buf_len(&got), 6);
    tern_buf_free(&got);
}

/* Each suite; with and without the looks of TLS 1.2 (change_cipher_spec); flights cut into records
 * and into pieces; groups that cost a HelloRetryRequest. */
static void openssl_shakes_hands(void **state)
{
    (void)state;
    static const char *const suites[] = {"TLS_AES_128_GCM_SHA256", "TLS_AES_256_GCM_SHA384",
                                         "TLS_CHACHA20_POLY1305_SHA256"};
    static const char *const groups[] = {"X25519", "P-256", "P-384:P-256", "P-384:X25519:P-256"};
    for (unsigned i = 0; i < 2 * 2 * 3 * 4; i++) {
        int ours = i & 1;
        pair p;
        SSL_CTX *ctx = openssl_context(good_cert);
        if (i & 2) {
            SSL_CTX_clear_options(ctx, SSL_OP_ENABLE_MIDDLEBOX_COMPAT);
            assert_int_equal(SSL_CTX_set_max_send_fragment(ctx, 512), 1);
            SSL_CTX_set_tlsext_max_fragment_length(ctx, TLSEXT_max_fragment_length_DISABLED);
        }
        assert_int_equal(SSL_CTX_set_ciphersuites(ctx, suites[i / 4 % 3]), 1);
        set_groups(ctx, groups[i / 12]);
        half_make(&p, ours, ctx);
        shake(&p.x, i & 2 ? 1 + i : SIZE_MAX);
        assert_shaken(&p.x, 1, 1);
        assert_int_equal(p.v[ours].certificates, 1);
        assert_string_equal(tern_tls_engine_alpn(p.x.e[ours].engine),
                            ours == 0 ? "/yamux/1.0.0" : "libp2p");
        assert_string_equal(SSL_get_cipher_name(p.x.e[1 - ours].ssl), suites[i / 4 % 3]);
        both_talk(&p, ours);
        ends_clear(&p.x);
        SSL_CTX_free(ctx);
    }
}

static void every_kind_of_certificate(void **state)
{
    (void)state;
    static const forge kinds[] = {
        {.key = "P-256"}, {.key = "P-384", .digest = "SHA384"}, {.key = "ED25519"},
        {.key = "RSA"},   {.key = "RSA", .pss = true},          {.key = "RSA", .rsa_bits = 4096}};
    for (size_t i = 0; i < 2 * sizeof kinds / sizeof *kinds; i++) {
        pair p;
        tern_cert *cert = forge_cert(identity, &kinds[i / 2]);
        SSL_CTX *ctx = openssl_context(cert);
        half_make(&p, i % 2, ctx);
        shake(&p.x, SIZE_MAX);
        assert_shaken(&p.x, 1, 1);
        both_talk(&p, i % 2);
        ends_clear(&p.x);
        SSL_CTX_free(ctx);
        tern_cert_free(cert);
    }
}

/* A peer that knows nothing of ALPN, in both roles: the muxer is agreed on afterwards. */
static void without_alpn(void **state)
{
    (void)state;
    for (int ours = 0; ours < 2; ours++) {
        pair p;
        SSL_CTX *ctx = openssl_context(good_cert);
        SSL_CTX_set_alpn_select_cb(ctx, NULL, NULL);
        assert_int_equal(SSL_CTX_set_alpn_protos(ctx, NULL, 0), 0);
        half_make(&p, ours, ctx);
        shake(&p.x, SIZE_MAX);
        assert_shaken(&p.x, 1, 1);
        assert_null(tern_tls_engine_alpn(p.x.e[ours].engine));
        ends_clear(&p.x);
        SSL_CTX_free(ctx);
    }
}

static int run(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(in_pieces_of_any_size), cmocka_unit_test(data_behind_the_handshake),
        cmocka_unit_test(application_protocols), cmocka_unit_test(halves_close_by_themselves),
        cmocka_unit_test(openssl_shakes_hands),  cmocka_unit_test(every_kind_of_certificate),
        cmocka_unit_test(without_alpn),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

int main(void)
{
    return mutual_run(run);
}
