/* The kinds of value in a multiaddr: how each is read from text, what bytes it may be, how it
 * prints. Here the numbers, IP addresses, names and paths; hashes and hosts of other networks are
 * in multiaddr_id.c.
 *
 * parse decodes, check decides (it also runs on what parse yielded, so that text and bytes obey the
 * same rules), print is canonical: parsing it again gives the same bytes. */
#include "codec/multiaddr_value.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "base/bytes.h"
#include "base/endpoint.h"
#include "codec/multiaddr.h"

int tern_ma_fault_set(tern_ma_fault *ret, size_t at, int code, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    vsnprintf(ret->text, sizeof ret->text, format, args);
    va_end(args);
    ret->at = at;
    return code;
}

const char *tern_ma_shown(char out[TERN_MA_SHOWN], const char *p, size_t n)
{
    size_t len = n <= 40 ? n : 37;
    for (size_t i = 0; i < len; i++) {
        out[i] = (unsigned char)p[i] < 0x20 || (unsigned char)p[i] >= 0x7f ? '?' : p[i];
    }
    strcpy(out + len, n <= 40 ? "" : "...");
    return out;
}

ssize_t tern_ma_put_text(char *out, size_t cap, const char *text)
{
    size_t n = strlen(text);
    if (n + 1 > cap) {
        return TERN_E_TOO_LARGE;
    }
    out[0] = '/';
    memcpy(out + 1, text, n);
    return (ssize_t)n + 1;
}

static int check_any(const uint8_t *p, size_t n, tern_ma_fault *ret)
{
    (void)p;
    (void)n;
    (void)ret;
    return 0;
}

const tern_ma_kind tern_ma_kind_none = {.size = 0};

/* Numbers in decimal. */

/* All of p[0..n) as a number of at most max; `what` names it in the message. */
static int parse_number(const char *p, size_t n, uint64_t max, const char *what, uint64_t *ret,
                        tern_ma_fault *fret)
{
    char shown[TERN_MA_SHOWN];
    uint64_t value = 0;
    for (size_t i = 0; i < n; i++) {
        if (p[i] < '0' || p[i] > '9') {
            return tern_ma_fault_set(fret, i, TERN_E_MALFORMED, "%s '%s' is not a number", what,
                                     tern_ma_shown(shown, p, n));
        }
        unsigned digit = (unsigned)(p[i] - '0');
        if (value > (max - digit) / 10) {
            return tern_ma_fault_set(fret, 0, TERN_E_MALFORMED, "%s %s is above %llu", what,
                                     tern_ma_shown(shown, p, n), (unsigned long long)max);
        }
        value = value * 10 + digit;
    }
    if (n == 0) {
        return tern_ma_fault_set(fret, 0, TERN_E_MALFORMED, "%s is missing", what);
    }
    if (n > 1 && p[0] == '0') {
        return tern_ma_fault_set(fret, 0, TERN_E_MALFORMED, "%s %s begins with a zero", what,
                                 tern_ma_shown(shown, p, n));
    }
    *ret = value;
    return 0;
}

static ssize_t print_number(uint64_t value, char *out, size_t cap)
{
    char text[24];
    snprintf(text, sizeof text, "%llu", (unsigned long long)value);
    return tern_ma_put_text(out, cap, text);
}

ssize_t tern_ma_parse_port(const char *p, size_t n, uint8_t *out, tern_ma_fault *ret)
{
    uint64_t port;
    int code = parse_number(p, n, 65535, "port", &port, ret);
    if (code != 0) {
        return code;
    }
    tern_put16(out, (uint16_t)port);
    return 2;
}

static ssize_t print_port(const uint8_t *p, size_t n, char *out, size_t cap)
{
    (void)n;
    return print_number(tern_get16(p), out, cap);
}

const tern_ma_kind tern_ma_kind_port = {2, false, tern_ma_parse_port, check_any, print_port};

static ssize_t parse_cidr(const char *p, size_t n, uint8_t *out, tern_ma_fault *ret)
{
    uint64_t bits;
    int code = parse_number(p, n, 255, "prefix length", &bits, ret);
    if (code != 0) {
        return code;
    }
    *out = (uint8_t)bits;
    return 1;
}

static int check_cidr(const uint8_t *p, size_t n, tern_ma_fault *ret)
{
    (void)n;
    return *p <= 128
               ? 0
               : tern_ma_fault_set(ret, 0, TERN_E_MALFORMED, "prefix length %u is above 128", *p);
}

