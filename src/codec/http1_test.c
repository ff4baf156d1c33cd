/* HTTP/1.1 heads: requests and responses, each also byte by byte; malformed ones; bounds. */
#include "codec/http1.h"

#include <stdio.h>

#include <tern/error.h>

#include "base/test.h"

typedef ssize_t parse_fn(const uint8_t *p, size_t n, tern_http1_head *ret);

/* Parses text in every shorter form first: each must ask for more, and only the whole head is one.
 */
static ssize_t parse_stepwise(parse_fn *parse, const char *text, size_t n, tern_http1_head *ret)
{
    for (size_t cut = 0; cut <= n; cut++) {
        /* A block of exactly this size, so that reading beyond it is noticed. */
        uint8_t *copy = tern_memdup(text, cut);
        ssize_t got = parse(copy, cut, ret);
        tern_free(copy);
        if (got != 0) {
            /* Fields point into what is parsed: the result is over the caller's text. */
            return parse((const uint8_t *)text, cut, ret) == got ? got : -1000;
        }
    }
    return 0;
}

static ssize_t request(const char *text, tern_http1_head *ret)
{
    return parse_stepwise(tern_http1_request, text, strlen(text), ret);
}

static ssize_t response(const char *text, tern_http1_head *ret)
{
    return parse_stepwise(tern_http1_response, text, strlen(text), ret);
}

static const char upgrade[] = "GET /chat?x=1 HTTP/1.1\r\n"
                              "Host: server.example.com\r\n"
                              "Upgrade: websocket\r\n"
                              "Connection: keep-alive, Upgrade\r\n"
                              "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
                              "X-Empty:\r\n"
                              "X-Blank: \t  padded value \t \r\n"
                              "Sec-WebSocket-Version: 13\r\n"
                              "\r\n";

static void upgrade_request(void **state)
{
    (void)state;
    tern_http1_head h;
    tern_span value;
    assert_int_equal(request(upgrade, &h), sizeof upgrade - 1);
    assert_true(tern_span_is(h.method, "GET"));
    assert_true(tern_span_is(h.target, "/chat?x=1"));
    assert_int_equal(h.minor, 1);
    assert_int_equal(h.field_count, 7);
    assert_true(tern_http1_field_get(&h, "host", &value));
    assert_true(tern_span_is(value, "server.example.com"));
    assert_true(tern_http1_field_get(&h, "SEC-WEBSOCKET-KEY", &value));
    assert_true(tern_span_is(value, "dGhlIHNhbXBsZSBub25jZQ=="));
    assert_true(tern_http1_field_get(&h, "x-empty", &value));
    assert_int_equal(value.len, 0);
    assert_true(tern_http1_field_get(&h, "x-blank", &value));
    assert_true(tern_span_is(value, "padded value"));
    assert_false(tern_http1_field_get(&h, "origin", &value));
    assert_true(tern_http1_has_token(&h, "connection", "upgrade"));
    assert_true(tern_http1_has_token(&h, "connection", "keep-alive"));
    assert_false(tern_http1_has_token(&h, "connection", "keep"));
    assert_false(tern_http1_has_token(&h, "x-empty", "x"));
}

static void body_is_left_alone(void **state)
{
    (void)state;
    tern_http1_head h;
    static const char text[] = "POST / HTTP/1.0\r\nContent-Length: 3\r\n\r\n\x01\x02\x03";
    assert_int_equal(tern_http1_request((const uint8_t *)text, sizeof text - 1, &h),
                     sizeof text - 1 - 3);
    assert_int_equal(h.minor, 0);
}

static void bare_line_feeds_are_taken(void **state)
{
    (void)state;
    tern_http1_head h;
    assert_int_equal(request("GET / HTTP/1.1\nHost: a\n\n", &h), 24);
    assert_int_equal(h.field_count, 1);
    assert_int_equal(request("GET / HTTP/1.1\n\r\n", &h), 17);
    assert_int_equal(h.field_count, 0);
}

