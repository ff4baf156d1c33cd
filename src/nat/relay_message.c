/* Messages of circuit relay v2: see relay_message.h.
 *
 *     hop:   1 type  2 peer  3 reservation  4 limit  5 status
 *     stop:  1 type  2 peer                 3 limit  4 status
 *     peer: 1 id  2 addrs*    reservation: 1 expire  2 addrs*  3 voucher    limit: 1 duration  2
 * data */
#include "nat/relay_message.h"

#include <tern/error.h>

#include "codec/protobuf.h"

typedef struct numbers {
    uint32_t reservation, limit, status; /* 0 = has none */
    uint64_t types;                      /* how many there are */
    tern_relay_kind first;
} numbers;

static const numbers hop_numbers = {3, 4, 5, 3, TERN_RELAY_RESERVE};
static const numbers stop_numbers = {0, 3, 4, 2, TERN_RELAY_CONNECT};

/* ---- reading ---- */

static int read_peer(tern_span body, tern_peer_id *ret)
{
    tern_pb r = tern_pb_read(body.data, body.len);
    tern_span id;
    int code = TERN_E_MALFORMED; /* without an id */
    while (tern_pb_next(&r)) {
        if (r.field == 1 && tern_pb_bytes(&r, &id)) {
            code = tern_peer_id_from_bytes(ret, id.data, id.len) == 0 ? 0 : TERN_E_MALFORMED;
        }
    }
    return r.error ? TERN_E_MALFORMED : code;
}

static int read_reservation(tern_span body, tern_relay_message *m)
{
    tern_pb r = tern_pb_read(body.data, body.len);
    tern_span bytes;
    m->reserved = true;
    while (tern_pb_next(&r)) {
        if (r.field == 1) {
            tern_pb_uint(&r, &m->expire);
        } else if (r.field == 2 && tern_pb_bytes(&r, &bytes)) {
            tern_multiaddr *a = m->addr_count < TERN_RELAY_ADDRS_MAX
                                    ? tern_multiaddr_from_bytes(bytes.data, bytes.len, NULL)
                                    : NULL;
            if (a != NULL) { /* unknown kinds of address are skipped */
                m->addrs[m->addr_count++] = a;
            }
        } else if (r.field == 3) {
            tern_pb_bytes(&r, &m->voucher);
        }
    }
    return r.error ? TERN_E_MALFORMED : 0;
}

static int read_limit(tern_span body, tern_relay_limit *ret)
{
    tern_pb r = tern_pb_read(body.data, body.len);
    uint64_t value;
    while (tern_pb_next(&r)) {
        if (r.field == 1 && tern_pb_uint(&r, &value)) {
            ret->duration = value > UINT32_MAX ? UINT32_MAX : (uint32_t)value;
        } else if (r.field == 2) {
            tern_pb_uint(&r, &ret->data);
        }
    }
    return r.error ? TERN_E_MALFORMED : 0;
}

static int read_field(tern_pb *r, const numbers *no, tern_relay_message *m)
{
    tern_span body;
    uint64_t value;
    if (r->field == no->status) {
        if (tern_pb_uint(r, &value)) {
            m->status = value > UINT32_MAX ? UINT32_MAX : (uint32_t)value;
        }
        return 0;
    }
    if (r->field != 2 && r->field != no->limit && r->field != no->reservation) {
        return 0;
    }
    if (!tern_pb_bytes(r, &body)) {
        return TERN_E_MALFORMED;
    }
    return r->field == 2           ? read_peer(body, &m->peer)
           : r->field == no->limit ? read_limit(body, &m->limit)
                                   : read_reservation(body, m);
}

int tern_relay_parse(bool hop, tern_span message, tern_relay_message *ret)
{
    const numbers *no = hop ? &hop_numbers : &stop_numbers;
    tern_pb r = tern_pb_read(message.data, message.len);
    uint64_t type = UINT64_MAX;
    int code = 0;
    memset(ret, 0, sizeof *ret);
    while (code == 0 && tern_pb_next(&r)) {
        if (r.field == 1) {
            tern_pb_uint(&r, &type);
        } else {
            code = read_field(&r, no, ret);
        }
    }
    if (code != 0 || r.error || type >= no->types) {
        tern_relay_clear(ret);
        return TERN_E_MALFORMED;
    }
    ret->kind = (tern_relay_kind)(no->first + type);
    return 0;
}

