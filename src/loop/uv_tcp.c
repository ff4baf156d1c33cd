/* TCP sockets of the real loop: our own descriptors, watched by uv_poll.
 *
 * libuv's own uv_tcp is not used because it owns a queue of writes (ours would be the second),
 * reads into a buffer allocated per event, and cannot dial from a port that it also listens on,
 * which hole punching depends on.
 *
 * TCP Fast Open: with a cookie at hand the system lets connect succeed and poll say writable before
 * anything was sent; the first write is the SYN. Without one, or where net.ipv4.tcp_fastopen says
 * no, all is as ever. A path that drops such SYNs costs the retransmission without data, a second.
 *
 * Interest follows need: reading is dropped only when an event finds the socket paused, so pausing
 * and reading again within a turn costs no system call; writability is watched only after a short
 * write. Events come from on_poll or a deferred call, never from inside a call. An owner may do
 * anything in an event, also close the socket: its memory stays until libuv's close callback. */
#include "loop/uv_backend.h"

#include <assert.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/uio.h>
#include <unistd.h>

#include <tern/error.h>

#include "base/mem.h"
#include "loop/uv_socket.h"

enum {
    READS_A_TURN = 4,    /* buffers; then the other sockets have their turn */
    WRITE_SPANS = 64,    /* spans per system call */
    KEEPALIVE_IDLE = 30, /* seconds of silence before the system asks whether the peer is there */
    KEEPALIVE_EACH = 10, /* seconds between its questions */
    KEEPALIVE_COUNT = 3,
    UNACKNOWLEDGED = 30000, /* milliseconds that written bytes may stay so: then the peer is gone */
};

#ifndef MSG_NOSIGNAL
#define MSG_NOSIGNAL 0 /* systems without it have SO_NOSIGPIPE, set when the socket is opened */
#endif

typedef struct uv_tcp_socket {
    tern_tcp base;
    uv_poll_t poll;
    tern_deferred failed; /* reports `code` of a dial that failed at once */
    tern_list link;       /* in the loop's `opening` until the peer is heard */
    int fd;
    int interest; /* what poll watches */
    int code;     /* why a dial failed by itself, 0 otherwise */
    bool connecting;
    bool reading;
    bool ended;  /* the peer's FIN was read */
    bool full;   /* a write took less than all */
    bool shut;   /* our FIN is sent */
    bool broken; /* an error was reported: only close may follow */
    bool closed;
    bool handling; /* in on_poll: the interest is brought up to date at its end */
} uv_tcp_socket;

static uv_tcp_socket *of(tern_tcp *t)
{
    return (uv_tcp_socket *)(void *)t;
}

static void on_poll(uv_poll_t *poll, int status, int events);

/* Brings libuv's interest in line. `lazy` leaves a readable interest alone that is merely not
 * needed. */
static void watch(uv_tcp_socket *t, bool lazy)
{
    int want = 0;
    if (t->closed || t->handling) {
        return;
    }
    if (!t->broken && t->code == 0) {
        if (t->reading && !t->ended && !t->connecting) {
            want |= UV_READABLE;
        }
        if (t->connecting || t->full) {
            want |= UV_WRITABLE;
        }
    }
    if (want == t->interest || (lazy && (want | UV_READABLE) == t->interest)) {
        return;
    }
    t->interest = want;
    if (want == 0) {
        uv_poll_stop(&t->poll);
    } else {
        uv_poll_start(&t->poll, want, on_poll);
    }
}

/* --- events --- */

static void fail(uv_tcp_socket *t, int error)
{
    t->broken = true;
    t->base.events->on_error(t->base.owner, tern_socket_code(error));
}

static void report_connected(uv_tcp_socket *t, int code)
{
    t->connecting = false;
    if (!t->base.opening) {
        tern_list_remove(&t->link);
    }
    t->broken = code != 0;
    t->base.events->on_connected(t->base.owner, code);
}

static void finish_connect(uv_tcp_socket *t)
{
    int code = tern_socket_code(tern_socket_error(t->fd));
    if (code == 0) {
        tern_socket_local(t->fd, &t->base.local);
        /* A dial from a port to the same port of the same address can meet itself (simultaneous
         * open of one socket). Nobody else answered. */
        if (tern_endpoint_eq(&t->base.local, &t->base.remote)) {
            code = TERN_E_REFUSED;
        }
    }
    report_connected(t, code);
}

