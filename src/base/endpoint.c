/* IP addresses with a port: text both ways and what kind of address it is.
 *
 * Text is written and read here and not by inet_ntop and inet_pton, because the C libraries differ
 * in small things (IPv4-compatible addresses, leading zeros) and the text is part of what peers
 * compare. What is public follows the special-purpose registries of RFC 6890 and its updates. */
#include "base/endpoint.h"

#include <stdio.h>
#include <string.h>

#include <tern/error.h>

static const uint8_t mapped_prefix[12] = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff};

bool tern_endpoint_eq(const tern_endpoint *a, const tern_endpoint *b)
{
    return a->family == b->family && a->port == b->port && a->scope == b->scope &&
           memcmp(a->ip, b->ip, sizeof a->ip) == 0;
}

void tern_endpoint_unmap(tern_endpoint *e)
{
    if (e->family == 6 && memcmp(e->ip, mapped_prefix, sizeof mapped_prefix) == 0) {
        memmove(e->ip, e->ip + 12, 4);
        memset(e->ip + 4, 0, 12);
        e->family = 4;
        e->scope = 0;
    }
}

/* Text. */

static char *write_ip4(char *out, const uint8_t *ip)
{
    return out + sprintf(out, "%u.%u.%u.%u", ip[0], ip[1], ip[2], ip[3]);
}

/* RFC 5952: the first longest run of two or more zero groups becomes "::", lower case, no padding.
 */
static char *write_ip6(char *out, const uint8_t *ip)
{
    if (memcmp(ip, mapped_prefix, sizeof mapped_prefix) == 0) {
        return write_ip4(out + sprintf(out, "::ffff:"), ip + 12);
    }
    unsigned group[8];
    int best = -1, best_len = 1;
    for (int i = 0, run = 0; i < 8; i++) {
        group[i] = (unsigned)ip[2 * i] << 8 | ip[2 * i + 1];
        run = group[i] == 0 ? run + 1 : 0;
        if (run > best_len) {
            best_len = run;
            best = i - run + 1;
        }
    }
    bool colon = false; /* a separator is due before the next group */
    for (int i = 0; i < 8; i++) {
        if (i == best) {
            out += sprintf(out, "::");
            i += best_len - 1;
            colon = false;
        } else {
            out += sprintf(out, colon ? ":%x" : "%x", group[i]);
            colon = true;
        }
    }
    return out;
}

static char *write_ip(char *out, const tern_endpoint *e)
{
    *out = '\0';
    switch (e->family) {
    case 4:
        return write_ip4(out, e->ip);
    case 6:
        return write_ip6(out, e->ip);
    default:
        return out + sprintf(out, "none");
    }
}

char *tern_endpoint_ip_text(char *out, const tern_endpoint *e)
{
    write_ip(out, e);
    return out;
}

char *tern_endpoint_text(char *out, const tern_endpoint *e)
{
    char *p = out;
    if (e->family == 6) {
        *p++ = '[';
    }
    p = write_ip(p, e);
    if (e->family == 6 && e->scope != 0) {
        p += sprintf(p, "%%%u", (unsigned)e->scope);
    }
    sprintf(p, e->family == 6 ? "]:%u" : ":%u", e->port);
    return out;
}

/* Reads "a.b.c.d" up to the end of text. */
static bool read_ip4(const char *p, uint8_t out[4])
{
    for (int i = 0; i < 4; i++) {
        if (i > 0 && *p++ != '.') {
            return false;
        }
        unsigned value = 0;
        const char *first = p;
        for (; *p >= '0' && *p <= '9' && p - first < 3; p++) {
            value = value * 10 + (unsigned)(*p - '0');
        }
        if (p == first || value > 255 || (*first == '0' && p - first > 1)) {
            return false; /* leading zeros: some libraries read them as octal */
        }
        out[i] = (uint8_t)value;
    }
    return *p == '\0';
}

