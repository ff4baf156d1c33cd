/* Tests of length-prefixed messages: collected whole, byte by byte and at every cut; lengths that
 * are refused before anything is allocated; writing. */
#include "streams/frame.h"

#include <stdio.h>

#include <tern/error.h>

#include "base/test.h"
#include "loop/sim.h"
#include "streams/memory.h"
#include "suite/ear.h"

/* Feeds in chunks; every message is appended to `out` as "[...]". Returns the first code < 0, or 0.
 */
static int feed_all(size_t limit, const uint8_t *in, size_t n, size_t chunk, char *out, size_t cap)
{
    tern_frame f;
    int code = 0;
    size_t len = 0;
    tern_frame_init(&f, limit);
    out[0] = '\0';
    for (size_t at = 0; at < n && code >= 0;) {
        size_t part = n - at < chunk ? n - at : chunk;
        size_t used = SIZE_MAX;
        tern_span msg = {NULL, 0};
        code = tern_frame_feed(&f, in + at, part, &used, &msg);
        assert_true(used <= part);
        assert_true(code != 0 || used == part);
        at += used;
        if (code == 1) {
            assert_false(tern_frame_partial(&f));
            len += (size_t)snprintf(out + len, cap - len, "[%.*s]", (int)msg.len,
                                    (const char *)msg.data);
        }
    }
    if (code >= 0 && tern_frame_partial(&f)) {
        snprintf(out + len, cap - len, "+");
    }
    tern_frame_free(&f);
    return code < 0 ? code : 0;
}

static void expect(const char *in, size_t n, int code, const char *want)
{
    char got[1024];
    for (size_t chunk = 1; chunk <= n + 1; chunk++) {
        assert_int_equal(feed_all(16, (const uint8_t *)in, n, chunk, got, sizeof got), code);
        assert_string_equal(got, want);
    }
}

static void test_messages(void **state)
{
    (void)state;
    expect("\x05hello", 6, 0, "[hello]");
    expect("\x05hello\x00\x03you", 11, 0, "[hello][][you]");
    expect("\x00\x00\x00", 3, 0, "[][][]");
    expect("\x10"
           "0123456789abcdef",
           17, 0, "[0123456789abcdef]");
    expect("\x05hell", 5, 0, "+");
    expect("\x05", 1, 0, "+");
    expect("\x80", 1, 0, "+"); /* inside the length */
    expect("\x02hi\x05he", 6, 0, "[hi]+");
}

static void test_refused_lengths(void **state)
{
    (void)state;
    expect("\x11", 1, TERN_E_TOO_LARGE, "");
    expect("\x02hi\x11", 4, TERN_E_TOO_LARGE, "[hi]");
    expect("\xff\xff\xff\xff\xff\xff\xff\xff\x7f", 9, TERN_E_TOO_LARGE, "");
    expect("\x85\x00hello", 7, TERN_E_MALFORMED, ""); /* not minimal */
    expect("\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01", 10, TERN_E_MALFORMED, "");
}

/* What was announced is not allocated: only what came. */
static void test_memory_follows_the_bytes(void **state)
{
    tern_frame f;
    tern_span msg;
    size_t used;
    (void)state;
    tern_frame_init(&f, 1 << 30);
    assert_int_equal(tern_frame_feed(&f, (const uint8_t *)"\xff\xff\xff\x7fx", 5, &used, &msg), 0);
    assert_true(f.part.cap < 4096);
    assert_true(tern_frame_partial(&f));
    tern_frame_free(&f);
    assert_int_equal(tern_mem_alive(), 0);
}

static void test_failing_allocation(void **state)
{
    tern_frame f;
    tern_span msg;
    size_t used;
    (void)state;
    tern_frame_init(&f, 100);
    tern_mem_fail_at(1, 0);
    assert_int_equal(tern_frame_feed(&f, (const uint8_t *)"\x01x", 2, &used, &msg), TERN_E_NOMEM);
    tern_mem_fail_at(0, 0);
    tern_frame_free(&f);
}

static void test_write(void **state)
{
    tern_sim *sim;
    tern_loop *loop;
    tern_stream *a, *b;
    ear ea, eb;
    uint8_t body[300] = {1, 2, 3};
    (void)state;
    assert_int_equal(tern_sim_new(1, &sim), 0);
    assert_int_equal(tern_sim_host(sim, "10.0.0.1", &loop), 0);
    assert_int_equal(tern_memory_pair(loop, &(tern_memory_options){.window = 310}, &a, &b), 0);
    ear_init(&ea);
    ear_init(&eb);
    ear_take(&ea, a);
    ear_take(&eb, b);
    assert_int_equal(tern_frame_write(a, body, 300), 0);
    assert_int_equal(tern_frame_write(a, body, 8), TERN_E_LIMIT); /* nothing of it is written */
    assert_int_equal(tern_frame_write(a, body, 7), 0);            /* fills it to the last byte */
    tern_sim_run(sim, TERN_NEVER, NULL, NULL);
    assert_int_equal(tern_buf_len(&eb.got), 302 + 8);
    assert_memory_equal(tern_buf_data(&eb.got), "\xac\x02\x01\x02\x03", 5);
    assert_int_equal(tern_buf_data(&eb.got)[302], 7);
    assert_int_equal(tern_frame_write(a, NULL, 0), 0);
    tern_mem_fail_at(1, 1);
    assert_int_not_equal(tern_frame_write(b, body, 300), TERN_E_LIMIT); /* the stream fails then */
    tern_mem_fail_at(0, 0);
    tern_sim_run(sim, TERN_NEVER, NULL, NULL);
    assert_int_equal(eb.why.code, TERN_E_NOMEM);
    ear_clear(&ea);
    ear_clear(&eb);
    tern_sim_run(sim, TERN_NEVER, NULL, NULL);
    tern_sim_free(sim);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_messages),
        cmocka_unit_test(test_refused_lengths),
        cmocka_unit_test(test_memory_follows_the_bytes),
        cmocka_unit_test(test_failing_allocation),
        cmocka_unit_test(test_write),
    };
    return TERN_TEST_MAIN(tests);
}
