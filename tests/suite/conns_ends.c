/* What holds for every conn: how streams and conns end, in each order and from inside each event.
 */
#include "base/error.h"
#include "suite/conn_world.h"

/* --- ends --- */

static void half_close(bool opener_first)
{
    conn_world w;
    conn_make(&w, NULL);
    conn_end *a = conn_open_heard(&w, 0, 5);
    conn_turn(&w);
    conn_end *b = conn_other(a);
    conn_end *first = opener_first ? a : b, *second = opener_first ? b : a;
    first->tag = 5;
    first->to_send = 3000;
    first->ends = true;
    second->peer_tag = 5;
    conn_end_write(first);
    conn_turn(&w);
    assert_int_equal(second->got, 3000);
    assert_int_equal(second->ended, 1);
    assert_int_equal(first->closed + second->closed + first->ended, 0);
    second->tag = 6; /* the other half goes on */
    second->to_send = 700000;
    second->ends = true;
    first->peer_tag = 6;
    conn_end_write(second);
    conn_run(&w, TERN_SEC);
    assert_int_equal(first->got, 700000);
    assert_int_equal(first->ended, 1);
    assert_int_equal(first->closed, 1);
    assert_int_equal(second->closed, 1);
    assert_int_equal(first->why.code, 0);
    assert_int_equal(second->why.code, 0);
    conn_free(&w);
}

void conn_test_halves_close_in_each_order(void **state)
{
    (void)state;
    half_close(true);
    half_close(false);
    conn_world w;
    conn_make(&w, NULL);
    conn_end *a = conn_open_heard(&w, 0, 1);
    conn_turn(&w);
    tern_stream_end(a->s); /* both at once: the frames cross */
    tern_stream_end(conn_other(a)->s);
    conn_turn(&w);
    assert_int_equal(a->closed, 1);
    assert_int_equal(conn_other(a)->closed, 1);
    assert_int_equal(a->why.code, 0);
    conn_free(&w);
}

static void reset_from(bool opener)
{
    conn_world w;
    conn_make(&w, NULL);
    conn_end *a = conn_open(&w, 0, 1, 5 << 20);
    conn_end_write(a);
    conn_end *innocent = conn_open(&w, 0, 2, 1000);
    conn_turn(&w);
    conn_end *b = conn_other(a);
    conn_end *actor = opener ? a : b, *victim = opener ? b : a;
    tern_stream_reset(actor->s, 0x1234);
    assert_int_equal(actor->closed, 0); /* from the loop */
    conn_turn(&w);
    assert_int_equal(actor->why.code, TERN_E_RESET);
    assert_int_equal(victim->why.code, TERN_E_RESET);
    if (conn_kind->codes) {
        assert_int_equal(victim->why.wire, 0x1234);
    }
    assert_int_equal(victim->ended, 0);
    conn_end_write(innocent);
    conn_turn(&w);
    assert_int_equal(conn_other(innocent)->got, 1000);
    conn_free(&w);
}

void conn_test_resets(void **state)
{
    (void)state;
    reset_from(true);
    reset_from(false);
    conn_world w;
    conn_make(&w, NULL);
    w.side[1].on_accept = conn_accept_and_reset;
    conn_end *a = conn_open(&w, 0, 1, 1 << 20);
    conn_end_write(a);
    conn_turn(&w);
    assert_int_equal(a->why.code, TERN_E_RESET);
    a = conn_open(&w, 0, 1, 100); /* reset before anybody heard of it */
    tern_stream_reset(a->s, 1);
    conn_turn(&w);
    conn_end *b = conn_other(a); /* QUIC's reset opens it there */
    assert_true(b == NULL || (conn_pair_whole(&w.pair) && b->why.code == TERN_E_RESET));
    a = conn_open(&w, 0, 1, 100);
    conn_end_write(a);
    tern_stream_reset(a->s, 1);
    conn_free(&w);
}

