/* Multiformats unsigned varints: seven bits a byte, least significant first, at most 9 bytes,
 * minimal. */
#ifndef TERN_CODEC_VARINT_H
#define TERN_CODEC_VARINT_H

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

enum { TERN_VARINT_MAX = 9 };

/* Reads one from p[0..n). Returns its length in bytes, 0 if more bytes are needed, or
 * TERN_E_MALFORMED (not minimal, longer than 9 bytes). */
ssize_t tern_varint_get(const uint8_t *p, size_t n, uint64_t *ret);
/* Writes one to p, which has room for TERN_VARINT_MAX, or for 10 bytes if value may be 2^63 or more
 * (only protobuf has such); returns its length. */
size_t tern_varint_put(uint8_t *p, uint64_t value);
size_t tern_varint_len(uint64_t value);

#endif
