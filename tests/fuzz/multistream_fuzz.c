/* multistream-select in both roles: the same bytes in pieces of any size lead to the same end, what
 * is used never exceeds what was given, and answers stay bounded. The first byte chooses the role
 * and the size of the pieces. */
#include <stdlib.h>
#include <string.h>

#include "swarm/multistream_core.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

static const char *const ids[] = {"/noise", "/tls/1.0.0", "/yamux/1.0.0", NULL};

typedef struct outcome {
    int code;
    const char *id;
    size_t used;
    tern_buf out;
} outcome;

static void feed(outcome *o, bool initiator, const uint8_t *data, size_t n, size_t chunk)
{
    tern_ms ms;
    memset(o, 0, sizeof *o);
    tern_buf_init(&o->out, 0);
    if (tern_ms_start(&ms, initiator, ids, &o->out) != 0) {
        abort();
    }
    while (o->code == 0 && o->used < n) {
        size_t part = n - o->used < chunk ? n - o->used : chunk;
        size_t used = 0;
        o->code = tern_ms_feed(&ms, data + o->used, part, &o->out, &used, &o->id);
        if (used > part || (o->code == 0 && used != part)) {
            abort();
        }
        o->used += used;
    }
    tern_ms_free(&ms);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    outcome whole, pieces;
    if (n == 0) {
        return 0;
    }
    bool initiator = data[0] & 1;
    size_t chunk = (size_t)(data[0] >> 1) % 40 + 1;
    feed(&whole, initiator, data + 1, n - 1, SIZE_MAX);
    feed(&pieces, initiator, data + 1, n - 1, chunk);
    size_t len = tern_buf_len(&whole.out);
    bool same_answers =
        len == tern_buf_len(&pieces.out) &&
        (len == 0 || memcmp(tern_buf_data(&whole.out), tern_buf_data(&pieces.out), len) == 0);
    bool agreed = whole.code == 1;
    if (whole.code != pieces.code || whole.id != pieces.id || !same_answers ||
        (agreed && whole.used != pieces.used) || agreed != (whole.id != NULL) ||
        len > (TERN_MS_PROPOSALS_MAX + 1) * (size_t)64) {
        abort();
    }
    tern_buf_free(&whole.out);
    tern_buf_free(&pieces.out);
    return 0;
}
