/* Certificates of the web for tests: self-signed, valid around now, their own authority. */
#ifndef TERN_TESTS_WEB_CERT_H
#define TERN_TESTS_WEB_CERT_H

#include "core/net.h"

typedef struct web_cert {
    char *chain, *key; /* PEM */
} web_cert;

/* names as in OpenSSL's subjectAltName: "DNS:localhost,IP:10.0.0.2". Valid from `from` to `to`
 * seconds from now; 0 and 0 = from an hour ago for a day. Fails the test on any error. */
void web_cert_make(web_cert *ret, const char *names, long from, long to);
void web_cert_clear(web_cert *c);
/* A certificate of the process's own for 10.0.0.2 and "localhost": `listens` shows it, otherwise
 * the net trusts it. tern_web_free when the net is done. */
void web_cert_use(tern_net *net, bool listens);

#endif
