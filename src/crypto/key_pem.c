/* Identity keys from PEM files as openssl and ssh-keygen write them: PKCS#8, SEC1 and PKCS#1,
 * unencrypted. OpenSSL reads the text; the key then goes through its kind's own checks like any
 * private key.
 *
 *     PEM -> EVP_PKEY -> Data of libp2p's PrivateKey -> tern_key */
#include <openssl/bn.h>
#include <openssl/core_names.h>
#include <openssl/err.h>
#include <openssl/pem.h>

#include "base/mem.h"
#include "crypto/key_evp.h"
#include "crypto/key_kind.h"

enum { TEXT_MAX = 32768 };

/* OpenSSL would otherwise ask for the password at the terminal. */
static int no_password(char *out, int cap, int writing, void *asked)
{
    (void)out;
    (void)cap;
    (void)writing;
    *(bool *)asked = true;
    return -1;
}

static ssize_t ed25519_data(const EVP_PKEY *pkey, uint8_t *out)
{
    size_t seed_n = 32, point_n = 32;
    bool ok = EVP_PKEY_get_raw_private_key(pkey, out, &seed_n) == 1 && seed_n == 32 &&
              EVP_PKEY_get_raw_public_key(pkey, out + 32, &point_n) == 1 && point_n == 32;
    return ok ? 64 : TERN_E_CRYPTO;
}

static ssize_t secp256k1_data(const EVP_PKEY *pkey, uint8_t *out)
{
    BIGNUM *scalar = NULL;
    int n = -1;
    if (EVP_PKEY_get_bn_param(pkey, OSSL_PKEY_PARAM_PRIV_KEY, &scalar) == 1) {
        n = BN_bn2binpad(scalar, out, 32);
    }
    BN_clear_free(scalar);
    return n == 32 ? 32 : TERN_E_CRYPTO;
}

/* Which of our kinds the key is, and its Data; out has TERN_KEY_PB_MAX bytes. */
static ssize_t convert(const EVP_PKEY *pkey, const tern_key_kind **ret_kind, uint8_t *out)
{
    if (EVP_PKEY_is_a(pkey, "ED25519")) {
        *ret_kind = &tern_key_ed25519;
        return ed25519_data(pkey, out);
    }
    if (EVP_PKEY_is_a(pkey, "RSA")) {
        *ret_kind = &tern_key_rsa;
        return tern_evp_write_private(pkey, out, TERN_KEY_PB_MAX);
    }
    char group[32];
    size_t n;
    if (!EVP_PKEY_is_a(pkey, "EC") || EVP_PKEY_get_group_name(pkey, group, sizeof group, &n) != 1) {
        return TERN_E_UNSUPPORTED;
    }
    if (strcmp(group, "secp256k1") == 0) {
        *ret_kind = &tern_key_secp256k1;
        return secp256k1_data(pkey, out);
    }
    *ret_kind = &tern_key_ecdsa;
    return tern_evp_write_private(pkey, out, TERN_KEY_PB_MAX);
}

static int from_pkey(const EVP_PKEY *pkey, tern_key **ret)
{
    uint8_t *data = tern_malloc(TERN_KEY_PB_MAX);
    const tern_key_kind *kind;
    if (data == NULL) {
        return TERN_E_NOMEM;
    }
    ssize_t n = convert(pkey, &kind, data);
    int code = n < 0 ? (int)n : tern_key_from_private_data(kind, (tern_span){data, (size_t)n}, ret);
    tern_wipe(data, TERN_KEY_PB_MAX);
    tern_free(data);
    return code;
}

int tern_key_from_pem(const char *text, size_t n, tern_key **ret)
{
    if (n > TEXT_MAX) {
        return TERN_E_TOO_LARGE;
    }
    ERR_set_mark();
    bool asked = false;
    BIO *bio = BIO_new_mem_buf(text, (int)n);
    EVP_PKEY *pkey = bio != NULL ? PEM_read_bio_PrivateKey(bio, NULL, no_password, &asked) : NULL;
    int code = asked ? TERN_E_UNSUPPORTED : TERN_E_MALFORMED;
    if (bio == NULL) {
        code = TERN_E_NOMEM;
    } else if (pkey != NULL) {
        code = from_pkey(pkey, ret);
    }
    EVP_PKEY_free(pkey);
    BIO_free(bio);
    ERR_pop_to_mark();
    return code;
}
