/* The Noise stream, frame by frame: what it puts on the lower stream, and what it makes of hostile
 * bytes. */
#include "base/test.h"
#include "loop/sim.h"
#include "secure/noise_stream.h"
#include "streams/memory.h"
#include "suite/ear.h"

static const tern_span nothing = {NULL, 0};

/* ---- a Noise stream whose other end is bare ---- */

typedef struct bare {
    tern_sim *sim;
    tern_loop *loop;
    tern_counters counters;
    ear noise, raw;
    tern_noise_cipher seal, open; /* the bare side's */
} bare;

static tern_noise_cipher cipher(uint8_t key, uint64_t n)
{
    uint8_t bytes[32];
    memset(bytes, key, sizeof bytes);
    tern_noise_cipher c = {tern_aead_new(TERN_CHACHA20_POLY1305, bytes), n};
    assert_non_null(c.aead);
    return c;
}

static void bare_make(bare *b, uint64_t nonce, const tern_memory_options *options, tern_buf *out)
{
    tern_stream *a, *r;
    tern_noise_cipher send = cipher(1, nonce), recv = cipher(2, nonce);
    memset(b, 0, sizeof *b);
    assert_int_equal(tern_sim_new(1, &b->sim), 0);
    assert_int_equal(tern_sim_host(b->sim, "10.0.0.1", &b->loop), 0);
    assert_int_equal(tern_memory_pair(b->loop, options, &a, &r), 0);
    b->open = cipher(1, nonce);
    b->seal = cipher(2, nonce);
    ear_init(&b->noise);
    ear_init(&b->raw);
    tern_stream *s = tern_noise_stream_new(a, &b->counters, &send, &recv, out);
    assert_non_null(s);
    assert_null(send.aead); /* taken over */
    ear_take(&b->noise, s);
    ear_take(&b->raw, r);
}

static void run(bare *b)
{
    tern_sim_run(b->sim, tern_sim_now(b->sim) + TERN_SEC, NULL, NULL);
}

static void bare_clear(bare *b)
{
    ear_clear(&b->noise);
    ear_clear(&b->raw);
    run(b);
    tern_sim_free(b->sim);
    tern_noise_cipher_clear(&b->seal);
    tern_noise_cipher_clear(&b->open);
    assert_int_equal(tern_mem_alive(), 0);
}

/* Opens the next frame that the bare side got; returns its plaintext's length, -1 when there is
 * none. */
static ssize_t next_frame(bare *b, uint8_t *plain)
{
    tern_buf *got = &b->raw.got;
    if (tern_buf_len(got) == 0) {
        return -1;
    }
    assert_true(tern_buf_len(got) >= TERN_NOISE_OVERHEAD);
    size_t n = tern_get16(tern_buf_data(got));
    assert_true(tern_buf_len(got) >= 2 + n);
    assert_int_equal(tern_noise_open(&b->open, nothing, tern_buf_data(got) + 2, n), 0);
    memcpy(plain, tern_buf_data(got) + 2, n - TERN_AEAD_TAG);
    tern_buf_consume(got, 2 + n);
    return (ssize_t)n - TERN_AEAD_TAG;
}

/* A frame from the bare side. */
static size_t frame_of(bare *b, uint8_t *out, const void *p, size_t n)
{
    tern_span span = {p, n};
    tern_put16(out, (uint16_t)(n + TERN_AEAD_TAG));
    assert_int_equal(tern_noise_seal(&b->seal, nothing, &span, 1, out + 2), 0);
    return n + TERN_NOISE_OVERHEAD;
}

static void send_frame(bare *b, const void *p, size_t n)
{
    static uint8_t frame[TERN_NOISE_BODY_MAX + 2];
    size_t whole = frame_of(b, frame, p, n);
    assert_int_equal(ear_write(&b->raw, frame, whole), whole);
}

/* ---- frames out ---- */

