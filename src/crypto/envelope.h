/* Signed envelopes and peer records (libp2p RFC 0002, RFC 0003). */
#ifndef TERN_CRYPTO_ENVELOPE_H
#define TERN_CRYPTO_ENVELOPE_H

#include <tern/multiaddr.h>

#include "base/buf.h"
#include "crypto/key.h"

enum { TERN_ENVELOPE_MAX = 8192, TERN_RECORD_ADDRS_MAX = 500 };

#define TERN_DOMAIN_PEER_RECORD "libp2p-peer-record"
#define TERN_DOMAIN_RELAY_RSVP  "libp2p-relay-rsvp"

/* Signs payload for a domain and payload type; appends the envelope to out. */
int tern_envelope_seal(const tern_key *key, const char *domain, tern_span type, tern_span payload,
                       tern_buf *out);
/* Opens one: checks the signature under `domain` and gives its parts (in place) and the key (the
 * caller's). TERN_E_MALFORMED, TERN_E_TOO_LARGE, TERN_E_SIGNATURE, TERN_E_UNSUPPORTED,
 * TERN_E_NOMEM. */
typedef struct tern_envelope {
    tern_key *key;
    tern_span type, payload;
} tern_envelope;
int tern_envelope_open(const uint8_t *p, size_t n, const char *domain, tern_envelope *ret);

/* A peer record: who, how new, where. */
typedef struct tern_peer_record {
    tern_peer_id peer;
    uint64_t seq;
    size_t addr_count;
    tern_multiaddr **addrs;
} tern_peer_record;

/* Makes a signed record of `key`'s own addresses (form of go and js). */
int tern_peer_record_seal(const tern_key *key, uint64_t seq, tern_multiaddr *const *addrs, size_t n,
                          tern_buf *out);
/* Opens one, in the form of go and js or the RFC's (rust). The record's peer must be the signer's.
 * Addresses that this build does not know are left out; at most TERN_RECORD_ADDRS_MAX. */
int tern_peer_record_open(const uint8_t *p, size_t n, tern_peer_record *ret);
void tern_peer_record_clear(tern_peer_record *r);

#endif
