/* A storm: whole nodes in a simulated world that loses, delays and cuts, with machines that vanish
 * and come back, and a workload of dials, pings, echoes, perf, resets and half closes. All of it
 * follows from one seed. What holds in the end, whatever happened:
 *
 *   - what a stream brought is what was sent, in order, or the stream ended with an error;
 *   - every question (dial, ping, open, perf) was answered once, every stream closed once;
 *   - each node heard of as many ends of connections as of beginnings, holds none, and stops in
 * time;
 *   - all memory is given back.
 *
 * A broken promise fails the test. */
#ifndef TERN_TESTS_SIM_STORM_H
#define TERN_TESTS_SIM_STORM_H

#include <stdint.h>

/* What came to pass, for tests of the test: a storm in which nothing succeeds shows nothing. */
typedef struct sim_storm_tally {
    uint64_t dials, dials_ok, pings, pings_ok, echoes, echoes_ok, perfs, perfs_ok;
    uint64_t bytes; /* echoed and compared */
    uint64_t cuts, heals, vanished, jumps;
    uint64_t events, lost; /* of the simulation */
} sim_storm_tally;

/* Adds to *tally. */
void sim_storm(uint64_t seed, sim_storm_tally *tally);
/* Frees the keys that all storms of a process share. */
void sim_storm_free_keys(void);

#endif
