/* The security contract, tried on every layer: two nodes over memory pairs with a wire between them
 * that counts the bytes, and can cut, stall or change them at any place.
 *
 *     node 0 (initiator) -- lower -- port 0 | wire | port 1 -- lower -- node 1 (responder)
 *
 * Each test gets a fresh world and must leave nothing allocated. */
#include "suite/security.h"

#include "base/test.h"
#include "crypto/key.h"
#include "loop/sim.h"
#include "secure/noise.h"
#include "streams/memory.h"
#include "suite/ear.h"

static const tern_secure *secure; /* the one under test */

#define DEADLINE (10 * TERN_SEC)

/* ---- the wire ---- */

enum act { ACT_NONE, ACT_RESET, ACT_END, ACT_STALL, ACT_FLIP, ACT_CANCEL };

struct world;

typedef struct port {
    struct world *w;
    tern_stream *s; /* NULL once closed */
    size_t came;    /* bytes from this side's node */
} port;

typedef struct node {
    tern_net net;
    tern_secure_op op;
    tern_stream *lower; /* until begin */
    unsigned done;
    tern_error error;
    ear ear;
} node;

typedef struct world {
    size_t alive; /* allocations before */
    tern_sim *sim;
    tern_loop *loop;
    node n[2];
    port p[2];
    size_t passed; /* bytes, both directions */
    size_t act_at; /* when so many have passed, act */
    enum act act;
    int victim; /* of ACT_CANCEL */
    bool over;  /* nothing passes any more */
} world;

static void cancel(node *n)
{
    tern_op_cancel(&n->op.op);
}

static void act(world *w)
{
    w->over = w->act != ACT_CANCEL;
    if (w->act == ACT_CANCEL) {
        cancel(&w->n[w->victim]);
    }
    for (int i = 0; i < 2; i++) {
        if (w->p[i].s != NULL && w->act == ACT_RESET) {
            tern_stream_reset(w->p[i].s, 0);
        } else if (w->p[i].s != NULL && w->act == ACT_END) {
            tern_stream_end(w->p[i].s);
        }
    }
}

static size_t port_on_data(void *owner, tern_stream *s, uint8_t *data, size_t n)
{
    port *from = owner;
    world *w = from->w;
    port *to = from == &w->p[0] ? &w->p[1] : &w->p[0];
    (void)s;
    for (size_t i = 0; i < n; i++) {
        if (w->passed == w->act_at && w->act == ACT_FLIP) {
            data[i] ^= 0x10;
        } else if (w->passed == w->act_at && w->act != ACT_NONE) {
            act(w);
        }
        w->passed++;
        from->came++;
        if (!w->over && to->s != NULL && tern_stream_write(to->s, data + i, 1) != 1) {
            w->act = ACT_RESET; /* the wire itself has no memory */
            act(w);
        }
    }
    return n;
}

static void port_on_end(void *owner, tern_stream *s)
{
    port *from = owner;
    port *to = from == &from->w->p[0] ? &from->w->p[1] : &from->w->p[0];
    (void)s;
    if (to->s != NULL) {
        tern_stream_end(to->s);
    }
}

static void port_on_closed(void *owner, tern_stream *s, const tern_error *why)
{
    port *from = owner;
    port *to = from == &from->w->p[0] ? &from->w->p[1] : &from->w->p[0];
    (void)s;
    from->s = NULL;
    if (to->s != NULL && why->code != 0) {
        tern_stream_reset(to->s, 0);
    }
}

static const tern_stream_events port_events = {
    .on_data = port_on_data,
    .on_end = port_on_end,
    .on_closed = port_on_closed,
};

/* ---- the world ---- */

static void done(tern_op *op, const tern_error *error)
{
    node *n = TERN_CONTAINER(op, node, op.op);
    n->done++;
    n->error = *error;
    if (error->code == 0) {
        assert_non_null(n->op.stream);
        assert_non_null(n->op.key);
        ear_take(&n->ear, n->op.stream);
    } else {
        assert_null(n->op.stream);
        assert_null(n->op.key);
        assert_non_null(error->layer);
        assert_true(error->text[0] != '\0');
    }
}

static void node_init(world *w, int i, tern_key_type type)
{
    node *n = &w->n[i];
    n->net.loop = w->loop;
    assert_int_equal(tern_key_generate(type, &n->net.key), 0);
    tern_key_peer_id(n->net.key, &n->net.self);
    ear_init(&n->ear);
    n->op = (tern_secure_op){.net = &n->net, .lower = n->lower, .initiator = i == 0};
    tern_op_init(&n->op.op, w->loop, tern_sim_now(w->sim) + DEADLINE, done);
}

