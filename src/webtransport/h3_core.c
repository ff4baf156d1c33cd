/* HTTP/3 without I/O: see h3_core.h. */
#include "webtransport/h3_core.h"

#include "base/error.h"

/* ---- integers and codes ---- */

size_t tern_h3_int_get(const uint8_t *p, size_t n, uint64_t *ret)
{
    if (n == 0) {
        return 0;
    }
    size_t len = (size_t)1 << (p[0] >> 6);
    if (n < len) {
        return 0;
    }
    uint64_t v = p[0] & 0x3f;
    for (size_t i = 1; i < len; i++) {
        v = v << 8 | p[i];
    }
    *ret = v;
    return len;
}

size_t tern_h3_int_put(uint8_t *p, uint64_t value)
{
    unsigned size = value < (1U << 6) ? 0 : value < (1U << 14) ? 1 : value < (1U << 30) ? 2 : 3;
    size_t len = (size_t)1 << size;
    for (size_t i = 0; i < len; i++) {
        p[len - 1 - i] = (uint8_t)(value >> (8 * i));
    }
    p[0] = (uint8_t)(p[0] | size << 6);
    return len;
}

#define FIRST UINT64_C(0x52e4a40fa8db)
#define LAST  UINT64_C(0x52e5ac983162)

/* Every 31st code is left out: it is of the form that nobody may use for anything. */
uint64_t tern_wt_code_out(uint64_t code)
{
    uint64_t n = code & UINT32_MAX;
    return FIRST + n + n / 0x1e;
}

uint64_t tern_wt_code_in(uint64_t wire)
{
    if (wire < FIRST || wire > LAST || (wire - 0x21) % 0x1f == 0) {
        return 0;
    }
    uint64_t shifted = wire - FIRST;
    return shifted - shifted / 0x1f;
}

/* ---- what a stream begins with ---- */

enum {
    TYPE_CONTROL = 0x00,
    TYPE_PUSH = 0x01,
    TYPE_ENCODER = 0x02,
    TYPE_DECODER = 0x03,
    TYPE_SESSION_ONE_WAY = 0x54,
    TYPE_SESSION = 0x41,
};

static tern_h3_kind kind_of(uint64_t type, bool both_ways)
{
    if (both_ways) {
        return type == TYPE_SESSION ? TERN_H3_SESSION : TERN_H3_FRAMES;
    }
    switch (type) {
    case TYPE_CONTROL:
        return TERN_H3_CONTROL;
    case TYPE_PUSH:
        return TERN_H3_PUSH;
    case TYPE_ENCODER:
        return TERN_H3_ENCODER;
    case TYPE_DECODER:
        return TERN_H3_DECODER;
    case TYPE_SESSION_ONE_WAY:
        return TERN_H3_SESSION;
    default:
        return TERN_H3_UNKNOWN;
    }
}

tern_h3_kind tern_h3_prefix_feed(tern_h3_prefix *p, bool both_ways, const uint8_t *data, size_t n,
                                 size_t *ret_used)
{
    *ret_used = 0;
    while (*ret_used < n && p->n < sizeof p->bytes) {
        uint64_t type;
        p->bytes[p->n++] = data[(*ret_used)++];
        size_t first = tern_h3_int_get(p->bytes, p->n, &type);
        if (first == 0) {
            continue;
        }
        tern_h3_kind kind = kind_of(type, both_ways);
        if (kind != TERN_H3_SESSION ||
            tern_h3_int_get(p->bytes + first, p->n - first, &p->session) > 0) {
            return kind;
        }
    }
    return TERN_H3_UNDECIDED;
}

size_t tern_h3_prefix_put(uint8_t out[2 * TERN_H3_INT_MAX], uint64_t session)
{
    size_t n = tern_h3_int_put(out, TYPE_SESSION);
    return n + tern_h3_int_put(out + n, session);
}

/* ---- frames and capsules ---- */

