/* Inside quic/: what a ClientHello says of resumption (RFC 8446, sections 4.1.2 and 4.2; RFC 9149),
 * read before GnuTLS sees it: GnuTLS takes a ticket as often as it comes, we take it once. */
#ifndef TERN_QUIC_HELLO_H
#define TERN_QUIC_HELLO_H

#include "base/bytes.h"

enum { QUIC_EXT_TICKET_REQUEST = 58 };

typedef struct quic_hello {
    bool libp2p;      /* ALPN offers "libp2p" and nothing else */
    bool early_data;  /* 0-RTT data follows */
    bool asks;        /* ticket_request is there: ... */
    uint8_t fresh;    /* ... so many tickets after a full handshake, */
    uint8_t again;    /* ... so many after a resumed one */
    unsigned offered; /* how many tickets are offered; 2 = several */
    tern_span ticket; /* the first of them, in the message */
    uint32_t ob_age;  /* its obfuscated_ticket_age */
} quic_hello;

/* Reads a ClientHello without its handshake header. False: it does not parse, and means nothing. */
bool quic_hello_read(const uint8_t *p, size_t n, quic_hello *ret);

#endif
