/* Multiaddrs: the specification's vectors both ways, what is accepted, canonical forms, the object.
 * What is refused is in multiaddr_reject_test.c. */
#include "codec/multiaddr.h"

#include "base/test.h"

#define KEY1       "12D3KooWA4Xop1JaT3MHxwYMkCepYsv4iPVopMXwCz5iHYdBfeSB"
#define KEY1_HEX   "002408011220 03a107bff3ce10be1d70dd18e74bc09967e4d6309ba50d5f1ddc8664125531b8"
#define RSA        "QmaeANgBs1DTSxWSrPPtobgQuxW8XTfsS4ydbK4rCHzqxG"
#define RSA_HEX    "1220b6c8a8c0a3105fc27afca4fb1173791f038e4343fd56b7c67b616dbc30a04ccd"
#define SHA256_HEX "122030fc9f469c207419dfdd0aab5f27a86c973c94e40548db9375cca2e915973b99"

/* Canonical text and its bytes; spaces in the hex are for reading. */
static const struct {
    const char *text, *hex;
} vectors[] = {
    {"/ip4/127.0.0.1/udp/1234", "047f000001 910204d2"},
    {"/ip4/127.0.0.1/tcp/4321", "047f000001 0610e1"},
    {"/ip4/192.0.2.1/tcp/4001", "04c0000201 060fa1"},
    {"/ip4/192.0.2.1/udp/4001/quic-v1", "04c0000201 91020fa1 cd03"},
    {"/onion/aaimaq4ygg2iegci:80", "bc03 0010c0439831b48218480050"},
    {"/onion3/vww6ybal4bd7szmgncyruucpgfkqahzddi37ktceo3ah7ngmcopnpyyd:1234",
     "bd03 adadec040be047f9658668b11a504f3155001f231a37f54c4476c07fb4cc139ed7e30304d2"},
    {"/garlic32/566niximlxdzpanmn4qouucvua3k7neniwss47li5r6ugoertzuq",
     "bf03 20 efbcd45d0c5dc79781ac6f20ea5055a036afb48d45a52e7d68ec7d4338919e69"},
    {"/ip4/192.0.2.1/udp/4001/webrtc-direct/certhash/"
     "uEiAw_J9GnCB0Gd_dCqtfJ6hslzyU5AVI25N1zKLpFZc7mQ",
     "04c0000201 91020fa1 9802 d203 22 " SHA256_HEX},
    {"/ip4/192.0.2.1/tcp/4001/tls/sni/"
     "192-0-2-1.k51qzi5uqu5dgy8qsq67hbz73jqkw87l3fgf4a91qb0d9b5173tir7n4vxk1oe.libp2p.direct/ws",
     "04c0000201 060fa1 c003 c103 56 3139322d302d322d312e6b3531717a69357571753564677938717371363768"
     "627a37336a716b7738376c336667663461393171623064396235313733746972376e3476786b316f652e6c6962703"
     "2"
     "702e646972656374 dd03"},
    {"/ip4/10.1.2.3/tcp/80/p2p/" KEY1, "040a010203 060050 a503 26 " KEY1_HEX},
    {"/p2p/" RSA, "a503 22 " RSA_HEX},
    {"/p2p/" RSA "/p2p-circuit/webrtc/p2p/" KEY1,
     "a503 22 " RSA_HEX " a202 9902 a503 26 " KEY1_HEX},
    {"/ip6/::1/tcp/0", "29 00000000000000000000000000000001 060000"},
    {"/ip6/2001:db8::1/udp/65535", "29 20010db8000000000000000000000001 9102ffff"},
    {"/ip6/::ffff:192.0.2.1", "29 00000000000000000000ffffc0000201"},
    {"/ip6zone/eth0/ip6/fe80::1", "2a 04 65746830 29 fe800000000000000000000000000001"},
    {"/ip6zone/x%y/ip6/::", "2a 03 782579 29 00000000000000000000000000000000"},
    {"/ip4/192.0.2.0/ipcidr/24", "04c0000200 2b18"},
    {"/ip6/2001:db8::/ipcidr/128", "29 20010db8000000000000000000000000 2b80"},
    {"/dns/example.com", "35 0b 6578616d706c652e636f6d"},
    {"/dns4/example.com/tcp/443/wss", "36 0b 6578616d706c652e636f6d 0601bb de03"},
    {"/dns6/example.com/tcp/443/tls/ws", "37 0b 6578616d706c652e636f6d 0601bb c003 dd03"},
    {"/dnsaddr/b\xc3\xbc"
     "cher.example",
     "38 0f 62c3bc636865722e6578616d706c65"},
    {"/ip4/1.2.3.4/dccp/33", "0401020304 210021"},
    {"/ip4/1.2.3.4/sctp/33", "0401020304 84010021"},
    {"/ip4/1.2.3.4/udp/1/udt", "0401020304 91020001 ad02"},
    {"/ip4/1.2.3.4/udp/1/utp", "0401020304 91020001 ae02"},
    {"/ip4/1.2.3.4/udp/1/quic", "0401020304 91020001 cc03"},
    {"/ip4/1.2.3.4/udp/1/quic-v1/webtransport", "0401020304 91020001 cd03 d103"},
    {"/ip4/1.2.3.4/tcp/1/noise", "0401020304 060001 c603"},
    {"/ip4/1.2.3.4/tcp/80/http", "0401020304 060050 e003"},
    {"/ip4/1.2.3.4/tcp/443/https/http-path/a%2Fb%20c", "0401020304 0601bb bb03 e103 05 612f622063"},
    {"/http-path/%00%FF-_.~$&+:=@", "e103 0c 00ff2d5f2e7e24262b3a3d40"},
    {"/unix/a/p2p.sock", "9003 0b 2f612f7032702e736f636b"},
    {"/unix/a//b c", "9003 07 2f612f2f622063"},
    {"/memory/0", "8906 0000000000000000"},
    {"/memory/18446744073709551615", "8906 ffffffffffffffff"},
    {"/memory/1234/p2p-webrtc-star", "8906 00000000000004d2 9302"},
    {"/p2p-webrtc-direct/p2p-stardust/p2p-websocket-star", "9402 9502 df03"},
    {"/onion/timaq4ygg2iegci7:65535", "bc03 9a18087306369043091f ffff"},
};

