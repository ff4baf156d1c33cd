/* Tests of the negotiation driver over a pair in memory: a real negotiation on each side, or a peer
 * that writes what the test says. Everything whole and one byte at a time. */
#include "swarm/negotiate.h"

#include "base/test.h"
#include "loop/sim.h"
#include "streams/memory.h"
#include "suite/ear.h"

#define HEADER "132f6d756c746973747265616d2f312e302e300a"
#define NOISE  "072f6e6f6973650a"
#define NA     "036e610a"

static const char *const noise[] = {"/noise", NULL};
static const char *const tls[] = {"/tls/1.0.0", NULL};
static const char *const tls_noise[] = {"/tls/1.0.0", "/noise", NULL};

struct side {
    tern_negotiation n;
    tern_net net;
    ear owner; /* takes the stream that was agreed on */
    unsigned done, lost;
    tern_error error;
    bool take; /* inside done */
};

struct world {
    tern_sim *sim;
    tern_loop *loop;
    struct side a, b; /* initiator, responder */
    tern_stream *as, *bs;
    ear peer; /* instead of one of them */
    uint64_t start;
};

static void done(tern_op *op, const tern_error *error)
{
    struct side *s = TERN_CONTAINER(op, struct side, n.op);
    s->done++;
    s->error = *error;
    if (error->code == 0) {
        assert_non_null(s->n.id);
        assert_null(s->n.stream->events);
        ear_take(&s->owner, s->n.stream);
    } else {
        assert_int_equal(error->code, TERN_E_TIMEOUT);
        assert_null(s->n.stream);
    }
}

static void lost(tern_negotiation *n, const tern_error *why)
{
    struct side *s = TERN_CONTAINER(n, struct side, n);
    s->lost++;
    s->error = *why;
}

static void setup(struct world *w, const tern_memory_options *options)
{
    memset(w, 0, sizeof *w);
    assert_int_equal(tern_sim_new(1, &w->sim), 0);
    assert_int_equal(tern_sim_host(w->sim, "10.0.0.1", &w->loop), 0);
    assert_int_equal(tern_memory_pair(w->loop, options, &w->as, &w->bs), 0);
    ear_init(&w->a.owner);
    ear_init(&w->b.owner);
    ear_init(&w->peer);
    w->start = tern_sim_now(w->sim);
}

static void run(struct world *w)
{
    tern_sim_run(w->sim, tern_sim_now(w->sim) + TERN_SEC, NULL, NULL);
}

static void teardown(struct world *w)
{
    tern_op_cancel(&w->a.n.op);
    tern_op_cancel(&w->b.n.op);
    ear_clear(&w->a.owner);
    ear_clear(&w->b.owner);
    ear_clear(&w->peer);
    run(w);
    tern_sim_free(w->sim);
    assert_int_equal(tern_mem_alive(), 0);
}

static void start(struct world *w, struct side *s, tern_stream *stream, const char *const *ids)
{
    s->net.loop = w->loop;
    s->n = (tern_negotiation){
        .net = &s->net, .stream = stream, .initiator = s == &w->a, .ids = ids, .lost = lost};
    tern_op_init(&s->n.op, w->loop, w->start + 10 * TERN_SEC, done);
    assert_int_equal(tern_negotiate(&s->n), 0);
    assert_int_equal(s->done, 0);
}

static void start_both(struct world *w, const char *const *a_ids, const char *const *b_ids)
{
    start(w, &w->a, w->as, a_ids);
    start(w, &w->b, w->bs, b_ids);
}

/* The peer writes hex. */
static void say(struct world *w, const char *hex)
{
    uint8_t bytes[512];
    size_t n = tern_test_unhex(bytes, sizeof bytes, hex);
    assert_int_equal(ear_write(&w->peer, bytes, n), n);
}

static const tern_memory_options whole = {.chunk = 0}, one_by_one = {.chunk = 1};
static const tern_memory_options *const both_ways[] = {&whole, &one_by_one};

static void test_agreed(void **state)
{
    (void)state;
    for (size_t i = 0; i < 2; i++) {
        struct world w;
        setup(&w, both_ways[i]);
        start_both(&w, noise, noise);
        run(&w);
        assert_int_equal(w.a.done, 1);
        assert_int_equal(w.b.done, 1);
        assert_int_equal(w.a.error.code, 0);
        assert_string_equal(w.a.n.id, "/noise");
        assert_string_equal(w.b.n.id, "/noise");
        ear_write(&w.a.owner, "ping", 4);
        ear_write(&w.b.owner, "pong", 4);
        run(&w);
        assert_int_equal(tern_buf_len(&w.b.owner.got), 4);
        assert_memory_equal(tern_buf_data(&w.a.owner.got), "pong", 4);
        teardown(&w);
    }
}

