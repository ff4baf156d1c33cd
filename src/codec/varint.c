/* Multiformats unsigned varints ("unsigned-varint" specification). Protobuf's are laxer and live in
 * protobuf.c. */
#include "codec/varint.h"

#include <tern/error.h>

ssize_t tern_varint_get(const uint8_t *p, size_t n, uint64_t *ret)
{
    uint64_t value = 0;
    for (size_t i = 0; i < n && i < TERN_VARINT_MAX; i++) {
        value |= (uint64_t)(p[i] & 0x7f) << (7 * i);
        if ((p[i] & 0x80) == 0) {
            if (p[i] == 0 && i > 0) {
                return TERN_E_MALFORMED; /* not minimal */
            }
            *ret = value;
            return (ssize_t)i + 1;
        }
    }
    return n < TERN_VARINT_MAX ? 0 : TERN_E_MALFORMED;
}

size_t tern_varint_put(uint8_t *p, uint64_t value)
{
    size_t n = 0;
    for (; value >= 0x80; value >>= 7) {
        p[n++] = (uint8_t)(value | 0x80);
    }
    p[n++] = (uint8_t)value;
    return n;
}

size_t tern_varint_len(uint64_t value)
{
    size_t n = 1;
    while (value >>= 7) {
        n++;
    }
    return n;
}
