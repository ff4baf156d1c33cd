/* Two TLS engines that speak to each other over memory, for tests. Header only. */
#ifndef TERN_CRYPTO_TLS_ENDS_TEST_H
#define TERN_CRYPTO_TLS_ENDS_TEST_H

#include "base/buf.h"
#include "crypto/cert_forge_test.h"
#include "crypto/tls_context.h"

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

static inline int judge(void *owner, tern_span certificate, size_t count, tern_error *ret)
{
    end *e = owner;
    const char *text = "refused";
    tern_key *key = NULL;
    int code = e->judged;
    e->certificates = count;
    if (code == -1000) {
        code = tern_cert_verify(certificate, FORGE_WALL, NULL, &key, NULL, &text);
        tern_key_unref(key);
    }
    if (code != 0) {
        ret->code = code;
        memcpy(ret->text, text, strlen(text) + 1);
    }
    return code;
}

static inline bool ends_make(ends *x, tern_tls_context *client, tern_tls_context *server,
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
            tern_tls_engine_output(e->engine, &(tern_tls_output){place, keep, e});
        }
    }
    return ok;
}

static inline void ends_clear(ends *x)
{
    for (int i = 0; i < 2; i++) {
        tern_tls_engine_free(x->e[i].engine);
        tern_buf_free(&x->e[i].out);
    }
}

/* Gives one end up to `chunk` of what the other has for it. */
static inline void advance(ends *x, int i, size_t chunk)
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
