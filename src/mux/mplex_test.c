/* mplex the driver, against a peer that is a script of bytes: what exactly goes over the wire and
 * when, what unread bytes may cost, how sessions end. What holds for every muxer is in
 * tests/suite/muxers.c. */
#include "mux/mplex.h"

#include "base/test.h"
#include "loop/sim.h"
#include "mux/mplex_conn.h"
#include "streams/memory.h"

typedef struct rig {
    tern_timer clock; /* time stands still where nobody waits for it */
    tern_sim *sim;
    tern_loop *loop;
    tern_net net;
    tern_conn *conn;   /* NULL once closed */
    tern_stream *peer; /* raw; NULL once closed */
    tern_buf heard;    /* what the peer read */
    bool deaf;         /* the peer does not read */
    bool peer_ended;
    tern_error why;
    tern_stream *in[8]; /* accepted */
    size_t in_count;
    tern_error closed[8]; /* why each stream ended, in that order */
    size_t closed_count;
    size_t got;  /* bytes all streams took */
    size_t take; /* how many bytes a stream takes at once */
} rig;

/* --- the streams' owner --- */

static size_t on_data(void *owner, tern_stream *s, uint8_t *data, size_t n)
{
    rig *r = owner;
    (void)s;
    (void)data;
    n = n < r->take ? n : r->take;
    r->got += n;
    return n;
}

static void on_closed(void *owner, tern_stream *s, const tern_error *why)
{
    rig *r = owner;
    (void)s;
    assert_true(r->closed_count < 8);
    r->closed[r->closed_count++] = *why;
}

static const tern_stream_events stream_events = {.on_data = on_data, .on_closed = on_closed};

static void on_stream(void *owner, tern_conn *c, tern_stream *s)
{
    rig *r = owner;
    (void)c;
    assert_true(r->in_count < 8);
    r->in[r->in_count++] = s;
    tern_stream_take(s, &stream_events, r);
}

static void on_conn_closed(void *owner, tern_conn *c, const tern_error *why)
{
    rig *r = owner;
    assert_ptr_equal(c, r->conn);
    r->conn = NULL;
    r->why = *why;
}

static const tern_conn_events conn_events = {.on_stream = on_stream, .on_closed = on_conn_closed};

/* --- the peer --- */

static size_t peer_on_data(void *owner, tern_stream *s, uint8_t *data, size_t n)
{
    rig *r = owner;
    (void)s;
    if (r->deaf) {
        return 0;
    }
    assert_int_equal(tern_buf_append(&r->heard, data, n), 0);
    return n;
}

static void peer_on_end(void *owner, tern_stream *s)
{
    (void)s;
    ((rig *)owner)->peer_ended = true;
}

static void peer_on_closed(void *owner, tern_stream *s, const tern_error *why)
{
    (void)s;
    (void)why;
    ((rig *)owner)->peer = NULL;
}

static const tern_stream_events peer_events = {
    .on_data = peer_on_data, .on_end = peer_on_end, .on_closed = peer_on_closed};

static void rings(tern_timer *timer)
{
    (void)timer;
}

static void rig_begin(rig *r, bool client)
{
    tern_stream *lower;
    const tern_conn_facts facts = {.muxer = "mplex"};
    memset(r, 0, sizeof *r);
    r->take = SIZE_MAX;
    assert_int_equal(tern_sim_new(1, &r->sim), 0);
    assert_int_equal(tern_sim_host(r->sim, "10.0.0.1", &r->loop), 0);
    assert_int_equal(tern_memory_pair(r->loop, NULL, &lower, &r->peer), 0);
    tern_timer_start(r->loop, &r->clock, 1000000 * TERN_SEC, rings);
    tern_net_init(&r->net);
    r->net.loop = r->loop;
    tern_stream_take(r->peer, &peer_events, r);
    r->conn = tern_mplex.make(&r->net, lower, client, &facts);
    assert_non_null(r->conn);
    tern_conn_take(r->conn, &conn_events, r);
    tern_mplex.attach(r->conn);
}

static void run(rig *r, uint64_t time)
{
    tern_sim_run(r->sim, tern_sim_now(r->sim) + time, NULL, NULL);
}

static void rig_end(rig *r)
{
    if (r->conn != NULL) {
        tern_conn_close(r->conn, 0, NULL);
    }
    if (r->peer != NULL) {
        tern_stream_drop(r->peer);
    }
    run(r, 10 * TERN_SEC);
    assert_null(r->conn);
    tern_buf_free(&r->heard);
    tern_timer_stop(&r->clock);
    tern_sim_free(r->sim);
    assert_int_equal(tern_mem_alive(), 0);
}

