/* The native WebTransport client against servers that break the rules, refuse, lie or vanish: each
 * dial fails with an error that says why, the server hears the right code, and the next dial works.
 */
#include "sim/h3_peer.h"

#include <stdio.h>

#include "webtransport/h3_fields.h"

#define DELAY   (10 * TERN_MS)
#define B(text) text, sizeof(text) - 1

enum { KIB = 1024 };

typedef struct scene {
    sim_nodes w;
    sim_node *a, *b, *c; /* a dials; b is the server's host; c is an honest one */
    char honest[512];
    h3_peer p;
    sim_dial d;
} scene;

static void open_scene(scene *x)
{
    tern_error error;
    memset(x, 0, sizeof *x);
    sim_nodes_init(&x->w, DELAY);
    x->a = sim_nodes_add(&x->w, "-10.0.0.1", NULL);
    x->b = sim_nodes_add(&x->w, "-10.0.0.2", NULL);
    x->c = sim_nodes_add(&x->w, "-10.0.0.3", NULL);
    assert_int_equal(tern_node_listen(x->c->node, "/ip4/10.0.0.3/udp/4001/quic-v1/webtransport",
                                      x->honest, sizeof x->honest, &error),
                     0);
}

/* The client dials on, and keeps nothing of the servers that it met. */
static void close_scene(scene *x)
{
    sim_ping ping;
    if (x->p.node != NULL) {
        h3_peer_clear(&x->p);
    }
    sim_nodes_run(&x->w, 60 * TERN_SEC);
    assert_int_equal(tern_node_net(x->a->node)->natives, 0);
    assert_int_equal(x->a->connected, x->a->disconnected);
    sim_nodes_dial_one(x->a, x->honest, &x->d);
    assert_non_null(x->d.conn);
    sim_nodes_ping(x->a, x->d.conn, &ping);
    assert_int_equal(ping.error.code, 0);
    sim_nodes_clear(&x->w);
}

/* A dial of the server, up to where CONNECT and Noise's first message have come. `begin` runs when
 * it may write. */
static void meet(scene *x, void (*begin)(h3_peer *))
{
    x->p.on_begin = begin;
    h3_peer_listen(&x->p, x->b, "10.0.0.2");
    const char *addr = x->p.addr;
    sim_nodes_dial(x->a, &addr, 1, &x->d);
    sim_nodes_run(&x->w, 6 * DELAY);
    assert_int_equal(x->p.begun, 1);
}

/* The dial has failed, with that error and a text that has `text` in it. */
static void expect_failure(scene *x, const char *name, int code, const char *text)
{
    sim_nodes_wait(&x->w, &x->d.done, 1, TERN_SEC);
    sim_nodes_run(&x->w, TERN_SEC);
    if (x->d.done != 1 || x->d.conn != NULL || x->d.error.code != code ||
        strstr(x->d.error.text, text) == NULL) {
        fail_msg("%s: done %u, %d: %s", name, x->d.done, x->d.error.code, x->d.error.text);
    }
}

static void expect_code(scene *x, const char *name, uint64_t wire)
{
    if (x->p.gone != 1 || x->p.why.wire != wire) {
        fail_msg("%s: gone %u, code 0x%llx", name, x->p.gone, (unsigned long long)x->p.why.wire);
    }
    h3_peer_clear(&x->p);
}

static h3_stream *answer(scene *x, unsigned status)
{
    tern_buf out;
    h3_stream *s = h3_theirs(&x->p, true, 0);
    assert_non_null(s);
    tern_buf_init(&out, 0);
    assert_int_equal(tern_h3_put_status(&out, status, false), 0);
    h3_say(s, tern_buf_data(&out), tern_buf_len(&out));
    tern_buf_free(&out);
    return s;
}

/* What a good server does after meet(). */
static h3_stream *serve(scene *x)
{
    h3_stream *connect = answer(x, 200);
    h3_stream *noise = h3_theirs(&x->p, true, 1);
    assert_non_null(noise);
    h3_noise(&x->p, noise);
    return connect;
}

static void expect_conn(scene *x)
{
    assert_true(sim_nodes_wait(&x->w, &x->d.done, 1, TERN_SEC));
    if (x->d.conn == NULL) {
        fail_msg("%s", x->d.error.text);
    }
    assert_int_equal(x->a->connected, x->a->disconnected + 1);
}

/* ---- streams that break a rule ---- */

