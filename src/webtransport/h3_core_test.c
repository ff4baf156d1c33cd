/* HTTP/3 without I/O: integers, codes, what streams begin with, frames cut anywhere, SETTINGS. */
#include <stdio.h>

#include "base/test.h"

#include "webtransport/h3_core.h"
#include "webtransport/h3_fields.h"

/* RFC 9000, appendix A.1. */
static void integers(void **state)
{
    static const struct {
        uint8_t bytes[8];
        size_t n;
        uint64_t value;
    } rows[] = {
        {{0xc2, 0x19, 0x7c, 0x5e, 0xff, 0x14, 0xe8, 0x8c}, 8, UINT64_C(151288809941952652)},
        {{0x9d, 0x7f, 0x3e, 0x7d}, 4, 494878333},
        {{0x7b, 0xbd}, 2, 15293},
        {{0x25}, 1, 37},
    };
    uint8_t out[8];
    uint64_t value;
    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        for (size_t n = 0; n < rows[i].n; n++) {
            assert_int_equal(tern_h3_int_get(rows[i].bytes, n, &value), 0);
        }
        assert_int_equal(tern_h3_int_get(rows[i].bytes, rows[i].n, &value), rows[i].n);
        assert_int_equal(value, rows[i].value);
        assert_int_equal(tern_h3_int_put(out, value), rows[i].n);
        assert_memory_equal(out, rows[i].bytes, rows[i].n);
    }
    assert_int_equal(tern_h3_int_get((const uint8_t *)"\x40\x25", 2, &value), 2);
    assert_int_equal(value, 37);
}

static void codes(void **state)
{
    static const uint64_t rows[][2] = {
        {0, UINT64_C(0x52e4a40fa8db)},          {1, UINT64_C(0x52e4a40fa8dc)},
        {29, UINT64_C(0x52e4a40fa8f8)},         {30, UINT64_C(0x52e4a40fa8fa)},
        {31, UINT64_C(0x52e4a40fa8fb)},         {255, UINT64_C(0x52e4a40fa9e2)},
        {UINT32_MAX, UINT64_C(0x52e5ac983162)},
    };
    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        assert_int_equal(tern_wt_code_out(rows[i][0]), rows[i][1]);
        assert_int_equal(tern_wt_code_in(rows[i][1]), rows[i][0]);
    }
    assert_int_equal(tern_wt_code_in(UINT64_C(0x52e4a40fa8f9)), 0); /* nobody's */
    assert_int_equal(tern_wt_code_in(0x10c), 0);
    assert_int_equal(tern_wt_code_in(UINT64_C(0x52e5ac983163)), 0);
    for (uint64_t n = 0; n < 5000; n++) {
        assert_int_equal(tern_wt_code_in(tern_wt_code_out(n * 858993)), n * 858993);
    }
}

static void beginnings(void **state)
{
    static const struct {
        const char *bytes;
        size_t n;
        bool both_ways;
        tern_h3_kind kind;
        uint64_t session;
    } rows[] = {
        {"\x40\x41\x00", 3, true, TERN_H3_SESSION, 0},
        {"\x40\x41\x44\x00", 4, true, TERN_H3_SESSION, 1024},
        {"\x80\x00\x00\x41\x04", 5, true, TERN_H3_SESSION, 4}, /* not the shortest form */
        {"\x01", 1, true, TERN_H3_FRAMES, 0},
        {"\x40\x54\x08", 3, false, TERN_H3_SESSION, 8},
        {"\x00", 1, false, TERN_H3_CONTROL, 0},
        {"\x01", 1, false, TERN_H3_PUSH, 0},
        {"\x02", 1, false, TERN_H3_ENCODER, 0},
        {"\x03", 1, false, TERN_H3_DECODER, 0},
        {"\x40\x41", 2, false, TERN_H3_UNKNOWN, 0},
        {"\x21", 1, false, TERN_H3_UNKNOWN, 0},
    };
    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        tern_h3_prefix p = {.n = 0};
        const uint8_t *bytes = (const uint8_t *)rows[i].bytes;
        size_t used;
        for (size_t at = 0; at + 1 < rows[i].n; at++) {
            assert_int_equal(tern_h3_prefix_feed(&p, rows[i].both_ways, bytes + at, 1, &used),
                             TERN_H3_UNDECIDED);
        }
        assert_int_equal(
            tern_h3_prefix_feed(&p, rows[i].both_ways, bytes + rows[i].n - 1, 1, &used),
            rows[i].kind);
        assert_int_equal(p.session, rows[i].session);
        /* at once, with something behind it */
        uint8_t longer[16] = {0};
        memcpy(longer, bytes, rows[i].n);
        p.n = 0;
        assert_int_equal(tern_h3_prefix_feed(&p, rows[i].both_ways, longer, sizeof longer, &used),
                         rows[i].kind);
        assert_int_equal(used, rows[i].n);
    }
    uint8_t out[16];
    assert_int_equal(tern_h3_prefix_put(out, 0), 3);
    assert_memory_equal(out, "\x40\x41\x00", 3);
}