static const size_t vector_count = sizeof vectors / sizeof vectors[0];

static size_t unspaced(uint8_t *out, size_t cap, const char *hex)
{
    char dense[1024];
    size_t n = 0;
    for (; *hex != '\0'; hex++) {
        if (*hex != ' ') {
            dense[n++] = *hex;
        }
    }
    dense[n] = '\0';
    return tern_test_unhex(out, cap, dense);
}

static tern_multiaddr *parse(const char *text)
{
    tern_error e = {0};
    tern_multiaddr *a = tern_multiaddr_parse(text, &e);
    if (a == NULL) {
        fail_msg("%s: %s", text, e.text);
    }
    return a;
}

static void vectors_both_ways(void **state)
{
    (void)state;
    for (size_t i = 0; i < vector_count; i++) {
        uint8_t bytes[512];
        size_t n = unspaced(bytes, sizeof bytes, vectors[i].hex), got;
        tern_multiaddr *a = parse(vectors[i].text);
        const uint8_t *p = tern_multiaddr_bytes(a, &got);
        assert_int_equal(got, n);
        assert_memory_equal(p, bytes, n);
        assert_string_equal(tern_multiaddr_text(a), vectors[i].text);
        tern_multiaddr *b = tern_multiaddr_from_bytes(bytes, n, NULL);
        assert_non_null(b);
        assert_string_equal(tern_multiaddr_text(b), vectors[i].text);
        assert_true(tern_multiaddr_equal(a, b));
        tern_multiaddr_unref(a);
        tern_multiaddr_unref(b);
    }
}

/* Bytes cut anywhere are an address only where a component ends. */
static void every_cut_is_an_error_or_a_shorter_address(void **state)
{
    (void)state;
    for (size_t i = 0; i < vector_count; i++) {
        tern_multiaddr *a = parse(vectors[i].text);
        size_t n;
        const uint8_t *p = tern_multiaddr_bytes(a, &n);
        for (size_t cut = 0; cut < n; cut++) {
            bool border = false;
            tern_ma_part part = {0};
            for (size_t at = 0; at < cut && tern_ma_next(a, &at, &part);) {
                border = at == cut && part.code != TERN_MA_IP6ZONE;
            }
            tern_error e = {0};
            uint8_t *copy = tern_memdup(p, cut); /* so that reading beyond it is noticed */
            tern_multiaddr *b = tern_multiaddr_from_bytes(copy, cut, &e);
            assert_true((b != NULL) == border);
            assert_int_equal(e.code, border ? 0 : TERN_E_MALFORMED);
            tern_multiaddr_unref(b);
            tern_free(copy);
        }
        tern_multiaddr_unref(a);
    }
}

