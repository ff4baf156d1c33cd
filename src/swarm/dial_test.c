/* Tests of dialling, with whole nodes in a simulated world: which address is tried when, to the
 * nanosecond of virtual time, what wins, and what the caller is told. In one file: every test
 * works with the same world and its addresses that nobody has. */
#include "sim/nodes.h"

#include <stdio.h>

#define DELAY   (50 * TERN_MS)
#define RTT     (2 * DELAY)
#define CONNECT (2 * RTT) /* TCP, then negotiation and handshake together */

/* Nobody has these: a connect hangs. */
#define DEAD_1       "/ip4/10.9.9.1/tcp/4001"
#define DEAD_2       "/ip4/10.9.9.2/tcp/4001"
#define DEAD_PUBLIC  "/ip4/8.8.9.1/tcp/4001"
#define DEAD_PUBLIC6 "/ip6/2606:4700::1/tcp/4001"

struct pair {
    sim_nodes w;
    sim_node *a, *b;
    uint64_t start;
};

/* b listens on 10.0.0.2, port 4001. */
static void setup(struct pair *p)
{
    sim_nodes_init(&p->w, DELAY);
    p->a = sim_nodes_add(&p->w, "-10.0.0.1", NULL);
    p->b = sim_nodes_add(&p->w, "10.0.0.2", NULL);
    p->start = sim_nodes_now(&p->w);
}

static void dial_all(struct pair *p, const char *const *texts, size_t n, sim_dial *d)
{
    sim_nodes_dial(p->a, texts, n, d);
    assert_true(sim_nodes_wait(&p->w, &d->done, 1, 60 * TERN_SEC));
}

/* ---- the race ---- */

static void test_a_dead_address_costs_its_stagger(void **state)
{
    struct pair p;
    sim_dial d;
    (void)state;
    setup(&p);
    const char *texts[] = {DEAD_1, p.b->addr};
    dial_all(&p, texts, 2, &d);
    assert_int_equal(d.error.code, 0);
    assert_int_equal(d.at - p.start, 30 * TERN_MS + CONNECT);
    assert_int_equal(d.report_count, 2);
    assert_string_equal(d.reports[0].addr, DEAD_1);
    assert_int_equal(d.reports[0].error.code, 0);
    assert_string_equal(d.reports[0].error.text, "another address was faster");
    assert_string_equal(d.reports[1].addr, "/ip4/10.0.0.2/tcp/4001");
    assert_string_equal(d.reports[1].error.text, "connected");
    assert_int_equal(sim_counters(p.a)->dials, 2);
    assert_int_equal(sim_counters(p.a)->dial_failures, 0);
    sim_nodes_clear(&p.w);
}

static void test_what_is_not_needed_is_not_tried(void **state)
{
    struct pair p;
    sim_dial d;
    (void)state;
    setup(&p);
    const char *texts[] = {DEAD_PUBLIC, p.b->addr}; /* private ones first */
    tern_sim_set_link(p.w.sim, p.a->host, p.b->host, &(tern_sim_link){.delay = TERN_MS});
    dial_all(&p, texts, 2, &d);
    assert_int_equal(d.at - p.start, 4 * TERN_MS);
    assert_string_equal(d.reports[0].error.text, "was not needed");
    assert_int_equal(sim_counters(p.a)->dials, 1);
    sim_nodes_clear(&p.w);
}

/* When each address was started, by the counter. */
static void test_staggered_starts(void **state)
{
    static const char *const texts[] = {DEAD_PUBLIC, DEAD_1, DEAD_2, "/ip4/8.8.9.2/tcp/4001"};
    static const struct {
        uint64_t at;
        unsigned dials;
    } table[] = {
        {0, 1},
        {30 * TERN_MS - 1, 1},
        {30 * TERN_MS, 2},
        {60 * TERN_MS - 1, 2},
        {60 * TERN_MS, 3}, /* the first public one, a private one's stagger later */
        {310 * TERN_MS - 1, 3},
        {310 * TERN_MS, 4},
        {10 * TERN_SEC, 4},
    };
    struct pair p;
    sim_dial d;
    (void)state;
    setup(&p);
    sim_nodes_dial(p.a, texts, 4, &d);
    for (size_t i = 0; i < sizeof table / sizeof *table; i++) {
        tern_sim_run(p.w.sim, p.start + table[i].at, NULL, NULL);
        assert_int_equal(sim_counters(p.a)->dials, table[i].dials);
    }
    assert_int_equal(d.done, 0);
    sim_nodes_clear(&p.w);
    assert_int_equal(d.done, 1);
}

