/* Endpoints: text both ways, kinds of address. */
#include "base/endpoint.h"

#include <tern/error.h>

#include "base/test.h"

static tern_endpoint ip(const char *text)
{
    tern_endpoint e;
    assert_int_equal(tern_endpoint_parse_ip(&e, text), 0);
    return e;
}

static void text_forms(void **state)
{
    (void)state;
    char out[TERN_ENDPOINT_TEXT];
    tern_endpoint e = ip("192.0.2.1");
    e.port = 4001;
    assert_string_equal(tern_endpoint_text(out, &e), "192.0.2.1:4001");
    e = ip("2001:db8::1");
    e.port = 65535;
    assert_string_equal(tern_endpoint_text(out, &e), "[2001:db8::1]:65535");
    e = ip("fe80::1");
    e.scope = 3;
    assert_string_equal(tern_endpoint_text(out, &e), "[fe80::1%3]:0");
    assert_string_equal(tern_endpoint_ip_text(out, &e), "fe80::1");
    e = (tern_endpoint){0};
    assert_string_equal(tern_endpoint_text(out, &e), "none:0");
    e = ip("ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff");
    e.port = 65535;
    e.scope = UINT32_MAX;
    assert_true(strlen(tern_endpoint_text(out, &e)) < sizeof out);
}

/* RFC 5952 section 4 and 5. */
static void canonical_ip6(void **state)
{
    (void)state;
    static const char *const forms[][2] = {
        {"::", "::"},
        {"::1", "::1"},
        {"1::", "1::"},
        {"0:0:0:0:0:0:0:0", "::"},
        {"2001:0DB8:0:0:0:0:2:1", "2001:db8::2:1"},
        {"2001:db8:0:1:1:1:1:1", "2001:db8:0:1:1:1:1:1"},
        {"2001:0:0:1:0:0:0:1", "2001:0:0:1::1"},
        {"2001:db8:0:0:1:0:0:1", "2001:db8::1:0:0:1"},
        {"1:2:3:4:5:6:0:0", "1:2:3:4:5:6::"},
        {"0:0:3:4:5:6:7:8", "::3:4:5:6:7:8"},
        {"1::3:4:5:6:7:8", "1:0:3:4:5:6:7:8"},
        {"::ffff:192.0.2.1", "::ffff:192.0.2.1"},
        {"::ffff:c000:201", "::ffff:192.0.2.1"},
        {"::192.0.2.1", "::c000:201"},
        {"64:ff9b::192.0.2.33", "64:ff9b::c000:221"},
        {"1:2:3:4:5:6:1.2.3.4", "1:2:3:4:5:6:102:304"},
        {"1:2:3:4:5:6:7::", "1:2:3:4:5:6:7:0"},
        {"::2:3:4:5:6:7:8", "0:2:3:4:5:6:7:8"},
    };
    char out[TERN_ENDPOINT_TEXT];
    for (size_t i = 0; i < sizeof forms / sizeof forms[0]; i++) {
        tern_endpoint e = ip(forms[i][0]);
        assert_int_equal(e.family, 6);
        assert_string_equal(tern_endpoint_ip_text(out, &e), forms[i][1]);
        tern_endpoint again = ip(out);
        assert_true(tern_endpoint_eq(&e, &again));
    }
}

