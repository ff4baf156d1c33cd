/* Tests of the peer store: addresses with expiry, protocols, its bounds, failing allocations. */
#include "swarm/peerstore.h"

#include <stdio.h>

#include <tern/error.h>

#include "base/test.h"
#include "codec/multiaddr.h"

static tern_peer_id peer(uint32_t n)
{
    tern_peer_id id = {.len = 6, .bytes = {0, 4}};
    memcpy(id.bytes + 2, &n, sizeof n);
    return id;
}

static int add(tern_peerstore *store, uint32_t n, unsigned port, uint64_t until)
{
    char text[64];
    tern_peer_id id = peer(n);
    snprintf(text, sizeof text, "/ip4/10.0.0.1/tcp/%u", port);
    tern_multiaddr *a = tern_multiaddr_parse(text, NULL);
    int code = a != NULL ? tern_peerstore_add_addr(store, &id, a, until) : TERN_E_NOMEM;
    tern_multiaddr_unref(a);
    return code;
}

static tern_known_peer *get(tern_peerstore *store, uint32_t n)
{
    tern_peer_id id = peer(n);
    return tern_peerstore_get(store, &id);
}

static void test_addresses(void **state)
{
    tern_peerstore store;
    (void)state;
    tern_peerstore_init(&store);
    assert_null(get(&store, 1));
    assert_int_equal(add(&store, 1, 1, 100), 0);
    assert_int_equal(add(&store, 1, 2, 200), 0);
    assert_int_equal(add(&store, 1, 1, 50), 0); /* the later time wins */
    tern_known_peer *p = get(&store, 1);
    assert_int_equal(p->addr_count, 2);
    assert_string_equal(tern_multiaddr_text(p->addrs[0].addr), "/ip4/10.0.0.1/tcp/1");
    assert_int_equal(p->addrs[0].until, 100);
    assert_int_equal(add(&store, 1, 1, 300), 0);
    assert_int_equal(p->addrs[0].until, 300);
    assert_null(get(&store, 2));
    tern_peerstore_free(&store);
}

static void test_doubt(void **state)
{
    tern_peerstore store;
    tern_peer_id id = peer(1);
    tern_multiaddr *one = tern_multiaddr_parse("/ip4/10.0.0.1/tcp/1", NULL);
    (void)state;
    tern_peerstore_init(&store);
    tern_peerstore_doubt(&store, &id, one, 50);
    assert_null(get(&store, 1)); /* nothing is learned of what does not answer */
    assert_int_equal(add(&store, 1, 1, 100), 0);
    assert_int_equal(add(&store, 1, 2, 100), 0);
    tern_peerstore_doubt(&store, &id, one, 50);
    tern_peerstore_doubt(&store, &id, one, 70);
    assert_int_equal(get(&store, 1)->addrs[0].until, 50);
    assert_int_equal(get(&store, 1)->addrs[1].until, 100);
    assert_int_equal(add(&store, 1, 1, 200), 0); /* it answered again */
    assert_int_equal(get(&store, 1)->addrs[0].until, 200);
    tern_multiaddr_unref(one);
    tern_peerstore_free(&store);
}

static void test_certified(void **state)
{
    tern_peerstore store;
    tern_peer_id id = peer(1);
    tern_multiaddr *one = tern_multiaddr_parse("/ip4/10.0.0.1/tcp/1", NULL);
    tern_multiaddr *two = tern_multiaddr_parse("/ip4/10.0.0.1/tcp/2", NULL);
    (void)state;
    tern_peerstore_init(&store);
    assert_int_equal(add(&store, 1, 9, 100), 0);
    assert_true(tern_peerstore_renew(&store, &id, 5));
    assert_int_equal(tern_peerstore_certify(&store, &id, one, 5, 100), 0);
    assert_false(tern_peerstore_renew(&store, &id, 4));
    assert_true(tern_peerstore_renew(&store, &id, 5));
    assert_true(tern_peerstore_renew(&store, &id, 6));
    assert_int_equal(tern_peerstore_certify(&store, &id, two, 6, 100), 0);
    tern_peerstore_drop_older(&store, &id);
    tern_known_peer *p = get(&store, 1);
    assert_int_equal(p->addr_count, 2); /* what no record had stays */
    assert_string_equal(tern_multiaddr_text(p->addrs[0].addr), "/ip4/10.0.0.1/tcp/9");
    assert_string_equal(tern_multiaddr_text(p->addrs[1].addr), "/ip4/10.0.0.1/tcp/2");
    tern_multiaddr_unref(one);
    tern_multiaddr_unref(two);
    tern_peerstore_free(&store);
}

static void test_a_full_list_drops_what_expires_first(void **state)
{
    tern_peerstore store;
    (void)state;
    tern_peerstore_init(&store);
    for (unsigned i = 0; i < TERN_PEERSTORE_ADDRS_MAX; i++) {
        assert_int_equal(add(&store, 1, i + 1, i == 7 ? 5 : 1000 + i), 0);
    }
    assert_int_equal(add(&store, 1, 60000, 2000), 0);
    tern_known_peer *p = get(&store, 1);
    assert_int_equal(p->addr_count, TERN_PEERSTORE_ADDRS_MAX);
    assert_string_equal(tern_multiaddr_text(p->addrs[7].addr), "/ip4/10.0.0.1/tcp/60000");
    tern_peerstore_free(&store);
}

