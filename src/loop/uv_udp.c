/* UDP sockets of the real loop: our own descriptors, watched by uv_poll.
 *
 * Receiving takes a few blocks per system call (recvmmsg). With GRO the kernel joins datagrams of
 * one sender into a block and says how long each was; they are handed on one at a time:
 *
 *      block: | segment | segment | segment | rest |      UDP_GRO = length of a segment
 *
 * Sending is the reverse (UDP_SEGMENT): one call for up to 64 datagrams. Where the kernel has
 * neither, each datagram is a call of its own. ECN bits travel in the traffic class, as control
 * messages. No datagram is ever cut into fragments: what is longer than the path is lost, so that a
 * path can be measured. */
#include "loop/uv_backend.h"

#include <assert.h>
#include <errno.h>
#include <netinet/in.h>
#include <string.h>
#include <sys/uio.h>
#include <unistd.h>

#include <tern/error.h>

#include "base/mem.h"
#include "loop/uv_socket.h"

#ifdef __linux__
#ifndef SOL_UDP
#define SOL_UDP 17
#endif
#ifndef UDP_SEGMENT
#define UDP_SEGMENT 103 /* Linux 4.18 */
#endif
#ifndef UDP_GRO
#define UDP_GRO 104 /* Linux 5.0 */
#endif
#endif

enum {
    BLOCK = 64 * 1024,               /* no datagram, and no joined ones, are longer */
    BLOCKS = TERN_UV_BUFFER / BLOCK, /* per system call */
    BYTES_A_TURN = 512 * 1024,       /* then what came is answered, and the others have theirs */
    CALLS_A_TURN = 8,                /* likewise, where datagrams are small */
    CONTROL = 128,                   /* bytes of control messages, more than ours need */
    SEGMENTS_MAX = 64,               /* per call, the kernel's UDP_MAX_SEGMENTS */
    PAYLOAD_MAX = 65535 - 40 - 8,    /* bytes per call with an IPv6 header */
    SYSTEM_BUFFER = 2 * 1024 * 1024, /* asked of the system, which may give less */
};

typedef struct uv_udp_socket {
    tern_udp base;
    uv_poll_t poll;
    int fd;
    bool segments; /* the kernel cuts blocks (UDP_SEGMENT) */
    bool single;   /* it has no recvmmsg, or a sandbox forbids it */
    bool full;     /* on_room is owed */
    bool closed;
} uv_udp_socket;

typedef union control {
    struct cmsghdr align;
    char bytes[CONTROL];
} control;

static void on_poll(uv_poll_t *poll, int status, int events);

static void watch(uv_udp_socket *u)
{
    uv_poll_start(&u->poll, UV_READABLE | (u->full ? UV_WRITABLE : 0), on_poll);
}

/* --- receiving --- */

/* Integers come as one byte or four, by system and address family. */
static int control_int(const struct cmsghdr *c)
{
    int value = 0;
    if (c->cmsg_len >= CMSG_LEN(sizeof value)) {
        memcpy(&value, CMSG_DATA(c), sizeof value);
    } else if (c->cmsg_len > CMSG_LEN(0)) {
        value = *CMSG_DATA(c);
    }
    return value;
}

static void read_control(struct msghdr *msg, uint8_t *ret_ecn, size_t *ret_segment)
{
    for (struct cmsghdr *c = CMSG_FIRSTHDR(msg); c != NULL; c = CMSG_NXTHDR(msg, c)) {
        if ((c->cmsg_level == IPPROTO_IP && c->cmsg_type == IP_TOS) ||
            (c->cmsg_level == IPPROTO_IPV6 && c->cmsg_type == IPV6_TCLASS)) {
            *ret_ecn = (uint8_t)(control_int(c) & 3);
        }
#ifdef UDP_GRO
        if (c->cmsg_level == SOL_UDP && c->cmsg_type == UDP_GRO && control_int(c) > 0) {
            *ret_segment = (size_t)control_int(c);
        }
#endif
    }
}

