/* libp2p's TLS against peers that break the rules: of certificates, of handshakes, of records; and
 * memory that runs short, ours and OpenSSL's. */
#include "crypto/openssl_short_test.h"
#include "tls/mutual_ends_test.h"

/* ---- certificates ---- */

typedef enum trick {
    TRICK_FORGED, /* the certificate itself is wrong */
    TRICK_TWO,    /* two certificates */
    TRICK_NONE,   /* no certificate, and any of ours is fine */
    TRICK_TLS12,  /* no TLS 1.3 */
    TRICK_GROUP,  /* no group of ours */
    TRICK_ALPN,   /* no protocol of ours */
} trick;

static const struct hostile {
    trick trick;
    forge f;
    int as_client, as_server; /* what our end says to it in that role; 2 = cannot be tried */
} hostiles[] = {
    {TRICK_FORGED, {.wrong_self = true}, TERN_E_SIGNATURE, TERN_E_SIGNATURE},
    {TRICK_FORGED, {.wrong_identity = true}, TERN_E_SIGNATURE, TERN_E_SIGNATURE},
    {TRICK_FORGED, {.to = FORGE_NOW - 1}, TERN_E_PROTOCOL, TERN_E_PROTOCOL},
    {TRICK_FORGED, {.from = FORGE_NOW + 1}, TERN_E_PROTOCOL, TERN_E_PROTOCOL},
    {TRICK_FORGED, {.no_extension = true}, TERN_E_PROTOCOL, TERN_E_PROTOCOL},
    {TRICK_FORGED, {.extensions = 1}, TERN_E_PROTOCOL, TERN_E_PROTOCOL},
    {TRICK_FORGED, {.key = "RSA", .rsa_bits = 1536}, TERN_E_UNSUPPORTED, TERN_E_UNSUPPORTED},
    {TRICK_TWO, {0}, 1, 1}, /* the caller judges the number */
    {TRICK_NONE, {0}, TERN_E_PROTOCOL, 2},
    {TRICK_TLS12, {0}, TERN_E_UNSUPPORTED, TERN_E_RESET}, /* as a server it says so itself */
    {TRICK_GROUP, {0}, TERN_E_UNSUPPORTED, TERN_E_RESET},
    {TRICK_ALPN, {0}, TERN_E_NEGOTIATION, TERN_E_PROTOCOL},
};

static int takes_h2(SSL *ssl, const unsigned char **out, unsigned char *out_n,
                    const unsigned char *in, unsigned in_n, void *unused)
{
    (void)ssl;
    (void)in;
    (void)in_n;
    (void)unused;
    *out = (const unsigned char *)"h2";
    *out_n = 2;
    return SSL_TLSEXT_ERR_OK;
}

static SSL_CTX *hostile_context(const struct hostile *h, const tern_cert *cert)
{
    SSL_CTX *ctx = openssl_context(h->trick == TRICK_NONE ? NULL : cert);
    if (h->trick == TRICK_TWO) {
        assert_int_equal(SSL_CTX_add1_chain_cert(ctx, cert->x509), 1);
    } else if (h->trick == TRICK_TLS12) {
        assert_int_equal(SSL_CTX_set_max_proto_version(ctx, TLS1_2_VERSION), 1);
    } else if (h->trick == TRICK_GROUP) {
        set_groups(ctx, "P-384:P-521");
    } else if (h->trick == TRICK_ALPN) {
        assert_int_equal(SSL_CTX_set_alpn_protos(ctx, (const uint8_t *)"\2h2", 3), 0);
        SSL_CTX_set_alpn_select_cb(ctx, takes_h2, NULL);
    }
    return ctx;
}

