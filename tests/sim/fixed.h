/* Runs that repeat exactly: OpenSSL's and the system's randomness from a seed, and identities that
 * are always the same. The simulation's own draws are seeded already. */
#ifndef TERN_TESTS_SIM_FIXED_H
#define TERN_TESTS_SIM_FIXED_H

#include <stdint.h>

#include <tern/key.h>

/* From here on all random bytes of OpenSSL and of tern_random in this process follow from the seed.
 */
void sim_fixed_random(uint64_t seed);
/* The Ed25519 key of that number, the caller's reference; NULL when it cannot be made. */
tern_key *sim_fixed_key(uint8_t number);

#endif
