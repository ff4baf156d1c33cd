/* The stream contract, tried on every kind of stream: bytes, backpressure, kept and handed over.
 * Ends, resets and drops are in streams_ends.c. Each test gets a fresh world and must leave nothing
 * allocated. */
#include "suite/streams.h"

#include "suite/streams_pair.h"

const tern_stream_maker *tern_suite_maker;

/* ---- bytes ---- */

static void echo_back(ear *e)
{
    size_t n = tern_buf_len(&e->got);
    size_t taken = ear_write(e, tern_buf_data(&e->got), n);
    tern_buf_consume(&e->got, taken);
}

static void echo(void **state)
{
    (void)state;
    pair p;
    pair_make_taken(&p);
    p.b.then = echo_back;
    static const char *const words[] = {"x", "ping", "a longer line of text"};
    for (size_t i = 0; i < 3; i++) {
        size_t n = strlen(words[i]);
        assert_int_equal(ear_write(&p.a, words[i], n), n);
        run(&p);
        assert_got(&p.a, words[i], n);
        tern_buf_free(&p.a.got);
    }
    pair_clear(&p);
}

static void nothing_is_nothing(void **state)
{
    (void)state;
    pair p;
    pair_make_taken(&p);
    assert_int_equal(ear_write(&p.a, "", 0), 0);
    size_t taken;
    EAR(&p.a, taken = tern_stream_writev(p.a.s, NULL, 0));
    assert_int_equal(taken, 0);
    run(&p);
    assert_int_equal(tern_buf_len(&p.b.got), 0);
    assert_int_equal(p.a.closed + p.b.closed, 0);
    pair_clear(&p);
}

static void spans_keep_their_order(void **state)
{
    (void)state;
    pair p;
    tern_span v[80];
    uint8_t letters[80];
    pair_make_taken(&p);
    for (size_t i = 0; i < 80; i++) {
        letters[i] = (uint8_t)('!' + i);
        v[i] = (tern_span){letters + i, i % 4 != 0}; /* some are empty */
    }
    size_t taken;
    EAR(&p.a, taken = tern_stream_writev(p.a.s, v, 80));
    assert_int_equal(taken, 60);
    run(&p);
    assert_int_equal(tern_buf_len(&p.b.got), 60);
    for (size_t i = 0, k = 0; i < 80; i++) {
        if (i % 4 != 0) {
            assert_int_equal(tern_buf_data(&p.b.got)[k++], letters[i]);
        }
    }
    pair_clear(&p);
}

static void drain(ear *e, size_t *at)
{
    size_t n = tern_buf_len(&e->got);
    for (size_t i = 0; i < n; i++) {
        if (tern_buf_data(&e->got)[i] != pattern(*at + i)) {
            fail_msg("byte %zu is wrong", *at + i);
        }
    }
    tern_buf_consume(&e->got, n);
    *at += n;
}

/* Both ways at once; the writers go on only when on_room came. */
static void bulk_in_pieces(size_t piece, size_t take)
{
    pair p;
    size_t end = tern_suite_maker->bulk != 0 ? tern_suite_maker->bulk : 1 << 20;
    size_t sent[2] = {0, 0}, got[2] = {0, 0};
    pair_make_taken(&p);
    ear *ears[2] = {&p.a, &p.b};
    for (int i = 0; i < 2; i++) {
        ears[i]->take = take;
        sent[i] = push(ears[i], 0, end, piece);
    }
    while (got[0] < end || got[1] < end) {
        size_t before = got[0] + got[1];
        for (int i = 0; i < 2; i++) {
            EAR(ears[i], tern_stream_resume(ears[i]->s));
        }
        run(&p);
        for (int i = 0; i < 2; i++) {
            drain(ears[i], &got[i]);
            if (ears[i]->rooms > 0) {
                ears[i]->rooms = 0;
                sent[i] = push(ears[i], sent[i], end, piece);
            }
        }
        if (got[0] + got[1] == before) {
            fail_msg("stuck: sent %zu and %zu, got %zu and %zu", sent[0], sent[1], got[1], got[0]);
        }
    }
    pair_clear(&p);
}

static void bulk(void **state)
{
    (void)state;
    bulk_in_pieces(100000, SIZE_MAX);
    bulk_in_pieces(65519, SIZE_MAX);
    bulk_in_pieces(1399, SIZE_MAX);
}

static void bulk_taken_in_parts(void **state)
{
    (void)state;
    bulk_in_pieces(30000, 7001);
}

/* ---- keeping, refusing, handing over ---- */

static void kept_until_taken(void **state)
{
    (void)state;
    pair p;
    pair_make(&p);
    ear_take(&p.a, p.a_stream);
    assert_int_equal(ear_write(&p.a, "early", 5), 5);
    run(&p);
    EAR(&p.a, tern_stream_end(p.a.s));
    run(&p);
    ear_take(&p.b, p.b_stream);
    assert_int_equal(tern_buf_len(&p.b.got), 0); /* not from inside take */
    run(&p);
    assert_got(&p.b, "early", 5);
    assert_true(p.b.ended);
    pair_clear(&p);
}

