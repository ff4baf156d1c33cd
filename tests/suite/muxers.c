/* What holds for every muxer (core/mux.h), run over a pair of streams in memory on the simulated
 * loop.
 *
 * Each test makes two conns of the muxer, lets scripted stream owners ("ends") talk, and checks
 * what they heard: bytes complete and in order, the table of tern/stream.h, each terminal event
 * once and last. A new muxer is one line in `muxers`. */
#include <stdio.h>
#include <stdlib.h>

#include <tern/stream.h>

#include "base/error.h"
#include "base/list.h"
#include "base/test.h"
#include "core/mux.h"
#include "loop/sim.h"
#include "mux/yamux.h"
#include "streams/memory.h"

typedef struct muxer {
    const tern_mux *mux;
    bool windows; /* a slow reader slows its own writer only */
    bool codes;   /* a reset brings its code to the peer */
} muxer;

static const muxer muxers[] = {
    {&tern_yamux, .windows = true, .codes = true},
};

static const muxer *under_test = &muxers[0];

/* --- the world --- */

typedef struct world world;

/* The owner of one side of a stream. */
typedef struct end {
    tern_list link; /* in world.ends */
    world *w;
    tern_stream *s; /* NULL once closed */
    struct side_state *side;
    uint64_t id;
    uint32_t tag; /* what it writes depends on it */
    uint64_t to_send, sent;
    uint64_t got;      /* bytes taken */
    uint32_t peer_tag; /* what it expects to read; 0 = anything */
    bool ends;         /* end when all is sent */
    bool echo;         /* write back what comes, end when the peer does */
    bool refuse;       /* take nothing */
    bool incoming;
    unsigned ended, closed, rooms; /* events heard */
    tern_error why;
} end;

typedef struct side_state {
    world *w;
    tern_net net;
    tern_stream *lower;
    tern_conn *conn; /* NULL once closed */
    unsigned closed;
    size_t streams_alive;
    tern_error why;
    void (*on_accept)(end *e);
} side_state;

struct world {
    tern_sim *sim;
    tern_loop *loop;
    side_state side[2];
    tern_list ends;
    uint32_t seed;
    bool failing; /* allocations fail: nothing is promised but that it all ends */
};

static uint32_t next_random(world *w)
{
    w->seed = w->seed * 1664525u + 1013904223u;
    return w->seed >> 8;
}

static uint8_t byte_at(uint32_t tag, uint64_t at)
{
    return (uint8_t)(at * 7 + (at >> 8) * 13 + (at >> 16) + tag * 31);
}

/* --- ends --- */

static void end_write(end *e)
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
    end *e = owner;
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
    end *e = owner;
    assert_int_equal(e->ended++, 0);
    assert_int_equal(e->closed, 0);
    if (e->echo) {
        tern_stream_end(s);
    }
}

static void end_on_room(void *owner, tern_stream *s)
{
    end *e = owner;
    e->rooms++;
    assert_int_equal(e->closed, 0);
    if (e->echo) {
        tern_stream_resume(s);
    } else {
        end_write(e);
    }
}

static void end_on_closed(void *owner, tern_stream *s, const tern_error *why)
{
    end *e = owner;
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
    .on_closed = end_on_closed,
};

static end *end_new(side_state *side, tern_stream *s)
{
    end *e = calloc(1, sizeof *e); /* the tests' own, not counted */
    assert_non_null(e);
    e->w = side->w;
    e->side = side;
    e->s = s;
    e->id = tern_stream_id(s);
    side->streams_alive++;
    tern_list_push(&side->w->ends, &e->link);
    return e;
}

static void end_take(end *e)
{
    tern_stream_take(e->s, &end_events, e);
}

static void side_on_stream(void *owner, tern_conn *c, tern_stream *s)
{
    side_state *side = owner;
    assert_ptr_equal(side->conn, c);
    assert_int_equal(side->closed, 0);
    end *e = end_new(side, s);
    e->incoming = true;
    if (side->on_accept != NULL) {
        side->on_accept(e);
    }
    if (e->s != NULL) {
        end_take(e);
    }
}

static void side_on_closed(void *owner, tern_conn *c, const tern_error *why)
{
    side_state *side = owner;
    assert_ptr_equal(side->conn, c);
    assert_int_equal(side->closed++, 0);
    assert_int_equal(side->streams_alive, 0);
    side->why = *why;
    side->conn = NULL;
}

