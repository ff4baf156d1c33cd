/* The primitives of Noise and TLS, on OpenSSL 3 and, for X25519, libsodium: see crypto/symmetric.h
 * for the contract.
 *
 * OpenSSL looks an algorithm up by name each time one is used implicitly, which costs more than a
 * small message. Those that we need are therefore fetched by the first caller and kept for the
 * process; an AEAD context gets its key once, after that a message sets only the nonce.
 *
 *     seal:  ad, span | span | span  ->  out: ciphertext ‖ tag
 *     open:  ad, p: ciphertext ‖ tag ->  p: plaintext ‖ (tag, stale)
 *
 * RFC 8439 (ChaCha20-Poly1305), RFC 7748 (X25519). */
#include "crypto/symmetric.h"

#include <assert.h>
#include <limits.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <unistd.h>
#ifdef __APPLE__
#include <sys/random.h>
#endif

#include <openssl/crypto.h>
#include <openssl/err.h>
#include <openssl/evp.h>

#include "base/mem.h"
#include "crypto/sodium.h"

struct algorithms {
    EVP_CIPHER *aead[TERN_AES_256_GCM + 1]; /* by kind */
};

static _Atomic(struct algorithms *) fetched;

static void algorithms_free(struct algorithms *a)
{
    for (size_t i = 0; i < sizeof a->aead / sizeof *a->aead; i++) {
        EVP_CIPHER_free(a->aead[i]);
    }
    OPENSSL_free(a);
}

static bool algorithms_fetch(struct algorithms *a)
{
    static const char *const names[] = {"ChaCha20-Poly1305", "AES-128-GCM", "AES-256-GCM"};
    bool ok = true;
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        a->aead[i] = EVP_CIPHER_fetch(NULL, names[i], NULL);
        ok = ok && a->aead[i] != NULL;
    }
    return ok;
}

/* NULL when memory is short; the next caller tries again. Two threads may both fetch: one set is
 * kept. */
static const struct algorithms *algorithms_get(void)
{
    struct algorithms *a = atomic_load_explicit(&fetched, memory_order_acquire);
    if (a != NULL) {
        return a;
    }
    a = OPENSSL_zalloc(sizeof *a);
    if (a == NULL) {
        return NULL;
    }
    if (!algorithms_fetch(a)) {
        algorithms_free(a);
        return NULL;
    }
    struct algorithms *first = NULL;
    if (!atomic_compare_exchange_strong(&fetched, &first, a)) {
        algorithms_free(a);
        return first;
    }
    return a;
}

enum { GRAIN = 1024 };

struct tern_aead {
    EVP_CIPHER_CTX *ctx;
};

tern_aead *tern_aead_new(tern_aead_kind kind, const uint8_t *key)
{
    const struct algorithms *a = algorithms_get();
    tern_aead *c = a != NULL ? tern_calloc(1, sizeof *c) : NULL;
    if (c == NULL) {
        return NULL;
    }
    c->ctx = EVP_CIPHER_CTX_new();
    if (c->ctx == NULL || EVP_CipherInit_ex(c->ctx, a->aead[kind], NULL, key, NULL, 1) != 1) {
        tern_aead_free(c);
        return NULL;
    }
    return c;
}

void tern_aead_free(tern_aead *c)
{
    if (c != NULL) {
        EVP_CIPHER_CTX_free(c->ctx); /* wipes the key */
        tern_free(c);
    }
}

static bool aead_start(tern_aead *c, const uint8_t *nonce, tern_span ad, int sealing)
{
    int n = 0;
    return EVP_CipherInit_ex(c->ctx, NULL, NULL, NULL, nonce, sealing) == 1 &&
           (ad.len == 0 ||
            (ad.len <= INT_MAX && EVP_CipherUpdate(c->ctx, NULL, &n, ad.data, (int)ad.len) == 1));
}

/* OpenSSL counts in int. */
static bool aead_run(tern_aead *c, uint8_t *out, const uint8_t *in, size_t n)
{
    int written = 0;
    return n == 0 || (n <= INT_MAX && EVP_CipherUpdate(c->ctx, out, &written, in, (int)n) == 1);
}

/* Poly1305 in OpenSSL takes its widest path only for calls whose bytes divide by 128 (a third of
 * the time of a long message), ChaCha20 for 1024. So a message goes in calls of whole grains, and
 * its last bytes in one more. */
