/* Derived certificates: see cert_derive.h.
 *
 *     seed   = HKDF-SHA256(secret, salt = purpose, info = validity)        80 bytes
 *     key    = seed[0..48) mod (n - 1) + 1
 *     serial = seed[48..56)
 *     nonce  = HKDF-SHA256(key, salt = digest, info = "nonce")[0..48) mod (n - 1) + 1
 *
 * The nonce of the one signature is a function of key and message, as in RFC 6979, so that the
 * whole certificate is. OpenSSL 3.0 signs with random nonces only, and its X.509 objects take no
 * signature from outside: the two dozen fields are written here. */
#include "crypto/cert_derive.h"

#include <time.h>

#include <openssl/core_names.h>
#include <openssl/ec.h>
#include <openssl/err.h>
#include <openssl/obj_mac.h>
#include <openssl/param_build.h>

#include "base/mem.h"
#include "crypto/cert_pair.h"
#include "crypto/der.h"
#include "crypto/symmetric.h"

enum { WIDE = 48, SCALAR = 32, POINT = 65, SERIAL = 8, TBS_MAX = 400, CERT_MAX = 512 };

static const uint8_t version_3[] = {0xa0, 3, 2, 1, 2};
static const uint8_t ecdsa_sha256[] = {0x30, 10, 6, 8, 0x2a, 0x86, 0x48, 0xce, 0x3d, 4, 3, 2};
static const uint8_t name_tern[] = {0x30, 15, 0x31, 13, 0x30, 11,  6,   3,  0x55,
                                    4,    3,  0x0c, 4,  't',  'e', 'r', 'n'};
static const uint8_t spki_head[] = {0x30, 0x59, 0x30, 0x13, 6, 7, 0x2a, 0x86, 0x48,
                                    0xce, 0x3d, 2,    1,    6, 8, 0x2a, 0x86, 0x48,
                                    0xce, 0x3d, 3,    1,    7, 3, 0x42, 0};
/* Basic constraints, critical: no authority. Chromium refuses a certificate without any extension.
 */
static const uint8_t extensions[] = {0xa3, 16, 0x30, 14, 0x30, 12, 6, 3,    0x55,
                                     0x1d, 19, 1,    1,  0xff, 4,  2, 0x30, 0};

/* What the mathematics needs, released together. */
typedef struct curve {
    EC_GROUP *group;
    BN_CTX *ctx;
    BIGNUM *range; /* n - 1 */
    BIGNUM *key;
    uint8_t public[POINT];
} curve;

static void curve_clear(curve *c)
{
    BN_clear_free(c->key);
    BN_free(c->range);
    BN_CTX_free(c->ctx);
    EC_GROUP_free(c->group);
}

static bool curve_init(curve *c)
{
    memset(c, 0, sizeof *c);
    c->group = EC_GROUP_new_by_curve_name(NID_X9_62_prime256v1);
    c->ctx = BN_CTX_secure_new();
    c->key = BN_secure_new();
    c->range = c->group != NULL ? BN_dup(EC_GROUP_get0_order(c->group)) : NULL;
    return c->ctx != NULL && c->key != NULL && c->range != NULL && BN_sub_word(c->range, 1) == 1;
}

/* 48 bytes to a scalar in 1 .. n - 1 without noticeable bias. */
static bool to_scalar(curve *c, const uint8_t wide[WIDE], BIGNUM *ret)
{
    BN_set_flags(ret, BN_FLG_CONSTTIME);
    return BN_bin2bn(wide, WIDE, ret) != NULL && BN_mod(ret, ret, c->range, c->ctx) == 1 &&
           BN_add_word(ret, 1) == 1;
}

/* k times the base point, uncompressed. */
static bool base_times(curve *c, const BIGNUM *k, uint8_t out[POINT])
{
    EC_POINT *p = EC_POINT_new(c->group);
    bool ok =
        p != NULL && EC_POINT_mul(c->group, p, k, NULL, NULL, c->ctx) == 1 &&
        EC_POINT_point2oct(c->group, p, POINT_CONVERSION_UNCOMPRESSED, out, POINT, c->ctx) == POINT;
    EC_POINT_free(p);
    return ok;
}