void tern_h3_reader_init(tern_h3_reader *r, size_t (*most)(uint64_t type))
{
    memset(r, 0, sizeof *r);
    r->most = most;
    tern_buf_init(&r->part, 0);
}

void tern_h3_reader_clear(tern_h3_reader *r)
{
    tern_buf_free(&r->part);
}

bool tern_h3_reader_between(const tern_h3_reader *r)
{
    return !r->inside && r->head_n == 0;
}

static bool read_head(tern_h3_reader *r, tern_span *data)
{
    while (data->len > 0) {
        r->head[r->head_n++] = *data->data++;
        data->len--;
        size_t first = tern_h3_int_get(r->head, r->head_n, &r->type);
        if (first > 0 && tern_h3_int_get(r->head + first, r->head_n - first, &r->left) > 0) {
            r->inside = true;
            r->begun = false;
            r->head_n = 0;
            return true;
        }
    }
    return false;
}

static tern_span take(tern_h3_reader *r, tern_span *data)
{
    size_t n = r->left < data->len ? (size_t)r->left : data->len;
    tern_span part = {data->data, n};
    data->data += n;
    data->len -= n;
    r->left -= n;
    return part;
}

/* A value that is needed whole: in place when it is, else from parts. */
static int collect(tern_h3_reader *r, tern_span *data, tern_h3_item *ret)
{
    tern_span part = take(r, data);
    if (r->left > 0 || tern_buf_len(&r->part) > 0) {
        if (part.len > 0 && tern_buf_append(&r->part, part.data, part.len) != 0) {
            return TERN_E_NOMEM;
        }
        part = (tern_span){tern_buf_data(&r->part), tern_buf_len(&r->part)};
    }
    if (r->left > 0) {
        return 0;
    }
    *ret = (tern_h3_item){r->type, part, true};
    r->inside = false;
    return 1;
}

int tern_h3_next(tern_h3_reader *r, tern_span *data, tern_h3_item *ret)
{
    if (!r->inside) {
        tern_buf_free(&r->part);
        if (!read_head(r, data)) {
            return 0;
        }
        size_t most = r->most(r->type);
        if (most > 0 && r->left > most) {
            return TERN_E_TOO_LARGE;
        }
    }
    if (r->most(r->type) > 0) {
        return collect(r, data, ret);
    }
    if (r->left > 0 && data->len == 0 && r->begun) {
        return 0;
    }
    *ret = (tern_h3_item){r->type, take(r, data), !r->begun};
    r->begun = true;
    r->inside = r->left > 0;
    return 1;
}

size_t tern_h3_head_put(uint8_t out[2 * TERN_H3_INT_MAX], uint64_t type, uint64_t length)
{
    size_t n = tern_h3_int_put(out, type);
    return n + tern_h3_int_put(out + n, length);
}

size_t tern_h3_most_of_control(uint64_t type)
{
    return type == TERN_H3_SETTINGS || type == TERN_H3_GOAWAY || type == TERN_H3_MAX_PUSH_ID ||
                   type == TERN_H3_CANCEL_PUSH
               ? TERN_H3_CONTROL_MAX
               : 0;
}

size_t tern_h3_most_of_request(uint64_t type)
{
    return type == TERN_H3_HEADERS ? TERN_H3_FIELDS_MAX : 0;
}

size_t tern_h3_most_of_capsule(uint64_t type)
{
    return type == TERN_WT_CLOSE ? TERN_H3_CLOSE_MAX : 0;
}

bool tern_h3_reserved(uint64_t type)
{
    return type == 0x2 || type == 0x6 || type == 0x8 || type == 0x9;
}

/* ---- SETTINGS ---- */

enum {
    FIELD_SECTION = 0x6,
    CONNECT = 0x8,
    DATAGRAM = 0x33,
    DATAGRAM_DRAFT = 0xffd277,
    SESSIONS_DRAFT02 = 0x2b603742,
    SESSIONS_DRAFT13 = 0x14e9cd29,
    SESSIONS_DRAFT15 = 0x2c7cf000,
};

