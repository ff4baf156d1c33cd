/* Inside crypto/: what a type of identity key provides, and the key itself. One file implements one
 * kind; key.c has the only list of them.
 *
 *     tern_key | PublicKey protobuf: 08 type 12 length Data | SHA-256 of it, unless the id carries
 * it whole |
 *
 * A public key is just these bytes (about 64 for Ed25519; one is held by every connection):
 * OpenSSL's objects are made for a verification and freed after it. A private key keeps its secret
 * ready. */
#ifndef TERN_CRYPTO_KEY_KIND_H
#define TERN_CRYPTO_KEY_KIND_H

#include "crypto/key.h"

enum {
    TERN_KEY_PUBLIC_DATA_MAX = 1280, /* RSA of 8192 bits has 1062 */
    TERN_KEY_ID_INLINE_MAX = 42      /* longest protobuf that a peer id carries whole (peer-ids) */
};

/* All errors are those that tern/key.h names. `data` is the Data field of libp2p's protobuf;
 * `ret_public` has room for TERN_KEY_PUBLIC_DATA_MAX and gets the public Data in its one canonical
 * form, whose length is returned. */
typedef struct tern_key_kind {
    tern_key_type type;
    const char *name;
    ssize_t (*read_public)(tern_span data, uint8_t *ret_public);
    ssize_t (*read_private)(tern_span data, void **ret_secret, uint8_t *ret_public);
    ssize_t (*generate)(void **ret_secret, uint8_t *ret_public);
    /* The Data field of the PrivateKey; its length, TERN_E_TOO_LARGE or TERN_E_CRYPTO. */
    ssize_t (*write_private)(const tern_key *key, uint8_t *out, size_t cap);
    ssize_t (*sign)(const tern_key *key, const tern_span *v, unsigned n, uint8_t *out, size_t cap);
    int (*verify)(const tern_key *key, const tern_span *v, unsigned n, const uint8_t *sig,
                  size_t sig_n);
    void (*free_secret)(void *secret); /* wipes it */
} tern_key_kind;

extern const tern_key_kind tern_key_rsa, tern_key_ed25519, tern_key_secp256k1, tern_key_ecdsa;

struct tern_key {
    const tern_key_kind *kind;
    void *secret; /* the kind's; NULL for a public key */
    uint32_t refs;
    uint16_t pb_n;    /* bytes of the protobuf */
    uint16_t data_at; /* where in it the Data begins; it reaches to the end */
    uint8_t pb[];
};

static inline tern_span tern_key_data(const tern_key *key)
{
    return (tern_span){key->pb + key->data_at, (size_t)key->pb_n - key->data_at};
}

/* A key pair from the Data of a PrivateKey of that kind. */
int tern_key_from_private_data(const tern_key_kind *kind, tern_span data, tern_key **ret);

#endif
