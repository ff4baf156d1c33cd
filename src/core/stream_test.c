/* Tests of the stream base alone, over an implementation that only writes down what it is asked:
 * which events come in which order, and which operations are called when. In one file: every
 * test reads the log of the same fake implementation. */
#include "core/stream.h"

#include <stdio.h>

#include "base/test.h"
#include "loop/sim.h"

/* The implementation: every operation is a letter in the log of its world, its events too. */
typedef struct fake {
    tern_stream s;
    struct world *w;
    size_t room, consumed;
} fake;

struct world {
    tern_sim *sim;
    tern_loop *loop;
    fake *f; /* NULL once destroyed */
    char log[512];
    size_t take;         /* what on_data takes at most */
    const char *in_data; /* what on_data does besides: see act() */
    tern_error why;
    uint8_t got[256];
    size_t got_len;
    uint16_t tally;
};

static void note(struct world *w, const char *format, ...) __attribute__((format(printf, 2, 3)));

static void note(struct world *w, const char *format, ...)
{
    va_list args;
    size_t n = strlen(w->log);
    va_start(args, format);
    vsnprintf(w->log + n, sizeof w->log - n, format, args);
    va_end(args);
    strncat(w->log, " ", sizeof w->log - strlen(w->log) - 1);
}

/* ---- operations: capital letters ---- */

static fake *fake_of(tern_stream *s)
{
    return (fake *)s;
}

static size_t op_write(tern_stream *s, const tern_span *v, unsigned n)
{
    fake *f = fake_of(s);
    size_t total = tern_span_total(v, n), taken = total < f->room ? total : f->room;
    f->room -= taken;
    note(f->w, "W%zu", taken);
    return taken;
}

static size_t op_room(const tern_stream *s)
{
    return ((const fake *)(const void *)s)->room;
}

static void op_consumed(tern_stream *s, size_t n)
{
    fake_of(s)->consumed += n;
    note(fake_of(s)->w, "C%zu", n);
}

static void op_end(tern_stream *s)
{
    note(fake_of(s)->w, "END");
}

static void op_stop(tern_stream *s, uint64_t code)
{
    note(fake_of(s)->w, "STOP%u", (unsigned)code);
}

static void op_reset(tern_stream *s, uint64_t code)
{
    note(fake_of(s)->w, "RESET%u", (unsigned)code);
}

static void op_destroy(tern_stream *s)
{
    fake *f = fake_of(s);
    note(f->w, "FREE");
    f->w->f = NULL;
    tern_free(f);
}

static const tern_stream_ops ops = {.name = "fake",
                                    .write = op_write,
                                    .room = op_room,
                                    .consumed = op_consumed,
                                    .end = op_end,
                                    .stop = op_stop,
                                    .reset = op_reset,
                                    .destroy = op_destroy};

/* ---- events: small letters; a second owner's in brackets ---- */

static const tern_stream_events other_events;

static void act(struct world *w, tern_stream *s, const char *what)
{
    if (strcmp(what, "reset") == 0) {
        tern_stream_reset(s, 9);
    } else if (strcmp(what, "stop") == 0) {
        tern_stream_stop(s, 8);
    } else if (strcmp(what, "drop") == 0) {
        tern_stream_drop(s);
    } else if (strcmp(what, "end") == 0) {
        tern_stream_end(s);
    } else if (strcmp(what, "hand") == 0) {
        tern_stream_take(s, &other_events, w);
    } else if (strcmp(what, "leave") == 0) {
        tern_stream_take(s, NULL, NULL);
    } else if (strcmp(what, "resume") == 0) {
        tern_stream_resume(s);
    } else if (strcmp(what, "die") == 0) {
        tern_error why = {.code = TERN_E_CONN_CLOSED, .layer = "fake"};
        tern_stream_finish(s, &why);
    }
}

