/* Frames on data channels: see channel_core.h. */
#include "webrtc/channel_core.h"

#include <string.h>

#include <tern/error.h>

#include "base/bytes.h"
#include "codec/varint.h"

enum { PREFIX, TAG, VALUE, LENGTH, MESSAGE, SKIP, END };

enum {
    FIELD_FLAG = 1,
    FIELD_MESSAGE = 2,
    FIELD_CODE = 3,
    PREFIX_DIGITS = 3, /* up to 2^21 */
};

/* One more byte of a varint: 1 when it is complete. */
static int digit(tern_frame_reader *r, uint8_t byte, unsigned most)
{
    if (r->digits >= most) {
        return TERN_E_MALFORMED;
    }
    r->number |= (uint64_t)(byte & 0x7f) << 7 * r->digits;
    r->digits++;
    return (byte & 0x80) == 0;
}

static void want(tern_frame_reader *r, uint8_t state)
{
    r->state = state;
    r->digits = 0;
    r->number = 0;
}

static int on_prefix(tern_frame_reader *r)
{
    if (r->number > TERN_FRAME_READ_MAX) {
        return TERN_E_TOO_LARGE;
    }
    r->left = (uint32_t)r->number;
    r->has_flag = false;
    r->code = 0;
    want(r, r->left > 0 ? TAG : PREFIX);
    return 0;
}

static int on_tag(tern_frame_reader *r)
{
    uint64_t tag = r->number;
    if (tag >> 3 == 0 || tag > UINT32_MAX) {
        return TERN_E_MALFORMED;
    }
    r->field = (uint32_t)(tag >> 3);
    switch (tag & 7) {
    case 0:
        want(r, VALUE);
        break;
    case 1:
    case 5:
        r->body = (tag & 7) == 1 ? 8 : 4;
        want(r, SKIP);
        break;
    case 2:
        want(r, LENGTH);
        break;
    default:
        return TERN_E_MALFORMED;
    }
    bool known = r->field >= FIELD_FLAG && r->field <= FIELD_CODE;
    bool fits = (r->state == LENGTH) == (r->field == FIELD_MESSAGE) && r->state != SKIP;
    return known && !fits ? TERN_E_MALFORMED : 0;
}

static void on_value(tern_frame_reader *r)
{
    if (r->field == FIELD_FLAG) {
        r->has_flag = r->number <= TERN_FLAG_FIN_ACK;
        r->flag = (uint32_t)r->number;
    } else if (r->field == FIELD_CODE) {
        r->code = (uint32_t)r->number;
    }
    want(r, TAG);
}

/* The varint of the current state is complete. */
static int on_number(tern_frame_reader *r)
{
    switch (r->state) {
    case PREFIX:
        return on_prefix(r);
    case TAG:
        return on_tag(r);
    case VALUE:
        on_value(r);
        return 0;
    default:
        if (r->number > r->left) {
            return TERN_E_MALFORMED;
        }
        r->body = (uint32_t)r->number;
        want(r, r->body == 0 ? TAG : r->field == FIELD_MESSAGE ? MESSAGE : SKIP);
        return 0;
    }
}

/* Inside a field's bytes: how many of n there are now. */
static size_t step_over(tern_frame_reader *r, size_t n)
{
    size_t k = r->body < n ? r->body : n;
    r->body -= (uint32_t)k;
    r->left -= (uint32_t)k;
    if (r->body == 0) {
        r->state = TAG;
    }
    return k;
}

/* A frame is complete: 1 when it had a flag. */
static int ends(tern_frame_reader *r, tern_frame_event *event)
{
    want(r, PREFIX);
    *event = (tern_frame_event){.kind = TERN_FRAME_FLAG, .flag = r->flag, .code = r->code};
    return r->has_flag;
}

int tern_frame_read(tern_frame_reader *r, uint8_t *p, size_t n, size_t *used,
                    tern_frame_event *event)
{
    size_t at = 0;
    int result = 0;
    for (;;) {
        if (r->state != PREFIX && r->left == 0) {
            result = r->state == TAG && r->digits == 0 ? ends(r, event) : TERN_E_MALFORMED;
            if (result != 0) {
                break;
            }
        }
        if (at == n) {
            break;
        }
        if (r->state == MESSAGE || r->state == SKIP) {
            if (r->body > r->left) {
                result = TERN_E_MALFORMED;
                break;
            }
            bool message = r->state == MESSAGE;
            size_t k = step_over(r, n - at);
            at += k;
            if (message) {
                *event = (tern_frame_event){.kind = TERN_FRAME_BYTES, .data = p + at - k, .n = k};
                result = 1;
                break;
            }
            continue;
        }
        unsigned most = r->state == PREFIX ? PREFIX_DIGITS : 10;
        r->left -= r->state != PREFIX;
        result = digit(r, p[at++], most);
        if (result == 1) {
            result = on_number(r);
        }
        if (result < 0) {
            break;
        }
    }
    *used = at;
    return result;
}

size_t tern_frame_head(uint8_t out[TERN_FRAME_HEAD_ROOM], size_t n, size_t *ret_prefix)
{
    size_t at = *ret_prefix = tern_varint_put(out, 1 + tern_varint_len(n) + n);
    out[at++] = FIELD_MESSAGE << 3 | 2;
    return at + tern_varint_put(out + at, n);
}

size_t tern_frame_flag(uint8_t out[TERN_FRAME_FLAG_ROOM], uint32_t flag, uint32_t code)
{
    size_t n = 1;
    out[n++] = FIELD_FLAG << 3;
    out[n++] = (uint8_t)flag;
    if (code != 0) {
        out[n++] = FIELD_CODE << 3;
        n += tern_varint_put(out + n, code);
    }
    out[0] = (uint8_t)(n - 1);
    return n;
}

/* ---- DCEP ---- */

const uint8_t tern_dcep_open[TERN_DCEP_OPEN_N] = {3};
const uint8_t tern_dcep_ack[TERN_DCEP_ACK_N] = {2};

int tern_dcep_read(const uint8_t *p, size_t n)
{
    if (n >= 1 && p[0] == 2) {
        return 0;
    }
    if (n < TERN_DCEP_OPEN_N || p[0] != 3 ||
        n < TERN_DCEP_OPEN_N + (size_t)tern_get16(p + 8) + tern_get16(p + 10)) {
        return TERN_E_MALFORMED;
    }
    return p[1] == 0 ? 1 : TERN_E_UNSUPPORTED;
}
