/* The kinds of value in a multiaddr that are hashes or keys: peer ids, certificate hashes, and the
 * hosts of Tor and I2P. See multiaddr_value.c for how a kind works. Whether a peer id holds a real
 * key is not decided here but in crypto/. */
#include "codec/multiaddr_value.h"

#include <stdio.h>
#include <string.h>

#include "base/bytes.h"
#include "codec/multiaddr.h"
#include "codec/multibase.h"
#include "codec/varint.h"

/* Multihashes: peer ids and certificate hashes. */

enum { HASH_IDENTITY = 0x00, HASH_SHA2_256 = 0x12, CID_V1 = 1, CODEC_LIBP2P_KEY = 0x72 };

/* Takes p apart: code, length, digest, and nothing after it. */
static int check_multihash(const uint8_t *p, size_t n, uint64_t *ret_code, size_t *ret_len,
                           tern_ma_fault *ret)
{
    uint64_t len;
    ssize_t code_n = tern_varint_get(p, n, ret_code);
    if (code_n <= 0) {
        return tern_ma_fault_set(ret, 0, TERN_E_MALFORMED, "value is not a multihash");
    }
    size_t at = (size_t)code_n;
    ssize_t len_n = tern_varint_get(p + at, n - at, &len);
    if (len_n <= 0) {
        return tern_ma_fault_set(ret, at, TERN_E_MALFORMED, "value is not a multihash");
    }
    size_t left = n - at - (size_t)len_n;
    if (len != left || len == 0) {
        return tern_ma_fault_set(ret, at, TERN_E_MALFORMED,
                                 "digest has %zu bytes, its multihash says %llu", left,
                                 (unsigned long long)len);
    }
    *ret_len = left;
    return 0;
}

static int check_peer(const uint8_t *p, size_t n, tern_ma_fault *ret)
{
    uint64_t hash;
    size_t len = 0;
    int code = check_multihash(p, n, &hash, &len, ret);
    if (code != 0) {
        return code;
    }
    if (hash != HASH_IDENTITY && hash != HASH_SHA2_256) {
        return tern_ma_fault_set(ret, 0, TERN_E_MALFORMED,
                                 "id has hash 0x%llx; only identity and sha2-256 are peer ids",
                                 (unsigned long long)hash);
    }
    if (hash == HASH_IDENTITY ? len > 42 : len != 32) {
        return tern_ma_fault_set(ret, 1, TERN_E_MALFORMED, "id has a digest of %zu bytes", len);
    }
    return 0;
}

/* Either bare base58 of the multihash, or a CID of version 1 in any base with the codec of keys. */
static ssize_t parse_peer(const char *p, size_t n, uint8_t *out, tern_ma_fault *ret)
{
    char shown[TERN_MA_SHOWN];
    if (p[0] == '1' || (n > 1 && p[0] == 'Q' && p[1] == 'm')) {
        ssize_t len = tern_base_decode('z', p, n, out, TERN_MA_MAX);
        if (len < 0) {
            return tern_ma_fault_set(ret, 0, (int)len, "id '%s' is %s", tern_ma_shown(shown, p, n),
                                     len == TERN_E_TOO_LARGE ? "too long" : "not base58");
        }
        return len;
    }
    ssize_t len = tern_multibase_decode(p, n, out, TERN_MA_MAX);
    if (len < 0) {
        return tern_ma_fault_set(
            ret, 0, len == TERN_E_TOO_LARGE ? TERN_E_TOO_LARGE : TERN_E_MALFORMED,
            "id '%s' is neither base58 nor a multibase CID", tern_ma_shown(shown, p, n));
    }
    if (len < 2 || out[0] != CID_V1 || out[1] != CODEC_LIBP2P_KEY) {
        return tern_ma_fault_set(ret, 0, TERN_E_MALFORMED, "id '%s' is not a CID of a libp2p key",
                                 tern_ma_shown(shown, p, n));
    }
    memmove(out, out + 2, (size_t)len - 2);
    return len - 2;
}

static ssize_t print_peer(const uint8_t *p, size_t n, char *out, size_t cap)
{
    char text[96];
    ssize_t len = tern_base_encode('z', p, n, text, sizeof text); /* 44 bytes are 61 characters */
    return len < 0 ? len : tern_ma_put_text(out, cap, text);
}

const tern_ma_kind tern_ma_kind_peer = {-1, false, parse_peer, check_peer, print_peer};

static ssize_t parse_certhash(const char *p, size_t n, uint8_t *out, tern_ma_fault *ret)
{
    ssize_t len = tern_multibase_decode(p, n, out, TERN_MA_MAX);
    if (len == TERN_E_UNSUPPORTED) {
        char shown[TERN_MA_SHOWN];
        return tern_ma_fault_set(ret, 0, TERN_E_MALFORMED,
                                 "begins with '%s', which is no multibase prefix",
                                 tern_ma_shown(shown, p, 1));
    }
    if (len < 0) {
        return tern_ma_fault_set(ret, 0, (int)len, "does not decode in base '%c'", p[0]);
    }
    return len;
}

static int check_certhash(const uint8_t *p, size_t n, tern_ma_fault *ret)
{
    uint64_t hash;
    size_t len = 0;
    int code = check_multihash(p, n, &hash, &len, ret);
    if (code == 0 && hash == HASH_SHA2_256 && len != 32) {
        code =
            tern_ma_fault_set(ret, 1, TERN_E_MALFORMED, "has a sha2-256 digest of %zu bytes", len);
    }
    return code;
}

