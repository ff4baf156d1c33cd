/* multistream-select over a stream: the driver of swarm/multistream_core. It owns the stream's
 * events until it is done; the stream's user may write behind the proposal meanwhile. */
#ifndef TERN_SWARM_NEGOTIATE_H
#define TERN_SWARM_NEGOTIATE_H

#include "core/net.h"
#include "swarm/multistream_core.h"

typedef struct tern_negotiation {
    tern_op op; /* initialise with tern_op_init */
    /* in */
    tern_net *net;
    tern_stream *stream;
    bool initiator;
    const char *const *ids; /* valid until done */
    /* Called at once when the stream dies under the negotiation, before it is gone; done does not
     * follow then: the negotiation is over when this returns (it may free itself). */
    void (*lost)(struct tern_negotiation *n, const tern_error *why);
    /* out */
    const char *id; /* agreed on; the stream is then without an owner: take it inside done */
    tern_ms core;
    tern_buf out;
} tern_negotiation;

/* Starts op and takes the stream. The initiator's header and first proposal are written before it
 * returns. On an error by op the stream is reset and dropped. Errors: NEGOTIATION, MALFORMED,
 * TOO_LARGE, LIMIT, EOF, TIMEOUT, NOMEM. Returns 0 or TERN_E_NOMEM (nothing started). */
int tern_negotiate(tern_negotiation *n);

#endif
