/* WebRTC Direct against a peer that has finished its handshakes and then breaks the rules: dropped
 * or closed, counted, in bounded memory, and the node serves the next one. The peer is a node of
 * ours whose connection the test writes to. */
#include "sim/webrtc_pair.h"

#include "base/crc32c.h"
#include "base/mem.h"
#include "suite/ear.h"

enum { HEAD = 12, MEMORY = 512 * 1024 };

static tern_sctp_stream streams[65536]; /* of raw(): by id */

static webrtc_conn *begin(webrtc_pair *p)
{
    memset(streams, 0, sizeof streams);
    webrtc_pair_init(p, NULL);
    return webrtc_pair_connect(p);
}

/* A message of the test's own on the conn of a; 0, or what the association says. */
static int raw(webrtc_conn *c, uint16_t sid, uint32_t ppid, const void *bytes, size_t n)
{
    const tern_span v = {bytes, n};
    tern_sctp_stream *st = &streams[sid];
    if (st->queue.next == NULL) {
        tern_sctp_stream_init(st, sid);
    }
    int code = tern_sctp_send(&c->sctp, st, ppid, &v, 1, 0);
    webrtc_want_turn(c);
    return code;
}

static void raw_open(webrtc_conn *c, uint16_t sid)
{
    raw(c, sid, TERN_PPID_DCEP, tern_dcep_open, TERN_DCEP_OPEN_N);
}

/* A packet with these chunks, sealed with a's keys. */
static void packet(webrtc_conn *c, const void *chunks, size_t n, uint32_t tag)
{
    uint8_t record[TERN_DTLS_OVERHEAD + HEAD + 1400];
    uint8_t *out = record + TERN_DTLS_BEFORE;
    assert_true(n <= 1400);
    tern_put16(out, 5000);
    tern_put16(out + 2, 5000);
    tern_put32(out + 4, tag);
    memset(out + 8, 0, 4);
    memcpy(out + HEAD, chunks, n);
    uint32_t crc = tern_crc32c(out, HEAD + n);
    for (unsigned i = 0; i < 4; i++) {
        out[8 + i] = (uint8_t)(crc >> 8 * i);
    }
    ssize_t len = tern_dtls_engine_seal(c->dtls, record, HEAD + n);
    assert_true(len > 0);
    webrtc_endpoint_send(c->endpoint, &c->remote, record, (size_t)len);
}

/* ---- data channels ---- */

static void test_opens_by_the_thousand(void **state)
{
    webrtc_pair p;
    (void)state;
    webrtc_conn *c = begin(&p);
    size_t before = tern_mem_bytes();
    for (unsigned sid = 1000; sid < 12000 && p.a->disconnected == 0; sid += 2) {
        raw_open(c, (uint16_t)sid);
        if (sid % 200 == 0) {
            sim_nodes_run(&p.w, 30 * TERN_MS);
            assert_true(tern_mem_bytes() < before + 4 * MEMORY);
        }
    }
    sim_nodes_run(&p.w, TERN_SEC);
    const tern_counters *count = sim_counters(p.b);
    assert_true(count->streams_limit + count->streams_queued > 1000);
    assert_int_equal(count->channel_flood, 1);
    assert_int_equal(p.b->disconnected, 1);
    webrtc_pair_end(&p);
}

static void test_bad_opens(void **state)
{
    static const uint8_t lossy[TERN_DCEP_OPEN_N] = {3, 1}, cut[5] = {3}, strange[] = {9, 9};
    webrtc_pair p;
    (void)state;
    webrtc_conn *c = begin(&p);
    raw(c, 500, TERN_PPID_DCEP, lossy, sizeof lossy);
    raw(c, 502, TERN_PPID_DCEP, cut, sizeof cut);
    raw(c, 504, TERN_PPID_DCEP, strange, sizeof strange);
    raw_open(c, 501); /* the server's half of the ids */
    raw_open(c, 506);
    raw_open(c, 506); /* twice */
    raw(c, 600, TERN_PPID_BINARY, strange, sizeof strange);
    sim_nodes_run(&p.w, TERN_SEC);
    const tern_counters *count = sim_counters(p.b);
    assert_int_equal(count->channel_bad_open, 5);
    assert_int_equal(count->channel_unknown, 1);
    assert_int_equal(p.b->disconnected, 0);
    webrtc_pair_end(&p);
}

