/* WebTransport between whole nodes in the simulated world: round trips, loss, certificates that
 * change, restarts, ends. */
#include <stdio.h>

#include "sim/nodes.h"
#include "webtransport/cert_plan.h"
#include "webtransport/certs.h"

#define RTT (100 * TERN_MS)

typedef struct world {
    sim_nodes w;
    sim_node *a, *b;
    char addr[512]; /* of b */
} world;

static void listen_on(sim_node *n, char *addr, size_t cap)
{
    tern_error error;
    if (tern_node_listen(n->node, "/ip4/10.0.0.2/udp/4001/quic-v1/webtransport", addr, cap,
                         &error) != 0) {
        fail_msg("listen: %s: %s", error.layer, error.text);
    }
}

static void open_world(world *x, const tern_sim_link *link)
{
    memset(x, 0, sizeof *x);
    sim_nodes_init(&x->w, RTT / 2);
    if (link != NULL) {
        tern_sim_set_default_link(x->w.sim, link);
    }
    x->a = sim_nodes_add(&x->w, "-10.0.0.1", NULL);
    x->b = sim_nodes_add(&x->w, "10.0.0.2", NULL);
    listen_on(x->b, x->addr, sizeof x->addr);
}

static tern_conn *connect(world *x)
{
    sim_dial d;
    sim_nodes_dial_one(x->a, x->addr, &d);
    if (d.conn == NULL) {
        fail_msg("dial: %s: %s", d.error.layer, d.error.text);
    }
    return d.conn;
}

static void three_round_trips(void **state)
{
    world x;
    sim_dial d;
    sim_ping p;
    (void)state;
    open_world(&x, NULL);
    uint64_t start = sim_nodes_now(&x.w);
    sim_nodes_dial_one(x.a, x.addr, &d);
    if (d.conn == NULL) {
        fail_msg("dial: %s: %s", d.error.layer, d.error.text);
    }
    assert_int_equal((d.at - start) / TERN_MS, 2 * RTT / TERN_MS);
    sim_nodes_ping(x.a, d.conn, &p);
    assert_int_equal(p.error.code, 0);
    assert_int_equal((p.at - start) / TERN_MS, 3 * RTT / TERN_MS);
    sim_nodes_clear(&x.w);
}

static void facts(void **state)
{
    world x;
    (void)state;
    open_world(&x, NULL);
    tern_conn *c = connect(&x);
    sim_nodes_run(&x.w, TERN_SEC);
    const tern_conn_facts *f = tern_conn_get_facts(c), *g = tern_conn_get_facts(x.b->conn);
    assert_string_equal(f->transport, "webtransport");
    assert_string_equal(f->security, "noise");
    assert_string_equal(f->muxer, "native");
    assert_true(tern_peer_id_equal(&f->peer, &x.b->id));
    assert_true(tern_peer_id_equal(&g->peer, &x.a->id));
    assert_true(!f->inbound && g->inbound);
    assert_string_equal(tern_multiaddr_text(g->local),
                        "/ip4/10.0.0.2/udp/4001/quic-v1/webtransport");
    assert_int_equal(x.a->identified, 1);
    assert_int_equal(x.b->identified, 1);
    assert_non_null(strstr(x.a->addrs, "/udp/4001/quic-v1/webtransport/certhash/"));
    /* Idle for long: both keep it. */
    sim_nodes_run(&x.w, 600 * TERN_SEC);
    assert_int_equal(x.a->disconnected + x.b->disconnected, 0);
    assert_int_equal(c->stream_count, c->own_count);
    sim_nodes_clear(&x.w);
}

typedef struct moved {
    unsigned done;
    tern_perf_result result;
    tern_error error;
} moved;

static void on_moved(void *owner, const tern_perf_result *result, const tern_error *error)
{
    moved *m = owner;
    m->done++;
    m->result = *result;
    m->error = *error;
}

