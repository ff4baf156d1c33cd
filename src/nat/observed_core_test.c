/* Votes over how we are seen: who counts, who does not, and what a flood can do. */
#include "nat/observed_core.h"

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

static void vote(tern_observed *o, uint64_t now, uint64_t conn, const char *seen, uint16_t port,
                 const char *from, bool dialled)
{
    tern_endpoint who = at(from, 4001);
    tern_observed_vote v = {.conn = conn,
                            .dialled = dialled,
                            .transport = TERN_MA_TCP,
                            .port = 4001,
                            .seen = at(seen, port)};
    tern_observed_vote_add(o, now, &v, &who);
}

static size_t count(const tern_observed *o, uint64_t now)
{
    tern_observed_address out[8];
    return tern_observed_addresses(o, now, TERN_OBSERVED_NETWORKS, out, 8);
}

static void networks_must_agree(void **state)
{
    (void)state;
    static tern_observed o;
    tern_observed_address out[8];
    tern_observed_clear(&o);
    vote(&o, 1, 1, "6.0.0.1", 4001, "5.1.0.1", true);
    vote(&o, 1, 2, "6.0.0.1", 4001, "5.1.0.1", true); /* the same again */
    vote(&o, 1, 3, "6.0.0.1", 4002, "5.2.0.1", true); /* another port */
    assert_int_equal(count(&o, 1), 0);
    vote(&o, 1, 4, "6.0.0.1", 4001, "5.3.0.1", false);
    assert_int_equal(tern_observed_addresses(&o, 1, 2, out, 8), 1);
    assert_int_equal(out[0].networks, 2);
    assert_int_equal(out[0].seen.port, 4001);
    assert_int_equal(out[0].port, 4001);
    assert_int_equal(tern_observed_addresses(&o, 1, 1, out, 8), 2);
    assert_int_equal(out[0].networks, 2);              /* the best known first */
    vote(&o, 1, 4, "6.0.0.1", 4003, "5.3.0.1", false); /* it sees us elsewhere now */
    assert_int_equal(count(&o, 1), 0);
}

static void votes_end(void **state)
{
    (void)state;
    static tern_observed o;
    tern_observed_clear(&o);
    vote(&o, 1, 1, "6.0.0.1", 4001, "5.1.0.1", true);
    vote(&o, 1, 2, "6.0.0.1", 4001, "5.2.0.1", true);
    tern_observed_conn_gone(&o, 1000 * TERN_SEC, 2);
    assert_int_equal(count(&o, 1000 * TERN_SEC), 1);
    assert_int_equal(count(&o, 1000 * TERN_SEC + TERN_OBSERVED_TIME - 1), 1);
    assert_int_equal(count(&o, 1000 * TERN_SEC + TERN_OBSERVED_TIME), 0);
    tern_observed_clear(&o);
    assert_int_equal(count(&o, 1), 0);
}

/* Thousands of connections from a block, and from many, do not push out whom we chose. */
static void floods(void **state)
{
    (void)state;
    static tern_observed o;
    char from[32];
    tern_observed_clear(&o);
    for (uint64_t i = 0; i < 5000; i++) {
        vote(&o, 1, 10 + i, "9.9.9.9", 4001, "8.0.0.1", false);
    }
    assert_int_equal(count(&o, 1), 0);
    for (unsigned i = 0; i < 250; i++) {
        snprintf(from, sizeof from, "8.0.1.%u", i);
        vote(&o, 1, 10000 + i, "9.9.9.9", 4001, from, false);
    }
    vote(&o, 1, 1, "6.0.0.1", 4001, "5.1.0.1", true);
    vote(&o, 1, 2, "6.0.0.1", 4001, "5.2.0.1", true);
    tern_observed_address out[8];
    size_t n = tern_observed_addresses(&o, 1, TERN_OBSERVED_NETWORKS, out, 8);
    assert_int_equal(n, 2);
    assert_int_equal(out[1].seen.ip[0], 6); /* theirs is there, but so is ours */
    for (unsigned i = 0; i < 250; i++) {
        snprintf(from, sizeof from, "8.0.2.%u", i);
        vote(&o, 1, 20000 + i, "9.9.9.9", 4001, from, false);
    }
    assert_int_equal(count(&o, 1), 2);
}

static void few_addresses_a_port(void **state)
{
    (void)state;
    static tern_observed o;
    tern_observed_address out[16];
    char from[32];
    tern_observed_clear(&o);
    for (uint16_t p = 0; p < 6; p++) {
        for (uint16_t k = 0; k < (uint16_t)(p + 2); k++) {
            snprintf(from, sizeof from, "8.%u.1.%u", p, k);
            vote(&o, 1, (uint64_t)p * 100 + k + 1, "6.0.0.1", (uint16_t)(1000 + p), from, true);
        }
    }
    size_t n = tern_observed_addresses(&o, 1, TERN_OBSERVED_NETWORKS, out, 16);
    assert_int_equal(n, TERN_OBSERVED_PER_PORT);
    assert_int_equal(out[0].seen.port, 1005);
    assert_int_equal(out[2].seen.port, 1003);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(networks_must_agree),
        cmocka_unit_test(votes_end),
        cmocka_unit_test(floods),
        cmocka_unit_test(few_addresses_a_port),
    };
    return TERN_TEST_MAIN(tests);
}
