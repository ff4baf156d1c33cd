/* The budget of memory: peers that fill every window they are given, while nobody reads, cannot
 * make a node keep more than it allows; they pay for it, and honest peers go on. The count is of
 * the whole process, so what the attackers keep themselves is allowed for. */
#include "sim/nodes.h"
#include "suite/ear.h"

#include <stdio.h>

#include "base/mem.h"

#define DELAY (5 * TERN_MS)

enum { ATTACKERS = 12, STREAMS = 12, BUDGET = 16 << 20, OF_EACH_ATTACKER = 3 << 20 };

static ear kept[1024], flood[ATTACKERS * STREAMS];
static size_t kept_count;

/* Takes the stream and none of its bytes. */
static void keep(void *ctx, tern_node *node, tern_conn *conn, tern_stream *s)
{
    (void)ctx;
    (void)node;
    (void)conn;
    ear *e = &kept[kept_count++];
    ear_init(e);
    e->take = 0;
    ear_take(e, s);
}

static void pour(ear *e)
{
    static const uint8_t block[65536];
    while (e->s != NULL && tern_stream_room(e->s) > 0 && tern_stream_room(e->s) < SIZE_MAX &&
           ear_write(e, block, sizeof block) == sizeof block) {
    }
}

static void nobody_keeps_more_than_the_budget(void **state)
{
    sim_nodes w;
    tern_options o;
    sim_dial d;
    sim_ping p;
    (void)state;
    kept_count = 0;
    sim_nodes_init(&w, DELAY);
    tern_options_init(&o);
    o.max_connections_per_ip = -1;
    o.max_memory = tern_mem_bytes() + BUDGET;
    sim_node *b = sim_nodes_add(&w, "10.0.0.100", &o);
    sim_node *honest = sim_nodes_add(&w, "-10.0.0.200", NULL);
    assert_int_equal(tern_node_handle(b->node, "/kept/1", NULL, keep, NULL), 0);
    sim_nodes_dial_one(honest, b->addr, &d);
    assert_non_null(d.conn);
    size_t most = 0, allowed = (size_t)o.max_memory;
    for (size_t i = 0; i < ATTACKERS; i++) {
        char ip[20];
        snprintf(ip, sizeof ip, "-10.0.2.%zu", i + 1);
        sim_node *n = sim_nodes_add(&w, ip, NULL);
        sim_nodes_dial_one(n, b->addr, &d);
        allowed += OF_EACH_ATTACKER;
        for (size_t k = 0; d.conn != NULL && k < STREAMS; k++) {
            ear *e = &flood[i * STREAMS + k];
            ear_init(e);
            if (n->conn != NULL) {
                tern_node_open(n->node, n->conn, "/kept/1", sim_nodes_ear_opened, e, NULL);
            }
            sim_nodes_run(&w, 20 * TERN_MS);
            pour(e);
        }
        for (int turn = 0; turn < 20; turn++) {
            sim_nodes_run(&w, 20 * TERN_MS);
            for (size_t k = 0; k < STREAMS; k++) {
                pour(&flood[i * STREAMS + k]);
            }
            most = tern_mem_bytes() > most ? tern_mem_bytes() : most;
            assert_true(most < allowed);
        }
        sim_nodes_ping(honest, honest->conn,
                       &p); /* its stream is open already, or is let through */
        if (i == 0) {
            assert_int_equal(p.error.code, 0);
        }
    }
    const tern_counters *c = sim_counters(b);
    assert_true(c->memory_streams + c->memory_conns > 0);
    assert_true(c->memory_conns > 0); /* those that held most have paid */
    assert_int_equal(honest->disconnected, 0);
    sim_nodes_ping(honest, honest->conn, &p);
    assert_int_equal(p.error.code, 0);
    for (size_t i = 0; i < ATTACKERS * STREAMS; i++) {
        ear_clear(&flood[i]);
    }
    for (size_t i = 0; i < kept_count; i++) {
        ear_clear(&kept[i]);
    }
    sim_nodes_clear(&w);
}

/* ---- fifty at once ---- */

enum { MANY = 50, EACH = 16, ALLOWANCE = 2 << 20 };

static ear theirs[MANY * EACH];

typedef struct crowd {
    sim_nodes w;
    sim_node *b, *honest, *many[MANY];
    size_t allowed, most;
} crowd;

