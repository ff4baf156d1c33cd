/* Tests of the resolution of names in addresses, over the simulated world's names. */
#include "swarm/resolve.h"

#include <stdio.h>

#include "base/mem.h"
#include "base/test.h"
#include "loop/sim.h"

#define PEER_1 "/p2p/12D3KooWEyoppNCUx8Yx66oV9fJnriXwCcXwDDUA2kj6vnc6iDEp"
#define PEER_2 "/p2p/12D3KooWBtg3aaRMjxwedh83aGiUkwSxDwUZkzuJcfaqUmo7R3pq"

struct world {
    tern_sim *sim;
    tern_net net;
    tern_resolve r;
    unsigned done, count;
    tern_error error;
    char got[16384]; /* "address host\n" each */
};

static void on_addr(tern_resolve *r, const tern_multiaddr *addr, const char *host)
{
    struct world *w = r->owner;
    size_t n = strlen(w->got);
    w->count++;
    assert_int_equal(w->done, 0);
    snprintf(w->got + n, sizeof w->got - n, "%s %s\n", tern_multiaddr_text(addr),
             host != NULL ? host : "-");
}

static void on_done(tern_op *op, const tern_error *error)
{
    struct world *w = TERN_CONTAINER(op, struct world, r.op);
    w->done++;
    w->error = *error;
}

static void setup(struct world *w)
{
    memset(w, 0, sizeof *w);
    assert_int_equal(tern_sim_new(1, &w->sim), 0);
    assert_int_equal(tern_sim_host(w->sim, "10.0.0.1", &w->net.loop), 0);
}

static void teardown(struct world *w)
{
    tern_sim_free(w->sim);
    assert_int_equal(tern_mem_alive(), 0);
}

static void name(struct world *w, const char *host, const char *ip)
{
    assert_int_equal(tern_sim_add_name(w->sim, host, ip), 0);
}

static void txt(struct world *w, const char *host, const char *text)
{
    char value[512];
    snprintf(value, sizeof value, "dnsaddr=%s", text);
    assert_int_equal(tern_sim_add_txt(w->sim, host, value), 0);
}

static void start(struct world *w, const char *text, const char *peer)
{
    tern_multiaddr *addr = tern_multiaddr_parse(text, NULL);
    assert_non_null(addr);
    w->done = w->count = 0;
    w->got[0] = '\0';
    w->r = (tern_resolve){.net = &w->net, .on_addr = on_addr, .owner = w};
    if (peer != NULL) {
        assert_int_equal(tern_peer_id_parse(&w->r.peer, peer + strlen("/p2p/")), 0);
    }
    tern_op_init(&w->r.op, w->net.loop, TERN_NEVER, on_done);
    assert_int_equal(tern_resolve_start(&w->r, addr), 0);
    assert_int_equal(w->done, 0);
    tern_multiaddr_unref(addr);
}

static void resolve(struct world *w, const char *text, const char *peer)
{
    start(w, text, peer);
    tern_sim_run(w->sim, TERN_NEVER, NULL, NULL);
    assert_int_equal(w->done, 1);
}

static void expect(struct world *w, const char *text, const char *peer, const char *want)
{
    resolve(w, text, peer);
    assert_int_equal(w->error.code, 0);
    assert_string_equal(w->got, want);
}

static void test_needed(void **state)
{
    static const struct {
        const char *text;
        bool needed;
    } table[] = {
        {"/dns/a.example/tcp/1", true},  {"/dns4/a.example/tcp/1", true},
        {"/dns6/a.example/tcp/1", true}, {"/dnsaddr/a.example", true},
        {"/ip4/10.0.0.1/tcp/1", false},  {"/ip4/10.0.0.1/tcp/1/tls/sni/a.example/ws", false},
    };
    (void)state;
    for (size_t i = 0; i < sizeof table / sizeof *table; i++) {
        tern_multiaddr *a = tern_multiaddr_parse(table[i].text, NULL);
        assert_int_equal(tern_resolve_needed(a), table[i].needed);
        tern_multiaddr_unref(a);
    }
}