static size_t hear(struct world *w, const uint8_t *data, size_t n, const char *mark)
{
    size_t k = n < w->take ? n : w->take;
    assert_true(n > 0);
    note(w, "%s%zu/%zu", mark, k, n);
    memcpy(w->got + w->got_len, data, k);
    w->got_len += k;
    return k;
}

static size_t on_data(void *owner, tern_stream *s, uint8_t *data, size_t n)
{
    struct world *w = owner;
    size_t k = hear(w, data, n, "d");
    const char *what = w->in_data;
    w->in_data = NULL;
    if (what != NULL) {
        act(w, s, what);
    }
    memset(data, 0xdd, k); /* valid until it returns, whatever was done meanwhile */
    return k;
}

static void on_end(void *owner, tern_stream *s)
{
    (void)s;
    note(owner, "e");
}

static void on_room(void *owner, tern_stream *s)
{
    (void)s;
    note(owner, "r");
}

static void on_closed(void *owner, tern_stream *s, const tern_error *why)
{
    struct world *w = owner;
    (void)s;
    w->why = *why;
    note(w, "c%d", why->code);
}

static const tern_stream_events events = {
    .on_data = on_data, .on_end = on_end, .on_room = on_room, .on_closed = on_closed};

static size_t other_data(void *owner, tern_stream *s, uint8_t *data, size_t n)
{
    (void)s;
    return hear(owner, data, n, "[d]");
}

static void other_end(void *owner, tern_stream *s)
{
    (void)s;
    note(owner, "[e]");
}

static void other_closed(void *owner, tern_stream *s, const tern_error *why)
{
    (void)s;
    note(owner, "[c%d]", why->code);
}

static const tern_stream_events other_events = {
    .on_data = other_data, .on_end = other_end, .on_closed = other_closed};

/* ---- the world ---- */

static void setup(struct world *w)
{
    memset(w, 0, sizeof *w);
    assert_int_equal(tern_sim_new(1, &w->sim), 0);
    assert_int_equal(tern_sim_host(w->sim, "10.0.0.1", &w->loop), 0);
    w->f = tern_calloc(1, sizeof *w->f);
    assert_non_null(w->f);
    w->f->w = w;
    w->f->room = 1000;
    w->take = SIZE_MAX;
    tern_stream_init(&w->f->s, &ops, w->loop, 77);
}

static void run(struct world *w)
{
    tern_sim_run(w->sim, TERN_NEVER, NULL, NULL);
}

static void teardown(struct world *w)
{
    if (w->f != NULL) {
        tern_stream_reset(&w->f->s, 0);
        tern_stream_drop(&w->f->s);
        run(w);
    }
    assert_null(w->f);
    tern_sim_free(w->sim);
    assert_int_equal(tern_mem_alive(), 0);
}

static void take(struct world *w)
{
    tern_stream_take(&w->f->s, &events, w);
}

static bool deliver(struct world *w, const char *text)
{
    uint8_t bytes[64];
    size_t n = strlen(text);
    memcpy(bytes, text, n);
    bool all = tern_stream_deliver(&w->f->s, bytes, n);
    memset(bytes, 0xee, sizeof bytes); /* the implementation's own again */
    return all;
}

static void finish(struct world *w, int code)
{
    tern_error why = {.code = code, .layer = "fake", .wire = 5, .text = "over"};
    tern_stream_finish(&w->f->s, &why);
}

/* What was logged since the last time. */
static void expect(struct world *w, const char *log)
{
    assert_string_equal(w->log, log);
    w->log[0] = '\0';
}

/* ---- order ---- */

static void test_silent_until_taken(void **state)
{
    struct world w;
    (void)state;
    setup(&w);
    assert_int_equal(tern_stream_id(&w.f->s), 77);
    assert_false(deliver(&w, "abc"));
    tern_stream_deliver_end(&w.f->s);
    finish(&w, 0);
    run(&w);
    expect(&w, "");
    take(&w);
    expect(&w, ""); /* not from inside the call */
    run(&w);
    expect(&w, "d3/3 e c0 FREE ");
    assert_memory_equal(w.got, "abc", 3);
    teardown(&w);
}

