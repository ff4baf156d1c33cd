/* A byte stream in WebSocket messages over a lower stream, after the handshake. */
#ifndef TERN_TRANSPORT_WS_STREAM_H
#define TERN_TRANSPORT_WS_STREAM_H

#include "core/counters.h"
#include "core/stream.h"

/* Takes `lower` over; what it keeps already belongs to the stream. client: whether we dialled.
 * NULL when memory is short: lower is the caller's still.
 *
 * WebSocket has no half close. Our end sends Close 1000; the peer's data is still taken until its
 * own Close, or its TCP end, comes, for 10 s at most (TERN_E_TIMEOUT). The peer's Close (1000, 1001
 * or none) is its end; it is answered when our owner ends, and after two seconds at the latest:
 * what is written then goes nowhere and fails the stream with TERN_E_CONN_CLOSED. Other codes fail
 * it with TERN_E_RESET and the code, frames that break the rules with TERN_E_MALFORMED,
 * TERN_E_PROTOCOL or TERN_E_TOO_LARGE, a TCP end without Close with TERN_E_EOF. */
tern_stream *tern_ws_stream_new(tern_stream *lower, bool client, tern_counters *counters);

#endif
