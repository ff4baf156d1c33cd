/* A WebTransport server against clients that break HTTP/3's and WebTransport's rules, say nothing,
 * or vanish: each is closed or answered with the code that the specifications name, and counted, in
 * bounded memory, and the node serves the next one. Hostile servers:
 * webtransport_hostile_server_test.c. */
#include "sim/h3_scene.h"

#define B H3_BYTES

enum { KIB = 1024 };

/* ---- streams that break a rule by themselves ---- */

typedef struct row {
    const char *name;
    uint64_t wire;
    bool both_ways, end;
    const char *bytes;
    size_t n;
} row;

static const row rows[] = {
    /* the control stream */
    {"no SETTINGS", TERN_H3_MISSING_SETTINGS, false, false, B("\0\x07\1\0")},
    {"SETTINGS twice", TERN_H3_FRAME_UNEXPECTED, false, false, B("\0\4\0\4\0")},
    {"a setting twice", TERN_H3_SETTINGS_ERROR, false, false, B("\0\4\4\x08\1\x08\1")},
    {"HTTP/2's setting 2", TERN_H3_SETTINGS_ERROR, false, false, B("\0\4\2\2\1")},
    {"HTTP/2's setting 3", TERN_H3_SETTINGS_ERROR, false, false, B("\0\4\2\3\1")},
    {"HTTP/2's setting 4", TERN_H3_SETTINGS_ERROR, false, false, B("\0\4\2\4\1")},
    {"HTTP/2's setting 5", TERN_H3_SETTINGS_ERROR, false, false, B("\0\4\2\5\1")},
    {"a setting without value", TERN_H3_FRAME_ERROR, false, false, B("\0\4\1\x08")},
    {"a setting cut off", TERN_H3_FRAME_ERROR, false, false, B("\0\4\2\x40\x64")},
    {"CONNECT twice as much", TERN_H3_SETTINGS_ERROR, false, false, B("\0\4\2\x08\2")},
    {"DATAGRAM twice as much", TERN_H3_SETTINGS_ERROR, false, false, B("\0\4\2\x33\2")},
    {"GOAWAY of nothing", TERN_H3_FRAME_ERROR, false, false, B("\0\4\0\x07\0")},
    {"GOAWAY of two", TERN_H3_FRAME_ERROR, false, false, B("\0\4\0\x07\2\0\0")},
    {"GOAWAY that grows", TERN_H3_ID_ERROR, false, false, B("\0\4\0\x07\1\0\x07\1\4")},
    {"CANCEL_PUSH", TERN_H3_ID_ERROR, false, false, B("\0\4\0\3\1\0")},
    {"CANCEL_PUSH of nothing", TERN_H3_FRAME_ERROR, false, false, B("\0\4\0\3\0")},
    {"MAX_PUSH_ID that shrinks", TERN_H3_ID_ERROR, false, false, B("\0\4\0\x0d\1\4\x0d\1\0")},
    {"DATA", TERN_H3_FRAME_UNEXPECTED, false, false, B("\0\4\0\0\0")},
    {"HEADERS", TERN_H3_FRAME_UNEXPECTED, false, false, B("\0\4\0\1\0")},
    {"PUSH_PROMISE", TERN_H3_FRAME_UNEXPECTED, false, false, B("\0\4\0\5\0")},
    {"HTTP/2's PRIORITY", TERN_H3_FRAME_UNEXPECTED, false, false, B("\0\4\0\2\0")},
    {"HTTP/2's PING", TERN_H3_FRAME_UNEXPECTED, false, false, B("\0\4\0\6\0")},
    {"HTTP/2's WINDOW_UPDATE", TERN_H3_FRAME_UNEXPECTED, false, false, B("\0\4\0\x08\0")},
    {"HTTP/2's CONTINUATION", TERN_H3_FRAME_UNEXPECTED, false, false, B("\0\4\0\x09\0")},
    {"a control stream ends", TERN_H3_CLOSED_CRITICAL_STREAM, false, true, B("\0\4\0")},
    /* other one-way streams */
    {"a push", TERN_H3_STREAM_CREATION_ERROR, false, false, B("\1\0")},
    {"an insertion", TERN_QPACK_ENCODER_ERROR, false, false, B("\2\x41\x61\1\x62")},
    {"a table", TERN_QPACK_ENCODER_ERROR, false, false, B("\2\x3f\xe1\x1f")},
    {"an encoder ends", TERN_H3_CLOSED_CRITICAL_STREAM, false, true, B("\2")},
    {"an acknowledgement", TERN_QPACK_DECODER_ERROR, false, false, B("\3\x80")},
    {"an increment", TERN_QPACK_DECODER_ERROR, false, false, B("\3\1")},
    {"a number without end", TERN_QPACK_DECODER_ERROR, false, false,
     B("\3\x7f\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff")},
    {"a decoder ends", TERN_H3_CLOSED_CRITICAL_STREAM, false, true, B("\3")},
    {"a session of a one-way stream's id", TERN_H3_ID_ERROR, false, false, B("\x40\x54\2")},
    /* requests */
    {"a session of a server's", TERN_H3_ID_ERROR, true, false, B("\x40\x41\1")},
    {"DATA first", TERN_H3_FRAME_UNEXPECTED, true, false, B("\0\0")},
    {"SETTINGS in a request", TERN_H3_FRAME_UNEXPECTED, true, false, B("\4\0")},
    {"GOAWAY in a request", TERN_H3_FRAME_UNEXPECTED, true, false, B("\x07\1\0")},
    {"CANCEL_PUSH in a request", TERN_H3_FRAME_UNEXPECTED, true, false, B("\3\1\0")},
    {"MAX_PUSH_ID in a request", TERN_H3_FRAME_UNEXPECTED, true, false, B("\x0d\1\0")},
    {"PUSH_PROMISE in a request", TERN_H3_FRAME_UNEXPECTED, true, false, B("\5\0")},
    {"HTTP/2's frame in a request", TERN_H3_FRAME_UNEXPECTED, true, false, B("\6\0")},
    {"a request cut off", TERN_H3_FRAME_ERROR, true, true, B("\1\5\0\0")},
    {"a head cut off", TERN_H3_FRAME_ERROR, true, true, B("\1")},
    {"no field section", TERN_QPACK_FAILED, true, false, B("\1\0")},
    {"a static entry that is none", TERN_QPACK_FAILED, true, false, B("\1\5\0\0\xff\xff\x7f")},
    {"a dynamic entry", TERN_QPACK_FAILED, true, false, B("\1\3\0\0\x80")},
    {"a table that is to come", TERN_QPACK_FAILED, true, false, B("\1\3\5\0\xd1")},
    {"a name cut off", TERN_QPACK_FAILED, true, false, B("\1\4\0\0\x27\7")},
    {"bad Huffman", TERN_QPACK_FAILED, true, false, B("\1\6\0\0\x29\xff\1a")},
};

