/* The conformance suite of the transport contract (core/transport.h) in the simulated world: two
 * hosts, 50 ms apart. Of a transport that yields conns, the dialler opens a stream in done, and
 * that is what the rows are about. A new transport is one line in transports_test.c. */
#ifndef TERN_TESTS_TRANSPORTS_H
#define TERN_TESTS_TRANSPORTS_H

#include "core/transport.h"
#include "suite/rows.h"

typedef struct tern_transport_subject {
    const tern_transport *transport;
    const char *suffix;  /* of its addresses behind /tcp/PORT, or /udp/PORT where it yields conns */
    const char *opening; /* what a listener must see first to know its own, or of a stream; ""
                            if nothing */
    unsigned round_trips; /* of a dial */
    bool web;             /* wants a certificate, and trust in it */
    bool half_close;      /* an end leaves the other half open for as long as it likes */
    bool hashed;          /* who dials needs a hash of a certificate, which the listener tells */
} tern_transport_subject;

/* Runs it as a cmocka group; how many tests failed. */
int tern_suite_transports(const tern_transport_subject *subject);

#endif
