/* The muxer contract: a conn out of a secured stream. Two steps like security (core/secure.h): the
 * conn can open streams and write at once; attach lets it read when the negotiation is done.
 *
 * Until then the negotiation owns the lower stream's events: the conn may write, end or reset it,
 * but neither take nor drop it, and must not be gone. Exactly one of attach and abandon follows,
 * also when the conn was closed meanwhile (a conn that cannot wait resets the lower stream: abandon
 * is the answer). */
#ifndef TERN_CORE_MUX_H
#define TERN_CORE_MUX_H

#include "core/net.h"

typedef struct tern_mux {
    const char *id;   /* "/yamux/1.0.0" */
    const char *name; /* "yamux" */
    /* Makes a conn over `lower`, which it owns from now on (dropped or reset at the conn's end).
     * `client` = security initiator. Takes over the references in facts. NULL when memory is short:
     * then lower and facts stay the caller's. */
    tern_conn *(*make)(tern_net *net, tern_stream *lower, bool client,
                       const tern_conn_facts *facts);
    void (*attach)(tern_conn *conn);
    /* The lower stream died before attach: ends the conn with this reason (or the one that it had
     * already) and forgets the stream at once. */
    void (*abandon)(tern_conn *conn, const tern_error *why);
} tern_mux;

#endif
