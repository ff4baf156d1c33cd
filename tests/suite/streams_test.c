/* The stream contract over every kind of stream that there is. */
#include "base/test.h"
#include "suite/streams.h"

static const tern_stream_maker *const makers[] = {
    &tern_stream_maker_memory,      &tern_stream_maker_memory_bytes, &tern_stream_maker_noise,
    &tern_stream_maker_noise_bytes, &tern_stream_maker_tls,          &tern_stream_maker_tls_bytes,
    &tern_stream_maker_tcp,         &tern_stream_maker_ws,           &tern_stream_maker_ws_bytes,
    &tern_stream_maker_ws_tcp,      &tern_stream_maker_psk,          &tern_stream_maker_psk_bytes,
    &tern_stream_maker_psk_tcp,
};

int main(void)
{
    int failed = 0;
    for (size_t i = 0; i < sizeof makers / sizeof *makers; i++) {
        failed += tern_suite_streams(makers[i]);
    }
    return failed + (tern_mem_alive() == 0 ? 0 : tern_test_leak());
}
