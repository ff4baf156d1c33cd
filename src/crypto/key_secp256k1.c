/* secp256k1 identity keys, on libsecp256k1. Data: the compressed point (33 bytes; 65 are read and
 * compressed); private is the 32-byte scalar. Signatures: ECDSA over SHA-256 in DER, nonces by RFC
 * 6979, low s; a high s is accepted (libp2p does not forbid it).
 *
 * Reading and verifying use the library's static context. Signing needs one with tables blinded by
 * fresh randomness; it is made for each signature, so that the process holds no shared state. */
#include <secp256k1.h>
#include <secp256k1_preallocated.h>

#include "base/mem.h"
#include "crypto/key_kind.h"
#include "crypto/symmetric.h"

enum { SCALAR = 32, COMPRESSED = 33, UNCOMPRESSED = 65, DER_MAX = 72 };

static ssize_t write_point(const secp256k1_pubkey *point, uint8_t *ret_public)
{
    size_t n = COMPRESSED;
    secp256k1_ec_pubkey_serialize(secp256k1_context_static, ret_public, &n, point,
                                  SECP256K1_EC_COMPRESSED);
    return (ssize_t)n;
}

static ssize_t read_public(tern_span data, uint8_t *ret_public)
{
    secp256k1_pubkey point;
    bool shape = (data.len == COMPRESSED && (data.data[0] == 2 || data.data[0] == 3)) ||
                 (data.len == UNCOMPRESSED && data.data[0] == 4);
    if (!shape ||
        secp256k1_ec_pubkey_parse(secp256k1_context_static, &point, data.data, data.len) != 1) {
        return TERN_E_MALFORMED;
    }
    return write_point(&point, ret_public);
}

/* A context that can sign; freed by tern_free. */
static secp256k1_context *signing_context(void)
{
    uint8_t seed[32];
    void *room = tern_malloc(secp256k1_context_preallocated_size(SECP256K1_CONTEXT_NONE));
    if (room == NULL) {
        return NULL;
    }
    secp256k1_context *ctx = secp256k1_context_preallocated_create(room, SECP256K1_CONTEXT_NONE);
    tern_random(seed, sizeof seed);
    int blinded = secp256k1_context_randomize(ctx, seed);
    tern_wipe(seed, sizeof seed);
    if (blinded != 1) {
        secp256k1_context_preallocated_destroy(ctx);
        tern_free(room);
        return NULL;
    }
    return ctx;
}

static void signing_context_free(secp256k1_context *ctx)
{
    secp256k1_context_preallocated_destroy(ctx);
    tern_free(ctx);
}

static void free_secret(void *secret)
{
    tern_wipe(secret, SCALAR);
    tern_free(secret);
}

static ssize_t read_private(tern_span data, void **ret_secret, uint8_t *ret_public)
{
    secp256k1_pubkey point;
    if (data.len != SCALAR ||
        secp256k1_ec_seckey_verify(secp256k1_context_static, data.data) != 1) {
        return TERN_E_MALFORMED;
    }
    uint8_t *secret = tern_memdup(data.data, SCALAR);
    secp256k1_context *ctx = signing_context();
    ssize_t n = TERN_E_NOMEM;
    if (secret != NULL && ctx != NULL) {
        n = secp256k1_ec_pubkey_create(ctx, &point, secret) == 1 ? write_point(&point, ret_public)
                                                                 : TERN_E_CRYPTO;
    }
    if (ctx != NULL) {
        signing_context_free(ctx);
    }
    if (n > 0) {
        *ret_secret = secret;
    } else if (secret != NULL) {
        free_secret(secret);
    }
    return n;
}

static ssize_t generate(void **ret_secret, uint8_t *ret_public)
{
    uint8_t scalar[SCALAR];
    do {
        tern_random(scalar, sizeof scalar);
    } while (secp256k1_ec_seckey_verify(secp256k1_context_static, scalar) != 1);
    ssize_t n = read_private((tern_span){scalar, sizeof scalar}, ret_secret, ret_public);
    tern_wipe(scalar, sizeof scalar);
    return n;
}

static ssize_t write_private(const tern_key *key, uint8_t *out, size_t cap)
{
    if (cap < SCALAR) {
        return TERN_E_TOO_LARGE;
    }
    memcpy(out, key->secret, SCALAR);
    return SCALAR;
}

static ssize_t sign(const tern_key *key, const tern_span *v, unsigned n, uint8_t *out, size_t cap)
{
    uint8_t hash[TERN_SHA256], der[DER_MAX];
    size_t der_n = sizeof der;
    secp256k1_ecdsa_signature sig;
    if (tern_sha256(v, n, hash) != 0) {
        return TERN_E_CRYPTO;
    }
    secp256k1_context *ctx = signing_context();
    if (ctx == NULL) {
        return TERN_E_NOMEM;
    }
    bool ok = secp256k1_ecdsa_sign(ctx, &sig, hash, key->secret, NULL, NULL) == 1 &&
              secp256k1_ecdsa_signature_serialize_der(ctx, der, &der_n, &sig) == 1;
    signing_context_free(ctx);
    if (!ok) {
        return TERN_E_CRYPTO;
    }
    if (der_n > cap) {
        return TERN_E_TOO_LARGE;
    }
    memcpy(out, der, der_n);
    return (ssize_t)der_n;
}

static int verify(const tern_key *key, const tern_span *v, unsigned n, const uint8_t *sig,
                  size_t sig_n)
{
    const secp256k1_context *ctx = secp256k1_context_static;
    uint8_t hash[TERN_SHA256];
    secp256k1_pubkey point;
    secp256k1_ecdsa_signature parsed, low;
    tern_span data = tern_key_data(key);
    if (secp256k1_ecdsa_signature_parse_der(ctx, &parsed, sig, sig_n) != 1 ||
        secp256k1_ec_pubkey_parse(ctx, &point, data.data, data.len) != 1 ||
        tern_sha256(v, n, hash) != 0) {
        return TERN_E_SIGNATURE;
    }
    secp256k1_ecdsa_signature_normalize(ctx, &low, &parsed);
    return secp256k1_ecdsa_verify(ctx, &low, hash, &point) == 1 ? 0 : TERN_E_SIGNATURE;
}

const tern_key_kind tern_key_secp256k1 = {
    .type = TERN_KEY_SECP256K1,
    .name = "secp256k1",
    .read_public = read_public,
    .read_private = read_private,
    .generate = generate,
    .write_private = write_private,
    .sign = sign,
    .verify = verify,
    .free_secret = free_secret,
};
