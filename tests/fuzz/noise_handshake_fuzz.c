/* The Noise handshake against any bytes. The first byte chooses what the rest is:
 *
 *     0  bytes from the responder     2  the payload of an otherwise honest second message
 *     1  bytes from the initiator     3  the payload of an otherwise honest third message
 *     4  a payload by itself
 *
 * Only an honest payload may end a handshake well, and nothing may leak. */
#include <stdlib.h>

#include "base/mem.h"
#include "crypto/key.h"
#include "secure/noise_core.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

static const char *const muxers[] = {"/yamux/1.0.0", "/mplex/6.7.0", NULL};
static const tern_span nothing = {NULL, 0};
static tern_counters counters;

/* Our identity and static key, made once from fixed bytes. */
static const tern_x25519_pair *identity(tern_span *ret_payload)
{
    static const uint8_t key_bytes[] =
        "\x08\x01\x12\x40"
        "\x00\x01\x02\x03\x04\x05\x06\x07\x08\x09\x0a\x0b\x0c\x0d\x0e\x0f"
        "\x10\x11\x12\x13\x14\x15\x16\x17\x18\x19\x1a\x1b\x1c\x1d\x1e\x1f"
        "\x03\xa1\x07\xbf\xf3\xce\x10\xbe\x1d\x70\xdd\x18\xe7\x4b\xc0\x99"
        "\x67\xe4\xd6\x30\x9b\xa5\x0d\x5f\x1d\xdc\x86\x64\x12\x55\x31\xb8";
    static tern_x25519_pair pair;
    static uint8_t payload[256];
    static size_t len;
    if (len == 0) {
        tern_key *key;
        tern_buf out;
        tern_buf_init(&out, 0);
        memset(pair.secret, 0x11, sizeof pair.secret);
        if (tern_x25519_public(pair.secret, pair.public) != 0 ||
            tern_key_from_private(key_bytes, sizeof key_bytes - 1, &key) != 0 ||
            tern_noise_payload_identity(key, pair.public, &out) != 0) {
            abort();
        }
        len = tern_buf_len(&out);
        memcpy(payload, tern_buf_data(&out), len);
        tern_buf_free(&out);
        tern_key_unref(key);
    }
    *ret_payload = (tern_span){payload, len};
    return &pair;
}

static void start(tern_noise_handshake *h, bool initiator)
{
    tern_noise_config config = {
        .initiator = initiator,
        .muxers = muxers,
        .counters = &counters,
        .e = {.secret = {0x22}},
    };
    if (tern_x25519_public(config.e.secret, config.e.public) != 0) {
        abort();
    }
    config.s = identity(&config.identity);
    if (tern_noise_handshake_init(h, &config) != 0) {
        abort();
    }
}

/* Feeds bytes in pieces whose sizes the bytes themselves decide. */
static int feed(tern_noise_handshake *h, const uint8_t *data, size_t n)
{
    int r = 0;
    while (r == 0 && n > 0) {
        size_t piece = (data[n - 1] & 0x80) != 0 ? n : 1 + data[n - 1] % n, used;
        uint8_t *copy = tern_memdup(data, piece); /* exactly so long: overruns show */
        if (copy == NULL) {
            abort();
        }
        r = tern_noise_handshake_feed(h, copy, piece, &used);
        tern_free(copy);
        if (used > piece || (r == 0 && used != piece)) {
            abort();
        }
        data += used;
        n -= used;
    }
    return r;
}

static void raw(bool initiator, const uint8_t *data, size_t n)
{
    tern_noise_handshake h;
    start(&h, initiator);
    if (feed(&h, data, n) == 1) {
        abort(); /* nobody without a key gets so far */
    }
    tern_noise_handshake_eof(&h);
    tern_noise_handshake_clear(&h);
}

/* Plays the other side honestly up to the payload. */
static void forged(bool initiator, tern_span payload)
{
    tern_noise_handshake h;
    tern_noise_core peer;
    tern_buf out;
    tern_span unused;
    size_t used;
    tern_x25519_pair ephemeral = {.secret = {0x44}};

    start(&h, initiator);
    tern_buf_init(&out, 0);
    int e = tern_x25519_public(ephemeral.secret, ephemeral.public);
    e = e != 0 ? e
               : tern_noise_core_init(&peer, !initiator, nothing, identity(&unused), &ephemeral);
    if (e == 0 && !initiator) {
        e = tern_buf_append(&out, "\0\x20", 2);
        e = e != 0 ? e : tern_noise_core_write(&peer, nothing, &out);
        e = e != 0 ? e : tern_noise_handshake_feed(&h, tern_buf_data(&out), 34, &used);
        tern_buf_free(&out);
    }
    if (e == 0) {
        e = tern_noise_core_read(&peer, tern_buf_data(&h.out) + 2, tern_buf_len(&h.out) - 2,
                                 &unused);
    }
    e = e != 0 ? e : tern_buf_append(&out, "\0\0", 2);
    e = e != 0 ? e : tern_noise_core_write(&peer, payload, &out);
    if (e != 0) {
        abort();
    }
    tern_put16(tern_buf_data(&out), (uint16_t)(tern_buf_len(&out) - 2));
    if (tern_noise_handshake_feed(&h, tern_buf_data(&out), tern_buf_len(&out), &used) == 0) {
        abort(); /* a whole message is accepted or refused */
    }
    tern_buf_free(&out);
    tern_noise_core_clear(&peer);
    tern_noise_handshake_clear(&h);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    if (n == 0 || n > 8000) {
        return 0;
    }
    tern_span rest = {data + 1, n - 1};
    tern_noise_payload p;
    switch (data[0]) {
    case 0:
    case 1:
        raw(data[0] == 0, rest.data, rest.len);
        break;
    case 2:
    case 3:
        forged(data[0] == 2, rest);
        break;
    default:
        if (tern_noise_payload_read(rest, &p) == 0) {
            tern_noise_muxer(data[0] & 1, muxers, &p);
        }
    }
    return 0;
}