static void fields_given_twice(void **state)
{
    (void)state;
    tern_http1_head h;
    tern_span value;
    assert_true(request("GET / HTTP/1.1\r\nA: x , ,y\r\na: Z\r\nB: 1\r\n\r\n", &h) > 0);
    assert_false(tern_http1_field_get(&h, "A", &value));
    assert_true(tern_http1_field_get(&h, "B", &value));
    assert_true(tern_http1_has_token(&h, "A", "x"));
    assert_true(tern_http1_has_token(&h, "A", "y"));
    assert_true(tern_http1_has_token(&h, "A", "z"));
    assert_false(tern_http1_has_token(&h, "A", "1"));
}

static void responses(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        int status, minor;
    } cases[] = {
        {"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\n\r\n", 101, 1},
        {"HTTP/1.0 404 Not Found\r\n\r\n", 404, 0},
        {"HTTP/1.1 200 \r\n\r\n", 200, 1},
        {"HTTP/1.1 200\r\n\r\n", 200, 1},
        {"HTTP/1.1 599 caf\xc3\xa9\r\n\r\n", 599, 1},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        tern_http1_head h;
        assert_int_equal(response(cases[i].text, &h), strlen(cases[i].text));
        assert_int_equal(h.status, cases[i].status);
        assert_int_equal(h.minor, cases[i].minor);
    }
}

static void malformed_requests(void **state)
{
    (void)state;
    static const char *const wrong[] = {
        "\r\n",
        "\n",
        " GET / HTTP/1.1\r\n",
        "GET\r\n",
        "GET \r\n",
        "GET /\r\n",
        "GET / \r\n",
        "GET  / HTTP/1.1\r\n",
        "GET /  HTTP/1.1\r\n",
        "GET / HTTP/1.1 \r\n",
        "GET / HTTP/2.0\r\n",
        "GET / HTTP/1.x\r\n",
        "GET / HTTP/1.\r\n",
        "GET / HTTP/1.11\r\n",
        "GET / http/1.1\r\n",
        "GET /a b HTTP/1.1\r\n",
        "GET /\tb HTTP/1.1\r\n",
        "GET /\x80 HTTP/1.1\r\n",
        "GET /\x7f HTTP/1.1\r\n",
        "G(T / HTTP/1.1\r\n",
        "G\xc3T / HTTP/1.1\r\n",
        "GET / HTTP/1.1\rHost: a\r\n",
        "GET / HTTP/1.1\r\r\n",
        "\x13/multistream/1.0.0\n",
        "\x16\x03\x01",
        "GET / HTTP/1.1\r\nHost\r\n",
        "GET / HTTP/1.1\r\n: a\r\n",
        "GET / HTTP/1.1\r\nHost : a\r\n",
        "GET / HTTP/1.1\r\n Host: a\r\n",
        "GET / HTTP/1.1\r\nHost: a\r\n folded\r\n",
        "GET / HTTP/1.1\r\nHost: a\r\n\tfolded\r\n",
        "GET / HTTP/1.1\r\nHo st: a\r\n",
        "GET / HTTP/1.1\r\nHo\"st: a\r\n",
        "GET / HTTP/1.1\r\nHost: a\x01\r\n",
        "GET / HTTP/1.1\r\nHost: a\x7f\r\n",
        "GET / HTTP/1.1\r\nHost: a\rb\r\n",
        "GET / HTTP/1.1\r\nHost: a\r\r\n",
        "GET / HTTP/1.1\r\nH\xf6st: a\r\n",
    };
    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
        tern_http1_head h;
        ssize_t got = request(wrong[i], &h);
        if (got != TERN_E_MALFORMED) {
            fail_msg("request %zu gives %zd", i, got);
        }
    }
    tern_http1_head h;
    assert_int_equal(parse_stepwise(tern_http1_request, "GET / HTTP/1.1\r\nA: \0\r\n", 22, &h),
                     TERN_E_MALFORMED);
    assert_int_equal(parse_stepwise(tern_http1_request, "GET\0/ HTTP/1.1\r\n", 16, &h),
                     TERN_E_MALFORMED);
}