static void test_rows(void **state)
{
    h3_scene x;
    (void)state;
    h3_scene_open(&x, NULL);
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        const row *r = &rows[i];
        uint64_t before = h3_scene_counted(&x, H3_COUNTER(h3_malformed));
        h3_scene_dial(&x);
        h3_open_saying(&x.p, r->both_ways, r->bytes, r->n, r->end);
        h3_scene_expect_end(&x, r->name, r->wire, H3_COUNTER(h3_malformed), before);
    }
    h3_scene_close(&x);
}

/* The same, a byte at a time. */
static void test_rows_in_drips(void **state)
{
    h3_scene x;
    (void)state;
    h3_scene_open(&x, NULL);
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        const row *r = &rows[i];
        uint64_t before = h3_scene_counted(&x, H3_COUNTER(h3_malformed));
        h3_scene_dial(&x);
        h3_stream *s = h3_open(&x.p, r->both_ways);
        for (size_t k = 0; k < r->n && x.p.gone == 0; k++) {
            h3_say(s, r->bytes + k, 1);
            if (r->end && k + 1 == r->n) {
                tern_stream_end(s->s);
            }
            sim_nodes_run(&x.w, TERN_MS);
        }
        h3_scene_expect_end(&x, r->name, r->wire, H3_COUNTER(h3_malformed), before);
    }
    h3_scene_close(&x);
}

