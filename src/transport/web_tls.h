/* TLS for the web, on a net: the certificate that its TCP ports show (Secure WebSocket, HTTPS), and
 * the authorities that its dials trust. */
#ifndef TERN_TRANSPORT_WEB_TLS_H
#define TERN_TRANSPORT_WEB_TLS_H

#include "core/net.h"
#include "crypto/tls_web.h"

/* The certificate from now on: a chain, ours first, and its key, both PEM. Connections that live
 * keep theirs. TERN_E_INVALID (PEM that does not parse, a key that does not fit; what was before
 * stays), TERN_E_NOMEM, TERN_E_CRYPTO. */
int tern_web_set_certificate(tern_net *net, tern_span chain_pem, tern_span key_pem);
/* Trusted instead of the system's authorities. Errors as above. */
int tern_web_set_authorities(tern_net *net, tern_span ca_pem);
/* For those who do not look at certificates (the peer proves its id inside all the same): shows one
 * that is made here / takes whatever a server shows. TERN_E_NOMEM, TERN_E_CRYPTO. */
int tern_web_self_sign(tern_net *net);
int tern_web_trust_any(tern_net *net);
/* The context that shows the certificate; NULL without one. */
tern_tls_context *tern_web_server(tern_net *net);
/* The context to dial with, made when first needed (the system's authorities are read then). NULL
 * when it cannot be made. */
tern_tls_context *tern_web_client(tern_net *net);
void tern_web_free(tern_net *net);

#endif