static void text_that_is_no_ip(void **state)
{
    (void)state;
    static const char *const wrong[] = {
        "",
        " ",
        "1",
        "1.2.3",
        "1.2.3.4.",
        ".1.2.3.4",
        "1.2.3.4.5",
        "1.2.3.256",
        "1.2.3.1000",
        "01.2.3.4",
        "1.2.3.00",
        "1.2.3.-4",
        "1.2.3.+4",
        "1.2.3.4 ",
        " 1.2.3.4",
        "1..3.4",
        "0x1.2.3.4",
        "1.2.3.4/8",
        ":",
        ":::",
        "::1::",
        "1:2",
        "1:2:3:4:5:6:7",
        "1:2:3:4:5:6:7:8:9",
        "1:2:3:4:5:6:7:8::",
        "::1:2:3:4:5:6:7:8",
        "1:2:3:4::5:6:7:8",
        "12345::",
        "g::",
        "1:2:3:4:5:6:7:",
        ":1:2:3:4:5:6:7",
        "::1%lo",
        "[::1]",
        "::1.2.3",
        "::1.2.3.4:5",
        "1:2:3:4:5:6:7:1.2.3.4",
        "::256.1.1.1",
        "1.2.3.4::",
        "::1 ",
        "1::2::3",
    };
    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
        tern_endpoint e = {.family = 9};
        assert_int_equal(tern_endpoint_parse_ip(&e, wrong[i]), TERN_E_MALFORMED);
        assert_int_equal(e.family, 9); /* untouched */
    }
}

static void equality(void **state)
{
    (void)state;
    tern_endpoint a = ip("10.0.0.1"), b = a;
    assert_true(tern_endpoint_eq(&a, &b));
    b.port = 1;
    assert_false(tern_endpoint_eq(&a, &b));
    b = ip("10.0.0.2");
    assert_false(tern_endpoint_eq(&a, &b));
    b = ip("::ffff:10.0.0.1");
    assert_false(tern_endpoint_eq(&a, &b));
    tern_endpoint_unmap(&b);
    assert_true(tern_endpoint_eq(&a, &b));
    b = ip("::1");
    tern_endpoint_unmap(&b);
    assert_int_equal(b.family, 6);
}

static void kinds(void **state)
{
    (void)state;
    tern_endpoint e = ip("127.8.9.1");
    assert_true(tern_endpoint_is_loopback(&e));
    e = ip("::1");
    assert_true(tern_endpoint_is_loopback(&e));
    e = ip("::ffff:127.0.0.1");
    assert_true(tern_endpoint_is_loopback(&e));
    e = ip("128.0.0.1");
    assert_false(tern_endpoint_is_loopback(&e));

    e = ip("0.0.0.0");
    assert_true(tern_endpoint_is_unspecified(&e));
    e = ip("::");
    assert_true(tern_endpoint_is_unspecified(&e));
    e = ip("0.0.0.1");
    assert_false(tern_endpoint_is_unspecified(&e));
    e = (tern_endpoint){0};
    assert_false(tern_endpoint_is_unspecified(&e));
    assert_false(tern_endpoint_is_public(&e));

    e = ip("169.254.1.1");
    assert_true(tern_endpoint_is_link_local(&e));
    e = ip("fe80::1");
    assert_true(tern_endpoint_is_link_local(&e));
    e = ip("febf::1");
    assert_true(tern_endpoint_is_link_local(&e));
    e = ip("fec0::1");
    assert_false(tern_endpoint_is_link_local(&e));
}

