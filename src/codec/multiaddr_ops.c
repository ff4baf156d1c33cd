/* Multiaddrs inside the library: walking and composing, and the way to and from sockets' endpoints.
 * Every address that leaves here went through tern_multiaddr_from_bytes, so it is valid. */
#include "codec/multiaddr.h"

#include <net/if.h>
#include <stdio.h>
#include <stdlib.h>

#include "codec/multiaddr_value.h"
#include "codec/varint.h"

bool tern_ma_next(const tern_multiaddr *a, size_t *at, tern_ma_part *ret)
{
    size_t n;
    const uint8_t *p = tern_multiaddr_bytes(a, &n);
    if (*at >= n) {
        return false;
    }
    /* The bytes are known to be valid, so nothing here can come short. */
    uint64_t code = 0, len = 0;
    size_t head = *at + (size_t)tern_varint_get(p + *at, n - *at, &code);
    int size = tern_ma_protocol_by_code(code)->kind->size;
    if (size < 0) {
        head += (size_t)tern_varint_get(p + head, n - head, &len);
    } else {
        len = (uint64_t)size;
    }
    size_t end = head + (size_t)len;
    *ret = (tern_ma_part){
        .code = (uint32_t)code,
        .value = {p + head, (size_t)len},
        .whole = {p + *at, end - *at},
    };
    *at = end;
    return true;
}

bool tern_ma_find(const tern_multiaddr *a, uint32_t code, tern_ma_part *ret)
{
    tern_ma_part part;
    for (size_t at = 0; tern_ma_next(a, &at, &part);) {
        if (part.code == code) {
            *ret = part;
            return true;
        }
    }
    return false;
}

bool tern_ma_find_last(const tern_multiaddr *a, uint32_t code, tern_ma_part *ret)
{
    bool found = false;
    tern_ma_part part;
    for (size_t at = 0; tern_ma_next(a, &at, &part);) {
        if (part.code == code) {
            *ret = part;
            found = true;
        }
    }
    return found;
}

static bool code_fits(uint32_t pattern, uint32_t code)
{
    switch (pattern) {
    case TERN_MA_IP4:
        return code == TERN_MA_IP4 || code == TERN_MA_IP6;
    case TERN_MA_DNS:
        return code == TERN_MA_DNS || code == TERN_MA_DNS4 || code == TERN_MA_DNS6;
    default:
        return code == pattern;
    }
}

bool tern_ma_matches(const tern_multiaddr *a, const uint32_t *codes)
{
    size_t at = 0, n;
    tern_ma_part part;
    tern_multiaddr_bytes(a, &n);
    while (tern_ma_next(a, &at, &part)) {
        if (part.code == TERN_MA_IP6ZONE) {
            continue; /* belongs to the ip6 after it */
        }
        if (*codes == 0 || !code_fits(*codes, part.code)) {
            return *codes == 0 && part.code == TERN_MA_P2P && at == n;
        }
        codes++;
    }
    return *codes == 0;
}

/* Composing. */

static tern_multiaddr *join_bytes(const uint8_t *a, size_t a_n, const uint8_t *b, size_t b_n)
{
    uint8_t bytes[TERN_MA_MAX];
    if (a_n > sizeof bytes || b_n > sizeof bytes - a_n) {
        return NULL;
    }
    if (a_n > 0) {
        memcpy(bytes, a, a_n);
    }
    if (b_n > 0) {
        memcpy(bytes + a_n, b, b_n);
    }
    return tern_multiaddr_from_bytes(bytes, a_n + b_n, NULL);
}

tern_multiaddr *tern_ma_join(const tern_multiaddr *a, const tern_multiaddr *b)
{
    if (a == NULL || b == NULL) {
        return tern_multiaddr_ref(a != NULL ? a : b);
    }
    size_t a_n, b_n;
    const uint8_t *a_bytes = tern_multiaddr_bytes(a, &a_n);
    const uint8_t *b_bytes = tern_multiaddr_bytes(b, &b_n);
    return join_bytes(a_bytes, a_n, b_bytes, b_n);
}

tern_multiaddr *tern_ma_slice(const tern_multiaddr *a, size_t from, size_t to)
{
    size_t n;
    const uint8_t *bytes = tern_multiaddr_bytes(a, &n);
    if (from >= to || to > n) {
        return NULL;
    }
    return from == 0 && to == n ? tern_multiaddr_ref(a)
                                : tern_multiaddr_from_bytes(bytes + from, to - from, NULL);
}

tern_multiaddr *tern_ma_with(const tern_multiaddr *a, uint32_t code, const void *value, size_t n)
{
    const tern_ma_protocol *protocol = tern_ma_protocol_by_code(code);
    if (protocol == NULL || n > TERN_MA_MAX ||
        (protocol->kind->size >= 0 && n != (size_t)protocol->kind->size)) {
        return NULL;
    }
    uint8_t part[2 * TERN_VARINT_MAX + TERN_MA_MAX];
    size_t len = tern_varint_put(part, code);
    if (protocol->kind->size < 0) {
        len += tern_varint_put(part + len, n);
    }
    if (n > 0) {
        memcpy(part + len, value, n);
    }
    size_t a_n = 0;
    const uint8_t *a_bytes = a != NULL ? tern_multiaddr_bytes(a, &a_n) : NULL;
    return join_bytes(a_bytes, a_n, part, len + n);
}

