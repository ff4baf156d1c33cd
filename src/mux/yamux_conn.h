/* What the files of the yamux driver share: yamux.c (begin and end of a conn), yamux_recv.c (the
 * lower stream's bytes to streams), yamux_send.c (streams' bytes to the lower stream). The rules
 * are in yamux_core. Private to them. */
#ifndef TERN_MUX_YAMUX_CONN_H
#define TERN_MUX_YAMUX_CONN_H

#include "mux/yamux_core.h"

#define YAMUX_CLOSE_TIME (3 * TERN_SEC) /* a close in good order may take so long */
#define YAMUX_LINGER_TIME                                                                          \
    (10 * TERN_SEC) /* a stream done on our side waits so long for the peer's end */
#define YAMUX_LINGER_BYTES (1u << 20) /* ... and drops so many bytes meanwhile */

#define YAMUX_EARLY 512 /* of a stream's first bytes: a negotiation and a first request */

typedef struct yamux_conn {
    tern_conn base;
    tern_net *net;
    tern_stream *lower; /* NULL once it is gone or given away */
    tern_yamux_core core;
    tern_deferred turn;  /* sends what waits, then lets the next blocked stream write */
    tern_timer timer;    /* keep-alive, lingering streams, or the end of a close */
    tern_list blocked;   /* streams that wait for room in the lower stream, first come first */
    tern_list lingering; /* streams done on our side, oldest first */
    tern_list draining; /* streams that both sides ended, with bytes that the owner has not taken */
    tern_error why;     /* of the end, while it waits for the stream's owner */
    unsigned ending : 1;   /* why is set: ends when the stream's owner lets go */
    unsigned attached : 1; /* the lower stream's events are ours; before, it is only lent */
    unsigned over : 1;     /* no frame goes in or out any more but what is in core.out */
} yamux_conn;

typedef struct yamux_stream {
    tern_stream base;
    yamux_conn *conn;
    tern_yamux_stream y;
    tern_list link;        /* in blocked, lingering or draining */
    uint64_t linger_until; /* 0 = does not linger */
    uint32_t lingered;     /* bytes dropped meanwhile */
    uint16_t early;        /* so many bytes more may wait in core.out */
    bool draining;
} yamux_stream;

static inline yamux_stream *yamux_of(tern_yamux_stream *y)
{
    return TERN_CONTAINER(y, yamux_stream, y);
}

/* --- yamux.c --- */

/* Makes the stream's shell; counted in the conn once the core took it. NULL without memory. */
yamux_stream *yamux_stream_new(yamux_conn *conn);
/* Ends the conn: every stream closes with TERN_E_CONN_CLOSED and the text of `why`, then the conn
 * with `why`. What is in core.out still goes, as far as the lower stream can flush it by itself. */
void yamux_conn_fail(yamux_conn *conn, const tern_error *why);
/* Ends in good order: GoAway 0, flush, end below, wait a little. */
void yamux_conn_wind_down(yamux_conn *conn, const tern_error *why);
/* Sets the timer to the next deadline. */
void yamux_conn_rearm(yamux_conn *conn);
/* Both halves of a stream ended: it finishes when its owner took all bytes. */
void yamux_stream_done(yamux_stream *s);

/* --- yamux_recv.c --- */

size_t yamux_on_data(void *owner, tern_stream *lower, uint8_t *data, size_t n);

/* --- yamux_send.c --- */

extern const tern_stream_ops yamux_stream_ops;
/* Sends what is in core.out; true when all of it went. */
bool yamux_flush(yamux_conn *conn);
/* The deferred call. */
void yamux_turn(tern_deferred *d);
/* Asks for it. */
static inline void yamux_want_turn(yamux_conn *conn)
{
    tern_defer(conn->base.loop, &conn->turn);
}

#endif
