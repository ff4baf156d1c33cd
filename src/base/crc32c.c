/* CRC32C: see crc32c.h. The table serves processors without the instruction. */
#include "base/crc32c.h"

#include <string.h>

#if defined(__x86_64__)
#include <nmmintrin.h>
#endif

uint32_t tern_crc32c_plain(const void *p, size_t n)
{
    /* Polynomial 0x82f63b78 (reflected). Sixteen entries, half a byte a step: made on the spot. */
    uint32_t half[16];
    for (uint32_t i = 0; i < 16; i++) {
        uint32_t crc = i;
        for (int bit = 0; bit < 4; bit++) {
            crc = (crc >> 1) ^ (UINT32_C(0x82f63b78) & (0 - (crc & 1)));
        }
        half[i] = crc;
    }
    const uint8_t *b = p;
    uint32_t crc = UINT32_MAX;
    for (size_t i = 0; i < n; i++) {
        crc ^= b[i];
        crc = (crc >> 4) ^ half[crc & 15];
        crc = (crc >> 4) ^ half[crc & 15];
    }
    return ~crc;
}

#if defined(__x86_64__)
__attribute__((target("sse4.2"))) static uint32_t by_instruction(const uint8_t *b, size_t n)
{
    uint64_t crc = UINT32_MAX;
    for (; n >= 8; b += 8, n -= 8) {
        uint64_t word;
        memcpy(&word, b, sizeof word);
        crc = _mm_crc32_u64(crc, word);
    }
    uint32_t rest = (uint32_t)crc;
    for (; n > 0; b++, n--) {
        rest = _mm_crc32_u8(rest, *b);
    }
    return ~rest;
}

uint32_t tern_crc32c(const void *p, size_t n)
{
    return __builtin_cpu_supports("sse4.2") ? by_instruction(p, n) : tern_crc32c_plain(p, n);
}
#else
uint32_t tern_crc32c(const void *p, size_t n)
{
    return tern_crc32c_plain(p, n);
}
#endif
