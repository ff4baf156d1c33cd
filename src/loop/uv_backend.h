/* The real backend's inside: one struct over a libuv loop, shared by the uv_*.c files and nobody
 * else.
 *
 * A turn of the loop:
 *
 *     libuv timers -> [prepare: deferred calls, arm the timer] -> poll: socket events -> [check:
 * deferred calls] -> closing callbacks
 *
 * Every callback from libuv is between tern_uv_enter and tern_uv_leave, which keep the clock still
 * during a turn. Every libuv handle or request is counted, so that closing knows when libuv has let
 * go. */
#ifndef TERN_LOOP_UV_BACKEND_H
#define TERN_LOOP_UV_BACKEND_H

#include <uv.h>

#include "loop/backend.h"
#include "loop/uv.h"

/* One buffer serves every read of the loop: its bytes are handed on before the next read. */
enum { TERN_UV_BUFFER = 256 * 1024 };

typedef struct tern_uv_dns tern_uv_dns;
typedef struct tern_uv_program tern_uv_program;
typedef struct tern_uv_interfaces tern_uv_interfaces;
typedef struct tern_uv_igd tern_uv_igd;

typedef struct tern_uv {
    tern_loop base; /* first: a tern_loop is cast to this */
    tern_sched sched;
    uv_loop_t *uv;
    uv_loop_t own; /* what uv points to, unless embedded */

    uv_timer_t timer;     /* for the earliest deadline */
    uv_prepare_t prepare; /* before polling */
    uv_check_t check;     /* after polling */
    uv_idle_t idle;   /* active while something waits for the next turn: polling does not block */
    uv_async_t async; /* posts */
    uint64_t armed;   /* what timer is set for, TERN_NEVER if stopped */

    unsigned inside; /* depth of callbacks */
    bool stale;      /* the clock must be read at the next enter */
    uint64_t lost; /* what the loop's clock is behind the system's: it did not count standstills */
    uint64_t asleep; /* how far the clock that counts suspension was ahead when last looked at */
    uint64_t test_clock, test_boot; /* added to the two by tests */
    unsigned test_lacks; /* tern_uv_lack: what UDP sockets shall do without, set by tests */
    bool running;        /* in tern_loop_run */
    bool free_wanted;
    enum { TERN_UV_OPEN, TERN_UV_CLOSING, TERN_UV_CLOSED } state;
    unsigned held;    /* libuv handles and requests that libuv still knows */
    unsigned sockets; /* sockets whose owners have not closed them */
    void (*closed)(void *arg);
    void *closed_arg;

    uv_mutex_t mutex; /* guards posts and refuse */
    tern_list posts;
    bool refuse;

    uint8_t *buffer;  /* TERN_UV_BUFFER bytes, NULL until the first read */
    int reserve;      /* a descriptor kept for refusing connections politely, -1 if none */
    tern_uv_dns *dns; /* NULL until the first look-up */
    tern_uv_igd *igd; /* NULL until UPnP is first asked */
    tern_uv_interfaces *interfaces; /* NULL unless somebody watches the addresses */
    tern_list opening;              /* TCP sockets that still dial */
    tern_uv_program *program;       /* NULL unless a program asked for signals or lines */
} tern_uv;

/* What some kernels, network devices and sandboxes do not have. */
enum tern_uv_lack {
    TERN_UV_NO_GSO = 1,       /* no UDP_SEGMENT */
    TERN_UV_NO_GRO = 2,       /* no UDP_GRO */
    TERN_UV_NO_RECVMMSG = 4,  /* the call is refused */
    TERN_UV_GSO_FAILS = 8,    /* UDP_SEGMENT is there, but the device makes EIO of it */
    TERN_UV_GSO_REFUSED = 16, /* ... or the route has a smaller MTU: EINVAL */
};

static inline tern_uv *tern_uv_of(tern_loop *loop)
{
    return (tern_uv *)(void *)loop;
}

/* Around everything that libuv calls. */
void tern_uv_enter(tern_uv *u);
void tern_uv_leave(tern_uv *u);

/* Counts a handle or request that libuv holds, and its end (from its close or done callback;
 * nothing of u may be used after the last one). */
void tern_uv_hold(tern_uv *u);
void tern_uv_release(tern_uv *u);

/* The shared read buffer, NULL without memory. */
uint8_t *tern_uv_buffer(tern_uv *u);

/* The operations, a file each. */
int tern_uv_tcp_dial(tern_loop *loop, const tern_endpoint *to, const tern_endpoint *from, bool fast,
                     tern_tcp **ret);
ssize_t tern_uv_tcp_write(tern_tcp *t, const tern_span *v, unsigned n);
void tern_uv_tcp_read(tern_tcp *t);
void tern_uv_tcp_pause(tern_tcp *t);
void tern_uv_tcp_shutdown(tern_tcp *t);
void tern_uv_tcp_close(tern_tcp *t, bool abort);
void tern_uv_tcp_orphans(tern_loop *loop);
/* Takes the descriptor over, also on failure; NULL without memory. For the listener. */
tern_tcp *tern_uv_tcp_accepted(tern_loop *loop, int fd, const tern_endpoint *remote);
/* The options of every connection; an accepted one has those of its listening socket. */
void tern_uv_tcp_tune(int fd);
int tern_uv_tcp_listen(tern_loop *loop, const tern_endpoint *at, bool fast,
                       tern_tcp_listener **ret);
void tern_uv_tcp_listener_close(tern_tcp_listener *l);

int tern_uv_udp_bind(tern_loop *loop, const tern_endpoint *at, tern_udp **ret);
int tern_uv_udp_send(tern_udp *u, const tern_endpoint *to, const void *data, size_t len,
                     size_t segment, uint8_t ecn);
void tern_uv_udp_close(tern_udp *u);

int tern_uv_watch(tern_loop *loop, bool on);
int tern_uv_gateway(tern_loop *loop, tern_endpoint *ret, tern_endpoint *ret_own);
int tern_uv_igd_start(tern_igd *igd);
/* Nothing is waited for; NULL is nothing. */
void tern_uv_igd_close(tern_uv_igd *gate);

int tern_uv_dns_start(tern_dns *dns, const char *name);
void tern_uv_dns_cancel(tern_dns *dns);
/* Ends what the loop holds by itself; the memory goes when libuv lets go. NULL is nothing. */
void tern_uv_dns_close(tern_uv_dns *dns);
void tern_uv_program_close(tern_uv_program *program);

#endif
