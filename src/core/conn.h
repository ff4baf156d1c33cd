/* The connection contract, from both sides within the library. Public facts: tern/conn.h.
 *
 * yamux and mplex make a conn out of a secured stream; QUIC, WebTransport and WebRTC are conns by
 * themselves. An implementation embeds tern_conn as its first member. */
#ifndef TERN_CORE_CONN_H
#define TERN_CORE_CONN_H

#include <tern/conn.h>

#include "core/stream.h"

typedef struct tern_conn_events {
    /* The peer opened a stream: take it, reset it or drop it. */
    void (*on_stream)(void *owner, tern_conn *c, tern_stream *s);
    /* A connection that began with facts.unproven is proven now. May be NULL. */
    void (*on_proven)(void *owner, tern_conn *c);
    /* Once, last, after every stream's on_closed; c is gone when it returns. code 0: we closed it,
     * or the peer did in good order. */
    void (*on_closed)(void *owner, tern_conn *c, const tern_error *why);
} tern_conn_events;

typedef struct tern_conn_ops {
    const char *name;
    /* A new stream at once (nothing needs to be sent yet); NULL with *reterr: TERN_E_LIMIT (the
     * peer's or our limit of streams), TERN_E_CONN_CLOSED, TERN_E_NOMEM. */
    tern_stream *(*open)(tern_conn *c, tern_error *reterr);
    /* What is written to this stream, opened just now, may reach the peer twice: on a connection
     * that is unproven it may leave at once, as 0-RTT data. May be NULL. */
    void (*hurry)(tern_conn *c, tern_stream *s);
    /* Closes: code 0 = in good order, after what is queued (bounded in time); other codes at once.
     * Every stream finishes with TERN_E_CONN_CLOSED, then tern_conn_finish. Once. */
    void (*close)(tern_conn *c, uint64_t code, const char *text);
    void (*destroy)(tern_conn *c); /* frees; called by the base after on_closed */
    /* Bytes that it keeps for owners that do not take them and peers that do not read; may be NULL.
     */
    size_t (*held)(const tern_conn *c);
} tern_conn_ops;

struct tern_conn {
    const tern_conn_ops *ops;
    const tern_conn_events *events; /* NULL = not taken: incoming streams wait in `waiting` */
    void *owner;
    tern_loop *loop;
    tern_deferred deferred;
    tern_conn_facts facts; /* key, local, remote are references held here */
    tern_error *why;
    size_t stream_count;   /* alive, both directions: born and not gone */
    size_t own_count;      /* of these, those that the conn is made of */
    tern_stream **waiting; /* streams that came before an owner did */
    size_t waiting_count;
    unsigned closing : 1;  /* close was called */
    unsigned finished : 1; /* the terminal event is known */
    unsigned closed : 1;
};

/* For implementers. Copies facts, taking over its references (key, local, remote). */
void tern_conn_init(tern_conn *c, const tern_conn_ops *ops, tern_loop *loop,
                    const tern_conn_facts *facts);
/* An incoming stream, told to the owner at once (call from the loop only) or kept for the one to
 * come. Short of memory it is reset and TERN_E_NOMEM returned. */
int tern_conn_accept(tern_conn *c, tern_stream *s);
/* It is proven (call from the loop only): facts.unproven goes, the owner is told. */
void tern_conn_prove(tern_conn *c);
/* The terminal event, told when no stream is alive any more. Once. */
void tern_conn_finish(tern_conn *c, const tern_error *why);
/* Stream accounting: the implementer says when a stream of c begins and, in its destroy op, ends.
 */
void tern_conn_stream_born(tern_conn *c);
void tern_conn_stream_gone(tern_conn *c);

/* For owners. */
void tern_conn_take(tern_conn *c, const tern_conn_events *events, void *owner);
tern_stream *tern_conn_open(tern_conn *c, tern_error *reterr);
/* What is written first to a stream opened just now may reach the peer twice without harm. */
void tern_conn_hurry(tern_conn *c, tern_stream *s);
void tern_conn_close(tern_conn *c, uint64_t code, const char *text);
/* Cuts a connection off, also one that is closing in good order already. */
void tern_conn_abort(tern_conn *c, uint64_t code, const char *text);
/* The owner leaves: closes it; it frees itself, no event comes any more. */
void tern_conn_drop(tern_conn *c, uint64_t code, const char *text);

/* Takes references to key, local and remote of `from` into `to` / releases them. */
void tern_conn_facts_copy(tern_conn_facts *to, const tern_conn_facts *from);
void tern_conn_facts_clear(tern_conn_facts *facts);

/* Whether it goes through a relay, limited by it or not. */
bool tern_conn_relayed(const tern_conn *c);

#endif
