/* A TLS handshake over a stream that yields an encrypted stream: what libp2p's
 * TLS (tls.c) and Secure WebSocket have in common. */
#ifndef TERN_SECURE_TLS_HANDSHAKE_H
#define TERN_SECURE_TLS_HANDSHAKE_H

#include "core/counters.h"
#include "core/stream.h"
#include "crypto/tls_engine.h"

typedef struct tern_tls_handshake tern_tls_handshake;

struct tern_tls_handshake {
    /* in */
    tern_stream *lower; /* NULL once it is gone */
    tern_counters *counters;
    /* From the loop, once, unless cancelled: NULL and `stream`, or the error. The
     * handshake is over and may be freed. */
    void (*done)(tern_tls_handshake *h, const tern_error *error);
    void *owner; /* the caller's */
    /* out */
    tern_stream *stream; /* the caller's */
    const char *alpn;    /* one of the options'; NULL = none */
    /* its own */
    tern_tls_engine *engine;
    tern_buf out;  /* what the lower did not take yet */
    bool attached; /* the lower's events are ours */
    bool judged;   /* the caller refused the peer's certificate, and has counted it */
};

/* Starts one with an engine, which it takes over; a client writes its first flight. 0, or an error
 * (done never comes then, the lower is untouched, the engine is freed): TERN_E_NOMEM,
 * TERN_E_CRYPTO. */
int tern_tls_handshake_start(tern_tls_handshake *h, tern_tls_engine *engine);
/* Takes the lower's events. */
void tern_tls_handshake_attach(tern_tls_handshake *h);
/* Ends it: the lower is reset, and dropped if attached. done does not come. */
void tern_tls_handshake_cancel(tern_tls_handshake *h);

#endif
