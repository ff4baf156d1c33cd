/* What the web's connections have in common: versions, ciphers, our certificate, whom we trust.
 *
 * TLS 1.2 or 1.3; the server shows a chain, the client trusts authorities. Neither resumes
 * sessions: tickets cost memory, and libp2p shakes hands anew inside. */
#include "crypto/tls_context.h"

#include <limits.h>

#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>

#include "base/mem.h"

/* AES-128-GCM is the fastest of the three wherever the processor has AES. */
#define CIPHERS_13 "TLS_AES_128_GCM_SHA256:TLS_CHACHA20_POLY1305_SHA256:TLS_AES_256_GCM_SHA384"
#define CIPHERS_12 "ECDHE+AESGCM:ECDHE+CHACHA20"
#define DAY        86400L
#define GROUPS     "X25519:P-256:P-384"

enum { CHAIN_MAX = 16384 /* bytes of a server's */ };

static bool set_common(SSL_CTX *ctx)
{
    char groups[] = GROUPS;
    SSL_CTX_set_options(ctx, SSL_OP_NO_TICKET | SSL_OP_CIPHER_SERVER_PREFERENCE |
                                 SSL_OP_NO_RENEGOTIATION | SSL_OP_NO_COMPRESSION);
    SSL_CTX_set_mode(ctx, SSL_MODE_RELEASE_BUFFERS);
    SSL_CTX_set_session_cache_mode(ctx, SSL_SESS_CACHE_OFF);
    SSL_CTX_set_max_cert_list(ctx, CHAIN_MAX);
    SSL_CTX_set_alpn_select_cb(ctx, tern_tls_select_alpn, NULL);
    SSL_CTX_set_keylog_callback(ctx, tern_tls_keylog);
    return SSL_CTX_set_num_tickets(ctx, 0) == 1 && SSL_CTX_set_ciphersuites(ctx, CIPHERS_13) == 1 &&
           SSL_CTX_set_cipher_list(ctx, CIPHERS_12) == 1 &&
           SSL_CTX_set1_groups_list(ctx, groups) == 1 &&
           SSL_CTX_set_min_proto_version(ctx, TLS1_2_VERSION) == 1 &&
           SSL_CTX_set_max_proto_version(ctx, TLS1_3_VERSION) == 1;
}

static int no_password(char *out, int size, int writing, void *unused)
{
    (void)out;
    (void)size;
    (void)writing;
    (void)unused;
    return 0; /* never asks the terminal */
}

static BIO *pem_bio(tern_span pem)
{
    return pem.len <= INT_MAX ? BIO_new_mem_buf(pem.data, (int)pem.len) : NULL;
}

/* Reads certificates to the PEM's end; how many, -1 when one does not parse or
 * `use` refuses it. */
static int each_certificate(SSL_CTX *ctx, tern_span pem, bool (*use)(SSL_CTX *ctx, int i, X509 *x))
{
    BIO *bio = pem_bio(pem);
    int n = 0;
    bool ok = bio != NULL;
    for (X509 *x; ok && (x = PEM_read_bio_X509(bio, NULL, no_password, NULL)) != NULL;) {
        ok = use(ctx, n++, x);
        X509_free(x);
    }
    ok = ok && ERR_GET_REASON(ERR_peek_last_error()) == PEM_R_NO_START_LINE;
    BIO_free(bio);
    return ok ? n : -1;
}

static bool use_in_chain(SSL_CTX *ctx, int i, X509 *x)
{
    return i == 0 ? SSL_CTX_use_certificate(ctx, x) == 1 : SSL_CTX_add1_chain_cert(ctx, x) == 1;
}

static bool use_as_authority(SSL_CTX *ctx, int i, X509 *x)
{
    (void)i;
    return X509_STORE_add_cert(SSL_CTX_get_cert_store(ctx), x) == 1;
}

static bool set_web_server(SSL_CTX *ctx, tern_span chain, tern_span key)
{
    if (each_certificate(ctx, chain, use_in_chain) <= 0) {
        return false;
    }
    BIO *bio = pem_bio(key);
    EVP_PKEY *pkey = bio != NULL ? PEM_read_bio_PrivateKey(bio, NULL, no_password, NULL) : NULL;
    bool ok = pkey != NULL && SSL_CTX_use_PrivateKey(ctx, pkey) == 1 &&
              SSL_CTX_check_private_key(ctx) == 1;
    EVP_PKEY_free(pkey);
    BIO_free(bio);
    return ok;
}

