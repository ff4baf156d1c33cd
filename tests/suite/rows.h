/* Running the rows (tests) of a suite over one implementation, without those that cannot hold
 * there: each is named, with its reason, beside the implementation, and said on stdout. */
#ifndef TERN_TESTS_ROWS_H
#define TERN_TESTS_ROWS_H

#include "base/test.h"

typedef struct tern_suite_without {
    const char *row; /* as cmocka names it; NULL ends the list */
    const char *why;
} tern_suite_without;

/* Runs them as a cmocka group; how many failed. A name in `without` (may be NULL) that is no row of
 * `tests` is a failure, too. */
int tern_suite_run(const char *group, const struct CMUnitTest *tests, size_t n,
                   const tern_suite_without *without);

#endif
