/* The messages of DCUtR (libp2p specs, relay/DCUtR), without I/O: two peers that are connected
 * through a relay tell each other where they are, and when to dial. On the wire each has its length
 * in front (streams/frame.h). */
#ifndef TERN_NAT_PUNCH_MESSAGE_H
#define TERN_NAT_PUNCH_MESSAGE_H

#include <tern/multiaddr.h>

#include "base/buf.h"
#include "base/bytes.h"

#define TERN_PUNCH_ID "/libp2p/dcutr"

enum {
    TERN_PUNCH_MESSAGE_MAX = 4096,
    TERN_PUNCH_ADDRS_MAX = 16, /* of a message; more are left out */
};

typedef enum tern_punch_kind {
    TERN_PUNCH_CONNECT = 100,
    TERN_PUNCH_SYNC = 300,
} tern_punch_kind;

typedef struct tern_punch_message {
    tern_punch_kind kind;
    tern_multiaddr *addrs[TERN_PUNCH_ADDRS_MAX]; /* references held */
    size_t addr_count;
} tern_punch_message;

/* Parses a message: 0, or TERN_E_MALFORMED (no type, or none that is known); *ret needs no clearing
 * then. Addresses that do not parse, or lead through a relay, are left out. */
int tern_punch_parse(tern_span message, tern_punch_message *ret);
void tern_punch_clear(tern_punch_message *m);
/* Appends one to out. 0, TERN_E_NOMEM, TERN_E_TOO_LARGE. */
int tern_punch_build(const tern_punch_message *m, tern_buf *out);

#endif
