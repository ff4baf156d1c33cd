/* Hashes, HMAC and HKDF: see hash.h. OpenSSL looks an algorithm up by name each time it is used
 * implicitly, which takes longer than to hash a short message. */
#include "crypto/hash.h"

#include <assert.h>
#include <stdatomic.h>

#include <openssl/crypto.h>
#include <openssl/evp.h>

#include "base/mem.h"

enum { SHA1 = TERN_HASH_SHA384 + 1, KINDS };

struct kinds {
    EVP_MD *md[KINDS];
};

static _Atomic(struct kinds *) fetched;

static void kinds_free(struct kinds *k)
{
    for (unsigned i = 0; i < KINDS; i++) {
        EVP_MD_free(k->md[i]);
    }
    OPENSSL_free(k);
}

/* NULL when memory is short; the next caller tries again. Two threads may both fetch: one set is
 * kept. */
static const EVP_MD *fetch(unsigned kind)
{
    static const char *const names[KINDS] = {"SHA256", "SHA384", "SHA1"};
    struct kinds *k = atomic_load_explicit(&fetched, memory_order_acquire), *first = NULL;
    if (k != NULL) {
        return k->md[kind];
    }
    k = OPENSSL_zalloc(sizeof *k);
    bool ok = k != NULL;
    for (unsigned i = 0; ok && i < KINDS; i++) {
        k->md[i] = EVP_MD_fetch(NULL, names[i], NULL);
        ok = k->md[i] != NULL;
    }
    if (!ok) {
        if (k != NULL) {
            kinds_free(k);
        }
        return NULL;
    }
    if (!atomic_compare_exchange_strong(&fetched, &first, k)) {
        kinds_free(k);
        k = first;
    }
    return k->md[kind];
}

/* ---- bit by bit ---- */

struct tern_hash {
    EVP_MD_CTX *ctx, *copy; /* copy: to ask for the value without ending it */
};

tern_hash *tern_hash_new(tern_hash_kind kind)
{
    const EVP_MD *md = fetch(kind);
    tern_hash *h = md != NULL ? tern_calloc(1, sizeof *h) : NULL;
    if (h == NULL) {
        return NULL;
    }
    h->ctx = EVP_MD_CTX_new();
    h->copy = EVP_MD_CTX_new();
    if (h->ctx == NULL || h->copy == NULL || EVP_DigestInit_ex(h->ctx, md, NULL) != 1) {
        tern_hash_free(h);
        return NULL;
    }
    return h;
}

void tern_hash_free(tern_hash *h)
{
    if (h != NULL) {
        EVP_MD_CTX_free(h->ctx);
        EVP_MD_CTX_free(h->copy);
        tern_free(h);
    }
}

int tern_hash_add(tern_hash *h, tern_span v)
{
    return EVP_DigestUpdate(h->ctx, v.data, v.len) == 1 ? 0 : TERN_E_CRYPTO;
}

int tern_hash_now(const tern_hash *h, uint8_t out[TERN_HASH_MAX])
{
    return EVP_MD_CTX_copy_ex(h->copy, h->ctx) == 1 && EVP_DigestFinal_ex(h->copy, out, NULL) == 1
               ? 0
               : TERN_E_CRYPTO;
}

/* ---- at once ---- */

static bool digest_with(EVP_MD_CTX *ctx, const EVP_MD *md, const tern_span *v, unsigned n,
                        uint8_t *out)
{
    bool ok = EVP_DigestInit_ex(ctx, md, NULL) == 1;
    for (unsigned i = 0; ok && i < n; i++) {
        ok = EVP_DigestUpdate(ctx, v[i].data, v[i].len) == 1;
    }
    return ok && EVP_DigestFinal_ex(ctx, out, NULL) == 1;
}

static int digest(unsigned kind, const tern_span *v, unsigned n, uint8_t *out)
{
    const EVP_MD *md = fetch(kind);
    EVP_MD_CTX *ctx = md != NULL ? EVP_MD_CTX_new() : NULL;
    bool ok = ctx != NULL && digest_with(ctx, md, v, n, out);
    EVP_MD_CTX_free(ctx);
    return ok ? 0 : TERN_E_CRYPTO;
}

int tern_hash_of(tern_hash_kind kind, const tern_span *v, unsigned n, uint8_t *out)
{
    return digest(kind, v, n, out);
}

int tern_sha256(const tern_span *v, unsigned n, uint8_t out[TERN_SHA256])
{
    return digest(TERN_HASH_SHA256, v, n, out);
}

int tern_sha1(const void *p, size_t n, uint8_t out[20])
{
    return digest(SHA1, &(tern_span){p, n}, 1, out);
}

/* ---- HMAC and HKDF ---- */

enum {
    HMAC_BLOCK_MAX = 128,
    HMAC_SPANS = 4,
    LABEL = 12, /* characters, besides the prefix */
    LABEL_MAX = 2 + 1 + 6 + LABEL + 1 + TERN_HASH_MAX + 1,
};

/* One hash context for the HMACs of a call. OpenSSL's own HMAC makes several for each and looks the
 * hash up by name, which takes as long as the hashing. */
typedef struct hmac {
    EVP_MD_CTX *ctx;
    const EVP_MD *md;
    size_t block, size;
} hmac;

