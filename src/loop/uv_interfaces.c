/* What the system says of the machine's addresses: on Linux rtnetlink's multicast groups (RFC 3549;
 * rtnetlink(7)), whose messages are only a reason to look. Elsewhere watch.c looks by itself. */
#include "loop/uv_backend.h"

#include <errno.h>
#include <unistd.h>

#include <tern/error.h>

#include "base/mem.h"
#include "loop/uv_socket.h"

#ifdef __linux__
#include <linux/netlink.h>
#include <linux/rtnetlink.h>

enum { READS_A_TURN = 64 };

struct tern_uv_interfaces {
    tern_uv *u;
    uv_poll_t poll;
    int fd;
};

/* ENOBUFS: more happened than the system could keep for us; that is reason enough. */
static void on_poll(uv_poll_t *poll, int status, int events)
{
    struct tern_uv_interfaces *w = poll->data;
    uint8_t buffer[8192];
    (void)status;
    (void)events;
    tern_uv_enter(w->u);
    ssize_t n = 0;
    for (int i = 0; i < READS_A_TURN && (n >= 0 || errno == EINTR || errno == ENOBUFS); i++) {
        n = recv(w->fd, buffer, sizeof buffer, MSG_DONTWAIT);
    }
    tern_loop_addresses_changed(&w->u->base);
    tern_uv_leave(w->u);
}

static int open_groups(void)
{
    struct sockaddr_nl address = {.nl_family = AF_NETLINK,
                                  .nl_groups = RTMGRP_IPV4_IFADDR | RTMGRP_IPV6_IFADDR};
    int fd = socket(AF_NETLINK, SOCK_RAW | SOCK_NONBLOCK | SOCK_CLOEXEC, NETLINK_ROUTE);
    if (fd >= 0 && bind(fd, (struct sockaddr *)&address, sizeof address) != 0) {
        int error = errno;
        close(fd);
        errno = error;
        fd = -1;
    }
    return fd >= 0 ? fd : tern_socket_code(errno);
}

static int start(tern_uv *u)
{
    int fd = open_groups();
    if (fd < 0) {
        return fd;
    }
    struct tern_uv_interfaces *w = tern_calloc(1, sizeof *w);
    int rc = w == NULL ? UV_ENOMEM : uv_poll_init(u->uv, &w->poll, fd);
    if (rc != 0) {
        close(fd);
        tern_free(w);
        return tern_socket_code(-rc);
    }
    w->u = u;
    w->fd = fd;
    w->poll.data = w;
    uv_poll_start(&w->poll, UV_READABLE, on_poll);
    uv_unref((uv_handle_t *)&w->poll); /* it keeps no loop running */
    tern_uv_hold(u);
    u->interfaces = w;
    return 0;
}

static void on_closed(uv_handle_t *handle)
{
    struct tern_uv_interfaces *w = handle->data;
    tern_uv *u = w->u;
    tern_free(w);
    tern_uv_release(u);
}

int tern_uv_watch(tern_loop *loop, bool on)
{
    tern_uv *u = tern_uv_of(loop);
    if (on) {
        return start(u);
    }
    if (u->interfaces != NULL) {
        uv_close((uv_handle_t *)&u->interfaces->poll, on_closed);
        close(u->interfaces->fd);
        u->interfaces = NULL;
    }
    return 0;
}
#else
int tern_uv_watch(tern_loop *loop, bool on)
{
    (void)loop;
    return on ? TERN_E_UNSUPPORTED : 0;
}
#endif
