/* WebSocket frames (RFC 6455 section 5). See ws_core.h; the handshake is in ws_handshake.c. */
#include "transport/ws_core.h"

#include <tern/error.h>

enum {
    FIN = 0x80,
    RESERVED = 0x70,
    OPCODE = 0x0f,
    CONTROL = 0x08, /* the bit that control opcodes have */
    MASKED = 0x80,
    LENGTH = 0x7f,
    LENGTH_16 = 126,
    LENGTH_64 = 127,
};

/* ---- masking ---- */

unsigned tern_ws_mask(uint8_t *to, const uint8_t *from, size_t n, const uint8_t key[TERN_WS_KEY],
                      unsigned phase)
{
    uint8_t turned[8];
    uint64_t wide, word;
    size_t i = 0;
    for (unsigned k = 0; k < 8; k++) {
        turned[k] = key[(phase + k) & 3];
    }
    memcpy(&wide, turned, sizeof wide);
    for (; n - i >= sizeof word; i += sizeof word) {
        memcpy(&word, from + i, sizeof word);
        word ^= wide;
        memcpy(to + i, &word, sizeof word);
    }
    for (; i < n; i++) {
        to[i] = from[i] ^ turned[i & 7];
    }
    return (unsigned)((phase + n) & 3);
}

/* ---- reading ---- */

void tern_ws_reader_init(tern_ws_reader *r, bool client)
{
    *r = (tern_ws_reader){.client = client};
}

bool tern_ws_reader_at_border(const tern_ws_reader *r)
{
    return r->closed || (!r->in_frame && r->head_len == 0 && !r->in_message);
}

static bool is_control(uint8_t opcode)
{
    return (opcode & CONTROL) != 0;
}

/* The first two bytes of a header. */
static int check_start(const tern_ws_reader *r)
{
    uint8_t opcode = r->head[0] & OPCODE, length = r->head[1] & LENGTH;
    bool fin = (r->head[0] & FIN) != 0, masked = (r->head[1] & MASKED) != 0;
    if ((r->head[0] & RESERVED) != 0 || masked == r->client) {
        return TERN_E_MALFORMED;
    }
    switch (opcode) {
    case TERN_WS_CONTINUATION:
        return r->in_message ? 0 : TERN_E_PROTOCOL;
    case TERN_WS_TEXT:
    case TERN_WS_BINARY:
        return r->in_message ? TERN_E_PROTOCOL : 0;
    case TERN_WS_CLOSE:
    case TERN_WS_PING:
    case TERN_WS_PONG:
        if (length > TERN_WS_CONTROL_MAX) {
            return TERN_E_TOO_LARGE;
        }
        return fin ? 0 : TERN_E_MALFORMED;
    default:
        return TERN_E_MALFORMED;
    }
}

/* How long the header is, from its second byte on. */
static size_t head_size(const tern_ws_reader *r)
{
    uint8_t length = r->head[1] & LENGTH;
    size_t n = length == LENGTH_64 ? 10 : length == LENGTH_16 ? 4 : 2;
    return r->client ? n : n + TERN_WS_KEY;
}

static const uint8_t *key_of(const tern_ws_reader *r)
{
    return r->head + head_size(r) - TERN_WS_KEY;
}

/* The whole header is there. It stays in r->head, for its key. */
static int enter_frame(tern_ws_reader *r)
{
    uint64_t n = r->head[1] & LENGTH;
    if (n == LENGTH_16) {
        n = tern_get16(r->head + 2);
        if (n < LENGTH_16) {
            return TERN_E_MALFORMED;
        }
    } else if (n == LENGTH_64) {
        n = tern_get64(r->head + 2);
        if (n <= UINT16_MAX) {
            return TERN_E_MALFORMED;
        }
        if (n > INT64_MAX) {
            return TERN_E_TOO_LARGE;
        }
    }
    r->left = n;
    r->opcode = r->head[0] & OPCODE;
    r->fin = (r->head[0] & FIN) != 0;
    r->phase = 0;
    r->control_len = 0;
    r->in_frame = true;
    return 0;
}

/* Takes header bytes; returns 0, also when some are missing, or why the header is refused. */
static int read_head(tern_ws_reader *r, const uint8_t *data, size_t n, size_t *used)
{
    while (!r->in_frame && *used < n) {
        r->head[r->head_len++] = data[(*used)++];
        int code = r->head_len == 2 ? check_start(r) : 0;
        if (code == 0 && r->head_len >= 2 && r->head_len == head_size(r)) {
            code = enter_frame(r);
        }
        if (code != 0) {
            return code;
        }
    }
    return 0;
}

