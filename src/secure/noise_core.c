/* The Noise framework, as far as Noise_XX_25519_ChaChaPoly_SHA256 needs it (Noise revision 34,
 * sections 5 and 7.5): the symmetric state, the tokens of the three messages, the split.
 *
 *     m1  | e 32 | payload |
 *     m2  | e 32 | s 32 + tag 16 | payload + tag 16 |
 *     m3         | s 32 + tag 16 | payload + tag 16 |
 *
 * Whatever a peer sends can only fail here: no length is trusted, every agreement is checked for
 * the all-zero result, and a core that returned an error is of no further use. libp2p's payloads
 * are in noise_payload.c. */
#include "secure/noise_core.h"

enum token { TOKEN_END, TOKEN_E, TOKEN_S, TOKEN_EE, TOKEN_ES, TOKEN_SE };

enum { MESSAGES = 3 };
static const uint8_t pattern[MESSAGES][5] = {
    {TOKEN_E},
    {TOKEN_E, TOKEN_EE, TOKEN_S, TOKEN_ES},
    {TOKEN_S, TOKEN_SE},
};

/* ---- cipher ---- */

/* 2^64-1 is never used (Noise section 5.1); the counter stays there. */
static int next_nonce(tern_noise_cipher *c, uint8_t nonce[TERN_AEAD_NONCE])
{
    if (c->n == UINT64_MAX) {
        return TERN_E_CRYPTO;
    }
    memset(nonce, 0, 4);
    tern_put64_le(nonce + 4, c->n);
    c->n++;
    return 0;
}

int tern_noise_seal(tern_noise_cipher *c, tern_span ad, const tern_span *v, unsigned n,
                    uint8_t *out)
{
    uint8_t nonce[TERN_AEAD_NONCE];
    int e = next_nonce(c, nonce);
    return e != 0 ? e : tern_aead_seal(c->aead, nonce, ad, v, n, out);
}

int tern_noise_open(tern_noise_cipher *c, tern_span ad, uint8_t *p, size_t n)
{
    uint8_t nonce[TERN_AEAD_NONCE];
    if (n < TERN_AEAD_TAG) {
        return TERN_E_CRYPTO;
    }
    int e = next_nonce(c, nonce);
    return e != 0 ? e : tern_aead_open(c->aead, nonce, ad, p, n);
}

void tern_noise_cipher_clear(tern_noise_cipher *c)
{
    if (c->aead != NULL) {
        tern_aead_free(c->aead);
    }
    *c = (tern_noise_cipher){0};
}

static int cipher_set(tern_noise_cipher *c, const uint8_t key[TERN_AEAD_KEY])
{
    tern_noise_cipher_clear(c);
    c->aead = tern_aead_new(TERN_CHACHA20_POLY1305, key);
    return c->aead != NULL ? 0 : TERN_E_NOMEM;
}

/* ---- symmetric state ---- */

static int mix_hash(tern_noise_core *c, const void *p, size_t n)
{
    tern_span v[2] = {{c->h, sizeof c->h}, {p, n}};
    uint8_t h[TERN_SHA256];
    int e = tern_sha256(v, 2, h);
    if (e == 0) {
        memcpy(c->h, h, sizeof h);
    }
    return e;
}

static int mix_key(tern_noise_core *c, const uint8_t shared[TERN_X25519])
{
    uint8_t ck[32], key[TERN_AEAD_KEY];
    int e = tern_hkdf2(c->ck, shared, TERN_X25519, ck, key);
    if (e == 0) {
        memcpy(c->ck, ck, sizeof ck);
        e = cipher_set(&c->cipher, key);
    }
    tern_wipe(ck, sizeof ck);
    tern_wipe(key, sizeof key);
    return e;
}

/* Appends p encrypted (or plain, while there is no key) and hashes what was appended. */
static int put_encrypted(tern_noise_core *c, tern_span p, tern_buf *out)
{
    size_t tag = c->cipher.aead != NULL ? TERN_AEAD_TAG : 0;
    uint8_t *at = tern_buf_reserve(out, p.len + tag);
    if (at == NULL) {
        return TERN_E_NOMEM;
    }
    if (tag == 0) {
        if (p.len > 0) {
            memcpy(at, p.data, p.len);
        }
    } else {
        int e = tern_noise_seal(&c->cipher, (tern_span){c->h, sizeof c->h}, &p, 1, at);
        if (e != 0) {
            return e;
        }
    }
    int e = mix_hash(c, at, p.len + tag);
    if (e == 0) {
        tern_buf_commit(out, p.len + tag);
    }
    return e;
}

/* Decrypts n bytes in place and hashes them as they came; the plaintext is shorter by the tag. */
static int get_encrypted(tern_noise_core *c, uint8_t *p, size_t n)
{
    uint8_t ad[sizeof c->h];
    memcpy(ad, c->h, sizeof ad);
    int e = mix_hash(c, p, n);
    if (e != 0 || c->cipher.aead == NULL) {
        return e;
    }
    return tern_noise_open(&c->cipher, (tern_span){ad, sizeof ad}, p, n);
}