/* The user of the initiator's stream writes before any answer and ends; the responder answers and
 * ends as soon as it agreed. Nothing is lost on either side, and each hears of the end. */
static void test_optimistic(void **state)
{
    (void)state;
    for (size_t i = 0; i < 2; i++) {
        struct world w;
        setup(&w, both_ways[i]);
        start(&w, &w.a, w.as, noise);
        assert_int_equal(tern_stream_write(w.as, "early", 5), 5);
        tern_stream_end(w.as);
        ear_take(&w.peer, w.bs);
        say(&w, HEADER NOISE "6c617465");
        EAR(&w.peer, tern_stream_end(w.bs));
        run(&w);
        assert_int_equal(w.a.done, 1);
        assert_int_equal(w.a.lost, 0);
        assert_int_equal(w.a.error.code, 0);
        assert_int_equal(tern_buf_len(&w.peer.got), 28 + 5);
        assert_memory_equal(tern_buf_data(&w.peer.got) + 28, "early", 5);
        assert_int_equal(tern_buf_len(&w.a.owner.got), 4);
        assert_true(w.a.owner.ended);
        assert_int_equal(w.a.owner.closed, 1);
        assert_int_equal(w.a.owner.why.code, 0);
        teardown(&w);
    }
}

/* A write that came short while negotiating: the later owner hears that there is room. */
static void test_room_is_told_to_the_owner(void **state)
{
    (void)state;
    struct world w;
    uint8_t bytes[256] = {0};
    setup(&w, &(tern_memory_options){.window = 100});
    start_both(&w, noise, noise);
    assert_int_equal(tern_stream_write(w.as, bytes, sizeof bytes), 100 - 28);
    run(&w);
    assert_int_equal(w.a.done, 1);
    assert_int_equal(w.a.owner.rooms, 1);
    assert_int_equal(tern_buf_len(&w.b.owner.got), 100 - 28);
    teardown(&w);
}

static void test_second_choice(void **state)
{
    (void)state;
    for (size_t i = 0; i < 2; i++) {
        struct world w;
        setup(&w, both_ways[i]);
        start_both(&w, tls_noise, noise);
        run(&w);
        assert_string_equal(w.a.n.id, "/noise");
        assert_string_equal(w.b.n.id, "/noise");
        assert_int_equal(w.a.net.counters.multistream_refused, 0);
        teardown(&w);
    }
}

static void test_refused(void **state)
{
    (void)state;
    for (size_t i = 0; i < 2; i++) {
        struct world w;
        setup(&w, both_ways[i]);
        start_both(&w, tls, noise);
        run(&w);
        assert_int_equal(w.a.lost, 1);
        assert_int_equal(w.a.error.code, TERN_E_NEGOTIATION);
        assert_non_null(strstr(w.a.error.text, "/tls/1.0.0"));
        assert_int_equal(w.a.net.counters.multistream_refused, 1);
        assert_int_equal(w.b.lost, 1); /* reset by the initiator */
        assert_int_equal(w.b.done, 0);
        assert_int_equal(w.b.error.code, TERN_E_RESET);
        teardown(&w);
    }
}

/* What an optimistic initiator sent behind a refused proposal is garbage to us: no fault of its,
 * and the refusal reaches it. */
static void test_garbage_after_refusal(void **state)
{
    (void)state;
    for (size_t i = 0; i < 2; i++) {
        struct world w;
        setup(&w, both_ways[i]);
        start(&w, &w.b, w.bs, tls);
        ear_take(&w.peer, w.as);
        say(&w, HEADER NOISE "0020aabbccddeeff00112233");
        run(&w);
        assert_int_equal(tern_buf_len(&w.peer.got), 24);
        assert_memory_equal(tern_buf_data(&w.peer.got) + 20, "\x03na\n", 4);
        assert_true(w.peer.ended);
        assert_int_equal(w.b.lost, 0);
        say(&w, "ffffffff");
        EAR(&w.peer, i == 0 ? tern_stream_end(w.as) : tern_stream_reset(w.as, 0));
        run(&w);
        assert_int_equal(w.b.done, 0);
        assert_int_equal(w.b.lost, 1);
        assert_int_equal(w.b.error.code, TERN_E_NEGOTIATION);
        assert_int_equal(w.b.net.counters.multistream_refused, 1);
        assert_int_equal(w.b.net.counters.multistream_malformed, 0);
        teardown(&w);
    }
}

