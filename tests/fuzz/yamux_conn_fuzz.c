/* The whole yamux conn, against any peer and any owner: see mux_conn.h. */
#include "fuzz/mux_conn.h"
#include "mux/yamux.h"
#include "mux/yamux_core.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

/* A frame that makes sense more often than not, with its body. */
static void frame(const uint8_t p[4])
{
    static const uint8_t zeros[256];
    uint8_t h[TERN_YAMUX_HEADER];
    unsigned type = p[0] & 3;
    uint32_t length = type == TERN_YAMUX_DATA ? p[3] : (uint32_t)p[3] << (p[0] >> 4);
    tern_yamux_header(h, type, p[1] & 15, p[2] & 63, length);
    fuzz_mux_say(h, sizeof h);
    if (type == TERN_YAMUX_DATA) {
        fuzz_mux_say(zeros, length);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    return fuzz_mux_conn(&tern_yamux, frame, data, n);
}