static uint8_t plain[TERN_NOISE_BODY_MAX];
static uint8_t flow[300000];

static void small_writes_share_a_frame(void **state)
{
    (void)state;
    bare b;
    bare_make(&b, 0, NULL, &(tern_buf){0});
    assert_int_equal(ear_write(&b.noise, "one ", 4), 4);
    assert_int_equal(ear_write(&b.noise, "two ", 4), 4);
    assert_int_equal(ear_write(&b.noise, "three", 5), 5);
    run(&b);
    assert_int_equal(next_frame(&b, plain), 13);
    assert_memory_equal(plain, "one two three", 13);
    assert_int_equal(next_frame(&b, plain), -1);
    assert_int_equal(ear_write(&b.noise, "next turn", 9), 9);
    run(&b);
    assert_int_equal(next_frame(&b, plain), 9);
    bare_clear(&b);
}

static void large_writes_fill_frames(void **state)
{
    (void)state;
    static const struct {
        size_t writes[4];
        ssize_t frames[5];
    } cases[] = {
        {{1}, {1, -1}},
        {{TERN_NOISE_SMALL}, {TERN_NOISE_SMALL, -1}},
        {{TERN_NOISE_SMALL + 1}, {TERN_NOISE_SMALL + 1, -1}},
        {{65519}, {65519, -1}},
        {{65520}, {65519, 1, -1}},
        {{200000}, {65519, 65519, 65519, 3443, -1}},
        {{100, 70000}, {65519, 4581, -1}}, /* what is small leaves with what is large */
        {{65531, 65531, 65531}, {65519, 65519, 65519, 36, -1}}, /* the rest joins the next write */
    };
    for (size_t i = 0; i < sizeof flow; i++) {
        flow[i] = (uint8_t)(i * 7 ^ i >> 8);
    }
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        bare b;
        size_t at = 0;
        bare_make(&b, 0, &(tern_memory_options){.window = 1 << 20}, &(tern_buf){0});
        for (size_t k = 0; k < 4 && cases[i].writes[k] > 0; k++) {
            size_t n = cases[i].writes[k];
            assert_int_equal(ear_write(&b.noise, flow + at, n), n);
            at += n;
        }
        run(&b);
        at = 0;
        for (size_t k = 0;; k++) {
            ssize_t n = next_frame(&b, plain);
            assert_int_equal(n, cases[i].frames[k]);
            if (n < 0) {
                break;
            }
            assert_memory_equal(plain, flow + at, (size_t)n);
            at += (size_t)n;
        }
        bare_clear(&b);
    }
}

static void sealed_bytes_go_first(void **state)
{
    (void)state;
    bare b;
    tern_buf out;
    tern_buf_init(&out, 0);
    tern_buf_append(&out, "the end of m3", 13);
    bare_make(&b, 0, &(tern_memory_options){.window = 5}, &out);
    assert_int_equal(tern_buf_len(&out), 0); /* taken over */
    assert_int_equal(tern_stream_room(b.noise.s), 0);
    assert_int_equal(ear_write(&b.noise, "x", 1), 0);
    run(&b);
    assert_int_equal(tern_buf_len(&b.raw.got), 13);
    tern_buf_consume(&b.raw.got, 13);
    assert_int_equal(b.noise.rooms, 1);
    assert_int_equal(ear_write(&b.noise, "x", 1), 1);
    run(&b);
    assert_int_equal(next_frame(&b, plain), 1);
    bare_clear(&b);
}

static void end_flushes(void **state)
{
    (void)state;
    bare b;
    bare_make(&b, 0, NULL, &(tern_buf){0});
    assert_int_equal(ear_write(&b.noise, "bye", 3), 3);
    EAR(&b.noise, tern_stream_end(b.noise.s));
    run(&b);
    assert_int_equal(next_frame(&b, plain), 3);
    assert_true(b.raw.ended);
    bare_clear(&b);
}

