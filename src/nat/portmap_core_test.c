/* The way of ports through PCP and NAT-PMP on a clock of the test's: what is sent when, what is
 * believed, what follows from it. */
#include "nat/portmap_core.h"

#include "base/test.h"
#include "codec/multiaddr.h"

#define BEGIN (100 * TERN_SEC)

typedef struct scene {
    tern_portmap_core c;
    uint64_t now;
    uint32_t epoch_from;  /* the gateway's clock: now - this, in seconds */
    uint8_t sent[60];     /* the last message */
    size_t sent_n, count; /* count: of messages so far */
} scene;

static tern_endpoint at(const char *ip, uint16_t port)
{
    tern_endpoint e;
    assert_int_equal(tern_endpoint_parse_ip(&e, ip), 0);
    e.port = port;
    return e;
}

static const uint8_t nonces[2][TERN_PORTMAP_NONCE] = {{1, 1}, {2, 2}};

static scene *make(size_t ports)
{
    static scene s;
    tern_endpoint gateway = at("192.168.1.1", 0), own = at("192.168.1.2", 0);
    memset(&s, 0, sizeof s);
    s.now = BEGIN;
    tern_portmap_core_init(&s.c, &gateway, &own, 7);
    assert_int_equal(tern_portmap_core_deadline(&s.c), TERN_NEVER);
    for (size_t i = 0; i < ports; i++) {
        assert_true(tern_portmap_core_want(&s.c, i == 0 ? TERN_MA_TCP : TERN_MA_UDP, 4001,
                                           nonces[i], s.now));
    }
    return &s;
}

/* What is due now; how many messages. */
static size_t drain(scene *s)
{
    size_t n, count = 0;
    uint8_t out[60];
    while ((n = tern_portmap_core_send(&s->c, s->now, out)) > 0) {
        memcpy(s->sent, out, n);
        s->sent_n = n;
        s->count++;
        assert_true(++count < 100);
    }
    return count;
}

/* To the deadline; how many messages then. */
static size_t next(scene *s)
{
    uint64_t until = tern_portmap_core_deadline(&s->c);
    assert_true(until != TERN_NEVER);
    s->now = until > s->now ? until : s->now;
    return drain(s);
}

static uint32_t epoch(const scene *s)
{
    return (uint32_t)(s->now / TERN_SEC) - s->epoch_from;
}

static bool give(scene *s, const uint8_t *p, size_t n)
{
    tern_endpoint from = at("192.168.1.1", TERN_PORTMAP_SERVER_PORT);
    return tern_portmap_core_receive(&s->c, s->now, &from, p, n);
}

/* PCP's answer about a port. */
static bool answer_pcp(scene *s, size_t port, uint8_t result, uint32_t lifetime, const char *ip,
                       uint16_t outside)
{
    uint8_t m[60] = {2, 0x81, 0, result, [54] = 0xff, [55] = 0xff};
    tern_endpoint e = at(ip, 0);
    tern_put32(m + 4, lifetime);
    tern_put32(m + 8, epoch(s));
    memcpy(m + 24, nonces[port], sizeof nonces[port]);
    m[36] = port == 0 ? 6 : 17;
    tern_put16(m + 40, 4001);
    tern_put16(m + 42, outside);
    memcpy(m + 56, e.ip, 4);
    return give(s, m, sizeof m);
}

static bool answer_address(scene *s, uint16_t result, const char *ip)
{
    uint8_t m[12] = {0, 128};
    tern_endpoint e = at(ip, 0);
    tern_put16(m + 2, result);
    tern_put32(m + 4, epoch(s));
    memcpy(m + 8, e.ip, 4);
    return give(s, m, sizeof m);
}

static bool answer_nat_pmp(scene *s, size_t port, uint16_t result, uint16_t outside,
                           uint32_t lifetime)
{
    uint8_t m[16] = {0, port == 0 ? 130 : 129};
    tern_put16(m + 2, result);
    tern_put32(m + 4, epoch(s));
    tern_put16(m + 8, 4001);
    tern_put16(m + 10, outside);
    tern_put32(m + 12, lifetime);
    return give(s, m, sizeof m);
}

/* A gateway that does not know PCP. */
static scene *with_nat_pmp(size_t ports)
{
    static const uint8_t unsupported[8] = {0, 0x81, 0, 1};
    scene *s = make(ports);
    assert_int_equal(drain(s), ports);
    assert_true(give(s, unsupported, sizeof unsupported));
    assert_int_equal(s->c.protocol, TERN_PORTMAP_NAT_PMP);
    assert_int_equal(drain(s), 1);
    assert_int_equal(s->sent_n, 2);
    return s;
}

