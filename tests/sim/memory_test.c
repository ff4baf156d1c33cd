/* The budget of memory: peers that fill every window they are given, while nobody reads, cannot
 * make a node keep more than it allows; they pay for it, and honest peers go on. The count is of
 * the whole process, so what the attackers keep themselves is allowed for. */
#include "sim/nodes.h"
#include "suite/ear.h"

#include <stdio.h>

#include "base/mem.h"

#define DELAY (5 * TERN_MS)

enum { ATTACKERS = 12, STREAMS = 12, BUDGET = 16 << 20, OF_EACH_ATTACKER = 3 << 20 };

static ear kept[ATTACKERS * STREAMS * 2], flood[ATTACKERS * STREAMS];
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

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(nobody_keeps_more_than_the_budget)};
    return TERN_TEST_MAIN(tests);
}