static void on_failed_at_once(tern_deferred *d)
{
    uv_tcp_socket *t = TERN_CONTAINER(d, uv_tcp_socket, failed);
    watch(t, false);
    if (t->connecting) {
        report_connected(t, t->code);
    } else if (!t->broken) {
        t->broken = true;
        t->base.events->on_error(t->base.owner, t->code);
    }
}

static void heard(uv_tcp_socket *t)
{
    if (t->base.opening) {
        t->base.opening = false;
        tern_list_remove(&t->link);
    }
}

static void read_some(uv_tcp_socket *t)
{
    uint8_t *buffer = tern_uv_buffer(tern_uv_of(t->base.loop));
    if (buffer == NULL) {
        fail(t, ENOMEM);
        return;
    }
    for (int i = 0; i < READS_A_TURN; i++) {
        ssize_t n = recv(t->fd, buffer, TERN_UV_BUFFER, 0);
        if (n > 0) {
            heard(t);
            t->base.events->on_data(t->base.owner, buffer, (size_t)n);
            /* Less than asked for means that nothing more is there now. */
            if (t->closed || t->broken || !t->reading || n < TERN_UV_BUFFER) {
                return;
            }
        } else if (n == 0) {
            t->ended = true;
            t->base.events->on_end(t->base.owner);
            return;
        } else if (errno == EAGAIN || errno == EWOULDBLOCK) {
            return;
        } else if (errno != EINTR) {
            fail(t, errno);
            return;
        }
    }
}

static void handle(uv_tcp_socket *t, int events, bool error)
{
    if (t->connecting) {
        finish_connect(t);
        return;
    }
    if ((events & UV_READABLE) && t->reading && !t->ended && !t->broken) {
        read_some(t);
    }
    if (error && !t->closed && !t->broken) {
        int e = tern_socket_error(t->fd);
        if (e != 0) {
            fail(t, e);
        }
    }
    if ((events & UV_WRITABLE) && t->full && !t->closed && !t->broken) {
        t->full = false;
        heard(t); /* it is connected, else it would take none */
        t->base.events->on_writable(t->base.owner);
    }
}

static void on_poll(uv_poll_t *poll, int status, int events)
{
    uv_tcp_socket *t = poll->data;
    tern_uv *u = tern_uv_of(t->base.loop);
    if (status < 0) {
        /* libuv saw an error condition and has stopped watching. The socket itself says which. */
        t->interest = 0;
        events = UV_READABLE | UV_WRITABLE;
    }
    tern_uv_enter(u);
    bool lazy = t->reading && !t->connecting; /* an event for a paused socket ends the watching */
    t->handling = true;
    handle(t, events, status < 0);
    t->handling = false;
    watch(t, lazy && !t->ended && !t->broken);
    tern_uv_leave(u);
}

/* --- making --- */

void tern_uv_tcp_tune(int fd)
{
    tern_socket_set(fd, IPPROTO_TCP, TCP_NODELAY, 1);
    tern_socket_set(fd, SOL_SOCKET, SO_KEEPALIVE, 1);
#ifdef TCP_KEEPIDLE
    tern_socket_set(fd, IPPROTO_TCP, TCP_KEEPIDLE, KEEPALIVE_IDLE);
#endif
#ifdef TCP_KEEPINTVL
    tern_socket_set(fd, IPPROTO_TCP, TCP_KEEPINTVL, KEEPALIVE_EACH);
    tern_socket_set(fd, IPPROTO_TCP, TCP_KEEPCNT, KEEPALIVE_COUNT);
#endif
#ifdef TCP_USER_TIMEOUT /* else small writes vanish in the system's buffer for a quarter of an     \
                           hour */
    tern_socket_set(fd, IPPROTO_TCP, TCP_USER_TIMEOUT, UNACKNOWLEDGED);
#endif
}