void conn_test_stop_drops_what_comes(void **state)
{
    (void)state;
    conn_world w;
    conn_make(&w, NULL);
    conn_end *a = conn_open_heard(&w, 0, 1);
    conn_turn(&w);
    conn_end *b = conn_other(a);
    a->to_send = 3 << 20;
    a->ends = true;
    tern_stream_stop(b->s, 1);
    b->tag = 4;
    b->to_send = 500000; /* our half goes on */
    a->peer_tag = 4;
    conn_end_write(a);
    conn_end_write(b);
    conn_run(&w, TERN_SEC);
    assert_int_equal(a->sent, 3 << 20); /* nobody was held up */
    assert_int_equal(b->got, 1);
    assert_int_equal(a->got, 500000);
    assert_int_equal(b->ended, 0);
    tern_stream_end(b->s);
    conn_run(&w, TERN_SEC);
    assert_int_equal(a->why.code, 0);
    assert_int_equal(b->why.code, 0);
    assert_int_equal(b->closed, 1);
    conn_free(&w);
}

void conn_test_drop_flushes_and_ends(void **state)
{
    (void)state;
    conn_world w;
    conn_make(&w, NULL);
    conn_end *a = conn_open(&w, 0, 1, 1000);
    conn_end_write(a);
    conn_turn(&w);
    conn_end *b = conn_other(a);
    b->peer_tag = 1;
    b->to_send = 100;
    tern_stream *s = a->s;
    a->to_send = 2000;
    conn_end_write(a);
    assert_int_equal(a->sent, 2000);
    tern_stream_drop(s);
    conn_end_write(b); /* falls on deaf ears */
    conn_turn(&w);
    assert_int_equal(b->got, 2000);
    assert_int_equal(b->ended, 1);
    assert_int_equal(a->closed, 0);
    assert_int_equal(b->closed, conn_kind->drop_told);
    if (!conn_kind->drop_told) {
        tern_stream_end(b->s);
        conn_turn(&w);
    }
    assert_int_equal(b->closed, 1);
    assert_int_equal(b->why.code, conn_kind->drop_told ? TERN_E_RESET : 0);
    a->closed = 1; /* it hears nothing any more */
    a->s = NULL;
    w.side[0].streams_alive--;
    conn_free(&w);
}

/* A peer that never ends a stream nobody wants any more does not keep it. */
void conn_test_dropped_streams_do_not_pile_up(void **state)
{
    (void)state;
    conn_world w;
    conn_make(&w, NULL);
    w.side[1].on_accept = conn_accept_and_drop;
    conn_end *a = conn_open(&w, 0, 1, 64 << 20);
    conn_end *b = conn_open(&w, 0, 2, 1);
    conn_end_write(a);
    conn_end_write(b);
    conn_run(&w, 30 * TERN_SEC);
    assert_int_equal(a->closed, 1);
    assert_int_equal(b->closed, 1);
    assert_int_equal(a->why.code, TERN_E_RESET);
    assert_true(conn_kind->drop_told || a->sent < 8 << 20); /* it was told to spare itself that */
    assert_int_equal(w.side[1].conn->stream_count, 0);
    conn_free(&w);
}

/* What was kept for an owner who did not take it is no burden once its stream is over. */
void conn_test_what_nobody_reads_holds_up_nobody(void **state)
{
    (void)state;
    for (int how = 0; how < 3; how++) {
        conn_world w;
        conn_make(&w, NULL);
        for (uint32_t i = 0; i < 20; i++) {
            conn_end *a = conn_open(&w, 0, 1, 100000);
            conn_end_write(a);
            w.side[1].on_accept = conn_accept_and_refuse;
            conn_turn(&w);
            conn_end *b = conn_other(a);
            tern_stream_end(b->s);
            if (how == 0) {
                tern_stream_reset(a->s, 1);
            } else if (how == 1) {
                tern_stream_reset(b->s, 1);
            } else { /* both end, then the owner reads */
                tern_stream_end(a->s);
                conn_turn(&w);
                b->refuse = false;
                tern_stream_resume(b->s);
            }
            conn_turn(&w);
            assert_int_equal(b->closed, 1);
        }
        w.side[1].on_accept = conn_accept_echo;
        conn_end *a = conn_open(&w, 0, 7, 3 << 20);
        a->peer_tag = 7;
        a->ends = true;
        conn_end_write(a);
        conn_run(&w, 10 * TERN_SEC);
        assert_int_equal(a->got, 3 << 20);
        conn_free(&w);
    }
}

