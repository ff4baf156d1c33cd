/* WebSocket, both roles: the first byte chooses the role and the size of the pieces; then comes the
 * peer's handshake and, if that parses, its frames. Whatever the pieces, a reader must say the same
 * of the same bytes: the same payload, the same control frames, the same end. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "transport/http_door.h"
#include "transport/ws_core.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

/* Everything a reader said. */
typedef struct told {
    uint64_t hash; /* FNV-1a */
    size_t payload;
    int code;
    bool border;
} told;

static void add(told *t, uint8_t byte)
{
    t->hash = (t->hash ^ byte) * UINT64_C(0x100000001b3);
}

static void tell(told *t, const tern_ws_event *event)
{
    if (event->kind == TERN_WS_GOT_DATA) {
        if (event->n == 0) {
            abort();
        }
        t->payload += event->n; /* pieces differ, the bytes do not */
    } else {
        add(t, (uint8_t)(0x80 + event->kind));
        add(t, (uint8_t)event->code);
    }
    for (size_t i = 0; i < event->n; i++) {
        add(t, event->data[i]);
    }
}

static told read_frames(const uint8_t *data, size_t n, bool client, size_t piece)
{
    told t = {.hash = UINT64_C(0xcbf29ce484222325)};
    tern_ws_reader r;
    uint8_t *copy = tern_memdup(data, n);
    tern_ws_reader_init(&r, client);
    for (size_t at = 0; at < n && t.code == 0 && copy != NULL;) {
        tern_ws_event event;
        size_t left = n - at < piece ? n - at : piece, used = 0;
        int got = tern_ws_read(&r, copy + at, left, &used, &event);
        if (used > left || (got == 0 && used < left) || (got == 1 && used == 0)) {
            abort();
        }
        at += used;
        if (got == 1) {
            tell(&t, &event);
        } else {
            t.code = got;
        }
    }
    t.border = tern_ws_reader_at_border(&r);
    tern_free(copy);
    return t;
}

static void frames(const uint8_t *data, size_t n, bool client, size_t piece)
{
    told whole = read_frames(data, n, client, SIZE_MAX);
    told parts = read_frames(data, n, client, piece);
    if (whole.hash != parts.hash || whole.payload != parts.payload || whole.code != parts.code ||
        (whole.code == 0 && whole.border != parts.border)) {
        abort();
    }
}

/* What is written is read as it was, by the other role only. */
static void writes(const uint8_t *data, size_t n, bool client)
{
    static const enum tern_ws_opcode opcodes[] = {TERN_WS_PING, TERN_WS_PONG, TERN_WS_CLOSE};
    uint8_t out[TERN_WS_HEAD_MAX + 300], key[TERN_WS_KEY] = {7, 0, 255, 1};
    const uint8_t *mask = client ? key : NULL;
    enum tern_ws_opcode opcode = opcodes[n % 3];
    tern_ws_reader r, other;
    tern_ws_event event;
    size_t used, len = n < TERN_WS_CONTROL_MAX ? n : TERN_WS_CONTROL_MAX;
    uint8_t whole[TERN_WS_CONTROL_FRAME_MAX];
    size_t k = tern_ws_write_control(whole, opcode, data, len, mask);
    tern_ws_reader_init(&r, !client);
    int got = tern_ws_read(&r, whole, k, &used, &event);
    if (opcode != TERN_WS_CLOSE && (got != 1 || used != k || !tern_ws_reader_at_border(&r))) {
        abort();
    }
    if (opcode == TERN_WS_PING && (event.n != len || memcmp(event.data, data, len) != 0)) {
        abort();
    }
    len = n < 300 ? n : 300;
    k = tern_ws_write_head(out, TERN_WS_BINARY, len, mask);
    if (k != tern_ws_head_len(len, client)) {
        abort();
    }
    if (client) {
        unsigned phase = tern_ws_mask(out + k, data, len / 2, key, 0);
        tern_ws_mask(out + k + len / 2, data + len / 2, len - len / 2, key, phase);
    } else {
        memcpy(out + k, data, len);
    }
    tern_ws_reader_init(&r, !client);
    tern_ws_reader_init(&other, client);
    if (tern_ws_read(&other, whole, 0, &used, &event) != 0 ||
        tern_ws_read(&r, out, k + len, &used, &event) != (len > 0) || used != k + len ||
        (len > 0 && (event.n != len || memcmp(event.data, data, len) != 0))) {
        abort();
    }
}

/* A server's first bytes, head in pieces, and request. Returns where the frames begin, 0 if none
 * may follow. */
static size_t request(const uint8_t *data, size_t n, size_t piece)
{
    tern_buf part;
    tern_http1_head head;
    char accept[TERN_WS_ACCEPT_TEXT];
    size_t at = 0;
    int got = 0, status = 400;
    tern_buf_init(&part, 0);
    tern_first_bytes(data, n < TERN_FIRST_BYTES ? n : TERN_FIRST_BYTES);
    while (at < n && got == 0) {
        size_t left = n - at < piece ? n - at : piece, used = 0;
        got = tern_http_door_feed(&part, data + at, left, &used, &head);
        if (used > left) {
            abort();
        }
        at += got >= 0 ? used : 0;
    }
    if (got == 1) {
        status = tern_ws_check_request(&head, accept);
        tern_http1_has_token(&head, "Upgrade", "websocket");
    }
    tern_buf_free(&part);
    if (status != 0) { /* the refusal is an answer that reads as one */
        const char *answer = tern_http_door_answer(got == TERN_E_TOO_LARGE ? 431
                                                   : n % 7                 ? status
                                                                           : 404);
        size_t len = strlen(answer);
        if (tern_http1_response((const uint8_t *)answer, len, &head) != (ssize_t)len) {
            abort();
        }
    }
    return status == 0 ? at : 0;
}

static size_t response(const uint8_t *data, size_t n)
{
    tern_http1_head head;
    ssize_t len = tern_http1_response(data, n, &head);
    bool good = len > 0 && tern_ws_check_response(&head, "dGhlIHNhbXBsZSBub25jZQ==") == NULL;
    return good ? (size_t)len : 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    if (n < 2) {
        return 0;
    }
    bool client = data[0] & 1, bare = data[0] & 2;
    size_t piece = 1 + (data[0] >> 2);
    data++;
    n--;
    writes(data, n, client);
    size_t at = bare ? 0 : client ? response(data, n) : request(data, n, piece);
    if (bare || at > 0) {
        frames(data + at, n - at, client, piece);
    }
    return 0;
}