static int hex_value(char c)
{
    if (c >= '0' && c <= '9') {
        return c - '0';
    }
    c = (char)(c | 0x20);
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* Reads groups until the end of text; a dotted IPv4 address may take the place of the last two. */
static bool read_ip6(const char *p, uint8_t out[16])
{
    uint8_t bytes[16] = {0};
    int n = 0, gap = -1; /* bytes read; where "::" stood among them */
    if (p[0] == ':' && p[1] == ':') {
        gap = 0;
        p += 2;
    }
    while (*p != '\0') {
        if (n > 14) {
            return false;
        }
        if (strchr(p, ':') == NULL && strchr(p, '.') != NULL) {
            if (n > 12 || !read_ip4(p, bytes + n)) {
                return false;
            }
            n += 4;
            break;
        }
        unsigned value = 0;
        int digits = 0;
        for (; digits < 4 && hex_value(*p) >= 0; digits++, p++) {
            value = value << 4 | (unsigned)hex_value(*p);
        }
        if (digits == 0) {
            return false;
        }
        bytes[n++] = (uint8_t)(value >> 8);
        bytes[n++] = (uint8_t)value;
        if (*p == '\0') {
            break;
        }
        if (*p++ != ':' || *p == '\0') {
            return false;
        }
        if (*p == ':') {
            if (gap >= 0) {
                return false;
            }
            gap = n;
            p++;
        }
    }
    if (gap < 0 ? n != 16 : n > 14) {
        return false;
    }
    memset(out, 0, 16);
    size_t before = gap < 0 ? 16 : (size_t)gap, after = (size_t)n - (gap < 0 ? 16 : before);
    memcpy(out, bytes, before);
    memcpy(out + 16 - after, bytes + before, after);
    return true;
}

int tern_endpoint_parse_ip(tern_endpoint *ret, const char *text)
{
    tern_endpoint e = {0};
    if (strchr(text, ':') != NULL) {
        e.family = 6;
        if (!read_ip6(text, e.ip)) {
            return TERN_E_MALFORMED;
        }
    } else {
        e.family = 4;
        if (!read_ip4(text, e.ip)) {
            return TERN_E_MALFORMED;
        }
    }
    *ret = e;
    return 0;
}

/* Kinds. */

enum verdict { LOCAL, PUBLIC, EMBEDDED }; /* EMBEDDED: as the IPv4 address inside says */

typedef struct block {
    uint8_t prefix[16];
    uint8_t bits;
    uint8_t verdict;
    uint8_t at; /* EMBEDDED: the first byte of the IPv4 address */
} block;

/* The first block that holds the address decides; what is in none is public. */
static const block blocks4[] = {
    {{0}, 8, LOCAL, 0},               /* this network */
    {{10}, 8, LOCAL, 0},              /* private */
    {{100, 64}, 10, LOCAL, 0},        /* carrier-grade NAT */
    {{127}, 8, LOCAL, 0},             /* loopback */
    {{169, 254}, 16, LOCAL, 0},       /* link-local */
    {{172, 16}, 12, LOCAL, 0},        /* private */
    {{192, 0, 0, 9}, 32, PUBLIC, 0},  /* port control anycast */
    {{192, 0, 0, 10}, 32, PUBLIC, 0}, /* TURN anycast */
    {{192, 0, 0}, 24, LOCAL, 0},      /* protocol assignments */
    {{192, 0, 2}, 24, LOCAL, 0},      /* documentation */
    {{192, 88, 99}, 24, LOCAL, 0},    /* 6to4 relays, withdrawn */
    {{192, 168}, 16, LOCAL, 0},       /* private */
    {{198, 18}, 15, LOCAL, 0},        /* benchmarking */
    {{198, 51, 100}, 24, LOCAL, 0},   /* documentation */
    {{203, 0, 113}, 24, LOCAL, 0},    /* documentation */
    {{224}, 4, LOCAL, 0},             /* multicast */
    {{240}, 4, LOCAL, 0},             /* reserved, limited broadcast */
};

/* The same for IPv6; what is in none is not assigned as global unicast. */
static const block blocks6[] = {
    {{0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff}, 96, EMBEDDED, 12}, /* IPv4-mapped */
    {{0x00, 0x64, 0xff, 0x9b}, 96, EMBEDDED, 12},                   /* NAT64 */
    {{0x20, 0x02}, 16, EMBEDDED, 2},                                /* 6to4 */
    {{0x20, 0x01, 0x00, 0x01, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1},
     128,
     PUBLIC,
     0}, /* PCP anycast */
    {{0x20, 0x01, 0x00, 0x01, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 2},
     128,
     PUBLIC,
     0},                                                   /* TURN anycast */
    {{0x20, 0x01, 0x00, 0x03}, 32, PUBLIC, 0},             /* AMT */
    {{0x20, 0x01, 0x00, 0x04, 0x01, 0x12}, 48, PUBLIC, 0}, /* AS112 */
    {{0x20, 0x01, 0x00, 0x20}, 28, PUBLIC, 0},             /* ORCHIDv2 */
    {{0x20, 0x01, 0x00, 0x30}, 28, PUBLIC, 0},             /* drone remote ids */
    {{0x20, 0x01}, 23, LOCAL, 0},                          /* protocol assignments, Teredo */
    {{0x20, 0x01, 0x0d, 0xb8}, 32, LOCAL, 0},              /* documentation */
    {{0x3f, 0xff}, 20, LOCAL, 0},                          /* documentation */
    {{0x20}, 3, PUBLIC, 0},                                /* global unicast */
};

static bool in_block(const uint8_t *ip, const block *b)
{
    unsigned whole = b->bits / 8, rest = b->bits % 8;
    if (memcmp(ip, b->prefix, whole) != 0) {
        return false;
    }
    return rest == 0 || (ip[whole] ^ b->prefix[whole]) >> (8 - rest) == 0;
}

static bool public4(const uint8_t *ip)
{
    for (size_t i = 0; i < sizeof blocks4 / sizeof blocks4[0]; i++) {
        if (in_block(ip, &blocks4[i])) {
            return blocks4[i].verdict == PUBLIC;
        }
    }
    return true;
}

static bool public6(const uint8_t *ip)
{
    for (size_t i = 0; i < sizeof blocks6 / sizeof blocks6[0]; i++) {
        const block *b = &blocks6[i];
        if (in_block(ip, b)) {
            return b->verdict == EMBEDDED ? public4(ip + b->at) : b->verdict == PUBLIC;
        }
    }
    return false;
}

bool tern_endpoint_is_public(const tern_endpoint *e)
{
    return e->family == 4 ? public4(e->ip) : e->family == 6 && public6(e->ip);
}

static tern_endpoint unmapped(const tern_endpoint *e)
{
    tern_endpoint copy = *e;
    tern_endpoint_unmap(&copy);
    return copy;
}

bool tern_endpoint_is_loopback(const tern_endpoint *e)
{
    static const uint8_t loopback6[16] = {[15] = 1};
    tern_endpoint u = unmapped(e);
    return u.family == 4 ? u.ip[0] == 127 : u.family == 6 && memcmp(u.ip, loopback6, 16) == 0;
}

bool tern_endpoint_is_unspecified(const tern_endpoint *e)
{
    static const uint8_t zero[16];
    tern_endpoint u = unmapped(e);
    return u.family != 0 && memcmp(u.ip, zero, u.family == 4 ? 4 : 16) == 0;
}

bool tern_endpoint_is_link_local(const tern_endpoint *e)
{
    tern_endpoint u = unmapped(e);
    return u.family == 4 ? u.ip[0] == 169 && u.ip[1] == 254
                         : u.family == 6 && u.ip[0] == 0xfe && (u.ip[1] & 0xc0) == 0x80;
}

bool tern_endpoint_reaches(const tern_endpoint *local, const tern_endpoint *to)
{
    bool inside = tern_endpoint_is_loopback(to), anywhere = tern_endpoint_is_unspecified(local);
    bool fits = anywhere || tern_endpoint_is_loopback(local) == inside;
    bool itself = local->port == to->port && ((inside && anywhere) || tern_endpoint_eq(local, to));
    return local->family == to->family && fits && !itself;
}

static tern_endpoint front_of(const tern_endpoint *e, size_t n)
{
    tern_endpoint part;
    memset(&part, 0, sizeof part);
    part.family = e->family;
    memcpy(part.ip, e->ip, n);
    return part;
}

tern_endpoint tern_endpoint_block(const tern_endpoint *e)
{
    return front_of(e, e->family == 4 ? 4 : 7);
}

tern_endpoint tern_endpoint_network(const tern_endpoint *e)
{
    return front_of(e, e->family == 4 ? 2 : 4);
}