static void say(rig *r, const char *hex)
{
    uint8_t data[1024];
    size_t n = tern_test_unhex(data, sizeof data, hex);
    assert_int_equal(tern_stream_write(r->peer, data, n), n);
    run(r, TERN_MS);
}

/* A message of n zeros. */
static void say_message(rig *r, uint64_t number, size_t n)
{
    static const uint8_t zeros[65536];
    uint8_t header[2 * TERN_VARINT_MAX];
    size_t len = tern_varint_put(header, number << 3 | 2);
    len += tern_varint_put(header + len, n);
    assert_int_equal(tern_stream_write(r->peer, header, len), len);
    while (n > 0) {
        size_t part = n < sizeof zeros ? n : sizeof zeros;
        assert_int_equal(tern_stream_write(r->peer, zeros, part), part);
        n -= part;
        run(r, TERN_MS / 100);
    }
}

/* What the peer read since the last time, as hex. */
static const char *heard(rig *r)
{
    static char hex[4096];
    run(r, TERN_MS);
    assert_true(tern_buf_len(&r->heard) < sizeof hex / 2);
    tern_hex(hex, tern_buf_data(&r->heard), tern_buf_len(&r->heard));
    hex[2 * tern_buf_len(&r->heard)] = 0;
    tern_buf_free(&r->heard);
    return hex;
}

#define assert_heard(r, hex) assert_string_equal(heard(r), hex)

static tern_stream *opened(rig *r)
{
    tern_error error;
    tern_stream *s = tern_conn_open(r->conn, &error);
    assert_non_null(s);
    tern_stream_take(s, &stream_events, r);
    return s;
}

/* --- the wire --- */

static void the_open_travels_with_the_first_message(void **state)
{
    (void)state;
    rig r;
    rig_begin(&r, true);
    tern_stream *s = opened(&r);
    tern_stream_write(s, "hi", 2);
    tern_stream_end(s);
    assert_heard(&r, "000130"
                     "02026869"
                     "0400");
    opened(&r); /* says nothing, and is announced when the turn ends */
    assert_heard(&r, "080131");
    s = opened(&r);
    tern_stream_write(opened(&r), "z", 1);
    assert_heard(&r, "180133"
                     "1a017a"
                     "100132");
    tern_stream_reset(s, 9);
    assert_heard(&r, "1600");
    tern_stream_reset(opened(&r), 9); /* nobody has heard of it */
    assert_heard(&r, "");
    rig_end(&r);
}

static void the_acceptor_sends_odd_flags(void **state)
{
    (void)state;
    rig r;
    rig_begin(&r, false);
    say(&r, "000130"
            "02026869");
    assert_heard(&r, "");
    assert_int_equal(r.got, 2);
    tern_stream_write(r.in[0], "ab", 2);
    assert_heard(&r, "01026162");
    tern_stream *ours = opened(&r); /* the same number, another stream */
    assert_int_equal(tern_stream_id(r.in[0]), 1);
    assert_int_equal(tern_stream_id(ours), 0);
    tern_stream_write(ours, "c", 1);
    tern_stream_end(r.in[0]);
    assert_heard(&r, "000130"
                     "020163"
                     "0300");
    say(&r, "010141"
            "0400");
    assert_int_equal(r.got, 3);
    assert_int_equal(r.closed_count, 1);
    assert_int_equal(r.closed[0].code, 0);
    say(&r, "0500");
    assert_int_equal(r.closed_count, 2);
    assert_int_equal(r.closed[1].code, TERN_E_RESET);
    assert_int_equal(r.closed[1].wire, 0);
    rig_end(&r);
}

static void nothing_is_sent_on_an_idle_session(void **state)
{
    (void)state;
    rig r;
    rig_begin(&r, true);
    run(&r, 3600 * TERN_SEC);
    assert_heard(&r, "");
    assert_true(sizeof(mplex_conn) < 900);
    assert_true(sizeof(mplex_stream) < 320);
    rig_end(&r);
}

/* Frames are at most one Noise message with their header. */
static void frames_are_bounded(void **state)
{
    (void)state;
    rig r;
    rig_begin(&r, true);
    tern_stream *s = opened(&r);
    uint8_t *big = tern_calloc(1, 200000);
    assert_int_equal(tern_stream_write(s, big, 200000), 200000);
    tern_free(big);
    run(&r, TERN_MS);
    size_t total = 0;
    tern_buf_consume(&r.heard, 3);
    while (tern_buf_len(&r.heard) > 0) {
        uint64_t n = 0;
        const uint8_t *p = tern_buf_data(&r.heard);
        assert_int_equal(p[0], 2);
        ssize_t len = tern_varint_get(p + 1, tern_buf_len(&r.heard) - 1, &n);
        assert_true(len > 0 && n <= TERN_MPLEX_BODY_MAX);
        tern_buf_consume(&r.heard, 1 + (size_t)len + (size_t)n);
        total += n;
    }
    assert_int_equal(total, 200000);
    rig_end(&r);
}

