/* A host of the simulated world that sends what it likes to UDP port 4001 of 10.0.0.2. */
#ifndef TERN_TESTS_SIM_ATTACKER_H
#define TERN_TESTS_SIM_ATTACKER_H

#include "loop/udp.h"
#include "loop/udp_port.h"
#include "sim/nodes.h"

typedef struct sim_attacker {
    tern_udp *u; /* closed by the test */
    tern_endpoint to;
    unsigned answers; /* datagrams that came back ... */
    size_t answered;  /* ... and their bytes */
} sim_attacker;

/* At `ip`, which the world makes where it is new; answers of these classes (TERN_UDP_SET) are
 * counted. */
void sim_attacker_init(sim_attacker *x, tern_sim *sim, const char *ip, unsigned classes);
void sim_attacker_say(sim_attacker *x, const void *bytes, size_t n);

#endif
