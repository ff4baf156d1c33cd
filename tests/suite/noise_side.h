/* One side of a Noise handshake without a stream, for tests: fixed identities and keys (those of
 * the vectors in noise_core_test.c), and a way to carry messages between two of them. Header only.
 */
#ifndef TERN_TESTS_NOISE_SIDE_H
#define TERN_TESTS_NOISE_SIDE_H

#include "base/test.h"
#include "crypto/key.h"
#include "secure/noise_core.h"

#define YAMUX "/yamux/1.0.0"
#define KEY1                                                                                       \
    "08011240000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f"                     \
    "03a107bff3ce10be1d70dd18e74bc09967e4d6309ba50d5f1ddc8664125531b8"
#define KEY2                                                                                       \
    "08011240202122232425262728292a2b2c2d2e2f303132333435363738393a3b3c3d3e3f"                     \
    "29acbae141bccaf0b22e1a94d34d0bc7361e526d0bfe12c89794bc9322966dd7"

static const char *const yamux_only[] = {YAMUX, NULL};
static const tern_span nothing = {NULL, 0};

static inline tern_span buf_span(const tern_buf *b)
{
    return (tern_span){tern_buf_data(b), tern_buf_len(b)};
}

static inline tern_key *key_of(const char *hex)
{
    uint8_t bytes[128];
    tern_key *key;
    size_t n = tern_test_unhex(bytes, sizeof bytes, hex);
    assert_int_equal(tern_key_from_private(bytes, n, &key), 0);
    return key;
}

static inline tern_x25519_pair pair_of(const uint8_t secret[32])
{
    tern_x25519_pair pair;
    memcpy(pair.secret, secret, 32);
    assert_int_equal(tern_x25519_public(pair.secret, pair.public), 0);
    return pair;
}

static inline tern_x25519_pair pair_filled(uint8_t byte)
{
    uint8_t secret[32];
    memset(secret, byte, sizeof secret);
    return pair_of(secret);
}

typedef struct side {
    tern_key *key;
    tern_x25519_pair s;
    tern_buf identity;
    tern_counters counters;
    tern_noise_handshake h;
} side;

/* Fills what a test does not want otherwise; the initiator has key 1. */
static inline void side_init(side *x, bool initiator, tern_noise_config *config)
{
    memset(x, 0, sizeof *x);
    x->key = key_of(initiator ? KEY1 : KEY2);
    x->s = pair_filled(initiator ? 0x11 : 0x33);
    tern_buf_init(&x->identity, 0);
    assert_int_equal(tern_noise_payload_identity(x->key, x->s.public, &x->identity), 0);
    config->initiator = initiator;
    config->s = &x->s;
    config->e = pair_filled(initiator ? 0x22 : 0x44);
    config->identity = buf_span(&x->identity);
    config->counters = &x->counters;
}

static inline void side_start(side *x, bool initiator, tern_noise_config config)
{
    side_init(x, initiator, &config);
    assert_int_equal(tern_noise_handshake_init(&x->h, &config), 0);
}

static inline void side_clear(side *x)
{
    tern_noise_handshake_clear(&x->h);
    tern_buf_free(&x->identity);
    tern_key_unref(x->key);
}

/* Gives `to` all that `from` has to say, `chunk` bytes at a time; the last result. */
static inline int carry(side *from, side *to, size_t chunk)
{
    int r = 0;
    while (r == 0 && tern_buf_len(&from->h.out) > 0) {
        uint8_t bytes[4096];
        size_t n = tern_buf_len(&from->h.out), used;
        n = n < chunk ? n : chunk;
        memcpy(bytes, tern_buf_data(&from->h.out), n);
        r = tern_noise_handshake_feed(&to->h, bytes, n, &used);
        assert_true(r < 0 || used == n);
        tern_buf_consume(&from->h.out, n);
    }
    return r;
}

#endif