static const tern_conn_events side_events = {side_on_stream, side_on_closed};

static void accept_echo(end *e)
{
    e->echo = true;
}

/* --- begin and end of a world --- */

static bool make_side(world *w, int i)
{
    side_state *side = &w->side[i];
    const tern_conn_facts facts = {.id = (uint64_t)i, .transport = "memory", .muxer = "test"};
    side->conn = under_test->mux->make(&side->net, side->lower, i == 0, &facts);
    if (side->conn == NULL) {
        assert_true(w->failing);
        tern_stream_drop(side->lower);
        side->lower = NULL;
        side->closed = 1;
        return false;
    }
    tern_conn_take(side->conn, &side_events, side);
    return true;
}

/* Lower streams and conns, not attached yet. */
static void world_begin(world *w, const tern_memory_options *options)
{
    memset(w, 0, sizeof *w);
    tern_list_init(&w->ends);
    assert_int_equal(tern_sim_new(1, &w->sim), 0);
    assert_int_equal(tern_sim_host(w->sim, "10.0.0.1", &w->loop), 0);
    assert_int_equal(tern_memory_pair(w->loop, options, &w->side[0].lower, &w->side[1].lower), 0);
    for (int i = 0; i < 2; i++) {
        w->side[i].w = w;
        w->side[i].net.loop = w->loop;
        tern_limits_default(&w->side[i].net.limits);
        w->side[i].net.limits.streams_per_conn = 512;
    }
}

static void world_make(world *w, const tern_memory_options *options)
{
    world_begin(w, options);
    for (int i = 0; i < 2; i++) {
        make_side(w, i);
        under_test->mux->attach(w->side[i].conn);
    }
}

static void run(world *w, uint64_t time)
{
    tern_sim_run(w->sim, tern_sim_now(w->sim) + time, NULL, NULL);
}

static void turn(world *w)
{
    run(w, TERN_MS);
}

static end *opened(world *w, int i, uint32_t tag, uint64_t to_send)
{
    tern_error error;
    tern_stream *s = tern_conn_open(w->side[i].conn, &error);
    assert_non_null(s);
    end *e = end_new(&w->side[i], s);
    e->tag = tag;
    e->to_send = to_send;
    end_take(e);
    return e;
}

/* The other side of a stream, NULL when it was not accepted. */
static end *other(const end *e)
{
    for (tern_list *l = e->w->ends.next; l != &e->w->ends; l = l->next) {
        end *o = TERN_CONTAINER(l, end, link);
        if (o->side != e->side && o->id == e->id && o->incoming != e->incoming) {
            return o;
        }
    }
    return NULL;
}

static void world_free(world *w)
{
    for (int i = 0; i < 2; i++) {
        if (w->side[i].conn != NULL) {
            tern_conn_close(w->side[i].conn, 0, NULL);
        }
    }
    run(w, 60 * TERN_SEC);
    for (int i = 0; i < 2; i++) {
        assert_null(w->side[i].conn);
        assert_int_equal(w->side[i].closed, 1);
        assert_int_equal(w->side[i].streams_alive, 0);
    }
    tern_list *l;
    while ((l = tern_list_pop(&w->ends)) != NULL) {
        end *e = TERN_CONTAINER(l, end, link);
        assert_int_equal(e->closed, 1);
        free(e);
    }
    tern_sim_free(w->sim);
    assert_int_equal(tern_mem_alive(), 0);
}

/* --- opening --- */

static void opens_from_both_sides(void **state)
{
    (void)state;
    world w;
    world_make(&w, NULL);
    end *a = opened(&w, 0, 3, 0), *b = opened(&w, 1, 4, 0), *c = opened(&w, 0, 5, 0);
    assert_true(a->id != c->id);
    end_write(a);
    turn(&w);
    assert_non_null(other(a)); /* also those that said nothing */
    assert_non_null(other(b));
    assert_non_null(other(c));
    world_free(&w);
}

static void accept_and_speak(end *e)
{
    e->tag = 9;
    e->to_send = 1000;
    e->ends = true;
    end_write(e);
}

