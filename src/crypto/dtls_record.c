/* DTLS 1.2 records: see dtls_record.h. */
#include "crypto/dtls_record.h"

#include <openssl/evp.h>

#include <tern/error.h>

#include "base/mem.h"

enum { WINDOW = 64 };

#define SEQUENCE_END (UINT64_C(1) << 48)

struct tern_dtls_records {
    EVP_CIPHER_CTX *send, *recv;
    uint8_t salt[2][TERN_DTLS_SALT];
    uint64_t next;
    uint64_t highest, seen; /* bit i of seen: highest - i was received */
};

static EVP_CIPHER_CTX *keyed(const uint8_t *key, int encrypt)
{
    EVP_CIPHER_CTX *ctx = EVP_CIPHER_CTX_new();
    if (ctx != NULL && EVP_CipherInit_ex(ctx, EVP_aes_128_gcm(), NULL, key, NULL, encrypt) != 1) {
        EVP_CIPHER_CTX_free(ctx);
        return NULL;
    }
    return ctx;
}

tern_dtls_records *tern_dtls_records_new(const tern_dtls_keys *keys)
{
    tern_dtls_records *r = tern_calloc(1, sizeof *r);
    if (r == NULL) {
        return NULL;
    }
    r->send = keyed(keys->key[0], 1);
    r->recv = keyed(keys->key[1], 0);
    memcpy(r->salt, keys->salt, sizeof r->salt);
    r->next = keys->next;
    r->highest = keys->heard;
    r->seen = UINT64_MAX;
    if (r->send == NULL || r->recv == NULL) {
        tern_dtls_records_free(r);
        return NULL;
    }
    return r;
}

void tern_dtls_records_free(tern_dtls_records *r)
{
    if (r != NULL) {
        EVP_CIPHER_CTX_free(r->send);
        EVP_CIPHER_CTX_free(r->recv);
        tern_wipe(r, sizeof *r);
        tern_free(r);
    }
}

/* Epoch, sequence, type, version and the plaintext's length (RFC 5246, 6.2.3.3). */
static void put_aad(uint8_t aad[13], const uint8_t *record, size_t n)
{
    memcpy(aad, record + 3, 8);
    memcpy(aad + 8, record, 3);
    tern_put16(aad + 11, (uint16_t)n);
}

ssize_t tern_dtls_seal(tern_dtls_records *r, uint8_t type, uint8_t *record, size_t n)
{
    uint8_t iv[TERN_DTLS_SALT + TERN_DTLS_NONCE], aad[13];
    uint8_t *text = record + TERN_DTLS_BEFORE;
    int out = 0;
    if (r->next >= SEQUENCE_END || n > INT16_MAX) {
        return TERN_E_CRYPTO;
    }
    record[0] = type;
    record[1] = 0xfe;
    record[2] = 0xfd;
    tern_put64(record + 3, UINT64_C(1) << 48 | r->next++);
    tern_put16(record + 11, (uint16_t)(n + TERN_DTLS_NONCE + TERN_DTLS_TAG));
    memcpy(record + TERN_DTLS_HEADER, record + 3, TERN_DTLS_NONCE);
    memcpy(iv, r->salt[0], TERN_DTLS_SALT);
    memcpy(iv + TERN_DTLS_SALT, record + 3, TERN_DTLS_NONCE);
    put_aad(aad, record, n);
    if (EVP_EncryptInit_ex(r->send, NULL, NULL, NULL, iv) != 1 ||
        EVP_EncryptUpdate(r->send, NULL, &out, aad, sizeof aad) != 1 ||
        EVP_EncryptUpdate(r->send, text, &out, text, (int)n) != 1 ||
        EVP_EncryptFinal_ex(r->send, text + n, &out) != 1 ||
        EVP_CIPHER_CTX_ctrl(r->send, EVP_CTRL_AEAD_GET_TAG, TERN_DTLS_TAG, text + n) != 1) {
        return TERN_E_CRYPTO;
    }
    return (ssize_t)(TERN_DTLS_OVERHEAD + n);
}

bool tern_dtls_peek(tern_span d, uint8_t *ret_type, uint16_t *ret_epoch, uint64_t *ret_sequence,
                    size_t *ret_n)
{
    if (d.len < TERN_DTLS_HEADER || d.data[1] != 0xfe) {
        return false;
    }
    size_t n = TERN_DTLS_HEADER + (size_t)tern_get16(d.data + 11);
    if (n > d.len) {
        return false;
    }
    *ret_type = d.data[0];
    *ret_epoch = tern_get16(d.data + 3);
    *ret_sequence = tern_get64(d.data + 3) & (SEQUENCE_END - 1);
    *ret_n = n;
    return true;
}

static bool replayed(const tern_dtls_records *r, uint64_t sequence)
{
    return sequence <= r->highest &&
           (r->highest - sequence >= WINDOW || (r->seen >> (r->highest - sequence) & 1) != 0);
}

static void remember(tern_dtls_records *r, uint64_t sequence)
{
    if (sequence > r->highest) {
        uint64_t ahead = sequence - r->highest;
        r->seen = ahead < WINDOW ? r->seen << ahead : 0;
        r->highest = sequence;
    }
    r->seen |= UINT64_C(1) << (r->highest - sequence);
}

static bool decrypt(tern_dtls_records *r, const uint8_t *record, uint8_t *text, size_t n)
{
    uint8_t iv[TERN_DTLS_SALT + TERN_DTLS_NONCE], aad[13];
    int out = 0;
    memcpy(iv, r->salt[1], TERN_DTLS_SALT);
    memcpy(iv + TERN_DTLS_SALT, record + TERN_DTLS_HEADER, TERN_DTLS_NONCE);
    put_aad(aad, record, n);
    return EVP_CIPHER_CTX_ctrl(r->recv, EVP_CTRL_AEAD_SET_TAG, TERN_DTLS_TAG, text + n) == 1 &&
           EVP_DecryptInit_ex(r->recv, NULL, NULL, NULL, iv) == 1 &&
           EVP_DecryptUpdate(r->recv, NULL, &out, aad, sizeof aad) == 1 &&
           EVP_DecryptUpdate(r->recv, text, &out, text, (int)n) == 1 &&
           EVP_DecryptFinal_ex(r->recv, text + n, &out) == 1;
}

int tern_dtls_open(tern_dtls_records *r, tern_span *datagram, uint8_t *ret_type,
                   tern_span *ret_plain)
{
    uint16_t epoch;
    uint64_t sequence;
    size_t whole;
    if (datagram->len == 0) {
        return 0;
    }
    tern_span record = *datagram;
    if (!tern_dtls_peek(record, ret_type, &epoch, &sequence, &whole)) {
        return TERN_E_MALFORMED;
    }
    *datagram = (tern_span){record.data + whole, record.len - whole};
    if (epoch != 1 || replayed(r, sequence)) {
        return TERN_E_STATE;
    }
    if (whole < TERN_DTLS_OVERHEAD) {
        return TERN_E_CRYPTO;
    }
    size_t n = whole - TERN_DTLS_OVERHEAD;
    uint8_t *text = (uint8_t *)(uintptr_t)record.data + TERN_DTLS_BEFORE; /* the caller's buffer */
    if (!decrypt(r, record.data, text, n)) {
        return TERN_E_CRYPTO;
    }
    remember(r, sequence);
    *ret_plain = (tern_span){text, n};
    return 1;
}