static void written_before_taken(void **state)
{
    (void)state;
    pair p;
    pair_make(&p);
    assert_int_equal(tern_stream_write(p.a_stream, "first", 5), 5);
    run(&p);
    ear_take(&p.b, p.b_stream);
    ear_take(&p.a, p.a_stream);
    run(&p);
    assert_got(&p.b, "first", 5);
    pair_clear(&p);
}

static void refused_and_resumed(void **state)
{
    (void)state;
    pair p;
    pair_make_taken(&p);
    p.b.take = 0;
    assert_int_equal(ear_write(&p.a, "waiting", 7), 7);
    run(&p);
    assert_got(&p.b, "", 0);
    EAR(&p.a, tern_stream_end(p.a.s));
    run(&p);
    assert_false(p.b.ended); /* the end waits behind the bytes */
    p.b.take = 2;
    EAR(&p.b, tern_stream_resume(p.b.s));
    assert_got(&p.b, "", 0); /* not from inside resume */
    for (int i = 0; i < 4; i++) {
        run(&p);
        if (p.b.s != NULL) {
            EAR(&p.b, tern_stream_resume(p.b.s));
        }
    }
    assert_got(&p.b, "waiting", 7);
    assert_true(p.b.ended);
    pair_clear(&p);
}

static void handed_over(void **state)
{
    (void)state;
    pair p;
    ear second;
    pair_make(&p);
    ear_init(&second);
    ear_take(&p.a, p.a_stream);
    p.b.take = 3;
    p.b.next = &second;
    ear_take(&p.b, p.b_stream);
    assert_int_equal(ear_write(&p.a, "onetwo", 6), 6);
    EAR(&p.a, tern_stream_end(p.a.s));
    run(&p);
    assert_true(tern_buf_len(&p.b.got) <= 3); /* byte by byte it hands over after the first */
    size_t n = tern_buf_len(&p.b.got);
    assert_memory_equal(tern_buf_data(&p.b.got), "onetwo", n);
    assert_got(&second, &"onetwo"[n], 6 - n);
    assert_true(second.ended);
    assert_false(p.b.ended);
    assert_int_equal(p.b.closed, 0);
    ear_clear(&second);
    pair_clear(&p);
}

/* ---- room ---- */

static void room_is_honest(void **state)
{
    (void)state;
    pair p;
    pair_make_taken(&p);
    p.b.take = 0;
    size_t total = 0, more;
    bool slows = !tern_suite_maker->overflows;
    do { /* what is kept over there makes room here, a bounded number of times */
        more = fill(&p.a);
        assert_int_equal(ear_write(&p.a, "x", 1), 0);
        total += more;
        p.a.rooms = 0;
        run(&p);
    } while (slows && more > 0);
    if (slows) {
        assert_int_equal(p.a.rooms, 0);
        assert_int_equal(tern_stream_room(p.a.s), 0);
    }

    p.b.take = SIZE_MAX;
    EAR(&p.b, tern_stream_resume(p.b.s));
    run(&p);
    assert_int_equal(p.a.rooms, 1);
    assert_true(tern_stream_room(p.a.s) > 0);
    assert_int_equal(tern_buf_len(&p.b.got), total);
    pair_clear(&p);
}

static void more_than_the_room_is_taken_in_part(void **state)
{
    (void)state;
    pair p;
    static const uint8_t block[8 << 20];
    pair_make_taken(&p);
    p.b.take = 0;
    size_t room = tern_stream_room(p.a.s);
    assert_true(room > 0 && room < sizeof block);
    assert_int_equal(ear_write(&p.a, block, sizeof block), room);
    run(&p);
    p.b.take = SIZE_MAX;
    EAR(&p.b, tern_stream_resume(p.b.s));
    run(&p);
    assert_int_equal(tern_buf_len(&p.b.got), room);
    assert_int_equal(p.a.rooms, 1);
    pair_clear(&p);
}

const struct CMUnitTest tern_suite_streams_bytes[] = {
    cmocka_unit_test(echo),
    cmocka_unit_test(nothing_is_nothing),
    cmocka_unit_test(spans_keep_their_order),
    cmocka_unit_test(bulk),
    cmocka_unit_test(bulk_taken_in_parts),
    cmocka_unit_test(kept_until_taken),
    cmocka_unit_test(written_before_taken),
    cmocka_unit_test(refused_and_resumed),
    cmocka_unit_test(handed_over),
    cmocka_unit_test(room_is_honest),
    cmocka_unit_test(more_than_the_room_is_taken_in_part),
    {0},
};

int tern_suite_streams(const tern_stream_maker *maker)
{
    const struct CMUnitTest *parts[] = {tern_suite_streams_bytes, tern_suite_streams_ends};
    struct CMUnitTest rows[64];
    size_t n = 0;
    for (size_t i = 0; i < 2; i++) {
        for (const struct CMUnitTest *t = parts[i]; t->name != NULL; t++) {
            rows[n++] = *t;
        }
    }
    tern_suite_maker = maker;
    return tern_suite_run(maker->name, rows, n, maker->without);
}
