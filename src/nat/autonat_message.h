/* The messages of AutoNAT (libp2p specs, autonat), without I/O: version 2, where one address is
 * asked for and proven by a nonce, and version 1, which old peers speak. On the wire each has its
 * length in front (streams/frame.h). */
#ifndef TERN_NAT_AUTONAT_MESSAGE_H
#define TERN_NAT_AUTONAT_MESSAGE_H

#include <tern/multiaddr.h>
#include <tern/peer_id.h>

#include "base/buf.h"
#include "base/bytes.h"

#define TERN_AUTONAT_REQUEST_ID   "/libp2p/autonat/2/dial-request"
#define TERN_AUTONAT_DIAL_BACK_ID "/libp2p/autonat/2/dial-back"
#define TERN_AUTONAT_1_ID         "/libp2p/autonat/1.0.0"

enum {
    TERN_AUTONAT_MESSAGE_MAX = 8192,
    TERN_AUTONAT_DIAL_BACK_MAX = 64, /* a dial-back and its answer */
    TERN_AUTONAT_ADDRS_MAX = 50,     /* of a request; more are left out */
    TERN_AUTONAT_DATA_LEAST = 30000, /* bytes that a dial to another IP costs who asks for it ... */
    TERN_AUTONAT_DATA_MOST = 100000,
    TERN_AUTONAT_CHUNK_LEAST = 100, /* ... in messages of at least so much, but for the last */
    TERN_AUTONAT_CHUNK = 4000,      /* ... and ours of so much */
};

typedef enum tern_autonat_kind {
    TERN_AUTONAT_REQUEST = 1,
    TERN_AUTONAT_RESPONSE,
    TERN_AUTONAT_DATA_REQUEST,
    TERN_AUTONAT_DATA_RESPONSE,
} tern_autonat_kind;

typedef enum tern_autonat_status {
    TERN_AUTONAT_INTERNAL_ERROR = 0,
    TERN_AUTONAT_REQUEST_REJECTED = 100,
    TERN_AUTONAT_DIAL_REFUSED = 101, /* none of the addresses can be dialled */
    TERN_AUTONAT_OK = 200,
} tern_autonat_status;

typedef enum tern_autonat_dial_status {
    TERN_AUTONAT_DIAL_UNUSED = 0,
    TERN_AUTONAT_DIAL_ERROR = 100,      /* no connection */
    TERN_AUTONAT_DIAL_BACK_ERROR = 101, /* a connection, but no answer over it */
    TERN_AUTONAT_DIAL_OK = 200,
} tern_autonat_dial_status;

typedef struct tern_autonat_message {
    tern_autonat_kind kind;
    tern_multiaddr *addrs[TERN_AUTONAT_ADDRS_MAX]; /* REQUEST; NULL = of an unknown kind */
    size_t addr_count;
    uint64_t nonce;
    uint32_t index;               /* RESPONSE, DATA_REQUEST: of the address that it is about */
    uint32_t status, dial_status; /* RESPONSE */
    uint64_t bytes;               /* DATA_REQUEST */
    tern_span data;               /* DATA_RESPONSE: in place */
} tern_autonat_message;

/* Parses a message of a dial-request stream; spans point into it. 0, or TERN_E_MALFORMED (also
 * without one of the four); *ret needs no clearing then. */
int tern_autonat_parse(tern_span message, tern_autonat_message *ret);
void tern_autonat_clear(tern_autonat_message *m);
/* Appends one to out. 0, TERN_E_NOMEM, TERN_E_TOO_LARGE. */
int tern_autonat_build(const tern_autonat_message *m, tern_buf *out);

/* A dial-back: the nonce. The answer to it is an empty message. */
int tern_autonat_parse_dial_back(tern_span message, uint64_t *ret_nonce);
int tern_autonat_build_dial_back(uint64_t nonce, tern_buf *out);

/* ---- version 1 ---- */

enum { TERN_AUTONAT_1_MESSAGE_MAX = 4096, TERN_AUTONAT_1_ADDRS_MAX = 16 };

typedef enum tern_autonat_1_status {
    TERN_AUTONAT_1_OK = 0,
    TERN_AUTONAT_1_DIAL_ERROR = 100,
    TERN_AUTONAT_1_DIAL_REFUSED = 101,
    TERN_AUTONAT_1_BAD_REQUEST = 200,
    TERN_AUTONAT_1_INTERNAL_ERROR = 300,
} tern_autonat_1_status;

typedef struct tern_autonat_1_message {
    bool response;                                   /* DIAL_RESPONSE, else DIAL */
    tern_peer_id peer;                               /* DIAL: who asks; len 0 = absent */
    tern_multiaddr *addrs[TERN_AUTONAT_1_ADDRS_MAX]; /* DIAL: his; response: the one that worked */
    size_t addr_count;
    uint32_t status;
} tern_autonat_1_message;

int tern_autonat_1_parse(tern_span message, tern_autonat_1_message *ret);
void tern_autonat_1_clear(tern_autonat_1_message *m);
int tern_autonat_1_build(const tern_autonat_1_message *m, tern_buf *out);

#endif