static void test_families_take_turns(void **state)
{
    struct pair p;
    sim_dial d;
    (void)state;
    setup(&p);
    assert_int_equal(tern_sim_add_address(p.a->host, "2606:4700::aa"), 0);
    assert_int_equal(tern_sim_add_address(p.a->host, "8.8.8.1"), 0);
    assert_int_equal(tern_sim_add_address(p.b->host, "8.8.8.2"), 0);
    char at[64];
    assert_int_equal(tern_node_listen(p.b->node, "/ip4/8.8.8.2/tcp/4002", at, sizeof at, NULL), 0);
    const char *texts[] = {DEAD_PUBLIC6, "/ip6/2606:4700::2/tcp/4001", "/ip4/8.8.8.2/tcp/4002"};
    dial_all(&p, texts, 3, &d);
    assert_int_equal(d.error.code, 0);
    assert_int_equal(d.at - p.start, 250 * TERN_MS + CONNECT); /* second, not third */
    assert_string_equal(d.reports[1].error.text, "was not needed");
    sim_nodes_clear(&p.w);
}

static void test_a_failure_starts_the_next_at_once(void **state)
{
    struct pair p;
    sim_dial d;
    (void)state;
    setup(&p);
    assert_int_equal(tern_sim_add_address(p.b->host, "8.8.8.2"), 0);
    assert_int_equal(tern_node_listen(p.b->node, "/ip4/8.8.8.2/tcp/4002", NULL, 0, NULL), 0);
    const char *texts[] = {"/ip4/8.8.8.2/tcp/1", "/ip4/8.8.8.2/tcp/4002"}; /* refused, open */
    dial_all(&p, texts, 2, &d);
    assert_int_equal(d.error.code, 0);
    assert_int_equal(d.at - p.start, RTT + CONNECT);
    assert_int_equal(d.reports[0].error.code, TERN_E_REFUSED);
    assert_string_equal(d.reports[0].error.layer, "tcp");
    assert_int_equal(sim_counters(p.a)->dial_failures, 1);
    sim_nodes_clear(&p.w);
}

static void test_one_connection_is_kept(void **state)
{
    struct pair p;
    sim_dial d;
    (void)state;
    setup(&p);
    assert_int_equal(tern_node_listen(p.b->node, "/ip4/10.0.0.2/tcp/4002", NULL, 0, NULL), 0);
    /* Both get far: the second starts 30 ms later and is cut in the middle. */
    const char *texts[] = {p.b->addr, "/ip4/10.0.0.2/tcp/4002"};
    dial_all(&p, texts, 2, &d);
    assert_int_equal(d.at - p.start, CONNECT);
    sim_nodes_run(&p.w, 20 * TERN_SEC);
    assert_int_equal(p.a->connected, 1);
    assert_int_equal(p.b->connected, 1);
    assert_int_equal(p.b->disconnected, 0);
    assert_int_equal(p.b->node->swarm->pending_count, 0);
    sim_nodes_clear(&p.w);
}

static void test_at_most_eight_at_once(void **state)
{
    struct pair p;
    sim_dial d;
    char texts[12][40];
    const char *list[12];
    (void)state;
    setup(&p);
    for (int i = 0; i < 12; i++) {
        snprintf(texts[i], sizeof texts[i], "/ip4/10.9.9.%d/tcp/4001", i + 1);
        list[i] = texts[i];
    }
    sim_nodes_dial(p.a, list, 12, &d);
    sim_nodes_run(&p.w, 10 * TERN_SEC);
    assert_int_equal(sim_counters(p.a)->dials, 8);
    sim_nodes_clear(&p.w);
}

