/* The security contract, tried on every layer: handshakes that succeed. Those that do not are in
 * security_faults.c. Each test gets a fresh world and must leave nothing allocated. */
#include "suite/security.h"

#include "suite/security_world.h"

/* ---- success ---- */

static void both_learn_each_other(void **state)
{
    (void)state;
    static const tern_key_type types[] = {TERN_KEY_ED25519, TERN_KEY_SECP256K1, TERN_KEY_ECDSA,
                                          TERN_KEY_RSA};
    for (size_t i = 0; i < sizeof types / sizeof *types; i++) {
        world w;
        security_world_make_of(&w, types[i], NULL);
        security_run_both(&w);
        security_assert_both_done(&w);
        assert_null(w.n[0].op.muxer);
        assert_null(w.n[1].op.muxer);
        security_world_clear(&w);
    }
}

static void byte_by_byte(void **state)
{
    (void)state;
    world w;
    security_world_make_of(&w, TERN_KEY_ED25519, &(tern_memory_options){.chunk = 1});
    security_run_both(&w);
    security_assert_both_done(&w);
    security_world_clear(&w);
}

static void in_any_order(void **state)
{
    (void)state;
    for (int order = 0; order < 4; order++) {
        world w;
        security_world_make(&w);
        security_start(&w, order & 1);
        if (order & 2) {
            security_run(&w);
        }
        security_start(&w, 1 - (order & 1));
        security_run(&w);
        security_assert_both_done(&w);
        security_world_clear(&w);
    }
}

/* The first flight leaves before anybody listens to the answer. */
static void begin_is_optimistic(void **state)
{
    (void)state;
    world w;
    security_world_make(&w);
    security_begin(&w, 0);
    security_begin(&w, 1);
    security_run(&w);
    assert_true(w.p[0].came > 0);
    assert_int_equal(w.p[1].came, 0);
    tern_suite_secure->attach(&w.n[1].op);
    security_run(&w);
    assert_true(w.p[1].came > 0); /* the answer waits for us */
    assert_int_equal(w.n[0].done + w.n[1].done, 0);
    tern_suite_secure->attach(&w.n[0].op);
    security_run(&w);
    security_assert_both_done(&w);
    security_world_clear(&w);
}

/* Between begin and attach the lower's events are a negotiator's. */
static void attach_after_another_owner(void **state)
{
    (void)state;
    world w;
    ear negotiator;
    security_world_make(&w);
    ear_init(&negotiator);
    ear_take(&negotiator, w.n[0].lower);
    security_begin(&w, 0);
    negotiator.take = 0; /* what comes is not for it */
    security_start(&w, 1);
    security_run(&w);
    negotiator.s = NULL;
    tern_suite_secure->attach(&w.n[0].op);
    security_run(&w);
    security_assert_both_done(&w);
    ear_clear(&negotiator);
    security_world_clear(&w);
}

/* The first data of the initiator travels with its last flight. */
static void data_comes_early(void **state)
{
    (void)state;
    world w;
    security_world_make(&w);
    security_start(&w, 0);
    security_start(&w, 1);
    for (int i = 0; i < 100 && w.n[0].done == 0; i++) {
        tern_sim_run(w.sim, tern_sim_now(w.sim), NULL, NULL);
    }
    security_assert_done(&w.n[0], 0);
    assert_int_equal(ear_write(&w.n[0].ear, "at once", 7), 7);
    security_run(&w);
    assert_int_equal(tern_buf_len(&w.n[1].ear.got), 7);
    security_world_clear(&w);
}

static void ends_travel(void **state)
{
    (void)state;
    world w;
    security_world_make(&w);
    security_run_both(&w);
    EAR(&w.n[0].ear, tern_stream_end(w.n[0].ear.s));
    security_run(&w);
    assert_true(w.n[1].ear.ended);
    assert_int_equal(ear_write(&w.n[1].ear, "still", 5), 5);
    EAR(&w.n[1].ear, tern_stream_end(w.n[1].ear.s));
    security_run(&w);
    assert_int_equal(tern_buf_len(&w.n[0].ear.got), 5);
    for (int i = 0; i < 2; i++) {
        assert_int_equal(w.n[i].ear.closed, 1);
        assert_int_equal(w.n[i].ear.why.code, 0);
    }
    security_world_clear(&w);
}

