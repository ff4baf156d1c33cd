/* A server's handshake against any bytes at any level: one byte says what kind of server it is,
 * then pieces of | level and length: 2 bytes | bytes |. Nobody gets through who has no key. */
#include <stdlib.h>

#include "base/mem.h"
#include "fuzz/tls_owner.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

enum { ASKS = 1, KNOWS_TICKET = 2, TAKES_EARLY = 4, SAYS_TICKETS = 8, NO_PARAMS = 16, SHA384 = 32 };

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    if (n == 0 || n > 80000) {
        return 0;
    }
    uint8_t kind = data[0];
    const tern_psk psk = {.cipher = kind & SHA384 ? TERN_AES_256_GCM : TERN_AES_128_GCM};
    tls_owner o = {.answer = {.ask = kind & ASKS,
                              .psk = kind & KNOWS_TICKET ? &psk : NULL,
                              .early = kind & TAKES_EARLY,
                              .tickets = kind & SAYS_TICKETS ? 1 : -1}};
    const tern_handshake_config config = {.server = true,
                                          .params = kind & NO_PARAMS ? 0 : TLS_OWNER_PARAMS};
    tls_owner_fix();
    tls_owner_begin(&o, &config);
    for (size_t at = 1, piece; at + 2 <= n; at += piece) {
        uint16_t head = tern_get16(data + at);
        at += 2;
        piece = head & 0x3fff;
        piece = piece < n - at ? piece : n - at;
        tls_owner_feed(&o, (tern_level)(head >> 14), data + at, piece);
    }
    if (o.done) {
        abort();
    }
    tls_owner_end(&o);
    tls_owner_check_memory();
    return 0;
}