static void hostile_peers(void **state)
{
    (void)state;
    for (size_t i = 0; i < 2 * sizeof hostiles / sizeof *hostiles; i++) {
        const struct hostile *h = &hostiles[i / 2];
        int ours = i % 2 == 0; /* the peer is the client, then the server */
        int expected = ours ? h->as_client : h->as_server;
        pair p;
        if (expected == 2) {
            continue;
        }
        tern_cert *cert = forge_cert(identity, &h->f);
        SSL_CTX *theirs = hostile_context(h, cert);
        half_make(&p, ours, theirs);
        shake(&p.x, SIZE_MAX);
        if (p.x.e[ours].result != expected) {
            fail_msg("case %zu: %d %s", i, p.x.e[ours].result, p.x.e[ours].error.text);
        }
        assert_int_equal(p.v[ours].certificates, h->trick == TRICK_TWO      ? 2
                                                 : h->trick == TRICK_FORGED ? 1
                                                                            : 0);
        ends_clear(&p.x);
        SSL_CTX_free(theirs);
        tern_cert_free(cert);
    }
}

/* ---- alerts ---- */

/* A refusal reaches the other as an alert: at once for a client, on the next read for a server's
 * peer, which believed that all was well. */
static void refusals_are_said(void **state)
{
    (void)state;
    for (int strict = 0; strict < 2; strict++) {
        pair p;
        tern_buf got;
        tern_buf_init(&got, 0);
        assert_true(pair_make(&p));
        p.v[strict].says = TERN_E_PEER_ID;
        shake(&p.x, SIZE_MAX);
        assert_int_equal(p.x.e[strict].result, TERN_E_PEER_ID);
        assert_string_equal(p.x.e[strict].error.text, "refused");
        end *other = &p.x.e[1 - strict];
        if (strict == 1) {
            assert_int_equal(other->result, 1);
            assert_int_equal(read_all(&p.x, 0, &got), TERN_E_RESET);
        } else {
            assert_int_equal(other->result, TERN_E_RESET);
        }
        assert_int_equal(other->error.wire, TERN_ALERT_BAD_CERTIFICATE);
        tern_buf_free(&got);
        ends_clear(&p.x);
    }
}

/* ... and is under the keys that OpenSSL expects, at each stage. */
static void openssl_understands_alerts(void **state)
{
    (void)state;
    static const struct {
        int ours;
        int most; /* version that OpenSSL speaks */
        const char *said;
    } cases[] = {
        {1, TLS1_2_VERSION, "alert protocol version"}, /* before there are keys */
        {0, TLS1_3_VERSION, "alert bad certificate"},  /* under the handshake's */
        {1, TLS1_3_VERSION, "alert bad certificate"},  /* under the application's */
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        pair p;
        char byte;
        SSL_CTX *ctx = openssl_context(good_cert);
        SSL_CTX_set_max_proto_version(ctx, cases[i].most);
        half_make(&p, cases[i].ours, ctx);
        p.v[cases[i].ours].says = TERN_E_PEER_ID;
        shake(&p.x, SIZE_MAX);
        end *other = &p.x.e[1 - cases[i].ours];
        const char *said = other->error.text;
        if (other->result == 1) {
            tern_buf *out = &p.x.e[cases[i].ours].out;
            BIO_write(other->ssl_in, tern_buf_data(out), (int)tern_buf_len(out));
            ERR_clear_error();
            assert_true(SSL_read(other->ssl, &byte, 1) <= 0);
            said = ERR_reason_error_string(ERR_peek_error());
        }
        assert_non_null(said);
        if (strstr(said, cases[i].said) == NULL) {
            fail_msg("case %zu: \"%s\"", i, said);
        }
        ERR_clear_error();
        ends_clear(&p.x);
        SSL_CTX_free(ctx);
    }
}

/* A client that our ServerHello does not please has no keys to say so with; once it has used them,
 * an alert in the clear is anybody's. */
static void alerts_in_the_clear(void **state)
{
    (void)state;
    for (int opened = 0; opened < 2; opened++) {
        pair p;
        assert_true(pair_make(&p));
        advance(&p.x, 0, SIZE_MAX);
        advance(&p.x, 1, SIZE_MAX);
        if (opened) {
            tern_span in;
            uint8_t *first = tern_buf_data(&p.x.e[1].out);
            size_t n = TERN_TLS_HEADER + (size_t)tern_get16(first + 3);
            in = (tern_span){first, n}; /* to a client no alert in the clear comes */
            assert_int_equal(tern_tls_engine_handshake(p.x.e[0].engine, &in, &p.x.e[0].error), 0);
            assert_int_equal(in.len, 0);
        }
        tern_span alert = {(const uint8_t *)"\x15\3\3\0\2\2\x2f", 7};
        end *e = &p.x.e[1 - opened];
        int r = tern_tls_engine_handshake(e->engine, &alert, &e->error);
        assert_int_equal(r, opened ? TERN_E_MALFORMED : TERN_E_RESET);
        assert_int_equal(e->error.code, r);
        assert_int_equal(e->error.wire, opened ? 0 : TERN_ALERT_ILLEGAL_PARAMETER);
        ends_clear(&p.x);
    }
}

