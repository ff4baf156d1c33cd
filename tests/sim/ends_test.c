/* The ends of a connection between two whole nodes, and what is no end: who hears it, of what, and
 * within which bound of virtual time. Every row holds for both security layers, with a stream open
 * that both sides own; each stream hears its end once, before its connection's, and nothing leaks.
 */
#include <stdio.h>

#include "sim/nodes.h"
#include "suite/ear.h"

#define PROTOCOL "/ends/1"
#define DELAY    (20 * TERN_MS)
#define DECADE   (UINT64_C(3652) * 24 * 3600 * TERN_SEC)

typedef struct pair {
    sim_nodes w;
    sim_node *a, *b;
    ear near, far;
} pair;

static void incoming(void *ctx, tern_node *node, tern_conn *conn, tern_stream *s)
{
    (void)node;
    (void)conn;
    ear_take(ctx, s);
}

static void set_up(pair *p, const char *security)
{
    tern_options o;
    tern_error error;
    memset(p, 0, sizeof *p);
    p->near.take = p->far.take = SIZE_MAX;
    tern_options_init(&o);
    o.security = security;
    sim_nodes_init(&p->w, DELAY);
    p->b = sim_nodes_add(&p->w, "10.0.0.2", &o);
    p->a = sim_nodes_add(&p->w, "-10.0.0.1", &o);
    assert_int_equal(tern_node_handle(p->b->node, PROTOCOL, NULL, incoming, &p->far), 0);
    tern_conn *conn = sim_nodes_connect(&p->w, p->a, p->b);
    tern_stream *s =
        tern_node_open(p->a->node, conn, PROTOCOL, sim_nodes_ear_opened, &p->near, &error);
    assert_non_null(s);
    sim_nodes_run(&p->w, TERN_SEC);
    assert_non_null(p->near.s);
    EAR(&p->near,
        assert_int_equal(tern_stream_write(s, &(tern_span){(const uint8_t *)"x", 1}, 1), 1));
    sim_nodes_run(&p->w, TERN_SEC);
    assert_int_equal(p->far.got.len, 1);
}

static void tear_down(pair *p)
{
    ear_clear(&p->near);
    ear_clear(&p->far);
    sim_nodes_clear(&p->w);
}

static void cut(pair *p, bool down)
{
    tern_sim_link link = {.delay = DELAY, .down = down};
    tern_sim_set_default_link(p->w.sim, &link);
}

static void write_much(pair *p)
{
    static const uint8_t much[65536];
    tern_span v = {much, sizeof much};
    EAR(&p->near, assert_true(tern_stream_write(p->near.s, &v, 1) > 0));
}

/* ---- what happens; true when it is the end ---- */

static bool peer_stops(pair *p)
{
    tern_node_stop(p->b->node);
    return true;
}

static bool we_stop(pair *p)
{
    tern_node_stop(p->a->node);
    return true;
}

static bool we_close(pair *p)
{
    assert_int_equal(tern_node_disconnect(p->a->node, &p->b->id), 1);
    return true;
}

static bool peer_stops_while_we_write(pair *p)
{
    write_much(p);
    tern_node_stop(p->b->node);
    return true;
}

static bool cut_while_idle(pair *p)
{
    cut(p, true);
    return true;
}

static bool cut_while_we_write(pair *p)
{
    cut(p, true);
    write_much(p);
    return true;
}

/* One half of the stream is closed already when the connection goes. */
static void half_close(pair *p, ear *from, ear *to)
{
    EAR(from, tern_stream_end(from->s));
    sim_nodes_run(&p->w, TERN_SEC);
    assert_true(to->ended);
    assert_int_equal(from->closed + to->closed, 0);
}

static bool cut_behind_our_half(pair *p)
{
    half_close(p, &p->near, &p->far);
    cut(p, true);
    return true;
}

static bool peer_stops_behind_its_half(pair *p)
{
    half_close(p, &p->far, &p->near);
    tern_node_stop(p->b->node);
    return true;
}

static bool short_cut(pair *p)
{
    cut(p, true);
    write_much(p);
    sim_nodes_run(&p->w, 20 * TERN_SEC);
    cut(p, false);
    return false;
}

static bool wall_clock_ahead(pair *p)
{
    tern_sim_set_wall(p->w.sim, tern_loop_wall(p->w.clock) + DECADE);
    return false;
}

static bool wall_clock_back(pair *p)
{
    tern_sim_set_wall(p->w.sim, tern_loop_wall(p->w.clock) - DECADE);
    return false;
}

