/* What every unit test includes: cmocka with its prerequisites, and a table-driven main.
 *
 *     int main(void) { const struct CMUnitTest tests[] = {...}; return TERN_TEST_MAIN(tests); }
 */
#ifndef TERN_BASE_TEST_H
#define TERN_BASE_TEST_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "base/bytes.h"
#include "base/mem.h"

/* Runs the tests and fails when an allocation of tern's is still alive afterwards. */
#define TERN_TEST_MAIN(tests)                                                                      \
    (cmocka_run_group_tests(tests, NULL, NULL) + (tern_mem_alive() == 0 ? 0 : tern_test_leak()))

static inline int tern_test_leak(void)
{
    print_error("not ok - %zu allocations alive at the end\n", tern_mem_alive());
    return 1;
}

/* Hex to bytes in a static buffer of the caller's choosing; fails the test on bad hex. */
static inline size_t tern_test_unhex(uint8_t *out, size_t cap, const char *hex)
{
    ssize_t n = tern_unhex(out, cap, hex, strlen(hex));
    assert_true(n >= 0);
    return (size_t)n;
}

#endif