static void moves(const tern_sim_link *link, uint64_t bytes, uint64_t within)
{
    world x;
    moved m = {0};
    tern_error error;
    open_world(&x, link);
    assert_int_equal(tern_node_serve_perf(x.b->node), 0);
    tern_conn *c = connect(&x);
    assert_int_equal(tern_node_perf(x.a->node, c, bytes, bytes, NULL, on_moved, &m, &error), 0);
    sim_nodes_wait(&x.w, &m.done, 1, within);
    if (m.done == 0 || m.error.code != 0) {
        fail_msg("done %u: %s: %s", m.done, m.error.layer, m.error.text);
    }
    assert_int_equal(m.result.sent, bytes);
    assert_int_equal(m.result.received, bytes);
    assert_int_equal(x.a->disconnected + x.b->disconnected, 0);
    sim_nodes_clear(&x.w);
}

static void bytes_arrive(void **state)
{
    (void)state;
    moves(&(tern_sim_link){.delay = RTT / 2}, 8 << 20, 60 * TERN_SEC);
    moves(&(tern_sim_link){.delay = 10 * TERN_MS, .loss = 0.03}, 2 << 20, 240 * TERN_SEC);
    moves(&(tern_sim_link){.delay = 10 * TERN_MS, .jitter = 15 * TERN_MS}, 2 << 20, 240 * TERN_SEC);
}

/* Reordered and lost first flights: the stream may come before its CONNECT. */
static void rough_beginnings(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed <= 60; seed++) {
        sim_nodes w;
        sim_dial d;
        char addr[512];
        const tern_sim_link link = {
            .delay = 10 * TERN_MS, .jitter = 15 * TERN_MS, .loss = 0.1, .duplicate = 0.05};
        sim_nodes_init_seeded(&w, seed, &link);
        sim_node *a = sim_nodes_add(&w, "-10.0.0.1", NULL);
        sim_node *b = sim_nodes_add(&w, "10.0.0.2", NULL);
        listen_on(b, addr, sizeof addr);
        sim_nodes_dial_one(a, addr, &d);
        if (d.conn == NULL) {
            fail_msg("seed %u: %s: %s", (unsigned)seed, d.error.layer, d.error.text);
        }
        sim_nodes_clear(&w);
    }
}

/* ---- certificates ---- */

static const char *hash_of(const char *addr, unsigned which)
{
    static char out[2][80];
    const char *at = addr;
    for (unsigned i = 0; i <= which && at != NULL; i++) {
        at = strstr(at + (i > 0), "/certhash/");
    }
    assert_non_null(at);
    size_t n = strcspn(at + strlen("/certhash/"), "/");
    snprintf(out[which], sizeof out[which], "%.*s", (int)n, at + strlen("/certhash/"));
    return out[which];
}

/* What the node announces now. */
static void announced(sim_node *n, char *out, size_t cap)
{
    tern_multiaddr *const *addrs;
    tern_net *net = tern_node_net(n->node);
    size_t count = net->ops->addresses(net, &addrs);
    out[0] = 0;
    for (size_t i = 0; i < count; i++) {
        if (strstr(tern_multiaddr_text(addrs[i]), "/webtransport") != NULL) {
            snprintf(out, cap, "%s", tern_multiaddr_text(addrs[i]));
        }
    }
    assert_true(out[0] != 0);
}

static void a_restart_keeps_the_address(void **state)
{
    world x;
    char again[512];
    (void)state;
    open_world(&x, NULL);
    assert_string_not_equal(hash_of(x.addr, 0), hash_of(x.addr, 1));
    tern_options o;
    tern_options_init(&o);
    tern_key *key = tern_key_ref(tern_node_net(x.b->node)->key);
    o.key = key;
    sim_node_vanish(x.b);
    x.b = sim_nodes_add(&x.w, "-10.0.0.2", &o);
    listen_on(x.b, again, sizeof again);
    assert_string_equal(again, x.addr);
    connect(&x);
    tern_key_unref(key);
    sim_nodes_clear(&x.w);
}