static const struct {
    const char *name;
    bool (*happens)(pair *p);
    uint64_t bound; /* until both know */
} rows[] = {
    {"the peer stops", peer_stops, 4 * TERN_SEC},
    {"we stop", we_stop, 4 * TERN_SEC},
    {"we close", we_close, 4 * TERN_SEC},
    {"the peer stops while we write", peer_stops_while_we_write, 4 * TERN_SEC},
    {"the link is cut while idle", cut_while_idle, 61 * TERN_SEC},
    {"the link is cut while we write", cut_while_we_write, 61 * TERN_SEC},
    {"the link is cut behind our half close", cut_behind_our_half, 61 * TERN_SEC},
    {"the peer stops behind its half close", peer_stops_behind_its_half, 4 * TERN_SEC},
    {"the link is cut for 20 seconds", short_cut, 0},
    {"the wall clock jumps ahead", wall_clock_ahead, 0},
    {"the wall clock jumps back", wall_clock_back, 0},
};

static void check_end(pair *p, uint64_t bound)
{
    sim_node *both[] = {p->a, p->b};
    ear *ears[] = {&p->near, &p->far};
    uint64_t start = sim_nodes_now(&p->w);
    for (size_t i = 0; i < 2; i++) {
        uint64_t left = start + bound - sim_nodes_now(&p->w);
        assert_true(sim_nodes_wait(&p->w, &both[i]->disconnected, 1, left));
    }
    sim_nodes_run(&p->w, 10 * TERN_SEC);
    for (size_t i = 0; i < 2; i++) {
        assert_int_equal(both[i]->disconnected, 1);
        assert_int_equal(ears[i]->closed, 1);
        assert_null(ears[i]->s);
        assert_true(both[i]->why.text[0] != '\0');
    }
}

static void check_goes_on(pair *p)
{
    sim_ping ping;
    sim_dial d;
    sim_nodes_run(&p->w, 120 * TERN_SEC);
    assert_int_equal(p->a->disconnected + p->b->disconnected, 0);
    assert_int_equal(p->near.closed + p->far.closed, 0);
    size_t before = p->far.got.len;
    write_much(p);
    sim_nodes_run(&p->w, 10 * TERN_SEC);
    assert_true(p->far.got.len > before);
    sim_nodes_ping(p->a, p->a->conn, &ping);
    assert_int_equal(ping.error.code, 0);
    assert_int_equal(tern_node_disconnect(p->a->node, &p->b->id), 1);
    sim_nodes_run(&p->w, 10 * TERN_SEC);
    sim_nodes_dial_one(p->a, p->b->addr, &d); /* and a new one can be had */
    assert_int_equal(d.error.code, 0);
}

static void check_rows(const char *security)
{
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        pair p;
        print_message("%s: %s\n", security, rows[i].name);
        set_up(&p, security);
        if (rows[i].happens(&p)) {
            check_end(&p, rows[i].bound);
        } else {
            check_goes_on(&p);
        }
        cut(&p, false);
        tear_down(&p);
    }
}

/* A half that was closed stays closed, and the other goes on for as long as its writer wants, past
 * every deadline of silence; then the stream has ended well, and the connection lives. */
static void check_half_close(const char *security)
{
    static const uint8_t much[65536];
    pair p;
    set_up(&p, security);
    half_close(&p, &p.near, &p.far);
    for (unsigned i = 1; i <= 3; i++) {
        sim_nodes_run(&p.w, 100 * TERN_SEC);
        assert_int_equal(ear_write(&p.far, much, sizeof much), sizeof much);
        sim_nodes_run(&p.w, 10 * TERN_SEC);
        assert_int_equal(p.near.got.len, i * sizeof much);
        assert_int_equal(p.far.got.len, 1);
        assert_int_equal(p.near.closed + p.far.closed, 0);
    }
    EAR(&p.far, tern_stream_end(p.far.s));
    sim_nodes_run(&p.w, TERN_SEC);
    assert_true(p.near.ended);
    assert_int_equal(p.near.closed, 1);
    assert_int_equal(p.far.closed, 1);
    assert_int_equal(p.near.why.code, 0);
    assert_int_equal(p.far.why.code, 0);
    assert_int_equal(p.a->disconnected + p.b->disconnected, 0);
    tear_down(&p);
}

static void test_half_close(void **state)
{
    (void)state;
    check_half_close("noise");
    check_half_close("tls");
}

static void test_ends_with_noise(void **state)
{
    (void)state;
    check_rows("noise");
}

static void test_ends_with_tls(void **state)
{
    (void)state;
    check_rows("tls");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_ends_with_noise),
        cmocka_unit_test(test_ends_with_tls),
        cmocka_unit_test(test_half_close),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
