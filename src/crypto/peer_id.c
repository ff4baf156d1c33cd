/* Peer ids: multihashes of public keys and their text forms. See tern/peer_id.h (libp2p specs,
 * peer-ids).
 *
 *     multihash:  00 length PublicKey (at most 42 bytes)  |  12 20 SHA-256 (32 bytes)
 *     text (a):   base58btc of the multihash, "12D3KooW..." "16Uiu2HA..." "Qm..."
 *     text (b):   multibase of a CID: 01 (version) 72 (libp2p-key) multihash
 *
 * Only the shape is checked here; that an id's key is a good one shows when the key is needed
 * (tern_key_from_peer_id, the security handshakes). */
#include <tern/peer_id.h>

#include <string.h>

#include "base/bytes.h"
#include "codec/multibase.h"
#include "codec/varint.h"

enum {
    HASH_IDENTITY = 0x00,
    HASH_SHA256 = 0x12,
    CID_V1 = 0x01,
    CODEC_LIBP2P_KEY = 0x72,
    INLINE_MAX = 42, /* longest key that an id carries whole */
    BINARY_MAX = 64, /* room to decode text: more than any valid id with its CID prefix */
    TEXT_MAX = 128   /* no base makes a valid id longer (base16: 93) */
};

/* A varint at the start of *in, stepped over. */
static bool take_varint(tern_span *in, uint64_t *ret)
{
    ssize_t n = tern_varint_get(in->data, in->len, ret);
    if (n <= 0) {
        return false;
    }
    *in = (tern_span){in->data + n, in->len - (size_t)n};
    return true;
}

int tern_peer_id_from_bytes(tern_peer_id *ret, const uint8_t *bytes, size_t n)
{
    tern_span in = {bytes, n};
    uint64_t code, length;
    if (!take_varint(&in, &code)) {
        return TERN_E_MALFORMED;
    }
    if (code != HASH_IDENTITY && code != HASH_SHA256) {
        return TERN_E_UNSUPPORTED;
    }
    if (!take_varint(&in, &length) || length != in.len || length == 0 ||
        length > (code == HASH_IDENTITY ? INLINE_MAX : 32) ||
        (code == HASH_SHA256 && length != 32)) {
        return TERN_E_MALFORMED;
    }
    memset(ret, 0, sizeof *ret);
    memcpy(ret->bytes, bytes, n);
    ret->len = (uint8_t)n;
    return 0;
}

static int from_cid(tern_peer_id *ret, tern_span cid)
{
    uint64_t version, codec;
    if (!take_varint(&cid, &version) || !take_varint(&cid, &codec)) {
        return TERN_E_MALFORMED;
    }
    if (version != CID_V1 || codec != CODEC_LIBP2P_KEY) {
        return TERN_E_UNSUPPORTED;
    }
    return tern_peer_id_from_bytes(ret, cid.data, cid.len);
}

int tern_peer_id_parse(tern_peer_id *ret, const char *text)
{
    uint8_t bytes[BINARY_MAX];
    size_t text_n = strnlen(text, TEXT_MAX + 1);
    if (text_n == 0 || text_n > TEXT_MAX) {
        return TERN_E_MALFORMED;
    }
    bool bare = text[0] == '1' || strncmp(text, "Qm", 2) == 0;
    ssize_t n = bare ? tern_base_decode('z', text, text_n, bytes, sizeof bytes)
                     : tern_multibase_decode(text, text_n, bytes, sizeof bytes);
    if (n <= 0) {
        return n == TERN_E_UNSUPPORTED ? TERN_E_UNSUPPORTED : TERN_E_MALFORMED;
    }
    return bare ? tern_peer_id_from_bytes(ret, bytes, (size_t)n)
                : from_cid(ret, (tern_span){bytes, (size_t)n});
}

char *tern_peer_id_text(const tern_peer_id *id, char *out)
{
    if (id->len == 0 || tern_base_encode('z', id->bytes, id->len, out, TERN_PEER_ID_TEXT) < 0) {
        out[0] = '\0';
    }
    return out;
}

static char *cid_text(const tern_peer_id *id, char prefix, char *out)
{
    uint8_t cid[2 + sizeof id->bytes] = {CID_V1, CODEC_LIBP2P_KEY};
    memcpy(cid + 2, id->bytes, sizeof id->bytes);
    if (id->len == 0 ||
        tern_multibase_encode(prefix, cid, 2u + id->len, out, TERN_PEER_ID_TEXT) < 0) {
        out[0] = '\0';
    }
    return out;
}

char *tern_peer_id_text_base36(const tern_peer_id *id, char *out)
{
    return cid_text(id, 'k', out);
}

char *tern_peer_id_text_base32(const tern_peer_id *id, char *out)
{
    return cid_text(id, 'b', out);
}

bool tern_peer_id_equal(const tern_peer_id *a, const tern_peer_id *b)
{
    return a->len == b->len && memcmp(a->bytes, b->bytes, a->len) == 0;
}
