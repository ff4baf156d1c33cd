/* Which pairs of NATs two nodes get past, from many seeds: links of 5 to 150 ms one way with jitter
 * and loss, over TCP and QUIC, dials at any moment. Every pair that theory allows succeeds, and no
 * other; how often with the first attempt, and how soon, is printed.
 *
 *     sim_punch_pairs_test                 a few seeds, as a test
 *     SEEDS=1000 sim_punch_pairs_test      the table of docs/nat.md; a tenth of them where nothing
 * can come of it. FIRST=N begins at that seed, A=KIND and B=KIND keep pairs, AGAIN=1 tells which
 * took more than one attempt
 */
#include <stdio.h>
#include <stdlib.h>

#include "sim/punch_scene.h"

enum { SEEDS = 3, SEEDS_MAX = 10000 };
#define PATIENCE (90 * TERN_SEC)

typedef struct kind {
    const char *name;
    punch_place a, b;
} kind;

#define NAT(name, ...)                                                                             \
    {                                                                                              \
        name, {"10.1.0.2", "8.0.0.1", __VA_ARGS__},                                                \
        {                                                                                          \
            "10.2.0.2", "9.0.0.1", __VA_ARGS__                                                     \
        }                                                                                          \
    }

static const kind kinds[] = {
    {"firewall, no NAT",
     {"8.0.0.1", .filtering = TERN_SIM_BY_PORT},
     {"9.0.0.1", .filtering = TERN_SIM_BY_PORT}},
    NAT("full cone", .filtering = TERN_SIM_ANY),
    NAT("address-restricted", .filtering = TERN_SIM_BY_ADDRESS),
    NAT("port-restricted", .filtering = TERN_SIM_BY_PORT),
    NAT("port-restricted, other ports", .filtering = TERN_SIM_BY_PORT,
        .ports = TERN_SIM_PORTS_RANDOM),
    {"port-restricted, twice",
     {"10.1.0.2", "100.64.1.1", "8.0.0.1", .filtering = TERN_SIM_BY_PORT},
     {"10.2.0.2", "100.64.2.1", "9.0.0.1", .filtering = TERN_SIM_BY_PORT}},
    NAT("port-restricted, no UDP", .filtering = TERN_SIM_BY_PORT, .no_udp = true),
    NAT("symmetric, counts up", .mapping = TERN_SIM_BY_PORT, .filtering = TERN_SIM_BY_PORT,
        .ports = TERN_SIM_PORTS_COUNTED, .step = 1),
    NAT("symmetric, filters by address", .mapping = TERN_SIM_BY_PORT,
        .filtering = TERN_SIM_BY_ADDRESS),
    NAT("symmetric", .mapping = TERN_SIM_BY_PORT, .filtering = TERN_SIM_BY_PORT),
};
enum { KINDS = sizeof kinds / sizeof *kinds };

/* The same family on both sides, and neither is translated. */
static const kind firewall6 = {"IPv6, firewall",
                               {"2a00:8::1", .filtering = TERN_SIM_BY_PORT},
                               {"2a00:9::1", .filtering = TERN_SIM_BY_PORT}};

/* ---- theory ---- */

/* Others can tell the port from which its next packet comes. */
static bool foreseen(const punch_place *p)
{
    return p->mapping == TERN_SIM_ANY || p->ports == TERN_SIM_PORTS_COUNTED;
}

/* Packets of `from` reach `to`, who has sent to where others see it. */
static bool gets_to(const punch_place *from, const punch_place *to)
{
    return foreseen(to) && (to->filtering != TERN_SIM_BY_PORT || foreseen(from));
}

/* Either may be the first to get through: A, who is the client, follows B. */
static bool possible(const punch_place *a, const punch_place *b)
{
    return gets_to(a, b) || gets_to(b, a);
}

/* ---- what came of it ---- */

typedef struct outcome {
    unsigned tried, made, first, wrong;
    uint64_t times[SEEDS_MAX]; /* of those that were made */
} outcome;

static int by_size(const void *a, const void *b)
{
    uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;
    return x < y ? -1 : x > y;
}

static unsigned ms_at(const outcome *o, unsigned percent)
{
    size_t i = (size_t)o->made * percent / 100;
    return o->made == 0 ? 0 : (unsigned)(o->times[i < o->made ? i : o->made - 1] / TERN_MS);
}