static void world_make_of(world *w, tern_key_type type, const tern_memory_options *options)
{
    memset(w, 0, sizeof *w);
    w->alive = tern_mem_alive();
    assert_int_equal(tern_sim_new(1, &w->sim), 0);
    assert_int_equal(tern_sim_host(w->sim, "10.0.0.1", &w->loop), 0);
    for (int i = 0; i < 2; i++) {
        w->p[i].w = w;
        assert_int_equal(tern_memory_pair(w->loop, options, &w->n[i].lower, &w->p[i].s), 0);
        tern_stream_take(w->p[i].s, &port_events, &w->p[i]);
        node_init(w, i, type);
    }
}

static void world_make(world *w)
{
    world_make_of(w, TERN_KEY_ED25519, NULL);
}

static void begin(world *w, int i)
{
    assert_int_equal(secure->begin(&w->n[i].op), 0);
    w->n[i].lower = NULL;
}

static void start(world *w, int i)
{
    begin(w, i);
    secure->attach(&w->n[i].op);
}

static void run(world *w)
{
    tern_sim_run(w->sim, tern_sim_now(w->sim) + TERN_SEC, NULL, NULL);
}

static void run_both(world *w)
{
    start(w, 1);
    start(w, 0);
    run(w);
}

static void leave(tern_stream **s)
{
    if (*s != NULL) {
        tern_stream_reset(*s, 0);
        tern_stream_drop(*s);
        *s = NULL;
    }
}

static void world_clear(world *w)
{
    for (int i = 0; i < 2; i++) {
        node *n = &w->n[i];
        cancel(n);
        ear_clear(&n->ear);
        leave(&n->lower);
        leave(&w->p[i].s);
        if (n->op.key != NULL) {
            tern_key_unref(n->op.key);
        }
        tern_buf_free(&n->op.peer_certhashes);
        tern_noise_identity_free(n->net.noise);
        tern_key_unref(n->net.key);
    }
    run(w);
    tern_sim_free(w->sim);
    assert_int_equal(tern_mem_alive(), w->alive);
}

static void assert_done(const node *n, int code)
{
    assert_int_equal(n->done, 1);
    if (n->error.code != code) {
        fail_msg("%d instead of %d: %s", n->error.code, code, n->error.text);
    }
}

static void assert_exchange(world *w)
{
    assert_int_equal(ear_write(&w->n[0].ear, "from the initiator", 18), 18);
    assert_int_equal(ear_write(&w->n[1].ear, "from the responder", 18), 18);
    run(w);
    for (int i = 0; i < 2; i++) {
        assert_int_equal(tern_buf_len(&w->n[i].ear.got), 18);
        assert_memory_equal(tern_buf_data(&w->n[i].ear.got),
                            i == 0 ? "from the responder" : "from the initiator", 18);
        tern_buf_free(&w->n[i].ear.got);
    }
}

static void assert_both_done(world *w)
{
    for (int i = 0; i < 2; i++) {
        const node *n = &w->n[i], *other = &w->n[1 - i];
        assert_done(n, 0);
        assert_true(tern_peer_id_equal(&n->op.peer, &other->net.self));
        assert_true(tern_key_equal_public(n->op.key, other->net.key));
    }
    assert_exchange(w);
}

/* How many bytes a handshake takes. */
static size_t handshake_bytes(void)
{
    world w;
    world_make(&w);
    run_both(&w);
    size_t n = w.passed;
    assert_both_done(&w);
    world_clear(&w);
    return n;
}

/* ---- success ---- */

static void both_learn_each_other(void **state)
{
    (void)state;
    static const tern_key_type types[] = {TERN_KEY_ED25519, TERN_KEY_SECP256K1, TERN_KEY_ECDSA,
                                          TERN_KEY_RSA};
    for (size_t i = 0; i < sizeof types / sizeof *types; i++) {
        world w;
        world_make_of(&w, types[i], NULL);
        run_both(&w);
        assert_both_done(&w);
        assert_null(w.n[0].op.muxer);
        assert_null(w.n[1].op.muxer);
        world_clear(&w);
    }
}

static void byte_by_byte(void **state)
{
    (void)state;
    world w;
    world_make_of(&w, TERN_KEY_ED25519, &(tern_memory_options){.chunk = 1});
    run_both(&w);
    assert_both_done(&w);
    world_clear(&w);
}

