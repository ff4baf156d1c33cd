/* A signed envelope from a peer, opened for two domains and as a peer record; and the bytes as a
 * record's content that is signed well, so that the reader behind the signature is reached. */
#include <stdlib.h>

#include "crypto/envelope.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

static void open_record(const uint8_t *data, size_t n)
{
    tern_peer_record record;
    if (tern_peer_record_open(data, n, &record) == 0) {
        if (record.peer.len == 0 || record.addr_count > TERN_RECORD_ADDRS_MAX) {
            abort();
        }
        tern_peer_record_clear(&record);
    }
}

static void open_envelope(const uint8_t *data, size_t n, const char *domain)
{
    tern_envelope e;
    if (tern_envelope_open(data, n, domain, &e) == 0) {
        if (e.payload.len > n || e.type.len > n) {
            abort();
        }
        tern_key_unref(e.key);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    static tern_key *key;
    if (key == NULL && tern_key_generate(TERN_KEY_ED25519, &key) != 0) {
        abort();
    }
    open_envelope(data, n, TERN_DOMAIN_RELAY_RSVP);
    open_envelope(data, n, TERN_DOMAIN_PEER_RECORD);
    open_record(data, n);

    /* The signer's id comes first; a second one in the data replaces it. */
    const tern_span type = {(const uint8_t *)"\x03\x01", 2};
    tern_peer_id id;
    tern_buf payload, out;
    tern_buf_init(&payload, 0);
    tern_buf_init(&out, 0);
    tern_key_peer_id(key, &id);
    const uint8_t head[] = {0x0a, id.len};
    if (tern_buf_append(&payload, head, sizeof head) == 0 &&
        tern_buf_append(&payload, id.bytes, id.len) == 0 &&
        tern_buf_append(&payload, data, n) == 0) {
        const tern_span p = {tern_buf_data(&payload), tern_buf_len(&payload)};
        if (tern_envelope_seal(key, TERN_DOMAIN_PEER_RECORD, type, p, &out) == 0) {
            open_record(tern_buf_data(&out), tern_buf_len(&out));
        }
    }
    tern_buf_free(&payload);
    tern_buf_free(&out);
    return 0;
}