static void test_bad_frames(void **state)
{
    static const struct {
        const char *bytes;
        size_t n;
    } frames[] = {
        {"\xff\xff\xff\xff\x0f", 5},         /* far beyond 257 KiB */
        {"\x81\x88\x10\x12\xff\x87\x10", 7}, /* one byte beyond */
        {"\x04\x12\x20hi", 5},               /* a message longer than its frame */
        {"\x02\x0b\x00", 3},                 /* a wire type that is none */
        {"\x80\x80\x80\x80\x80\x80", 6},     /* a length without end */
        {"\x03\x08\x80\x80\x80", 5},         /* a flag that its frame cuts */
        {"\x01\x00", 2},                     /* field 0 */
    };
    webrtc_pair p;
    (void)state;
    webrtc_conn *c = begin(&p);
    for (unsigned i = 0; i < sizeof frames / sizeof *frames; i++) {
        raw_open(c, (uint16_t)(500 + 2 * i));
        raw(c, (uint16_t)(500 + 2 * i), TERN_PPID_BINARY, frames[i].bytes, frames[i].n);
        sim_nodes_run(&p.w, TERN_SEC);
        if (sim_counters(p.b)->channel_malformed != i + 1) {
            fail_msg("frame %u passed", i);
        }
    }
    assert_int_equal(p.b->disconnected, 0);
    webrtc_pair_end(&p);
}

/* Frames beyond the 16 KiB of the specification, as go's reader takes them, pass in pieces: nothing
 * is collected. */
static void test_long_frames(void **state)
{
    enum { N = 200 * 1024 };
    webrtc_pair p;
    (void)state;
    webrtc_conn *c = begin(&p);
    uint8_t *bytes = test_calloc(1, N + 8);
    memcpy(bytes, "\x84\xc0\x0c\x12\x80\xc0\x0c", 7); /* a frame with a message of 200 KiB */
    size_t before = tern_mem_bytes();
    raw_open(c, 500);
    for (unsigned at = 0; at < N + 7; at += 1000) {
        raw(c, 500, TERN_PPID_BINARY, bytes + at, N + 7 - at < 1000 ? N + 7 - at : 1000);
    }
    sim_nodes_run(&p.w, TERN_SEC);
    assert_int_equal(sim_counters(p.b)->channel_malformed, 0);
    assert_true(tern_mem_bytes() < before + MEMORY);
    assert_int_equal(p.b->disconnected, 0);
    test_free(bytes);
    webrtc_pair_end(&p);
}

/* Streams opened and reset at once: nothing is kept of a channel that both sides have reset. */
static void test_opens_and_resets(void **state)
{
    static const uint8_t reset[] = {2, 8, TERN_FLAG_RESET};
    webrtc_pair p;
    (void)state;
    webrtc_conn *c = begin(&p);
    size_t before = tern_mem_bytes();
    for (unsigned i = 0; i < 10000; i += 100) {
        for (unsigned k = i; k < i + 100; k++) {
            raw_open(c, (uint16_t)(1000 + 2 * k));
            raw(c, (uint16_t)(1000 + 2 * k), TERN_PPID_BINARY, reset, sizeof reset);
        }
        sim_nodes_run(&p.w, 50 * TERN_MS);
        for (unsigned k = i; k < i + 100; k++) {
            assert_int_equal(tern_sctp_reset(&c->sctp, (uint16_t)(1000 + 2 * k)), 0);
        }
        webrtc_want_turn(c);
        assert_true(tern_mem_bytes() < before + 4 * MEMORY);
    }
    sim_nodes_run(&p.w, 20 * TERN_SEC);
    assert_int_equal(p.b->disconnected, 0);
    assert_true(sim_counters(p.b)->streams_in >= 10000);
    assert_true(webrtc_pair_of(p.b->conn)->channels <= 2);
    webrtc_pair_end(&p);
}