static void the_acceptor_may_speak_first(void **state)
{
    (void)state;
    world w;
    world_make(&w, NULL);
    w.side[1].on_accept = accept_and_speak;
    end *a = opened(&w, 0, 1, 0);
    a->peer_tag = 9;
    turn(&w);
    assert_int_equal(a->got, 1000);
    assert_int_equal(a->ended, 1);
    assert_int_equal(a->closed, 0);
    world_free(&w);
}

static void writes_before_attach_travel(void **state)
{
    (void)state;
    world w;
    world_begin(&w, NULL);
    make_side(&w, 0);
    end *a = opened(&w, 0, 2, 500), *b = opened(&w, 0, 3, 700);
    end_write(b);
    end_write(a);
    a->peer_tag = 2;
    b->peer_tag = 3;
    turn(&w);
    make_side(&w, 1);
    w.side[1].on_accept = accept_echo;
    under_test->mux->attach(w.side[1].conn);
    turn(&w);
    assert_int_equal(a->got, 0); /* the answer waits for attach */
    under_test->mux->attach(w.side[0].conn);
    turn(&w);
    assert_int_equal(a->got, 500);
    assert_int_equal(b->got, 700);
    world_free(&w);
}

static void streams_wait_for_the_conns_owner(void **state)
{
    (void)state;
    world w;
    world_begin(&w, NULL);
    const tern_conn_facts facts = {.muxer = "test"};
    make_side(&w, 0);
    w.side[1].conn = under_test->mux->make(&w.side[1].net, w.side[1].lower, false, &facts);
    w.side[1].on_accept = accept_echo;
    under_test->mux->attach(w.side[0].conn);
    under_test->mux->attach(w.side[1].conn);
    end *a = opened(&w, 0, 2, 5000);
    a->peer_tag = 2;
    a->ends = true;
    end_write(a);
    turn(&w);
    assert_int_equal(a->got, 0);
    tern_conn_take(w.side[1].conn, &side_events, &w.side[1]);
    turn(&w);
    assert_int_equal(a->got, 5000);
    assert_int_equal(a->closed, 1);
    assert_int_equal(a->why.code, 0);
    world_free(&w);
}

/* --- bytes --- */

static void echo_of(uint64_t size, const tern_memory_options *options)
{
    world w;
    world_make(&w, options);
    w.side[1].on_accept = accept_echo;
    end *a = opened(&w, 0, 1, size);
    a->peer_tag = 1;
    a->ends = true;
    end_write(a);
    run(&w, 10 * TERN_SEC);
    assert_int_equal(a->got, size);
    assert_int_equal(a->ended, 1);
    assert_int_equal(a->closed, 1);
    assert_int_equal(a->why.code, 0);
    assert_int_equal(other(a)->got, size);
    assert_int_equal(other(a)->why.code, 0);
    world_free(&w);
}

static void echoes(void **state)
{
    (void)state;
    const tern_memory_options bytewise = {.chunk = 1}, narrow = {.window = 1}, odd = {100, 7};
    echo_of(0, NULL);
    echo_of(1, NULL);
    echo_of(5000, NULL);
    echo_of(5 << 20, NULL);
    echo_of(3000, &bytewise);
    echo_of(3000, &narrow);
    echo_of(300000, &odd);
}

/* Opens until refused, lets the answers come, goes on. */
static void many_streams(void **state)
{
    (void)state;
    enum { MANY = 400 };
    world w;
    world_make(&w, NULL);
    w.side[1].on_accept = accept_echo;
    end *ends[MANY];
    for (uint32_t i = 0; i < MANY; i++) {
        tern_error error;
        tern_stream *s = tern_conn_open(w.side[0].conn, &error);
        if (s == NULL) {
            assert_int_equal(error.code, TERN_E_LIMIT);
            turn(&w);
            s = tern_conn_open(w.side[0].conn, &error);
        }
        assert_non_null(s);
        ends[i] = end_new(&w.side[0], s);
        ends[i]->tag = ends[i]->peer_tag = i + 1;
        ends[i]->to_send = 20000;
        end_take(ends[i]);
        end_write(ends[i]);
    }
    run(&w, TERN_SEC);
    for (uint32_t i = 0; i < MANY; i++) {
        assert_int_equal(ends[i]->got, 20000);
        tern_stream_end(ends[i]->s);
    }
    turn(&w);
    for (uint32_t i = 0; i < MANY; i++) {
        assert_int_equal(ends[i]->why.code, 0);
        assert_int_equal(ends[i]->closed, 1);
    }
    opened(&w, 0, 1, 0);
    world_free(&w);
}

