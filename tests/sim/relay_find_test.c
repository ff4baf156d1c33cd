/* Places at relays, the client's side: found among peers, replaced when one dies or refuses, given
 * up; and relays that lie about addresses, times and vouchers. */
#include <stdio.h>

#include "crypto/key.h"
#include "nat/relay_inner.h"
#include "nat/voucher.h"
#include "sim/relay_scene.h"
#include "streams/frame.h"

enum { RELAYS = 5 };

/* Some relays, and one node that is connected with them. */
typedef struct market {
    sim_nodes w;
    sim_node *relays[RELAYS], *node;
    size_t count;
} market;

static void market_make(market *m, size_t count, const tern_options *node)
{
    tern_options relay = relay_test_options(), o;
    tern_options_init(&o);
    o.find_relays = 2;
    o = node != NULL ? *node : o;
    sim_nodes_init(&m->w, RELAY_DELAY);
    m->node = sim_nodes_add(&m->w, "-10.0.1.1", &o);
    m->count = count;
    for (size_t i = 0; i < count; i++) {
        char ip[40];
        snprintf(ip, sizeof ip, "10.0.0.%zu", i + 1);
        m->relays[i] = sim_nodes_add(&m->w, ip, &relay);
        sim_nodes_connect(&m->w, m->node, m->relays[i]);
    }
}

typedef struct places {
    size_t held, all, found;
    char addrs[2048];
    tern_error why; /* of the last that is not held */
    uint64_t data;  /* of the last that is */
    uint32_t duration;
} places;

static void see(void *arg, const tern_relay_place *p)
{
    places *all = arg;
    all->all++;
    all->held += p->expires > 0;
    all->found += p->found;
    if (p->why != NULL) {
        all->why = *p->why;
    } else {
        all->data = p->data;
        all->duration = p->duration_s;
    }
}

static void see_address(void *arg, const char *addr)
{
    places *all = arg;
    size_t n = strlen(all->addrs);
    if (strstr(addr, "/p2p-circuit") != NULL) {
        snprintf(all->addrs + n, sizeof all->addrs - n, "%s,", addr);
    }
}

static places places_of(sim_node *n)
{
    places all = {0};
    tern_node_relays(n->node, see, &all);
    tern_node_addresses(n->node, see_address, &all);
    return all;
}

static size_t commas(const char *text)
{
    size_t n = 0;
    for (; *text != '\0'; text++) {
        n += *text == ',';
    }
    return n;
}

/* At which relay; RELAYS if at none. */
static size_t one_with_place(market *m)
{
    for (size_t i = 0; i < m->count; i++) {
        if (m->relays[i]->node != NULL && tern_relay_reservations(m->relays[i]->node->relay) > 0) {
            return i;
        }
    }
    return RELAYS;
}

/* ---- finding ---- */

static void as_many_as_wanted(void **state)
{
    (void)state;
    market m;
    market_make(&m, 4, NULL);
    sim_nodes_run(&m.w, 5 * TERN_SEC);
    assert_int_equal(places_of(m.node).all, 0); /* it may turn out to be public */
    sim_nodes_run(&m.w, 40 * TERN_SEC);
    places p = places_of(m.node);
    assert_int_equal(p.held, 2);
    assert_int_equal(p.found, 2);
    assert_int_equal(commas(p.addrs), 2);
    assert_int_equal(p.duration, 120);
    assert_int_equal(p.data, 128 << 10);
    sim_nodes_run(&m.w, 5 * 3600 * TERN_SEC); /* renewed */
    assert_int_equal(places_of(m.node).held, 2);
    sim_nodes_clear(&m.w);
}

