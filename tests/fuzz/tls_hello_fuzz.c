/* ClientHellos: what is found lies within the message. */
#include <stdlib.h>

#include "tls/hello.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

static void inside(const uint8_t *data, size_t n, tern_span v)
{
    if (v.data != NULL && (v.data < data || v.data + v.len > data + n)) {
        abort();
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    static const tern_span libp2p = {(const uint8_t *)"libp2p", 6};
    tern_hello h;
    if (tern_hello_read((tern_span){data, n}, 57, &h) != 0) {
        return 0;
    }
    const tern_span found[] = {h.session_id, h.ciphers, h.compression, h.groups, h.shares,
                               h.schemes,    h.alpn,    h.params,      h.ticket, h.binder};
    for (size_t i = 0; i < sizeof found / sizeof *found; i++) {
        inside(data, n, found[i]);
    }
    if (h.unbound > n || (tern_hello_offers_only(&h, libp2p) && !tern_hello_offers(&h, libp2p))) {
        abort();
    }
    return 0;
}
