/* Walking, matching and composing multiaddrs; endpoints. */
#include "codec/multiaddr.h"

#include "base/test.h"

#define RSA  "QmaeANgBs1DTSxWSrPPtobgQuxW8XTfsS4ydbK4rCHzqxG"
#define KEY1 "12D3KooWA4Xop1JaT3MHxwYMkCepYsv4iPVopMXwCz5iHYdBfeSB"

static tern_multiaddr *parse(const char *text)
{
    tern_error e = {0};
    tern_multiaddr *a = tern_multiaddr_parse(text, &e);
    if (a == NULL) {
        fail_msg("%s: %s", text, e.text);
    }
    return a;
}

/* Whether a has this text; gives the reference back. NULL text means no address. */
static void assert_address(tern_multiaddr *a, const char *text)
{
    if (text == NULL) {
        assert_null(a);
    } else {
        assert_non_null(a);
        assert_string_equal(tern_multiaddr_text(a), text);
    }
    tern_multiaddr_unref(a);
}

static void walks_components(void **state)
{
    (void)state;
    tern_multiaddr *a = parse("/dns4/example.com/tcp/443/tls/ws");
    size_t n, at = 0;
    const uint8_t *p = tern_multiaddr_bytes(a, &n);
    tern_ma_part part;
    assert_true(tern_ma_next(a, &at, &part));
    assert_int_equal(part.code, TERN_MA_DNS4);
    assert_int_equal(part.value.len, 11);
    assert_memory_equal(part.value.data, "example.com", 11);
    assert_ptr_equal(part.whole.data, p);
    assert_int_equal(part.whole.len, 13);
    assert_int_equal(at, 13);
    assert_true(tern_ma_next(a, &at, &part));
    assert_int_equal(part.code, TERN_MA_TCP);
    assert_int_equal(tern_get16(part.value.data), 443);
    assert_true(tern_ma_next(a, &at, &part));
    assert_int_equal(part.code, TERN_MA_TLS);
    assert_int_equal(part.value.len, 0);
    assert_int_equal(part.whole.len, 2);
    assert_true(tern_ma_next(a, &at, &part));
    assert_int_equal(part.code, TERN_MA_WS);
    assert_int_equal(at, n);
    assert_false(tern_ma_next(a, &at, &part));
    tern_multiaddr_unref(a);
}

static void finds_components(void **state)
{
    (void)state;
    tern_multiaddr *a = parse("/ip4/1.2.3.4/tcp/1/p2p/" RSA "/p2p-circuit/p2p/" KEY1);
    tern_ma_part first, last;
    assert_true(tern_ma_find(a, TERN_MA_P2P, &first));
    assert_int_equal(first.value.data[0], 0x12);
    assert_true(tern_ma_find_last(a, TERN_MA_P2P, &last));
    assert_int_equal(last.value.data[0], 0x00);
    assert_true(tern_ma_find(a, TERN_MA_P2P_CIRCUIT, &first));
    assert_false(tern_ma_find(a, TERN_MA_UDP, &first));
    assert_false(tern_ma_find_last(a, TERN_MA_UDP, &last));
    tern_multiaddr_unref(a);
}

