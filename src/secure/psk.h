/* The layer of private networks (libp2p specs, pnet): takes a stream and gives a stream.
 *
 *     each way:   | nonce, 24 bytes | bytes ^ XSalsa20(key, nonce) ...
 *
 * It lies between the transport and the security handshake. Nothing in it authenticates: a peer
 * without the key sends and hears noise, and the handshake above fails or runs out of time. */
#ifndef TERN_SECURE_PSK_H
#define TERN_SECURE_PSK_H

#include <tern/psk.h>

#include "core/net.h"

/* Wraps `lower`, which it owns from now on; our nonce is written at once, in front of what the
 * owner writes. NULL when memory is short: lower is then still the caller's. */
tern_stream *tern_psk_stream_new(tern_net *net, tern_stream *lower, const uint8_t psk[TERN_PSK]);

#endif
