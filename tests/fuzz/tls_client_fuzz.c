/* A client's handshake against any bytes at any level: one byte says what kind of client it is,
 * then pieces of | level and length: 2 bytes | bytes |. */
#include <stdlib.h>

#include "base/mem.h"
#include "fuzz/tls_owner.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

enum { TICKET = 1, EARLY = 2, ASKS = 4, NO_CERT = 8, NO_PARAMS = 16, SHA384 = 32, GUESSED = 64 };

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    static const tern_span name = {(const uint8_t *)"libp2p", 6};
    if (n == 0 || n > 80000) {
        return 0;
    }
    uint8_t kind = data[0];
    const tern_ticket ticket = {
        .psk.cipher = kind & SHA384 ? TERN_AES_256_GCM : TERN_AES_128_GCM,
        .early = true,
        .bytes = name,
    };
    /* one that guessed a group which is none makes all requests for another hello possible */
    tls_owner o = {.share = kind & GUESSED ? 0x1a1a : 0};
    tls_owner_fix();
    const tern_handshake_config config = {
        .params = kind & NO_PARAMS ? 0 : TLS_OWNER_PARAMS,
        .cert = kind & NO_CERT ? NULL : tls_owner_cert(),
        .alpn = {name},
        .ticket = kind & TICKET ? &ticket : NULL,
        .early = kind & EARLY,
        .asks = kind & ASKS,
        .ask_fresh = 2,
        .ask_again = 1,
    };
    tls_owner_begin(&o, &config);
    if (o.error != 0) {
        abort();
    }
    for (size_t at = 1, piece; at + 2 <= n; at += piece) {
        uint16_t head = tern_get16(data + at);
        at += 2;
        piece = head & 0x3fff;
        piece = piece < n - at ? piece : n - at;
        tls_owner_feed(&o, (tern_level)(head >> 14), data + at, piece);
    }
    tls_owner_end(&o);
    tls_owner_check_memory();
    return 0;
}