/* The same items whatever the cuts. */
static void frames(void **state)
{
    static const uint8_t stream[] = {0x01, 3, 'a', 'b', 'c', 0x21, 2,   'x',  'y', 0x00,
                                     0,    0, 4,   '1', '2', '3',  '4', 0x01, 0};
    (void)state;
    for (size_t cut = 1; cut <= sizeof stream; cut++) {
        tern_h3_reader r;
        char seen[64] = "";
        tern_h3_reader_init(&r, tern_h3_most_of_request);
        for (size_t at = 0; at < sizeof stream; at += cut) {
            size_t n = cut < sizeof stream - at ? cut : sizeof stream - at;
            tern_span data = {stream + at, n};
            tern_h3_item item;
            int e;
            while ((e = tern_h3_next(&r, &data, &item)) == 1) {
                size_t len = strlen(seen);
                if (item.begins) {
                    len += (size_t)sprintf(seen + len, "[%u]", (unsigned)item.type);
                }
                memcpy(seen + len, item.value.data, item.value.len);
                seen[len + item.value.len] = 0;
            }
            assert_int_equal(e, 0);
            assert_int_equal(data.len, 0);
        }
        assert_string_equal(seen, "[1]abc[33]xy[0][0]1234[1]");
        assert_true(tern_h3_reader_between(&r));
        tern_h3_reader_clear(&r);
    }
}

static void frames_beyond_limits(void **state)
{
    tern_h3_reader r;
    tern_h3_item item;
    uint8_t head[16];
    (void)state;
    tern_h3_reader_init(&r, tern_h3_most_of_request);
    size_t n = tern_h3_head_put(head, TERN_H3_HEADERS, TERN_H3_FIELDS_MAX + 1);
    tern_span data = {head, n};
    assert_int_equal(tern_h3_next(&r, &data, &item), TERN_E_TOO_LARGE);
    tern_h3_reader_clear(&r);
    /* data may be of any length: nothing is kept */
    tern_h3_reader_init(&r, tern_h3_most_of_request);
    n = tern_h3_head_put(head, TERN_H3_DATA, (UINT64_C(1) << 62) - 1);
    data = (tern_span){head, n};
    assert_int_equal(tern_h3_next(&r, &data, &item), 1);
    assert_false(tern_h3_reader_between(&r));
    tern_h3_reader_clear(&r);
    tern_h3_reader_init(&r, tern_h3_most_of_capsule);
    n = tern_h3_head_put(head, TERN_WT_CLOSE, TERN_H3_CLOSE_MAX + 1);
    data = (tern_span){head, n};
    assert_int_equal(tern_h3_next(&r, &data, &item), TERN_E_TOO_LARGE);
    tern_h3_reader_clear(&r);
}