/* ---- whom, and which muxer ---- */

static void expected_peers(void **state)
{
    (void)state;
    for (int wrong = 0; wrong < 3;
         wrong++) { /* who expects another: nobody, initiator, responder */
        world w;
        security_world_make(&w);
        for (int i = 0; i < 2; i++) {
            w.n[i].op.expected = w.n[1 - i].net.self;
        }
        if (wrong > 0) {
            w.n[wrong - 1].op.expected = w.n[wrong - 1].net.self;
        }
        security_run_both(&w);
        if (wrong == 0) {
            security_assert_both_done(&w);
        } else {
            const node *strict = &w.n[wrong - 1], *other = &w.n[2 - wrong];
            security_assert_done(strict, TERN_E_PEER_ID);
            assert_int_equal(other->done, 1); /* it may have succeeded before it was refused */
            assert_true(other->error.code != 0 || other->ear.closed == 1);
        }
        security_world_clear(&w);
    }
}

static void early_muxers(void **state)
{
    (void)state;
    static const char *const ab[] = {"/a", "/b", NULL};
    static const char *const ba[] = {"/b", "/a", NULL};
    static const char *const cb[] = {"/c", "/b", NULL};
    static const char *const c[] = {"/c", NULL};
    static const char *const none[] = {NULL};
    static const struct {
        const char *const *initiator, *const *responder;
        int silent; /* 1: the initiator, 2: the responder */
        const char *muxer;
    } cases[] = {
        {ab, ab, 0, "/a"},   {ab, ba, 0, "/a"},   {ba, ab, 0, "/b"},   {cb, ab, 0, "/b"},
        {ab, cb, 0, "/b"},   {ab, c, 0, NULL},    {none, ab, 0, NULL}, {ab, none, 0, NULL},
        {NULL, ab, 0, NULL}, {ab, NULL, 0, NULL}, {ab, ab, 1, NULL},   {ab, ab, 2, NULL},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        world w;
        security_world_make(&w);
        w.n[0].op.muxers = cases[i].initiator;
        w.n[1].op.muxers = cases[i].responder;
        w.n[0].op.silent_early = cases[i].silent == 1;
        w.n[1].op.silent_early = cases[i].silent == 2;
        security_run_both(&w);
        security_assert_both_done(&w);
        for (int k = 0; k < 2; k++) {
            const char *muxer = w.n[k].op.muxer;
            if (cases[i].muxer == NULL ? muxer != NULL
                                       : muxer == NULL || strcmp(muxer, cases[i].muxer) != 0) {
                fail_msg("case %zu, node %d: %s", i, k, muxer != NULL ? muxer : "none");
            }
        }
        security_world_clear(&w);
    }
}

const struct CMUnitTest tern_suite_security_success[] = {
    cmocka_unit_test(both_learn_each_other),
    cmocka_unit_test(byte_by_byte),
    cmocka_unit_test(in_any_order),
    cmocka_unit_test(begin_is_optimistic),
    cmocka_unit_test(attach_after_another_owner),
    cmocka_unit_test(data_comes_early),
    cmocka_unit_test(ends_travel),
    cmocka_unit_test(expected_peers),
    cmocka_unit_test(early_muxers),
    {0},
};

static int run_part(const char *name, const struct CMUnitTest *tests)
{
    size_t n = 0;
    while (tests[n].name != NULL) {
        n++;
    }
    return _cmocka_run_group_tests(name, tests, n, NULL, NULL);
}

int tern_suite_security(const tern_secure *secure)
{
    tern_suite_secure = secure;
    return run_part(secure->name, tern_suite_security_success) +
           run_part(secure->name, tern_suite_security_faults);
}
