/* Messages of AutoNAT 1: see autonat_message.h.
 *
 *     1 type (0 DIAL, 1 DIAL_RESPONSE)  2 dial: 1 peer: 1 id  2 addrs*
 *                                       3 response: 1 status  2 text  3 addr */
#include <tern/error.h>

#include "codec/protobuf.h"
#include "nat/autonat_message.h"

enum { DIAL = 0, DIAL_RESPONSE = 1 };

/* ---- reading ---- */

static void add_addr(tern_autonat_1_message *m, tern_span bytes)
{
    tern_multiaddr *a = m->addr_count < TERN_AUTONAT_1_ADDRS_MAX
                            ? tern_multiaddr_from_bytes(bytes.data, bytes.len, NULL)
                            : NULL;
    if (a != NULL) { /* unknown kinds of address are skipped */
        m->addrs[m->addr_count++] = a;
    }
}

static int read_peer(tern_span body, tern_autonat_1_message *m)
{
    tern_pb r = tern_pb_read(body.data, body.len);
    tern_span bytes;
    while (tern_pb_next(&r)) {
        if (r.field == 1 && tern_pb_bytes(&r, &bytes)) {
            if (tern_peer_id_from_bytes(&m->peer, bytes.data, bytes.len) != 0) {
                return TERN_E_MALFORMED;
            }
        } else if (r.field == 2 && tern_pb_bytes(&r, &bytes)) {
            add_addr(m, bytes);
        }
    }
    return r.error ? TERN_E_MALFORMED : 0;
}

static int read_dial(tern_span body, tern_autonat_1_message *m)
{
    tern_pb r = tern_pb_read(body.data, body.len);
    tern_span peer;
    int code = 0;
    while (code == 0 && tern_pb_next(&r)) {
        if (r.field == 1 && tern_pb_bytes(&r, &peer)) {
            code = read_peer(peer, m);
        }
    }
    return r.error ? TERN_E_MALFORMED : code;
}

static int read_response(tern_span body, tern_autonat_1_message *m)
{
    tern_pb r = tern_pb_read(body.data, body.len);
    tern_span bytes;
    uint64_t value;
    while (tern_pb_next(&r)) {
        if (r.field == 1 && tern_pb_uint(&r, &value)) {
            m->status = value > UINT32_MAX ? UINT32_MAX : (uint32_t)value;
        } else if (r.field == 3 && tern_pb_bytes(&r, &bytes)) {
            add_addr(m, bytes);
        }
    }
    return r.error ? TERN_E_MALFORMED : 0;
}

int tern_autonat_1_parse(tern_span message, tern_autonat_1_message *ret)
{
    tern_pb r = tern_pb_read(message.data, message.len);
    tern_span dial = {NULL, 0}, response = {NULL, 0}, *body;
    uint64_t type = UINT64_MAX;
    memset(ret, 0, sizeof *ret);
    while (tern_pb_next(&r)) {
        if (r.field == 1) {
            tern_pb_uint(&r, &type);
        } else if (r.field == 2) {
            tern_pb_bytes(&r, &dial);
        } else if (r.field == 3) {
            tern_pb_bytes(&r, &response);
        }
    }
    if (r.error || type > DIAL_RESPONSE) {
        return TERN_E_MALFORMED;
    }
    ret->response = type == DIAL_RESPONSE;
    body = ret->response ? &response : &dial;
    int code = body->data == NULL ? TERN_E_MALFORMED
               : ret->response    ? read_response(*body, ret)
                                  : read_dial(*body, ret);
    if (code != 0) {
        tern_autonat_1_clear(ret);
    }
    return code;
}

void tern_autonat_1_clear(tern_autonat_1_message *m)
{
    while (m->addr_count > 0) {
        tern_multiaddr_unref(m->addrs[--m->addr_count]);
    }
}

/* ---- building ---- */

static int put_addrs(const tern_autonat_1_message *m, uint32_t field, tern_buf *part)
{
    int code = 0;
    for (size_t i = 0; code == 0 && i < m->addr_count; i++) {
        size_t n;
        const uint8_t *bytes = tern_multiaddr_bytes(m->addrs[i], &n);
        code = tern_pb_put_bytes(part, field, bytes, n);
    }
    return code;
}

static int put_dial(const tern_autonat_1_message *m, tern_buf *part)
{
    tern_buf peer;
    tern_buf_init(&peer, TERN_AUTONAT_1_MESSAGE_MAX);
    int code = m->peer.len > 0 ? tern_pb_put_bytes(&peer, 1, m->peer.bytes, m->peer.len) : 0;
    code = code == 0 ? put_addrs(m, 2, &peer) : code;
    if (code == 0) {
        code = tern_pb_put_bytes(part, 1, tern_buf_data(&peer), tern_buf_len(&peer));
    }
    tern_buf_free(&peer);
    return code;
}

int tern_autonat_1_build(const tern_autonat_1_message *m, tern_buf *out)
{
    tern_buf part;
    tern_buf_init(&part, TERN_AUTONAT_1_MESSAGE_MAX);
    int code = tern_pb_put_uint(out, 1, m->response ? DIAL_RESPONSE : DIAL);
    if (code == 0 && m->response) {
        code = tern_pb_put_uint(&part, 1, m->status);
        code = code == 0 ? put_addrs(m, 3, &part) : code;
    } else if (code == 0) {
        code = put_dial(m, &part);
    }
    if (code == 0) {
        code =
            tern_pb_put_bytes(out, m->response ? 3 : 2, tern_buf_data(&part), tern_buf_len(&part));
    }
    tern_buf_free(&part);
    return code;
}
