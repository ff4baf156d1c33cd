/* The messages of circuit relay v2 (libp2p specs, relay/circuit-v2), without I/O: what peers say to
 * a relay (hop) and a relay to the peer behind it (stop). On the wire each has its length in front
 * (streams/frame.h). */
#ifndef TERN_NAT_RELAY_MESSAGE_H
#define TERN_NAT_RELAY_MESSAGE_H

#include <tern/multiaddr.h>
#include <tern/peer_id.h>

#include "base/buf.h"
#include "base/bytes.h"

#define TERN_RELAY_HOP_ID  "/libp2p/circuit/relay/0.2.0/hop"
#define TERN_RELAY_STOP_ID "/libp2p/circuit/relay/0.2.0/stop"

enum {
    TERN_RELAY_MESSAGE_MAX = 4096,
    TERN_RELAY_ADDRS_MAX = 16, /* of a reservation; more are left out */
};

typedef enum tern_relay_kind {
    TERN_RELAY_RESERVE, /* hop: 0 */
    TERN_RELAY_CONNECT, /* hop: 1, stop: 0 */
    TERN_RELAY_STATUS,  /* hop: 2, stop: 1 */
} tern_relay_kind;

typedef enum tern_relay_status {
    TERN_RELAY_OK = 100,
    TERN_RELAY_RESERVATION_REFUSED = 200,
    TERN_RELAY_RESOURCE_LIMIT_EXCEEDED = 201,
    TERN_RELAY_PERMISSION_DENIED = 202,
    TERN_RELAY_CONNECTION_FAILED = 203,
    TERN_RELAY_NO_RESERVATION = 204,
    TERN_RELAY_MALFORMED_MESSAGE = 400,
    TERN_RELAY_UNEXPECTED_MESSAGE = 401,
} tern_relay_status;

/* What a relay lets through a circuit; 0 = without end. */
typedef struct tern_relay_limit {
    uint32_t duration; /* seconds */
    uint64_t data;     /* bytes each way */
} tern_relay_limit;

typedef struct tern_relay_message {
    tern_relay_kind kind;
    tern_peer_id peer;                           /* len 0 = absent */
    bool reserved;                               /* a reservation is in it: */
    uint64_t expire;                             /* ... until then, Unix seconds */
    tern_span voucher;                           /* ... its proof, in place; empty when absent */
    tern_multiaddr *addrs[TERN_RELAY_ADDRS_MAX]; /* ... the relay's; references held */
    size_t addr_count;
    tern_relay_limit limit;
    uint32_t status; /* 0 = absent */
} tern_relay_message;

/* Parses a message of a hop (or stop) stream; spans point into it. 0, or TERN_E_MALFORMED (also
 * without a type: an enum's 0 must be on the wire), TERN_E_NOMEM; *ret needs no clearing then. */
int tern_relay_parse(bool hop, tern_span message, tern_relay_message *ret);
void tern_relay_clear(tern_relay_message *m);
/* Appends one to out. 0, TERN_E_NOMEM, TERN_E_TOO_LARGE. */
int tern_relay_build(bool hop, const tern_relay_message *m, tern_buf *out);

/* What a status means for a person; never NULL. */
const char *tern_relay_status_text(uint32_t status);

#endif
