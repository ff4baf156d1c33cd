/* Ed25519 identity keys (RFC 8032, pure). Data: 32 bytes public; private is seed (32) ‖ public
 * (32), or the legacy form with the public half twice (96). The secret of a tern_key is seed ‖
 * public too.
 *
 * The operations are libsodium's, which does them in half of OpenSSL's time. It refuses s >= L, a
 * commitment of small order and, while verifying, points that are not on the curve; such a key
 * parses but verifies nothing. Keys of small order, which verify too much, are refused here. */
#include "base/mem.h"
#include "crypto/key_kind.h"
#include "crypto/sodium.h"
#include "crypto/symmetric.h"

enum { SEED = 32, POINT = 32, SECRET = SEED + POINT, SIGNATURE = 64, SHORT_MESSAGE = 256 };

/* The y coordinates below p of the eight points whose order divides 8 (0, 1, -1 and two more),
 * little-endian. The top bit, the sign of x, is not compared. */
static const uint8_t small_order[5][POINT] = {
    {0},
    {1},
    {0xec, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff,
     0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff,
     0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x7f},
    {0x26, 0xe8, 0x95, 0x8f, 0xc2, 0xb2, 0x27, 0xb0, 0x45, 0xc3, 0xf4,
     0x89, 0xf2, 0xef, 0x98, 0xf0, 0xd5, 0xdf, 0xac, 0x05, 0xd3, 0xc6,
     0x33, 0x39, 0xb1, 0x38, 0x02, 0x88, 0x6d, 0x53, 0xfc, 0x05},
    {0xc7, 0x17, 0x6a, 0x70, 0x3d, 0x4d, 0xd8, 0x4f, 0xba, 0x3c, 0x0b,
     0x76, 0x0d, 0x10, 0x67, 0x0f, 0x2a, 0x20, 0x53, 0xfa, 0x2c, 0x39,
     0xcc, 0xc6, 0x4e, 0xc7, 0xfd, 0x77, 0x92, 0xac, 0x03, 0x7a},
};

/* y >= p = 2^255 - 19: a second encoding of a point, which no signer makes. */
static bool is_below_p(const uint8_t *y)
{
    if ((y[31] & 0x7f) != 0x7f || y[0] < 0xed) {
        return true;
    }
    for (int i = 1; i < 31; i++) {
        if (y[i] != 0xff) {
            return true;
        }
    }
    return false;
}

static bool is_small_order(const uint8_t *point)
{
    for (size_t i = 0; i < sizeof small_order / sizeof small_order[0]; i++) {
        const uint8_t *y = small_order[i];
        if (memcmp(point, y, 31) == 0 && (point[31] & 0x7f) == y[31]) {
            return true;
        }
    }
    return false;
}

static ssize_t read_public(tern_span data, uint8_t *ret_public)
{
    if (data.len != POINT || !is_below_p(data.data) || is_small_order(data.data)) {
        return TERN_E_MALFORMED;
    }
    memcpy(ret_public, data.data, POINT);
    return POINT;
}

static void free_secret(void *secret)
{
    tern_wipe(secret, SECRET);
    tern_free(secret);
}

static ssize_t from_seed(const uint8_t *seed, void **ret_secret, uint8_t *ret_public)
{
    uint8_t *secret = tern_malloc(SECRET);
    if (secret == NULL) {
        return TERN_E_NOMEM;
    }
    if (!tern_sodium_ready() || crypto_sign_seed_keypair(ret_public, secret, seed) != 0) {
        free_secret(secret);
        return TERN_E_CRYPTO;
    }
    *ret_secret = secret;
    return POINT;
}

static ssize_t read_private(tern_span data, void **ret_secret, uint8_t *ret_public)
{
    if (data.len != SEED + POINT && data.len != SEED + 2 * POINT) {
        return TERN_E_MALFORMED;
    }
    ssize_t n = from_seed(data.data, ret_secret, ret_public);
    for (size_t at = SEED; n > 0 && at < data.len; at += POINT) {
        if (!tern_eq_ct(data.data + at, ret_public, POINT)) {
            free_secret(*ret_secret);
            n = TERN_E_MALFORMED;
        }
    }
    return n;
}

static ssize_t generate(void **ret_secret, uint8_t *ret_public)
{
    uint8_t seed[SEED];
    tern_random(seed, sizeof seed);
    ssize_t n = from_seed(seed, ret_secret, ret_public);
    tern_wipe(seed, sizeof seed);
    return n;
}

static ssize_t write_private(const tern_key *key, uint8_t *out, size_t cap)
{
    if (cap < SECRET) {
        return TERN_E_TOO_LARGE;
    }
    memcpy(out, key->secret, SECRET);
    return SECRET;
}

/* Ed25519 goes over the message twice, so it is wanted in one piece: a single span as it is,
 * short ones joined in `room`, longer ones in *ret_heap (the caller's). False when memory is short.
 */
static bool join(const tern_span *v, unsigned n, uint8_t room[SHORT_MESSAGE], uint8_t **ret_heap,
                 tern_span *ret)
{
    *ret_heap = NULL;
    if (n == 1) {
        *ret = v[0];
        return true;
    }
    size_t total = tern_span_total(v, n);
    uint8_t *p = room;
    if (total > SHORT_MESSAGE) {
        p = *ret_heap = tern_malloc(total);
        if (p == NULL) {
            return false;
        }
    }
    *ret = (tern_span){p, total};
    for (unsigned i = 0; i < n; i++) {
        if (v[i].len > 0) {
            memcpy(p, v[i].data, v[i].len);
            p += v[i].len;
        }
    }
    return true;
}

static ssize_t sign(const tern_key *key, const tern_span *v, unsigned n, uint8_t *out, size_t cap)
{
    uint8_t room[SHORT_MESSAGE], *heap;
    tern_span message;
    if (cap < SIGNATURE) {
        return TERN_E_TOO_LARGE;
    }
    if (!join(v, n, room, &heap, &message)) {
        return TERN_E_NOMEM;
    }
    bool ok = tern_sodium_ready() &&
              crypto_sign_detached(out, NULL, message.data, message.len, key->secret) == 0;
    tern_free(heap);
    return ok ? SIGNATURE : TERN_E_CRYPTO;
}

static int verify(const tern_key *key, const tern_span *v, unsigned n, const uint8_t *sig,
                  size_t sig_n)
{
    uint8_t room[SHORT_MESSAGE], *heap;
    tern_span message;
    if (sig_n != SIGNATURE) {
        return TERN_E_SIGNATURE;
    }
    if (!join(v, n, room, &heap, &message)) {
        return TERN_E_NOMEM;
    }
    bool ok = tern_sodium_ready() && crypto_sign_verify_detached(sig, message.data, message.len,
                                                                 tern_key_data(key).data) == 0;
    tern_free(heap);
    return ok ? 0 : TERN_E_SIGNATURE;
}

const tern_key_kind tern_key_ed25519 = {
    .type = TERN_KEY_ED25519,
    .name = "ed25519",
    .read_public = read_public,
    .read_private = read_private,
    .generate = generate,
    .write_private = write_private,
    .sign = sign,
    .verify = verify,
    .free_secret = free_secret,
};
