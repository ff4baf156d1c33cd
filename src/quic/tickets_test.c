/* The server's tickets: found once, for a day, and never more than so many. */
#include "quic/tickets.h"

#include "base/test.h"
#include "loop/sim.h"

typedef struct world {
    tern_sim *sim;
    tern_loop *loop;
    tern_key *client;
    quic_tickets t;
} world;

static void open_world(world *x)
{
    assert_int_equal(tern_sim_new(1, &x->sim), 0);
    assert_int_equal(tern_sim_host(x->sim, "10.0.0.1", &x->loop), 0);
    assert_int_equal(tern_key_generate(TERN_KEY_ED25519, &x->client), 0);
    quic_tickets_init(&x->t, x->loop);
}

static void close_world(world *x)
{
    quic_tickets_free(&x->t);
    tern_key_unref(x->client);
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

/* The ticket of a number. */
static quic_ticket made(const world *x, uint32_t n)
{
    quic_ticket t = {.client = x->client,
                     .proven = tern_loop_now(x->loop),
                     .until = UINT64_MAX,
                     .age_add = 1000};
    tern_put32(t.bytes, n);
    return t;
}

static int note(world *x, uint32_t n)
{
    quic_ticket t = made(x, n);
    return quic_tickets_note(&x->t, &t);
}

static quic_ticket *find(world *x, uint32_t n)
{
    quic_ticket t = made(x, n);
    return quic_tickets_find(&x->t, (tern_span){t.bytes, sizeof t.bytes});
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
    assert_null(quic_tickets_find(&x.t, (tern_span){find(&x, 2)->bytes, QUIC_TICKET - 1}));
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
    (void)state;
    open_world(&x);
    quic_ticket t = made(&x, 1);
    pass(&x, QUIC_PROOF_LIFE - TERN_SEC);
    assert_int_equal(quic_tickets_note(&x.t, &t), 0);
    assert_non_null(find(&x, 1));
    pass(&x, TERN_SEC);
    assert_null(find(&x, 1));
    close_world(&x);
}

/* The client's certificate ends before the ticket would. */
static void test_certificate(void **state)
{
    world x;
    (void)state;
    open_world(&x);
    quic_ticket t = made(&x, 1);
    t.until = tern_loop_wall(x.loop) + 60 * TERN_SEC;
    assert_int_equal(quic_tickets_note(&x.t, &t), 0);
    pass(&x, 60 * TERN_SEC);
    assert_non_null(find(&x, 1));
    pass(&x, TERN_SEC);
    assert_null(find(&x, 1));
    close_world(&x);
}

/* The keys of what nobody came back with go by the clock, though nobody asks. */
static void test_wiped(void **state)
{
    world x;
    (void)state;
    open_world(&x);
    for (uint32_t i = 0; i < 10; i++) {
        assert_int_equal(note(&x, i), 0);
        pass(&x, TERN_SEC);
    }
    pass(&x, QUIC_TICKET_LIFE - 5 * TERN_SEC);
    assert_int_equal(tern_map_len(&x.t.by_bytes), 4);
    pass(&x, 4 * TERN_SEC);
    assert_int_equal(tern_map_len(&x.t.by_bytes), 0);
    assert_false(tern_timer_armed(&x.t.timer));
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
    assert_int_equal(tern_map_len(&x.t.by_bytes), QUIC_TICKETS_MAX);
    assert_null(find(&x, 9));
    assert_non_null(find(&x, 10));
    assert_non_null(find(&x, QUIC_TICKETS_MAX + 9));
    close_world(&x);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_once),  cmocka_unit_test(test_ages),
        cmocka_unit_test(test_proof), cmocka_unit_test(test_certificate),
        cmocka_unit_test(test_wiped), cmocka_unit_test(test_bound)};
    return TERN_TEST_MAIN(tests);
}
