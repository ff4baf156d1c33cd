/* What the files of the mplex driver share: mplex.c (begin and end of a conn, what arrives),
 * mplex_send.c (streams' bytes to the lower stream). The rules are in mplex_core. Private to them.
 */
#ifndef TERN_MUX_MPLEX_CONN_H
#define TERN_MUX_MPLEX_CONN_H

#include "mux/mplex_core.h"

#define MPLEX_CLOSE_TIME (3 * TERN_SEC) /* a close in good order may take so long */
#define MPLEX_LINGER_TIME                                                                          \
    (10 * TERN_SEC) /* a stream done on our side waits so long for the peer's end */
#define MPLEX_LINGER_BYTES (1u << 20) /* ... and drops so many bytes meanwhile */

typedef struct mplex_conn {
    tern_conn base;
    tern_net *net;
    tern_stream *lower; /* NULL once it is gone or given away */
    tern_mplex_core core;
    tern_deferred turn;    /* sends what waits, then lets the next blocked stream write */
    tern_timer timer;      /* lingering streams, or the end of a close */
    tern_list streams;     /* all that are alive */
    tern_list blocked;     /* streams that wait for room in the lower stream, first come first */
    tern_list lingering;   /* streams done on our side, oldest first */
    tern_error why;        /* of the end, while it waits for the lower stream's owner */
    bool client;           /* for the ids of streams */
    unsigned ending : 1;   /* why is set: ends when the lower stream's owner lets go */
    unsigned attached : 1; /* the lower stream's events are ours; before, it is only lent */
    unsigned over : 1;     /* no frame goes in or out any more but what is in core.out */
} mplex_conn;

typedef struct mplex_stream {
    tern_stream base;
    mplex_conn *conn;
    tern_mplex_stream m;
    tern_list all;         /* in conn->streams */
    tern_list link;        /* in blocked or lingering */
    uint64_t linger_until; /* 0 = does not linger */
    uint32_t lingered;     /* bytes dropped meanwhile */
    bool done;             /* both sides ended, but the owner has not taken all bytes */
} mplex_stream;

static inline mplex_stream *mplex_of(tern_mplex_stream *m)
{
    return TERN_CONTAINER(m, mplex_stream, m);
}

/* --- mplex.c --- */

/* Ends the conn: every stream closes with TERN_E_CONN_CLOSED and the text of `why`, then the conn
 * with `why`. What is in core.out still goes, as far as the lower stream can flush it by itself. */
void mplex_conn_fail(mplex_conn *conn, const tern_error *why);
/* Sets the timer to the next deadline. */
void mplex_conn_rearm(mplex_conn *conn);
/* Both halves of a stream ended: it finishes when its owner took all bytes. */
void mplex_stream_done(mplex_stream *s);

/* --- mplex_send.c --- */

extern const tern_stream_ops mplex_stream_ops;
/* Sends what is in core.out; true when all of it went. */
bool mplex_flush(mplex_conn *conn);
/* The deferred call. */
void mplex_turn(tern_deferred *d);
/* Asks for it. */
static inline void mplex_want_turn(mplex_conn *conn)
{
    tern_defer(conn->base.loop, &conn->turn);
}

#endif
