/* Keys of packets out of TLS' secrets (RFC 9001, section 5), for ngtcp2, which protects packets
 * with GnuTLS' ciphers. Its own helper would ask a session of GnuTLS which cipher that is. */
#include <gnutls/crypto.h>
#include <gnutls/gnutls.h>

#include "quic/tls.h"

/* A number as ngtcp2's GnuTLS helper files it. */
static void *handle(int number)
{
    return (void *)(intptr_t)number;
}

static void describe(ngtcp2_crypto_ctx *ret, tern_aead_kind cipher)
{
    static const struct {
        int aead, header, hash;
    } of[] = {
        [TERN_AES_128_GCM] = {GNUTLS_CIPHER_AES_128_GCM, GNUTLS_CIPHER_AES_128_CBC,
                              GNUTLS_DIG_SHA256},
        [TERN_AES_256_GCM] = {GNUTLS_CIPHER_AES_256_GCM, GNUTLS_CIPHER_AES_256_CBC,
                              GNUTLS_DIG_SHA384},
        [TERN_CHACHA20_POLY1305] = {GNUTLS_CIPHER_CHACHA20_POLY1305, GNUTLS_CIPHER_CHACHA20_32,
                                    GNUTLS_DIG_SHA256},
    };
    bool gcm = cipher != TERN_CHACHA20_POLY1305;
    memset(ret, 0, sizeof *ret);
    ret->aead = (ngtcp2_crypto_aead){handle(of[cipher].aead), TERN_AEAD_TAG};
    ret->hp.native_handle = handle(of[cipher].header);
    ret->md.native_handle = handle(of[cipher].hash);
    /* RFC 9001, section 6.6 */
    ret->max_encryption = UINT64_C(1) << (gcm ? 23 : 62);
    ret->max_decryption_failure = UINT64_C(1) << (gcm ? 52 : 36);
}

enum { KEY_MAX = 32, IV = 12 };

typedef struct keys {
    uint8_t iv[IV];
    ngtcp2_crypto_aead_ctx aead;
    ngtcp2_crypto_cipher_ctx header;
} keys;

static int install(ngtcp2_conn *q, tern_level level, bool out, const uint8_t *secret, size_t n,
                   const keys *k)
{
    switch (level) {
    case TERN_LEVEL_EARLY:
        return ngtcp2_conn_install_0rtt_key(q, &k->aead, k->iv, IV, &k->header);
    case TERN_LEVEL_HANDSHAKE:
        return (out ? ngtcp2_conn_install_tx_handshake_key
                    : ngtcp2_conn_install_rx_handshake_key)(q, &k->aead, k->iv, IV, &k->header);
    default:
        return (out ? ngtcp2_conn_install_tx_key
                    : ngtcp2_conn_install_rx_key)(q, secret, n, &k->aead, k->iv, IV, &k->header);
    }
}

static int derive(keys *k, const ngtcp2_crypto_ctx *ctx, bool out, tern_aead_kind cipher,
                  const uint8_t *secret)
{
    uint8_t key[KEY_MAX], header[KEY_MAX];
    size_t n = ngtcp2_crypto_aead_keylen(&ctx->aead); /* of both */
    int r = tern_tls_expand(cipher, secret, "quic key", key, n) != 0 ||
                    tern_tls_expand(cipher, secret, "quic iv", k->iv, IV) != 0 ||
                    tern_tls_expand(cipher, secret, "quic hp", header, n) != 0
                ? -1
                : 0;
    if (r == 0) {
        r = out ? ngtcp2_crypto_aead_ctx_encrypt_init(&k->aead, &ctx->aead, key, IV)
                : ngtcp2_crypto_aead_ctx_decrypt_init(&k->aead, &ctx->aead, key, IV);
    }
    if (r == 0) {
        gnutls_cipher_hd_t cipher_of_header;
        const gnutls_datum_t of = {header, (unsigned)n};
        r = gnutls_cipher_init(&cipher_of_header,
                               (gnutls_cipher_algorithm_t)(intptr_t)ctx->hp.native_handle, &of,
                               NULL) == 0
                ? 0
                : -1;
        k->header.native_handle = r == 0 ? cipher_of_header : NULL;
    }
    tern_wipe(key, sizeof key);
    tern_wipe(header, sizeof header);
    return r;
}

int quic_keys_install(quic_conn *c, tern_level level, bool out, tern_aead_kind cipher,
                      const uint8_t *secret, size_t n)
{
    ngtcp2_crypto_ctx ctx;
    keys k = {.aead = {NULL}};
    describe(&ctx, cipher);
    if (level == TERN_LEVEL_EARLY) {
        ngtcp2_conn_set_0rtt_crypto_ctx(c->q, &ctx);
    } else {
        ngtcp2_conn_set_crypto_ctx(c->q, &ctx);
    }
    int r = derive(&k, &ctx, out, cipher, secret);
    if (r == 0) {
        r = install(c->q, level, out, secret, n, &k);
    }
    if (r != 0) { /* else they are the connection's */
        ngtcp2_crypto_delete_crypto_aead_ctx_cb(c->q, &k.aead, c);
        ngtcp2_crypto_delete_crypto_cipher_ctx_cb(c->q, &k.header, c);
    }
    tern_wipe(&k, sizeof k);
    return r == 0 ? 0 : -1;
}
