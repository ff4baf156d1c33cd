/* Runs that repeat exactly: see fixed.h. */
#define OPENSSL_SUPPRESS_DEPRECATED  /* RAND_METHOD: what replaces it needs a provider of its own  \
                                      */
#include "sim/fixed.h"

#include <stdbool.h>
#include <string.h>
#include <sys/random.h>
#include <unistd.h>

#include <openssl/evp.h>
#include <openssl/rand.h>

static uint64_t state;
static bool fixed;

static int fill(unsigned char *out, int n)
{
    for (int i = 0; i < n; i++) {
        state += UINT64_C(0x9e3779b97f4a7c15);
        uint64_t z = (state ^ state >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
        z = (z ^ z >> 27) * UINT64_C(0x94d049bb133111eb);
        out[i] = (unsigned char)(z >> 56);
    }
    return 1;
}

/* Stands before the C library's in the executables that link this file; tern_random draws here. */
int getentropy(void *out, size_t n)
{
    if (fixed) {
        fill(out, (int)n);
        return 0;
    }
    return getrandom(out, n, 0) == (ssize_t)n ? 0 : -1;
}

static int ready(void)
{
    return 1;
}

void sim_fixed_random(uint64_t seed)
{
    static const RAND_METHOD method = {.bytes = fill, .pseudorand = fill, .status = ready};
    state = seed;
    fixed = true;
    RAND_set_rand_method(&method);
}

tern_key *sim_fixed_key(uint8_t number)
{
    uint8_t secret[32], text[4 + 64] = {0x08, 0x01, 0x12, 0x40}; /* a private key's protobuf */
    size_t n = 32;
    tern_key *key = NULL;
    memset(secret, number + 1, sizeof secret);
    EVP_PKEY *pair = EVP_PKEY_new_raw_private_key(EVP_PKEY_ED25519, NULL, secret, sizeof secret);
    memcpy(text + 4, secret, sizeof secret);
    if (pair == NULL || EVP_PKEY_get_raw_public_key(pair, text + 4 + 32, &n) != 1 ||
        tern_key_from_private(text, sizeof text, &key) != 0) {
        key = NULL;
    }
    EVP_PKEY_free(pair);
    return key;
}