static void settings(void **state)
{
    static const struct {
        const char *bytes;
        size_t n;
        uint64_t code;
    } rows[] = {
        {"", 0, 0},
        {"\x08\x01\x33\x01", 4, 0},
        {"\x01\x00\x07\x00\x40\x40\x05", 7, 0},  /* unknown ones are nothing */
        {"\x08", 1, TERN_H3_FRAME_ERROR},        /* no value */
        {"\x08\x40", 2, TERN_H3_FRAME_ERROR},    /* half a value */
        {"\x08\x02", 2, TERN_H3_SETTINGS_ERROR}, /* a flag of two */
        {"\x33\x02", 2, TERN_H3_SETTINGS_ERROR},
        {"\x08\x01\x08\x01", 4, TERN_H3_SETTINGS_ERROR}, /* twice */
        {"\x06\x01\x08\x01\x40\x06\x01", 7, TERN_H3_SETTINGS_ERROR},
        {"\x02\x00", 2, TERN_H3_SETTINGS_ERROR}, /* HTTP/2's */
        {"\x05\x00", 2, TERN_H3_SETTINGS_ERROR},
    };
    uint8_t out[TERN_H3_OPENING_MAX];
    tern_h3_settings s;
    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        tern_span v = {(const uint8_t *)rows[i].bytes, rows[i].n};
        assert_int_equal(tern_h3_settings_read(v, &s), rows[i].code);
    }
    size_t n = tern_h3_opening(out, true);
    assert_true(n <= sizeof out);
    assert_int_equal(out[0], 0);
    assert_int_equal(out[1], TERN_H3_SETTINGS);
    assert_int_equal(out[2], n - 3);
    assert_int_equal(tern_h3_settings_read((tern_span){out + 3, n - 3}, &s), 0);
    assert_true(s.connect && s.datagram && s.sessions);
}

static void qpack_streams(void **state)
{
    uint8_t long_int[12] = {0x7f, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0};
    uint8_t s = 0;
    (void)state;
    assert_true(tern_qpack_encoder_says_nothing((tern_span){(const uint8_t *)"\x20\x20", 2}));
    assert_false(tern_qpack_encoder_says_nothing((tern_span){(const uint8_t *)"\x20\x3f", 2}));
    assert_false(tern_qpack_encoder_says_nothing((tern_span){(const uint8_t *)"\xc0", 1}));
    assert_true(tern_qpack_decoder_cancels(&s, (tern_span){(const uint8_t *)"\x44\x7f", 2}));
    assert_true(tern_qpack_decoder_cancels(&s, (tern_span){(const uint8_t *)"\x80\x01\x40", 3}));
    assert_false(tern_qpack_decoder_cancels(&s, (tern_span){(const uint8_t *)"\x84", 1}));
    s = 0;
    assert_false(tern_qpack_decoder_cancels(&s, (tern_span){(const uint8_t *)"\x01", 1}));
    s = 0;
    assert_false(tern_qpack_decoder_cancels(&s, (tern_span){long_int, sizeof long_int}));
}

/* ---- fields ---- */

static tern_span section_of(const tern_buf *frame)
{
    uint64_t type, len;
    const uint8_t *p = tern_buf_data(frame);
    size_t n = tern_buf_len(frame), at = tern_h3_int_get(p, n, &type);
    at += tern_h3_int_get(p + at, n - at, &len);
    assert_int_equal(type, TERN_H3_HEADERS);
    assert_int_equal(len, n - at);
    return (tern_span){p + at, n - at};
}

