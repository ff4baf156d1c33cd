/* /perf/1.0.0 between nodes in a simulated world: exact counts both ways, half closes, sizes of
 * zero, many streams, peers that lie, stall or vanish. */
#include "sim/nodes.h"

#include "proto/perf.h"

#define DELAY (10 * TERN_MS)

typedef struct asked {
    sim_nodes *world;
    unsigned done, progress;
    tern_perf_result result;
    tern_error error;
    uint64_t last_sent, last_received, last_at, done_at;
} asked;

static void on_progress(void *owner, uint64_t sent, uint64_t received)
{
    asked *a = owner;
    assert_int_equal(a->done, 0);
    assert_true(sent >= a->last_sent && received >= a->last_received);
    a->last_sent = sent;
    a->last_received = received;
    a->last_at = sim_nodes_now(a->world);
    a->progress++;
}

static void on_done(void *owner, const tern_perf_result *result, const tern_error *error)
{
    asked *a = owner;
    a->done++;
    a->done_at = sim_nodes_now(a->world);
    a->result = *result;
    a->error = *error;
}

typedef struct pair {
    sim_nodes w;
    sim_node *a, *b;
    tern_conn *conn; /* a's */
} pair;

static void pair_init(pair *p)
{
    sim_nodes_init(&p->w, DELAY);
    p->a = sim_nodes_add(&p->w, "-10.0.0.1", NULL);
    p->b = sim_nodes_add(&p->w, "10.0.0.2", NULL);
}

static void connect_both(pair *p)
{
    p->conn = sim_nodes_connect(&p->w, p->a, p->b);
}

static void ask(pair *p, uint64_t upload, uint64_t download, asked *a)
{
    tern_error error;
    *a = (asked){.world = &p->w};
    if (tern_node_perf(p->a->node, p->conn, upload, download, on_progress, on_done, a, &error)) {
        fail_msg("%s", error.text);
    }
    assert_int_equal(a->done, 0);
}

static void wait_for(pair *p, asked *a)
{
    assert_true(sim_nodes_wait(&p->w, &a->done, 1, 600 * TERN_SEC));
    sim_nodes_run(&p->w, TERN_SEC);
    assert_int_equal(a->done, 1);
}

static void check_exact(const asked *a, uint64_t upload, uint64_t download)
{
    assert_int_equal(a->error.code, 0);
    assert_int_equal(a->result.sent, upload);
    assert_int_equal(a->result.received, download);
    assert_true((a->result.upload_time > 0) == (upload > 0));
    if (upload == 0 || download == 0) { /* else both may end at the same virtual instant */
        assert_true((a->result.download_time > 0) == (download > 0));
    }
}

static void test_counts_are_exact(void **state)
{
    static const uint64_t sizes[][2] = {
        {0, 0},
        {1, 0},
        {0, 1},
        {1, 1},
        {16384, 16385},
        {262143, 262145},
        {3 << 20, 0},
        {0, (5 << 20) + 7},
        {1 << 20, 1 << 20},
    };
    (void)state;
    pair p;
    pair_init(&p);
    assert_int_equal(tern_node_serve_perf(p.b->node), 0);
    connect_both(&p);
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        asked a;
        ask(&p, sizes[i][0], sizes[i][1], &a);
        wait_for(&p, &a);
        check_exact(&a, sizes[i][0], sizes[i][1]);
    }
    sim_nodes_clear(&p.w);
}

/* A small question and its answer travel with the negotiation. */
static void test_one_round_trip(void **state)
{
    (void)state;
    pair p;
    asked a;
    pair_init(&p);
    assert_int_equal(tern_node_serve_perf(p.b->node), 0);
    connect_both(&p);
    sim_nodes_run(&p.w, TERN_SEC);
    ask(&p, 0, 1000, &a);
    wait_for(&p, &a);
    check_exact(&a, 0, 1000);
    assert_int_equal(a.result.download_time, 2 * DELAY);
    sim_nodes_clear(&p.w);
}