static void test_streams_that_there_is_one_of(void **state)
{
    static const struct {
        const char *bytes;
        size_t n;
    } kinds[] = {{B("\0\4\0")}, {B("\2")}, {B("\3")}};
    h3_scene x;
    (void)state;
    h3_scene_open(&x, NULL);
    for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++) {
        uint64_t before = h3_scene_counted(&x, H3_COUNTER(h3_malformed));
        h3_scene_dial(&x);
        h3_open_saying(&x.p, false, kinds[i].bytes, kinds[i].n, false);
        h3_open_saying(&x.p, false, kinds[i].bytes, kinds[i].n, false);
        h3_scene_expect_end(&x, "a second one", TERN_H3_STREAM_CREATION_ERROR,
                            H3_COUNTER(h3_malformed), before);
        before = h3_scene_counted(&x, H3_COUNTER(h3_malformed));
        h3_scene_dial(&x);
        h3_stream *s = h3_open_saying(&x.p, false, kinds[i].bytes, kinds[i].n, false);
        sim_nodes_run(&x.w, 4 * H3_DELAY);
        tern_stream_reset(s->s, TERN_H3_NO_ERROR);
        h3_scene_expect_end(&x, "one is reset", TERN_H3_CLOSED_CRITICAL_STREAM,
                            H3_COUNTER(h3_malformed), before);
    }
    h3_scene_close(&x);
}

static void test_too_large(void **state)
{
    h3_scene x;
    uint64_t before;
    (void)state;
    h3_scene_open(&x, NULL);
    h3_scene_dial(&x);
    h3_open_saying(&x.p, false, B("\0\4\x48\1"), false); /* SETTINGS of 2049 bytes */
    h3_scene_expect_end(&x, "SETTINGS", TERN_H3_EXCESSIVE_LOAD, H3_COUNTER(h3_too_large), 0);
    h3_scene_dial(&x);
    h3_open_saying(&x.p, false, B("\0\4\0\x07\xc0\xff\xff\xff\xff\xff\xff\xff"), false);
    h3_scene_expect_end(&x, "GOAWAY", TERN_H3_EXCESSIVE_LOAD, H3_COUNTER(h3_too_large), 1);
    /* fields beyond 16 KiB are answered before they come */
    h3_scene_dial(&x);
    before = h3_scene_counted(&x, H3_COUNTER(wt_refused));
    h3_stream *s = h3_open_saying(&x.p, true, B("\1\x80\0\x40\1"), false);
    sim_nodes_run(&x.w, TERN_SEC);
    assert_int_equal(h3_status(s), 431);
    assert_int_equal(x.p.gone, 0);
    assert_int_equal(h3_scene_counted(&x, H3_COUNTER(wt_refused)), before + 1);
    assert_int_equal(h3_scene_counted(&x, H3_COUNTER(h3_too_large)), 3);
    h3_scene_close(&x);
}

/* ---- requests ---- */

#define CONNECT ":method", "CONNECT", ":protocol", "webtransport", ":scheme", "https"
#define HERE    ":authority", "h:1", ":path", WT_PATH "?" WT_QUERY

static char long_path[700], long_name[300];

typedef struct request {
    unsigned status; /* of the answer, or ... */
    uint64_t wire;   /* ... the code of the reset */
    const char *fields[18];
} request;

static const request requests[] = {
    {200, 0, {CONNECT, HERE}},
    {200, 0, {CONNECT, HERE, "origin", "https://elsewhere.example", "x", "y"}},
    {200, 0, {CONNECT, ":authority", "h:1", ":path", WT_PATH "?a=b&type=noise"}},
    {404, 0, {CONNECT, ":authority", "h:1", ":path", "/"}},
    {404, 0, {CONNECT, ":authority", "h:1", ":path", WT_PATH "s?type=noise"}},
    {404, 0, {":method", "GET", ":scheme", "https", HERE}},
    {404, 0, {":method", "connect", ":protocol", "webtransport", ":scheme", "https", HERE}},
    {400, 0, {CONNECT, ":authority", "h:1", ":path", WT_PATH}},
    {400, 0, {CONNECT, ":authority", "h:1", ":path", WT_PATH "?type=noises"}},
    {400, 0, {CONNECT, ":authority", "h:1", ":path", WT_PATH "?type=tls"}},
    {400, 0, {CONNECT, ":path", WT_PATH "?" WT_QUERY}},
    {400, 0, {":method", "CONNECT", ":protocol", "webtransport", ":scheme", "http", HERE}},
    {501, 0, {":method", "CONNECT", ":protocol", "websocket", ":scheme", "https", HERE}},
    {501, 0, {":method", "CONNECT", ":authority", "h:1"}},
    {431, 0, {CONNECT, ":authority", "h:1", ":path", long_path}},
    {431, 0, {CONNECT, ":authority", long_name, ":path", WT_PATH "?" WT_QUERY}},
    {0, TERN_H3_MESSAGE_ERROR, {CONNECT, HERE, "X", "y"}},
    {0, TERN_H3_MESSAGE_ERROR, {CONNECT, HERE, "a b", "y"}},
    {0, TERN_H3_MESSAGE_ERROR, {CONNECT, HERE, "", "y"}},
    {0, TERN_H3_MESSAGE_ERROR, {CONNECT, HERE, "connection", "close"}},
    {0, TERN_H3_MESSAGE_ERROR, {CONNECT, HERE, "transfer-encoding", "chunked"}},
    {0, TERN_H3_MESSAGE_ERROR, {CONNECT, HERE, ":path", "/"}},
    {0, TERN_H3_MESSAGE_ERROR, {CONNECT, HERE, ":status", "200"}},
    {0, TERN_H3_MESSAGE_ERROR, {CONNECT, HERE, ":unknown", "1"}},
    {0, TERN_H3_MESSAGE_ERROR, {CONNECT, "a", "b", HERE}},
    {0, TERN_H3_MESSAGE_ERROR, {":scheme", "https", HERE}},
};