static void fields_there_and_back(void **state)
{
    tern_buf b;
    tern_h3_fields f;
    (void)state;
    tern_buf_init(&b, 0);
    assert_int_equal(tern_h3_put_connect(&b, "10.0.0.2:4001", "/somewhere?a=b"), 0);
    assert_int_equal(tern_h3_fields_read(section_of(&b), true, &f), 0);
    assert_string_equal(f.method, "CONNECT");
    assert_string_equal(f.protocol, "webtransport");
    assert_string_equal(f.scheme, "https");
    assert_string_equal(f.authority, "10.0.0.2:4001");
    assert_string_equal(f.path, "/somewhere?a=b");
    assert_true(f.draft02);
    assert_int_equal(tern_h3_fields_read(section_of(&b), false, &f), TERN_H3_MESSAGE_ERROR);
    tern_buf_free(&b);
    assert_int_equal(tern_h3_put_status(&b, 431, false), 0);
    assert_int_equal(tern_h3_fields_read(section_of(&b), false, &f), 0);
    assert_int_equal(f.status, 431);
    tern_buf_free(&b);
}

/* Literal field lines (RFC 9204, section 4.5.6), so that a test can say anything. */
static size_t line(uint8_t *out, const char *name, const char *value)
{
    size_t n = strlen(name), v = strlen(value), at = 0;
    out[at++] = (uint8_t)(0x20 | (n < 7 ? n : 7));
    if (n >= 7) {
        out[at++] = (uint8_t)(n - 7);
    }
    memcpy(out + at, name, n);
    at += n;
    out[at++] = (uint8_t)(v < 127 ? v : 127);
    if (v >= 127) {
        size_t rest = v - 127;
        while (rest >= 128) {
            out[at++] = (uint8_t)(rest % 128 | 0x80);
            rest /= 128;
        }
        out[at++] = (uint8_t)rest;
    }
    memcpy(out + at, value, v);
    return at + v;
}

static void malformed_fields(void **state)
{
    static char long_path[TERN_H3_PATH_MAX + 1];
    static const char *const rows[][5] = {
        {":method", "GET", ":method", "GET", NULL},      /* twice */
        {"a", "b", ":method", "GET", NULL},              /* a pseudo-header field behind another */
        {":method", "GET", ":status", "200", NULL},      /* an answer's */
        {":method", "GET", ":new", "1", NULL},           /* nobody's */
        {":method", "GET", "Upper", "1", NULL},          /* not lower case */
        {":method", "GET", "connection", "close", NULL}, /* HTTP/1's */
        {"a", "b", "c", "d", NULL},                      /* no method */
    };
    uint8_t out[2048];
    tern_h3_fields f;
    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        size_t n = 2;
        memset(out, 0, 2);
        for (size_t j = 0; rows[i][j] != NULL; j += 2) {
            n += line(out + n, rows[i][j], rows[i][j + 1]);
        }
        assert_int_equal(tern_h3_fields_read((tern_span){out, n}, true, &f), TERN_H3_MESSAGE_ERROR);
    }
    memset(long_path, 'p', sizeof long_path - 1);
    size_t n = 2 + line(out + 2, ":path", long_path);
    assert_int_equal(tern_h3_fields_read((tern_span){out, n}, true, &f), TERN_H3_EXCESSIVE_LOAD);
    /* QPACK's: a reference to a dynamic table, a static index that is none, cut off */
    assert_int_equal(tern_h3_fields_read((tern_span){(const uint8_t *)"\x02\x00\x80", 3}, true, &f),
                     TERN_QPACK_FAILED);
    assert_int_equal(tern_h3_fields_read((tern_span){(const uint8_t *)"\0\0\xff\x40", 4}, true, &f),
                     TERN_QPACK_FAILED);
    assert_int_equal(tern_h3_fields_read((tern_span){(const uint8_t *)"\0", 1}, true, &f),
                     TERN_QPACK_FAILED);
    assert_int_equal(tern_h3_fields_read((tern_span){NULL, 0}, true, &f), TERN_QPACK_FAILED);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(integers),
        cmocka_unit_test(codes),
        cmocka_unit_test(beginnings),
        cmocka_unit_test(frames),
        cmocka_unit_test(frames_beyond_limits),
        cmocka_unit_test(settings),
        cmocka_unit_test(qpack_streams),
        cmocka_unit_test(fields_there_and_back),
        cmocka_unit_test(malformed_fields),
    };
    return TERN_TEST_MAIN(tests);
}
