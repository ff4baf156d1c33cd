/* Identity keys: the protobuf forms, the reference count, and the way to the kind that does the
 * work. See tern/key.h and crypto/key.h for the contract (libp2p specs, peer-ids).
 *
 *     PublicKey, PrivateKey:  08 type | 12 length Data
 *
 * Ids hash these bytes, so they are written in exactly this form, with the type even when it is 0.
 * They are read in either order, each field once, nothing else. OpenSSL's error queue is left as it
 * was found. */
#include "crypto/key.h"

#include <openssl/err.h>

#include "base/mem.h"
#include "codec/protobuf.h"
#include "codec/varint.h"
#include "crypto/key_kind.h"
#include "crypto/symmetric.h"

static const tern_key_kind *const kinds[] = {
    [TERN_KEY_RSA] = &tern_key_rsa,
    [TERN_KEY_ED25519] = &tern_key_ed25519,
    [TERN_KEY_SECP256K1] = &tern_key_secp256k1,
    [TERN_KEY_ECDSA] = &tern_key_ecdsa,
};

enum { KINDS = sizeof kinds / sizeof kinds[0] };

static const tern_key_kind *kind_of(uint64_t type)
{
    return type < KINDS ? kinds[type] : NULL;
}

/* Writes what stands before the Data; 3 to 5 bytes. */
static size_t put_head(uint8_t *out, const tern_key_kind *kind, size_t data_n)
{
    out[0] = 0x08;
    out[1] = (uint8_t)kind->type;
    out[2] = 0x12;
    return 3 + tern_varint_put(out + 3, data_n);
}

static int parse(const uint8_t *bytes, size_t n, const tern_key_kind **ret_kind,
                 tern_span *ret_data)
{
    uint64_t type = 0;
    bool has_type = false, has_data = false;
    if (n > TERN_KEY_PB_MAX) {
        return TERN_E_TOO_LARGE;
    }
    tern_pb r = tern_pb_read(bytes, n);
    while (tern_pb_next(&r)) {
        if (r.field == 1 && r.type == 0 && !has_type) {
            has_type = tern_pb_uint(&r, &type);
        } else if (r.field == 2 && !has_data) {
            has_data = tern_pb_bytes(&r, ret_data);
        } else {
            return TERN_E_MALFORMED;
        }
    }
    if (r.error || !has_type || !has_data) {
        return TERN_E_MALFORMED;
    }
    *ret_kind = kind_of(type);
    return *ret_kind != NULL ? 0 : TERN_E_UNSUPPORTED;
}

/* Takes over the secret, also when it fails. */
static int make(const tern_key_kind *kind, void *secret, const uint8_t *data, size_t n,
                tern_key **ret)
{
    uint8_t head[3 + TERN_VARINT_MAX];
    size_t head_n = put_head(head, kind, n), pb_n = head_n + n;
    bool hashed = pb_n > TERN_KEY_ID_INLINE_MAX;
    tern_key *key = tern_malloc(sizeof *key + pb_n + (hashed ? TERN_SHA256 : 0));
    int code = key != NULL ? 0 : TERN_E_NOMEM;
    if (key != NULL) {
        *key = (tern_key){.kind = kind,
                          .secret = secret,
                          .refs = 1,
                          .pb_n = (uint16_t)pb_n,
                          .data_at = (uint16_t)head_n};
        memcpy(key->pb, head, head_n);
        memcpy(key->pb + head_n, data, n);
        if (hashed) {
            code = tern_sha256(&(tern_span){key->pb, pb_n}, 1, key->pb + pb_n);
        }
    }
    if (code != 0) {
        tern_free(key);
        if (secret != NULL) {
            kind->free_secret(secret);
        }
        return code;
    }
    *ret = key;
    return 0;
}

int tern_key_generate(tern_key_type type, tern_key **ret)
{
    const tern_key_kind *kind = kind_of(type);
    uint8_t data[TERN_KEY_PUBLIC_DATA_MAX];
    void *secret = NULL;
    if (kind == NULL) {
        return TERN_E_UNSUPPORTED;
    }
    ERR_set_mark();
    ssize_t n = kind->generate(&secret, data);
    int code = n < 0 ? (int)n : make(kind, secret, data, (size_t)n, ret);
    ERR_pop_to_mark();
    return code;
}

int tern_key_from_private_data(const tern_key_kind *kind, tern_span data, tern_key **ret)
{
    uint8_t public_data[TERN_KEY_PUBLIC_DATA_MAX];
    void *secret = NULL;
    ERR_set_mark();
    ssize_t n = kind->read_private(data, &secret, public_data);
    int code = n < 0 ? (int)n : make(kind, secret, public_data, (size_t)n, ret);
    ERR_pop_to_mark();
    return code;
}

int tern_key_from_private(const uint8_t *bytes, size_t n, tern_key **ret)
{
    const tern_key_kind *kind;
    tern_span data;
    int code = parse(bytes, n, &kind, &data);
    return code != 0 ? code : tern_key_from_private_data(kind, data, ret);
}

