/* The Noise driver and stream: frames as they look on the lower stream, hostile frames, long flows
 * over memory and TCP, the static key. What every secure layer and every stream must do is tried by
 * tests/suite/security.c and streams.c. */
#include "base/test.h"
#include "crypto/key.h"
#include "loop/sim.h"
#include "secure/noise.h"
#include "secure/noise_core.h"
#include "secure/noise_stream.h"
#include "streams/memory.h"
#include "streams/tcp.h"
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
    tern_noise_cipher c = {tern_aead_new(bytes), n};
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

/* ---- two whole ends ---- */

typedef struct ends {
    tern_sim *sim;
    tern_loop *loop;
    tern_net net[2];
    tern_secure_op op[2];
    tern_error error[2];
    ear ear[2];
} ends;

static void secured(tern_op *op, const tern_error *error)
{
    tern_secure_op *secure = TERN_CONTAINER(op, tern_secure_op, op);
    ends *e = TERN_CONTAINER(secure->initiator ? secure : secure - 1, ends, op[0]);
    int i = secure->initiator ? 0 : 1;
    e->error[i] = *error;
    if (error->code == 0) {
        ear_take(&e->ear[i], secure->stream);
    }
}

static void ends_make(ends *e)
{
    memset(e, 0, sizeof *e);
    assert_int_equal(tern_sim_new(1, &e->sim), 0);
    assert_int_equal(tern_sim_host(e->sim, "10.0.0.1", &e->loop), 0);
    for (int i = 0; i < 2; i++) {
        e->net[i].loop = e->loop;
        assert_int_equal(tern_key_generate(TERN_KEY_ED25519, &e->net[i].key), 0);
        ear_init(&e->ear[i]);
    }
}

static void ends_run(ends *e, uint64_t time)
{
    tern_sim_run(e->sim, tern_sim_now(e->sim) + time, NULL, NULL);
}

/* Secures two connected streams; inputs of `options` are common to both. */
static void ends_secure(ends *e, tern_stream *a, tern_stream *b, const tern_secure_op *options)
{
    for (int i = 0; i < 2; i++) {
        e->op[i] = *options;
        e->op[i].net = &e->net[i];
        e->op[i].lower = i == 0 ? a : b;
        e->op[i].initiator = i == 0;
        tern_op_init(&e->op[i].op, e->loop, TERN_NEVER, secured);
        assert_int_equal(tern_noise.begin(&e->op[i]), 0);
        tern_noise.attach(&e->op[i]);
    }
    ends_run(e, TERN_SEC);
}

static void ends_let_go(ends *e)
{
    for (int i = 0; i < 2; i++) {
        ear_clear(&e->ear[i]);
        if (e->op[i].key != NULL) {
            tern_key_unref(e->op[i].key);
        }
        tern_buf_free(&e->op[i].peer_certhashes);
        memset(&e->op[i], 0, sizeof e->op[i]);
        ear_init(&e->ear[i]);
    }
    ends_run(e, TERN_SEC);
}

static void ends_clear(ends *e)
{
    ends_let_go(e);
    for (int i = 0; i < 2; i++) {
        tern_noise_identity_free(e->net[i].noise);
        tern_key_unref(e->net[i].key);
    }
    ends_run(e, 60 * TERN_SEC);
    tern_sim_free(e->sim);
    assert_int_equal(tern_mem_alive(), 0);
}

static void ends_over_memory(ends *e, const tern_secure_op *options)
{
    tern_stream *a, *b;
    assert_int_equal(tern_memory_pair(e->loop, NULL, &a, &b), 0);
    ends_secure(e, a, b, options);
}

/* Writes a flow of `total` bytes that repeats `flow`; returns how far it came. */
static size_t push(ear *e, size_t at, size_t total)
{
    while (at < total) {
        size_t offset = at % sizeof flow;
        size_t n = sizeof flow - offset < total - at ? sizeof flow - offset : total - at;
        size_t taken = ear_write(e, flow + offset, n);
        at += taken;
        if (taken < n) {
            break;
        }
    }
    return at;
}

static void flow_both_ways(ends *e, size_t total)
{
    size_t sent[2], got[2] = {0, 0};
    for (int i = 0; i < 2; i++) {
        sent[i] = push(&e->ear[i], 0, total);
    }
    for (int rounds = 0; got[0] < total || got[1] < total; rounds++) {
        assert_true(rounds < 10000);
        ends_run(e, TERN_MS);
        for (int i = 0; i < 2; i++) {
            ear *end = &e->ear[i];
            uint8_t *p = tern_buf_data(&end->got);
            size_t n = tern_buf_len(&end->got);
            for (size_t k = 0; k < n; k++) {
                if (p[k] != flow[(got[i] + k) % sizeof flow]) {
                    fail_msg("byte %zu is wrong", got[i] + k);
                }
            }
            got[i] += n;
            tern_buf_consume(&end->got, n);
            if (end->rooms > 0) {
                end->rooms = 0;
                sent[i] = push(end, sent[i], total);
            }
        }
    }
}