/* ---- records ---- */

/* What a peer begins with, what we make of it, and the alert in the clear that it gets (0: none).
 * A client has sent its ClientHello. */
static void first_records(void **state)
{
    (void)state;
    static const struct {
        const char *bytes;
        size_t n;
        int client, server;
        int alert;
    } cases[] = {
        {"GET / HTTP/1.1\r\n", 16, TERN_E_MALFORMED, TERN_E_MALFORMED, 10},
        {"\x18\3\3\0\1x", 6, TERN_E_MALFORMED, TERN_E_MALFORMED, 10},
        {"\x17\3\3\0\1x", 6, TERN_E_MALFORMED, TERN_E_MALFORMED, 10},
        {"\x16\3\3\0\0", 5, TERN_E_MALFORMED, TERN_E_MALFORMED, 10},
        {"\x16\3\3\x40\1", 5, TERN_E_TOO_LARGE, TERN_E_TOO_LARGE, 22},
        {"\x17\3\3\x41\1", 5, TERN_E_TOO_LARGE, TERN_E_TOO_LARGE, 22},
        {"\x16\3\3\0\4\1\xff\0\0", 9, TERN_E_TOO_LARGE, TERN_E_TOO_LARGE, 50},
        {"\x16\3\3\0\4\x14\0\0\0", 9, TERN_E_PROTOCOL, TERN_E_PROTOCOL, 10},
        {"\x14\3\3\0\1\1", 6, 0, TERN_E_MALFORMED, 10}, /* none may come before a hello */
        {"\x14\3\3\0\1\2", 6, TERN_E_MALFORMED, TERN_E_MALFORMED, 10},
        {"\x14\3\3\0\2\1\1", 7, TERN_E_MALFORMED, TERN_E_MALFORMED, 10},
        {"\x14\3\3\0\0", 5, TERN_E_MALFORMED, TERN_E_MALFORMED, 10},
        {"\x15\3\3\0\2\2\x28", 7, TERN_E_RESET, TERN_E_RESET, 0},
        {"\x15\3\3\0\2\1\x28", 7, TERN_E_RESET, TERN_E_RESET, 0},
        {"\x15\3\3\0\2\1\0", 7, TERN_E_EOF, TERN_E_EOF, 0},
        {"\x15\3\3\0\2\1\x5a", 7, 0, 0, 0}, /* user_canceled: close_notify follows */
        {"\x15\3\3\0\1\2", 6, TERN_E_MALFORMED, TERN_E_MALFORMED, 50},
        {"\x15\3\3\0\0", 5, TERN_E_MALFORMED, TERN_E_MALFORMED, 50},
        /* pieces of a message, and another content between */
        {"\x16\3\3\0\1\1\x15\3\3\0\2\2\x28", 13, TERN_E_MALFORMED, TERN_E_MALFORMED, 10},
        {"\x16\3\3\0\1\2\x14\3\3\0\1\1", 12, TERN_E_MALFORMED, TERN_E_MALFORMED, 10},
        {"\x16\3\3\0\1\2\x16\3\3\0\0", 11, TERN_E_MALFORMED, TERN_E_MALFORMED, 10},
    };
    for (size_t i = 0; i < 2 * sizeof cases / sizeof *cases; i++) {
        bool server = i % 2;
        int code = server ? cases[i / 2].server : cases[i / 2].client;
        pair p;
        tern_span in = {(const uint8_t *)cases[i / 2].bytes, cases[i / 2].n};
        assert_true(pair_make(&p));
        end *e = &p.x.e[server];
        advance(&p.x, server, SIZE_MAX);
        tern_buf_consume(&e->out, tern_buf_len(&e->out));
        int r = tern_tls_engine_handshake(e->engine, &in, &e->error);
        if (r != code || e->error.code != code) {
            fail_msg("case %zu: %d %s", i, r, e->error.text);
        }
        if (r < 0 && cases[i / 2].alert != 0) {
            const uint8_t alert[] = {21, 3, 3, 0, 2, 2, (uint8_t)cases[i / 2].alert};
            assert_int_equal(tern_buf_len(&e->out), sizeof alert);
            assert_memory_equal(tern_buf_data(&e->out), alert, sizeof alert);
        } else {
            assert_int_equal(tern_buf_len(&e->out), 0);
        }
        ends_clear(&p.x);
    }
}

