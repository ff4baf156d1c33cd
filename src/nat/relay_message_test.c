/* Relay messages: the specification's examples, everything that may be in one, and what does not
 * parse. */
#include "nat/relay_message.h"

#include <tern/error.h>

#include "base/mem.h"
#include "base/test.h"

static const char peer_bytes[] =
    "0024080112203b6a27bcceb6a42d62a3a8d02a6f0d73653215771de243a63ac048a18b59da29";

static tern_peer_id a_peer(void)
{
    uint8_t bytes[64];
    tern_peer_id id;
    size_t n = tern_test_unhex(bytes, sizeof bytes, peer_bytes);
    assert_int_equal(tern_peer_id_from_bytes(&id, bytes, n), 0);
    return id;
}

static void expect_built(bool hop, const tern_relay_message *m, const char *hex)
{
    uint8_t want[512];
    tern_buf out;
    tern_buf_init(&out, 0);
    size_t n = tern_test_unhex(want, sizeof want, hex);
    assert_int_equal(tern_relay_build(hop, m, &out), 0);
    assert_int_equal(tern_buf_len(&out), n);
    assert_memory_equal(tern_buf_data(&out), want, n);
    tern_buf_free(&out);
}

static void known_bytes(void **state)
{
    (void)state;
    expect_built(true, &(tern_relay_message){.kind = TERN_RELAY_RESERVE}, "0800");
    expect_built(false, &(tern_relay_message){.kind = TERN_RELAY_STATUS, .status = TERN_RELAY_OK},
                 "08012064");
    expect_built(true, &(tern_relay_message){.kind = TERN_RELAY_STATUS, .status = TERN_RELAY_OK},
                 "08022864");
    expect_built(true,
                 &(tern_relay_message){.kind = TERN_RELAY_STATUS,
                                       .status = TERN_RELAY_NO_RESERVATION,
                                       .limit = {.duration = 120, .data = 131072}},
                 "08022206087810808008"
                 "28cc01");
}

static void there_and_back(void **state)
{
    (void)state;
    tern_multiaddr *addrs[] = {tern_multiaddr_parse("/ip4/192.0.2.1/tcp/4001", NULL),
                               tern_multiaddr_parse("/ip6/2001:db8::1/udp/4001/quic-v1", NULL)};
    static const uint8_t voucher[] = {1, 2, 3};
    for (int hop = 0; hop < 2; hop++) {
        tern_relay_message m = {.kind = TERN_RELAY_STATUS,
                                .peer = a_peer(),
                                .limit = {.duration = 7, .data = UINT64_MAX},
                                .status = 201};
        tern_relay_message back;
        tern_buf out;
        tern_buf_init(&out, 0);
        if (hop) {
            m.reserved = true;
            m.expire = 1700003600;
            m.voucher = (tern_span){voucher, sizeof voucher};
            m.addrs[0] = addrs[0];
            m.addrs[1] = addrs[1];
            m.addr_count = 2;
        }
        assert_int_equal(tern_relay_build(hop, &m, &out), 0);
        tern_span bytes = {tern_buf_data(&out), tern_buf_len(&out)};
        assert_int_equal(tern_relay_parse(hop, bytes, &back), 0);
        assert_int_equal(back.kind, TERN_RELAY_STATUS);
        assert_true(tern_peer_id_equal(&back.peer, &m.peer));
        assert_int_equal(back.limit.duration, 7);
        assert_true(back.limit.data == UINT64_MAX);
        assert_int_equal(back.status, 201);
        assert_int_equal(back.reserved, hop);
        assert_int_equal(back.addr_count, hop ? 2 : 0);
        if (hop) {
            assert_int_equal(back.expire, 1700003600);
            assert_int_equal(back.voucher.len, sizeof voucher);
            assert_true(tern_multiaddr_equal(back.addrs[1], addrs[1]));
        }
        tern_relay_clear(&back);
        /* Cut anywhere it is another message or none, and nothing is read beyond its end. */
        for (size_t n = 0; n < bytes.len; n++) {
            uint8_t *copy = tern_memdup(bytes.data, n);
            if (tern_relay_parse(hop, (tern_span){copy, n}, &back) == 0) {
                tern_relay_clear(&back);
            }
            tern_free(copy);
        }
        tern_buf_free(&out);
    }
    tern_multiaddr_unref(addrs[0]);
    tern_multiaddr_unref(addrs[1]);
}

static void what_does_not_parse(void **state)
{
    (void)state;
    static const struct {
        bool hop;
        const char *hex;
    } cases[] = {
        {true, ""},      /* no type */
        {true, "0803"},  /* an unknown one */
        {false, "0802"}, /* STATUS is 1 there */
        {true, "08ffffffffffffffffff01"},
        {true, "0a00"},               /* a type of the wrong wire type */
        {true, "080112020a00"},       /* an empty peer id */
        {true, "08011200"},           /* a peer without one */
        {true, "080112050a03001122"}, /* one that is none */
        {true, "08021aff01"},         /* longer than it is */
        {true, "080222020a01"},       /* a limit that does not parse */
        {true, "08021a"},
        {true, "0802280"
               "0ff"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        uint8_t bytes[64];
        tern_relay_message m;
        size_t n = tern_test_unhex(bytes, sizeof bytes, cases[i].hex);
        if (tern_relay_parse(cases[i].hop, (tern_span){bytes, n}, &m) != TERN_E_MALFORMED) {
            fail_msg("case %zu", i);
        }
    }
}

/* More addresses than anybody needs, and kinds that this build does not know, are left out. */
static void addresses_are_bounded(void **state)
{
    (void)state;
    static const uint8_t unknown[] = {0x12, 0x03, 0xff, 0xff, 0x03};
    tern_multiaddr *a = tern_multiaddr_parse("/ip4/192.0.2.1/tcp/4001", NULL);
    size_t n;
    const uint8_t *bytes = tern_multiaddr_bytes(a, &n);
    uint8_t message[1024] = {0x08, 0x02, 0x1a};
    size_t at = 5;
    memcpy(message + at, unknown, sizeof unknown);
    at += sizeof unknown;
    for (int i = 0; i < 40; i++) {
        message[at++] = 0x12;
        message[at++] = (uint8_t)n;
        memcpy(message + at, bytes, n);
        at += n;
    }
    message[3] = (uint8_t)(0x80 | ((at - 5) & 0x7f));
    message[4] = (uint8_t)((at - 5) >> 7);
    tern_relay_message m;
    assert_int_equal(tern_relay_parse(true, (tern_span){message, at}, &m), 0);
    assert_int_equal(m.addr_count, TERN_RELAY_ADDRS_MAX);
    tern_relay_clear(&m);
    tern_multiaddr_unref(a);
}

static void every_status_has_a_text(void **state)
{
    (void)state;
    for (uint32_t i = 0; i < 500; i++) {
        assert_true(strlen(tern_relay_status_text(i)) > 0);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(known_bytes),
        cmocka_unit_test(there_and_back),
        cmocka_unit_test(what_does_not_parse),
        cmocka_unit_test(addresses_are_bounded),
        cmocka_unit_test(every_status_has_a_text),
    };
    return TERN_TEST_MAIN(tests);
}
