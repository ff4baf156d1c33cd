/* The encrypted stream that a TLS handshake yields; tls_handshake.c makes it.
 */
#ifndef TERN_SECURE_TLS_STREAM_H
#define TERN_SECURE_TLS_STREAM_H

#include "core/counters.h"
#include "core/stream.h"
#include "crypto/tls_engine.h"

enum {
    TERN_TLS_SMALL = 8192,     /* plaintext collected for a common record, at most */
    TERN_TLS_QUIET_MAX = 1000, /* records without data in a row before the peer
                                  counts as flooding */
};

/* Wraps lower, whose events it takes: it owns lower from now on. Takes over the
 * engine, whose handshake is done, and the contents of out (bytes that go
 * first; left empty). NULL when memory is short: all stays the caller's. */
tern_stream *tern_tls_stream_new(tern_stream *lower, tern_counters *counters,
                                 tern_tls_engine *engine, tern_buf *out);

#endif