static void test_requests(void **state)
{
    h3_scene x;
    uint8_t out[2 * KIB];
    (void)state;
    memset(long_path, '/', sizeof long_path - 1);
    memset(long_name, 'h', sizeof long_name - 1);
    h3_scene_open(&x, NULL);
    for (size_t i = 0; i < sizeof requests / sizeof *requests; i++) {
        const request *r = &requests[i];
        uint64_t refused = h3_scene_counted(&x, H3_COUNTER(wt_refused));
        uint64_t bad = h3_scene_counted(&x, H3_COUNTER(h3_malformed));
        h3_scene_dial(&x);
        size_t n = h3_headers(out, sizeof out, r->fields);
        h3_stream *s = h3_open_saying(&x.p, true, out, n, false);
        sim_nodes_run(&x.w, TERN_SEC);
        refused = h3_scene_counted(&x, H3_COUNTER(wt_refused)) - refused;
        bad = h3_scene_counted(&x, H3_COUNTER(h3_malformed)) - bad;
        bool good = x.p.gone == 0 && h3_status(s) == r->status && refused == (r->status > 200) &&
                    bad == (r->status == 0) &&
                    (r->status != 0 || (s->closed == 1 && s->why.wire == r->wire));
        if (!good) {
            fail_msg("request %u: status %u, closed %u with 0x%llx, gone %u, counted %u, %u",
                     (unsigned)i, h3_status(s), s->closed, (unsigned long long)s->why.wire,
                     x.p.gone, (unsigned)refused, (unsigned)bad);
        }
        h3_peer_clear(&x.p);
    }
    h3_scene_close(&x);
}

/* Refused, malformed or without end: sixteen are answered. */
static void test_requests_by_the_dozen(void **state)
{
    static const char *const wrong[] = {CONNECT, ":authority", "h:1", ":path", "/", NULL};
    static const char *const malformed[] = {CONNECT, HERE, ":path", "/", NULL};
    h3_scene x;
    uint8_t out[2][KIB];
    (void)state;
    h3_scene_open(&x, NULL);
    size_t n[2] = {h3_headers(out[0], KIB, wrong), h3_headers(out[1], KIB, malformed)};
    for (unsigned kind = 0; kind < 2; kind++) {
        h3_scene_dial(&x);
        for (unsigned i = 0; i < WT_REQUESTS_MAX; i++) {
            h3_open_saying(&x.p, true, out[kind], n[kind], true);
        }
        sim_nodes_run(&x.w, TERN_SEC);
        assert_int_equal(x.p.gone, 0);
        h3_open_saying(&x.p, true, out[kind], n[kind], true);
        sim_nodes_run(&x.w, TERN_SEC);
        assert_int_equal(x.p.gone, 1);
        assert_int_equal(x.p.why.wire, TERN_H3_EXCESSIVE_LOAD);
        h3_peer_clear(&x.p);
    }
    h3_scene_close(&x);
}

/* ---- sessions ---- */

