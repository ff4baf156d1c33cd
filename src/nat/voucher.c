/* See voucher.h. Payload: 1 relay  2 peer  3 expiration. */
#include "nat/voucher.h"

#include "codec/protobuf.h"
#include "crypto/envelope.h"

static const uint8_t payload_type[] = {0x03, 0x02};

int tern_voucher_seal(const tern_key *relay, const tern_peer_id *peer, uint64_t expiration,
                      tern_buf *out)
{
    tern_peer_id id;
    tern_buf payload;
    tern_key_peer_id(relay, &id);
    tern_buf_init(&payload, 0);
    int code = tern_pb_put_bytes(&payload, 1, id.bytes, id.len);
    if (code == 0) {
        code = tern_pb_put_bytes(&payload, 2, peer->bytes, peer->len);
    }
    if (code == 0) {
        code = tern_pb_put_uint(&payload, 3, expiration);
    }
    if (code == 0) {
        tern_span body = {tern_buf_data(&payload), tern_buf_len(&payload)};
        code = tern_envelope_seal(relay, TERN_DOMAIN_RELAY_RSVP,
                                  (tern_span){payload_type, sizeof payload_type}, body, out);
    }
    tern_buf_free(&payload);
    return code;
}

static bool is(tern_span id, const tern_peer_id *peer)
{
    return id.len == peer->len && memcmp(id.data, peer->bytes, id.len) == 0;
}

static int check(tern_span payload, const tern_peer_id *relay, const tern_peer_id *peer,
                 uint64_t *ret_expiration)
{
    tern_pb r = tern_pb_read(payload.data, payload.len);
    tern_span who = {NULL, 0}, whom = {NULL, 0};
    *ret_expiration = 0;
    while (tern_pb_next(&r)) {
        if (r.field == 1) {
            tern_pb_bytes(&r, &who);
        } else if (r.field == 2) {
            tern_pb_bytes(&r, &whom);
        } else if (r.field == 3) {
            tern_pb_uint(&r, ret_expiration);
        }
    }
    if (r.error) {
        return TERN_E_MALFORMED;
    }
    return is(who, relay) && is(whom, peer) ? 0 : TERN_E_PEER_ID;
}

int tern_voucher_open(tern_span envelope, const tern_peer_id *relay, const tern_peer_id *peer,
                      uint64_t *ret_expiration)
{
    tern_envelope e;
    tern_peer_id signer;
    int code = tern_envelope_open(envelope.data, envelope.len, TERN_DOMAIN_RELAY_RSVP, &e);
    if (code != 0) {
        return code;
    }
    tern_key_peer_id(e.key, &signer);
    tern_key_unref(e.key);
    if (e.type.len != sizeof payload_type ||
        memcmp(e.type.data, payload_type, sizeof payload_type) != 0) {
        return TERN_E_MALFORMED;
    }
    if (!tern_peer_id_equal(&signer, relay)) {
        return TERN_E_PEER_ID;
    }
    return check(e.payload, relay, peer, ret_expiration);
}
