/* The owner of a stream in tests: writes down what it hears, and fails the test when an event
 * breaks the contract (tern/stream.h): an event inside a call of the owner's own, after on_closed,
 * out of order.
 *
 * Header only, so that every suite and unit test can have it. Calls into the stream go through
 * EAR(...), which guards them. */
#ifndef TERN_TESTS_EAR_H
#define TERN_TESTS_EAR_H

#include <tern/stream.h>

#include "base/buf.h"
#include "base/test.h"

typedef struct ear {
    tern_stream *s; /* NULL once closed, or before ear_take */
    tern_buf got;
    size_t take; /* most bytes taken an event; SIZE_MAX = all */
    unsigned rooms, closed;
    bool ended, busy;
    tern_error why;
    struct ear *next;              /* hand the stream over to this one in the first on_data */
    void (*then)(struct ear *ear); /* called at the end of every on_data, with s set */
} ear;

/* A call that the owner makes; no event of its own may come inside. */
#define EAR(ear, call)                                                                             \
    do {                                                                                           \
        (ear)->busy = true;                                                                        \
        call;                                                                                      \
        (ear)->busy = false;                                                                       \
    } while (0)

static inline void ear_check(const ear *e, const tern_stream *s)
{
    assert_false(e->busy);
    assert_int_equal(e->closed, 0);
    assert_ptr_equal(e->s, s);
}

static inline void ear_take(ear *e, tern_stream *s);

static inline size_t ear_on_data(void *owner, tern_stream *s, uint8_t *data, size_t n)
{
    ear *e = owner;
    ear_check(e, s);
    assert_false(e->ended);
    assert_true(n > 0);
    size_t k = n < e->take ? n : e->take;
    assert_int_equal(tern_buf_append(&e->got, data, k), 0);
    memset(data, 0xdd, k); /* ours to overwrite */
    if (e->next != NULL) {
        e->s = NULL;
        ear_take(e->next, s);
    }
    if (e->then != NULL) {
        e->then(e);
    }
    return k;
}

static inline void ear_on_end(void *owner, tern_stream *s)
{
    ear *e = owner;
    ear_check(e, s);
    assert_false(e->ended);
    e->ended = true;
}

static inline void ear_on_room(void *owner, tern_stream *s)
{
    ear *e = owner;
    ear_check(e, s);
    e->rooms++;
}

static inline void ear_on_closed(void *owner, tern_stream *s, const tern_error *why)
{
    ear *e = owner;
    ear_check(e, s);
    assert_non_null(why->layer);
    e->closed++;
    e->why = *why;
    e->s = NULL;
}

static const tern_stream_events ear_events = {
    .on_data = ear_on_data,
    .on_end = ear_on_end,
    .on_room = ear_on_room,
    .on_closed = ear_on_closed,
};

static inline void ear_init(ear *e)
{
    *e = (ear){.take = SIZE_MAX};
}

static inline void ear_take(ear *e, tern_stream *s)
{
    e->s = s;
    EAR(e, tern_stream_take(s, &ear_events, e));
}

static inline size_t ear_write(ear *e, const void *p, size_t n)
{
    size_t taken;
    EAR(e, taken = tern_stream_write(e->s, p, n));
    return taken;
}

/* Leaves the stream, if it is alive, and frees what was heard. */
static inline void ear_clear(ear *e)
{
    if (e->s != NULL) {
        tern_stream_reset(e->s, 0);
        tern_stream_drop(e->s);
        e->s = NULL;
    }
    tern_buf_free(&e->got);
}

#endif