/* ECDSA (FIPS 186-5, 6.4.1) with the derived nonce: r and s, 32 bytes each. */
static bool sign(curve *c, const uint8_t digest[TERN_SHA256], BIGNUM *r, BIGNUM *s)
{
    uint8_t wide[WIDE], scalar[SCALAR], point[POINT];
    const BIGNUM *order = EC_GROUP_get0_order(c->group);
    BIGNUM *k = BN_secure_new(), *z = BN_bin2bn(digest, TERN_SHA256, NULL);
    bool ok = k != NULL && z != NULL && BN_bn2binpad(c->key, scalar, SCALAR) == SCALAR &&
              tern_hkdf((tern_span){scalar, SCALAR}, (tern_span){digest, TERN_SHA256},
                        (tern_span){(const uint8_t *)"nonce", 5}, wide, WIDE) == 0 &&
              to_scalar(c, wide, k) && base_times(c, k, point) &&
              BN_bin2bn(point + 1, SCALAR, r) != NULL && BN_nnmod(r, r, order, c->ctx) == 1 &&
              BN_mod_mul(s, r, c->key, order, c->ctx) == 1 &&
              BN_mod_add(s, s, z, order, c->ctx) == 1 &&
              BN_mod_inverse(k, k, order, c->ctx) != NULL &&
              BN_mod_mul(s, s, k, order, c->ctx) == 1 && !BN_is_zero(r) && !BN_is_zero(s);
    BN_clear_free(k);
    BN_free(z);
    tern_wipe(wide, sizeof wide);
    tern_wipe(scalar, sizeof scalar);
    return ok;
}

/* ---- DER ---- */

static size_t put(uint8_t *out, const void *p, size_t n)
{
    memcpy(out, p, n);
    return n;
}

/* RFC 5280, 4.1.2.5: two digits of the year before 2050, four from then on. */
static size_t put_time(uint8_t *out, uint64_t seconds)
{
    time_t t = (time_t)seconds;
    struct tm tm;
    char text[32];
    if (gmtime_r(&t, &tm) == NULL) {
        return 0;
    }
    bool early = tm.tm_year < 150;
    size_t skip = early ? 2 : 0, n = strftime(text, sizeof text, "%Y%m%d%H%M%SZ", &tm) - skip;
    size_t head = tern_der_put_head(out, early ? 0x17 : 0x18, n);
    return head + put(out + head, text + skip, n);
}

static size_t put_integer(uint8_t *out, const BIGNUM *v)
{
    size_t n = (size_t)BN_num_bytes(v);
    bool pad = BN_num_bits(v) % 8 == 0; /* the top bit would be a sign */
    size_t head = tern_der_put_head(out, 2, n + pad);
    out[head] = 0;
    BN_bn2bin(v, out + head + pad);
    return head + pad + n;
}

static size_t put_tbs(uint8_t *out, const curve *c, const uint8_t serial[SERIAL],
                      const tern_cert_recipe *recipe)
{
    uint8_t body[TBS_MAX], times[64];
    size_t n = put(body, version_3, sizeof version_3);
    n += tern_der_put_head(body + n, 2, SERIAL);
    n += put(body + n, serial, SERIAL);
    body[n - SERIAL] = (uint8_t)((serial[0] & 0x3f) | 0x40); /* positive, and 8 bytes long */
    n += put(body + n, ecdsa_sha256, sizeof ecdsa_sha256);
    n += put(body + n, name_tern, sizeof name_tern);
    size_t t = put_time(times, recipe->from);
    t += put_time(times + t, recipe->to);
    n += tern_der_put_head(body + n, 0x30, t);
    n += put(body + n, times, t);
    n += put(body + n, name_tern, sizeof name_tern);
    n += put(body + n, spki_head, sizeof spki_head);
    n += put(body + n, c->public, POINT);
    n += put(body + n, extensions, sizeof extensions);
    size_t head = tern_der_put_head(out, 0x30, n);
    return head + put(out + head, body, n);
}

/* The whole certificate; its length, 0 when the library fails. */
static size_t put_certificate(uint8_t *out, curve *c, const uint8_t serial[SERIAL],
                              const tern_cert_recipe *recipe)
{
    uint8_t tbs[TBS_MAX], digest[TERN_SHA256], rs[80], body[CERT_MAX];
    size_t tbs_n = put_tbs(tbs, c, serial, recipe), n = 0;
    const tern_span v = {tbs, tbs_n};
    BIGNUM *r = BN_new(), *s = BN_new();
    if (r != NULL && s != NULL && tern_sha256(&v, 1, digest) == 0 && sign(c, digest, r, s)) {
        size_t rs_n = put_integer(rs, r);
        rs_n += put_integer(rs + rs_n, s);
        size_t b = put(body, tbs, tbs_n);
        b += put(body + b, ecdsa_sha256, sizeof ecdsa_sha256);
        b += tern_der_put_head(body + b, 3, rs_n + 3);
        body[b++] = 0; /* no unused bits */
        b += tern_der_put_head(body + b, 0x30, rs_n);
        b += put(body + b, rs, rs_n);
        n = tern_der_put_head(out, 0x30, b);
        n += put(out + n, body, b);
    }
    BN_free(r);
    BN_free(s);
    return n;
}