/* Other ways to write an address. */
static void text_becomes_canonical(void **state)
{
    (void)state;
    static const char *const forms[][2] = {
        {"/ip4/1.2.3.4/tcp/80/", "/ip4/1.2.3.4/tcp/80"},
        {"/ipfs/" RSA, "/p2p/" RSA},
        {"/ip6/2001:0DB8:0:0:0:0:0:1", "/ip6/2001:db8::1"},
        {"/ip6/::ffff:c000:201", "/ip6/::ffff:192.0.2.1"},
        {"/p2p/k51qzi5uqu5dg9ufswxt229ntzdy7p4125xzv5rtyjso89ajdujg6csfxcj260", "/p2p/" KEY1},
        {"/p2p/bafzaajaiaejcaa5ba677htqqxyoxbxiy45f4bglh4tldbg5fbvpr3xegmqjfkmny", "/p2p/" KEY1},
        {"/p2p/bafzbeifwzcumbiyql7bhv7fe7mixg6i7aohegq75k234m63bnw6dbicmzu", "/p2p/" RSA},
        {"/certhash/zQmRdshWu1zScqnd9NJwtpLyMNBNGYfZpqPWCxe2nx5KxS4",
         "/certhash/uEiAw_J9GnCB0Gd_dCqtfJ6hslzyU5AVI25N1zKLpFZc7mQ"},
        {"/certhash/f122030fc9f469c207419dfdd0aab5f27a86c973c94e40548db9375cca2e915973b99",
         "/certhash/uEiAw_J9GnCB0Gd_dCqtfJ6hslzyU5AVI25N1zKLpFZc7mQ"},
        {"/certhash/bciqdb7e7i2oca5az37oqvk27e6ugzfz4stsaksg3sn24zixjcwltxgi",
         "/certhash/uEiAw_J9GnCB0Gd_dCqtfJ6hslzyU5AVI25N1zKLpFZc7mQ"},
        {"/certhash/UEiAw_J9GnCB0Gd_dCqtfJ6hslzyU5AVI25N1zKLpFZc7mQ==",
         "/certhash/uEiAw_J9GnCB0Gd_dCqtfJ6hslzyU5AVI25N1zKLpFZc7mQ"},
        {"/http-path/a%2fb", "/http-path/a%2Fb"},
        {"/http-path/%61(!)", "/http-path/a%28%21%29"},
        {"/onion/AAIMAQ4YGG2IEGCI:80", "/onion/aaimaq4ygg2iegci:80"},
        {"/unix/a/b/", "/unix/a/b"},
        {"/ip4/127.0.0.1/udp/1234/quic-v1/webtransport/certhash/b2uaraocy6yrdblb4sfptaddgimjmmpy/"
         "certhash/zQmbWTwYGcmdyK9CYfNBcfs9nhZs17a6FQ4Y8oea278xx41",
         "/ip4/127.0.0.1/udp/1234/quic-v1/webtransport/certhash/u1QEQOFj2IjCsPJFfMAxmQxLGPw/"
         "certhash/uEiDDq4_xNyDorZBH3TlGazyJdOWSwvo4PUo5YHFMrvDE8g"},
    };
    for (size_t i = 0; i < sizeof forms / sizeof forms[0]; i++) {
        tern_multiaddr *a = parse(forms[i][0]);
        assert_string_equal(tern_multiaddr_text(a), forms[i][1]);
        tern_multiaddr *b = parse(forms[i][1]);
        assert_true(tern_multiaddr_equal(a, b));
        tern_multiaddr_unref(a);
        tern_multiaddr_unref(b);
    }
}

/* An I2P destination: at least 386 bytes, base64 with - and ~, padded. */
static void garlic64(void **state)
{
    (void)state;
    for (size_t n = 385; n <= 391; n++) {
        char text[600] = "/garlic64/";
        uint8_t bytes[400] = {0xbe, 0x03};
        for (size_t i = 0; i < n; i++) {
            bytes[4 + i] = (const uint8_t[]){0xfb, 0xff, 0xbe}[i % 3]; /* digits: -~-- */
        }
        bytes[2] = (uint8_t)(n | 0x80);
        bytes[3] = (uint8_t)(n >> 7);
        tern_multiaddr *a = tern_multiaddr_from_bytes(bytes, n + 4, NULL);
        if (n == 385) {
            assert_null(a);
            continue;
        }
        assert_non_null(a);
        strcpy(text, tern_multiaddr_text(a));
        assert_int_equal(strlen(text), 10 + (n + 2) / 3 * 4);
        assert_memory_equal(text, "/garlic64/-~---~--", 18);
        tern_multiaddr *b = parse(text);
        assert_true(tern_multiaddr_equal(a, b));
        tern_multiaddr_unref(a);
        tern_multiaddr_unref(b);
    }
}

static void equality(void **state)
{
    (void)state;
    tern_multiaddr *a = parse("/ip4/1.2.3.4/tcp/80"), *b = parse("/ip4/1.2.3.4/tcp/80/");
    tern_multiaddr *c = parse("/ip4/1.2.3.4/tcp/81"), *d = parse("/ip4/1.2.3.4");
    assert_true(tern_multiaddr_equal(a, a));
    assert_true(tern_multiaddr_equal(a, b));
    assert_false(tern_multiaddr_equal(a, c));
    assert_false(tern_multiaddr_equal(a, d));
    assert_false(tern_multiaddr_equal(a, NULL));
    assert_true(tern_multiaddr_equal(NULL, NULL));
    tern_multiaddr_unref(a);
    tern_multiaddr_unref(b);
    tern_multiaddr_unref(c);
    tern_multiaddr_unref(d);
}

