/* The default gateway, from the kernel's table of routes (Linux: proc(5), /proc/net/route).
 * Elsewhere none is known, and nobody is asked for ports. */
#include "loop/uv_backend.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include <tern/error.h>

#include "loop/uv_socket.h"

#ifdef __linux__
enum { LINES_MAX = 4096, UP = 1, GATEWAY = 2 }; /* flags: linux/route.h */

/* The default route of the smallest metric that leads over a gateway. */
static bool default_gateway(tern_endpoint *ret)
{
    char line[256];
    unsigned best = 0;
    bool found = false;
    FILE *f = fopen("/proc/net/route", "re");
    if (f == NULL) {
        return false;
    }
    for (int i = 0; i < LINES_MAX && fgets(line, sizeof line, f) != NULL; i++) {
        unsigned to, over, flags, metric, mask;
        if (sscanf(line, "%*s %x %x %x %*d %*d %u %x", &to, &over, &flags, &metric, &mask) != 5 ||
            to != 0 || mask != 0 || (flags & (UP | GATEWAY)) != (UP | GATEWAY) ||
            (found && metric >= best)) {
            continue;
        }
        found = true;
        best = metric;
        memset(ret, 0, sizeof *ret);
        ret->family = 4;
        memcpy(ret->ip, &over, 4); /* printed as the machine's own number of the bytes */
    }
    fclose(f);
    return found;
}

int tern_uv_gateway(tern_loop *loop, tern_endpoint *ret, tern_endpoint *ret_own)
{
    struct sockaddr_storage address;
    (void)loop;
    if (!default_gateway(ret)) {
        return TERN_E_NOT_FOUND;
    }
    /* Which of our addresses faces it, the system says by a socket that never sends. */
    int fd = tern_socket_open(ret, SOCK_DGRAM);
    if (fd < 0) {
        return fd;
    }
    tern_endpoint to = *ret;
    to.port = 9;
    socklen_t n = tern_socket_address(&address, &to);
    int code = connect(fd, (struct sockaddr *)&address, n) == 0 ? 0 : TERN_E_UNREACHABLE;
    if (code == 0) {
        tern_socket_local(fd, ret_own);
        ret_own->port = 0;
    }
    close(fd);
    return code;
}
#else
int tern_uv_gateway(tern_loop *loop, tern_endpoint *ret, tern_endpoint *ret_own)
{
    (void)loop;
    (void)ret;
    (void)ret_own;
    return TERN_E_NOT_FOUND;
}
#endif
