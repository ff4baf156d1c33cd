/* A ClientHello (RFC 8446, section 4.1.2), taken apart: places in its bytes. */
#ifndef TERN_TLS_HELLO_H
#define TERN_TLS_HELLO_H

#include "base/bytes.h"

typedef struct tern_hello {
    tern_span session_id, ciphers, compression;
    bool tls13; /* supported_versions has it */
    /* The lists of extensions, without their own length; NULL data: the extension is not there. */
    tern_span groups, shares, schemes, alpn, params;
    bool dhe;         /* psk_key_exchange_modes has psk_dhe_ke */
    bool modes;       /* it is there at all */
    bool early_data;  /* 0-RTT data follows */
    bool asks;        /* ticket_request is there: ... */
    uint8_t fresh;    /* ... so many tickets after a full handshake, */
    uint8_t again;    /* ... so many after a resumed one */
    unsigned offered; /* how many tickets are offered */
    tern_span ticket; /* the first of them */
    uint32_t ob_age;  /* its obfuscated_ticket_age */
    tern_span binder; /* its binder */
    size_t unbound;   /* bytes of the body in front of the binders */
} tern_hello;

/* Reads one without its handshake header; `params` is the extension with transport parameters. 0,
 * or the alert that it deserves: decode_error, illegal_parameter. */
int tern_hello_read(tern_span body, uint16_t params, tern_hello *ret);

/* Whether ALPN offers a protocol; and whether it offers nothing else. */
bool tern_hello_offers(const tern_hello *hello, tern_span protocol);
bool tern_hello_offers_only(const tern_hello *hello, tern_span protocol);

#endif
