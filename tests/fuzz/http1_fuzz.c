/* HTTP/1.1 heads: whatever arrives, the answer does not depend on how it was cut, and every part
 * lies within the head. */
#include <stdlib.h>

#include "codec/http1.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

typedef ssize_t parse_fn(const uint8_t *p, size_t n, tern_http1_head *ret);

static void check(bool ok)
{
    if (!ok) {
        abort();
    }
}

static void check_within(tern_span s, const uint8_t *p, size_t n)
{
    check(s.len == 0 || (s.data >= p && s.data + s.len <= p + n));
}

static void try_parse(parse_fn *parse, const uint8_t *data, size_t n)
{
    tern_http1_head h;
    ssize_t whole = parse(data, n, &h);
    check(whole <= (ssize_t)n && whole <= TERN_HTTP1_HEAD_MAX);
    if (whole > 0) {
        check_within(h.method, data, (size_t)whole);
        check_within(h.target, data, (size_t)whole);
        for (size_t i = 0; i < h.field_count; i++) {
            check(h.fields[i].name.len > 0);
            check_within(h.fields[i].name, data, (size_t)whole);
            check_within(h.fields[i].value, data, (size_t)whole);
        }
        tern_span value;
        (void)tern_http1_field_get(&h, "host", &value);
        (void)tern_http1_has_token(&h, "connection", "upgrade");
    }
    /* The first answer that is not "more" stays the answer. */
    for (size_t cut = 0; cut <= n && n < 512; cut++) {
        ssize_t got = parse(data, cut, &h);
        if (got != 0) {
            check(got == whole);
            break;
        }
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    try_parse(tern_http1_request, data, n);
    try_parse(tern_http1_response, data, n);
    return 0;
}