static void test_many_streams(void **state)
{
    enum { N = 64 }; /* a connection negotiates no more at once */
    (void)state;
    pair p;
    static asked a[N];
    pair_init(&p);
    assert_int_equal(tern_node_serve_perf(p.b->node), 0);
    connect_both(&p);
    for (unsigned i = 0; i < N; i++) {
        ask(&p, i * 1000, (N - i) * 1001, &a[i]);
    }
    for (unsigned i = 0; i < N; i++) {
        wait_for(&p, &a[i]);
        check_exact(&a[i], i * 1000, (N - i) * 1001);
    }
    sim_nodes_clear(&p.w);
}

static void test_progress_is_told(void **state)
{
    (void)state;
    pair p;
    asked a;
    pair_init(&p);
    tern_sim_set_default_link(p.w.sim, &(tern_sim_link){.delay = DELAY, .rate = 1 << 20});
    assert_int_equal(tern_node_serve_perf(p.b->node), 0);
    connect_both(&p);
    ask(&p, 0, 4 << 20, &a);
    wait_for(&p, &a);
    check_exact(&a, 0, 4 << 20);
    assert_true(a.progress >= 2);
    assert_true(a.last_received > 0);
    sim_nodes_clear(&p.w);
}

/* 4.78 Gbit/s at 100 ms round trip: one stream fills it once its window has grown. */
static void test_one_stream_fills_a_long_fat_pipe(void **state)
{
    enum { RATE = 597500000 };
    (void)state;
    pair p;
    asked a;
    sim_nodes_init(&p.w, 50 * TERN_MS);
    tern_sim_set_default_link(
        p.w.sim, &(tern_sim_link){.delay = 50 * TERN_MS, .rate = RATE, .tcp_buffer = 256 << 20});
    p.a = sim_nodes_add(&p.w, "-10.0.0.1", NULL);
    p.b = sim_nodes_add(&p.w, "10.0.0.2", NULL);
    assert_int_equal(tern_node_serve_perf(p.b->node), 0);
    connect_both(&p);
    ask(&p, 0, 1 << 30, &a);
    sim_nodes_run(&p.w, 1500 * TERN_MS); /* the window grows */
    assert_int_equal(a.done, 0);
    uint64_t before = a.last_received, since = a.last_at;
    wait_for(&p, &a);
    check_exact(&a, 0, 1 << 30);
    uint64_t rate = ((1 << 30) - before) * TERN_SEC / (a.done_at - since);
    assert_in_range(rate, RATE / 100 * 95, RATE);
    sim_nodes_clear(&p.w);
}

/* While one stream fills the connection, others are opened and answered, from both sides. */
static void test_streams_open_on_a_full_connection(void **state)
{
    (void)state;
    pair p;
    asked up, down;
    sim_ping ping;
    pair_init(&p);
    tern_sim_set_default_link(p.w.sim, &(tern_sim_link){.delay = DELAY, .rate = 10 << 20});
    assert_int_equal(tern_node_serve_perf(p.b->node), 0);
    connect_both(&p);
    static asked more[2 * 30];
    for (int i = 0; i < 30; i++) {
        ask(&p, 16 << 20, 0, &more[2 * i]);
        ask(&p, 0, 16 << 20, &more[2 * i + 1]);
    }
    ask(&p, 64 << 20, 0, &up);
    ask(&p, 0, 64 << 20, &down);
    for (int i = 0; i < 5; i++) {
        sim_nodes_run(&p.w, 500 * TERN_MS);
        sim_nodes_ping(p.a, p.conn, &ping);
        assert_int_equal(ping.error.code, 0);
        sim_nodes_ping(p.b, p.b->conn, &ping);
        assert_int_equal(ping.error.code, 0);
    }
    wait_for(&p, &up);
    wait_for(&p, &down);
    check_exact(&up, 64 << 20, 0);
    check_exact(&down, 0, 64 << 20);
    sim_nodes_clear(&p.w);
}

static void test_not_served_unless_asked(void **state)
{
    (void)state;
    pair p;
    asked a;
    pair_init(&p);
    connect_both(&p);
    ask(&p, 0, 1, &a);
    wait_for(&p, &a);
    assert_int_equal(a.error.code, TERN_E_NEGOTIATION);
    assert_int_equal(tern_node_serve_perf(p.b->node), 0);
    assert_int_equal(tern_node_serve_perf(p.b->node), TERN_E_STATE);
    sim_nodes_clear(&p.w);
}

/* ---- an answering side that lies ---- */