static void print_cell(outcome *o)
{
    qsort(o->times, o->made, sizeof *o->times, by_size);
    if (o->made == 0) {
        printf(" - |");
    } else {
        printf(" %.4g · %.4g · %u / %u |", 100.0 * o->made / o->tried, 100.0 * o->first / o->made,
               ms_at(o, 50), ms_at(o, 95));
    }
}

static bool is_asked(const char *name, const kind *k)
{
    const char *v = getenv(name);
    return v == NULL || strcmp(k->name, v) == 0;
}

/* ---- one of them ---- */

/* Over both, mostly; sometimes over one alone. */
static void roads(const kind *a, const kind *b, uint64_t seed, punch_setting *how)
{
    how->tcp = seed % 4 != 2 || a->a.no_udp || b->b.no_udp;
    how->quic = seed % 4 != 3;
}

static void try_one(const kind *a, const kind *b, uint64_t seed, outcome *o)
{
    punch_scene s;
    punch_setting how = {.a = &a->a, .b = &b->b, .seed = seed, .servers = 1};
    if (how.a->ports == TERN_SIM_PORTS_COUNTED || how.b->ports == TERN_SIM_PORTS_COUNTED) {
        how.servers = 3; /* it takes so many to see that it counts */
    }
    roads(a, b, seed, &how);
    punch_scene_make(&s, &how);
    punch_scene_reach(&s);
    bool over = sim_nodes_wait(&s.w, &s.b->punched, 1, PATIENCE);
    bool made = over && s.b->punch_why.code == 0, wanted = possible(how.a, how.b);
    if (made) {
        sim_nodes_wait(&s.w, &s.a->punched, 1, PATIENCE);
        made = punch_scene_direct(s.a, s.b) != NULL && punch_scene_direct(s.b, s.a) != NULL;
    }
    o->tried++;
    if (made) {
        o->times[o->made++] = s.b->punch_time;
        o->first += s.b->punch_attempts <= 1;
    }
    if (made != wanted || (made && s.b->punch_attempts > 1 && getenv("AGAIN") != NULL)) {
        print_message("# A %s, B %s, seed %llu%s%s: %s\n", a->name, b->name,
                      (unsigned long long)seed, how.tcp ? " tcp" : "", how.quic ? " quic" : "",
                      made && wanted ? "not with the first attempt"
                      : made         ? "connected, which cannot be"
                      : over         ? s.b->punch_why.text
                                     : "nothing came of it");
    }
    o->wrong += made != wanted;
    sim_nodes_clear(&s.w);
}

static uint64_t number(const char *name, uint64_t otherwise)
{
    const char *v = getenv(name);
    return v != NULL ? strtoull(v, NULL, 10) : otherwise;
}

/* How many ended otherwise than theory has it. */
static unsigned print_row(const kind *a, const kind *const *bs, size_t n)
{
    static outcome o;
    unsigned wrong = 0;
    uint64_t first = number("FIRST", 1), most = number("SEEDS", SEEDS);
    printf("# | %s |", a->name);
    fflush(stdout);
    for (size_t i = 0; i < n; i++) {
        memset(&o, 0, sizeof o);
        uint64_t seeds = possible(&a->a, &bs[i]->b) ? most : (most + 9) / 10;
        for (uint64_t k = 0; k < seeds && k < SEEDS_MAX && is_asked("B", bs[i]); k++) {
            try_one(a, bs[i], first + k, &o);
        }
        print_cell(&o);
        fflush(stdout);
        wrong += o.wrong;
    }
    printf("\n");
    return wrong;
}

static void pairs_of_nats(void **state)
{
    (void)state;
    const kind *bs[KINDS];
    unsigned wrong = 0;
    printf("# | A \\ B |");
    for (size_t i = 0; i < KINDS; i++) {
        bs[i] = &kinds[i];
        printf(" %s |", kinds[i].name);
    }
    printf("\n");
    for (size_t i = 0; i < KINDS; i++) {
        if (is_asked("A", &kinds[i])) {
            wrong += print_row(&kinds[i], bs, KINDS);
        }
    }
    assert_int_equal(wrong, 0);
}

static void firewalls_of_ip6(void **state)
{
    (void)state;
    const kind *b = &firewall6;
    if (is_asked("A", &firewall6)) {
        assert_int_equal(print_row(&firewall6, &b, 1), 0);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(pairs_of_nats),
        cmocka_unit_test(firewalls_of_ip6),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
