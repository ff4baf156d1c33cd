/* The encrypted stream that a Noise handshake yields; noise.c makes it. */
#ifndef TERN_SECURE_NOISE_STREAM_H
#define TERN_SECURE_NOISE_STREAM_H

#include "core/stream.h"
#include "secure/noise_core.h"

enum {
    TERN_NOISE_SMALL = 8192,     /* plaintext collected for a common frame, at most */
    TERN_NOISE_EMPTY_MAX = 1000, /* empty frames in a row before the peer counts as flooding */
};

/* Wraps lower, whose events it takes: it owns lower from now on. Takes over the ciphers and the
 * contents of out (framed bytes that go first; left empty). NULL when memory is short: all stays
 * the caller's. */
tern_stream *tern_noise_stream_new(tern_stream *lower, tern_counters *counters,
                                   tern_noise_cipher *send, tern_noise_cipher *recv, tern_buf *out);

#endif
