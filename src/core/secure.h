/* The security contract: a handshake over a stream that yields an authenticated, encrypted stream.
 *
 * Two steps, so that a dialler may be optimistic: begin may write (the first flight travels
 * together with the negotiation that proposes it), attach takes the lower stream's events once the
 * peer agreed. */
#ifndef TERN_CORE_SECURE_H
#define TERN_CORE_SECURE_H

#include "core/net.h"

typedef struct tern_secure_op {
    tern_op op; /* initialise with tern_op_init; done: the results below */
    /* in */
    tern_net *net;
    tern_stream *lower;    /* the op's from begin on; reset by it on failure and cancel */
    bool initiator;        /* role, not who dialled */
    tern_peer_id expected; /* len 0 = anybody */
    const char *const
        *muxers;        /* offered inside the handshake, best first, NULL-terminated; or NULL */
    tern_span prologue; /* Noise only: WebRTC's */
    const tern_span *certhashes; /* Noise only: WebTransport listener's, multihashes */
    size_t certhash_count;
    bool silent_early; /* offer no early muxer (tests of the fallback) */
    /* out, on success: the caller's */
    tern_stream *stream;
    tern_key *key;
    tern_peer_id peer;
    const char *muxer;        /* one of `muxers`, agreed inside; NULL = negotiate afterwards */
    tern_buf peer_certhashes; /* Noise: what the peer announced, each with a varint length */
    void *state;              /* the implementation's */
} tern_secure_op;

typedef struct tern_secure {
    const char *id;   /* "/noise" */
    const char *name; /* "noise" */
    /* Starts op->op. Writes the first flight if this role speaks first. 0 or TERN_E_NOMEM (op not
     * started, lower untouched). Errors by op: MALFORMED, CRYPTO, SIGNATURE, PEER_ID, TOO_LARGE,
     * EOF, TIMEOUT, and the lower stream's. */
    int (*begin)(tern_secure_op *op);
    /* Before attach, a failure or cancel only resets the lower stream, whose owner of the moment
     * hears it; after attach the lower is reset and dropped, or only dropped where a last word (a
     * TLS alert) must reach the peer. If the lower dies before attach, cancel the op inside its
     * on_closed, or set op->lower to NULL and cancel later. */
    void (*attach)(tern_secure_op *op);
} tern_secure;

#endif
