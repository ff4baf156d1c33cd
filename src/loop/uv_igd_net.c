/* SSDP and HTTP with a gateway: see uv_igd_net.h. */
#include "loop/uv_igd_net.h"

#include <errno.h>
#include <netinet/in.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <unistd.h>
#include <uv.h>

#include <tern/error.h>

#include "base/bytes.h"
#include "loop/loop.h"
#include "loop/uv_socket.h"

#define SEARCH_TIME   (1 * TERN_SEC)
#define EXCHANGE_TIME (5 * TERN_SEC)

enum { SSDP_PORT = 1900, HOPS = 2, DATAGRAM_MAX = 1500, HEAD_MAX = 1024 };

/* Until the socket is ready, or the deadline; whether it is. */
static bool wait_for(int fd, short events, uint64_t deadline)
{
    for (;;) {
        uint64_t now = uv_hrtime();
        struct pollfd p = {.fd = fd, .events = events};
        int n = now < deadline ? poll(&p, 1, (int)((deadline - now) / TERN_MS) + 1) : 0;
        if (n > 0 || (n < 0 && errno != EINTR) || now >= deadline) {
            return n > 0;
        }
    }
}

/* What follows a header's name in a head, whose lines end with CR LF; NULL. */
static const char *header_of(const char *head, const char *name)
{
    size_t n = strlen(name);
    for (const char *line = strstr(head, "\r\n"); line != NULL; line = strstr(line + 2, "\r\n")) {
        if (strncasecmp(line + 2, name, n) == 0 && line[2 + n] == ':') {
            line += 2 + n + 1;
            return line + strspn(line, " \t");
        }
    }
    return NULL;
}

/* ---- SSDP ---- */

static int open_search(const tern_endpoint *own)
{
    int fd = tern_socket_open(own, SOCK_DGRAM);
    if (fd < 0) {
        return fd;
    }
    struct in_addr from;
    memcpy(&from, own->ip, sizeof from);
    tern_socket_set(fd, IPPROTO_IP, IP_MULTICAST_TTL, HOPS);
    if (setsockopt(fd, IPPROTO_IP, IP_MULTICAST_IF, &from, sizeof from) != 0 ||
        tern_socket_bind(fd, own) != 0) {
        close(fd);
        return TERN_E_IO;
    }
    return fd;
}

bool tern_igd_location(const char *answer, char *out, size_t cap)
{
    const char *at = strncmp(answer, "HTTP/1.", 7) == 0 ? header_of(answer, "location") : NULL;
    size_t n = at != NULL ? strcspn(at, " \t\r\n") : 0;
    if (n == 0 || n >= cap) {
        return false;
    }
    memcpy(out, at, n);
    out[n] = '\0';
    return true;
}

/* Others may answer as much as they like: what they say is not looked at, and the time is over
 * soon.
 */
static bool hear(int fd, const tern_endpoint *gateway, char *ret_url, size_t cap)
{
    uint64_t deadline = uv_hrtime() + SEARCH_TIME;
    char answer[DATAGRAM_MAX + 1];
    while (wait_for(fd, POLLIN, deadline)) {
        struct sockaddr_storage address;
        socklen_t len = sizeof address;
        ssize_t n = recvfrom(fd, answer, DATAGRAM_MAX, 0, (struct sockaddr *)&address, &len);
        tern_endpoint from;
        if (n <= 0) {
            continue;
        }
        tern_socket_endpoint(&from, &address);
        from.port = gateway->port;
        answer[n] = '\0';
        if (tern_endpoint_eq(&from, gateway) && tern_igd_location(answer, ret_url, cap)) {
            return true;
        }
    }
    return false;
}

