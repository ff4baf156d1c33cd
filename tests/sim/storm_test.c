/* Storms of 200 seeds (see storm.h). A failure's log ends with the seed:
 *
 *     SEED=n build/debug/tests/sim_storm_test           that one again, alone
 *     FIRST=n SEEDS=m build/debug/tests/sim_storm_test  others, as `make soak` does */
#include "sim/storm.h"

#include <stdio.h>
#include <stdlib.h>

#include "base/test.h"

enum { SEEDS = 200, PARTS = 8, WARM_UP = 12 };

static uint64_t number(const char *name, uint64_t otherwise)
{
    const char *text = getenv(name);
    return text != NULL && text[0] != '\0' ? strtoull(text, NULL, 10) : otherwise;
}

static uint64_t at; /* the seed that runs */

static int tell_seed(void **state)
{
    (void)state;
    if (at != 0) {
        fprintf(stderr, "# this was the storm of seed %llu: SEED=%llu replays it\n",
                (unsigned long long)at, (unsigned long long)at);
    }
    at = 0;
    return 0;
}

/* One storm more before all others: what libraries do once a process, and draw random bytes for, is
 * done then, so that a storm alone is the storm that it was among others. */
static void run(uint64_t first, uint64_t count, sim_storm_tally *tally)
{
    static sim_storm_tally warm;
    if (warm.events == 0) {
        sim_storm(WARM_UP, &warm);
    }
    for (uint64_t i = 0; i < count; i++) {
        at = first + i;
        fprintf(stderr, "# seed %llu\n", (unsigned long long)at); /* also for a crash */
        sim_storm(at, tally);
    }
    at = 0;
}

static void print(const sim_storm_tally *t, uint64_t first, uint64_t count)
{
    printf("# seeds %llu to %llu: dials %llu of %llu, pings %llu of %llu, echoes %llu of %llu, "
           "perfs %llu of %llu; %llu bytes compared; %llu cuts, %llu heals, %llu machines gone, "
           "%llu clock jumps, %llu packets lost, %llu events\n",
           (unsigned long long)first, (unsigned long long)(first + count - 1),
           (unsigned long long)t->dials_ok, (unsigned long long)t->dials,
           (unsigned long long)t->pings_ok, (unsigned long long)t->pings,
           (unsigned long long)t->echoes_ok, (unsigned long long)t->echoes,
           (unsigned long long)t->perfs_ok, (unsigned long long)t->perfs,
           (unsigned long long)t->bytes, (unsigned long long)t->cuts, (unsigned long long)t->heals,
           (unsigned long long)t->vanished, (unsigned long long)t->jumps,
           (unsigned long long)t->lost, (unsigned long long)t->events);
}

/* A part of the seeds: each is a test of its own in the report. */
static void test_storms(void **state)
{
    const unsigned *part = *state;
    sim_storm_tally tally = {0};
    uint64_t seed = number("SEED", 0);
    uint64_t count = seed != 0 ? *part == 0 : number("SEEDS", SEEDS) / PARTS;
    uint64_t first = seed != 0 ? seed : number("FIRST", 1) + *part * count;
    if (count == 0) {
        skip();
    }
    run(first, count, &tally);
    print(&tally, first, count);
    if (seed == 0) { /* the storms leave some alive, and not all */
        assert_true(tally.dials_ok > 0 && tally.dials_ok < tally.dials);
        assert_true(tally.pings_ok > 0 && tally.echoes_ok > 0 && tally.perfs_ok > 0);
        assert_true(tally.vanished > 0 && tally.cuts > 0 && tally.lost > 0);
    }
}

static int end(void **state)
{
    (void)state;
    sim_storm_free_keys();
    return tern_mem_alive() == 0 ? 0 : tern_test_leak();
}

int main(void)
{
    static unsigned parts[PARTS];
    struct CMUnitTest tests[PARTS];
    for (unsigned i = 0; i < PARTS; i++) {
        parts[i] = i;
        tests[i] = (struct CMUnitTest)cmocka_unit_test_prestate_setup_teardown(
            test_storms, NULL, tell_seed, &parts[i]);
    }
    return cmocka_run_group_tests(tests, NULL, end);
}
