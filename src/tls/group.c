/* The key exchange of a handshake (RFC 8446, section 4.2.8). */
#include "base/error.h"
#include "tls/inside.h"

size_t tls_share_size(uint16_t group)
{
    return group == TLS_X25519 ? TERN_X25519 : group == TLS_P256 ? TERN_P256_POINT : 0;
}

int tls_share_make(tern_handshake *h, uint16_t group)
{
    tls_share *s = &h->share;
    tls_share_clear(s);
    s->group = group;
    if (group == TLS_P256) {
        s->p256 = tern_p256_new(s->public);
        return s->p256 != NULL ? 0 : TERN_E_NOMEM;
    }
    tern_x25519_pair pair;
    int e = h->ops->pair != NULL ? h->ops->pair(h->owner, &pair) : tern_x25519_new(&pair);
    if (e == 0) {
        memcpy(s->secret, pair.secret, sizeof pair.secret);
        memcpy(s->public, pair.public, sizeof pair.public);
        tern_wipe(&pair, sizeof pair);
    }
    return e;
}

void tls_share_clear(tls_share *s)
{
    tern_p256_free(s->p256);
    tern_wipe(s, sizeof *s);
}

int tls_share_shared(tls_share *s, tern_span peer, uint8_t ret[TERN_X25519])
{
    if (peer.len != tls_share_size(s->group)) {
        return TERN_E_INVALID;
    }
    if (s->p256 != NULL) {
        return tern_p256_shared(s->p256, peer.data, ret);
    }
    /* it refuses only the peer's point */
    return tern_x25519(s->secret, peer.data, ret) == 0 ? 0 : TERN_E_INVALID;
}
