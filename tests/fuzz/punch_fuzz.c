/* Messages of DCUtR: what parses is built again, and parses to the same. */
#include <stdlib.h>

#include "base/mem.h"
#include "nat/punch_message.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

static void check_same(const tern_punch_message *a, const tern_punch_message *b)
{
    bool same = a->kind == b->kind && a->addr_count == b->addr_count;
    for (size_t i = 0; same && i < a->addr_count; i++) {
        same = tern_multiaddr_equal(a->addrs[i], b->addrs[i]);
    }
    if (!same) {
        abort();
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    tern_punch_message m, again;
    tern_buf out;
    if (n > TERN_PUNCH_MESSAGE_MAX) {
        return 0;
    }
    uint8_t *copy = tern_memdup(data, n); /* exactly so long: overruns show */
    if (copy == NULL && n > 0) {
        return 0;
    }
    if (tern_punch_parse((tern_span){copy, n}, &m) == 0) {
        tern_buf_init(&out, 0);
        if (tern_punch_build(&m, &out) == 0) {
            tern_span bytes = {tern_buf_data(&out), tern_buf_len(&out)};
            if (tern_punch_parse(bytes, &again) != 0) {
                abort();
            }
            check_same(&m, &again);
            tern_punch_clear(&again);
        }
        tern_buf_free(&out);
        tern_punch_clear(&m);
    }
    tern_free(copy);
    return 0;
}