/* --- the conn's end --- */

void conn_test_close_ends_the_streams_first(void **state)
{
    (void)state;
    for (int code = 0; code < 2; code++) {
        conn_world w;
        conn_make(&w, NULL);
        conn_end *a = conn_open(&w, 0, 1, 50000), *b = conn_open(&w, 1, 2, 0);
        conn_end_write(a);
        conn_turn(&w);
        tern_conn_close(w.side[0].conn, (uint64_t)code, "enough");
        assert_int_equal(w.side[0].closed, 0);
        tern_error error;
        assert_null(tern_conn_open(w.side[0].conn, &error));
        assert_int_equal(error.code, TERN_E_CONN_CLOSED);
        conn_run(&w, 10 * TERN_SEC);
        assert_int_equal(w.side[0].closed, 1);
        assert_int_equal(w.side[0].why.code, 0);
        assert_int_equal(w.side[1].closed, 1);
        assert_int_equal(a->why.code, TERN_E_CONN_CLOSED);
        assert_int_equal(b->why.code, TERN_E_CONN_CLOSED);
        assert_int_equal(conn_other(a)->why.code, TERN_E_CONN_CLOSED);
        bool told = code != 0 && conn_kind->close_codes;
        assert_int_equal(w.side[1].why.code != 0, told);
        assert_true(!told || w.side[1].why.wire == (uint64_t)code);
        conn_free(&w);
    }
}

/* What was written before a close in good order arrives. */
void conn_test_close_flushes(void **state)
{
    (void)state;
    const tern_memory_options options = {.window = 100};
    conn_world w;
    conn_make(&w, &options);
    conn_end *a = conn_open(&w, 0, 1, 60);
    conn_end_write(a);
    assert_int_equal(a->sent, 60);
    tern_conn_close(w.side[0].conn, 0, NULL);
    conn_turn(&w);
    assert_int_equal(conn_other(a)->got, 60);
    conn_free(&w);
}

void conn_test_the_lower_stream_dies(void **state)
{
    (void)state;
    for (int i = 0; i < 2; i++) {
        conn_world w;
        conn_make(&w, NULL);
        conn_end *a = conn_open(&w, 0, 1, 5 << 20);
        conn_end_write(a);
        conn_turn(&w);
        conn_end *b = conn_other(a);
        tern_error reset;
        tern_fail_wire(&reset, TERN_E_IO, 0, "memory", "the cable was cut");
        if (i == 0) {
            w.pair.lower[0]->ops->reset(w.pair.lower[0], 3);
            tern_stream_finish(w.pair.lower[0], &reset);
        } else {
            tern_stream_end(w.pair.lower[0]); /* a silent, clean end */
        }
        conn_run(&w, 10 * TERN_SEC);
        assert_int_equal(a->why.code, TERN_E_CONN_CLOSED);
        assert_int_equal(b->why.code, TERN_E_CONN_CLOSED);
        assert_int_equal(w.side[0].closed, 1);
        assert_int_equal(w.side[1].closed, 1);
        if (i == 0) {
            assert_int_equal(w.side[0].why.code, TERN_E_IO);
            assert_string_equal(a->why.text, "the cable was cut");
            assert_int_equal(w.side[1].why.code, TERN_E_RESET);
        }
        conn_free(&w);
    }
}

/* Before attach the lower stream is a negotiation's: it hears of the stream's end and abandons. */
static void lent_closed(void *owner, tern_stream *lower, const tern_error *why)
{
    conn_side *side = owner;
    (void)lower;
    conn_kind->mux->abandon(side->conn, why);
}

static const tern_stream_events lent_events = {.on_closed = lent_closed};

