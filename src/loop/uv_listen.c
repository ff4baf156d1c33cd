/* TCP listeners of the real loop.
 *
 * A listening socket carries SO_REUSEPORT, because dials leave from the listening port and both
 * sides of a shared port must ask for sharing. The option has a danger: a second process of the
 * same user could listen on the same port, and the system would give each a share of the
 * connections without a word to either. So the port is probed first with an ordinary socket
 * (SO_REUSEADDR only), whose bind or listen fails if anybody listens there; then it is bound for
 * real. Between the two there is a moment in which another process may do the same; the probe
 * catches mistakes, not races. Port 0 needs no probe: the system gives out a port that nobody uses.
 *
 * Out of descriptors: one is held in reserve. It is given up to accept the connection and close it,
 * so that the peer hears at once and the backlog does not keep the loop spinning; then it is taken
 * again. */
#include "loop/uv_backend.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <unistd.h>

#include <tern/error.h>

#include "base/mem.h"
#include "loop/uv_socket.h"

enum {
    BACKLOG = 1024,
    ACCEPTS_A_TURN = 64,
    FAST_WAITING =
        256, /* fast openers whose handshake is not done; the others' data waits for it */
};

/* How long a listener rests when the system lacks memory for the next connection. */
static const uint64_t REST = 100 * TERN_MS;

typedef struct uv_listener {
    tern_tcp_listener base;
    uv_poll_t poll;
    tern_timer rest;
    int fd;
    bool closed;
} uv_listener;

static void on_poll(uv_poll_t *poll, int status, int events);

/* --- accepting --- */

static int accept_one(int fd, tern_endpoint *ret_remote)
{
    struct sockaddr_storage address = {.ss_family = AF_UNSPEC};
    socklen_t n = sizeof address;
#ifdef SOCK_NONBLOCK
    int s = accept4(fd, (struct sockaddr *)&address, &n, SOCK_NONBLOCK | SOCK_CLOEXEC);
#else
    int s = accept(fd, (struct sockaddr *)&address, &n);
#endif
    if (s < 0) {
        return -errno;
    }
#ifndef SOCK_NONBLOCK
    fcntl(s, F_SETFD, FD_CLOEXEC);
#endif
    tern_socket_endpoint(ret_remote, &address);
    return s;
}

static void take_reserve(tern_uv *u)
{
    if (u->reserve < 0) {
        u->reserve = open("/dev/null", O_RDONLY | O_CLOEXEC);
    }
}

/* Accepts and closes one connection with the reserved descriptor; false if that was not possible.
 */
static bool turn_away(uv_listener *l)
{
    tern_uv *u = tern_uv_of(l->base.loop);
    if (u->reserve < 0) {
        return false;
    }
    close(u->reserve);
    u->reserve = -1;
    tern_endpoint remote;
    int s = accept_one(l->fd, &remote);
    if (s >= 0) {
        close(s);
    }
    take_reserve(u);
    return s >= 0;
}

static void on_rested(tern_timer *timer)
{
    uv_listener *l = TERN_CONTAINER(timer, uv_listener, rest);
    uv_poll_start(&l->poll, UV_READABLE, on_poll);
}

static void rest(uv_listener *l)
{
    take_reserve(tern_uv_of(l->base.loop));
    uv_poll_stop(&l->poll);
    tern_timer_start(l->base.loop, &l->rest, tern_loop_now(l->base.loop) + REST, on_rested);
}

static void accept_some(uv_listener *l)
{
    for (int i = 0; i < ACCEPTS_A_TURN && !l->closed; i++) {
        tern_endpoint remote;
        int s = accept_one(l->fd, &remote);
        if (s >= 0) {
            tern_tcp *t = tern_uv_tcp_accepted(l->base.loop, s, &remote);
            l->base.on_accept(l->base.owner, t); /* NULL: closed for want of memory */
        } else if (s == -EMFILE || s == -ENFILE) {
            if (!turn_away(l)) {
                rest(l);
                return;
            }
            l->base.on_accept(l->base.owner, NULL);
        } else if (s == -EAGAIN || s == -EWOULDBLOCK) {
            return;
        } else if (s == -ENOMEM || s == -ENOBUFS) {
            rest(l);
            return;
        }
        /* Anything else is that one connection's end (ECONNABORTED and the network errors that
         * accept passes on): go on with the next. */
    }
}

static void on_poll(uv_poll_t *poll, int status, int events)
{
    (void)events;
    uv_listener *l = poll->data;
    tern_uv *u = tern_uv_of(l->base.loop);
    tern_uv_enter(u);
    accept_some(l);
    if (status < 0 && !l->closed && !tern_timer_armed(&l->rest)) {
        uv_poll_start(&l->poll, UV_READABLE, on_poll); /* libuv stopped it */
    }
    tern_uv_leave(u);
}

/* --- opening --- */

static int open_listening(const tern_endpoint *at, bool share, bool fast)
{
    int fd = tern_socket_open(at, SOCK_STREAM);
    if (fd < 0) {
        return fd;
    }
    tern_socket_set(fd, SOL_SOCKET, SO_REUSEADDR, 1);
#ifdef SO_REUSEPORT
    if (share) {
        tern_socket_set(fd, SOL_SOCKET, SO_REUSEPORT, 1);
    }
#endif
    tern_uv_tcp_tune(fd);
    int rc = tern_socket_bind(fd, at);
    if (rc == 0 && listen(fd, BACKLOG) != 0) {
        rc = -errno;
    }
    if (rc < 0) {
        close(fd);
        return tern_socket_code(-rc);
    }
#ifdef TCP_FASTOPEN
    if (fast) {
        tern_socket_set(fd, IPPROTO_TCP, TCP_FASTOPEN, FAST_WAITING);
    }
#else
    (void)fast;
#endif
    return fd;
}

int tern_uv_tcp_listen(tern_loop *loop, const tern_endpoint *at, bool fast, tern_tcp_listener **ret)
{
    tern_uv *u = tern_uv_of(loop);
    if (at->port != 0) {
        int probe = open_listening(at, false, false);
        if (probe < 0) {
            return probe;
        }
        close(probe);
    }
    int fd = open_listening(at, true, fast);
    if (fd < 0) {
        return fd;
    }
    uv_listener *l = tern_calloc(1, sizeof *l);
    int rc = l == NULL ? UV_ENOMEM : uv_poll_init(u->uv, &l->poll, fd);
    if (rc != 0) {
        close(fd);
        tern_free(l);
        return tern_socket_code(-rc);
    }
    l->base.loop = loop;
    l->fd = fd;
    l->poll.data = l;
    tern_socket_local(fd, &l->base.local);
    tern_uv_hold(u);
    u->sockets++;
    take_reserve(u);
    uv_poll_start(&l->poll, UV_READABLE, on_poll);
    *ret = &l->base;
    return 0;
}

static void on_poll_closed(uv_handle_t *handle)
{
    uv_listener *l = handle->data;
    tern_uv *u = tern_uv_of(l->base.loop);
    tern_free(l);
    tern_uv_release(u);
}

void tern_uv_tcp_listener_close(tern_tcp_listener *base)
{
    uv_listener *l = (uv_listener *)(void *)base;
    assert(!l->closed);
    l->closed = true;
    tern_uv_of(base->loop)->sockets--;
    tern_timer_stop(&l->rest);
    uv_close((uv_handle_t *)&l->poll, on_poll_closed);
    close(l->fd);
}
