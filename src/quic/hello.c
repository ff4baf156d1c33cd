/* A ClientHello's words about resumption: see hello.h. */
#include "quic/hello.h"

enum { EXT_ALPN = 16, EXT_PSK = 41, EXT_EARLY_DATA = 42 };

/* Takes a vector with a length of `size` bytes in front of it from the front of `from`. */
static bool take(tern_span *from, unsigned size, tern_span *ret)
{
    size_t n = 0;
    if (from->len < size) {
        return false;
    }
    for (unsigned i = 0; i < size; i++) {
        n = n << 8 | from->data[i];
    }
    if (from->len - size < n) {
        return false;
    }
    *ret = (tern_span){from->data + size, n};
    *from = (tern_span){from->data + size + n, from->len - size - n};
    return true;
}

static bool skip(tern_span *from, size_t n)
{
    if (from->len < n) {
        return false;
    }
    *from = (tern_span){from->data + n, from->len - n};
    return true;
}

static bool read_alpn(tern_span v, quic_hello *ret)
{
    tern_span list, name;
    if (!take(&v, 2, &list) || v.len != 0 || !take(&list, 1, &name)) {
        return false;
    }
    ret->libp2p = list.len == 0 && name.len == 6 && memcmp(name.data, "libp2p", 6) == 0;
    return true;
}

static bool read_psk(tern_span v, quic_hello *ret)
{
    tern_span list, identity;
    if (!take(&v, 2, &list)) {
        return false;
    }
    while (list.len > 0) {
        if (!take(&list, 2, &identity) || list.len < 4) {
            return false;
        }
        if (ret->offered == 0) {
            ret->ticket = identity;
            ret->ob_age = tern_get32(list.data);
        }
        ret->offered = ret->offered == 0 ? 1 : 2;
        skip(&list, 4);
    }
    return true;
}

static bool read_extension(uint16_t id, tern_span v, quic_hello *ret)
{
    switch (id) {
    case EXT_ALPN:
        return read_alpn(v, ret);
    case EXT_PSK:
        return read_psk(v, ret);
    case EXT_EARLY_DATA:
        ret->early_data = true;
        return v.len == 0;
    case QUIC_EXT_TICKET_REQUEST:
        if (v.len != 2) {
            return false;
        }
        ret->asks = true;
        ret->fresh = v.data[0];
        ret->again = v.data[1];
        return true;
    default:
        return true;
    }
}

bool quic_hello_read(const uint8_t *p, size_t n, quic_hello *ret)
{
    tern_span rest = {p, n}, v, extensions;
    memset(ret, 0, sizeof *ret);
    bool ok = skip(&rest, 2 + 32) &&                      /* version, random */
              take(&rest, 1, &v) &&                       /* session id */
              take(&rest, 2, &v) && take(&rest, 1, &v) && /* ciphers, compression */
              take(&rest, 2, &extensions) && rest.len == 0;
    while (ok && extensions.len > 0) {
        if (extensions.len < 2) {
            ok = false;
            break;
        }
        uint16_t id = tern_get16(extensions.data);
        skip(&extensions, 2);
        ok = take(&extensions, 2, &v) && read_extension(id, v, ret);
    }
    if (!ok) {
        memset(ret, 0, sizeof *ret);
    }
    return ok;
}