/* Through a narrow lower stream, all writers get on alike. */
static void writers_share_the_lower_stream(void **state)
{
    (void)state;
    enum { WRITERS = 8 };
    world w;
    const tern_memory_options options = {.window = 4096};
    world_make(&w, &options);
    end *ends[WRITERS];
    for (uint32_t i = 0; i < WRITERS; i++) {
        ends[i] = opened(&w, 0, i + 1, 2 << 20);
        ends[i]->ends = true;
    }
    for (int i = 0; i < WRITERS; i++) {
        end_write(ends[i]);
        assert_true(ends[i]->sent < 64 << 10);
    }
    run(&w, TERN_SEC);
    for (int i = 0; i < WRITERS; i++) {
        assert_int_equal(other(ends[i])->got, 2 << 20);
        assert_int_equal(other(ends[i])->ended, 1);
    }
    world_free(&w);
}

/* A write of no more than room says is taken whole. */
static void room_is_kept(void **state)
{
    (void)state;
    world w;
    const tern_memory_options options = {.window = 3000};
    uint8_t data[3000] = {0};
    world_make(&w, &options);
    end *a = opened(&w, 0, 1, 0);
    uint64_t sent = 0;
    for (int i = 0; i < 200; i++) {
        size_t room = tern_stream_room(a->s);
        if (room > 0) {
            size_t n = 1 + next_random(&w) % (room < sizeof data ? room : sizeof data);
            assert_int_equal(tern_stream_write(a->s, data, n), n);
            sent += n;
        } else {
            assert_int_equal(tern_stream_write(a->s, data, sizeof data) < sizeof data, true);
            turn(&w);
            sent = 0; /* some of the data of this write may have gone */
        }
    }
    (void)sent;
    world_free(&w);
}

/* --- backpressure --- */

static void accept_and_refuse(end *e)
{
    e->refuse = e->id == 1;
    e->echo = !e->refuse;
}

static void a_slow_reader_slows_only_its_writer(void **state)
{
    (void)state;
    if (!under_test->windows) {
        skip();
    }
    world w;
    world_make(&w, NULL);
    w.side[1].on_accept = accept_and_refuse;
    end *slow = opened(&w, 0, 1, 10 << 20);
    assert_int_equal(slow->id, 1);
    end_write(slow);
    end *quick = opened(&w, 0, 2, 3 << 20);
    quick->peer_tag = 2;
    end_write(quick);
    run(&w, TERN_SEC);
    assert_int_equal(quick->got, 3 << 20);
    assert_int_equal(other(slow)->got, 0);
    uint64_t stuck = slow->sent;
    assert_true(stuck > 0 && stuck <= 16 << 20 && stuck < slow->to_send);
    assert_true(tern_stream_room(slow->s) == 0);
    other(slow)->refuse = false;
    other(slow)->peer_tag = 1;
    tern_stream_resume(other(slow)->s);
    run(&w, TERN_SEC);
    assert_int_equal(other(slow)->got, 10 << 20);
    assert_true(slow->rooms > 0);
    world_free(&w);
}

/* Kept bytes, then the end, come to a late owner; the closed stream waits for them. */
static void kept_bytes_come_before_the_end(void **state)
{
    (void)state;
    world w;
    world_make(&w, NULL);
    w.side[1].on_accept = accept_and_refuse;
    end *a = opened(&w, 0, 1, 100000);
    a->ends = true;
    end_write(a);
    turn(&w);
    end *b = other(a);
    tern_stream_end(b->s);
    turn(&w);
    assert_int_equal(a->closed, 1);
    assert_int_equal(b->ended + b->closed, 0);
    b->refuse = false;
    b->peer_tag = 1;
    tern_stream_resume(b->s);
    turn(&w);
    assert_int_equal(b->got, 100000);
    assert_int_equal(b->ended, 1);
    assert_int_equal(b->closed, 1);
    assert_int_equal(b->why.code, 0);
    world_free(&w);
}

/* --- ends --- */