void tern_relay_clear(tern_relay_message *m)
{
    while (m->addr_count > 0) {
        tern_multiaddr_unref(m->addrs[--m->addr_count]);
    }
}

/* ---- building ---- */

static int put_part(tern_buf *out, uint32_t field, tern_buf *part, int code)
{
    code =
        code == 0 ? tern_pb_put_bytes(out, field, tern_buf_data(part), tern_buf_len(part)) : code;
    tern_buf_free(part);
    return code;
}

static int put_reservation(tern_buf *out, uint32_t field, const tern_relay_message *m)
{
    tern_buf part;
    tern_buf_init(&part, TERN_RELAY_MESSAGE_MAX);
    int code = tern_pb_put_uint(&part, 1, m->expire);
    for (size_t i = 0; code == 0 && i < m->addr_count; i++) {
        size_t n;
        const uint8_t *bytes = tern_multiaddr_bytes(m->addrs[i], &n);
        code = tern_pb_put_bytes(&part, 2, bytes, n);
    }
    if (code == 0 && m->voucher.len > 0) {
        code = tern_pb_put_bytes(&part, 3, m->voucher.data, m->voucher.len);
    }
    return put_part(out, field, &part, code);
}

static int put_limit(tern_buf *out, uint32_t field, const tern_relay_limit *limit)
{
    tern_buf part;
    tern_buf_init(&part, 0);
    int code = limit->duration > 0 ? tern_pb_put_uint(&part, 1, limit->duration) : 0;
    if (code == 0 && limit->data > 0) {
        code = tern_pb_put_uint(&part, 2, limit->data);
    }
    return put_part(out, field, &part, code);
}

static int put_peer(tern_buf *out, const tern_peer_id *peer)
{
    tern_buf part;
    tern_buf_init(&part, 0);
    int code = tern_pb_put_bytes(&part, 1, peer->bytes, peer->len);
    return put_part(out, 2, &part, code);
}

int tern_relay_build(bool hop, const tern_relay_message *m, tern_buf *out)
{
    const numbers *no = hop ? &hop_numbers : &stop_numbers;
    int code = tern_pb_put_uint(out, 1, (uint64_t)(m->kind - no->first));
    if (code == 0 && m->peer.len > 0) {
        code = put_peer(out, &m->peer);
    }
    if (code == 0 && m->reserved) {
        code = put_reservation(out, no->reservation, m);
    }
    if (code == 0 && (m->limit.duration > 0 || m->limit.data > 0)) {
        code = put_limit(out, no->limit, &m->limit);
    }
    if (code == 0 && m->status > 0) {
        code = tern_pb_put_uint(out, no->status, m->status);
    }
    return code;
}

const char *tern_relay_status_text(uint32_t status)
{
    switch (status) {
    case TERN_RELAY_OK:
        return "granted";
    case TERN_RELAY_RESERVATION_REFUSED:
        return "it gives no reservation (RESERVATION_REFUSED)";
    case TERN_RELAY_RESOURCE_LIMIT_EXCEEDED:
        return "it has as many as it allows (RESOURCE_LIMIT_EXCEEDED)";
    case TERN_RELAY_PERMISSION_DENIED:
        return "it does not allow that (PERMISSION_DENIED)";
    case TERN_RELAY_CONNECTION_FAILED:
        return "the peer behind it did not answer (CONNECTION_FAILED)";
    case TERN_RELAY_NO_RESERVATION:
        return "the peer has no reservation there (NO_RESERVATION)";
    case TERN_RELAY_MALFORMED_MESSAGE:
        return "it did not understand (MALFORMED_MESSAGE)";
    case TERN_RELAY_UNEXPECTED_MESSAGE:
        return "it did not expect that (UNEXPECTED_MESSAGE)";
    default:
        return "it gave no reason that is known";
    }
}
