/* The stream contract, tried on every kind of stream: see streams.h. Each test gets a fresh world
 * with one simulated host and a connected pair a - b, and must leave nothing allocated. */
#include "suite/streams.h"

#include "base/test.h"
#include "suite/ear.h"

static const tern_stream_maker *maker; /* the one under test */

typedef struct pair {
    tern_sim *sim;
    tern_loop *loop;
    void *world;
    tern_stream *a_stream, *b_stream;
    ear a, b;
    size_t alive; /* allocations before the world */
} pair;

static void run(pair *p)
{
    tern_sim_run(p->sim, tern_sim_now(p->sim) + TERN_SEC, NULL, NULL);
}

/* A pair without owners. */
static void pair_make(pair *p)
{
    memset(p, 0, sizeof *p);
    p->alive = tern_mem_alive();
    assert_int_equal(tern_sim_new(1, &p->sim), 0);
    assert_int_equal(tern_sim_host(p->sim, "10.0.0.1", &p->loop), 0);
    p->world = maker->make(p->sim, p->loop, &p->a_stream, &p->b_stream);
    ear_init(&p->a);
    ear_init(&p->b);
}

static void pair_make_taken(pair *p)
{
    pair_make(p);
    ear_take(&p->a, p->a_stream);
    ear_take(&p->b, p->b_stream);
}

static void pair_clear(pair *p)
{
    ear_clear(&p->a);
    ear_clear(&p->b);
    run(p);
    maker->finish(p->world);
    run(p);
    tern_sim_free(p->sim);
    assert_int_equal(tern_mem_alive(), p->alive);
}

static void assert_got(const ear *e, const void *expected, size_t n)
{
    assert_int_equal(tern_buf_len(&e->got), n);
    if (n > 0) {
        assert_memory_equal(tern_buf_data(&e->got), expected, n);
    }
}

static void assert_closed(const ear *e, int code)
{
    assert_int_equal(e->closed, 1);
    assert_int_equal(e->why.code, code);
}

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

/* The n-th byte of the bulk test's flow. */
static uint8_t pattern(size_t n)
{
    return (uint8_t)(n ^ n >> 8 ^ n >> 16);
}

/* Writes as much of the flow as fits; returns how far it came. */
static size_t push(ear *e, size_t at, size_t end, size_t piece)
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
    size_t end = maker->bulk != 0 ? maker->bulk : 1 << 20;
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
    assert_got(&second, "onetwo" + n, 6 - n);
    assert_true(second.ended);
    assert_false(p.b.ended);
    assert_int_equal(p.b.closed, 0);
    ear_clear(&second);
    pair_clear(&p);
}

/* ---- room ---- */

/* Fills a stream whose peer does not read; every write within the room is taken whole. */
static size_t fill(ear *e)
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

