/* What TCP and UDP share of the system's sockets: addresses, options, errors. */
#ifndef TERN_LOOP_UV_SOCKET_H
#define TERN_LOOP_UV_SOCKET_H

#include <sys/socket.h>

#include "base/endpoint.h"

/* The tern code of an errno of a socket call (positive). */
int tern_socket_code(int error);

/* Endpoint to system address and back. An unknown family gives family 0; mapped IPv4 becomes IPv4.
 */
socklen_t tern_socket_address(struct sockaddr_storage *ret, const tern_endpoint *e);
void tern_socket_endpoint(tern_endpoint *ret, const struct sockaddr_storage *address);

/* A non-blocking, close-on-exec socket of the endpoint's family (IPv6 only for IPv6), or a code. */
int tern_socket_open(const tern_endpoint *e, int type);
/* 0 or a negative errno. */
int tern_socket_bind(int fd, const tern_endpoint *at);
/* Sets an integer option; false if the system does not have it. */
bool tern_socket_set(int fd, int level, int name, int value);
/* For a bound socket: its own address. */
void tern_socket_local(int fd, tern_endpoint *ret);
/* The error that waits on the socket (an errno, 0 if none), which clears it. */
int tern_socket_error(int fd);

#endif