static void a_flood_of_nothing(void **state)
{
    (void)state;
    pair p;
    int r = 0, sent = 0;
    assert_true(pair_make(&p));
    advance(&p.x, 0, SIZE_MAX);
    for (; r == 0 && sent < 1000; sent++) {
        tern_span in = {(const uint8_t *)"\x14\3\3\0\1\1", 6};
        r = tern_tls_engine_handshake(p.x.e[0].engine, &in, &p.x.e[0].error);
    }
    assert_int_equal(r, TERN_E_PROTOCOL);
    assert_int_equal(sent, 17);
    ends_clear(&p.x);
}

/* A ClientHello in records of any size is one; a byte more in its last record, or in that of the
 * ServerHello, is under keys that have changed. */
static void hellos_in_records(void **state)
{
    (void)state;
    for (size_t step = 1; step < 400; step += 13) {
        pair p;
        assert_true(pair_make(&p));
        advance(&p.x, 0, SIZE_MAX);
        tern_buf whole = p.x.e[0].out;
        tern_buf_init(&p.x.e[0].out, 0);
        for (size_t at = TERN_TLS_HEADER; at < tern_buf_len(&whole); at += step) {
            size_t left = tern_buf_len(&whole) - at, k = step < left ? step : left;
            const uint8_t head[] = {22, 3, 1, (uint8_t)(k >> 8), (uint8_t)k};
            tern_buf_append(&p.x.e[0].out, head, sizeof head);
            tern_buf_append(&p.x.e[0].out, tern_buf_data(&whole) + at, k);
        }
        tern_buf_free(&whole);
        shake(&p.x, SIZE_MAX);
        assert_shaken(&p.x, 1, 1);
        ends_clear(&p.x);
    }
    for (int from = 0; from < 2; from++) {
        pair p;
        assert_true(pair_make(&p));
        advance(&p.x, 0, SIZE_MAX);
        if (from == 1) {
            advance(&p.x, 1, SIZE_MAX);
        }
        tern_buf *out = &p.x.e[from].out;
        size_t n = (size_t)tern_get16(tern_buf_data(out) + 3) + 1;
        tern_put16(tern_buf_data(out) + 3, (uint16_t)n);
        if (from == 0) {
            tern_buf_append(out, "\x14", 1);
        } else { /* it takes the first byte of the next record with it */
            tern_buf_data(out)[TERN_TLS_HEADER + n - 1] = 8;
        }
        advance(&p.x, 1 - from, SIZE_MAX);
        assert_int_equal(p.x.e[1 - from].result, TERN_E_PROTOCOL);
        ends_clear(&p.x);
    }
}

