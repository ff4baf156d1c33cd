/* WebSocket frames and handshake against RFC 6455: its examples, tables of what must be refused,
 * and every input once whole and once byte by byte. */
#include "transport/ws_core.h"

#include <stdio.h>

#include <tern/error.h>

#include "base/test.h"

/* What a reader made of an input, as a text: "D5 Hello" data, "P2", "O" pong, "C1000", "E-16". */
typedef struct heard {
    char log[400];
    uint8_t data[70000];
    size_t data_len;
    int code;
} heard;

static void note(heard *h, const tern_ws_event *event)
{
    char part[40] = "";
    switch (event->kind) {
    case TERN_WS_GOT_DATA:
        assert_true(event->n > 0 && h->data_len + event->n <= sizeof h->data);
        memcpy(h->data + h->data_len, event->data, event->n);
        h->data_len += event->n;
        break;
    case TERN_WS_GOT_PING:
        snprintf(part, sizeof part, "ping%zu ", event->n);
        break;
    case TERN_WS_GOT_PONG:
        snprintf(part, sizeof part, "pong%zu ", event->n);
        break;
    case TERN_WS_GOT_CLOSE:
        snprintf(part, sizeof part, "close%u ", (unsigned)event->code);
        break;
    }
    strncat(h->log, part, sizeof h->log - strlen(h->log) - 1);
}

/* Feeds a copy in pieces of `chunk`; stops at the first error. */
static void feed(heard *h, tern_ws_reader *r, const uint8_t *p, size_t n, size_t chunk)
{
    static uint8_t copy[70000];
    assert_true(n <= sizeof copy);
    memcpy(copy, p, n);
    for (size_t at = 0; at < n && h->code == 0;) {
        size_t end = at + (chunk < n - at ? chunk : n - at);
        while (at < end && h->code == 0) {
            tern_ws_event event;
            size_t used = SIZE_MAX;
            int got = tern_ws_read(r, copy + at, end - at, &used, &event);
            assert_true(used <= end - at);
            at += used;
            if (got == 1) {
                note(h, &event);
            } else if (got == 0) {
                assert_int_equal(at, end);
            } else {
                h->code = got;
            }
        }
    }
}

static void hear(heard *h, bool client, const char *hex, size_t chunk)
{
    static uint8_t bytes[70000];
    tern_ws_reader r;
    size_t n = tern_test_unhex(bytes, sizeof bytes, hex);
    memset(h, 0, sizeof *h);
    tern_ws_reader_init(&r, client);
    feed(h, &r, bytes, n, chunk);
}

/* RFC 6455 section 5.7, and what the sections before it allow. */
static void frames_that_are_good(void **state)
{
    (void)state;
    static const struct {
        bool client;
        const char *hex, *data, *log;
    } rows[] = {
        {true, "810548656c6c6f", "Hello", ""},
        {false, "818537fa213d7f9f4d5158", "Hello", ""},
        {true, "010348656c80026c6f", "Hello", ""},
        {true, "890548656c6c6f", "", "ping5 "},
        {false, "8a8537fa213d7f9f4d5158", "", "pong5 "},
        {true, "820548656c6c6f", "Hello", ""},
        {true, "8200820141", "A", ""},                     /* an empty message */
        {true, "02000000800141", "A", ""},                 /* empty fragments */
        {true, "0201418900000142800143", "ABC", "ping0 "}, /* a ping inside a message */
        {true, "8800", "", "close1005 "},
        {true, "880203e8", "", "close1000 "},
        {true, "880503e9627965", "", "close1001 "},
        {true, "88020fa0", "", "close4000 "},
        {true, "88020bb8", "", "close3000 "},
        {true, "880203f6", "", "close1014 "},
        {false, "888237fa213d3412", "", "close1000 "},
        {true, "880203e8ffffffff", "", "close1000 "}, /* nothing counts behind a close */
        {true, "020141880203e8", "A", "close1000 "},  /* also inside a message */
        {false, "8a8000000000", "", "pong0 "},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        for (size_t chunk = 1; chunk < 40; chunk += chunk == 1 ? 1 : 37) {
            static heard h;
            hear(&h, rows[i].client, rows[i].hex, chunk);
            assert_int_equal(h.code, 0);
            assert_int_equal(h.data_len, strlen(rows[i].data));
            assert_memory_equal(h.data, rows[i].data, h.data_len);
            assert_string_equal(h.log, rows[i].log);
        }
    }
}