static ssize_t print_cidr(const uint8_t *p, size_t n, char *out, size_t cap)
{
    (void)n;
    return print_number(*p, out, cap);
}

const tern_ma_kind tern_ma_kind_cidr = {1, false, parse_cidr, check_cidr, print_cidr};

static ssize_t parse_memory(const char *p, size_t n, uint8_t *out, tern_ma_fault *ret)
{
    uint64_t id;
    int code = parse_number(p, n, UINT64_MAX, "number", &id, ret);
    if (code != 0) {
        return code;
    }
    tern_put64(out, id);
    return 8;
}

static ssize_t print_memory(const uint8_t *p, size_t n, char *out, size_t cap)
{
    (void)n;
    return print_number(tern_get64(p), out, cap);
}

const tern_ma_kind tern_ma_kind_memory = {8, false, parse_memory, check_any, print_memory};

/* IP addresses. */

static ssize_t parse_ip(const char *p, size_t n, uint8_t *out, uint8_t family, tern_ma_fault *ret)
{
    char text[TERN_ENDPOINT_TEXT], shown[TERN_MA_SHOWN];
    tern_endpoint e = {0};
    if (n < sizeof text) {
        memcpy(text, p, n);
        text[n] = '\0';
        if (tern_endpoint_parse_ip(&e, text) != 0) {
            e.family = 0;
        }
    }
    if (e.family != family) {
        return tern_ma_fault_set(ret, 0, TERN_E_MALFORMED, "'%s' is not an IPv%u address",
                                 tern_ma_shown(shown, p, n), family);
    }
    size_t len = family == 4 ? 4 : 16;
    memcpy(out, e.ip, len);
    return (ssize_t)len;
}

static ssize_t print_ip(const uint8_t *p, size_t n, char *out, size_t cap)
{
    char text[TERN_ENDPOINT_TEXT];
    tern_endpoint e = {.family = n == 4 ? 4 : 6};
    memcpy(e.ip, p, n);
    return tern_ma_put_text(out, cap, tern_endpoint_ip_text(text, &e));
}

static ssize_t parse_ip4(const char *p, size_t n, uint8_t *out, tern_ma_fault *ret)
{
    return parse_ip(p, n, out, 4, ret);
}

static ssize_t parse_ip6(const char *p, size_t n, uint8_t *out, tern_ma_fault *ret)
{
    return parse_ip(p, n, out, 6, ret);
}

const tern_ma_kind tern_ma_kind_ip4 = {4, false, parse_ip4, check_any, print_ip};
const tern_ma_kind tern_ma_kind_ip6 = {16, false, parse_ip6, check_any, print_ip};

/* Names: hosts, zones, paths of sockets. */

/* The length of the UTF-8 sequence at p, or 0: overlong forms, surrogates and what is above
 * U+10FFFF are none. */
static size_t utf8_len(const uint8_t *p, size_t n)
{
    if (p[0] < 0x80) {
        return 1;
    }
    size_t len = p[0] >= 0xf0 ? 4 : p[0] >= 0xe0 ? 3 : 2;
    if (p[0] < 0xc2 || p[0] > 0xf4 || n < len) {
        return 0;
    }
    for (size_t i = 1; i < len; i++) {
        if ((p[i] & 0xc0) != 0x80) {
            return 0;
        }
    }
    bool odd = (p[0] == 0xe0 && p[1] < 0xa0) || (p[0] == 0xed && p[1] >= 0xa0) ||
               (p[0] == 0xf0 && p[1] < 0x90) || (p[0] == 0xf4 && p[1] >= 0x90);
    return odd ? 0 : len;
}

static ssize_t parse_copy(const char *p, size_t n, uint8_t *out, tern_ma_fault *ret)
{
    (void)ret;
    memcpy(out, p, n);
    return (ssize_t)n;
}

static int check_utf8(const uint8_t *p, size_t n, tern_ma_fault *ret)
{
    for (size_t i = 0, len; i < n; i += len) {
        len = utf8_len(p + i, n - i);
        if (len == 0) {
            return tern_ma_fault_set(ret, i, TERN_E_MALFORMED, "value is not UTF-8");
        }
        if (p[i] < 0x20 || p[i] == 0x7f) {
            return tern_ma_fault_set(ret, i, TERN_E_MALFORMED, "value has a control character");
        }
    }
    return 0;
}