static void test_dns(void **state)
{
    struct world w;
    (void)state;
    setup(&w);
    name(&w, "a.example", "192.0.2.1");
    name(&w, "a.example", "2001:db8::1");
    name(&w, "a.example", "192.0.2.2");
    expect(&w, "/dns4/a.example/tcp/4001", NULL,
           "/ip4/192.0.2.1/tcp/4001 a.example\n/ip4/192.0.2.2/tcp/4001 a.example\n");
    expect(&w, "/dns6/a.example/tcp/4001/ws", NULL, "/ip6/2001:db8::1/tcp/4001/ws a.example\n");
    expect(&w, "/dns/a.example/tcp/1", NULL,
           "/ip6/2001:db8::1/tcp/1 a.example\n/ip4/192.0.2.1/tcp/1 a.example\n"
           "/ip4/192.0.2.2/tcp/1 a.example\n");
    expect(&w, "/dns6/a.example/tcp/1" PEER_1, NULL,
           "/ip6/2001:db8::1/tcp/1" PEER_1 " a.example\n");
    expect(&w, "/ip4/192.0.2.9/tcp/1", NULL, "/ip4/192.0.2.9/tcp/1 -\n"); /* nothing to do */
    teardown(&w);
}

static void test_nothing_found(void **state)
{
    struct world w;
    (void)state;
    setup(&w);
    name(&w, "four.example", "192.0.2.1");
    resolve(&w, "/dns/none.example/tcp/1", NULL);
    assert_int_equal(w.error.code, TERN_E_NOT_FOUND);
    assert_non_null(strstr(w.error.text, "none.example"));
    resolve(&w, "/dns6/four.example/tcp/1", NULL);
    assert_int_equal(w.error.code, TERN_E_NOT_FOUND);
    expect(&w, "/dns/four.example/tcp/1", NULL, "/ip4/192.0.2.1/tcp/1 four.example\n");
    /* TXT records that are no addresses are no error of ours. */
    assert_int_equal(tern_sim_add_txt(w.sim, "_dnsaddr.junk.example", "v=spf1 -all"), 0);
    txt(&w, "_dnsaddr.junk.example", "not an address");
    resolve(&w, "/dnsaddr/junk.example", NULL);
    assert_int_equal(w.error.code, TERN_E_NOT_FOUND);
    assert_int_equal(w.count, 0);
    teardown(&w);
}

static void test_dnsaddr(void **state)
{
    struct world w;
    (void)state;
    setup(&w);
    txt(&w, "_dnsaddr.boot.example", "/dnsaddr/eu.boot.example" PEER_1);
    txt(&w, "_dnsaddr.boot.example", "/ip4/192.0.2.7/tcp/7" PEER_2);
    txt(&w, "_dnsaddr.eu.boot.example", "/dns4/host.example/tcp/4001" PEER_1);
    txt(&w, "_dnsaddr.eu.boot.example", "/ip4/192.0.2.8/tcp/8" PEER_1);
    txt(&w, "_dnsaddr.eu.boot.example", "/ip4/192.0.2.9/tcp/9" PEER_2); /* not what was asked */
    name(&w, "host.example", "192.0.2.1");
    expect(&w, "/dnsaddr/boot.example", NULL,
           "/ip4/192.0.2.7/tcp/7" PEER_2 " -\n/ip4/192.0.2.8/tcp/8" PEER_1 " -\n"
           "/ip4/192.0.2.1/tcp/4001" PEER_1 " host.example\n");
    /* Named in the address, or by the caller: only that peer's. */
    expect(&w, "/dnsaddr/boot.example" PEER_2, NULL, "/ip4/192.0.2.7/tcp/7" PEER_2 " -\n");
    expect(&w, "/dnsaddr/boot.example", PEER_2, "/ip4/192.0.2.7/tcp/7" PEER_2 " -\n");
    teardown(&w);
}

static void test_loops_end(void **state)
{
    struct world w;
    (void)state;
    setup(&w);
    txt(&w, "_dnsaddr.self.example", "/dnsaddr/self.example");
    txt(&w, "_dnsaddr.ping.example", "/dnsaddr/pong.example");
    txt(&w, "_dnsaddr.pong.example", "/dnsaddr/ping.example");
    txt(&w, "_dnsaddr.mixed.example", "/dnsaddr/mixed.example");
    txt(&w, "_dnsaddr.mixed.example", "/ip4/192.0.2.1/tcp/1");
    resolve(&w, "/dnsaddr/self.example", NULL);
    assert_int_equal(w.error.code, TERN_E_LIMIT);
    assert_int_equal(w.r.lookup_count, TERN_RESOLVE_DEPTH_MAX + 1);
    resolve(&w, "/dnsaddr/ping.example", NULL);
    assert_int_equal(w.error.code, TERN_E_LIMIT);
    resolve(&w, "/dnsaddr/mixed.example", NULL); /* what was found is of use */
    assert_int_equal(w.error.code, 0);
    assert_int_equal(w.count, TERN_RESOLVE_DEPTH_MAX + 1);
    teardown(&w);
}

