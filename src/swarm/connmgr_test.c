/* Who stays when there are more connections than wanted: tags, protection, age, use; and what goes
 * when memory runs low. Whole nodes in the simulated world; b is the one that trims. */
#include "sim/nodes.h"
#include "suite/ear.h"

#include <stdio.h>

#define DELAY (5 * TERN_MS)

typedef struct world {
    sim_nodes w;
    sim_node *b, *others[12];
    size_t count;
} world;

static void open_world(world *x, uint32_t low, uint32_t high, uint32_t grace_ms)
{
    tern_options o;
    memset(x, 0, sizeof *x);
    sim_nodes_init(&x->w, DELAY);
    tern_options_init(&o);
    o.low_water = low;
    o.high_water = high;
    o.grace_ms = grace_ms;
    x->b = sim_nodes_add(&x->w, "10.0.0.100", &o);
}

/* One more node, connected: its number. Some time passes, so that ages differ. */
static size_t join(world *x)
{
    char ip[16];
    sim_dial d;
    snprintf(ip, sizeof ip, "-10.0.0.%zu", x->count + 1);
    sim_node *n = x->others[x->count] = sim_nodes_add(&x->w, ip, NULL);
    sim_nodes_dial_one(n, x->b->addr, &d);
    assert_int_equal(d.error.code, 0);
    sim_nodes_run(&x->w, 2 * TERN_SEC);
    return x->count++;
}

static bool is_in(const world *x, size_t i)
{
    return x->others[i]->disconnected == 0;
}

static void the_oldest_idle_ones_go(void **state)
{
    world x;
    (void)state;
    open_world(&x, 3, 5, 1);
    for (int i = 0; i < 5; i++) {
        join(&x);
    }
    assert_int_equal(x.b->disconnected, 0); /* as many as wanted */
    join(&x);
    assert_int_equal(x.b->disconnected, 3);
    assert_int_equal(sim_counters(x.b)->conns_trimmed, 3);
    for (size_t i = 0; i < 6; i++) {
        assert_int_equal(is_in(&x, i), i >= 3);
    }
    assert_int_equal(x.others[0]->why.wire, 0x1005); /* GARBAGE_COLLECTED */
    sim_nodes_clear(&x.w);
}

static void worth_and_protection_decide(void **state)
{
    world x;
    (void)state;
    open_world(&x, 3, 5, 1);
    for (int i = 0; i < 5; i++) {
        join(&x);
    }
    tern_node *b = x.b->node;
    assert_int_equal(tern_node_tag_peer(b, &x.others[0]->id, "friend", 10), 0);
    assert_int_equal(tern_node_tag_peer(b, &x.others[1]->id, "friend", 10), 0);
    assert_int_equal(tern_node_tag_peer(b, &x.others[1]->id, "noisy", -20), 0);
    assert_int_equal(tern_node_protect_peer(b, &x.others[2]->id, "mine"), 0);
    assert_int_equal(tern_node_tag_peer(b, &x.others[2]->id, "noisy", -50), 0);
    join(&x);
    assert_int_equal(x.b->disconnected, 3);
    assert_true(is_in(&x, 0));
    assert_false(is_in(&x, 1)); /* worth less than nothing */
    assert_true(is_in(&x, 2));
    assert_false(is_in(&x, 3) || is_in(&x, 4)); /* nothing is said of them */
    assert_true(is_in(&x, 5));
    sim_nodes_clear(&x.w);
}

static void protection_ends_with_its_last_tag(void **state)
{
    world x;
    tern_peer_id id;
    (void)state;
    open_world(&x, 3, 5, 1);
    tern_node *b = x.b->node;
    id = x.b->id;
    assert_int_equal(tern_node_protect_peer(b, &id, "one"), 0);
    assert_int_equal(tern_node_protect_peer(b, &id, "two"), 0);
    assert_true(tern_node_unprotect_peer(b, &id, "one"));
    assert_false(tern_node_unprotect_peer(b, &id, "two"));
    assert_false(tern_node_unprotect_peer(b, &id, "two"));
    for (int i = 0; i < TERN_CONNMGR_TAGS_MAX; i++) {
        char tag[16];
        snprintf(tag, sizeof tag, "tag %d", i);
        assert_int_equal(tern_node_tag_peer(b, &id, tag, i + 1), 0);
    }
    assert_int_equal(tern_node_tag_peer(b, &id, "more", 1), TERN_E_LIMIT);
    assert_int_equal(tern_node_tag_peer(b, &id, "tag 0", 0), 0);
    assert_int_equal(tern_node_tag_peer(b, &id, "more", 1), 0);
    assert_int_equal(tern_connmgr_value(&b->swarm->connmgr, &id), 33 * 16 - 1 + 1);
    sim_nodes_clear(&x.w);
}

