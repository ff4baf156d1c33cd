/* Noise_XX_25519_ChaChaPoly_SHA256 and libp2p's use of it (libp2p specs, noise), without I/O: bytes
 * and randomness in, bytes and results out.
 *
 *     initiator                                     responder
 *     m1  e                                    ->
 *                                              <-   m2  e, ee, s, es, {payload}
 *     m3  s, se, {payload}                     ->
 *     each message and each transport frame on the wire:  | length, 2 bytes BE | body |
 *
 * Three layers: the cipher (noise_core.c), the XX exchange (noise_core.c), and libp2p's handshake,
 * which frames the messages, builds, reads and verifies the payloads and agrees on a muxer
 * (noise_payload.c, noise_handshake.c). The driver over a stream is noise.c, the encrypted stream
 * noise_stream.c. */
#ifndef TERN_SECURE_NOISE_CORE_H
#define TERN_SECURE_NOISE_CORE_H

#include <tern/key.h>

#include "base/buf.h"
#include "base/bytes.h"
#include "core/counters.h"
#include "crypto/known.h"
#include "crypto/symmetric.h"

enum {
    TERN_NOISE_BODY_MAX = 65535,     /* of a frame (the length has 16 bits) */
    TERN_NOISE_PLAIN_MAX = 65519,    /* without the tag */
    TERN_NOISE_OVERHEAD = 18,        /* length and tag */
    TERN_NOISE_HANDSHAKE_MAX = 8192, /* of a handshake body; ours: an RSA-8192 payload is 2.3 KiB */
    TERN_NOISE_ENTRIES_MAX = 100,    /* muxers, or certificate hashes, in one payload (as go) */
    TERN_NOISE_ENTRY_MAX = 256,      /* bytes of one of these */
};

/* One direction's cipher and its nonce. Nonces 0 .. 2^64-2 are used, then both calls fail. */
typedef struct tern_noise_cipher {
    tern_aead *aead;
    uint64_t n;
} tern_noise_cipher;

/* Seals the spans into out (total + 16 bytes; see tern_aead_seal for overlaps); opens p[0..n) in
 * place, the plaintext is the first n - 16 bytes. 0 or TERN_E_CRYPTO; after an error the cipher is
 * of no use. */
int tern_noise_seal(tern_noise_cipher *c, tern_span ad, const tern_span *v, unsigned n,
                    uint8_t *out);
int tern_noise_open(tern_noise_cipher *c, tern_span ad, uint8_t *p, size_t n);
void tern_noise_cipher_clear(tern_noise_cipher *c);

/* The XX exchange of one side. */
typedef struct tern_noise_core {
    bool initiator;
    uint8_t next;             /* the message that comes next: 0, 1, 2; 3 = all exchanged */
    bool bad_key;             /* the last TERN_E_CRYPTO came from a small-order public key */
    uint8_t ck[32], h[32];    /* chaining key and handshake hash */
    tern_noise_cipher cipher; /* of the handshake; aead NULL before the first agreement */
    tern_x25519_pair s, e;    /* ours: static, ephemeral */
    uint8_t rs[TERN_X25519], re[TERN_X25519]; /* the peer's */
} tern_noise_core;

/* Starts an exchange with a static pair and an ephemeral one, which must be new. 0 or TERN_E_CRYPTO
 * (the library below failed). Clear it in any case; that wipes all keys. */
int tern_noise_core_init(tern_noise_core *c, bool initiator, tern_span prologue,
                         const tern_x25519_pair *s, const tern_x25519_pair *e);
void tern_noise_core_clear(tern_noise_core *c);
/* Whether the next message is ours to write. */
bool tern_noise_core_writes(const tern_noise_core *c);
/* Appends the next message with its payload to out, without the length. TERN_E_NOMEM,
 * TERN_E_TOO_LARGE, TERN_E_CRYPTO. */
int tern_noise_core_write(tern_noise_core *c, tern_span payload, tern_buf *out);
/* Reads the peer's next message, decrypting it in place; *ret_payload points into it.
 * TERN_E_MALFORMED (too short), TERN_E_CRYPTO (see bad_key), TERN_E_NOMEM. */
int tern_noise_core_read(tern_noise_core *c, uint8_t *p, size_t n, tern_span *ret_payload);
/* After the last message: the ciphers of the transport phase, the caller's. TERN_E_NOMEM,
 * TERN_E_CRYPTO. */
