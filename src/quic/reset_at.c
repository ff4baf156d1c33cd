/* RESET_STREAM_AT: see reset_at.h. The frames are RFC 9000's, section 19, and RFC 9221's. */
#include "quic/reset_at.h"

#include <stdbool.h>
#include <string.h>

enum {
    PADDING = 0x00,
    ACK = 0x02,
    ACK_ECN = 0x03,
    RESET_STREAM = 0x04,
    CRYPTO = 0x06,
    NEW_TOKEN = 0x07,
    STREAM = 0x08,
    STREAM_LAST = 0x0f,
    NEW_CONNECTION_ID = 0x18,
    PATH_CHALLENGE = 0x1a,
    PATH_RESPONSE = 0x1b,
    RESET_STREAM_AT = 0x24,
    DATAGRAM = 0x30,
    DATAGRAM_LEN = 0x31,
};

size_t quic_reset_at_param(uint8_t out[QUIC_RESET_AT_PARAM_MAX])
{
    static const uint8_t param[QUIC_RESET_AT_PARAM_MAX] = {0xc0, 0x17, 0xf7, 0x58, 0x6d,
                                                           0x2c, 0xb5, 0x71, 0x00};
    memcpy(out, param, sizeof param);
    return sizeof param;
}

typedef struct cursor {
    uint8_t *p, *end;
    bool bad;
} cursor;

static uint64_t take_int(cursor *c)
{
    size_t len = c->p < c->end ? (size_t)1 << (c->p[0] >> 6) : 0;
    if (len == 0 || (size_t)(c->end - c->p) < len) {
        c->bad = true;
        return 0;
    }
    uint64_t v = c->p[0] & 0x3f;
    for (size_t i = 1; i < len; i++) {
        v = v << 8 | c->p[i];
    }
    c->p += len;
    return v;
}

static void skip(cursor *c, uint64_t n)
{
    if (c->bad || (uint64_t)(c->end - c->p) < n) {
        c->bad = true;
    } else {
        c->p += n;
    }
}

static void skip_ints(cursor *c, unsigned n)
{
    for (; n > 0 && !c->bad; n--) {
        take_int(c);
    }
}

static void skip_ack(cursor *c, bool ecn)
{
    skip_ints(c, 2);
    uint64_t ranges = take_int(c);
    skip_ints(c, 1);
    for (; ranges > 0 && !c->bad; ranges--) {
        skip_ints(c, 2);
    }
    skip_ints(c, ecn ? 3 : 0);
}

static void skip_stream(cursor *c, uint64_t type)
{
    skip_ints(c, (type & 0x04) != 0 ? 2 : 1);
    skip(c, (type & 0x02) != 0 ? take_int(c) : (uint64_t)(c->end - c->p));
}

/* Integers behind the types that have nothing else; 0xff: not one of these. */
static unsigned ints_behind(uint64_t type)
{
    static const uint8_t counts[] = {
        [PADDING] = 0, [0x01] = 0, [RESET_STREAM] = 3, [0x05] = 2, [0x10] = 1,
        [0x11] = 2,    [0x12] = 1, [0x13] = 1,         [0x14] = 1, [0x15] = 2,
        [0x16] = 1,    [0x17] = 1, [0x19] = 1,         [0x1e] = 0};
    return type < sizeof counts ? counts[type] : 0xff;
}

static void skip_frame(cursor *c, uint64_t type)
{
    if (type == ACK || type == ACK_ECN) {
        skip_ack(c, type == ACK_ECN);
    } else if (type == CRYPTO) {
        skip_ints(c, 1);
        skip(c, take_int(c));
    } else if (type == NEW_TOKEN || type == DATAGRAM_LEN) {
        skip(c, take_int(c));
    } else if (type >= STREAM && type <= STREAM_LAST) {
        skip_stream(c, type);
    } else if (type == NEW_CONNECTION_ID) {
        skip_ints(c, 2);
        skip(c, c->p < c->end ? (uint64_t)c->p[0] + 17 : 1);
    } else if (type == PATH_CHALLENGE || type == PATH_RESPONSE) {
        skip(c, 8);
    } else if (ints_behind(type) != 0xff) {
        skip_ints(c, ints_behind(type));
    } else { /* CONNECTION_CLOSE, DATAGRAM without length, unknown: nothing follows that matters */
        c->bad = true;
    }
}

void quic_reset_at_rewrite(uint8_t *p, size_t n)
{
    cursor c = {p, p + n, false};
    while (c.p < c.end && !c.bad) {
        uint8_t *start = c.p;
        uint64_t type = take_int(&c);
        if (type != RESET_STREAM_AT) {
            skip_frame(&c, type);
            continue;
        }
        skip_ints(&c, 3);
        uint8_t *reliable = c.p;
        skip_ints(&c, 1);
        if (!c.bad && (start[0] & 0xc0) == 0) { /* the type in its shortest form, as it must be */
            start[0] = RESET_STREAM;
            memset(reliable, PADDING, (size_t)(c.p - reliable));
        }
    }
}