static void matches_patterns(void **state)
{
    (void)state;
    static const uint32_t ip_tcp[] = {TERN_MA_IP4, TERN_MA_TCP, 0};
    static const uint32_t dns_tcp_ws[] = {TERN_MA_DNS, TERN_MA_TCP, TERN_MA_WS, 0};
    static const uint32_t only_p2p[] = {TERN_MA_P2P, 0};
    static const uint32_t nothing[] = {0};
    static const struct {
        const char *text;
        const uint32_t *codes;
        bool fits;
    } cases[] = {
        {"/ip4/1.2.3.4/tcp/1", ip_tcp, true},
        {"/ip6/::1/tcp/1", ip_tcp, true},
        {"/ip6zone/lo/ip6/::1/tcp/1", ip_tcp, true},
        {"/ip4/1.2.3.4/tcp/1/p2p/" RSA, ip_tcp, true},
        {"/ip4/1.2.3.4/tcp/1/p2p/" RSA "/p2p-circuit", ip_tcp, false},
        {"/ip4/1.2.3.4/tcp/1/p2p/" RSA "/p2p/" RSA, ip_tcp, false},
        {"/ip4/1.2.3.4/tcp/1/ws", ip_tcp, false},
        {"/ip4/1.2.3.4", ip_tcp, false},
        {"/ip4/1.2.3.4/p2p/" RSA, ip_tcp, false},
        {"/ip4/1.2.3.4/udp/1", ip_tcp, false},
        {"/dns/a/tcp/1", ip_tcp, false},
        {"/dns/a/tcp/1/ws", dns_tcp_ws, true},
        {"/dns4/a/tcp/1/ws", dns_tcp_ws, true},
        {"/dns6/a/tcp/1/ws/p2p/" KEY1, dns_tcp_ws, true},
        {"/dnsaddr/a/tcp/1/ws", dns_tcp_ws, false},
        {"/ip4/1.2.3.4/tcp/1/ws", dns_tcp_ws, false},
        {"/p2p/" RSA, only_p2p, true},
        {"/p2p/" RSA, nothing, true},
        {"/tcp/1", nothing, false},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        tern_multiaddr *a = parse(cases[i].text);
        if (tern_ma_matches(a, cases[i].codes) != cases[i].fits) {
            fail_msg("case %zu, %s", i, cases[i].text);
        }
        tern_multiaddr_unref(a);
    }
}

static void names(void **state)
{
    (void)state;
    assert_string_equal(tern_ma_name(TERN_MA_IP4), "ip4");
    assert_string_equal(tern_ma_name(TERN_MA_MEMORY), "memory");
    assert_string_equal(tern_ma_name(TERN_MA_P2P), "p2p");
    assert_null(tern_ma_name(5));
    assert_null(tern_ma_name(0));
    assert_null(tern_ma_name(UINT32_MAX));
}

static void joins(void **state)
{
    (void)state;
    tern_multiaddr *a = parse("/ip4/1.2.3.4/tcp/1"), *b = parse("/p2p/" RSA);
    assert_address(tern_ma_join(a, b), "/ip4/1.2.3.4/tcp/1/p2p/" RSA);
    assert_address(tern_ma_join(a, NULL), "/ip4/1.2.3.4/tcp/1");
    assert_address(tern_ma_join(NULL, b), "/p2p/" RSA);
    assert_null(tern_ma_join(NULL, NULL));
    tern_mem_fail_at(1, 0);
    assert_null(tern_ma_join(a, b));
    tern_mem_fail_at(0, 0);
    tern_multiaddr_unref(a);
    tern_multiaddr_unref(b);

    char text[1100] = "/unix/";
    memset(text + 6, 'x', 1050);
    a = parse(text);
    assert_null(tern_ma_join(a, a)); /* too long together */
    tern_multiaddr_unref(a);
}

static void slices(void **state)
{
    (void)state;
    tern_multiaddr *a = parse("/ip6zone/lo/ip6/::1/tcp/1/ws");
    size_t n;
    tern_multiaddr_bytes(a, &n);
    assert_address(tern_ma_slice(a, 0, n), "/ip6zone/lo/ip6/::1/tcp/1/ws");
    assert_address(tern_ma_slice(a, 4, n), "/ip6/::1/tcp/1/ws");
    assert_address(tern_ma_slice(a, 4, 21), "/ip6/::1");
    assert_address(tern_ma_slice(a, 21, n), "/tcp/1/ws");
    assert_address(tern_ma_slice(a, 0, 4), NULL); /* a zone of nothing */
    assert_address(tern_ma_slice(a, 4, 4), NULL);
    assert_address(tern_ma_slice(a, 5, 4), NULL);
    assert_address(tern_ma_slice(a, 0, n + 1), NULL);
    assert_address(tern_ma_slice(a, 5, 21), NULL); /* not at a border */
    tern_multiaddr_unref(a);
}