typedef struct liar {
    size_t early; /* bytes sent as soon as any come */
    size_t late;  /* bytes sent after the end */
    bool silent;  /* says nothing, ever */
    bool reset;   /* instead of an answer */
    bool told;
} liar;

static void lie(tern_stream *s, size_t n)
{
    static const uint8_t bytes[4096];
    if (n > 0) {
        assert_int_equal(tern_stream_write(s, bytes, n), n);
    }
}

static size_t liar_on_data(void *owner, tern_stream *s, uint8_t *data, size_t n)
{
    liar *l = owner;
    (void)data;
    if (!l->told) {
        l->told = true;
        lie(s, l->early);
    }
    return n;
}

static void liar_on_end(void *owner, tern_stream *s)
{
    liar *l = owner;
    if (l->reset) {
        tern_stream_reset(s, 0);
    } else if (!l->silent) {
        lie(s, l->late);
        tern_stream_end(s);
    }
}

static void liar_on_closed(void *owner, tern_stream *s, const tern_error *why)
{
    (void)owner;
    (void)s;
    (void)why;
}

static void liar_on_stream(void *ctx, tern_node *node, tern_conn *conn, tern_stream *s)
{
    static const tern_stream_events events = {
        .on_data = liar_on_data, .on_end = liar_on_end, .on_closed = liar_on_closed};
    (void)node;
    (void)conn;
    tern_stream_take(s, &events, ctx);
}

static void check_liar(liar l, uint64_t upload, uint64_t download, int code)
{
    pair p;
    asked a;
    pair_init(&p);
    assert_int_equal(tern_node_handle(p.b->node, TERN_PERF_ID, NULL, liar_on_stream, &l), 0);
    connect_both(&p);
    ask(&p, upload, download, &a);
    wait_for(&p, &a);
    assert_int_equal(a.error.code, code);
    sim_nodes_clear(&p.w);
}

static void test_liars(void **state)
{
    (void)state;
    check_liar((liar){.late = 100}, 0, 100, 0);
    check_liar((liar){.late = 99}, 0, 100, TERN_E_EOF);
    check_liar((liar){.late = 101}, 0, 100, TERN_E_PROTOCOL);
    check_liar((liar){.late = 1}, 10, 0, TERN_E_PROTOCOL);
    check_liar((liar){.late = 0}, 0, 1, TERN_E_EOF);
    check_liar((liar){.early = 100}, 64 << 20, 100, TERN_E_PROTOCOL);
    check_liar((liar){.reset = true}, 0, 100, TERN_E_RESET);
    check_liar((liar){.silent = true}, 0, 100, TERN_E_TIMEOUT);
    check_liar((liar){.late = 10, .silent = true}, 1000, 100, TERN_E_TIMEOUT);
}

/* ---- an asking side that breaks off ---- */

typedef struct asker {
    size_t head; /* bytes of the head that it sends */
    bool end;
    unsigned closed;
    tern_error why;
} asker;

static void asker_on_closed(void *owner, tern_stream *s, const tern_error *why)
{
    asker *k = owner;
    (void)s;
    k->closed++;
    k->why = *why;
}

static void asker_opened(void *owner, tern_stream *s, const tern_error *error)
{
    static const tern_stream_events events = {.on_closed = asker_on_closed};
    static const uint8_t head[8] = {0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff};
    asker *k = owner;
    assert_int_equal(error->code, 0);
    tern_stream_take(s, &events, k);
    if (k->head > 0) {
        assert_int_equal(tern_stream_write(s, head, k->head), k->head);
    }
    if (k->end) {
        tern_stream_end(s);
    }
}

static void run_asker(pair *p, asker *k)
{
    tern_error error;
    pair_init(p);
    assert_int_equal(tern_node_serve_perf(p->b->node), 0);
    connect_both(p);
    assert_non_null(tern_node_open(p->a->node, p->conn, TERN_PERF_ID, asker_opened, k, &error));
    assert_true(sim_nodes_wait(&p->w, &k->closed, 1, 120 * TERN_SEC));
}