static void test_order_of_events(void **state)
{
    struct world w;
    (void)state;
    setup(&w);
    w.f->room = 2;
    take(&w);
    run(&w);
    assert_int_equal(tern_stream_write(&w.f->s, "xyz", 3), 2);
    assert_true(deliver(&w, "ab"));
    expect(&w, "W2 d2/2 C2 "); /* straight through */
    tern_stream_deliver_end(&w.f->s);
    w.f->room = 10;
    tern_stream_signal_room(&w.f->s);
    run(&w);
    expect(&w, "e r ");
    finish(&w, 0);
    run(&w);
    expect(&w, "c0 FREE ");
    teardown(&w);
}

static void test_end_waits_for_the_bytes(void **state)
{
    struct world w;
    (void)state;
    setup(&w);
    w.take = 1;
    take(&w);
    run(&w);
    assert_false(deliver(&w, "abc"));
    tern_stream_deliver_end(&w.f->s);
    finish(&w, 0);
    run(&w);
    expect(&w, "d1/3 C1 "); /* refused: silence */
    w.take = SIZE_MAX;
    tern_stream_resume(&w.f->s);
    expect(&w, "");
    run(&w);
    expect(&w, "d2/2 e c0 FREE ");
    assert_memory_equal(w.got, "abc", 3);
    teardown(&w);
}

static void test_a_failure_drops_the_bytes(void **state)
{
    struct world w;
    (void)state;
    setup(&w);
    w.take = 0;
    take(&w);
    run(&w);
    assert_false(deliver(&w, "abc"));
    tern_stream_deliver_end(&w.f->s);
    finish(&w, TERN_E_RESET);
    finish(&w, TERN_E_TIMEOUT); /* too late */
    run(&w);
    expect(&w, "d0/3 c-14 FREE ");
    assert_int_equal(w.why.wire, 5);
    assert_string_equal(w.why.text, "over");
    teardown(&w);
}

static void test_a_failure_overrides_an_untold_end(void **state)
{
    struct world w;
    (void)state;
    setup(&w);
    w.take = 0;
    take(&w);
    run(&w);
    deliver(&w, "abc");
    tern_stream_deliver_end(&w.f->s);
    finish(&w, 0);
    run(&w);
    finish(&w, TERN_E_CONN_CLOSED);
    run(&w);
    expect(&w, "d0/3 c-15 FREE ");
    teardown(&w);
}

/* The peer has said all, and wants no more of ours. */
static void test_a_failure_of_our_half_alone(void **state)
{
    struct world w;
    const tern_error why = {.code = TERN_E_RESET, .layer = "fake", .wire = 5};
    (void)state;
    for (int later = 0; later < 3; later++) {
        setup(&w);
        w.take = 0;
        take(&w);
        run(&w);
        deliver(&w, "abc");
        tern_stream_deliver_end(&w.f->s);
        tern_stream_finish_after(&w.f->s, &why);
        finish(&w, 0); /* too late */
        run(&w);
        expect(&w, "d0/3 ");
        assert_int_equal(tern_stream_write(&w.f->s, "x", 1), 1); /* goes nowhere */
        if (later == 0) {
            w.take = SIZE_MAX;
            tern_stream_resume(&w.f->s);
            run(&w);
            expect(&w, "d3/3 e c-14 FREE ");
            assert_int_equal(w.why.wire, 5);
        } else if (later == 1) { /* the connection dies meanwhile */
            finish(&w, TERN_E_CONN_CLOSED);
            run(&w);
            expect(&w, "c-15 FREE ");
        } else { /* and nobody asks the layer below, which knows it no more */
            tern_stream_reset(&w.f->s, 1);
            run(&w);
            expect(&w, "c-14 FREE ");
            assert_int_equal(w.why.wire, 1);
        }
        teardown(&w);
    }
}