tern_multiaddr *tern_ma_without_p2p(const tern_multiaddr *a)
{
    tern_ma_part part = {0};
    size_t at = 0;
    while (tern_ma_next(a, &at, &part)) {
    }
    return part.code == TERN_MA_P2P ? tern_ma_slice(a, 0, at - part.whole.len)
                                    : tern_multiaddr_ref(a);
}

/* Endpoints. */

tern_multiaddr *tern_ma_from_endpoint(const tern_endpoint *e, uint32_t transport)
{
    uint8_t bytes[2 + IF_NAMESIZE + 1 + 16 + 2 * TERN_VARINT_MAX];
    size_t n = 0;
    if (e->family != 4 && e->family != 6) {
        return NULL;
    }
    if (e->family == 6 && e->scope != 0) {
        char zone[IF_NAMESIZE];
        if (if_indextoname(e->scope, zone) == NULL) {
            snprintf(zone, sizeof zone, "%u", (unsigned)e->scope);
        }
        size_t len = strlen(zone);
        n += tern_varint_put(bytes, TERN_MA_IP6ZONE);
        n += tern_varint_put(bytes + n, len);
        memcpy(bytes + n, zone, len);
        n += len;
    }
    size_t ip = e->family == 4 ? 4 : 16;
    n += tern_varint_put(bytes + n, e->family == 4 ? TERN_MA_IP4 : TERN_MA_IP6);
    memcpy(bytes + n, e->ip, ip);
    n += ip;
    n += tern_varint_put(bytes + n, transport);
    tern_put16(bytes + n, e->port);
    return tern_multiaddr_from_bytes(bytes, n + 2, NULL);
}

/* The interface that a zone names, by number or by name; 0 if there is none. */
static uint32_t zone_index(tern_span zone)
{
    char name[IF_NAMESIZE];
    if (zone.len >= sizeof name) {
        return 0;
    }
    memcpy(name, zone.data, zone.len);
    name[zone.len] = '\0';
    unsigned index = if_nametoindex(name);
    if (index == 0 && strspn(name, "0123456789") == zone.len) {
        unsigned long number = zone.len <= 9 ? strtoul(name, NULL, 10) : 0;
        index = (unsigned)number;
    }
    return index;
}

bool tern_ma_endpoint(const tern_multiaddr *a, tern_endpoint *ret, uint32_t *ret_transport)
{
    tern_endpoint e = {0};
    tern_ma_part part = {0};
    size_t at = 0;
    if (tern_ma_next(a, &at, &part) && part.code == TERN_MA_IP6ZONE) {
        e.scope = zone_index(part.value);
        if (e.scope == 0) {
            return false;
        }
        tern_ma_next(a, &at, &part);
    }
    if (part.code != TERN_MA_IP4 && part.code != TERN_MA_IP6) {
        return false;
    }
    e.family = part.code == TERN_MA_IP4 ? 4 : 6;
    memcpy(e.ip, part.value.data, part.value.len);
    if (!tern_ma_next(a, &at, &part) || (part.code != TERN_MA_TCP && part.code != TERN_MA_UDP)) {
        return false;
    }
    e.port = tern_get16(part.value.data);
    *ret = e;
    if (ret_transport != NULL) {
        *ret_transport = part.code;
    }
    return true;
}

tern_multiaddr *tern_ma_at(const tern_multiaddr *a, const tern_endpoint *e)
{
    tern_endpoint old;
    uint32_t transport;
    tern_ma_part part = {0};
    size_t skip = 0, whole;
    if (!tern_ma_endpoint(a, &old, &transport)) {
        return NULL;
    }
    while (part.code != transport && tern_ma_next(a, &skip, &part)) {
    }
    tern_multiaddr_bytes(a, &whole);
    tern_multiaddr *front = tern_ma_from_endpoint(e, transport);
    if (front == NULL || skip == whole) {
        return front;
    }
    tern_multiaddr *rest = tern_ma_slice(a, skip, whole);
    tern_multiaddr *result = rest != NULL ? tern_ma_join(front, rest) : NULL;
    tern_multiaddr_unref(front);
    tern_multiaddr_unref(rest);
    return result;
}

bool tern_multiaddr_next(const tern_multiaddr *a, size_t *at, const char **ret_name, char *value,
                         size_t cap)
{
    tern_ma_part part;
    if (cap == 0 || !tern_ma_next(a, at, &part)) {
        return false;
    }
    const tern_ma_protocol *protocol = tern_ma_protocol_by_code(part.code);
    char text[3 * TERN_MA_MAX + 2]; /* http-path may print three characters a byte */
    ssize_t n = protocol->kind->size == 0
                    ? 0
                    : protocol->kind->print(part.value.data, part.value.len, text, sizeof text);
    const char *start = n > 0 && !protocol->kind->takes_rest ? text + 1 : text; /* its slash */
    snprintf(value, cap, "%.*s", (int)(n > 0 ? n - (start - text) : 0), start);
    *ret_name = protocol->name;
    return true;
}