/* A certificate for somebody who does not look at it. */
static bool set_self_signed(SSL_CTX *ctx)
{
    EVP_PKEY *pkey = EVP_PKEY_Q_keygen(NULL, NULL, "EC", "P-256");
    X509 *x = X509_new();
    X509_NAME *name = x != NULL ? X509_get_subject_name(x) : NULL;
    X509_EXTENSION *names = X509V3_EXT_conf_nid(NULL, NULL, NID_subject_alt_name, "DNS:localhost");
    bool ok = pkey != NULL && name != NULL && names != NULL &&
              X509_set_version(x, X509_VERSION_3) == 1 &&
              ASN1_INTEGER_set(X509_get_serialNumber(x), 1) == 1 &&
              X509_gmtime_adj(X509_getm_notBefore(x), -DAY) != NULL &&
              X509_gmtime_adj(X509_getm_notAfter(x), 30 * DAY) != NULL &&
              X509_NAME_add_entry_by_txt(name, "CN", MBSTRING_ASC, (const uint8_t *)"localhost", -1,
                                         -1, 0) == 1 &&
              X509_set_issuer_name(x, name) == 1 && X509_set_pubkey(x, pkey) == 1 &&
              X509_add_ext(x, names, -1) == 1 && X509_sign(x, pkey, EVP_sha256()) > 0 &&
              SSL_CTX_use_certificate(ctx, x) == 1 && SSL_CTX_use_PrivateKey(ctx, pkey) == 1;
    X509_EXTENSION_free(names);
    X509_free(x);
    EVP_PKEY_free(pkey);
    return ok;
}

static bool set_web_client(SSL_CTX *ctx, tern_span ca)
{
    SSL_CTX_set_verify(ctx, SSL_VERIFY_PEER, NULL);
    return ca.len > 0 ? each_certificate(ctx, ca, use_as_authority) > 0
                      : SSL_CTX_set_default_verify_paths(ctx) == 1;
}

static int configure(tern_tls_context *c, const tern_tls_settings *s)
{
    c->ctx = SSL_CTX_new(TLS_method());
    if (c->ctx == NULL) {
        return TERN_E_NOMEM;
    }
    if (!set_common(c->ctx)) {
        return TERN_E_CRYPTO;
    }
    if (s->self_signed) {
        return set_self_signed(c->ctx) ? 0 : TERN_E_CRYPTO;
    }
    if (s->trust_any) {
        SSL_CTX_set_verify(c->ctx, SSL_VERIFY_NONE, NULL);
        return 0;
    }
    bool ok = s->chain_pem.len > 0 ? set_web_server(c->ctx, s->chain_pem, s->key_pem)
                                   : set_web_client(c->ctx, s->ca_pem);
    return ok ? 0 : TERN_E_INVALID;
}

int tern_tls_context_new(const tern_tls_settings *settings, tern_tls_context **ret)
{
    tern_tls_context *c = tern_calloc(1, sizeof *c);
    if (c == NULL) {
        return TERN_E_NOMEM;
    }
    ERR_clear_error();
    int e = configure(c, settings);
    ERR_clear_error();
    if (e == 0) {
        *ret = c;
    } else {
        tern_tls_context_free(c);
    }
    return e;
}

void tern_tls_context_free(tern_tls_context *c)
{
    if (c != NULL) {
        SSL_CTX_free(c->ctx);
        tern_free(c);
    }
}

bool tern_tls_context_name(const tern_tls_context *c, char *out, size_t cap)
{
    const X509 *x = SSL_CTX_get0_certificate(c->ctx);
    GENERAL_NAMES *names = x != NULL ? X509_get_ext_d2i(x, NID_subject_alt_name, NULL, NULL) : NULL;
    bool found = false;
    for (int i = 0; !found && i < sk_GENERAL_NAME_num(names); i++) {
        const GENERAL_NAME *name = sk_GENERAL_NAME_value(names, i);
        if (name->type != GEN_DNS) {
            continue;
        }
        const char *text = (const char *)ASN1_STRING_get0_data(name->d.dNSName);
        size_t n = (size_t)ASN1_STRING_length(name->d.dNSName);
        if (n > 0 && n < cap && memchr(text, '*', n) == NULL && memchr(text, 0, n) == NULL) {
            memcpy(out, text, n);
            out[n] = '\0';
            found = true;
        }
    }
    GENERAL_NAMES_free(names);
    return found;
}
