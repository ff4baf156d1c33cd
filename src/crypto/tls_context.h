/* Inside crypto/: what connections of the web's TLS have in common. */
#ifndef TERN_CRYPTO_TLS_CONTEXT_H
#define TERN_CRYPTO_TLS_CONTEXT_H

#include <openssl/ssl.h>

#include "crypto/tls_web.h"

struct tern_tls_context {
    SSL_CTX *ctx;
};

/* OpenSSL's questions during a handshake, answered by the engine. */
int tern_tls_select_alpn(SSL *ssl, const unsigned char **out, unsigned char *out_n,
                         const unsigned char *in, unsigned in_n, void *unused);
/* What OpenSSL would write into a log of keys: the traffic secrets. */
void tern_tls_keylog(const SSL *ssl, const char *line);

#endif
