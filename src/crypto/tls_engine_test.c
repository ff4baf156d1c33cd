/* The TLS engine: two ends over memory in any pieces,  hostile peers in both roles,
 * and OpenSSL's allocations failing in turn. */
#include "crypto/tls_ends_test.h"

#include <stdlib.h>

static const char *const yamux_alpn[] = {"/yamux/1.0.0", "libp2p", NULL};

static tern_key *identity;
static tern_cert *good_cert;
static tern_tls_context *good;

/* ---- OpenSSL's memory ---- */

static size_t made, fail_at;

static void *allocate(size_t n, const char *file, int line)
{
    (void)file;
    (void)line;
    return ++made == fail_at ? NULL : malloc(n);
}

static void *resize(void *p, size_t n, const char *file, int line)
{
    (void)file;
    (void)line;
    return ++made == fail_at ? NULL : realloc(p, n);
}

static void release(void *p, const char *file, int line)
{
    (void)file;
    (void)line;
    free(p);
}

/* ---- what shall work ---- */

static void in_pieces_of_any_size(void **state)
{
    (void)state;
    static const size_t chunks[] = {1, 2, 5, 6, 100, 1000, SIZE_MAX};
    static uint8_t data[100000];
    for (size_t i = 0; i < sizeof chunks / sizeof *chunks; i++) {
        ends x;
        assert_true(ends_make(&x, good, good, yamux_alpn, yamux_alpn, NULL));
        shake(&x, chunks[i]);
        assert_shaken(&x, 1, 1);
        for (int k = 0; k < 2; k++) {
            assert_ptr_equal(tern_tls_engine_alpn(x.e[k].engine), yamux_alpn[0]);
            assert_int_equal(x.e[k].certificates, 1);
            data[k] = (uint8_t)k;
            exchange(&x, k, data, 1);
            exchange(&x, k, data, TERN_TLS_PLAIN_MAX);
            exchange(&x, k, data, TERN_TLS_PLAIN_MAX + 1);
            exchange(&x, k, data, sizeof data);
        }
        ends_clear(&x);
    }
}

/* The server takes no byte behind the handshake's last. */
static void data_behind_the_handshake(void **state)
{
    (void)state;
    ends x;
    tern_buf got;
    tern_buf_init(&got, 0);
    assert_true(ends_make(&x, good, good, yamux_alpn, yamux_alpn, NULL));
    advance(&x, 0, SIZE_MAX);
    advance(&x, 1, SIZE_MAX);
    advance(&x, 0, SIZE_MAX);
    assert_int_equal(x.e[0].result, 1);
    assert_int_equal(write_all(&x, 0, (const uint8_t *)"early", 5), 0);
    advance(&x, 1, SIZE_MAX);
    assert_int_equal(x.e[1].result, 1);
    assert_int_equal(tern_buf_len(&x.e[0].out), 5 + TERN_TLS_OVERHEAD);
    assert_int_equal(read_all(&x, 1, &got), 0);
    assert_int_equal(tern_buf_len(&got), 5);
    tern_buf_free(&got);
    ends_clear(&x);
}

static void every_kind_of_certificate(void **state)
{
    (void)state;
    static const forge kinds[] = {{.key = "P-256"},
                                  {.key = "P-384", .digest = "SHA384"},
                                  {.key = "ED25519"},
                                  {.key = "RSA"},
                                  {.key = "RSA", .pss = true}};
    for (size_t i = 0; i < 2 * sizeof kinds / sizeof *kinds; i++) {
        ends x;
        tern_tls_context *theirs;
        tern_cert *cert = forge_cert(identity, &kinds[i / 2]);
        assert_int_equal(tern_tls_context_new(&(tern_tls_settings){.cert = cert}, &theirs), 0);
        assert_true(ends_make(&x, i % 2 ? good : theirs, i % 2 ? theirs : good, yamux_alpn,
                              yamux_alpn, NULL));
        shake(&x, SIZE_MAX);
        assert_shaken(&x, 1, 1);
        ends_clear(&x);
        tern_tls_context_free(theirs);
        tern_cert_free(cert);
    }
}

