/* Splices over memory pairs: bytes in any order of acts, limits, slow readers, ends of every kind.
 *
 *     ear a -- near a | pair | far a -- splice -- far b | pair | near b -- ear b */
#include "nat/splice.h"

#include "base/mem.h"
#include "base/test.h"
#include "loop/sim.h"
#include "streams/memory.h"
#include "suite/ear.h"

typedef struct bench {
    tern_sim *sim;
    tern_net net;
    ear ear[2];
    tern_splice *splice;
    unsigned done;
    tern_splice_end end;
} bench;

static void spliced(void *owner, const tern_splice_end *end)
{
    bench *b = owner;
    b->done++;
    b->end = *end;
    b->splice = NULL;
}

static uint64_t rate_of_next;

static void bench_make(bench *b, uint64_t data, uint64_t time, size_t window)
{
    tern_stream *near[2], *far[2];
    tern_memory_options options = {.window = window};
    memset(b, 0, sizeof *b);
    assert_int_equal(tern_sim_new(1, &b->sim), 0);
    assert_int_equal(tern_sim_host(b->sim, "10.0.0.1", &b->net.loop), 0);
    for (int i = 0; i < 2; i++) {
        assert_int_equal(tern_memory_pair(b->net.loop, &options, &near[i], &far[i]), 0);
        ear_init(&b->ear[i]);
        ear_take(&b->ear[i], near[i]);
    }
    tern_splice_limits limits = {.data = data, .time = time, .rate = rate_of_next};
    rate_of_next = 0;
    b->splice = tern_splice_new(&b->net, far[0], far[1], &limits, spliced, b);
    assert_non_null(b->splice);
}

static void run(bench *b, uint64_t time)
{
    tern_sim_run(b->sim, tern_sim_now(b->sim) + time, NULL, NULL);
}

static void bench_clear(bench *b)
{
    ear_clear(&b->ear[0]);
    ear_clear(&b->ear[1]);
    run(b, TERN_SEC);
    assert_int_equal(b->done, 1);
    tern_sim_free(b->sim);
    assert_int_equal(tern_mem_alive(), 0);
}

/* Writes n counted bytes, as the stream takes them. */
static void pour(bench *b, int from, size_t n)
{
    static uint8_t data[4096];
    for (size_t at = 0, idle = 0; at < n && idle < 100;) {
        size_t k = n - at < sizeof data ? n - at : sizeof data;
        for (size_t i = 0; i < k; i++) {
            data[i] = (uint8_t)((at + i) * 7 + (at + i) / 256);
        }
        size_t taken = b->ear[from].s != NULL ? ear_write(&b->ear[from], data, k) : k;
        idle = taken == 0 ? idle + 1 : 0;
        at += taken;
        run(b, TERN_MS);
    }
}

static void check(const ear *e, size_t n)
{
    assert_int_equal(tern_buf_len(&e->got), n);
    for (size_t i = 0; i < n; i++) {
        assert_int_equal(tern_buf_data(&e->got)[i], (uint8_t)(i * 7 + i / 256));
    }
}

static void both_ways(void **state)
{
    (void)state;
    static const size_t windows[] = {1, 100, 65536};
    for (size_t i = 0; i < 3; i++) {
        bench b;
        size_t n = windows[i] == 1 ? 300 : 100000;
        bench_make(&b, 0, 0, windows[i]);
        pour(&b, 0, n);
        pour(&b, 1, n / 2);
        run(&b, TERN_SEC);
        check(&b.ear[1], n);
        check(&b.ear[0], n / 2);
        EAR(&b.ear[0], tern_stream_end(b.ear[0].s));
        run(&b, TERN_SEC);
        assert_true(b.ear[1].ended);
        assert_int_equal(b.done, 0);
        EAR(&b.ear[1], tern_stream_end(b.ear[1].s));
        run(&b, TERN_SEC);
        assert_int_equal(b.done, 1);
        assert_true(b.end.bytes[0] == n && b.end.bytes[1] == n / 2);
        assert_int_equal(b.ear[0].why.code, 0);
        bench_clear(&b);
    }
}

/* Who does not read slows the other down, and loses nothing. */
static void a_slow_reader(void **state)
{
    (void)state;
    bench b;
    bench_make(&b, 0, 0, 1000);
    b.ear[1].take = 0;
    pour(&b, 0, 50000);
    assert_true(tern_buf_len(&b.ear[1].got) == 0);
    b.ear[1].take = SIZE_MAX;
    EAR(&b.ear[1], tern_stream_resume(b.ear[1].s));
    run(&b, TERN_SEC);
    check(&b.ear[1], tern_buf_len(&b.ear[1].got));
    assert_true(tern_buf_len(&b.ear[1].got) >= 1000);
    bench_clear(&b);
}

/* Exactly what is allowed passes, then that way ends and the other goes on. */
static void limit_of_data(void **state)
{
    (void)state;
    for (size_t allowed = 999; allowed <= 1001; allowed++) {
        bench b;
        bench_make(&b, allowed, 0, 65536);
        pour(&b, 0, 1000);
        run(&b, TERN_SEC);
        size_t passed = allowed < 1000 ? allowed : 1000;
        check(&b.ear[1], passed);
        assert_int_equal(b.ear[1].ended, allowed < 1000);
        pour(&b, 1, 10);
        run(&b, TERN_SEC);
        check(&b.ear[0], 10);
        ear_clear(&b.ear[0]);
        ear_clear(&b.ear[1]);
        run(&b, TERN_SEC);
        assert_int_equal(b.end.out_of_data, allowed < 1000);
        bench_clear(&b);
    }
}

static void limit_of_time(void **state)
{
    (void)state;
    bench b;
    bench_make(&b, 0, 5 * TERN_SEC, 65536);
    run(&b, 4 * TERN_SEC);
    assert_int_equal(b.done, 0);
    run(&b, 2 * TERN_SEC);
    assert_int_equal(b.done, 1);
    assert_true(b.end.out_of_time);
    assert_int_equal(b.ear[0].closed, 1);
    assert_int_equal(b.ear[0].why.code, TERN_E_RESET);
    assert_int_equal(b.ear[1].closed, 1);
    bench_clear(&b);
}

static void resets_pass_on(void **state)
{
    (void)state;
    for (int i = 0; i < 2; i++) {
        bench b;
        bench_make(&b, 0, 0, 65536);
        EAR(&b.ear[i], tern_stream_reset(b.ear[i].s, 7));
        run(&b, TERN_SEC);
        assert_int_equal(b.ear[1 - i].closed, 1);
        assert_int_equal(b.ear[1 - i].why.code, TERN_E_RESET);
        assert_int_equal(b.ear[1 - i].why.wire, 7);
        bench_clear(&b);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(both_ways),      cmocka_unit_test(a_slow_reader),
        cmocka_unit_test(limit_of_data),  cmocka_unit_test(limit_of_time),
        cmocka_unit_test(resets_pass_on),
    };
    return TERN_TEST_MAIN(tests);
}