static void half_close(bool opener_first)
{
    world w;
    world_make(&w, NULL);
    end *a = opened(&w, 0, 1, 0);
    turn(&w);
    end *b = other(a);
    end *first = opener_first ? a : b, *second = opener_first ? b : a;
    first->tag = 5;
    first->to_send = 3000;
    first->ends = true;
    second->peer_tag = 5;
    end_write(first);
    turn(&w);
    assert_int_equal(second->got, 3000);
    assert_int_equal(second->ended, 1);
    assert_int_equal(first->closed + second->closed + first->ended, 0);
    second->tag = 6; /* the other half goes on */
    second->to_send = 700000;
    second->ends = true;
    first->peer_tag = 6;
    end_write(second);
    run(&w, TERN_SEC);
    assert_int_equal(first->got, 700000);
    assert_int_equal(first->ended, 1);
    assert_int_equal(first->closed, 1);
    assert_int_equal(second->closed, 1);
    assert_int_equal(first->why.code, 0);
    assert_int_equal(second->why.code, 0);
    world_free(&w);
}

static void halves_close_in_each_order(void **state)
{
    (void)state;
    half_close(true);
    half_close(false);
    world w;
    world_make(&w, NULL);
    end *a = opened(&w, 0, 1, 0);
    turn(&w);
    tern_stream_end(a->s); /* both at once: the frames cross */
    tern_stream_end(other(a)->s);
    turn(&w);
    assert_int_equal(a->closed, 1);
    assert_int_equal(other(a)->closed, 1);
    assert_int_equal(a->why.code, 0);
    world_free(&w);
}

static void reset_from(bool opener)
{
    world w;
    world_make(&w, NULL);
    end *a = opened(&w, 0, 1, 5 << 20);
    end_write(a);
    end *innocent = opened(&w, 0, 2, 1000);
    turn(&w);
    end *b = other(a);
    end *actor = opener ? a : b, *victim = opener ? b : a;
    tern_stream_reset(actor->s, 0x1234);
    assert_int_equal(actor->closed, 0); /* from the loop */
    turn(&w);
    assert_int_equal(actor->why.code, TERN_E_RESET);
    assert_int_equal(victim->why.code, TERN_E_RESET);
    if (under_test->codes) {
        assert_int_equal(victim->why.wire, 0x1234);
    }
    assert_int_equal(victim->ended, 0);
    end_write(innocent);
    turn(&w);
    assert_int_equal(other(innocent)->got, 1000);
    world_free(&w);
}

static void accept_and_reset(end *e)
{
    tern_stream *s = e->s;
    end_take(e);
    tern_stream_reset(s, 7);
}

static void resets(void **state)
{
    (void)state;
    reset_from(true);
    reset_from(false);
    world w;
    world_make(&w, NULL);
    w.side[1].on_accept = accept_and_reset;
    end *a = opened(&w, 0, 1, 1 << 20);
    end_write(a);
    turn(&w);
    assert_int_equal(a->why.code, TERN_E_RESET);
    a = opened(&w, 0, 1, 100); /* reset before anybody heard of it */
    tern_stream_reset(a->s, 1);
    turn(&w);
    assert_null(other(a));
    a = opened(&w, 0, 1, 100);
    end_write(a);
    tern_stream_reset(a->s, 1);
    world_free(&w);
}

static void stop_drops_what_comes(void **state)
{
    (void)state;
    world w;
    world_make(&w, NULL);
    end *a = opened(&w, 0, 1, 3 << 20);
    a->ends = true;
    turn(&w);
    end *b = other(a);
    tern_stream_stop(b->s, 1);
    b->tag = 4;
    b->to_send = 500000; /* our half goes on */
    a->peer_tag = 4;
    end_write(a);
    end_write(b);
    run(&w, TERN_SEC);
    assert_int_equal(a->sent, 3 << 20); /* nobody was held up */
    assert_int_equal(b->got, 0);
    assert_int_equal(a->got, 500000);
    assert_int_equal(b->ended, 0);
    tern_stream_end(b->s);
    run(&w, TERN_SEC);
    assert_int_equal(a->why.code, 0);
    assert_int_equal(b->why.code, 0);
    assert_int_equal(b->closed, 1);
    world_free(&w);
}