static void in_any_order(void **state)
{
    (void)state;
    for (int order = 0; order < 4; order++) {
        world w;
        world_make(&w);
        start(&w, order & 1);
        if (order & 2) {
            run(&w);
        }
        start(&w, 1 - (order & 1));
        run(&w);
        assert_both_done(&w);
        world_clear(&w);
    }
}

/* The first flight leaves before anybody listens to the answer. */
static void begin_is_optimistic(void **state)
{
    (void)state;
    world w;
    world_make(&w);
    begin(&w, 0);
    begin(&w, 1);
    run(&w);
    assert_true(w.p[0].came > 0);
    assert_int_equal(w.p[1].came, 0);
    secure->attach(&w.n[1].op);
    run(&w);
    assert_true(w.p[1].came > 0); /* the answer waits for us */
    assert_int_equal(w.n[0].done + w.n[1].done, 0);
    secure->attach(&w.n[0].op);
    run(&w);
    assert_both_done(&w);
    world_clear(&w);
}

/* Between begin and attach the lower's events are a negotiator's. */
static void attach_after_another_owner(void **state)
{
    (void)state;
    world w;
    ear negotiator;
    world_make(&w);
    ear_init(&negotiator);
    ear_take(&negotiator, w.n[0].lower);
    begin(&w, 0);
    negotiator.take = 0; /* what comes is not for it */
    start(&w, 1);
    run(&w);
    negotiator.s = NULL;
    secure->attach(&w.n[0].op);
    run(&w);
    assert_both_done(&w);
    ear_clear(&negotiator);
    world_clear(&w);
}

/* The first data of the initiator travels with its last flight. */
static void data_comes_early(void **state)
{
    (void)state;
    world w;
    world_make(&w);
    start(&w, 0);
    start(&w, 1);
    for (int i = 0; i < 100 && w.n[0].done == 0; i++) {
        tern_sim_run(w.sim, tern_sim_now(w.sim), NULL, NULL);
    }
    assert_done(&w.n[0], 0);
    assert_int_equal(ear_write(&w.n[0].ear, "at once", 7), 7);
    run(&w);
    assert_int_equal(tern_buf_len(&w.n[1].ear.got), 7);
    world_clear(&w);
}

static void ends_travel(void **state)
{
    (void)state;
    world w;
    world_make(&w);
    run_both(&w);
    EAR(&w.n[0].ear, tern_stream_end(w.n[0].ear.s));
    run(&w);
    assert_true(w.n[1].ear.ended);
    assert_int_equal(ear_write(&w.n[1].ear, "still", 5), 5);
    EAR(&w.n[1].ear, tern_stream_end(w.n[1].ear.s));
    run(&w);
    assert_int_equal(tern_buf_len(&w.n[0].ear.got), 5);
    for (int i = 0; i < 2; i++) {
        assert_int_equal(w.n[i].ear.closed, 1);
        assert_int_equal(w.n[i].ear.why.code, 0);
    }
    world_clear(&w);
}

/* ---- whom, and which muxer ---- */

static void expected_peers(void **state)
{
    (void)state;
    for (int wrong = 0; wrong < 3;
         wrong++) { /* who expects another: nobody, initiator, responder */
        world w;
        world_make(&w);
        for (int i = 0; i < 2; i++) {
            w.n[i].op.expected = w.n[1 - i].net.self;
        }
        if (wrong > 0) {
            w.n[wrong - 1].op.expected = w.n[wrong - 1].net.self;
        }
        run_both(&w);
        if (wrong == 0) {
            assert_both_done(&w);
        } else {
            const node *strict = &w.n[wrong - 1], *other = &w.n[2 - wrong];
            assert_done(strict, TERN_E_PEER_ID);
            assert_int_equal(other->done, 1); /* it may have succeeded before it was refused */
            assert_true(other->error.code != 0 || other->ear.closed == 1);
        }
        world_clear(&w);
    }
}