static void frames_that_are_bad(void **state)
{
    (void)state;
    static const struct {
        bool client;
        const char *hex;
        int code;
        const char *what;
    } rows[] = {
        {true, "c10141", TERN_E_MALFORMED, "RSV1 (a compressed message)"},
        {true, "a10141", TERN_E_MALFORMED, "RSV2"},
        {true, "910141", TERN_E_MALFORMED, "RSV3"},
        {true, "830141", TERN_E_MALFORMED, "opcode 3"},
        {true, "870141", TERN_E_MALFORMED, "opcode 7"},
        {true, "8b00", TERN_E_MALFORMED, "opcode 11"},
        {true, "8f00", TERN_E_MALFORMED, "opcode 15"},
        {true, "8181000000007f", TERN_E_MALFORMED, "a masked frame from a server"},
        {false, "810141", TERN_E_MALFORMED, "an unmasked frame from a client"},
        {false, "8800", TERN_E_MALFORMED, "an unmasked close from a client"},
        {true, "817e007d", TERN_E_MALFORMED, "125 in 16 bits"},
        {true, "817f000000000000ffff", TERN_E_MALFORMED, "65535 in 64 bits"},
        {true, "817f0000000000000001", TERN_E_MALFORMED, "1 in 64 bits"},
        {true, "817f8000000000000000", TERN_E_TOO_LARGE, "2^63"},
        {true, "817fffffffffffffffff", TERN_E_TOO_LARGE, "2^64 - 1"},
        {true, "897e007e", TERN_E_TOO_LARGE, "a ping of 126"},
        {true, "887e007e", TERN_E_TOO_LARGE, "a close of 126"},
        {true, "8a7f0000000000010000", TERN_E_TOO_LARGE, "a pong of 65536"},
        {true, "0900", TERN_E_MALFORMED, "a fragmented ping"},
        {true, "0800", TERN_E_MALFORMED, "a fragmented close"},
        {true, "800141", TERN_E_PROTOCOL, "a continuation of nothing"},
        {true, "000141", TERN_E_PROTOCOL, "a continuation of nothing, unfinished"},
        {true, "820141800142", TERN_E_PROTOCOL, "a continuation behind a whole message"},
        {true, "020141820142", TERN_E_PROTOCOL, "a message inside a message"},
        {true, "010141010142", TERN_E_PROTOCOL, "a text inside a text"},
        {true, "880103", TERN_E_MALFORMED, "a close of one byte"},
        {true, "88020000", TERN_E_MALFORMED, "close 0"},
        {true, "880203e7", TERN_E_MALFORMED, "close 999"},
        {true, "880203ec", TERN_E_MALFORMED, "close 1004"},
        {true, "880203ed", TERN_E_MALFORMED, "close 1005"},
        {true, "880203ee", TERN_E_MALFORMED, "close 1006"},
        {true, "880203f7", TERN_E_MALFORMED, "close 1015"},
        {true, "880207d0", TERN_E_MALFORMED, "close 2000"},
        {true, "88021388", TERN_E_MALFORMED, "close 5000"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        for (size_t chunk = 1; chunk < 40; chunk += chunk == 1 ? 1 : 37) {
            static heard h;
            hear(&h, rows[i].client, rows[i].hex, chunk);
            if (h.code != rows[i].code) {
                fail_msg("%s: %d instead of %d", rows[i].what, h.code, rows[i].code);
            }
        }
    }
}

/* A length that never comes to its end costs nothing and streams through. */
static void a_frame_longer_than_any_buffer(void **state)
{
    (void)state;
    static heard h;
    tern_ws_reader r;
    uint8_t head[] = {0x82, 127, 0x7f, 255, 255, 255, 255, 255, 255, 255};
    static uint8_t block[60000];
    memset(&h, 0, sizeof h);
    memset(block, 7, sizeof block);
    tern_ws_reader_init(&r, true);
    feed(&h, &r, head, sizeof head, 3);
    feed(&h, &r, block, sizeof block, 1024);
    assert_int_equal(h.code, 0);
    assert_int_equal(h.data_len, sizeof block);
    assert_memory_equal(h.data, block, sizeof block);
    assert_false(tern_ws_reader_at_border(&r));
}

static void borders(void **state)
{
    (void)state;
    static const struct {
        const char *hex;
        bool border;
    } rows[] = {
        {"", true},        {"82", false},       {"8201", false},        {"820141", true},
        {"020141", false}, {"02014180", false}, {"02014180015a", true}, {"8800", true},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        uint8_t bytes[16];
        static heard h;
        tern_ws_reader r;
        memset(&h, 0, sizeof h);
        tern_ws_reader_init(&r, true);
        feed(&h, &r, bytes, tern_test_unhex(bytes, sizeof bytes, rows[i].hex), 16);
        assert_int_equal(tern_ws_reader_at_border(&r), rows[i].border);
    }
}

/* Every length around a change of form, written, and read back in pieces of many sizes. */
static void written_frames_are_read(void **state)
{
    (void)state;
    static const size_t sizes[] = {0, 1, 7, 8, 9, 125, 126, 127, 1000, 65535, 65536, 65537};
    static const uint8_t key[TERN_WS_KEY] = {0x37, 0xfa, 0x21, 0x3d};
    static uint8_t payload[65537], frame[65537 + TERN_WS_HEAD_MAX];
    for (size_t i = 0; i < sizeof payload; i++) {
        payload[i] = (uint8_t)(i * 31 + (i >> 8));
    }
    for (size_t i = 0; i < 2 * (sizeof sizes / sizeof *sizes); i++) {
        size_t n = sizes[i / 2];
        const uint8_t *mask = i % 2 ? key : NULL;
        size_t head = tern_ws_write_head(frame, TERN_WS_BINARY, n, mask);
        assert_int_equal(head, tern_ws_head_len(n, mask != NULL));
        memcpy(frame + head, payload, n);
        if (mask != NULL) {
            tern_ws_mask(frame + head, frame + head, n, key, 0);
        }
        for (size_t chunk = 1; chunk < 100000; chunk = chunk * 3 + 2) {
            static heard h;
            tern_ws_reader r;
            memset(&h, 0, sizeof h);
            tern_ws_reader_init(&r, mask == NULL);
            feed(&h, &r, frame, head + n, chunk);
            assert_int_equal(h.code, 0);
            assert_int_equal(h.data_len, n);
            assert_memory_equal(h.data, payload, n);
            assert_true(tern_ws_reader_at_border(&r));
        }
    }
}

static void masking(void **state)
{
    (void)state;
    static const uint8_t key[TERN_WS_KEY] = {1, 20, 99, 255};
    uint8_t plain[70], once[70], parts[70];
    for (size_t i = 0; i < sizeof plain; i++) {
        plain[i] = (uint8_t)(i * 5);
    }
    assert_int_equal(tern_ws_mask(once, plain, sizeof plain, key, 0), sizeof plain & 3);
    for (size_t i = 0; i < sizeof plain; i++) {
        assert_int_equal(once[i], plain[i] ^ key[i & 3]);
    }
    for (size_t cut = 0; cut <= sizeof plain; cut++) {
        unsigned phase = tern_ws_mask(parts, plain, cut, key, 0);
        tern_ws_mask(parts + cut, plain + cut, sizeof plain - cut, key, phase);
        assert_memory_equal(parts, once, sizeof once);
    }
}

static void control_frames(void **state)
{
    (void)state;
    static const uint8_t key[TERN_WS_KEY] = {0x37, 0xfa, 0x21, 0x3d};
    uint8_t out[TERN_WS_CONTROL_FRAME_MAX], expected[16];
    size_t n = tern_ws_write_control(out, TERN_WS_PING, "Hello", 5, NULL);
    assert_int_equal(n, tern_test_unhex(expected, sizeof expected, "890548656c6c6f"));
    assert_memory_equal(out, expected, n);
    n = tern_ws_write_control(out, TERN_WS_PONG, "Hello", 5, key);
    assert_int_equal(n, tern_test_unhex(expected, sizeof expected, "8a8537fa213d7f9f4d5158"));
    assert_memory_equal(out, expected, n);
    static uint8_t most[TERN_WS_CONTROL_MAX];
    assert_int_equal(tern_ws_write_control(out, TERN_WS_PONG, most, sizeof most, key), sizeof out);
}

/* ---- the handshake ---- */

static void accept_of_the_rfc(void **state)
{
    (void)state;
    char accept[TERN_WS_ACCEPT_TEXT], key[TERN_WS_KEY_TEXT];
    tern_span span = {(const uint8_t *)"dGhlIHNhbXBsZSBub25jZQ==", 24};
    assert_int_equal(tern_ws_accept_text(span, accept), 0);
    assert_string_equal(accept, "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=");
    tern_ws_key_text((const uint8_t *)"the sample nonce", key);
    assert_string_equal(key, "dGhlIHNhbXBsZSBub25jZQ==");
}

#define GET     "GET /chat HTTP/1.1\r\n"
#define HOST    "Host: example.com:8000\r\n"
#define UPGRADE "Upgrade: websocket\r\n"
#define CONN    "Connection: Upgrade\r\n"
#define KEY     "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
#define VERSION "Sec-WebSocket-Version: 13\r\n"
#define END     "\r\n"

static int check_request(const char *text)
{
    tern_http1_head head;
    char accept[TERN_WS_ACCEPT_TEXT] = "";
    assert_int_equal(tern_http1_request((const uint8_t *)text, strlen(text), &head), strlen(text));
    int status = tern_ws_check_request(&head, accept);
    if (status == 0) {
        assert_string_equal(accept, "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=");
    }
    return status;
}

static void requests(void **state)
{
    (void)state;
    static const struct {
        int status;
        const char *text;
    } rows[] = {
        {0, GET HOST UPGRADE CONN KEY VERSION END},
        {0, GET HOST "upgrade: WebSocket\r\nconnection: keep-alive, UPGRADE\r\n" KEY VERSION END},
        {0, GET HOST UPGRADE CONN KEY VERSION
         "Origin: https://evil.example\r\nSec-WebSocket-Extensions: permessage-deflate\r\n"
         "Sec-WebSocket-Protocol: x\r\n" END},
        {0, GET HOST "Upgrade: h2c, websocket\r\n" CONN KEY VERSION END},
        {400, "GET / HTTP/1.0\r\n" HOST UPGRADE CONN KEY VERSION END},
        {400, "POST / HTTP/1.1\r\n" HOST UPGRADE CONN KEY VERSION END},
        {400, "get / HTTP/1.1\r\n" HOST UPGRADE CONN KEY VERSION END},
        {400, "GET / HTTP/1.2\r\n" HOST UPGRADE CONN KEY VERSION END},
        {400, GET UPGRADE CONN KEY VERSION END},
        {400, GET HOST HOST UPGRADE CONN KEY VERSION END},
        {400, GET HOST CONN KEY VERSION END},
        {400, GET HOST "Upgrade: websockets\r\n" CONN KEY VERSION END},
        {400, GET HOST UPGRADE KEY VERSION END},
        {400, GET HOST UPGRADE "Connection: close\r\n" KEY VERSION END},
        {400, GET HOST UPGRADE CONN VERSION END},
        {400, GET HOST UPGRADE CONN KEY KEY VERSION END},
        {400, GET HOST UPGRADE CONN "Sec-WebSocket-Key: \r\n" VERSION END},
        {400, GET HOST UPGRADE CONN "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ\r\n" VERSION END},
        {400, GET HOST UPGRADE CONN "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZSE=\r\n" VERSION END},
        {400, GET HOST UPGRADE CONN "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25j!Q==\r\n" VERSION END},
        {400, GET HOST UPGRADE CONN "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZR==\r\n" VERSION END},
        {426, GET HOST UPGRADE CONN KEY END},
        {426, GET HOST UPGRADE CONN KEY "Sec-WebSocket-Version: 8\r\n" END},
        {426, GET HOST UPGRADE CONN KEY "Sec-WebSocket-Version: 13, 8\r\n" END},
        {426, GET HOST UPGRADE CONN KEY "Sec-WebSocket-Version: 013\r\n" END},
        {426, GET HOST UPGRADE CONN KEY VERSION VERSION END},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        int status = check_request(rows[i].text);
        if (status != rows[i].status) {
            fail_msg("%d instead of %d for %s", status, rows[i].status, rows[i].text);
        }
    }
}

#define SWITCH "HTTP/1.1 101 Switching Protocols\r\n"
#define ACCEPT "Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n"

static void responses(void **state)
{
    (void)state;
    static const struct {
        bool good;
        const char *text;
    } rows[] = {
        {true, SWITCH UPGRADE CONN ACCEPT END},
        {true, SWITCH "UPGRADE: WebSocket\r\nCONNECTION: upgrade\r\n" ACCEPT "Server: x\r\n" END},
        {false, "HTTP/1.0 101 Switching Protocols\r\n" UPGRADE CONN ACCEPT END},
        {false, "HTTP/1.1 200 OK\r\n" UPGRADE CONN ACCEPT END},
        {false, "HTTP/1.1 301 Moved\r\nLocation: /x\r\n" UPGRADE CONN ACCEPT END},
        {false, SWITCH CONN ACCEPT END},
        {false, SWITCH "Upgrade: h2c\r\n" CONN ACCEPT END},
        {false, SWITCH UPGRADE ACCEPT END},
        {false, SWITCH UPGRADE CONN END},
        {false, SWITCH UPGRADE CONN ACCEPT ACCEPT END},
        {false, SWITCH UPGRADE CONN "Sec-WebSocket-Accept: S3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n" END},
        {false, SWITCH UPGRADE CONN ACCEPT "Sec-WebSocket-Extensions: permessage-deflate\r\n" END},
        {false, SWITCH UPGRADE CONN ACCEPT "Sec-WebSocket-Protocol: chat\r\n" END},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        tern_http1_head head;
        size_t n = strlen(rows[i].text);
        assert_int_equal(tern_http1_response((const uint8_t *)rows[i].text, n, &head), n);
        const char *wrong = tern_ws_check_response(&head, "dGhlIHNhbXBsZSBub25jZQ==");
        if ((wrong == NULL) != rows[i].good) {
            fail_msg("%s for %s", wrong != NULL ? wrong : "taken", rows[i].text);
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(frames_that_are_good),
        cmocka_unit_test(frames_that_are_bad),
        cmocka_unit_test(a_frame_longer_than_any_buffer),
        cmocka_unit_test(borders),
        cmocka_unit_test(written_frames_are_read),
        cmocka_unit_test(masking),
        cmocka_unit_test(control_frames),
        cmocka_unit_test(accept_of_the_rfc),
        cmocka_unit_test(requests),
        cmocka_unit_test(responses),
    };
    return TERN_TEST_MAIN(tests);
}