/* ---- refusing ---- */

static void test_refuse_and_resume(void **state)
{
    struct world w;
    (void)state;
    setup(&w);
    w.take = 2;
    take(&w);
    run(&w);
    assert_false(deliver(&w, "abcd"));
    assert_false(deliver(&w, "ef")); /* what the window had promised */
    run(&w);
    expect(&w, "d2/4 C2 ");
    assert_int_equal(tern_stream_kept(&w.f->s), 4);
    for (int i = 0; i < 3; i++) {
        tern_stream_resume(&w.f->s);
        tern_stream_resume(&w.f->s); /* twice is once */
        run(&w);
    }
    expect(&w, "d2/4 C2 d2/2 C2 ");
    assert_memory_equal(w.got, "abcdef", 6);
    assert_true(deliver(&w, "gh"));
    expect(&w, "d2/2 C2 ");
    assert_int_equal(w.f->consumed, 8);
    teardown(&w);
}

static void test_resume_inside_the_handler(void **state)
{
    struct world w;
    (void)state;
    setup(&w);
    w.take = 1;
    w.in_data = "resume";
    take(&w);
    run(&w);
    deliver(&w, "abc");
    run(&w);
    expect(&w, "d1/3 C1 d1/2 C1 "); /* asked once, offered once more */
    teardown(&w);
}

static void test_no_handler_drops_bytes(void **state)
{
    static const tern_stream_events only_closed = {.on_closed = on_closed};
    struct world w;
    (void)state;
    setup(&w);
    tern_stream_take(&w.f->s, &only_closed, &w);
    run(&w);
    assert_true(deliver(&w, "abc"));
    tern_stream_deliver_end(&w.f->s);
    run(&w);
    expect(&w, "C3 ");
    finish(&w, 0);
    run(&w);
    expect(&w, "c0 FREE ");
    teardown(&w);
}

/* ---- handing over ---- */

static void test_hand_over(void **state)
{
    struct world w;
    (void)state;
    setup(&w);
    w.take = 1;
    w.in_data = "hand";
    take(&w);
    run(&w);
    assert_false(deliver(&w, "abc"));
    expect(&w, "d1/3 C1 ");
    w.take = SIZE_MAX;
    tern_stream_deliver_end(&w.f->s);
    run(&w);
    expect(&w, "[d]2/2 C2 [e] "); /* at once: the first one's refusal is not the second's */
    assert_memory_equal(w.got, "abc", 3);
    take(&w); /* each owner hears of the end */
    run(&w);
    expect(&w, "e ");
    finish(&w, 0);
    run(&w);
    expect(&w, "c0 FREE ");
    teardown(&w);
}

static void test_hand_over_kept_bytes(void **state)
{
    struct world w;
    (void)state;
    setup(&w);
    deliver(&w, "abc");
    w.take = 1;
    w.in_data = "hand";
    take(&w);
    run(&w);
    expect(&w, "d1/3 C1 [d]1/2 C1 ");
    teardown(&w);
}

static void test_left_without_owner(void **state)
{
    struct world w;
    (void)state;
    setup(&w);
    w.take = 1;
    w.in_data = "leave";
    take(&w);
    run(&w);
    assert_false(deliver(&w, "abc"));
    tern_stream_deliver_end(&w.f->s);
    finish(&w, 0);
    run(&w);
    expect(&w, "d1/3 C1 "); /* silent */
    w.take = SIZE_MAX;
    take(&w);
    run(&w);
    expect(&w, "d2/2 e c0 FREE ");
    teardown(&w);
}

static void test_room_is_owed_to_the_next_owner(void **state)
{
    struct world w;
    (void)state;
    setup(&w);
    w.f->room = 1;
    tern_stream_take(&w.f->s, &other_events, &w); /* has no on_room */
    assert_int_equal(tern_stream_write(&w.f->s, "ab", 2), 1);
    w.f->room = 5;
    tern_stream_signal_room(&w.f->s);
    run(&w);
    expect(&w, "W1 ");
    take(&w);
    run(&w);
    expect(&w, "r ");
    tern_stream_signal_room(&w.f->s); /* nobody waits for room now */
    run(&w);
    expect(&w, "");
    teardown(&w);
}