static void early_muxers(void **state)
{
    (void)state;
    static const char *const ab[] = {"/a", "/b", NULL};
    static const char *const ba[] = {"/b", "/a", NULL};
    static const char *const cb[] = {"/c", "/b", NULL};
    static const char *const c[] = {"/c", NULL};
    static const char *const none[] = {NULL};
    static const struct {
        const char *const *initiator, *const *responder;
        int silent; /* 1: the initiator, 2: the responder */
        const char *muxer;
    } cases[] = {
        {ab, ab, 0, "/a"},   {ab, ba, 0, "/a"},   {ba, ab, 0, "/b"},   {cb, ab, 0, "/b"},
        {ab, cb, 0, "/b"},   {ab, c, 0, NULL},    {none, ab, 0, NULL}, {ab, none, 0, NULL},
        {NULL, ab, 0, NULL}, {ab, NULL, 0, NULL}, {ab, ab, 1, NULL},   {ab, ab, 2, NULL},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        world w;
        world_make(&w);
        w.n[0].op.muxers = cases[i].initiator;
        w.n[1].op.muxers = cases[i].responder;
        w.n[0].op.silent_early = cases[i].silent == 1;
        w.n[1].op.silent_early = cases[i].silent == 2;
        run_both(&w);
        assert_both_done(&w);
        for (int k = 0; k < 2; k++) {
            const char *muxer = w.n[k].op.muxer;
            if (cases[i].muxer == NULL ? muxer != NULL
                                       : muxer == NULL || strcmp(muxer, cases[i].muxer) != 0) {
                fail_msg("case %zu, node %d: %s", i, k, muxer != NULL ? muxer : "none");
            }
        }
        world_clear(&w);
    }
}

/* ---- failure ---- */

/* Whatever happens at whatever byte: each op ends once, and if both sides believed in the handshake
 * then what they believe in is either whole or ends too. */
static void disturb(enum act what, size_t step)
{
    size_t total = handshake_bytes();
    for (size_t at = 0; at < total; at += step) {
        world w;
        world_make(&w);
        w.act = what;
        w.act_at = at;
        run_both(&w);
        if (what == ACT_STALL || what == ACT_FLIP) {
            tern_sim_run(w.sim, tern_sim_now(w.sim) + DEADLINE, NULL, NULL);
        }
        for (int i = 0; i < 2; i++) {
            assert_int_equal(w.n[i].done, 1);
        }
        if (w.n[0].error.code == 0 && w.n[1].error.code == 0 && what != ACT_STALL) {
            if (what == ACT_FLIP) {
                assert_both_done(&w);
            } else if (what == ACT_RESET) {
                assert_true(w.n[0].ear.closed && w.n[1].ear.closed);
            }
        }
        world_clear(&w);
    }
}

static void lower_dies_at_each_byte(void **state)
{
    (void)state;
    disturb(ACT_RESET, 1);
}

static void lower_ends_at_each_byte(void **state)
{
    (void)state;
    disturb(ACT_END, 1);
}

static void peer_stalls_at_each_byte(void **state)
{
    (void)state;
    disturb(ACT_STALL, 1);
}

static void each_byte_changed(void **state)
{
    (void)state;
    disturb(ACT_FLIP, 1);
}

static void cancelled_at_each_byte(void **state)
{
    (void)state;
    size_t total = handshake_bytes();
    for (size_t at = 0; at < total; at++) {
        for (int victim = 0; victim < 2; victim++) {
            world w;
            world_make(&w);
            w.act = ACT_CANCEL;
            w.act_at = at;
            w.victim = victim;
            run_both(&w);
            assert_true(w.n[victim].done == 0 || w.n[victim].error.code == 0);
            if (w.n[victim].done == 0) {
                assert_int_equal(w.n[1 - victim].done, 1);
                assert_true(w.n[1 - victim].error.code != 0 || w.n[1 - victim].ear.closed);
            }
            world_clear(&w);
        }
    }
}

/* Cancels in the n-th round of the loop: also between success and done. */
typedef struct alarm_clock {
    tern_deferred deferred;
    world *w;
    int victim;
    unsigned rounds;
} alarm_clock;

static void ring(tern_deferred *d)
{
    alarm_clock *a = TERN_CONTAINER(d, alarm_clock, deferred);
    if (a->rounds-- > 0) {
        tern_defer(a->w->loop, d);
    } else {
        cancel(&a->w->n[a->victim]);
    }
}

static void cancelled_in_each_round(void **state)
{
    (void)state;
    for (unsigned i = 0; i < 2 * 40; i++) {
        world w;
        alarm_clock a = {.w = &w, .victim = i % 2, .rounds = i / 2};
        world_make(&w);
        tern_deferred_init(&a.deferred, ring);
        tern_defer(w.loop, &a.deferred);
        run_both(&w);
        const node *n = &w.n[a.victim];
        if (n->done == 0) {
            assert_null(n->op.stream);
        }
        world_clear(&w);
    }
}