static void adds_components(void **state)
{
    (void)state;
    tern_multiaddr *a = parse("/ip4/1.2.3.4");
    assert_address(tern_ma_with(a, TERN_MA_TCP, "\x0f\xa1", 2), "/ip4/1.2.3.4/tcp/4001");
    assert_address(tern_ma_with(a, TERN_MA_WS, NULL, 0), "/ip4/1.2.3.4/ws");
    assert_address(tern_ma_with(NULL, TERN_MA_DNS, "a.example", 9), "/dns/a.example");
    assert_address(tern_ma_with(a, TERN_MA_TCP, "\x0f", 1), NULL);
    assert_address(tern_ma_with(a, TERN_MA_WS, "x", 1), NULL);
    assert_address(tern_ma_with(a, TERN_MA_DNS, "a/b", 3), NULL);
    assert_address(tern_ma_with(a, TERN_MA_DNS, "", 0), NULL);
    assert_address(tern_ma_with(a, 5, "", 0), NULL);
    assert_address(tern_ma_with(a, TERN_MA_UNIX, "x", TERN_MA_MAX + 1), NULL);
    tern_multiaddr_unref(a);
}

static void drops_the_trailing_peer(void **state)
{
    (void)state;
    static const char *const cases[][2] = {
        {"/ip4/1.2.3.4/tcp/1/p2p/" RSA, "/ip4/1.2.3.4/tcp/1"},
        {"/ip4/1.2.3.4/tcp/1", "/ip4/1.2.3.4/tcp/1"},
        {"/p2p/" RSA "/p2p-circuit", "/p2p/" RSA "/p2p-circuit"},
        {"/p2p/" RSA "/p2p-circuit/p2p/" KEY1, "/p2p/" RSA "/p2p-circuit"},
        {"/p2p/" RSA, NULL},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        tern_multiaddr *a = parse(cases[i][0]);
        assert_address(tern_ma_without_p2p(a), cases[i][1]);
        tern_multiaddr_unref(a);
    }
}

static void moves_to_another_endpoint(void **state)
{
    (void)state;
    static const char *const cases[][2] = {
        {"/ip4/10.0.0.1/tcp/1", "/ip6/2001:db8::1/tcp/4001"},
        {"/ip4/10.0.0.1/udp/1/quic-v1/p2p/12D3KooWDpJ7As7BWAwRMfu1VU2WCqNjvq387JEYKDBj4kx6nXTN",
         "/ip6/2001:db8::1/udp/4001/quic-v1/p2p/"
         "12D3KooWDpJ7As7BWAwRMfu1VU2WCqNjvq387JEYKDBj4kx6nXTN"},
        {"/ip6zone/1/ip6/fe80::1/tcp/1/ws", "/ip6/2001:db8::1/tcp/4001/ws"},
    };
    tern_endpoint e;
    assert_int_equal(tern_endpoint_parse_ip(&e, "2001:db8::1"), 0);
    e.port = 4001;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        tern_multiaddr *a = parse(cases[i][0]);
        assert_address(tern_ma_at(a, &e), cases[i][1]);
        tern_multiaddr_unref(a);
    }
    tern_multiaddr *name = parse("/dns4/example.com/tcp/1");
    assert_null(tern_ma_at(name, &e));
    tern_multiaddr_unref(name);
}

static void endpoints_both_ways(void **state)
{
    (void)state;
    static const struct {
        const char *text, *ip;
        uint32_t transport;
        uint16_t port;
    } cases[] = {
        {"/ip4/192.0.2.1/tcp/4001", "192.0.2.1", TERN_MA_TCP, 4001},
        {"/ip4/0.0.0.0/udp/0", "0.0.0.0", TERN_MA_UDP, 0},
        {"/ip6/2001:db8::1/tcp/65535", "2001:db8::1", TERN_MA_TCP, 65535},
        {"/ip6/::ffff:192.0.2.1/udp/1", "::ffff:192.0.2.1", TERN_MA_UDP, 1},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        tern_endpoint e, got;
        uint32_t transport;
        assert_int_equal(tern_endpoint_parse_ip(&e, cases[i].ip), 0);
        e.port = cases[i].port;
        tern_multiaddr *a = tern_ma_from_endpoint(&e, cases[i].transport);
        assert_string_equal(tern_multiaddr_text(a), cases[i].text);
        assert_true(tern_ma_endpoint(a, &got, &transport));
        assert_true(tern_endpoint_eq(&e, &got));
        assert_int_equal(transport, cases[i].transport);
        assert_true(tern_ma_endpoint(a, &got, NULL));
        tern_multiaddr_unref(a);
    }
}

