/* The spare pair: made beforehand, never handed out twice, not kept for long. The world's random
 * bytes tell when one was made: they come in a fixed order. */
#include "core/spare_pair.h"

#include "base/test.h"
#include "loop/sim.h"

typedef struct world {
    tern_sim *sim;
    tern_net net;
} world;

static void open_world(world *w)
{
    assert_int_equal(tern_sim_new(7, &w->sim), 0);
    tern_net_init(&w->net);
    assert_int_equal(tern_sim_host(w->sim, "10.0.0.1", &w->net.loop), 0);
    w->net.spare = tern_spare_pair_new();
    assert_non_null(w->net.spare);
}

static void close_world(world *w)
{
    tern_spare_pair_free(w->net.spare);
    tern_sim_free(w->sim);
}

static void pass(world *w, uint64_t time)
{
    tern_sim_run(w->sim, tern_sim_now(w->sim) + time, NULL, NULL);
}

static tern_x25519_pair take(world *w)
{
    tern_x25519_pair pair;
    uint8_t public[TERN_X25519];
    assert_int_equal(tern_spare_pair_take(&w->net, &pair), 0);
    assert_int_equal(tern_x25519_public(pair.secret, public), 0);
    assert_memory_equal(public, pair.public, sizeof public);
    return pair;
}

/* The first random bytes of such a world, 32 at a time. */
static void bytes_of(uint8_t out[][TERN_X25519], size_t n)
{
    world w;
    open_world(&w);
    for (size_t i = 0; i < n; i++) {
        tern_loop_random(w.net.loop, out[i], TERN_X25519);
    }
    close_world(&w);
}

static void test_made_beforehand(void **state)
{
    world w;
    uint8_t bytes[3][TERN_X25519], drawn[TERN_X25519];
    (void)state;
    bytes_of(bytes, 3);
    open_world(&w);
    assert_memory_equal(take(&w).secret, bytes[0], TERN_X25519);
    pass(&w, 0); /* a turn, no time */
    tern_loop_random(w.net.loop, drawn, sizeof drawn);
    assert_memory_equal(drawn, bytes[2], TERN_X25519);
    assert_memory_equal(take(&w).secret, bytes[1], TERN_X25519);
    close_world(&w);
}

static void test_none_in_the_same_turn(void **state)
{
    world w;
    uint8_t bytes[2][TERN_X25519];
    (void)state;
    bytes_of(bytes, 2);
    open_world(&w);
    take(&w);
    assert_memory_equal(take(&w).secret, bytes[1], TERN_X25519);
    close_world(&w); /* with one about to be made */
}

static void test_old_ones_go(void **state)
{
    world w;
    uint8_t bytes[4][TERN_X25519];
    (void)state;
    bytes_of(bytes, 4);
    open_world(&w);
    take(&w);
    pass(&w, 59 * TERN_SEC);
    assert_memory_equal(take(&w).secret, bytes[1], TERN_X25519);
    pass(&w, 61 * TERN_SEC); /* bytes[2] are gone */
    assert_memory_equal(take(&w).secret, bytes[3], TERN_X25519);
    close_world(&w);
}

static void test_never_twice(void **state)
{
    enum { TAKEN = 200 };
    static uint8_t seen[TAKEN][TERN_X25519];
    world w;
    (void)state;
    open_world(&w);
    for (unsigned i = 0; i < TAKEN; i++) {
        tern_x25519_pair pair = take(&w);
        for (unsigned k = 0; k < i; k++) {
            assert_memory_not_equal(pair.secret, seen[k], TERN_X25519);
        }
        memcpy(seen[i], pair.secret, TERN_X25519);
        if (i % 3 != 0) {
            pass(&w, i % 7 == 0 ? 70 * TERN_SEC : 0);
        }
    }
    close_world(&w);
}

static void test_without(void **state)
{
    world w;
    uint8_t bytes[2][TERN_X25519];
    (void)state;
    bytes_of(bytes, 2);
    open_world(&w);
    tern_spare_pair_free(w.net.spare);
    w.net.spare = NULL;
    assert_memory_equal(take(&w).secret, bytes[0], TERN_X25519);
    pass(&w, TERN_SEC);
    assert_memory_equal(take(&w).secret, bytes[1], TERN_X25519);
    close_world(&w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_made_beforehand), cmocka_unit_test(test_none_in_the_same_turn),
        cmocka_unit_test(test_old_ones_go),     cmocka_unit_test(test_never_twice),
        cmocka_unit_test(test_without),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
