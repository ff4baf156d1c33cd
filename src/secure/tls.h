/* libp2p's TLS 1.3 (libp2p specs, tls): /tls/1.0.0, over any stream. */
#ifndef TERN_SECURE_TLS_H
#define TERN_SECURE_TLS_H

#include "core/secure.h"

/* begin and attach as core/secure.h says; the muxer is agreed by ALPN. A peer
 * whose certificate is refused gets an alert before the lower ends. op->stream
 * holds the lower stream from success on. An initiator succeeds before the
 * responder has judged it: a refusal then ends op->stream with TERN_E_RESET and
 * the alert. */
extern const tern_secure tern_tls;

/* Our certificate with its key and all that connections share. One serves all
 * handshakes of a net; begin makes the one in net->tls. */
typedef struct tern_tls_identity tern_tls_identity;

/* TERN_E_NOMEM, TERN_E_STATE (key has no private part), TERN_E_CRYPTO. Takes a
 * reference to key. */
int tern_tls_identity_new(tern_loop *loop, const tern_key *key, tern_tls_identity **ret);
/* Connections keep what they need of it. NULL is nothing. */
void tern_tls_identity_free(tern_tls_identity *identity);

#endif