static void cancelled_before_attach(void **state)
{
    (void)state;
    for (int i = 0; i < 2; i++) {
        world w;
        ear negotiator;
        world_make(&w);
        ear_init(&negotiator);
        ear_take(&negotiator, w.n[i].lower);
        begin(&w, i);
        cancel(&w.n[i]);
        run(&w);
        assert_int_equal(w.n[i].done, 0);
        assert_int_equal(negotiator.closed, 1); /* the lower was reset, and its owner heard it */
        assert_int_equal(negotiator.why.code, TERN_E_RESET);
        world_clear(&w);
    }
}

static void silent_peer(void **state)
{
    (void)state;
    for (int i = 0; i < 2; i++) {
        world w;
        world_make(&w);
        start(&w, i);
        run(&w);
        assert_int_equal(w.n[i].done, 0);
        tern_sim_run(w.sim, tern_sim_now(w.sim) + DEADLINE, NULL, NULL);
        assert_done(&w.n[i], TERN_E_TIMEOUT);
        assert_string_equal(w.n[i].error.layer, secure->name);
        assert_null(w.p[i].s); /* the lower was reset */
        world_clear(&w);
    }
}

static void deadline_before_attach(void **state)
{
    (void)state;
    world w;
    world_make(&w);
    begin(&w, 0);
    tern_stream *lower = w.n[0].op.lower;
    tern_sim_run(w.sim, tern_sim_now(w.sim) + 2 * DEADLINE, NULL, NULL);
    assert_done(&w.n[0], TERN_E_TIMEOUT);
    tern_stream_drop(lower); /* nobody had its events: still ours */
    world_clear(&w);
}

static void garbage_is_refused(void **state)
{
    (void)state;
    for (int i = 0; i < 2; i++) {
        for (int byte = 0; byte < 256; byte += 5) {
            world w;
            uint8_t garbage[3000];
            world_make(&w);
            w.over = true;
            memset(garbage, byte, sizeof garbage);
            start(&w, i);
            tern_stream_write(w.p[i].s, garbage, sizeof garbage);
            tern_stream_end(w.p[i].s);
            run(&w);
            assert_int_equal(w.n[i].done, 1);
            assert_int_not_equal(w.n[i].error.code, 0);
            world_clear(&w);
        }
    }
}

static void short_of_memory(void **state)
{
    (void)state;
    bool whole = false;
    for (size_t at = 1; !whole; at++) {
        world w;
        world_make(&w);
        tern_mem_fail_at(at, 0);
        int begun[2];
        for (int i = 0; i < 2; i++) {
            begun[i] = secure->begin(&w.n[i].op);
            if (begun[i] == 0) {
                w.n[i].lower = NULL;
                secure->attach(&w.n[i].op);
            } else {
                assert_int_equal(begun[i], TERN_E_NOMEM);
                assert_false(tern_op_running(&w.n[i].op.op));
                leave(&w.n[i].lower);
            }
        }
        run(&w);
        tern_sim_run(w.sim, tern_sim_now(w.sim) + DEADLINE, NULL, NULL);
        whole = tern_mem_count() < at;
        tern_mem_fail_at(0, 0);
        for (int i = 0; i < 2; i++) {
            assert_int_equal(w.n[i].done, begun[i] == 0);
        }
        if (whole) {
            assert_both_done(&w);
        }
        world_clear(&w);
        assert_true(at < 1000);
    }
}

int tern_suite_security(const tern_secure *of)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(both_learn_each_other),
        cmocka_unit_test(byte_by_byte),
        cmocka_unit_test(in_any_order),
        cmocka_unit_test(begin_is_optimistic),
        cmocka_unit_test(attach_after_another_owner),
        cmocka_unit_test(data_comes_early),
        cmocka_unit_test(ends_travel),
        cmocka_unit_test(expected_peers),
        cmocka_unit_test(early_muxers),
        cmocka_unit_test(lower_dies_at_each_byte),
        cmocka_unit_test(lower_ends_at_each_byte),
        cmocka_unit_test(peer_stalls_at_each_byte),
        cmocka_unit_test(each_byte_changed),
        cmocka_unit_test(cancelled_at_each_byte),
        cmocka_unit_test(cancelled_in_each_round),
        cmocka_unit_test(cancelled_before_attach),
        cmocka_unit_test(silent_peer),
        cmocka_unit_test(deadline_before_attach),
        cmocka_unit_test(garbage_is_refused),
        cmocka_unit_test(short_of_memory),
    };
    secure = of;
    return cmocka_run_group_tests_name(of->name, tests, NULL, NULL);
}
