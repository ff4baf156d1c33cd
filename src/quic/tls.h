/* Inside quic/: TLS 1.3 of a QUIC connection (libp2p specs, tls; RFC 9001): the handshake is
 * tls/'s, both sides of libp2p's show a certificate with its extension, ALPN is "libp2p". Packets
 * are protected by ngtcp2 and GnuTLS. */
#ifndef TERN_QUIC_TLS_H
#define TERN_QUIC_TLS_H

#include "quic/conn.h"

/* Makes what all connections of a net have in common, when it is first needed; and frees it.
 * TERN_E_NOMEM, TERN_E_CRYPTO. */
int quic_tls_prepare(tern_quic *quic);
void quic_tls_release(tern_quic *quic);

/* The handshake of a connection, prepared for; a client may offer a ticket (NULL: none) that is so
 * many milliseconds old, `early`: 0-RTT data follows. TERN_E_NOMEM. */
int quic_tls_new(quic_conn *c, const tern_ticket *ticket, uint32_t age, bool early);
/* Nothing is expected of it any more; without one nothing happens. */
void quic_tls_free(quic_conn *c);

/* ngtcp2's callbacks. */
int quic_tls_begin(ngtcp2_conn *q, void *user_data);
int quic_tls_feed(ngtcp2_conn *q, ngtcp2_encryption_level level, uint64_t offset,
                  const uint8_t *data, size_t n, void *user_data);

/* ---- keys.c ---- */
/* Packets of a level and direction are protected with keys of this secret from now on. 0, or -1
 * when memory is short. */
int quic_keys_install(quic_conn *c, tern_level level, bool out, tern_aead_kind cipher,
                      const uint8_t *secret, size_t n);

#endif