/* ---- failures ---- */

static void test_refused(void **state)
{
    struct pair p;
    sim_dial d;
    (void)state;
    setup(&p);
    const char *texts[] = {"/ip4/10.0.0.2/tcp/1", "/ip4/10.0.0.2/udp/1/quic",
                           "/ip4/10.0.0.2/tcp/2"};
    dial_all(&p, texts, 3, &d);
    assert_null(d.conn);
    assert_int_equal(d.error.code, TERN_E_REFUSED); /* says more than an unsupported one */
    assert_non_null(strstr(d.error.text, "none of 3 addresses"));
    assert_int_equal(d.reports[0].error.code, TERN_E_REFUSED);
    assert_int_equal(d.reports[1].error.code, TERN_E_UNSUPPORTED);
    assert_int_equal(d.reports[2].error.code, TERN_E_REFUSED);
    sim_nodes_dial_one(p.a, "/ip4/10.0.0.2/tcp/1", &d);
    assert_int_equal(d.error.code, TERN_E_REFUSED);
    assert_non_null(strstr(d.error.text, "10.0.0.2:1"));
    sim_nodes_dial_one(p.a, "/ip4/10.0.0.2/udp/1/quic", &d);
    assert_int_equal(d.error.code, TERN_E_UNSUPPORTED);
    sim_nodes_clear(&p.w);
}

static void test_wrong_peer(void **state)
{
    struct pair p;
    sim_dial d;
    char right[256], wrong[256], id[TERN_PEER_ID_TEXT];
    (void)state;
    setup(&p);
    sim_node *c = sim_nodes_add(&p.w, "10.0.0.3", NULL);
    snprintf(right, sizeof right, "/ip4/10.0.0.3/tcp/4001/p2p/%s", tern_peer_id_text(&c->id, id));
    snprintf(wrong, sizeof wrong, "/ip4/10.0.0.2/tcp/4001/p2p/%s", id);
    sim_nodes_dial_one(p.a, wrong, &d);
    assert_int_equal(d.error.code, TERN_E_PEER_ID);
    assert_int_equal(d.reports[0].error.code, TERN_E_PEER_ID);
    assert_string_equal(d.reports[0].addr, "/ip4/10.0.0.2/tcp/4001");
    assert_int_equal(sim_counters(p.a)->noise_wrong_peer, 1);
    const char *texts[] = {wrong, right};
    dial_all(&p, texts, 2, &d);
    assert_int_equal(d.error.code, 0);
    assert_true(tern_peer_id_equal(&tern_conn_get_facts(d.conn)->peer, &c->id));
    sim_nodes_run(&p.w, 20 * TERN_SEC);
    assert_int_equal(p.b->connected, 0);
    sim_nodes_clear(&p.w);
}

static void test_self(void **state)
{
    struct pair p;
    sim_dial d;
    (void)state;
    setup(&p);
    sim_nodes_dial_one(p.b, p.b->addr, &d);
    assert_int_equal(d.error.code, TERN_E_SELF);
    assert_int_equal(sim_counters(p.b)->dials, 0);
    sim_nodes_dial_one(p.b, "/ip4/10.0.0.2/tcp/4001", &d); /* only the handshake tells */
    assert_int_equal(d.error.code, TERN_E_SELF);
    assert_int_equal(p.b->connected, 0);
    sim_nodes_clear(&p.w);
}

static void test_deadline(void **state)
{
    struct pair p;
    sim_dial d;
    (void)state;
    setup(&p);
    const char *texts[] = {DEAD_1, "/ip4/10.0.0.2/tcp/1"};
    dial_all(&p, texts, 2, &d);
    assert_int_equal(d.error.code, TERN_E_TIMEOUT);
    assert_int_equal(d.at - p.start, 15 * TERN_SEC);
    assert_int_equal(d.reports[0].error.code, TERN_E_CANCELLED);
    assert_string_equal(d.reports[0].error.text, "was still under way");
    assert_int_equal(d.reports[1].error.code, TERN_E_REFUSED);
    sim_nodes_clear(&p.w);
}