static void keep(void *ctx, tern_node *node, tern_conn *conn, tern_stream *s)
{
    (void)node;
    (void)conn;
    ear_take(ctx, s);
}

static void keep_and_end(void *ctx, tern_node *node, tern_conn *conn, tern_stream *s)
{
    keep(ctx, node, conn, s);
    tern_stream_end(s);
}

/* A peer opens an id again that is free for it, while the owner of its last use has not read all.
 */
static void test_an_id_used_again(void **state)
{
    static const char hello[] = "\x1f\x12\x1d\x13/multistream/1.0.0\n\x08/kept/1\n";
    static const uint8_t data[] = {4, 0x12, 2, 'h', 'i', 2, 8, TERN_FLAG_FIN};
    static const uint8_t ack[] = {2, 8, TERN_FLAG_FIN_ACK};
    webrtc_pair p;
    ear theirs[2];
    (void)state;
    webrtc_conn *c = begin(&p);
    const tern_counters *count = sim_counters(p.b);
    uint64_t before = count->streams_in;
    for (unsigned i = 0; i < 2; i++) {
        ear_init(&theirs[i]);
        theirs[i].take = 0;
        tern_node_unhandle(p.b->node, "/kept/1");
        assert_int_equal(tern_node_handle(p.b->node, "/kept/1", NULL, keep_and_end, &theirs[i]), 0);
        tern_sctp_stream_init(&streams[500], 500);
        raw_open(c, 500);
        raw(c, 500, TERN_PPID_BINARY, hello, sizeof hello - 1);
        raw(c, 500, TERN_PPID_BINARY, data, sizeof data);
        sim_nodes_run(&p.w, TERN_SEC);
        assert_non_null(theirs[i].s);
        raw(c, 500, TERN_PPID_BINARY, ack, sizeof ack);
        sim_nodes_run(&p.w, TERN_SEC);
        assert_int_equal(tern_sctp_reset(&c->sctp, 500), 0);
        webrtc_want_turn(c);
        sim_nodes_run(&p.w, TERN_SEC);
    }
    assert_int_equal(count->channel_bad_open, 0);
    assert_int_equal(count->streams_in, before + 2);
    for (unsigned i = 0; i < 2; i++) {
        assert_int_equal(theirs[i].closed, 0);
        theirs[i].take = SIZE_MAX;
        EAR(&theirs[i], tern_stream_resume(theirs[i].s));
        sim_nodes_run(&p.w, TERN_SEC);
        assert_int_equal(tern_buf_len(&theirs[i].got), 2);
        assert_int_equal(theirs[i].closed, 1);
        assert_int_equal(theirs[i].why.code, 0);
        ear_clear(&theirs[i]);
    }
    assert_true(webrtc_pair_of(p.b->conn)->channels <= 2);
    webrtc_pair_end(&p);
}

/* An id is opened again before the reset of its last use has come (it was lost), and before the
 * peer can have ours: the new stream lives, and the late reset is not its own. */
static void test_an_id_used_too_early(void **state)
{
    static const char hello[] = "\x1f\x12\x1d\x13/multistream/1.0.0\n\x08/kept/1\n";
    static const uint8_t ends[] = {2, 8, TERN_FLAG_FIN, 2, 8, TERN_FLAG_FIN_ACK};
    webrtc_pair p;
    ear theirs[2];
    uint8_t late[24] = {SCTP_RECONFIG, 0, 0, 22, 0, 13, 0, 18};
    (void)state;
    webrtc_conn *c = begin(&p);
    const tern_counters *count = sim_counters(p.b);
    for (unsigned i = 0; i < 2; i++) {
        ear_init(&theirs[i]);
        tern_node_unhandle(p.b->node, "/kept/1");
        assert_int_equal(
            tern_node_handle(p.b->node, "/kept/1", NULL, i == 0 ? keep_and_end : keep, &theirs[i]),
            0);
        raw_open(c, 500);
        raw(c, 500, TERN_PPID_BINARY, hello, sizeof hello - 1);
        if (i == 0) {
            raw(c, 500, TERN_PPID_BINARY, ends, sizeof ends);
        }
        sim_nodes_run(&p.w, TERN_SEC);
        assert_int_equal(theirs[i].closed, i == 0);
        if (i == 0) {
            tern_put32(late + 16, c->sctp.next_tsn - 1);
        }
    }
    assert_int_equal(count->channel_bad_open, 0);
    tern_put32(late + 8, c->sctp.reset_seq++);
    tern_put32(late + 12, c->sctp.peer_seq - 1);
    tern_put16(late + 20, 500);
    packet(c, late, sizeof late, c->sctp.peer_tag);
    sim_nodes_run(&p.w, TERN_SEC);
    assert_int_equal(theirs[1].closed, 0);
    tern_put32(late + 8, c->sctp.reset_seq++);
    tern_put32(late + 16, c->sctp.next_tsn - 1);
    packet(c, late, sizeof late, c->sctp.peer_tag);
    sim_nodes_run(&p.w, TERN_SEC);
    assert_int_equal(theirs[1].closed, 1);
    ear_clear(&theirs[0]);
    ear_clear(&theirs[1]);
    webrtc_pair_end(&p);
}

