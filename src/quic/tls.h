/* Inside quic/: TLS 1.3 of a QUIC connection by GnuTLS (libp2p specs, tls; RFC 9001): both sides
 * show a certificate with libp2p's extension, ALPN is "libp2p". */
#ifndef TERN_QUIC_TLS_H
#define TERN_QUIC_TLS_H

#include <gnutls/gnutls.h>

#include "core/net.h"

/* The credentials of a net's identity. TERN_E_NOMEM, TERN_E_CRYPTO. */
int quic_tls_credentials(tern_net *net, gnutls_certificate_credentials_t *ret);

/* A session for a connection; `ref` (ngtcp2_crypto_conn_ref) becomes its pointer, `verify` judges
 * the peer's certificate. TERN_E_NOMEM. */
int quic_tls_session(gnutls_certificate_credentials_t credentials, bool server, void *ref,
                     int (*verify)(gnutls_session_t session), gnutls_session_t *ret);

/* Verifies what the peer showed. 0 and the identity key (the caller's), or an error with *reterr;
 * counted. */
int quic_tls_peer(tern_net *net, gnutls_session_t session, tern_key **ret, tern_error *reterr);

#endif
