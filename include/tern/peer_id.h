/* Peer ids: the multihash of a public key (libp2p specs, peer-ids). A small value, copied freely.
 */
#ifndef TERN_PEER_ID_H
#define TERN_PEER_ID_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <tern/error.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef struct tern_peer_id {
    uint8_t len;       /* 0 = none */
    uint8_t bytes[47]; /* the multihash: identity (at most 42 bytes of key) or sha2-256 */
} tern_peer_id;

enum { TERN_PEER_ID_TEXT = 96 }; /* room for any text form with its end */

/* From text: base58btc ("12D3KooW...", "Qm...") or a CIDv1 in any multibase ("k51...", "bafz...").
 * 0, TERN_E_MALFORMED or TERN_E_UNSUPPORTED (another hash or codec). */
TERN_API int tern_peer_id_parse(tern_peer_id *ret, const char *text);
/* From the binary multihash. */
TERN_API int tern_peer_id_from_bytes(tern_peer_id *ret, const uint8_t *bytes, size_t n);

/* Text forms into out[TERN_PEER_ID_TEXT]; return out. Base58 is the usual one; base36 fits DNS
 * labels. */
TERN_API char *tern_peer_id_text(const tern_peer_id *id, char *out);
TERN_API char *tern_peer_id_text_base36(const tern_peer_id *id, char *out);
TERN_API char *tern_peer_id_text_base32(const tern_peer_id *id, char *out);

TERN_API bool tern_peer_id_equal(const tern_peer_id *a, const tern_peer_id *b);

#ifdef __cplusplus
}
#endif
#endif
