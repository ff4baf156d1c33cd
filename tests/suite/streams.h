/* The conformance suite of the stream contract (tern/stream.h, core/stream.h) runs over makers of
 * connected pairs. A new kind of stream is one maker and one line in the list of streams_test.c. */
#ifndef TERN_TESTS_STREAMS_H
#define TERN_TESTS_STREAMS_H

#include "core/stream.h"
#include "loop/sim.h"
#include "suite/rows.h"

typedef struct tern_stream_maker {
    const char *name;
    /* Makes a pair on `loop`, a host of `sim` (which it may run until the pair is ready). Returns
     * what finish needs; never NULL. Fails the test on any error. */
    void *(*make)(tern_sim *sim, tern_loop *loop, tern_stream **ret_a, tern_stream **ret_b);
    /* After both streams are gone: closes what is around them; the sim runs once more after it. */
    void (*finish)(void *world);
    size_t bulk;     /* bytes for the bulk tests; 0 = 1 MiB */
    bool wire_codes; /* a reset's code reaches the peer */
    bool drop_told;  /* who writes into a dropped stream hears of it: a reset, after what came */
    bool overflows;  /* a reader that takes nothing does not slow the writer down for good: what is
                        kept for it has an end, and then the stream (mplex) */
    const tern_suite_without *without; /* rows that cannot hold */
} tern_stream_maker;

/* Runs it as a cmocka group; how many tests failed. */
int tern_suite_streams(const tern_stream_maker *maker);

extern const tern_stream_maker tern_stream_maker_memory;       /* streams/memory */
extern const tern_stream_maker tern_stream_maker_memory_bytes; /* one byte an event */
extern const tern_stream_maker tern_stream_maker_noise;        /* secure/noise over memory */
extern const tern_stream_maker
    tern_stream_maker_noise_bytes;                          /* one byte an event, a small window */
extern const tern_stream_maker tern_stream_maker_tls;       /* secure/tls over memory */
extern const tern_stream_maker tern_stream_maker_tls_bytes; /* one byte an event, a small window */
extern const tern_stream_maker tern_stream_maker_psk;       /* secure/psk over memory */
extern const tern_stream_maker tern_stream_maker_psk_bytes; /* one byte an event, a small window */
extern const tern_stream_maker tern_stream_maker_psk_tcp;   /* ... over tcp */
extern const tern_stream_maker tern_stream_maker_tcp;       /* streams/tcp, simulated */
extern const tern_stream_maker tern_stream_maker_ws;        /* transport/ws_stream over memory */
extern const tern_stream_maker tern_stream_maker_ws_bytes;  /* one byte an event, a small window */
extern const tern_stream_maker tern_stream_maker_ws_tcp;    /* ... over tcp */

#endif