static void dispatch(uv_udp_socket *u, struct msghdr *msg, size_t len)
{
    if (msg->msg_flags & MSG_TRUNC) {
        return;
    }
    tern_datagram d = {.ecn = 0};
    size_t segment = len;
    read_control(msg, &d.ecn, &segment);
    uint8_t ecn = d.ecn;
    tern_endpoint from;
    tern_socket_endpoint(&from, msg->msg_name);
    uint8_t *data = msg->msg_iov->iov_base;
    for (size_t at = 0; at < len && !u->closed; at += segment) {
        /* A handler may change what it was given: each gets its own. */
        d = (tern_datagram){.from = from, .data = data + at, .ecn = ecn};
        d.len = len - at < segment ? len - at : segment;
        tern_udp_dispatch(&u->base, &d);
    }
}

typedef struct batch {
    struct sockaddr_storage from[BLOCKS];
    struct iovec iov[BLOCKS];
    control controls[BLOCKS];
#ifdef __linux__
    struct mmsghdr msgs[BLOCKS];
#else
    struct {
        struct msghdr msg_hdr;
        unsigned msg_len;
    } msgs[BLOCKS];
#endif
} batch;

static void prepare(batch *b, unsigned count, uint8_t *buffer)
{
    for (unsigned i = 0; i < count; i++) {
        b->iov[i] = (struct iovec){.iov_base = buffer + i * (size_t)BLOCK, .iov_len = BLOCK};
        b->msgs[i].msg_hdr = (struct msghdr){.msg_name = &b->from[i], .msg_iov = &b->iov[i]};
        b->msgs[i].msg_hdr.msg_namelen = sizeof b->from[i];
        b->msgs[i].msg_hdr.msg_iovlen = 1;
        b->msgs[i].msg_hdr.msg_control = b->controls[i].bytes;
        b->msgs[i].msg_hdr.msg_controllen = sizeof b->controls[i].bytes;
    }
}

/* One system call's worth; how many blocks came, 0 for none or an error. *ret_more: the call was
 * used up, there may be more. */
static unsigned receive(uv_udp_socket *u, batch *b, uint8_t *buffer, bool *ret_more)
{
#ifdef __linux__
    if (!u->single) {
        prepare(b, BLOCKS, buffer);
        int n = recvmmsg(u->fd, b->msgs, BLOCKS, 0, NULL);
        *ret_more = n == BLOCKS;
        if (n >= 0 || errno != ENOSYS) {
            return n > 0 ? (unsigned)n : 0;
        }
        u->single = true;
    }
#endif
    prepare(b, 1, buffer);
    ssize_t n = recvmsg(u->fd, &b->msgs[0].msg_hdr, 0);
    b->msgs[0].msg_len = n > 0 ? (unsigned)n : 0;
    *ret_more = n >= 0;
    return n >= 0 ? 1 : 0;
}

static void receive_some(uv_udp_socket *u)
{
    uint8_t *buffer = tern_uv_buffer(tern_uv_of(u->base.loop));
    if (buffer == NULL) {
        char byte;
        (void)!recv(u->fd, &byte, 1, 0); /* without memory a datagram is lost, as on any network */
        return;
    }
    batch b;
    size_t bytes = 0;
    bool more = true;
    for (int call = 0; more && call < CALLS_A_TURN && bytes < BYTES_A_TURN; call++) {
        unsigned n = receive(u, &b, buffer, &more);
        for (unsigned i = 0; i < n && !u->closed; i++) {
            bytes += b.msgs[i].msg_len;
            dispatch(u, &b.msgs[i].msg_hdr, b.msgs[i].msg_len);
        }
        if (u->closed) {
            return;
        }
    }
}