/* Three changes of the certificate, with an address learned just before or after each: it can be
 * dialled at any moment until the second change, and what is shown is always announced. */
static void certificates_change(void **state)
{
    world x;
    char old[512], now[512];
    (void)state;
    open_world(&x, NULL);
    const tern_webtransport *w = tern_node_net(x.b->node)->webtransport;
    for (unsigned change = 0; change < 3; change++) {
        const uint64_t number = w->number;
        const uint64_t at = tern_wt_cert_change(number, w->phase) * TERN_SEC;
        const uint64_t steps[] = {24 * 3600 * TERN_SEC, 2 * TERN_SEC};
        announced(x.b, old, sizeof old);
        for (size_t i = 0; i < 2; i++) {
            tern_sim_set_wall(x.w.sim, at - steps[i]);
            sim_nodes_run(&x.w, steps[i] / (i == 0 ? 100000 : 4));
            assert_int_equal(w->number, number);
            snprintf(x.addr, sizeof x.addr, "%s", old);
            tern_conn_abort(connect(&x), 0, NULL);
            announced(x.b, now, sizeof now);
            assert_string_equal(now, old);
        }
        /* the node finds out by itself, within the hour */
        sim_nodes_run(&x.w, 3601 * TERN_SEC);
        assert_int_equal(w->number, number + 1);
        announced(x.b, now, sizeof now);
        assert_string_equal(hash_of(now, 0), hash_of(old, 1) /* the next became the present */);
        tern_conn_abort(connect(&x), 0, NULL); /* by the old address */
        snprintf(x.addr, sizeof x.addr, "%s", now);
        tern_conn_abort(connect(&x), 0, NULL);
    }
    sim_nodes_clear(&x.w);
}

/* A clock that is almost an hour off, ours or the server's, finds the certificate valid. */
static void clocks_are_off(void **state)
{
    (void)state;
    for (uint64_t phase = 0; phase < 3 * TERN_WT_CERT_PERIOD; phase += TERN_WT_CERT_PERIOD / 7) {
        for (uint64_t now = UINT64_C(1700000000); now < UINT64_C(1700000000) + 40 * 86400;
             now += 3599) {
            uint64_t n = tern_wt_cert_at(now, phase), from = tern_wt_cert_from(n, phase);
            assert_true(from <= now - TERN_WT_CERT_SKEW);
            assert_true(now + TERN_WT_CERT_SKEW <= tern_wt_cert_until(n, phase));
            assert_int_equal(tern_wt_cert_until(n, phase) - from, 14 * 86400);
            assert_int_equal(tern_wt_cert_at(tern_wt_cert_change(n, phase) - 1, phase), n);
            assert_int_equal(tern_wt_cert_at(tern_wt_cert_change(n, phase), phase), n + 1);
            assert_true(tern_wt_cert_from(n + 1, phase) + TERN_WT_CERT_SKEW ==
                        tern_wt_cert_change(n, phase));
        }
    }
}

/* The hash of another certificate: refused in TLS, before anything is said. */
static void a_wrong_certificate(void **state)
{
    world x;
    sim_dial d;
    (void)state;
    open_world(&x, NULL);
    char *hash = strstr(x.addr, "/certhash/uEi");
    for (unsigned i = 0; i < 2; i++) {
        hash[20] = hash[20] == 'A' ? 'B' : 'A';
        hash = strstr(hash + 1, "/certhash/uEi");
    }
    sim_nodes_dial_one(x.a, x.addr, &d);
    assert_null(d.conn);
    assert_int_equal(sim_counters(x.a)->wt_wrong_certificate, 1);
    assert_non_null(strstr(d.error.text, "address"));
    sim_nodes_run(&x.w, 20 * TERN_SEC);
    assert_int_equal(tern_node_net(x.b->node)->natives, 0);
    sim_nodes_clear(&x.w);
}