static void application_protocols(void **state)
{
    (void)state;
    static const char *const ab[] = {"a", "b", NULL}, *const ba[] = {"b", "a", NULL};
    static const char *const c[] = {"c", NULL}, *const bc[] = {"b", "c", NULL};
    static const struct {
        const char *const *client, *const *server;
        const char *agreed;
        int results[2];
    } cases[] = {
        {ab, ab, "a", {1, 1}},      {ab, ba, "a", {1, 1}},
        {ba, ab, "b", {1, 1}},      {bc, c, "c", {1, 1}},
        {NULL, ab, NULL, {1, 1}},   {ab, NULL, NULL, {1, 1}},
        {NULL, NULL, NULL, {1, 1}}, {ab, c, NULL, {TERN_E_RESET, TERN_E_NEGOTIATION}},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        ends x;
        assert_true(ends_make(&x, good, good, cases[i].client, cases[i].server, NULL));
        shake(&x, SIZE_MAX);
        assert_shaken(&x, cases[i].results[0], cases[i].results[1]);
        for (int k = 0; k < 2 && cases[i].results[0] == 1; k++) {
            const char *got = tern_tls_engine_alpn(x.e[k].engine);
            if (cases[i].agreed == NULL) {
                assert_null(got);
            } else {
                assert_string_equal(got, cases[i].agreed);
            }
        }
        ends_clear(&x);
    }
}

static void halves_close_by_themselves(void **state)
{
    (void)state;
    ends x;
    tern_buf got;
    tern_buf_init(&got, 0);
    assert_true(ends_make(&x, good, good, yamux_alpn, yamux_alpn, NULL));
    shake(&x, SIZE_MAX);
    assert_int_equal(write_all(&x, 0, (const uint8_t *)"last", 4), 0);
    assert_int_equal(tern_tls_engine_close(x.e[0].engine), 0);
    assert_int_equal(read_all(&x, 1, &got), TERN_E_EOF);
    assert_int_equal(tern_buf_len(&got), 4);
    exchange(&x, 1, (const uint8_t *)"still here", 10);
    assert_int_equal(tern_tls_engine_close(x.e[1].engine), 0);
    assert_int_equal(read_all(&x, 0, &got), TERN_E_EOF);
    tern_buf_free(&got);
    ends_clear(&x);
}

/* ---- hostile peers ---- */

typedef enum trick {
    TRICK_FORGED, /* the certificate itself is wrong */
    TRICK_TWO,    /* two certificates */
    TRICK_NONE,   /* no certificate, and any of ours is fine */
    TRICK_TLS12,  /* no TLS 1.3 */
} trick;

static const struct hostile {
    trick trick;
    forge f;
    int as_client, as_server; /* what our end says to it in that role; 1 = cannot be tried */
} hostiles[] = {
    {TRICK_FORGED, {.wrong_self = true}, TERN_E_SIGNATURE, TERN_E_SIGNATURE},
    {TRICK_FORGED, {.wrong_identity = true}, TERN_E_SIGNATURE, TERN_E_SIGNATURE},
    {TRICK_FORGED, {.to = FORGE_NOW - 1}, TERN_E_PROTOCOL, TERN_E_PROTOCOL},
    {TRICK_FORGED, {.from = FORGE_NOW + 1}, TERN_E_PROTOCOL, TERN_E_PROTOCOL},
    {TRICK_FORGED, {.no_extension = true}, TERN_E_PROTOCOL, TERN_E_PROTOCOL},
    {TRICK_FORGED, {.extensions = 1}, TERN_E_PROTOCOL, TERN_E_PROTOCOL},
    {TRICK_FORGED, {.key = "RSA", .rsa_bits = 1536}, TERN_E_UNSUPPORTED, TERN_E_UNSUPPORTED},
    {TRICK_TWO, {0}, 0, 0}, /* the caller judges the number */
    {TRICK_NONE, {0}, TERN_E_PROTOCOL, 1},
    {TRICK_TLS12, {0}, TERN_E_UNSUPPORTED, TERN_E_RESET}, /* as a server it says so itself */
};

