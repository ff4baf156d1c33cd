/* Bytes: spans, big- and little-endian loads and stores, hex, wiping and constant-time comparison.
 */
#ifndef TERN_BASE_BYTES_H
#define TERN_BASE_BYTES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/types.h>

#include <tern/stream.h> /* tern_span */

static inline uint16_t tern_get16(const uint8_t *p)
{
    return (uint16_t)((uint16_t)p[0] << 8 | p[1]);
}

static inline uint32_t tern_get32(const uint8_t *p)
{
    return (uint32_t)p[0] << 24 | (uint32_t)p[1] << 16 | (uint32_t)p[2] << 8 | p[3];
}

static inline uint64_t tern_get64(const uint8_t *p)
{
    return (uint64_t)tern_get32(p) << 32 | tern_get32(p + 4);
}

static inline void tern_put16(uint8_t *p, uint16_t v)
{
    p[0] = (uint8_t)(v >> 8);
    p[1] = (uint8_t)v;
}

static inline void tern_put32(uint8_t *p, uint32_t v)
{
    tern_put16(p, (uint16_t)(v >> 16));
    tern_put16(p + 2, (uint16_t)v);
}

static inline void tern_put64(uint8_t *p, uint64_t v)
{
    tern_put32(p, (uint32_t)(v >> 32));
    tern_put32(p + 4, (uint32_t)v);
}

/* Little-endian 64 bits (Noise nonces). */
void tern_put64_le(uint8_t *p, uint64_t v);
uint64_t tern_get64_le(const uint8_t *p);

/* The bytes of all spans together. */
size_t tern_span_total(const tern_span *v, unsigned n);

/* Overwrites secrets in a way the compiler keeps. */
void tern_wipe(void *p, size_t n);

/* Constant-time equality. */
bool tern_eq_ct(const void *a, const void *b, size_t n);

/* Hex: `out` has room for 2 * n + 1. Lower case. */
void tern_hex(char *out, const uint8_t *p, size_t n);
/* Decodes hex of either case into out (capacity cap). Returns the bytes written, or
 * TERN_E_MALFORMED (odd length, a wrong digit) or TERN_E_TOO_LARGE. */
ssize_t tern_unhex(uint8_t *out, size_t cap, const char *hex, size_t n);

#endif
