/* HMAC-SHA1, which STUN's MESSAGE-INTEGRITY is (RFC 8489, section 14.5). */
#ifndef TERN_CRYPTO_HMAC_SHA1_H
#define TERN_CRYPTO_HMAC_SHA1_H

#include "base/bytes.h"

enum { TERN_HMAC_SHA1 = 20 };

/* 0, or TERN_E_CRYPTO when OpenSSL fails. */
int tern_hmac_sha1(tern_span key, tern_span data, uint8_t out[TERN_HMAC_SHA1]);

#endif
