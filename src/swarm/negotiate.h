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
    /* Called once when the negotiation fails or the stream dies under it, while the stream is
     * still there (its on_closed); done does not follow then: the negotiation is over when this
     * returns (it may free itself). */
    void (*lost)(struct tern_negotiation *n, const tern_error *why);
    /* out */
    const char *id; /* agreed on; the stream is then without an owner: take it inside done */
    /* private */
    tern_ms core;
    tern_buf out;
    tern_error error; /* why it failed; code 0 = it did not */
} tern_negotiation;

/* Starts op and takes the stream. The initiator's header and first proposal are written before it
 * returns. It ends by done, agreed (code 0) or with TIMEOUT (the stream is reset and dropped), or
 * by lost: NEGOTIATION, MALFORMED, TOO_LARGE, LIMIT, EOF, NOMEM (the stream was reset), or the
 * reason that the stream died of. Returns 0 or TERN_E_NOMEM (nothing started). */
int tern_negotiate(tern_negotiation *n);

#endif