static const char *const public_ips[] = {
    "1.1.1.1",         "8.8.8.8",         "9.255.255.255",   "11.0.0.0",        "100.63.255.255",
    "100.128.0.0",     "126.255.255.255", "128.0.0.0",       "169.253.255.255", "169.255.0.0",
    "172.15.255.255",  "172.32.0.0",      "191.255.255.255", "192.0.0.9",       "192.0.0.10",
    "192.0.1.0",       "192.0.3.0",       "192.88.98.255",   "192.167.255.255", "192.169.0.0",
    "198.17.255.255",  "198.20.0.0",      "203.0.112.255",   "203.0.114.0",     "223.255.255.255",
    "2000::",          "2606:4700::1111", "2001:1::1",       "2001:1::2",       "2001:3::1",
    "2001:4:112::1",   "2001:20::1",      "2001:2f:ffff::",  "2001:30::",       "2001:200::1",
    "2001:db7:ffff::", "2001:db9::",      "3ffe::",          "3fff:1000::",     "64:ff9b::8.8.8.8",
    "::ffff:8.8.8.8",  "2002:808:808::1",
};
static const char *const other_ips[] = {
    "0.0.0.0",
    "0.1.2.3",
    "10.0.0.0",
    "10.255.255.255",
    "100.64.0.0",
    "100.127.255.255",
    "127.0.0.1",
    "169.254.0.1",
    "172.16.0.0",
    "172.31.255.255",
    "192.0.0.0",
    "192.0.0.8",
    "192.0.0.11",
    "192.0.0.255",
    "192.0.2.0",
    "192.0.2.255",
    "192.88.99.1",
    "192.168.0.1",
    "198.18.0.0",
    "198.19.255.255",
    "198.51.100.1",
    "203.0.113.1",
    "224.0.0.1",
    "239.255.255.255",
    "240.0.0.1",
    "255.255.255.255",
    "::",
    "::1",
    "::8.8.8.8",
    "::ffff:10.0.0.1",
    "64:ff9b::10.0.0.1",
    "64:ff9b:1::808:808",
    "64:ff9b::1:0:0:808",
    "100::1",
    "2001::1",
    "2001:0:808::1",
    "2001:1::3:0:1",
    "2001:2::1",
    "2001:10::1",
    "2001:40::1",
    "2001:1ff::",
    "2001:db8::1",
    "2001:db8:ffff::",
    "2002:a00:1::1",
    "3fff::1",
    "3fff:fff::",
    "4000::",
    "5f00::1",
    "fc00::1",
    "fdff::1",
    "fe80::1",
    "fec0::1",
    "ff02::1",
    "ff0e::1",
};

static void what_is_public(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof public_ips / sizeof public_ips[0]; i++) {
        tern_endpoint e = ip(public_ips[i]);
        if (!tern_endpoint_is_public(&e)) {
            fail_msg("%s is public", public_ips[i]);
        }
    }
    for (size_t i = 0; i < sizeof other_ips / sizeof other_ips[0]; i++) {
        tern_endpoint e = ip(other_ips[i]);
        if (tern_endpoint_is_public(&e)) {
            fail_msg("%s is not public", other_ips[i]);
        }
    }
}

/* What limits count as one: the whole IPv4 address, and the first 56 bits of an IPv6. */
static void blocks(void **state)
{
    (void)state;
    static const struct {
        const char *a, *b;
        bool same;
    } cases[] = {
        {"192.0.2.1", "192.0.2.1", true},
        {"192.0.2.1", "192.0.2.2", false},
        {"2001:db8:0:1::1", "2001:db8:0:1:2::9", true},
        {"2001:db8:0:100::1", "2001:db8:0:1ff::1", true},
        {"2001:db8:0:100::1", "2001:db8:0:200::1", false},
        {"::c000:201", "192.0.2.1", false},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        tern_endpoint a = ip(cases[i].a), b = ip(cases[i].b);
        a.port = 1;
        a = tern_endpoint_block(&a);
        b = tern_endpoint_block(&b);
        if ((memcmp(&a, &b, sizeof a) == 0) != cases[i].same) {
            fail_msg("%s and %s", cases[i].a, cases[i].b);
        }
    }
}

static void networks(void **state)
{
    (void)state;
    static const struct {
        const char *a, *b;
        bool same;
    } cases[] = {
        {"192.0.2.1", "192.0.255.2", true},
        {"192.0.2.1", "192.1.2.1", false},
        {"2001:db8::1", "2001:db8:ffff::1", true},
        {"2001:db8::1", "2001:db9::1", false},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        tern_endpoint a = ip(cases[i].a), b = ip(cases[i].b);
        a.port = 1;
        a = tern_endpoint_network(&a);
        b = tern_endpoint_network(&b);
        if ((memcmp(&a, &b, sizeof a) == 0) != cases[i].same) {
            fail_msg("%s and %s", cases[i].a, cases[i].b);
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(text_forms),
        cmocka_unit_test(canonical_ip6),
        cmocka_unit_test(text_that_is_no_ip),
        cmocka_unit_test(equality),
        cmocka_unit_test(kinds),
        cmocka_unit_test(what_is_public),
        cmocka_unit_test(blocks),
        cmocka_unit_test(networks),
    };
    return TERN_TEST_MAIN(tests);
}