static bool hmac_open(hmac *m, tern_hash_kind kind)
{
    m->md = fetch(kind);
    m->ctx = m->md != NULL ? EVP_MD_CTX_new() : NULL;
    m->block = kind == TERN_HASH_SHA384 ? 128 : 64;
    m->size = tern_hash_size(kind);
    return m->ctx != NULL;
}

/* RFC 2104 of at most HMAC_SPANS - 1 spans, one of which may be out. */
static bool hmac_run(hmac *m, tern_span key, const tern_span *v, unsigned n, uint8_t *out)
{
    uint8_t block[HMAC_BLOCK_MAX] = {0};
    bool ok = true;
    if (key.len > m->block) {
        ok = digest_with(m->ctx, m->md, &key, 1, block);
    } else if (key.len > 0) {
        memcpy(block, key.data, key.len);
    }
    tern_span inner[HMAC_SPANS] = {{block, m->block}};
    const tern_span outer[] = {{block, m->block}, {out, m->size}};
    for (unsigned i = 0; i < n; i++) {
        inner[i + 1] = v[i];
    }
    for (size_t i = 0; i < m->block; i++) {
        block[i] ^= 0x36;
    }
    ok = ok && digest_with(m->ctx, m->md, inner, n + 1, out);
    for (size_t i = 0; i < m->block; i++) {
        block[i] ^= 0x36 ^ 0x5c;
    }
    ok = ok && digest_with(m->ctx, m->md, outer, 2, out);
    tern_wipe(block, sizeof block);
    return ok;
}

int tern_hmac(tern_hash_kind kind, tern_span key, const tern_span *v, unsigned n, uint8_t *out)
{
    hmac m;
    assert(n < HMAC_SPANS);
    bool ok = hmac_open(&m, kind) && hmac_run(&m, key, v, n, out);
    EVP_MD_CTX_free(m.ctx);
    return ok ? 0 : TERN_E_CRYPTO;
}

int tern_hmac_sha256(const uint8_t *key, size_t key_n, const tern_span *v, unsigned n,
                     uint8_t out[TERN_SHA256])
{
    return tern_hmac(TERN_HASH_SHA256, (tern_span){key, key_n}, v, n, out);
}

/* The expansion of RFC 5869, section 2.3: block i is the HMAC of block i - 1, info and the byte i.
 */
static bool expand(hmac *m, const uint8_t *prk, tern_span info, uint8_t *out, size_t n)
{
    uint8_t block[TERN_SHA256];
    size_t have = 0;
    bool ok = true;
    for (uint8_t i = 1; n > 0 && ok; i++) {
        const tern_span v[] = {{block, have}, info, {&i, 1}};
        ok = hmac_run(m, (tern_span){prk, TERN_SHA256}, v, 3, block);
        have = sizeof block;
        size_t take = n < have ? n : have;
        if (ok) {
            memcpy(out, block, take);
        }
        out += take;
        n -= take;
    }
    tern_wipe(block, sizeof block);
    return ok;
}

int tern_hkdf(tern_span secret, tern_span salt, tern_span info, uint8_t *out, size_t n)
{
    if (n > 255 * (size_t)TERN_SHA256) {
        return TERN_E_INVALID;
    }
    uint8_t prk[TERN_SHA256];
    hmac m;
    bool ok = hmac_open(&m, TERN_HASH_SHA256) && hmac_run(&m, salt, &secret, 1, prk) &&
              expand(&m, prk, info, out, n);
    EVP_MD_CTX_free(m.ctx);
    tern_wipe(prk, sizeof prk);
    return ok ? 0 : TERN_E_CRYPTO;
}

int tern_hkdf2(const uint8_t chaining[32], const uint8_t *ikm, size_t ikm_n, uint8_t out1[32],
               uint8_t out2[32])
{
    /* Noise's HKDF is RFC 5869 with the chaining key as salt and no info. The outputs may be the
     * chaining key's own place. */
    uint8_t both[64];
    int code = tern_hkdf((tern_span){ikm, ikm_n}, (tern_span){chaining, 32}, (tern_span){NULL, 0},
                         both, sizeof both);
    if (code == 0) {
        memcpy(out1, both, 32);
        memcpy(out2, both + 32, 32);
    }
    tern_wipe(both, sizeof both);
    return code;
}

int tern_hkdf_label(tern_hash_kind kind, const uint8_t *secret, const char *label,
                    tern_span context, uint8_t *out, size_t n)
{
    uint8_t info[LABEL_MAX], block[TERN_HASH_MAX], *p = info;
    size_t len = strlen(label), size = tern_hash_size(kind);
    assert(n <= size && len <= LABEL && context.len <= TERN_HASH_MAX);
    tern_put16(p, (uint16_t)n);
    p[2] = (uint8_t)(6 + len);
    memcpy(p + 3, "tls13 ", 6);
    memcpy(p + 9, label, len);
    p += 9 + len;
    *p++ = (uint8_t)context.len;
    if (context.len > 0) {
        memcpy(p, context.data, context.len);
    }
    p += context.len;
    *p++ = 1; /* the number of the block (RFC 5869, section 2.3): one is enough */
    const tern_span v = {info, (size_t)(p - info)};
    int e = tern_hmac(kind, (tern_span){secret, size}, &v, 1, block);
    if (e == 0) {
        memcpy(out, block, n);
    }
    tern_wipe(block, sizeof block);
    return e;
}
