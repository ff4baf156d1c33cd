/* Tests of names in the real loop that need no name server: literals, localhost, invalid names,
 * cancelling and deadlines. What a server would answer is the simulation's part. */
#include "loop/uv_test.h"

#include "loop/dns.h"

static tern_dns dns;
static unsigned done;
static int code;

static void on_done(tern_op *op, const tern_error *error)
{
    assert_ptr_equal(op, &dns.op);
    done++;
    code = error->code;
    if (code != 0) {
        assert_string_equal(error->layer, "dns");
        assert_true(error->text[0] != '\0');
    }
    tern_loop_stop(loop);
}

static int start(enum tern_dns_kind kind, const char *name, uint64_t deadline)
{
    done = 0;
    tern_op_init(&dns.op, loop, deadline, on_done);
    return tern_dns_start(&dns, kind, name);
}

static int look_up(enum tern_dns_kind kind, const char *name)
{
    assert_int_equal(start(kind, name, TERN_NEVER), 0);
    assert_int_equal(done, 0); /* never from inside the call */
    run();
    assert_int_equal(done, 1);
    return code;
}

static void literals_are_answered_at_once(void **state)
{
    (void)state;
    tern_endpoint expected;
    assert_int_equal(look_up(TERN_DNS_A, "192.0.2.7"), 0);
    tern_endpoint_parse_ip(&expected, "192.0.2.7");
    assert_int_equal(dns.addr_count, 1);
    assert_true(tern_endpoint_eq(&dns.addrs[0], &expected));
    assert_int_equal(look_up(TERN_DNS_AAAA, "2001:db8::7"), 0);
    assert_int_equal(dns.addrs[0].family, 6);
    assert_int_equal(look_up(TERN_DNS_AAAA, "192.0.2.7"), TERN_E_NOT_FOUND);
    assert_int_equal(look_up(TERN_DNS_A, "2001:db8::7"), TERN_E_NOT_FOUND);
    tern_dns_clear(&dns);
    assert_int_equal(dns.addr_count, 0);
}

static void localhost_is_this_machine(void **state)
{
    (void)state;
    assert_int_equal(look_up(TERN_DNS_A, "localhost"), 0);
    assert_true(dns.addr_count >= 1);
    assert_true(tern_endpoint_is_loopback(&dns.addrs[0]));
    assert_int_equal(dns.addrs[0].family, 4);
    assert_int_equal(dns.addrs[0].port, 0);
    tern_dns_clear(&dns);
}

static void invalid_names_are_the_callers_mistake(void **state)
{
    (void)state;
    static char longest[256];
    memset(longest, 'a', 254);
    for (size_t i = 50; i < 254; i += 50) {
        longest[i] = '.';
    }
    static const char *const names[] = {"",          ".",         ".com",    "a b",
                                        "tab\there", "new\nline", "\xc3\xa4"};
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        assert_int_equal(start(TERN_DNS_TXT, names[i], TERN_NEVER), TERN_E_INVALID);
        assert_false(tern_op_running(&dns.op));
    }
    assert_int_equal(start(TERN_DNS_A, longest, TERN_NEVER), TERN_E_INVALID);
    /* a label over 63 bytes passes here; c-ares finds it before it asks anybody */
    memset(longest, 'a', 70);
    longest[70] = '\0';
    assert_int_equal(look_up(TERN_DNS_TXT, longest), TERN_E_NOT_FOUND);
    assert_int_equal(look_up(TERN_DNS_TXT, "a..b"), TERN_E_NOT_FOUND);
}

static void cancelled_look_ups_are_silent(void **state)
{
    (void)state;
    static const enum tern_dns_kind kinds[] = {TERN_DNS_A, TERN_DNS_AAAA, TERN_DNS_TXT};
    for (size_t i = 0; i < 3; i++) {
        assert_int_equal(start(kinds[i], "name.invalid", TERN_NEVER), 0);
        tern_op_cancel(&dns.op);
        memset(&dns, 0xa5, sizeof dns); /* ours again */
        tern_loop_run(loop);            /* and nothing keeps the loop */
        assert_int_equal(done, 0);
    }
    /* cancelled after the answer, before it was told */
    assert_int_equal(start(TERN_DNS_A, "192.0.2.7", TERN_NEVER), 0);
    tern_op_cancel(&dns.op);
    tern_loop_run(loop);
    assert_int_equal(done, 0);
}

static void one_cancelled_of_two_leaves_the_other(void **state)
{
    (void)state;
    static tern_dns other;
    tern_op_init(&other.op, loop, TERN_NEVER, on_done);
    assert_int_equal(tern_dns_start(&other, TERN_DNS_TXT, "name.invalid"), 0);
    assert_int_equal(start(TERN_DNS_A, "localhost", TERN_NEVER), 0);
    tern_op_cancel(&other.op);
    run();
    assert_int_equal(done, 1);
    assert_int_equal(code, 0);
    tern_dns_clear(&dns);
}

static void the_deadline_ends_a_look_up(void **state)
{
    (void)state;
    /* Without a server the answer is a failure, now or at the deadline; with one it is NOT_FOUND.
     */
    assert_int_equal(start(TERN_DNS_A, "name.invalid", tern_loop_now(loop)), 0);
    run();
    assert_int_equal(done, 1);
    assert_int_not_equal(code, 0);
}

static void closing_ends_look_ups_under_way(void **state)
{
    (void)state;
    assert_int_equal(start(TERN_DNS_TXT, "name.invalid", TERN_NEVER), 0);
    tern_loop_free(loop);
    loop = NULL;
}

static void without_memory_a_look_up_fails(void **state)
{
    (void)state;
    for (size_t n = 1; n <= 2; n++) {
        tern_mem_fail_at(n, 0);
        assert_int_equal(start(TERN_DNS_A, "name.invalid", TERN_NEVER), TERN_E_NOMEM);
        tern_mem_fail_at(0, 0);
        assert_false(tern_op_running(&dns.op));
    }
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, loop_setup, loop_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(literals_are_answered_at_once),         TEST(localhost_is_this_machine),
        TEST(invalid_names_are_the_callers_mistake), TEST(cancelled_look_ups_are_silent),
        TEST(one_cancelled_of_two_leaves_the_other), TEST(the_deadline_ends_a_look_up),
        TEST(closing_ends_look_ups_under_way),       TEST(without_memory_a_look_up_fails),
    };
    return TERN_TEST_MAIN(tests);
}
