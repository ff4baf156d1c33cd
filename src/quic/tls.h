/* Inside quic/: TLS 1.3 of a QUIC connection by GnuTLS (libp2p specs, tls; RFC 9001): both sides
 * show a certificate with libp2p's extension, ALPN is "libp2p". */
#ifndef TERN_QUIC_TLS_H
#define TERN_QUIC_TLS_H

#include <gnutls/gnutls.h>

#include "core/net.h"
#include "crypto/cert.h"
#include "crypto/known.h"
#include "quic/endpoint.h"

/* The credentials of a certificate. TERN_E_NOMEM, TERN_E_CRYPTO. */
int quic_tls_show(const tern_cert *cert, gnutls_certificate_credentials_t *ret);
/* Makes what all sessions of a net have in common, when it is first needed; and frees it.
 * TERN_E_NOMEM, TERN_E_CRYPTO. */
int quic_tls_prepare(tern_quic *quic);
void quic_tls_release(tern_quic *quic);

/* A session for a connection, prepared for; `ref` (ngtcp2_crypto_conn_ref) becomes its pointer,
 * `verify` judges the peer's certificate, `early`: 0-RTT data may be sent or taken. Servers take
 * and give tickets only once quic_tickets_enable says so. TERN_E_NOMEM. */
int quic_tls_session(const tern_quic *quic, bool server, bool early, void *ref,
                     int (*verify)(gnutls_session_t session), gnutls_session_t *ret);

/* Verifies what the peer showed, now or before it was resumed. 0 and the identity key (the
 * caller's), or an error with *reterr; counted. */
int quic_tls_peer(tern_net *net, gnutls_session_t session, tern_known *known, tern_key **ret,
                  tern_error *reterr);

#endif