static void idle_streams_hold_no_buffers(void **state)
{
    (void)state;
    bare b;
    bare_make(&b, 0, NULL, &(tern_buf){0});
    size_t before = tern_mem_alive();
    for (int i = 0; i < 3; i++) {
        assert_int_equal(ear_write(&b.noise, flow, 100000), 100000);
        run(&b);
        while (next_frame(&b, plain) >= 0) {
        }
        send_frame(&b, flow, 60000);
        run(&b);
        tern_buf_free(&b.noise.got);
        tern_buf_free(&b.raw.got);
    }
    assert_int_equal(tern_mem_alive(), before);
    bare_clear(&b);
}

static void nonces_run_out(void **state)
{
    (void)state;
    bare b;
    bare_make(&b, UINT64_MAX - 1, NULL, &(tern_buf){0});
    assert_int_equal(ear_write(&b.noise, "last", 4), 4);
    run(&b);
    assert_int_equal(next_frame(&b, plain), 4);
    assert_int_equal(ear_write(&b.noise, "more", 4), 4);
    run(&b);
    assert_int_equal(b.noise.why.code, TERN_E_CRYPTO);
    assert_int_equal(b.raw.why.code, TERN_E_RESET);
    bare_clear(&b);
}

/* ---- frames in ---- */

static void frames_in_any_pieces(void **state)
{
    (void)state;
    static const size_t pieces[] = {1, 2, 3, 17, 18, 19, 1000, 65537, 70000, 140000};
    static uint8_t wire[200000];
    for (size_t k = 0; k < sizeof pieces / sizeof *pieces; k++) {
        bare b;
        size_t n = 0, at = 0;
        bare_make(&b, 0, NULL, &(tern_buf){0});
        static const size_t frames[] = {1, 0, 65519, 0, 100, 2, 40000, 5};
        for (size_t i = 0; i < sizeof frames / sizeof *frames; i++) {
            n += frame_of(&b, wire + n, flow + at, frames[i]);
            at += frames[i];
        }
        for (size_t done = 0; done < n;) {
            size_t piece = n - done < pieces[k] ? n - done : pieces[k];
            done += ear_write(&b.raw, wire + done, piece);
            if (piece > 100 || done % 64 == 0) {
                run(&b);
            }
        }
        run(&b);
        assert_int_equal(tern_buf_len(&b.noise.got), at);
        assert_memory_equal(tern_buf_data(&b.noise.got), flow, at);
        bare_clear(&b);
    }
}

static void assert_refused(const bare *b, int code, uint64_t counter)
{
    assert_int_equal(b->noise.closed, 1);
    assert_int_equal(b->noise.why.code, code);
    assert_string_equal(b->noise.why.layer, "noise");
    assert_int_equal(counter, 1);
    assert_int_equal(b->raw.why.code, TERN_E_RESET);
}

static void changed_frames_are_refused(void **state)
{
    (void)state;
    for (size_t at = 2; at < 2 + 4 + 16; at++) {
        bare b;
        uint8_t frame[64];
        bare_make(&b, 0, NULL, &(tern_buf){0});
        send_frame(&b, "good", 4);
        size_t n = frame_of(&b, frame, "evil", 4);
        frame[at] ^= 0x80;
        ear_write(&b.raw, frame, n);
        send_frame(&b, "after", 5);
        run(&b);
        assert_refused(&b, TERN_E_CRYPTO, b.counters.noise_decrypt);
        assert_int_equal(tern_buf_len(&b.noise.got), 4); /* nothing after the first wrong one */
        bare_clear(&b);
    }
}

static void replayed_frames_are_refused(void **state)
{
    (void)state;
    bare b;
    uint8_t frame[64];
    bare_make(&b, 0, NULL, &(tern_buf){0});
    size_t n = frame_of(&b, frame, "once", 4);
    ear_write(&b.raw, frame, n);
    ear_write(&b.raw, frame, n);
    run(&b);
    assert_refused(&b, TERN_E_CRYPTO, b.counters.noise_decrypt);
    bare_clear(&b);
}

