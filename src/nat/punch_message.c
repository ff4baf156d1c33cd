/* Messages of DCUtR: see punch_message.h.
 *
 *     1 type  2 addrs* */
#include "nat/punch_message.h"

#include <tern/error.h>

#include "codec/multiaddr.h"
#include "codec/protobuf.h"

static void take_addr(tern_span bytes, tern_punch_message *m)
{
    tern_ma_part part;
    tern_multiaddr *a = m->addr_count < TERN_PUNCH_ADDRS_MAX
                            ? tern_multiaddr_from_bytes(bytes.data, bytes.len, NULL)
                            : NULL;
    if (a == NULL || tern_ma_find(a, TERN_MA_P2P_CIRCUIT, &part)) {
        tern_multiaddr_unref(a);
        return;
    }
    m->addrs[m->addr_count++] = a;
}

int tern_punch_parse(tern_span message, tern_punch_message *ret)
{
    tern_pb r = tern_pb_read(message.data, message.len);
    uint64_t type = 0;
    tern_span bytes;
    memset(ret, 0, sizeof *ret);
    while (tern_pb_next(&r)) {
        if (r.field == 1) {
            tern_pb_uint(&r, &type);
        } else if (r.field == 2 && tern_pb_bytes(&r, &bytes)) {
            take_addr(bytes, ret);
        }
    }
    if (r.error || (type != TERN_PUNCH_CONNECT && type != TERN_PUNCH_SYNC)) {
        tern_punch_clear(ret);
        return TERN_E_MALFORMED;
    }
    ret->kind = (tern_punch_kind)type;
    return 0;
}

void tern_punch_clear(tern_punch_message *m)
{
    while (m->addr_count > 0) {
        tern_multiaddr_unref(m->addrs[--m->addr_count]);
    }
}

int tern_punch_build(const tern_punch_message *m, tern_buf *out)
{
    int code = tern_pb_put_uint(out, 1, m->kind);
    for (size_t i = 0; code == 0 && i < m->addr_count; i++) {
        size_t n;
        const uint8_t *bytes = tern_multiaddr_bytes(m->addrs[i], &n);
        code = tern_pb_put_bytes(out, 2, bytes, n);
    }
    return code;
}