/* Both flights that are sealed, with one bit changed, never end well on both sides. */
static void each_byte_of_the_flights(void **state)
{
    (void)state;
    for (int from = 1; from >= 0; from--) {
        size_t n = SIZE_MAX;
        for (size_t at = 0; at < n; at++) {
            pair p;
            assert_true(pair_make(&p));
            advance(&p.x, 0, SIZE_MAX);
            advance(&p.x, 1, SIZE_MAX);
            if (from == 0) {
                advance(&p.x, 0, SIZE_MAX);
            }
            end *to = &p.x.e[1 - from];
            n = tern_buf_len(&p.x.e[from].out);
            if (at < n) {
                uint8_t *head = tern_buf_data(&p.x.e[from].out);
                size_t begin = 0; /* of the record that has the byte */
                while (at - begin >= TERN_TLS_HEADER + (size_t)tern_get16(head + begin + 3)) {
                    begin += TERN_TLS_HEADER + (size_t)tern_get16(head + begin + 3);
                }
                bool free = begin == 0 && from == 1 && (at == 1 || at == 2);
                head[at] ^= 0x10;
                advance(&p.x, 1 - from, SIZE_MAX);
                if (free) { /* the version of a record in the clear says nothing */
                    assert_int_equal(to->result, 1);
                } else if (to->result == 1) {
                    fail_msg("byte %zu from %d changed nothing", at, from);
                }
                assert_int_equal(to->error.code, to->result < 0 ? to->result : 0);
            }
            ends_clear(&p.x);
        }
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
        pair p;
        tern_buf got;
        tern_buf_init(&got, 0);
        assert_true(pair_make(&p));
        shake(&p.x, SIZE_MAX);
        assert_int_equal(write_all(&p.x, 0, (const uint8_t *)"12345678", 8), 0);
        tern_buf_data(&p.x.e[0].out)[cases[i].at] ^= 0x10;
        assert_int_equal(read_all(&p.x, 1, &got), cases[i].code);
        assert_int_equal(p.x.e[1].error.code, cases[i].code);
        assert_int_equal(tern_buf_len(&got), 0);
        tern_buf_free(&got);
        ends_clear(&p.x);
    }
}

/* ---- memory ---- */

static void output_without_memory(void **state)
{
    (void)state;
    for (int turn = 0; turn < 3; turn++) { /* which flight has no place to go to */
        pair p;
        assert_true(pair_make(&p));
        for (int i = 0; i < turn; i++) {
            advance(&p.x, i % 2, SIZE_MAX);
        }
        p.x.e[turn % 2].no_memory = true;
        advance(&p.x, turn % 2, SIZE_MAX);
        assert_int_equal(p.x.e[turn % 2].result, TERN_E_NOMEM);
        ends_clear(&p.x);
    }
    pair p;
    assert_true(pair_make(&p));
    shake(&p.x, SIZE_MAX);
    p.x.e[0].no_memory = p.x.e[1].no_memory = true;
    assert_int_equal(write_all(&p.x, 1, (const uint8_t *)"x", 1), TERN_E_NOMEM);
    assert_int_equal(tern_tls_engine_close(p.x.e[0].engine), TERN_E_NOMEM);
    ends_clear(&p.x);
}

/* The n-th allocation fails, OpenSSL's or ours: an end says so or all is well, and nothing breaks.
 */
static void short_of_memory(void **state)
{
    (void)state;
    for (int whose = 0; whose < 2; whose++) {
        bool whole = false;
        for (size_t nth = 1; !whole; nth++) {
            pair p;
            openssl_made = 0;
            openssl_fail_at = whose == 0 ? nth : 0;
            tern_mem_fail_at(whose == 0 ? 0 : nth, 0);
            bool ok = pair_make(&p);
            if (ok) {
                shake(&p.x, SIZE_MAX);
            }
            whole = (whose == 0 ? openssl_made : tern_mem_count()) < nth;
            tern_mem_fail_at(0, 0);
            openssl_fail_at = 0;
            if (whole) {
                assert_true(ok);
                assert_shaken(&p.x, 1, 1);
            }
            ends_clear(&p.x);
            assert_true(nth < 10000);
        }
    }
}

static int run(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(hostile_peers),
        cmocka_unit_test(refusals_are_said),
        cmocka_unit_test(openssl_understands_alerts),
        cmocka_unit_test(alerts_in_the_clear),
        cmocka_unit_test(first_records),
        cmocka_unit_test(a_flood_of_nothing),
        cmocka_unit_test(hellos_in_records),
        cmocka_unit_test(each_byte_of_the_flights),
        cmocka_unit_test(records_that_lie),
        cmocka_unit_test(output_without_memory),
        cmocka_unit_test(short_of_memory),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

int main(void)
{
    return openssl_short() ? mutual_run(run) : 1;
}
