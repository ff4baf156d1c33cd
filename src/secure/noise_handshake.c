/* libp2p's Noise handshake as a machine over bytes: frames the three messages, answers them, and
 * says at the end who the peer is.
 *
 *     bytes from the peer -> feed -> part (only an unfinished message) -> XX exchange -> payload
 *                                 -> out (framed answers)              -> key, peer, muxer, ciphers
 *
 * Every refusal has one place here that names its error and its counter. The caller owns the
 * struct; the results are its when done. No stream, no clock: those are noise.c's. */
#include "secure/noise_core.h"

#include "base/error.h"
#include "codec/varint.h"

/* ---- refusals ---- */

static int refuse(tern_noise_handshake *h, int code, uint64_t *counter, const char *text)
{
    ++*counter;
    return tern_fail(&h->error, code, "noise", "%s", text);
}

/* Errors of the exchange itself. */
static int refuse_message(tern_noise_handshake *h, int code)
{
    tern_counters *count = h->counters;
    switch (code) {
    case TERN_E_MALFORMED:
        return refuse(h, code, &count->noise_malformed, "a handshake message is too short");
    case TERN_E_CRYPTO:
        if (h->core.bad_key) {
            return refuse(h, code, &count->noise_bad_key, "the peer sent a small-order key");
        }
        return refuse(h, code, &count->noise_decrypt, "a handshake message does not decrypt");
    case TERN_E_NOMEM:
        return refuse(h, code, &count->allocation_failures, "out of memory");
    default:
        return tern_fail(&h->error, code, "noise", "%s", tern_code_text(code));
    }
}

static int refuse_payload(tern_noise_handshake *h, int code)
{
    tern_counters *count = h->counters;
    if (code == TERN_E_TOO_LARGE) {
        return refuse(h, code, &count->noise_too_large,
                      "the payload lists too many or too long muxers or certificate hashes");
    }
    return refuse(h, code, &count->noise_malformed, "the payload does not parse");
}

static int refuse_identity(tern_noise_handshake *h, int code)
{
    tern_counters *count = h->counters;
    if (code == TERN_E_SIGNATURE) {
        return refuse(h, code, &count->noise_bad_signature,
                      "the identity key's signature over the static key does not verify");
    }
    if (code == TERN_E_NOMEM) {
        return refuse(h, code, &count->allocation_failures, "out of memory");
    }
    return refuse(h, code, &count->noise_bad_identity, "the identity key is malformed or unknown");
}

static int refuse_peer(tern_noise_handshake *h)
{
    char is[TERN_PEER_ID_TEXT];
    refuse(h, TERN_E_PEER_ID, &h->counters->noise_wrong_peer, "");
    return tern_fail(&h->error, TERN_E_PEER_ID, "noise", "the peer is %s, another was expected",
                     tern_peer_id_text(&h->peer, is));
}

int tern_noise_handshake_eof(tern_noise_handshake *h)
{
    if (tern_buf_len(&h->part) > 0) {
        return refuse(h, TERN_E_EOF, &h->counters->noise_truncated,
                      "the peer ended inside a handshake message");
    }
    return tern_fail(&h->error, TERN_E_EOF, "noise", "the peer ended during the handshake");
}

/* ---- writing ---- */

/* Appends our next message to out, framed. The first has no payload (rust refuses one). */
static int put_message(tern_noise_handshake *h)
{
    static const uint8_t no_length[2] = {0, 0};
    tern_span payload = {NULL, 0};
    size_t before = tern_buf_len(&h->out);

    if (h->core.next > 0) {
        payload = (tern_span){tern_buf_data(&h->payload), tern_buf_len(&h->payload)};
    }
    int e = tern_buf_append(&h->out, no_length, sizeof no_length);
    if (e == 0) {
        e = tern_noise_core_write(&h->core, payload, &h->out);
    }
    if (e != 0) {
        return refuse_message(h, e);
    }
    if (payload.len > 0) {
        tern_buf_free(&h->payload);
    }
    size_t n = tern_buf_len(&h->out) - before - sizeof no_length;
    tern_put16(tern_buf_data(&h->out) + before, (uint16_t)n);
    return 0;
}

/* ---- reading ---- */

static int keep_certhashes(tern_noise_handshake *h, const tern_noise_payload *p)
{
    for (size_t i = 0; i < p->certhash_count; i++) {
        uint8_t length[TERN_VARINT_MAX];
        size_t n = tern_varint_put(length, p->certhashes[i].len);
        if (tern_buf_append(&h->certhashes, length, n) != 0 ||
            tern_buf_append(&h->certhashes, p->certhashes[i].data, p->certhashes[i].len) != 0) {
            return TERN_E_NOMEM;
        }
    }
    return 0;
}

static int take_payload(tern_noise_handshake *h, tern_span bytes)
{
    tern_noise_payload p;
    int e = tern_noise_payload_read(bytes, &p);
    if (e != 0) {
        return refuse_payload(h, e);
    }
    e = tern_noise_payload_verify(&p, h->core.rs, h->known, &h->key);
    if (e != 0) {
        return refuse_identity(h, e);
    }
    tern_key_peer_id(h->key, &h->peer);
    if (h->expected.len != 0 && !tern_peer_id_equal(&h->peer, &h->expected)) {
        return refuse_peer(h);
    }
    h->muxer = tern_noise_muxer(h->core.initiator, h->muxers, &p);
    e = keep_certhashes(h, &p);
    return e != 0 ? refuse_message(h, e) : 0;
}

