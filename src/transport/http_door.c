/* First bytes and HTTP heads of the shared TCP port. See http_door.h. */
#include "transport/http_door.h"

#include <tern/error.h>

static const struct {
    uint8_t bytes[TERN_FIRST_BYTES];
    uint8_t n;
    enum tern_first is;
} beginnings[] = {
    {{0x13, '/', 'm'}, 3, TERN_FIRST_RAW}, /* multistream-select: its length and name */
    {{0x16, 0x03}, 2, TERN_FIRST_TLS},     /* a TLS handshake record */
    {"GET", 3, TERN_FIRST_HTTP},           {"HEA", 3, TERN_FIRST_HTTP}, {"POS", 3, TERN_FIRST_HTTP},
    {"PUT", 3, TERN_FIRST_HTTP},           {"DEL", 3, TERN_FIRST_HTTP}, {"CON", 3, TERN_FIRST_HTTP},
    {"OPT", 3, TERN_FIRST_HTTP},           {"TRA", 3, TERN_FIRST_HTTP}, {"PAT", 3, TERN_FIRST_HTTP},
};

enum tern_first tern_first_bytes(const uint8_t *p, size_t n)
{
    enum tern_first is = TERN_FIRST_UNKNOWN;
    for (size_t i = 0; i < sizeof beginnings / sizeof beginnings[0]; i++) {
        size_t k = n < beginnings[i].n ? n : beginnings[i].n;
        if (k > 0 && memcmp(p, beginnings[i].bytes, k) != 0) {
            continue;
        }
        if (k == beginnings[i].n) {
            return beginnings[i].is;
        }
        is = TERN_FIRST_MORE;
    }
    return is;
}

int tern_http_door_feed(tern_buf *part, const uint8_t *data, size_t n, size_t *ret_used,
                        tern_http1_head *ret)
{
    size_t before = tern_buf_len(part);
    size_t space = TERN_HTTP1_HEAD_MAX - before; /* never 0: a full head was an answer */
    size_t k = n < space ? n : space;
    if (tern_buf_append(part, data, k) != 0) {
        return TERN_E_NOMEM;
    }
    ssize_t head = tern_http1_request(tern_buf_data(part), before + k, ret);
    if (head < 0) {
        return (int)head;
    }
    *ret_used = head > 0 ? (size_t)head - before : k;
    return head > 0;
}

const char *tern_http_door_answer(int status)
{
#define CLOSING "Content-Length: 0\r\nConnection: close\r\n\r\n"
    switch (status) {
    case 404:
        return "HTTP/1.1 404 Not Found\r\n" CLOSING;
    case 426:
        return "HTTP/1.1 426 Upgrade Required\r\nUpgrade: websocket\r\n"
               "Sec-WebSocket-Version: 13\r\n" CLOSING;
    case 431:
        return "HTTP/1.1 431 Request Header Fields Too Large\r\n" CLOSING;
    default:
        return "HTTP/1.1 400 Bad Request\r\n" CLOSING;
    }
#undef CLOSING
}
