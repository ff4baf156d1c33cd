/* WebRTC Direct against a peer that has finished its handshakes and then breaks the rules, and
 * against strangers who get as far as DTLS: dropped or closed, counted, in bounded memory, and the
 * node serves the next one. The peer is a node of ours whose connection the test writes to. */
#include "sim/attacker.h"
#include "sim/nodes.h"

#include <stdio.h>

#include "base/crc32c.h"
#include "base/mem.h"
#include "webrtc/conn.h"

#define DELAY (10 * TERN_MS)

enum { HEAD = 12, MEMORY = 512 * 1024 };

typedef struct pair {
    sim_nodes w;
    sim_node *a, *b; /* a is the peer that breaks rules */
    char addr[512];
    tern_sctp_stream *streams; /* of raw(): by id */
} pair;

static void init(pair *p)
{
    tern_error error;
    char bound[256], id[TERN_PEER_ID_TEXT];
    memset(p, 0, sizeof *p);
    sim_nodes_init(&p->w, DELAY);
    p->a = sim_nodes_add(&p->w, "-10.0.0.1", NULL);
    p->b = sim_nodes_add(&p->w, "10.0.0.2", NULL);
    assert_int_equal(tern_node_listen(p->b->node, "/ip4/10.0.0.2/udp/4001/webrtc-direct", bound,
                                      sizeof bound, &error),
                     0);
    tern_peer_id_text(&p->b->id, id);
    snprintf(p->addr, sizeof p->addr, "%s/p2p/%s", bound, id);
    p->streams = test_calloc(65536, sizeof *p->streams);
}

static webrtc_conn *dial(pair *p)
{
    sim_dial d;
    sim_nodes_dial_one(p->a, p->addr, &d);
    assert_non_null(d.conn);
    sim_nodes_run(&p->w, TERN_SEC);
    return (webrtc_conn *)(void *)d.conn;
}

/* The node still serves those who come, and keeps nothing of those who went. */
static void end(pair *p)
{
    sim_nodes_run(&p->w, 60 * TERN_SEC);
    sim_node *c = sim_nodes_add(&p->w, "-10.0.0.3", NULL);
    sim_dial d;
    sim_ping ping;
    sim_nodes_dial_one(c, p->addr, &d);
    assert_non_null(d.conn);
    sim_nodes_ping(c, d.conn, &ping);
    assert_int_equal(ping.error.code, 0);
    assert_int_equal(tern_node_net(p->b->node)->pending.count, 0);
    test_free(p->streams);
    sim_nodes_clear(&p->w);
}

/* A message of the test's own on the conn of a; 0, or what the association says. */
static int raw(pair *p, webrtc_conn *c, uint16_t sid, uint32_t ppid, const void *bytes, size_t n)
{
    const tern_span v = {bytes, n};
    tern_sctp_stream *st = &p->streams[sid];
    if (st->queue.next == NULL) {
        tern_sctp_stream_init(st, sid);
    }
    int code = tern_sctp_send(&c->sctp, st, ppid, &v, 1, 0);
    webrtc_want_turn(c);
    return code;
}

static void raw_open(pair *p, webrtc_conn *c, uint16_t sid)
{
    raw(p, c, sid, TERN_PPID_DCEP, tern_dcep_open, TERN_DCEP_OPEN_N);
}

/* ---- data channels ---- */

static void test_opens_by_the_thousand(void **state)
{
    pair p;
    (void)state;
    init(&p);
    webrtc_conn *c = dial(&p);
    size_t before = tern_mem_bytes();
    for (unsigned sid = 1000; sid < 12000 && p.a->disconnected == 0; sid += 2) {
        raw_open(&p, c, (uint16_t)sid);
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
    end(&p);
}

static void test_bad_opens(void **state)
{
    static const uint8_t lossy[TERN_DCEP_OPEN_N] = {3, 1}, cut[5] = {3}, strange[] = {9, 9};
    pair p;
    (void)state;
    init(&p);
    webrtc_conn *c = dial(&p);
    raw(&p, c, 500, TERN_PPID_DCEP, lossy, sizeof lossy);
    raw(&p, c, 502, TERN_PPID_DCEP, cut, sizeof cut);
    raw(&p, c, 504, TERN_PPID_DCEP, strange, sizeof strange);
    raw_open(&p, c, 501); /* the server's half of the ids */
    raw_open(&p, c, 506);
    raw_open(&p, c, 506); /* twice */
    raw(&p, c, 600, TERN_PPID_BINARY, strange, sizeof strange);
    sim_nodes_run(&p.w, TERN_SEC);
    const tern_counters *count = sim_counters(p.b);
    assert_int_equal(count->channel_bad_open, 5);
    assert_int_equal(count->channel_unknown, 1);
    assert_int_equal(p.b->disconnected, 0);
    end(&p);
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
    pair p;
    (void)state;
    init(&p);
    webrtc_conn *c = dial(&p);
    for (unsigned i = 0; i < sizeof frames / sizeof *frames; i++) {
        raw_open(&p, c, (uint16_t)(500 + 2 * i));
        raw(&p, c, (uint16_t)(500 + 2 * i), TERN_PPID_BINARY, frames[i].bytes, frames[i].n);
        sim_nodes_run(&p.w, TERN_SEC);
        if (sim_counters(p.b)->channel_malformed != i + 1) {
            fail_msg("frame %u passed", i);
        }
    }
    assert_int_equal(p.b->disconnected, 0);
    end(&p);
}

/* Frames beyond the 16 KiB of the specification, as go's reader takes them, pass in pieces: nothing
 * is collected. */
static void test_long_frames(void **state)
{
    enum { N = 200 * 1024 };
    pair p;
    (void)state;
    init(&p);
    webrtc_conn *c = dial(&p);
    uint8_t *bytes = test_calloc(1, N + 8);
    memcpy(bytes, "\x84\xc0\x0c\x12\x80\xc0\x0c", 7); /* a frame with a message of 200 KiB */
    size_t before = tern_mem_bytes();
    raw_open(&p, c, 500);
    for (unsigned at = 0; at < N + 7; at += 1000) {
        raw(&p, c, 500, TERN_PPID_BINARY, bytes + at, N + 7 - at < 1000 ? N + 7 - at : 1000);
    }
    sim_nodes_run(&p.w, TERN_SEC);
    assert_int_equal(sim_counters(p.b)->channel_malformed, 0);
    assert_true(tern_mem_bytes() < before + MEMORY);
    assert_int_equal(p.b->disconnected, 0);
    test_free(bytes);
    end(&p);
}

/* ---- SCTP ---- */

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
    pair p;
    (void)state;
    init(&p);
    webrtc_conn *c = dial(&p);
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
    end(&p);
}

