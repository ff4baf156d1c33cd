/* TCP sockets below the stream contract: a connected socket and a listener, in either backend.
 * streams/tcp makes tern_streams of them; nothing else should use this. Events come from the loop
 * only, never from inside a call below. */
#ifndef TERN_LOOP_TCP_H
#define TERN_LOOP_TCP_H

#include "base/bytes.h"
#include "loop/loop.h"

typedef struct tern_tcp tern_tcp;
typedef struct tern_tcp_listener tern_tcp_listener;

typedef struct tern_tcp_events {
    /* A dial's outcome, once: 0 or a code (REFUSED, UNREACHABLE, TIMEOUT, ...); not for accepted
     * ones. After a failure only tern_tcp_close may follow. */
    void (*on_connected)(void *owner, int code);
    /* Bytes in the loop's read buffer: valid, and the owner's to change, until return. Never after
     * tern_tcp_pause. */
    void (*on_data)(void *owner, uint8_t *data, size_t n);
    void (*on_end)(void *owner);             /* the peer's FIN */
    void (*on_writable)(void *owner);        /* after a write that took less than all */
    void (*on_error)(void *owner, int code); /* RESET, TIMEOUT, IO; only close may follow */
} tern_tcp_events;

/* Dials. `from` (may be NULL) asks for that local address and port, shared with listeners
 * (SO_REUSEADDR, SO_REUSEPORT); if the system refuses it, any port is taken. Reading is paused at
 * first. Errors at once: TERN_E_NOMEM, TERN_E_LIMIT (descriptors), TERN_E_UNREACHABLE, TERN_E_IO.
 */
int tern_tcp_dial(tern_loop *loop, const tern_endpoint *to, const tern_endpoint *from,
                  const tern_tcp_events *events, void *owner, tern_tcp **ret);

/* The same with TCP Fast Open (RFC 7413), where the system has it and the peer gave a cookie
 * before: on_connected comes at once and means only that bytes may be written; the first of them
 * travel with the SYN, and may arrive twice, so they must be harmless when repeated.
 * tern_tcp_opening is true until the peer is heard; what would have been a failure of on_connected
 * then comes as an on_error with the same code. In all other cases it is an ordinary dial. */
int tern_tcp_dial_fast(tern_loop *loop, const tern_endpoint *to, const tern_endpoint *from,
                       const tern_tcp_events *events, void *owner, tern_tcp **ret);
bool tern_tcp_opening(const tern_tcp *t);

/* For an accepted socket: who owns it from now on. Reading is paused until tern_tcp_read. */
void tern_tcp_set_owner(tern_tcp *t, const tern_tcp_events *events, void *owner);

/* Tries to write; returns the bytes taken by the system (less than all: on_writable follows) or a
 * negative code (on_error will not follow). */
ssize_t tern_tcp_write(tern_tcp *t, const tern_span *v, unsigned n);
void tern_tcp_read(tern_tcp *t);     /* starts or continues reading */
void tern_tcp_pause(tern_tcp *t);    /* stops reading: the peer is slowed by TCP */
void tern_tcp_shutdown(tern_tcp *t); /* FIN; everything written before must have been taken */
/* Closes; no event follows; t is the loop's from now on. `abort` sends a RST instead of a FIN. */
void tern_tcp_close(tern_tcp *t, bool abort);

void tern_tcp_local(const tern_tcp *t, tern_endpoint *ret);
void tern_tcp_remote(const tern_tcp *t, tern_endpoint *ret);

/* Listens. on_accept gives a connected, paused socket without an owner: set one or close it.
 * TERN_E_ADDRINUSE, TERN_E_ACCESS, TERN_E_UNREACHABLE (no such local address), TERN_E_NOMEM,
 * TERN_E_IO. IPv6 listeners are IPv6 only. Out of descriptors: the connection is accepted and
 * closed, counted by on_accept(owner, NULL). */
int tern_tcp_listen(tern_loop *loop, const tern_endpoint *at,
                    void (*on_accept)(void *owner, tern_tcp *t), void *owner,
                    tern_tcp_listener **ret);
/* The same; whoever asks gets a cookie, and what comes with the SYN of one who has it is given to
 * an accepted socket at once. */
int tern_tcp_listen_fast(tern_loop *loop, const tern_endpoint *at,
                         void (*on_accept)(void *owner, tern_tcp *t), void *owner,
                         tern_tcp_listener **ret);
void tern_tcp_listener_local(const tern_tcp_listener *l, tern_endpoint *ret);
void tern_tcp_listener_close(tern_tcp_listener *l);

#endif
