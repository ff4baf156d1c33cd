/* The Noise driver: long flows over memory and TCP, the static key, what only Noise has. What every
 * secure layer and every stream must do is tried by tests/suite/security.c and streams.c. */
#include "base/test.h"
#include "crypto/key.h"
#include "loop/sim.h"
#include "secure/noise.h"
#include "streams/memory.h"
#include "streams/tcp.h"
#include "suite/ear.h"

static uint8_t flow[300000];

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
    for (size_t i = 0; i < sizeof flow; i++) {
        flow[i] = (uint8_t)(i * 7 ^ i >> 8);
    }
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

static uint64_t recognised(const ends *e)
{
    return e->net[0].counters.noise_recognised + e->net[1].counters.noise_recognised;
}

static void static_key_serves_an_hour(void **state)
{
    (void)state;
    ends e;
    ends_make(&e);
    ends_over_memory(&e, &(tern_secure_op){0});
    assert_int_equal(recognised(&e), 0);
    ends_let_go(&e);
    wait_for(&e, 1800 * TERN_SEC);
    ends_over_memory(&e, &(tern_secure_op){0});
    assert_int_equal(recognised(&e), 2); /* each has seen the other's before */
    ends_let_go(&e);
    wait_for(&e, 1801 * TERN_SEC);
    ends_over_memory(&e, &(tern_secure_op){0});
    assert_int_equal(recognised(&e), 2);
    ends_let_go(&e);
    ends_over_memory(&e, &(tern_secure_op){0});
    assert_int_equal(recognised(&e), 4); /* what is remembered outlives the renewal */
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
        cmocka_unit_test(ten_megabytes_over_memory), cmocka_unit_test(ten_megabytes_over_tcp),
        cmocka_unit_test(prologue_and_certhashes),   cmocka_unit_test(static_key_serves_an_hour),
        cmocka_unit_test(public_key_cannot_secure),
    };
    return TERN_TEST_MAIN(tests);
}
