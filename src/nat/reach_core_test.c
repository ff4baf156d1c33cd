/* Verdicts: who decides, how often is asked, and what is forgotten. */
#include "nat/reach_core.h"

#include <stdio.h>

#include "base/test.h"
#include "codec/multiaddr.h"

static tern_endpoint at(const char *ip, uint16_t port)
{
    tern_endpoint e;
    assert_int_equal(tern_endpoint_parse_ip(&e, ip), 0);
    e.port = port;
    return e;
}

static tern_reach_target target(const char *ip, uint16_t port)
{
    return (tern_reach_target){
        .transport = TERN_MA_TCP, .at = at(ip, port), .port = port, .own = true};
}

static tern_reach_core *with_one(void)
{
    static tern_reach_core r;
    tern_reach_target one = target("6.0.0.1", 4001);
    memset(&r, 0, sizeof r);
    assert_false(tern_reach_core_sync(&r, &one, 1, 1));
    return &r;
}

static bool answer(tern_reach_core *r, const char *server, tern_reach_answer said, uint64_t now)
{
    tern_endpoint e = at(server, 4001);
    return tern_reach_core_answer(&r->targets[0], &e, said, now);
}

static void two_networks_decide(void **state)
{
    (void)state;
    static const tern_reach_answer said[] = {TERN_REACH_YES, TERN_REACH_NO};
    static const tern_reachability verdict[] = {TERN_REACHABILITY_PUBLIC,
                                                TERN_REACHABILITY_PRIVATE};
    for (size_t i = 0; i < 2; i++) {
        tern_reach_core *r = with_one();
        for (unsigned k = 0; k < 20; k++) {
            assert_false(answer(r, "5.1.0.1", said[i], 1 + k)); /* its last word is one */
        }
        assert_false(answer(r, "5.2.0.1", said[1 - i], 30)); /* they disagree */
        assert_false(answer(r, "5.3.0.1", said[i], 30));
        assert_int_equal(tern_reach_core_all(r), TERN_REACHABILITY_UNKNOWN);
        assert_true(answer(r, "5.4.0.1", said[i], 30));
        assert_int_equal(tern_reach_core_all(r), verdict[i]);
        assert_false(answer(r, "5.5.0.1", said[1 - i], 31)); /* one more voice changes nothing */
        assert_int_equal(tern_reach_core_all(r), verdict[i]);
    }
}

static void a_verdict_turns(void **state)
{
    (void)state;
    tern_reach_core *r = with_one();
    answer(r, "5.1.0.1", TERN_REACH_YES, 1);
    assert_true(answer(r, "5.2.0.1", TERN_REACH_YES, 1));
    answer(r, "5.3.0.1", TERN_REACH_YES, 1);
    assert_false(answer(r, "5.1.0.1", TERN_REACH_NO, 2));
    assert_false(answer(r, "5.2.0.1", TERN_REACH_NO, 2)); /* 2 against 1 */
    assert_true(answer(r, "5.3.0.1", TERN_REACH_NO, 2));
    assert_int_equal(tern_reach_core_all(r), TERN_REACHABILITY_PRIVATE);
}

static void when_it_is_asked(void **state)
{
    (void)state;
    uint64_t next, now = 1;
    char ip[32];
    tern_reach_core *r = with_one();
    tern_reach_target *t = tern_reach_core_due(r, now, &next);
    assert_ptr_equal(t, &r->targets[0]);
    t->asked = true;
    assert_null(tern_reach_core_due(r, now, &next));
    assert_true(next == TERN_NEVER);
    for (int i = 1; i <= 3; i++) {
        snprintf(ip, sizeof ip, "5.%d.0.1", i);
        answer(r, ip, TERN_REACH_YES, now);
        assert_null(tern_reach_core_due(r, now, &next));
        assert_true(i == 3 ? next >= now + 1800 * TERN_SEC : next <= now + 10 * TERN_SEC);
        now = next;
    }
    tern_reach_core_hurry(r, now); /* it is known well enough */
    assert_ptr_equal(tern_reach_core_due(r, now, &next), &r->targets[0]);
    tern_endpoint server = at("5.1.0.1", 1), own = at("6.0.0.1", 1);
    assert_true(tern_reach_core_may_ask(t, &server, now));
    assert_false(tern_reach_core_may_ask(t, &own, now)); /* where we are ourselves */
    answer(r, "5.1.0.1", TERN_REACH_YES, now);
    assert_false(tern_reach_core_may_ask(t, &server, now + TERN_SEC));
}