/* All are connected, with streams open that nobody reads, before the limit is set: so the count is
 * of what comes afterwards. What the fifty keep themselves is in it. */
static void setup(crowd *c)
{
    tern_options o, small;
    tern_sim_link link = {.delay = DELAY, .tcp_buffer = 64 << 10};
    sim_dial d;
    kept_count = 0;
    sim_nodes_init_seeded(&c->w, 1, &link);
    tern_options_init(&o);
    o.max_connections_per_ip = -1;
    o.max_memory = UINT64_C(1) << 30;
    c->b = sim_nodes_add(&c->w, "10.0.0.100", &o);
    c->honest = sim_nodes_add(&c->w, "-10.0.0.200", NULL);
    assert_int_equal(tern_node_handle(c->b->node, "/kept/1", NULL, keep, NULL), 0);
    sim_nodes_dial_one(c->honest, c->b->addr, &d);
    assert_non_null(d.conn);
    tern_options_init(&small);
    small.max_write_queue = 64 << 10;
    for (size_t i = 0; i < MANY; i++) {
        char ip[20];
        snprintf(ip, sizeof ip, "-10.0.2.%zu", i + 1);
        c->many[i] = sim_nodes_add(&c->w, ip, &small);
        sim_nodes_dial_one(c->many[i], c->b->addr, &d);
        assert_non_null(d.conn);
        for (size_t k = 0; k < EACH; k++) {
            ear_init(&theirs[i * EACH + k]);
            tern_node_open(c->many[i]->node, d.conn, "/kept/1", sim_nodes_ear_opened,
                           &theirs[i * EACH + k], NULL);
        }
        sim_nodes_run(&c->w, 50 * TERN_MS);
    }
    assert_int_equal(kept_count, MANY * EACH);
    size_t now = tern_mem_bytes();
    tern_node_net(c->b->node)->limits.memory = now + BUDGET;
    c->allowed = now + BUDGET + ALLOWANCE;
    c->most = 0;
}

static void look(crowd *c)
{
    c->most = tern_mem_bytes() > c->most ? tern_mem_bytes() : c->most;
    assert_true(c->most < c->allowed);
}

/* The fifty have paid, the honest one has not. */
static void finish(crowd *c)
{
    sim_ping p;
    assert_true(sim_counters(c->b)->memory_conns > 0);
    assert_int_equal(c->honest->disconnected, 0);
    sim_nodes_ping(c->honest, c->honest->conn, &p);
    assert_int_equal(p.error.code, 0);
    for (size_t i = 0; i < MANY * EACH; i++) {
        ear_clear(&theirs[i]);
    }
    for (size_t i = 0; i < kept_count; i++) {
        ear_clear(&kept[i]);
    }
    sim_nodes_clear(&c->w);
}

/* 50 x 16 windows of 256 KiB are 200 MiB. */
static void fifty_fill_their_windows(void **state)
{
    crowd c;
    (void)state;
    setup(&c);
    for (int turn = 0; turn < 100; turn++) {
        for (size_t i = 0; i < MANY * EACH; i++) {
            pour(&theirs[i]);
        }
        sim_nodes_run(&c.w, 10 * TERN_MS);
        look(&c);
    }
    finish(&c);
}

/* What is sent to 50 who take nothing waits in 50 queues of 1 MiB, until each has stalled for 30 s.
 */
static void fifty_take_nothing(void **state)
{
    tern_sim_link dead = {.delay = DELAY, .tcp_buffer = 64 << 10, .down = true};
    crowd c;
    sim_ping p;
    (void)state;
    setup(&c);
    for (size_t i = 0; i < MANY; i++) {
        assert_int_equal(tern_sim_set_link(c.w.sim, c.b->host, c.many[i]->host, &dead), 0);
    }
    for (int turn = 0; turn < 20; turn++) {
        for (size_t i = 0; i < kept_count; i++) {
            pour(&kept[i]);
            if (i % 64 == 0) {
                sim_nodes_run(&c.w, TERN_MS);
                look(&c);
            }
        }
        sim_nodes_ping(c.honest, c.honest->conn, &p);
        look(&c);
    }
    finish(&c);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(nobody_keeps_more_than_the_budget),
        cmocka_unit_test(fifty_fill_their_windows),
        cmocka_unit_test(fifty_take_nothing),
    };
    return TERN_TEST_MAIN(tests);
}