static void drop_flushes_and_ends(void **state)
{
    (void)state;
    world w;
    world_make(&w, NULL);
    end *a = opened(&w, 0, 1, 1000);
    end_write(a);
    turn(&w);
    end *b = other(a);
    b->peer_tag = 1;
    b->to_send = 100;
    tern_stream *s = a->s;
    a->to_send = 2000;
    end_write(a);
    assert_int_equal(a->sent, 2000);
    tern_stream_drop(s);
    end_write(b); /* falls on deaf ears */
    turn(&w);
    assert_int_equal(b->got, 2000);
    assert_int_equal(b->ended, 1);
    assert_int_equal(b->closed, 0);
    assert_int_equal(a->closed, 0);
    tern_stream_end(b->s);
    turn(&w);
    assert_int_equal(b->closed, 1);
    assert_int_equal(b->why.code, 0);
    a->closed = 1; /* it hears nothing any more */
    a->s = NULL;
    w.side[0].streams_alive--;
    world_free(&w);
}

static void accept_and_drop(end *e)
{
    tern_stream *s = e->s;
    e->s = NULL;
    e->closed = 1;
    e->side->streams_alive--;
    tern_stream_drop(s);
}

/* A peer that never ends a stream nobody wants any more does not keep it. */
static void dropped_streams_do_not_pile_up(void **state)
{
    (void)state;
    world w;
    world_make(&w, NULL);
    w.side[1].on_accept = accept_and_drop;
    end *a = opened(&w, 0, 1, 64 << 20);
    end *b = opened(&w, 0, 2, 1);
    end_write(a);
    end_write(b);
    run(&w, 30 * TERN_SEC);
    assert_int_equal(a->closed, 1);
    assert_int_equal(b->closed, 1);
    assert_int_equal(a->why.code, TERN_E_RESET);
    assert_true(a->sent < 8 << 20);
    assert_int_equal(w.side[1].conn->stream_count, 0);
    world_free(&w);
}

/* --- the conn's end --- */

static void close_ends_the_streams_first(void **state)
{
    (void)state;
    for (int code = 0; code < 2; code++) {
        world w;
        world_make(&w, NULL);
        end *a = opened(&w, 0, 1, 50000), *b = opened(&w, 1, 2, 0);
        end_write(a);
        turn(&w);
        tern_conn_close(w.side[0].conn, (uint64_t)code, "enough");
        assert_int_equal(w.side[0].closed, 0);
        tern_error error;
        assert_null(tern_conn_open(w.side[0].conn, &error));
        assert_int_equal(error.code, TERN_E_CONN_CLOSED);
        run(&w, 10 * TERN_SEC);
        assert_int_equal(w.side[0].closed, 1);
        assert_int_equal(w.side[0].why.code, 0);
        assert_int_equal(w.side[1].closed, 1);
        assert_int_equal(a->why.code, TERN_E_CONN_CLOSED);
        assert_int_equal(b->why.code, TERN_E_CONN_CLOSED);
        assert_int_equal(other(a)->why.code, TERN_E_CONN_CLOSED);
        assert_int_equal(w.side[1].why.code, code == 0 ? 0 : TERN_E_CONN_CLOSED);
        assert_int_equal(w.side[1].why.wire, code);
        world_free(&w);
    }
}

/* What was written before a close in good order arrives. */
static void close_flushes(void **state)
{
    (void)state;
    const tern_memory_options options = {.window = 100};
    world w;
    world_make(&w, &options);
    end *a = opened(&w, 0, 1, 60);
    end_write(a);
    assert_int_equal(a->sent, 60);
    tern_conn_close(w.side[0].conn, 0, NULL);
    turn(&w);
    assert_int_equal(other(a)->got, 60);
    world_free(&w);
}