static void test_a_second_session(void **state)
{
    h3_scene x;
    (void)state;
    h3_scene_open(&x, NULL);
    h3_scene_dial(&x);
    h3_stream *connect = h3_establish(&x.p);
    assert_int_equal(x.b->connected, 1);
    for (unsigned i = 1; i <= 2; i++) {
        h3_stream *second = h3_connect(&x.p, WT_PATH "?" WT_QUERY);
        sim_nodes_run(&x.w, TERN_SEC);
        assert_int_equal(second->closed, 1);
        assert_int_equal(second->why.wire, TERN_H3_REQUEST_REJECTED);
        assert_int_equal(h3_scene_counted(&x, H3_COUNTER(wt_refused)), i);
    }
    assert_int_equal(connect->closed + x.p.gone + x.b->disconnected, 0);
    h3_scene_close(&x);
}

/* Streams of a session that is not there yet: sixteen wait, within the windows of QUIC. */
static void test_early_streams(void **state)
{
    h3_scene x;
    static uint8_t bytes[256 * KIB];
    h3_stream *s[WT_EARLY + 4];
    (void)state;
    h3_scene_open(&x, NULL);
    h3_scene_dial(&x);
    sim_nodes_run(&x.w, TERN_SEC);
    size_t before = tern_mem_bytes();
    for (unsigned i = 0; i < WT_EARLY + 4; i++) {
        s[i] = h3_open_in(&x.p, true, 0);
        sim_nodes_run(&x.w, 4 * H3_DELAY);
    }
    for (unsigned i = 0; i < WT_EARLY + 4; i++) {
        assert_int_equal(s[i]->closed, i >= WT_EARLY);
        assert_int_equal(s[i]->why.wire, i >= WT_EARLY ? TERN_WT_BUFFERED_REJECTED : 0);
    }
    assert_int_equal(h3_scene_counted(&x, H3_COUNTER(wt_bad_stream)), 4);
    assert_true(tern_mem_bytes() < before + 64 * KIB);
    for (unsigned i = 0; i < WT_EARLY; i++) {
        h3_say(s[i], bytes, sizeof bytes);
    }
    sim_nodes_run(&x.w, 5 * TERN_SEC);
    /* what is kept there is no more than the window; the rest waits at its sender's, 4 MiB */
    assert_int_equal(x.p.gone, 0);
    assert_true(tern_mem_bytes() < before + WT_EARLY * sizeof bytes + 1024 * KIB);
    sim_nodes_run(&x.w, 10 * TERN_SEC); /* and not for long */
    assert_int_equal(x.p.gone, 1);
    assert_int_equal(h3_scene_counted(&x, H3_COUNTER(upgrade_timeouts)), 1);
    h3_scene_close(&x);
}

static void test_streams_of_other_sessions(void **state)
{
    h3_scene x;
    (void)state;
    h3_scene_open(&x, NULL);
    h3_scene_dial(&x);
    h3_establish(&x.p);
    for (uint64_t id = 4; id < 400; id += 44) {
        h3_stream *s = h3_open_in(&x.p, true, id);
        sim_nodes_run(&x.w, 4 * H3_DELAY);
        assert_int_equal(s->closed, 1);
        assert_int_equal(s->why.wire, TERN_WT_SESSION_GONE);
    }
    assert_int_equal(h3_scene_counted(&x, H3_COUNTER(wt_bad_stream)), 9);
    assert_int_equal(x.p.gone + x.b->disconnected, 0);
    h3_scene_close(&x);
}

/* ---- capsules ---- */

typedef struct capsule {
    const char *name;
    uint64_t wire;   /* the conn's end, ... */
    uint64_t code;   /* ... what our owner hears, ... */
    bool bad;        /* ... and whether it is counted */
    bool lives, end; /* nothing ends; the stream does */
    const char *bytes;
    size_t n;
} capsule;

