/* HTTP/1.1 heads (RFC 9112 sections 2 to 5): lines in place, then names and values in place.
 *
 *      GET /chat HTTP/1.1 CRLF        the first line
 *      Host: example.org CRLF         fields
 *      CRLF                           the end
 *
 * A head is parsed from its start each time more bytes came; as it is at most 8 KiB, that is
 * cheaper than keeping state. Bytes that can belong to no head fail at once and not only with the
 * last line, so that a peer who speaks something else is not waited for. */
#include "codec/http1.h"

#include <tern/error.h>

typedef struct line {
    const uint8_t *p;
    size_t n; /* without its end */
} line;

/* Takes the next line from p[*at..n). Returns 1, 0 if it has not ended yet, or TERN_E_MALFORMED. */
static int next_line(const uint8_t *p, size_t n, size_t *at, line *ret)
{
    for (size_t i = *at; i < n; i++) {
        if (p[i] == '\n') {
            *ret = (line){p + *at, i - *at};
            if (ret->n > 0 && p[i - 1] == '\r') {
                ret->n--;
            }
            *at = i + 1;
            return 1;
        }
        bool control = (p[i] < 0x20 && p[i] != '\t') || p[i] == 0x7f;
        bool line_end = p[i] == '\r' && (i + 1 == n || p[i + 1] == '\n');
        if (control && !line_end) {
            return TERN_E_MALFORMED;
        }
    }
    return 0;
}

static uint8_t lower(uint8_t c)
{
    return c >= 'A' && c <= 'Z' ? (uint8_t)(c + ('a' - 'A')) : c;
}

/* Token characters of RFC 9110 section 5.6.2. */
static bool is_token_char(uint8_t c)
{
    return (c >= '0' && c <= '9') || (lower(c) >= 'a' && lower(c) <= 'z') ||
           (c != '\0' && strchr("!#$%&'*+-.^_`|~", c) != NULL);
}

static size_t token_len(const uint8_t *p, size_t n)
{
    size_t i = 0;
    while (i < n && is_token_char(p[i])) {
        i++;
    }
    return i;
}

/* "HTTP/1." and a digit, exactly n bytes. Returns the digit or -1. */
static int version_of(const uint8_t *p, size_t n)
{
    bool ok = n == 8 && memcmp(p, "HTTP/1.", 7) == 0 && p[7] >= '0' && p[7] <= '9';
    return ok ? p[7] - '0' : -1;
}

static bool parse_request_line(line l, tern_http1_head *h)
{
    size_t method = token_len(l.p, l.n);
    if (method == 0 || method == l.n || l.p[method] != ' ') {
        return false;
    }
    const uint8_t *target = l.p + method + 1;
    size_t left = l.n - method - 1, n = 0;
    while (n < left && target[n] > ' ' && target[n] < 0x7f) {
        n++;
    }
    if (n == 0 || n == left || target[n] != ' ') {
        return false;
    }
    h->method = (tern_span){l.p, method};
    h->target = (tern_span){target, n};
    h->minor = version_of(target + n + 1, left - n - 1);
    return h->minor >= 0;
}

static bool parse_status_line(line l, tern_http1_head *h)
{
    /* The space before an empty reason is often left out. */
    if (l.n < 12 || l.p[8] != ' ' || (l.n > 12 && l.p[12] != ' ')) {
        return false;
    }
    int status = 0;
    for (size_t i = 9; i < 12; i++) {
        if (l.p[i] < '0' || l.p[i] > '9') {
            return false;
        }
        status = status * 10 + (l.p[i] - '0');
    }
    h->status = status;
    h->minor = version_of(l.p, 8);
    return h->minor >= 0 && status >= 100 && status <= 599;
}

static bool is_blank(uint8_t c)
{
    return c == ' ' || c == '\t';
}

static tern_span trimmed(const uint8_t *p, size_t n)
{
    while (n > 0 && is_blank(p[0])) {
        p++;
        n--;
    }
    while (n > 0 && is_blank(p[n - 1])) {
        n--;
    }
    return (tern_span){p, n};
}

static int parse_field(line l, tern_http1_head *h)
{
    size_t name = token_len(l.p, l.n);
    if (name == 0 || name == l.n || l.p[name] != ':') {
        return TERN_E_MALFORMED;
    }
    if (h->field_count == TERN_HTTP1_FIELDS_MAX) {
        return TERN_E_TOO_LARGE;
    }
    h->fields[h->field_count++] = (tern_http1_field){
        .name = {l.p, name},
        .value = trimmed(l.p + name + 1, l.n - name - 1),
    };
    return 0;
}

static ssize_t parse_head(const uint8_t *p, size_t n, tern_http1_head *ret,
                          bool (*parse_first)(line, tern_http1_head *))
{
    size_t within = n < TERN_HTTP1_HEAD_MAX ? n : TERN_HTTP1_HEAD_MAX, at = 0;
    ret->method = ret->target = (tern_span){0};
    ret->status = ret->minor = 0;
    ret->field_count = 0;
    for (bool first = true;; first = false) {
        line l;
        int got = next_line(p, within, &at, &l);
        if (got < 0) {
            return got;
        }
        if (got == 0) {
            return n < TERN_HTTP1_HEAD_MAX ? 0 : TERN_E_TOO_LARGE;
        }
        if (first) {
            if (!parse_first(l, ret)) {
                return TERN_E_MALFORMED;
            }
        } else if (l.n == 0) {
            return (ssize_t)at;
        } else {
            int code = parse_field(l, ret);
            if (code != 0) {
                return code;
            }
        }
    }
}

ssize_t tern_http1_request(const uint8_t *p, size_t n, tern_http1_head *ret)
{
    return parse_head(p, n, ret, parse_request_line);
}

ssize_t tern_http1_response(const uint8_t *p, size_t n, tern_http1_head *ret)
{
    return parse_head(p, n, ret, parse_status_line);
}

bool tern_span_is(tern_span s, const char *text)
{
    return s.len == strlen(text) && (s.len == 0 || memcmp(s.data, text, s.len) == 0);
}

bool tern_span_is_nocase(tern_span s, const char *text)
{
    if (s.len != strlen(text)) {
        return false;
    }
    for (size_t i = 0; i < s.len; i++) {
        if (lower(s.data[i]) != lower((uint8_t)text[i])) {
            return false;
        }
    }
    return true;
}

bool tern_http1_field_get(const tern_http1_head *h, const char *name, tern_span *ret)
{
    const tern_http1_field *found = NULL;
    for (size_t i = 0; i < h->field_count; i++) {
        if (tern_span_is_nocase(h->fields[i].name, name)) {
            if (found != NULL) {
                return false;
            }
            found = &h->fields[i];
        }
    }
    if (found != NULL) {
        *ret = found->value;
    }
    return found != NULL;
}

static bool list_has(tern_span list, const char *token)
{
    const uint8_t *p = list.data;
    size_t left = list.len;
    for (;;) {
        const uint8_t *comma = left > 0 ? memchr(p, ',', left) : NULL;
        size_t n = comma != NULL ? (size_t)(comma - p) : left;
        if (tern_span_is_nocase(trimmed(p, n), token)) {
            return true;
        }
        if (comma == NULL) {
            return false;
        }
        p = comma + 1;
        left -= n + 1;
    }
}

bool tern_http1_has_token(const tern_http1_head *h, const char *name, const char *token)
{
    for (size_t i = 0; i < h->field_count; i++) {
        if (tern_span_is_nocase(h->fields[i].name, name) && list_has(h->fields[i].value, token)) {
            return true;
        }
    }
    return false;
}
