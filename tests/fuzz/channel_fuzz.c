/* Frames of a data channel: the first byte is the size of the pieces; whatever they are, a reader
 * says the same of the same bytes. */
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "webrtc/channel_core.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

typedef struct told {
    uint64_t hash; /* FNV-1a */
    size_t bytes;
    int code;
} told;

static void add(told *t, uint32_t value)
{
    t->hash = (t->hash ^ value) * UINT64_C(0x100000001b3);
}

static told read_all(const uint8_t *data, size_t n, size_t piece)
{
    told t = {.hash = UINT64_C(0xcbf29ce484222325)};
    tern_frame_reader r = {0};
    int got = 1;
    for (size_t at = 0; t.code == 0 && (at < n || got == 1);) {
        size_t k = n - at < piece ? n - at : piece, used = 0;
        tern_frame_event e;
        uint8_t *copy = tern_malloc(k + 1);
        if (copy == NULL) {
            return t;
        }
        for (size_t i = 0; i < k; i++) {
            copy[i] = data[at + i];
        }
        got = tern_frame_read(&r, copy, k, &used, &e);
        if (used > k || (got == 0 && used < k)) {
            abort();
        }
        at += used;
        if (got == 1 && e.kind == TERN_FRAME_BYTES) {
            t.bytes += e.n;
            for (size_t i = 0; i < e.n; i++) {
                add(&t, e.data[i]);
            }
        } else if (got == 1) {
            add(&t, 256 + e.flag);
            add(&t, e.code);
        } else if (got < 0) {
            t.code = got;
        }
        tern_free(copy);
    }
    return t;
}

/* What is written is read as it was: a message's head, then a flag. */
static void writes(const uint8_t *data, size_t n)
{
    uint8_t out[TERN_FRAME_HEAD_ROOM + 600 + TERN_FRAME_FLAG_ROOM];
    size_t prefix, used, len = n < 600 ? n : 600;
    size_t head = tern_frame_head(out, len, &prefix);
    tern_frame_reader r = {0};
    tern_frame_event e;
    memcpy(out + head, data, len);
    size_t whole = head + len;
    whole += tern_frame_flag(out + whole, data[0] & 3, data[0] >> 2);
    if (prefix >= head || tern_frame_read(&r, out, whole, &used, &e) != 1 ||
        e.kind != TERN_FRAME_BYTES || e.n != len || memcmp(e.data, data, len) != 0) {
        abort();
    }
    if (tern_frame_read(&r, out + used, whole - used, &used, &e) != 1 ||
        e.kind != TERN_FRAME_FLAG || e.flag != (data[0] & 3u) || e.code != data[0] >> 2) {
        abort();
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    if (n == 0) {
        return 0;
    }
    writes(data, n);
    told whole = read_all(data + 1, n - 1, SIZE_MAX);
    told parts = read_all(data + 1, n - 1, data[0] == 0 ? 1 : data[0]);
    if (whole.hash != parts.hash || whole.bytes != parts.bytes || whole.code != parts.code) {
        abort();
    }
    (void)tern_dcep_read(data, n);
    return 0;
}
