/* The WebSocket stream against a raw peer over a memory pair: what it puts on the wire, and what it
 * makes of good and bad frames. (Its conduct as a stream is the stream suite's to test.) */
#include "transport/ws_stream.h"

#include "base/test.h"
#include "loop/sim.h"
#include "streams/memory.h"
#include "suite/ear.h"
#include "transport/ws_core.h"

typedef struct world {
    tern_sim *sim;
    tern_loop *loop;
    tern_counters counters;
    ear peer; /* raw */
    ear ws;
} world;

static void make_over(world *w, bool client, const tern_memory_options *options)
{
    tern_stream *raw, *lower;
    memset(w, 0, sizeof *w);
    assert_int_equal(tern_sim_new(1, &w->sim), 0);
    assert_int_equal(tern_sim_host(w->sim, "10.0.0.1", &w->loop), 0);
    assert_int_equal(tern_memory_pair(w->loop, options, &raw, &lower), 0);
    ear_init(&w->peer);
    ear_init(&w->ws);
    ear_take(&w->peer, raw);
    ear_take(&w->ws, tern_ws_stream_new(lower, client, &w->counters));
}

static void make(world *w, bool client)
{
    make_over(w, client, NULL);
}

static void run_for(world *w, uint64_t time)
{
    tern_sim_run(w->sim, tern_sim_now(w->sim) + time, NULL, NULL);
}

static void run(world *w)
{
    run_for(w, TERN_MS);
}

static void clear(world *w)
{
    ear_clear(&w->peer);
    ear_clear(&w->ws);
    run_for(w, 60 * TERN_SEC);
    tern_sim_free(w->sim);
}

static void send_hex(world *w, const char *hex)
{
    uint8_t bytes[1000];
    size_t n = tern_test_unhex(bytes, sizeof bytes, hex);
    assert_int_equal(ear_write(&w->peer, bytes, n), n);
    run(w);
}

/* What the raw peer has got, which is then forgotten. */
static void expect_hex(world *w, const char *hex)
{
    uint8_t bytes[1000];
    size_t n = tern_test_unhex(bytes, sizeof bytes, hex);
    run(w);
    assert_int_equal(tern_buf_len(&w->peer.got), n);
    if (n > 0) {
        assert_memory_equal(tern_buf_data(&w->peer.got), bytes, n);
    }
    tern_buf_free(&w->peer.got);
}

static void expect_text(const ear *e, const char *text)
{
    assert_int_equal(tern_buf_len(&e->got), strlen(text));
    if (text[0] != '\0') {
        assert_memory_equal(tern_buf_data(&e->got), text, strlen(text));
    }
}

/* ---- writing ---- */

static void a_write_is_a_frame(void **state)
{
    (void)state;
    world w;
    tern_span v[] = {{(const uint8_t *)"He", 2}, {NULL, 0}, {(const uint8_t *)"llo", 3}};
    make(&w, false);
    EAR(&w.ws, assert_int_equal(tern_stream_writev(w.ws.s, v, 3), 5));
    expect_hex(&w, "820548656c6c6f");
    clear(&w);
}

/* Frames of a client are masked, with another key each. */
static void clients_mask(void **state)
{
    (void)state;
    world w;
    uint8_t keys[2][TERN_WS_KEY];
    make(&w, true);
    for (int i = 0; i < 2; i++) {
        uint8_t plain[5];
        assert_int_equal(ear_write(&w.ws, "Hello", 5), 5);
        run(&w);
        const uint8_t *p = tern_buf_data(&w.peer.got);
        assert_int_equal(tern_buf_len(&w.peer.got), 11);
        assert_int_equal(p[0], 0x82);
        assert_int_equal(p[1], 0x85);
        memcpy(keys[i], p + 2, TERN_WS_KEY);
        tern_ws_mask(plain, p + 6, 5, keys[i], 0);
        assert_memory_equal(plain, "Hello", 5);
        tern_buf_free(&w.peer.got);
    }
    assert_memory_not_equal(keys[0], keys[1], TERN_WS_KEY);
    clear(&w);
}