static void frames_without_a_tag_are_refused(void **state)
{
    (void)state;
    for (uint16_t n = 0; n < 16; n++) {
        bare b;
        uint8_t frame[18] = {0};
        bare_make(&b, 0, NULL, &(tern_buf){0});
        tern_put16(frame, n);
        ear_write(&b.raw, frame, 2 + (size_t)n);
        run(&b);
        assert_refused(&b, TERN_E_CRYPTO, b.counters.noise_decrypt);
        bare_clear(&b);
    }
}

static void floods_of_empty_frames_are_refused(void **state)
{
    (void)state;
    for (int flood = 0; flood < 2; flood++) {
        bare b;
        bare_make(&b, 0, NULL, &(tern_buf){0});
        for (int round = 0; round < 3; round++) {
            for (int i = 0; i < TERN_NOISE_EMPTY_MAX + flood; i++) {
                if (b.raw.s != NULL) {
                    send_frame(&b, "", 0);
                }
            }
            if (b.raw.s != NULL) {
                send_frame(&b, "x", 1);
            }
            run(&b);
        }
        if (flood) {
            assert_refused(&b, TERN_E_PROTOCOL, b.counters.noise_malformed);
        } else {
            assert_int_equal(tern_buf_len(&b.noise.got), 3);
        }
        bare_clear(&b);
    }
}

static void ends_inside_and_between_frames(void **state)
{
    (void)state;
    for (size_t cut = 0; cut <= 2 + 4 + 16; cut++) {
        bare b;
        uint8_t frame[64];
        bare_make(&b, 0, NULL, &(tern_buf){0});
        size_t n = frame_of(&b, frame, "last", 4);
        ear_write(&b.raw, frame, cut);
        EAR(&b.raw, tern_stream_end(b.raw.s));
        run(&b);
        if (cut == 0 || cut == n) {
            assert_true(b.noise.ended);
            assert_int_equal(b.noise.closed, 0);
            assert_int_equal(b.counters.noise_truncated, 0);
        } else {
            assert_false(b.noise.ended);
            assert_refused(&b, TERN_E_EOF, b.counters.noise_truncated);
        }
        bare_clear(&b);
    }
}

/* A peer that ends inside a frame must not look like one that ended, also while we keep its bytes.
 */
static void cut_while_bytes_are_kept(void **state)
{
    (void)state;
    bare b;
    bare_make(&b, 0, NULL, &(tern_buf){0});
    b.noise.take = 0;
    send_frame(&b, "kept", 4);
    ear_write(&b.raw, "\0", 1);
    EAR(&b.raw, tern_stream_end(b.raw.s));
    run(&b);
    assert_int_equal(b.noise.closed, 0);
    b.noise.take = SIZE_MAX;
    EAR(&b.noise, tern_stream_resume(b.noise.s));
    run(&b);
    assert_int_equal(tern_buf_len(&b.noise.got), 4);
    assert_refused(&b, TERN_E_EOF, b.counters.noise_truncated);
    bare_clear(&b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(small_writes_share_a_frame),
        cmocka_unit_test(large_writes_fill_frames),
        cmocka_unit_test(sealed_bytes_go_first),
        cmocka_unit_test(end_flushes),
        cmocka_unit_test(idle_streams_hold_no_buffers),
        cmocka_unit_test(nonces_run_out),
        cmocka_unit_test(frames_in_any_pieces),
        cmocka_unit_test(changed_frames_are_refused),
        cmocka_unit_test(replayed_frames_are_refused),
        cmocka_unit_test(frames_without_a_tag_are_refused),
        cmocka_unit_test(floods_of_empty_frames_are_refused),
        cmocka_unit_test(ends_inside_and_between_frames),
        cmocka_unit_test(cut_while_bytes_are_kept),
    };
    return TERN_TEST_MAIN(tests);
}
