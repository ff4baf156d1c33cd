/* The HTTP side of the shared TCP port, without I/O: what the first bytes are, the request's head
 * collected piece by piece, and the few answers that the port gives by itself. */
#ifndef TERN_TRANSPORT_HTTP_DOOR_H
#define TERN_TRANSPORT_HTTP_DOOR_H

#include "base/buf.h"
#include "codec/http1.h"

enum { TERN_FIRST_BYTES = 3 }; /* enough to decide */

enum tern_first {
    TERN_FIRST_MORE,
    TERN_FIRST_RAW,
    TERN_FIRST_HTTP,
    TERN_FIRST_TLS,
    TERN_FIRST_UNKNOWN
};

/* What a connection that begins with these bytes is; TERN_FIRST_MORE while several are possible. */
enum tern_first tern_first_bytes(const uint8_t *p, size_t n);

/* Adds to the head in `part`, which must be without limit. Returns 1 when it is complete: *ret
 * points into part and *ret_used says how many of the new bytes it needed. 0: all used, more are
 * needed. TERN_E_MALFORMED, TERN_E_TOO_LARGE, TERN_E_NOMEM. */
int tern_http_door_feed(tern_buf *part, const uint8_t *data, size_t n, size_t *ret_used,
                        tern_http1_head *ret);

/* A whole response without body, after which the connection closes: 400, 404, 426 or 431. */
const char *tern_http_door_answer(int status);

#endif
