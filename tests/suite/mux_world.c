/* The world of the muxer tests: begin, end, and the scripted owners of streams. */
#include "suite/mux_world.h"

#include <stdlib.h>

const tern_muxer *mux_under_test;

uint32_t mux_random(mux_world *w)
{
    w->seed = w->seed * 1664525u + 1013904223u;
    return w->seed >> 8;
}

static uint8_t byte_at(uint32_t tag, uint64_t at)
{
    return (uint8_t)(at * 7 + (at >> 8) * 13 + (at >> 16) + tag * 31);
}

/* --- ends --- */

void mux_end_write(mux_end *e)
{
    uint8_t data[8192];
    while (e->s != NULL && e->sent < e->to_send) {
        size_t n =
            e->to_send - e->sent < sizeof data ? (size_t)(e->to_send - e->sent) : sizeof data;
        for (size_t i = 0; i < n; i++) {
            data[i] = byte_at(e->tag, e->sent + i);
        }
        size_t half = n / 2;
        tern_span v[2] = {{data, half}, {data + half, n - half}};
        size_t taken = tern_stream_writev(e->s, v, 2);
        assert_true(taken <= n);
        e->sent += taken;
        if (taken < n) {
            return;
        }
    }
    if (e->s != NULL && e->ends) {
        e->ends = false;
        tern_stream_end(e->s);
    }
}

static size_t end_on_data(void *owner, tern_stream *s, uint8_t *data, size_t n)
{
    mux_end *e = owner;
    assert_int_equal(e->closed, 0);
    assert_int_equal(e->ended, 0);
    assert_true(n > 0);
    if (e->refuse) {
        return 0;
    }
    size_t taken = n;
    if (e->echo) {
        taken = tern_stream_write(s, data, n);
    } else if (e->peer_tag != 0) {
        for (size_t i = 0; i < n; i++) {
            assert_int_equal(data[i], byte_at(e->peer_tag, e->got + i));
        }
    }
    memset(data, 0xee, taken); /* the owner may */
    e->got += taken;
    return taken;
}

static void end_on_end(void *owner, tern_stream *s)
{
    mux_end *e = owner;
    assert_int_equal(e->ended++, 0);
    assert_int_equal(e->closed, 0);
    if (e->echo) {
        tern_stream_end(s);
    }
}

static void end_on_room(void *owner, tern_stream *s)
{
    mux_end *e = owner;
    e->rooms++;
    assert_int_equal(e->closed, 0);
    if (e->echo) {
        tern_stream_resume(s);
    } else {
        mux_end_write(e);
    }
}

void mux_end_on_closed(void *owner, tern_stream *s, const tern_error *why)
{
    mux_end *e = owner;
    assert_ptr_equal(e->s, s);
    assert_int_equal(e->closed++, 0);
    assert_non_null(why->layer);
    e->why = *why;
    e->s = NULL;
    e->side->streams_alive--;
    assert_int_equal(e->side->closed, 0); /* streams first, then their conn */
}

static const tern_stream_events end_events = {
    .on_data = end_on_data,
    .on_end = end_on_end,
    .on_room = end_on_room,
    .on_closed = mux_end_on_closed,
};

mux_end *mux_end_new(mux_side *side, tern_stream *s)
{
    mux_end *e = calloc(1, sizeof *e); /* the tests' own, not counted */
    assert_non_null(e);
    e->w = side->w;
    e->side = side;
    e->s = s;
    e->id = tern_stream_id(s);
    side->streams_alive++;
    tern_list_push(&side->w->ends, &e->link);
    return e;
}

void mux_end_take(mux_end *e)
{
    tern_stream_take(e->s, &end_events, e);
}

static void side_on_stream(void *owner, tern_conn *c, tern_stream *s)
{
    mux_side *side = owner;
    assert_ptr_equal(side->conn, c);
    assert_int_equal(side->closed, 0);
    mux_end *e = mux_end_new(side, s);
    e->incoming = true;
    if (side->on_accept != NULL) {
        side->on_accept(e);
    }
    if (e->s != NULL) {
        mux_end_take(e);
    }
}