/* --- what is not read --- */

static void an_unread_stream_is_cut_off(void **state)
{
    (void)state;
    rig r;
    rig_begin(&r, false);
    say(&r, "000130080131");
    r.take = 0;
    say_message(&r, 0, 1 << 20);
    assert_int_equal(r.closed_count, 0);
    say(&r, "020141");
    assert_int_equal(r.closed_count, 1);
    assert_int_equal(r.closed[0].code, TERN_E_LIMIT);
    assert_int_equal(r.net.counters.mplex_overflow, 1);
    assert_heard(&r, "0500");
    say_message(&r, 0, 100000); /* on its way before the peer knew */
    r.take = SIZE_MAX;
    say(&r, "0a0141");
    assert_int_equal(r.got, 1);
    assert_int_equal(r.closed_count, 1);
    rig_end(&r);
}

static void taking_makes_place(void **state)
{
    (void)state;
    rig r;
    rig_begin(&r, false);
    say(&r, "000130");
    r.take = 0;
    for (int i = 0; i < 5; i++) {
        say_message(&r, 0, 1 << 20);
        r.take = SIZE_MAX;
        tern_stream_resume(r.in[0]);
        run(&r, TERN_MS);
        r.take = 0;
        if (r.got < (size_t)(i + 1) << 20) { /* the last bytes came after the resume */
            fail_msg("kept %zu", r.got);
        }
        tern_stream_resume(r.in[0]);
    }
    assert_int_equal(r.closed_count, 0);
    assert_int_equal(((mplex_conn *)r.conn)->core.unread, 0);
    rig_end(&r);
}

static void all_streams_together_are_bounded(void **state)
{
    (void)state;
    rig r;
    rig_begin(&r, false);
    r.net.limits.conn_window_max = 300000;
    say(&r, "000130080131");
    r.take = 0;
    say_message(&r, 0, 290000);
    say_message(&r, 1, 20000);
    assert_int_equal(r.closed_count, 1);
    assert_int_equal(r.closed[0].code, TERN_E_LIMIT);
    assert_heard(&r, "0d00");
    run(&r, TERN_MS);
    assert_int_equal(((mplex_conn *)r.conn)->core.unread, 290000);
    rig_end(&r);
}

/* --- streams that nobody reads any more --- */

static void a_dropped_stream_lingers_for_a_time(void **state)
{
    (void)state;
    rig r;
    rig_begin(&r, false);
    say(&r, "000130");
    tern_stream_drop(r.in[0]);
    assert_heard(&r, "0300");
    run(&r, 9 * TERN_SEC);
    say(&r, "02026869"); /* dropped */
    assert_heard(&r, "");
    run(&r, TERN_SEC);
    assert_heard(&r, "0500");
    assert_int_equal(r.conn->stream_count, 0);
    rig_end(&r);
}

static void a_dropped_stream_drops_so_many_bytes(void **state)
{
    (void)state;
    rig r;
    rig_begin(&r, false);
    say(&r, "000130");
    tern_stream_drop(r.in[0]);
    assert_heard(&r, "0300");
    say_message(&r, 0, 1 << 20);
    assert_heard(&r, "");
    say_message(&r, 0, 1);
    assert_heard(&r, "0500");
    assert_int_equal(r.conn->stream_count, 0);
    rig_end(&r);
}

/* --- ends --- */

static void a_broken_rule_ends_the_session(void **state)
{
    (void)state;
    rig r;
    rig_begin(&r, false);
    say(&r, "000130");
    say(&r, "000130080131");
    assert_heard(&r, "");
    assert_null(r.conn);
    assert_int_equal(r.in_count, 1);
    assert_int_equal(r.why.code, TERN_E_PROTOCOL);
    assert_string_equal(r.why.layer, "mplex");
    assert_int_equal(r.closed_count, 1);
    assert_int_equal(r.closed[0].code, TERN_E_CONN_CLOSED);
    assert_string_equal(r.closed[0].text, r.why.text);
    assert_int_equal(r.net.counters.mplex_bad_stream, 1);
    assert_true(r.peer_ended);
    rig_end(&r);
}