static tern_tls_context *hostile_context(const struct hostile *h, const tern_cert *cert)
{
    tern_tls_context *c = tern_calloc(1, sizeof *c);
    c->mutual = true;
    c->ctx = SSL_CTX_new(TLS_method());
    SSL_CTX_set_security_level(c->ctx, 0); /* its keys may be small */
    SSL_CTX_set_verify(c->ctx, h->trick == TRICK_NONE ? SSL_VERIFY_NONE : SSL_VERIFY_PEER, NULL);
    SSL_CTX_set_cert_verify_callback(c->ctx, tern_tls_verify, NULL);
    SSL_CTX_set_alpn_select_cb(c->ctx, tern_tls_select_alpn, NULL);
    if (h->trick != TRICK_NONE) {
        assert_int_equal(SSL_CTX_use_certificate(c->ctx, cert->x509), 1);
        assert_int_equal(SSL_CTX_use_PrivateKey(c->ctx, cert->pkey), 1);
    }
    if (h->trick == TRICK_TWO) {
        assert_int_equal(SSL_CTX_add1_chain_cert(c->ctx, cert->x509), 1);
    }
    if (h->trick == TRICK_TLS12) {
        assert_int_equal(SSL_CTX_set_max_proto_version(c->ctx, TLS1_2_VERSION), 1);
    }
    return c;
}

static void hostile_peers(void **state)
{
    (void)state;
    for (size_t i = 0; i < 2 * sizeof hostiles / sizeof *hostiles; i++) {
        const struct hostile *h = &hostiles[i / 2];
        int ours =
            i % 2 == 0 ? 1 : 0; /* index of our end: the peer is the client, then the server */
        int expected = i % 2 == 0 ? h->as_client : h->as_server;
        ends x;
        if (expected == 1) {
            continue;
        }
        tern_cert *cert = forge_cert(identity, &h->f);
        tern_tls_context *theirs = hostile_context(h, cert);
        assert_true(ends_make(&x, ours == 0 ? good : theirs, ours == 1 ? good : theirs, yamux_alpn,
                              yamux_alpn, NULL));
        x.e[1 - ours].judged = 0; /* it trusts us */
        shake(&x, SIZE_MAX);
        if (x.e[ours].result != (expected != 0 ? expected : 1)) {
            fail_msg("case %zu: %d %s", i, x.e[ours].result, x.e[ours].error.text);
        }
        assert_int_equal(x.e[ours].certificates, h->trick == TRICK_TWO      ? 2
                                                 : h->trick == TRICK_FORGED ? 1
                                                                            : 0);
        ends_clear(&x);
        tern_tls_context_free(theirs);
        tern_cert_free(cert);
    }
}

/* A refusal reaches the other as an alert: at once for a client, on the next read for a server's
 * peer, which believed that all was well. */
static void refusals_are_said(void **state)
{
    (void)state;
    for (int strict = 0; strict < 2; strict++) {
        ends x;
        tern_buf got;
        tern_buf_init(&got, 0);
        assert_true(ends_make(&x, good, good, yamux_alpn, yamux_alpn, NULL));
        x.e[strict].judged = TERN_E_PEER_ID;
        shake(&x, SIZE_MAX);
        assert_int_equal(x.e[strict].result, TERN_E_PEER_ID);
        assert_string_equal(x.e[strict].error.text, "refused");
        end *other = &x.e[1 - strict];
        if (strict == 1) {
            assert_int_equal(other->result, 1);
            assert_int_equal(read_all(&x, 0, &got), TERN_E_RESET);
        } else {
            assert_int_equal(other->result, TERN_E_RESET);
        }
        assert_int_equal(other->error.wire, SSL_AD_BAD_CERTIFICATE);
        tern_buf_free(&got);
        ends_clear(&x);
    }
}

/* A flight with one bit changed never ends well on both sides. */
static void each_byte_of_the_answer(void **state)
{
    (void)state;
    size_t n = SIZE_MAX;
    for (size_t at = 0; at < n; at += 3) {
        ends x;
        assert_true(ends_make(&x, good, good, yamux_alpn, yamux_alpn, NULL));
        advance(&x, 0, SIZE_MAX);
        advance(&x, 1, SIZE_MAX);
        n = tern_buf_len(&x.e[1].out);
        if (at < n) {
            tern_buf_data(&x.e[1].out)[at] ^= 0x10;
            advance(&x, 0, SIZE_MAX);
            /* The two version bytes of a record are not covered, by RFC 8446. */
            if (x.e[0].result == 1) {
                advance(&x, 1, SIZE_MAX);
                assert_int_equal(x.e[1].result, 1);
            }
            assert_int_equal(x.e[0].error.code, x.e[0].result < 0 ? x.e[0].result : 0);
        }
        ends_clear(&x);
    }
}