/* Chunks far ahead of what is next, each a byte, and more than the window: little of it stays. */
static void test_data_beyond_the_window(void **state)
{
    pair p;
    uint8_t chunk[1200] = {0, 3};
    (void)state;
    init(&p);
    webrtc_conn *c = dial(&p);
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
    end(&p);
}

/* ---- Noise ---- */

/* The client believes in another certificate of its own than it showed: the prologues differ. */
static void test_wrong_prologue(void **state)
{
    pair p;
    unsigned done = 0;
    (void)state;
    init(&p);
    const char *texts[] = {p.addr};
    assert_int_equal(
        tern_node_dial(p.a->node, texts, 1, 0, false, sim_nodes_count_dial, &done, NULL), 0);
    sim_nodes_run(&p.w, DELAY);
    tern_node_net(p.a->node)->webrtc->client_hash[0] ^= 1;
    assert_true(sim_nodes_wait(&p.w, &done, 1, 20 * TERN_SEC));
    assert_int_equal(p.a->connected, 0);
    assert_int_equal(p.b->connected, 0);
    sim_nodes_run(&p.w, TERN_SEC);
    assert_int_equal(sim_counters(p.b)->upgrade_failures, 1);
    end(&p);
}

/* ---- DTLS ---- */

/* A check that verifies, under a name of its own; then the address may speak DTLS. */
static void check(sim_attacker *x, uint32_t number)
{
    char user[100], pwd[80];
    uint8_t m[TERN_STUN_MAX];
    snprintf(pwd, sizeof pwd, "libp2p+webrtc+v2/abcdefghijklmnopqrstuvwxyz%08x", (unsigned)number);
    snprintf(user, sizeof user, "%s:abcd", pwd);
    tern_stun_request r = {.username = {(uint8_t *)user, strlen(user)},
                           .password = {(uint8_t *)pwd, strlen(pwd)},
                           .priority = 1};
    ssize_t n = tern_stun_put_request(m, &r);
    assert_true(n > 0);
    sim_attacker_say(x, m, (size_t)n);
}

/* A piece of a handshake message: type, the message's length and number, where the piece lies. */
static void fragment(sim_attacker *x, uint8_t type, uint32_t total, uint16_t number, uint32_t at,
                     uint16_t n)
{
    static uint64_t sequence;
    uint8_t d[1400] = {22, 0xfe, 0xfd};
    assert_true((size_t)n + 25 <= sizeof d);
    tern_put64(d + 3, ++sequence);
    tern_put16(d + 11, (uint16_t)(12 + n));
    tern_put32(d + 13, total);
    d[13] = type;
    tern_put16(d + 17, number);
    tern_put32(d + 18, at << 8);
    tern_put16(d + 22, n);
    d[18] = (uint8_t)(at >> 16);
    d[19] = (uint8_t)(at >> 8);
    d[20] = (uint8_t)at;
    d[21] = 0;
    sim_attacker_say(x, d, 25 + (size_t)n);
}

static void test_dtls_fragments(void **state)
{
    pair p;
    sim_attacker x;
    (void)state;
    init(&p);
    sim_attacker_init(&x, p.w.sim, "10.0.9.9",
                      TERN_UDP_SET(TERN_UDP_STUN) | TERN_UDP_SET(TERN_UDP_DTLS));
    size_t before = tern_mem_bytes();
    for (uint32_t i = 0; i < 3000; i++) {
        if (i % 100 == 0) {
            check(&x, i);
        }
        fragment(&x, i % 3 == 0 ? 1 : 11, i % 2 == 0 ? 0xffffff : 60000, (uint16_t)(i % 7),
                 i * 37 % 60000, (uint16_t)(i % 1200));
        if (i % 50 == 0) {
            sim_nodes_run(&p.w, TERN_MS);
            assert_true(tern_mem_bytes() < before + 8 * (size_t)TERN_DTLS_HANDSHAKE_MAX + MEMORY);
        }
    }
    sim_nodes_run(&p.w, TERN_SEC);
    assert_true(tern_node_net(p.b->node)->pending.count <= 8);
    assert_true(x.answered <= 400 * 1024);
    tern_udp_close(x.u);
    end(&p);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_opens_by_the_thousand),
        cmocka_unit_test(test_bad_opens),
        cmocka_unit_test(test_bad_frames),
        cmocka_unit_test(test_long_frames),
        cmocka_unit_test(test_bad_chunks),
        cmocka_unit_test(test_data_beyond_the_window),
        cmocka_unit_test(test_wrong_prologue),
        cmocka_unit_test(test_dtls_fragments),
    };
    return TERN_TEST_MAIN(tests);
}
