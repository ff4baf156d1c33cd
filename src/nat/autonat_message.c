/* Messages of AutoNAT 2: see autonat_message.h.
 *
 *     1 request:       1 addrs*  2 nonce (fixed64)      2 response:      1 status  2 index  3 dial
 *     3 data request:  1 index   2 bytes                4 data response: 1 data
 *     dial-back:       1 nonce (fixed64) */
#include "nat/autonat_message.h"

#include <tern/error.h>

#include "codec/protobuf.h"

/* ---- reading ---- */

static uint32_t narrow(uint64_t value)
{
    return value > UINT32_MAX ? UINT32_MAX : (uint32_t)value;
}

static void read_request_field(tern_pb *r, tern_autonat_message *m)
{
    tern_span bytes;
    if (r->field == 2) {
        tern_pb_uint(r, &m->nonce);
    } else if (r->field == 1 && tern_pb_bytes(r, &bytes) &&
               m->addr_count < TERN_AUTONAT_ADDRS_MAX) {
        /* Unknown kinds keep their place: addresses are told by their number. */
        m->addrs[m->addr_count++] = tern_multiaddr_from_bytes(bytes.data, bytes.len, NULL);
    }
}

static void read_field(tern_pb *r, tern_autonat_message *m)
{
    uint64_t value = 0;
    if (m->kind == TERN_AUTONAT_REQUEST) {
        read_request_field(r, m);
    } else if (m->kind == TERN_AUTONAT_DATA_RESPONSE) {
        if (r->field == 1) {
            tern_pb_bytes(r, &m->data);
        }
    } else if (r->field <= 3 && tern_pb_uint(r, &value)) {
        bool response = m->kind == TERN_AUTONAT_RESPONSE;
        if (response && r->field == 1) {
            m->status = narrow(value);
        } else if (response && r->field == 3) {
            m->dial_status = narrow(value);
        } else if (!response && r->field == 2) {
            m->bytes = value;
        } else if (r->field <= 2) {
            m->index = narrow(value);
        }
    }
}

int tern_autonat_parse(tern_span message, tern_autonat_message *ret)
{
    tern_pb r = tern_pb_read(message.data, message.len);
    tern_span body = {NULL, 0};
    uint32_t kind = 0;
    memset(ret, 0, sizeof *ret);
    while (tern_pb_next(&r)) {
        if (r.field >= TERN_AUTONAT_REQUEST && r.field <= TERN_AUTONAT_DATA_RESPONSE &&
            tern_pb_bytes(&r, &body)) {
            kind = r.field; /* of several the last holds */
        }
    }
    if (r.error || kind == 0) {
        return TERN_E_MALFORMED;
    }
    ret->kind = (tern_autonat_kind)kind;
    r = tern_pb_read(body.data, body.len);
    while (tern_pb_next(&r)) {
        read_field(&r, ret);
    }
    if (r.error) {
        tern_autonat_clear(ret);
        return TERN_E_MALFORMED;
    }
    return 0;
}

void tern_autonat_clear(tern_autonat_message *m)
{
    while (m->addr_count > 0) {
        tern_multiaddr_unref(m->addrs[--m->addr_count]);
    }
}

int tern_autonat_parse_dial_back(tern_span message, uint64_t *ret_nonce)
{
    tern_pb r = tern_pb_read(message.data, message.len);
    *ret_nonce = 0;
    while (tern_pb_next(&r)) {
        if (r.field == 1) {
            tern_pb_uint(&r, ret_nonce);
        }
    }
    return r.error ? TERN_E_MALFORMED : 0;
}

/* ---- building ---- */

static int put_addrs(const tern_autonat_message *m, tern_buf *part)
{
    int code = 0;
    for (size_t i = 0; code == 0 && i < m->addr_count; i++) {
        size_t n = 0;
        const uint8_t *bytes =
            m->addrs[i] != NULL ? tern_multiaddr_bytes(m->addrs[i], &n) : (const uint8_t *)"";
        code = tern_pb_put_bytes(part, 1, bytes, n);
    }
    return code == 0 ? tern_pb_put_fixed64(part, 2, m->nonce) : code;
}

static int put_number(tern_buf *part, uint32_t field, uint64_t value)
{
    return value == 0 ? 0 : tern_pb_put_uint(part, field, value);
}

static int put_body(const tern_autonat_message *m, tern_buf *part)
{
    int code;
    switch (m->kind) {
    case TERN_AUTONAT_REQUEST:
        return put_addrs(m, part);
    case TERN_AUTONAT_RESPONSE:
        code = put_number(part, 1, m->status);
        code = code == 0 ? put_number(part, 2, m->index) : code;
        return code == 0 ? put_number(part, 3, m->dial_status) : code;
    case TERN_AUTONAT_DATA_REQUEST:
        code = put_number(part, 1, m->index);
        return code == 0 ? put_number(part, 2, m->bytes) : code;
    default:
        return tern_pb_put_bytes(part, 1, m->data.data, m->data.len);
    }
}

int tern_autonat_build(const tern_autonat_message *m, tern_buf *out)
{
    tern_buf part;
    tern_buf_init(&part, TERN_AUTONAT_MESSAGE_MAX);
    int code = put_body(m, &part);
    if (code == 0) {
        code = tern_pb_put_bytes(out, (uint32_t)m->kind, tern_buf_data(&part), tern_buf_len(&part));
    }
    tern_buf_free(&part);
    return code;
}

int tern_autonat_build_dial_back(uint64_t nonce, tern_buf *out)
{
    return tern_pb_put_fixed64(out, 1, nonce);
}
