/* DER (X.690), as far as keys and certificates need it: a cursor that takes one element after the
 * other. Definite and minimal lengths that fit the bytes at hand, one-byte tags, no recursion, no
 * allocation: what a peer sent is checked here before OpenSSL sees a number of it. */
#ifndef TERN_CRYPTO_DER_H
#define TERN_CRYPTO_DER_H

#include "base/bytes.h"

enum {
    TERN_DER_BOOLEAN = 0x01,
    TERN_DER_INTEGER = 0x02,
    TERN_DER_BIT_STRING = 0x03,
    TERN_DER_OCTET_STRING = 0x04,
    TERN_DER_OID = 0x06,
    TERN_DER_SEQUENCE = 0x30,

    TERN_DER_HEAD_MAX = 4 /* tag, and a length below 65536 */
};

/* Takes the element at the start of *in, which must have this tag, and steps over it; *ret_body is
 * its content. False, with *in as it was, when it is malformed or has another tag. */
bool tern_der_take(tern_span *in, uint8_t tag, tern_span *ret_body);

/* The same; *ret_whole is the element with its head. */
bool tern_der_take_whole(tern_span *in, uint8_t tag, tern_span *ret_whole);

/* Takes a BIT STRING of whole bytes; *in moves on even when its bits are not such. */
bool tern_der_take_bits(tern_span *in, tern_span *ret);

/* Takes an INTEGER that is not negative, minimally encoded; *ret is its magnitude without leading
 * zeros (empty for zero). */
bool tern_der_take_uint(tern_span *in, tern_span *ret);

/* The number of significant bits of a magnitude as tern_der_take_uint gives it. */
size_t tern_der_bits(tern_span magnitude);

/* Writes tag and length of an element with n < 65536 bytes of content; how many bytes that took, at
 * most TERN_DER_HEAD_MAX. */
size_t tern_der_put_head(uint8_t *out, uint8_t tag, size_t n);

#endif