/* One hash of the address is the certificate's, the other is nobody's: Noise does not vouch. */
static void a_hash_that_noise_does_not_name(void **state)
{
    world x;
    sim_dial d;
    (void)state;
    open_world(&x, NULL);
    char *hash = strstr(strstr(x.addr, "/certhash/uEi") + 1, "/certhash/uEi");
    hash[20] = hash[20] == 'A' ? 'B' : 'A';
    sim_nodes_dial_one(x.a, x.addr, &d);
    assert_null(d.conn);
    assert_int_equal(sim_counters(x.a)->wt_wrong_certhash, 1);
    sim_nodes_run(&x.w, 20 * TERN_SEC);
    assert_int_equal(x.b->disconnected, x.b->connected);
    sim_nodes_clear(&x.w);
}

/* ---- ends ---- */

static void ends(void **state)
{
    world x;
    (void)state;
    open_world(&x, NULL);
    tern_conn *c = connect(&x);
    sim_nodes_run(&x.w, TERN_SEC);
    tern_conn_close(c, 0, NULL);
    sim_nodes_run(&x.w, TERN_SEC);
    assert_int_equal(x.a->disconnected, 1);
    assert_int_equal(x.b->disconnected, 1);
    assert_int_equal(x.b->why.code, 0);
    /* a code travels with the session's end */
    c = connect(&x);
    sim_nodes_run(&x.w, TERN_SEC);
    tern_conn_abort(x.b->conn, 0x1005, "to make place");
    sim_nodes_run(&x.w, TERN_SEC);
    assert_int_equal(x.a->disconnected, 2);
    assert_int_equal(x.a->why.wire, 0x1005);
    sim_nodes_clear(&x.w);
}

/* QUIC and WebTransport on one port, both dialled; who stops listening stops for one only. */
static void one_port(void **state)
{
    world x;
    char addr[256];
    tern_error error;
    sim_dial d;
    (void)state;
    open_world(&x, NULL);
    assert_int_equal(
        tern_node_listen(x.b->node, "/ip4/10.0.0.2/udp/4001/quic-v1", addr, sizeof addr, &error),
        0);
    sim_nodes_dial_one(sim_nodes_add(&x.w, "-10.0.0.3", NULL), addr, &d);
    assert_non_null(d.conn);
    assert_string_equal(tern_conn_get_facts(d.conn)->transport, "quic-v1");
    connect(&x);
    sim_nodes_run(&x.w, TERN_SEC);
    assert_int_equal(x.b->connected, 2);
    sim_nodes_clear(&x.w);
}

/* Each allocation of a connection's life fails in turn; then the two connect all the same. */
static void each_allocation_may_fail(void **state)
{
    (void)state;
    for (size_t at = 1; at < 2000; at += 1 + at / 40) {
        world x;
        sim_dial d;
        unsigned done = 0;
        open_world(&x, NULL);
        const char *texts[] = {x.addr};
        tern_mem_fail_at(at, 0);
        int code = tern_node_dial(x.a->node, texts, 1, 0, false, sim_nodes_count_dial, &done, NULL);
        sim_nodes_run(&x.w, 20 * TERN_SEC);
        assert_true(code != 0 || done == 1);
        bool over = tern_mem_count() < at;
        tern_mem_fail_at(0, 0);
        sim_nodes_dial_one(x.a, x.addr, &d);
        assert_non_null(d.conn);
        sim_nodes_clear(&x.w);
        if (over) {
            return;
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(three_round_trips),
                                       cmocka_unit_test(facts),
                                       cmocka_unit_test(bytes_arrive),
                                       cmocka_unit_test(rough_beginnings),
                                       cmocka_unit_test(a_restart_keeps_the_address),
                                       cmocka_unit_test(certificates_change),
                                       cmocka_unit_test(clocks_are_off),
                                       cmocka_unit_test(a_wrong_certificate),
                                       cmocka_unit_test(a_hash_that_noise_does_not_name),
                                       cmocka_unit_test(ends),
                                       cmocka_unit_test(one_port),
                                       cmocka_unit_test(each_allocation_may_fail)};
    return TERN_TEST_MAIN(tests);
}
