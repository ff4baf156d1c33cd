/* The transport contract over every transport that yields streams. */
#include "base/test.h"
#include "suite/transports.h"
#include "transport/tcp.h"
#include "transport/ws.h"

int main(void)
{
    const tern_transport_subject subjects[] = {
        {&tern_tcp_transport, .suffix = "", .opening = "\x13/m", .round_trips = 1,
         .half_close = true},
        {&tern_ws_transport, .suffix = "/ws", .opening = "", .round_trips = 2},
        {&tern_wss_transport, .suffix = "/tls/ws", .opening = "", .round_trips = 3, .web = true},
    };
    int failed = 0;
    for (size_t i = 0; i < sizeof subjects / sizeof *subjects; i++) {
        failed += tern_suite_transports(&subjects[i]);
    }
    return failed + (tern_mem_alive() == 0 ? 0 : tern_test_leak());
}
