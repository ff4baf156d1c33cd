/* XSalsa20: the stream cipher of libp2p's private networks (libp2p specs, pnet). It hides, and
 * proves nothing. */
#ifndef TERN_CRYPTO_XSALSA20_H
#define TERN_CRYPTO_XSALSA20_H

#include <stddef.h>
#include <stdint.h>

enum { TERN_XSALSA20_KEY = 32, TERN_XSALSA20_NONCE = 24, TERN_XSALSA20_BLOCK = 64 };

/* One direction's key stream, and how far it has been used. */
typedef struct tern_xsalsa20 {
    uint8_t key[32], nonce[8]; /* of Salsa20, derived from the key and the nonce's first 16 bytes */
    uint64_t at;               /* bytes used */
    uint8_t block[TERN_XSALSA20_BLOCK]; /* the block of `at`, while it is used in part */
} tern_xsalsa20;

/* 0, or TERN_E_CRYPTO when libsodium cannot be readied. */
int tern_xsalsa20_init(tern_xsalsa20 *c, const uint8_t key[TERN_XSALSA20_KEY],
                       const uint8_t nonce[TERN_XSALSA20_NONCE]);
/* Encrypts or decrypts the next n bytes; out may be in. */
void tern_xsalsa20_xor(tern_xsalsa20 *c, uint8_t *out, const uint8_t *in, size_t n);
void tern_xsalsa20_clear(tern_xsalsa20 *c); /* wipes it */

#endif