static void only_while_nobody_reaches_us(void **state)
{
    (void)state;
    static const struct {
        tern_reachability known;
        size_t held;
    } cases[] = {{TERN_REACHABILITY_PRIVATE, 2}, {TERN_REACHABILITY_PUBLIC, 0}};
    for (size_t i = 0; i < 2; i++) {
        market m;
        tern_options o;
        tern_options_init(&o);
        o.find_relays = 2;
        o.reachability = cases[i].known;
        market_make(&m, 3, &o);
        sim_nodes_run(&m.w, 5 * TERN_SEC); /* there is no need to wait for a verdict */
        assert_int_equal(places_of(m.node).held, cases[i].held);
        sim_nodes_run(&m.w, 100 * TERN_SEC);
        assert_int_equal(places_of(m.node).held, cases[i].held);
        sim_nodes_clear(&m.w);
    }
}

static void those_given_count(void **state)
{
    (void)state;
    market m;
    market_make(&m, 4, NULL);
    relay_reserve_at(m.node, m.relays[0]);
    sim_nodes_run(&m.w, 40 * TERN_SEC);
    places p = places_of(m.node);
    assert_int_equal(p.held, 2);
    assert_int_equal(p.found, 1);
    /* It dies: another is found; it is wanted still. */
    sim_node_end(m.relays[0]);
    sim_nodes_run(&m.w, 60 * TERN_SEC);
    p = places_of(m.node);
    assert_int_equal(p.held, 2);
    assert_int_equal(p.found, 2);
    assert_int_equal(p.all, 3);
    assert_true(p.why.code != 0);
    sim_nodes_clear(&m.w);
}

static void one_that_dies_is_replaced(void **state)
{
    (void)state;
    market m;
    market_make(&m, 3, NULL);
    sim_nodes_run(&m.w, 40 * TERN_SEC);
    size_t i = one_with_place(&m);
    sim_node_end(m.relays[i]);
    sim_nodes_run(&m.w, 2 * TERN_SEC);
    places p = places_of(m.node);
    assert_int_equal(p.held, 2);
    assert_int_equal(commas(p.addrs), 2);
    char ip[40];
    snprintf(ip, sizeof ip, "/10.0.0.%zu/", i + 1);
    assert_null(strstr(p.addrs, ip));
    /* The next one has no substitute. */
    i = one_with_place(&m);
    sim_node_vanish(m.relays[i]);
    sim_nodes_run(&m.w, 120 * TERN_SEC);
    p = places_of(m.node);
    assert_int_equal(p.held, 1);
    assert_int_equal(commas(p.addrs), 1);
    sim_nodes_clear(&m.w);
}

/* The same relay with the same key comes back: the node connects, and has a place again. */
static void one_that_comes_back(void **state)
{
    (void)state;
    market m;
    tern_options o = relay_test_options();
    assert_int_equal(tern_key_generate(TERN_KEY_ED25519, &o.key), 0);
    market_make(&m, 0, NULL);
    for (int life = 0; life < 3; life++) {
        sim_node *relay = sim_nodes_add(&m.w, "10.0.0.1", &o);
        sim_nodes_connect(&m.w, m.node, relay);
        sim_nodes_run(&m.w, 300 * TERN_SEC);
        assert_int_equal(places_of(m.node).held, 1);
        sim_node_vanish(relay);
        sim_nodes_run(&m.w, 120 * TERN_SEC);
        assert_int_equal(places_of(m.node).all, 0);
    }
    sim_nodes_clear(&m.w);
    tern_key_unref(o.key);
}

static void set_places(sim_node *relay, uint32_t n)
{
    relay->node->relay->limits.reservations = n;
}

/* Each is asked, left alone for a while that grows, and asked again. */
static void those_that_refuse(void **state)
{
    (void)state;
    market m;
    market_make(&m, 3, NULL);
    for (size_t i = 0; i < 3; i++) {
        set_places(m.relays[i], 0);
    }
    sim_nodes_run(&m.w, 40 * TERN_SEC);
    assert_int_equal(places_of(m.node).held, 0);
    assert_int_equal(sim_counters(m.node)->relay_reserve_failures, 3);
    sim_nodes_run(&m.w, 3600 * TERN_SEC);
    uint64_t asked = sim_counters(m.node)->relay_reserve_failures;
    if (asked < 9 || asked > 24) {
        fail_msg("asked %llu times in an hour", (unsigned long long)asked);
    }
    set_places(m.relays[1], 1);
    sim_nodes_run(&m.w, 2 * 3600 * TERN_SEC);
    assert_int_equal(places_of(m.node).held, 1);
    sim_nodes_clear(&m.w);
}

