/* The conformance suite of the muxer contract (core/mux.h). A new muxer is one line in the list of
 * muxers_test.c. */
#ifndef TERN_TESTS_MUXERS_H
#define TERN_TESTS_MUXERS_H

#include "core/mux.h"

typedef struct tern_muxer {
    const tern_mux *mux;
    bool windows; /* a slow reader slows its own writer; without, its stream is cut off */
    bool codes;   /* a reset, and a close of the conn, bring their code to the peer */
} tern_muxer;

/* Runs it as a cmocka group; how many tests failed. */
int tern_suite_muxers(const tern_muxer *muxer);

#endif