static void room_is_honest(void **state)
{
    (void)state;
    pair p;
    pair_make_taken(&p);
    p.b.take = 0;
    size_t total = 0, more;
    do { /* what is kept over there makes room here, a bounded number of times */
        more = fill(&p.a);
        assert_int_equal(ear_write(&p.a, "x", 1), 0);
        total += more;
        p.a.rooms = 0;
        run(&p);
    } while (more > 0);
    assert_int_equal(p.a.rooms, 0);
    assert_int_equal(tern_stream_room(p.a.s), 0);

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

/* ---- ends ---- */

static void half_close(bool a_first, bool at_once)
{
    pair p;
    pair_make_taken(&p);
    ear *first = a_first ? &p.a : &p.b, *second = a_first ? &p.b : &p.a;
    assert_int_equal(ear_write(first, "last words", 10), 10);
    EAR(first, tern_stream_end(first->s));
    EAR(first, tern_stream_end(first->s)); /* twice is once */
    if (!at_once) {
        run(&p);
        assert_got(second, "last words", 10);
        assert_true(second->ended);
        assert_int_equal(first->closed + second->closed, 0);
    }
    assert_int_equal(ear_write(second, "answer", 6), 6);
    EAR(second, tern_stream_end(second->s));
    run(&p);
    assert_got(second, "last words", 10);
    assert_got(first, "answer", 6);
    assert_true(first->ended && second->ended);
    assert_closed(first, 0);
    assert_closed(second, 0);
    pair_clear(&p);
}

static void half_close_in_each_order(void **state)
{
    (void)state;
    half_close(true, false);
    half_close(false, false);
    half_close(true, true);
    half_close(false, true);
}

static void end_follows_all_bytes(void **state)
{
    (void)state;
    pair p;
    pair_make_taken(&p);
    p.b.take = 0;
    size_t total = fill(&p.a);
    EAR(&p.a, tern_stream_end(p.a.s));
    run(&p);
    assert_false(p.b.ended);
    p.b.take = SIZE_MAX;
    EAR(&p.b, tern_stream_resume(p.b.s));
    run(&p);
    assert_int_equal(tern_buf_len(&p.b.got), total);
    assert_true(p.b.ended);
    assert_int_equal(p.a.rooms, 0); /* nobody wants to hear of room after end */
    pair_clear(&p);
}

static void write_after_end_goes_nowhere(void **state)
{
    (void)state;
    pair p;
    pair_make_taken(&p);
    EAR(&p.a, tern_stream_end(p.a.s));
    assert_int_equal(ear_write(&p.a, "late", 4), 4);
    run(&p);
    assert_int_equal(ear_write(&p.a, "later", 5), 5);
    run(&p);
    assert_got(&p.b, "", 0);
    assert_true(p.b.ended);
    pair_clear(&p);
}

static void closed_waits_for_kept_bytes(void **state)
{
    (void)state;
    pair p;
    pair_make_taken(&p);
    p.b.take = 0;
    assert_int_equal(ear_write(&p.a, "kept", 4), 4);
    EAR(&p.a, tern_stream_end(p.a.s));
    EAR(&p.b, tern_stream_end(p.b.s));
    run(&p);
    assert_int_equal(p.b.closed, 0);
    p.b.take = SIZE_MAX;
    EAR(&p.b, tern_stream_resume(p.b.s));
    run(&p);
    assert_got(&p.b, "kept", 4);
    assert_true(p.b.ended);
    assert_closed(&p.b, 0);
    assert_closed(&p.a, 0);
    pair_clear(&p);
}

/* ---- resets, stops, drops ---- */

static void reset_by(bool by_a, bool with_queues)
{
    pair p;
    pair_make_taken(&p);
    ear *us = by_a ? &p.a : &p.b, *them = by_a ? &p.b : &p.a;
    if (with_queues) {
        them->take = 0;
        fill(us);
        run(&p);
        fill(us);
    }
    EAR(us, tern_stream_reset(us->s, 7));
    assert_int_equal(us->closed, 0); /* never from inside a call */
    EAR(us, tern_stream_reset(us->s, 8));
    assert_int_equal(ear_write(us, "x", 1), 1);
    run(&p);
    assert_closed(us, TERN_E_RESET);
    assert_closed(them, TERN_E_RESET);
    assert_false(them->ended);
    assert_int_equal(tern_buf_len(&them->got), 0);
    if (maker->wire_codes) {
        assert_int_equal(them->why.wire, 7);
    }
    pair_clear(&p);
}

static void resets(void **state)
{
    (void)state;
    reset_by(true, false);
    reset_by(false, false);
    reset_by(true, true);
    reset_by(false, true);
}

static void reset_before_taken(void **state)
{
    (void)state;
    pair p;
    pair_make(&p);
    ear_take(&p.a, p.a_stream);
    assert_int_equal(ear_write(&p.a, "gone", 4), 4);
    run(&p);
    EAR(&p.a, tern_stream_reset(p.a.s, 0));
    run(&p);
    ear_take(&p.b, p.b_stream);
    run(&p);
    assert_got(&p.b, "", 0);
    assert_closed(&p.b, TERN_E_RESET);
    pair_clear(&p);
}

static void stop_drops_what_arrives(void **state)
{
    (void)state;
    pair p;
    pair_make_taken(&p);
    p.b.take = 0;
    assert_int_equal(ear_write(&p.a, "unwanted", 8), 8);
    run(&p);
    p.b.take = SIZE_MAX;
    EAR(&p.b, tern_stream_stop(p.b.s, 3));
    assert_int_equal(ear_write(&p.b, "but I talk", 10), 10);
    run(&p);
    assert_got(&p.a, "but I talk", 10);
    if (!maker->stop_resets) {
        size_t sent = 0, end = maker->bulk != 0 ? maker->bulk : 1 << 20;
        for (size_t i = 0; i < end && sent < end; i++) { /* more than any window */
            sent = push(&p.a, sent, end, 100000);
            run(&p);
        }
        assert_int_equal(sent, end);
        EAR(&p.a, tern_stream_end(p.a.s));
        EAR(&p.b, tern_stream_end(p.b.s));
        run(&p);
        assert_false(p.b.ended);
        assert_closed(&p.a, 0);
        assert_closed(&p.b, 0);
    }
    assert_got(&p.b, "", 0);
    pair_clear(&p);
}

static void drop_flushes(void **state)
{
    (void)state;
    pair p;
    pair_make_taken(&p);
    p.b.take = 0;
    size_t total = fill(&p.a);
    EAR(&p.a, tern_stream_drop(p.a.s));
    p.a.s = NULL;
    assert_int_equal(ear_write(&p.b, "to nobody", 9), 9);
    run(&p);
    p.b.take = SIZE_MAX;
    EAR(&p.b, tern_stream_resume(p.b.s));
    run(&p);
    assert_int_equal(tern_buf_len(&p.b.got), total);
    assert_true(p.b.ended);
    EAR(&p.b, tern_stream_end(p.b.s));
    run(&p);
    assert_closed(&p.b, 0);
    assert_int_equal(p.a.closed, 0);
    pair_clear(&p);
}

static void dropped_and_then_reset_by_the_peer(void **state)
{
    (void)state;
    pair p;
    pair_make_taken(&p);
    assert_int_equal(ear_write(&p.a, "x", 1), 1);
    EAR(&p.a, tern_stream_drop(p.a.s));
    p.a.s = NULL;
    EAR(&p.b, tern_stream_reset(p.b.s, 0));
    run(&p);
    assert_closed(&p.b, TERN_E_RESET);
    pair_clear(&p);
}

/* ---- from inside events ---- */

static void then_reset(ear *e)
{
    EAR(e, tern_stream_reset(e->s, 0));
}

static void then_drop(ear *e)
{
    EAR(e, tern_stream_drop(e->s));
    e->s = NULL;
}

static void then_end(ear *e)
{
    EAR(e, tern_stream_end(e->s));
}

static void then_stop(ear *e)
{
    EAR(e, tern_stream_stop(e->s, 0));
}

static void acts_inside_on_data(void **state)
{
    (void)state;
    void (*const acts[])(ear *) = {then_reset, then_drop, then_end, then_stop};
    for (size_t i = 0; i < 4; i++) {
        for (size_t take = 0; take < 3; take++) {
            pair p;
            pair_make_taken(&p);
            p.b.then = acts[i];
            p.b.take = take == 2 ? SIZE_MAX : take;
            assert_int_equal(ear_write(&p.a, "trigger", 7), 7);
            run(&p);
            if (acts[i] == then_reset) {
                assert_closed(&p.a, TERN_E_RESET);
                assert_closed(&p.b, TERN_E_RESET);
            } else if (acts[i] == then_end || acts[i] == then_drop) {
                assert_true(p.a.ended);
            }
            pair_clear(&p);
        }
    }
}

/* ---- memory ---- */

/* Each allocation of an exchange fails in turn. What happens then is the stream's choice, but it
 * must not crash, lose track of memory, or deliver wrong bytes. */
static void short_of_memory(void **state)
{
    (void)state;
    for (size_t at = 1; at < 200; at++) {
        pair p;
        static uint8_t block[20000];
        pair_make_taken(&p);
        tern_mem_fail_at(at, 0);
        for (int i = 0; i < 4 && p.a.s != NULL && p.b.s != NULL; i++) {
            EAR(&p.a, tern_stream_write(p.a.s, block, i % 2 == 0 ? 100 : sizeof block));
            EAR(&p.b, tern_stream_write(p.b.s, block, i % 2 == 0 ? sizeof block : 10));
            /* not through the ears' buffers: these would take the failure */
            p.a.take = p.b.take = 0;
            run(&p);
        }
        bool over = tern_mem_count() < at;
        tern_mem_fail_at(0, 0);
        pair_clear(&p);
        if (over) {
            break;
        }
    }
}

int tern_suite_streams(const tern_stream_maker *of)
{
    const struct CMUnitTest tests[] = {
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
        cmocka_unit_test(half_close_in_each_order),
        cmocka_unit_test(end_follows_all_bytes),
        cmocka_unit_test(write_after_end_goes_nowhere),
        cmocka_unit_test(closed_waits_for_kept_bytes),
        cmocka_unit_test(resets),
        cmocka_unit_test(reset_before_taken),
        cmocka_unit_test(stop_drops_what_arrives),
        cmocka_unit_test(drop_flushes),
        cmocka_unit_test(dropped_and_then_reset_by_the_peer),
        cmocka_unit_test(acts_inside_on_data),
        cmocka_unit_test(short_of_memory),
    };
    maker = of;
    return cmocka_run_group_tests_name(of->name, tests, NULL, NULL);
}