/* The same peer stays: the deadline ends it. */
static void test_refused_and_stays(void **state)
{
    (void)state;
    struct world w;
    setup(&w, NULL);
    start(&w, &w.b, w.bs, tls);
    ear_take(&w.peer, w.as);
    say(&w, HEADER NOISE "00");
    tern_sim_run(w.sim, w.start + 11 * TERN_SEC, NULL, NULL);
    assert_int_equal(w.b.done, 1);
    assert_int_equal(w.b.error.code, TERN_E_TIMEOUT);
    assert_int_equal(w.b.net.counters.multistream_refused, 1);
    assert_int_equal(w.b.net.counters.multistream_timeout, 0); /* counted once */
    assert_int_equal(w.peer.why.code, TERN_E_RESET);
    teardown(&w);
}

static void test_initiator_leaves(void **state)
{
    static const char *const texts[] = {HEADER NOISE, HEADER, HEADER "072f6e"};
    static const int codes[] = {TERN_E_NEGOTIATION, TERN_E_EOF, TERN_E_EOF};
    (void)state;
    for (size_t i = 0; i < 3; i++) {
        struct world w;
        setup(&w, NULL);
        start(&w, &w.b, w.bs, tls);
        ear_take(&w.peer, w.as);
        say(&w, texts[i]);
        EAR(&w.peer, tern_stream_end(w.as));
        run(&w);
        assert_int_equal(w.b.lost, 1);
        assert_int_equal(w.b.error.code, codes[i]);
        assert_int_equal(w.b.net.counters.multistream_refused, i == 0);
        assert_int_equal(tern_buf_len(&w.peer.got), i == 0 ? 24 : 20);
        assert_int_equal(w.peer.why.code, i == 0 ? 0 : TERN_E_RESET);
        teardown(&w);
    }
}

struct bad {
    const char *hex;
    int code;
    size_t counter; /* which one counts it */
};

static void test_malformed(void **state)
{
    static const struct bad table[] = {
        {"132f6d756c746973747265616d2f322e302e300a", TERN_E_MALFORMED,
         offsetof(tern_counters, multistream_malformed)},
        {"00", TERN_E_MALFORMED, offsetof(tern_counters, multistream_malformed)},
        {HEADER "022f61", TERN_E_MALFORMED, offsetof(tern_counters, multistream_malformed)},
        {HEADER "8108", TERN_E_TOO_LARGE, offsetof(tern_counters, multistream_too_large)},
    };
    (void)state;
    for (size_t k = 0; k < 2 * 2 * sizeof table / sizeof *table; k++) {
        const struct bad *bad = &table[k / 4];
        struct world w;
        setup(&w, both_ways[k % 2]);
        struct side *s = k & 2 ? &w.a : &w.b; /* either role */
        start(&w, s, s == &w.a ? w.as : w.bs, noise);
        ear_take(&w.peer, s == &w.a ? w.bs : w.as);
        say(&w, bad->hex);
        run(&w);
        assert_int_equal(s->lost, 1);
        assert_int_equal(s->done, 0);
        assert_int_equal(s->error.code, bad->code);
        assert_int_equal(
            *(const uint64_t *)(const void *)((const char *)&s->net.counters + bad->counter), 1);
        assert_int_equal(w.peer.closed, 1);
        assert_int_equal(w.peer.why.code, TERN_E_RESET);
        teardown(&w);
    }
}

static void test_timeout(void **state)
{
    (void)state;
    struct world w;
    setup(&w, NULL);
    start(&w, &w.a, w.as, noise);
    ear_take(&w.peer, w.bs);
    say(&w, HEADER);
    tern_sim_run(w.sim, w.start + 10 * TERN_SEC - 1, NULL, NULL);
    assert_int_equal(w.a.done, 0);
    tern_sim_run(w.sim, w.start + 10 * TERN_SEC, NULL, NULL);
    assert_int_equal(w.a.done, 1);
    assert_int_equal(w.a.error.code, TERN_E_TIMEOUT);
    assert_string_equal(w.a.error.layer, "multistream");
    assert_int_equal(w.a.net.counters.multistream_timeout, 1);
    run(&w);
    assert_int_equal(w.peer.closed, 1);
    teardown(&w);
}

static void test_lost(void **state)
{
    (void)state;
    struct world w;
    setup(&w, NULL);
    start(&w, &w.a, w.as, noise);
    ear_take(&w.peer, w.bs);
    EAR(&w.peer, tern_stream_reset(w.bs, 7));
    run(&w);
    assert_int_equal(w.a.done, 0);
    assert_int_equal(w.a.lost, 1);
    assert_int_equal(w.a.error.code, TERN_E_RESET);
    assert_int_equal(w.a.error.wire, 7);
    teardown(&w);
}

struct resetter {
    tern_deferred deferred;
    struct world *w;
};

static void reset_peer(tern_deferred *d)
{
    struct world *w = TERN_CONTAINER(d, struct resetter, deferred)->w;
    assert_int_equal(w->b.n.op.state, TERN_OP_FINISHED);
    EAR(&w->peer, tern_stream_reset(w->as, 0));
}

