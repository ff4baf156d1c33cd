/* UDP for callers: classes of first bytes and the way to the loop's backend (RFC 9443, section 2).
 *
 *      0..3  STUN     20..63  DTLS     64..255  QUIC     anything else  dropped
 *
 * TURN channels (64..79) and RTP (128..191) do not come to our port: nothing here speaks them, and
 * both ranges are ones a QUIC packet may begin with. */
#include "loop/udp.h"

#include <tern/error.h>

#include "loop/backend.h"

enum tern_udp_class tern_udp_classify(uint8_t first_byte)
{
    if (first_byte <= 3) {
        return TERN_UDP_STUN;
    }
    if (first_byte >= 20 && first_byte <= 63) {
        return TERN_UDP_DTLS;
    }
    return first_byte >= 64 ? TERN_UDP_QUIC : TERN_UDP_CLASSES;
}

int tern_udp_bind(tern_loop *loop, const tern_endpoint *at, tern_udp **ret)
{
    if (at->family != 4 && at->family != 6) {
        return TERN_E_INVALID;
    }
    return loop->ops->udp_bind(loop, at, ret);
}

void tern_udp_local(const tern_udp *u, tern_endpoint *ret)
{
    *ret = u->local;
}

void tern_udp_register(tern_udp *u, enum tern_udp_class class, tern_udp_handler *fn, void *owner)
{
    if (class < TERN_UDP_CLASSES) {
        u->classes[class].fn = fn;
        u->classes[class].owner = owner;
    }
}

void tern_udp_dispatch(tern_udp *u, tern_datagram *d)
{
    if (d->len == 0) {
        return;
    }
    enum tern_udp_class class = tern_udp_classify(d->data[0]);
    if (class != TERN_UDP_CLASSES && u->classes[class].fn != NULL) {
        u->classes[class].fn(u->classes[class].owner, u, d);
    }
}

int tern_udp_send(tern_udp *u, const tern_endpoint *to, const void *data, size_t len,
                  size_t segment, uint8_t ecn)
{
    if (to->family != u->local.family || to->port == 0) {
        return TERN_E_UNREACHABLE;
    }
    return u->loop->ops->udp_send(u, to, data, len, segment, ecn & 3);
}

void tern_udp_on_room(tern_udp *u, void (*fn)(void *owner), void *owner)
{
    u->on_room = fn;
    u->on_room_owner = owner;
}

void tern_udp_close(tern_udp *u)
{
    if (u != NULL) {
        u->loop->ops->udp_close(u);
    }
}