static void large_writes_are_frames_of_64k(void **state)
{
    (void)state;
    static const uint8_t block[200000];
    world w;
    make(&w, false);
    assert_int_equal(ear_write(&w.ws, block, sizeof block), sizeof block);
    run(&w);
    static const uint8_t first[] = {0x82, 127, 0, 0, 0, 0, 0, 1, 0, 1};
    const uint8_t *p = tern_buf_data(&w.peer.got);
    assert_memory_equal(p, first, sizeof first);
    assert_memory_equal(p + 10 + TERN_WS_PAYLOAD_MAX, first, sizeof first);
    assert_int_equal(tern_buf_len(&w.peer.got), sizeof block + 4 * sizeof first - 6);
    clear(&w);
}

/* Reserved bytes arrive like written ones: out of our buffer when the lower has none to give, and
 * out of the lower's (here a WebSocket in a WebSocket) when it has. */
static void reserve_and_commit(void **state)
{
    (void)state;
    static const size_t sizes[] = {1, 125, 126, 5000, 65537, 70000, 100000};
    for (int nested = 0; nested < 2; nested++) {
        for (int client = 0; client < 2; client++) {
            world w;
            tern_stream *a, *b;
            make(&w, false); /* for its loop */
            assert_int_equal(tern_memory_pair(w.loop, NULL, &a, &b), 0);
            for (int i = 0; i <= nested; i++) {
                a = tern_ws_stream_new(a, client, &w.counters);
                b = tern_ws_stream_new(b, !client, &w.counters);
            }
            ear reader;
            ear_init(&reader);
            ear_take(&reader, b);
            for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
                size_t n = sizes[i];
                assert_true(tern_stream_room(a) >= n);
                uint8_t *p = a->ops->reserve(a, n);
                assert_non_null(p);
                memset(p, (int)i + 1, n);
                a->ops->commit(a, n);
                run(&w);
                assert_int_equal(tern_buf_len(&reader.got), n);
                for (size_t k = 0; k < n; k++) {
                    assert_int_equal(tern_buf_data(&reader.got)[k], i + 1);
                }
                tern_buf_free(&reader.got);
            }
            tern_stream_drop(a);
            ear_clear(&reader);
            clear(&w);
        }
    }
}

/* All of the room can be reserved, and what the lower cannot take follows. */
static void reserve_all_the_room(void **state)
{
    (void)state;
    world w;
    make(&w, false);
    w.peer.take = 0;
    size_t room = tern_stream_room(w.ws.s);
    assert_null(w.ws.s->ops->reserve(w.ws.s, room + 1));
    uint8_t *p = w.ws.s->ops->reserve(w.ws.s, room);
    assert_non_null(p);
    memset(p, 'x', room);
    w.ws.s->ops->commit(w.ws.s, room);
    assert_int_equal(tern_stream_room(w.ws.s), 0);
    assert_null(w.ws.s->ops->reserve(w.ws.s, 1));
    w.peer.take = SIZE_MAX;
    EAR(&w.peer, tern_stream_resume(w.peer.s));
    run(&w);
    assert_int_equal(tern_buf_len(&w.peer.got), room + 10);
    assert_true(tern_stream_room(w.ws.s) >= room);
    clear(&w);
}

/* ---- reading ---- */

static void messages_are_bytes(void **state)
{
    (void)state;
    for (size_t chunk = 0; chunk < 4; chunk++) {
        world w;
        make_over(&w, true, &(tern_memory_options){.chunk = chunk});
        send_hex(&w, "810548656c6c6f"     /* text */
                     "82012c"             /* binary */
                     "8200"               /* empty */
                     "020120890000027768" /* a ping inside a message */
                     "800161");
        expect_text(&w.ws, "Hello, wha");
        clear(&w);
    }
}

static void backpressure(void **state)
{
    (void)state;
    world w;
    static uint8_t frame[100000];
    make(&w, true);
    w.ws.take = 0;
    size_t head = tern_ws_write_head(frame, TERN_WS_BINARY, sizeof frame - 10, NULL);
    assert_int_equal(head, 10);
    size_t sent = 0;
    for (int i = 0; i < 100; i++) {
        sent += ear_write(&w.peer, frame, sizeof frame) == sizeof frame;
        run(&w);
    }
    assert_true(sent >= 1 && sent < 10); /* the window below, and what is kept above */
    w.ws.take = SIZE_MAX;
    EAR(&w.ws, tern_stream_resume(w.ws.s));
    run(&w);
    assert_true(tern_buf_len(&w.ws.got) >= sent * (sizeof frame - 10));
    clear(&w);
}