static void expect(scene *s, size_t port, const char *ip, uint16_t outside)
{
    const tern_portmap_port *p = tern_portmap_core_changed(&s->c);
    tern_endpoint e = at(ip, outside);
    assert_ptr_equal(p, &s->c.ports[port]);
    assert_true(tern_endpoint_eq(&p->external, &e));
    assert_int_equal(p->why, TERN_PORTMAP_FINE);
}

static void expect_why(scene *s, tern_portmap_why why)
{
    const tern_portmap_port *p = tern_portmap_core_changed(&s->c);
    assert_non_null(p);
    assert_int_equal(p->external.family, 0);
    assert_int_equal(p->why, why);
}

/* ---- PCP ---- */

static void pcp_maps_and_renews(void **state)
{
    (void)state;
    scene *s = make(2);
    assert_int_equal(drain(s), 2);
    assert_int_equal(s->sent_n, 60);
    assert_int_equal(tern_get32(s->sent + 4), TERN_PORTMAP_LIFETIME);
    assert_int_equal(tern_get16(s->sent + 42), 4001); /* the same port outside is best */
    assert_true(answer_pcp(s, 0, 0, 1200, "5.0.0.1", 4001));
    assert_true(answer_pcp(s, 1, 0, 1200, "5.0.0.1", 5001));
    expect(s, 0, "5.0.0.1", 4001);
    expect(s, 1, "5.0.0.1", 5001);
    assert_null(tern_portmap_core_changed(&s->c));
    for (int round = 0; round < 20; round++) {
        uint64_t before = s->now;
        for (size_t i = 0; i < 2; i++) {
            assert_int_equal(next(s), 1);
            size_t port = s->sent[36] == 6 ? 0 : 1;
            if (port == 1) {
                assert_int_equal(tern_get16(s->sent + 42), 5001); /* what it had */
            }
            assert_true(answer_pcp(s, port, 0, 1200, "5.0.0.1", port == 0 ? 4001 : 5001));
        }
        assert_true(s->now - before >= 450 * TERN_SEC && s->now - before <= 750 * TERN_SEC);
        assert_null(tern_portmap_core_changed(&s->c));
    }
    assert_int_equal(s->c.restarts, 0);
    /* Another address outside is told. */
    next(s);
    assert_true(answer_pcp(s, s->sent[36] == 6 ? 0 : 1, 0, 1200, "5.0.0.9", 4001));
    assert_non_null(tern_portmap_core_changed(&s->c));
}

/* Lost messages are sent again, later and later, and the mapping stands until it ends. */
static void pcp_is_not_renewed(void **state)
{
    (void)state;
    scene *s = make(1);
    drain(s);
    assert_true(answer_pcp(s, 0, 0, 1200, "5.0.0.1", 4001));
    expect(s, 0, "5.0.0.1", 4001);
    uint64_t ends = s->now + 1200 * TERN_SEC, last = s->now, gap = 0;
    size_t before = s->count;
    while (tern_portmap_core_deadline(&s->c) < ends) {
        assert_int_equal(next(s), 1);
        assert_true(s->count - before < 3 || s->now - last >= gap); /* of the tries */
        gap = s->now - last;
        last = s->now;
        assert_null(tern_portmap_core_changed(&s->c));
    }
    assert_in_range(s->count - before, 6, 10);
    assert_int_equal(next(s), 1); /* the search begins anew */
    assert_int_equal(s->now, ends);
    expect_why(s, TERN_PORTMAP_LOST);
    assert_true(answer_pcp(s, 0, 0, 1200, "5.0.0.1", 4001));
    expect(s, 0, "5.0.0.1", 4001);
}

/* A gateway that begins to count anew has forgotten all: the other port is mapped again at once. */
static void pcp_restarts(void **state)
{
    (void)state;
    scene *s = make(2);
    drain(s);
    answer_pcp(s, 0, 0, 1200, "5.0.0.1", 4001);
    answer_pcp(s, 1, 0, 1200, "5.0.0.1", 4001);
    assert_int_equal(next(s), 1);
    size_t port = s->sent[36] == 6 ? 0 : 1;
    s->epoch_from = (uint32_t)(s->now / TERN_SEC);
    assert_true(answer_pcp(s, port, 0, 1200, "5.0.0.1", 4001));
    assert_int_equal(s->c.restarts, 1);
    assert_int_equal(drain(s), 1);
    assert_int_equal(s->sent[36], port == 0 ? 17 : 6);
    assert_true(answer_pcp(s, 1 - port, 0, 1200, "5.0.0.1", 4001));
    assert_int_equal(s->c.restarts, 1);
    assert_int_equal(drain(s), 0);
}