static void records_that_lie(void **state)
{
    (void)state;
    static const struct {
        size_t at;
        int code;
    } cases[] = {{0, TERN_E_MALFORMED}, {5, TERN_E_CRYPTO}, {12, TERN_E_CRYPTO}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        ends x;
        tern_buf got;
        tern_buf_init(&got, 0);
        assert_true(ends_make(&x, good, good, yamux_alpn, yamux_alpn, NULL));
        shake(&x, SIZE_MAX);
        assert_int_equal(write_all(&x, 0, (const uint8_t *)"12345678", 8), 0);
        tern_buf_data(&x.e[0].out)[cases[i].at] ^= 0x10;
        assert_int_equal(read_all(&x, 1, &got), cases[i].code);
        assert_int_equal(x.e[1].error.code, cases[i].code);
        assert_int_equal(tern_buf_len(&got), 0);
        tern_buf_free(&got);
        ends_clear(&x);
    }
}

static void output_without_memory(void **state)
{
    (void)state;
    ends x;
    assert_true(ends_make(&x, good, good, yamux_alpn, yamux_alpn, NULL));
    x.e[0].no_memory = true;
    advance(&x, 0, SIZE_MAX);
    assert_int_equal(x.e[0].result, TERN_E_NOMEM);
    ends_clear(&x);
    assert_true(ends_make(&x, good, good, yamux_alpn, yamux_alpn, NULL));
    shake(&x, SIZE_MAX);
    x.e[1].no_memory = true;
    assert_int_equal(write_all(&x, 1, (const uint8_t *)"x", 1), TERN_E_NOMEM);
    x.e[0].no_memory = true;
    assert_int_equal(tern_tls_engine_close(x.e[0].engine), TERN_E_NOMEM);
    ends_clear(&x);
}

/* ---- memory ---- */

/* The n-th allocation of OpenSSL's fails: an end says so or all is well, and nothing breaks. */
static void openssl_short_of_memory(void **state)
{
    (void)state;
    ends x;
    bool whole = false;
    for (size_t nth = 1; !whole; nth += nth < 300 ? 1 : 5) {
        made = 0;
        fail_at = nth;
        bool ok = ends_make(&x, good, good, yamux_alpn, yamux_alpn, NULL);
        if (ok) {
            shake(&x, SIZE_MAX);
        }
        whole = made < nth;
        fail_at = 0;
        if (whole) {
            assert_true(ok);
            assert_shaken(&x, 1, 1);
        }
        ends_clear(&x);
        assert_true(nth < 100000);
    }
}

static void contexts_short_of_memory(void **state)
{
    (void)state;
    bool whole = false;
    for (size_t nth = 1; !whole; nth += nth < 300 ? 1 : 7) {
        tern_tls_context *c = NULL;
        made = 0;
        fail_at = nth;
        int e = tern_tls_context_new(&(tern_tls_settings){.cert = good_cert}, &c);
        whole = made < nth;
        fail_at = 0;
        assert_true(e == 0 ? c != NULL : c == NULL);
        assert_true(e == 0 || !whole);
        tern_tls_context_free(c);
    }
}

static int make_good(void **state)
{
    (void)state;
    return tern_key_generate(TERN_KEY_ED25519, &identity) == 0 &&
                   tern_cert_make(identity, FORGE_WALL, &good_cert) == 0 &&
                   tern_tls_context_new(&(tern_tls_settings){.cert = good_cert}, &good) == 0
               ? 0
               : -1;
}

static int drop_good(void **state)
{
    (void)state;
    tern_tls_context_free(good);
    tern_cert_free(good_cert);
    tern_key_unref(identity);
    return 0;
}

int main(void)
{
    if (CRYPTO_set_mem_functions(allocate, resize, release) != 1) {
        return 1;
    }
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(in_pieces_of_any_size),      cmocka_unit_test(data_behind_the_handshake),
        cmocka_unit_test(every_kind_of_certificate),  cmocka_unit_test(application_protocols),
        cmocka_unit_test(halves_close_by_themselves), cmocka_unit_test(hostile_peers),
        cmocka_unit_test(refusals_are_said),          cmocka_unit_test(each_byte_of_the_answer),
        cmocka_unit_test(records_that_lie),           cmocka_unit_test(output_without_memory),
        cmocka_unit_test(contexts_short_of_memory),   cmocka_unit_test(openssl_short_of_memory),
    };
    return cmocka_run_group_tests(tests, make_good, drop_good) +
           (tern_mem_alive() == 0 ? 0 : tern_test_leak());
}
