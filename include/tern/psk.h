/* Private networks (libp2p specs, pnet): nodes that share a secret key and talk to nobody else.
 *
 * All bytes of a connection, from the first on, are encrypted under the key, so a node without it
 * hears noise. It is a fence around a network, not a proof of anything: who a peer is, the security
 * handshake inside proves as ever. It runs over TCP and WebSocket. */
#ifndef TERN_PSK_H
#define TERN_PSK_H

#include <stddef.h>
#include <stdint.h>

#include <tern/error.h>

#ifdef __cplusplus
extern "C" {
#endif

enum {
    TERN_PSK = 32,       /* bytes of a key */
    TERN_PSK_TEXT = 100, /* room for its text, base16 */
    TERN_PSK_FINGERPRINT = 16,
};

/* Reads a key file's text: "/key/swarm/psk/1.0.0/", then "/base16/", "/base64/" or "/bin/", then
 * the key, a line each. TERN_E_MALFORMED, TERN_E_UNSUPPORTED (another version or encoding); *reterr
 * says which line. */
TERN_API int tern_psk_parse(const char *text, size_t n, uint8_t ret[TERN_PSK], tern_error *reterr);
/* The key file's text in base16, NUL-terminated. */
TERN_API void tern_psk_text(const uint8_t psk[TERN_PSK], char out[TERN_PSK_TEXT]);
/* A fresh key. */
TERN_API void tern_psk_generate(uint8_t ret[TERN_PSK]);
/* What names a key without giving it away, as kubo and go-libp2p compute it. TERN_E_CRYPTO. */
TERN_API int tern_psk_fingerprint(const uint8_t psk[TERN_PSK], uint8_t ret[TERN_PSK_FINGERPRINT]);

#ifdef __cplusplus
}
#endif
#endif