/* ---- pings ---- */

static void pings_are_answered(void **state)
{
    (void)state;
    world w;
    make(&w, false);
    send_hex(&w, "898537fa213d7f9f4d5158");
    expect_hex(&w, "8a0548656c6c6f");
    send_hex(&w, "898000000000");
    expect_hex(&w, "8a00");
    send_hex(&w, "8a8000000000"); /* a pong that nobody asked for */
    expect_hex(&w, "");
    clear(&w);
}

static void the_newest_ping_of_a_turn_is_answered(void **state)
{
    (void)state;
    world w;
    make(&w, true);
    send_hex(&w, "890131890132890133");
    run(&w);
    assert_int_equal(tern_buf_len(&w.peer.got), 7);
    const uint8_t *p = tern_buf_data(&w.peer.got);
    assert_int_equal(p[6] ^ p[2], '3');
    clear(&w);
}

/* A peer that pings and does not read makes nothing grow. */
static void pings_without_room(void **state)
{
    (void)state;
    static const uint8_t block[300000];
    world w;
    make(&w, true);
    w.peer.take = 0;
    while (ear_write(&w.ws, block, sizeof block) > 0) {
        run(&w);
    }
    size_t alive = tern_mem_alive();
    for (int i = 0; i < 1000; i++) {
        send_hex(&w, "890131");
    }
    assert_true(tern_mem_alive() <= alive + 2);
    w.peer.take = SIZE_MAX;
    EAR(&w.peer, tern_stream_resume(w.peer.s));
    run(&w);
    size_t n = tern_buf_len(&w.peer.got);
    assert_int_equal(tern_buf_data(&w.peer.got)[n - 7], 0x8a); /* one, at the end */
    assert_int_equal(tern_buf_data(&w.peer.got)[n - 14] == 0x8a, 0);
    clear(&w);
}

/* ---- closing ---- */

static void we_close(void **state)
{
    (void)state;
    world w;
    make(&w, false);
    assert_int_equal(ear_write(&w.ws, "A", 1), 1);
    EAR(&w.ws, tern_stream_end(w.ws.s));
    expect_hex(&w, "820141880203e8");
    send_hex(&w, "828180000000c1"); /* the peer may still talk */
    send_hex(&w, "898000000000");   /* but its pings are answered no more */
    assert_int_equal(w.ws.closed, 0);
    send_hex(&w, "88828000000083e8");
    assert_int_equal(tern_buf_len(&w.ws.got), 1);
    assert_true(w.ws.ended);
    assert_int_equal(w.ws.closed, 1);
    assert_int_equal(w.ws.why.code, 0);
    expect_hex(&w, "");
    assert_true(w.peer.ended);
    clear(&w);
}

static void the_peer_closes(void **state)
{
    (void)state;
    static const struct {
        const char *close, *answer;
        int code;
        uint64_t wire;
    } rows[] = {
        {"8800", "880203e8", 0, 0},
        {"880203e8", "880203e8", 0, 0},
        {"880203e9", "880203e8", 0, 0},
        {"880203ea", "880203ea", TERN_E_RESET, 1002},
        {"880203f1", "880203f1", TERN_E_RESET, 1009},
        {"88040fa06f68", "88020fa0", TERN_E_RESET, 4000},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        for (int client = 0; client < 2; client++) {
            world w;
            uint8_t close[8], frame[TERN_WS_CONTROL_FRAME_MAX];
            static const uint8_t key[TERN_WS_KEY] = {0};
            make(&w, client);
            size_t n = tern_test_unhex(close, sizeof close, rows[i].close);
            n = tern_ws_write_control(frame, TERN_WS_CLOSE, close + 2, n - 2, client ? NULL : key);
            assert_int_equal(ear_write(&w.peer, frame, n), n);
            run(&w);
            if (rows[i].code == 0) {
                assert_true(w.ws.ended);
                expect_hex(&w, ""); /* it may still write */
                assert_int_equal(ear_write(&w.ws, "A", 1), 1);
                EAR(&w.ws, tern_stream_end(w.ws.s));
                run(&w);
                n = client ? 7 : 3;
                assert_true(tern_buf_len(&w.peer.got) > n);
                tern_buf_consume(&w.peer.got, n);
            }
            assert_int_equal(w.ws.closed, 1);
            assert_int_equal(w.ws.why.code, rows[i].code);
            assert_int_equal(w.ws.why.wire, rows[i].wire);
            if (!client) {
                expect_hex(&w, rows[i].answer);
            }
            assert_true(w.peer.ended);
            assert_int_equal(w.counters.ws_malformed, 0);
            clear(&w);
        }
    }
}

