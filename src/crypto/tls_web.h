/* TLS by the web's rules (RFC 8446, and 5246 where the peer has no newer), on OpenSSL: servers show
 * a chain, clients trust authorities and look for a name. What connections have in common is a
 * context; a connection is an engine (crypto/tls_engine.h). */
#ifndef TERN_CRYPTO_TLS_WEB_H
#define TERN_CRYPTO_TLS_WEB_H

#include "crypto/tls_engine.h"

typedef struct tern_tls_context tern_tls_context;

typedef struct tern_tls_settings {
    tern_span chain_pem; /* a server's: certificates, ours first */
    tern_span key_pem;   /* ... and its key */
    tern_span ca_pem;    /* a client's: trusted instead of the system's authorities */
    bool self_signed;    /* a server's: a certificate made here, for "localhost" */
    bool trust_any;      /* a client's: whatever the server shows */
} tern_tls_settings;

/* What is given is copied. TERN_E_INVALID (PEM that does not parse, a key that
 * does not fit), TERN_E_NOMEM or TERN_E_CRYPTO. Servers and clients need a context each. */
int tern_tls_context_new(const tern_tls_settings *settings, tern_tls_context **ret);
/* Engines that live keep what they need. NULL is nothing. */
void tern_tls_context_free(tern_tls_context *context);
/* The first DNS name of a server's certificate that is no pattern; false when there is none, or
 * when it is longer than cap - 1. */
bool tern_tls_context_name(const tern_tls_context *context, char *out, size_t cap);

enum { TERN_TLS_WEB_ALPN_MAX = 4 /* protocols offered */ };

typedef struct tern_tls_web_options {
    bool server;
    /* Best first, NULL-terminated; the client's order decides. NULL: none. A peer that offers some
     * but none of these is refused. The list is used until the handshake is done, the one agreed on
     * as long as the engine lives. */
    const char *const *alpn;
    /* A client's, one of the two: a name, sent and looked for in the certificate, or the text of an
     * IP address, only looked for. */
    const char *server_name, *server_ip;
} tern_tls_web_options;

/* 0, or TERN_E_NOMEM, also for a name or ALPN that cannot be sent. */
int tern_tls_web_new(tern_tls_context *context, const tern_tls_web_options *options,
                     tern_tls_engine **ret);

#endif