static void test_rows(void **state)
{
    static const struct {
        const char *name;
        uint64_t wire;
        bool both_ways, end;
        const char *bytes;
        size_t n;
    } rows[] = {
        {"no SETTINGS", TERN_H3_MISSING_SETTINGS, false, false, B("\0\x07\1\0")},
        {"SETTINGS twice", TERN_H3_FRAME_UNEXPECTED, false, false,
         B("\0\4\7\x08\1\xab\x60\x37\x42\1\4\0")},
        {"a setting twice", TERN_H3_SETTINGS_ERROR, false, false, B("\0\4\4\x08\1\x08\1")},
        {"HTTP/2's setting", TERN_H3_SETTINGS_ERROR, false, false, B("\0\4\2\4\1")},
        {"a setting cut off", TERN_H3_FRAME_ERROR, false, false, B("\0\4\1\x08")},
        {"GOAWAY of no request", TERN_H3_ID_ERROR, false, false,
         B("\0\4\7\x08\1\xab\x60\x37\x42\1\x07\1\1")},
        {"MAX_PUSH_ID", TERN_H3_FRAME_UNEXPECTED, false, false,
         B("\0\4\7\x08\1\xab\x60\x37\x42\1\x0d\1\0")},
        {"a control stream ends", TERN_H3_CLOSED_CRITICAL_STREAM, false, true,
         B("\0\4\7\x08\1\xab\x60\x37\x42\1")},
        {"a push", TERN_H3_ID_ERROR, false, false, B("\1\0")},
        {"an insertion", TERN_QPACK_ENCODER_ERROR, false, false, B("\2\x41\x61\1\x62")},
        {"an acknowledgement", TERN_QPACK_DECODER_ERROR, false, false, B("\3\x80")},
        {"a request", TERN_H3_STREAM_CREATION_ERROR, true, false, B("\1\2\0\0")},
        {"a session of nobody's", TERN_H3_ID_ERROR, true, false, B("\x40\x41\3")},
    };
    scene x;
    (void)state;
    open_scene(&x);
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        uint64_t before = sim_counters(x.a)->h3_malformed;
        meet(&x, NULL);
        h3_open_saying(&x.p, rows[i].both_ways, rows[i].bytes, rows[i].n, rows[i].end);
        expect_failure(&x, rows[i].name, TERN_E_PROTOCOL, "");
        expect_code(&x, rows[i].name, rows[i].wire);
        assert_int_equal(sim_counters(x.a)->h3_malformed, before + 1);
    }
    meet(&x, NULL);
    h3_open_saying(&x.p, false, B("\0\4\x48\1"), false); /* SETTINGS of 2049 bytes */
    expect_failure(&x, "SETTINGS", TERN_E_TOO_LARGE, "limit");
    expect_code(&x, "SETTINGS", TERN_H3_EXCESSIVE_LOAD);
    assert_int_equal(sim_counters(x.a)->h3_too_large, 1);
    close_scene(&x);
}

/* ---- SETTINGS: CONNECT does not wait for them, the conn does ---- */

static void test_settings_that_allow_nothing(void **state)
{
    static const struct {
        const char *bytes;
        size_t n;
    } settings[] = {
        {B("\0\4\0")},                                 /* nothing at all */
        {B("\0\4\2\x08\1")},                           /* extended CONNECT alone */
        {B("\0\4\5\xab\x60\x37\x42\1")},               /* sessions without it */
        {B("\0\4\7\x08\0\xab\x60\x37\x42\1")},         /* ... and with it denied */
        {B("\0\4\x09\x08\1\x33\1\xab\x60\x37\x42\0")}, /* no session */
    };
    scene x;
    (void)state;
    open_scene(&x);
    for (size_t i = 0; i < sizeof settings / sizeof *settings; i++) {
        for (unsigned served = 0; served < 2; served++) {
            meet(&x, NULL);
            if (served) { /* all the same, and before they come */
                serve(&x);
                sim_nodes_run(&x.w, 10 * DELAY);
                assert_int_equal(x.p.noise_done, 1);
                assert_int_equal(x.d.done, 0);
            }
            h3_open_saying(&x.p, false, settings[i].bytes, settings[i].n, false);
            expect_failure(&x, "no WebTransport", TERN_E_PROTOCOL,
                           "SETTINGS allow no WebTransport");
            assert_int_equal(x.d.error.wire, TERN_WT_REQUIREMENTS);
            expect_code(&x, "no WebTransport", TERN_WT_REQUIREMENTS);
        }
    }
    assert_int_equal(x.a->connected, 0);
    close_scene(&x);
}