int tern_noise_core_split(tern_noise_core *c, tern_noise_cipher *ret_send,
                          tern_noise_cipher *ret_recv);

/* ---- libp2p's payload ---- */

/* Appends the fields identity_key and identity_sig: `key` vouches for a static public key.
 * TERN_E_NOMEM, TERN_E_STATE (no private key), TERN_E_CRYPTO. */
int tern_noise_payload_identity(const tern_key *key, const uint8_t static_public[TERN_X25519],
                                tern_buf *out);
/* Appends the field extensions; nothing when there is nothing to say. muxers: NULL-terminated or
 * NULL. */
int tern_noise_payload_extensions(const char *const *muxers, const tern_span *certhashes,
                                  size_t certhash_count, tern_buf *out);

/* A payload taken apart, in place. */
typedef struct tern_noise_payload {
    tern_span key, signature;
    size_t muxer_count, certhash_count;
    tern_span muxers[TERN_NOISE_ENTRIES_MAX], certhashes[TERN_NOISE_ENTRIES_MAX];
} tern_noise_payload;

/* TERN_E_MALFORMED (also without a key), TERN_E_TOO_LARGE (an entry, or their number). */
int tern_noise_payload_read(tern_span bytes, tern_noise_payload *ret);
/* The identity key, once its signature over the static key is verified, or `known` has it.
 * TERN_E_SIGNATURE, and the errors of tern_key_from_public. */
int tern_noise_payload_verify(const tern_noise_payload *p, const uint8_t static_public[TERN_X25519],
                              tern_known *known, tern_key **ret);
/* The muxer that both sides come to: the first of the initiator's list that the responder has too.
 * One of `ours`, or NULL. */
const char *tern_noise_muxer(bool initiator, const char *const *ours,
                             const tern_noise_payload *theirs);

/* ---- libp2p's handshake ---- */

typedef struct tern_noise_config {
    bool initiator;
    tern_span prologue;
    const tern_x25519_pair *s;   /* static pair; copied */
    tern_x25519_pair e;          /* ephemeral, a new one; the caller wipes its copy */
    tern_span identity;          /* what tern_noise_payload_identity wrote; copied */
    tern_peer_id expected;       /* len 0 = anybody */
    const char *const *muxers;   /* offered; must outlive the handshake; NULL = none */
    const tern_span *certhashes; /* announced; copied */
    size_t certhash_count;
    tern_counters *counters; /* where refusals are counted */
    tern_known *known;       /* must outlive the handshake; NULL: every signature is verified */
} tern_noise_config;

typedef struct tern_noise_handshake {
    tern_noise_core core;
    tern_peer_id expected;
    const char *const *muxers;
    tern_counters *counters;
    tern_known *known;
    tern_buf payload; /* ours, until it is sent */
    tern_buf part;    /* an incoming message that is not complete yet, with its length */
    tern_buf out;     /* framed messages to be sent; the driver consumes them */
    bool done;
    tern_error error; /* of the call that failed */
    /* results, when done; whoever takes one sets it to NULL (or initialises it) here */
    tern_key *key;
    tern_peer_id peer;
    const char *muxer;
    tern_buf certhashes; /* each with a varint length */
    tern_noise_cipher send, recv;
} tern_noise_handshake;

/* Starts: an initiator's first message is in out. TERN_E_NOMEM or TERN_E_CRYPTO, with h->error;
 * clear it in any case. */
int tern_noise_handshake_init(tern_noise_handshake *h, const tern_noise_config *config);
void tern_noise_handshake_clear(tern_noise_handshake *h);
/* Takes bytes from the peer, which it may change; *ret_used says how many. 1 when done (bytes that
 * are not used belong to the transport phase), 0 when more are needed; or, with h->error and
 * counted, TERN_E_TOO_LARGE, MALFORMED, CRYPTO, SIGNATURE, PEER_ID, UNSUPPORTED, NOMEM. */
int tern_noise_handshake_feed(tern_noise_handshake *h, uint8_t *data, size_t n, size_t *ret_used);
/* The peer ended before the handshake did: fills h->error, counts, returns TERN_E_EOF. */
int tern_noise_handshake_eof(tern_noise_handshake *h);

#endif
