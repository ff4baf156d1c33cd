/* RSA identity keys of 2048 to 8192 bits. Data: SubjectPublicKeyInfo (RFC 3279, rsaEncryption);
 * private is PKCS#1's RSAPrivateKey. Signatures: PKCS#1 v1.5 over SHA-256.
 *
 * A peer's key costs time by its length and its exponent, so both are bounded from the DER before
 * OpenSSL gets a number: a modulus of tens of thousands of bits would stop the loop for seconds. */
#include <openssl/bn.h>
#include <openssl/core_names.h>
#include <openssl/param_build.h>

#include "crypto/der.h"
#include "crypto/key_evp.h"
#include "crypto/key_kind.h"

enum { BITS_MIN = 2048, BITS_MAX = 8192, EXPONENT_BITS_MAX = 32 };

/* SEQUENCE { rsaEncryption, NULL } */
static const uint8_t algorithm[] = {0x30, 0x0d, 0x06, 0x09, 0x2a, 0x86, 0x48, 0x86,
                                    0xf7, 0x0d, 0x01, 0x01, 0x01, 0x05, 0x00};

/* Takes modulus and exponent from a sequence's content. */
static int take_numbers(tern_span *body, tern_span *ret_n, tern_span *ret_e)
{
    tern_span n, e;
    if (!tern_der_take_uint(body, &n) || !tern_der_take_uint(body, &e)) {
        return TERN_E_MALFORMED;
    }
    size_t n_bits = tern_der_bits(n), e_bits = tern_der_bits(e);
    if (n_bits < BITS_MIN) {
        return TERN_E_UNSUPPORTED;
    }
    if (n_bits > BITS_MAX || e_bits > EXPONENT_BITS_MAX) {
        return TERN_E_TOO_LARGE;
    }
    if (e_bits < 2 || (e.data[e.len - 1] & 1) == 0 || (n.data[n.len - 1] & 1) == 0) {
        return TERN_E_MALFORMED; /* an exponent of 0 or 1 signs nothing; both are odd by
                                    construction */
    }
    *ret_n = n;
    *ret_e = e;
    return 0;
}

/* SEQUENCE { algorithm, BIT STRING { 00, SEQUENCE { n, e } } } and nothing else. */
static int parse_public(tern_span data, tern_span *ret_n, tern_span *ret_e)
{
    tern_span info, bits, numbers;
    if (!tern_der_take(&data, TERN_DER_SEQUENCE, &info) || data.len != 0 ||
        info.len < sizeof algorithm || memcmp(info.data, algorithm, sizeof algorithm) != 0) {
        return TERN_E_MALFORMED;
    }
    info = (tern_span){info.data + sizeof algorithm, info.len - sizeof algorithm};
    if (!tern_der_take(&info, TERN_DER_BIT_STRING, &bits) || info.len != 0 || bits.len < 1 ||
        bits.data[0] != 0) {
        return TERN_E_MALFORMED;
    }
    bits = (tern_span){bits.data + 1, bits.len - 1};
    if (!tern_der_take(&bits, TERN_DER_SEQUENCE, &numbers) || bits.len != 0) {
        return TERN_E_MALFORMED;
    }
    int code = take_numbers(&numbers, ret_n, ret_e);
    return code == 0 && numbers.len != 0 ? TERN_E_MALFORMED : code;
}

static ssize_t read_public(tern_span data, uint8_t *ret_public)
{
    tern_span n, e;
    int code = parse_public(data, &n, &e);
    if (code != 0) {
        return code;
    }
    memcpy(ret_public, data.data, data.len);
    return (ssize_t)data.len;
}