static void test_settings_that_come_late(void **state)
{
    scene x;
    (void)state;
    open_scene(&x);
    meet(&x, NULL);
    serve(&x);
    sim_nodes_run(&x.w, 2 * TERN_SEC);
    assert_int_equal(x.d.done, 0);
    h3_say_settings(&x.p);
    expect_conn(&x);
    close_scene(&x);
}

static void test_settings_that_never_come(void **state)
{
    scene x;
    (void)state;
    open_scene(&x);
    meet(&x, NULL);
    serve(&x);
    assert_true(sim_nodes_wait(&x.w, &x.d.done, 1, 30 * TERN_SEC));
    expect_failure(&x, "never", TERN_E_TIMEOUT, "");
    close_scene(&x);
}

/* ---- answers ---- */

static void test_refusals(void **state)
{
    static const unsigned statuses[] = {300, 400, 403, 404, 431, 500, 503, 999};
    scene x;
    char text[16];
    (void)state;
    open_scene(&x);
    for (size_t i = 0; i < sizeof statuses / sizeof *statuses; i++) {
        meet(&x, h3_say_settings);
        answer(&x, 103);
        sim_nodes_run(&x.w, 4 * DELAY);
        assert_int_equal(x.d.done, 0);
        answer(&x, statuses[i]);
        snprintf(text, sizeof text, "status %u", statuses[i]);
        expect_failure(&x, text, TERN_E_PROTOCOL, text);
        assert_int_equal(x.p.why.code, 0); /* H3_NO_ERROR */
        expect_code(&x, text, 0);
    }
    close_scene(&x);
}

static void test_bad_answers(void **state)
{
    static const struct {
        const char *name;
        uint64_t wire;
        bool end;
        const char *bytes;
        size_t n;
    } bad[] = {
        {"DATA first", TERN_H3_FRAME_UNEXPECTED, false, B("\0\0")},
        {"SETTINGS", TERN_H3_FRAME_UNEXPECTED, false, B("\4\0")},
        {"PUSH_PROMISE", TERN_H3_FRAME_UNEXPECTED, false, B("\5\0")},
        {"HTTP/2's", TERN_H3_FRAME_UNEXPECTED, false, B("\x09\0")},
        {"no fields", TERN_QPACK_FAILED, false, B("\1\0")},
        {"a dynamic entry", TERN_QPACK_FAILED, false, B("\1\3\0\0\x80")},
        {"no status", TERN_H3_MESSAGE_ERROR, false, B("\1\2\0\0")},
        {"a request's field", TERN_H3_MESSAGE_ERROR, false, B("\1\3\0\0\xd1")},
        {"two fields again", TERN_H3_MESSAGE_ERROR, false, B("\1\4\0\0\xd9\xd9")},
        {"cut off", TERN_H3_FRAME_ERROR, true, B("\1\5\0\0")},
        {"fields beyond 16 KiB", TERN_H3_EXCESSIVE_LOAD, false, B("\1\x80\0\x40\1")},
    };
    scene x;
    (void)state;
    open_scene(&x);
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        meet(&x, h3_say_settings);
        h3_stream *s = h3_theirs(&x.p, true, 0);
        h3_say(s, bad[i].bytes, bad[i].n);
        if (bad[i].end) {
            tern_stream_end(s->s);
        }
        bool large = bad[i].wire == TERN_H3_EXCESSIVE_LOAD;
        expect_failure(&x, bad[i].name, large ? TERN_E_TOO_LARGE : TERN_E_PROTOCOL, "");
        expect_code(&x, bad[i].name, bad[i].wire);
    }
    assert_int_equal(sim_counters(x.a)->h3_malformed, sizeof bad / sizeof *bad - 1);
    close_scene(&x);
}

