/* What a gateway is asked for and what it answers, as bytes: PCP's MAP (RFC 6887, sections 7 and
 * 11) and NAT-PMP (RFC 6886, section 3). Both speak over UDP port 5351; the first byte tells them
 * apart.
 */
#ifndef TERN_NAT_PORTMAP_MESSAGE_H
#define TERN_NAT_PORTMAP_MESSAGE_H

#include "base/bytes.h"
#include "base/endpoint.h"

enum {
    TERN_PORTMAP_SERVER_PORT = 5351,
    TERN_PORTMAP_REQUEST_MAX = 60,
    TERN_PORTMAP_ANSWER_MAX = 1100, /* RFC 6887, section 7 */
    TERN_PORTMAP_NONCE = 12,
};

typedef enum tern_portmap_protocol {
    TERN_PORTMAP_NOTHING,
    TERN_PORTMAP_PCP,
    TERN_PORTMAP_NAT_PMP,
    TERN_PORTMAP_UPNP,
} tern_portmap_protocol;

/* PCP's result codes (RFC 6887, section 7.4), as far as they mean something to us ... */
enum {
    TERN_PCP_SUCCESS = 0,
    TERN_PCP_UNSUPP_VERSION = 1,
    TERN_PCP_NOT_AUTHORIZED = 2,
    TERN_PCP_NETWORK_FAILURE = 7,
    TERN_PCP_NO_RESOURCES = 8,
    TERN_PCP_USER_EX_QUOTA = 10,
    TERN_PCP_CANNOT_PROVIDE_EXTERNAL = 11,
    TERN_PCP_ADDRESS_MISMATCH = 12,
};

/* ... and NAT-PMP's (RFC 6886, section 3.5). */
enum {
    TERN_NAT_PMP_SUCCESS = 0,
    TERN_NAT_PMP_NOT_AUTHORIZED = 2,
    TERN_NAT_PMP_NETWORK_FAILURE = 3,
    TERN_NAT_PMP_NO_RESOURCES = 4,
};

typedef struct tern_portmap_request {
    tern_portmap_protocol protocol; /* PCP or NAT_PMP */
    bool address;       /* NAT-PMP: which address the gateway has outside; the rest is not used */
    tern_endpoint own;  /* PCP: the address that we ask from */
    uint32_t transport; /* TERN_MA_TCP or TERN_MA_UDP */
    uint16_t port;      /* ours */
    tern_endpoint external;            /* the one that we would like; all zero, and with it none */
    uint32_t lifetime;                 /* seconds; 0 takes the mapping away */
    uint8_t nonce[TERN_PORTMAP_NONCE]; /* PCP */
} tern_portmap_request;

typedef struct tern_portmap_answer {
    bool address;    /* as of the request; the rest about a port is not set */
    unsigned result; /* 0 = success: else external is not set */
    uint32_t lifetime, epoch;
    uint32_t transport;
    uint16_t port;
    tern_endpoint external; /* NAT-PMP: of an address its IP, of a port its port */
    uint8_t nonce[TERN_PORTMAP_NONCE];
} tern_portmap_answer;

/* Returns the length. */
size_t tern_portmap_build(const tern_portmap_request *r, uint8_t out[TERN_PORTMAP_REQUEST_MAX]);
/* An answer to requests of that protocol. 0; TERN_E_UNSUPPORTED: the gateway does not speak that
 * version of it; TERN_E_MALFORMED: it is none. */
int tern_portmap_parse(tern_portmap_protocol protocol, const uint8_t *p, size_t n,
                       tern_portmap_answer *ret);

#endif
