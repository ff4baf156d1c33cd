/* Multibase: two families of bases.
 *
 * Base16, 32 and 64 cut the bytes into groups of 4, 5 or 6 bits (RFC 4648). Base36 and base58 write
 * one big number, with a leading zero digit for each leading zero byte; that takes quadratic time,
 * so their input is bounded. Decoding is strict: left-over bits must be zero and padding must be
 * exact. */
#include "codec/multibase.h"

#include <stdbool.h>
#include <string.h>

#include <tern/error.h>

enum { RADIX_MAX = 256 }; /* most characters or bytes of a base that is one big number */

typedef struct base {
    char prefix;
    uint8_t bits; /* of a digit; 0 = one big number */
    bool padded;
    bool any_case; /* digits of either case are taken */
    const char *digits;
} base;

#define LOWER  "abcdefghijklmnopqrstuvwxyz"
#define UPPER  "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
#define DIGITS "0123456789"

static const base bases[] = {
    {'f', 4, false, true, DIGITS "abcdef"},
    {'F', 4, false, true, DIGITS "ABCDEF"},
    {'b', 5, false, true, LOWER "234567"},
    {'B', 5, false, true, UPPER "234567"},
    {'k', 0, false, true, DIGITS LOWER},
    {'K', 0, false, true, DIGITS UPPER},
    {'z', 0, false, false, "123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz"},
    {'m', 6, false, false, UPPER LOWER DIGITS "+/"},
    {'M', 6, true, false, UPPER LOWER DIGITS "+/"},
    {'u', 6, false, false, UPPER LOWER DIGITS "-_"},
    {'U', 6, true, false, UPPER LOWER DIGITS "-_"},
};

static const base *find_base(char prefix)
{
    for (size_t i = 0; i < sizeof bases / sizeof bases[0]; i++) {
        if (bases[i].prefix == prefix) {
            return &bases[i];
        }
    }
    return NULL;
}

/* The value of a character, or -1. */
static int digit_of(const base *b, char c)
{
    if (b->any_case && c >= 'A' && c <= 'Z' && b->prefix >= 'a') {
        c = (char)(c + ('a' - 'A'));
    } else if (b->any_case && c >= 'a' && c <= 'z' && b->prefix < 'a') {
        c = (char)(c - ('a' - 'A'));
    }
    const char *at = c != '\0' ? strchr(b->digits, c) : NULL;
    return at != NULL ? (int)(at - b->digits) : -1;
}

/* Groups of bits. */

static ssize_t encode_bits(const base *b, const uint8_t *p, size_t n, char *out, size_t cap)
{
    if (n > SIZE_MAX / 16) {
        return TERN_E_TOO_LARGE;
    }
    size_t len = b->padded ? (n + 2) / 3 * 4 : (n * 8 + b->bits - 1) / b->bits;
    if (len >= cap) {
        return TERN_E_TOO_LARGE;
    }
    unsigned held = 0, bits = 0;
    size_t at = 0;
    for (size_t i = 0; i < n; i++) {
        held = held << 8 | p[i];
        bits += 8;
        while (bits >= b->bits) {
            bits -= b->bits;
            out[at++] = b->digits[held >> bits & ((1U << b->bits) - 1)];
        }
        held &= (1U << bits) - 1;
    }
    if (bits > 0) {
        out[at++] = b->digits[held << (b->bits - bits)];
    }
    while (at < len) {
        out[at++] = '=';
    }
    out[at] = '\0';
    return (ssize_t)at;
}

static ssize_t decode_bits(const base *b, const char *text, size_t n, uint8_t *out, size_t cap)
{
    if (b->padded) {
        if (n % 4 != 0) {
            return TERN_E_MALFORMED;
        }
        for (int i = 0; i < 2 && n > 0 && text[n - 1] == '='; i++) {
            n--;
        }
    }
    if (n / 8 * b->bits > cap) {
        return TERN_E_TOO_LARGE;
    }
    unsigned held = 0, bits = 0;
    size_t at = 0;
    for (size_t i = 0; i < n; i++) {
        int digit = digit_of(b, text[i]);
        if (digit < 0) {
            return TERN_E_MALFORMED;
        }
        held = held << b->bits | (unsigned)digit;
        bits += b->bits;
        if (bits >= 8) {
            bits -= 8;
            if (at == cap) {
                return TERN_E_TOO_LARGE;
            }
            out[at++] = (uint8_t)(held >> bits);
            held &= (1U << bits) - 1;
        }
    }
    /* A whole digit too many, or bits that no encoder sets. */
    return bits >= b->bits || held != 0 ? TERN_E_MALFORMED : (ssize_t)at;
}

