/* Tests of the simulated world's names. */
#include "base/test.h"

#include <tern/error.h>

#include "loop/dns.h"
#include "loop/sim.h"

static int outcome;
static unsigned answers;

static void on_done(tern_op *op, const tern_error *error)
{
    (void)op;
    outcome = error->code;
    answers++;
}

static tern_sim *world(tern_loop **ret)
{
    tern_sim *sim;
    assert_int_equal(tern_sim_new(1, &sim), 0);
    assert_int_equal(tern_sim_host(sim, "10.0.0.1", ret), 0);
    assert_int_equal(tern_sim_add_name(sim, "Node.Example", "10.0.0.7"), 0);
    assert_int_equal(tern_sim_add_name(sim, "node.example.", "10.0.0.8"), 0);
    assert_int_equal(tern_sim_add_name(sim, "node.example", "2001:db8::7"), 0);
    assert_int_equal(tern_sim_add_txt(sim, "_dnsaddr.node.example", "dnsaddr=/ip4/10.0.0.7"), 0);
    assert_int_equal(tern_sim_add_txt(sim, "_dnsaddr.node.example", ""), 0);
    return sim;
}

static void look_up(tern_sim *sim, tern_loop *loop, tern_dns *dns, enum tern_dns_kind kind,
                    const char *name)
{
    tern_op_init(&dns->op, loop, tern_sim_now(sim) + TERN_SEC, on_done);
    answers = 0;
    outcome = 1;
    assert_int_equal(tern_dns_start(dns, kind, name), 0);
    assert_int_equal(answers, 0); /* never from inside the call */
    tern_sim_run(sim, TERN_NEVER, NULL, NULL);
    assert_int_equal(answers, 1);
}

static void test_records(void **state)
{
    (void)state;
    tern_loop *loop;
    tern_sim *sim = world(&loop);
    uint64_t start = tern_sim_now(sim);
    static tern_dns dns;
    look_up(sim, loop, &dns, TERN_DNS_A, "NODE.example");
    assert_int_equal(outcome, 0);
    assert_int_equal(dns.addr_count, 2);
    assert_int_equal(dns.addrs[0].ip[3], 7);
    assert_int_equal(dns.addrs[1].ip[3], 8);
    assert_int_equal(dns.addrs[0].port, 0);
    look_up(sim, loop, &dns, TERN_DNS_AAAA, "node.example.");
    assert_int_equal(dns.addr_count, 1);
    assert_int_equal(dns.addrs[0].family, 6);
    look_up(sim, loop, &dns, TERN_DNS_TXT, "_dnsaddr.node.example");
    assert_int_equal(dns.txt_count, 2);
    assert_string_equal(dns.txt[0], "dnsaddr=/ip4/10.0.0.7");
    assert_string_equal(dns.txt[1], "");
    tern_dns_clear(&dns);
    assert_int_equal(tern_sim_now(sim), start); /* look-ups take no time */
    tern_sim_free(sim);
}

static void test_absent(void **state)
{
    (void)state;
    tern_loop *loop;
    tern_sim *sim = world(&loop);
    static tern_dns dns;
    look_up(sim, loop, &dns, TERN_DNS_A, "other.example");
    assert_int_equal(outcome, TERN_E_NOT_FOUND);
    look_up(sim, loop, &dns, TERN_DNS_TXT, "node.example"); /* exists, without such a record */
    assert_int_equal(outcome, TERN_E_NOT_FOUND);
    assert_int_equal(tern_sim_add_name(sim, "node.example", "10.0.0"), TERN_E_MALFORMED);
    assert_int_equal(tern_sim_add_name(sim, "", "10.0.0.1"), TERN_E_INVALID);
    tern_sim_free(sim);
}

static void test_cancel(void **state)
{
    (void)state;
    tern_loop *loop;
    tern_sim *sim = world(&loop);
    static tern_dns dns;
    answers = 0;
    tern_op_init(&dns.op, loop, TERN_NEVER, on_done);
    assert_int_equal(tern_dns_start(&dns, TERN_DNS_TXT, "_dnsaddr.node.example"), 0);
    tern_op_cancel(&dns.op);
    tern_sim_run(sim, TERN_NEVER, NULL, NULL);
    assert_int_equal(answers, 0);
    tern_dns_clear(&dns);
    tern_sim_free(sim);
}

static void test_limits(void **state)
{
    (void)state;
    tern_loop *loop;
    tern_sim *sim = world(&loop);
    static tern_dns dns;
    for (unsigned i = 0; i < TERN_DNS_MAX + 5; i++) {
        assert_int_equal(tern_sim_add_name(sim, "many.example", "10.1.1.1"), 0);
    }
    for (unsigned i = 0; i < TERN_DNS_TXT_MAX + 5; i++) {
        assert_int_equal(tern_sim_add_txt(sim, "many.example", "x"), 0);
    }
    look_up(sim, loop, &dns, TERN_DNS_A, "many.example");
    assert_int_equal(dns.addr_count, TERN_DNS_MAX);
    look_up(sim, loop, &dns, TERN_DNS_TXT, "many.example");
    assert_int_equal(dns.txt_count, TERN_DNS_TXT_MAX);
    tern_dns_clear(&dns);
    tern_sim_free(sim);
}

static void test_no_memory(void **state)
{
    (void)state;
    tern_loop *loop;
    tern_sim *sim = world(&loop);
    size_t before = tern_mem_alive();
    static tern_dns dns;
    for (size_t n = 1; n <= 3; n++) { /* the array and two strings */
        tern_op_init(&dns.op, loop, TERN_NEVER, on_done);
        tern_mem_fail_at(n, 0);
        int rc = tern_dns_start(&dns, TERN_DNS_TXT, "_dnsaddr.node.example");
        tern_mem_fail_at(0, 0);
        assert_int_equal(rc, TERN_E_NOMEM);
        assert_false(tern_op_running(&dns.op));
        assert_int_equal(tern_mem_alive(), before);
    }
    tern_sim_free(sim);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_records),   cmocka_unit_test(test_absent),
        cmocka_unit_test(test_cancel),    cmocka_unit_test(test_limits),
        cmocka_unit_test(test_no_memory),
    };
    return TERN_TEST_MAIN(tests);
}
