/* DTLS 1.2 over memory (RFC 6347), as WebRTC uses it (RFC 8827): datagrams in, datagrams out, no
 * sockets and no clock of its own. OpenSSL does the handshake; afterwards records are sealed and
 * opened by dtls_record and OpenSSL's state is freed.
 *
 * Both sides show a certificate, which may be any: the caller gets its SHA-256 fingerprint and
 * judges. One cipher suite, which all of WebRTC has: ECDHE-ECDSA with AES-128-GCM. No release of
 * OpenSSL has DTLS 1.3. */
#ifndef TERN_CRYPTO_DTLS_ENGINE_H
#define TERN_CRYPTO_DTLS_ENGINE_H

#include "crypto/cert.h"
#include "crypto/dtls_record.h"

enum {
    TERN_DTLS_MTU = 1200,       /* of every datagram that is sent */
    TERN_DTLS_FINGERPRINT = 32, /* SHA-256 of the certificate */
    TERN_DTLS_COOKIE = 16,
    TERN_DTLS_HANDSHAKE_MAX = 1 << 16, /* bytes that a peer's handshake may take */
};

typedef struct tern_dtls_context tern_dtls_context;
typedef struct tern_dtls_engine tern_dtls_engine;

/* With our certificate, which is copied; for both roles. TERN_E_NOMEM, TERN_E_CRYPTO. */
int tern_dtls_context_new(const tern_cert *cert, tern_dtls_context **ret);
void tern_dtls_context_free(
    tern_dtls_context *c); /* engines keep what they need; NULL is nothing */

typedef struct tern_dtls_options {
    bool server;
    /* A server's: the client must first return this (a HelloVerifyRequest, one round trip more),
     * which proves that it receives at its address. NULL: not asked for. */
    const uint8_t *cookie;
    bool (*send)(void *owner, const uint8_t *p, size_t n); /* a datagram; false = out of memory */
    void *owner;
} tern_dtls_options;

int tern_dtls_engine_new(tern_dtls_context *c, const tern_dtls_options *options,
                         tern_dtls_engine **ret); /* TERN_E_NOMEM */
void tern_dtls_engine_free(tern_dtls_engine *e);  /* sends nothing; NULL is nothing */

/* The handshake: a client begins with an empty datagram. 1: done. 0: goes on. Errors: MALFORMED,
 * CRYPTO, SIGNATURE, UNSUPPORTED, PROTOCOL (no certificate), RESET (the peer's alert,
 * reterr->wire), TOO_LARGE, NOMEM. Records that do not belong into the handshake are dropped. */
int tern_dtls_engine_handshake(tern_dtls_engine *e, uint64_t now, tern_span datagram,
                               tern_error *reterr);
/* When the last flight is to be sent again, UINT64_MAX = never; and doing so. */
uint64_t tern_dtls_engine_deadline(const tern_dtls_engine *e);
int tern_dtls_engine_tick(tern_dtls_engine *e, uint64_t now, tern_error *reterr);
/* Sends the last flight again at once: it could not leave before. */
void tern_dtls_engine_repeat(tern_dtls_engine *e);

/* After the handshake. */
const uint8_t *tern_dtls_engine_fingerprint(const tern_dtls_engine *e); /* the peer's */
/* Data that came together with the end of the handshake: copied to out; 0 when there is no more. */
size_t tern_dtls_engine_early(tern_dtls_engine *e, uint8_t *out, size_t cap);
/* As tern_dtls_seal and tern_dtls_open; a repeated flight of the peer's is answered with ours. */
ssize_t tern_dtls_engine_seal(tern_dtls_engine *e, uint8_t *record, size_t n);
int tern_dtls_engine_open(tern_dtls_engine *e, tern_span *datagram, uint8_t *ret_type,
                          tern_span *ret_plain);
/* Sends close_notify. */
void tern_dtls_engine_close(tern_dtls_engine *e);

#endif
