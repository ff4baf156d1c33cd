/* A ClientHello, taken apart: see hello.h. */
#include "tls/hello.h"

#include "tls/handshake.h"
#include "tls/wire.h"

enum { EXTENSIONS_MAX = 64, TLS13 = 0x0304, PSK_DHE_KE = 1, BINDER_MIN = 32 };

/* A list with its own length of `size` bytes is all that there is. */
static int read_list(tern_span v, unsigned size, size_t least, tern_span *ret)
{
    return tls_take_vector(&v, size, ret) && v.len == 0 && ret->len >= least
               ? 0
               : TERN_ALERT_DECODE_ERROR;
}

static int read_numbers(tern_span v, tern_span *ret)
{
    int alert = read_list(v, 2, 2, ret);
    return alert == 0 && ret->len % 2 != 0 ? TERN_ALERT_DECODE_ERROR : alert;
}

static int read_versions(tern_span v, tern_hello *ret)
{
    tern_span list;
    int alert = read_list(v, 1, 2, &list);
    ret->tls13 = alert == 0 && tls_has16(list, TLS13);
    return alert;
}

static int read_alpn(tern_span v, tern_hello *ret)
{
    tern_span list, name;
    int alert = read_list(v, 2, 2, &ret->alpn);
    list = ret->alpn;
    while (alert == 0 && list.len > 0) {
        if (!tls_take_vector(&list, 1, &name) || name.len == 0) {
            alert = TERN_ALERT_DECODE_ERROR;
        }
    }
    return alert;
}

static int read_modes(tern_span v, tern_hello *ret)
{
    tern_span list;
    int alert = read_list(v, 1, 1, &list);
    ret->modes = true;
    ret->dhe = alert == 0 && memchr(list.data, PSK_DHE_KE, list.len) != NULL;
    return alert;
}

static int read_shares(tern_span v, tern_hello *ret)
{
    tern_span list, key;
    uint16_t group;
    int alert = read_list(v, 2, 0, &ret->shares);
    list = ret->shares;
    while (alert == 0 && list.len > 0) {
        if (!tls_take16(&list, &group) || !tls_take_vector(&list, 2, &key) || key.len == 0) {
            alert = TERN_ALERT_DECODE_ERROR;
        }
    }
    return alert;
}

/* Identities and as many binders. */
static int read_psk(tern_span v, tern_span body, tern_hello *ret)
{
    tern_span ids, binders, one;
    uint32_t age;
    unsigned count = 0;
    if (!tls_take_vector(&v, 2, &ids)) {
        return TERN_ALERT_DECODE_ERROR;
    }
    ret->unbound = (size_t)(v.data - body.data);
    if (!tls_take_vector(&v, 2, &binders) || v.len != 0) {
        return TERN_ALERT_DECODE_ERROR;
    }
    while (ids.len > 0) {
        if (!tls_take_vector(&ids, 2, &one) || one.len == 0 || !tls_take32(&ids, &age)) {
            return TERN_ALERT_DECODE_ERROR;
        }
        if (ret->offered++ == 0) {
            ret->ticket = one;
            ret->ob_age = age;
        }
    }
    while (binders.len > 0) {
        if (!tls_take_vector(&binders, 1, &one) || one.len < BINDER_MIN) {
            return TERN_ALERT_DECODE_ERROR;
        }
        if (count++ == 0) {
            ret->binder = one;
        }
    }
    return ret->offered == 0       ? TERN_ALERT_DECODE_ERROR
           : ret->offered != count ? TERN_ALERT_ILLEGAL_PARAMETER
                                   : 0;
}

static int read_extension(uint16_t type, tern_span v, tern_span body, tern_hello *ret)
{
    switch (type) {
    case TLS_EXT_SUPPORTED_GROUPS:
        return read_numbers(v, &ret->groups);
    case TLS_EXT_SIGNATURE_ALGORITHMS:
        return read_numbers(v, &ret->schemes);
    case TLS_EXT_ALPN:
        return read_alpn(v, ret);
    case TLS_EXT_SUPPORTED_VERSIONS:
        return read_versions(v, ret);
    case TLS_EXT_PSK_MODES:
        return read_modes(v, ret);
    case TLS_EXT_KEY_SHARE:
        return read_shares(v, ret);
    case TLS_EXT_EARLY_DATA:
        ret->early_data = true;
        return v.len == 0 ? 0 : TERN_ALERT_DECODE_ERROR;
    case TLS_EXT_TICKET_REQUEST:
        ret->asks = true;
        return tls_take8(&v, &ret->fresh) && tls_take8(&v, &ret->again) && v.len == 0
                   ? 0
                   : TERN_ALERT_DECODE_ERROR;
    case TLS_EXT_PRE_SHARED_KEY:
        return read_psk(v, body, ret);
    default:
        return 0; /* section 4.2: to be ignored */
    }
}

static int read_extensions(tern_span list, tern_span body, uint16_t params, tern_hello *ret)
{
    uint16_t seen[EXTENSIONS_MAX], type;
    unsigned n = 0;
    tern_span v;
    int alert = 0;
    while (list.len > 0 && alert == 0) {
        if (ret->offered > 0) {
            return TERN_ALERT_ILLEGAL_PARAMETER; /* pre_shared_key comes last */
        }
        if (!tls_take_extension(&list, &type, &v)) {
            return TERN_ALERT_DECODE_ERROR;
        }
        for (unsigned i = 0; i < n; i++) {
            if (seen[i] == type) {
                return TERN_ALERT_ILLEGAL_PARAMETER;
            }
        }
        if (n == EXTENSIONS_MAX) {
            return TERN_ALERT_DECODE_ERROR;
        }
        seen[n++] = type;
        if (params != 0 && type == params) {
            ret->params = v;
        } else {
            alert = read_extension(type, v, body, ret);
        }
    }
    return alert;
}

int tern_hello_read(tern_span body, uint16_t params, tern_hello *ret)
{
    tern_span rest = body, head, extensions;
    memset(ret, 0, sizeof *ret);
    if (!tls_take(&rest, 2 + 32, &head) || !tls_take_vector(&rest, 1, &ret->session_id) ||
        ret->session_id.len > 32 || !tls_take_vector(&rest, 2, &ret->ciphers) ||
        ret->ciphers.len < 2 || ret->ciphers.len % 2 != 0 ||
        !tls_take_vector(&rest, 1, &ret->compression) || ret->compression.len == 0) {
        return TERN_ALERT_DECODE_ERROR;
    }
    if (rest.len == 0) {
        return 0; /* of an older version, which may have none */
    }
    if (!tls_take_vector(&rest, 2, &extensions) || rest.len != 0) {
        return TERN_ALERT_DECODE_ERROR;
    }
    return read_extensions(extensions, body, params, ret);
}

bool tern_hello_offers(const tern_hello *hello, tern_span protocol)
{
    tern_span list = hello->alpn, name;
    while (tls_take_vector(&list, 1, &name)) {
        if (name.len == protocol.len && memcmp(name.data, protocol.data, name.len) == 0) {
            return true;
        }
    }
    return false;
}

bool tern_hello_offers_only(const tern_hello *hello, tern_span protocol)
{
    return hello->alpn.len == 1 + protocol.len && tern_hello_offers(hello, protocol);
}