void mux_side_on_closed(void *owner, tern_conn *c, const tern_error *why)
{
    mux_side *side = owner;
    assert_ptr_equal(side->conn, c);
    assert_int_equal(side->closed++, 0);
    assert_int_equal(side->streams_alive, 0);
    side->why = *why;
    side->conn = NULL;
}

const tern_conn_events mux_side_events = {.on_stream = side_on_stream,
                                          .on_closed = mux_side_on_closed};

void mux_accept_echo(mux_end *e)
{
    e->echo = true;
}

void mux_accept_and_reset(mux_end *e)
{
    tern_stream *s = e->s;
    mux_end_take(e);
    tern_stream_reset(s, 7);
}

void mux_accept_and_drop(mux_end *e)
{
    tern_stream *s = e->s;
    e->s = NULL;
    e->closed = 1;
    e->side->streams_alive--;
    tern_stream_drop(s);
}

/* --- begin and end of a world --- */

bool mux_make_side(mux_world *w, int i)
{
    mux_side *side = &w->side[i];
    const tern_conn_facts facts = {.id = (uint64_t)i, .transport = "memory", .muxer = "test"};
    side->conn = mux_under_test->mux->make(&side->net, side->lower, i == 0, &facts);
    if (side->conn == NULL) {
        assert_true(w->failing);
        tern_stream_drop(side->lower);
        side->lower = NULL;
        side->closed = 1;
        return false;
    }
    tern_conn_take(side->conn, &mux_side_events, side);
    return true;
}

void mux_begin(mux_world *w, const tern_memory_options *options)
{
    memset(w, 0, sizeof *w);
    tern_list_init(&w->ends);
    assert_int_equal(tern_sim_new(1, &w->sim), 0);
    assert_int_equal(tern_sim_host(w->sim, "10.0.0.1", &w->loop), 0);
    assert_int_equal(tern_memory_pair(w->loop, options, &w->side[0].lower, &w->side[1].lower), 0);
    for (int i = 0; i < 2; i++) {
        w->side[i].w = w;
        w->side[i].net.loop = w->loop;
        tern_net_init(&w->side[i].net);
        w->side[i].net.limits.streams_per_conn = 512;
    }
}

void mux_make(mux_world *w, const tern_memory_options *options)
{
    mux_begin(w, options);
    for (int i = 0; i < 2; i++) {
        mux_make_side(w, i);
        mux_under_test->mux->attach(w->side[i].conn);
    }
}

void mux_run(mux_world *w, uint64_t time)
{
    tern_sim_run(w->sim, tern_sim_now(w->sim) + time, NULL, NULL);
}

void mux_turn(mux_world *w)
{
    mux_run(w, TERN_MS);
}

mux_end *mux_open(mux_world *w, int i, uint32_t tag, uint64_t to_send)
{
    tern_error error;
    tern_stream *s = tern_conn_open(w->side[i].conn, &error);
    assert_non_null(s);
    mux_end *e = mux_end_new(&w->side[i], s);
    e->tag = tag;
    e->to_send = to_send;
    mux_end_take(e);
    return e;
}

/* The mux_other side of a stream, NULL when it was not accepted. */
mux_end *mux_other(const mux_end *e)
{
    for (tern_list *l = e->w->ends.next; l != &e->w->ends; l = l->next) {
        mux_end *o = TERN_CONTAINER(l, mux_end, link);
        if (o->side != e->side && o->id == e->id && o->incoming != e->incoming) {
            return o;
        }
    }
    return NULL;
}

void mux_free(mux_world *w)
{
    for (int i = 0; i < 2; i++) {
        if (w->side[i].conn != NULL) {
            tern_conn_close(w->side[i].conn, 0, NULL);
        }
    }
    mux_run(w, 60 * TERN_SEC);
    for (int i = 0; i < 2; i++) {
        assert_null(w->side[i].conn);
        assert_int_equal(w->side[i].closed, 1);
        assert_int_equal(w->side[i].streams_alive, 0);
    }
    tern_list *l;
    while ((l = tern_list_pop(&w->ends)) != NULL) {
        mux_end *e = TERN_CONTAINER(l, mux_end, link);
        assert_int_equal(e->closed, 1);
        free(e);
    }
    tern_sim_free(w->sim);
    assert_int_equal(tern_mem_alive(), 0);
}
