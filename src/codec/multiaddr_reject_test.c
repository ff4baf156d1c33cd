/* Multiaddrs that are none: each text and byte string with its own code, position and reason. */
#include "codec/multiaddr.h"

#include <stdio.h>

#include "base/test.h"

#define RSA "QmaeANgBs1DTSxWSrPPtobgQuxW8XTfsS4ydbK4rCHzqxG"

/* Texts, with the character at which they go wrong (0: as a whole) and what the message must say.
 */
static const struct {
    const char *text;
    int code;
    size_t at;
    const char *says;
} texts[] = {
    {"", TERN_E_MALFORMED, 0, "empty"},
    {"/", TERN_E_MALFORMED, 2, "protocol name is missing"},
    {"//", TERN_E_MALFORMED, 2, "protocol name is missing"},
    {"ip4/1.2.3.4", TERN_E_MALFORMED, 1, "begins with a slash"},
    {" /ip4/1.2.3.4", TERN_E_MALFORMED, 1, "begins with a slash"},
    {"192.0.2.1:4001", TERN_E_MALFORMED, 1, "begins with a slash"},
    {"/ip4", TERN_E_MALFORMED, 5, "ip4 has no value"},
    {"/ip4/", TERN_E_MALFORMED, 5, "ip4 has no value"},
    {"/ip4//tcp/1", TERN_E_MALFORMED, 6, "ip4 has no value"},
    {"/ip4/1.2.3.4//tcp/1", TERN_E_MALFORMED, 14, "protocol name is missing"},
    {"/ip4/1.2.3.4/tcp/1//", TERN_E_MALFORMED, 20, "protocol name is missing"},
    {"/ip4/::1", TERN_E_MALFORMED, 6, "ip4 '::1' is not an IPv4 address"},
    {"/ip4/1.2.3", TERN_E_MALFORMED, 6, "not an IPv4"},
    {"/ip4/1.2.3.256", TERN_E_MALFORMED, 6, "not an IPv4"},
    {"/ip4/01.2.3.4", TERN_E_MALFORMED, 6, "not an IPv4"},
    {"/ip4/example.com", TERN_E_MALFORMED, 6, "not an IPv4"},
    {"/ip6/127.0.0.1", TERN_E_MALFORMED, 6, "ip6 '127.0.0.1' is not an IPv6 address"},
    {"/ip6/::1%lo", TERN_E_MALFORMED, 6, "not an IPv6"},
    {"/ip6/1::2::3", TERN_E_MALFORMED, 6, "not an IPv6"},
    {"/ip6/0000000000000000000000000000000000000000000000000000000000000000000000000000000000000::",
     TERN_E_MALFORMED, 6, "..."},
    {"/ip4/1.2.3.4/tcp", TERN_E_MALFORMED, 17, "tcp has no value"},
    {"/ip4/1.2.3.4/tcp/70000", TERN_E_MALFORMED, 18, "tcp port 70000 is above 65535"},
    {"/tcp/65536", TERN_E_MALFORMED, 6, "above 65535"},
    {"/tcp/99999999999999999999999", TERN_E_MALFORMED, 6, "above 65535"},
    {"/tcp/-1", TERN_E_MALFORMED, 6, "not a number"},
    {"/tcp/+1", TERN_E_MALFORMED, 6, "not a number"},
    {"/tcp/08", TERN_E_MALFORMED, 6, "begins with a zero"},
    {"/udp/8o", TERN_E_MALFORMED, 7, "not a number"},
    {"/udp/80 ", TERN_E_MALFORMED, 8, "not a number"},
    {"/sctp/http", TERN_E_MALFORMED, 7, "sctp port 'http' is not a number"},
    {"/ip4/1.2.3.4/ipcidr/129", TERN_E_MALFORMED, 21, "above 128"},
    {"/ip4/1.2.3.4/ipcidr/256", TERN_E_MALFORMED, 21, "above 255"},
    {"/memory/18446744073709551616", TERN_E_MALFORMED, 9, "above 18446744073709551615"},
    {"/memory/x", TERN_E_MALFORMED, 9, "not a number"},
    {"/tpc/80", TERN_E_UNSUPPORTED, 2, "protocol 'tpc' is unknown"},
    {"/IP4/1.2.3.4", TERN_E_UNSUPPORTED, 2, "protocol 'IP4' is unknown"},
    {"/ip4/1.2.3.4/80", TERN_E_UNSUPPORTED, 14, "protocol '80' is unknown"},
    {"/ip4/1.2.3.4/tcp/80/ws/x\n\x1b", TERN_E_UNSUPPORTED, 24,
     "'x?"
     "?'"},
    {"/ws/tcp", TERN_E_MALFORMED, 8, "tcp has no value"},
    {"/ip6zone", TERN_E_MALFORMED, 9, "ip6zone has no value"},
    {"/ip6zone//ip6/fe80::1", TERN_E_MALFORMED, 10, "ip6zone has no value"},
    {"/ip6zone/eth0", TERN_E_MALFORMED, 14, "ip6zone is not followed by ip6"},
    {"/ip6zone/eth0/ip4/1.2.3.4", TERN_E_MALFORMED, 15, "ip6zone is not followed by ip6"},
    {"/dns", TERN_E_MALFORMED, 5, "dns has no value"},
    {"/dns4/a b", TERN_E_MALFORMED, 7, "dns4 name has a space"},
    {"/dns6/a\tb", TERN_E_MALFORMED, 7, "control character"},
    {"/dnsaddr/\xff", TERN_E_MALFORMED, 10, "not UTF-8"},
    {"/sni/\xed\xa0\x80", TERN_E_MALFORMED, 6, "not UTF-8"},
    {"/dns/\xc0\xaf", TERN_E_MALFORMED, 6, "not UTF-8"},
    {"/unix", TERN_E_MALFORMED, 6, "unix has no value"},
    {"/unix/", TERN_E_MALFORMED, 6, "unix has no value"},
    {"/unix//", TERN_E_MALFORMED, 7, "unix has no value"},
    {"/unix/a//", TERN_E_MALFORMED, 7, "unix path ends with a slash"},
    {"/p2p", TERN_E_MALFORMED, 5, "p2p has no value"},
    {"/ipfs", TERN_E_MALFORMED, 6, "p2p has no value"},
    {"/p2p/Qm0", TERN_E_MALFORMED, 6, "not base58"},
    {"/p2p/" RSA "1", TERN_E_MALFORMED, 6, "digest has 33 bytes, its multihash says"},
    {"/p2p/QmaeANgBs1DTSxWSrPPtobgQuxW8XTfsS4ydbK4rCHzqx", TERN_E_MALFORMED, 6, "multihash"},
    {"/p2p/1", TERN_E_MALFORMED, 6, "not a multihash"},
    {"/p2p/11", TERN_E_MALFORMED, 6, "digest has 0 bytes"},
    {"/p2p/z" RSA, TERN_E_MALFORMED, 6, "not a CID of a libp2p key"},
    {"/p2p/f01551220b6c8a8c0a3105fc27afca4fb1173791f038e4343fd56b7c67b616dbc30a04ccd",
     TERN_E_MALFORMED, 6, "not a CID of a libp2p key"},
    {"/p2p/f017213051234567890", TERN_E_MALFORMED, 6, "hash 0x13"},
    {"/p2p/f0172120512345678ff", TERN_E_MALFORMED, 6, "digest of 5 bytes"},
    {"/p2p/hello", TERN_E_MALFORMED, 6, "neither base58 nor a multibase CID"},
    {"/p2p/f0172002b0000000000000000000000000000000000000000000000000000000000000000000000000000000"
     "0000000",
     TERN_E_MALFORMED, 6, "digest of 43 bytes"},
    {"/certhash", TERN_E_MALFORMED, 10, "certhash has no value"},
    {"/certhash/" RSA, TERN_E_MALFORMED, 11, "begins with 'Q', which is no multibase prefix"},
    {"/certhash/u", TERN_E_MALFORMED, 11, "not a multihash"},
    {"/certhash/u+", TERN_E_MALFORMED, 11, "does not decode in base 'u'"},
    {"/certhash/f1205ffffffffff", TERN_E_MALFORMED, 11, "sha2-256 digest of 5 bytes"},
    {"/certhash/f1206ffffffffff", TERN_E_MALFORMED, 11, "digest has 5 bytes"},
    {"/certhash/f12", TERN_E_MALFORMED, 11, "not a multihash"},
    {"/http-path", TERN_E_MALFORMED, 11, "http-path has no value"},
    {"/http-path/a%2", TERN_E_MALFORMED, 13, "without two hexadecimal digits"},
    {"/http-path/%", TERN_E_MALFORMED, 12, "without two hexadecimal digits"},
    {"/http-path/a%zz", TERN_E_MALFORMED, 13, "without two hexadecimal digits"},
    {"/http-path/a b", TERN_E_MALFORMED, 13, "must be escaped"},
    {"/onion/aaimaq4ygg2iegci", TERN_E_MALFORMED, 24, "port is missing"},
    {"/onion/aaimaq4ygg2iegci:", TERN_E_MALFORMED, 25, "port is missing"},
    {"/onion/aaimaq4ygg2iegci:0", TERN_E_MALFORMED, 8, "port is 0"},
    {"/onion/aaimaq4ygg2iegci:65536", TERN_E_MALFORMED, 25, "above 65535"},
    {"/onion/aaimaq4ygg2iegci:1:2", TERN_E_MALFORMED, 26, "not a number"},
    {"/onion/aaimaq4ygg2iegc:80", TERN_E_MALFORMED, 8, "host has 15 characters, not 16"},
    {"/onion/aaimaq4ygg2iegc1:80", TERN_E_MALFORMED, 8, "host is not base32"},
    {"/onion3/vww6ybal4bd7szmgncyruucpgfkqahzddi37ktceo3ah7ngmcopnpyyd:0", TERN_E_MALFORMED, 9,
     "port is 0"},
    {"/onion3/aaimaq4ygg2iegci:80", TERN_E_MALFORMED, 9, "host has 16 characters, not 56"},
    {"/garlic32/566niximlxdzpanmn4qouucvua3k7neniwss47li5r6ugoertz", TERN_E_MALFORMED, 11,
     "not base32"},
    {"/garlic32/566niximlxdzpanmn4qouucvua3k7neniwss47li5r6ugoerty", TERN_E_MALFORMED, 11,
     "garlic32"},
    {"/garlic32/aaaaaaaa", TERN_E_MALFORMED, 11, "hash has 5 bytes"},
    {"/garlic64/aaaa", TERN_E_MALFORMED, 11, "destination has 3 bytes"},
    {"/garlic64/aa+a", TERN_E_MALFORMED, 13, "not I2P base64"},
    {"/garlic64/aa", TERN_E_MALFORMED, 11, "not I2P base64"},
};