static void test_the_least_recent_peer_is_forgotten(void **state)
{
    tern_peerstore store;
    (void)state;
    tern_peerstore_init(&store);
    for (uint32_t i = 0; i < TERN_PEERSTORE_PEERS_MAX; i++) {
        assert_int_equal(add(&store, i, 1, 100), 0);
    }
    assert_int_equal(add(&store, 0, 2, 100), 0); /* used again */
    assert_int_equal(add(&store, 1000000, 1, 100), 0);
    assert_int_equal(tern_map_len(&store.peers), TERN_PEERSTORE_PEERS_MAX);
    assert_non_null(get(&store, 0));
    assert_null(get(&store, 1));
    assert_non_null(get(&store, 1000000));
    tern_peerstore_free(&store);
}

static void test_protocols(void **state)
{
    static const char *const first[] = {"/a", "/b"}, *const second[] = {"/c"};
    tern_peerstore store;
    tern_peer_id id = peer(1);
    (void)state;
    tern_peerstore_init(&store);
    assert_false(tern_peerstore_speaks(&store, &id, "/a"));
    assert_int_equal(add(&store, 1, 1, 100), 0);
    assert_false(get(&store, 1)->identified);
    assert_int_equal(tern_peerstore_set_protocols(&store, &id, first, 2), 0);
    assert_true(get(&store, 1)->identified);
    assert_true(tern_peerstore_speaks(&store, &id, "/a"));
    assert_true(tern_peerstore_speaks(&store, &id, "/b"));
    assert_int_equal(tern_peerstore_set_protocols(&store, &id, second, 1), 0);
    assert_false(tern_peerstore_speaks(&store, &id, "/a"));
    assert_true(tern_peerstore_speaks(&store, &id, "/c"));
    assert_int_equal(tern_peerstore_set_protocols(&store, &id, NULL, 0), 0);
    assert_false(tern_peerstore_speaks(&store, &id, "/c"));
    assert_true(get(&store, 1)->identified);
    assert_int_equal(get(&store, 1)->addr_count, 1); /* untouched */
    tern_peerstore_free(&store);
}

static void test_too_many_protocols_are_cut(void **state)
{
    const char *ids[TERN_PEERSTORE_PROTOCOLS_MAX + 1];
    tern_peerstore store;
    tern_peer_id id = peer(1);
    (void)state;
    for (size_t i = 0; i <= TERN_PEERSTORE_PROTOCOLS_MAX; i++) {
        ids[i] = i == TERN_PEERSTORE_PROTOCOLS_MAX ? "/last" : "/x";
    }
    tern_peerstore_init(&store);
    assert_int_equal(
        tern_peerstore_set_protocols(&store, &id, ids, TERN_PEERSTORE_PROTOCOLS_MAX + 1), 0);
    assert_int_equal(get(&store, 1)->protocol_count, TERN_PEERSTORE_PROTOCOLS_MAX);
    assert_false(tern_peerstore_speaks(&store, &id, "/last"));
    tern_peerstore_free(&store);
}

static void test_cautious(void **state)
{
    tern_peerstore store;
    tern_peer_id id = peer(1);
    (void)state;
    tern_peerstore_init(&store);
    tern_peerstore_set_cautious(&store, &id);
    assert_true(get(&store, 1)->cautious);
    tern_peerstore_free(&store);
}

static void test_failing_allocations(void **state)
{
    static const char *const ids[] = {"/a", "/b", "/c"};
    tern_peer_id id = peer(1);
    (void)state;
    for (size_t i = 1;; i++) {
        tern_peerstore store;
        tern_peerstore_init(&store);
        tern_mem_fail_at(i, 0);
        int code = add(&store, 1, 1, 100);
        code = code != 0 ? code : add(&store, 1, 2, 100);
        code = code != 0 ? code : tern_peerstore_set_protocols(&store, &id, ids, 3);
        size_t made = tern_mem_count();
        tern_mem_fail_at(0, 0);
        assert_int_equal(code, made < i ? 0 : TERN_E_NOMEM);
        tern_peerstore_free(&store);
        assert_int_equal(tern_mem_alive(), 0);
        if (made < i) {
            assert_true(i > 8);
            return;
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_addresses),
        cmocka_unit_test(test_doubt),
        cmocka_unit_test(test_certified),
        cmocka_unit_test(test_a_full_list_drops_what_expires_first),
        cmocka_unit_test(test_the_least_recent_peer_is_forgotten),
        cmocka_unit_test(test_protocols),
        cmocka_unit_test(test_too_many_protocols_are_cut),
        cmocka_unit_test(test_cautious),
        cmocka_unit_test(test_failing_allocations),
    };
    return TERN_TEST_MAIN(tests);
}
