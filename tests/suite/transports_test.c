/* The transport contract over every transport but circuits, which need a third one. */
#include "base/test.h"
#include "quic/quic.h"
#include "suite/transports.h"
#include "transport/tcp.h"
#include "transport/ws.h"
#include "webrtc/direct.h"
#include "webtransport/webtransport.h"

int main(void)
{
    const tern_transport_subject subjects[] = {
        {&tern_tcp_transport, .suffix = "", .opening = "\x13/m", .round_trips = 1,
         .half_close = true},
        {&tern_ws_transport, .suffix = "/ws", .opening = "", .round_trips = 2},
        {&tern_wss_transport, .suffix = "/tls/ws", .opening = "", .round_trips = 3, .web = true},
        {&tern_quic_transport, .suffix = "/quic-v1", .opening = "!", .round_trips = 1,
         .half_close = true},
        {&tern_webtransport_transport, .suffix = "/quic-v1/webtransport", .opening = "!",
         .round_trips = 2, .half_close = true, .hashed = true},
        {&tern_webrtc_direct, .suffix = "/webrtc-direct", .opening = "!", .round_trips = 5,
         .half_close = true, .hashed = true},
    };
    int failed = 0;
    for (size_t i = 0; i < sizeof subjects / sizeof *subjects; i++) {
        failed += tern_suite_transports(&subjects[i]);
    }
    return failed + (tern_mem_alive() == 0 ? 0 : tern_test_leak());
}
