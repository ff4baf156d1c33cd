/* XSalsa20 in pieces of any length: see xsalsa20.h. libsodium has the cipher by whole blocks; the
 * block in which a piece ends is kept, as key stream, for the next one.
 *
 *     key, nonce[0..16) -> HSalsa20 -> key of Salsa20;   nonce[16..24) -> its nonce */
#include "crypto/xsalsa20.h"

#include <tern/error.h>

#include "base/bytes.h"
#include "crypto/sodium.h"

int tern_xsalsa20_init(tern_xsalsa20 *c, const uint8_t key[TERN_XSALSA20_KEY],
                       const uint8_t nonce[TERN_XSALSA20_NONCE])
{
    memset(c, 0, sizeof *c);
    if (!tern_sodium_ready() || crypto_core_hsalsa20(c->key, nonce, key, NULL) != 0) {
        return TERN_E_CRYPTO;
    }
    memcpy(c->nonce, nonce + crypto_core_hsalsa20_INPUTBYTES, sizeof c->nonce);
    return 0;
}

/* Uses the kept block from `from` on. */
static void xor_block(tern_xsalsa20 *c, size_t from, uint8_t *out, const uint8_t *in, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        out[i] = in[i] ^ c->block[from + i];
    }
    c->at += n;
}

void tern_xsalsa20_xor(tern_xsalsa20 *c, uint8_t *out, const uint8_t *in, size_t n)
{
    static const uint8_t zero[TERN_XSALSA20_BLOCK];
    size_t from = c->at % TERN_XSALSA20_BLOCK;
    size_t left = from > 0 ? TERN_XSALSA20_BLOCK - from : 0;
    size_t k = n < left ? n : left;
    xor_block(c, from, out, in, k);
    size_t whole = (n - k) - (n - k) % TERN_XSALSA20_BLOCK;
    if (whole > 0) {
        crypto_stream_salsa20_xor_ic(out + k, in + k, whole, c->nonce, c->at / TERN_XSALSA20_BLOCK,
                                     c->key);
        c->at += whole;
        k += whole;
    }
    if (k < n) { /* a block is begun */
        crypto_stream_salsa20_xor_ic(c->block, zero, sizeof zero, c->nonce,
                                     c->at / TERN_XSALSA20_BLOCK, c->key);
        xor_block(c, 0, out + k, in + k, n - k);
    }
}

void tern_xsalsa20_clear(tern_xsalsa20 *c)
{
    tern_wipe(c, sizeof *c);
}
