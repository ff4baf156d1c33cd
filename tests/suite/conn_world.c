/* The world of the conn tests: begin, end, and the scripted owners of streams. */
#include "suite/conn_world.h"

#include <stdlib.h>

const tern_conn_kind *conn_kind;

uint32_t conn_random(conn_world *w)
{
    w->seed = w->seed * 1664525u + 1013904223u;
    return w->seed >> 8;
}

static uint8_t byte_at(uint32_t tag, uint64_t at)
{
    return (uint8_t)(at * 7 + (at >> 8) * 13 + (at >> 16) + tag * 31);
}

/* --- ends --- */

void conn_end_write(conn_end *e)
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
    conn_end *e = owner;
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
    conn_end *e = owner;
    assert_int_equal(e->ended++, 0);
    assert_int_equal(e->closed, 0);
    if (e->echo) {
        tern_stream_end(s);
    }
}

static void end_on_room(void *owner, tern_stream *s)
{
    conn_end *e = owner;
    e->rooms++;
    assert_int_equal(e->closed, 0);
    if (e->echo) {
        tern_stream_resume(s);
    } else {
        conn_end_write(e);
    }
}

void conn_end_on_closed(void *owner, tern_stream *s, const tern_error *why)
{
    conn_end *e = owner;
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
    .on_closed = conn_end_on_closed,
};

conn_end *conn_end_new(conn_side *side, tern_stream *s)
{
    conn_end *e = calloc(1, sizeof *e); /* the tests' own, not counted */
    assert_non_null(e);
    e->w = side->w;
    e->side = side;
    e->s = s;
    e->id = tern_stream_id(s);
    side->streams_alive++;
    tern_list_push(&side->w->ends, &e->link);
    return e;
}

void conn_end_take(conn_end *e)
{
    tern_stream_take(e->s, &end_events, e);
}

static void side_on_stream(void *owner, tern_conn *c, tern_stream *s)
{
    conn_side *side = owner;
    assert_ptr_equal(side->conn, c);
    assert_int_equal(side->closed, 0);
    conn_end *e = conn_end_new(side, s);
    e->incoming = true;
    side->accepted++;
    if (side->on_accept != NULL) {
        side->on_accept(e);
    }
    if (e->s != NULL) {
        conn_end_take(e);
    }
}

void conn_side_on_closed(void *owner, tern_conn *c, const tern_error *why)
{
    conn_side *side = owner;
    assert_ptr_equal(side->conn, c);
    assert_int_equal(side->closed++, 0);
    assert_int_equal(side->streams_alive, 0);
    side->why = *why;
    side->conn = NULL;
}

const tern_conn_events conn_side_events = {.on_stream = side_on_stream,
                                           .on_closed = conn_side_on_closed};

void conn_accept_echo(conn_end *e)
{
    e->echo = true;
}

void conn_accept_and_refuse(conn_end *e)
{
    e->refuse = true;
}

void conn_accept_and_reset(conn_end *e)
{
    tern_stream *s = e->s;
    conn_end_take(e);
    tern_stream_reset(s, 7);
}

void conn_accept_and_drop(conn_end *e)
{
    tern_stream *s = e->s;
    e->s = NULL;
    e->closed = 1;
    e->side->streams_alive--;
    tern_stream_drop(s);
}

/* --- begin and end of a world --- */

bool conn_make_side(conn_world *w, int i)
{
    conn_side *side = &w->side[i];
    tern_stream *lower = w->pair.lower[i];
    const tern_conn_facts facts = {.id = (uint64_t)i, .transport = "memory", .muxer = "test"};
    side->conn = conn_kind->mux->make(&w->pair.net[i], lower, i == 0, &facts);
    if (side->conn == NULL) {
        assert_true(w->failing);
        tern_stream_drop(lower);
        side->closed = 1;
        return false;
    }
    conn_side_take(side);
    return true;
}

void conn_side_take(conn_side *side)
{
    tern_conn_take(side->conn, &conn_side_events, side);
}

void conn_begin(conn_world *w, const tern_memory_options *options)
{
    memset(w, 0, sizeof *w);
    w->alive = tern_mem_alive();
    tern_list_init(&w->ends);
    assert_int_equal(tern_sim_new(1, &w->sim), 0);
    assert_int_equal(tern_sim_host(w->sim, "10.0.0.1", &w->loop), 0);
    conn_pair_begin(&w->pair, conn_kind, w->sim, w->loop, options);
    w->side[0].w = w->side[1].w = w;
}

void conn_meet(conn_world *w)
{
    conn_pair_meet(&w->pair);
    w->side[0].conn = w->pair.conn[0];
    w->side[1].conn = w->pair.conn[1];
    conn_side_take(&w->side[0]);
}

void conn_make(conn_world *w, const tern_memory_options *options)
{
    conn_begin(w, options);
    conn_meet(w);
    conn_side_take(&w->side[1]);
}

void conn_run(conn_world *w, uint64_t time)
{
    tern_sim_run(w->sim, tern_sim_now(w->sim) + time, NULL, NULL);
}

void conn_turn(conn_world *w)
{
    conn_run(w, conn_pair_whole(&w->pair) ? TERN_SEC / 2 : TERN_MS);
}

conn_end *conn_open(conn_world *w, int i, uint32_t tag, uint64_t to_send)
{
    tern_error error;
    tern_stream *s = tern_conn_open(w->side[i].conn, &error);
    assert_non_null(s);
    conn_end *e = conn_end_new(&w->side[i], s);
    e->tag = tag;
    e->to_send = to_send;
    conn_end_take(e);
    return e;
}

conn_end *conn_open_heard(conn_world *w, int i, uint32_t tag)
{
    conn_end *e = conn_open(w, i, tag, 1);
    conn_end_write(e);
    return e;
}

conn_end *conn_other(const conn_end *e)
{
    for (tern_list *l = e->w->ends.prev; l != &e->w->ends; l = l->prev) {
        conn_end *o = TERN_CONTAINER(l, conn_end, link);
        if (o->side != e->side && o->id == e->id && o->incoming != e->incoming) {
            return o;
        }
    }
    return NULL;
}

void conn_free(conn_world *w)
{
    for (int i = 0; i < 2; i++) {
        if (w->side[i].conn != NULL) {
            tern_conn_close(w->side[i].conn, 0, NULL);
        }
    }
    conn_run(w, 60 * TERN_SEC);
    for (int i = 0; i < 2; i++) {
        assert_null(w->side[i].conn);
        assert_int_equal(w->side[i].closed, 1);
        assert_int_equal(w->side[i].streams_alive, 0);
    }
    tern_list *l;
    while ((l = tern_list_pop(&w->ends)) != NULL) {
        conn_end *e = TERN_CONTAINER(l, conn_end, link);
        assert_int_equal(e->closed, 1);
        free(e);
    }
    conn_pair_clear(&w->pair);
    tern_sim_free(w->sim);
    assert_int_equal(tern_mem_alive(), w->alive);
}
