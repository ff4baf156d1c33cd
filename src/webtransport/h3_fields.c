/* Fields of HTTP/3 messages: see h3_fields.h. */
#include "webtransport/h3_fields.h"

#include <nghttp3/nghttp3.h>
#include <stdio.h>

#include "base/error.h"
#include "base/mem.h"
#include "webtransport/h3_core.h"

static void *h3_malloc(size_t n, void *unused)
{
    (void)unused;
    return tern_malloc(n);
}

static void h3_free(void *p, void *unused)
{
    (void)unused;
    tern_free(p);
}

static void *h3_calloc(size_t n, size_t each, void *unused)
{
    (void)unused;
    return tern_calloc(n, each);
}

static void *h3_realloc(void *p, size_t n, void *unused)
{
    (void)unused;
    return tern_realloc(p, n);
}

static const nghttp3_mem memory = {NULL, h3_malloc, h3_free, h3_calloc, h3_realloc};

/* ---- reading ---- */

typedef struct reading {
    tern_h3_fields *fields;
    bool request;
    bool plain;    /* a field that is no pseudo-header field was there */
    unsigned seen; /* pseudo-header fields, a bit each */
} reading;

static bool is(tern_span name, const char *text)
{
    return name.len == strlen(text) && memcmp(name.data, text, name.len) == 0;
}

static uint64_t keep(char *to, size_t cap, tern_span value)
{
    if (value.len >= cap) {
        return TERN_H3_EXCESSIVE_LOAD;
    }
    if (memchr(value.data, 0, value.len) != NULL) {
        return TERN_H3_MESSAGE_ERROR;
    }
    memcpy(to, value.data, value.len);
    to[value.len] = 0;
    return 0;
}

static uint64_t keep_status(tern_h3_fields *f, tern_span value)
{
    if (value.len != 3) {
        return TERN_H3_MESSAGE_ERROR;
    }
    for (size_t i = 0; i < 3; i++) {
        if (value.data[i] < '0' || value.data[i] > '9') {
            return TERN_H3_MESSAGE_ERROR;
        }
        f->status = f->status * 10 + value.data[i] - '0';
    }
    return 0;
}

static uint64_t read_pseudo(reading *r, tern_span name, tern_span value)
{
    tern_h3_fields *f = r->fields;
    const struct {
        const char *name;
        char *to;
        size_t cap;
        bool request;
    } known[] = {{":method", f->method, sizeof f->method, true},
                 {":protocol", f->protocol, sizeof f->protocol, true},
                 {":scheme", f->scheme, sizeof f->scheme, true},
                 {":authority", f->authority, sizeof f->authority, true},
                 {":path", f->path, sizeof f->path, true},
                 {":status", NULL, 0, false}};
    for (unsigned i = 0; i < sizeof known / sizeof *known; i++) {
        if (is(name, known[i].name) && known[i].request == r->request) {
            bool again = (r->seen & 1U << i) != 0;
            r->seen |= 1U << i;
            return again || r->plain     ? TERN_H3_MESSAGE_ERROR
                   : known[i].to != NULL ? keep(known[i].to, known[i].cap, value)
                                         : keep_status(f, value);
        }
    }
    return TERN_H3_MESSAGE_ERROR;
}

static uint64_t read_field(reading *r, tern_span name, tern_span value)
{
    static const char *const of_connections[] = {"connection", "keep-alive", "proxy-connection",
                                                 "transfer-encoding", "upgrade"};
    if (name.len > 0 && name.data[0] == ':') {
        return read_pseudo(r, name, value);
    }
    r->plain = true;
    for (size_t i = 0; i < name.len; i++) {
        if ((name.data[i] >= 'A' && name.data[i] <= 'Z') || name.data[i] <= ' ' ||
            name.data[i] >= 0x7f) {
            return TERN_H3_MESSAGE_ERROR;
        }
    }
    for (size_t i = 0; i < sizeof of_connections / sizeof *of_connections; i++) {
        if (is(name, of_connections[i])) {
            return TERN_H3_MESSAGE_ERROR;
        }
    }
    r->fields->draft02 |= is(name, "sec-webtransport-http3-draft02") && is(value, "1");
    return name.len == 0 ? TERN_H3_MESSAGE_ERROR : 0;
}

static tern_span bytes_of(const nghttp3_rcbuf *b)
{
    nghttp3_vec v = nghttp3_rcbuf_get_buf(b);
    return (tern_span){v.base, v.len};
}

