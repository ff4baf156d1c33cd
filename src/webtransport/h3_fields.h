/* Fields of HTTP/3 messages (RFC 9114, sections 4.1 to 4.3; RFC 9204), without I/O: the requests
 * that a WebTransport server answers and the answers that a client reads. QPACK is nghttp3's,
 * without a dynamic table. */
#ifndef TERN_WEBTRANSPORT_H3_FIELDS_H
#define TERN_WEBTRANSPORT_H3_FIELDS_H

#include "base/buf.h"
#include "base/bytes.h"

enum { TERN_H3_NAME_MAX = 256, TERN_H3_PATH_MAX = 512 };

/* What a field section says; "" or 0 where it says nothing. */
typedef struct tern_h3_fields {
    char method[32], protocol[32], scheme[16], authority[TERN_H3_NAME_MAX], path[TERN_H3_PATH_MAX];
    unsigned status;
    bool draft02; /* sec-webtransport-http3-draft02: 1 */
} tern_h3_fields;

/* 0, TERN_QPACK_FAILED, TERN_H3_MESSAGE_ERROR (a malformed message), TERN_H3_EXCESSIVE_LOAD
 * (pseudo-header fields that are too long) or TERN_H3_INTERNAL_ERROR (no memory). */
uint64_t tern_h3_fields_read(tern_span section, bool request, tern_h3_fields *ret);

/* Appends a HEADERS frame: a CONNECT for a session, or an answer. TERN_E_NOMEM. */
int tern_h3_put_connect(tern_buf *out, const char *authority, const char *path);
int tern_h3_put_status(tern_buf *out, unsigned status, bool draft02);

#endif
