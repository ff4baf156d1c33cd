/* The security contract over every security layer that there is. */
#include "base/test.h"
#include "secure/noise.h"
#include "secure/tls.h"
#include "suite/security.h"

static const tern_secure *const secures[] = {
    &tern_noise,
    &tern_tls,
};

int main(void)
{
    int failed = 0;
    for (size_t i = 0; i < sizeof secures / sizeof *secures; i++) {
        failed += tern_suite_security(secures[i]);
    }
    return failed + (tern_mem_alive() == 0 ? 0 : tern_test_leak());
}
