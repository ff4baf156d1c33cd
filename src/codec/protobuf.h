/* Protocol Buffers on the wire, as far as libp2p's messages need them: a reader that walks a
 * message's fields in place and a writer into a tern_buf. No allocation while reading, no
 * recursion.
 *
 *     tern_pb r = tern_pb_read(data, n);
 *     while (tern_pb_next(&r)) {
 *         switch (r.field) { case 1: ok = tern_pb_bytes(&r, &span); break; ... }
 *     }
 *     if (r.error) ...
 *
 * Unknown fields are skipped; padded varints of foreign encoders are accepted (up to 10 bytes). */
#ifndef TERN_CODEC_PROTOBUF_H
#define TERN_CODEC_PROTOBUF_H

#include <stdbool.h>

#include "base/buf.h"
#include "base/bytes.h"

typedef struct tern_pb {
    const uint8_t *at, *end;
    uint32_t field; /* of the current field */
    uint8_t type;   /* its wire type: 0 varint, 1 fixed64, 2 bytes, 5 fixed32 */
    bool error;     /* malformed: the walk has ended */
    uint64_t value; /* varint or fixed */
    tern_span body; /* bytes */
} tern_pb;

tern_pb tern_pb_read(const uint8_t *data, size_t n);
/* Steps to the next field, already decoded into value or body; false at the end or on error. */
bool tern_pb_next(tern_pb *r);
/* The current field as what the caller expects; false (and r->error) when its wire type is another.
 */
bool tern_pb_bytes(tern_pb *r, tern_span *ret);
bool tern_pb_uint(tern_pb *r, uint64_t *ret); /* wire type 0, 1 or 5 */

/* Writers append to b; they return 0, TERN_E_NOMEM or TERN_E_TOO_LARGE (b's limit). */
int tern_pb_put_uint(tern_buf *b, uint32_t field, uint64_t value);
int tern_pb_put_fixed64(tern_buf *b, uint32_t field, uint64_t value);
int tern_pb_put_bytes(tern_buf *b, uint32_t field, const void *p, size_t n);
int tern_pb_put_string(tern_buf *b, uint32_t field, const char *s);

#endif