/* The stream dies between the agreement and done: its owner hears it, not the negotiation. */
static void test_reset_right_after_agreement(void **state)
{
    (void)state;
    struct world w;
    setup(&w, NULL);
    start(&w, &w.b, w.bs, noise);
    ear_take(&w.peer, w.as);
    say(&w, HEADER NOISE "aabb");
    struct resetter r = {.w = &w};
    tern_deferred_init(&r.deferred, reset_peer);
    tern_defer(w.loop, &r.deferred); /* behind the pump that brings the proposal */
    run(&w);
    assert_int_equal(w.b.lost, 0);
    assert_int_equal(w.b.done, 1);
    assert_int_equal(w.b.owner.closed, 1);
    assert_int_equal(w.b.owner.why.code, TERN_E_RESET);
    teardown(&w);
}

/* At every step: cancel resets the stream, and no callback comes. */
static bool count_down(void *arg)
{
    return --*(int *)arg < 0;
}

static void test_cancel_anywhere(void **state)
{
    (void)state;
    for (int steps = 0; steps < 60; steps++) {
        struct world w;
        int left = steps;
        setup(&w, &one_by_one);
        start_both(&w, noise, noise);
        tern_sim_run(w.sim, w.start, count_down, &left);
        bool told = w.a.done > 0;
        tern_op_cancel(&w.a.n.op);
        run(&w);
        assert_int_equal(w.a.done, told);
        assert_int_equal(w.a.lost, 0);
        assert_int_equal(w.b.done + w.b.lost, 1);
        teardown(&w);
    }
}

static void test_no_room_for_the_answer(void **state)
{
    (void)state;
    struct world w;
    setup(&w, &(tern_memory_options){.window = 24});
    start(&w, &w.b, w.bs, noise);
    ear_take(&w.peer, w.as);
    say(&w, HEADER "036e610a"); /* header and "na" are 24 bytes */
    w.peer.take = 0;
    run(&w);
    assert_int_equal(w.b.lost, 0);
    EAR(&w.peer, tern_stream_write(w.as, "\x03na\n\x03na\n\x03na\n\x03na\n\x03na\n\x03na\n", 24));
    run(&w);
    EAR(&w.peer, tern_stream_write(w.as, "\x03na\n\x03na\n\x03na\n\x03na\n\x03na\n\x03na\n", 24));
    run(&w);
    assert_int_equal(w.b.lost, 1);
    assert_int_equal(w.b.error.code, TERN_E_LIMIT);
    teardown(&w);
}

static void test_failing_allocations(void **state)
{
    (void)state;
    for (size_t i = 1;; i++) {
        struct world w;
        setup(&w, NULL);
        w.a.net.loop = w.b.net.loop = w.loop;
        tern_mem_fail_at(i, 0);
        struct side *sides[2] = {&w.a, &w.b};
        tern_stream *streams[2] = {w.as, w.bs};
        for (int k = 0; k < 2; k++) {
            struct side *s = sides[k];
            s->n = (tern_negotiation){.net = &s->net,
                                      .stream = streams[k],
                                      .initiator = k == 0,
                                      .ids = noise,
                                      .lost = lost};
            tern_op_init(&s->n.op, w.loop, w.start + 10 * TERN_SEC, done);
            if (tern_negotiate(&s->n) != 0) {
                tern_stream_reset(streams[k], 0);
                tern_stream_drop(streams[k]);
                s->done = 1;
                s->error.code = TERN_E_NOMEM;
            }
        }
        run(&w);
        size_t made = tern_mem_count();
        tern_mem_fail_at(0, 0);
        tern_sim_run(w.sim, w.start + 20 * TERN_SEC, NULL, NULL);
        assert_int_equal(w.a.done + w.a.lost, 1);
        assert_int_equal(w.b.done + w.b.lost, 1);
        bool untouched = made < i;
        assert_true(!untouched || (w.a.error.code == 0 && w.b.error.code == 0));
        teardown(&w);
        if (untouched) {
            assert_true(i > 5);
            return;
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_agreed),
        cmocka_unit_test(test_optimistic),
        cmocka_unit_test(test_room_is_told_to_the_owner),
        cmocka_unit_test(test_second_choice),
        cmocka_unit_test(test_refused),
        cmocka_unit_test(test_garbage_after_refusal),
        cmocka_unit_test(test_refused_and_stays),
        cmocka_unit_test(test_initiator_leaves),
        cmocka_unit_test(test_malformed),
        cmocka_unit_test(test_timeout),
        cmocka_unit_test(test_lost),
        cmocka_unit_test(test_reset_right_after_agreement),
        cmocka_unit_test(test_cancel_anywhere),
        cmocka_unit_test(test_no_room_for_the_answer),
        cmocka_unit_test(test_failing_allocations),
    };
    return TERN_TEST_MAIN(tests);
}
