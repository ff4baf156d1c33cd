/* The key schedule (RFC 8446, section 7.1):
 *
 *     0 -> Extract(psk) = early -> derived -> Extract(key exchange) = handshake -> derived ->
 *     Extract(0) = master; of each, Expand-Label(secret, label, hash of the messages so far) */
#include "base/error.h"
#include "tls/inside.h"

static int expand_label(tern_hash_kind kind, const uint8_t *secret, const char *label,
                        tern_span context, uint8_t *ret)
{
    return tern_hkdf_label(kind, secret, label, context, ret, tern_hash_size(kind));
}

int tern_tls_expand(tern_aead_kind cipher, const uint8_t *secret, const char *label, uint8_t *out,
                    size_t n)
{
    return tern_hkdf_label(tls_hash(cipher), secret, label, (tern_span){NULL, 0}, out, n);
}

/* Derive-Secret of a hash. */
static int derive(tern_hash_kind kind, const uint8_t *secret, const char *label,
                  const uint8_t *hash, uint8_t *ret)
{
    return expand_label(kind, secret, label, (tern_span){hash, tern_hash_size(kind)}, ret);
}

static int derive_empty(tern_hash_kind kind, const uint8_t *secret, const char *label, uint8_t *ret)
{
    uint8_t empty[TERN_HASH_MAX];
    int e = tern_hash_of(kind, NULL, 0, empty);
    return e == 0 ? derive(kind, secret, label, empty, ret) : e;
}

int tls_early_secret(tern_handshake *h, tern_aead_kind cipher, const uint8_t *psk)
{
    static const uint8_t zeros[TERN_HASH_MAX];
    tern_hash_kind kind = tls_hash(cipher);
    size_t size = tern_hash_size(kind);
    const tern_span v = {psk != NULL ? psk : zeros, size};
    return tern_hmac(kind, (tern_span){zeros, size}, &v, 1, h->secret);
}

int tls_next_secret(tern_handshake *h, const uint8_t *input, size_t n)
{
    static const uint8_t zeros[TERN_HASH_MAX];
    tern_hash_kind kind = tls_hash(h->cipher);
    size_t size = tern_hash_size(kind);
    uint8_t salt[TERN_HASH_MAX];
    const tern_span v = input != NULL ? (tern_span){input, n} : (tern_span){zeros, size};
    int e = derive_empty(kind, h->secret, "derived", salt);
    if (e == 0) {
        e = tern_hmac(kind, (tern_span){salt, size}, &v, 1, h->secret);
    }
    tern_wipe(salt, sizeof salt);
    return e;
}

static int finished(tern_hash_kind kind, const uint8_t *secret, const uint8_t *hash, uint8_t *ret)
{
    uint8_t key[TERN_HASH_MAX];
    size_t size = tern_hash_size(kind);
    const tern_span v = {hash, size};
    int e = expand_label(kind, secret, "finished", (tern_span){NULL, 0}, key);
    if (e == 0) {
        e = tern_hmac(kind, (tern_span){key, size}, &v, 1, ret);
    }
    tern_wipe(key, sizeof key);
    return e;
}

int tls_binder(tern_handshake *h, tern_aead_kind cipher, const uint8_t *hash, uint8_t *ret)
{
    tern_hash_kind kind = tls_hash(cipher);
    uint8_t key[TERN_HASH_MAX];
    int e = derive_empty(kind, h->secret, "res binder", key);
    if (e == 0) {
        e = finished(kind, key, hash, ret);
    }
    tern_wipe(key, sizeof key);
    return e;
}

int tls_early_traffic(tern_handshake *h, tern_aead_kind cipher, const uint8_t *hash)
{
    tern_hash_kind kind = tls_hash(cipher);
    uint8_t secret[TERN_HASH_MAX];
    int e = derive(kind, h->secret, "c e traffic", hash, secret);
    if (e == 0) {
        e = h->ops->secret(h->owner, TERN_LEVEL_EARLY, !h->config.server, cipher, secret,
                           tern_hash_size(kind));
    }
    tern_wipe(secret, sizeof secret);
    return e;
}

/* The secrets of both sides, of the transcript so far. */
static int derive_both(tern_handshake *h, const char *of_client, const char *of_server,
                       uint8_t *ret_client, uint8_t *ret_server)
{
    tern_hash_kind kind = tls_hash(h->cipher);
    uint8_t hash[TERN_HASH_MAX];
    int e = tern_hash_now(h->transcript, hash);
    if (e == 0) {
        e = derive(kind, h->secret, of_client, hash, ret_client);
    }
    return e == 0 ? derive(kind, h->secret, of_server, hash, ret_server) : e;
}

int tls_handshake_secrets(tern_handshake *h)
{
    return derive_both(h, "c hs traffic", "s hs traffic", h->client, h->server);
}

int tls_app_secrets(tern_handshake *h)
{
    return derive_both(h, "c ap traffic", "s ap traffic", h->client_app, h->server_app);
}

int tls_resumption(tern_handshake *h)
{
    uint8_t hash[TERN_HASH_MAX];
    int e = tern_hash_now(h->transcript, hash);
    return e == 0 ? derive(tls_hash(h->cipher), h->secret, "res master", hash, h->resumption) : e;
}

int tls_ticket_psk(tern_handshake *h, tern_span nonce, tern_psk *ret)
{
    ret->cipher = h->cipher;
    if (nonce.len > TERN_HASH_MAX) { /* longer than any that somebody chooses */
        return TERN_E_UNSUPPORTED;
    }
    return expand_label(tls_hash(h->cipher), h->resumption, "resumption", nonce, ret->key);
}

int tls_finished(tern_handshake *h, bool server, uint8_t *ret)
{
    uint8_t hash[TERN_HASH_MAX];
    int e = tern_hash_now(h->transcript, hash);
    return e == 0 ? finished(tls_hash(h->cipher), server ? h->server : h->client, hash, ret) : e;
}

int tls_tell(tern_handshake *h, tern_level level, bool out)
{
    bool of_server = out == h->config.server, app = level == TERN_LEVEL_TRAFFIC;
    const uint8_t *secret =
        of_server ? (app ? h->server_app : h->server) : (app ? h->client_app : h->client);
    return h->ops->secret(h->owner, level, out, h->cipher, secret,
                          tern_hash_size(tls_hash(h->cipher)));
}