static void test_cut_head_is_reset(void **state)
{
    (void)state;
    for (size_t n = 0; n < 8; n++) {
        pair p;
        asker k = {.head = n, .end = true};
        run_asker(&p, &k);
        assert_int_equal(k.why.code, TERN_E_RESET);
        assert_int_equal(sim_counters(p.b)->perf_malformed, 1);
        sim_nodes_clear(&p.w);
    }
}

static void test_silent_asker_is_reset(void **state)
{
    (void)state;
    pair p;
    asker k = {.head = 8};
    run_asker(&p, &k);
    assert_int_equal(k.why.code, TERN_E_RESET);
    assert_int_equal(sim_counters(p.b)->perf_timeout, 1);
    sim_nodes_clear(&p.w);
}

static void test_the_connection_ends(void **state)
{
    (void)state;
    pair p;
    asked a, b;
    pair_init(&p);
    assert_int_equal(tern_node_serve_perf(p.b->node), 0);
    connect_both(&p);
    ask(&p, 0, UINT64_MAX, &a);
    ask(&p, UINT64_MAX, 0, &b);
    sim_nodes_run(&p.w, 8 * DELAY);
    assert_int_equal(a.done + b.done, 0);
    assert_int_equal(tern_node_disconnect(p.a->node, &p.b->id), 1);
    wait_for(&p, &a);
    wait_for(&p, &b);
    assert_int_equal(a.error.code, TERN_E_CONN_CLOSED);
    assert_int_equal(b.error.code, TERN_E_CONN_CLOSED);
    assert_true(a.result.received > 0);
    assert_true(b.result.sent > 0);
    sim_nodes_clear(&p.w);
}

/* Also where nobody wants to know why it cannot begin. */
static void test_on_a_closing_connection(void **state)
{
    (void)state;
    pair p;
    asked a = {.world = NULL};
    pair_init(&p);
    assert_int_equal(tern_node_serve_perf(p.b->node), 0);
    connect_both(&p);
    assert_int_equal(tern_node_disconnect(p.a->node, &p.b->id), 1);
    assert_int_equal(tern_node_perf(p.a->node, p.conn, 1, 1, NULL, on_done, &a, NULL),
                     TERN_E_CONN_CLOSED);
    sim_nodes_run(&p.w, TERN_SEC);
    assert_int_equal(a.done, 0);
    sim_nodes_clear(&p.w);
}

/* Two nodes on the loop of one: here the world's, in the program a real one. */
static void test_nodes_beside_each_other(void **state)
{
    (void)state;
    pair p;
    tern_options o;
    tern_error error;
    sim_dial d;
    pair_init(&p);
    tern_options_init(&o);
    o.beside = p.a->node;
    o.uv_loop = (struct uv_loop_s *)(void *)&o; /* never looked at */
    tern_node *none = NULL;
    assert_int_equal(tern_node_new(&o, &none, &error), TERN_E_INVALID);
    assert_null(none);
    o.uv_loop = NULL;
    sim_node beside = {.world = &p.w, .host = p.a->host};
    assert_int_equal(tern_node_new(&o, &beside.node, &error), 0);
    tern_node_peer_id(beside.node, &beside.id);
    assert_false(tern_peer_id_equal(&beside.id, &p.a->id));
    sim_nodes_dial_one(&beside, p.b->addr, &d);
    assert_int_equal(d.error.code, 0);
    assert_int_equal(tern_node_run(beside.node), TERN_E_STATE);
    tern_node_stop(beside.node);
    sim_nodes_run(&p.w, 5 * TERN_SEC);
    tern_node_free(beside.node);
    sim_nodes_clear(&p.w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_counts_are_exact),
        cmocka_unit_test(test_one_round_trip),
        cmocka_unit_test(test_many_streams),
        cmocka_unit_test(test_progress_is_told),
        cmocka_unit_test(test_one_stream_fills_a_long_fat_pipe),
        cmocka_unit_test(test_streams_open_on_a_full_connection),
        cmocka_unit_test(test_not_served_unless_asked),
        cmocka_unit_test(test_liars),
        cmocka_unit_test(test_cut_head_is_reset),
        cmocka_unit_test(test_silent_asker_is_reset),
        cmocka_unit_test(test_the_connection_ends),
        cmocka_unit_test(test_on_a_closing_connection),
        cmocka_unit_test(test_nodes_beside_each_other),
    };
    return TERN_TEST_MAIN(tests);
}