static bool aead_run_grains(tern_aead *c, uint8_t *out, const uint8_t *in, size_t n)
{
    size_t whole = n - n % GRAIN;
    return aead_run(c, out, in, whole) && aead_run(c, out + whole, in + whole, n - whole);
}

/* What is too short for a grain is joined with what follows, in the output. */
static bool aead_run_spans(tern_aead *c, const tern_span *v, unsigned n, uint8_t **out)
{
    size_t joined = 0;
    bool ok = true;
    for (unsigned i = 0; ok && i < n; i++) {
        const uint8_t *in = v[i].data;
        size_t left = v[i].len;
        while (ok && left > 0) {
            bool whole = joined == 0 && left >= GRAIN;
            size_t part = whole ? left - left % GRAIN : left;
            if (!whole) {
                part = left < GRAIN - joined ? left : GRAIN - joined;
                memmove(*out + joined, in, part); /* they may be the same place */
                joined += part;
            } else {
                ok = aead_run(c, *out, in, part);
                *out += part;
            }
            if (joined == GRAIN) {
                ok = aead_run(c, *out, *out, joined);
                *out += joined;
                joined = 0;
            }
            in += part;
            left -= part;
        }
    }
    ok = ok && aead_run(c, *out, *out, joined);
    *out += joined;
    return ok;
}

int tern_aead_seal(tern_aead *c, const uint8_t nonce[TERN_AEAD_NONCE], tern_span ad,
                   const tern_span *v, unsigned n, uint8_t *out)
{
    int none = 0;
    bool ok = aead_start(c, nonce, ad, 1) && aead_run_spans(c, v, n, &out) &&
              EVP_CipherFinal_ex(c->ctx, out, &none) == 1 &&
              EVP_CIPHER_CTX_ctrl(c->ctx, EVP_CTRL_AEAD_GET_TAG, TERN_AEAD_TAG, out) == 1;
    if (!ok) {
        ERR_clear_error();
        return TERN_E_CRYPTO;
    }
    return 0;
}

int tern_aead_open(tern_aead *c, const uint8_t nonce[TERN_AEAD_NONCE], tern_span ad, uint8_t *p,
                   size_t n)
{
    if (n < TERN_AEAD_TAG) {
        return TERN_E_CRYPTO;
    }
    size_t body = n - TERN_AEAD_TAG;
    int none = 0;
    bool ok = aead_start(c, nonce, ad, 0) &&
              EVP_CIPHER_CTX_ctrl(c->ctx, EVP_CTRL_AEAD_SET_TAG, TERN_AEAD_TAG, p + body) == 1 &&
              aead_run_grains(c, p, p, body) && EVP_CipherFinal_ex(c->ctx, p + body, &none) == 1;
    if (!ok) {
        tern_wipe(p, n); /* nobody may read what was not authenticated */
        ERR_clear_error();
        return TERN_E_CRYPTO;
    }
    return 0;
}

int tern_x25519_new(tern_x25519_pair *ret)
{
    tern_random(ret->secret, sizeof ret->secret);
    return tern_x25519_public(ret->secret, ret->public);
}

int tern_x25519_public(const uint8_t secret[TERN_X25519], uint8_t ret_public[TERN_X25519])
{
    return tern_sodium_ready() && crypto_scalarmult_curve25519_base(ret_public, secret) == 0
               ? 0
               : TERN_E_CRYPTO;
}

int tern_x25519(const uint8_t secret[TERN_X25519], const uint8_t peer[TERN_X25519],
                uint8_t ret_shared[TERN_X25519])
{
    static const uint8_t zero[TERN_X25519];
    uint8_t out[TERN_X25519];
    bool ok = tern_sodium_ready() && crypto_scalarmult_curve25519(out, secret, peer) == 0 &&
              !tern_eq_ct(out, zero, sizeof zero);
    if (ok) {
        memcpy(ret_shared, out, sizeof out);
    }
    tern_wipe(out, sizeof out);
    return ok ? 0 : TERN_E_CRYPTO;
}

void tern_random(void *out, size_t n)
{
    uint8_t *p = out;
    while (n > 0) {
        size_t take = n < 256 ? n : 256; /* getentropy's most */
        if (getentropy(p, take) != 0) {
            abort(); /* without randomness no key is safe */
        }
        p += take;
        n -= take;
    }
}