static void texts_are_refused(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++) {
        tern_error e = {0};
        char where[40] = "the address";
        if (texts[i].at > 0) {
            snprintf(where, sizeof where, "at character %zu: ", texts[i].at);
        }
        assert_null(tern_multiaddr_parse(texts[i].text, &e));
        if (e.code != texts[i].code || strncmp(e.text, where, strlen(where)) != 0 ||
            strstr(e.text, texts[i].says) == NULL) {
            fail_msg("'%s' gives %d '%s'", texts[i].text, e.code, e.text);
        }
        assert_string_equal(e.layer, "multiaddr");
        assert_null(tern_multiaddr_parse(texts[i].text, NULL));
    }
}

/* Byte strings in hex, with the offset at which they go wrong. */
static const struct {
    const char *hex;
    int code;
    size_t at;
    const char *says;
} bytes[] = {
    {"80", TERN_E_MALFORMED, 0, "protocol code is cut off"},
    {"91", TERN_E_MALFORMED, 0, "protocol code is cut off"},
    {"8400", TERN_E_MALFORMED, 0, "not a minimal varint"},
    {"ffffffffffffffffff01", TERN_E_MALFORMED, 0, "not a minimal varint"},
    {"00", TERN_E_UNSUPPORTED, 0, "protocol code 0 is unknown"},
    {"05", TERN_E_UNSUPPORTED, 0, "protocol code 5 is unknown"},
    {"ffffffffffffffff7f", TERN_E_UNSUPPORTED, 0, "9223372036854775807 is unknown"},
    {"8480808010", TERN_E_UNSUPPORTED, 0, "4294967300 is unknown"}, /* 2^32 + 4 is not ip4 */
    {"04", TERN_E_MALFORMED, 1, "ip4 needs 4 bytes, 0 are left"},
    {"047f0000", TERN_E_MALFORMED, 1, "ip4 needs 4 bytes, 3 are left"},
    {"047f00000106", TERN_E_MALFORMED, 6, "tcp needs 2 bytes, 0 are left"},
    {"047f0000010610", TERN_E_MALFORMED, 6, "tcp needs 2 bytes, 1 are left"},
    {"047f00000106100000", TERN_E_UNSUPPORTED, 8, "protocol code 0 is unknown"},
    {"29000000000000000000000000000000", TERN_E_MALFORMED, 1, "ip6 needs 16 bytes, 15 are left"},
    {"047f0000012b81", TERN_E_MALFORMED, 6, "prefix length 129 is above 128"},
    {"2a", TERN_E_MALFORMED, 1, "ip6zone length is cut off"},
    {"2a00", TERN_E_MALFORMED, 2, "ip6zone name is empty"},
    {"2a0161", TERN_E_MALFORMED, 3, "not followed by ip6"},
    {"2a01610401020304", TERN_E_MALFORMED, 3, "ip6zone is not followed by ip6"},
    {"2a012f2900000000000000000000000000000000", TERN_E_MALFORMED, 2, "name has a slash"},
    {"3500", TERN_E_MALFORMED, 2, "dns name is empty"},
    {"3580", TERN_E_MALFORMED, 1, "dns length is cut off"},
    {"358000", TERN_E_MALFORMED, 1, "dns length is not a minimal varint"},
    {"350361", TERN_E_MALFORMED, 2, "dns needs 3 bytes, 1 are left"},
    {"35ffffffffffffffff7f61", TERN_E_MALFORMED, 10, "needs 9223372036854775807 bytes"},
    {"3603612f62", TERN_E_MALFORMED, 3, "dns4 name has a slash"},
    {"3603610062", TERN_E_MALFORMED, 3, "control character"},
    {"370261c3", TERN_E_MALFORMED, 3, "not UTF-8"},
    {"3803f0808f", TERN_E_MALFORMED, 2, "not UTF-8"},
    {"c10304f4908080", TERN_E_MALFORMED, 3, "not UTF-8"},
    {"900300", TERN_E_MALFORMED, 3, "does not begin with a slash"},
    {"90030161", TERN_E_MALFORMED, 3, "does not begin with a slash"},
    {"9003022f61dd03", TERN_E_MALFORMED, 5, "unix is not the last component"},
    {"9003012f", TERN_E_MALFORMED, 3, "a slash and a name"},
    {"9003032f612f", TERN_E_MALFORMED, 5, "ends with a slash"},
    {"9003032f6100", TERN_E_MALFORMED, 5, "control character"},
    {"a50300", TERN_E_MALFORMED, 3, "p2p value is not a multihash"},
    {"a5030112", TERN_E_MALFORMED, 4, "p2p value is not a multihash"},
    {"a503021200", TERN_E_MALFORMED, 4, "digest has 0 bytes"},
    {"a503041202ffff", TERN_E_MALFORMED, 4, "digest of 2 bytes"},
    {"a503041203ffff", TERN_E_MALFORMED, 4, "digest has 2 bytes, its multihash says 3"},
    {"a503041201ffff", TERN_E_MALFORMED, 4, "digest has 2 bytes, its multihash says 1"},
    {"a5030413020000", TERN_E_MALFORMED, 3, "hash 0x13"},
    {"a5032d002b0000000000000000000000000000000000000000000000000000000000000000000000000000000000"
     "0000",
     TERN_E_MALFORMED, 4, "digest of 43 bytes"},
    {"d20300", TERN_E_MALFORMED, 3, "certhash value is not a multihash"},
    {"d203041202ffff", TERN_E_MALFORMED, 4, "sha2-256 digest of 2 bytes"},
    {"d203041205ffff", TERN_E_MALFORMED, 4, "digest has 2 bytes, its multihash says 5"},
    {"e10300", TERN_E_MALFORMED, 3, "http-path is empty"},
    {"890600000000000000", TERN_E_MALFORMED, 2, "memory needs 8 bytes, 7 are left"},
    {"bc03000000000000000000000000", TERN_E_MALFORMED, 12, "onion port is 0"},
    {"bf030161", TERN_E_MALFORMED, 3, "hash has 1 bytes"},
    {"be030161", TERN_E_MALFORMED, 3, "destination has 1 bytes"},
};