/* ---- tokens ---- */

static int agree(tern_noise_core *c, const uint8_t secret[TERN_X25519],
                 const uint8_t peer[TERN_X25519])
{
    uint8_t shared[TERN_X25519];
    int e = tern_x25519(secret, peer, shared);
    if (e != 0) {
        c->bad_key = e == TERN_E_CRYPTO;
    } else {
        e = mix_key(c, shared);
    }
    tern_wipe(shared, sizeof shared);
    return e;
}

/* The three agreements; the first letter is the initiator's key. */
static int agree_token(tern_noise_core *c, enum token token)
{
    if (token == TOKEN_EE) {
        return agree(c, c->e.secret, c->re);
    }
    bool our_static = (token == TOKEN_SE) == c->initiator;
    return our_static ? agree(c, c->s.secret, c->re) : agree(c, c->e.secret, c->rs);
}

static int write_token(tern_noise_core *c, enum token token, tern_buf *out)
{
    int e;
    switch (token) {
    case TOKEN_E:
        e = tern_buf_append(out, c->e.public, TERN_X25519);
        return e != 0 ? e : mix_hash(c, c->e.public, TERN_X25519);
    case TOKEN_S:
        return put_encrypted(c, (tern_span){c->s.public, TERN_X25519}, out);
    default:
        return agree_token(c, token);
    }
}

/* Reads one token from *p; *n counts down. */
static int read_token(tern_noise_core *c, enum token token, uint8_t **p, size_t *n)
{
    size_t need;
    int e;
    switch (token) {
    case TOKEN_E:
        need = TERN_X25519;
        if (*n < need) {
            return TERN_E_MALFORMED;
        }
        memcpy(c->re, *p, TERN_X25519);
        e = mix_hash(c, *p, need);
        break;
    case TOKEN_S:
        need = TERN_X25519 + TERN_AEAD_TAG;
        if (*n < need) {
            return TERN_E_MALFORMED;
        }
        e = get_encrypted(c, *p, need);
        memcpy(c->rs, *p, TERN_X25519);
        break;
    default:
        return agree_token(c, token);
    }
    *p += need;
    *n -= need;
    return e;
}

/* ---- the exchange ---- */

int tern_noise_core_init(tern_noise_core *c, bool initiator, tern_span prologue,
                         const tern_x25519_pair *s, const tern_x25519_pair *e)
{
    static const char name[33] = "Noise_XX_25519_ChaChaPoly_SHA256"; /* 32 bytes: its own hash */

    *c = (tern_noise_core){.initiator = initiator, .s = *s, .e = *e};
    memcpy(c->h, name, sizeof c->h);
    memcpy(c->ck, name, sizeof c->ck);
    return mix_hash(c, prologue.data, prologue.len);
}

void tern_noise_core_clear(tern_noise_core *c)
{
    tern_noise_cipher_clear(&c->cipher);
    tern_wipe(c, sizeof *c);
}

bool tern_noise_core_writes(const tern_noise_core *c)
{
    return c->next < MESSAGES && (c->next % 2 == 0) == c->initiator;
}

int tern_noise_core_write(tern_noise_core *c, tern_span payload, tern_buf *out)
{
    for (const uint8_t *token = pattern[c->next]; *token != TOKEN_END; token++) {
        int e = write_token(c, *token, out);
        if (e != 0) {
            return e;
        }
    }
    c->next++;
    return put_encrypted(c, payload, out);
}

int tern_noise_core_read(tern_noise_core *c, uint8_t *p, size_t n, tern_span *ret_payload)
{
    for (const uint8_t *token = pattern[c->next]; *token != TOKEN_END; token++) {
        int e = read_token(c, *token, &p, &n);
        if (e != 0) {
            return e;
        }
    }
    c->next++;
    size_t tag = c->cipher.aead != NULL ? TERN_AEAD_TAG : 0;
    if (n < tag) {
        return TERN_E_MALFORMED;
    }
    int e = get_encrypted(c, p, n);
    if (e == 0) {
        *ret_payload = (tern_span){p, n - tag};
    }
    return e;
}

int tern_noise_core_split(tern_noise_core *c, tern_noise_cipher *ret_send,
                          tern_noise_cipher *ret_recv)
{
    uint8_t first[TERN_AEAD_KEY], second[TERN_AEAD_KEY]; /* initiator to responder, and back */
    tern_noise_cipher send = {0}, recv = {0};

    int e = tern_hkdf2(c->ck, NULL, 0, first, second);
    if (e == 0) {
        e = cipher_set(&send, c->initiator ? first : second);
    }
    if (e == 0) {
        e = cipher_set(&recv, c->initiator ? second : first);
    }
    tern_wipe(first, sizeof first);
    tern_wipe(second, sizeof second);
    if (e != 0) {
        tern_noise_cipher_clear(&send);
        return e;
    }
    *ret_send = send;
    *ret_recv = recv;
    return 0;
}
