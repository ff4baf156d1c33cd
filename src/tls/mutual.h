/* libp2p's TLS over a byte stream (RFC 8446; libp2p specs, tls): an engine (crypto/tls_engine.h)
 * whose handshake is ours, in records. TLS 1.3 alone; both sides show a certificate, which the
 * caller judges. Nothing is resumed: tickets are neither asked for nor given. */
#ifndef TERN_TLS_MUTUAL_H
#define TERN_TLS_MUTUAL_H

#include "crypto/cert.h"
#include "crypto/tls_engine.h"
#include "tls/handshake.h"

typedef struct tern_tls_mutual {
    bool server;
    const tern_cert *cert; /* ours; lives until the handshake is done */
    /* The application protocols, NULL-terminated, at most TERN_ALPN_MAX, best first; the client's
     * order decides. NULL: none. A client that offers some but none of these is refused; a peer
     * that speaks no ALPN is not. The list lives until the handshake is done, the one agreed on as
     * long as the engine. */
    const char *const *alpn;
    /* Judges the one certificate that the peer showed (count says how many it was). 0, or an error
     * with *ret (which may be NULL) filled. */
    int (*judge)(void *owner, tern_span certificate, size_t count, tern_error *ret);
    /* A new key pair for the exchange; NULL: it is made when it is needed. 0 or TERN_E_CRYPTO. */
    int (*pair)(void *owner, tern_x25519_pair *ret);
    void *owner;
} tern_tls_mutual;

/* 0 or TERN_E_NOMEM. */
int tern_tls_mutual_new(const tern_tls_mutual *options, tern_tls_engine **ret);

#endif