/* One whole message: read it, answer it, and split after the last one. */
static int take_message(tern_noise_handshake *h, uint8_t *body, size_t n)
{
    tern_span payload;
    bool first = h->core.next == 0;

    int e = tern_noise_core_read(&h->core, body, n, &payload);
    if (e != 0) {
        return refuse_message(h, e);
    }
    if (!first) { /* the first one's payload is not authenticated and means nothing */
        e = take_payload(h, payload);
    }
    if (e == 0 && tern_noise_core_writes(&h->core)) {
        e = put_message(h);
    }
    if (e != 0 || first) {
        return e;
    }
    e = tern_noise_core_split(&h->core, &h->send, &h->recv);
    if (e != 0) {
        return refuse_message(h, e);
    }
    tern_noise_core_clear(&h->core);
    h->done = true;
    return 0;
}

/* Moves bytes into part until it holds `want`; returns how many it moved. */
static ssize_t collect(tern_noise_handshake *h, const uint8_t *data, size_t n, size_t want)
{
    size_t have = tern_buf_len(&h->part);
    size_t k = have >= want ? 0 : want - have < n ? want - have : n;
    if (k > 0 && tern_buf_append(&h->part, data, k) != 0) {
        return refuse_message(h, TERN_E_NOMEM);
    }
    return (ssize_t)k;
}

static int check_length(tern_noise_handshake *h, size_t body)
{
    if (body > TERN_NOISE_HANDSHAKE_MAX) {
        return refuse(h, TERN_E_TOO_LARGE, &h->counters->noise_too_large,
                      "a handshake message is longer than 8 KiB");
    }
    return 0;
}

/* Takes at most one message from data. */
static int feed_one(tern_noise_handshake *h, uint8_t *data, size_t n, size_t *ret_used)
{
    size_t have = tern_buf_len(&h->part);
    if (have == 0 && n >= 2 && n - 2 >= tern_get16(data)) { /* whole: in place */
        size_t body = tern_get16(data);
        int e = check_length(h, body);
        *ret_used = 2 + body;
        return e != 0 ? e : take_message(h, data + 2, body);
    }
    ssize_t k = collect(h, data, n, 2);
    *ret_used = k > 0 ? (size_t)k : 0;
    if (k < 0 || tern_buf_len(&h->part) < 2) {
        return k < 0 ? (int)k : 0;
    }
    size_t body = tern_get16(tern_buf_data(&h->part));
    int e = check_length(h, body);
    if (e != 0) {
        return e;
    }
    k = collect(h, data + *ret_used, n - *ret_used, 2 + body);
    if (k < 0) {
        return (int)k;
    }
    *ret_used += (size_t)k;
    if (tern_buf_len(&h->part) == 2 + body) {
        e = take_message(h, tern_buf_data(&h->part) + 2, body);
        tern_buf_free(&h->part);
    }
    return e;
}

/* ---- public ---- */

int tern_noise_handshake_init(tern_noise_handshake *h, const tern_noise_config *config)
{
    *h = (tern_noise_handshake){
        .expected = config->expected,
        .muxers = config->muxers,
        .counters = config->counters,
        .known = config->known,
    };
    tern_buf_init(&h->payload, 0);
    tern_buf_init(&h->part, 2 + TERN_NOISE_HANDSHAKE_MAX);
    tern_buf_init(&h->out, 0);
    tern_buf_init(&h->certhashes, 0);
    int e =
        tern_noise_core_init(&h->core, config->initiator, config->prologue, config->s, &config->e);
    if (e == 0) {
        e = tern_buf_append(&h->payload, config->identity.data, config->identity.len);
    }
    if (e == 0) {
        e = tern_noise_payload_extensions(config->muxers, config->certhashes,
                                          config->certhash_count, &h->payload);
    }
    if (e == 0 && tern_buf_len(&h->payload) > TERN_NOISE_HANDSHAKE_MAX - 2 * TERN_X25519 - 32) {
        e = TERN_E_TOO_LARGE; /* ours: the peer would refuse it */
    }
    if (e != 0) {
        return refuse_message(h, e);
    }
    return config->initiator ? put_message(h) : 0;
}

void tern_noise_handshake_clear(tern_noise_handshake *h)
{
    tern_noise_core_clear(&h->core);
    tern_noise_cipher_clear(&h->send);
    tern_noise_cipher_clear(&h->recv);
    tern_buf_free(&h->payload);
    tern_buf_free(&h->part);
    tern_buf_free(&h->out);
    tern_buf_free(&h->certhashes);
    if (h->key != NULL) {
        tern_key_unref(h->key);
        h->key = NULL;
    }
}

int tern_noise_handshake_feed(tern_noise_handshake *h, uint8_t *data, size_t n, size_t *ret_used)
{
    size_t used = 0;
    int e = 0;

    while (e == 0 && !h->done && used < n) {
        size_t k = 0;
        e = feed_one(h, data + used, n - used, &k);
        used += k;
    }
    *ret_used = used;
    return e != 0 ? e : h->done;
}
