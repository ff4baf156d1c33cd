/* ECDSA identity keys on P-256; P-384 and P-521, which go-libp2p also knows, are read and used
 * alike. Data: SubjectPublicKeyInfo; private is SEC1's ECPrivateKey with the curve's name.
 * Signatures: DER over SHA-256.
 *
 * With a named curve and an uncompressed point, the only form that libp2p peers write, the DER
 * around the point is constant: it is compared, not parsed.
 *
 *     prefix of the curve | 04 | x | y */
#include <stdatomic.h>

#include <openssl/core_names.h>
#include <openssl/params.h>

#include "crypto/der.h"
#include "crypto/key_evp.h"
#include "crypto/key_kind.h"

enum { POINT_MAX = 133 };

/* SEQUENCE { SEQUENCE { id-ecPublicKey, curve }, BIT STRING { point } }, up to the point (RFC
 * 5480). */
static const struct curve {
    const char *group; /* OpenSSL's name */
    size_t prefix_n, point_n;
    uint8_t prefix[26];
} curves[] = {
    {"prime256v1", 26, 65, {0x30, 0x59, 0x30, 0x13, 0x06, 0x07, 0x2a, 0x86, 0x48,
                            0xce, 0x3d, 0x02, 0x01, 0x06, 0x08, 0x2a, 0x86, 0x48,
                            0xce, 0x3d, 0x03, 0x01, 0x07, 0x03, 0x42, 0x00}},
    {"secp384r1", 23, 97, {0x30, 0x76, 0x30, 0x10, 0x06, 0x07, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x02,
                           0x01, 0x06, 0x05, 0x2b, 0x81, 0x04, 0x00, 0x22, 0x03, 0x62, 0x00}},
    {"secp521r1", 25, 133, {0x30, 0x81, 0x9b, 0x30, 0x10, 0x06, 0x07, 0x2a, 0x86,
                            0x48, 0xce, 0x3d, 0x02, 0x01, 0x06, 0x05, 0x2b, 0x81,
                            0x04, 0x00, 0x23, 0x03, 0x81, 0x86, 0x00}},
};

static const struct curve *curve_of(tern_span data)
{
    for (size_t i = 0; i < sizeof curves / sizeof curves[0]; i++) {
        const struct curve *c = &curves[i];
        if (data.len == c->prefix_n + c->point_n &&
            memcmp(data.data, c->prefix, c->prefix_n) == 0) {
            return c;
        }
    }
    return NULL;
}

/* The first key of each curve, of which the others are made: OpenSSL computes what belongs to a
 * curve anew for each key that it is handed by parameters, which takes four times as long as a
 * copy. */
static _Atomic(EVP_PKEY *) patterns[sizeof curves / sizeof *curves];

static EVP_PKEY *make_first(const struct curve *c, const uint8_t *from)
{
    char group[16];
    uint8_t point[POINT_MAX];
    memcpy(group, c->group, strlen(c->group) + 1);
    memcpy(point, from, c->point_n);
    OSSL_PARAM params[] = {
        OSSL_PARAM_construct_utf8_string(OSSL_PKEY_PARAM_GROUP_NAME, group, 0),
        OSSL_PARAM_construct_octet_string(OSSL_PKEY_PARAM_PUB_KEY, point, c->point_n),
        OSSL_PARAM_construct_end(),
    };
    EVP_PKEY *first = tern_evp_from_params("EC", params), *none = NULL;
    EVP_PKEY *pattern = first != NULL ? EVP_PKEY_dup(first) : NULL;
    if (pattern != NULL && !atomic_compare_exchange_strong(&patterns[c - curves], &none, pattern)) {
        EVP_PKEY_free(pattern); /* another thread was faster */
    }
    return first;
}