static void on_poll(uv_poll_t *poll, int status, int events)
{
    uv_udp_socket *u = poll->data;
    tern_uv *loop = tern_uv_of(u->base.loop);
    tern_uv_enter(loop);
    if (status < 0) {
        tern_socket_error(u->fd); /* some datagram could not be delivered: its sender will notice */
        watch(u);                 /* libuv stopped it */
    }
    if (events & UV_READABLE) {
        receive_some(u);
    }
    if ((events & UV_WRITABLE) && u->full && !u->closed) {
        u->full = false;
        watch(u);
        if (u->base.on_room != NULL) {
            u->base.on_room(u->base.on_room_owner);
        }
    }
    tern_uv_leave(loop);
}

/* --- sending --- */

/* Appends one control message; msg_controllen counts what is there. */
static void add_control(struct msghdr *msg, int level, int type, const void *value, size_t n)
{
    struct cmsghdr *c = (struct cmsghdr *)(void *)((char *)msg->msg_control + msg->msg_controllen);
    c->cmsg_level = level;
    c->cmsg_type = type;
    c->cmsg_len = CMSG_LEN(n);
    memcpy(CMSG_DATA(c), value, n);
    msg->msg_controllen += CMSG_SPACE(n);
}

/* One system call. 0 or a negative errno. */
static int send_block(uv_udp_socket *u, const tern_endpoint *to, const uint8_t *data, size_t len,
                      size_t segment, uint8_t ecn)
{
    struct sockaddr_storage address;
    control controls;
    /* sendmsg does not write through iov_base */
    struct iovec iov = {.iov_base = (void *)(uintptr_t)data, .iov_len = len};
    struct msghdr msg = {.msg_name = &address, .msg_iov = &iov};
    msg.msg_namelen = tern_socket_address(&address, to);
    msg.msg_iovlen = 1;
    memset(&controls, 0, sizeof controls);
    msg.msg_control = controls.bytes;
    msg.msg_controllen = 0;
    if (ecn != 0) {
        int value = ecn;
        bool v4 = to->family == 4;
        add_control(&msg, v4 ? IPPROTO_IP : IPPROTO_IPV6, v4 ? IP_TOS : IPV6_TCLASS, &value,
                    sizeof value);
    }
#ifdef UDP_SEGMENT
    if (len > segment) {
        uint16_t value = (uint16_t)segment;
        add_control(&msg, SOL_UDP, UDP_SEGMENT, &value, sizeof value);
    }
#endif
    if (msg.msg_controllen == 0) {
        msg.msg_control = NULL;
    }
    if (len > segment && tern_uv_of(u->base.loop)->test_lacks >= TERN_UV_GSO_FAILS) {
        return tern_uv_of(u->base.loop)->test_lacks & TERN_UV_GSO_FAILS ? -EIO : -EINVAL;
    }
    for (;;) {
        if (sendmsg(u->fd, &msg, 0) >= 0) {
            return 0;
        }
        if (errno != EINTR) {
            return -errno;
        }
    }
}

/* What a failed call means to the sender: 0 for a loss as on any network. */
static int send_code(uv_udp_socket *u, int error)
{
    switch (error) {
    case EAGAIN:
    case ENOBUFS:
        u->full = true;
        watch(u);
        return TERN_E_STATE;
    case EPERM: /* a packet filter */
    case ECONNREFUSED:
        return 0;
    default:
        return tern_socket_code(error);
    }
}

/* How many bytes of `len` go into the next call. */
static size_t block_size(bool segments, size_t len, size_t segment)
{
    size_t count = segments ? PAYLOAD_MAX / segment : 1;
    if (count > SEGMENTS_MAX) {
        count = SEGMENTS_MAX;
    }
    if (count == 0) {
        count = 1;
    }
    return len < count * segment ? len : count * segment;
}

