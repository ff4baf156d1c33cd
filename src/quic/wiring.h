/* Inside quic/: the wires between GnuTLS and ngtcp2 of a connection (RFC 9001, section 4): secrets,
 * handshake bytes and alerts out, transport parameters both ways, and what resumption has to see of
 * the messages. */
#ifndef TERN_QUIC_WIRING_H
#define TERN_QUIC_WIRING_H

#include <gnutls/gnutls.h>

/* Wires a session whose pointer is (will be) an ngtcp2_crypto_conn_ref of a quic_conn.
 * TERN_E_NOMEM.
 */
int quic_wire(gnutls_session_t session);

#endif