static const capsule capsules[] = {
    {"CLOSE", 0, 5, false, false, false, B("\0\7\x68\x43\4\0\0\0\5")},
    {"CLOSE with a reason", 0, 7, false, false, true, B("\0\x0a\x68\x43\7\0\0\0\7bye")},
    {"CLOSE twice", 0, 1, false, false, false, B("\0\7\x68\x43\4\0\0\0\1\0\7\x68\x43\4\0\0\0\2")},
    {"CLOSE in two frames", 0, 9, false, false, false, B("\0\2\x68\x43\0\5\4\0\0\0\x09")},
    {"an end", 0, 0, false, false, true, B("")},
    {"unknown ones, DRAIN", 0, 0, false, true, false, B("\0\x0b\x41\x23\0\x41\x24\2ab\x78\xae\0")},
    {"one without end", 0, 0, false, true, false,
     B("\0\x0b\x41\x23\xff\xff\xff\xff\xff\xff\xff\xff!")},
    {"a frame of no known type", 0, 0, false, true, false, B("\x21\3abc\0\0")},
    {"CLOSE of three bytes", TERN_H3_MESSAGE_ERROR, 0, true, false, false,
     B("\0\6\x68\x43\3\0\0\5")},
    {"CLOSE of 1029", TERN_H3_MESSAGE_ERROR, 0, true, false, false, B("\0\4\x68\x43\x44\5")},
    {"cut off in its head", TERN_H3_MESSAGE_ERROR, 0, true, false, true, B("\0\2\x68\x43")},
    {"cut off in its value", TERN_H3_MESSAGE_ERROR, 0, true, false, true, B("\0\5\x68\x43\4\0\0")},
    {"an unknown one cut off", TERN_H3_MESSAGE_ERROR, 0, true, false, true, B("\0\4\x41\x23\4!")},
};

static void test_capsules(void **state)
{
    h3_scene x;
    (void)state;
    h3_scene_open(&x, NULL);
    for (size_t i = 0; i < sizeof capsules / sizeof *capsules; i++) {
        const capsule *c = &capsules[i];
        uint64_t bad = h3_scene_counted(&x, H3_COUNTER(wt_bad_capsule));
        unsigned ended = x.b->disconnected;
        h3_scene_dial(&x);
        h3_stream *connect = h3_establish(&x.p);
        h3_say(connect, c->bytes, c->n);
        if (c->end) {
            tern_stream_end(connect->s);
        }
        sim_nodes_run(&x.w, TERN_SEC);
        bool good = c->lives ? x.p.gone == 0 && x.b->disconnected == ended
                             : x.p.gone == 1 && x.p.why.wire == c->wire &&
                                   x.b->why.wire == (c->wire != 0 ? c->wire : c->code);
        if (!good || h3_scene_counted(&x, H3_COUNTER(wt_bad_capsule)) - bad != c->bad) {
            fail_msg("%s: gone %u with 0x%llx, heard 0x%llx", c->name, x.p.gone,
                     (unsigned long long)x.p.why.wire, (unsigned long long)x.b->why.wire);
        }
        h3_peer_clear(&x.p);
        sim_nodes_run(&x.w, 40 * TERN_SEC); /* the node hears no goodbye */
        assert_int_equal(x.b->connected, x.b->disconnected);
    }
    h3_scene_close(&x);
}

/* What no session may have on its CONNECT stream. */
static void test_frames_within_a_session(void **state)
{
    static const row frames[] = {
        {"fields", TERN_H3_FRAME_UNEXPECTED, true, false, B("\1\2\0\0")},
        {"SETTINGS", TERN_H3_FRAME_UNEXPECTED, true, false, B("\4\0")},
        {"HTTP/2's", TERN_H3_FRAME_UNEXPECTED, true, false, B("\x09\0")},
        {"DATA cut off", TERN_H3_FRAME_ERROR, true, true, B("\0\5ab")},
    };
    h3_scene x;
    (void)state;
    h3_scene_open(&x, NULL);
    for (size_t i = 0; i < sizeof frames / sizeof *frames; i++) {
        uint64_t before = h3_scene_counted(&x, H3_COUNTER(h3_malformed));
        h3_scene_dial(&x);
        h3_stream *connect = h3_establish(&x.p);
        h3_say(connect, frames[i].bytes, frames[i].n);
        if (frames[i].end) {
            tern_stream_end(connect->s);
        }
        h3_scene_expect_end(&x, frames[i].name, frames[i].wire, H3_COUNTER(h3_malformed), before);
    }
    h3_scene_close(&x);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_rows),
        cmocka_unit_test(test_rows_in_drips),
        cmocka_unit_test(test_streams_that_there_is_one_of),
        cmocka_unit_test(test_too_large),
        cmocka_unit_test(test_requests),
        cmocka_unit_test(test_requests_by_the_dozen),
        cmocka_unit_test(test_a_second_session),
        cmocka_unit_test(test_early_streams),
        cmocka_unit_test(test_streams_of_other_sessions),
        cmocka_unit_test(test_capsules),
        cmocka_unit_test(test_frames_within_a_session),
    };
    return TERN_TEST_MAIN(tests);
}