static void endpoint_begins_an_address(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        bool has;
    } cases[] = {
        {"/ip4/1.2.3.4/udp/1/quic-v1/webtransport", true},
        {"/ip4/1.2.3.4/tcp/1/tls/ws/p2p/" RSA, true},
        {"/ip4/1.2.3.4", false},
        {"/tcp/1", false},
        {"/dns4/a/tcp/1", false},
        {"/ip4/1.2.3.4/sctp/1", false},
        {"/ip4/1.2.3.4/ipcidr/8/tcp/1", false},
        {"/unix/a", false},
        {"/p2p/" RSA "/ip4/1.2.3.4/tcp/1", false},
        {"/ip6zone/no-such-interface-here/ip6/fe80::1/tcp/1", false},
        {"/ip6zone/nosuchif/ip6/fe80::1/tcp/1", false},
        {"/ip6zone/0/ip6/fe80::1/tcp/1", false},
        {"/ip6zone/4294967297/ip6/fe80::1/tcp/1", false},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        tern_multiaddr *a = parse(cases[i].text);
        tern_endpoint e = {.family = 9};
        uint32_t transport = 9;
        if (tern_ma_endpoint(a, &e, &transport) != cases[i].has) {
            fail_msg("%s", cases[i].text);
        }
        assert_true(cases[i].has || (e.family == 9 && transport == 9));
        tern_multiaddr_unref(a);
    }
}

static void zones_are_interfaces(void **state)
{
    (void)state;
    /* An index that no machine has, so that it stays a number. */
    tern_endpoint e, got;
    assert_int_equal(tern_endpoint_parse_ip(&e, "fe80::1"), 0);
    e.scope = 999999999;
    e.port = 7;
    tern_multiaddr *a = tern_ma_from_endpoint(&e, TERN_MA_UDP);
    assert_string_equal(tern_multiaddr_text(a), "/ip6zone/999999999/ip6/fe80::1/udp/7");
    assert_true(tern_ma_endpoint(a, &got, NULL));
    assert_true(tern_endpoint_eq(&e, &got));
    tern_multiaddr_unref(a);
    e.family = 0;
    assert_null(tern_ma_from_endpoint(&e, TERN_MA_TCP));
}

static void walks_in_text(void **state)
{
    (void)state;
    static const char *const want[][2] = {
        {"ip4", "1.2.3.4"}, {"tcp", "80"}, {"http", ""}, {"http-path", "a%2Fb"}, {"unix", "/a/b"},
    };
    tern_multiaddr *a = parse("/ip4/1.2.3.4/tcp/80/http/http-path/a%2Fb/unix/a/b");
    const char *name;
    char value[64];
    size_t at = 0, i = 0;
    while (tern_multiaddr_next(a, &at, &name, value, sizeof value)) {
        assert_string_equal(name, want[i][0]);
        assert_string_equal(value, want[i][1]);
        i++;
    }
    assert_int_equal(i, 5);
    at = 0;
    assert_true(tern_multiaddr_next(a, &at, &name, value, 4)); /* cut */
    assert_string_equal(value, "1.2");
    assert_false(tern_multiaddr_next(a, &at, &name, value, 0));
    tern_multiaddr_unref(a);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(walks_components),
        cmocka_unit_test(finds_components),
        cmocka_unit_test(matches_patterns),
        cmocka_unit_test(names),
        cmocka_unit_test(joins),
        cmocka_unit_test(slices),
        cmocka_unit_test(adds_components),
        cmocka_unit_test(drops_the_trailing_peer),
        cmocka_unit_test(moves_to_another_endpoint),
        cmocka_unit_test(endpoints_both_ways),
        cmocka_unit_test(endpoint_begins_an_address),
        cmocka_unit_test(zones_are_interfaces),
        cmocka_unit_test(walks_in_text),
    };
    return TERN_TEST_MAIN(tests);
}