static void references_are_counted(void **state)
{
    (void)state;
    size_t before = tern_mem_alive();
    tern_multiaddr *a = parse("/memory/1");
    assert_int_equal(tern_mem_alive(), before + 1); /* one block, no text yet */
    assert_ptr_equal(tern_multiaddr_ref(a), a);
    const char *text = tern_multiaddr_text(a);
    tern_multiaddr_unref(a);
    assert_ptr_equal(tern_multiaddr_text(a), text);
    assert_string_equal(text, "/memory/1");
    tern_multiaddr_unref(a);
    assert_int_equal(tern_mem_alive(), before);
    assert_null(tern_multiaddr_ref(NULL));
    tern_multiaddr_unref(NULL);
}

static void without_memory(void **state)
{
    (void)state;
    tern_error e = {0};
    tern_mem_fail_at(1, 0);
    assert_null(tern_multiaddr_parse("/memory/1", &e));
    assert_int_equal(e.code, TERN_E_NOMEM);
    tern_mem_fail_at(0, 0);
    tern_multiaddr *a = parse("/memory/1");
    tern_mem_fail_at(1, 0);
    assert_string_equal(tern_multiaddr_text(a), "");
    tern_mem_fail_at(0, 0);
    assert_string_equal(tern_multiaddr_text(a), "/memory/1");
    tern_multiaddr_unref(a);
}

/* 2 KiB of characters and of bytes, whichever comes first, in both directions. */
static void sizes_up_to_the_limit(void **state)
{
    (void)state;
    char text[TERN_MA_MAX + 2];
    uint8_t bytes[TERN_MA_MAX + 2];
    tern_error e = {0};
    memset(text, 'x', sizeof text);
    memcpy(text, "/unix/", 6);
    text[TERN_MA_MAX] = '\0';
    tern_multiaddr *a = parse(text);
    assert_string_equal(tern_multiaddr_text(a), text);
    tern_multiaddr_unref(a);
    text[TERN_MA_MAX] = 'x';
    text[TERN_MA_MAX + 1] = '\0';
    assert_null(tern_multiaddr_parse(text, &e));
    assert_int_equal(e.code, TERN_E_TOO_LARGE);

    for (size_t i = 0; i < 292; i++) { /* 7 characters, 17 bytes each */
        memcpy(text + 7 * i, "/ip6/::", 7);
    }
    text[7 * 292] = '\0';
    assert_null(tern_multiaddr_parse(text, &e));
    assert_int_equal(e.code, TERN_E_TOO_LARGE);

    for (size_t i = 0; i + 1 < sizeof bytes; i += 2) { /* "/ws" */
        bytes[i] = 0xdd;
        bytes[i + 1] = 0x03;
    }
    assert_null(tern_multiaddr_from_bytes(bytes, TERN_MA_MAX + 2, &e));
    assert_int_equal(e.code, TERN_E_TOO_LARGE);
    assert_null(tern_multiaddr_from_bytes(bytes, TERN_MA_MAX, &e)); /* 3072 characters */
    assert_int_equal(e.code, TERN_E_TOO_LARGE);
    a = tern_multiaddr_from_bytes(bytes, 1364, &e);
    assert_non_null(a);
    assert_int_equal(strlen(tern_multiaddr_text(a)), 2046);
    tern_multiaddr_unref(a);
}

/* Addresses below the length from which the text is measured at once: the longest names still fit.
 */
static void longest_names_fit_unmeasured(void **state)
{
    (void)state;
    uint8_t bytes[TERN_MA_MAX / 10];
    for (size_t i = 0; i < sizeof bytes; i += 2) {
        bytes[i] = 0xdf;
        bytes[i + 1] = 0x03;
    }
    tern_multiaddr *a = tern_multiaddr_from_bytes(bytes, sizeof bytes, NULL);
    assert_non_null(a);
    assert_int_equal(strlen(tern_multiaddr_text(a)), sizeof bytes / 2 * 19);
    tern_multiaddr_unref(a);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(vectors_both_ways),
        cmocka_unit_test(every_cut_is_an_error_or_a_shorter_address),
        cmocka_unit_test(text_becomes_canonical),
        cmocka_unit_test(garlic64),
        cmocka_unit_test(equality),
        cmocka_unit_test(references_are_counted),
        cmocka_unit_test(without_memory),
        cmocka_unit_test(sizes_up_to_the_limit),
        cmocka_unit_test(longest_names_fit_unmeasured),
    };
    return TERN_TEST_MAIN(tests);
}