static void fill(ear *e)
{
    static uint8_t bytes[65536];
    while (e->s != NULL && ear_write(e, bytes, sizeof bytes) == sizeof bytes) {
    }
}

/* A stream that nobody reads shuts the window of all: half a minute later it is reset. */
static void test_an_unread_stream(void **state)
{
    webrtc_pair p;
    ear mine, theirs;
    sim_ping ping;
    tern_error error;
    (void)state;
    webrtc_conn *c = begin(&p);
    ear_init(&mine);
    ear_init(&theirs);
    theirs.take = 0;
    assert_int_equal(tern_node_handle(p.b->node, "/kept/1", NULL, keep, &theirs), 0);
    assert_non_null(
        tern_node_open(p.a->node, p.conn, "/kept/1", sim_nodes_ear_opened, &mine, &error));
    for (unsigned i = 0; i < 100; i++) {
        sim_nodes_run(&p.w, 50 * TERN_MS);
        fill(&mine);
    }
    assert_true(webrtc_pair_of(p.b->conn)->sctp.unread + 2 * TERN_SCTP_PACKET > TERN_SCTP_WINDOW);
    sim_nodes_ping(p.a, p.conn, &ping); /* comes through once the other is gone, or not at all */
    sim_nodes_run(&p.w, 40 * TERN_SEC);
    assert_int_equal(sim_counters(p.b)->channel_unread, 1);
    assert_int_equal(theirs.closed, 1);
    assert_int_equal(theirs.why.code, TERN_E_LIMIT);
    assert_int_equal(mine.closed, 1);
    assert_int_equal(p.a->disconnected + p.b->disconnected, 0);
    sim_nodes_ping(p.a, p.conn, &ping);
    assert_int_equal(ping.error.code, 0);
    assert_int_equal(c->phase, WEBRTC_OPEN);
    ear_clear(&mine);
    ear_clear(&theirs);
    webrtc_pair_end(&p);
}

/* ---- SCTP ---- */

static void test_bad_chunks(void **state)
{
    static const struct {
        const char *bytes;
        size_t n;
    } bad[] = {
        {"\x00\x03\x00\x00", 4},                              /* no length */
        {"\x00\x03\xff\xff", 4},                              /* beyond the packet */
        {"\x00\x03\x00\x10\0\0\0\1\0\1\0\0\0\0\0\65", 16},    /* DATA without data */
        {"\x03\x00\x00\x0c\0\0\0\0\0\0\0\0", 12},             /* a SACK too short */
        {"\x03\x00\x00\x10\0\0\0\0\0\1\0\0\xff\xff\0\0", 16}, /* more gaps than it has */
        {"\x07\x00\x00\x04", 4},                              /* SHUTDOWN without a TSN */
        {"\x0a\x00\x00\x08oops", 8},                          /* a cookie of nobody's */
        {"\x7f\x00\x00\x04", 4},                              /* unknown, to be told */
        {"\xc0\x00\x00\x04", 4},                              /* FORWARD-TSN without a TSN */
        {"\x82\x00\x00\x0c\0\x0d\0\xff\0\0\0\1", 12},         /* RE-CONFIG beyond the chunk */
    };
    webrtc_pair p;
    (void)state;
    webrtc_conn *c = begin(&p);
    const tern_counters *count = sim_counters(p.b);
    for (unsigned i = 0; i < sizeof bad / sizeof *bad; i++) {
        uint64_t before = count->sctp_bad_chunk;
        packet(c, bad[i].bytes, bad[i].n, c->sctp.peer_tag);
        sim_nodes_run(&p.w, 100 * TERN_MS);
        if (count->sctp_bad_chunk == before) {
            fail_msg("chunk %u passed", i);
        }
    }
    uint64_t before = count->sctp_bad_packet;
    packet(c, "\x04\x00\x00\x04", 4, c->sctp.peer_tag + 1); /* a wrong tag */
    sim_nodes_run(&p.w, 100 * TERN_MS);
    assert_int_equal(count->sctp_bad_packet, before + 1);
    assert_int_equal(p.b->disconnected, 0);
    webrtc_pair_end(&p);
}

