/* The server's tickets: found once, for a day, and never more than so many. */
#include "quic/tickets.h"

#include "base/test.h"
#include "loop/sim.h"

typedef struct world {
    tern_sim *sim;
    tern_loop *loop;
    quic_tickets t;
} world;

static void open_world(world *x)
{
    assert_int_equal(tern_sim_new(1, &x->sim), 0);
    assert_int_equal(tern_sim_host(x->sim, "10.0.0.1", &x->loop), 0);
    quic_tickets_init(&x->t, x->loop);
}

static void close_world(world *x)
{
    quic_tickets_free(&x->t);
    tern_sim_free(x->sim);
}

static void nothing(tern_timer *timer)
{
    (void)timer;
}

static void pass(world *x, uint64_t time)
{
    tern_timer timer = {0};
    uint64_t until = tern_sim_now(x->sim) + time;
    tern_timer_start(x->loop, &timer, until, nothing);
    tern_sim_run(x->sim, until, NULL, NULL);
    tern_timer_stop(&timer);
}

static tern_span number(uint32_t *n)
{
    return (tern_span){(uint8_t *)n, sizeof *n};
}

static int note(world *x, uint32_t n)
{
    return quic_tickets_note(&x->t, number(&n), 1000, quic_tickets_key(&x->t),
                             tern_loop_now(x->loop));
}

static quic_ticket *find(world *x, uint32_t n)
{
    return quic_tickets_find(&x->t, number(&n));
}

static void test_once(void **state)
{
    world x;
    (void)state;
    open_world(&x);
    assert_null(find(&x, 1));
    assert_int_equal(note(&x, 1), 0);
    assert_int_equal(note(&x, 2), 0);
    quic_ticket *one = find(&x, 1);
    assert_non_null(one);
    quic_tickets_forget(&x.t, one);
    assert_null(find(&x, 1));
    assert_non_null(find(&x, 2));
    close_world(&x);
}

static void test_ages(void **state)
{
    world x;
    (void)state;
    open_world(&x);
    assert_int_equal(note(&x, 1), 0);
    pass(&x, 60 * TERN_SEC);
    assert_true(quic_tickets_timely(&x.t, find(&x, 1), 1000 + 60000));
    assert_true(quic_tickets_timely(&x.t, find(&x, 1), 1000 + 50000));
    assert_false(quic_tickets_timely(&x.t, find(&x, 1), 1000 + 49999));
    assert_true(quic_tickets_timely(&x.t, find(&x, 1), 1000 + 70000));
    assert_false(quic_tickets_timely(&x.t, find(&x, 1), 1000 + 70001));
    assert_false(quic_tickets_timely(&x.t, find(&x, 1), 999));
    pass(&x, QUIC_TICKET_LIFE - 61 * TERN_SEC);
    assert_non_null(find(&x, 1));
    pass(&x, TERN_SEC);
    assert_null(find(&x, 1));
    close_world(&x);
}

/* A ticket goes on from one that went on: the keys of both peers are proven again in time. */
static void test_proof(void **state)
{
    world x;
    uint32_t n = 1;
    (void)state;
    open_world(&x);
    uint64_t proven = tern_loop_now(x.loop);
    pass(&x, QUIC_PROOF_LIFE - TERN_SEC);
    assert_int_equal(quic_tickets_note(&x.t, number(&n), 0, quic_tickets_key(&x.t), proven), 0);
    assert_non_null(find(&x, 1));
    pass(&x, TERN_SEC);
    assert_null(find(&x, 1));
    close_world(&x);
}

static void test_keys(void **state)
{
    static const uint8_t zeros[64];
    world x;
    (void)state;
    open_world(&x);
    uint32_t first = quic_tickets_key(&x.t);
    assert_int_equal(first, 1);
    pass(&x, QUIC_TICKET_KEY_LIFE - TERN_SEC);
    assert_int_equal(quic_tickets_key(&x.t), first);
    pass(&x, TERN_SEC);
    assert_int_equal(quic_tickets_key(&x.t), 2);
    assert_int_equal(x.t.keys[first].number, first);
    assert_memory_not_equal(x.t.keys[first].bytes, x.t.keys[2].bytes, 64);
    pass(&x, QUIC_TICKET_LIFE);
    assert_int_equal(x.t.keys[first].number, 0); /* wiped by the clock, nobody asked */
    assert_memory_equal(x.t.keys[first].bytes, zeros, 64);
    assert_false(quic_tickets_enable(&x.t, first, NULL, false));
    close_world(&x);
}

static void test_bound(void **state)
{
    world x;
    (void)state;
    open_world(&x);
    for (uint32_t i = 0; i < QUIC_TICKETS_MAX + 10; i++) {
        assert_int_equal(note(&x, i), 0);
    }
    assert_int_equal(tern_map_len(&x.t.by_digest), QUIC_TICKETS_MAX);
    assert_null(find(&x, 9));
    assert_non_null(find(&x, 10));
    assert_non_null(find(&x, QUIC_TICKETS_MAX + 9));
    close_world(&x);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_once), cmocka_unit_test(test_ages),
                                       cmocka_unit_test(test_proof), cmocka_unit_test(test_keys),
                                       cmocka_unit_test(test_bound)};
    return TERN_TEST_MAIN(tests);
}