static EVP_PKEY *public_pkey(tern_span data)
{
    tern_span n, e;
    if (parse_public(data, &n, &e) != 0) {
        return NULL;
    }
    EVP_PKEY *pkey = NULL;
    BIGNUM *modulus = BN_bin2bn(n.data, (int)n.len, NULL);
    BIGNUM *exponent = BN_bin2bn(e.data, (int)e.len, NULL);
    OSSL_PARAM_BLD *build = OSSL_PARAM_BLD_new();
    OSSL_PARAM *params = NULL;
    if (modulus != NULL && exponent != NULL && build != NULL &&
        OSSL_PARAM_BLD_push_BN(build, OSSL_PKEY_PARAM_RSA_N, modulus) == 1 &&
        OSSL_PARAM_BLD_push_BN(build, OSSL_PKEY_PARAM_RSA_E, exponent) == 1) {
        params = OSSL_PARAM_BLD_to_param(build);
    }
    if (params != NULL) {
        pkey = tern_evp_from_params("RSA", params);
    }
    OSSL_PARAM_free(params);
    OSSL_PARAM_BLD_free(build);
    BN_free(exponent);
    BN_free(modulus);
    return pkey;
}

/* The public data, after a signature showed that both halves belong together. OpenSSL checks its
 * own shortcut through the primes each time, so a key that signs once signs always. */
static ssize_t check_pair(EVP_PKEY *pkey, uint8_t *ret_public)
{
    const tern_span probe = {(const uint8_t *)"tern", 4};
    uint8_t sig[TERN_SIGNATURE_MAX];
    ssize_t n = tern_evp_sign_sha256(pkey, &probe, 1, sig, sizeof sig);
    if (n < 0 || tern_evp_verify_sha256(pkey, &probe, 1, sig, (size_t)n) != 0) {
        return TERN_E_MALFORMED;
    }
    return tern_evp_write_public(pkey, ret_public, TERN_KEY_PUBLIC_DATA_MAX);
}

/* Version 0, then the eight numbers of a key with two primes. */
static int check_private(tern_span data)
{
    tern_span body, number, n, e;
    if (!tern_der_take(&data, TERN_DER_SEQUENCE, &body) || data.len != 0 ||
        !tern_der_take_uint(&body, &number) || number.len != 0) {
        return TERN_E_MALFORMED;
    }
    int code = take_numbers(&body, &n, &e);
    for (int i = 0; code == 0 && i < 6; i++) {
        if (!tern_der_take_uint(&body, &number) || number.len > n.len) {
            code = TERN_E_MALFORMED;
        }
    }
    return code == 0 && body.len != 0 ? TERN_E_MALFORMED : code;
}

static ssize_t read_private(tern_span data, void **ret_secret, uint8_t *ret_public)
{
    int code = check_private(data);
    if (code != 0) {
        return code;
    }
    const uint8_t *p = data.data;
    EVP_PKEY *pkey = d2i_PrivateKey(EVP_PKEY_RSA, NULL, &p, (long)data.len);
    ssize_t n = TERN_E_MALFORMED;
    if (pkey != NULL && p == data.data + data.len) {
        n = check_pair(pkey, ret_public);
    }
    if (n > 0) {
        *ret_secret = pkey;
    } else {
        EVP_PKEY_free(pkey);
    }
    return n;
}

static ssize_t generate(void **ret_secret, uint8_t *ret_public)
{
    EVP_PKEY *pkey = EVP_PKEY_Q_keygen(NULL, NULL, "RSA", (size_t)BITS_MIN);
    ssize_t n = TERN_E_CRYPTO;
    if (pkey != NULL) {
        n = tern_evp_write_public(pkey, ret_public, TERN_KEY_PUBLIC_DATA_MAX);
    }
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
    EVP_PKEY *pkey = public_pkey(tern_key_data(key));
    int code = pkey != NULL ? tern_evp_verify_sha256(pkey, v, n, sig, sig_n) : TERN_E_SIGNATURE;
    EVP_PKEY_free(pkey);
    return code;
}

const tern_key_kind tern_key_rsa = {
    .type = TERN_KEY_RSA,
    .name = "rsa",
    .read_public = read_public,
    .read_private = read_private,
    .generate = generate,
    .write_private = write_private,
    .sign = sign,
    .verify = verify,
    .free_secret = tern_evp_free,
};