/* RFC 6887, section 8.5: clocks that drift by less than a sixteenth are no restart. */
static void pcp_epochs(void **state)
{
    (void)state;
    static const struct {
        int64_t theirs; /* seconds while ours go 600 on */
        bool restart;
    } cases[] = {{600, false}, {565, false}, {636, false}, {550, true}, {660, true}, {-1, true}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        scene *s = make(1);
        drain(s);
        answer_pcp(s, 0, 0, 1200, "5.0.0.1", 4001);
        uint32_t before = epoch(s);
        s->now = s->c.ports[0].next;
        assert_int_equal(drain(s), 1);
        s->now = BEGIN + 600 * TERN_SEC > s->now ? BEGIN + 600 * TERN_SEC : s->now;
        uint64_t ours = (s->now - BEGIN) / TERN_SEC;
        s->epoch_from = (uint32_t)(s->now / TERN_SEC) -
                        (uint32_t)((int64_t)before + cases[i].theirs + (int64_t)(ours - 600));
        s->epoch_from += cases[i].theirs < 0 ? (uint32_t)(ours - 600) + 2 : 0;
        answer_pcp(s, 0, 0, 1200, "5.0.0.1", 4001);
        assert_int_equal(s->c.restarts, cases[i].restart);
    }
}

static void pcp_refuses(void **state)
{
    (void)state;
    static const struct {
        uint8_t code;
        tern_portmap_why why;
    } codes[] = {{2, TERN_PORTMAP_REFUSED},     {3, TERN_PORTMAP_FAILED},  {4, TERN_PORTMAP_FAILED},
                 {7, TERN_PORTMAP_NO_NETWORK},  {8, TERN_PORTMAP_FULL},    {10, TERN_PORTMAP_FULL},
                 {12, TERN_PORTMAP_DOUBLE_NAT}, {200, TERN_PORTMAP_FAILED}};
    for (size_t i = 0; i < sizeof codes / sizeof *codes; i++) {
        scene *s = make(1);
        drain(s);
        /* An error stands as long as it says, within a minute and an hour. */
        static const uint32_t lives[] = {0, 300, UINT32_MAX}, taken[] = {60, 300, 3600};
        for (size_t k = 0; k < 3; k++) {
            uint64_t before = s->now;
            assert_true(answer_pcp(s, 0, codes[i].code, lives[k], "0.0.0.0", 0));
            if (k == 0) {
                expect_why(s, codes[i].why);
                assert_int_equal(s->c.ports[0].code, codes[i].code);
            }
            assert_null(tern_portmap_core_changed(&s->c)); /* told once */
            assert_int_equal(next(s), 1);
            assert_int_equal(s->now - before, taken[k] * TERN_SEC);
        }
        assert_true(answer_pcp(s, 0, 0, 1200, "5.0.0.1", 4001));
        expect(s, 0, "5.0.0.1", 4001);
    }
}

/* An address outside that is not public: another NAT. What was mapped is given back. */
static void pcp_double_nat(void **state)
{
    (void)state;
    static const char *const ips[] = {"192.168.0.7", "10.0.0.1", "100.64.0.1", "127.0.0.1"};
    for (size_t i = 0; i < sizeof ips / sizeof *ips; i++) {
        scene *s = make(1);
        tern_endpoint outside = at(ips[i], 0);
        drain(s);
        assert_true(answer_pcp(s, 0, 0, 1200, ips[i], 4001));
        expect_why(s, TERN_PORTMAP_DOUBLE_NAT);
        assert_true(tern_endpoint_eq(&s->c.ports[0].outside, &outside));
        assert_int_equal(drain(s), 1);
        assert_int_equal(tern_get32(s->sent + 4), 0);
        assert_true(answer_pcp(s, 0, 0, 0, "0.0.0.0", 0));
        assert_null(tern_portmap_core_changed(&s->c));
        uint64_t before = s->now;
        assert_int_equal(next(s), 1);
        assert_int_equal(s->now - before, TERN_PORTMAP_PAUSE);
        assert_int_equal(tern_get32(s->sent + 4), TERN_PORTMAP_LIFETIME);
    }
}