/* Takes fd over, also on failure. */
static int make(tern_loop *loop, int fd, const tern_endpoint *remote, uv_tcp_socket **ret)
{
    tern_uv *u = tern_uv_of(loop);
    uv_tcp_socket *t = tern_calloc(1, sizeof *t);
    if (t == NULL) {
        close(fd);
        return TERN_E_NOMEM;
    }
    int rc = uv_poll_init(u->uv, &t->poll, fd);
    if (rc != 0) {
        close(fd);
        tern_free(t);
        return tern_socket_code(-rc);
    }
    t->poll.data = t;
    t->fd = fd;
    t->base.loop = loop;
    t->base.remote = *remote;
    tern_deferred_init(&t->failed, on_failed_at_once);
    tern_list_init(&t->link);
    tern_uv_hold(u);
    u->sockets++;
    *ret = t;
    return 0;
}

tern_tcp *tern_uv_tcp_accepted(tern_loop *loop, int fd, const tern_endpoint *remote)
{
    uv_tcp_socket *t = NULL;
    if (make(loop, fd, remote, &t) < 0) {
        return NULL;
    }
#ifndef __linux__ /* there it has them from the listening socket */
    tern_uv_tcp_tune(fd);
#endif
    tern_socket_local(fd, &t->base.local);
    return &t->base;
}

/* A socket on its way to `to`, bound to `from` if that is wanted and can be had. Returns the
 * descriptor with *ret_error 0 or EINPROGRESS or why connect failed, or a code when there is no
 * socket. */
static int start_connect(const tern_endpoint *to, const tern_endpoint *from, bool fast,
                         int *ret_error)
{
    int fd = tern_socket_open(to, SOCK_STREAM);
    if (fd < 0) {
        return fd;
    }
#ifdef TCP_FASTOPEN_CONNECT
    if (fast) {
        tern_socket_set(fd, IPPROTO_TCP, TCP_FASTOPEN_CONNECT, 1);
    }
#else
    (void)fast;
#endif
    if (from != NULL) {
        tern_socket_set(fd, SOL_SOCKET, SO_REUSEADDR, 1);
#ifdef SO_REUSEPORT
        tern_socket_set(fd, SOL_SOCKET, SO_REUSEPORT, 1);
#endif
        if (tern_socket_bind(fd, from) < 0) {
            close(fd);
            return start_connect(to, NULL, fast, ret_error);
        }
    }
    struct sockaddr_storage address;
    socklen_t n = tern_socket_address(&address, to);
    int error = connect(fd, (struct sockaddr *)&address, n) == 0 ? 0 : errno;
    /* The pair of addresses is taken (an older connection, perhaps in TIME_WAIT), or the source
     * address has no way there: another port, another address may do. */
    if (from != NULL && error != 0 && error != EINPROGRESS && error != EINTR &&
        error != ECONNREFUSED) {
        close(fd);
        return start_connect(to, NULL, fast, ret_error);
    }
    *ret_error = error == EINTR ? EINPROGRESS : error;
    return fd;
}

/* Whether connect succeeded without having sent anything. */
static bool not_sent(int fd)
{
#ifdef TCP_FASTOPEN_CONNECT
    struct tcp_info info;
    socklen_t n = sizeof info;
    return getsockopt(fd, IPPROTO_TCP, TCP_INFO, &info, &n) == 0 && info.tcpi_state == TCP_SYN_SENT;
#else
    (void)fd;
    return false;
#endif
}

int tern_uv_tcp_dial(tern_loop *loop, const tern_endpoint *to, const tern_endpoint *from, bool fast,
                     tern_tcp **ret)
{
    int error;
    int fd = start_connect(to, from, fast, &error);
    if (fd < 0) {
        return fd;
    }
    int code = error == EINPROGRESS ? 0 : tern_socket_code(error);
    if (code == TERN_E_NOMEM || code == TERN_E_LIMIT || code == TERN_E_UNREACHABLE ||
        code == TERN_E_IO) {
        close(fd);
        return code;
    }
    uv_tcp_socket *t = NULL;
    int rc = make(loop, fd, to, &t);
    if (rc < 0) {
        return rc;
    }
    tern_uv_tcp_tune(fd);
    t->connecting = true;
    t->base.opening = fast && error == 0 && not_sent(fd);
    if (code != 0) {
        t->code = code;
        tern_defer(loop, &t->failed);
    } else {
        tern_socket_local(fd, &t->base.local);
        tern_list_push(&tern_uv_of(loop)->opening, &t->link);
        watch(t, false);
    }
    *ret = &t->base;
    return 0;
}