/* A relay refuses to renew: the place is held to its end, then another one's is taken. */
static void a_renewal_that_is_refused(void **state)
{
    (void)state;
    market m;
    tern_options o;
    tern_options_init(&o);
    o.find_relays = 1;
    market_make(&m, 2, &o);
    sim_nodes_run(&m.w, 40 * TERN_SEC);
    size_t i = one_with_place(&m);
    tern_relay_serve(m.relays[i]->node->relay, false);
    sim_nodes_run(&m.w, 2 * 3600 * TERN_SEC);
    places p = places_of(m.node);
    assert_int_equal(p.held, 1);
    assert_int_equal(p.all, 1);
    assert_int_equal(tern_relay_reservations(m.relays[1 - i]->node->relay), 1);
    sim_nodes_clear(&m.w);
}

/* More relays than are remembered, and none is lost. */
static void more_than_are_remembered(void **state)
{
    (void)state;
    sim_nodes w;
    tern_options relay = relay_test_options(), o;
    tern_options_init(&o);
    o.find_relays = 1000;
    sim_nodes_init(&w, RELAY_DELAY);
    sim_node *node = sim_nodes_add(&w, "-10.0.1.1", &o);
    for (int i = 0; i < 40; i++) {
        char ip[40];
        snprintf(ip, sizeof ip, "10.0.0.%d", i + 1);
        sim_nodes_connect(&w, node, sim_nodes_add(&w, ip, &relay));
    }
    sim_nodes_run(&w, 60 * TERN_SEC);
    assert_int_equal(places_of(node).held, 16);
    sim_nodes_clear(&w);
}

/* The n-th allocation fails while places are found, held, lost and found again. */
static void every_allocation_fails(void **state)
{
    (void)state;
    bool whole = false;
    for (size_t nth = 1; !whole; nth += 1 + nth / 40) {
        market m;
        tern_options o;
        tern_options_init(&o);
        o.find_relays = 1;
        o.reachability = TERN_REACHABILITY_PRIVATE;
        market_make(&m, 2, &o);
        tern_mem_fail_at(nth, 0);
        sim_nodes_run(&m.w, 30 * TERN_SEC);
        size_t i = one_with_place(&m);
        tern_node_disconnect(m.node->node, &m.relays[i == RELAYS ? 0 : i]->id);
        sim_nodes_run(&m.w, 200 * TERN_SEC);
        whole = tern_mem_count() < nth;
        tern_mem_fail_at(0, 0);
        assert_true(places_of(m.node).all <= 1);
        sim_nodes_clear(&m.w);
        assert_true(nth < 20000);
    }
}

/* ---- relays that lie ---- */

/* A node whose hop protocol answers what it is told to. */
typedef struct liar {
    sim_nodes w;
    sim_node *relay, *node;
    const char *const *addrs;
    int64_t life;         /* of the reservation, seconds from now */
    int64_t voucher_life; /* ... of the voucher */
    sim_node *voucher_by; /* whose key signs; NULL: no voucher */
    tern_peer_id voucher_for;
    tern_relay_limit limit;
    unsigned asked;
} liar;