/* The CONNECT stream ends or is reset without an answer; the server goes away. */
static void test_no_answer(void **state)
{
    scene x;
    (void)state;
    open_scene(&x);
    meet(&x, h3_say_settings);
    tern_stream_end(h3_theirs(&x.p, true, 0)->s);
    expect_failure(&x, "an end", TERN_E_PROTOCOL, "does not answer");
    expect_code(&x, "an end", 0);
    meet(&x, h3_say_settings);
    tern_stream_reset(h3_theirs(&x.p, true, 0)->s, TERN_H3_REQUEST_REJECTED);
    expect_failure(&x, "a reset", TERN_E_CONN_CLOSED, "reset the session");
    assert_int_equal(x.d.error.wire, TERN_H3_REQUEST_REJECTED);
    expect_code(&x, "a reset", 0);
    meet(&x, NULL);
    h3_open_saying(&x.p, false, B("\0\4\7\x08\1\xab\x60\x37\x42\1\x07\1\0"), false);
    expect_failure(&x, "GOAWAY", TERN_E_CONN_CLOSED, "no sessions any more");
    expect_code(&x, "GOAWAY", 0);
    /* it goes, but this request is still to be answered */
    meet(&x, NULL);
    h3_open_saying(&x.p, false, B("\0\4\7\x08\1\xab\x60\x37\x42\1\x07\1\4"), false);
    serve(&x);
    expect_conn(&x);
    close_scene(&x);
}

/* ---- Noise ---- */

static void test_certhashes_that_noise_lacks(void **state)
{
    uint8_t other[WT_HASH] = {0x12, 0x20};
    scene x;
    (void)state;
    open_scene(&x);
    for (unsigned kind = 0; kind < 4; kind++) {
        meet(&x, h3_say_settings);
        switch (kind) {
        case 0:
            x.p.hash_count = 0;
            break;
        case 1: /* one of the two that were dialled */
            x.p.hash_count = 2;
            break;
        case 2:
            x.p.hashes[1] = (tern_span){other, sizeof other};
            break;
        default: /* the beginning of it */
            x.p.hashes[2].len = WT_HASH - 1;
        }
        serve(&x);
        expect_failure(&x, "hashes", TERN_E_CRYPTO, "vouch");
        assert_int_equal(sim_counters(x.a)->wt_wrong_certhash, kind + 1);
        assert_int_equal(x.p.noise_error.code, 0);
        expect_code(&x, "hashes", 0);
    }
    close_scene(&x);
}

static void test_another_peer(void **state)
{
    char text[TERN_PEER_ID_TEXT];
    scene x;
    (void)state;
    open_scene(&x);
    x.p.on_begin = h3_say_settings;
    h3_peer_listen(&x.p, x.b, "10.0.0.2");
    tern_peer_id_text(&x.c->id, text);
    char *at = strstr(x.p.addr, "/p2p/") + 5;
    snprintf(at, sizeof x.p.addr - (size_t)(at - x.p.addr), "%s", text);
    const char *addr = x.p.addr;
    sim_nodes_dial(x.a, &addr, 1, &x.d);
    sim_nodes_run(&x.w, 6 * DELAY);
    serve(&x);
    expect_failure(&x, "another", TERN_E_PEER_ID, "");
    expect_code(&x, "another", 0);
    close_scene(&x);
}

static void test_bad_noise(void **state)
{
    scene x;
    (void)state;
    open_scene(&x);
    meet(&x, h3_say_settings);
    answer(&x, 200);
    h3_say(h3_theirs(&x.p, true, 1), "\0\4oops", 6);
    expect_failure(&x, "garbage", TERN_E_MALFORMED, "");
    expect_code(&x, "garbage", 0);
    meet(&x, h3_say_settings);
    answer(&x, 200);
    tern_stream_end(h3_theirs(&x.p, true, 1)->s);
    expect_failure(&x, "an end", TERN_E_EOF, "");
    expect_code(&x, "an end", 0);
    meet(&x, h3_say_settings);
    tern_stream_reset(h3_theirs(&x.p, true, 1)->s, TERN_WT_BUFFERED_REJECTED);
    expect_failure(&x, "a reset", TERN_E_RESET, "");
    expect_code(&x, "a reset", 0);
    close_scene(&x);
}

/* ---- silence ---- */

/* The server's machine is gone at each step: the dial ends in time, a session within the silence
 * that QUIC allows. */