/* The limit of a single address. */
static void test_address_deadline(void **state)
{
    struct pair p;
    sim_dial d;
    tern_options o;
    (void)state;
    setup(&p);
    tern_options_init(&o);
    o.dial_timeout_ms = 5000;
    p.a = sim_nodes_add(&p.w, "-10.0.0.3", &o);
    const char *texts[] = {DEAD_1, DEAD_2};
    dial_all(&p, texts, 2, &d);
    assert_int_equal(d.error.code, TERN_E_TIMEOUT);
    assert_int_equal(d.at - p.start, 5030 * TERN_MS);
    assert_int_equal(d.reports[0].error.code, TERN_E_TIMEOUT);
    assert_int_equal(d.reports[1].error.code, TERN_E_TIMEOUT);
    sim_nodes_clear(&p.w);
}

static void test_silent_peer(void **state)
{
    struct pair p;
    sim_dial d;
    tern_tcp_listener *l;
    tern_endpoint at = {.family = 4, .port = 4009};
    (void)state;
    setup(&p);
    /* A listener that accepts and says nothing. */
    assert_int_equal(tern_tcp_listen(p.b->host, &at, sim_nodes_accept_silently, NULL, &l), 0);
    sim_nodes_dial_one(p.a, "/ip4/10.0.0.2/tcp/4009", &d);
    assert_int_equal(d.error.code, TERN_E_TIMEOUT);
    assert_int_equal(d.at - p.start, 15 * TERN_SEC);
    tern_tcp_listener_close(l);
    sim_nodes_clear(&p.w);
}

static void test_bad_arguments(void **state)
{
    struct pair p;
    sim_dial d;
    tern_error error;
    (void)state;
    setup(&p);
    const char *other[] = {p.b->addr, "/ip4/10.0.0.9/tcp/1/p2p/"
                                      "12D3KooWEyoppNCUx8Yx66oV9fJnriXwCcXwDDUA2kj6vnc6iDEp"};
    const char *bad[] = {p.b->addr, "/ip4/10.0.0.2/tcp/99999"};
    assert_int_equal(tern_node_dial(p.a->node, NULL, 0, 0, false, NULL, NULL, &error),
                     TERN_E_INVALID);
    assert_int_equal(tern_node_dial(p.a->node, other, 2, 0, false, NULL, NULL, &error),
                     TERN_E_INVALID);
    assert_int_equal(tern_node_dial(p.a->node, bad, 2, 0, false, NULL, NULL, &error),
                     TERN_E_MALFORMED);
    /* An id alone, of somebody we know nothing of. */
    sim_nodes_dial_one(p.a, strstr(other[1], "/p2p/"), &d);
    assert_int_equal(d.error.code, TERN_E_NOT_FOUND);
    sim_nodes_clear(&p.w);
}

/* ---- names and memory ---- */

static void test_names(void **state)
{
    struct pair p;
    sim_dial d;
    char text[256], id[TERN_PEER_ID_TEXT];
    (void)state;
    setup(&p);
    assert_int_equal(tern_sim_add_name(p.w.sim, "b.example", "10.0.0.2"), 0);
    snprintf(text, sizeof text, "/dns4/b.example/tcp/4001/p2p/%s", tern_peer_id_text(&p.b->id, id));
    const char *texts[] = {"/dns4/none.example/tcp/4001", text};
    dial_all(&p, texts, 2, &d);
    assert_int_equal(d.error.code, 0);
    assert_int_equal(d.at - p.start, CONNECT); /* a look-up takes no time in this world */
    assert_int_equal(d.report_count, 2);
    for (size_t i = 0; i < 2; i++) {
        bool failed = strstr(d.reports[i].addr, "none.example") != NULL;
        assert_int_equal(d.reports[i].error.code, failed ? TERN_E_NOT_FOUND : 0);
    }
    sim_nodes_dial_one(p.a, "/dns6/b.example/tcp/4001", &d);
    assert_int_equal(d.error.code, TERN_E_NOT_FOUND);
    assert_string_equal(d.error.layer, "dns");
    sim_nodes_clear(&p.w);
}

