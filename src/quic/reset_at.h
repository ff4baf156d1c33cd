/* Inside quic/: RESET_STREAM_AT (draft-ietf-quic-reliable-stream-reset), as far as ngtcp2, which
 * has none of it, can be helped: go-libp2p takes no WebTransport server that does not promise it.
 *
 * We promise it on connections of an app, and read its frame as RESET_STREAM: what was to be
 * delivered before the reset is, where it came before. Nobody here sends one. */
#ifndef TERN_QUIC_RESET_AT_H
#define TERN_QUIC_RESET_AT_H

#include <stddef.h>
#include <stdint.h>

enum { QUIC_RESET_AT_PARAM_MAX = 9 };

/* Writes the transport parameter; its length. */
size_t quic_reset_at_param(uint8_t out[QUIC_RESET_AT_PARAM_MAX]);
/* Rewrites the frames of a packet's plaintext, in place and of the same length. Frames that do not
 * parse are left as they are: ngtcp2 says what is wrong. */
void quic_reset_at_rewrite(uint8_t *p, size_t n);

#endif
