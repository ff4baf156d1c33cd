/* Inside quic/: the waiting side of a hole punch (libp2p specs, relay/DCUtR): datagrams that mean
 * nothing go to where the peer will dial from, so that our NAT lets it in. */
#ifndef TERN_QUIC_KNOCK_H
#define TERN_QUIC_KNOCK_H

#include "core/transport.h"
#include "quic/endpoint.h"

/* Starts op->op: knocks from the port of e, at `to`, until the op ends; it yields nothing by
 * itself. e is used meanwhile. TERN_E_NOMEM. */
int quic_knock(quic_endpoint *e, tern_dial_op *op, const tern_endpoint *to, tern_error *reterr);

#endif