/* Chunks far ahead of what is next, each a byte, and more than the window: little of it stays. */
static void test_data_beyond_the_window(void **state)
{
    webrtc_pair p;
    uint8_t chunk[1200] = {0, 3};
    (void)state;
    webrtc_conn *c = begin(&p);
    size_t before = tern_mem_bytes();
    tern_put16(chunk + 2, sizeof chunk);
    tern_put32(chunk + 12, TERN_PPID_BINARY);
    for (uint32_t i = 2; i < 20000; i++) {
        tern_put32(chunk + 4, c->sctp.next_tsn + i);
        packet(c, chunk, sizeof chunk, c->sctp.peer_tag);
        if (i % 200 == 0) {
            sim_nodes_run(&p.w, 20 * TERN_MS);
        }
    }
    sim_nodes_run(&p.w, 100 * TERN_MS);
    assert_true(sim_counters(p.b)->sctp_beyond > 1000);
    assert_true(tern_mem_bytes() < before + TERN_SCTP_WINDOW + MEMORY);
    tern_node_disconnect(p.a->node, &p.b->id);
    webrtc_pair_end(&p);
}

/* Chunks that want an answer, by the thousand: what waits is bounded, and so is what is said. */
static void test_chunk_floods(void **state)
{
    static const struct {
        const char *bytes;
        size_t n;
    } chunks[] = {
        {"\x01\0\0\x14\0\0\0\x09\0\1\0\0\0\1\0\1\0\0\0\1", 20}, /* an INIT of somebody else */
        {"\x04\0\0\x0c\0\1\0\x08\1\2\3\4", 12},                 /* HEARTBEAT */
        {"\x82\0\0\x16\0\x0d\0\x12\0\0\0\1\0\0\0\1\0\0\0\1\0\7\0\0", 24}, /* RE-CONFIG */
        {"\x82\0\0\x10\0\x11\0\x0c\0\0\0\1\xff\xff\0\0", 16},             /* more streams, please */
        {"\x09\0\0\x08\0\1\0\4", 8},                                      /* ERROR */
        {"\xc0\0\0\x08\0\0\0\1", 8},                                      /* FORWARD-TSN */
    };
    webrtc_pair p;
    (void)state;
    webrtc_conn *c = begin(&p);
    size_t before = tern_mem_bytes();
    uint64_t in = sim_counters(p.b)->bytes_in, out = sim_counters(p.b)->bytes_out;
    for (unsigned i = 0; i < 18000; i++) {
        unsigned k = i % (sizeof chunks / sizeof *chunks);
        packet(c, chunks[k].bytes, chunks[k].n, k == 0 ? 0 : c->sctp.peer_tag);
        if (i % 200 == 0) {
            sim_nodes_run(&p.w, 20 * TERN_MS);
            assert_true(tern_mem_bytes() < before + MEMORY);
        }
    }
    sim_nodes_run(&p.w, TERN_SEC);
    assert_int_equal(p.b->disconnected, 0);
    in = sim_counters(p.b)->bytes_in - in;
    out = sim_counters(p.b)->bytes_out - out;
    assert_true(in > 18000 * 50 && out < in);
    webrtc_pair_end(&p);
}