static void the_young_are_left_alone(void **state)
{
    world x;
    (void)state;
    open_world(&x, 1, 2, 60000);
    for (int i = 0; i < 5; i++) {
        join(&x);
    }
    assert_int_equal(x.b->disconnected, 0);
    sim_nodes_run(&x.w, 61 * TERN_SEC);
    join(&x); /* now the others are old enough */
    assert_int_equal(x.b->disconnected, 5);
    assert_true(is_in(&x, 5));
    sim_nodes_clear(&x.w);
}

static void a_crowd_is_trimmed_once_in_a_while(void **state)
{
    world x;
    (void)state;
    open_world(&x, 1, 2, 1);
    for (int i = 0; i < 3; i++) {
        join(&x);
    }
    assert_int_equal(x.b->disconnected, 2);
    join(&x);
    join(&x); /* above the high water again, but soon after */
    assert_int_equal(x.b->disconnected, 2);
    sim_nodes_run(&x.w, 10 * TERN_SEC);
    assert_int_equal(x.b->disconnected, 4);
    sim_nodes_clear(&x.w);
}

/* ---- lists, in a live node ---- */

static void denied_peers_and_networks(void **state)
{
    world x;
    char text[TERN_PEER_ID_TEXT];
    sim_dial d;
    (void)state;
    open_world(&x, 100, 200, 1);
    for (int i = 0; i < 3; i++) {
        join(&x);
    }
    tern_node *b = x.b->node;
    tern_peer_id_text(&x.others[0]->id, text);
    assert_int_equal(tern_node_deny(b, text, NULL), 0);
    assert_int_equal(tern_node_deny(b, "10.0.0.2", NULL), 0);
    sim_nodes_run(&x.w, TERN_SEC);
    assert_false(is_in(&x, 0) || is_in(&x, 1)); /* those that live are closed */
    assert_true(is_in(&x, 2));
    assert_int_equal(x.others[0]->why.wire, 0x1007); /* GATED */
    assert_int_equal(sim_counters(x.b)->conns_gated, 2);

    sim_nodes_dial_one(x.others[0], x.b->addr, &d); /* secured, then refused */
    sim_nodes_run(&x.w, TERN_SEC);
    assert_int_equal(sim_counters(x.b)->conns_gated, 3);
    sim_nodes_dial_one(x.others[1], x.b->addr, &d); /* not even accepted */
    assert_null(d.conn);
    assert_int_equal(sim_counters(x.b)->accept_gated, 1);

    snprintf(text, sizeof text, "%s", "/ip4/10.0.0.2/tcp/4001");
    sim_nodes_dial_one(x.b, text, &d); /* nor dialled */
    assert_int_equal(d.error.code, TERN_E_GATED);
    assert_int_equal(sim_counters(x.b)->dials_gated, 1);

    assert_int_equal(tern_node_ungate(b, "10.0.0.2", NULL), 0);
    sim_nodes_dial_one(x.others[1], x.b->addr, &d);
    assert_non_null(d.conn);
    sim_nodes_clear(&x.w);
}

static void only_those_allowed(void **state)
{
    world x;
    char text[TERN_PEER_ID_TEXT];
    sim_dial d;
    (void)state;
    open_world(&x, 100, 200, 1);
    join(&x);
    join(&x);
    tern_peer_id_text(&x.others[0]->id, text);
    assert_int_equal(tern_node_allow(x.b->node, text, NULL), 0);
    sim_nodes_run(&x.w, TERN_SEC);
    assert_true(is_in(&x, 0));
    assert_false(is_in(&x, 1));
    assert_int_equal(tern_node_allow(x.b->node, "10.0.0.2/31", NULL), 0);
    sim_nodes_dial_one(x.others[1], x.b->addr, &d);
    assert_non_null(d.conn);
    sim_nodes_clear(&x.w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_oldest_idle_ones_go),
        cmocka_unit_test(worth_and_protection_decide),
        cmocka_unit_test(protection_ends_with_its_last_tag),
        cmocka_unit_test(the_young_are_left_alone),
        cmocka_unit_test(a_crowd_is_trimmed_once_in_a_while),
        cmocka_unit_test(denied_peers_and_networks),
        cmocka_unit_test(only_those_allowed),
    };
    return TERN_TEST_MAIN(tests);
}