bool tern_igd_search(const tern_endpoint *own, const tern_endpoint *gateway, const char *kind,
                     char *ret_url, size_t cap)
{
    const tern_endpoint group = {.family = 4, .port = SSDP_PORT, .ip = {239, 255, 255, 250}};
    struct sockaddr_storage address;
    char message[512];
    int fd = open_search(own);
    if (fd < 0) {
        return false;
    }
    int n = snprintf(message, sizeof message,
                     "M-SEARCH * HTTP/1.1\r\nHOST: 239.255.255.250:1900\r\nST: %s\r\n"
                     "MAN: \"ssdp:discover\"\r\nMX: 1\r\n\r\n",
                     kind);
    socklen_t len = tern_socket_address(&address, &group);
    bool found = sendto(fd, message, (size_t)n, 0, (struct sockaddr *)&address, len) == n &&
                 hear(fd, gateway, ret_url, cap);
    close(fd);
    return found;
}

/* ---- HTTP ---- */

/* "http://IP[:PORT][/PATH]" with the gateway's IP. */
static bool take_url(const tern_endpoint *gateway, const char *url, tern_endpoint *ret,
                     const char **ret_path)
{
    static const char front[] = "http://";
    char ip[TERN_ENDPOINT_TEXT];
    size_t n = strlen(tern_endpoint_ip_text(ip, gateway));
    if (strncasecmp(url, front, sizeof front - 1) != 0 ||
        strncmp(url + sizeof front - 1, ip, n) != 0) {
        return false;
    }
    url += sizeof front - 1 + n;
    unsigned long port = 80;
    if (*url == ':') {
        char *end;
        port = strtoul(url + 1, &end, 10);
        url = end;
    }
    *ret = *gateway;
    ret->port = (uint16_t)port;
    *ret_path = *url == '/' ? url : "/";
    return port > 0 && port <= UINT16_MAX && (*url == '/' || *url == '\0') &&
           strcspn(url, " \t\r\n") == strlen(url);
}

static int open_exchange(const tern_endpoint *to, uint64_t deadline)
{
    struct sockaddr_storage address;
    int fd = tern_socket_open(to, SOCK_STREAM);
    if (fd < 0) {
        return fd;
    }
    socklen_t n = tern_socket_address(&address, to);
    int error = connect(fd, (struct sockaddr *)&address, n) == 0 ? 0 : errno;
    if (error == EINPROGRESS) {
        error = wait_for(fd, POLLOUT, deadline) ? tern_socket_error(fd) : ETIMEDOUT;
    }
    if (error != 0) {
        close(fd);
        return tern_socket_code(error);
    }
    return fd;
}

static int send_all(int fd, const char *p, size_t n, uint64_t deadline)
{
    while (n > 0) {
        ssize_t sent = send(fd, p, n, MSG_NOSIGNAL);
        if (sent < 0 && errno != EAGAIN && errno != EINTR) {
            return tern_socket_code(errno);
        }
        if (sent < 0 && !wait_for(fd, POLLOUT, deadline)) {
            return TERN_E_TIMEOUT;
        }
        p += sent > 0 ? sent : 0;
        n -= sent > 0 ? (size_t)sent : 0;
    }
    return 0;
}

bool tern_igd_whole(const char *answer, size_t n)
{
    static const char last[] = "\r\n0\r\n\r\n";
    const char *body = strstr(answer, "\r\n\r\n"), *length = header_of(answer, "content-length");
    if (body == NULL) {
        return false;
    }
    body += 4;
    if (length != NULL && length < body) {
        return n - (size_t)(body - answer) >= strtoul(length, NULL, 10);
    }
    return n >= sizeof last - 1 &&
           memcmp(answer + n - (sizeof last - 1), last, sizeof last - 1) == 0;
}

