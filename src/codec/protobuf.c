/* Protocol Buffers on the wire (encoding guide of protobuf): reading in place, writing into a
 * tern_buf.
 *
 *      field: | tag = number << 3 | wire type | varint, 8 bytes, length + bytes, or 4 bytes |
 *
 * Groups (wire types 3 and 4) are long withdrawn and an error here, so a message nests only where
 * its reader descends into a bytes field by intent. */
#include "codec/protobuf.h"

#include <string.h>

#include <tern/error.h>

#include "codec/varint.h"

enum {
    TYPE_VARINT = 0,
    TYPE_FIXED64 = 1,
    TYPE_BYTES = 2,
    TYPE_FIXED32 = 5,
    VARINT_MAX = 10,          /* bytes; protobuf varints may be padded */
    FIELD_MAX = (1 << 29) - 1 /* greatest field number */
};

/* Reads a varint at r->at; false if it does not end in time or exceeds 64 bits. */
static bool read_varint(tern_pb *r, uint64_t *ret)
{
    uint64_t value = 0;
    for (unsigned i = 0; i < VARINT_MAX && r->at < r->end; i++) {
        uint8_t byte = *r->at++;
        if (i == VARINT_MAX - 1 && byte > 1) {
            return false;
        }
        value |= (uint64_t)(byte & 0x7f) << (7 * i);
        if ((byte & 0x80) == 0) {
            *ret = value;
            return true;
        }
    }
    return false;
}

/* Reads n bytes, least significant first. */
static bool read_fixed(tern_pb *r, size_t n, uint64_t *ret)
{
    if ((size_t)(r->end - r->at) < n) {
        return false;
    }
    uint64_t value = 0;
    for (size_t i = 0; i < n; i++) {
        value |= (uint64_t)r->at[i] << (8 * i);
    }
    r->at += n;
    *ret = value;
    return true;
}

static bool read_body(tern_pb *r)
{
    uint64_t n;
    if (!read_varint(r, &n) || n > (size_t)(r->end - r->at)) {
        return false;
    }
    r->body = (tern_span){r->at, (size_t)n};
    r->at += n;
    return true;
}

static bool read_field(tern_pb *r)
{
    uint64_t tag;
    if (!read_varint(r, &tag) || tag >> 3 == 0 || tag >> 3 > FIELD_MAX) {
        return false;
    }
    r->field = (uint32_t)(tag >> 3);
    r->type = (uint8_t)(tag & 7);
    r->value = 0;
    r->body = (tern_span){0};
    switch (r->type) {
    case TYPE_VARINT:
        return read_varint(r, &r->value);
    case TYPE_FIXED64:
        return read_fixed(r, 8, &r->value);
    case TYPE_BYTES:
        return read_body(r);
    case TYPE_FIXED32:
        return read_fixed(r, 4, &r->value);
    default:
        return false;
    }
}

tern_pb tern_pb_read(const uint8_t *data, size_t n)
{
    return (tern_pb){.at = data, .end = n > 0 ? data + n : data};
}

bool tern_pb_next(tern_pb *r)
{
    if (r->error || r->at == r->end) {
        return false;
    }
    r->error = !read_field(r);
    return !r->error;
}

bool tern_pb_bytes(tern_pb *r, tern_span *ret)
{
    if (r->error || r->type != TYPE_BYTES) {
        r->error = true;
        return false;
    }
    *ret = r->body;
    return true;
}

bool tern_pb_uint(tern_pb *r, uint64_t *ret)
{
    if (r->error || r->type == TYPE_BYTES) {
        r->error = true;
        return false;
    }
    *ret = r->value;
    return true;
}

/* Writing. */

/* Appends a head of one or two varints or fixed bytes and a body: both or nothing. */
static int put(tern_buf *b, const uint8_t *head, size_t head_n, const void *body, size_t n)
{
    size_t room = tern_buf_room(b);
    if (head_n > room || n > room - head_n) {
        return TERN_E_TOO_LARGE;
    }
    uint8_t *to = tern_buf_reserve(b, head_n + n);
    if (to == NULL) {
        return TERN_E_NOMEM;
    }
    memcpy(to, head, head_n);
    if (n > 0) {
        memcpy(to + head_n, body, n);
    }
    tern_buf_commit(b, head_n + n);
    return 0;
}

static size_t tag_put(uint8_t *p, uint32_t field, unsigned type)
{
    return tern_varint_put(p, (uint64_t)field << 3 | type);
}

int tern_pb_put_uint(tern_buf *b, uint32_t field, uint64_t value)
{
    uint8_t head[2 * VARINT_MAX];
    size_t n = tag_put(head, field, TYPE_VARINT);
    n += tern_varint_put(head + n, value);
    return put(b, head, n, NULL, 0);
}

int tern_pb_put_fixed64(tern_buf *b, uint32_t field, uint64_t value)
{
    uint8_t head[VARINT_MAX + 8];
    size_t n = tag_put(head, field, TYPE_FIXED64);
    tern_put64_le(head + n, value);
    return put(b, head, n + 8, NULL, 0);
}

int tern_pb_put_bytes(tern_buf *b, uint32_t field, const void *p, size_t n)
{
    uint8_t head[2 * VARINT_MAX];
    size_t head_n = tag_put(head, field, TYPE_BYTES);
    head_n += tern_varint_put(head + head_n, n);
    return put(b, head, head_n, p, n);
}

int tern_pb_put_string(tern_buf *b, uint32_t field, const char *s)
{
    return tern_pb_put_bytes(b, field, s, strlen(s));
}
