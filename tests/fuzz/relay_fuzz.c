/* Messages of circuit relay v2: the first byte says of which protocol. What parses is built again,
 * and parses to the same; vouchers are opened as they stand in it. */
#include <stdlib.h>

#include "base/mem.h"
#include "nat/relay_message.h"
#include "nat/voucher.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

static void check_same(const tern_relay_message *a, const tern_relay_message *b)
{
    bool same = a->kind == b->kind && tern_peer_id_equal(&a->peer, &b->peer) &&
                a->reserved == b->reserved && a->expire == b->expire &&
                a->addr_count == b->addr_count && a->voucher.len == b->voucher.len &&
                a->limit.duration == b->limit.duration && a->limit.data == b->limit.data &&
                a->status == b->status;
    for (size_t i = 0; same && i < a->addr_count; i++) {
        same = tern_multiaddr_equal(a->addrs[i], b->addrs[i]);
    }
    if (!same) {
        abort();
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    tern_relay_message m, again;
    tern_buf out;
    uint64_t expiration;
    if (n == 0 || n > TERN_RELAY_MESSAGE_MAX) {
        return 0;
    }
    bool hop = data[0] & 1;
    uint8_t *copy = tern_memdup(data + 1, n - 1); /* exactly so long: overruns show */
    if (copy == NULL && n > 1) {
        return 0;
    }
    if (tern_relay_parse(hop, (tern_span){copy, n - 1}, &m) == 0) {
        tern_buf_init(&out, 0);
        if (tern_relay_build(hop, &m, &out) == 0) {
            tern_span bytes = {tern_buf_data(&out), tern_buf_len(&out)};
            if (tern_relay_parse(hop, bytes, &again) != 0) {
                abort();
            }
            check_same(&m, &again);
            tern_relay_clear(&again);
        }
        tern_buf_free(&out);
        if (m.voucher.len > 0) {
            tern_voucher_open(m.voucher, &m.peer, &m.peer, &expiration);
        }
        tern_relay_clear(&m);
    }
    tern_free(copy);
    return 0;
}