static void test_bounds(void **state)
{
    struct world w;
    char text[128];
    (void)state;
    setup(&w);
    for (int i = 0; i < 60; i++) {
        snprintf(text, sizeof text, "/dnsaddr/wide.example/tcp/%d", i + 1);
        txt(&w, "_dnsaddr.wide.example", "/dnsaddr/wide.example"); /* grows by sixty a step */
        snprintf(text, sizeof text, "/ip4/192.0.2.1/tcp/%d", i + 1);
        txt(&w, "_dnsaddr.many.example", text);
    }
    resolve(&w, "/dnsaddr/wide.example", NULL);
    assert_int_equal(w.error.code, TERN_E_LIMIT);
    assert_int_equal(w.r.lookup_count, TERN_RESOLVE_LOOKUPS_MAX);
    txt(&w, "_dnsaddr.top.example", "/dnsaddr/many.example");
    txt(&w, "_dnsaddr.top.example", "/dnsaddr/many.example");
    resolve(&w, "/dnsaddr/top.example", NULL);
    assert_int_equal(w.error.code, 0);
    assert_int_equal(w.count, TERN_RESOLVE_RESULTS_MAX);
    teardown(&w);
}

/* A long name is asked for whole, and refused when it is no name; never cut to another one. */
static void test_long_names(void **state)
{
    struct world w;
    char host[251], cut[241], text[400];
    (void)state;
    setup(&w);
    for (size_t i = 0; i < 250; i++) {
        host[i] = i % 50 == 49 ? '.' : 'a';
    }
    host[249] = 'b';
    host[250] = '\0';
    memcpy(cut, host, 240);
    cut[240] = '\0';
    name(&w, cut, "192.0.2.66");
    name(&w, host, "192.0.2.1");
    snprintf(text, sizeof text, "/dns4/%s/tcp/1", host);
    resolve(&w, text, NULL);
    assert_int_equal(w.error.code, 0);
    assert_memory_equal(w.got, "/ip4/192.0.2.1/tcp/1 aaa", 24);
    snprintf(text, sizeof text, "/dnsaddr/%s", host); /* its prefix makes it too long */
    resolve(&w, text, NULL);
    assert_int_equal(w.error.code, TERN_E_INVALID);
    teardown(&w);
}

static void test_cancel(void **state)
{
    struct world w;
    (void)state;
    setup(&w);
    name(&w, "a.example", "192.0.2.1");
    start(&w, "/dns/a.example/tcp/1", NULL);
    tern_op_cancel(&w.r.op);
    tern_sim_run(w.sim, TERN_NEVER, NULL, NULL);
    assert_int_equal(w.done, 0);
    assert_int_equal(w.count, 0);
    teardown(&w);
}

static void test_failing_allocations(void **state)
{
    (void)state;
    for (size_t i = 1;; i++) {
        struct world w;
        setup(&w);
        name(&w, "host.example", "192.0.2.1");
        txt(&w, "_dnsaddr.a.example", "/dns4/host.example/tcp/4001");
        tern_multiaddr *addr = tern_multiaddr_parse("/dnsaddr/a.example", NULL);
        w.r = (tern_resolve){.net = &w.net, .on_addr = on_addr, .owner = &w};
        tern_op_init(&w.r.op, w.net.loop, TERN_NEVER, on_done);
        tern_mem_fail_at(i, 0);
        assert_int_equal(tern_resolve_start(&w.r, addr), 0);
        tern_sim_run(w.sim, TERN_NEVER, NULL, NULL);
        size_t made = tern_mem_count();
        tern_mem_fail_at(0, 0);
        tern_multiaddr_unref(addr);
        assert_int_equal(w.done, 1);
        assert_true((w.count > 0) == (w.error.code == 0));
        assert_true(made >= i || w.count == 1);
        teardown(&w);
        if (made < i) {
            assert_true(i > 5);
            return;
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_needed),
        cmocka_unit_test(test_dns),
        cmocka_unit_test(test_nothing_found),
        cmocka_unit_test(test_dnsaddr),
        cmocka_unit_test(test_loops_end),
        cmocka_unit_test(test_bounds),
        cmocka_unit_test(test_long_names),
        cmocka_unit_test(test_cancel),
        cmocka_unit_test(test_failing_allocations),
    };
    return TERN_TEST_MAIN(tests);
}