static uint64_t read_all(nghttp3_qpack_decoder *decoder, nghttp3_qpack_stream_context *context,
                         tern_span section, reading *r)
{
    for (;;) {
        nghttp3_qpack_nv nv;
        uint8_t flags = NGHTTP3_QPACK_DECODE_FLAG_NONE;
        nghttp3_ssize n = nghttp3_qpack_decoder_read_request(decoder, context, &nv, &flags,
                                                             section.data, section.len, 1);
        if (n < 0) {
            return n == NGHTTP3_ERR_NOMEM ? TERN_H3_INTERNAL_ERROR : TERN_QPACK_FAILED;
        }
        section.data += n;
        section.len -= (size_t)n;
        if (flags & NGHTTP3_QPACK_DECODE_FLAG_BLOCKED) {
            return TERN_QPACK_FAILED;
        }
        if (flags & NGHTTP3_QPACK_DECODE_FLAG_EMIT) {
            uint64_t bad = read_field(r, bytes_of(nv.name), bytes_of(nv.value));
            nghttp3_rcbuf_decref(nv.name);
            nghttp3_rcbuf_decref(nv.value);
            if (bad != 0) {
                return bad;
            }
        }
        if (flags & NGHTTP3_QPACK_DECODE_FLAG_FINAL) {
            return 0;
        }
        if (n == 0 && !(flags & NGHTTP3_QPACK_DECODE_FLAG_EMIT)) {
            return TERN_QPACK_FAILED;
        }
    }
}

uint64_t tern_h3_fields_read(tern_span section, bool request, tern_h3_fields *ret)
{
    nghttp3_qpack_decoder *decoder = NULL;
    nghttp3_qpack_stream_context *context = NULL;
    reading r = {.fields = ret, .request = request};
    uint64_t bad = TERN_H3_INTERNAL_ERROR;
    memset(ret, 0, sizeof *ret);
    if (nghttp3_qpack_decoder_new(&decoder, 0, 0, &memory) == 0 &&
        nghttp3_qpack_stream_context_new(&context, 0, &memory) == 0) {
        bad = read_all(decoder, context, section, &r);
    }
    if (context != NULL) {
        nghttp3_qpack_stream_context_del(context);
    }
    if (decoder != NULL) {
        nghttp3_qpack_decoder_del(decoder);
    }
    if (bad == 0 && (request ? ret->method[0] == 0 : ret->status == 0)) {
        bad = TERN_H3_MESSAGE_ERROR;
    }
    return bad;
}

/* ---- writing ---- */

static nghttp3_nv field(const char *name, const char *value)
{
    return (nghttp3_nv){(uint8_t *)(uintptr_t)name, (uint8_t *)(uintptr_t)value, strlen(name),
                        strlen(value), NGHTTP3_NV_FLAG_NONE};
}

static int put(tern_buf *out, const nghttp3_nv *fields, size_t n)
{
    nghttp3_qpack_encoder *encoder;
    nghttp3_buf prefix, section, instructions;
    uint8_t head[2 * TERN_H3_INT_MAX];
    if (nghttp3_qpack_encoder_new(&encoder, 0, &memory) != 0) {
        return TERN_E_NOMEM;
    }
    nghttp3_buf_init(&prefix);
    nghttp3_buf_init(&section);
    nghttp3_buf_init(&instructions);
    int code =
        nghttp3_qpack_encoder_encode(encoder, &prefix, &section, &instructions, 0, fields, n) == 0
            ? 0
            : TERN_E_NOMEM;
    if (nghttp3_buf_len(&prefix) == 0 ||
        nghttp3_buf_len(&section) == 0) { /* an allocation that failed is not always told */
        code = TERN_E_NOMEM;
    }
    if (code == 0) {
        size_t a = nghttp3_buf_len(&prefix), b = nghttp3_buf_len(&section);
        size_t h = tern_h3_head_put(head, TERN_H3_HEADERS, a + b);
        uint8_t *p = tern_buf_reserve(out, h + a + b);
        code = p != NULL ? 0 : TERN_E_NOMEM;
        if (p != NULL) {
            memcpy(p, head, h);
            memcpy(p + h, prefix.pos, a);
            memcpy(p + h + a, section.pos, b);
            tern_buf_commit(out, h + a + b);
        }
    }
    nghttp3_buf_free(&prefix, &memory);
    nghttp3_buf_free(&section, &memory);
    nghttp3_buf_free(&instructions, &memory);
    nghttp3_qpack_encoder_del(encoder);
    return code;
}

int tern_h3_put_connect(tern_buf *out, const char *authority, const char *path)
{
    const nghttp3_nv fields[] = {
        field(":method", "CONNECT"), field(":protocol", "webtransport"),
        field(":scheme", "https"),   field(":authority", authority),
        field(":path", path),        field("sec-webtransport-http3-draft02", "1")};
    return put(out, fields, sizeof fields / sizeof *fields);
}

int tern_h3_put_status(tern_buf *out, unsigned status, bool draft02)
{
    char text[4];
    snprintf(text, sizeof text, "%03u", status % 1000);
    const nghttp3_nv fields[] = {field(":status", text),
                                 field("sec-webtransport-http3-draft", "draft02")};
    return put(out, fields, draft02 ? 2 : 1);
}