/* An owner that does not end makes the peer wait two seconds and no longer. */
static void a_late_answer(void **state)
{
    (void)state;
    world w;
    make(&w, true);
    w.ws.take = 0;
    send_hex(&w, "820141");
    w.ws.take = SIZE_MAX;
    EAR(&w.ws, tern_stream_resume(w.ws.s));
    send_hex(&w, "880203e8");
    run_for(&w, 1900 * TERN_MS);
    expect_hex(&w, "");
    run_for(&w, 200 * TERN_MS);
    assert_int_equal(tern_buf_len(&w.peer.got), 8); /* the Close */
    assert_true(w.peer.ended);
    assert_true(w.ws.ended);
    assert_int_equal(w.ws.closed, 0);
    run_for(&w, 60 * TERN_SEC);
    assert_int_equal(w.ws.closed, 0); /* it is its owner's to end */
    expect_text(&w.ws, "A");
    EAR(&w.ws, tern_stream_end(w.ws.s));
    run(&w);
    assert_int_equal(w.ws.closed, 1);
    assert_int_equal(w.ws.why.code, 0);
    clear(&w);
}

static void writing_after_the_late_answer(void **state)
{
    (void)state;
    world w;
    make(&w, true);
    send_hex(&w, "880203e8");
    run_for(&w, 3 * TERN_SEC);
    assert_int_equal(ear_write(&w.ws, "too late", 8), 8);
    run(&w);
    assert_int_equal(w.ws.closed, 1);
    assert_int_equal(w.ws.why.code, TERN_E_CONN_CLOSED);
    clear(&w);
}

static void a_close_without_answer(void **state)
{
    (void)state;
    world w;
    make(&w, false);
    EAR(&w.ws, tern_stream_end(w.ws.s));
    run_for(&w, 9 * TERN_SEC);
    assert_int_equal(w.ws.closed, 0);
    run_for(&w, 2 * TERN_SEC);
    assert_int_equal(w.ws.closed, 1);
    assert_int_equal(w.ws.why.code, TERN_E_TIMEOUT);
    assert_int_equal(w.peer.why.code, TERN_E_RESET);
    clear(&w);
}

static void the_lower_ends(void **state)
{
    (void)state;
    static const struct {
        const char *before;
        bool we_closed;
        int code;
        bool ended;
    } rows[] = {
        {"", false, TERN_E_EOF, false},      {"820141", false, TERN_E_EOF, false},
        {"8205", false, TERN_E_EOF, false},  {"", true, 0, true},
        {"820141", true, 0, true},           {"8205", true, TERN_E_EOF, false},
        {"020141", true, TERN_E_EOF, false},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        world w;
        make(&w, true);
        if (rows[i].we_closed) {
            EAR(&w.ws, tern_stream_end(w.ws.s));
            run(&w);
        }
        send_hex(&w, rows[i].before);
        EAR(&w.peer, tern_stream_end(w.peer.s));
        run(&w);
        assert_int_equal(w.ws.closed, 1);
        assert_int_equal(w.ws.why.code, rows[i].code);
        assert_int_equal(w.ws.ended, rows[i].ended);
        clear(&w);
    }
}

static void the_lower_ends_behind_a_close(void **state)
{
    (void)state;
    world w;
    make(&w, true);
    w.ws.take = 0;
    send_hex(&w, "820141880203e8");
    EAR(&w.peer, tern_stream_reset(w.peer.s, 5)); /* all was said: this loses nothing */
    run(&w);
    assert_int_equal(w.ws.closed, 1);
    assert_int_equal(w.ws.why.code, TERN_E_RESET); /* the Close was not read yet */
    clear(&w);

    make(&w, true);
    send_hex(&w, "820141880203e8");
    EAR(&w.peer, tern_stream_reset(w.peer.s, 5));
    run(&w);
    expect_text(&w.ws, "A");
    assert_true(w.ws.ended);
    assert_int_equal(w.ws.closed, 0);
    EAR(&w.ws, tern_stream_end(w.ws.s));
    run(&w);
    assert_int_equal(w.ws.why.code, 0);
    clear(&w);
}