static ssize_t print_certhash(const uint8_t *p, size_t n, char *out, size_t cap)
{
    if (cap == 0) {
        return TERN_E_TOO_LARGE;
    }
    out[0] = '/';
    ssize_t len = tern_multibase_encode('u', p, n, out + 1, cap - 1);
    return len < 0 ? len : len + 1;
}

const tern_ma_kind tern_ma_kind_certhash = {-1, false, parse_certhash, check_certhash,
                                            print_certhash};

/* Tor: host in base32, a colon, a port that is not 0. */

static ssize_t parse_tor(const char *p, size_t n, size_t host, uint8_t *out, tern_ma_fault *ret)
{
    const char *colon = memchr(p, ':', n);
    size_t name = colon != NULL ? (size_t)(colon - p) : n;
    if (name != (host * 8 + 4) / 5) {
        return tern_ma_fault_set(ret, 0, TERN_E_MALFORMED, "host has %zu characters, not %zu", name,
                                 (host * 8 + 4) / 5);
    }
    if (tern_base_decode('b', p, name, out, host) != (ssize_t)host) {
        return tern_ma_fault_set(ret, 0, TERN_E_MALFORMED, "host is not base32");
    }
    if (colon == NULL) {
        return tern_ma_fault_set(ret, n, TERN_E_MALFORMED, "port is missing");
    }
    ssize_t code = tern_ma_parse_port(colon + 1, n - name - 1, out + host, ret);
    if (code < 0) {
        ret->at += name + 1;
        return code;
    }
    return (ssize_t)host + 2;
}

static int check_tor(const uint8_t *p, size_t n, tern_ma_fault *ret)
{
    return tern_get16(p + n - 2) != 0
               ? 0
               : tern_ma_fault_set(ret, n - 2, TERN_E_MALFORMED, "port is 0");
}

static ssize_t print_tor(const uint8_t *p, size_t n, char *out, size_t cap)
{
    char text[72];
    ssize_t len = tern_base_encode('b', p, n - 2, text, sizeof text - 6);
    if (len < 0) {
        return len;
    }
    snprintf(text + len, sizeof text - (size_t)len, ":%u", tern_get16(p + n - 2));
    return tern_ma_put_text(out, cap, text);
}

static ssize_t parse_onion(const char *p, size_t n, uint8_t *out, tern_ma_fault *ret)
{
    return parse_tor(p, n, 10, out, ret);
}

static ssize_t parse_onion3(const char *p, size_t n, uint8_t *out, tern_ma_fault *ret)
{
    return parse_tor(p, n, 35, out, ret);
}

const tern_ma_kind tern_ma_kind_onion = {12, false, parse_onion, check_tor, print_tor};
const tern_ma_kind tern_ma_kind_onion3 = {37, false, parse_onion3, check_tor, print_tor};

/* I2P: destinations in a base64 of its own (- and ~ for + and /), hashes in base32. */

static ssize_t parse_garlic64(const char *p, size_t n, uint8_t *out, tern_ma_fault *ret)
{
    char text[TERN_MA_MAX];
    for (size_t i = 0; i < n; i++) {
        if (p[i] == '+' || p[i] == '/') {
            return tern_ma_fault_set(ret, i, TERN_E_MALFORMED, "is not I2P base64");
        }
        text[i] = p[i] == '-' ? '+' : p[i];
        text[i] = p[i] == '~' ? '/' : text[i];
    }
    ssize_t len = tern_base_decode('M', text, n, out, TERN_MA_MAX);
    return len >= 0 ? len : tern_ma_fault_set(ret, 0, TERN_E_MALFORMED, "is not I2P base64");
}

static int check_garlic64(const uint8_t *p, size_t n, tern_ma_fault *ret)
{
    (void)p;
    return n >= 386 ? 0
                    : tern_ma_fault_set(ret, 0, TERN_E_MALFORMED,
                                        "destination has %zu bytes, the least is 386", n);
}

static ssize_t print_garlic64(const uint8_t *p, size_t n, char *out, size_t cap)
{
    if (cap == 0) {
        return TERN_E_TOO_LARGE;
    }
    out[0] = '/';
    ssize_t len = tern_base_encode('M', p, n, out + 1, cap - 1);
    for (ssize_t i = 1; i <= len; i++) {
        out[i] = out[i] == '+' ? '-' : out[i] == '/' ? '~' : out[i];
    }
    return len < 0 ? len : len + 1;
}

const tern_ma_kind tern_ma_kind_garlic64 = {-1, false, parse_garlic64, check_garlic64,
                                            print_garlic64};

static ssize_t parse_garlic32(const char *p, size_t n, uint8_t *out, tern_ma_fault *ret)
{
    ssize_t len = tern_base_decode('b', p, n, out, TERN_MA_MAX);
    return len >= 0 ? len : tern_ma_fault_set(ret, 0, TERN_E_MALFORMED, "is not base32");
}

static int check_garlic32(const uint8_t *p, size_t n, tern_ma_fault *ret)
{
    (void)p;
    return n == 32 || n >= 35 ? 0
                              : tern_ma_fault_set(ret, 0, TERN_E_MALFORMED,
                                                  "hash has %zu bytes, not 32 or at least 35", n);
}

static ssize_t print_garlic32(const uint8_t *p, size_t n, char *out, size_t cap)
{
    if (cap == 0) {
        return TERN_E_TOO_LARGE;
    }
    out[0] = '/';
    ssize_t len = tern_base_encode('b', p, n, out + 1, cap - 1);
    return len < 0 ? len : len + 1;
}

const tern_ma_kind tern_ma_kind_garlic32 = {-1, false, parse_garlic32, check_garlic32,
                                            print_garlic32};
