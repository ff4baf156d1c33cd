/* Ends of libp2p's TLS for tests: ours, with a judge that does as it is told, and OpenSSL's with
 * any certificate. Header only; main calls mutual_run. */
#ifndef TERN_TLS_MUTUAL_ENDS_TEST_H
#define TERN_TLS_MUTUAL_ENDS_TEST_H

#include "crypto/tls_ends_test.h"
#include "tls/mutual.h"

static const char *const yamux_alpn[] = {"/yamux/1.0.0", "libp2p", NULL};

static tern_key *identity;
static tern_cert *good_cert;

typedef struct verdict {
    int says; /* what judge shall say; 1 = what tern_cert_verify does */
    size_t certificates;
} verdict;

static inline int judge(void *owner, tern_span certificate, size_t count, tern_error *ret)
{
    verdict *v = owner;
    const char *text = "refused";
    tern_key *key = NULL;
    int code = v->says;
    v->certificates = count;
    if (code == 1) {
        code = tern_cert_verify(certificate, FORGE_WALL, NULL, &key, NULL, &text);
        tern_key_unref(key);
    }
    if (code != 0) {
        ret->code = code;
        memcpy(ret->text, text, strlen(text) + 1);
    }
    return code;
}

/* One of ours. */
static inline bool mutual_end(end *e, bool server, const char *const *alpn, verdict *v)
{
    tern_tls_engine *engine = NULL;
    *v = (verdict){.says = 1};
    int r = tern_tls_mutual_new(
        &(tern_tls_mutual){
            .server = server, .cert = good_cert, .alpn = alpn, .judge = judge, .owner = v},
        &engine);
    end_is(e, engine);
    return r == 0;
}

/* Two of ours. */
typedef struct pair {
    ends x;
    verdict v[2];
} pair;

static inline bool pair_make_with(pair *p, const char *const *client, const char *const *server)
{
    bool ok = mutual_end(&p->x.e[0], false, client, &p->v[0]);
    return mutual_end(&p->x.e[1], true, server, &p->v[1]) && ok;
}

static inline bool pair_make(pair *p)
{
    return pair_make_with(p, yamux_alpn, yamux_alpn);
}

/* ---- OpenSSL ---- */

static inline int trusts(X509_STORE_CTX *store, void *unused)
{
    (void)store;
    (void)unused;
    return 1;
}

static inline int takes_first(SSL *ssl, const unsigned char **out, unsigned char *out_n,
                              const unsigned char *in, unsigned in_n, void *unused)
{
    (void)ssl;
    (void)in_n;
    (void)unused;
    *out = in + 1;
    *out_n = in[0];
    return SSL_TLSEXT_ERR_OK;
}

static inline void set_groups(SSL_CTX *ctx, const char *list)
{
    char copy[64];
    snprintf(copy, sizeof copy, "%s", list);
    assert_int_equal(SSL_CTX_set1_groups_list(ctx, copy), 1);
}

/* NULL: without a certificate. */
static inline SSL_CTX *openssl_context(const tern_cert *cert)
{
    SSL_CTX *ctx = SSL_CTX_new(TLS_method());
    SSL_CTX_set_security_level(ctx, 0); /* its keys may be small */
    SSL_CTX_set_verify(ctx, cert != NULL ? SSL_VERIFY_PEER : SSL_VERIFY_NONE, NULL);
    SSL_CTX_set_cert_verify_callback(ctx, trusts, NULL);
    SSL_CTX_set_alpn_select_cb(ctx, takes_first, NULL);
    assert_int_equal(SSL_CTX_set_alpn_protos(ctx, (const uint8_t *)"\6libp2p", 7), 0);
    if (cert != NULL) {
        assert_int_equal(SSL_CTX_use_certificate(ctx, cert->x509), 1);
        assert_int_equal(SSL_CTX_use_PrivateKey(ctx, cert->pkey), 1);
    }
    return ctx;
}

/* One of ours, at index `ours`, and OpenSSL. */
static inline void half_make(pair *p, int ours, SSL_CTX *ctx)
{
    assert_true(mutual_end(&p->x.e[ours], ours == 1, yamux_alpn, &p->v[ours]));
    end_is_openssl(&p->x.e[1 - ours], ctx, ours == 0);
}

/* ---- a program ---- */

static inline int mutual_run(int (*run)(void))
{
    if (tern_key_generate(TERN_KEY_ED25519, &identity) != 0 ||
        tern_cert_make(identity, FORGE_WALL, &good_cert) != 0) {
        return 1;
    }
    int failed = run();
    tern_cert_free(good_cert);
    tern_key_unref(identity);
    return failed + (tern_mem_alive() == 0 ? 0 : tern_test_leak());
}

#endif
