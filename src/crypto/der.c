/* DER elements, one after the other: see crypto/der.h.
 *
 *     tag (1) | length: 00..7f, 81 LL or 82 LL LL | content */
#include "crypto/der.h"

bool tern_der_take(tern_span *in, uint8_t tag, tern_span *ret_body)
{
    const uint8_t *p = in->data;
    size_t head = 2;
    if (in->len < head || p[0] != tag) {
        return false;
    }
    size_t body = p[1];
    if (body >= 0x80) {
        /* Two length bytes reach past the largest key; 0x80 is the indefinite form. */
        size_t more = body - 0x80;
        if (more < 1 || more > 2 || in->len < head + more) {
            return false;
        }
        body = more == 1 ? p[2] : tern_get16(p + 2);
        if (body < (more == 1 ? 0x80u : 0x100u)) {
            return false; /* not minimal */
        }
        head += more;
    }
    if (body > in->len - head) {
        return false;
    }
    *ret_body = (tern_span){p + head, body};
    *in = (tern_span){p + head + body, in->len - head - body};
    return true;
}

bool tern_der_take_whole(tern_span *in, uint8_t tag, tern_span *ret_whole)
{
    const uint8_t *start = in->data;
    tern_span body;
    if (!tern_der_take(in, tag, &body)) {
        return false;
    }
    *ret_whole = (tern_span){start, (size_t)(body.data + body.len - start)};
    return true;
}

bool tern_der_take_bits(tern_span *in, tern_span *ret)
{
    if (!tern_der_take(in, TERN_DER_BIT_STRING, ret) || ret->len < 1 || ret->data[0] != 0) {
        return false;
    }
    *ret = (tern_span){ret->data + 1, ret->len - 1};
    return true;
}

bool tern_der_take_uint(tern_span *in, tern_span *ret)
{
    tern_span rest = *in, n;
    if (!tern_der_take(&rest, TERN_DER_INTEGER, &n) || n.len == 0 || (n.data[0] & 0x80) != 0) {
        return false;
    }
    if (n.data[0] == 0) {
        n = (tern_span){n.data + 1, n.len - 1};
        if (n.len > 0 && (n.data[0] & 0x80) == 0) {
            return false; /* a zero byte that the sign does not need */
        }
    }
    *ret = n;
    *in = rest;
    return true;
}

size_t tern_der_bits(tern_span magnitude)
{
    size_t bits = 0;
    if (magnitude.len > 0) {
        for (unsigned top = magnitude.data[0]; top != 0; top >>= 1) {
            bits++;
        }
        bits += (magnitude.len - 1) * 8;
    }
    return bits;
}

size_t tern_der_put_head(uint8_t *out, uint8_t tag, size_t n)
{
    out[0] = tag;
    if (n < 0x80) {
        out[1] = (uint8_t)n;
        return 2;
    }
    if (n < 0x100) {
        out[1] = 0x81;
        out[2] = (uint8_t)n;
        return 3;
    }
    out[1] = 0x82;
    tern_put16(out + 2, (uint16_t)n);
    return 4;
}