static void answer_lie(void *ctx, tern_node *node, tern_conn *conn, tern_stream *s)
{
    liar *x = ctx;
    int64_t wall = (int64_t)(tern_loop_wall(x->relay->host) / TERN_SEC);
    tern_relay_message m = {.kind = TERN_RELAY_STATUS,
                            .status = TERN_RELAY_OK,
                            .reserved = true,
                            .expire = (uint64_t)(wall + x->life),
                            .limit = x->limit};
    tern_buf out, voucher;
    (void)node;
    (void)conn;
    x->asked++;
    tern_buf_init(&out, 0);
    tern_buf_init(&voucher, 0);
    for (size_t i = 0; x->addrs != NULL && x->addrs[i] != NULL; i++) {
        m.addrs[m.addr_count++] = tern_multiaddr_parse(x->addrs[i], NULL);
        assert_non_null(m.addrs[m.addr_count - 1]);
    }
    if (x->voucher_by != NULL) {
        assert_int_equal(tern_voucher_seal(tern_node_net(x->voucher_by->node)->key, &x->voucher_for,
                                           (uint64_t)(wall + x->voucher_life), &voucher),
                         0);
        m.voucher = (tern_span){tern_buf_data(&voucher), tern_buf_len(&voucher)};
    }
    assert_int_equal(tern_relay_build(true, &m, &out), 0);
    assert_int_equal(tern_frame_write(s, tern_buf_data(&out), tern_buf_len(&out)), 0);
    tern_relay_clear(&m);
    tern_buf_free(&out);
    tern_buf_free(&voucher);
    tern_stream_drop(s);
}

static void liar_make(liar *x)
{
    memset(x, 0, sizeof *x);
    x->life = x->voucher_life = 3600;
    sim_nodes_init(&x->w, RELAY_DELAY);
    x->relay = sim_nodes_add(&x->w, "10.0.0.1", NULL);
    x->node = sim_nodes_add(&x->w, "-10.0.0.2", NULL);
    assert_int_equal(tern_node_handle(x->relay->node, TERN_RELAY_HOP_ID, NULL, answer_lie, x), 0);
}

static void liar_ask(liar *x)
{
    relay_reserve_at(x->node, x->relay);
    sim_nodes_run(&x->w, TERN_SEC);
    assert_int_equal(x->asked, 1);
}

static void addresses_that_are_repeated(void **state)
{
    (void)state;
    static const char *const said[] = {
        "/ip4/10.0.0.1/tcp/4002",  /* where it is */
        "/ip4/10.0.0.9/tcp/4001",  /* another in a private network */
        "/ip4/192.168.1.1/tcp/80", /* ... or another network */
        "/ip4/127.0.0.1/tcp/4001", /* us */
        "/ip4/0.0.0.0/tcp/4001",
        "/ip4/224.0.0.1/tcp/4001",
        "/ip6/fe80::1/tcp/4001",
        "/ip4/8.8.8.8/tcp/0",
        "/ip4/8.8.8.8",
        "/ip4/8.8.8.8/udp/9",
        "/p2p-circuit",
        "/ip4/8.8.4.4/tcp/1/p2p-circuit",
        "/ip4/8.8.4.4/tcp/2", /* these two */
        "/dns4/relay.example/tcp/443/tls/ws",
        NULL,
    };
    liar x;
    char id[TERN_PEER_ID_TEXT], self[TERN_PEER_ID_TEXT], want[2048];
    liar_make(&x);
    x.addrs = said;
    liar_ask(&x);
    tern_peer_id_text(&x.relay->id, id);
    tern_peer_id_text(&x.node->id, self);
    snprintf(want, sizeof want,
             "%s/p2p-circuit/p2p/%s,/ip4/10.0.0.1/tcp/4002/p2p/%s/p2p-circuit/p2p/%s,"
             "/ip4/8.8.4.4/tcp/2/p2p/%s/p2p-circuit/p2p/%s,"
             "/dns4/relay.example/tcp/443/tls/ws/p2p/%s/p2p-circuit/p2p/%s,",
             x.relay->addr, self, id, self, id, self, id, self);
    assert_string_equal(places_of(x.node).addrs, want);
    assert_int_equal(sim_counters(x.node)->relay_bad_addresses, 11);
    sim_nodes_clear(&x.w);
}

