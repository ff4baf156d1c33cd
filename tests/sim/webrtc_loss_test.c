/* WebRTC Direct over bad networks, each in many seeds: every byte arrives, in order, within a time
 * that holds for all of them; and nothing is sent that the other side has no place for. */
#include "sim/webrtc_pair.h"

enum { SEEDS = 40, KIB = 1024 };

#define DELAY WEBRTC_PAIR_DELAY

typedef struct network {
    tern_sim_link link;
    uint64_t up, down; /* bytes */
    uint64_t most;     /* virtual time for both */
} network;

static void connect_somehow(webrtc_pair *p)
{
    sim_dial d;
    for (int tries = 0; tries < 4 && p->conn == NULL; tries++) { /* a dial has 10 seconds */
        sim_nodes_dial_one(p->a, p->addr, &d);
        p->conn = d.conn;
    }
    assert_non_null(p->conn);
}

static void each_seed(const network *n)
{
    for (uint64_t seed = 1; seed <= SEEDS; seed++) {
        webrtc_pair p;
        webrtc_pair_init_seeded(&p, seed, &n->link);
        connect_somehow(&p);
        uint64_t begin = sim_nodes_now(&p.w);
        webrtc_pair_transfer(&p, n->up, 1, n->most);
        webrtc_pair_transfer(&p, 1, n->down, n->most);
        if (sim_nodes_now(&p.w) > begin + n->most) {
            fail_msg("seed %llu: %llu ms", (unsigned long long)seed,
                     (unsigned long long)((sim_nodes_now(&p.w) - begin) / TERN_MS));
        }
        assert_int_equal(sim_counters(p.a)->sctp_beyond + sim_counters(p.b)->sctp_beyond, 0);
        assert_int_equal(p.a->disconnected + p.b->disconnected, 0);
        sim_nodes_clear(&p.w);
    }
}

static void test_loss_of_1_percent(void **state)
{
    static const network n = {{.delay = DELAY, .loss = 0.01}, 512 * KIB, 512 * KIB, 20 * TERN_SEC};
    (void)state;
    each_seed(&n);
}

static void test_loss_of_5_percent(void **state)
{
    static const network n = {{.delay = DELAY, .loss = 0.05}, 512 * KIB, 512 * KIB, 60 * TERN_SEC};
    (void)state;
    each_seed(&n);
}

static void test_reordering(void **state)
{
    static const network n = {
        {.delay = DELAY, .jitter = 2 * DELAY}, 1024 * KIB, 1024 * KIB, 20 * TERN_SEC};
    (void)state;
    each_seed(&n);
}

static void test_duplicates(void **state)
{
    static const network n = {
        {.delay = DELAY, .duplicate = 0.2}, 512 * KIB, 512 * KIB, 10 * TERN_SEC};
    (void)state;
    each_seed(&n);
}

static void test_all_of_these(void **state)
{
    static const network n = {{.delay = DELAY, .loss = 0.05, .jitter = DELAY, .duplicate = 0.1},
                              256 * KIB,
                              256 * KIB,
                              60 * TERN_SEC};
    (void)state;
    each_seed(&n);
}

/* Enough of a window that acknowledgements overtake each other while it is shut. */
static void test_a_little_loss_and_jitter(void **state)
{
    static const network n = {{.delay = 5 * DELAY, .jitter = 2 * DELAY, .loss = 0.002},
                              4096 * KIB,
                              512 * KIB,
                              40 * TERN_SEC};
    (void)state;
    each_seed(&n);
}

static void test_a_slow_link(void **state)
{
    static const network n = {
        {.delay = DELAY, .rate = 200000}, 512 * KIB, 512 * KIB, 10 * TERN_SEC};
    (void)state;
    each_seed(&n);
}

/* ---- answers to checks ---- */

/* The first answer to the next check is lost, and what else b says until `back` after that check
 * was sent. When a hears of b again. */
static uint64_t hears_after(webrtc_pair *p, uint64_t back)
{
    const webrtc_conn *a = webrtc_pair_of(p->conn);
    const tern_sim_link good = {.delay = DELAY}, none = {.delay = DELAY, .down = true};
    uint64_t asked = a->check_at, before;
    sim_nodes_run(&p->w, asked - sim_nodes_now(&p->w) + DELAY / 2);
    before = a->heard;
    assert_true(a->check_at > asked); /* it is on its way */
    assert_int_equal(tern_sim_set_link(p->w.sim, p->a->host, p->b->host, &none), 0);
    sim_nodes_run(&p->w, back - DELAY / 2);
    assert_int_equal(tern_sim_set_link(p->w.sim, p->a->host, p->b->host, &good), 0);
    assert_int_equal(a->heard, before);
    while (a->heard == before && sim_nodes_now(&p->w) < a->check_at) {
        sim_nodes_run(&p->w, TERN_MS);
    }
    return a->heard == before ? TERN_NEVER : a->heard - asked;
}

/* Firefox asks once whether its peer still consents, and ends the connection when no answer comes
 * before it would ask again, four seconds later at the earliest. So there are three. */
static void test_answers_to_checks_are_lost(void **state)
{
    webrtc_pair p;
    (void)state;
    webrtc_pair_init(&p, NULL);
    webrtc_conn *a = webrtc_pair_connect(&p);
    sim_nodes_run(&p.w, 20 * TERN_SEC);
    assert_true(hears_after(&p, 50 * TERN_MS) <= WEBRTC_AGAIN + 3 * DELAY);
    assert_true(hears_after(&p, 1900 * TERN_MS) <= 4 * WEBRTC_AGAIN + 3 * DELAY);
    uint64_t last = a->heard, every = a->check_at - TERN_MS;
    sim_nodes_run(&p.w, every - sim_nodes_now(&p.w));
    assert_int_equal(a->heard, last); /* and no more than three */
    sim_nodes_run(&p.w, 600 * TERN_SEC);
    assert_int_equal(p.a->disconnected + p.b->disconnected, 0);
    assert_int_equal(sim_counters(p.a)->stun_unexpected, 0);
    sim_nodes_clear(&p.w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_loss_of_1_percent), cmocka_unit_test(test_loss_of_5_percent),
        cmocka_unit_test(test_reordering),        cmocka_unit_test(test_duplicates),
        cmocka_unit_test(test_all_of_these),      cmocka_unit_test(test_a_little_loss_and_jitter),
        cmocka_unit_test(test_a_slow_link),       cmocka_unit_test(test_answers_to_checks_are_lost),
    };
    return TERN_TEST_MAIN(tests);
}