/* ---- inside the handler ---- */

static void test_reset_inside(void **state)
{
    struct world w;
    (void)state;
    for (int kept = 0; kept < 2; kept++) {
        setup(&w);
        w.take = 1;
        w.in_data = "reset";
        if (kept != 0) {
            deliver(&w, "abc");
        }
        take(&w);
        run(&w);
        if (kept == 0) {
            assert_true(deliver(&w, "abc"));
            assert_true(deliver(&w, "more"));
            run(&w);
        }
        expect(&w, "d1/3 RESET9 c-14 FREE ");
        assert_int_equal(w.why.wire, 9);
        teardown(&w);
    }
}

static void test_stop_inside(void **state)
{
    struct world w;
    (void)state;
    for (int kept = 0; kept < 2; kept++) {
        setup(&w);
        w.take = 1;
        w.in_data = "stop";
        if (kept != 0) {
            deliver(&w, "abc");
        }
        take(&w);
        run(&w);
        if (kept == 0) {
            assert_true(deliver(&w, "abc"));
        }
        assert_int_equal(w.f->consumed, 3);
        w.log[0] = '\0';
        assert_true(deliver(&w, "more"));
        tern_stream_deliver_end(&w.f->s);
        run(&w);
        expect(&w, "C4 "); /* dropped, and no end is told */
        finish(&w, 0);
        run(&w);
        expect(&w, "c0 FREE ");
        teardown(&w);
    }
}

static void test_drop_inside(void **state)
{
    struct world w;
    (void)state;
    for (int kept = 0; kept < 2; kept++) {
        setup(&w);
        w.take = 1;
        w.in_data = "drop";
        if (kept != 0) {
            deliver(&w, "abc");
        }
        take(&w);
        run(&w);
        if (kept == 0) {
            assert_true(deliver(&w, "abc"));
        }
        assert_int_equal(w.f->consumed, 3);
        assert_non_null(strstr(w.log, "END "));
        assert_non_null(strstr(w.log, "STOP0 "));
        w.log[0] = '\0';
        deliver(&w, "more");
        tern_stream_deliver_end(&w.f->s);
        finish(&w, 0);
        run(&w);
        expect(&w, "C4 FREE "); /* nobody hears of it */
        teardown(&w);
    }
}

static void test_death_inside(void **state)
{
    struct world w;
    (void)state;
    for (int kept = 0; kept < 2; kept++) {
        setup(&w);
        w.take = 1;
        w.in_data = "die";
        if (kept != 0) {
            deliver(&w, "abc");
        }
        take(&w);
        run(&w);
        if (kept == 0) {
            assert_true(deliver(&w, "abc"));
        }
        run(&w);
        expect(&w, "d1/3 c-15 FREE ");
        teardown(&w);
    }
}

/* ---- ending ---- */

static void test_end_is_once(void **state)
{
    struct world w;
    (void)state;
    setup(&w);
    take(&w);
    tern_stream_end(&w.f->s);
    tern_stream_end(&w.f->s);
    expect(&w, "END ");
    /* Writes go nowhere and are taken whole. */
    assert_int_equal(tern_stream_write(&w.f->s, "abc", 3), 3);
    assert_int_equal(tern_stream_room(&w.f->s), SIZE_MAX);
    expect(&w, "");
    tern_stream_deliver_end(&w.f->s);
    tern_stream_deliver_end(&w.f->s);
    run(&w);
    expect(&w, "e ");
    teardown(&w);
}

