/* Diffie-Hellman on P-256: see p256.h. The pair is OpenSSL's own object. */
#include "crypto/p256.h"

#include <openssl/core_names.h>
#include <openssl/err.h>
#include <openssl/evp.h>

#include "crypto/key_evp.h"

static EVP_PKEY *pkey_of(tern_p256 *pair)
{
    return (EVP_PKEY *)(void *)pair;
}

tern_p256 *tern_p256_new(uint8_t ret_public[TERN_P256_POINT])
{
    size_t n = 0;
    ERR_set_mark();
    EVP_PKEY *pkey = EVP_PKEY_Q_keygen(NULL, NULL, "EC", "P-256");
    if (pkey != NULL && (EVP_PKEY_get_octet_string_param(pkey, OSSL_PKEY_PARAM_PUB_KEY, ret_public,
                                                         TERN_P256_POINT, &n) != 1 ||
                         n != TERN_P256_POINT)) {
        EVP_PKEY_free(pkey);
        pkey = NULL;
    }
    ERR_pop_to_mark();
    return (tern_p256 *)(void *)pkey;
}

void tern_p256_free(tern_p256 *pair)
{
    EVP_PKEY_free(pkey_of(pair));
}

static EVP_PKEY *read_peer(const uint8_t peer[TERN_P256_POINT])
{
    char group[] = "P-256";
    uint8_t point[TERN_P256_POINT];
    memcpy(point, peer, sizeof point);
    OSSL_PARAM params[] = {
        OSSL_PARAM_construct_utf8_string(OSSL_PKEY_PARAM_GROUP_NAME, group, 0),
        OSSL_PARAM_construct_octet_string(OSSL_PKEY_PARAM_PUB_KEY, point, sizeof point),
        OSSL_PARAM_construct_end(),
    };
    return point[0] == 4 ? tern_evp_from_params("EC", params) : NULL;
}

int tern_p256_shared(tern_p256 *pair, const uint8_t peer[TERN_P256_POINT],
                     uint8_t ret_shared[TERN_P256_SHARED])
{
    size_t n = TERN_P256_SHARED;
    ERR_set_mark();
    EVP_PKEY *other = read_peer(peer);
    EVP_PKEY_CTX *ctx =
        other != NULL ? EVP_PKEY_CTX_new_from_pkey(NULL, pkey_of(pair), NULL) : NULL;
    bool ok = ctx != NULL && EVP_PKEY_derive_init(ctx) == 1 &&
              EVP_PKEY_derive_set_peer(ctx, other) == 1 &&
              EVP_PKEY_derive(ctx, ret_shared, &n) == 1 && n == TERN_P256_SHARED;
    EVP_PKEY_CTX_free(ctx);
    EVP_PKEY_free(other);
    ERR_pop_to_mark();
    return ok ? 0 : other == NULL ? TERN_E_INVALID : TERN_E_CRYPTO;
}
