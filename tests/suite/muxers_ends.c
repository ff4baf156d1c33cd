/* What holds for every muxer: how streams and conns end, in each order and from inside each event.
 */
#include "base/error.h"
#include "suite/mux_world.h"

/* --- ends --- */

static void half_close(bool opener_first)
{
    mux_world w;
    mux_make(&w, NULL);
    mux_end *a = mux_open(&w, 0, 1, 0);
    mux_turn(&w);
    mux_end *b = mux_other(a);
    mux_end *first = opener_first ? a : b, *second = opener_first ? b : a;
    first->tag = 5;
    first->to_send = 3000;
    first->ends = true;
    second->peer_tag = 5;
    mux_end_write(first);
    mux_turn(&w);
    assert_int_equal(second->got, 3000);
    assert_int_equal(second->ended, 1);
    assert_int_equal(first->closed + second->closed + first->ended, 0);
    second->tag = 6; /* the mux_other half goes on */
    second->to_send = 700000;
    second->ends = true;
    first->peer_tag = 6;
    mux_end_write(second);
    mux_run(&w, TERN_SEC);
    assert_int_equal(first->got, 700000);
    assert_int_equal(first->ended, 1);
    assert_int_equal(first->closed, 1);
    assert_int_equal(second->closed, 1);
    assert_int_equal(first->why.code, 0);
    assert_int_equal(second->why.code, 0);
    mux_free(&w);
}

void mux_test_halves_close_in_each_order(void **state)
{
    (void)state;
    half_close(true);
    half_close(false);
    mux_world w;
    mux_make(&w, NULL);
    mux_end *a = mux_open(&w, 0, 1, 0);
    mux_turn(&w);
    tern_stream_end(a->s); /* both at once: the frames cross */
    tern_stream_end(mux_other(a)->s);
    mux_turn(&w);
    assert_int_equal(a->closed, 1);
    assert_int_equal(mux_other(a)->closed, 1);
    assert_int_equal(a->why.code, 0);
    mux_free(&w);
}

static void reset_from(bool opener)
{
    mux_world w;
    mux_make(&w, NULL);
    mux_end *a = mux_open(&w, 0, 1, 5 << 20);
    mux_end_write(a);
    mux_end *innocent = mux_open(&w, 0, 2, 1000);
    mux_turn(&w);
    mux_end *b = mux_other(a);
    mux_end *actor = opener ? a : b, *victim = opener ? b : a;
    tern_stream_reset(actor->s, 0x1234);
    assert_int_equal(actor->closed, 0); /* from the loop */
    mux_turn(&w);
    assert_int_equal(actor->why.code, TERN_E_RESET);
    assert_int_equal(victim->why.code, TERN_E_RESET);
    if (mux_under_test->codes) {
        assert_int_equal(victim->why.wire, 0x1234);
    }
    assert_int_equal(victim->ended, 0);
    mux_end_write(innocent);
    mux_turn(&w);
    assert_int_equal(mux_other(innocent)->got, 1000);
    mux_free(&w);
}

void mux_test_resets(void **state)
{
    (void)state;
    reset_from(true);
    reset_from(false);
    mux_world w;
    mux_make(&w, NULL);
    w.side[1].on_accept = mux_accept_and_reset;
    mux_end *a = mux_open(&w, 0, 1, 1 << 20);
    mux_end_write(a);
    mux_turn(&w);
    assert_int_equal(a->why.code, TERN_E_RESET);
    a = mux_open(&w, 0, 1, 100); /* reset before anybody heard of it */
    tern_stream_reset(a->s, 1);
    mux_turn(&w);
    assert_null(mux_other(a));
    a = mux_open(&w, 0, 1, 100);
    mux_end_write(a);
    tern_stream_reset(a->s, 1);
    mux_free(&w);
}

void mux_test_stop_drops_what_comes(void **state)
{
    (void)state;
    mux_world w;
    mux_make(&w, NULL);
    mux_end *a = mux_open(&w, 0, 1, 3 << 20);
    a->ends = true;
    mux_turn(&w);
    mux_end *b = mux_other(a);
    tern_stream_stop(b->s, 1);
    b->tag = 4;
    b->to_send = 500000; /* our half goes on */
    a->peer_tag = 4;
    mux_end_write(a);
    mux_end_write(b);
    mux_run(&w, TERN_SEC);
    assert_int_equal(a->sent, 3 << 20); /* nobody was held up */
    assert_int_equal(b->got, 0);
    assert_int_equal(a->got, 500000);
    assert_int_equal(b->ended, 0);
    tern_stream_end(b->s);
    mux_run(&w, TERN_SEC);
    assert_int_equal(a->why.code, 0);
    assert_int_equal(b->why.code, 0);
    assert_int_equal(b->closed, 1);
    mux_free(&w);
}