/* ---- Noise ---- */

/* The client believes in another certificate of its own than it showed: the prologues differ. */
static void test_wrong_prologue(void **state)
{
    webrtc_pair p;
    unsigned done = 0;
    (void)state;
    webrtc_pair_init(&p, NULL);
    const char *texts[] = {p.addr};
    assert_int_equal(
        tern_node_dial(p.a->node, texts, 1, 0, false, sim_nodes_count_dial, &done, NULL), 0);
    sim_nodes_run(&p.w, WEBRTC_PAIR_DELAY);
    tern_node_net(p.a->node)->webrtc->client_hash[0] ^= 1;
    assert_true(sim_nodes_wait(&p.w, &done, 1, 20 * TERN_SEC));
    assert_int_equal(p.a->connected, 0);
    assert_int_equal(p.b->connected, 0);
    sim_nodes_run(&p.w, TERN_SEC);
    assert_int_equal(sim_counters(p.b)->upgrade_failures, 1);
    webrtc_pair_end(&p);
}

/* ---- DTLS ---- */

static void datagram(webrtc_conn *c, const uint8_t *p, size_t n)
{
    assert_true(webrtc_endpoint_send(c->endpoint, &c->remote, p, n));
}

/* Records from the peer's address that are not the peer's: of epoch 0, forged, cut, repeated. */
static void test_forged_records(void **state)
{
    static const uint8_t alert[] = {21, 0xfe, 0xfd, 0, 0, 0, 0, 0, 0, 0, 9, 0, 2, 2, 40};
    static const uint8_t data[] = {23, 0xfe, 0xfd, 0, 0, 0, 0, 0, 0, 0, 9, 0, 4, 1, 2, 3, 4};
    uint8_t record[TERN_DTLS_OVERHEAD + 64] = {0};
    webrtc_pair p;
    sim_ping ping;
    (void)state;
    webrtc_conn *c = begin(&p);
    const tern_counters *count = sim_counters(p.b);
    uint64_t before = count->dtls_dropped;
    datagram(c, alert, sizeof alert);
    datagram(c, data, sizeof data);
    datagram(c, data, 5);
    ssize_t n = tern_dtls_engine_seal(c->dtls, record, 16);
    assert_true(n > 0);
    record[n - 1] ^= 1;
    datagram(c, record, (size_t)n); /* forged */
    record[n - 1] ^= 1;
    sim_nodes_run(&p.w, 100 * TERN_MS);
    assert_true(count->dtls_dropped >= before + 4);
    uint64_t bad = count->sctp_bad_packet;
    datagram(c, record, (size_t)n);
    sim_nodes_run(&p.w, 100 * TERN_MS);
    assert_int_equal(count->sctp_bad_packet, bad + 1); /* the real one, of zeros */
    before = count->dtls_dropped;
    for (unsigned i = 0; i < 5000; i++) {
        datagram(c, record, (size_t)n);
    }
    sim_nodes_run(&p.w, 100 * TERN_MS);
    assert_int_equal(count->dtls_dropped, before + 5000);
    assert_int_equal(count->sctp_bad_packet, bad + 1);
    assert_int_equal(p.a->disconnected + p.b->disconnected, 0);
    sim_nodes_ping(p.a, p.conn, &ping);
    assert_int_equal(ping.error.code, 0);
    webrtc_pair_end(&p);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_opens_by_the_thousand),
        cmocka_unit_test(test_bad_opens),
        cmocka_unit_test(test_bad_frames),
        cmocka_unit_test(test_long_frames),
        cmocka_unit_test(test_opens_and_resets),
        cmocka_unit_test(test_an_id_used_again),
        cmocka_unit_test(test_an_id_used_too_early),
        cmocka_unit_test(test_an_unread_stream),
        cmocka_unit_test(test_bad_chunks),
        cmocka_unit_test(test_data_beyond_the_window),
        cmocka_unit_test(test_chunk_floods),
        cmocka_unit_test(test_wrong_prologue),
        cmocka_unit_test(test_forged_records),
    };
    return TERN_TEST_MAIN(tests);
}
