/* Keys as certificates carry them, SubjectPublicKeyInfo (RFC 5280, section 4.1.2.7), and the
 * signatures that TLS 1.3 has by them (RFC 8446, section 4.2.3). */
#ifndef TERN_CRYPTO_SPKI_H
#define TERN_CRYPTO_SPKI_H

#include "base/bytes.h"

typedef enum tern_spki_kind {
    TERN_SPKI_P256,
    TERN_SPKI_P384,
    TERN_SPKI_ED25519,
    TERN_SPKI_RSA, /* of 2048 to 8192 bits: neither weak nor slow */
    TERN_SPKI_NONE,
} tern_spki_kind;

/* TLS' SignatureScheme of what we verify; of the last three only certificates make use. */
enum {
    TERN_ECDSA_P256 = 0x0403,
    TERN_ECDSA_P384 = 0x0503,
    TERN_ED25519 = 0x0807,
    TERN_RSA_PSS_SHA256 = 0x0804,
    TERN_RSA_PSS_SHA384 = 0x0805,
    TERN_RSA_PSS_SHA512 = 0x0806,
    TERN_RSA_SHA256 = 0x0401,
    TERN_RSA_SHA384 = 0x0501,
    TERN_RSA_SHA512 = 0x0601,
};

/* Which of ours a key is; the whole element. */
tern_spki_kind tern_spki_kind_of(tern_span spki);
/* Verifies a signature. TERN_E_UNSUPPORTED: that kind of key makes none of that scheme, or we know
 * one of them not; TERN_E_SIGNATURE: it is wrong, or the key is not on its curve. */
int tern_spki_verify(tern_span spki, uint16_t scheme, tern_span what, tern_span signature);

#endif