static void test_known_addresses_join(void **state)
{
    struct pair p;
    sim_dial d;
    (void)state;
    setup(&p);
    sim_nodes_connect(&p.w, p.a, p.b);
    tern_node_disconnect(p.a->node, &p.b->id);
    sim_nodes_run(&p.w, 10 * TERN_SEC);
    assert_null(p.a->conn);
    sim_nodes_dial_one(p.a, strstr(p.b->addr, "/p2p/"), &d);
    assert_int_equal(d.error.code, 0);
    assert_int_equal(d.report_count, 1);
    tern_node_disconnect(p.a->node, &p.b->id);
    sim_nodes_run(&p.w, 7 * 24 * 3600 * TERN_SEC); /* what worked is forgotten after a week */
    sim_nodes_dial_one(p.a, strstr(p.b->addr, "/p2p/"), &d);
    assert_int_equal(d.error.code, TERN_E_NOT_FOUND);
    sim_nodes_clear(&p.w);
}

/* ---- several requests ---- */

static void test_requests_join(void **state)
{
    struct pair p;
    sim_dial first, second, third;
    char dead[256], id[TERN_PEER_ID_TEXT];
    (void)state;
    setup(&p);
    snprintf(dead, sizeof dead, DEAD_1 "/p2p/%s", tern_peer_id_text(&p.b->id, id));
    const char *texts[] = {dead}, *more[] = {p.b->addr};
    sim_nodes_dial(p.a, texts, 1, &first);
    sim_nodes_run(&p.w, TERN_SEC);
    sim_nodes_dial(p.a, more, 1, &second); /* what this one knows helps the other */
    sim_nodes_run(&p.w, 10 * TERN_MS);
    sim_nodes_dial(p.a, more, 1, &third);
    assert_true(sim_nodes_wait(&p.w, &third.done, 1, TERN_SEC));
    assert_int_equal(first.done, 1);
    assert_int_equal(second.done, 1);
    assert_ptr_equal(first.conn, second.conn);
    assert_ptr_equal(first.conn, third.conn);
    assert_int_equal(first.at - p.start, TERN_SEC + CONNECT);
    assert_int_equal(first.report_count, 2);
    assert_int_equal(third.report_count, 2);
    assert_int_equal(p.a->connected, 1);
    sim_nodes_clear(&p.w);
}

static void fresh_done(void *owner, tern_conn *conn, const tern_error *error,
                       const tern_dial_report *reports, size_t report_count)
{
    (void)error;
    (void)reports;
    (void)report_count;
    *(tern_conn **)owner = conn;
}

static void test_connected_already(void **state)
{
    struct pair p;
    sim_dial d;
    tern_conn *fresh = NULL;
    (void)state;
    setup(&p);
    tern_conn *c = sim_nodes_connect(&p.w, p.a, p.b);
    uint64_t now = sim_nodes_now(&p.w);
    sim_nodes_dial_one(p.a, p.b->addr, &d);
    assert_ptr_equal(d.conn, c);
    assert_int_equal(d.at, now);
    assert_int_equal(d.report_count, 0);
    sim_nodes_dial_one(p.b, p.a->addr[0] != '\0' ? p.a->addr : "/ip4/10.0.0.1/tcp/1", &d);
    assert_int_equal(d.error.code, TERN_E_REFUSED); /* no id in it: it has to be dialled */
    const char *texts[] = {p.b->addr};
    assert_int_equal(tern_node_dial(p.a->node, texts, 1, 0, true, fresh_done, &fresh, NULL), 0);
    sim_nodes_run(&p.w, TERN_SEC);
    assert_non_null(fresh);
    assert_ptr_not_equal(fresh, c);
    assert_int_equal(p.b->connected, 2);
    assert_ptr_equal(tern_node_find(p.a->node, &p.b->id), fresh); /* the newest */
    tern_node_close(p.a->node, fresh);
    sim_nodes_run(&p.w, TERN_SEC);
    assert_int_equal(p.a->disconnected, 1);
    assert_int_equal(p.b->disconnected, 1);
    assert_ptr_equal(tern_node_find(p.a->node, &p.b->id), c);
    assert_int_equal(tern_node_disconnect(p.a->node, &p.b->id), 1);
    sim_nodes_clear(&p.w);
}

