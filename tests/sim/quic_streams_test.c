/* The contract of streams over QUIC, between whole nodes: half close, STOP_SENDING, resets with
 * codes of either side, a thousand at once; and how a connection that is not let in ends. */
#include "base/mem.h"
#include "sim/quic_pair.h"
#include "suite/ear.h"

#define PROTOCOL "/ears/1"
#define CODE     UINT64_C(0x3fffffffffffffff) /* the largest there is (RFC 9000, section 16) */

/* a's end is the dialler's, b's the listener's. */
typedef struct ends {
    quic_pair x;
    ear a, b;
} ends;

static void incoming(void *ctx, tern_node *node, tern_conn *conn, tern_stream *s)
{
    (void)node;
    (void)conn;
    ear_take(ctx, s);
}

static void set_up(ends *e)
{
    tern_error error;
    quic_pair_open(&e->x, false, NULL);
    ear_init(&e->a);
    ear_init(&e->b);
    assert_int_equal(tern_node_handle(e->x.b->node, PROTOCOL, NULL, incoming, &e->b), 0);
    tern_conn *c = quic_pair_dial(&e->x);
    assert_non_null(tern_node_open(e->x.a->node, c, PROTOCOL, sim_nodes_ear_opened, &e->a, &error));
    sim_nodes_run(&e->x.w, TERN_SEC);
    assert_non_null(e->a.s);
    assert_int_equal(ear_write(&e->a, "x", 1), 1);
    sim_nodes_run(&e->x.w, TERN_SEC);
    assert_int_equal(e->b.got.len, 1);
}

static void tear_down(ends *e)
{
    assert_int_equal(e->x.a->disconnected + e->x.b->disconnected, 0);
    ear_clear(&e->a);
    ear_clear(&e->b);
    sim_nodes_clear(&e->x.w);
}

/* As much as there is room for: how much. */
static size_t write_much(ear *e)
{
    static const uint8_t much[100000];
    return ear_write(e, much, sizeof much);
}

static void half_close_of(bool dialler)
{
    ends e;
    set_up(&e);
    ear *first = dialler ? &e.a : &e.b, *second = dialler ? &e.b : &e.a;
    EAR(first, tern_stream_end(first->s));
    sim_nodes_run(&e.x.w, TERN_SEC);
    assert_true(second->ended);
    assert_int_equal(first->closed + second->closed, 0);
    size_t n = write_much(second), had = first->got.len; /* the other half lives on */
    assert_true(n > 0);
    sim_nodes_run(&e.x.w, 5 * TERN_SEC);
    assert_int_equal(first->got.len, had + n);
    EAR(second, tern_stream_end(second->s));
    sim_nodes_run(&e.x.w, TERN_SEC);
    assert_true(first->ended);
    assert_int_equal(first->closed, 1);
    assert_int_equal(second->closed, 1);
    assert_int_equal(first->why.code, 0);
    assert_int_equal(second->why.code, 0);
    tear_down(&e);
}

static void half_close(void **state)
{
    (void)state;
    half_close_of(true);
    half_close_of(false);
}

static void reset_by(bool dialler, uint64_t code)
{
    ends e;
    set_up(&e);
    ear *who = dialler ? &e.a : &e.b, *other = dialler ? &e.b : &e.a;
    EAR(who, tern_stream_reset(who->s, code));
    sim_nodes_run(&e.x.w, TERN_SEC);
    assert_int_equal(who->closed, 1);
    assert_int_equal(who->why.code, TERN_E_RESET);
    assert_int_equal(other->closed, 1);
    assert_int_equal(other->why.code, TERN_E_RESET);
    assert_int_equal(other->why.wire, code);
    assert_false(other->ended);
    tear_down(&e);
}

static void resets_carry_codes(void **state)
{
    (void)state;
    reset_by(true, 0);
    reset_by(false, 0);
    reset_by(true, 0x1004);
    reset_by(false, 0x1004);
    reset_by(true, CODE);
    reset_by(false, CODE);
}

/* Both at once: each hears of an end, once. */
static void resets_cross(void **state)
{
    ends e;
    (void)state;
    set_up(&e);
    EAR(&e.a, tern_stream_reset(e.a.s, 7));
    EAR(&e.b, tern_stream_reset(e.b.s, 8));
    sim_nodes_run(&e.x.w, TERN_SEC);
    assert_int_equal(e.a.closed, 1);
    assert_int_equal(e.b.closed, 1);
    tear_down(&e);
}

static void stop_sending_by(bool dialler)
{
    ends e;
    set_up(&e);
    ear *who = dialler ? &e.a : &e.b, *other = dialler ? &e.b : &e.a;
    EAR(who, tern_stream_stop(who->s, 9));
    sim_nodes_run(&e.x.w, TERN_SEC);

    assert_int_equal(who->closed + other->closed, 0);
    size_t had = who->got.len;
    write_much(other); /* goes nowhere, and costs nothing */
    sim_nodes_run(&e.x.w, TERN_SEC);
    assert_int_equal(who->got.len, had);
    had = other->got.len;
    size_t n = write_much(who); /* its own half goes on */
    sim_nodes_run(&e.x.w, 5 * TERN_SEC);
    assert_int_equal(other->got.len, had + n);
    EAR(other, tern_stream_end(other->s));
    EAR(who, tern_stream_end(who->s));
    sim_nodes_run(&e.x.w, TERN_SEC);
    assert_int_equal(who->closed, 1);
    assert_int_equal(other->closed, 1);
    tear_down(&e);
}

