/* A UDP socket shared by everything that speaks over one port: QUIC, WebTransport, STUN, DTLS.
 * Datagrams are handed to whoever registered for their class of first byte (RFC 9443, section 2).
 */
#ifndef TERN_LOOP_UDP_H
#define TERN_LOOP_UDP_H

#include "base/bytes.h"
#include "loop/loop.h"

typedef struct tern_udp tern_udp;

enum tern_udp_class {
    TERN_UDP_STUN, /* first byte 0..3 */
    TERN_UDP_DTLS, /* 20..63 */
    TERN_UDP_QUIC, /* everything else that QUIC may start with: 64..255 without TURN's 64..79 too */
    TERN_UDP_CLASSES
};

typedef struct tern_datagram {
    tern_endpoint from; /* where to, when sending */
    uint8_t *data;      /* the loop's buffer: valid and changeable until return */
    size_t len;
    uint8_t ecn; /* the two ECN bits */
} tern_datagram;

/* Called from the loop with one datagram at a time. */
typedef void tern_udp_handler(void *owner, tern_udp *u, tern_datagram *d);

/* TERN_E_ADDRINUSE, TERN_E_ACCESS, TERN_E_UNREACHABLE, TERN_E_NOMEM, TERN_E_IO. */
int tern_udp_bind(tern_loop *loop, const tern_endpoint *at, tern_udp **ret);
void tern_udp_local(const tern_udp *u, tern_endpoint *ret);
/* One handler a class; NULL ends it. Datagrams of a class without one are dropped. */
void tern_udp_register(tern_udp *u, enum tern_udp_class class, tern_udp_handler *fn, void *owner);
/* TERN_UDP_CLASSES for a byte of no class. */
enum tern_udp_class tern_udp_classify(uint8_t first_byte);

/* Sends `len` bytes as datagrams of `segment` bytes each (the last may be shorter; 0 = one
 * datagram), which are never cut into fragments on their way. 0 when all were handed to the system
 * or dropped there as a network may; TERN_E_STATE when the system's buffer is full (on_room then
 * runs once; of several datagrams the first may have gone already); other codes for local errors.
 */
int tern_udp_send(tern_udp *u, const tern_endpoint *to, const void *data, size_t len,
                  size_t segment, uint8_t ecn);
void tern_udp_on_room(tern_udp *u, void (*fn)(void *owner), void *owner);
void tern_udp_close(tern_udp *u); /* no event follows */

#endif
