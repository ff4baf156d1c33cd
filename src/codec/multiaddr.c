/* Multiaddrs: the object and its two forms (multiformats "multiaddr" specification).
 *
 *      text   /ip4/192.0.2.1/tcp/4001
 *      bytes  | code | value | code | value |      code: varint; value: fixed size, or length +
 * bytes
 *
 * An address is one block: a reference count and the bytes. Its text is made when somebody asks for
 * it, because most addresses that peers tell are never printed. Both ways in go through the same
 * checks, so whatever is held is valid, and its text parses to the same bytes. What walks and
 * composes addresses is in multiaddr_ops.c. */
#include "codec/multiaddr.h"

#include "base/error.h"
#include "base/mem.h"
#include "codec/multiaddr_value.h"
#include "codec/varint.h"

static const char layer[] = "multiaddr";

struct tern_multiaddr {
    uint32_t refs;
    uint32_t n; /* bytes */
    char *text; /* NULL until somebody asked */
    uint8_t bytes[];
};

static tern_multiaddr *make(const uint8_t *bytes, size_t n)
{
    tern_multiaddr *a = tern_malloc(sizeof *a + n);
    if (a != NULL) {
        a->refs = 1;
        a->n = (uint32_t)n;
        a->text = NULL;
        memcpy(a->bytes, bytes, n);
    }
    return a;
}

tern_multiaddr *tern_multiaddr_ref(const tern_multiaddr *a)
{
    /* Immutable for its holders; the count and the text are its own. */
    tern_multiaddr *own = (tern_multiaddr *)(uintptr_t)a;
    if (own != NULL) {
        own->refs++;
    }
    return own;
}

void tern_multiaddr_unref(tern_multiaddr *a)
{
    if (a != NULL && --a->refs == 0) {
        tern_free(a->text);
        tern_free(a);
    }
}

const uint8_t *tern_multiaddr_bytes(const tern_multiaddr *a, size_t *ret_n)
{
    *ret_n = a->n;
    return a->bytes;
}

bool tern_multiaddr_equal(const tern_multiaddr *a, const tern_multiaddr *b)
{
    return a == b ||
           (a != NULL && b != NULL && a->n == b->n && memcmp(a->bytes, b->bytes, a->n) == 0);
}

/* Bytes. */

/* A component read from bytes, with where it went wrong if it did. */
typedef struct reading {
    const tern_ma_protocol *protocol;
    tern_span value;
    tern_ma_fault fault; /* at counts from the component's first byte */
} reading;

/* Reads the component at p[0..n), n > 0. Returns its length, or a tern_code with ret->fault filled.
 */
static ssize_t read_part(const uint8_t *p, size_t n, reading *ret)
{
    uint64_t code = 0, len = 0;
    ssize_t code_n = tern_varint_get(p, n, &code);
    if (code_n <= 0) {
        return tern_ma_fault_set(&ret->fault, 0, TERN_E_MALFORMED, "protocol code is %s",
                                 code_n == 0 ? "cut off" : "not a minimal varint");
    }
    ret->protocol = tern_ma_protocol_by_code(code);
    if (ret->protocol == NULL) {
        return tern_ma_fault_set(&ret->fault, 0, TERN_E_UNSUPPORTED,
                                 "protocol code %llu is unknown", (unsigned long long)code);
    }
    const tern_ma_kind *kind = ret->protocol->kind;
    size_t at = (size_t)code_n;
    if (kind->size >= 0) {
        len = (uint64_t)kind->size;
    } else {
        ssize_t len_n = tern_varint_get(p + at, n - at, &len);
        if (len_n <= 0) {
            return tern_ma_fault_set(&ret->fault, at, TERN_E_MALFORMED, "%s length is %s",
                                     ret->protocol->name,
                                     len_n == 0 ? "cut off" : "not a minimal varint");
        }
        at += (size_t)len_n;
    }
    if (len > n - at) {
        return tern_ma_fault_set(&ret->fault, at, TERN_E_MALFORMED,
                                 "%s needs %llu bytes, %zu are left", ret->protocol->name,
                                 (unsigned long long)len, n - at);
    }
    ret->value = (tern_span){p + at, (size_t)len};
    return (ssize_t)(at + (size_t)len);
}

/* Whether `next` (NULL: the end) may stand after `before`; NULL if so, else what is wrong. */
static const char *wrong_order(const tern_ma_protocol *before, const tern_ma_protocol *next)
{
    if (before != NULL && before->code == TERN_MA_IP6ZONE &&
        (next == NULL || next->code != TERN_MA_IP6)) {
        return "ip6zone is not followed by ip6";
    }
    if (before != NULL && before->kind->takes_rest && next != NULL) {
        return "unix is not the last component"; /* in text its path would swallow the rest */
    }
    return NULL;
}

