/* The conformance suite of the conn contract (core/conn.h), and of muxers (core/mux.h), which make
 * conns. It runs over kinds of conns; a new kind is one line in the list of conns_test.c, which
 * runs the suite of streams over its streams, too:
 *
 *     {.name = "yamux", .mux = &tern_yamux, ...}                  over a pair of streams in memory
 *     {.name = "quic-v1", .transport = &tern_quic_transport,
 *      .suffix = "/quic-v1", ...}                  two hosts of the simulated world, UDP in between
 */
#ifndef TERN_TESTS_CONNS_H
#define TERN_TESTS_CONNS_H

#include "core/mux.h"
#include "core/transport.h"
#include "suite/rows.h"

typedef struct tern_conn_kind {
    const char *name;
    const tern_mux *mux;             /* a muxer, or ... */
    const tern_transport *transport; /* ... a transport that yields conns, ... */
    const char *suffix;              /* ... whose addresses have this behind /udp/PORT */
    bool windows;     /* a slow reader slows its own writer; without, its stream is cut off */
    bool codes;       /* a reset brings its code to the peer, */
    bool close_codes; /* ... and a close of the conn */
    bool drop_told;   /* who writes into a dropped stream hears of it: a reset, after what came */
    const tern_suite_without *without;         /* rows of this suite that cannot hold */
    const tern_suite_without *streams_without; /* ... and of the suite of streams */
} tern_conn_kind;

/* Runs it as a cmocka group; how many tests failed. */
int tern_suite_conns(const tern_conn_kind *kind);

#endif
