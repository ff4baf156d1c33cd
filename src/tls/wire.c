/* TLS' presentation language: see wire.h. */
#include "tls/wire.h"

bool tls_take(tern_span *from, size_t n, tern_span *ret)
{
    if (from->len < n) {
        return false;
    }
    *ret = (tern_span){from->data, n};
    *from = (tern_span){from->data + n, from->len - n};
    return true;
}

static bool take_number(tern_span *from, unsigned size, uint32_t *ret)
{
    tern_span v;
    if (!tls_take(from, size, &v)) {
        return false;
    }
    *ret = 0;
    for (unsigned i = 0; i < size; i++) {
        *ret = *ret << 8 | v.data[i];
    }
    return true;
}

bool tls_take8(tern_span *from, uint8_t *ret)
{
    uint32_t v;
    bool ok = take_number(from, 1, &v);
    *ret = ok ? (uint8_t)v : 0;
    return ok;
}

bool tls_take16(tern_span *from, uint16_t *ret)
{
    uint32_t v;
    bool ok = take_number(from, 2, &v);
    *ret = ok ? (uint16_t)v : 0;
    return ok;
}

bool tls_take32(tern_span *from, uint32_t *ret)
{
    return take_number(from, 4, ret);
}

bool tls_take_vector(tern_span *from, unsigned size, tern_span *ret)
{
    tern_span rest = *from;
    uint32_t n;
    if (!take_number(&rest, size, &n) || !tls_take(&rest, n, ret)) {
        return false;
    }
    *from = rest;
    return true;
}

bool tls_take_extension(tern_span *from, uint16_t *ret_type, tern_span *ret)
{
    tern_span rest = *from;
    if (!tls_take16(&rest, ret_type) || !tls_take_vector(&rest, 2, ret)) {
        return false;
    }
    *from = rest;
    return true;
}

bool tls_has16(tern_span list, uint16_t value)
{
    uint16_t v;
    while (tls_take16(&list, &v)) {
        if (v == value) {
            return true;
        }
    }
    return false;
}

void tls_put(tls_out *o, const void *p, size_t n)
{
    if (n > 0 && !o->failed && tern_buf_append(&o->buf, p, n) != 0) {
        o->failed = true;
    }
}

void tls_put8(tls_out *o, uint8_t v)
{
    tls_put(o, &v, 1);
}

void tls_put16(tls_out *o, uint16_t v)
{
    uint8_t p[2];
    tern_put16(p, v);
    tls_put(o, p, sizeof p);
}

void tls_put32(tls_out *o, uint32_t v)
{
    uint8_t p[4];
    tern_put32(p, v);
    tls_put(o, p, sizeof p);
}

size_t tls_open(tls_out *o, unsigned size)
{
    static const uint8_t none[3];
    size_t at = tern_buf_len(&o->buf);
    tls_put(o, none, size);
    return at;
}

void tls_close(tls_out *o, size_t at, unsigned size)
{
    if (o->failed) {
        return;
    }
    uint8_t *p = tern_buf_data(&o->buf) + at;
    size_t n = tern_buf_len(&o->buf) - at - size;
    for (unsigned i = size; i > 0; i--) {
        p[i - 1] = (uint8_t)n;
        n >>= 8;
    }
    o->failed = n != 0;
}

size_t tls_open_extension(tls_out *o, uint16_t type)
{
    tls_put16(o, type);
    return tls_open(o, 2);
}

size_t tls_open_message(tls_out *o, uint8_t type)
{
    tls_put8(o, type);
    return tls_open(o, 3);
}