static void test_who_vanishes(void **state)
{
    scene x;
    (void)state;
    open_scene(&x);
    for (unsigned step = 0; step < 4; step++) {
        meet(&x, step > 0 ? h3_say_settings : NULL);
        if (step == 2) {
            answer(&x, 200);
        } else if (step == 3) {
            serve(&x);
            expect_conn(&x);
        }
        sim_nodes_run(&x.w, TERN_SEC);
        assert_int_equal(
            tern_sim_set_link(x.w.sim, x.a->host, x.b->host, &(tern_sim_link){.down = true}), 0);
        if (step == 3) {
            assert_true(sim_nodes_wait(&x.w, &x.a->disconnected, 1, 45 * TERN_SEC));
            assert_int_equal(x.a->why.code, TERN_E_TIMEOUT);
        } else {
            assert_true(sim_nodes_wait(&x.w, &x.d.done, 1, 20 * TERN_SEC));
            assert_int_equal(x.d.error.code, TERN_E_TIMEOUT);
        }
        sim_nodes_run(&x.w, TERN_SEC);
        assert_int_equal(tern_node_net(x.a->node)->natives, 0);
        h3_peer_clear(&x.p);
        assert_int_equal(
            tern_sim_set_link(x.w.sim, x.a->host, x.b->host, &(tern_sim_link){.delay = DELAY}), 0);
    }
    close_scene(&x);
}

/* ---- in a session ---- */

static void test_capsules(void **state)
{
    scene x;
    (void)state;
    open_scene(&x);
    meet(&x, h3_say_settings);
    h3_stream *connect = serve(&x);
    expect_conn(&x);
    h3_say(connect, B("\0\x0b\x41\x23\0\x78\xae\0\x41\x24\2ab"));
    sim_nodes_run(&x.w, TERN_SEC);
    assert_int_equal(x.a->disconnected, 0);
    h3_say(connect, B("\0\x0a\x68\x43\7\0\0\x10\5bye"));
    sim_nodes_run(&x.w, TERN_SEC);
    assert_int_equal(x.a->disconnected, 1);
    assert_int_equal(x.a->why.wire, 0x1005);
    expect_code(&x, "CLOSE", 0);
    meet(&x, h3_say_settings);
    connect = serve(&x);
    expect_conn(&x);
    h3_say(connect, B("\0\4\x68\x43\x44\5"));
    sim_nodes_run(&x.w, TERN_SEC);
    assert_int_equal(x.a->disconnected, 2);
    assert_int_equal(sim_counters(x.a)->wt_bad_capsule, 1);
    expect_code(&x, "a long CLOSE", TERN_H3_MESSAGE_ERROR);
    close_scene(&x);
}

/* Streams of the session before it is there: sixteen wait. One-way ones, whenever they come: none.
 */
static void test_streams(void **state)
{
    scene x;
    h3_stream *s[WT_EARLY + 4];
    (void)state;
    open_scene(&x);
    meet(&x, h3_say_settings);
    for (unsigned i = 0; i < WT_EARLY + 4; i++) {
        s[i] = h3_open_in(&x.p, true, 0);
        sim_nodes_run(&x.w, 4 * DELAY);
    }
    for (unsigned i = 0; i < WT_EARLY + 4; i++) {
        assert_int_equal(s[i]->closed, i >= WT_EARLY);
        assert_int_equal(s[i]->why.wire, i >= WT_EARLY ? TERN_WT_BUFFERED_REJECTED : 0);
    }
    serve(&x);
    expect_conn(&x);
    assert_int_equal(sim_counters(x.a)->wt_bad_stream, 4);
    size_t before = tern_mem_bytes();
    for (unsigned i = 0; i < 2000;) {
        h3_stream *one = h3_open(&x.p, false);
        if (one != NULL) {
            h3_say(one, B("\x40\x54\0hello"));
            i++;
        } else {
            sim_nodes_run(&x.w, 2 * DELAY);
            assert_true(tern_mem_bytes() < before + 256 * KIB);
        }
    }
    sim_nodes_run(&x.w, TERN_SEC);
    assert_int_equal(sim_counters(x.a)->wt_bad_stream, 2004);
    assert_int_equal(x.a->disconnected, 0);
    close_scene(&x);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_rows),
        cmocka_unit_test(test_settings_that_allow_nothing),
        cmocka_unit_test(test_settings_that_come_late),
        cmocka_unit_test(test_settings_that_never_come),
        cmocka_unit_test(test_refusals),
        cmocka_unit_test(test_bad_answers),
        cmocka_unit_test(test_no_answer),
        cmocka_unit_test(test_certhashes_that_noise_lacks),
        cmocka_unit_test(test_another_peer),
        cmocka_unit_test(test_bad_noise),
        cmocka_unit_test(test_who_vanishes),
        cmocka_unit_test(test_capsules),
        cmocka_unit_test(test_streams),
    };
    return TERN_TEST_MAIN(tests);
}