static void malformed_responses(void **state)
{
    (void)state;
    static const char *const wrong[] = {
        "HTTP/1.1\r\n",         "HTTP/1.1 \r\n",        "HTTP/1.1 99\r\n",
        "HTTP/1.1 099 x\r\n",   "HTTP/1.1 600 x\r\n",   "HTTP/1.1 2000\r\n",
        "HTTP/1.1 20x OK\r\n",  "HTTP/1.1  200 OK\r\n", "HTTP/2.0 200 OK\r\n",
        "ICY 200 OK\r\n",       "HTTP/1.1 -20 OK\r\n",  "HTTP/1.1\t200 OK\r\n",
        "HTTP/1.1 200\tOK\r\n", "GET / HTTP/1.1\r\n",   "HTTP/1.1 200 O\x01K\r\n",
    };
    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
        tern_http1_head h;
        ssize_t got = response(wrong[i], &h);
        if (got != TERN_E_MALFORMED) {
            fail_msg("response %zu gives %zd", i, got);
        }
    }
}

static size_t long_head(char *out, size_t fields, size_t last_value)
{
    size_t n = (size_t)sprintf(out, "GET / HTTP/1.1\r\n");
    for (size_t i = 0; i < fields; i++) {
        n += (size_t)sprintf(out + n, "A%zu: ", i);
        memset(out + n, 'v', i + 1 == fields ? last_value : 1);
        n += i + 1 == fields ? last_value : 1;
        n += (size_t)sprintf(out + n, "\r\n");
    }
    return n + (size_t)sprintf(out + n, "\r\n");
}

static void bounds(void **state)
{
    (void)state;
    static char text[TERN_HTTP1_HEAD_MAX + 100];
    tern_http1_head h;
    size_t n = long_head(text, TERN_HTTP1_FIELDS_MAX, 1);
    assert_int_equal(tern_http1_request((uint8_t *)text, n, &h), n);
    assert_int_equal(h.field_count, TERN_HTTP1_FIELDS_MAX);
    n = long_head(text, TERN_HTTP1_FIELDS_MAX + 1, 1);
    assert_int_equal(tern_http1_request((uint8_t *)text, n, &h), TERN_E_TOO_LARGE);

    size_t rest = long_head(text, 1, 0);
    n = long_head(text, 1, TERN_HTTP1_HEAD_MAX - rest);
    assert_int_equal(n, TERN_HTTP1_HEAD_MAX);
    assert_int_equal(tern_http1_request((uint8_t *)text, n, &h), n);
    assert_int_equal(tern_http1_request((uint8_t *)text, n - 1, &h), 0);
    n = long_head(text, 1, TERN_HTTP1_HEAD_MAX - rest + 1);
    assert_int_equal(tern_http1_request((uint8_t *)text, n, &h), TERN_E_TOO_LARGE);
    assert_int_equal(tern_http1_request((uint8_t *)text, TERN_HTTP1_HEAD_MAX, &h),
                     TERN_E_TOO_LARGE);
    memset(text, 'a', sizeof text); /* a line without end */
    assert_int_equal(tern_http1_request((uint8_t *)text, TERN_HTTP1_HEAD_MAX - 1, &h), 0);
    assert_int_equal(tern_http1_request((uint8_t *)text, sizeof text, &h), TERN_E_TOO_LARGE);
}

static void comparing_spans(void **state)
{
    (void)state;
    tern_span s = {(const uint8_t *)"WebSocket", 9}, none = {0};
    assert_true(tern_span_is(s, "WebSocket"));
    assert_false(tern_span_is(s, "websocket"));
    assert_false(tern_span_is(s, "WebSocket "));
    assert_true(tern_span_is_nocase(s, "websocket"));
    assert_false(tern_span_is_nocase(s, "websockex"));
    assert_true(tern_span_is(none, ""));
    assert_true(tern_span_is_nocase(none, ""));
    assert_false(tern_span_is(none, "a"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(upgrade_request),
        cmocka_unit_test(body_is_left_alone),
        cmocka_unit_test(bare_line_feeds_are_taken),
        cmocka_unit_test(fields_given_twice),
        cmocka_unit_test(responses),
        cmocka_unit_test(malformed_requests),
        cmocka_unit_test(malformed_responses),
        cmocka_unit_test(bounds),
        cmocka_unit_test(comparing_spans),
    };
    return TERN_TEST_MAIN(tests);
}
