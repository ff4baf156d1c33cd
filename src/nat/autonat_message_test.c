/* AutoNAT's messages: known bytes, everything that may be in one, and what does not parse. */
#include "nat/autonat_message.h"

#include <tern/error.h>

#include "base/mem.h"
#include "base/test.h"

static void expect(const tern_buf *out, const char *hex)
{
    uint8_t want[512];
    size_t n = tern_test_unhex(want, sizeof want, hex);
    assert_int_equal(tern_buf_len(out), n);
    assert_memory_equal(tern_buf_data(out), want, n);
}

static void expect_built(const tern_autonat_message *m, const char *hex)
{
    tern_buf out;
    tern_buf_init(&out, 0);
    assert_int_equal(tern_autonat_build(m, &out), 0);
    expect(&out, hex);
    tern_buf_free(&out);
}

static void known_bytes(void **state)
{
    (void)state;
    tern_autonat_message m = {
        .kind = TERN_AUTONAT_REQUEST, .nonce = 0x0123456789abcdef, .addr_count = 1};
    m.addrs[0] = tern_multiaddr_parse("/ip4/192.0.2.1/udp/4001/quic-v1", NULL);
    expect_built(&m, "0a160a0b04c000020191020fa1cd0311efcdab8967452301");
    tern_autonat_clear(&m);
    expect_built(&(tern_autonat_message){.kind = TERN_AUTONAT_RESPONSE,
                                         .status = TERN_AUTONAT_OK,
                                         .index = 1,
                                         .dial_status = TERN_AUTONAT_DIAL_ERROR},
                 "120708c80110011864");
    expect_built(&(tern_autonat_message){.kind = TERN_AUTONAT_RESPONSE}, "1200");
    expect_built(&(tern_autonat_message){.kind = TERN_AUTONAT_DATA_REQUEST, .bytes = 30000},
                 "1a0410b0ea01");
    tern_buf out;
    tern_buf_init(&out, 0);
    assert_int_equal(tern_autonat_build_dial_back(0x0123456789abcdef, &out), 0);
    expect(&out, "09efcdab8967452301");
    tern_buf_free(&out);
    tern_autonat_1_message one = {
        .response = true, .status = TERN_AUTONAT_1_DIAL_ERROR, .addr_count = 0};
    assert_int_equal(tern_autonat_1_build(&one, &out), 0);
    expect(&out, "08011a020864");
    tern_buf_free(&out);
}

static int parse(const char *hex, tern_autonat_message *ret)
{
    uint8_t bytes[512];
    size_t n = tern_test_unhex(bytes, sizeof bytes, hex);
    return tern_autonat_parse((tern_span){bytes, n}, ret);
}

static void read_back(void **state)
{
    (void)state;
    tern_autonat_message m;
    assert_int_equal(parse("0a160a0b04c000020191020fa1cd0311efcdab8967452301", &m), 0);
    assert_int_equal(m.kind, TERN_AUTONAT_REQUEST);
    assert_int_equal(m.addr_count, 1);
    assert_string_equal(tern_multiaddr_text(m.addrs[0]), "/ip4/192.0.2.1/udp/4001/quic-v1");
    assert_true(m.nonce == 0x0123456789abcdef);
    tern_autonat_clear(&m);
    assert_int_equal(parse("120708c80110011864", &m), 0);
    assert_int_equal(m.status, TERN_AUTONAT_OK);
    assert_int_equal(m.index, 1);
    assert_int_equal(m.dial_status, TERN_AUTONAT_DIAL_ERROR);
    assert_int_equal(parse("1a0610051090a10f", &m), 0); /* of a field that comes twice, the last */
    assert_int_equal(m.kind, TERN_AUTONAT_DATA_REQUEST);
    assert_int_equal(m.bytes, 250000);
    assert_int_equal(parse("22040a020102", &m), 0);
    assert_int_equal(m.kind, TERN_AUTONAT_DATA_RESPONSE);
    assert_int_equal(m.data.len, 2);
}

/* An address that is not understood keeps its place: others are told by their number. */
static void unknown_addresses_count(void **state)
{
    (void)state;
    tern_autonat_message m;
    assert_int_equal(parse("0a0e0a02ffff0a0804c0000201060fa1", &m), 0);
    assert_int_equal(m.addr_count, 2);
    assert_null(m.addrs[0]);
    assert_string_equal(tern_multiaddr_text(m.addrs[1]), "/ip4/192.0.2.1/tcp/4001");
    tern_autonat_clear(&m);
}

static void no_messages(void **state)
{
    (void)state;
    static const char *const cases[] = {"",         "0801", "0a",     "0a05",
                                        "0a020a05", "2a00", "120108", "0a0a11efcdab89674523"};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        tern_autonat_message m;
        if (parse(cases[i], &m) != TERN_E_MALFORMED) {
            fail_msg("\"%s\" was taken", cases[i]);
        }
    }
}

static void version_1_there_and_back(void **state)
{
    (void)state;
    for (int response = 0; response < 2; response++) {
        tern_autonat_1_message m = {.response = response, .addr_count = 1}, again;
        tern_buf out;
        if (!response) {
            assert_int_equal(
                tern_peer_id_parse(&m.peer, "12D3KooWDpJ7As7BWAwRMfu1VU2WCqNjvq387JEYKDBj4kx6nXTN"),
                0);
        } else {
            m.status = TERN_AUTONAT_1_INTERNAL_ERROR;
        }
        m.addrs[0] = tern_multiaddr_parse("/ip6/2001:db8::1/udp/4001/quic-v1", NULL);
        tern_buf_init(&out, 0);
        assert_int_equal(tern_autonat_1_build(&m, &out), 0);
        tern_span bytes = {tern_buf_data(&out), tern_buf_len(&out)};
        assert_int_equal(tern_autonat_1_parse(bytes, &again), 0);
        assert_int_equal(again.response, response);
        assert_int_equal(again.status, m.status);
        assert_true(response || tern_peer_id_equal(&again.peer, &m.peer));
        assert_int_equal(again.addr_count, 1);
        assert_true(tern_multiaddr_equal(again.addrs[0], m.addrs[0]));
        for (size_t n = 0; n < bytes.len;
             n++) { /* cut off anywhere it does not parse, or is less */
            tern_autonat_1_message part;
            if (tern_autonat_1_parse((tern_span){bytes.data, n}, &part) == 0) {
                tern_autonat_1_clear(&part);
            }
        }
        tern_autonat_1_clear(&m);
        tern_autonat_1_clear(&again);
        tern_buf_free(&out);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(known_bytes),
        cmocka_unit_test(read_back),
        cmocka_unit_test(unknown_addresses_count),
        cmocka_unit_test(no_messages),
        cmocka_unit_test(version_1_there_and_back),
    };
    return TERN_TEST_MAIN(tests);
}
