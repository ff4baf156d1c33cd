/* Inside tls/: the presentation language of TLS (RFC 8446, section 3): numbers, and vectors with
 * their length in front. */
#ifndef TERN_TLS_WIRE_H
#define TERN_TLS_WIRE_H

#include "base/buf.h"
#include "base/bytes.h"

enum { /* ExtensionType */
       TLS_EXT_SUPPORTED_GROUPS = 10,
       TLS_EXT_SIGNATURE_ALGORITHMS = 13,
       TLS_EXT_ALPN = 16,
       TLS_EXT_PRE_SHARED_KEY = 41,
       TLS_EXT_EARLY_DATA = 42,
       TLS_EXT_SUPPORTED_VERSIONS = 43,
       TLS_EXT_COOKIE = 44,
       TLS_EXT_PSK_MODES = 45,
       TLS_EXT_KEY_SHARE = 51,
       TLS_EXT_TICKET_REQUEST = 58,
};

/* ---- reading: each takes from the front; false, with *from as it was, when it is too short ----
 */
bool tls_take(tern_span *from, size_t n, tern_span *ret);
bool tls_take8(tern_span *from, uint8_t *ret);
bool tls_take16(tern_span *from, uint16_t *ret);
bool tls_take32(tern_span *from, uint32_t *ret);
/* A vector whose length has `size` bytes. */
bool tls_take_vector(tern_span *from, unsigned size, tern_span *ret);
/* An extension. */
bool tls_take_extension(tern_span *from, uint16_t *ret_type, tern_span *ret);
/* Whether a list of 16-bit numbers has one. */
bool tls_has16(tern_span list, uint16_t value);

/* ---- writing: when memory is short nothing more is written ---- */
typedef struct tls_out {
    tern_buf buf;
    bool failed;
} tls_out;

void tls_put(tls_out *o, const void *p, size_t n);
void tls_put8(tls_out *o, uint8_t v);
void tls_put16(tls_out *o, uint16_t v);
void tls_put32(tls_out *o, uint32_t v);
/* A vector is opened with its length's size, filled, and closed with what opening returned. */
size_t tls_open(tls_out *o, unsigned size);
void tls_close(tls_out *o, size_t at, unsigned size);
/* The same for an extension and for a handshake message. */
size_t tls_open_extension(tls_out *o, uint16_t type);
#define TLS_CLOSE_EXTENSION(o, at) tls_close(o, at, 2)
size_t tls_open_message(tls_out *o, uint8_t type);
#define TLS_CLOSE_MESSAGE(o, at) tls_close(o, at, 3)

#endif