static void bytes_are_refused(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof bytes / sizeof bytes[0]; i++) {
        tern_error e = {0};
        char where[40];
        uint8_t raw[64];
        size_t n = tern_test_unhex(raw, sizeof raw, bytes[i].hex);
        uint8_t *copy = tern_memdup(raw, n); /* so that reading beyond it is noticed */
        tern_multiaddr *a = tern_multiaddr_from_bytes(copy, n, &e);
        tern_free(copy);
        assert_null(a);
        snprintf(where, sizeof where, "at byte offset %zu: ", bytes[i].at);
        if (e.code != bytes[i].code || strncmp(e.text, where, strlen(where)) != 0 ||
            strstr(e.text, bytes[i].says) == NULL) {
            fail_msg("%s gives %d '%s'", bytes[i].hex, e.code, e.text);
        }
    }
}

static void no_bytes_are_no_address(void **state)
{
    (void)state;
    tern_error e = {0};
    assert_null(tern_multiaddr_from_bytes(NULL, 0, &e));
    assert_int_equal(e.code, TERN_E_MALFORMED);
    assert_string_equal(e.text, "the address is empty");
    assert_null(tern_multiaddr_from_bytes(NULL, 0, NULL));
}

static void long_names_are_refused(void **state)
{
    (void)state;
    tern_error e = {0};
    char text[400] = "/dns/";
    memset(text + 5, 'a', 256);
    assert_null(tern_multiaddr_parse(text, &e));
    assert_int_equal(e.code, TERN_E_TOO_LARGE);
    text[5 + 255] = '\0';
    tern_multiaddr *a = tern_multiaddr_parse(text, &e);
    assert_non_null(a);
    tern_multiaddr_unref(a);

    strcpy(text, "/p2p/Qm");
    memset(text + 7, 'a', 300);
    assert_null(tern_multiaddr_parse(text, &e));
    assert_int_equal(e.code, TERN_E_TOO_LARGE);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(texts_are_refused),
        cmocka_unit_test(bytes_are_refused),
        cmocka_unit_test(no_bytes_are_no_address),
        cmocka_unit_test(long_names_are_refused),
    };
    return TERN_TEST_MAIN(tests);
}
