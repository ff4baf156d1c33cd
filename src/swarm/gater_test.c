/* Deny and allow lists: what entries may look like, what they cover, which wins. */
#include "swarm/gater.h"

#include <stdio.h>

#include "base/test.h"

#define PEER  "12D3KooWQYhTNQdmr3ArTeUHRYzFg94BKyTkoWBDWez9kSCVe2Xo"
#define OTHER "QmNnooDu7bfjPFoTZYxMNLWUQJyrVwtbZg5gBMjTezGAJN"

static tern_endpoint ip(const char *text)
{
    tern_endpoint e;
    assert_int_equal(tern_endpoint_parse_ip(&e, text), 0);
    return e;
}

static tern_peer_id peer(const char *text)
{
    tern_peer_id id;
    assert_int_equal(tern_peer_id_parse(&id, text), 0);
    return id;
}

static bool admits(const tern_gater *g, const char *text)
{
    tern_endpoint e = ip(text);
    return tern_gater_admits(g, &e);
}

static bool lets_in(const tern_gater *g, const char *who, const char *text)
{
    tern_peer_id id = peer(who);
    tern_endpoint e = ip(text);
    return tern_gater_lets_in(g, &id, &e);
}

static void networks_cover_their_addresses(void **state)
{
    static const struct {
        const char *network, *address;
        bool covered;
    } rows[] = {
        {"192.0.2.7", "192.0.2.7", true},
        {"192.0.2.7", "192.0.2.8", false},
        {"192.0.2.0/24", "192.0.2.255", true},
        {"192.0.2.0/24", "192.0.3.0", false},
        {"192.0.2.128/25", "192.0.2.127", false},
        {"192.0.2.128/25", "192.0.2.128", true},
        {"10.0.0.0/9", "10.127.255.255", true},
        {"10.0.0.0/9", "10.128.0.0", false},
        {"0.0.0.0/0", "8.8.8.8", true},
        {"0.0.0.0/0", "2001:db8::1", false},
        {"2001:db8::/32", "2001:db8:ffff::", true},
        {"2001:db8::/32", "2001:db9::", false},
        {"2001:db8::/33", "2001:db8:8000::", false},
        {"::1", "::1", true},
        {"::/0", "1.2.3.4", false},
    };
    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        tern_gater g;
        tern_gater_init(&g);
        assert_int_equal(tern_gater_add(&g, TERN_GATE_DENY, rows[i].network, NULL), 0);
        assert_int_equal(admits(&g, rows[i].address), !rows[i].covered);
        assert_int_equal(lets_in(&g, PEER, rows[i].address), !rows[i].covered);
        tern_gater_free(&g);
    }
}

static void entries_that_are_none(void **state)
{
    static const char *const texts[] = {
        "",       "192.0.2",  "192.0.2.0/33", "192.0.2.0/",  "192.0.2.0/x", "192.0.2.0/-1",
        "::/129", "12D3KooW", "/ip4/1.2.3.4", "example.org", "1.2.3.4/8/9"};
    tern_gater g;
    (void)state;
    tern_gater_init(&g);
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
        tern_error error;
        assert_int_equal(tern_gater_add(&g, TERN_GATE_ALLOW, texts[i], &error), TERN_E_MALFORMED);
        assert_int_equal(error.code, TERN_E_MALFORMED);
        assert_int_equal(tern_gater_remove(&g, texts[i], &error), TERN_E_MALFORMED);
    }
    assert_true(admits(&g, "192.0.2.1")); /* nothing was added */
    assert_int_equal(tern_gater_remove(&g, "192.0.2.1", NULL), TERN_E_NOT_FOUND);
    assert_int_equal(tern_gater_remove(&g, PEER, NULL), TERN_E_NOT_FOUND);
    tern_gater_free(&g);
}

static void lists_of_peers(void **state)
{
    tern_gater g;
    (void)state;
    tern_gater_init(&g);
    assert_int_equal(tern_gater_add(&g, TERN_GATE_DENY, PEER, NULL), 0);
    assert_true(admits(&g, "192.0.2.1")); /* who it is shows later */
    assert_false(lets_in(&g, PEER, "192.0.2.1"));
    assert_true(lets_in(&g, OTHER, "192.0.2.1"));
    assert_int_equal(tern_gater_add(&g, TERN_GATE_ALLOW, PEER, NULL), 0); /* moves */
    assert_true(lets_in(&g, PEER, "192.0.2.1"));
    assert_false(lets_in(&g, OTHER, "192.0.2.1"));
    assert_int_equal(tern_gater_remove(&g, PEER, NULL), 0);
    assert_true(lets_in(&g, OTHER, "192.0.2.1"));
    tern_gater_free(&g);
}

