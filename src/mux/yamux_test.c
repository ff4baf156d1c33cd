/* yamux the driver, against a peer that is a script of bytes: what exactly goes over the wire and
 * when, how sessions end, time. What holds for every muxer is in tests/suite/muxers.c. */
#include "mux/yamux.h"

#include "base/test.h"
#include "loop/sim.h"
#include "mux/yamux_conn.h"
#include "streams/memory.h"

typedef struct rig {
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

static void rig_begin(rig *r, bool client)
{
    tern_stream *lower;
    const tern_conn_facts facts = {.muxer = "yamux"};
    memset(r, 0, sizeof *r);
    r->take = SIZE_MAX;
    assert_int_equal(tern_sim_new(1, &r->sim), 0);
    assert_int_equal(tern_sim_host(r->sim, "10.0.0.1", &r->loop), 0);
    assert_int_equal(tern_memory_pair(r->loop, NULL, &lower, &r->peer), 0);
    tern_net_init(&r->net);
    r->net.loop = r->loop;
    tern_stream_take(r->peer, &peer_events, r);
    r->conn = tern_yamux.make(&r->net, lower, client, &facts);
    assert_non_null(r->conn);
    tern_conn_take(r->conn, &conn_events, r);
    tern_yamux.attach(r->conn);
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

static void say_frame(rig *r, unsigned type, unsigned flags, uint32_t id, uint32_t length)
{
    uint8_t h[TERN_YAMUX_HEADER];
    tern_yamux_header(h, type, flags, id, length);
    assert_int_equal(tern_stream_write(r->peer, h, sizeof h), sizeof h);
}

static void say_zeros(rig *r, size_t n)
{
    static const uint8_t zeros[65536];
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

static void the_open_rides_on_the_first_data(void **state)
{
    (void)state;
    rig r;
    rig_begin(&r, true);
    tern_stream *s = opened(&r);
    tern_stream_write(s, "hello", 5);
    assert_heard(&r, "000000010000000100000005"
                     "68656c6c6f");
    tern_stream_write(s, "x", 1);
    tern_stream_end(s);
    assert_heard(&r, "000000000000000100000001"
                     "78"
                     "000100040000000100000000");
    opened(&r); /* says nothing, and is announced when the turn ends */
    assert_heard(&r, "000100010000000300000000");
    s = opened(&r);
    opened(&r);
    tern_stream *last = opened(&r);
    tern_stream_write(last, "z", 1); /* those before it go first */
    assert_heard(&r, "000100010000000500000000"
                     "000100010000000700000000"
                     "000000010000000900000001"
                     "7a");
    tern_stream_reset(s, 9);
    assert_heard(&r, "000100080000000500000009");
    rig_end(&r);
}

static void an_open_is_answered_at_once(void **state)
{
    (void)state;
    rig r;
    rig_begin(&r, false);
    say(&r, "000000010000000100000002"
            "6869");
    assert_heard(&r, "000100020000000100000000");
    assert_int_equal(r.got, 2);
    tern_stream_write(r.in[0], "ab", 2);
    assert_heard(&r, "000000000000000100000002"
                     "6162");
    say(&r, "000200010000000000000007");
    assert_heard(&r, "000200020000000000000007");
    rig_end(&r);
}

static void nothing_is_sent_on_an_idle_session(void **state)
{
    (void)state;
    rig r;
    rig_begin(&r, true);
    run(&r, 29 * TERN_SEC);
    assert_heard(&r, "");
    assert_true(sizeof(yamux_conn) < 900);
    assert_true(sizeof(yamux_stream) < 320);
    rig_end(&r);
}

static void a_write_waits_for_credit(void **state)
{
    (void)state;
    rig r;
    rig_begin(&r, true);
    tern_stream *s = opened(&r);
    uint8_t *big = tern_calloc(1, 300000);
    assert_int_equal(tern_stream_write(s, big, 300000), TERN_YAMUX_WINDOW);
    run(&r, TERN_MS); /* the lower stream has room again */
    assert_int_equal(tern_stream_write(s, big, 1), 0);
    assert_int_equal(tern_stream_room(s), 0);
    say(&r, "000100000000000100000003");
    assert_int_equal(tern_stream_room(s), 3);
    assert_int_equal(tern_stream_write(s, big, 300000), 3);
    tern_free(big);
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
    while (tern_buf_len(&r.heard) > 0) {
        uint32_t n = tern_get32(tern_buf_data(&r.heard) + 8);
        assert_true(n <= TERN_YAMUX_BODY_MAX);
        tern_buf_consume(&r.heard, TERN_YAMUX_HEADER + (size_t)n);
        total += n;
    }
    assert_int_equal(total, 200000);
    rig_end(&r);
}

/* --- ends --- */

static void a_broken_rule_ends_the_session(void **state)
{
    (void)state;
    rig r;
    rig_begin(&r, false);
    say(&r, "000100010000000100000000");
    say(&r, "000900000000000100000000"
            "000200010000000000000001");
    assert_heard(&r, "000100020000000100000000"
                     "000300000000000000000001");
    assert_null(r.conn);
    assert_int_equal(r.why.code, TERN_E_PROTOCOL);
    assert_string_equal(r.why.layer, "yamux");
    assert_int_equal(r.closed_count, 1);
    assert_int_equal(r.closed[0].code, TERN_E_CONN_CLOSED);
    assert_string_equal(r.closed[0].text, r.why.text);
    assert_int_equal(r.net.counters.yamux_bad_type, 1);
    assert_true(r.peer_ended);
    rig_end(&r);
}

static void the_peers_goaway_with_an_error(void **state)
{
    (void)state;
    rig r;
    rig_begin(&r, true);
    opened(&r);
    say(&r, "000300000000000000000002");
    assert_null(r.conn);
    assert_int_equal(r.why.code, TERN_E_CONN_CLOSED);
    assert_int_equal(r.why.wire, 2);
    assert_int_equal(r.closed[0].wire, 2);
    assert_int_equal(r.net.counters.yamux_goaway_in, 1);
    rig_end(&r);
}

/* After the peer's GoAway 0 what lives may end; then we close too. */
static void the_peers_goaway_lets_streams_end(void **state)
{
    (void)state;
    rig r;
    tern_error error;
    rig_begin(&r, true);
    tern_stream *s = opened(&r);
    say(&r, "000300000000000000000000");
    assert_non_null(r.conn);
    assert_null(tern_conn_open(r.conn, &error));
    assert_int_equal(error.code, TERN_E_CONN_CLOSED);
    r.take = 0;
    say(&r, "000000060000000100000001"
            "61"); /* ACK, FIN and a byte that is not taken yet */
    tern_stream_end(s);
    heard(&r);
    assert_non_null(r.conn);
    r.take = SIZE_MAX;
    tern_stream_resume(s);
    assert_heard(&r, "000300000000000000000000");
    assert_int_equal(r.got, 1);
    assert_int_equal(r.closed[0].code, 0);
    assert_true(r.peer_ended);
    tern_stream_end(r.peer);
    run(&r, TERN_MS);
    assert_null(r.conn);
    assert_int_equal(r.why.code, 0);
    rig_end(&r);
}

static void an_end_inside_a_frame(void **state)
{
    (void)state;
    rig r;
    rig_begin(&r, true);
    say(&r, "00030000");
    tern_stream_end(r.peer);
    run(&r, TERN_MS);
    assert_int_equal(r.why.code, TERN_E_EOF);
    rig_end(&r);
    rig_begin(&r, true);
    tern_stream_end(r.peer); /* between frames it is a close (go) */
    run(&r, TERN_MS);
    assert_null(r.conn);
    assert_int_equal(r.why.code, 0);
    rig_end(&r);
}

static void a_close_does_not_wait_for_ever(void **state)
{
    (void)state;
    rig r;
    rig_begin(&r, true);
    tern_conn_close(r.conn, 0, "done");
    assert_heard(&r, "000300000000000000000000");
    assert_true(r.peer_ended);
    assert_non_null(r.conn); /* the peer does not end its half */
    run(&r, 3 * TERN_SEC);
    assert_null(r.conn);
    assert_int_equal(r.why.code, 0);
    assert_null(r.peer); /* reset */
    rig_end(&r);
    rig_begin(&r, true);
    tern_conn_close(r.conn, 0x1006, "shutdown");
    assert_heard(&r, "000300000000000000001006");
    assert_null(r.conn);
    rig_end(&r);
}

/* --- time --- */

static void a_dead_peer_is_noticed(void **state)
{
    (void)state;
    rig r;
    rig_begin(&r, true);
    opened(&r);
    heard(&r);
    run(&r, 30 * TERN_SEC);
    assert_heard(&r, "000200010000000000000001");
    run(&r, 29 * TERN_SEC);
    assert_non_null(r.conn);
    run(&r, TERN_SEC);
    assert_null(r.conn);
    assert_int_equal(r.why.code, TERN_E_TIMEOUT);
    assert_int_equal(r.closed[0].code, TERN_E_CONN_CLOSED);
    rig_end(&r);
}

static void an_answered_ping_is_the_round_trip(void **state)
{
    (void)state;
    rig r;
    rig_begin(&r, true);
    for (uint32_t i = 1; i <= 5; i++) {
        run(&r, 30 * TERN_SEC);
        say_frame(&r, TERN_YAMUX_PING, TERN_YAMUX_ACK, 0, i);
        run(&r, 10 * TERN_MS);
    }
    assert_non_null(r.conn);
    const tern_conn_facts *facts = tern_conn_get_facts(r.conn);
    assert_true(facts->rtt > 0 && facts->rtt < TERN_SEC);
    rig_end(&r);
}

static void a_dropped_stream_is_reset_in_the_end(void **state)
{
    (void)state;
    rig r;
    rig_begin(&r, false);
    say(&r, "000100010000000100000000");
    say(&r, "000100010000000300000000");
    heard(&r);
    tern_stream_drop(r.in[0]);
    assert_heard(&r, "000100040000000100000000");
    run(&r, 5 * TERN_SEC);
    tern_stream_drop(r.in[1]);
    assert_heard(&r, "000100040000000300000000");
    run(&r, 5 * TERN_SEC);
    assert_heard(&r, "000100080000000100000000");
    assert_int_equal(r.conn->stream_count, 1);
    say(&r, "000100040000000300000000"); /* the other one is ended by the peer */
    assert_int_equal(r.conn->stream_count, 0);
    run(&r, 10 * TERN_SEC);
    assert_heard(&r, "");
    rig_end(&r);
}

/* --- limits --- */

static void refused_streams_and_then_the_session(void **state)
{
    (void)state;
    rig r;
    rig_begin(&r, false);
    r.net.limits.streams_per_conn = 1;
    say(&r, "000100010000000100000000");
    say(&r, "000000010000000300000001"
            "61");
    assert_heard(&r, "000100020000000100000000"
                     "000100080000000300001001");
    assert_int_equal(r.net.counters.streams_limit, 1);
    for (uint32_t id = 5; id < 400 && r.conn != NULL; id += 2) {
        say_frame(&r, TERN_YAMUX_UPDATE, TERN_YAMUX_SYN, id, 0);
    }
    run(&r, TERN_MS);
    assert_null(r.conn);
    assert_int_equal(r.why.code, TERN_E_LIMIT);
    assert_int_equal(r.net.counters.yamux_flood, 1);
    rig_end(&r);
}

/* A peer that asks and does not read costs no more than the bounds (rust-yamux CVE-2024-32984). */
static void a_peer_that_does_not_read(void **state)
{
    (void)state;
    rig r;
    rig_begin(&r, false);
    r.deaf = true;
    for (uint32_t i = 0; i < 2000 && r.conn != NULL; i++) {
        say_frame(&r, TERN_YAMUX_PING, TERN_YAMUX_SYN, 0, i);
        run(&r, 20 * TERN_MS);
    }
    assert_non_null(r.conn);
    yamux_conn *conn = (yamux_conn *)r.conn;
    assert_true(tern_buf_len(&conn->core.out) <= TERN_YAMUX_PONGS_MAX * TERN_YAMUX_HEADER);
    rig_end(&r);
}

static void unread_bytes_are_bounded(void **state)
{
    (void)state;
    rig r;
    rig_begin(&r, false);
    r.net.limits.conn_window_max = 300000;
    r.take = 0;
    say_frame(&r, TERN_YAMUX_DATA, TERN_YAMUX_SYN, 1, 200000);
    say_zeros(&r, 200000);
    say_frame(&r, TERN_YAMUX_DATA, TERN_YAMUX_SYN, 3, 50000);
    say_zeros(&r, 50000);
    say_frame(&r, TERN_YAMUX_DATA, 0, 3, 60000);
    say_zeros(&r, 60000);
    run(&r, TERN_MS);
    assert_int_equal(r.closed_count, 1);
    assert_int_equal(r.closed[0].code, TERN_E_LIMIT);
    assert_non_null(r.conn);
    assert_int_equal(r.net.counters.streams_limit, 1);
    r.take = SIZE_MAX;
    tern_stream_resume(r.in[0]);
    run(&r, TERN_MS);
    assert_int_equal(r.got, 200000);
    rig_end(&r);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_open_rides_on_the_first_data),
        cmocka_unit_test(an_open_is_answered_at_once),
        cmocka_unit_test(nothing_is_sent_on_an_idle_session),
        cmocka_unit_test(a_write_waits_for_credit),
        cmocka_unit_test(frames_are_bounded),
        cmocka_unit_test(a_broken_rule_ends_the_session),
        cmocka_unit_test(the_peers_goaway_with_an_error),
        cmocka_unit_test(the_peers_goaway_lets_streams_end),
        cmocka_unit_test(an_end_inside_a_frame),
        cmocka_unit_test(a_close_does_not_wait_for_ever),
        cmocka_unit_test(a_dead_peer_is_noticed),
        cmocka_unit_test(an_answered_ping_is_the_round_trip),
        cmocka_unit_test(a_dropped_stream_is_reset_in_the_end),
        cmocka_unit_test(refused_streams_and_then_the_session),
        cmocka_unit_test(a_peer_that_does_not_read),
        cmocka_unit_test(unread_bytes_are_bounded),
    };
    return TERN_TEST_MAIN(tests);
}
