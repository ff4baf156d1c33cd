/* The whole mplex conn, against any peer and any owner: see mux_conn.h. */
#include "fuzz/mux_conn.h"
#include "mux/mplex.h"
#include "mux/mplex_core.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

/* A frame that makes sense more often than not, with its body. */
static void frame(const uint8_t p[4])
{
    static const uint8_t zeros[255 << 12];
    uint8_t h[2 * TERN_VARINT_MAX];
    uint32_t length = p[0] % 4 == 0 ? (uint32_t)p[2] << 12 : p[3];
    size_t n = tern_varint_put(h, (uint64_t)(p[1] & 63) << 3 | p[0] >> 5);
    n += tern_varint_put(h + n, length);
    fuzz_mux_say(h, n);
    fuzz_mux_say(zeros, length);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    return fuzz_mux_conn(&tern_mplex, frame, data, n);
}