static ssize_t receive_all(int fd, char *out, uint64_t deadline)
{
    size_t n = 0;
    for (;;) {
        if (!wait_for(fd, POLLIN, deadline)) {
            return TERN_E_TIMEOUT;
        }
        ssize_t got = recv(fd, out + n, TERN_IGD_ANSWER - 1 - n, 0);
        if (got < 0 && errno != EAGAIN && errno != EINTR) {
            return tern_socket_code(errno);
        }
        n += got > 0 ? (size_t)got : 0;
        out[n] = '\0';
        if (got == 0 || tern_igd_whole(out, n)) {
            return (ssize_t)n;
        }
        if (n == TERN_IGD_ANSWER - 1) {
            return TERN_E_TOO_LARGE;
        }
    }
}

/* Chunks (RFC 9112, section 7.1) become what they carry, where they are; the length. */
static size_t unchunk(char *p, size_t n)
{
    size_t from = 0, to = 0;
    while (from < n) {
        char *end;
        unsigned long size = strtoul(p + from, &end, 16);
        char *line = strstr(p + from, "\r\n");
        if (line == NULL || end == p + from || size == 0 || size > n - (size_t)(line + 2 - p)) {
            break;
        }
        memmove(p + to, line + 2, size);
        from = (size_t)(line + 2 - p) + size + 2;
        to += size;
    }
    p[to] = '\0';
    return to;
}

ssize_t tern_igd_body(char *answer, size_t n, unsigned *ret_status)
{
    char *body = strstr(answer, "\r\n\r\n");
    if (body == NULL || sscanf(answer, "HTTP/1.%*u %u", ret_status) != 1) {
        return TERN_E_MALFORMED;
    }
    body[2] = '\0'; /* the head has an end */
    const char *coding = header_of(answer, "transfer-encoding");
    bool chunked = coding != NULL && strncasecmp(coding, "chunked", 7) == 0;
    n -= (size_t)(body + 4 - answer);
    memmove(answer, body + 4, n + 1);
    return (ssize_t)(chunked ? unchunk(answer, n) : n);
}

bool tern_igd_value(const char *xml, const char *name, char *out, size_t cap)
{
    size_t n = strlen(name);
    for (const char *at = strstr(xml, name); at != NULL; at = strstr(at + n, name)) {
        if (at > xml && (at[-1] == '<' || at[-1] == ':') && at[n] == '>') {
            size_t len = strcspn(at + n + 1, "<");
            if (len < cap) {
                memcpy(out, at + n + 1, len);
                out[len] = '\0';
                return true;
            }
        }
    }
    return false;
}

ssize_t tern_igd_exchange(const tern_endpoint *gateway, const char *url, const char *action,
                          const char *body, char *out, unsigned *ret_status)
{
    uint64_t deadline = uv_hrtime() + EXCHANGE_TIME;
    tern_endpoint to;
    const char *path;
    char head[HEAD_MAX], host[TERN_ENDPOINT_TEXT];
    if (!take_url(gateway, url, &to, &path)) {
        return TERN_E_INVALID;
    }
    tern_endpoint_text(host, &to);
    int n = body == NULL
                ? snprintf(head, sizeof head,
                           "GET %s HTTP/1.1\r\nHost: %s\r\nConnection: close\r\n\r\n", path, host)
                : snprintf(head, sizeof head,
                           "POST %s HTTP/1.1\r\nHost: %s\r\nConnection: close\r\nContent-Type: "
                           "text/xml; charset=\"utf-8\"\r\nSOAPAction: \"%s\"\r\nContent-Length: "
                           "%zu\r\n\r\n",
                           path, host, action, strlen(body));
    if (n < 0 || n >= (int)sizeof head) {
        return TERN_E_INVALID;
    }
    int fd = open_exchange(&to, deadline);
    if (fd < 0) {
        return fd;
    }
    ssize_t code = send_all(fd, head, (size_t)n, deadline);
    if (code == 0 && body != NULL) {
        code = send_all(fd, body, strlen(body), deadline);
    }
    if (code == 0) {
        code = receive_all(fd, out, deadline);
    }
    close(fd);
    return code < 0 ? code : tern_igd_body(out, (size_t)code, ret_status);
}
