/* TLS over memory (RFC 8446): bytes of the peer in, bytes for the peer out, plaintext on the other
 * side. No sockets, no loop, no clock.
 *
 *     from the peer -> handshake, then read -> plaintext
 *     plaintext     -> write, close         -> output
 *
 * An engine is one connection, made by who knows its handshake: the web's (crypto/tls_web.h) or
 * libp2p's (tls/mutual.h). In the handshake it takes from a span just what it needs; after it,
 * whole records are opened where they lie. What is to be sent is written where the owner of the
 * output says, inside the calls. */
#ifndef TERN_CRYPTO_TLS_ENGINE_H
#define TERN_CRYPTO_TLS_ENGINE_H

#include <tern/error.h>

#include "crypto/tls_record.h"

typedef struct tern_tls_engine tern_tls_engine;

/* Where bytes for the peer go. */
typedef struct tern_tls_output {
    uint8_t *(*place)(void *owner, size_t n); /* room for n bytes; NULL: memory is short */
    bool (*send)(void *owner, size_t n);      /* they are there, all n; false: memory is short */
    void *owner;
} tern_tls_output;

/* What an implementation provides. After a handshake of TLS 1.3 the engine goes on by itself;
 * read, write and close are for what went before it, NULL where that is not spoken. */
typedef struct tern_tls_engine_ops {
    int (*handshake)(tern_tls_engine *e, tern_span *in, tern_error *reterr);
    void (*free)(tern_tls_engine *e);
    ssize_t (*read)(tern_tls_engine *e, uint8_t *record, size_t n, uint8_t **ret_plain,
                    tern_error *reterr);
    int (*write)(tern_tls_engine *e, const tern_span *v, unsigned count, size_t n);
    int (*close)(tern_tls_engine *e);
} tern_tls_engine_ops;

struct tern_tls_engine { /* embedded first by the implementation, which fills alpn and untrusted */
    const tern_tls_engine_ops *ops;
    struct tern_tls_traffic *traffic; /* once a handshake of TLS 1.3 is done */
    tern_tls_output output;
    const char *alpn;
    bool untrusted;
};

void tern_tls_engine_free(tern_tls_engine *e); /* sends nothing; NULL is nothing */

/* Copied; set it before anything else. */
void tern_tls_engine_output(tern_tls_engine *e, const tern_tls_output *output);

/* Goes on with the handshake; the first call is with an empty span, and a client's sends.
 * Steps *in over what it took. 1: done. 0: the peer has to speak. Or the error,
 * an alert having been sent: TERN_E_MALFORMED, TERN_E_TOO_LARGE, TERN_E_CRYPTO
 *   TERN_E_SIGNATURE     a signature is wrong, or a web server is not trusted
 *   TERN_E_UNSUPPORTED   no TLS version, cipher or signature type in common
 *   TERN_E_NEGOTIATION   no application protocol in common
 *   TERN_E_PROTOCOL      no certificate, or another rule is broken
 *   TERN_E_RESET         the peer sent an alert (reterr->wire)
 *   TERN_E_EOF           the peer closed
 *   TERN_E_NOMEM, and what judged the peer's certificate said. */
int tern_tls_engine_handshake(tern_tls_engine *e, tern_span *in, tern_error *reterr);
/* The application protocol agreed on, one of those that the engine was made with; NULL: none. */
const char *tern_tls_engine_alpn(const tern_tls_engine *e);
/* Whether a handshake failed because a web server's certificate was not trusted. */
bool tern_tls_engine_untrusted(const tern_tls_engine *e);

/* Opens one whole record of n bytes in place, after the handshake. The bytes of plaintext, at
 * *ret_plain inside the record; 0: it brought none; TERN_E_EOF: the peer closed its half; or, an
 * alert having been sent, an error as above. */
ssize_t tern_tls_engine_read(tern_tls_engine *e, uint8_t *record, size_t n, uint8_t **ret_plain,
                             tern_error *reterr);
/* Encrypts and sends the spans, 0 < n <= TERN_TLS_PLAIN_MAX bytes in all and at most
 * TERN_TLS_SPANS_MAX of them, as one record. 0, TERN_E_NOMEM or TERN_E_CRYPTO. */
int tern_tls_engine_write(tern_tls_engine *e, const tern_span *v, unsigned count, size_t n);
/* Sends close_notify: nothing is written after it; reading goes on. */
int tern_tls_engine_close(tern_tls_engine *e);

/* ---- for implementations ---- */

/* The handshake of TLS 1.3 is done: records go on under these secrets, which are wiped. 1, or
 * TERN_E_NOMEM. */
int tern_tls_engine_go_on(tern_tls_engine *e, tern_tls_secrets *secrets, bool server,
                          tern_error *reterr);

#endif
