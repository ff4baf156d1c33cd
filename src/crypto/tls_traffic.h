/* What goes on after a handshake of TLS 1.3 (RFC 8446, sections 4.6 and 6): data, key updates,
 * tickets that nobody uses, alerts. Every engine's second half. */
#ifndef TERN_CRYPTO_TLS_TRAFFIC_H
#define TERN_CRYPTO_TLS_TRAFFIC_H

#include "crypto/tls_engine.h"

typedef struct tern_tls_traffic tern_tls_traffic;

/* NULL: memory is short. The secrets are copied. */
tern_tls_traffic *tern_tls_traffic_new(const tern_tls_secrets *secrets, bool server);
void tern_tls_traffic_free(tern_tls_traffic *t); /* wipes; NULL is nothing */

/* What an alert means, at any time: it ends the connection, whatever level it claims (section 6).
 * TERN_E_RESET with its number, TERN_E_EOF (close_notify), TERN_E_MALFORMED; or 0: nothing yet. */
int tern_tls_take_alert(tern_span body, tern_error *reterr);

/* As the engine's calls of the same names say. */
ssize_t tern_tls_traffic_read(tern_tls_traffic *t, const tern_tls_output *output, uint8_t *record,
                              size_t n, uint8_t **ret_plain, tern_error *reterr);
int tern_tls_traffic_write(tern_tls_traffic *t, const tern_tls_output *output, const tern_span *v,
                           unsigned count, size_t n);
int tern_tls_traffic_close(tern_tls_traffic *t, const tern_tls_output *output);

#endif
