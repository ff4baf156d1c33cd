/* The record protection of TLS 1.3 (RFC 8446, section 5) under the traffic secrets of a finished
 * handshake: sealed and opened where they lie, without I/O.
 *
 *     | type 23 | version 0x0303 | length 2 BE | ciphertext of: content, inner type | tag 16 |
 *
 * Both directions of a connection; each has its secret, which may be stepped (section 7.2). OpenSSL
 * could go on with the records too: it would copy every byte twice more and hold three times the
 * memory. */
#ifndef TERN_CRYPTO_TLS_RECORD_H
#define TERN_CRYPTO_TLS_RECORD_H

#include "base/bytes.h"

enum {
    TERN_TLS_HEADER = 5,            /* of a record: type, version, length */
    TERN_TLS_TAG = 16,              /* behind the ciphertext */
    TERN_TLS_PLAIN_MAX = 16384,     /* in a record */
    TERN_TLS_OVERHEAD = 5 + 1 + 16, /* of a record that we write: header, inner type, tag */
    TERN_TLS_BODY_MAX = 16384 + 256,
    TERN_TLS_SPANS_MAX = 32,  /* sealed as one record */
    TERN_TLS_SECRET_MAX = 48, /* bytes of a traffic secret: the hash's length */
};

typedef enum tern_tls_content {
    TERN_TLS_ALERT = 21,
    TERN_TLS_HANDSHAKE = 22,
    TERN_TLS_DATA = 23,
} tern_tls_content;

typedef enum tern_tls_suite { /* RFC 8446, appendix B.4 */
                              TERN_TLS_AES_128_GCM_SHA256 = 0x1301,
                              TERN_TLS_AES_256_GCM_SHA384 = 0x1302,
                              TERN_TLS_CHACHA20_POLY1305_SHA256 = 0x1303,
} tern_tls_suite;

typedef struct tern_tls_secrets {
    uint16_t suite; /* a tern_tls_suite */
    uint8_t send[TERN_TLS_SECRET_MAX], recv[TERN_TLS_SECRET_MAX];
    uint64_t wear; /* records that a key seals before it is worn; 0 = 2^24 (section 5.5) */
} tern_tls_secrets;

typedef struct tern_tls_records tern_tls_records;

/* The secrets are copied, the sequences start at 0. NULL: memory is short, or the suite is none of
 * the three. */
tern_tls_records *tern_tls_records_new(const tern_tls_secrets *secrets);
void tern_tls_records_free(tern_tls_records *r); /* wipes; NULL is nothing */

/* Seals the spans, at most TERN_TLS_SPANS_MAX of n <= TERN_TLS_PLAIN_MAX bytes in all, as one
 * record of that content: n + TERN_TLS_OVERHEAD bytes at out, which overlaps no span.
 * TERN_E_CRYPTO. */
int tern_tls_seal(tern_tls_records *r, tern_tls_content content, const tern_span *v, unsigned count,
                  size_t n, uint8_t *out);

/* Opens a whole record of n bytes in place: 0, *ret_content (any number the peer chose) and
 * *ret_plain inside the record. TERN_E_MALFORMED (no encrypted record, or no content type in it),
 * TERN_E_CRYPTO (does not decrypt), TERN_E_TOO_LARGE (more plaintext than allowed). */
int tern_tls_open(tern_tls_records *r, uint8_t *record, size_t n, uint8_t *ret_content,
                  tern_span *ret_plain);

/* Whether the key we seal with has served its time: a KeyUpdate is due. */
bool tern_tls_worn(const tern_tls_records *r);

/* Steps to the next secret: what we seal from now on, or what we open. TERN_E_NOMEM or
 * TERN_E_CRYPTO: the direction cannot be used further. */
int tern_tls_update_send(tern_tls_records *r);
int tern_tls_update_recv(tern_tls_records *r);

#endif