/* Nothing passes any more: both notice by themselves. */
void conn_test_the_road_dies(void **state)
{
    (void)state;
    conn_world w;
    conn_make(&w, NULL);
    conn_end *a = conn_open(&w, 0, 1, 5 << 20);
    conn_end_write(a);
    conn_turn(&w);
    conn_end *b = conn_other(a);
    tern_sim_set_default_link(w.sim, &(tern_sim_link){.down = true});
    conn_run(&w, 180 * TERN_SEC);
    assert_int_equal(a->why.code, TERN_E_CONN_CLOSED);
    assert_int_equal(b->why.code, TERN_E_CONN_CLOSED);
    for (int i = 0; i < 2; i++) {
        assert_int_equal(w.side[i].closed, 1);
        assert_int_equal(w.side[i].why.code, TERN_E_TIMEOUT);
    }
    conn_free(&w);
}

void conn_test_close_before_attach(void **state)
{
    (void)state;
    conn_world w;
    conn_begin(&w, NULL);
    for (int i = 0; i < 2; i++) {
        conn_make_side(&w, i);
        tern_stream_take(w.pair.lower[i], &lent_events, &w.side[i]);
    }
    conn_end *a = conn_open(&w, 0, 1, 1000);
    conn_end_write(a);
    tern_conn_close(w.side[0].conn, 0, NULL);
    tern_conn_close(w.side[1].conn, 5, NULL);
    conn_run(&w, 10 * TERN_SEC);
    assert_int_equal(a->why.code, TERN_E_CONN_CLOSED);
    assert_int_equal(w.side[1].why.code, 0); /* the close's reason, not the reset's that it took */
    conn_free(&w);
}

void conn_test_a_refused_muxer_is_abandoned(void **state)
{
    (void)state;
    conn_world w;
    tern_error refused;
    tern_fail(&refused, TERN_E_NEGOTIATION, "multistream", "refused");
    conn_begin(&w, NULL);
    conn_make_side(&w, 0);
    conn_make_side(&w, 1);
    conn_end *a = conn_open(&w, 0, 1, 1000);
    conn_end_write(a);
    conn_turn(&w);
    for (int i = 0; i < 2; i++) {
        tern_stream_reset(w.pair.lower[i], 0);
        tern_stream_drop(w.pair.lower[i]);
        conn_kind->mux->abandon(w.side[i].conn, &refused);
    }
    conn_turn(&w);
    assert_int_equal(a->why.code, TERN_E_CONN_CLOSED);
    assert_string_equal(a->why.text, "refused");
    assert_int_equal(w.side[0].why.code, TERN_E_NEGOTIATION);
    assert_int_equal(w.side[1].why.code, TERN_E_NEGOTIATION);
    conn_free(&w);
}

void conn_test_close_on_data(void **state);

/* Everything an owner may do from inside an event of its own. */
static size_t closing_on_data(void *owner, tern_stream *s, uint8_t *data, size_t n)
{
    conn_end *e = owner;
    (void)s;
    (void)data;
    tern_conn_close(e->side->conn, 0, "from inside");
    return n;
}

static const tern_stream_events closing_events = {
    .on_data = closing_on_data,
    .on_closed = conn_end_on_closed,
};

static void accept_and_close(conn_end *e)
{
    tern_stream_take(e->s, &closing_events, e);
    e->s->data = e;
}

static void closing_on_stream(void *owner, tern_conn *c, tern_stream *s)
{
    conn_side *side = owner;
    conn_end *e = conn_end_new(side, s);
    e->incoming = true;
    (void)c;
    accept_and_close(e);
}

void conn_test_close_on_data(void **state)
{
    (void)state;
    static const tern_conn_events events = {.on_stream = closing_on_stream,
                                            .on_closed = conn_side_on_closed};
    conn_world w;
    conn_make(&w, NULL);
    tern_conn_take(w.side[1].conn, &events, &w.side[1]);
    conn_end *a = conn_open(&w, 0, 1, 1000), *b = conn_open(&w, 0, 2, 1000);
    conn_end_write(a);
    conn_end_write(b);
    conn_run(&w, 10 * TERN_SEC);
    assert_int_equal(a->why.code, TERN_E_CONN_CLOSED);
    assert_int_equal(b->why.code, TERN_E_CONN_CLOSED);
    conn_free(&w);
}