static int check_name(const uint8_t *p, size_t n, tern_ma_fault *ret)
{
    if (n == 0) {
        return tern_ma_fault_set(ret, 0, TERN_E_MALFORMED, "name is empty");
    }
    if (n > 255) {
        return tern_ma_fault_set(ret, 0, TERN_E_TOO_LARGE, "name is longer than 255 bytes");
    }
    for (size_t i = 0; i < n; i++) {
        if (p[i] == '/' || p[i] == ' ') {
            return tern_ma_fault_set(ret, i, TERN_E_MALFORMED, "name has a %s",
                                     p[i] == '/' ? "slash" : "space");
        }
    }
    return check_utf8(p, n, ret);
}

static ssize_t print_name(const uint8_t *p, size_t n, char *out, size_t cap)
{
    if (n + 1 > cap) {
        return TERN_E_TOO_LARGE;
    }
    out[0] = '/';
    memcpy(out + 1, p, n);
    return (ssize_t)n + 1;
}

const tern_ma_kind tern_ma_kind_name = {-1, false, parse_copy, check_name, print_name};

/* The path of a socket is absolute, and its slash is the one that ends "/unix" in text. */
static ssize_t parse_unix(const char *p, size_t n, uint8_t *out, tern_ma_fault *ret)
{
    (void)ret;
    out[0] = '/';
    memcpy(out + 1, p, n);
    return (ssize_t)n + 1;
}

static int check_unix(const uint8_t *p, size_t n, tern_ma_fault *ret)
{
    if (n < 2 || p[0] != '/') {
        return tern_ma_fault_set(ret, 0, TERN_E_MALFORMED,
                                 "path does not begin with a slash and a name");
    }
    if (p[n - 1] == '/') {
        return tern_ma_fault_set(ret, n - 1, TERN_E_MALFORMED, "path ends with a slash");
    }
    return check_utf8(p, n, ret);
}

static ssize_t print_unix(const uint8_t *p, size_t n, char *out, size_t cap)
{
    if (n > cap) {
        return TERN_E_TOO_LARGE;
    }
    memcpy(out, p, n);
    return (ssize_t)n;
}

const tern_ma_kind tern_ma_kind_unix = {-1, true, parse_unix, check_unix, print_unix};

/* The path of a URL, percent-encoded in text so that it is one component. */

static bool is_path_char(uint8_t c)
{
    return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
           (c != '\0' && strchr("-_.~$&+:=@", c) != NULL);
}

static ssize_t parse_http_path(const char *p, size_t n, uint8_t *out, tern_ma_fault *ret)
{
    size_t at = 0;
    for (size_t i = 0; i < n; i++) {
        if (p[i] != '%') {
            if ((uint8_t)p[i] <= ' ' || p[i] == 0x7f) {
                return tern_ma_fault_set(ret, i, TERN_E_MALFORMED,
                                         "has a character that must be escaped");
            }
            out[at++] = (uint8_t)p[i];
            continue;
        }
        if (n - i < 3 || tern_unhex(&out[at], 1, p + i + 1, 2) != 1) {
            return tern_ma_fault_set(ret, i, TERN_E_MALFORMED,
                                     "has a %% without two hexadecimal digits");
        }
        at++;
        i += 2;
    }
    return (ssize_t)at;
}

static int check_http_path(const uint8_t *p, size_t n, tern_ma_fault *ret)
{
    (void)p;
    return n > 0 ? 0 : tern_ma_fault_set(ret, 0, TERN_E_MALFORMED, "is empty");
}

static ssize_t print_http_path(const uint8_t *p, size_t n, char *out, size_t cap)
{
    static const char digits[] = "0123456789ABCDEF";
    size_t at = 0;
    if (cap == 0) {
        return TERN_E_TOO_LARGE;
    }
    out[at++] = '/';
    for (size_t i = 0; i < n; i++) {
        if (cap - at < 3) {
            return TERN_E_TOO_LARGE;
        }
        if (is_path_char(p[i])) {
            out[at++] = (char)p[i];
        } else {
            out[at++] = '%';
            out[at++] = digits[p[i] >> 4];
            out[at++] = digits[p[i] & 15];
        }
    }
    return (ssize_t)at;
}

const tern_ma_kind tern_ma_kind_http_path = {-1, false, parse_http_path, check_http_path,
                                             print_http_path};