int tern_key_from_public(const uint8_t *bytes, size_t n, tern_key **ret)
{
    const tern_key_kind *kind;
    tern_span data;
    uint8_t kept[TERN_KEY_PUBLIC_DATA_MAX];
    int code = parse(bytes, n, &kind, &data);
    if (code != 0) {
        return code;
    }
    ERR_set_mark();
    ssize_t kept_n = kind->read_public(data, kept);
    code = kept_n < 0 ? (int)kept_n : make(kind, NULL, kept, (size_t)kept_n, ret);
    ERR_pop_to_mark();
    return code;
}

int tern_key_from_peer_id(const tern_peer_id *id, tern_key **ret)
{
    if (id->len < 2 || id->bytes[0] != 0) {
        return TERN_E_NOT_FOUND;
    }
    tern_key *key;
    int code = tern_key_from_public(id->bytes + 2, (size_t)id->len - 2, &key);
    if (code != 0) {
        return code;
    }
    /* An id made of another encoding of the key is not the key's id. */
    tern_peer_id own;
    tern_key_peer_id(key, &own);
    if (!tern_peer_id_equal(id, &own)) {
        tern_key_unref(key);
        return TERN_E_MALFORMED;
    }
    *ret = key;
    return 0;
}

tern_key *tern_key_ref(const tern_key *key)
{
    tern_key *counted = (tern_key *)(uintptr_t)key; /* the count is the one thing that changes */
    if (counted != NULL) {
        counted->refs++;
    }
    return counted;
}

void tern_key_unref(tern_key *key)
{
    if (key != NULL && --key->refs == 0) {
        if (key->secret != NULL) {
            key->kind->free_secret(key->secret);
        }
        tern_free(key);
    }
}

tern_key_type tern_key_type_of(const tern_key *key)
{
    return key->kind->type;
}

const char *tern_key_type_name(tern_key_type type)
{
    const tern_key_kind *kind = kind_of(type);
    return kind != NULL ? kind->name : "unknown";
}

int tern_key_type_parse(const char *name, tern_key_type *ret)
{
    for (size_t i = 0; i < KINDS; i++) {
        if (strcmp(name, kinds[i]->name) == 0) {
            *ret = kinds[i]->type;
            return 0;
        }
    }
    return TERN_E_UNSUPPORTED;
}

bool tern_key_has_private(const tern_key *key)
{
    return key->secret != NULL;
}

void tern_key_peer_id(const tern_key *key, tern_peer_id *ret)
{
    memset(ret, 0, sizeof *ret);
    bool hashed = key->pb_n > TERN_KEY_ID_INLINE_MAX;
    uint8_t n = hashed ? TERN_SHA256 : (uint8_t)key->pb_n;
    ret->bytes[0] = hashed ? 0x12 : 0x00; /* multihash: sha2-256 or identity */
    ret->bytes[1] = n;
    memcpy(ret->bytes + 2, hashed ? key->pb + key->pb_n : key->pb, n);
    ret->len = (uint8_t)(2 + n);
}

const uint8_t *tern_key_public(const tern_key *key, size_t *ret_n)
{
    *ret_n = key->pb_n;
    return key->pb;
}

ssize_t tern_key_private(const tern_key *key, uint8_t *out, size_t cap)
{
    if (key->secret == NULL) {
        return TERN_E_STATE;
    }
    /* The Data's length decides the length of what stands before it, so the Data is written first.
     */
    uint8_t head[3 + TERN_VARINT_MAX];
    ERR_set_mark();
    ssize_t n = key->kind->write_private(key, out, cap);
    ERR_pop_to_mark();
    if (n < 0) {
        return n;
    }
    size_t head_n = put_head(head, key->kind, (size_t)n);
    if (head_n > cap - (size_t)n) {
        tern_wipe(out, (size_t)n);
        return TERN_E_TOO_LARGE;
    }
    memmove(out + head_n, out, (size_t)n);
    memcpy(out, head, head_n);
    return (ssize_t)head_n + n;
}

ssize_t tern_key_sign(const tern_key *key, const tern_span *v, unsigned n, uint8_t *out, size_t cap)
{
    if (key->secret == NULL) {
        return TERN_E_STATE;
    }
    ERR_set_mark();
    ssize_t sig_n = key->kind->sign(key, v, n, out, cap);
    ERR_pop_to_mark();
    return sig_n;
}

int tern_key_verify(const tern_key *key, const tern_span *v, unsigned n, const uint8_t *sig,
                    size_t sig_n)
{
    if (sig_n == 0 || sig_n > TERN_SIGNATURE_MAX) {
        return TERN_E_SIGNATURE;
    }
    ERR_set_mark();
    int code = key->kind->verify(key, v, n, sig, sig_n);
    ERR_pop_to_mark();
    return code;
}

bool tern_key_equal_public(const tern_key *a, const tern_key *b)
{
    return a->pb_n == b->pb_n && memcmp(a->pb, b->pb, a->pb_n) == 0;
}
