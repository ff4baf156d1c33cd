/* The identify message (libp2p specs, identify) to bytes and back, without I/O. */
#ifndef TERN_PROTO_IDENTIFY_MESSAGE_H
#define TERN_PROTO_IDENTIFY_MESSAGE_H

#include "core/net.h"

/* What is read from one answer; owns its lists. Bounded by identify.h's limits, the rest is left
 * out. */
typedef struct tern_identify_message {
    tern_identity identity;                 /* points into the members below */
    char agent[129], protocol_version[129]; /* printable ASCII and UTF-8, cut */
    char **protocols;
    tern_multiaddr **addrs;
    size_t protocol_cap, addr_cap;
} tern_identify_message;

/* Reads all messages of an answer, joined (joining is how protobuf merges). The key must be the
 * peer's, the record must be the peer's: a wrong key is TERN_E_PEER_ID, a bad record is counted and
 * left out. TERN_E_MALFORMED, TERN_E_NOMEM. Clear it in any case. */
int tern_identify_parse(tern_net *net, const tern_peer_id *peer, const uint8_t *data, size_t n,
                        tern_identify_message *ret);
void tern_identify_clear(tern_identify_message *m);

/* Our own: appends one message of at most TERN_IDENTIFY_SEND_MAX bytes. Addresses that do not fit
 * are left out. `record` may be empty. */
int tern_identify_build(tern_net *net, tern_multiaddr *const *addrs, size_t addr_count,
                        tern_span record, const tern_multiaddr *observed, tern_buf *out);

#endif
