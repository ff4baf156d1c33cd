/* CRC32C (Castagnoli; RFC 9260, appendix A): by the processor's instruction where it has one. */
#ifndef TERN_BASE_CRC32C_H
#define TERN_BASE_CRC32C_H

#include <stddef.h>
#include <stdint.h>

/* Of n bytes; the value as SCTP puts it into a packet, least significant byte first. */
uint32_t tern_crc32c(const void *p, size_t n);
/* The same without the instruction; for tests. */
uint32_t tern_crc32c_plain(const void *p, size_t n);

#endif
