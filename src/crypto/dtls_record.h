/* The records of DTLS 1.2 after the handshake (RFC 6347, 4.1; RFC 5288): AES-128-GCM, sealed and
 * opened where they lie. A connection pays for two keyed ciphers and a replay window, no more.
 *
 *     | type | version | epoch 1 | sequence, 6 | length, 2 | nonce, 8 | ciphertext | tag, 16 | */
#ifndef TERN_CRYPTO_DTLS_RECORD_H
#define TERN_CRYPTO_DTLS_RECORD_H

#include "base/bytes.h"

enum {
    TERN_DTLS_HEADER = 13,
    TERN_DTLS_NONCE = 8,
    TERN_DTLS_TAG = 16,
    TERN_DTLS_OVERHEAD = 37, /* of an application record */
    TERN_DTLS_BEFORE = 21,   /* of that, in front of the plaintext */
    TERN_DTLS_KEY = 16,
    TERN_DTLS_SALT = 4,
    TERN_DTLS_ALERT = 21, /* record types */
    TERN_DTLS_HANDSHAKE = 22,
    TERN_DTLS_DATA = 23,
};

typedef struct tern_dtls_records tern_dtls_records;

typedef struct tern_dtls_keys {
    uint8_t key[2][TERN_DTLS_KEY]; /* ours to send with, the peer's */
    uint8_t salt[2][TERN_DTLS_SALT];
    uint64_t next;  /* our next sequence number in epoch 1 */
    uint64_t heard; /* the peer's highest one so far: not taken again */
} tern_dtls_keys;

tern_dtls_records *tern_dtls_records_new(const tern_dtls_keys *keys); /* NULL without memory */
void tern_dtls_records_free(tern_dtls_records *r);                    /* wipes; NULL is nothing */

/* Seals n bytes at record + TERN_DTLS_BEFORE in place; the record's length, or TERN_E_CRYPTO (also
 * when the sequence numbers are used up). */
ssize_t tern_dtls_seal(tern_dtls_records *r, uint8_t type, uint8_t *record, size_t n);

/* The next record of a datagram: steps *datagram over it. 1: *ret_plain (in place) and *ret_type
 * are set. 0: nothing more in it. TERN_E_MALFORMED: no record; TERN_E_CRYPTO: does not decrypt;
 * TERN_E_STATE: of epoch 0, or received before. After an error the rest may be tried, except after
 * TERN_E_MALFORMED. */
int tern_dtls_open(tern_dtls_records *r, tern_span *datagram, uint8_t *ret_type,
                   tern_span *ret_plain);

/* The head of the record that begins a datagram; false when it is none. *ret_n: with the head. */
bool tern_dtls_peek(tern_span datagram, uint8_t *ret_type, uint16_t *ret_epoch,
                    uint64_t *ret_sequence, size_t *ret_n);

#endif