/* ---- OpenSSL's objects ---- */

static EVP_PKEY *make_pkey(const curve *c)
{
    OSSL_PARAM_BLD *build = OSSL_PARAM_BLD_new();
    OSSL_PARAM *params = NULL;
    EVP_PKEY_CTX *ctx = EVP_PKEY_CTX_new_from_name(NULL, "EC", NULL);
    EVP_PKEY *pkey = NULL;
    if (build != NULL && ctx != NULL &&
        OSSL_PARAM_BLD_push_utf8_string(build, OSSL_PKEY_PARAM_GROUP_NAME, "prime256v1", 0) == 1 &&
        OSSL_PARAM_BLD_push_octet_string(build, OSSL_PKEY_PARAM_PUB_KEY, c->public, POINT) == 1 &&
        OSSL_PARAM_BLD_push_BN(build, OSSL_PKEY_PARAM_PRIV_KEY, c->key) == 1 &&
        (params = OSSL_PARAM_BLD_to_param(build)) != NULL && EVP_PKEY_fromdata_init(ctx) == 1 &&
        EVP_PKEY_fromdata(ctx, &pkey, EVP_PKEY_KEYPAIR, params) != 1) {
        pkey = NULL;
    }
    OSSL_PARAM_free(params);
    OSSL_PARAM_BLD_free(build);
    EVP_PKEY_CTX_free(ctx);
    return pkey;
}

static bool make(curve *c, const uint8_t seed[WIDE + SERIAL], const tern_cert_recipe *recipe,
                 tern_cert *cert)
{
    uint8_t der[CERT_MAX];
    if (!curve_init(c) || !to_scalar(c, seed, c->key) || !base_times(c, c->key, c->public)) {
        return false;
    }
    size_t n = put_certificate(der, c, seed + WIDE, recipe);
    const unsigned char *at = der;
    cert->pkey = make_pkey(c);
    cert->x509 = n > 0 ? d2i_X509(NULL, &at, (long)n) : NULL;
    cert->der = n > 0 ? OPENSSL_memdup(der, n) : NULL;
    cert->der_n = n;
    return cert->pkey != NULL && cert->x509 != NULL && cert->der != NULL;
}

int tern_cert_derive_from(tern_span secret, const tern_cert_recipe *recipe, tern_cert **ret)
{
    uint8_t seed[WIDE + SERIAL], info[16];
    curve c;
    tern_cert *cert = tern_calloc(1, sizeof *cert);
    if (cert == NULL) {
        return TERN_E_NOMEM;
    }
    tern_put64(info, recipe->from);
    tern_put64(info + 8, recipe->to);
    ERR_set_mark();
    memset(&c, 0, sizeof c);
    bool ok =
        tern_hkdf(secret, (tern_span){(const uint8_t *)recipe->purpose, strlen(recipe->purpose)},
                  (tern_span){info, sizeof info}, seed, sizeof seed) == 0 &&
        make(&c, seed, recipe, cert);
    curve_clear(&c);
    ERR_pop_to_mark();
    tern_wipe(seed, sizeof seed);
    if (!ok) {
        tern_cert_free(cert);
        return TERN_E_CRYPTO;
    }
    *ret = cert;
    return 0;
}

int tern_cert_derive(const tern_key *identity, const tern_cert_recipe *recipe, tern_cert **ret)
{
    uint8_t *secret = tern_malloc(TERN_KEY_PB_MAX);
    if (secret == NULL) {
        return TERN_E_NOMEM;
    }
    ssize_t n = tern_key_private(identity, secret, TERN_KEY_PB_MAX);
    int e = n < 0 ? (int)n : tern_cert_derive_from((tern_span){secret, (size_t)n}, recipe, ret);
    tern_wipe(secret, TERN_KEY_PB_MAX);
    tern_free(secret);
    return e;
}