static void lists_of_both(void **state)
{
    tern_gater g;
    (void)state;
    tern_gater_init(&g);
    assert_int_equal(tern_gater_add(&g, TERN_GATE_ALLOW, "10.0.0.0/8", NULL), 0);
    assert_true(admits(&g, "10.1.2.3"));
    assert_false(admits(&g, "11.1.2.3")); /* nobody else can be meant */
    assert_int_equal(tern_gater_add(&g, TERN_GATE_ALLOW, PEER, NULL), 0);
    assert_true(admits(&g, "11.1.2.3")); /* it may be that peer */
    assert_true(lets_in(&g, PEER, "11.1.2.3"));
    assert_false(lets_in(&g, OTHER, "11.1.2.3"));
    assert_true(lets_in(&g, OTHER, "10.1.2.3"));
    assert_int_equal(tern_gater_add(&g, TERN_GATE_DENY, "10.1.0.0/16", NULL), 0); /* deny wins */
    assert_false(admits(&g, "10.1.2.3"));
    assert_false(lets_in(&g, PEER, "10.1.2.3"));
    assert_true(admits(&g, "10.2.2.3"));
    assert_int_equal(tern_gater_add(&g, TERN_GATE_ALLOW, "10.1.0.0/16", NULL), 0); /* moves */
    assert_true(admits(&g, "10.1.2.3"));
    assert_int_equal(tern_gater_remove(&g, "10.1.0.0/16", NULL), 0);
    assert_int_equal(tern_gater_remove(&g, "10.0.0.0/8", NULL), 0);
    assert_int_equal(tern_gater_remove(&g, PEER, NULL), 0);
    assert_true(admits(&g, "11.1.2.3") && lets_in(&g, OTHER, "11.1.2.3"));
    tern_gater_free(&g);
}

/* Addresses banned one by one, as programs do, beside networks of several lengths. */
static void many_entries(void **state)
{
    tern_gater g;
    tern_endpoint e;
    char text[32];
    (void)state;
    tern_gater_init(&g);
    for (int i = 0; i < 5000; i++) {
        snprintf(text, sizeof text, "198.18.%d.%d", i / 256, i % 256);
        assert_int_equal(tern_gater_add(&g, TERN_GATE_DENY, text, NULL), 0);
    }
    assert_int_equal(tern_gater_add(&g, TERN_GATE_DENY, "198.18.0.7", NULL), 0); /* again */
    assert_int_equal(tern_gater_add(&g, TERN_GATE_DENY, "203.0.113.0/25", NULL), 0);
    assert_int_equal(tern_gater_add(&g, TERN_GATE_ALLOW, "0.0.0.0/0", NULL), 0);
    assert_int_equal(tern_endpoint_parse_ip(&e, "198.18.19.135"), 0); /* number 4999 */
    assert_false(tern_gater_admits(&g, &e));
    assert_int_equal(tern_endpoint_parse_ip(&e, "198.18.19.136"), 0);
    assert_true(tern_gater_admits(&g, &e));
    assert_int_equal(tern_endpoint_parse_ip(&e, "203.0.113.127"), 0);
    assert_false(tern_gater_admits(&g, &e));
    assert_int_equal(tern_endpoint_parse_ip(&e, "203.0.113.128"), 0);
    assert_true(tern_gater_admits(&g, &e));
    assert_int_equal(tern_endpoint_parse_ip(&e, "2001:db8::1"), 0); /* of the other family */
    assert_false(tern_gater_admits(&g, &e));
    for (int i = 0; i < 5000; i++) {
        snprintf(text, sizeof text, "198.18.%d.%d", i / 256, i % 256);
        assert_int_equal(tern_gater_remove(&g, text, NULL), 0);
    }
    assert_int_equal(tern_gater_remove(&g, "198.18.0.7", NULL), TERN_E_NOT_FOUND);
    assert_int_equal(tern_gater_remove(&g, "203.0.113.0/24", NULL), TERN_E_NOT_FOUND);
    assert_int_equal(tern_endpoint_parse_ip(&e, "198.18.0.7"), 0);
    assert_true(tern_gater_admits(&g, &e));
    tern_gater_free(&g);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(networks_cover_their_addresses),
        cmocka_unit_test(entries_that_are_none),
        cmocka_unit_test(lists_of_peers),
        cmocka_unit_test(lists_of_both),
        cmocka_unit_test(many_entries),
    };
    return TERN_TEST_MAIN(tests);
}