static void lies(void **state)
{
    (void)state;
    scene *s = make(1);
    uint8_t m[60] = {2, 0x81, [54] = 0xff, [55] = 0xff};
    tern_endpoint others[] = {at("192.168.1.9", 5351), at("192.168.1.1", 5350),
                              at("5.0.0.1", 5351)};
    assert_false(answer_pcp(s, 0, 0, 1200, "5.0.0.1", 4001)); /* nothing was asked */
    drain(s);
    tern_put32(m + 4, 1200);
    memcpy(m + 24, nonces[0], sizeof nonces[0]);
    m[36] = 6;
    tern_put16(m + 40, 4001);
    tern_put16(m + 42, 4001);
    memcpy(m + 56, (const uint8_t[]){5, 0, 0, 1}, 4);
    for (size_t i = 0; i < 3; i++) { /* somebody else says it */
        assert_false(tern_portmap_core_receive(&s->c, s->now, &others[i], m, sizeof m));
    }
    /* Another nonce, transport or port; no port or no time given; an address of IPv6. */
    static const struct {
        size_t place;
        uint8_t value;
    } wrong[] = {{24, 9}, {35, 1}, {36, 17}, {41, 0}, {44, 0x20}};
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        uint8_t bad[60];
        memcpy(bad, m, sizeof m);
        bad[wrong[i].place] = wrong[i].value;
        assert_false(give(s, bad, sizeof bad));
    }
    assert_false(answer_pcp(s, 0, 0, 1200, "5.0.0.1", 0));
    assert_false(answer_pcp(s, 0, 0, 0, "5.0.0.1", 4001));
    assert_null(tern_portmap_core_changed(&s->c));
    assert_false(s->c.answered);
    /* A lifetime of 136 years is a day. */
    assert_true(answer_pcp(s, 0, 0, UINT32_MAX, "5.0.0.1", 4001));
    assert_int_equal(s->c.ports[0].expires - s->now, TERN_PORTMAP_LIFE_MAX * TERN_SEC);
    assert_false(answer_pcp(s, 0, 0, 1200, "5.0.0.2", 4001)); /* a second answer */
    assert_int_equal(next(s), 1);
    assert_true(answer_pcp(s, 0, 0, 1, "5.0.0.1", 4001)); /* and one of a second is ten */
    assert_int_equal(s->c.ports[0].expires - s->now, TERN_PORTMAP_LIFE_MIN * TERN_SEC);
    assert_true(s->c.ports[0].next - s->now >= 4 * TERN_SEC);
}

/* ---- NAT-PMP ---- */

static void nat_pmp_maps_and_renews(void **state)
{
    (void)state;
    scene *s = with_nat_pmp(2);
    assert_false(answer_nat_pmp(s, 0, 0, 4001, 1200)); /* not asked yet */
    assert_true(answer_address(s, 0, "5.0.0.1"));
    assert_int_equal(drain(s), 2);
    assert_int_equal(s->sent_n, 12);
    assert_true(answer_nat_pmp(s, 0, 0, 4001, 1200));
    assert_true(answer_nat_pmp(s, 1, 0, 4002, 1200));
    expect(s, 0, "5.0.0.1", 4001);
    expect(s, 1, "5.0.0.1", 4002);
    assert_false(answer_address(s, 0, "5.0.0.2")); /* nobody asked for it */
    /* With the first renewal the address is asked for again, and it may be another. */
    assert_int_equal(next(s), 2);
    assert_true(answer_address(s, 0, "5.0.0.2"));
    expect(s, 0, "5.0.0.2", 4001);
    expect(s, 1, "5.0.0.2", 4002);
    assert_null(tern_portmap_core_changed(&s->c));
}

static void nat_pmp_restarts(void **state)
{
    (void)state;
    scene *s = with_nat_pmp(2);
    answer_address(s, 0, "5.0.0.1");
    drain(s);
    answer_nat_pmp(s, 0, 0, 4001, 1200);
    answer_nat_pmp(s, 1, 0, 4001, 1200);
    assert_int_equal(next(s), 2); /* a port, and the address */
    s->epoch_from = (uint32_t)(s->now / TERN_SEC) - 3;
    assert_true(answer_address(s, 0, "5.0.0.1"));
    assert_int_equal(s->c.restarts, 1);
    assert_int_equal(drain(s), 2); /* both, once more */
}

static void nat_pmp_refuses(void **state)
{
    (void)state;
    scene *s = with_nat_pmp(1);
    assert_true(answer_address(s, TERN_NAT_PMP_NETWORK_FAILURE, "0.0.0.0"));
    expect_why(s, TERN_PORTMAP_NO_NETWORK);
    assert_int_equal(next(s), 1); /* again after the pause */
    assert_true(answer_address(s, 0, "100.64.1.1"));
    expect_why(s, TERN_PORTMAP_DOUBLE_NAT);
    assert_int_equal(next(s), 1);
    assert_true(answer_address(s, 0, "5.0.0.1"));
    assert_int_equal(drain(s), 1);
    assert_true(answer_nat_pmp(s, 0, TERN_NAT_PMP_NOT_AUTHORIZED, 0, 0));
    expect_why(s, TERN_PORTMAP_REFUSED);
    assert_true(next(s) >= 1);
}