static void the_lower_stream_dies(void **state)
{
    (void)state;
    for (int i = 0; i < 2; i++) {
        world w;
        world_make(&w, NULL);
        end *a = opened(&w, 0, 1, 5 << 20);
        end_write(a);
        turn(&w);
        end *b = other(a);
        tern_error reset;
        tern_fail_wire(&reset, TERN_E_IO, 0, "memory", "the cable was cut");
        if (i == 0) {
            w.side[0].lower->ops->reset(w.side[0].lower, 3);
            tern_stream_finish(w.side[0].lower, &reset);
        } else {
            tern_stream_end(w.side[0].lower); /* a silent, clean end */
        }
        run(&w, 10 * TERN_SEC);
        assert_int_equal(a->why.code, TERN_E_CONN_CLOSED);
        assert_int_equal(b->why.code, TERN_E_CONN_CLOSED);
        assert_int_equal(w.side[0].closed, 1);
        assert_int_equal(w.side[1].closed, 1);
        if (i == 0) {
            assert_int_equal(w.side[0].why.code, TERN_E_IO);
            assert_string_equal(a->why.text, "the cable was cut");
            assert_int_equal(w.side[1].why.code, TERN_E_RESET);
        }
        world_free(&w);
    }
}

static void close_before_attach(void **state)
{
    (void)state;
    world w;
    world_begin(&w, NULL);
    make_side(&w, 0);
    make_side(&w, 1);
    end *a = opened(&w, 0, 1, 1000);
    end_write(a);
    tern_conn_close(w.side[0].conn, 0, NULL);
    tern_conn_close(w.side[1].conn, 5, NULL);
    run(&w, 10 * TERN_SEC);
    assert_int_equal(a->why.code, TERN_E_CONN_CLOSED);
    world_free(&w);
}

static void close_on_data(void **state);

/* --- everything at once --- */

static void accept_at_random(end *e)
{
    world *w = e->w;
    switch (next_random(w) % 6) {
    case 0:
        accept_and_reset(e);
        break;
    case 1:
        accept_and_drop(e);
        break;
    case 2:
        e->refuse = true;
        break;
    default:
        e->echo = true;
        break;
    }
}

static void act_at_random(end *e)
{
    if (e->s == NULL) {
        return;
    }
    switch (next_random(e->w) % 12) {
    case 0:
        tern_stream_reset(e->s, next_random(e->w));
        break;
    case 1:
        tern_stream_end(e->s);
        break;
    case 2:
        tern_stream_stop(e->s, 0);
        break;
    case 3:
        e->refuse = !e->refuse;
        tern_stream_resume(e->s);
        break;
    case 4:
        accept_and_drop(e);
        break;
    default:
        if (!e->incoming && e->s->ended == 0) {
            e->to_send += next_random(e->w) % 300000;
            end_write(e);
        }
        break;
    }
}

static end *end_at_random(world *w)
{
    size_t n = 0;
    end *pick = NULL;
    for (tern_list *l = w->ends.next; l != &w->ends; l = l->next) {
        if (next_random(w) % ++n == 0) {
            pick = TERN_CONTAINER(l, end, link);
        }
    }
    return pick;
}

static void random_session(uint32_t seed)
{
    static const size_t sizes[] = {0, 1, 13, 1000, 70000};
    world w;
    tern_memory_options options = {.window = sizes[seed % 5], .chunk = sizes[seed / 5 % 5]};
    world_make(&w, &options);
    w.seed = seed * 2654435761u;
    for (int i = 0; i < 2; i++) {
        w.side[i].on_accept = accept_at_random;
        w.side[i].net.limits.streams_per_conn = seed % 3 == 0 ? 5 : 512;
    }
    for (int i = 0; i < 120; i++) {
        side_state *side = &w.side[next_random(&w) % 2];
        tern_error error;
        uint32_t what = next_random(&w) % 4;
        tern_stream *s =
            what == 0 && side->conn != NULL ? tern_conn_open(side->conn, &error) : NULL;
        if (s != NULL) {
            end *e = end_new(side, s);
            e->tag = e->peer_tag = 1 + next_random(&w) % 1000; /* an echo or nothing */
            e->to_send = next_random(&w) % 100000;
            e->ends = next_random(&w) % 2 == 0;
            end_take(e);
            end_write(e);
        }
        end *e = end_at_random(&w);
        if (what != 0 && e != NULL) {
            act_at_random(e);
        }
        if (next_random(&w) % 3 == 0) {
            turn(&w);
        }
    }
    run(&w, TERN_SEC);
    for (int i = 0; i < 2; i++) { /* nobody broke a rule */
        assert_int_equal(w.side[i].closed, 0);
        assert_non_null(w.side[i].conn);
    }
    world_free(&w);
}

static void random_sessions(void **state)
{
    (void)state;
    for (uint32_t seed = 1; seed <= 100; seed++) {
        random_session(seed);
    }
}