static bool is_ours(const tern_watches *w, const tern_endpoint *e)
{
    for (size_t i = 0; i < w->known_count; i++) {
        if (w->known[i].family == e->family && memcmp(w->known[i].ip, e->ip, 16) == 0) {
            return true;
        }
    }
    return false;
}

/* Their answers cannot reach us. Loopback has more addresses than the interface names. */
void tern_uv_tcp_orphans(tern_loop *loop)
{
    tern_uv *u = tern_uv_of(loop);
    for (tern_list *l = u->opening.next; l != &u->opening; l = l->next) {
        uv_tcp_socket *t = TERN_CONTAINER(l, uv_tcp_socket, link);
        const tern_endpoint *e = &t->base.local;
        if (t->code == 0 && e->family != 0 && !tern_endpoint_is_unspecified(e) &&
            !tern_endpoint_is_loopback(e) && !is_ours(&loop->watches, e)) {
            t->code = TERN_E_UNREACHABLE;
            tern_defer(loop, &t->failed);
        }
    }
}

/* --- calls --- */

/* One system call; the bytes taken, 0 when the system's buffer is full, or a negative errno. */
static ssize_t send_spans(int fd, const tern_span *v, unsigned n, size_t *ret_offered)
{
    struct iovec iov[WRITE_SPANS];
    size_t offered = 0;
    for (unsigned i = 0; i < n; i++) {
        /* sendmsg does not write through iov_base */
        iov[i].iov_base = (void *)(uintptr_t)v[i].data;
        iov[i].iov_len = v[i].len;
        offered += v[i].len;
    }
    *ret_offered = offered;
    struct msghdr msg = {.msg_iov = iov};
    msg.msg_iovlen = n;
    for (;;) {
        ssize_t sent = sendmsg(fd, &msg, MSG_NOSIGNAL);
        if (sent >= 0) {
            return sent;
        }
        if (errno == EAGAIN || errno == EWOULDBLOCK || errno == ENOBUFS || errno == EINPROGRESS) {
            return 0; /* EINPROGRESS: the SYN left, but without our bytes */
        }
        if (errno != EINTR) {
            return -errno;
        }
    }
}

ssize_t tern_uv_tcp_write(tern_tcp *base, const tern_span *v, unsigned n)
{
    uv_tcp_socket *t = of(base);
    if (t->closed || t->broken || t->shut) {
        return TERN_E_STATE;
    }
    ssize_t total = 0;
    t->full = t->full || t->connecting;
    while (n > 0 && !t->full) {
        unsigned k = n < WRITE_SPANS ? n : WRITE_SPANS;
        size_t offered;
        ssize_t sent = send_spans(t->fd, v, k, &offered);
        if (sent < 0) {
            t->broken = true;
            watch(t, false);
            return tern_socket_code((int)-sent);
        }
        total += sent;
        t->full = (size_t)sent < offered;
        v += k;
        n -= k;
    }
    watch(t, true);
    return total;
}

void tern_uv_tcp_read(tern_tcp *base)
{
    of(base)->reading = true;
    watch(of(base), true);
}

void tern_uv_tcp_pause(tern_tcp *base)
{
    of(base)->reading = false;
}

void tern_uv_tcp_shutdown(tern_tcp *base)
{
    uv_tcp_socket *t = of(base);
    if (!t->shut && !t->broken) {
        t->shut = true;
        shutdown(t->fd, SHUT_WR);
    }
}

static void on_poll_closed(uv_handle_t *handle)
{
    uv_tcp_socket *t = handle->data;
    tern_uv *u = tern_uv_of(t->base.loop);
    tern_free(t);
    tern_uv_release(u);
}

void tern_uv_tcp_close(tern_tcp *base, bool abort)
{
    uv_tcp_socket *t = of(base);
    assert(!t->closed);
    t->closed = true;
    tern_uv_of(base->loop)->sockets--;
    tern_deferred_cancel(&t->failed);
    tern_list_remove(&t->link);
    if (abort) {
        struct linger linger = {.l_onoff = 1, .l_linger = 0};
        setsockopt(t->fd, SOL_SOCKET, SO_LINGER, &linger, sizeof linger);
    }
    uv_close((uv_handle_t *)&t->poll, on_poll_closed);
    close(t->fd); /* libuv forgot it in uv_close */
}
