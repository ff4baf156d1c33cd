/* HTTP/1.1 heads (RFC 9112), as far as a WebSocket upgrade, a small page and a few GETs need them:
 * a parser over bytes collected so far, in place, bounded; no bodies, no chunked coding. */
#ifndef TERN_CODEC_HTTP1_H
#define TERN_CODEC_HTTP1_H

#include <stdbool.h>

#include "base/bytes.h"

enum { TERN_HTTP1_HEAD_MAX = 8192, TERN_HTTP1_FIELDS_MAX = 64 };

typedef struct tern_http1_field {
    tern_span name, value; /* value without surrounding white space */
} tern_http1_field;

typedef struct tern_http1_head {
    tern_span method, target; /* of a request */
    int status;               /* of a response */
    int minor;                /* HTTP/1.minor */
    size_t field_count;
    tern_http1_field fields[TERN_HTTP1_FIELDS_MAX];
} tern_http1_head;

/* Parses a request or response head from its first byte. Returns the head's length with its empty
 * line, 0 if more bytes are needed, TERN_E_MALFORMED, or TERN_E_TOO_LARGE (over 8 KiB or 64
 * fields). Strict: no obsolete folding, no white space before a colon, no control characters, CRLF
 * (a bare LF is taken). */
ssize_t tern_http1_request(const uint8_t *p, size_t n, tern_http1_head *ret);
ssize_t tern_http1_response(const uint8_t *p, size_t n, tern_http1_head *ret);

/* The value of the only field of that name (case-insensitive); false if absent or given twice. */
bool tern_http1_field_get(const tern_http1_head *h, const char *name, tern_span *ret);
/* Whether a comma-separated field (all of that name) has this token, without regard to case. */
bool tern_http1_has_token(const tern_http1_head *h, const char *name, const char *token);
bool tern_span_is(tern_span s, const char *text); /* exact */
bool tern_span_is_nocase(tern_span s, const char *text);

#endif