/* ---- silence ---- */

static void nobody_answers(void **state)
{
    (void)state;
    scene *s = make(2);
    assert_int_equal(drain(s), 2);
    while (tern_portmap_core_deadline(&s->c) < BEGIN + 100 * TERN_SEC) {
        next(s);
    }
    assert_int_equal(s->count, 2 * 2 + 5); /* PCP twice each, then NAT-PMP's address */
    assert_true(s->c.silent);
    expect_why(s, TERN_PORTMAP_SILENT);
    expect_why(s, TERN_PORTMAP_SILENT);
    assert_true(s->now - BEGIN < 20 * TERN_SEC);
    uint64_t before = s->now;
    assert_int_equal(next(s), 2); /* PCP again */
    assert_int_equal(s->now - before, TERN_PORTMAP_PAUSE);
    assert_int_equal(s->sent[0], 2);
    /* As long as nobody answers it is some messages every quarter of an hour. */
    size_t count = s->count;
    while (s->now < BEGIN + 86400 * TERN_SEC) {
        next(s);
    }
    assert_true(s->count - count < 100 * 9);
    assert_null(tern_portmap_core_changed(&s->c));
}

/* ---- the end ---- */

static void taken_away(void **state)
{
    (void)state;
    scene *s = make(2);
    drain(s);
    answer_pcp(s, 0, 0, 1200, "5.0.0.1", 4001);
    tern_portmap_core_close(&s->c, s->now); /* the second may be mapped: no answer came yet */
    assert_int_equal(drain(s), 2);
    assert_int_equal(tern_get32(s->sent + 4), 0);
    assert_true(answer_pcp(s, 1, 0, 0, "0.0.0.0", 0));
    assert_false(tern_portmap_core_closed(&s->c));
    uint64_t before = s->now;
    while (!tern_portmap_core_closed(&s->c)) { /* the other answer is lost */
        next(s);
    }
    assert_int_equal(s->count, 2 + 2 + 2);
    assert_true(s->now - before < 2 * TERN_SEC);
    assert_int_equal(tern_portmap_core_deadline(&s->c), TERN_NEVER);

    s = with_nat_pmp(1);
    answer_address(s, 0, "5.0.0.1");
    drain(s);
    answer_nat_pmp(s, 0, 0, 4001, 1200);
    tern_portmap_core_close(&s->c, s->now);
    assert_int_equal(drain(s), 1);
    assert_int_equal(tern_get16(s->sent + 6), 0);
    assert_int_equal(tern_get32(s->sent + 8), 0);
    assert_true(answer_nat_pmp(s, 0, 0, 0, 0));
    assert_true(tern_portmap_core_closed(&s->c));

    s = make(2); /* nobody has ever answered: not waited for */
    drain(s);
    tern_portmap_core_close(&s->c, s->now);
    assert_int_equal(drain(s), 2);
    assert_true(tern_portmap_core_closed(&s->c));
}

static void no_more_ports_than_allowed(void **state)
{
    (void)state;
    scene *s = make(0);
    for (uint16_t i = 0; i < TERN_PORTMAP_PORTS; i++) {
        assert_true(tern_portmap_core_want(&s->c, TERN_MA_TCP, i + 1, nonces[0], s->now));
        assert_true(tern_portmap_core_want(&s->c, TERN_MA_TCP, i + 1, nonces[0], s->now));
    }
    assert_false(tern_portmap_core_want(&s->c, TERN_MA_UDP, 1, nonces[0], s->now));
    assert_int_equal(s->c.count, TERN_PORTMAP_PORTS);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(pcp_maps_and_renews),
        cmocka_unit_test(pcp_is_not_renewed),
        cmocka_unit_test(pcp_restarts),
        cmocka_unit_test(pcp_epochs),
        cmocka_unit_test(pcp_refuses),
        cmocka_unit_test(pcp_double_nat),
        cmocka_unit_test(lies),
        cmocka_unit_test(nat_pmp_maps_and_renews),
        cmocka_unit_test(nat_pmp_restarts),
        cmocka_unit_test(nat_pmp_refuses),
        cmocka_unit_test(nobody_answers),
        cmocka_unit_test(taken_away),
        cmocka_unit_test(no_more_ports_than_allowed),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