static void so_many_addresses(void **state)
{
    (void)state;
    static char texts[TERN_RELAY_ADDRS_MAX][40];
    const char *said[TERN_RELAY_ADDRS_MAX + 1] = {NULL};
    liar x;
    liar_make(&x);
    for (size_t i = 0; i < TERN_RELAY_ADDRS_MAX; i++) {
        snprintf(texts[i], sizeof texts[i], "/ip4/8.8.8.8/tcp/%zu", i + 1);
        said[i] = texts[i];
    }
    x.addrs = said;
    liar_ask(&x);
    assert_int_equal(commas(places_of(x.node).addrs), 9); /* where we dial it, and eight */
    sim_nodes_clear(&x.w);
}

/* No time, no end, and numbers that overflow: the place is held, and asked for now and then. */
static void times_that_are_lies(void **state)
{
    (void)state;
    static const struct {
        int64_t life;
        unsigned least, most; /* asked in a day */
    } cases[] = {{0, 2000, 2900},
                 {-1000000, 2000, 2900},
                 {1, 2000, 2900},
                 {INT64_MAX / 2, 1, 3},
                 {3600, 24, 40}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        liar x;
        liar_make(&x);
        x.life = cases[i].life;
        liar_ask(&x);
        assert_int_equal(places_of(x.node).held, 1);
        sim_nodes_run(&x.w, 24 * 3600 * TERN_SEC);
        if (x.asked < cases[i].least || x.asked > cases[i].most) {
            fail_msg("case %zu: asked %u times", i, x.asked);
        }
        sim_nodes_clear(&x.w);
    }
}

static void limits_that_are_lies(void **state)
{
    (void)state;
    static const tern_relay_limit cases[] = {{0, 0}, {1, 1}, {UINT32_MAX, UINT64_MAX}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        liar x;
        liar_make(&x);
        x.limit = cases[i];
        liar_ask(&x);
        places p = places_of(x.node);
        assert_int_equal(p.held, 1);
        assert_int_equal(p.duration, cases[i].duration);
        assert_true(p.data == cases[i].data);
        sim_nodes_clear(&x.w);
    }
}

static void vouchers(void **state)
{
    (void)state;
    for (int which = 0; which < 5; which++) {
        liar x;
        liar_make(&x);
        x.voucher_by = which == 1 ? x.node : x.relay;          /* 1: of another relay */
        x.voucher_for = which == 2 ? x.relay->id : x.node->id; /* 2: for another peer */
        x.voucher_life = which == 3 ? -1 : 3600;               /* 3: expired */
        if (which == 4) {                                      /* 4: the clocks differ */
            x.life = x.voucher_life = -7200;
        }
        liar_ask(&x);
        bool good = which == 0 || which == 4;
        places p = places_of(x.node);
        assert_int_equal(p.held, good);
        assert_int_equal(sim_counters(x.node)->relay_bad_voucher, !good);
        if (which == 3) {
            assert_non_null(strstr(p.why.text, "its voucher has expired"));
        } else if (!good) {
            assert_non_null(strstr(p.why.text, "its voucher is not for us, or not its own"));
        }
        assert_string_equal(good ? "" : p.addrs, "");
        sim_nodes_clear(&x.w);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(as_many_as_wanted),         cmocka_unit_test(only_while_nobody_reaches_us),
        cmocka_unit_test(those_given_count),         cmocka_unit_test(one_that_dies_is_replaced),
        cmocka_unit_test(one_that_comes_back),       cmocka_unit_test(those_that_refuse),
        cmocka_unit_test(a_renewal_that_is_refused), cmocka_unit_test(more_than_are_remembered),
        cmocka_unit_test(every_allocation_fails),    cmocka_unit_test(addresses_that_are_repeated),
        cmocka_unit_test(so_many_addresses),         cmocka_unit_test(times_that_are_lies),
        cmocka_unit_test(limits_that_are_lies),      cmocka_unit_test(vouchers),
    };
    return TERN_TEST_MAIN(tests);
}
