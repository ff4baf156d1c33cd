/* TLS 1.3 records: see tls_record.h.
 *
 *     secret -- "key", "iv" --> cipher, nonce base      (RFC 8446, section 7.3)
 *            -- "traffic upd" --> the next secret       (section 7.2)
 *     nonce = base XOR sequence number                  (section 5.3) */
#include "crypto/tls_record.h"

#include <assert.h>

#include <tern/error.h>

#include "base/mem.h"
#include "crypto/symmetric.h"

/* Of full records under AES-GCM RFC 8446 allows 2^24.5; ChaCha20 has no such limit, and loses
 * nothing by it. */
#define WEAR (UINT64_C(1) << 24)

typedef struct half {
    tern_aead *aead;
    uint64_t sequence;
    uint8_t iv[TERN_AEAD_NONCE], secret[TERN_TLS_SECRET_MAX];
} half;

struct tern_tls_records {
    uint16_t suite;
    uint64_t wear;
    half send, recv;
};

/* ---- keys ---- */

static const struct suite {
    uint16_t number;
    tern_aead_kind aead;
    size_t key; /* bytes */
    tern_hash_kind hash;
} suites[] = {
    {TERN_TLS_AES_128_GCM_SHA256, TERN_AES_128_GCM, 16, TERN_HASH_SHA256},
    {TERN_TLS_AES_256_GCM_SHA384, TERN_AES_256_GCM, 32, TERN_HASH_SHA384},
    {TERN_TLS_CHACHA20_POLY1305_SHA256, TERN_CHACHA20_POLY1305, 32, TERN_HASH_SHA256},
};

static const struct suite *find_suite(uint16_t number)
{
    for (size_t i = 0; i < sizeof suites / sizeof *suites; i++) {
        if (suites[i].number == number) {
            return &suites[i];
        }
    }
    return NULL;
}

static bool expand_label(const struct suite *s, const uint8_t *secret, const char *label,
                         uint8_t *out, size_t n)
{
    return tern_hkdf_label(s->hash, secret, label, (tern_span){NULL, 0}, out, n) == 0;
}

/* Keys a direction by its secret. */
static int key_half(const struct suite *s, half *h)
{
    uint8_t key[TERN_AEAD_KEY];
    int e = TERN_E_CRYPTO;
    tern_aead_free(h->aead);
    h->aead = NULL;
    h->sequence = 0;
    if (expand_label(s, h->secret, "key", key, s->key) &&
        expand_label(s, h->secret, "iv", h->iv, sizeof h->iv)) {
        h->aead = tern_aead_new(s->aead, key);
        e = h->aead != NULL ? 0 : TERN_E_NOMEM;
    }
    tern_wipe(key, sizeof key);
    return e;
}

static int update(uint16_t number, half *h)
{
    const struct suite *s = find_suite(number);
    uint8_t next[TERN_TLS_SECRET_MAX];
    if (!expand_label(s, h->secret, "traffic upd", next, tern_hash_size(s->hash))) {
        return TERN_E_CRYPTO;
    }
    memcpy(h->secret, next, tern_hash_size(s->hash));
    tern_wipe(next, sizeof next);
    return key_half(s, h);
}

int tern_tls_update_send(tern_tls_records *r)
{
    return update(r->suite, &r->send);
}

bool tern_tls_worn(const tern_tls_records *r)
{
    return r->send.sequence >= r->wear;
}

int tern_tls_update_recv(tern_tls_records *r)
{
    return update(r->suite, &r->recv);
}

tern_tls_records *tern_tls_records_new(const tern_tls_secrets *secrets)
{
    const struct suite *s = find_suite(secrets->suite);
    tern_tls_records *r = s != NULL ? tern_calloc(1, sizeof *r) : NULL;
    if (r == NULL) {
        return NULL;
    }
    r->suite = s->number;
    r->wear = secrets->wear != 0 ? secrets->wear : WEAR;
    memcpy(r->send.secret, secrets->send, tern_hash_size(s->hash));
    memcpy(r->recv.secret, secrets->recv, tern_hash_size(s->hash));
    if (key_half(s, &r->send) != 0 || key_half(s, &r->recv) != 0) {
        tern_tls_records_free(r);
        return NULL;
    }
    return r;
}

void tern_tls_records_free(tern_tls_records *r)
{
    if (r != NULL) {
        tern_aead_free(r->send.aead);
        tern_aead_free(r->recv.aead);
        tern_wipe(r, sizeof *r);
        tern_free(r);
    }
}

/* ---- records ---- */

/* The next record's nonce. A sequence number is used once, so that after 2^64 records there is
 * none. */
static bool next_nonce(half *h, uint8_t nonce[TERN_AEAD_NONCE])
{
    if (h->aead == NULL || h->sequence == UINT64_MAX) {
        return false;
    }
    memcpy(nonce, h->iv, TERN_AEAD_NONCE);
    tern_put64(nonce + 4, tern_get64(nonce + 4) ^ h->sequence++);
    return true;
}

int tern_tls_seal(tern_tls_records *r, tern_tls_content content, const tern_span *v, unsigned count,
                  size_t n, uint8_t *out)
{
    uint8_t nonce[TERN_AEAD_NONCE], inner = (uint8_t)content;
    tern_span with_type[TERN_TLS_SPANS_MAX + 1];
    assert(count <= TERN_TLS_SPANS_MAX && n <= TERN_TLS_PLAIN_MAX);
    if (!next_nonce(&r->send, nonce)) {
        return TERN_E_CRYPTO;
    }
    memcpy(with_type, v, count * sizeof *v);
    with_type[count] = (tern_span){&inner, 1};
    out[0] = TERN_TLS_DATA;
    tern_put16(out + 1, 0x0303);
    tern_put16(out + 3, (uint16_t)(n + 1 + TERN_TLS_TAG));
    return tern_aead_seal(r->send.aead, nonce, (tern_span){out, TERN_TLS_HEADER}, with_type,
                          count + 1, out + TERN_TLS_HEADER);
}

int tern_tls_open(tern_tls_records *r, uint8_t *record, size_t n, uint8_t *ret_content,
                  tern_span *ret_plain)
{
    uint8_t nonce[TERN_AEAD_NONCE];
    uint8_t *body = record + TERN_TLS_HEADER;
    if (n < TERN_TLS_HEADER || record[0] != TERN_TLS_DATA) {
        return TERN_E_MALFORMED;
    }
    n -= TERN_TLS_HEADER;
    if (n < TERN_TLS_TAG || n > TERN_TLS_BODY_MAX || !next_nonce(&r->recv, nonce) ||
        tern_aead_open(r->recv.aead, nonce, (tern_span){record, TERN_TLS_HEADER}, body, n) != 0) {
        return TERN_E_CRYPTO;
    }
    n -= TERN_TLS_TAG;
    while (n > 0 && body[n - 1] == 0) { /* padding (section 5.4) */
        n--;
    }
    if (n == 0) {
        return TERN_E_MALFORMED;
    }
    *ret_content = body[--n];
    *ret_plain = (tern_span){body, n};
    return n > TERN_TLS_PLAIN_MAX ? TERN_E_TOO_LARGE : 0;
}
