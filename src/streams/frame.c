/* Length-prefixed messages (varint length, body) collected from a stream's bytes and written to
 * one. */
#include "streams/frame.h"

#include "base/error.h"
#include "codec/varint.h"

void tern_frame_init(tern_frame *f, size_t limit)
{
    f->limit = limit;
    f->given = false;
    tern_buf_init(&f->part, limit + TERN_VARINT_MAX);
}

void tern_frame_free(tern_frame *f)
{
    tern_buf_free(&f->part);
    f->given = false;
}

bool tern_frame_partial(const tern_frame *f)
{
    return !f->given && tern_buf_len(&f->part) > 0;
}

int tern_frame_feed(tern_frame *f, const uint8_t *data, size_t n, size_t *ret_used,
                    tern_span *ret_msg)
{
    *ret_used = 0;
    if (f->given) {
        tern_frame_free(f);
    }
    /* Byte by byte until the length is whole, then as much as the message still wants. */
    for (;;) {
        const uint8_t *part = tern_buf_data(&f->part);
        size_t have = tern_buf_len(&f->part);
        uint64_t len = 0;
        ssize_t prefix = have > 0 ? tern_varint_get(part, have, &len) : 0;
        if (prefix < 0) {
            return TERN_E_MALFORMED;
        }
        size_t want = 1;
        if (prefix > 0) {
            if (len > f->limit) {
                return TERN_E_TOO_LARGE;
            }
            size_t whole = (size_t)prefix + (size_t)len;
            if (have == whole) {
                *ret_msg = (tern_span){part + prefix, (size_t)len};
                f->given = true;
                return 1;
            }
            want = whole - have;
        }
        size_t left = n - *ret_used;
        if (left == 0) {
            return 0;
        }
        size_t take = want < left ? want : left;
        if (tern_buf_append(&f->part, data + *ret_used, take) != 0) {
            return TERN_E_NOMEM;
        }
        *ret_used += take;
    }
}

int tern_frame_write(tern_stream *s, const void *msg, size_t n)
{
    uint8_t prefix[TERN_VARINT_MAX];
    size_t len = tern_varint_put(prefix, n);
    if (tern_stream_room(s) < len + n) {
        return TERN_E_LIMIT;
    }
    tern_span v[2] = {{prefix, len}, {msg, n}};
    return tern_stream_writev(s, v, 2) == len + n ? 0 : TERN_E_NOMEM;
}
