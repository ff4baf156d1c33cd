/* Two ends of TLS that speak to each other over memory, for tests: an engine, or OpenSSL by itself,
 * which may misbehave. Header only. */
#ifndef TERN_CRYPTO_TLS_ENDS_TEST_H
#define TERN_CRYPTO_TLS_ENDS_TEST_H

#include <stdlib.h>

#include <openssl/err.h>
#include <openssl/ssl.h>

#include "base/buf.h"
#include "crypto/cert_forge_test.h"
#include "crypto/tls_engine.h"

typedef struct end {
    tern_tls_engine *engine; /* or: */
    SSL *ssl;
    BIO *ssl_in, *ssl_out;
    tern_buf out; /* for the other */
    bool no_memory;
    int result; /* of the handshake */
    tern_error error;
} end;

typedef struct ends {
    end e[2]; /* client, server */
} ends;

static inline uint8_t *place(void *owner, size_t n)
{
    end *e = owner;
    return e->no_memory ? NULL : tern_buf_reserve(&e->out, n);
}

static inline bool keep(void *owner, size_t n)
{
    end *e = owner;
    tern_buf_commit(&e->out, n);
    return true;
}

/* The end takes the engine over. */
static inline void end_is(end *e, tern_tls_engine *engine)
{
    memset(e, 0, sizeof *e);
    e->engine = engine;
    if (engine != NULL) {
        tern_tls_engine_output(engine, &(tern_tls_output){place, keep, e});
    }
}

static inline void end_is_openssl(end *e, SSL_CTX *ctx, bool server)
{
    memset(e, 0, sizeof *e);
    e->ssl = SSL_new(ctx);
    e->ssl_in = BIO_new(BIO_s_mem());
    e->ssl_out = BIO_new(BIO_s_mem());
    SSL_set_bio(e->ssl, e->ssl_in, e->ssl_out);
    if (server) {
        SSL_set_accept_state(e->ssl);
    } else {
        SSL_set_connect_state(e->ssl);
    }
}

static inline void ends_clear(ends *x)
{
    for (int i = 0; i < 2; i++) {
        tern_tls_engine_free(x->e[i].engine);
        SSL_free(x->e[i].ssl);
        tern_buf_free(&x->e[i].out);
    }
}

/* OpenSSL's part: its result as an engine's. */
static inline int openssl_takes(end *e, const tern_span *in)
{
    char *bytes;
    if (in->len > 0) {
        BIO_write(e->ssl_in, in->data, (int)in->len);
    }
    ERR_clear_error();
    int r = SSL_do_handshake(e->ssl);
    const char *why = ERR_reason_error_string(ERR_peek_error());
    snprintf(e->error.text, sizeof e->error.text, "%s", why != NULL ? why : "");
    r = r == 1 || SSL_get_error(e->ssl, r) == SSL_ERROR_WANT_READ ? r == 1 : TERN_E_CRYPTO;
    long n = BIO_get_mem_data(e->ssl_out, &bytes);
    if (n > 0) {
        assert_int_equal(tern_buf_append(&e->out, bytes, (size_t)n), 0);
    }
    (void)BIO_reset(e->ssl_out);
    return r;
}

/* Gives one end up to `chunk` of what the other has for it. */
static inline void advance(ends *x, int i, size_t chunk)
{
    end *e = &x->e[i];
    tern_buf *from = &x->e[1 - i].out;
    size_t n = tern_buf_len(from) < chunk ? tern_buf_len(from) : chunk;
    uint8_t *copy = malloc(n > 0 ? n : 1); /* exactly so long: overruns show */
    tern_span in = {copy, n};
    assert_non_null(copy);
    memcpy(copy, n > 0 ? tern_buf_data(from) : copy, n);
    if (e->ssl != NULL) {
        e->result = openssl_takes(e, &in);
        in.len = 0;
    } else {
        e->result = tern_tls_engine_handshake(e->engine, &in, &e->error);
    }
    assert_true(in.len == 0 || e->result != 0);
    tern_buf_consume(from, n - in.len);
    free(copy);
}

static inline void shake(ends *x, size_t chunk)
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

static inline void assert_shaken(const ends *x, int client, int server)
{
    if (x->e[0].result != client || x->e[1].result != server) {
        fail_msg("client %d (%s), server %d (%s)", x->e[0].result, x->e[0].error.text,
                 x->e[1].result, x->e[1].error.text);
    }
}

/* All records that the other has sent, decrypted behind *got; what the last read said. */
static inline ssize_t read_all(ends *x, int i, tern_buf *got)
{
    end *e = &x->e[i];
    tern_buf *from = &x->e[1 - i].out;
    ssize_t r = 0;
    while (r >= 0 && tern_buf_len(from) > 0) {
        uint8_t *plain, *record = tern_buf_data(from);
        size_t n = TERN_TLS_HEADER + (size_t)tern_get16(record + 3);
        assert_true(n <= tern_buf_len(from));
        r = tern_tls_engine_read(e->engine, record, n, &plain, &e->error);
        if (r > 0) {
            assert_int_equal(tern_buf_append(got, plain, (size_t)r), 0);
        }
        tern_buf_consume(from, n);
    }
    return r > 0 ? 0 : r;
}

static inline int write_all(ends *x, int i, const uint8_t *p, size_t n)
{
    int e = 0;
    for (size_t at = 0; e == 0 && at < n; at += TERN_TLS_PLAIN_MAX) {
        size_t k = n - at < TERN_TLS_PLAIN_MAX ? n - at : TERN_TLS_PLAIN_MAX, first = k / 3;
        const tern_span v[] = {{p + at, first}, {p + at + first, k - first}};
        e = tern_tls_engine_write(x->e[i].engine, v, 2, k);
    }
    return e;
}

static inline void exchange(ends *x, int from, const uint8_t *p, size_t n)
{
    tern_buf got;
    tern_buf_init(&got, 0);
    assert_int_equal(write_all(x, from, p, n), 0);
    size_t records = (n + TERN_TLS_PLAIN_MAX - 1) / TERN_TLS_PLAIN_MAX;
    assert_int_equal(tern_buf_len(&x->e[from].out), n + records * TERN_TLS_OVERHEAD);
    assert_int_equal(read_all(x, 1 - from, &got), 0);
    assert_int_equal(tern_buf_len(&got), n);
    assert_memory_equal(tern_buf_data(&got), p, n);
    tern_buf_free(&got);
}

#endif
