/* Self-signed P-256 certificates that are derived from a secret, byte for byte the same each time:
 * what WebRTC and WebTransport show, and what the certhash of an address names (libp2p specs,
 * webrtc-direct; RFC 5280). Peers check the hash; who we are is proven by Noise. */
#ifndef TERN_CRYPTO_CERT_DERIVE_H
#define TERN_CRYPTO_CERT_DERIVE_H

#include "crypto/cert.h"

typedef struct tern_cert_recipe {
    const char *purpose; /* a label: other purposes yield other keys */
    uint64_t from, to;   /* validity, seconds since 1970; both part of the recipe */
} tern_cert_recipe;

/* From an identity's private key: a restart yields the same certificate. TERN_E_STATE (no private
 * key), TERN_E_NOMEM, TERN_E_CRYPTO. Free with tern_cert_free. */
int tern_cert_derive(const tern_key *identity, const tern_cert_recipe *recipe, tern_cert **ret);
/* From random bytes: for those who want no certificate twice. */
int tern_cert_derive_from(tern_span secret, const tern_cert_recipe *recipe, tern_cert **ret);

#endif