/* Everything an owner may do from inside an event of its own. */
static size_t closing_on_data(void *owner, tern_stream *s, uint8_t *data, size_t n)
{
    end *e = owner;
    (void)s;
    (void)data;
    tern_conn_close(e->side->conn, 0, "from inside");
    return n;
}

static const tern_stream_events closing_events = {
    .on_data = closing_on_data,
    .on_closed = end_on_closed,
};

static void accept_and_close(end *e)
{
    tern_stream_take(e->s, &closing_events, e);
    e->s->data = e;
}

static void closing_on_stream(void *owner, tern_conn *c, tern_stream *s)
{
    side_state *side = owner;
    end *e = end_new(side, s);
    e->incoming = true;
    (void)c;
    accept_and_close(e);
}

static void close_on_data(void **state)
{
    (void)state;
    static const tern_conn_events events = {closing_on_stream, side_on_closed};
    world w;
    world_make(&w, NULL);
    tern_conn_take(w.side[1].conn, &events, &w.side[1]);
    end *a = opened(&w, 0, 1, 1000), *b = opened(&w, 0, 2, 1000);
    end_write(a);
    end_write(b);
    run(&w, 10 * TERN_SEC);
    assert_int_equal(a->why.code, TERN_E_CONN_CLOSED);
    assert_int_equal(b->why.code, TERN_E_CONN_CLOSED);
    world_free(&w);
}

/* --- memory --- */

static void scenario_without_memory(size_t at, bool *ret_done)
{
    world w;
    world_begin(&w, NULL);
    w.failing = true;
    tern_mem_fail_at(at, 0);
    bool both = make_side(&w, 0);
    both = make_side(&w, 1) && both;
    for (int i = 0; i < 2; i++) {
        w.side[i].on_accept = accept_echo;
        if (w.side[i].conn != NULL) {
            under_test->mux->attach(w.side[i].conn);
        }
    }
    tern_error error;
    for (uint32_t i = 0; i < 4 && both; i++) {
        tern_stream *s = tern_conn_open(w.side[i % 2].conn, &error);
        if (s == NULL) {
            assert_int_equal(error.code, TERN_E_NOMEM);
            continue;
        }
        end *e = end_new(&w.side[i % 2], s);
        e->to_send = 300000;
        e->ends = true;
        end_take(e);
        end_write(e);
    }
    run(&w, TERN_SEC);
    *ret_done = tern_mem_count() < at;
    tern_mem_fail_at(0, 0);
    world_free(&w);
}

static void each_allocation_may_fail(void **state)
{
    (void)state;
    bool done = false;
    for (size_t at = 1; !done; at++) {
        scenario_without_memory(at, &done);
        assert_true(at < 5000);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(opens_from_both_sides),
        cmocka_unit_test(the_acceptor_may_speak_first),
        cmocka_unit_test(writes_before_attach_travel),
        cmocka_unit_test(streams_wait_for_the_conns_owner),
        cmocka_unit_test(echoes),
        cmocka_unit_test(many_streams),
        cmocka_unit_test(writers_share_the_lower_stream),
        cmocka_unit_test(room_is_kept),
        cmocka_unit_test(a_slow_reader_slows_only_its_writer),
        cmocka_unit_test(kept_bytes_come_before_the_end),
        cmocka_unit_test(halves_close_in_each_order),
        cmocka_unit_test(resets),
        cmocka_unit_test(stop_drops_what_comes),
        cmocka_unit_test(drop_flushes_and_ends),
        cmocka_unit_test(dropped_streams_do_not_pile_up),
        cmocka_unit_test(close_ends_the_streams_first),
        cmocka_unit_test(close_flushes),
        cmocka_unit_test(close_before_attach),
        cmocka_unit_test(close_on_data),
        cmocka_unit_test(the_lower_stream_dies),
        cmocka_unit_test(random_sessions),
        cmocka_unit_test(each_allocation_may_fail),
    };
    int failed = 0;
    for (size_t i = 0; i < sizeof muxers / sizeof *muxers; i++) {
        under_test = &muxers[i];
        print_message("%s\n", under_test->mux->name);
        failed += TERN_TEST_MAIN(tests);
    }
    return failed;
}