static void stop_sending(void **state)
{
    (void)state;
    stop_sending_by(true);
    stop_sending_by(false);
}

/* ---- a thousand ---- */

enum { THOUSAND = 1000 };

static size_t served_data(void *owner, tern_stream *s, uint8_t *data, size_t n)
{
    (void)owner;
    (void)s;
    (void)data;
    return n;
}

static void served_end(void *owner, tern_stream *s)
{
    (void)owner;
    tern_stream_end(s);
}

static void served_closed(void *owner, tern_stream *s, const tern_error *why)
{
    unsigned *served = owner;
    (void)s;
    *served += why->code == 0;
}

static void serve(void *ctx, tern_node *node, tern_conn *conn, tern_stream *s)
{
    static const tern_stream_events events = {
        .on_data = served_data, .on_end = served_end, .on_closed = served_closed};
    (void)node;
    (void)conn;
    tern_stream_take(s, &events, ctx);
}

/* A peer that opens a thousand at once loses none, and we never have more than we permit. */
static void a_thousand_at_once(void **state)
{
    quic_pair x;
    unsigned served = 0;
    size_t most = 0;
    (void)state;
    quic_pair_open(&x, false, NULL);
    ear *ears = tern_calloc(THOUSAND, sizeof *ears);
    assert_non_null(ears);
    assert_int_equal(tern_node_handle(x.b->node, PROTOCOL, NULL, serve, &served), 0);
    tern_conn *c = quic_pair_dial(&x);
    sim_nodes_run(&x.w, TERN_SEC);
    for (size_t i = 0; i < THOUSAND; i++) {
        ear_init(&ears[i]);
        tern_stream *s =
            tern_node_open(x.a->node, c, PROTOCOL, sim_nodes_ear_opened, &ears[i], NULL);
        assert_non_null(s);
        assert_int_equal(tern_stream_write(s, "hello", 5), 5);
        tern_stream_end(s);
    }
    for (int i = 0; i < 600 && served < THOUSAND; i++) {
        sim_nodes_run(&x.w, QUIC_PAIR_RTT / 10);
        most = x.b->conn->stream_count > most ? x.b->conn->stream_count : most;
    }
    sim_nodes_run(&x.w, TERN_SEC);
    assert_int_equal(served, THOUSAND);
    assert_int_equal(sim_counters(x.b)->streams_limit, 0);
    assert_true(most <= tern_node_net(x.b->node)->limits.streams_per_conn + 2); /* and identify's */
    for (size_t i = 0; i < THOUSAND; i++) {
        assert_int_equal(ears[i].closed, 1);
        assert_int_equal(ears[i].why.code, 0);
        ear_clear(&ears[i]);
    }
    tern_free(ears);
    sim_nodes_clear(&x.w);
}

/* ---- a connection that is one too many ---- */

static void the_refusal_has_a_name(void **state)
{
    sim_nodes w;
    sim_dial d;
    tern_options o;
    char addr[256];
    (void)state;
    tern_options_init(&o);
    o.max_connections_per_peer = 1;
    sim_nodes_init(&w, QUIC_PAIR_RTT / 2);
    sim_node *b = sim_nodes_add(&w, "10.0.0.2", &o);
    sim_node *a = sim_nodes_add(&w, "-10.0.0.1", NULL);
    quic_pair_listen(b, "10.0.0.2", addr, sizeof addr);
    sim_nodes_dial_one(a, addr, &d);
    assert_non_null(d.conn);
    const char *texts[] = {addr};
    assert_int_equal(tern_node_dial(a->node, texts, 1, 0, true, sim_nodes_ignore_dial, NULL, NULL),
                     0);
    assert_true(sim_nodes_wait(&w, &a->disconnected, 1, 5 * TERN_SEC));
    assert_int_equal(a->why.code, TERN_E_REFUSED);
    assert_int_equal(a->why.wire, 0x1001);
    assert_non_null(strstr(a->why.text, "RESOURCE_LIMIT_EXCEEDED"));
    assert_int_equal(b->connected, 1);
    assert_int_equal(sim_counters(b)->refused_per_peer, 1);
    sim_nodes_run(&w, 20 * TERN_SEC);
    assert_int_equal(a->disconnected + b->disconnected, 1);
    sim_nodes_clear(&w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(half_close),         cmocka_unit_test(resets_carry_codes),
        cmocka_unit_test(resets_cross),       cmocka_unit_test(stop_sending),
        cmocka_unit_test(a_thousand_at_once), cmocka_unit_test(the_refusal_has_a_name),
    };
    return TERN_TEST_MAIN(tests);
}
