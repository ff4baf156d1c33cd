/* Reservation vouchers (libp2p specs, relay/circuit-v2, "Reservation Vouchers"): a relay signs that
 * a peer may be reached through it until then. */
#ifndef TERN_NAT_VOUCHER_H
#define TERN_NAT_VOUCHER_H

#include "base/buf.h"
#include "crypto/key.h"

/* Appends the signed envelope: relay is whose key signs, expiration is in Unix seconds.
 * TERN_E_NOMEM, TERN_E_STATE (no private key), TERN_E_CRYPTO. */
int tern_voucher_seal(const tern_key *relay, const tern_peer_id *peer, uint64_t expiration,
                      tern_buf *out);
/* Whether it was signed by relay for peer. 0 and the expiration, or TERN_E_MALFORMED,
 * TERN_E_SIGNATURE, TERN_E_PEER_ID (another relay or peer), TERN_E_NOMEM. */
int tern_voucher_open(tern_span envelope, const tern_peer_id *relay, const tern_peer_id *peer,
                      uint64_t *ret_expiration);

#endif