/* Checks that p[0..n) is a whole address. */
static int check_bytes(const uint8_t *p, size_t n, tern_error *reterr)
{
    if (n == 0) {
        return tern_fail(reterr, TERN_E_MALFORMED, layer, "the address is empty");
    }
    if (n > TERN_MA_MAX) {
        return tern_fail(reterr, TERN_E_TOO_LARGE, layer,
                         "the address has %zu bytes, the most is %d", n, TERN_MA_MAX);
    }
    const tern_ma_protocol *before = NULL;
    for (size_t at = 0; at < n;) {
        reading r = {0};
        ssize_t len = read_part(p + at, n - at, &r);
        if (len < 0) {
            return tern_fail(reterr, (int)len, layer, "at byte offset %zu: %s", at + r.fault.at,
                             r.fault.text);
        }
        const char *wrong = wrong_order(before, r.protocol);
        if (wrong != NULL) {
            return tern_fail(reterr, TERN_E_MALFORMED, layer, "at byte offset %zu: %s", at, wrong);
        }
        int code = r.protocol->kind->size == 0
                       ? 0
                       : r.protocol->kind->check(r.value.data, r.value.len, &r.fault);
        if (code != 0) {
            size_t value_at = (size_t)(r.value.data - p);
            return tern_fail(reterr, code, layer, "at byte offset %zu: %s %s",
                             value_at + r.fault.at, r.protocol->name, r.fault.text);
        }
        before = r.protocol;
        at += (size_t)len;
    }
    const char *wrong = wrong_order(before, NULL);
    if (wrong != NULL) {
        return tern_fail(reterr, TERN_E_MALFORMED, layer, "at byte offset %zu: %s", n, wrong);
    }
    return 0;
}

/* Writes the text of valid bytes with its end; out has TERN_MA_MAX + 1 bytes. Returns its length,
 * or TERN_E_TOO_LARGE when it has more than TERN_MA_MAX characters. */
static ssize_t print(const uint8_t *p, size_t n, char *out)
{
    size_t len = 0;
    for (size_t at = 0; at < n;) {
        reading r = {0};
        ssize_t part = read_part(p + at, n - at, &r);
        ssize_t wrote = tern_ma_put_text(out + len, TERN_MA_MAX - len, r.protocol->name);
        if (part < 0 || wrote < 0) {
            return TERN_E_TOO_LARGE;
        }
        len += (size_t)wrote;
        if (r.protocol->kind->size != 0) {
            /* One more than the text may have: some kinds write an end of their own. */
            wrote = r.protocol->kind->print(r.value.data, r.value.len, out + len,
                                            TERN_MA_MAX + 1 - len);
            if (wrote < 0 || (size_t)wrote > TERN_MA_MAX - len) {
                return TERN_E_TOO_LARGE;
            }
            len += (size_t)wrote;
        }
        at += (size_t)part;
    }
    out[len] = '\0';
    return (ssize_t)len;
}

tern_multiaddr *tern_multiaddr_from_bytes(const uint8_t *bytes, size_t n, tern_error *reterr)
{
    /* No component's text is more than ten times its bytes (2 bytes are "/p2p-websocket-star"), so
     * only long addresses need to be printed to know that their text is within the limit. */
    char text[TERN_MA_MAX + 1];
    if (check_bytes(bytes, n, reterr) != 0) {
        return NULL;
    }
    if (n > TERN_MA_MAX / 10 && print(bytes, n, text) < 0) {
        tern_fail(reterr, TERN_E_TOO_LARGE, layer, "the address has more than %d characters",
                  TERN_MA_MAX);
        return NULL;
    }
    tern_multiaddr *a = make(bytes, n);
    if (a == NULL) {
        tern_fail(reterr, TERN_E_NOMEM, layer, "no memory for an address");
    }
    return a;
}

const char *tern_multiaddr_text(const tern_multiaddr *a)
{
    if (a->text == NULL) {
        char text[TERN_MA_MAX + 1];
        tern_multiaddr *own = (tern_multiaddr *)(uintptr_t)a;
        own->text = print(a->bytes, a->n, text) >= 0 ? tern_strdup(text) : NULL;
    }
    return a->text != NULL ? a->text : "";
}

/* Text. */

typedef struct parsing {
    const char *text;
    size_t n, at; /* characters in all; the next one, which is a slash or the end */
    uint8_t bytes[TERN_MA_MAX];
    size_t len;
    tern_error *reterr;
} parsing;

/* Characters are counted from 1, as people do. */
static int fail_at(parsing *s, size_t at, int code, const char *what)
{
    return tern_fail(s->reterr, code, layer, "at character %zu: %s", at + 1, what);
}

