/* What a client keeps of a server: each ticket once, the newest first, and nothing that somebody
 * else wrote. */
#include "quic/kept.h"

#include "base/mem.h"
#include "base/test.h"
#include "loop/sim.h"

typedef struct world {
    tern_net net;
    tern_quic quic;
    tern_sim *sim;
    tern_key *server;
    tern_peer_id peer;
    tern_endpoint at;
    uint8_t *blob;
    size_t n;
} world;

static world *w; /* of the running test */

static int keep(tern_net *net, const tern_peer_id *peer, tern_kept kind, const void *blob, size_t n,
                uint64_t life)
{
    (void)net;
    (void)life;
    assert_true(tern_peer_id_equal(peer, &w->peer));
    assert_int_equal(kind, TERN_KEPT_QUIC_TICKET);
    assert_true(n <= QUIC_KEPT_MAX);
    uint8_t *copy = n > 0 ? tern_memdup(blob, n) : NULL;
    tern_free(w->blob);
    w->blob = copy;
    w->n = n;
    return 0;
}

static const uint8_t *recall(tern_net *net, const tern_peer_id *peer, tern_kept kind, size_t *ret_n)
{
    (void)net;
    (void)peer;
    (void)kind;
    *ret_n = w->n;
    return w->blob;
}

static const tern_net_ops ops = {.remember = keep, .recall = recall};

static void open_world(world *x)
{
    memset(x, 0, sizeof *x);
    w = x;
    assert_int_equal(tern_sim_new(1, &x->sim), 0);
    assert_int_equal(tern_sim_host(x->sim, "10.0.0.1", &x->net.loop), 0);
    x->net.ops = &ops;
    x->quic.net = &x->net;
    memset(x->quic.kept_key, 7, sizeof x->quic.kept_key);
    assert_int_equal(tern_key_generate(TERN_KEY_ED25519, &x->server), 0);
    tern_key_peer_id(x->server, &x->peer);
    assert_int_equal(tern_endpoint_parse_ip(&x->at, "192.0.2.7"), 0);
    x->at.port = 4001;
}

static void close_world(world *x)
{
    tern_free(x->blob);
    tern_key_unref(x->server);
    tern_sim_free(x->sim);
}

static void add(world *x, const char *session)
{
    quic_kept_add(&x->quic, x->server, (tern_span){(const uint8_t *)session, strlen(session)},
                  (tern_span){(const uint8_t *)"params", 6}, 3600 * TERN_SEC);
}

/* Takes one out: it is this one, or there is none (NULL). */
static void takes(world *x, const char *session)
{
    quic_kept k;
    quic_kept_take(&x->quic, &x->peer, &x->at, &k);
    if (session == NULL) {
        assert_null(k.session);
    } else {
        assert_non_null(k.session);
        assert_int_equal(k.session_n, strlen(session));
        assert_memory_equal(k.session, session, k.session_n);
        assert_int_equal(k.params_n, 6);
        assert_true(tern_key_equal_public(k.key, x->server));
    }
    quic_kept_clear(&k);
}

static void test_each_once(void **state)
{
    world x;
    (void)state;
    open_world(&x);
    takes(&x, NULL);
    add(&x, "one");
    add(&x, "two");
    takes(&x, "two");
    takes(&x, "one");
    takes(&x, NULL);
    assert_null(x.blob);
    for (unsigned i = 0; i < QUIC_KEPT_TICKETS + 2; i++) {
        char name[2] = {(char)('a' + i), 0};
        add(&x, name);
    }
    takes(&x, "f");
    takes(&x, "e");
    takes(&x, "d");
    takes(&x, "c");
    takes(&x, NULL);
    close_world(&x);
}

/* Tickets with the certificates of RSA 8192 are large: as many as fit are kept. */
static void test_large(void **state)
{
    world x;
    static char large[7000];
    (void)state;
    open_world(&x);
    for (unsigned i = 0; i < 3; i++) {
        memset(large, 'a' + (int)i, sizeof large - 1);
        add(&x, large);
    }
    takes(&x, large);
    memset(large, 'b', sizeof large - 1);
    takes(&x, large);
    takes(&x, NULL);
    close_world(&x);
}

static void test_token(void **state)
{
    world x;
    quic_kept k;
    tern_endpoint other;
    (void)state;
    open_world(&x);
    quic_kept_token(&x.quic, &x.peer, &x.at, (tern_span){(const uint8_t *)"token", 5});
    add(&x, "one");
    other = x.at;
    other.port++;
    quic_kept_take(&x.quic, &x.peer, &other, &k);
    assert_int_equal(k.token_n, 0);
    assert_non_null(k.session);
    quic_kept_clear(&k);
    quic_kept_take(&x.quic, &x.peer, &x.at, &k);
    assert_int_equal(k.token_n, 5);
    assert_memory_equal(k.token, "token", 5);
    assert_null(k.session);
    quic_kept_clear(&k);
    add(&x, "one");
    quic_kept_forget(&x.quic, &x.peer);
    quic_kept_take(&x.quic, &x.peer, &x.at, &k);
    assert_int_equal(k.token_n, 5);
    assert_null(k.session);
    quic_kept_clear(&k);
    close_world(&x);
}

/* Cut, changed, written with another identity, or of another peer: as if there were nothing. */
static void test_hostile(void **state)
{
    world x;
    (void)state;
    open_world(&x);
    add(&x, "one");
    size_t n = x.n;
    uint8_t *good = tern_memdup(x.blob, n);
    for (size_t cut = 0; cut < n; cut++) {
        keep(&x.net, &x.peer, TERN_KEPT_QUIC_TICKET, good, cut, 1);
        takes(&x, NULL);
    }
    for (size_t i = 0; i < n; i++) {
        uint8_t *bad = tern_memdup(good, n);
        bad[i] ^= 0x10;
        keep(&x.net, &x.peer, TERN_KEPT_QUIC_TICKET, bad, n, 1);
        takes(&x, NULL);
        tern_free(bad);
    }
    x.quic.kept_key[0]++;
    keep(&x.net, &x.peer, TERN_KEPT_QUIC_TICKET, good, n, 1);
    takes(&x, NULL);
    x.quic.kept_key[0]--;
    tern_peer_id right = x.peer;
    tern_key *other;
    assert_int_equal(tern_key_generate(TERN_KEY_ED25519, &other), 0);
    tern_key_peer_id(other, &x.peer);
    tern_key_unref(other);
    takes(&x, NULL);
    x.peer = right;
    takes(&x, "one");
    tern_free(good);
    close_world(&x);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_each_once),
                                       cmocka_unit_test(test_large), cmocka_unit_test(test_token),
                                       cmocka_unit_test(test_hostile)};
    return TERN_TEST_MAIN(tests);
}