void mux_test_drop_flushes_and_ends(void **state)
{
    (void)state;
    mux_world w;
    mux_make(&w, NULL);
    mux_end *a = mux_open(&w, 0, 1, 1000);
    mux_end_write(a);
    mux_turn(&w);
    mux_end *b = mux_other(a);
    b->peer_tag = 1;
    b->to_send = 100;
    tern_stream *s = a->s;
    a->to_send = 2000;
    mux_end_write(a);
    assert_int_equal(a->sent, 2000);
    tern_stream_drop(s);
    mux_end_write(b); /* falls on deaf ears */
    mux_turn(&w);
    assert_int_equal(b->got, 2000);
    assert_int_equal(b->ended, 1);
    assert_int_equal(b->closed, 0);
    assert_int_equal(a->closed, 0);
    tern_stream_end(b->s);
    mux_turn(&w);
    assert_int_equal(b->closed, 1);
    assert_int_equal(b->why.code, 0);
    a->closed = 1; /* it hears nothing any more */
    a->s = NULL;
    w.side[0].streams_alive--;
    mux_free(&w);
}

/* A peer that never ends a stream nobody wants any more does not keep it. */
void mux_test_dropped_streams_do_not_pile_up(void **state)
{
    (void)state;
    mux_world w;
    mux_make(&w, NULL);
    w.side[1].on_accept = mux_accept_and_drop;
    mux_end *a = mux_open(&w, 0, 1, 64 << 20);
    mux_end *b = mux_open(&w, 0, 2, 1);
    mux_end_write(a);
    mux_end_write(b);
    mux_run(&w, 30 * TERN_SEC);
    assert_int_equal(a->closed, 1);
    assert_int_equal(b->closed, 1);
    assert_int_equal(a->why.code, TERN_E_RESET);
    assert_true(a->sent < 8 << 20);
    assert_int_equal(w.side[1].conn->stream_count, 0);
    mux_free(&w);
}

/* --- the conn's end --- */

void mux_test_close_ends_the_streams_first(void **state)
{
    (void)state;
    for (int code = 0; code < 2; code++) {
        mux_world w;
        mux_make(&w, NULL);
        mux_end *a = mux_open(&w, 0, 1, 50000), *b = mux_open(&w, 1, 2, 0);
        mux_end_write(a);
        mux_turn(&w);
        tern_conn_close(w.side[0].conn, (uint64_t)code, "enough");
        assert_int_equal(w.side[0].closed, 0);
        tern_error error;
        assert_null(tern_conn_open(w.side[0].conn, &error));
        assert_int_equal(error.code, TERN_E_CONN_CLOSED);
        mux_run(&w, 10 * TERN_SEC);
        assert_int_equal(w.side[0].closed, 1);
        assert_int_equal(w.side[0].why.code, 0);
        assert_int_equal(w.side[1].closed, 1);
        assert_int_equal(a->why.code, TERN_E_CONN_CLOSED);
        assert_int_equal(b->why.code, TERN_E_CONN_CLOSED);
        assert_int_equal(mux_other(a)->why.code, TERN_E_CONN_CLOSED);
        bool told = code != 0 && mux_under_test->codes;
        assert_int_equal(w.side[1].why.code, told ? TERN_E_CONN_CLOSED : 0);
        assert_int_equal(w.side[1].why.wire, told ? code : 0);
        mux_free(&w);
    }
}

/* What was written before a close in good order arrives. */
void mux_test_close_flushes(void **state)
{
    (void)state;
    const tern_memory_options options = {.window = 100};
    mux_world w;
    mux_make(&w, &options);
    mux_end *a = mux_open(&w, 0, 1, 60);
    mux_end_write(a);
    assert_int_equal(a->sent, 60);
    tern_conn_close(w.side[0].conn, 0, NULL);
    mux_turn(&w);
    assert_int_equal(mux_other(a)->got, 60);
    mux_free(&w);
}