/* The owner still had something to say, and waited for room, when the connection broke. */
static void the_lower_breaks_under_a_waiting_writer(void **state)
{
    (void)state;
    static uint8_t much[1 << 16];
    world w;
    make_over(&w, false, &(tern_memory_options){.window = 100});
    w.peer.take = 0;
    send_hex(&w, "88828000000083e8");
    assert_true(w.ws.ended);
    assert_true(ear_write(&w.ws, much, sizeof much) < sizeof much);
    run(&w);
    assert_int_equal(w.ws.closed, 0);
    EAR(&w.peer, tern_stream_reset(w.peer.s, 5));
    run(&w);
    assert_int_equal(w.ws.closed, 1);
    assert_int_equal(w.ws.why.code, TERN_E_RESET);
    clear(&w);
}

static void dropped_streams_close_politely(void **state)
{
    (void)state;
    world w;
    make(&w, false);
    assert_int_equal(ear_write(&w.ws, "A", 1), 1);
    EAR(&w.ws, tern_stream_drop(w.ws.s));
    w.ws.s = NULL;
    expect_hex(&w, "820141880203e8");
    send_hex(&w, "88828000000083e8");
    assert_true(w.peer.ended);
    clear(&w);
}

/* ---- faults of the peer ---- */

static void faults(void **state)
{
    (void)state;
    static const struct {
        const char *hex, *answer;
        int code;
        uint64_t malformed, too_large;
    } rows[] = {
        {"810141", "880203ea", TERN_E_MALFORMED, 1, 0}, /* not masked */
        {"c28000000000", "880203ea", TERN_E_MALFORMED, 1, 0},
        {"808000000000", "880203ea", TERN_E_PROTOCOL, 1, 0},
        {"888100000000ff", "880203ea", TERN_E_MALFORMED, 1, 0},
        {"89fe00ff00000000", "880203f1", TERN_E_TOO_LARGE, 0, 1},
        {"82ffff0000000000000000000000", "880203f1", TERN_E_TOO_LARGE, 0, 1},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        for (size_t chunk = 0; chunk < 2; chunk++) {
            world w;
            make_over(&w, false, &(tern_memory_options){.chunk = chunk});
            send_hex(&w, "828180000000c1"); /* a good one first */
            send_hex(&w, rows[i].hex);
            run(&w);
            assert_int_equal(w.ws.closed, 1);
            assert_int_equal(w.ws.why.code, rows[i].code);
            assert_string_equal(w.ws.why.layer, "ws");
            assert_int_equal(w.counters.ws_malformed, rows[i].malformed);
            assert_int_equal(w.counters.ws_too_large, rows[i].too_large);
            expect_hex(&w, rows[i].answer);
            assert_true(w.peer.ended);
            clear(&w);
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_write_is_a_frame),
        cmocka_unit_test(clients_mask),
        cmocka_unit_test(large_writes_are_frames_of_64k),
        cmocka_unit_test(reserve_and_commit),
        cmocka_unit_test(reserve_all_the_room),
        cmocka_unit_test(messages_are_bytes),
        cmocka_unit_test(backpressure),
        cmocka_unit_test(pings_are_answered),
        cmocka_unit_test(the_newest_ping_of_a_turn_is_answered),
        cmocka_unit_test(pings_without_room),
        cmocka_unit_test(we_close),
        cmocka_unit_test(the_peer_closes),
        cmocka_unit_test(a_late_answer),
        cmocka_unit_test(writing_after_the_late_answer),
        cmocka_unit_test(a_close_without_answer),
        cmocka_unit_test(the_lower_ends),
        cmocka_unit_test(the_lower_ends_behind_a_close),
        cmocka_unit_test(the_lower_breaks_under_a_waiting_writer),
        cmocka_unit_test(dropped_streams_close_politely),
        cmocka_unit_test(faults),
    };
    return TERN_TEST_MAIN(tests);
}
