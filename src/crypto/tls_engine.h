/* TLS over memory (RFC 8446; the handshake by OpenSSL): bytes of the peer in, bytes for the
 * peer out, plaintext on the other side. No sockets, no loop, no clock.
 *
 *     from the peer -> handshake, then read -> plaintext
 *     plaintext     -> write, close         -> output
 *
 * A context is what connections have in common; an engine is one connection.
 * In the handshake an engine takes from a span just what it needs; after it,
 * whole records are opened where they lie. What is to be sent is written where
 * the owner of the output says, inside the calls. Who judges a certificate is the difference
 * between libp2p (mutual, by the caller) and the web (clients only, by name and
 * authority). */
#ifndef TERN_CRYPTO_TLS_ENGINE_H
#define TERN_CRYPTO_TLS_ENGINE_H

#include "crypto/cert.h"
#include "crypto/tls_record.h"

enum { TERN_TLS_ALPN_MAX = 16 /* protocols offered */ };

typedef struct tern_tls_context tern_tls_context;
typedef struct tern_tls_engine tern_tls_engine;

typedef struct tern_tls_settings {
    const tern_cert *cert; /* libp2p: ours in both roles; TLS 1.3 only, peers must
                              have one too */
    tern_span chain_pem;   /* the web, as a server: certificates, ours first */
    tern_span key_pem;     /* ... and its key */
    tern_span ca_pem;      /* the web, as a client: trusted instead of the system's
                              authorities */
    bool self_signed;      /* the web, as a server: a certificate made here, for "localhost" */
    bool trust_any;        /* the web, as a client: whatever the server shows */
} tern_tls_settings;

/* What is given is copied. TERN_E_INVALID (PEM that does not parse, a key that
 * does not fit), TERN_E_NOMEM or TERN_E_CRYPTO. For the web, servers and
 * clients need a context each. */
int tern_tls_context_new(const tern_tls_settings *settings, tern_tls_context **ret);
/* Engines that live keep what they need. NULL is nothing. */
void tern_tls_context_free(tern_tls_context *context);
/* The first DNS name of a web server's certificate that is no pattern; false when there is none, or
 * when it is longer than cap - 1. */
bool tern_tls_context_name(const tern_tls_context *context, char *out, size_t cap);

typedef struct tern_tls_options {
    bool server;
    /* Best first, NULL-terminated; the client's order decides. NULL: none. A peer that offers some
     * but none of these is refused. The list is used until the handshake is done, the one agreed on
     * as long as the engine lives. */
    const char *const *alpn;
    /* A web client's, one of the two: a name, sent and looked for in the certificate, or the text
     * of an IP address, only looked for. */
    const char *server_name, *server_ip;
    /* libp2p: judges the one certificate the peer showed (count says how many it
     * was). 0, or an error with *ret filled. */
    int (*judge)(void *owner, tern_span certificate, size_t count, tern_error *ret);
    void *owner;
} tern_tls_options;

/* 0, TERN_E_NOMEM, or TERN_E_INVALID (a name or ALPN that cannot be sent). */
int tern_tls_engine_new(tern_tls_context *context, const tern_tls_options *options,
                        tern_tls_engine **ret);
void tern_tls_engine_free(tern_tls_engine *e); /* sends nothing; NULL is nothing */

/* Where bytes for the peer go. */
typedef struct tern_tls_output {
    uint8_t *(*place)(void *owner, size_t n); /* room for n bytes; NULL: memory is short */
    bool (*send)(void *owner, size_t n);      /* they are there, all n; false: memory is short */
    void *owner;
} tern_tls_output;

/* Copied; set it before anything else. */
void tern_tls_engine_output(tern_tls_engine *e, const tern_tls_output *output);

/* Goes on with the handshake; a client's first call sends with an empty span.
 * Steps *in over what it took. 1: done. 0: the peer has to speak. Or the error,
 * an alert having been sent: TERN_E_MALFORMED, TERN_E_CRYPTO
 *   TERN_E_SIGNATURE     a signature is wrong, or a web server is not trusted
 *   TERN_E_UNSUPPORTED   no TLS version, cipher or signature type in common
 *   TERN_E_NEGOTIATION   no application protocol in common
 *   TERN_E_PROTOCOL      no certificate
 *   TERN_E_RESET         the peer sent an alert (reterr->wire)
 *   TERN_E_NOMEM, and what judge said. */
int tern_tls_engine_handshake(tern_tls_engine *e, tern_span *in, tern_error *reterr);
/* The application protocol agreed on, one of options.alpn; NULL: none. */
const char *tern_tls_engine_alpn(const tern_tls_engine *e);
/* Whether a handshake failed because a web server's certificate was not trusted. */
bool tern_tls_engine_untrusted(const tern_tls_engine *e);

/* Opens one whole record of n bytes in place, after the handshake. The bytes of plaintext, at
 * *ret_plain inside the record; 0: it brought none; TERN_E_EOF: the peer closed its half; or, an
 * alert having been sent, an error as above, TERN_E_TOO_LARGE among them. */
ssize_t tern_tls_engine_read(tern_tls_engine *e, uint8_t *record, size_t n, uint8_t **ret_plain,
                             tern_error *reterr);
/* Encrypts and sends the spans, 0 < n <= TERN_TLS_PLAIN_MAX bytes in all and at most
 * TERN_TLS_SPANS_MAX of them, as one record. 0, TERN_E_NOMEM or TERN_E_CRYPTO. */
int tern_tls_engine_write(tern_tls_engine *e, const tern_span *v, unsigned count, size_t n);
/* Sends close_notify: nothing is written after it; reading goes on. */
int tern_tls_engine_close(tern_tls_engine *e);

#endif
