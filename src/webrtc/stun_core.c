/* STUN messages: see stun_core.h. */
#include "webrtc/stun_core.h"

#include <tern/error.h>

#include "crypto/hmac_sha1.h"

enum {
    COOKIE = 0x2112a442,
    USERNAME = 0x0006,
    INTEGRITY = 0x0008,
    ERROR_CODE = 0x0009,
    XOR_MAPPED = 0x0020,
    PRIORITY = 0x0024,
    USE_CANDIDATE = 0x0025,
    FINGERPRINT = 0x8028,
    CONTROLLED = 0x8029,
    CONTROLLING = 0x802a,
    OPTIONAL = 0x8000, /* from here on attributes may be skipped */
    USERNAME_MAX = 513,
};

#define FINGERPRINT_XOR UINT32_C(0x5354554e)

/* CRC-32 of ISO 3309, half a byte a step. */
static uint32_t crc32_of(const uint8_t *p, size_t n)
{
    uint32_t half[16], crc = UINT32_MAX;
    for (uint32_t i = 0; i < 16; i++) {
        uint32_t c = i;
        for (int bit = 0; bit < 4; bit++) {
            c = (c >> 1) ^ (UINT32_C(0xedb88320) & (0 - (c & 1)));
        }
        half[i] = c;
    }
    for (size_t i = 0; i < n; i++) {
        crc ^= p[i];
        crc = (crc >> 4) ^ half[crc & 15];
        crc = (crc >> 4) ^ half[crc & 15];
    }
    return ~crc;
}

/* HMAC over the message before the attribute at `at`, with the length as if it ended behind it. */
static bool integrity(const uint8_t *p, size_t at, tern_span password, uint8_t out[TERN_HMAC_SHA1])
{
    uint8_t copy[TERN_STUN_MAX];
    memcpy(copy, p, at);
    tern_put16(copy + 2, (uint16_t)(at + 4 + TERN_HMAC_SHA1 - TERN_STUN_HEADER));
    return tern_hmac_sha1(password, (tern_span){copy, at}, out) == 0;
}

/* ---- reading ---- */

static bool read_address(const uint8_t *v, size_t n, const uint8_t *header, tern_endpoint *ret)
{
    size_t ip_n = n == 8 && v[1] == 1 ? 4 : n == 20 && v[1] == 2 ? 16 : 0;
    if (ip_n == 0) {
        return false;
    }
    *ret = (tern_endpoint){.family = ip_n == 4 ? 4 : 6};
    ret->port = (uint16_t)(tern_get16(v + 2) ^ (COOKIE >> 16));
    for (size_t i = 0; i < ip_n && i < sizeof ret->ip; i++) { /* the second for gcc 12 alone */
        ret->ip[i] = v[4 + i] ^ header[4 + i];                /* the cookie, then the transaction */
    }
    return true;
}

/* One attribute; false when its form is wrong or it stands where it may not. */
static bool read_attribute(tern_stun *m, const uint8_t *p, size_t at, uint16_t type, size_t n)
{
    const uint8_t *v = p + at + 4;
    if (m->fingerprint || (m->integrity_at != 0 && type != FINGERPRINT)) {
        return m->integrity_at != 0 && !m->fingerprint; /* behind integrity: ignored (14.5) */
    }
    switch (type) {
    case USERNAME:
        if (m->username.data != NULL || n == 0 || n > USERNAME_MAX) {
            return false;
        }
        m->username = (tern_span){v, n};
        return true;
    case INTEGRITY:
        m->integrity_at = (uint16_t)at;
        return n == TERN_HMAC_SHA1;
    case ERROR_CODE:
        if (n < 4) {
            return false;
        }
        m->error = (uint16_t)((v[2] & 7) * 100 + v[3]);
        return v[3] < 100;
    case XOR_MAPPED:
        return read_address(v, n, p, &m->mapped);
    case PRIORITY:
        m->priority = n == 4 ? tern_get32(v) : 0;
        return n == 4;
    case USE_CANDIDATE:
        m->use_candidate = true;
        return n == 0;
    case CONTROLLED:
        m->controlled = true;
        return n == 8;
    case CONTROLLING:
        m->controlling = true;
        return n == 8;
    case FINGERPRINT:
        m->fingerprint = true;
        return n == 4;
    default:
        m->unknown = m->unknown || type < OPTIONAL;
        return true;
    }
}