/* From their listening ports their SYNs meet, and TCP makes one connection of the two, with two
 * initiators. Both notice, and dial once more from another port. */
static void test_both_dial_at_once(void **state)
{
    struct pair p;
    sim_dial d, e;
    (void)state;
    sim_nodes_init(&p.w, DELAY);
    p.a = sim_nodes_add(&p.w, "10.0.0.1", NULL);
    p.b = sim_nodes_add(&p.w, "10.0.0.2", NULL);
    const char *to_a[] = {p.a->addr}, *to_b[] = {p.b->addr};
    sim_nodes_dial(p.a, to_b, 1, &d);
    sim_nodes_dial(p.b, to_a, 1, &e);
    sim_nodes_run(&p.w, TERN_SEC);
    assert_int_equal(d.done, 1);
    assert_int_equal(e.done, 1);
    assert_int_equal(d.error.code, 0);
    assert_int_equal(e.error.code, 0);
    assert_int_equal(d.report_count, 1);
    assert_int_equal(sim_counters(p.a)->dials, 2);
    sim_ping ping;
    sim_nodes_ping(p.a, d.conn, &ping);
    assert_int_equal(ping.error.code, 0);
    sim_nodes_ping(p.b, e.conn, &ping);
    assert_int_equal(ping.error.code, 0);
    sim_nodes_clear(&p.w);
}

/* ---- giving up ---- */

static void never_done(tern_op *op, const tern_error *error)
{
    (void)op;
    fail_msg("done after cancel: %s", error->text);
}

/* A request is cancelled at each millisecond of its life. */
static void test_cancel_anytime(void **state)
{
    (void)state;
    for (uint64_t ms = 0; ms <= 200; ms += 10) {
        struct pair p;
        tern_dial_request r = {.addr_count = 2};
        setup(&p);
        assert_int_equal(tern_sim_add_name(p.w.sim, "b.example", "10.0.0.2"), 0);
        tern_multiaddr *addrs[] = {tern_multiaddr_parse(DEAD_1, NULL),
                                   tern_multiaddr_parse("/dns4/b.example/tcp/4001", NULL)};
        r.addrs = addrs;
        tern_op_init(&r.op, p.a->host, TERN_NEVER, never_done);
        assert_int_equal(tern_swarm_dial(p.a->node->swarm, &r), 0);
        sim_nodes_run(&p.w, ms * TERN_MS);
        tern_op_cancel(&r.op);
        tern_dial_request_clear(&r);
        assert_true(tern_list_empty(&p.a->node->swarm->dials));
        sim_nodes_run(&p.w, 30 * TERN_SEC);
        assert_int_equal(p.a->connected, 0);
        assert_int_equal(p.b->connected, p.b->disconnected);
        assert_int_equal(p.b->node->swarm->pending_count, 0);
        tern_multiaddr_unref(addrs[0]);
        tern_multiaddr_unref(addrs[1]);
        sim_nodes_clear(&p.w);
    }
}

/* One of two joined requests is cancelled: the other goes on. */
static void test_cancel_one_of_two(void **state)
{
    struct pair p;
    sim_dial d;
    tern_dial_request r = {.addr_count = 0};
    (void)state;
    setup(&p);
    r.peer = p.b->id;
    tern_op_init(&r.op, p.a->host, TERN_NEVER, never_done);
    const char *texts[] = {p.b->addr};
    sim_nodes_dial(p.a, texts, 1, &d);
    assert_int_equal(tern_swarm_dial(p.a->node->swarm, &r), 0);
    sim_nodes_run(&p.w, RTT);
    tern_op_cancel(&r.op);
    assert_int_equal(r.attempt_count, 1); /* what was tried until then */
    tern_dial_request_clear(&r);
    assert_true(sim_nodes_wait(&p.w, &d.done, 1, TERN_SEC));
    assert_int_equal(d.error.code, 0);
    sim_nodes_clear(&p.w);
}

