/* Every allocation of a short life of two nodes fails in turn: connect, identify, ping, close.
 * Nothing crashes, leaks or hangs; every question is answered; and when memory is back, the same
 * two nodes connect and ping. Over TCP, and over WebSocket with a muxer negotiated late. */
#include "sim/nodes.h"

#include "secure/noise.h"

#define DELAY (5 * TERN_MS)

static tern_key *keys[2];

struct life {
    sim_nodes w;
    sim_node *a, *b;
    sim_dial d;
    sim_ping p;
    bool dialling, pinging;
    char ws[256]; /* where b listens besides */
};

static int silent_begin(tern_secure_op *op)
{
    op->silent_early = true;
    return tern_noise.begin(op);
}

static void silent_attach(tern_secure_op *op)
{
    tern_noise.attach(op);
}

static const tern_secure silent = {
    .id = "/noise", .name = "noise", .begin = silent_begin, .attach = silent_attach};

static void setup(struct life *l, bool other_way)
{
    tern_options o;
    memset(l, 0, sizeof *l);
    tern_options_init(&o);
    sim_nodes_init(&l->w, DELAY);
    o.key = keys[0];
    l->a = sim_nodes_add(&l->w, "10.0.0.1", &o);
    o.key = keys[1];
    l->b = sim_nodes_add(&l->w, "10.0.0.2", &o);
    if (other_way) {
        l->b->node->secures[0] = &silent;
        assert_int_equal(
            tern_node_listen(l->b->node, "/ip4/10.0.0.2/tcp/4001/ws", l->ws, sizeof l->ws, NULL),
            0);
    }
}

static void dial_done(void *owner, tern_conn *conn, const tern_error *error,
                      const tern_dial_report *reports, size_t report_count)
{
    struct life *l = owner;
    (void)reports;
    (void)report_count;
    assert_true((conn != NULL) == (error->code == 0));
    l->d.done++;
    l->d.conn = conn;
    l->d.error = *error;
}

static void ping_done(void *owner, uint64_t rtt, const tern_error *error)
{
    struct life *l = owner;
    (void)rtt;
    l->p.done++;
    l->p.error = *error;
}

/* What may fail at every step. */
static void live(struct life *l)
{
    const char *texts[] = {l->ws[0] != '\0' ? l->ws : l->b->addr};
    int code = tern_node_dial(l->a->node, texts, 1, 0, false, dial_done, l, NULL);
    assert_true(code == 0 || code == TERN_E_NOMEM);
    l->dialling = code == 0;
    sim_nodes_run(&l->w, 20 * TERN_SEC);
    if (l->a->conn != NULL) {
        code = tern_node_ping(l->a->node, l->a->conn, ping_done, l);
        l->pinging = code == 0;
        sim_nodes_run(&l->w, 12 * TERN_SEC);
    }
    tern_node_disconnect(l->a->node, &l->b->id);
    sim_nodes_run(&l->w, TERN_SEC);
}

/* Whether the n-th allocation was reached. */
static bool fail_at(size_t n, bool forever, bool other_way)
{
    struct life l;
    sim_dial d;
    sim_ping p;
    setup(&l, other_way);
    tern_mem_fail_at(n, forever);
    live(&l);
    bool reached = tern_mem_count() >= n;
    tern_mem_fail_at(0, 0);
    sim_nodes_run(&l.w, 60 * TERN_SEC); /* past every deadline */
    assert_int_equal(l.d.done, l.dialling);
    assert_int_equal(l.p.done, l.pinging);
    assert_int_equal(l.a->connected, l.a->disconnected);
    assert_int_equal(l.b->connected, l.b->disconnected);
    assert_int_equal(l.b->node->swarm->pending_count, 0);
    if (!reached) {
        assert_int_equal(l.d.error.code, 0);
        assert_int_equal(l.p.error.code, 0);
        assert_int_equal(l.a->identified, 1);
        assert_int_equal(l.b->identified, 1);
    }
    sim_nodes_dial_one(l.a, l.b->addr, &d);
    if (d.error.code != 0) {
        fail_msg("allocation %zu: the next dial: %s: %s", n, d.error.layer, d.error.text);
    }
    sim_nodes_ping(l.a, d.conn, &p);
    assert_int_equal(p.error.code, 0);
    sim_nodes_clear(&l.w);
    return reached;
}

static void each_allocation(bool other_way)
{
    size_t n = 1;
    while (fail_at(n, false, other_way)) {
        n++;
    }
    assert_true(n > 100);
}

static void test_each_allocation(void **state)
{
    (void)state;
    each_allocation(false);
}

static void test_each_allocation_the_other_way(void **state)
{
    (void)state;
    each_allocation(true);
}

/* Memory is gone from some point on. */
static void test_all_from_one_on(void **state)
{
    size_t n = 1;
    (void)state;
    while (fail_at(n, true, n % 2 == 0)) {
        n += 7;
    }
}

/* The birth of a node. */
static void test_birth(void **state)
{
    (void)state;
    for (size_t n = 1;; n++) {
        tern_sim *sim;
        tern_loop *host;
        tern_node *node = NULL;
        tern_options o;
        tern_error error = {0};
        size_t alive = tern_mem_alive();
        assert_int_equal(tern_sim_new(1, &sim), 0);
        assert_int_equal(tern_sim_host(sim, "10.0.0.1", &host), 0);
        tern_options_init(&o);
        o.key = keys[0];
        o.security = "noise";
        o.agent = "x";
        tern_mem_fail_at(n, 0);
        int code = tern_node_new_on(host, &o, &node, &error);
        if (code == 0) {
            code = tern_node_listen(node, "/ip4/0.0.0.0/tcp/4001", NULL, 0, &error);
        }
        if (code == 0) {
            code = tern_node_listen(node, "/ip4/0.0.0.0/tcp/4001/ws", NULL, 0, &error);
        }
        bool reached = tern_mem_count() >= n;
        tern_mem_fail_at(0, 0);
        assert_true(code == 0 || code == TERN_E_NOMEM);
        assert_true(reached || code == 0);
        if (code != 0) {
            assert_int_equal(error.code, TERN_E_NOMEM);
        }
        if (node != NULL) {
            tern_node_stop(node);
            tern_sim_run(sim, tern_sim_now(sim) + 10 * TERN_SEC, NULL, NULL);
            assert_true(node->stopped);
            tern_node_free(node);
        }
        tern_sim_free(sim);
        assert_int_equal(tern_mem_alive(), alive);
        if (!reached) {
            assert_true(n > 10);
            return;
        }
    }
}

static int make_keys(void **state)
{
    (void)state;
    return tern_key_generate(TERN_KEY_ED25519, &keys[0]) |
           tern_key_generate(TERN_KEY_ED25519, &keys[1]);
}

static int free_keys(void **state)
{
    (void)state;
    tern_key_unref(keys[0]);
    tern_key_unref(keys[1]);
    return tern_mem_alive() == 0 ? 0 : tern_test_leak();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_birth),
        cmocka_unit_test(test_each_allocation),
        cmocka_unit_test(test_each_allocation_the_other_way),
        cmocka_unit_test(test_all_from_one_on),
    };
    return cmocka_run_group_tests(tests, make_keys, free_keys);
}