void mux_test_the_lower_stream_dies(void **state)
{
    (void)state;
    for (int i = 0; i < 2; i++) {
        mux_world w;
        mux_make(&w, NULL);
        mux_end *a = mux_open(&w, 0, 1, 5 << 20);
        mux_end_write(a);
        mux_turn(&w);
        mux_end *b = mux_other(a);
        tern_error reset;
        tern_fail_wire(&reset, TERN_E_IO, 0, "memory", "the cable was cut");
        if (i == 0) {
            w.side[0].lower->ops->reset(w.side[0].lower, 3);
            tern_stream_finish(w.side[0].lower, &reset);
        } else {
            tern_stream_end(w.side[0].lower); /* a silent, clean mux_end */
        }
        mux_run(&w, 10 * TERN_SEC);
        assert_int_equal(a->why.code, TERN_E_CONN_CLOSED);
        assert_int_equal(b->why.code, TERN_E_CONN_CLOSED);
        assert_int_equal(w.side[0].closed, 1);
        assert_int_equal(w.side[1].closed, 1);
        if (i == 0) {
            assert_int_equal(w.side[0].why.code, TERN_E_IO);
            assert_string_equal(a->why.text, "the cable was cut");
            assert_int_equal(w.side[1].why.code, TERN_E_RESET);
        }
        mux_free(&w);
    }
}

/* Before attach the lower stream is a negotiation's: it hears of the stream's end and abandons. */
static void lent_closed(void *owner, tern_stream *lower, const tern_error *why)
{
    mux_side *side = owner;
    (void)lower;
    mux_under_test->mux->abandon(side->conn, why);
}

static const tern_stream_events lent_events = {.on_closed = lent_closed};

void mux_test_close_before_attach(void **state)
{
    (void)state;
    mux_world w;
    mux_begin(&w, NULL);
    for (int i = 0; i < 2; i++) {
        mux_make_side(&w, i);
        tern_stream_take(w.side[i].lower, &lent_events, &w.side[i]);
    }
    mux_end *a = mux_open(&w, 0, 1, 1000);
    mux_end_write(a);
    tern_conn_close(w.side[0].conn, 0, NULL);
    tern_conn_close(w.side[1].conn, 5, NULL);
    mux_run(&w, 10 * TERN_SEC);
    assert_int_equal(a->why.code, TERN_E_CONN_CLOSED);
    assert_int_equal(w.side[1].why.code, 0); /* the close's reason, not the reset's that it took */
    mux_free(&w);
}

void mux_test_a_refused_muxer_is_abandoned(void **state)
{
    (void)state;
    mux_world w;
    tern_error refused;
    tern_fail(&refused, TERN_E_NEGOTIATION, "multistream", "refused");
    mux_begin(&w, NULL);
    mux_make_side(&w, 0);
    mux_make_side(&w, 1);
    mux_end *a = mux_open(&w, 0, 1, 1000);
    mux_end_write(a);
    mux_turn(&w);
    for (int i = 0; i < 2; i++) {
        tern_stream_reset(w.side[i].lower, 0);
        tern_stream_drop(w.side[i].lower);
        mux_under_test->mux->abandon(w.side[i].conn, &refused);
    }
    mux_turn(&w);
    assert_int_equal(a->why.code, TERN_E_CONN_CLOSED);
    assert_string_equal(a->why.text, "refused");
    assert_int_equal(w.side[0].why.code, TERN_E_NEGOTIATION);
    assert_int_equal(w.side[1].why.code, TERN_E_NEGOTIATION);
    mux_free(&w);
}

void mux_test_close_on_data(void **state);

/* Everything an owner may do from inside an event of its own. */
static size_t closing_on_data(void *owner, tern_stream *s, uint8_t *data, size_t n)
{
    mux_end *e = owner;
    (void)s;
    (void)data;
    tern_conn_close(e->side->conn, 0, "from inside");
    return n;
}

static const tern_stream_events closing_events = {
    .on_data = closing_on_data,
    .on_closed = mux_end_on_closed,
};

static void accept_and_close(mux_end *e)
{
    tern_stream_take(e->s, &closing_events, e);
    e->s->data = e;
}

static void closing_on_stream(void *owner, tern_conn *c, tern_stream *s)
{
    mux_side *side = owner;
    mux_end *e = mux_end_new(side, s);
    e->incoming = true;
    (void)c;
    accept_and_close(e);
}

void mux_test_close_on_data(void **state)
{
    (void)state;
    static const tern_conn_events events = {.on_stream = closing_on_stream,
                                            .on_closed = mux_side_on_closed};
    mux_world w;
    mux_make(&w, NULL);
    tern_conn_take(w.side[1].conn, &events, &w.side[1]);
    mux_end *a = mux_open(&w, 0, 1, 1000), *b = mux_open(&w, 0, 2, 1000);
    mux_end_write(a);
    mux_end_write(b);
    mux_run(&w, 10 * TERN_SEC);
    assert_int_equal(a->why.code, TERN_E_CONN_CLOSED);
    assert_int_equal(b->why.code, TERN_E_CONN_CLOSED);
    mux_free(&w);
}
