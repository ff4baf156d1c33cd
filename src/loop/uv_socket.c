/* The system's sockets: addresses, options, errors. See uv_socket.h. */
#include "loop/uv_socket.h"

#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <string.h>
#include <unistd.h>

#include <tern/error.h>

int tern_socket_code(int error)
{
    switch (error) {
    case 0:
        return 0;
    case ENOMEM:
    case ENOBUFS:
        return TERN_E_NOMEM;
    case EMFILE:
    case ENFILE:
        return TERN_E_LIMIT;
    case ECONNREFUSED:
        return TERN_E_REFUSED;
    case ECONNRESET:
    case ECONNABORTED:
    case EPIPE:
        return TERN_E_RESET;
    case ETIMEDOUT:
        return TERN_E_TIMEOUT;
    case EADDRINUSE:
        return TERN_E_ADDRINUSE;
    case EACCES:
    case EPERM:
        return TERN_E_ACCESS;
    case ENETUNREACH:
    case EHOSTUNREACH:
    case ENETDOWN:
    case EHOSTDOWN:
    case EADDRNOTAVAIL:
    case EAFNOSUPPORT:
    case EPROTONOSUPPORT:
    case ENODEV: /* a scope that names no interface */
    case ENXIO:
        return TERN_E_UNREACHABLE;
    case EMSGSIZE:
        return TERN_E_TOO_LARGE;
    default:
        return TERN_E_IO;
    }
}

socklen_t tern_socket_address(struct sockaddr_storage *ret, const tern_endpoint *e)
{
    memset(ret, 0, sizeof *ret);
    if (e->family == 4) {
        struct sockaddr_in *in = (struct sockaddr_in *)(void *)ret;
        in->sin_family = AF_INET;
        in->sin_port = htons(e->port);
        memcpy(&in->sin_addr, e->ip, 4);
        return sizeof *in;
    }
    struct sockaddr_in6 *in6 = (struct sockaddr_in6 *)(void *)ret;
    in6->sin6_family = AF_INET6;
    in6->sin6_port = htons(e->port);
    in6->sin6_scope_id = e->scope;
    memcpy(&in6->sin6_addr, e->ip, 16);
    return sizeof *in6;
}

void tern_socket_endpoint(tern_endpoint *ret, const struct sockaddr_storage *address)
{
    memset(ret, 0, sizeof *ret);
    if (address->ss_family == AF_INET) {
        const struct sockaddr_in *in = (const struct sockaddr_in *)(const void *)address;
        ret->family = 4;
        ret->port = ntohs(in->sin_port);
        memcpy(ret->ip, &in->sin_addr, 4);
    } else if (address->ss_family == AF_INET6) {
        const struct sockaddr_in6 *in6 = (const struct sockaddr_in6 *)(const void *)address;
        ret->family = 6;
        ret->port = ntohs(in6->sin6_port);
        ret->scope = in6->sin6_scope_id;
        memcpy(ret->ip, &in6->sin6_addr, 16);
        tern_endpoint_unmap(ret);
    }
}

int tern_socket_open(const tern_endpoint *e, int type)
{
    int family = e->family == 4 ? AF_INET : AF_INET6;
#if defined(SOCK_NONBLOCK) && defined(SOCK_CLOEXEC)
    int fd = socket(family, type | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0) {
        return tern_socket_code(errno);
    }
#else
    int fd = socket(family, type, 0);
    if (fd < 0) {
        return tern_socket_code(errno);
    }
    fcntl(fd, F_SETFD, FD_CLOEXEC);
    fcntl(fd, F_SETFL, O_NONBLOCK);
#endif
    if (family == AF_INET6) {
        tern_socket_set(fd, IPPROTO_IPV6, IPV6_V6ONLY, 1);
    }
#ifdef SO_NOSIGPIPE
    tern_socket_set(fd, SOL_SOCKET, SO_NOSIGPIPE, 1);
#endif
    return fd;
}

int tern_socket_bind(int fd, const tern_endpoint *at)
{
    struct sockaddr_storage address;
    socklen_t n = tern_socket_address(&address, at);
    return bind(fd, (struct sockaddr *)&address, n) == 0 ? 0 : -errno;
}

bool tern_socket_set(int fd, int level, int name, int value)
{
    return setsockopt(fd, level, name, &value, sizeof value) == 0;
}

void tern_socket_local(int fd, tern_endpoint *ret)
{
    struct sockaddr_storage address = {.ss_family = AF_UNSPEC};
    socklen_t n = sizeof address;
    if (getsockname(fd, (struct sockaddr *)&address, &n) != 0) {
        address.ss_family = AF_UNSPEC;
    }
    tern_socket_endpoint(ret, &address);
}

int tern_socket_error(int fd)
{
    int error = 0;
    socklen_t n = sizeof error;
    if (getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &n) != 0) {
        return errno;
    }
    return error;
}
