/* Multibase: binary in text with a prefix that names the base. Base16 (f, F), base32 (b, B), base36
 * (k, K), base58btc (z), base64 (m), base64url (u), base64 padded (M), base64url padded (U). */
#ifndef TERN_CODEC_MULTIBASE_H
#define TERN_CODEC_MULTIBASE_H

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

/* Encodes with a prefix ('f','b','k','z','m','u'); out gets a NUL. Returns the text's length, or
 * TERN_E_TOO_LARGE (cap), TERN_E_UNSUPPORTED (prefix). */
ssize_t tern_multibase_encode(char prefix, const uint8_t *p, size_t n, char *out, size_t cap);
/* Decodes text of n characters with its prefix. Returns the bytes written, or TERN_E_MALFORMED,
 * TERN_E_UNSUPPORTED (unknown prefix), TERN_E_TOO_LARGE. */
ssize_t tern_multibase_decode(const char *text, size_t n, uint8_t *out, size_t cap);

/* The same without a prefix in the text; base58 input is at most 256 characters. */
ssize_t tern_base_encode(char prefix, const uint8_t *p, size_t n, char *out, size_t cap);
ssize_t tern_base_decode(char prefix, const char *text, size_t n, uint8_t *out, size_t cap);

#endif