/* Whether the id stood before already; all of it was read once. */
static bool repeated(tern_span before, uint64_t id)
{
    size_t at = 0;
    for (bool is_id = true; at < before.len; is_id = !is_id) {
        uint64_t v = 0;
        at += tern_h3_int_get(before.data + at, before.len - at, &v);
        if (is_id && v == id) {
            return true;
        }
    }
    return false;
}

uint64_t tern_h3_settings_read(tern_span v, tern_h3_settings *ret)
{
    enum { SETTINGS_MAX = 64 };
    size_t at = 0, count = 0;
    memset(ret, 0, sizeof *ret);
    while (at < v.len) {
        uint64_t id = 0, value = 0;
        size_t begin = at, n = tern_h3_int_get(v.data + at, v.len - at, &id);
        size_t m = n > 0 ? tern_h3_int_get(v.data + at + n, v.len - at - n, &value) : 0;
        if (m == 0) {
            return TERN_H3_FRAME_ERROR;
        }
        at += n + m;
        bool flag = id == CONNECT || id == DATAGRAM;
        if (id == 0 || (id >= 2 && id <= 5) || (flag && value > 1) || ++count > SETTINGS_MAX ||
            repeated((tern_span){v.data, begin}, id)) {
            return TERN_H3_SETTINGS_ERROR;
        }
        ret->connect |= id == CONNECT && value == 1;
        ret->datagram |= id == DATAGRAM && value == 1;
        ret->sessions |= value > 0 && (id == SESSIONS_DRAFT02 || id == SESSIONS_DRAFT13 ||
                                       id == SESSIONS_DRAFT15);
    }
    return 0;
}

size_t tern_h3_opening(uint8_t out[TERN_H3_OPENING_MAX], bool server)
{
    const uint64_t settings[][2] = {{FIELD_SECTION, TERN_H3_FIELDS_MAX},
                                    {DATAGRAM, 1},
                                    {SESSIONS_DRAFT02, 1},
                                    {SESSIONS_DRAFT15, 1},
                                    {DATAGRAM_DRAFT, 1},
                                    {CONNECT, 1},
                                    {SESSIONS_DRAFT13, 1}};
    size_t count = sizeof settings / sizeof *settings - (server ? 0 : 2), n = 0;
    uint8_t value[TERN_H3_OPENING_MAX - 4];
    for (size_t i = 0; i < count; i++) {
        n += tern_h3_int_put(value + n, settings[i][0]);
        n += tern_h3_int_put(value + n, settings[i][1]);
    }
    size_t head = tern_h3_int_put(out, TYPE_CONTROL);
    head += tern_h3_head_put(out + head, TERN_H3_SETTINGS, n);
    memcpy(out + head, value, n);
    return head + n;
}

/* ---- QPACK's own streams ---- */

bool tern_qpack_encoder_says_nothing(tern_span bytes)
{
    enum { CAPACITY_0 = 0x20 };
    for (size_t i = 0; i < bytes.len; i++) {
        if (bytes.data[i] != CAPACITY_0) {
            return false;
        }
    }
    return true;
}

bool tern_qpack_decoder_cancels(uint8_t *state, tern_span bytes)
{
    enum { CONTINUED_MAX = 9 }; /* bytes of a stream id behind the first */
    for (size_t i = 0; i < bytes.len; i++) {
        uint8_t b = bytes.data[i];
        if (*state > 0) {
            *state = (b & 0x80) != 0 ? (uint8_t)(*state + 1) : 0;
            if (*state > CONTINUED_MAX) {
                return false;
            }
        } else if ((b & 0xc0) != 0x40) {
            return false;
        } else if ((b & 0x3f) == 0x3f) {
            *state = 1;
        }
    }
    return true;
}