EVP_PKEY *tern_evp_ec_public(tern_span data)
{
    const struct curve *c = curve_of(data);
    if (c == NULL || data.data[c->prefix_n] != 4) {
        return NULL;
    }
    const uint8_t *point = data.data + c->prefix_n;
    EVP_PKEY *pattern = atomic_load_explicit(&patterns[c - curves], memory_order_acquire);
    if (pattern == NULL) {
        return make_first(c, point);
    }
    EVP_PKEY *pkey = EVP_PKEY_dup(pattern);
    if (pkey != NULL && EVP_PKEY_set1_encoded_public_key(pkey, point, c->point_n) != 1) {
        EVP_PKEY_free(pkey); /* it is not on the curve, above all */
        pkey = NULL;
    }
    return pkey;
}

static ssize_t read_public(tern_span data, uint8_t *ret_public)
{
    EVP_PKEY *pkey = tern_evp_ec_public(data);
    if (pkey == NULL) {
        return TERN_E_MALFORMED;
    }
    EVP_PKEY_free(pkey);
    memcpy(ret_public, data.data, data.len);
    return (ssize_t)data.len;
}

/* The public data of a key pair, in the one form we know. */
static ssize_t write_public(const EVP_PKEY *pkey, uint8_t *ret_public)
{
    ssize_t n = tern_evp_write_public(pkey, ret_public, TERN_KEY_PUBLIC_DATA_MAX);
    if (n > 0 && curve_of((tern_span){ret_public, (size_t)n}) == NULL) {
        n = TERN_E_UNSUPPORTED;
    }
    return n;
}

static ssize_t read_private(tern_span data, void **ret_secret, uint8_t *ret_public)
{
    tern_span whole = data, body, version;
    if (!tern_der_take(&whole, TERN_DER_SEQUENCE, &body) || whole.len != 0 ||
        !tern_der_take_uint(&body, &version) || version.len != 1 || version.data[0] != 1) {
        return TERN_E_MALFORMED;
    }
    const uint8_t *p = data.data;
    EVP_PKEY *pkey = d2i_PrivateKey(EVP_PKEY_EC, NULL, &p, (long)data.len);
    EVP_PKEY_CTX *ctx = pkey != NULL ? EVP_PKEY_CTX_new_from_pkey(NULL, pkey, NULL) : NULL;
    ssize_t n = TERN_E_MALFORMED;
    if (ctx != NULL && p == data.data + data.len && EVP_PKEY_check(ctx) == 1) {
        n = write_public(pkey, ret_public);
    }
    EVP_PKEY_CTX_free(ctx);
    if (n > 0) {
        *ret_secret = pkey;
    } else {
        EVP_PKEY_free(pkey);
    }
    return n;
}

static ssize_t generate(void **ret_secret, uint8_t *ret_public)
{
    EVP_PKEY *pkey = EVP_PKEY_Q_keygen(NULL, NULL, "EC", "P-256");
    ssize_t n = pkey != NULL ? write_public(pkey, ret_public) : TERN_E_CRYPTO;
    if (n > 0) {
        *ret_secret = pkey;
    } else {
        EVP_PKEY_free(pkey);
    }
    return n;
}

static ssize_t write_private(const tern_key *key, uint8_t *out, size_t cap)
{
    return tern_evp_write_private(key->secret, out, cap);
}

static ssize_t sign(const tern_key *key, const tern_span *v, unsigned n, uint8_t *out, size_t cap)
{
    return tern_evp_sign_sha256(key->secret, v, n, out, cap);
}

static int verify(const tern_key *key, const tern_span *v, unsigned n, const uint8_t *sig,
                  size_t sig_n)
{
    EVP_PKEY *pkey = tern_evp_ec_public(tern_key_data(key));
    int code = pkey != NULL ? tern_evp_verify_sha256(pkey, v, n, sig, sig_n) : TERN_E_SIGNATURE;
    EVP_PKEY_free(pkey);
    return code;
}

const tern_key_kind tern_key_ecdsa = {
    .type = TERN_KEY_ECDSA,
    .name = "ecdsa",
    .read_public = read_public,
    .read_private = read_private,
    .generate = generate,
    .write_private = write_private,
    .sign = sign,
    .verify = verify,
    .free_secret = tern_evp_free,
};