static void leave_frame(tern_ws_reader *r)
{
    r->in_frame = false;
    r->head_len = 0;
    if (!is_control(r->opcode)) {
        r->in_message = !r->fin;
    }
}

/* Section 7.4: codes that may stand in a close frame. */
static bool may_be_sent(unsigned code)
{
    return (code >= 1000 && code <= 1014 && code != 1004 && code != 1005 && code != 1006) ||
           (code >= 3000 && code <= 4999);
}

static int finish_control(tern_ws_reader *r, tern_ws_event *ret)
{
    *ret = (tern_ws_event){.data = r->control, .n = r->control_len};
    leave_frame(r);
    if (r->opcode != TERN_WS_CLOSE) {
        ret->kind = r->opcode == TERN_WS_PING ? TERN_WS_GOT_PING : TERN_WS_GOT_PONG;
        return 1;
    }
    ret->kind = TERN_WS_GOT_CLOSE;
    ret->code = TERN_WS_NO_STATUS;
    if (r->control_len > 0) {
        ret->code = r->control_len >= 2 ? tern_get16(r->control) : 0;
        if (!may_be_sent(ret->code)) {
            return TERN_E_MALFORMED;
        }
    }
    r->closed = true;
    return 1;
}

/* Unmasks what is there of the payload, n bytes, in place. */
static void unmask(tern_ws_reader *r, uint8_t *data, size_t n)
{
    if (!r->client) {
        r->phase = (uint8_t)tern_ws_mask(data, data, n, key_of(r), r->phase);
    }
    r->left -= n;
}

/* Takes what is there of the current frame's payload; 0 when that makes no event. */
static int read_payload(tern_ws_reader *r, uint8_t *data, size_t n, size_t *used,
                        tern_ws_event *ret)
{
    uint8_t *at = data + *used;
    size_t part = r->left < n - *used ? (size_t)r->left : n - *used;
    unmask(r, at, part);
    *used += part;
    if (is_control(r->opcode)) {
        memcpy(r->control + r->control_len, at, part);
        r->control_len = (uint8_t)(r->control_len + part);
        return r->left == 0 ? finish_control(r, ret) : 0;
    }
    if (r->left == 0) {
        leave_frame(r);
    }
    if (part > 0) {
        *ret = (tern_ws_event){.kind = TERN_WS_GOT_DATA, .data = at, .n = part};
        return 1;
    }
    return 0;
}

int tern_ws_read(tern_ws_reader *r, uint8_t *data, size_t n, size_t *ret_used, tern_ws_event *ret)
{
    int code = 0;
    size_t used = 0;
    while (code == 0 && used < n) {
        if (r->closed) {
            used = n;
            break;
        }
        code = read_head(r, data, n, &used);
        if (code == 0 && r->in_frame) {
            code = read_payload(r, data, n, &used, ret);
        }
    }
    *ret_used = used;
    return code;
}

/* ---- writing ---- */

size_t tern_ws_head_len(size_t n, bool masked)
{
    size_t head = n < LENGTH_16 ? 2 : n <= UINT16_MAX ? 4 : 10;
    return masked ? head + TERN_WS_KEY : head;
}

size_t tern_ws_write_head(uint8_t out[TERN_WS_HEAD_MAX], enum tern_ws_opcode opcode, size_t n,
                          const uint8_t *key)
{
    size_t head = tern_ws_head_len(n, false);
    out[0] = (uint8_t)(FIN | opcode);
    if (head == 2) {
        out[1] = (uint8_t)n;
    } else if (head == 4) {
        out[1] = LENGTH_16;
        tern_put16(out + 2, (uint16_t)n);
    } else {
        out[1] = LENGTH_64;
        tern_put64(out + 2, n);
    }
    if (key == NULL) {
        return head;
    }
    out[1] |= MASKED;
    memcpy(out + head, key, TERN_WS_KEY);
    return head + TERN_WS_KEY;
}

size_t tern_ws_write_control(uint8_t out[TERN_WS_CONTROL_FRAME_MAX], enum tern_ws_opcode opcode,
                             const void *payload, size_t n, const uint8_t *key)
{
    uint8_t head[TERN_WS_HEAD_MAX];
    size_t at = tern_ws_write_head(head, opcode, n, key);
    memcpy(out, head, at);
    if (n > 0) {
        memcpy(out + at, payload, n);
    }
    if (key != NULL) {
        tern_ws_mask(out + at, out + at, n, key, 0);
    }
    return at + n;
}
