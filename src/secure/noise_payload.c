/* libp2p's payload in the second and third Noise message (libp2p specs, noise, "The Libp2p
 * Handshake Payload"): who we are, proof that the static key is ours, and extensions.
 *
 *     1 identity_key   2 identity_sig   4 extensions { 1 webtransport_certhashes*  2 stream_muxers*
 * }
 *
 * The signature covers the static key only, so a static key that serves many handshakes is signed
 * once. Field 3 is retired and skipped like any unknown field. No state here; everything is read in
 * place. */
#include "codec/protobuf.h"
#include "crypto/key.h"
#include "secure/noise_core.h"

enum { FIELD_KEY = 1, FIELD_SIGNATURE = 2, FIELD_EXTENSIONS = 4 };
enum { FIELD_CERTHASHES = 1, FIELD_MUXERS = 2 };

static const char domain[] = "noise-libp2p-static-key:";

static void signed_text(const uint8_t static_public[TERN_X25519], tern_span v[2])
{
    v[0] = (tern_span){(const uint8_t *)domain, sizeof domain - 1};
    v[1] = (tern_span){static_public, TERN_X25519};
}

int tern_noise_payload_identity(const tern_key *key, const uint8_t static_public[TERN_X25519],
                                tern_buf *out)
{
    uint8_t signature[TERN_SIGNATURE_MAX];
    tern_span text[2];
    size_t key_n;
    const uint8_t *key_bytes = tern_key_public(key, &key_n);

    signed_text(static_public, text);
    ssize_t n = tern_key_sign(key, text, 2, signature, sizeof signature);
    if (n < 0) {
        return (int)n;
    }
    int e = tern_pb_put_bytes(out, FIELD_KEY, key_bytes, key_n);
    return e != 0 ? e : tern_pb_put_bytes(out, FIELD_SIGNATURE, signature, (size_t)n);
}

int tern_noise_payload_extensions(const char *const *muxers, const tern_span *certhashes,
                                  size_t certhash_count, tern_buf *out)
{
    tern_buf body;
    int e = 0;

    tern_buf_init(&body, 0);
    for (size_t i = 0; e == 0 && i < certhash_count; i++) {
        e = tern_pb_put_bytes(&body, FIELD_CERTHASHES, certhashes[i].data, certhashes[i].len);
    }
    for (; e == 0 && muxers != NULL && *muxers != NULL; muxers++) {
        e = tern_pb_put_string(&body, FIELD_MUXERS, *muxers);
    }
    if (e == 0 && tern_buf_len(&body) > 0) {
        e = tern_pb_put_bytes(out, FIELD_EXTENSIONS, tern_buf_data(&body), tern_buf_len(&body));
    }
    tern_buf_free(&body);
    return e;
}

static int read_entry(tern_pb *r, tern_span *list, size_t *count)
{
    tern_span entry;
    if (!tern_pb_bytes(r, &entry)) {
        return TERN_E_MALFORMED;
    }
    if (*count == TERN_NOISE_ENTRIES_MAX || entry.len > TERN_NOISE_ENTRY_MAX) {
        return TERN_E_TOO_LARGE;
    }
    list[(*count)++] = entry;
    return 0;
}

static int read_extensions(tern_span bytes, tern_noise_payload *ret)
{
    tern_pb r = tern_pb_read(bytes.data, bytes.len);
    int e = 0;
    while (e == 0 && tern_pb_next(&r)) {
        if (r.field == FIELD_CERTHASHES) {
            e = read_entry(&r, ret->certhashes, &ret->certhash_count);
        } else if (r.field == FIELD_MUXERS) {
            e = read_entry(&r, ret->muxers, &ret->muxer_count);
        }
    }
    return e == 0 && r.error ? TERN_E_MALFORMED : e;
}

int tern_noise_payload_read(tern_span bytes, tern_noise_payload *ret)
{
    tern_pb r = tern_pb_read(bytes.data, bytes.len);
    tern_span extensions;
    int e = 0;

    ret->key = ret->signature = (tern_span){NULL, 0};
    ret->muxer_count = ret->certhash_count = 0;
    while (e == 0 && tern_pb_next(&r)) {
        if (r.field == FIELD_KEY) {
            tern_pb_bytes(&r, &ret->key);
        } else if (r.field == FIELD_SIGNATURE) {
            tern_pb_bytes(&r, &ret->signature);
        } else if (r.field == FIELD_EXTENSIONS && tern_pb_bytes(&r, &extensions)) {
            e = read_extensions(extensions, ret);
        }
    }
    if (e == 0 && (r.error || ret->key.len == 0)) {
        e = TERN_E_MALFORMED;
    }
    return e;
}

int tern_noise_payload_verify(const tern_noise_payload *p, const uint8_t static_public[TERN_X25519],
                              tern_known *known, tern_key **ret)
{
    tern_key *key;
    tern_span text[2];
    uint8_t length[4], digest[TERN_SHA256];
    const tern_span proof[] = {
        {static_public, TERN_X25519}, {length, sizeof length}, p->key, p->signature};

    int e = tern_key_from_public(p->key.data, p->key.len, &key);
    if (e != 0) {
        return e;
    }
    tern_put32(length, (uint32_t)p->key.len); /* where the key ends and the signature begins */
    if (!tern_known_has(known, proof, 4, digest)) {
        signed_text(static_public, text);
        e = tern_key_verify(key, text, 2, p->signature.data, p->signature.len);
        if (e != 0) {
            tern_key_unref(key);
            return e;
        }
        tern_known_put(known, digest);
    }
    *ret = key;
    return 0;
}

static bool is(tern_span s, const char *text)
{
    return s.len == strlen(text) && memcmp(s.data, text, s.len) == 0;
}

const char *tern_noise_muxer(bool initiator, const char *const *ours,
                             const tern_noise_payload *theirs)
{
    const char *best = NULL;
    size_t best_place = theirs->muxer_count;

    for (; ours != NULL && *ours != NULL; ours++) {
        for (size_t i = 0; i < best_place; i++) {
            if (is(theirs->muxers[i], *ours)) {
                if (initiator) {
                    return *ours; /* our list's order decides */
                }
                best = *ours; /* theirs does: only an earlier place is better */
                best_place = i;
            }
        }
    }
    return best;
}