static void test_reset_is_once(void **state)
{
    struct world w;
    (void)state;
    setup(&w);
    take(&w);
    tern_stream_reset(&w.f->s, 3);
    tern_stream_reset(&w.f->s, 4);
    tern_stream_end(&w.f->s);
    tern_stream_stop(&w.f->s, 1);
    tern_stream_resume(&w.f->s);
    assert_int_equal(tern_stream_write(&w.f->s, "abc", 3), 3);
    finish(&w, TERN_E_TIMEOUT);
    expect(&w, "RESET3 "); /* told from the loop */
    run(&w);
    expect(&w, "c-14 FREE ");
    assert_int_equal(w.why.wire, 3);
    teardown(&w);
}

static void test_drop_before_taken(void **state)
{
    struct world w;
    (void)state;
    setup(&w);
    deliver(&w, "abc");
    tern_stream_drop(&w.f->s);
    run(&w);
    expect(&w, "END C3 STOP0 ");
    finish(&w, TERN_E_TIMEOUT);
    run(&w);
    expect(&w, "FREE ");
    teardown(&w);
}

static void test_tally(void **state)
{
    struct world w;
    (void)state;
    setup(&w);
    w.tally = 3;
    w.f->s.tally = &w.tally;
    take(&w);
    tern_stream_reset(&w.f->s, 0);
    assert_int_equal(w.tally, 3);
    run(&w);
    assert_int_equal(w.tally, 2);
    teardown(&w);
}

static void test_owners_pointer(void **state)
{
    struct world w;
    (void)state;
    setup(&w);
    assert_null(tern_stream_data(&w.f->s));
    tern_stream_set_data(&w.f->s, &w);
    assert_ptr_equal(tern_stream_data(&w.f->s), &w);
    teardown(&w);
}

/* ---- memory ---- */

static void test_no_memory_to_keep(void **state)
{
    struct world w;
    (void)state;
    setup(&w);
    w.take = 1;
    take(&w);
    run(&w);
    tern_mem_fail_at(1, 0);
    assert_true(deliver(&w, "abc")); /* nothing is kept: the stream is over */
    tern_mem_fail_at(0, 0);
    run(&w);
    expect(&w, "d1/3 C1 RESET0 c-1 FREE ");
    teardown(&w);
}

static void test_no_memory_for_the_reason(void **state)
{
    struct world w;
    (void)state;
    setup(&w);
    take(&w);
    tern_mem_fail_at(1, 0);
    finish(&w, TERN_E_RESET);
    tern_mem_fail_at(0, 0);
    run(&w);
    expect(&w, "c-1 FREE ");
    teardown(&w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_silent_until_taken),
        cmocka_unit_test(test_order_of_events),
        cmocka_unit_test(test_end_waits_for_the_bytes),
        cmocka_unit_test(test_a_failure_drops_the_bytes),
        cmocka_unit_test(test_a_failure_overrides_an_untold_end),
        cmocka_unit_test(test_a_failure_of_our_half_alone),
        cmocka_unit_test(test_refuse_and_resume),
        cmocka_unit_test(test_resume_inside_the_handler),
        cmocka_unit_test(test_no_handler_drops_bytes),
        cmocka_unit_test(test_hand_over),
        cmocka_unit_test(test_hand_over_kept_bytes),
        cmocka_unit_test(test_left_without_owner),
        cmocka_unit_test(test_room_is_owed_to_the_next_owner),
        cmocka_unit_test(test_reset_inside),
        cmocka_unit_test(test_stop_inside),
        cmocka_unit_test(test_drop_inside),
        cmocka_unit_test(test_death_inside),
        cmocka_unit_test(test_end_is_once),
        cmocka_unit_test(test_reset_is_once),
        cmocka_unit_test(test_drop_before_taken),
        cmocka_unit_test(test_tally),
        cmocka_unit_test(test_owners_pointer),
        cmocka_unit_test(test_no_memory_to_keep),
        cmocka_unit_test(test_no_memory_for_the_reason),
    };
    return TERN_TEST_MAIN(tests);
}
