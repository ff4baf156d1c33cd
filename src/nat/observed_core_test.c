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

/* Where a NAT that counts is seen next: 0 when that is not known. */
static unsigned next_port(const tern_observed *o, size_t *ret_count)
{
    tern_observed_address out[8];
    *ret_count = tern_observed_next(o, 1, 0, out, 8);
    for (size_t i = 1; i < *ret_count; i++) {
        assert_int_equal(out[i].seen.port - out[i - 1].seen.port,
                         out[1].seen.port - out[0].seen.port);
    }
    return *ret_count > 0 ? out[0].seen.port : 0;
}

static void ports_that_count(void **state)
{
    (void)state;
    static tern_observed o;
    static const struct {
        uint16_t ports[4]; /* in the order in which networks say so */
        unsigned next;
        size_t count;
    } cases[] = {
        {{5001, 5002, 5003}, 5004, 3},
        {{5003, 5001, 5002}, 5004, 3},
        {{5002, 5006, 5004}, 5008, 3},
        {{5002, 5006, 5012}, 5014, 3},       /* others took some between */
        {{1000, 5001, 5002, 5003}, 5004, 3}, /* long ago */
        {{5001, 5002}, 0, 0},                /* two may be chance */
        {{5001, 5002, 5020}, 0, 0},          /* too far */
        {{5001, 5002, 5003, 40000}, 0, 0},   /* a peer lies, or it does not count */
        {{5001, 5002, 5003, 5003}, 0, 0},    /* two agree */
        {{65533, 65534, 65535}, 0, 0},
        {{65532, 65533, 65534}, 65535, 1},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        size_t n;
        tern_observed_clear(&o);
        for (size_t k = 0; k < 4 && cases[i].ports[k] != 0; k++) {
            char from[32];
            snprintf(from, sizeof from, "5.%zu.0.1", k + 1);
            vote(&o, 1, k, "6.0.0.1", cases[i].ports[k], from, true);
        }
        assert_int_equal(next_port(&o, &n), cases[i].next);
        assert_int_equal(n, cases[i].count);
    }
}

/* One network is one voice; another address of ours, or port, is another matter. */
static void who_shows_that_it_counts(void **state)
{
    (void)state;
    static tern_observed o;
    size_t n;
    tern_observed_clear(&o);
    vote(&o, 1, 1, "6.0.0.1", 5001, "5.1.0.1", true);
    vote(&o, 1, 2, "6.0.0.1", 5002, "5.1.0.1", true);
    vote(&o, 1, 3, "6.0.0.1", 5003, "5.2.0.1", true);
    vote(&o, 1, 4, "6.0.0.2", 5004, "5.3.0.1", true);
    assert_int_equal(next_port(&o, &n), 0);
    vote(&o, 1, 5, "6.0.0.1", 5004, "5.3.0.1", true);
    assert_int_equal(next_port(&o, &n), 5005);
    tern_observed_address out[8];
    assert_int_equal(tern_observed_next(&o, 1, 1, out, 8), 3);
    assert_int_equal(out[0].seen.port, 5008);
    vote(&o, 1, 6, "6.0.0.1", 5008, "5.4.0.1",
         true); /* 5002, 5004, 5008: two, or others' between */
    vote(&o, 1, 3, "6.0.0.1", 5006, "5.2.0.1", true);
    assert_int_equal(next_port(&o, &n), 5010);
    assert_int_equal(tern_observed_next(&o, 1, 1, out, 8), 3);
    assert_int_equal(out[0].seen.port, 5009);
    assert_int_equal(out[2].seen.port, 5011);
    assert_int_equal(tern_observed_next(&o, 1, 2, out, 8), 3);
    assert_int_equal(out[0].seen.port, 5012);
    vote(&o, 1, 3, "6.0.0.1", 5003, "5.2.0.1", true);
    tern_observed_conn_gone(&o, 1, 6);
    vote(&o, 1, 6, "6.0.0.1", 5000, "5.4.0.1", true);
    tern_observed_conn_gone(&o, 1, 5);
    assert_int_equal(next_port(&o, &n), 5005); /* its mapping was given all the same */
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(networks_must_agree),
        cmocka_unit_test(votes_end),
        cmocka_unit_test(floods),
        cmocka_unit_test(few_addresses_a_port),
        cmocka_unit_test(ports_that_count),
        cmocka_unit_test(who_shows_that_it_counts),
    };
    return TERN_TEST_MAIN(tests);
}
