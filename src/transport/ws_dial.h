/* Dialling a WebSocket, plain or through TLS. */
#ifndef TERN_TRANSPORT_WS_DIAL_H
#define TERN_TRANSPORT_WS_DIAL_H

#include "core/transport.h"

enum { TERN_WS_HOST_MAX = 253 }; /* characters of a server's name (RFC 1035) */

/* The dial of the transports ws and wss (core/transport.h). */
int tern_ws_dial(tern_dial_op *op, bool secure, tern_error *reterr);

#endif
