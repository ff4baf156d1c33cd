/* Readying libsodium once a process: see sodium.h. */
#include "crypto/sodium.h"

#include <stdatomic.h>

static atomic_bool ready;

bool tern_sodium_ready(void)
{
    if (!atomic_load_explicit(&ready, memory_order_acquire)) {
        if (sodium_init() < 0) { /* takes a lock of its own; 1 when another thread was first */
            return false;
        }
        atomic_store_explicit(&ready, true, memory_order_release);
    }
    return true;
}