/* One big number. */

/* Converts n digits of radix `from` at p (most significant first) to radix `to`; out gets its
 * digits, least significant first. Returns how many, which is at most `cap`, or TERN_E_TOO_LARGE.
 */
static ssize_t convert(const uint8_t *p, size_t n, unsigned from, unsigned to, uint8_t *out,
                       size_t cap)
{
    size_t len = 0;
    for (size_t i = 0; i < n; i++) {
        unsigned carry = p[i];
        for (size_t k = 0; k < len; k++) {
            carry += out[k] * from;
            out[k] = (uint8_t)(carry % to);
            carry /= to;
        }
        for (; carry > 0; carry /= to) {
            if (len == cap) {
                return TERN_E_TOO_LARGE;
            }
            out[len++] = (uint8_t)(carry % to);
        }
    }
    return (ssize_t)len;
}

static ssize_t encode_radix(const base *b, const uint8_t *p, size_t n, char *out, size_t cap)
{
    uint8_t digits[2 * RADIX_MAX];
    if (n > RADIX_MAX) {
        return TERN_E_TOO_LARGE;
    }
    size_t zeros = 0;
    while (zeros < n && p[zeros] == 0) {
        zeros++;
    }
    ssize_t len =
        convert(p + zeros, n - zeros, 256, (unsigned)strlen(b->digits), digits, sizeof digits);
    if (len < 0 || zeros + (size_t)len >= cap) {
        return TERN_E_TOO_LARGE;
    }
    memset(out, b->digits[0], zeros);
    for (size_t i = 0; i < (size_t)len; i++) {
        out[zeros + i] = b->digits[digits[(size_t)len - 1 - i]];
    }
    out[zeros + (size_t)len] = '\0';
    return (ssize_t)zeros + len;
}

static ssize_t decode_radix(const base *b, const char *text, size_t n, uint8_t *out, size_t cap)
{
    uint8_t digits[RADIX_MAX], bytes[RADIX_MAX];
    if (n > RADIX_MAX) {
        return TERN_E_TOO_LARGE;
    }
    for (size_t i = 0; i < n; i++) {
        int digit = digit_of(b, text[i]);
        if (digit < 0) {
            return TERN_E_MALFORMED;
        }
        digits[i] = (uint8_t)digit;
    }
    size_t zeros = 0;
    while (zeros < n && digits[zeros] == 0) {
        zeros++;
    }
    ssize_t len =
        convert(digits + zeros, n - zeros, (unsigned)strlen(b->digits), 256, bytes, sizeof bytes);
    if (len < 0 || zeros + (size_t)len > cap) {
        return TERN_E_TOO_LARGE;
    }
    memset(out, 0, zeros);
    for (size_t i = 0; i < (size_t)len; i++) {
        out[zeros + i] = bytes[(size_t)len - 1 - i];
    }
    return (ssize_t)zeros + len;
}

ssize_t tern_base_encode(char prefix, const uint8_t *p, size_t n, char *out, size_t cap)
{
    const base *b = find_base(prefix);
    if (b == NULL) {
        return TERN_E_UNSUPPORTED;
    }
    return b->bits != 0 ? encode_bits(b, p, n, out, cap) : encode_radix(b, p, n, out, cap);
}

ssize_t tern_base_decode(char prefix, const char *text, size_t n, uint8_t *out, size_t cap)
{
    const base *b = find_base(prefix);
    if (b == NULL) {
        return TERN_E_UNSUPPORTED;
    }
    return b->bits != 0 ? decode_bits(b, text, n, out, cap) : decode_radix(b, text, n, out, cap);
}

ssize_t tern_multibase_encode(char prefix, const uint8_t *p, size_t n, char *out, size_t cap)
{
    if (cap < 2) {
        return TERN_E_TOO_LARGE;
    }
    ssize_t len = tern_base_encode(prefix, p, n, out + 1, cap - 1);
    if (len < 0) {
        return len;
    }
    out[0] = prefix;
    return len + 1;
}

ssize_t tern_multibase_decode(const char *text, size_t n, uint8_t *out, size_t cap)
{
    return n == 0 ? TERN_E_MALFORMED : tern_base_decode(text[0], text + 1, n - 1, out, cap);
}