static int fail_value(parsing *s, size_t at, int code, const tern_ma_protocol *protocol,
                      const char *what)
{
    return tern_fail(s->reterr, code, layer, "at character %zu: %s %s", at + 1, protocol->name,
                     what);
}

/* Takes a slash and the characters up to the next one; an empty component is none. */
static tern_span take_segment(parsing *s, bool rest)
{
    if (s->at == s->n) {
        return (tern_span){0};
    }
    const char *p = s->text + ++s->at;
    const char *slash = rest ? NULL : memchr(p, '/', s->n - s->at);
    size_t len = slash != NULL ? (size_t)(slash - p) : s->n - s->at;
    s->at += len;
    return (tern_span){(const uint8_t *)p, len};
}

static int append(parsing *s, const void *p, size_t n)
{
    if (n > sizeof s->bytes - s->len) {
        return tern_fail(s->reterr, TERN_E_TOO_LARGE, layer, "the address has more than %d bytes",
                         TERN_MA_MAX);
    }
    memcpy(s->bytes + s->len, p, n);
    s->len += n;
    return 0;
}

/* Parses the value of a protocol and appends it. */
static int parse_value(parsing *s, const tern_ma_protocol *protocol)
{
    uint8_t value[TERN_MA_MAX + 1], head[TERN_VARINT_MAX];
    const tern_ma_kind *kind = protocol->kind;
    tern_ma_fault fault = {0};
    tern_span text = take_segment(s, kind->takes_rest);
    size_t begin = s->at - text.len;
    if (text.len == 0) {
        return fail_value(s, begin, TERN_E_MALFORMED, protocol, "has no value");
    }
    ssize_t n = kind->parse((const char *)text.data, text.len, value, &fault);
    if (n < 0) {
        return fail_value(s, begin + fault.at, (int)n, protocol, fault.text);
    }
    int code = kind->check(value, (size_t)n, &fault);
    if (code != 0) {
        return fail_value(s, begin, code, protocol, fault.text);
    }
    if (kind->size < 0 && (code = append(s, head, tern_varint_put(head, (uint64_t)n))) != 0) {
        return code;
    }
    return append(s, value, (size_t)n);
}

/* Parses one component and appends its bytes. */
static int parse_part(parsing *s, const tern_ma_protocol **ret)
{
    uint8_t head[TERN_VARINT_MAX];
    char shown[TERN_MA_SHOWN];
    tern_span name = take_segment(s, false);
    size_t begin = s->at - name.len;
    if (name.len == 0) {
        return fail_at(s, begin, TERN_E_MALFORMED, "a protocol name is missing");
    }
    const tern_ma_protocol *protocol = tern_ma_protocol_by_name((const char *)name.data, name.len);
    if (protocol == NULL) {
        return tern_fail(s->reterr, TERN_E_UNSUPPORTED, layer,
                         "at character %zu: protocol '%s' is unknown", begin + 1,
                         tern_ma_shown(shown, (const char *)name.data, name.len));
    }
    const char *wrong = wrong_order(*ret, protocol);
    if (wrong != NULL) {
        return fail_at(s, begin, TERN_E_MALFORMED, wrong);
    }
    *ret = protocol;
    int code = append(s, head, tern_varint_put(head, protocol->code));
    return code != 0 || protocol->kind->size == 0 ? code : parse_value(s, protocol);
}

static int parse_text(parsing *s)
{
    if (s->n == 0) {
        return tern_fail(s->reterr, TERN_E_MALFORMED, layer, "the address is empty");
    }
    if (s->n > TERN_MA_MAX) {
        return tern_fail(s->reterr, TERN_E_TOO_LARGE, layer,
                         "the address has %zu characters, the most is %d", s->n, TERN_MA_MAX);
    }
    if (s->text[0] != '/') {
        return fail_at(s, 0, TERN_E_MALFORMED, "an address begins with a slash");
    }
    if (s->n > 1 && s->text[s->n - 1] == '/') {
        s->n--; /* people leave one behind, and others take it */
    }
    const tern_ma_protocol *last = NULL;
    while (s->at < s->n) {
        int code = parse_part(s, &last);
        if (code != 0) {
            return code;
        }
    }
    const char *wrong = wrong_order(last, NULL);
    if (wrong != NULL) {
        return fail_at(s, s->n, TERN_E_MALFORMED, wrong);
    }
    return 0;
}

tern_multiaddr *tern_multiaddr_parse(const char *text, tern_error *reterr)
{
    parsing s = {.text = text, .n = strlen(text), .reterr = reterr};
    return parse_text(&s) == 0 ? tern_multiaddr_from_bytes(s.bytes, s.len, reterr) : NULL;
}