static void the_peer_ends(void **state)
{
    (void)state;
    static const struct {
        const char *last;
        int code;
    } all[] = {{"0400", 0}, {"02", TERN_E_EOF}, {"0202", TERN_E_EOF}, {"020541", TERN_E_EOF}};
    for (size_t i = 0; i < sizeof all / sizeof *all; i++) {
        rig r;
        rig_begin(&r, false);
        say(&r, "000130");
        say(&r, all[i].last);
        tern_stream_end(r.peer);
        run(&r, TERN_MS);
        assert_null(r.conn);
        assert_int_equal(r.why.code, all[i].code);
        assert_int_equal(r.closed[0].code, TERN_E_CONN_CLOSED);
        assert_true(r.peer_ended);
        rig_end(&r);
    }
}

static void a_close_waits_so_long_for_a_deaf_peer(void **state)
{
    (void)state;
    rig r;
    rig_begin(&r, true);
    r.deaf = true;
    tern_stream *s = opened(&r);
    tern_stream_write(s, "hi", 2);
    tern_conn_close(r.conn, 0, "enough");
    run(&r, TERN_MS);
    assert_int_equal(r.closed_count, 1);
    assert_string_equal(r.closed[0].text, "closed on this side: enough");
    run(&r, 2 * TERN_SEC);
    assert_non_null(r.conn);
    run(&r, TERN_SEC);
    assert_null(r.conn);
    assert_int_equal(r.why.code, 0);
    rig_end(&r);
}

static void a_close_flushes(void **state)
{
    (void)state;
    rig r;
    rig_begin(&r, true);
    tern_stream *s = opened(&r), *t = opened(&r);
    tern_stream_write(s, "hi", 2);
    tern_stream_end(s);
    tern_stream_write(t, "ho", 2);
    tern_stream_reset(t, 5);
    tern_conn_close(r.conn, 0, NULL);
    assert_heard(&r, "000130"
                     "02026869"
                     "0400"
                     "080131"
                     "0a02686f"
                     "0e00");
    assert_true(r.peer_ended);
    tern_stream_end(r.peer);
    run(&r, TERN_MS);
    assert_null(r.conn);
    assert_int_equal(r.why.code, 0);
    rig_end(&r);
}

/* A peer that makes us answer and does not read the answers. */
static void the_answers_that_wait_are_bounded(void **state)
{
    (void)state;
    rig r;
    static const uint8_t block[65536];
    rig_begin(&r, false);
    r.net.limits.streams_per_conn = 5000; /* a refusal costs little */
    r.net.limits.conn_window_max = 0;
    r.deaf = true;
    tern_stream *s = opened(&r);
    while (tern_stream_room(s) > 0) {
        tern_stream_write(s, block, sizeof block);
        run(&r, TERN_MS);
    }
    uint8_t opens[3 * 9];
    for (size_t i = 0; i < sizeof opens; i += 3) {
        memcpy(opens + i, "\x00\x01\x30", 3);
    }
    for (int i = 0; i < 10000 && r.conn != NULL; i++) {
        tern_stream_write(r.peer, opens, sizeof opens);
        run(&r, TERN_MS);
        assert_true(r.conn == NULL ||
                    tern_buf_len(&((mplex_conn *)r.conn)->core.out) < 2 * TERN_MPLEX_OUT_MAX);
    }
    assert_null(r.conn);
    assert_string_equal(r.why.text, "the peer makes us answer and does not read");
    assert_int_equal(r.why.code, TERN_E_LIMIT);
    assert_int_equal(r.net.counters.mplex_flood, 1);
    rig_end(&r);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_open_travels_with_the_first_message),
        cmocka_unit_test(the_acceptor_sends_odd_flags),
        cmocka_unit_test(nothing_is_sent_on_an_idle_session),
        cmocka_unit_test(frames_are_bounded),
        cmocka_unit_test(an_unread_stream_is_cut_off),
        cmocka_unit_test(taking_makes_place),
        cmocka_unit_test(all_streams_together_are_bounded),
        cmocka_unit_test(a_dropped_stream_lingers_for_a_time),
        cmocka_unit_test(a_dropped_stream_drops_so_many_bytes),
        cmocka_unit_test(a_broken_rule_ends_the_session),
        cmocka_unit_test(the_peer_ends),
        cmocka_unit_test(a_close_waits_so_long_for_a_deaf_peer),
        cmocka_unit_test(a_close_flushes),
        cmocka_unit_test(the_answers_that_wait_are_bounded),
    };
    return TERN_TEST_MAIN(tests);
}