int tern_stun_read(const uint8_t *p, size_t n, tern_stun *ret)
{
    memset(ret, 0, sizeof *ret);
    if (n > TERN_STUN_MAX) {
        return TERN_E_TOO_LARGE;
    }
    if (n < TERN_STUN_HEADER || (p[0] & 0xc0) != 0 || tern_get32(p + 4) != COOKIE ||
        tern_get16(p + 2) % 4 != 0 || tern_get16(p + 2) + (size_t)TERN_STUN_HEADER != n) {
        return TERN_E_MALFORMED;
    }
    ret->type = tern_get16(p);
    memcpy(ret->id, p + 8, TERN_STUN_ID);
    for (size_t at = TERN_STUN_HEADER; at < n;) {
        size_t len = tern_get16(p + at + 2); /* lengths are multiples of 4: a head fits */
        size_t padded = (len + 3) & ~(size_t)3;
        if (padded > n - at - 4 || !read_attribute(ret, p, at, tern_get16(p + at), len)) {
            return TERN_E_MALFORMED;
        }
        at += 4 + padded;
    }
    if (ret->fingerprint && tern_get32(p + n - 4) != (crc32_of(p, n - 8) ^ FINGERPRINT_XOR)) {
        return TERN_E_CRYPTO;
    }
    return 0;
}

bool tern_stun_verify(const uint8_t *p, const tern_stun *m, tern_span password)
{
    uint8_t mac[TERN_HMAC_SHA1];
    return m->integrity_at != 0 && integrity(p, m->integrity_at, password, mac) &&
           tern_eq_ct(mac, p + m->integrity_at + 4, sizeof mac);
}

/* ---- writing ---- */

static size_t begin(uint8_t *out, uint16_t type, const uint8_t id[TERN_STUN_ID])
{
    tern_put16(out, type);
    tern_put32(out + 4, COOKIE);
    memcpy(out + 8, id, TERN_STUN_ID);
    return TERN_STUN_HEADER;
}

static size_t put(uint8_t *out, size_t at, uint16_t type, const void *value, size_t n)
{
    size_t padded = (n + 3) & ~(size_t)3;
    tern_put16(out + at, type);
    tern_put16(out + at + 2, (uint16_t)n);
    memset(out + at + 4, 0, padded);
    if (n > 0) {
        memcpy(out + at + 4, value, n);
    }
    return at + 4 + padded;
}

static ssize_t seal(uint8_t *out, size_t at, tern_span password)
{
    uint8_t mac[TERN_HMAC_SHA1], crc[4];
    if (!integrity(out, at, password, mac)) {
        return TERN_E_CRYPTO;
    }
    at = put(out, at, INTEGRITY, mac, sizeof mac);
    tern_put16(out + 2, (uint16_t)(at + 8 - TERN_STUN_HEADER));
    tern_put32(crc, crc32_of(out, at) ^ FINGERPRINT_XOR);
    return (ssize_t)put(out, at, FINGERPRINT, crc, sizeof crc);
}

ssize_t tern_stun_put_request(uint8_t *out, const tern_stun_request *r)
{
    uint8_t number[8];
    if (r->username.len > USERNAME_MAX) {
        return TERN_E_TOO_LARGE;
    }
    size_t at = begin(out, TERN_STUN_REQUEST, r->id);
    at = put(out, at, USERNAME, r->username.data, r->username.len);
    tern_put64(number, r->tie_breaker);
    at = put(out, at, CONTROLLING, number, 8);
    tern_put32(number, r->priority);
    at = put(out, at, PRIORITY, number, 4);
    if (r->use_candidate) {
        at = put(out, at, USE_CANDIDATE, NULL, 0);
    }
    return seal(out, at, r->password);
}

ssize_t tern_stun_put_success(uint8_t *out, const uint8_t id[TERN_STUN_ID],
                              const tern_endpoint *seen, tern_span password)
{
    uint8_t v[20] = {0, seen->family == 4 ? 1 : 2};
    size_t ip_n = seen->family == 4 ? 4 : 16;
    size_t at = begin(out, TERN_STUN_SUCCESS, id);
    tern_put16(v + 2, (uint16_t)(seen->port ^ (COOKIE >> 16)));
    for (size_t i = 0; i < ip_n; i++) {
        v[4 + i] = seen->ip[i] ^ out[4 + i];
    }
    at = put(out, at, XOR_MAPPED, v, 4 + ip_n);
    return seal(out, at, password);
}

ssize_t tern_stun_put_error(uint8_t *out, const uint8_t id[TERN_STUN_ID], uint16_t code,
                            tern_span password)
{
    const uint8_t v[4] = {0, 0, (uint8_t)(code / 100), (uint8_t)(code % 100)};
    size_t at = begin(out, TERN_STUN_ERROR, id);
    at = put(out, at, ERROR_CODE, v, sizeof v);
    return seal(out, at, password);
}