int tern_uv_udp_send(tern_udp *base, const tern_endpoint *to, const void *data, size_t len,
                     size_t segment, uint8_t ecn)
{
    uv_udp_socket *u = (uv_udp_socket *)(void *)base;
    const uint8_t *p = data;
    if (segment == 0 || segment > len) {
        segment = len;
    }
    bool segments = u->segments;
    do {
        size_t n = segment == 0 ? 0 : block_size(segments, len, segment);
        int rc = send_block(u, to, p, n, segment, ecn);
        if (rc < 0 && n > segment && rc != -EAGAIN && rc != -ENOBUFS) {
            /* One at a time: these, as on a route with a smaller MTU (EINVAL), or from now on,
             * where the device cannot fill in checksums (EIO). */
            segments = false;
            u->segments = u->segments && rc != -EIO;
            continue;
        }
        if (rc < 0) {
            int code = send_code(u, -rc);
            if (code != 0) {
                return code;
            }
        }
        p += n;
        len -= n;
    } while (len > 0);
    return 0;
}

/* --- opening and closing --- */

static void ask_for_control(uv_udp_socket *u)
{
    if (u->base.local.family == 4) {
        tern_socket_set(u->fd, IPPROTO_IP, IP_RECVTOS, 1);
    } else {
        tern_socket_set(u->fd, IPPROTO_IPV6, IPV6_RECVTCLASS, 1);
    }
    tern_socket_set(u->fd, SOL_SOCKET, SO_RCVBUF, SYSTEM_BUFFER);
    tern_socket_set(u->fd, SOL_SOCKET, SO_SNDBUF, SYSTEM_BUFFER);
#ifdef IP_PMTUDISC_PROBE
    /* Don't Fragment, and no guesses of the system's: who sends finds the path's MTU. */
    tern_socket_set(u->fd, IPPROTO_IP, IP_MTU_DISCOVER, IP_PMTUDISC_PROBE);
    if (u->base.local.family == 6) {
        tern_socket_set(u->fd, IPPROTO_IPV6, IPV6_MTU_DISCOVER, IPV6_PMTUDISC_PROBE);
    }
#endif
    unsigned lacks = tern_uv_of(u->base.loop)->test_lacks;
    u->single = (lacks & TERN_UV_NO_RECVMMSG) != 0;
#ifdef UDP_SEGMENT
    /* An old kernel would not mind the control message, and send the block as one datagram. */
    u->segments = !(lacks & TERN_UV_NO_GSO) && tern_socket_set(u->fd, SOL_UDP, UDP_SEGMENT, 0);
    if (!(lacks & TERN_UV_NO_GRO)) {
        tern_socket_set(u->fd, SOL_UDP, UDP_GRO, 1);
    }
#endif
}

int tern_uv_udp_bind(tern_loop *loop, const tern_endpoint *at, tern_udp **ret)
{
    tern_uv *l = tern_uv_of(loop);
    int fd = tern_socket_open(at, SOCK_DGRAM);
    if (fd < 0) {
        return fd;
    }
    int rc = tern_socket_bind(fd, at);
    if (rc < 0) {
        close(fd);
        return tern_socket_code(-rc);
    }
    uv_udp_socket *u = tern_calloc(1, sizeof *u);
    rc = u == NULL ? UV_ENOMEM : uv_poll_init(l->uv, &u->poll, fd);
    if (rc != 0) {
        close(fd);
        tern_free(u);
        return tern_socket_code(-rc);
    }
    u->base.loop = loop;
    u->fd = fd;
    u->poll.data = u;
    tern_socket_local(fd, &u->base.local);
    ask_for_control(u);
    tern_uv_hold(l);
    l->sockets++;
    watch(u);
    *ret = &u->base;
    return 0;
}

static void on_poll_closed(uv_handle_t *handle)
{
    uv_udp_socket *u = handle->data;
    tern_uv *loop = tern_uv_of(u->base.loop);
    tern_free(u);
    tern_uv_release(loop);
}

void tern_uv_udp_close(tern_udp *base)
{
    uv_udp_socket *u = (uv_udp_socket *)(void *)base;
    assert(!u->closed);
    u->closed = true;
    tern_uv_of(base->loop)->sockets--;
    uv_close((uv_handle_t *)&u->poll, on_poll_closed);
    close(u->fd);
}