static void ten_megabytes_over_memory(void **state)
{
    (void)state;
    ends e;
    ends_make(&e);
    ends_over_memory(&e, &(tern_secure_op){0});
    flow_both_ways(&e, 10 << 20);
    ends_clear(&e);
}

static tern_stream *accepted;

static void on_accept(void *owner, tern_tcp *t)
{
    accepted = tern_tcp_stream_new(owner, t, 1 << 20, TERN_SEC, NULL);
}

static void dialled(tern_op *op, const tern_error *error)
{
    (void)op;
    assert_int_equal(error->code, 0);
}

/* TCP's output can be reserved: frames are sealed into it. */
static void ten_megabytes_over_tcp(void **state)
{
    (void)state;
    ends e;
    tern_tcp_listener *listener;
    tern_tcp_dial_op dial = {.write_queue = 1 << 20, .stall = TERN_SEC};
    ends_make(&e);
    dial.to = (tern_endpoint){.family = 4, .ip = {10, 0, 0, 1}};
    assert_int_equal(tern_tcp_listen(e.loop, &dial.to, on_accept, e.loop, &listener), 0);
    tern_tcp_listener_local(listener, &dial.to);
    tern_op_init(&dial.op, e.loop, TERN_NEVER, dialled);
    assert_int_equal(tern_tcp_stream_dial(&dial, NULL), 0);
    ends_run(&e, TERN_SEC);
    assert_true(tern_stream_can_reserve(dial.stream));
    ends_secure(&e, dial.stream, accepted, &(tern_secure_op){0});
    flow_both_ways(&e, 10 << 20);
    tern_tcp_listener_close(listener);
    ends_clear(&e);
}

/* ---- what only Noise has ---- */

static void prologue_and_certhashes(void **state)
{
    (void)state;
    ends e;
    const tern_span hashes[] = {{(const uint8_t *)"\x12\x20hash", 6}};
    ends_make(&e);
    ends_over_memory(&e, &(tern_secure_op){
                             .prologue = {(const uint8_t *)"libp2p-webrtc-noise:", 20},
                             .certhashes = hashes,
                             .certhash_count = 1,
                         });
    for (int i = 0; i < 2; i++) {
        assert_int_equal(e.error[i].code, 0);
        assert_int_equal(tern_buf_len(&e.op[i].peer_certhashes), 7);
        assert_memory_equal(tern_buf_data(&e.op[i].peer_certhashes), "\x06\x12\x20hash", 7);
    }
    ends_clear(&e);
}

static void no_act(tern_timer *timer)
{
    (void)timer;
}

static void wait_for(ends *e, uint64_t time)
{
    tern_timer timer = {0};
    tern_timer_start(e->loop, &timer, tern_sim_now(e->sim) + time, no_act);
    ends_run(e, time);
    tern_timer_stop(&timer);
}

static void static_key_serves_an_hour(void **state)
{
    (void)state;
    ends e;
    ends_make(&e);
    ends_over_memory(&e, &(tern_secure_op){0});
    const void *first = e.net[0].noise;
    assert_non_null(first);
    ends_let_go(&e);
    wait_for(&e, 1800 * TERN_SEC);
    ends_over_memory(&e, &(tern_secure_op){0});
    assert_ptr_equal(e.net[0].noise, first);
    ends_let_go(&e);
    wait_for(&e, 1801 * TERN_SEC);
    ends_over_memory(&e, &(tern_secure_op){0});
    assert_ptr_not_equal(e.net[0].noise, first); /* it is made before the old one is freed */
    assert_int_equal(e.error[0].code, 0);
    ends_clear(&e);
}

static void public_key_cannot_secure(void **state)
{
    (void)state;
    ends e;
    size_t n;
    tern_key *public;
    ends_make(&e);
    const uint8_t *bytes = tern_key_public(e.net[1].key, &n);
    assert_int_equal(tern_key_from_public(bytes, n, &public), 0);
    tern_key_unref(e.net[1].key);
    e.net[1].key = public;
    ends_over_memory(&e, &(tern_secure_op){0});
    assert_int_equal(e.error[1].code, TERN_E_STATE);
    assert_int_equal(e.error[0].code, TERN_E_RESET);
    ends_clear(&e);
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
        cmocka_unit_test(ten_megabytes_over_memory),
        cmocka_unit_test(ten_megabytes_over_tcp),
        cmocka_unit_test(prologue_and_certhashes),
        cmocka_unit_test(static_key_serves_an_hour),
        cmocka_unit_test(public_key_cannot_secure),
    };
    return TERN_TEST_MAIN(tests);
}
