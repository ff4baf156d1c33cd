/* A peer made of OpenSSL alone, for tests of TLS: it speaks to one of our ends over a memory pair,
 * and can be told to misbehave. Header only.
 *
 *     our op -- lower | memory pair | port -- peer's SSL */
#ifndef TERN_SECURE_TLS_PEER_TEST_H
#define TERN_SECURE_TLS_PEER_TEST_H

#include <openssl/ssl.h>

#include "base/test.h"
#include "crypto/cert_pair.h"
#include "loop/sim.h"
#include "secure/tls.h"
#include "streams/memory.h"
#include "suite/ear.h"

/* The place of a counter, for tables. */
#define COUNTER(name) offsetof(tern_counters, name)

typedef struct tls_peer {
    tern_sim *sim;
    tern_loop *loop;
    tern_net net; /* ours */
    tern_secure_op op;
    unsigned done;
    tern_error error;
    ear ear, port; /* of our stream; of the peer's end of the wire */
    /* the peer */
    tern_key *key;
    tern_cert *cert;
    SSL_CTX *ctx;
    SSL *ssl;
    BIO *in, *out;
} tls_peer;

static inline void tls_peer_done(tern_op *op, const tern_error *error)
{
    tls_peer *p = TERN_CONTAINER(op, tls_peer, op.op);
    p->done++;
    p->error = *error;
    if (error->code == 0) {
        ear_take(&p->ear, p->op.stream);
    }
}

static inline int tls_peer_trusts(X509_STORE_CTX *store, void *unused)
{
    (void)store;
    (void)unused;
    return 1;
}

static inline void tls_peer_set_up(tls_peer *p)
{
    assert_int_equal(tern_key_generate(TERN_KEY_ED25519, &p->key), 0);
    assert_int_equal(tern_cert_make(p->key, tern_loop_wall(p->loop), &p->cert), 0);
    p->ctx = SSL_CTX_new(TLS_method());
    SSL_CTX_set_verify(p->ctx, SSL_VERIFY_PEER, NULL);
    SSL_CTX_set_cert_verify_callback(p->ctx, tls_peer_trusts, NULL);
    assert_int_equal(SSL_CTX_use_certificate(p->ctx, p->cert->x509), 1);
    assert_int_equal(SSL_CTX_use_PrivateKey(p->ctx, p->cert->pkey), 1);
}

/* Our end and a peer that has not begun; p->ctx and p->op may be changed before tls_peer_start. */
static inline void tls_peer_make(tls_peer *p, bool we_initiate)
{
    memset(p, 0, sizeof *p);
    assert_int_equal(tern_sim_new(1, &p->sim), 0);
    assert_int_equal(tern_sim_host(p->sim, "10.0.0.1", &p->loop), 0);
    p->net.loop = p->loop;
    assert_int_equal(tern_key_generate(TERN_KEY_ED25519, &p->net.key), 0);
    tern_stream *port;
    p->op = (tern_secure_op){.net = &p->net, .initiator = we_initiate};
    assert_int_equal(tern_memory_pair(p->loop, NULL, &p->op.lower, &port), 0);
    tern_op_init(&p->op.op, p->loop, TERN_NEVER, tls_peer_done);
    ear_init(&p->ear);
    ear_init(&p->port);
    ear_take(&p->port, port);
    tls_peer_set_up(p);
}

static inline void tls_peer_run(tls_peer *p)
{
    tern_sim_run(p->sim, tern_sim_now(p->sim) + TERN_SEC, NULL, NULL);
}

static inline void tls_peer_send_raw(tls_peer *p, const void *data, size_t n)
{
    if (p->port.s != NULL && n > 0) {
        assert_int_equal(ear_write(&p->port, data, n), n);
    }
}

/* Lets both run until nothing moves. */
static inline void tls_peer_turn(tls_peer *p)
{
    for (int i = 0; i < 5; i++) {
        tls_peer_run(p);
        size_t n = tern_buf_len(&p->port.got);
        if (n > 0) {
            BIO_write(p->in, tern_buf_data(&p->port.got), (int)n);
            tern_buf_consume(&p->port.got, n);
        }
        if (!SSL_is_init_finished(p->ssl)) {
            SSL_do_handshake(p->ssl);
        }
        char *bytes;
        long len = BIO_get_mem_data(p->out, &bytes);
        tls_peer_send_raw(p, bytes, (size_t)len);
        (void)BIO_reset(p->out);
    }
}

static inline void tls_peer_start(tls_peer *p)
{
    p->ssl = SSL_new(p->ctx);
    p->in = BIO_new(BIO_s_mem());
    p->out = BIO_new(BIO_s_mem());
    SSL_set_bio(p->ssl, p->in, p->out);
    if (p->op.initiator) {
        SSL_set_accept_state(p->ssl);
    } else {
        SSL_set_connect_state(p->ssl);
    }
    assert_int_equal(tern_tls.begin(&p->op), 0);
    tern_tls.attach(&p->op);
    tls_peer_turn(p);
}

/* Made and shaken hands with. */
static inline void tls_peer_connect(tls_peer *p, bool we_initiate)
{
    tls_peer_make(p, we_initiate);
    tls_peer_start(p);
    assert_int_equal(p->error.code, 0);
    assert_int_equal(p->done, 1);
    assert_true(SSL_is_init_finished(p->ssl));
}

/* Encrypts; the record stays in p->out. Returns its length. */
static inline size_t tls_peer_seal(tls_peer *p, const void *data, size_t n, char **ret)
{
    assert_int_equal(SSL_write(p->ssl, data, (int)n), n);
    return (size_t)BIO_get_mem_data(p->out, ret);
}

/* What our end counted there. */
static inline uint64_t tls_peer_count(const tls_peer *p, size_t counter)
{
    uint64_t count;
    memcpy(&count, (const char *)&p->net.counters + counter, sizeof count);
    return count;
}

static inline void tls_peer_clear(tls_peer *p)
{
    tern_op_cancel(&p->op.op);
    ear_clear(&p->ear);
    ear_clear(&p->port);
    tern_key_unref(p->op.key);
    tern_tls_identity_free(p->net.tls);
    tern_key_unref(p->net.key);
    tls_peer_run(p);
    SSL_free(p->ssl);
    SSL_CTX_free(p->ctx);
    tern_cert_free(p->cert);
    tern_key_unref(p->key);
    tern_sim_free(p->sim);
    assert_int_equal(tern_mem_alive(), 0);
}

#endif
