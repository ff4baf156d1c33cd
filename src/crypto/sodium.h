/* Inside crypto/: libsodium, which picks the processor's best code when it is readied. */
#ifndef TERN_CRYPTO_SODIUM_H
#define TERN_CRYPTO_SODIUM_H

#include <stdbool.h>

#include <sodium.h>

/* Readies the library; after the first time it costs one load. False when the system gives it no
 * randomness. From any thread. */
bool tern_sodium_ready(void);

#endif
