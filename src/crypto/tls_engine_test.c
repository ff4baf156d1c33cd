/* The TLS engine: two ends over memory in any pieces, hostile peers in both roles, the web's rules,
 * and OpenSSL's allocations failing in turn. */
#include "crypto/cert_forge_test.h"

#include <stdlib.h>

#include <openssl/pem.h>

#include "base/buf.h"
#include "crypto/tls_context.h"

static const char *const yamux_alpn[] = {"/yamux/1.0.0", "libp2p", NULL};

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

/* ---- two ends ---- */

typedef struct end {
    tern_tls_engine *engine;
    tern_buf out; /* for the other */
    bool no_memory;
    int judged; /* what judge shall say; -1000 = what tern_cert_verify does */
    size_t certificates;
    int result; /* of the handshake */
    tern_error error;
} end;

typedef struct ends {
    end e[2]; /* client, server */
} ends;

static tern_key *identity;
static tern_cert *good_cert;
static tern_tls_context *good;

static bool keep(void *owner, const uint8_t *p, size_t n)
{
    end *e = owner;
    return !e->no_memory && tern_buf_append(&e->out, p, n) == 0;
}

static int judge(void *owner, tern_span certificate, size_t count, tern_error *ret)
{
    end *e = owner;
    const char *text = "refused";
    tern_key *key = NULL;
    int code = e->judged;
    e->certificates = count;
    if (code == -1000) {
        code = tern_cert_verify(certificate, FORGE_WALL, &key, &text);
        tern_key_unref(key);
    }
    if (code != 0) {
        ret->code = code;
        memcpy(ret->text, text, strlen(text) + 1);
    }
    return code;
}

static bool ends_make(ends *x, tern_tls_context *client, tern_tls_context *server,
                      const char *const *client_alpn, const char *const *server_alpn,
                      const char *name)
{
    bool ok = true;
    memset(x, 0, sizeof *x);
    for (int i = 0; i < 2; i++) {
        end *e = &x->e[i];
        tern_tls_options o = {
            .server = i == 1,
            .alpn = i == 0 ? client_alpn : server_alpn,
            .server_name = i == 0 ? name : NULL,
            .judge = judge,
            .owner = e,
        };
        tern_buf_init(&e->out, 0);
        e->judged = -1000;
        ok = tern_tls_engine_new(i == 0 ? client : server, &o, &e->engine) == 0 && ok;
        if (e->engine != NULL) {
            tern_tls_engine_output(e->engine, keep, e);
        }
    }
    return ok;
}

static void ends_clear(ends *x)
{
    for (int i = 0; i < 2; i++) {
        tern_tls_engine_free(x->e[i].engine);
        tern_buf_free(&x->e[i].out);
    }
}

/* Gives one end up to `chunk` of what the other has for it. */
static void advance(ends *x, int i, size_t chunk)
{
    end *e = &x->e[i];
    tern_buf *from = &x->e[1 - i].out;
    size_t n = tern_buf_len(from) < chunk ? tern_buf_len(from) : chunk;
    uint8_t *copy = tern_memdup(tern_buf_data(from), n); /* exactly so long: overruns show */
    tern_span in = {copy, n};
    assert_non_null(copy);
    e->result = tern_tls_engine_handshake(e->engine, &in, &e->error);
    assert_true(in.len == 0 || e->result != 0);
    tern_buf_consume(from, n - in.len);
    tern_free(copy);
}

static void shake(ends *x, size_t chunk)
{
    advance(x, 0, chunk);
    for (int idle = 0; idle < 2;) {
        idle = 0;
        for (int i = 1; i >= 0; i--) {
            if (x->e[i].result == 0 && tern_buf_len(&x->e[1 - i].out) > 0) {
                advance(x, i, chunk);
            } else {
                idle++;
            }
        }
    }
}

static void assert_shaken(const ends *x, int client, int server)
{
    if (x->e[0].result != client || x->e[1].result != server) {
        fail_msg("client %d (%s), server %d (%s)", x->e[0].result, x->e[0].error.text,
                 x->e[1].result, x->e[1].error.text);
    }
}

/* All that the other has sent, decrypted behind *got; what the last read said. */
static ssize_t read_all(ends *x, int i, tern_buf *got)
{
    end *e = &x->e[i];
    tern_buf *from = &x->e[1 - i].out;
    ssize_t r = 1;
    while (r > 0) {
        uint8_t *p = tern_buf_data(from);
        tern_span in = {p, tern_buf_len(from)};
        size_t n = in.len;
        /* The plaintext may go where the record lay. */
        r = tern_tls_engine_read(e->engine, &in, p, n, &e->error);
        if (r > 0) {
            assert_int_equal(tern_buf_append(got, p, (size_t)r), 0);
        }
        tern_buf_consume(from, n - in.len);
    }
    return r;
}

static void exchange(ends *x, int from, const uint8_t *p, size_t n)
{
    tern_buf got;
    tern_buf_init(&got, 0);
    assert_int_equal(tern_tls_engine_write(x->e[from].engine, p, n), 0);
    size_t records = (n + TERN_TLS_PLAIN_MAX - 1) / TERN_TLS_PLAIN_MAX;
    assert_int_equal(tern_buf_len(&x->e[from].out), n + records * TERN_TLS_OVERHEAD);
    assert_int_equal(read_all(x, 1 - from, &got), 0);
    assert_int_equal(tern_buf_len(&got), n);
    assert_memory_equal(tern_buf_data(&got), p, n);
    tern_buf_free(&got);
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
    assert_int_equal(tern_tls_engine_write(x.e[0].engine, (const uint8_t *)"early", 5), 0);
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
    assert_int_equal(tern_tls_engine_write(x.e[0].engine, (const uint8_t *)"last", 4), 0);
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
        assert_int_equal(tern_tls_engine_write(x.e[0].engine, (const uint8_t *)"12345678", 8), 0);
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
    assert_int_equal(tern_tls_engine_write(x.e[1].engine, (const uint8_t *)"x", 1), TERN_E_NOMEM);
    x.e[0].no_memory = true;
    assert_int_equal(tern_tls_engine_close(x.e[0].engine), TERN_E_NOMEM);
    ends_clear(&x);
}

/* ---- the web ---- */

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

static void web(void **state)
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

static void web_settings_that_do_not_fit(void **state)
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
        cmocka_unit_test(in_pieces_of_any_size),
        cmocka_unit_test(data_behind_the_handshake),
        cmocka_unit_test(every_kind_of_certificate),
        cmocka_unit_test(application_protocols),
        cmocka_unit_test(halves_close_by_themselves),
        cmocka_unit_test(hostile_peers),
        cmocka_unit_test(refusals_are_said),
        cmocka_unit_test(each_byte_of_the_answer),
        cmocka_unit_test(records_that_lie),
        cmocka_unit_test(output_without_memory),
        cmocka_unit_test(web),
        cmocka_unit_test(web_settings_that_do_not_fit),
        cmocka_unit_test(contexts_short_of_memory),
        cmocka_unit_test(openssl_short_of_memory),
    };
    return cmocka_run_group_tests(tests, make_good, drop_good) +
           (tern_mem_alive() == 0 ? 0 : tern_test_leak());
}
