/* Tests of the order in which addresses are dialled. */
#include "swarm/dial_rank.h"

#include "base/test.h"
#include "codec/multiaddr.h"

enum { MOST = 12 };

#define RELAY "/p2p/12D3KooWEyoppNCUx8Yx66oV9fJnriXwCcXwDDUA2kj6vnc6iDEp/p2p-circuit"
#define HASH  "/certhash/uEiAsGPzpiPGQzSlVHRXrUCT5EkTV7YFrV4VZ3hpEKTd_zg"

/* `texts` is NULL-terminated and in the order expected; every rotation of it is sorted into it. */
static void expect_order(const char *const *texts)
{
    tern_multiaddr *addrs[MOST] = {NULL}, *turned[MOST] = {NULL};
    size_t order[MOST], n = 0;
    for (; texts[n] != NULL; n++) {
        addrs[n] = tern_multiaddr_parse(texts[n], NULL);
        assert_non_null(addrs[n]);
    }
    for (size_t turn = 0; turn < n; turn++) {
        for (size_t i = 0; i < n; i++) {
            turned[i] = addrs[(i + turn) % n];
        }
        tern_dial_rank_order(turned, n, true, false, order);
        for (size_t i = 0; i < n; i++) {
            assert_string_equal(tern_multiaddr_text(turned[order[i]]), texts[i]);
        }
    }
    for (size_t i = 0; i < n; i++) {
        tern_multiaddr_unref(addrs[i]);
    }
}

static void test_classes(void **state)
{
    static const char *const texts[] = {
        "/ip4/192.168.1.2/udp/4001/quic-v1",
        "/ip4/192.168.1.2/tcp/4001",
        "/ip4/8.8.8.8/udp/4001/quic-v1",
        "/ip4/8.8.8.8/udp/4001/quic-v1/webtransport" HASH,
        "/ip4/8.8.8.8/tcp/4001",
        "/ip4/8.8.8.8/tcp/4001/ws",
        "/ip4/8.8.8.8/tcp/443/tls/ws",
        "/ip4/8.8.8.8/udp/4001/webrtc-direct" HASH,
        "/ip4/8.8.4.4/tcp/4001" RELAY,
        NULL,
    };
    (void)state;
    expect_order(texts);
}

/* How `texts` are sorted: the names of the families in that order. */
static void expect_families(const char *const *texts, bool ip6_first, const char *want)
{
    tern_multiaddr *addrs[MOST] = {NULL};
    size_t order[MOST], n = 0;
    char got[MOST + 1] = {0};
    for (; texts[n] != NULL; n++) {
        addrs[n] = tern_multiaddr_parse(texts[n], NULL);
        assert_non_null(addrs[n]);
    }
    tern_dial_rank_order(addrs, n, ip6_first, false, order);
    for (size_t i = 0; i < n; i++) {
        got[i] = tern_dial_rank_is_ip6(addrs[order[i]]) ? '6' : '4';
    }
    assert_string_equal(got, want);
    for (size_t i = 0; i < n; i++) {
        tern_multiaddr_unref(addrs[i]);
    }
}

static void test_families_take_turns(void **state)
{
    static const char *const even[] = {"/ip4/8.8.8.8/tcp/1", "/ip4/8.8.8.8/tcp/2",
                                       "/ip6/2606:4700::1111/tcp/1", "/ip6/2606:4700::1111/tcp/2",
                                       NULL};
    static const char *const many4[] = {"/ip4/8.8.8.8/tcp/1", "/ip4/8.8.8.8/tcp/2",
                                        "/ip4/8.8.8.8/tcp/3", "/ip6/2606:4700::1111/tcp/1", NULL};
    /* The turns go on from one class to the next. */
    static const char *const classes[] = {"/ip6/2606:4700::1111/udp/1/quic-v1",
                                          "/ip6/2606:4700::1111/tcp/1", "/ip4/8.8.8.8/tcp/1", NULL};
    (void)state;
    expect_families(even, true, "6464");
    expect_families(even, false, "4646");
    expect_families(many4, true, "6444");
    expect_families(many4, false, "4644");
    expect_families(classes, true, "646");
}

/* Where UDP does not get through it comes behind what is public, too, but before circuits. */
static void test_udp_last(void **state)
{
    static const char *const texts[] = {"/ip4/8.8.8.8/udp/1/quic-v1", ("/ip4/8.8.8.8/tcp/1" RELAY),
                                        "/ip4/8.8.8.8/tcp/1/ws", "/ip4/10.0.0.1/udp/1/quic-v1",
                                        "/ip4/8.8.8.8/tcp/1"};
    static const size_t first[] = {3, 0, 4, 2, 1}, last[] = {3, 4, 2, 0, 1};
    enum { N = sizeof texts / sizeof *texts };
    tern_multiaddr *addrs[N];
    size_t order[N];
    (void)state;
    for (size_t i = 0; i < N; i++) {
        addrs[i] = tern_multiaddr_parse(texts[i], NULL);
        assert_non_null(addrs[i]);
    }
    tern_dial_rank_order(addrs, N, true, false, order);
    assert_memory_equal(order, first, sizeof first);
    tern_dial_rank_order(addrs, N, true, true, order);
    assert_memory_equal(order, last, sizeof last);
    for (size_t i = 0; i < N; i++) {
        tern_multiaddr_unref(addrs[i]);
    }
}

static void test_stagger(void **state)
{
    static const struct {
        const char *text;
        uint64_t stagger;
    } table[] = {
        {"/ip4/8.8.8.8/tcp/4001", 250 * TERN_MS},
        {"/ip6/2606:4700::1111/tcp/4001", 250 * TERN_MS},
        {"/ip4/10.0.0.1/tcp/4001", 30 * TERN_MS},
        {"/ip4/127.0.0.1/tcp/4001/ws", 30 * TERN_MS},
        {"/ip6/fd00::1/tcp/4001", 30 * TERN_MS},
        {"/ip4/8.8.8.8/tcp/4001" RELAY, 500 * TERN_MS},
        {"/ip4/10.0.0.1/tcp/4001" RELAY, 500 * TERN_MS},
    };
    (void)state;
    for (size_t i = 0; i < sizeof table / sizeof *table; i++) {
        tern_multiaddr *a = tern_multiaddr_parse(table[i].text, NULL);
        assert_non_null(a);
        assert_int_equal(tern_dial_rank_of(a).stagger, table[i].stagger);
        tern_multiaddr_unref(a);
    }
}

static void test_none_and_one(void **state)
{
    size_t order = 7;
    (void)state;
    tern_dial_rank_order(NULL, 0, true, false, &order);
    assert_int_equal(order, 7);
    tern_multiaddr *a = tern_multiaddr_parse("/ip4/8.8.8.8/tcp/1", NULL);
    tern_dial_rank_order(&a, 1, true, false, &order);
    assert_int_equal(order, 0);
    tern_multiaddr_unref(a);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_classes),      cmocka_unit_test(test_families_take_turns),
        cmocka_unit_test(test_udp_last),     cmocka_unit_test(test_stagger),
        cmocka_unit_test(test_none_and_one),
    };
    return TERN_TEST_MAIN(tests);
}
