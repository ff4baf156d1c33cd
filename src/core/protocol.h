/* The protocol contract: an id and a handler for a conn's streams. */
#ifndef TERN_CORE_PROTOCOL_H
#define TERN_CORE_PROTOCOL_H

#include "core/conn.h"

typedef struct tern_protocol {
    const char *id; /* "/ipfs/ping/1.0.0" */
    /* A peer opened a stream and chose this id: take it. */
    void (*on_stream)(void *ctx, tern_conn *conn, tern_stream *s, const char *id);
    void *ctx;
    uint8_t per_peer;  /* most incoming streams of one peer at once; 0 = only its conns' limits */
    bool over_limited; /* may run over limited (relayed) connections */
    bool replay_safe;  /* its first request may travel as 0-RTT data */
} tern_protocol;

#endif
