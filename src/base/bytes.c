/* Bytes: what is too long to be inline in bytes.h. */
#include "base/bytes.h"

#include <tern/error.h>

void tern_put64_le(uint8_t *p, uint64_t v)
{
    for (int i = 0; i < 8; i++) {
        p[i] = (uint8_t)(v >> (8 * i));
    }
}

uint64_t tern_get64_le(const uint8_t *p)
{
    uint64_t v = 0;
    for (int i = 7; i >= 0; i--) {
        v = v << 8 | p[i];
    }
    return v;
}

size_t tern_span_total(const tern_span *v, unsigned n)
{
    size_t total = 0;
    for (unsigned i = 0; i < n; i++) {
        total += v[i].len;
    }
    return total;
}

void tern_wipe(void *p, size_t n)
{
    if (n > 0) {
        memset(p, 0, n);
        /* The compiler must believe that somebody reads the zeros. */
        __asm__ __volatile__("" : : "r"(p) : "memory");
    }
}

bool tern_eq_ct(const void *a, const void *b, size_t n)
{
    const volatile uint8_t *x = a, *y = b;
    uint8_t differ = 0;
    for (size_t i = 0; i < n; i++) {
        differ = (uint8_t)(differ | (x[i] ^ y[i]));
    }
    return differ == 0;
}

void tern_hex(char *out, const uint8_t *p, size_t n)
{
    static const char digits[] = "0123456789abcdef";
    for (size_t i = 0; i < n; i++) {
        *out++ = digits[p[i] >> 4];
        *out++ = digits[p[i] & 15];
    }
    *out = '\0';
}

static int hex_digit(char c)
{
    if (c >= '0' && c <= '9') {
        return c - '0';
    }
    if (c >= 'a' && c <= 'f') {
        return c - 'a' + 10;
    }
    return c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
}

ssize_t tern_unhex(uint8_t *out, size_t cap, const char *hex, size_t n)
{
    if (n % 2 != 0) {
        return TERN_E_MALFORMED;
    }
    if (n / 2 > cap) {
        return TERN_E_TOO_LARGE;
    }
    for (size_t i = 0; i < n / 2; i++) {
        int high = hex_digit(hex[2 * i]), low = hex_digit(hex[2 * i + 1]);
        if (high < 0 || low < 0) {
            return TERN_E_MALFORMED;
        }
        out[i] = (uint8_t)(high << 4 | low);
    }
    return (ssize_t)(n / 2);
}
