/* The certificates that an address names by their hash (W3C WebTransport, section "custom
 * certificate requirements"): what browsers ask of them, and a native client too. */
#ifndef TERN_CRYPTO_CERT_SHORT_H
#define TERN_CRYPTO_CERT_SHORT_H

#include "crypto/cert.h"

/* An ECDSA key on P-256, valid at `wall` (nanoseconds since 1970) and for 14 days at most. 0, or
 * TERN_E_MALFORMED, TERN_E_UNSUPPORTED (another key), TERN_E_PROTOCOL (its validity), with a
 * sentence. The hash is the caller's to compare; nobody's signature counts. */
int tern_cert_check_short(tern_span der, uint64_t wall, const char **ret_text);

#endif
