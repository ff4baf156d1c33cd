/* Tests of the simulated world as a whole: runs repeat, and a thousand hosts are cheap. */
#include <stdio.h>

#include "loop/sim_tcp_test.h"

/* --- the whole --- */

static uint64_t replay(uint64_t seed)
{
    struct fixture f;
    uint64_t hash = UINT64_C(0xcbf29ce484222325);
    tern_sim_link link = {
        .delay = 20 * TERN_MS, .jitter = 7 * TERN_MS, .rate = 5000000, .loss = 0.02};
    setup(&f, seed, &link);
    f.d.trace = f.s.trace = &hash;
    f.d.want = 200000;
    f.d.finish = true;
    f.s.echo = true;
    dial(&f, "10.0.0.2", PORT);
    run(&f);
    assert_int_equal(f.d.got, 200000);
    teardown(&f);
    return hash;
}

static void test_replay(void **state)
{
    (void)state;
    uint64_t first = replay(11);
    assert_int_equal(replay(11), first);
    assert_int_not_equal(replay(12), first);
}

static void test_a_thousand_hosts(void **state)
{
    (void)state;
    enum { HOSTS = 1000, TALK = 2000 };
    static struct end dialler[HOSTS], server[HOSTS];
    static tern_tcp_listener *listener[HOSTS];
    static tern_loop *host[HOSTS];
    memset(dialler, 0, sizeof dialler);
    memset(server, 0, sizeof server);
    tern_sim *sim;
    assert_int_equal(tern_sim_new(1, &sim), 0);
    tern_sim_set_default_link(sim, &(tern_sim_link){.delay = 20 * TERN_MS, .rate = 10000000});
    tern_endpoint any = {.family = 4, .port = PORT};
    char ip[32];
    for (unsigned i = 0; i < HOSTS; i++) {
        snprintf(ip, sizeof ip, "10.1.%u.%u", i / 250, i % 250 + 1);
        assert_int_equal(tern_sim_host(sim, ip, &host[i]), 0);
        server[i] = (struct end){.sim = sim, .echo = true};
        assert_int_equal(tern_tcp_listen(host[i], &any, on_accept, &server[i], &listener[i]), 0);
    }
    for (unsigned i = 0; i < HOSTS; i++) {
        unsigned next = (i + 1) % HOSTS;
        snprintf(ip, sizeof ip, "10.1.%u.%u", next / 250, next % 250 + 1);
        tern_endpoint to = at(ip, PORT);
        dialler[i] = (struct end){.sim = sim, .want = TALK};
        assert_int_equal(tern_tcp_dial(host[i], &to, NULL, &events, &dialler[i], &dialler[i].t), 0);
    }
    uint64_t start = tern_sim_now(sim);
    tern_sim_run(sim, TERN_NEVER, NULL, NULL);
    for (unsigned i = 0; i < HOSTS; i++) {
        assert_int_equal(dialler[i].connected_at, start + 40 * TERN_MS);
        assert_int_equal(dialler[i].got, TALK);
        tern_tcp_close(dialler[i].t, false);
        tern_tcp_close(server[i].t, false);
        tern_tcp_listener_close(listener[i]);
    }
    tern_sim_run(sim, TERN_NEVER, NULL, NULL);
    /* The cost is that of the traffic, whatever the number of hosts. */
    assert_true(tern_sim_get_stats(sim).events < 40 * HOSTS);
    tern_sim_free(sim);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_replay),
        cmocka_unit_test(test_a_thousand_hosts),
    };
    return TERN_TEST_MAIN(tests);
}