/* Who refuses is left alone for a while, and so are those who come after him. */
static void refusals(void **state)
{
    (void)state;
    uint64_t next;
    tern_reach_core *r = with_one();
    tern_endpoint server = at("5.1.0.1", 1);
    assert_false(answer(r, "5.1.0.1", TERN_REACH_NOTHING, 1));
    assert_false(tern_reach_core_may_ask(&r->targets[0], &server, 1 + 60 * TERN_SEC));
    tern_reach_core_hurry(r, 1);
    assert_null(tern_reach_core_due(r, 1 + 20 * TERN_SEC, &next));
    assert_non_null(tern_reach_core_due(r, 1 + 30 * TERN_SEC, &next));
    assert_true(tern_reach_core_may_ask(&r->targets[0], &server, 1 + 300 * TERN_SEC));
    tern_reach_core_wait(&r->targets[0], 1 + 30 * TERN_SEC);
    assert_null(tern_reach_core_due(r, 1 + 30 * TERN_SEC, &next));
}

static void answers_age(void **state)
{
    (void)state;
    tern_reach_core *r = with_one();
    answer(r, "5.1.0.1", TERN_REACH_YES, 1);
    assert_false(answer(r, "5.2.0.1", TERN_REACH_YES, 1 + TERN_REACH_ANSWER_LIFE));
    assert_int_equal(tern_reach_core_all(r), TERN_REACHABILITY_UNKNOWN);
}

static void addresses_come_and_go(void **state)
{
    (void)state;
    static tern_reach_core r;
    static tern_reach_target many[TERN_REACH_TARGETS_MAX + 8];
    memset(&r, 0, sizeof r);
    for (uint16_t i = 0; i < TERN_REACH_TARGETS_MAX + 8; i++) {
        many[i] = target("6.0.0.1", (uint16_t)(1000 + i));
    }
    tern_reach_core_sync(&r, many, TERN_REACH_TARGETS_MAX + 8, 1);
    assert_int_equal(r.count, TERN_REACH_TARGETS_MAX);
    assert_false(tern_reach_core_sync(&r, many, 2, 1)); /* of no verdict nothing is lost */
    assert_int_equal(r.count, 2);
    answer(&r, "5.1.0.1", TERN_REACH_YES, 1);
    answer(&r, "5.2.0.1", TERN_REACH_YES, 1);
    assert_false(tern_reach_core_sync(&r, many, 1, 1));
    assert_int_equal(r.targets[0].verdict, TERN_REACHABILITY_PUBLIC); /* it stays */
    assert_true(tern_reach_core_sync(&r, many + 1, 1, 1));
    assert_int_equal(tern_reach_core_all(&r), TERN_REACHABILITY_UNKNOWN);
    tern_endpoint e = at("6.0.0.1", 1001);
    assert_ptr_equal(tern_reach_core_find(&r, TERN_MA_TCP, &e), &r.targets[0]);
    assert_null(tern_reach_core_find(&r, TERN_MA_UDP, &e));
    answer(&r, "5.1.0.1", TERN_REACH_NO, 1);
    answer(&r, "5.2.0.1", TERN_REACH_NO, 1);
    assert_int_equal(tern_reach_core_all(&r), TERN_REACHABILITY_PRIVATE);
    tern_reach_core_forget(&r, 5);
    assert_int_equal(tern_reach_core_all(&r), TERN_REACHABILITY_UNKNOWN);
    uint64_t next;
    assert_non_null(tern_reach_core_due(&r, 5, &next));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(two_networks_decide), cmocka_unit_test(a_verdict_turns),
        cmocka_unit_test(when_it_is_asked),    cmocka_unit_test(refusals),
        cmocka_unit_test(answers_age),         cmocka_unit_test(addresses_come_and_go),
    };
    return TERN_TEST_MAIN(tests);
}
