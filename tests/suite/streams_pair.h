/* What the parts of the stream suite share: a world with one simulated host and a connected pair a
 * - b with ears as owners. Header only. */
#ifndef TERN_TESTS_STREAMS_PAIR_H
#define TERN_TESTS_STREAMS_PAIR_H

#include "base/test.h"
#include "suite/ear.h"
#include "suite/streams.h"

/* Each part's tests; they end with an entry without a name. */
extern const struct CMUnitTest tern_suite_streams_bytes[], tern_suite_streams_ends[];

extern const tern_stream_maker *tern_suite_maker; /* the one under test */

typedef struct pair {
    tern_sim *sim;
    tern_loop *loop;
    void *world;
    tern_stream *a_stream, *b_stream;
    ear a, b;
    size_t alive; /* allocations before the world */
} pair;

static inline void run(pair *p)
{
    tern_sim_run(p->sim, tern_sim_now(p->sim) + TERN_SEC, NULL, NULL);
}

/* A pair without owners. */
static inline void pair_make(pair *p)
{
    memset(p, 0, sizeof *p);
    p->alive = tern_mem_alive();
    assert_int_equal(tern_sim_new(1, &p->sim), 0);
    assert_int_equal(tern_sim_host(p->sim, "10.0.0.1", &p->loop), 0);
    p->world = tern_suite_maker->make(p->sim, p->loop, &p->a_stream, &p->b_stream);
    ear_init(&p->a);
    ear_init(&p->b);
}

static inline void pair_make_taken(pair *p)
{
    pair_make(p);
    ear_take(&p->a, p->a_stream);
    ear_take(&p->b, p->b_stream);
}

static inline void pair_clear(pair *p)
{
    ear_clear(&p->a);
    ear_clear(&p->b);
    run(p);
    tern_suite_maker->finish(p->world);
    run(p);
    tern_sim_free(p->sim);
    assert_int_equal(tern_mem_alive(), p->alive);
}

static inline void assert_got(const ear *e, const void *expected, size_t n)
{
    assert_int_equal(tern_buf_len(&e->got), n);
    if (n > 0) {
        assert_memory_equal(tern_buf_data(&e->got), expected, n);
    }
}

static inline void assert_closed(const ear *e, int code)
{
    assert_int_equal(e->closed, 1);
    assert_int_equal(e->why.code, code);
}

/* The n-th byte of the bulk test's flow. */
static inline uint8_t pattern(size_t n)
{
    return (uint8_t)(n ^ n >> 8 ^ n >> 16);
}

/* Writes as much of the flow as fits; returns how far it came. */
static inline size_t push(ear *e, size_t at, size_t end, size_t piece)
{
    static uint8_t block[100000];
    while (at < end) {
        size_t n = end - at < piece ? end - at : piece;
        for (size_t i = 0; i < n; i++) {
            block[i] = pattern(at + i);
        }
        size_t taken = ear_write(e, block, n);
        assert_true(taken <= n);
        at += taken;
        if (taken < n) {
            break;
        }
    }
    return at;
}

/* Fills a stream whose peer does not read; every write within the room is taken whole. */
static inline size_t fill(ear *e)
{
    static const uint8_t block[50000];
    size_t total = 0, room;
    while ((room = tern_stream_room(e->s)) > 0) {
        size_t n = room < sizeof block ? room : sizeof block;
        assert_int_equal(ear_write(e, block, n), n);
        total += n;
        assert_true(total < 64 << 20);
    }
    return total;
}

#endif