static void test_stop_while_dialling(void **state)
{
    (void)state;
    for (uint64_t ms = 0; ms <= 220; ms += 20) {
        struct pair p;
        sim_dial d;
        setup(&p);
        const char *texts[] = {DEAD_1, p.b->addr};
        sim_nodes_dial(p.a, texts, 2, &d);
        sim_nodes_run(&p.w, ms * TERN_MS);
        sim_node_end(p.a);
        assert_int_equal(d.done, 1);
        assert_int_equal(d.error.code, TERN_E_CANCELLED);
        assert_int_equal(d.report_count, 2);
        sim_nodes_clear(&p.w);
        assert_int_equal(d.done, 1);
    }
}

static tern_error last_error;
static unsigned last_done;

static void keep_error(void *owner, tern_conn *conn, const tern_error *error,
                       const tern_dial_report *reports, size_t report_count)
{
    (void)owner;
    (void)reports;
    (void)report_count;
    assert_null(conn);
    last_done++;
    last_error = *error;
}

static void abort_it(void *owner, tern_node *node, tern_conn *conn)
{
    (void)owner;
    (void)node;
    tern_conn_abort(conn, 1, "not wanted");
}

/* The connection dies between its registration and the dialler's done. */
static void test_closed_at_once(void **state)
{
    static const tern_node_events events = {.on_connected = abort_it};
    struct pair p;
    (void)state;
    setup(&p);
    p.a->node->options.events = &events;
    const char *texts[] = {p.b->addr};
    last_done = 0;
    assert_int_equal(tern_node_dial(p.a->node, texts, 1, 0, false, keep_error, NULL, NULL), 0);
    sim_nodes_run(&p.w, TERN_SEC);
    assert_int_equal(last_done, 1);
    assert_int_equal(last_error.code, TERN_E_CONN_CLOSED);
    assert_non_null(strstr(last_error.text, "not wanted"));
    static const tern_node_events none = {.on_connected = NULL};
    p.a->node->options.events = &none;
    tern_node_stop(p.a->node);
    sim_nodes_run(&p.w, TERN_SEC);
    assert_true(p.a->node->stopped);
    tern_node_free(p.a->node);
    p.a->node = NULL;
    sim_nodes_clear(&p.w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_dead_address_costs_its_stagger),
        cmocka_unit_test(test_what_is_not_needed_is_not_tried),
        cmocka_unit_test(test_staggered_starts),
        cmocka_unit_test(test_families_take_turns),
        cmocka_unit_test(test_a_failure_starts_the_next_at_once),
        cmocka_unit_test(test_one_connection_is_kept),
        cmocka_unit_test(test_at_most_eight_at_once),
        cmocka_unit_test(test_refused),
        cmocka_unit_test(test_wrong_peer),
        cmocka_unit_test(test_self),
        cmocka_unit_test(test_deadline),
        cmocka_unit_test(test_address_deadline),
        cmocka_unit_test(test_silent_peer),
        cmocka_unit_test(test_bad_arguments),
        cmocka_unit_test(test_names),
        cmocka_unit_test(test_known_addresses_join),
        cmocka_unit_test(test_requests_join),
        cmocka_unit_test(test_connected_already),
        cmocka_unit_test(test_both_dial_at_once),
        cmocka_unit_test(test_cancel_anytime),
        cmocka_unit_test(test_cancel_one_of_two),
        cmocka_unit_test(test_stop_while_dialling),
        cmocka_unit_test(test_closed_at_once),
    };
    return TERN_TEST_MAIN(tests);
}
