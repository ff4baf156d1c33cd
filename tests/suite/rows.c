/* Running the rows of a suite: see rows.h. */
#include "suite/rows.h"

enum { ROWS_MAX = 64 };

static const tern_suite_without *find(const tern_suite_without *without, const char *name)
{
    for (; without != NULL && without->row != NULL; without++) {
        if (strcmp(without->row, name) == 0) {
            return without;
        }
    }
    return NULL;
}

static bool knows(const struct CMUnitTest *tests, size_t n, const char *name)
{
    for (size_t i = 0; i < n; i++) {
        if (strcmp(tests[i].name, name) == 0) {
            return true;
        }
    }
    return false;
}

int tern_suite_run(const char *group, const struct CMUnitTest *tests, size_t n,
                   const tern_suite_without *without)
{
    struct CMUnitTest rows[ROWS_MAX];
    size_t count = 0;
    int failed = 0;
    for (const tern_suite_without *w = without; w != NULL && w->row != NULL; w++) {
        if (!knows(tests, n, w->row)) {
            print_error("%s: there is no row %s to be left out\n", group, w->row);
            failed++;
        }
    }
    for (size_t i = 0; i < n && count < ROWS_MAX; i++) {
        const tern_suite_without *out = find(without, tests[i].name);
        if (out == NULL) {
            rows[count++] = tests[i];
        } else {
            print_message("# %s: not %s: %s\n", group, out->row, out->why);
        }
    }
    return failed + _cmocka_run_group_tests(group, rows, count, NULL, NULL);
}
