/* Crowds: places by address, and who goes when there is none; against a plain model at random. */
#include "base/crowd.h"

#include "base/test.h"

enum { THINGS = 200 };

typedef struct thing {
    tern_crowd_member m;
    tern_endpoint from;
    uint64_t since;
    bool here, evicted;
} thing;

static tern_crowds crowds;
static thing things[THINGS];
static uint64_t arrivals;

static void evict(tern_crowd_member *m)
{
    thing *t = TERN_CONTAINER(m, thing, m);
    tern_crowds_leave(&crowds, m);
    t->here = false;
    t->evicted = true;
}

static tern_endpoint address(const char *text)
{
    tern_endpoint e;
    assert_int_equal(tern_endpoint_parse_ip(&e, text), 0);
    e.port = 4001;
    return e;
}

static void come(thing *t, tern_endpoint from)
{
    *t = (thing){.m = {.evict = evict}, .from = from, .since = ++arrivals, .here = true};
    assert_int_equal(tern_crowds_join(&crowds, &from, &t->m), 0);
}

static void start(void)
{
    memset(things, 0, sizeof things);
    tern_crowds_init(&crowds);
}

static void all_leave(void)
{
    for (size_t i = 0; i < THINGS; i++) {
        tern_crowds_leave(&crowds, &things[i].m); /* also of those that have left, or never came */
    }
    assert_int_equal(crowds.count, 0);
    assert_false(tern_crowds_evict(&crowds));
    assert_int_equal(tern_map_len(&crowds.addresses), 0);
}

static void the_oldest_of_the_busiest_goes(void **state)
{
    (void)state;
    tern_endpoint quiet = address("192.0.2.1"), busy = address("192.0.2.2"),
                  other = address("192.0.2.3");
    start();
    come(&things[0], quiet);
    come(&things[1], busy);
    come(&things[2], busy);
    assert_int_equal(tern_crowds_make_place(&crowds, &other, 4, 0), TERN_CROWD_PLACE);
    assert_int_equal(tern_crowds_make_place(&crowds, &other, 3, 0), TERN_CROWD_OF_MANY);
    assert_true(things[1].evicted);
    assert_int_equal(crowds.count, 2);
    assert_int_equal(tern_crowds_of(&crowds, &busy), 1);
    /* Its own bound comes first. */
    assert_int_equal(tern_crowds_make_place(&crowds, &quiet, 2, 1), TERN_CROWD_OF_ONE);
    assert_true(things[0].evicted);
    assert_int_equal(tern_crowds_of(&crowds, &quiet), 0);
    assert_true(things[2].here);
    all_leave();
}

static void an_address_is_a_household(void **state)
{
    (void)state;
    tern_endpoint a = address("2001:db8:1:200::1"), same = address("2001:db8:1:2ff::9"),
                  next = address("2001:db8:1:300::1"), v4 = address("32.1.13.184");
    start();
    come(&things[0], a);
    assert_int_equal(tern_crowds_of(&crowds, &same), 1);
    assert_int_equal(tern_crowds_of(&crowds, &next), 0);
    assert_int_equal(tern_crowds_of(&crowds, &v4), 0); /* the same first bytes */
    same.port = 1;
    same.scope = 7;
    come(&things[1], same);
    assert_int_equal(tern_crowds_of(&crowds, &a), 2);
    all_leave();
}

/* The model: counts and looks through all. */
static size_t model_count(const tern_endpoint *from)
{
    size_t n = 0;
    for (size_t i = 0; i < THINGS; i++) {
        n += things[i].here && (from == NULL || things[i].from.ip[3] == from->ip[3]);
    }
    return n;
}

static size_t model_most(void)
{
    size_t most = 0;
    for (size_t i = 0; i < THINGS; i++) {
        size_t n = things[i].here ? model_count(&things[i].from) : 0;
        most = n > most ? n : most;
    }
    return most;
}

static const thing *model_oldest(const tern_endpoint *from)
{
    const thing *oldest = NULL;
    for (size_t i = 0; i < THINGS; i++) {
        const thing *t = &things[i];
        if (t->here && t->from.ip[3] == from->ip[3] &&
            (oldest == NULL || t->since < oldest->since)) {
            oldest = t;
        }
    }
    return oldest;
}

/* One is evicted: of an address that had most, and the oldest of it. */
static void evict_and_check(void)
{
    bool before[THINGS];
    const thing *gone = NULL;
    size_t most = model_most();
    for (size_t i = 0; i < THINGS; i++) {
        before[i] = things[i].here;
    }
    assert_int_equal(tern_crowds_evict(&crowds), most > 0);
    for (size_t i = 0; i < THINGS; i++) {
        if (before[i] && !things[i].here) {
            assert_null(gone);
            gone = &things[i];
        }
    }
    assert_int_equal(gone != NULL, most > 0);
    if (gone != NULL) {
        tern_endpoint from = gone->from;
        assert_int_equal(model_count(&from), most - 1);
        const thing *next = model_oldest(&from);
        assert_true(next == NULL || next->since > gone->since);
    }
}

static void as_the_model_says(void **state)
{
    uint64_t random = 7;
    (void)state;
    start();
    for (int step = 0; step < 20000; step++) {
        random = random * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
        uint32_t r = (uint32_t)(random >> 33);
        thing *t = &things[r % THINGS];
        tern_endpoint from = address("192.0.2.0");
        from.ip[3] = (uint8_t)(r / THINGS % 64 < 32 ? 1 : r / THINGS % 5);
        if (r % 11 == 0) {
            evict_and_check();
        } else if (t->here) {
            tern_crowds_leave(&crowds, &t->m);
            t->here = false;
        } else {
            come(t, from);
        }
        assert_int_equal(crowds.count, model_count(NULL));
        assert_int_equal(tern_crowds_of(&crowds, &from), model_count(&from));
    }
    all_leave();
}

static void without_memory(void **state)
{
    (void)state;
    tern_endpoint a = address("192.0.2.1");
    start();
    for (size_t i = 1; i <= 2; i++) {
        things[0].m = (tern_crowd_member){.evict = evict};
        tern_mem_fail_at(i, 0);
        assert_int_equal(tern_crowds_join(&crowds, &a, &things[0].m), TERN_E_NOMEM);
        assert_int_equal(crowds.count, 0);
        assert_null(things[0].m.crowd);
    }
    tern_mem_fail_at(0, 0);
    come(&things[0], a);
    all_leave();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_oldest_of_the_busiest_goes),
        cmocka_unit_test(an_address_is_a_household),
        cmocka_unit_test(as_the_model_says),
        cmocka_unit_test(without_memory),
    };
    return TERN_TEST_MAIN(tests);
}
